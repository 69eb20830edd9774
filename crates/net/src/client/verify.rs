//! How a server's certificate is judged, and what a failed handshake is called.
//!
//! COMPAT: Go accepts a self-signed server certificate that stands in `ca_file` itself, also when it says that it is a CA
//! (which `openssl req -x509` makes by default). webpki refuses a CA as a server. So that such set-ups go on working, a
//! certificate that is byte for byte one of the configured ones is accepted when all else about it is right: webpki checks the
//! validity period before it looks at the CA mark, the name is checked here.

use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

/// Accepts any certificate; the handshake's signatures are still checked.
pub(super) fn anyone(provider: Arc<CryptoProvider>) -> Arc<dyn ServerCertVerifier> {
    Arc::new(Anyone { provider })
}

/// Accepts chains to `roots`, and the `pinned` certificates themselves.
pub(super) fn by_roots(
    roots: Arc<RootCertStore>,
    pinned: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    if roots.is_empty() {
        return Ok(Arc::new(Nobody { provider }));
    }
    let webpki = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
    Ok(Arc::new(ByRoots { webpki: webpki.map_err(|e| format!("tls: {e}"))?, pinned }))
}

#[derive(Debug)]
struct ByRoots {
    webpki: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for ByRoots {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged =
            self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match judged {
            Err(e) if is_authority_as_end(&e) && self.pinned.contains(end_entity) => {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Whether a certificate was refused because it says that it is an authority, and not for its time of validity.
pub(crate) fn is_authority_as_end(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(OtherError(reason)))
        if reason.to_string().contains("CaUsedAsEndEntity"))
}

macro_rules! without_roots {
    ($name:ident, $verdict:expr) => {
        #[derive(Debug)]
        struct $name {
            provider: Arc<CryptoProvider>,
        }

        impl ServerCertVerifier for $name {
            fn verify_server_cert(
                &self,
                _end_entity: &CertificateDer<'_>,
                _intermediates: &[CertificateDer<'_>],
                _server_name: &ServerName<'_>,
                _ocsp_response: &[u8],
                _now: UnixTime,
            ) -> Result<ServerCertVerified, Error> {
                $verdict
            }

            fn verify_tls12_signature(
                &self,
                message: &[u8],
                cert: &CertificateDer<'_>,
                dss: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, Error> {
                let algorithms = &self.provider.signature_verification_algorithms;
                rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
            }

            fn verify_tls13_signature(
                &self,
                message: &[u8],
                cert: &CertificateDer<'_>,
                dss: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, Error> {
                let algorithms = &self.provider.signature_verification_algorithms;
                rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
            }

            fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
                self.provider.signature_verification_algorithms.supported_schemes()
            }
        }
    };
}

without_roots!(Anyone, Ok(ServerCertVerified::assertion()));
without_roots!(Nobody, Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)));

/// A failed handshake in Go's words, where the reason is one that users meet.
pub(super) fn handshake_text(error: &io::Error, server: &str) -> String {
    let Some(tls) = error.get_ref().and_then(|e| e.downcast_ref::<Error>()) else {
        return if error.kind() == io::ErrorKind::UnexpectedEof {
            "EOF".to_owned()
        } else {
            super::error::io_text(error)
        };
    };
    match tls {
        Error::InvalidCertificate(reason) => {
            format!("tls: failed to verify certificate: x509: {}", x509_text(reason, server))
        }
        Error::AlertReceived(alert) => format!("remote error: tls: {}", alert_text(&format!("{alert:?}"))),
        Error::InvalidMessage(_) => "http: server gave HTTP response to HTTPS client".to_owned(),
        other => format!("tls: {other}"),
    }
}

fn x509_text(reason: &CertificateError, server: &str) -> String {
    match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "certificate signed by unknown authority".to_owned()
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            "certificate has expired or is not yet valid".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().map(|p| name_of(p)).collect();
            let server = ServerName::try_from(server)
                .map_or_else(|_| server.into(), |name| name.to_str().into_owned());
            if names.is_empty() {
                format!("certificate is not valid for any names, but wanted to match {server}")
            } else {
                format!("certificate is valid for {}, not {server}", names.join(", "))
            }
        }
        other => other.to_string(),
    }
}

/// rustls shows names as `DnsName("a")`.
fn name_of(presented: &str) -> &str {
    presented.split('"').nth(1).unwrap_or(presented)
}

/// `CertificateRequired` is `certificate required` for Go.
fn alert_text(name: &str) -> String {
    let mut out = String::new();
    for (at, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push(' ');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
