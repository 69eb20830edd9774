//! A client of Entra asks for a token with a secret, a signed assertion or the token of another issuer.

use std::path::PathBuf;

use narthex_config::Secret;

use super::certificate::Certificate;
use crate::ask::Asker;
use crate::token::{self, Token};

/// The assertion is a signed token.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Who asks.
#[derive(Debug)]
pub(super) struct Client {
    /// The token endpoint of the tenant.
    url: String,
    id: String,
    proof: Proof,
}

/// How a client proves who it is.
#[derive(Debug)]
pub(super) enum Proof {
    Secret(Secret),
    /// A file with a token that the platform renews, so it is read for each request.
    Federated(PathBuf),
    Certificate(Box<Certificate>),
}

impl Client {
    pub(super) fn new(authority: &str, tenant: &str, id: &str, proof: Proof) -> Self {
        Self { url: format!("{authority}/{tenant}/oauth2/v2.0/token"), id: id.to_owned(), proof }
    }

    pub(super) async fn token(&self, asker: &Asker, scope: &str) -> Result<Token, String> {
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", &self.id), ("scope", scope)];
        let proof = self.proof().await?;
        match &self.proof {
            Proof::Secret(_) => form.push(("client_secret", &proof)),
            Proof::Federated(_) | Proof::Certificate(_) => {
                form.extend([("client_assertion_type", ASSERTION_TYPE), ("client_assertion", &proof)]);
            }
        }
        token::read(&asker.post_form(&self.url, &form).await?)
    }

    async fn proof(&self) -> Result<String, String> {
        match &self.proof {
            Proof::Secret(secret) => Ok(secret.expose().to_owned()),
            Proof::Federated(path) => {
                let text = tokio::fs::read_to_string(path).await;
                let text = text.map_err(|e| format!("the token of the workload, {}: {e}", path.display()))?;
                Ok(text.trim().to_owned())
            }
            Proof::Certificate(certificate) => certificate.assertion(&self.url, &self.id),
        }
    }
}
