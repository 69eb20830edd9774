//! Workload identity federation: a token of another issuer is exchanged for one of Google (RFC 8693, AIP-4117).

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use serde_json::{Value, json};

use super::SCOPE;
use crate::ask::{Asker, header_map};
use crate::token::{self, Token};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Lets a workload act for service accounts.
const CLOUD_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// What is exchanged where.
pub(super) struct External {
    url: String,
    audience: String,
    kind: String,
    subject: Subject,
    /// Whose token is asked for with the one of the exchange.
    account_url: Option<String>,
}

/// Where the other issuer's token is.
struct Subject {
    place: Place,
    /// The field of a JSON text that holds it; none when the text is the token.
    field: Option<String>,
}

enum Place {
    File(String),
    Url { url: String, headers: Vec<(HeaderName, String)> },
}

impl External {
    pub(super) fn new(json: &Value) -> Result<Self, String> {
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        let needed = |name: &str| text(name).ok_or_else(|| format!("the field {name} is missing"));
        Ok(Self {
            url: needed("token_url")?,
            audience: needed("audience")?,
            kind: needed("subject_token_type")?,
            subject: Subject::new(&json["credential_source"])?,
            account_url: text("service_account_impersonation_url"),
        })
    }

    pub(super) async fn token(&self, asker: &Asker) -> Result<Token, String> {
        let subject = self.subject.token(asker).await?;
        let scope = if self.account_url.is_some() { CLOUD_SCOPE } else { SCOPE };
        let form = [
            ("grant_type", EXCHANGE),
            ("audience", &self.audience),
            ("scope", scope),
            ("requested_token_type", ACCESS_TOKEN),
            ("subject_token_type", &self.kind),
            ("subject_token", &subject),
        ];
        let exchanged = asker.post_form(&self.url, &form).await?;
        let Some(url) = &self.account_url else {
            return token::read(&exchanged);
        };
        let access = exchanged["access_token"].as_str().ok_or("the answer holds no access_token")?;
        of_account(asker, url, access).await
    }
}

/// The token of a service account, for one that may act for it.
async fn of_account(asker: &Asker, url: &str, access: &str) -> Result<Token, String> {
    /// How long it is to live, s.
    const LIFE_S: u64 = 3600;
    let bearer = format!("Bearer {access}");
    let headers =
        header_map(&[(header::AUTHORIZATION, &bearer), (header::CONTENT_TYPE, "application/json")])?;
    let body = json!({"scope": [SCOPE], "lifetime": format!("{LIFE_S}s")}).to_string();
    let answer = asker.send(Method::POST, url, &headers, Bytes::from(body)).await?.json(url)?;
    token::read(&json!({"access_token": answer["accessToken"], "expires_in": LIFE_S}))
}

impl Subject {
    fn new(source: &Value) -> Result<Self, String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let place = if let Some(path) = text(&source["file"]) {
            Place::File(path)
        } else if let Some(url) = text(&source["url"]).filter(|_| source["environment_id"].is_null()) {
            Place::Url { url, headers: headers(&source["headers"])? }
        } else {
            return Err("of credential_source only file and url are supported".to_owned());
        };
        let field =
            (source["format"]["type"] == "json").then(|| text(&source["format"]["subject_token_field_name"]));
        Ok(Self { place, field: field.flatten() })
    }

    async fn token(&self, asker: &Asker) -> Result<String, String> {
        let read = match &self.place {
            Place::File(path) => tokio::fs::read(path).await.map_err(|e| format!("{path}: {e}"))?,
            Place::Url { url, headers } => {
                let headers: Vec<_> =
                    headers.iter().map(|(name, value)| (name.clone(), value.as_str())).collect();
                let answer = asker.send(Method::GET, url, &header_map(&headers)?, Bytes::new()).await?;
                if answer.status != 200 {
                    return Err(format!("{url} answered with status {}", answer.status));
                }
                answer.body
            }
        };
        let Some(field) = &self.field else {
            return Ok(String::from_utf8_lossy(&read).trim().to_owned());
        };
        let json: Value = serde_json::from_slice(&read).map_err(|e| format!("the subject token: {e}"))?;
        json[field]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("the subject token: there is no field {field}"))
    }
}

fn headers(json: &Value) -> Result<Vec<(HeaderName, String)>, String> {
    let listed = json.as_object().into_iter().flatten();
    let each = listed.map(|(name, value)| {
        let value = value.as_str().filter(|value| HeaderValue::from_str(value).is_ok())?;
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value.to_owned()))
    });
    each.collect::<Option<_>>().ok_or_else(|| "headers of credential_source are no headers".to_owned())
}
