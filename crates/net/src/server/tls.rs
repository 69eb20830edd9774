//! TLS of the server: a configuration for each new connection, built again when the web-config file or a file it names changed.
//!
//! Always true: the provider is ring, given explicitly. A certificate and key that cannot be used (one of the two is new, the other
//! not written yet) leave the pair before them in force; anything else that is wrong refuses connections until it is right.
//! Must not know: what is served.
//! Facts: Prometheus `docs/configuration/https.md`; Go's `crypto/tls` for what the settings mean. What ring does not speak is left
//! out of lists: CBC suites, curve P-521; TLS 1.0 and 1.1 mean 1.2 as a minimum and cannot be kept as a maximum.

mod client_cert;
mod names;

use std::path::Path;
use std::sync::Arc;

use narthex_config::{TlsVersion, WebTlsConfig};
use parking_lot::Mutex;
use ring::digest;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, Error, InconsistentKeys, ServerConfig, SupportedProtocolVersion};

use super::file_stamp::FileStamp;
use super::guard::Rules;

/// The TLS side of a server.
#[derive(Debug)]
pub(super) struct ServerTls {
    http2: bool,
    /// Held while a configuration is built, so that one connection does it for all that wait.
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    rules: Arc<Rules>,
    /// Of the certificate, the key and the authorities, as far as they are files.
    stamps: Vec<FileStamp>,
    /// Of what was read last, whether it could be used or not.
    fingerprint: [u8; 32],
    pair: Arc<CertifiedKey>,
    built: Result<Arc<ServerConfig>, String>,
}

impl ServerTls {
    /// Builds the first configuration; the error is a text in Prometheus' words where it has some.
    pub(super) fn new(rules: &Arc<Rules>, http2: bool) -> Result<Self, String> {
        let tls = rules.tls();
        if http2 {
            check_http2_suites(tls)?;
        }
        let stamps = stamps(tls);
        let texts = Texts::read(tls);
        let pair = Arc::new(texts.pair()?);
        let built = build(tls, &texts, &pair, http2)?;
        let fingerprint = texts.fingerprint();
        let current = Current { rules: Arc::clone(rules), stamps, fingerprint, pair, built: Ok(built) };
        Ok(Self { http2, current: Mutex::new(current) })
    }

    /// Whether HTTP/2 is offered.
    pub(super) fn offers_http2(&self) -> bool {
        self.http2
    }

    /// The configuration for a connection that begins now. The error says why there is none.
    pub(super) fn config(&self, rules: Arc<Rules>) -> Result<Arc<ServerConfig>, String> {
        let mut current = self.current.lock();
        let stamps = stamps(rules.tls());
        let same_rules = Arc::ptr_eq(&rules, &current.rules);
        let looks_same = stamps.len() == current.stamps.len()
            && stamps.iter().zip(&current.stamps).all(|(now, then)| now.is_same(then));
        if !(same_rules && looks_same) {
            let texts = Texts::read(rules.tls());
            current.stamps = stamps;
            let fingerprint = texts.fingerprint();
            // The same content again keeps the sessions of clients.
            if !(same_rules && fingerprint == current.fingerprint) {
                current.fingerprint = fingerprint;
                current.built = self.renew(&mut current.pair, rules.tls(), &texts, same_rules);
                current.rules = rules;
            }
        }
        current.built.clone()
    }

    fn renew(
        &self,
        pair: &mut Arc<CertifiedKey>,
        tls: &WebTlsConfig,
        texts: &Texts,
        same_rules: bool,
    ) -> Result<Arc<ServerConfig>, String> {
        if !tls.is_enabled() {
            return Err("TLS config is not present".to_owned());
        }
        match texts.pair() {
            Ok(new) => *pair = Arc::new(new),
            Err(reason) if same_rules => {
                let message = "Cannot use the changed certificate or key; those before them stay in force";
                tracing::error!(component = "web", err = reason, "{message}");
            }
            Err(reason) => return Err(reason),
        }
        build(tls, texts, pair, self.http2)
    }
}

/// What the section and its files hold at one moment.
struct Texts {
    cert: Result<Vec<u8>, String>,
    key: Result<Vec<u8>, String>,
    authorities: Result<Option<Vec<u8>>, String>,
}

