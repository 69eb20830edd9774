//! What the configuration adds to each request: one kind of credentials, and extra headers.
//!
//! Always true: a header that the request already has is not replaced; a request that left its first host by redirect gets
//! no credentials and no sensitive header; values made of secrets are marked sensitive, so that they never print.

use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use narthex_config::{HttpClientConfig, Secret};

use super::ClientError;
use super::oauth2::OAuth2Source;
use super::secret_source::SecretSource;

/// Headers that must not follow a redirect to another host.
const SENSITIVE: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// Credentials and extra headers of one client.
#[derive(Debug)]
pub(super) struct Credentials {
    kind: Kind,
    headers: Vec<(HeaderName, SecretSource)>,
}

#[derive(Debug)]
enum Kind {
    None,
    /// Computed once: nothing of it is in a file.
    Fixed(HeaderValue),
    Basic {
        username: Option<SecretSource>,
        password: Option<SecretSource>,
    },
    Scheme {
        scheme: String,
        credentials: Option<SecretSource>,
    },
    OAuth2(Box<OAuth2Source>),
}

impl Credentials {
    pub(super) fn new(config: &HttpClientConfig) -> Result<Self, ClientError> {
        let kind = if let Some(basic) = &config.basic_auth {
            let username = Secret::new(basic.username.clone());
            let username = SecretSource::choose(&username, &basic.username_file, &basic.username_ref)
                .map_err(|e| ClientError::Secret { what: "username", reason: e })?;
            let password = SecretSource::choose(&basic.password, &basic.password_file, &basic.password_ref)
                .map_err(|e| ClientError::Secret { what: "password", reason: e })?;
            Kind::Basic { username, password }
        } else if let Some(auth) = &config.authorization {
            let credentials =
                SecretSource::choose(&auth.credentials, &auth.credentials_file, &auth.credentials_ref)
                    .map_err(|e| ClientError::Secret { what: "credentials", reason: e })?;
            let scheme = if auth.scheme.is_empty() { "Bearer".to_owned() } else { auth.scheme.clone() };
            Kind::Scheme { scheme, credentials }
        } else if let Some(oauth2) = &config.oauth2 {
            Kind::OAuth2(Box::new(OAuth2Source::new(oauth2)?))
        } else {
            Kind::None
        };
        Ok(Self { kind: kind.settled()?, headers: extra_headers(config)? })
    }

    /// Adds to the headers of a request what this client adds.
    pub(super) async fn apply(&self, headers: &mut HeaderMap, crossed_hosts: bool) -> Result<(), String> {
        for (name, source) in &self.headers {
            let value = source.fetch().map_err(|e| format!("unable to read headers file {name}: {e}"))?;
            headers.append(name.clone(), sensitive(value.expose())?);
        }
        if crossed_hosts {
            SENSITIVE.iter().for_each(|name| drop(headers.remove(name)));
        } else if !headers.contains_key(header::AUTHORIZATION)
            && let Some(value) = self.kind.header().await?
        {
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(())
    }
}

impl Kind {
    /// Computes the header now when it can never change.
    fn settled(self) -> Result<Self, ClientError> {
        let inline = |source: &Option<SecretSource>| !matches!(source, Some(SecretSource::File(_)));
        let fixed = match &self {
            Self::Basic { username, password } if inline(username) && inline(password) => {
                basic(username, password)
            }
            Self::Scheme { scheme, credentials } if inline(credentials) => with_scheme(scheme, credentials),
            Self::None | Self::Fixed(_) | Self::Basic { .. } | Self::Scheme { .. } | Self::OAuth2(_) => {
                return Ok(self);
            }
        };
        fixed.map(Self::Fixed).map_err(ClientError::Header)
    }

    async fn header(&self) -> Result<Option<HeaderValue>, String> {
        match self {
            Self::None => Ok(None),
            Self::Fixed(value) => Ok(Some(value.clone())),
            Self::Basic { username, password } => basic(username, password).map(Some),
            Self::Scheme { scheme, credentials } => with_scheme(scheme, credentials).map(Some),
            Self::OAuth2(source) => source.header().await.map(Some),
        }
    }
}

fn basic(username: &Option<SecretSource>, password: &Option<SecretSource>) -> Result<HeaderValue, String> {
    let username = fetch(username).map_err(|e| format!("unable to read basic auth username: {e}"))?;
    let password = fetch(password).map_err(|e| format!("unable to read basic auth password: {e}"))?;
    basic_header(username.expose(), password.expose())
}

/// The value of a `Basic` header.
pub(super) fn basic_header(username: &str, password: &str) -> Result<HeaderValue, String> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    sensitive(&format!("Basic {encoded}"))
}

fn with_scheme(scheme: &str, credentials: &Option<SecretSource>) -> Result<HeaderValue, String> {
    let credentials =
        fetch(credentials).map_err(|e| format!("unable to read authorization credentials: {e}"))?;
    sensitive(&format!("{scheme} {}", credentials.expose()))
}

fn fetch(source: &Option<SecretSource>) -> Result<Secret, String> {
    source.as_ref().map_or_else(|| Ok(Secret::default()), SecretSource::fetch)
}

pub(super) fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "a header value holds a line break or another control character".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn extra_headers(config: &HttpClientConfig) -> Result<Vec<(HeaderName, SecretSource)>, ClientError> {
    let mut headers = Vec::new();
    for (name, header) in &config.http_headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| ClientError::Header(format!("http_headers: {name:?} is no header name")))?;
        let values = header.values.iter().map(Secret::new).chain(header.secrets.iter().cloned());
        let inline = values.map(SecretSource::Inline);
        let files = header.files.iter().map(|file| SecretSource::File(file.into()));
        headers.extend(inline.chain(files).map(|source| (name.clone(), source)));
    }
    Ok(headers)
}
