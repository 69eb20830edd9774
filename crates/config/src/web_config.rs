//! The web configuration file: TLS, users, headers and rate limit of our own HTTP server.
//!
//! Always true of a loaded value: headers are among those that may be set, paths are relative to the file. Whether the files
//! that it names can be read is what [`check_web_config`] looks at.
//! Facts: Prometheus `docs/configuration/https.md`; error texts as `promtool check web-config` prints them.

use std::collections::BTreeMap;
use std::path::Path;

use narthex_model::quote_go;

use crate::codec::directory_of;
use crate::config::read_document;
use crate::decode::Check;
use crate::glob::read_text;
use crate::section::section;
use crate::{ConfigErrors, Secret, TlsVersion};

section! {
    /// Settings of our own HTTP server.
    pub struct WebConfig("web.Config") {
        /// TLS; see [`WebTlsConfig::is_enabled`].
        tls: WebTlsConfig = WebTlsConfig::default() => "tls_server_config" show Object<WebTlsConfig>,
        /// HTTP.
        http: WebHttpConfig = WebHttpConfig::default() => "http_server_config" show Object<WebHttpConfig>,
        /// A bound on requests.
        rate_limit: WebRateLimit = WebRateLimit::default() => "rate_limit" show Object<WebRateLimit>,
        /// Users with the bcrypt hashes of their passwords; none: no authentication.
        users: BTreeMap<String, Secret> = BTreeMap::new() => "basic_auth_users" show Users,
    }
}

section! {
    /// TLS of our own HTTP server.
    pub struct WebTlsConfig("web.TLSConfig") {
        /// PEM text of the certificate.
        cert: String = String::new() => "cert" show Text,
        /// PEM text of the key.
        key: Secret = Secret::default() => "key" show Hidden,
        /// PEM text of the authorities that sign client certificates.
        client_ca: String = String::new() => "client_ca" show Text,
        /// A file with the certificate, read again for each connection.
        cert_file: String = String::new() => "cert_file" show FilePath,
        /// A file with the key.
        key_file: String = String::new() => "key_file" show FilePath,
        /// What is asked of clients: `NoClientCert` (default), `RequestClientCert`, `RequireAnyClientCert`,
        /// `VerifyClientCertIfGiven` or `RequireAndVerifyClientCert`.
        client_auth_type: String = String::new() => "client_auth_type" show Text,
        /// A file with the authorities that sign client certificates.
        client_ca_file: String = String::new() => "client_ca_file" show FilePath,
        /// Cipher suites of TLS 1.2 by their IANA names; empty: the library's choice.
        cipher_suites: Vec<String> = Vec::new() => "cipher_suites" show List<CipherSuite>,
        /// Curves, most wanted first; empty: the library's choice.
        curve_preferences: Vec<String> = Vec::new() => "curve_preferences" show List<Curve>,
        /// The lowest version.
        min_version: Option<TlsVersion> = Some(TlsVersion::Tls12) => "min_version" show TlsVersion,
        /// The highest version.
        max_version: Option<TlsVersion> = Some(TlsVersion::Tls13) => "max_version" show TlsVersion,
        /// Accepted and without effect, as in Go since 1.17.
        prefer_server_cipher_suites: bool = true => "prefer_server_cipher_suites" show Flag,
        /// Alternative names of which a client certificate must have one; `None`: any will do, an empty list: none does.
        client_allowed_sans: Option<Vec<String>> = None => "client_allowed_sans" show AllowedNames,
    }
}

section! {
    /// HTTP of our own server.
    pub struct WebHttpConfig("web.HTTPConfig") {
        /// Whether HTTP/2 may be negotiated over TLS.
        http2: bool = true => "http2" show Flag,
        /// Headers added to each answer.
        headers: BTreeMap<String, String> = BTreeMap::new() => "headers" omit TextMap,
    }
}

section! {
    /// A token bucket over all requests.
    pub struct WebRateLimit("web.RateLimiterConfig") {
        /// How many requests may come at once.
        burst: i64 = 0 => "burst" show Int,
        /// The time between requests, in nanoseconds; 0: no limit.
        interval_ns: i64 = 0 => "interval" show GoDuration,
    }
}

impl Check for WebTlsConfig {}
impl Check for WebRateLimit {}
impl Check for WebHttpConfig {}

/// The headers that may be set, with the values that are allowed where only some are.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

impl Check for WebConfig {
    fn verify(&mut self) -> Result<(), String> {
        for (name, value) in &self.http.headers {
            let Some((_, allowed)) = HEADERS.iter().find(|(n, _)| n == name) else {
                return Err(format!("HTTP header {} can not be configured", quote_go(name)));
            };
            if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
                let expected: Vec<String> = allowed.iter().map(|a| quote_go(a)).collect();
                let (expected, found) = (expected.join(" "), quote_go(value));
                return Err(format!(
                    "invalid value for {name}. Expected one of: [{expected}], but got: {found}"
                ));
            }
        }
        Ok(())
    }
}

