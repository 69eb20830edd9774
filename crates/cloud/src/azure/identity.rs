//! The identity that Azure gives a machine, an app or a connected server: a service of the platform hands out its tokens.
//!
//! Facts: Azure "How to use managed identities to get an access token" (virtual machines), "App Service managed identity REST
//! protocol", and "Authenticate against Azure resources with Azure Arc-enabled servers".

use std::path::Path;

use bytes::Bytes;
use http::{HeaderName, Method, header};
use url::form_urlencoded::Serializer;

use super::{Variable, resource};
use crate::ask::{Answer, Asker, header_map};
use crate::token::{self, Token};

const METADATA: HeaderName = HeaderName::from_static("metadata");
const APP_HEADER: HeaderName = HeaderName::from_static("x-identity-header");

/// An identity, and the service that knows it.
#[derive(Debug)]
pub(super) struct Identity {
    /// Of the identity; empty: the machine's own.
    client_id: String,
    service: Service,
}

#[derive(Debug)]
enum Service {
    /// Of virtual machines.
    Machine(String),
    /// Of App Service and its kin.
    App { endpoint: String, secret: String },
    /// Of servers that Azure Arc connects.
    Arc(String),
}

impl Identity {
    pub(super) fn new(client_id: &str, machine: &str, variable: Variable) -> Self {
        let service =
            match (variable("IDENTITY_ENDPOINT"), variable("IDENTITY_HEADER"), variable("IMDS_ENDPOINT")) {
                (Some(endpoint), Some(secret), _) => Service::App { endpoint, secret },
                (Some(endpoint), None, Some(_)) => Service::Arc(endpoint),
                _ => Service::Machine(format!("{machine}/metadata/identity/oauth2/token")),
            };
        Self { client_id: client_id.to_owned(), service }
    }

    /// The same at another place.
    #[cfg(test)]
    pub(super) fn at(mut self, place: String) -> Self {
        match &mut self.service {
            Service::Machine(endpoint) | Service::App { endpoint, .. } | Service::Arc(endpoint) => {
                *endpoint = place;
            }
        }
        self
    }

    pub(super) async fn token(&self, asker: &Asker, scope: &str) -> Result<Token, String> {
        let answer = match &self.service {
            Service::Machine(endpoint) => {
                asker.get(&self.url(endpoint, "2018-02-01", scope), &[(METADATA, "true")]).await
            }
            Service::App { endpoint, secret } => {
                asker.get(&self.url(endpoint, "2019-08-01", scope), &[(APP_HEADER, secret)]).await
            }
            Service::Arc(endpoint) => challenged(asker, &self.url(endpoint, "2019-11-01", scope)).await,
        };
        let mut answer = answer.map_err(|e| format!("the managed identity: {e}"))?;
        if answer["expires_in"].is_null() {
            // App Service says only when it ends, in seconds since 1970.
            let end = &answer["expires_on"];
            let end = end.as_u64().or_else(|| end.as_str()?.parse().ok());
            if let Some(end) = end {
                answer["expires_in"] = end.saturating_sub(crate::jwt::now_s()).into();
            }
        }
        token::read(&answer)
    }

    fn url(&self, endpoint: &str, version: &str, scope: &str) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("api-version", version).append_pair("resource", resource(scope));
        if !self.client_id.is_empty() {
            query.append_pair("client_id", &self.client_id);
        }
        format!("{endpoint}?{}", query.finish())
    }
}

/// The service of a connected server first names a file that only the privileged may read, and wants what stands in it.
async fn challenged(asker: &Asker, url: &str) -> Result<serde_json::Value, String> {
    let ask = async |headers: &[(HeaderName, &str)]| {
        asker.send(Method::GET, url, &header_map(headers)?, Bytes::new()).await
    };
    let first = ask(&[(METADATA, "true")]).await?;
    let secret = read_secret(challenge(&first)?).await?;
    let basic = format!("Basic {secret}");
    let bare = url.split('?').next().unwrap_or(url);
    ask(&[(METADATA, "true"), (header::AUTHORIZATION, &basic)]).await?.json(bare)
}

/// The file that an answer names.
fn challenge(answer: &Answer) -> Result<&str, String> {
    let named = answer.headers.get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
    let named =
        named.and_then(|text| text.split_once("realm=")).map(|(_, path)| path.trim().trim_matches('"'));
    named.filter(|_| answer.status == 401).ok_or_else(|| {
        format!("expected the service of Azure Arc to name a file, it answered with status {}", answer.status)
    })
}

/// Reads the file when it is where Azure's agent puts such files: whoever answers must not make us send any other.
async fn read_secret(path: &str) -> Result<String, String> {
    const FOLDER: &str = "/var/opt/azcmagent/tokens";
    const MOST_BYTES: u64 = 4096;
    let file = Path::new(path);
    let expected = file.parent() == Some(Path::new(FOLDER)) && file.extension().is_some_and(|e| e == "key");
    if !expected {
        return Err(format!("the service of Azure Arc names {path}, which is no key in {FOLDER}"));
    }
    let failed = |e: std::io::Error| format!("{path}: {e}; the user must be in the group himds");
    let length = tokio::fs::metadata(file).await.map_err(failed)?.len();
    if length > MOST_BYTES {
        return Err(format!("{path}: {length} bytes, at most {MOST_BYTES} were expected"));
    }
    tokio::fs::read_to_string(file).await.map_err(failed)
}
