//! The `tracing` section: where spans of the server itself go.

use std::collections::BTreeMap;

use crate::TlsConfig;
use crate::decode::Check;
use crate::http_rules::check_headers;
use crate::section::section;

section! {
    /// Where spans of the server itself go. An empty endpoint means that the section is absent.
    pub struct TracingConfig("config.plain") {
        /// `grpc` (default when the section is present) or `http`.
        client_type: String = String::new() => "client_type" omit TracingClient,
        /// Host and port.
        endpoint: String = String::new() => "endpoint" omit Text,
        /// The share of requests to trace, in `[0, 1]`.
        sampling_fraction: f64 = 0.0 => "sampling_fraction" omit Float,
        /// Whether to connect without TLS.
        insecure: bool = false => "insecure" omit Flag,
        /// TLS of the connection.
        tls: TlsConfig = TlsConfig::default() => "tls_config" omit Object<TlsConfig>,
        /// Headers added to each request.
        headers: BTreeMap<String, String> = BTreeMap::new() => "headers" omit TextMap,
        /// `gzip` or empty.
        compression: String = String::new() => "compression" omit Text,
        /// How long an export may take; 0: the exporter's default.
        timeout_ms: i64 = 0 => "timeout" omit Duration,
    }
}

impl Check for TracingConfig {
    fn verify(&mut self) -> Result<(), String> {
        check_headers(self.headers.keys(), "custom authorization header configuration is not yet supported")?;
        if self.endpoint.is_empty() {
            return Err("tracing endpoint must be set".to_owned());
        }
        if !matches!(self.compression.as_str(), "" | "gzip") {
            return Err(format!(
                "invalid compression type {} provided, valid options: gzip",
                self.compression
            ));
        }
        if self.client_type.is_empty() {
            "grpc".clone_into(&mut self.client_type);
        }
        Ok(())
    }
}
