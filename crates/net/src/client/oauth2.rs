//! OAuth 2.0 client credentials: fetches a token, keeps it until shortly before it ends.
//!
//! Facts: RFC 6749, section 4.4. As Go's client does, the secret is sent as basic authentication first and, when the server
//! refuses that, among the form's parameters; what worked is remembered.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use narthex_config::{HttpClientConfig, OAuth2};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::auth::{basic_header, sensitive};
use super::secret_source::SecretSource;
use super::{BodyBuffers, ClientError, HttpClient, Request};

/// A token is renewed this long before its end.
const EARLY: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// Gives out the header with a valid token.
pub(super) struct OAuth2Source {
    client: HttpClient,
    url: Url,
    id: String,
    secret: Option<SecretSource>,
    scopes: String,
    params: Vec<(String, String)>,
    /// Held while a token is fetched, so that one fetch serves all who wait.
    token: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    secret: String,
    ends: Option<Instant>,
}

#[derive(Clone, Copy)]
enum Style {
    Header,
    Form,
}

impl std::fmt::Debug for OAuth2Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OAuth2Source({})", self.url)
    }
}

impl OAuth2Source {
    pub(super) fn new(config: &OAuth2) -> Result<Self, ClientError> {
        if config.grant_type == "urn:ietf:params:oauth:grant-type:jwt-bearer" {
            return Err(ClientError::Unsupported("oauth2 grant_type jwt-bearer"));
        }
        let url = Url::parse(&config.token_url)
            .map_err(|e| ClientError::Header(format!("oauth2 token_url {:?}: {e}", config.token_url)))?;
        let secret = SecretSource::choose(
            &config.client_secret,
            &config.client_secret_file,
            &config.client_secret_ref,
        )
        .map_err(|e| ClientError::Secret { what: "client secret", reason: e })?;
        let http = HttpClientConfig {
            tls: config.tls.clone(),
            proxy: config.proxy.clone(),
            ..HttpClientConfig::default()
        };
        Ok(Self {
            client: HttpClient::new(&http, "oauth2")?,
            url,
            id: config.client_id.clone(),
            secret,
            scopes: config.scopes.join(" "),
            params: config.endpoint_params.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            token: Mutex::new(None),
        })
    }

    /// The `Authorization` value; fetches a token when there is none, it ends soon, or the secret's file changed.
    pub(super) async fn header(&self) -> Result<HeaderValue, String> {
        let secret = match &self.secret {
            Some(source) => {
                source.fetch().map_err(|e| format!("unable to read oauth2 client secret: {e}"))?
            }
            None => narthex_config::Secret::default(),
        };
        let mut held = self.token.lock().await;
        if let Some(token) = held.as_ref()
            && token.secret == secret.expose()
            && token.ends.is_none_or(|ends| ends > Instant::now() + EARLY)
        {
            return Ok(token.header.clone());
        }
        let token = match self.fetch(secret.expose(), Style::Header).await {
            Ok(token) => token,
            Err(_) => self.fetch(secret.expose(), Style::Form).await?,
        };
        let header = token.header.clone();
        *held = Some(token);
        Ok(header)
    }

    /// Headers and body of a token request. A function of its own because the form's writer cannot move between threads.
    fn form(&self, secret: &str, style: Style) -> Result<(HeaderMap, Bytes), String> {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.scopes.is_empty() {
            form.append_pair("scope", &self.scopes);
        }
        form.extend_pairs(&self.params);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        match style {
            Style::Header => {
                let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                headers.insert(header::AUTHORIZATION, basic_header(&encode(&self.id), &encode(secret))?);
            }
            Style::Form => {
                form.append_pair("client_id", &self.id);
                form.append_pair("client_secret", secret);
            }
        }
        Ok((headers, Bytes::from(form.finish())))
    }

    async fn fetch(&self, secret: &str, style: Style) -> Result<Token, String> {
        let (headers, body) = self.form(secret, style)?;
        let deadline = Instant::now() + TIMEOUT;
        let request = Request {
            method: Method::POST,
            url: &self.url,
            headers: &headers,
            body,
            deadline,
            unix_socket: None,
        };
        // Boxed: a client holds credentials, whose requests are made by a client.
        let response = Box::pin(self.client.send(&request)).await.map_err(|e| e.to_string())?;
        let (status, line) = (response.status, response.status_line());
        let mut buffers = BodyBuffers::default();
        response.read_decoded(&mut buffers, MAX_ANSWER_BYTES).await.map_err(|e| e.to_string())?;
        if !(200..300).contains(&status) {
            let text = String::from_utf8_lossy(buffers.bytes()).into_owned();
            return Err(format!("oauth2: cannot fetch token: {line}\nResponse: {text}"));
        }
        parse_token(buffers.bytes(), secret)
    }
}

fn parse_token(answer: &[u8], secret: &str) -> Result<Token, String> {
    let json: serde_json::Value =
        serde_json::from_slice(answer).map_err(|e| format!("oauth2: cannot parse json: {e}"))?;
    let access = json["access_token"].as_str().filter(|t| !t.is_empty());
    let access = access.ok_or("oauth2: server response missing access_token")?;
    let kind = json["token_type"].as_str().filter(|t| !t.is_empty()).unwrap_or("Bearer");
    let kind = if kind.eq_ignore_ascii_case("bearer") { "Bearer" } else { kind };
    let seconds = json["expires_in"].as_f64().or_else(|| json["expires_in"].as_str()?.parse().ok());
    let ends = seconds.filter(|s| *s > 0.0).map(|s| Instant::now() + Duration::from_secs_f64(s.min(1e9)));
    Ok(Token { header: sensitive(&format!("{kind} {access}"))?, secret: secret.to_owned(), ends })
}
