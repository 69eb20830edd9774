//! TLS towards a server: the rustls configuration of a client, rebuilt when one of its files changed.
//!
//! Always true: the provider is ring, given explicitly; nothing depends on a process-wide default. A file that cannot be read after a change
//! fails requests with its reason until it can.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use narthex_config::{TlsConfig, TlsVersion};
use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;

use super::error::DialError;
use super::secret_source::SecretSource;
use super::stream::Stream;
use super::verify;

/// The system's roots, read once: they are the same for all clients, and many clients exist.
static SYSTEM_ROOTS: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
});

/// The system's roots, for those who verify others than servers.
pub(crate) fn system_roots() -> Arc<RootCertStore> {
    Arc::clone(&SYSTEM_ROOTS)
}

/// Which application protocols are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Http1,
    Http2OrHttp1,
}

/// The TLS side of one client.
#[derive(Debug)]
pub(super) struct Tls {
    config: TlsConfig,
    sources: Sources,
    /// The configuration in force, and what its files looked like when it was built. `None` until the first handshake when
    /// it needs only the system's roots: they are megabytes, and most targets speak plain HTTP.
    current: Mutex<(Vec<FileStamp>, Option<Built>)>,
}

/// The same settings with each of the two offers.
#[derive(Clone, Debug)]
struct Built {
    http1: Arc<ClientConfig>,
    http2_or_http1: Arc<ClientConfig>,
}

#[derive(Debug)]
struct Sources {
    ca: Option<SecretSource>,
    cert: Option<SecretSource>,
    key: Option<SecretSource>,
}

/// Enough of a file's state to see a change.
type FileStamp = Option<(SystemTime, u64, u64)>;

impl Tls {
    /// Reads all files; the error is Prometheus' text.
    pub(super) fn new(config: &TlsConfig) -> Result<Self, String> {
        let ca = narthex_config::Secret::new(config.ca.clone());
        let cert = narthex_config::Secret::new(config.cert.clone());
        let sources = Sources {
            ca: SecretSource::choose(&ca, &config.ca_file, &config.ca_ref)
                .map_err(|e| format!("unable to use CA cert: {e}"))?,
            cert: SecretSource::choose(&cert, &config.cert_file, &config.cert_ref)
                .map_err(|e| format!("unable to use client cert: {e}"))?,
            key: SecretSource::choose(&config.key, &config.key_file, &config.key_ref)
                .map_err(|e| format!("unable to use client key: {e}"))?,
        };
        let stamps = sources.stamps();
        versions(config)?;
        let built = if sources.is_empty() { None } else { Some(build(config, &sources)?) };
        Ok(Self { config: config.clone(), sources, current: Mutex::new((stamps, built)) })
    }

    /// Looks whether a file changed and, if so, builds a new configuration. `Ok(true)`: connections made before are to be
    /// dropped.
    pub(super) fn refresh(&self) -> Result<bool, String> {
        if !self.sources.has_files() {
            return Ok(false);
        }
        let stamps = self.sources.stamps();
        if self.current.lock().0 == stamps {
            return Ok(false);
        }
        let built = build(&self.config, &self.sources)?;
        *self.current.lock() = (stamps, Some(built));
        Ok(true)
    }

    /// The configuration in force.
    fn built(&self) -> Result<Built, String> {
        let mut current = self.current.lock();
        if let Some(built) = &current.1 {
            return Ok(built.clone());
        }
        let built = build(&self.config, &self.sources)?;
        current.1 = Some(built.clone());
        Ok(built)
    }

    /// Runs the handshake. `host` is the URL's host without brackets.
    pub(super) async fn connect(
        &self,
        stream: Stream,
        host: &str,
        offer: Offer,
    ) -> Result<Stream, DialError> {
        let name = if self.config.server_name.is_empty() { host } else { &self.config.server_name };
        let server = ServerName::try_from(name.to_owned())
            .map_err(|_| DialError::Tls(format!("tls: {name:?} is no valid server name")))?;
        let built = self.built().map_err(DialError::Tls)?;
        let config = match offer {
            Offer::Http1 => built.http1,
            Offer::Http2OrHttp1 => built.http2_or_http1,
        };
        let connected = TlsConnector::from(config).connect(server, stream).await;
        connected
            .map(|tls| Stream::Tls(Box::new(tls)))
            .map_err(|e| DialError::Tls(verify::handshake_text(&e, name)))
    }
}

