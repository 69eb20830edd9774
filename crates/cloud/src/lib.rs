//! Credentials of clouds: what makes a request to AWS, Azure or Google Cloud one that they accept.
//!
//! Each function takes a section of the configuration and gives an [`Authorizer`] for a client of `narthex-net`: AWS signs every
//! request, Azure and Google give out tokens, which are kept and renewed before they end.
//!
//! Always true: nothing is fetched before the first request, so that a cloud that does not answer delays no start; a failure to
//! get credentials is an error of the request, which its sender repeats; a token that is still valid is used on while a new one
//! cannot be had; no secret and no answer that holds one is part of an error or of `Debug`.
//!
//! It does not know what is sent. Facts: AWS "Signature Version 4", Microsoft identity platform "OAuth 2.0 client credentials
//! flow" and "managed identities", Google "Using OAuth 2.0 for Server to Server Applications" and AIP-4110.

mod ask;
mod aws;
mod azure;
mod google;
mod jwt;
mod token;

#[cfg(test)]
mod fake;

use std::sync::Arc;

use narthex_config::{AzureAdConfig, GoogleIamConfig, SigV4Config};
use narthex_net::client::{Authorizer, ClientError};

/// Why credentials of a cloud cannot be had with what is configured.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// AWS, without a region.
    #[error("region not configured in sigv4 or in default credentials chain")]
    Region,
    /// A file that must be there is not, or holds something else.
    #[error("{path}: {reason}")]
    File {
        /// Which file.
        path: String,
        /// What is wrong with it, or how it should look.
        reason: String,
    },
    /// There are no credentials to be found.
    #[error("{0}")]
    Missing(String),
    /// The client that asks for tokens.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl CloudError {
    fn file(path: &str, reason: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// Signs requests to Amazon Managed Service for Prometheus (service `aps`).
///
/// # Errors
/// When no region is configured, in the environment or in the profile.
pub fn sigv4(config: &SigV4Config) -> Result<Arc<dyn Authorizer>, CloudError> {
    aws::signer(config)
}

/// Tokens of Microsoft Entra for Azure Monitor.
///
/// # Errors
/// When a certificate cannot be used.
pub fn azuread(config: &AzureAdConfig) -> Result<Arc<dyn Authorizer>, CloudError> {
    azure::tokens(config)
}

/// Tokens of Google Cloud with the right to write monitoring data.
///
/// # Errors
/// When the file with credentials cannot be used, or there are none on this machine.
pub fn google_iam(config: &GoogleIamConfig) -> Result<Arc<dyn Authorizer>, CloudError> {
    google::tokens(config)
}