impl WebConfig {
    /// Reads and validates a file.
    ///
    /// # Errors
    /// When it cannot be read or anything in it is wrong; all problems at once.
    pub fn load_file(path: &Path) -> Result<Self, ConfigErrors> {
        let file = path.to_string_lossy();
        let bytes = read_text(&file).map_err(|text| ConfigErrors::bare(&file, text))?;
        let read = read_document::<Self>(&bytes, &directory_of(&file));
        read.map(Option::unwrap_or_default).map_err(|problems| ConfigErrors::without_prefix(&file, problems))
    }

    /// Whether the hashes of users are ones, and everything is there that TLS needs, files included.
    ///
    /// # Errors
    /// The first reason why not, in the words of Prometheus.
    pub fn validate(&self) -> Result<(), String> {
        self.users.values().try_for_each(|hash| check_bcrypt(hash.expose()))?;
        if self.tls.is_enabled() { self.tls.check_files() } else { Ok(()) }
    }
}

impl WebTlsConfig {
    /// Whether the server speaks TLS.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        let texts = [
            &self.cert,
            &self.client_ca,
            &self.cert_file,
            &self.key_file,
            &self.client_auth_type,
            &self.client_ca_file,
        ];
        !self.key.is_empty() || texts.iter().any(|text| !text.is_empty())
    }

    /// Whether everything is there that TLS needs, files included.
    fn check_files(&self) -> Result<(), String> {
        if self.cert_file.is_empty() && self.cert.is_empty() {
            return Err("missing one of cert or cert_file".to_owned());
        }
        if self.key_file.is_empty() && self.key.is_empty() {
            return Err("missing one of key or key_file".to_owned());
        }
        check_pem(&self.cert_file, &self.cert, "cert_file", "certificate")?;
        check_pem(&self.key_file, self.key.expose(), "key_file", "key")?;
        if !self.client_ca_file.is_empty() {
            read_text(&self.client_ca_file)?;
        }
        let asks = match self.client_auth_type.as_str() {
            "" | "NoClientCert" => false,
            "RequestClientCert"
            | "RequireAnyClientCert"
            | "RequireClientCert"
            | "VerifyClientCertIfGiven"
            | "RequireAndVerifyClientCert" => true,
            other => return Err(format!("invalid ClientAuth: {other}")),
        };
        let has_authorities = !self.client_ca.is_empty() || !self.client_ca_file.is_empty();
        if has_authorities && !asks {
            return Err("client CA's have been configured without a Client Auth Policy".to_owned());
        }
        Ok(())
    }
}

/// The file, else the text, holds a PEM block.
fn check_pem(file: &str, text: &str, key: &str, what: &str) -> Result<(), String> {
    let bytes = match file {
        "" => text.as_bytes().to_vec(),
        file => read_text(file).map_err(|e| format!("failed to read {key} ({file}): {e}"))?,
    };
    if bytes.windows(11).any(|w| w == b"-----BEGIN ") {
        return Ok(());
    }
    Err(format!("failed to load X509KeyPair: tls: failed to find any PEM data in {what} input"))
}

/// Whether a text is a bcrypt hash, in the words of Go's package.
fn check_bcrypt(hash: &str) -> Result<(), String> {
    /// The length of a hash with its salt and cost.
    const SHORTEST: usize = 59;
    let bytes = hash.as_bytes();
    if bytes.len() < SHORTEST {
        return Err("crypto/bcrypt: hashedSecret too short to be a bcrypted password".to_owned());
    }
    if bytes[0] != b'$' {
        let found = char::from(bytes[0]);
        return Err(format!(
            "crypto/bcrypt: bcrypt hashes must start with '$', but hashedSecret started with '{found}'"
        ));
    }
    if bytes[1] > b'2' {
        let found = char::from(bytes[1]);
        let newest = "current version '2'";
        return Err(format!(
            "crypto/bcrypt: bcrypt algorithm version '{found}' requested is newer than {newest}"
        ));
    }
    let cost_at = if bytes[2] == b'$' { 3 } else { 4 };
    let cost: i64 =
        std::str::from_utf8(&bytes[cost_at..cost_at + 2]).ok().and_then(|c| c.parse().ok()).unwrap_or(-1);
    if !(4..=31).contains(&cost) {
        return Err(format!("crypto/bcrypt: cost {cost} is outside allowed inclusive range 4..31"));
    }
    Ok(())
}

/// What `promtool check web-config` does for one file: loads it and reads the files that it names.
///
/// # Errors
/// The text that promtool prints after `FAILED:`.
pub fn check_web_config(path: &str) -> Result<WebConfig, String> {
    let config = WebConfig::load_file(Path::new(path)).map_err(|e| e.as_prometheus())?;
    config.validate()?;
    Ok(config)
}

#[cfg(test)]
mod tests;