impl Sources {
    fn is_empty(&self) -> bool {
        self.ca.is_none() && self.cert.is_none() && self.key.is_none()
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        [&self.ca, &self.cert, &self.key].into_iter().flatten().filter_map(|s| s.path().map(|p| &**p))
    }

    fn has_files(&self) -> bool {
        self.paths().next().is_some()
    }

    fn stamps(&self) -> Vec<FileStamp> {
        self.paths().map(stamp).collect()
    }
}

fn stamp(path: &Path) -> FileStamp {
    use std::os::unix::fs::MetadataExt as _;
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len(), meta.ino()))
}

fn build(config: &TlsConfig, sources: &Sources) -> Result<Built, String> {
    let http1 = build_http1(config, sources)?;
    let mut http2_or_http1 = http1.clone();
    http2_or_http1.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Built { http1: Arc::new(http1), http2_or_http1: Arc::new(http2_or_http1) })
}

fn build_http1(config: &TlsConfig, sources: &Sources) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(config)?)
        .map_err(|e| format!("tls: {e}"))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier(config, sources, provider)?);
    let Some((cert, key)) = sources.cert.as_ref().zip(sources.key.as_ref()) else {
        return Ok(builder.with_no_client_auth());
    };
    let cert_text = cert.fetch().map_err(|e| format!("unable to read specified client cert: {e}"))?;
    let key_text = key.fetch().map_err(|e| format!("unable to read specified client key: {e}"))?;
    let unusable = |reason: String| {
        let (cert, key) = (cert.description(), key.description());
        format!("unable to use specified client cert ({cert}) & key ({key}): {reason}")
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert_text.expose().as_bytes()).collect();
    let chain = chain.map_err(|e| unusable(e.to_string()))?;
    if chain.is_empty() {
        return Err(unusable("tls: failed to find any PEM data in certificate input".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_slice(key_text.expose().as_bytes()).map_err(|e| unusable(e.to_string()))?;
    builder.with_client_auth_cert(chain, key).map_err(|e| unusable(e.to_string()))
}

fn verifier(
    config: &TlsConfig,
    sources: &Sources,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::client::danger::ServerCertVerifier>, String> {
    let own = sources.ca.as_ref().map(own_roots).transpose()?;
    if config.insecure_skip_verify {
        return Ok(verify::anyone(provider));
    }
    match own {
        Some((roots, certificates)) => verify::by_roots(Arc::new(roots), certificates, provider),
        None => verify::by_roots(Arc::clone(&SYSTEM_ROOTS), Vec::new(), provider),
    }
}

fn own_roots(source: &SecretSource) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), String> {
    let text = source.fetch().map_err(|e| format!("unable to read CA cert: {e}"))?;
    let parsed = CertificateDer::pem_slice_iter(text.expose().as_bytes()).filter_map(Result::ok);
    let certificates: Vec<CertificateDer<'static>> = parsed.collect();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates.iter().cloned());
    if added == 0 {
        return Err(format!("unable to use specified CA cert {}", source.description()));
    }
    Ok((roots, certificates))
}

/// TLS 1.0 and 1.1 are not spoken: as a minimum they mean 1.2, as a maximum they cannot be kept.
fn versions(config: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let least = config.min_version.unwrap_or(TlsVersion::Tls12).max(TlsVersion::Tls12);
    let most = config.max_version.unwrap_or(TlsVersion::Tls13);
    if config.min_version.zip(config.max_version).is_some_and(|(min, max)| max < min) {
        return Err("tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified"
            .to_owned());
    }
    let known = [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
    let fitting: Vec<_> =
        known.into_iter().filter(|(v, _)| (least..=most).contains(v)).map(|(_, v)| v).collect();
    if fitting.is_empty() {
        return Err(
            "tls_config.max_version asks for TLS 1.0 or 1.1, which are not supported: use TLS12 or TLS13"
                .to_owned(),
        );
    }
    Ok(fitting)
}
