//! What is asked of clients: a certificate or none, verified or not, with one of some names.
//!
//! Always true: whoever shows a certificate has its key, also where the certificate itself is not verified.
//! COMPAT: a client certificate that stands in `client_ca` itself is accepted though it says that it is an authority, as Go does
//! (`openssl req -x509` marks certificates so); its time of validity counts.

use std::sync::Arc;

use narthex_config::WebTlsConfig;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};

use super::names::alternative_names;
use crate::client::{is_authority_as_end, system_roots};

/// The verifier that a section asks for; `None` when clients are not asked for certificates.
pub(super) fn verifier(
    tls: &WebTlsConfig,
    authorities: Option<&[u8]>,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let (mandatory, verified) = match tls.client_auth_type.as_str() {
        "" | "NoClientCert" => return Ok(None),
        "RequestClientCert" => (false, false),
        "RequireAnyClientCert" | "RequireClientCert" => (true, false),
        "VerifyClientCertIfGiven" => (false, true),
        "RequireAndVerifyClientCert" => (true, true),
        other => return Err(format!("invalid ClientAuth: {other}")),
    };
    let algorithms = provider.signature_verification_algorithms;
    let judge = if verified { judge(authorities, provider)? } else { Judge::Anyone };
    Ok(Some(Arc::new(Asked {
        // COMPAT: names can only be looked for in a certificate that is there.
        mandatory: mandatory || tls.client_allowed_sans.is_some(),
        judge,
        allowed_names: tls.client_allowed_sans.clone(),
        algorithms,
    })))
}

/// By authorities of the file, or else by those of the system, as in Go.
fn judge(authorities: Option<&[u8]>, provider: Arc<CryptoProvider>) -> Result<Judge, String> {
    let (roots, pinned) = match authorities {
        None => (system_roots(), Vec::new()),
        Some(text) => {
            let own: Vec<_> = CertificateDer::pem_slice_iter(text).filter_map(Result::ok).collect();
            let mut roots = RootCertStore::empty();
            if roots.add_parsable_certificates(own.iter().cloned()).0 == 0 {
                return Err("client_ca holds no certificate".to_owned());
            }
            (Arc::new(roots), own)
        }
    };
    if roots.is_empty() {
        return Ok(Judge::Nobody);
    }
    let webpki = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
    Ok(Judge::Chains { webpki: webpki.map_err(|e| format!("client_ca: {e}"))?, pinned })
}

/// How certificates are judged.
#[derive(Debug)]
enum Judge {
    Anyone,
    Nobody,
    Chains { webpki: Arc<dyn ClientCertVerifier>, pinned: Vec<CertificateDer<'static>> },
}

#[derive(Debug)]
struct Asked {
    mandatory: bool,
    judge: Judge,
    /// Of which the certificate must have one, if given.
    allowed_names: Option<Vec<String>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Asked {
    fn check_names(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let Some(allowed) = &self.allowed_names else { return Ok(()) };
        let found =
            alternative_names(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if found.iter().any(|name| allowed.contains(name)) {
            return Ok(());
        }
        Err(Error::General(format!(
            "could not find allowed SANs in client cert, found: [{}]",
            found.join(" ")
        )))
    }
}

impl ClientCertVerifier for Asked {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        match &self.judge {
            Judge::Chains { webpki, .. } => webpki.root_hint_subjects(),
            Judge::Anyone | Judge::Nobody => &[],
        }
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        ParsedCertificate::try_from(end_entity)?;
        match &self.judge {
            Judge::Anyone => {}
            Judge::Nobody => return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
            Judge::Chains { webpki, pinned } => {
                let judged = webpki.verify_client_cert(end_entity, intermediates, now);
                if let Err(error) = judged
                    && !(is_authority_as_end(&error) && pinned.contains(end_entity))
                {
                    return Err(error);
                }
            }
        }
        self.check_names(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
