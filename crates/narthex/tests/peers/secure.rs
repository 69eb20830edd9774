//! Certificates, and a client that speaks TLS, for the servers under test.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use narthex_config::{HttpClientConfig, Secret};
use narthex_net::client::{BodyBuffers, HttpClient, Request};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use url::Url;

/// An authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub(crate) type Identity = (String, String);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a server on 127.0.0.1.
    pub(crate) fn server(&self) -> Identity {
        let address = SanType::IpAddress("127.0.0.1".parse().unwrap());
        self.sign(address, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For a client with this DNS name.
    pub(crate) fn client(&self, name: &str) -> Identity {
        self.sign(SanType::DnsName(name.try_into().unwrap()), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, name: SanType, usage: ExtendedKeyUsagePurpose) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![name];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// Writes `NAME.pem` and `NAME-key.pem`.
pub(crate) fn write(folder: &Path, name: &str, identity: &Identity) {
    std::fs::write(folder.join(format!("{name}.pem")), &identity.0).unwrap();
    std::fs::write(folder.join(format!("{name}-key.pem")), &identity.1).unwrap();
}

/// A client; each has connections of its own.
pub(crate) struct Client {
    client: HttpClient,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    /// Trusts `authority`, and shows `identity` if it is asked.
    pub(crate) fn new(authority: &Authority, identity: Option<&Identity>) -> Self {
        let mut config = HttpClientConfig { follow_redirects: false, ..HttpClientConfig::default() };
        config.tls.ca = authority.pem();
        if let Some((cert, key)) = identity {
            config.tls.cert.clone_from(cert);
            config.tls.key = Secret::new(key.as_str());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { client: HttpClient::new(&config, "test").unwrap(), runtime }
    }

    /// Status and body, or why there is no answer. With `user:password` when it is not empty.
    pub(crate) fn get(&self, port: u16, path: &str, credentials: &str) -> Result<(u16, String), String> {
        let url = Url::parse(&format!("https://127.0.0.1:{port}{path}")).unwrap();
        let mut headers = http::HeaderMap::new();
        if !credentials.is_empty() {
            headers.insert("authorization", basic(credentials).parse().unwrap());
        }
        self.runtime.block_on(async {
            let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
            let (method, body) = (http::Method::GET, Bytes::new());
            let request = Request { method, url: &url, headers: &headers, body, deadline, unix_socket: None };
            let response = self.client.send(&request).await.map_err(|e| e.to_string())?;
            let status = response.status;
            let mut buffers = BodyBuffers::default();
            response.read_decoded(&mut buffers, u64::MAX).await.map_err(|e| e.to_string())?;
            Ok((status, String::from_utf8_lossy(buffers.bytes()).into_owned()))
        })
    }
}

/// `Basic …` of `user:password`.
pub(crate) fn basic(credentials: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials))
}