impl Texts {
    fn read(tls: &WebTlsConfig) -> Self {
        let named = |file: &str, text: &str, key: &str| match file {
            "" => Ok(text.as_bytes().to_vec()),
            file => std::fs::read(file)
                .map_err(|e| format!("failed to read {key} ({file}): {}", open_text(file, &e))),
        };
        let authorities = match (tls.client_ca_file.as_str(), tls.client_ca.as_str()) {
            ("", "") => Ok(None),
            ("", text) => Ok(Some(text.as_bytes().to_vec())),
            (file, _) => std::fs::read(file).map(Some).map_err(|e| open_text(file, &e)),
        };
        Self {
            cert: named(&tls.cert_file, &tls.cert, "cert_file"),
            key: named(&tls.key_file, tls.key.expose(), "key_file"),
            authorities,
        }
    }

    fn fingerprint(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        let authorities = self.authorities.as_ref().map(|a| a.as_deref().unwrap_or_default());
        let parts = [self.cert.as_deref(), self.key.as_deref(), authorities];
        for part in parts {
            let (kind, bytes) = match part {
                Ok(bytes) => (0, bytes),
                Err(reason) => (1, reason.as_bytes()),
            };
            context.update(&[kind]);
            context.update(&(bytes.len() as u64).to_le_bytes());
            context.update(bytes);
        }
        context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Certificate and key, checked to belong together.
    fn pair(&self) -> Result<CertifiedKey, String> {
        let cert = self.cert.as_ref().map_err(Clone::clone)?;
        let key = self.key.as_ref().map_err(Clone::clone)?;
        let unusable = |reason: String| format!("failed to load X509KeyPair: {reason}");
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert).collect();
        let chain = chain.map_err(|e| unusable(format!("tls: {e}")))?;
        if chain.is_empty() {
            return Err(unusable(without_block(cert, NO_CERTIFICATE)));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| unusable(without_block(key, NO_KEY)))?;
        let provider = rustls::crypto::ring::default_provider();
        let key = provider.key_provider.load_private_key(key).map_err(|e| unusable(format!("tls: {e}")))?;
        let pair = CertifiedKey::new(chain, key);
        match pair.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
            Err(Error::InconsistentKeys(_)) => {
                Err(unusable("tls: private key does not match public key".to_owned()))
            }
            // COMPAT: `openssl x509 -req` makes certificates of version 1, which webpki does not look into. Showing one needs no
            // look; whether clients take it is theirs to say.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) => Ok(pair),
            Err(other) => Err(unusable(format!("tls: {other}"))),
        }
    }
}

/// What Go says of a text without the block that it is read for: when it has no block, the other one, and something else.
type Missing = (&'static str, &'static str, &'static str, &'static str);

const NO_CERTIFICATE: Missing = (
    "tls: failed to find any PEM data in certificate input",
    "PRIVATE KEY-----",
    "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched",
    "tls: failed to find \"CERTIFICATE\" PEM block in certificate input",
);
const NO_KEY: Missing = (
    "tls: failed to find any PEM data in key input",
    "-----BEGIN CERTIFICATE-----",
    "tls: found a certificate rather than a key in the PEM for the private key",
    "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input",
);

fn without_block(pem: &[u8], (none, other, switched, else_found): Missing) -> String {
    let text = String::from_utf8_lossy(pem);
    let words = if !text.contains("-----BEGIN ") {
        none
    } else if text.contains(other) {
        switched
    } else {
        else_found
    };
    words.to_owned()
}

fn open_text(file: &str, error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let text: String =
        letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default();
    format!("open {file}: {text}")
}

fn stamps(tls: &WebTlsConfig) -> Vec<FileStamp> {
    let files = [&tls.cert_file, &tls.key_file, &tls.client_ca_file];
    files.into_iter().filter(|file| !file.is_empty()).map(|file| FileStamp::of(Path::new(file))).collect()
}

