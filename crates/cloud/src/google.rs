//! Tokens of Google Cloud with the right to write monitoring data: of a service account, of a user who logged in, of a workload
//! that another issuer knows, or of the machine.

mod external;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use narthex_config::GoogleIamConfig;
use narthex_net::client::Authorizer;
use serde_json::{Value, json};

use crate::CloudError;
use crate::ask::Asker;
use crate::jwt::{Algorithm, Key, now_s};
use crate::token::{self, Fetched, Renewal, Source, Token, Tokens};
use external::External;

const SCOPE: &str = "https://www.googleapis.com/auth/monitoring.write";
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Whose quota a request of a user counts for.
const PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
/// Tokens are renewed so long before their end, as Google's own libraries do.
const EARLY: Duration = Duration::from_secs(225);

#[derive(Debug)]
struct Google {
    asker: Asker,
    account: Account,
    project: Option<HeaderValue>,
}

/// Who asks for a token.
enum Account {
    Service {
        key: Key,
        key_id: String,
        email: String,
        url: String,
    },
    User {
        id: String,
        secret: String,
        refresh: String,
    },
    External(External),
    /// The machine's; the host of its metadata service.
    Machine(String),
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Service { email, .. } => write!(f, "Service({email})"),
            Self::User { .. } => f.write_str("User"),
            Self::External(_) => f.write_str("External"),
            Self::Machine(host) => write!(f, "Machine({host})"),
        }
    }
}

pub(crate) fn tokens(config: &GoogleIamConfig) -> Result<Arc<dyn Authorizer>, CloudError> {
    let configured =
        Some(PathBuf::from(&config.credentials_file)).filter(|path| !path.as_os_str().is_empty());
    let google = match configured.or_else(default_file) {
        Some(path) => Google::of_file(&path)?,
        None => Google::new(Account::Machine(machine_host()), None)?,
    };
    Ok(Arc::new(Tokens::new(google, Renewal::Before(EARLY))))
}

/// The file that the environment names, or else that of a user who logged in.
fn default_file() -> Option<PathBuf> {
    let named = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS").filter(|path| !path.is_empty());
    named.map(PathBuf::from).or_else(|| {
        let usual = std::env::home_dir()?.join(".config/gcloud/application_default_credentials.json");
        usual.exists().then_some(usual)
    })
}

fn machine_host() -> String {
    let named = std::env::var("GCE_METADATA_HOST").ok().filter(|host| !host.is_empty());
    named.unwrap_or_else(|| "metadata.google.internal".to_owned())
}

impl Google {
    fn new(account: Account, project: Option<HeaderValue>) -> Result<Self, CloudError> {
        Ok(Self { asker: Asker::new()?, account, project })
    }

    fn of_file(path: &Path) -> Result<Self, CloudError> {
        let shown = path.display().to_string();
        let text = std::fs::read(path).map_err(|e| CloudError::file(&shown, e))?;
        let json: Value = serde_json::from_slice(&text).map_err(|e| CloudError::file(&shown, e))?;
        let account = account(&json).map_err(|reason| CloudError::file(&shown, reason))?;
        let project = json["quota_project_id"].as_str().and_then(|name| HeaderValue::from_str(name).ok());
        Self::new(account, project)
    }

    async fn token(&self) -> Result<Token, String> {
        let asker = &self.asker;
        match &self.account {
            Account::Service { key, key_id, email, url } => {
                let now = now_s();
                let claims = json!({"iss": email, "scope": SCOPE, "aud": url, "iat": now, "exp": now + 3600});
                let signed = key.sign(json!({"kid": key_id}), &claims)?;
                let form = [("grant_type", JWT_BEARER), ("assertion", signed.as_str())];
                token::read(&asker.post_form(url, &form).await?)
            }
            Account::User { id, secret, refresh } => {
                let form = [
                    ("grant_type", "refresh_token"),
                    ("client_id", id),
                    ("client_secret", secret),
                    ("refresh_token", refresh),
                ];
                token::read(&asker.post_form(TOKEN_URL, &form).await?)
            }
            Account::External(external) => external.token(asker).await,
            Account::Machine(host) => {
                let url = format!(
                    "http://{host}/computeMetadata/v1/instance/service-accounts/default/token?scopes={SCOPE}"
                );
                let answer = asker.get(&url, &[(FLAVOR, "Google")]).await;
                token::read(
                    &answer.map_err(|e| format!("no credentials file, and the machine has none: {e}"))?,
                )
            }
        }
    }
}

impl Source for Google {
    fn fetch(&self) -> Fetched<'_> {
        Box::pin(self.token())
    }

    fn companion(&self) -> Option<(HeaderName, HeaderValue)> {
        self.project.clone().map(|project| (PROJECT, project))
    }
}

/// The account that a file describes.
fn account(json: &Value) -> Result<Account, String> {
    let text = |name: &str| {
        let found = json[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        found.ok_or_else(|| format!("the field {name} is missing"))
    };
    match text("type")?.as_str() {
        "service_account" => Ok(Account::Service {
            key: Key::from_pem(text("private_key")?.as_bytes(), Algorithm::Rs256)?,
            key_id: text("private_key_id").unwrap_or_default(),
            email: text("client_email")?,
            url: text("token_uri").unwrap_or_else(|_| TOKEN_URL.to_owned()),
        }),
        "authorized_user" => Ok(Account::User {
            id: text("client_id")?,
            secret: text("client_secret")?,
            refresh: text("refresh_token")?,
        }),
        "external_account" => External::new(json).map(Account::External),
        other => Err(format!(
            "credentials of type {other:?} are not known, expected service_account, authorized_user or external_account"
        )),
    }
}

#[cfg(test)]
mod tests;
