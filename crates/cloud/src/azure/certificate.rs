//! A certificate with its private key, and the assertions that are signed with it.
//!
//! Facts: "Microsoft identity platform application authentication certificate credentials".

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use narthex_config::AzureCertificateConfig;
use ring::digest;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;

use crate::CloudError;
use crate::jwt::{Algorithm, Key, now_s};

/// How long an assertion is valid, s.
const LIFE_S: u64 = 600;

/// What signs assertions.
#[derive(Debug)]
pub(super) struct Certificate {
    key: Key,
    /// The header's `x5t#S256`.
    thumbprint: String,
    /// The header's `x5c`, when the chain is sent.
    chain: Option<Vec<String>>,
}

impl Certificate {
    /// Reads the PEM file, and that of the key when it is another one.
    pub(super) fn read(config: &AzureCertificateConfig) -> Result<Self, CloudError> {
        let path = &config.certificate_path;
        let text = std::fs::read(path).map_err(|e| CloudError::file(path, e))?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let found = found.map_err(|e| CloudError::file(path, e))?;
        let Some(first) = found.first() else {
            let convert = "openssl pkcs12 -in FILE.pfx -nodes -out FILE.pem";
            let reason = format!("no PEM certificate; one in PKCS#12 must be converted: {convert}");
            return Err(CloudError::file(path, reason));
        };
        let thumbprint = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, first));
        let chain =
            config.send_certificate_chain.then(|| found.iter().map(|der| STANDARD.encode(der)).collect());
        Ok(Self { key: key(config, &text)?, thumbprint, chain })
    }

    /// Says that `client` asks `audience`.
    pub(super) fn assertion(&self, audience: &str, client: &str) -> Result<String, String> {
        let mut header = json!({"x5t#S256": self.thumbprint});
        if let Some(chain) = &self.chain {
            header["x5c"] = json!(chain);
        }
        let now = now_s();
        let unique = format!("{:032x}", fastrand::u128(..));
        let claims = json!({
            "aud": audience, "iss": client, "sub": client, "jti": unique, "nbf": now, "iat": now, "exp": now + LIFE_S,
        });
        self.key.sign(header, &claims)
    }
}

fn key(config: &AzureCertificateConfig, beside: &[u8]) -> Result<Key, CloudError> {
    let path = &config.certificate_key_path;
    let parse = |path: &str, text: &[u8]| {
        Key::from_pem(text, Algorithm::Ps256).map_err(|reason| CloudError::file(path, reason))
    };
    if path.is_empty() {
        return parse(&config.certificate_path, beside);
    }
    parse(path, &std::fs::read(path).map_err(|e| CloudError::file(path, e))?)
}
