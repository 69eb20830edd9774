//! One job as its targets use it: the configuration with everything that is derived from it once.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use narthex_config::{ScrapeConfig, ScrapeProtocol};
use narthex_exposition::Format;
use narthex_model::NameValidation;
use narthex_net::client::{ClientError, ClientMetrics, HttpClient};

use crate::options::ScrapeOptions;

/// A job's configuration in force. Targets take it anew at each scrape, so a reload needs no new task.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) config: ScrapeConfig,
    pub(crate) client: HttpClient,
    /// Headers of every scrape but the timeout's.
    pub(crate) headers: HeaderMap,
    pub(crate) fallback: Option<Format>,
    /// Rises when what a line stands for may have changed: caches of older generations must learn anew.
    pub(crate) series_generation: u64,
}

impl Job {
    /// Builds a job. Of `before`, the same job's last configuration, the client is kept when its settings are the same.
    pub(crate) fn new(
        config: &ScrapeConfig,
        before: Option<&Arc<Self>>,
        options: &ScrapeOptions,
        metrics: &ClientMetrics,
    ) -> Result<Self, ClientError> {
        let client = match before {
            Some(job) if job.config.http == config.http => job.client.clone(),
            _ => HttpClient::with_metrics(&config.http, &config.job_name, metrics)?,
        };
        let generation =
            |job: &Arc<Self>| job.series_generation + u64::from(!same_series(&job.config, config));
        Ok(Self {
            client,
            headers: headers(config, options),
            fallback: config.fallback_scrape_protocol.map(format_of),
            series_generation: before.map_or(0, generation),
            config: config.clone(),
        })
    }

    /// The largest body that is read is one byte less; no limit is the largest number.
    pub(crate) fn body_limit(&self) -> u64 {
        match u64::try_from(self.config.body_size_limit_bytes) {
            Ok(0) | Err(_) => u64::MAX,
            Ok(limit) => limit,
        }
    }
}

/// Whether a line of a target stands for the same series under both configurations.
fn same_series(a: &ScrapeConfig, b: &ScrapeConfig) -> bool {
    a.honor_labels == b.honor_labels
        && a.metric_relabel_configs == b.metric_relabel_configs
        && a.metric_name_validation_scheme == b.metric_name_validation_scheme
        && (a.label_limit, a.label_name_length_limit, a.label_value_length_limit)
            == (b.label_limit, b.label_name_length_limit, b.label_value_length_limit)
}

fn format_of(protocol: ScrapeProtocol) -> Format {
    match protocol {
        ScrapeProtocol::PrometheusProto => Format::Protobuf,
        ScrapeProtocol::PrometheusText0_0_4 | ScrapeProtocol::PrometheusText1_0_0 => Format::Text,
        ScrapeProtocol::OpenMetricsText0_0_1 | ScrapeProtocol::OpenMetricsText1_0_0 => Format::OpenMetrics,
    }
}

fn headers(config: &ScrapeConfig, options: &ScrapeOptions) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    set(header::USER_AGENT, &options.user_agent);
    set(header::ACCEPT, &accept(config));
    set(header::ACCEPT_ENCODING, if config.enable_compression { "gzip" } else { "identity" });
    headers
}

/// The protocols in order of preference. Protobuf is left out as long as it cannot be read.
fn accept(config: &ScrapeConfig) -> String {
    let escaping = match (&*config.metric_name_escaping_scheme, config.metric_name_validation_scheme) {
        ("", Some(NameValidation::Legacy)) => "underscores",
        ("", _) => "allow-utf-8",
        (scheme, _) => scheme,
    };
    // Prometheus counts down from one more than there are protocols.
    let mut weight = ScrapeProtocol::ALL.len() + 1;
    let mut out = String::new();
    for protocol in config.scrape_protocols.iter().filter(|p| **p != ScrapeProtocol::PrometheusProto) {
        out.push_str(protocol.media_type());
        if matches!(protocol, ScrapeProtocol::PrometheusText1_0_0 | ScrapeProtocol::OpenMetricsText1_0_0) {
            out.push_str(&format!(";escaping={escaping}"));
        }
        out.push_str(&format!(";q=0.{weight},"));
        weight -= 1;
    }
    out.push_str(&format!("*/*;q=0.{weight}"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_asked_for_in_order_and_protobuf_not_at_all() {
        let config = ScrapeConfig {
            scrape_protocols: ScrapeProtocol::PROTO_FIRST.to_vec(),
            ..ScrapeConfig::default()
        };
        let expected = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(accept(&config), expected);
    }
}