fn build(
    tls: &WebTlsConfig,
    texts: &Texts,
    pair: &Arc<CertifiedKey>,
    http2: bool,
) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(provider(tls)?);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(tls, &provider)?)
        .map_err(|e| format!("tls: {e}"))?;
    let authorities = texts.authorities.as_ref().map_err(Clone::clone)?;
    let builder = match client_cert::verifier(tls, authorities.as_deref(), provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(pair))));
    // As the documentation says: the order of `cipher_suites` is the server's, unless it is to follow the client.
    config.ignore_client_order = tls.prefer_server_cipher_suites && !tls.cipher_suites.is_empty();
    config.alpn_protocols = if http2 { vec![b"h2".to_vec()] } else { Vec::new() };
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(Arc::new(config))
}

/// The suites and curves that the file asks for, as far as they are spoken. COMPAT: the suites of TLS 1.3 are not chosen.
fn provider(tls: &WebTlsConfig) -> Result<CryptoProvider, String> {
    let mut provider = rustls::crypto::ring::default_provider();
    if !tls.cipher_suites.is_empty() {
        let rank = |name: &str| tls.cipher_suites.iter().position(|wanted| wanted == name);
        let name = |suite: &rustls::SupportedCipherSuite| {
            suite.suite().as_str().unwrap_or("").replace("TLS13_", "TLS_")
        };
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() || rank(&name(suite)).is_some());
        provider.cipher_suites.sort_by_key(|suite| rank(&name(suite)).unwrap_or(usize::MAX));
    }
    if !tls.curve_preferences.is_empty() {
        let word = |group: rustls::NamedGroup| match group {
            rustls::NamedGroup::X25519 => "X25519",
            rustls::NamedGroup::secp256r1 => "CurveP256",
            rustls::NamedGroup::secp384r1 => "CurveP384",
            _ => "",
        };
        let rank =
            |group: rustls::NamedGroup| tls.curve_preferences.iter().position(|wanted| wanted == word(group));
        provider.kx_groups.retain(|group| rank(group.name()).is_some());
        provider.kx_groups.sort_by_key(|group| rank(group.name()));
        if provider.kx_groups.is_empty() {
            return Err("curve_preferences names only curves that are not supported: add X25519, CurveP256 or CurveP384".to_owned());
        }
    }
    Ok(provider)
}

/// The versions between the two that have a suite.
fn versions(
    tls: &WebTlsConfig,
    provider: &CryptoProvider,
) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let least = tls.min_version.unwrap_or(TlsVersion::Tls12).max(TlsVersion::Tls12);
    let most = tls.max_version.unwrap_or(TlsVersion::Tls13);
    if most < TlsVersion::Tls12 {
        return Err(
            "max_version asks for TLS 1.0 or 1.1, which are not supported: use TLS12 or TLS13".to_owned()
        );
    }
    if most < least {
        return Err("max_version must be greater than or equal to min_version".to_owned());
    }
    let known = [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
    let has_suite = |version: &SupportedProtocolVersion| {
        provider.cipher_suites.iter().any(|suite| suite.version() == version)
    };
    let fitting = known.into_iter().filter(|(v, _)| (least..=most).contains(v)).map(|(_, v)| v);
    let fitting: Vec<_> = fitting.filter(|version| has_suite(version)).collect();
    if fitting.is_empty() {
        return Err(
            "cipher_suites names none that is supported with TLS 1.2, and max_version rules TLS 1.3 out"
                .to_owned(),
        );
    }
    Ok(fitting)
}

/// COMPAT: a client of HTTP/2 over TLS 1.2 may count on one of two suites, so a list must have one.
fn check_http2_suites(tls: &WebTlsConfig) -> Result<(), String> {
    const NEEDED: [&str; 2] =
        ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"];
    let speaks_12 = tls.min_version.is_none_or(|version| version < TlsVersion::Tls13);
    let has_one = tls.cipher_suites.iter().any(|suite| NEEDED.contains(&suite.as_str()));
    if tls.cipher_suites.is_empty() || has_one || !speaks_12 {
        return Ok(());
    }
    let needed = NEEDED.join(" or ");
    Err(format!(
        "http2: TLSConfig.CipherSuites is missing an HTTP/2-required AES_128_GCM_SHA256 cipher (need at least one of {needed})"
    ))
}
