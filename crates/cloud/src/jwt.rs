//! Signed claims (RFC 7515, 7519): how the owner of a private RSA key says who he is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{self, RsaEncoding};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;

/// A private RSA key and how it signs.
pub(crate) struct Key {
    pair: KeyPair,
    algorithm: Algorithm,
}

/// The `alg` of a signature.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Algorithm {
    /// PKCS #1 v1.5 with SHA-256.
    Rs256,
    /// PSS with SHA-256.
    Ps256,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({:?})", self.algorithm)
    }
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }

    fn encoding(self) -> &'static dyn RsaEncoding {
        match self {
            Self::Rs256 => &signature::RSA_PKCS1_SHA256,
            Self::Ps256 => &signature::RSA_PSS_SHA256,
        }
    }
}

impl Key {
    /// Reads the first private key of a PEM text, PKCS #8 or PKCS #1.
    pub(crate) fn from_pem(text: &[u8], algorithm: Algorithm) -> Result<Self, String> {
        let key = PrivateKeyDer::from_pem_slice(text)
            .map_err(|_| "no PEM private key that is not encrypted".to_owned())?;
        let pair = match &key {
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err("the private key is no RSA key".to_owned()),
        };
        let pair = pair.map_err(|e| format!("the private key is no RSA key that can be used: {e}"))?;
        Ok(Self { pair, algorithm })
    }

    /// The signed claims as text. `header` gets `alg` and `typ`.
    pub(crate) fn sign(&self, mut header: Value, claims: &Value) -> Result<String, String> {
        header["alg"] = self.algorithm.name().into();
        header["typ"] = "JWT".into();
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut text = format!("{}.{}", part(&header), part(claims));
        let mut signed = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(self.algorithm.encoding(), &SystemRandom::new(), text.as_bytes(), &mut signed)
            .map_err(|_| "the private key cannot sign".to_owned())?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signed, &mut text);
        Ok(text)
    }
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use ring::signature::{
        RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
    };
    use serde_json::json;

    use super::*;
    use crate::fake::{RSA_KEY, RSA_PKCS8_KEY};

    #[track_caller]
    fn check(pem: &str, algorithm: Algorithm, verify: &'static dyn VerificationAlgorithm) {
        let key = Key::from_pem(pem.as_bytes(), algorithm).unwrap();
        let text = key.sign(json!({"kid": "k"}), &json!({"iss": "me"})).unwrap();
        let parts: Vec<&str> = text.split('.').collect();
        let json =
            |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(json(parts[0]), json!({"kid": "k", "typ": "JWT", "alg": algorithm.name()}));
        assert_eq!(json(parts[1]), json!({"iss": "me"}));
        let public = UnparsedPublicKey::new(verify, key.pair.public());
        let signed = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        public.verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &signed).unwrap();
    }

    #[test]
    fn claims_are_signed_so_that_the_public_key_verifies_them() {
        check(RSA_KEY, Algorithm::Rs256, &RSA_PKCS1_2048_8192_SHA256);
        check(RSA_PKCS8_KEY, Algorithm::Ps256, &RSA_PSS_2048_8192_SHA256);
    }

    #[test]
    fn what_is_no_rsa_key_is_refused_and_does_not_print() {
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for bad in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &other] {
            let error = Key::from_pem(bad.as_bytes(), Algorithm::Rs256).unwrap_err();
            assert!(error.contains("private key"), "{error}");
        }
    }
}
