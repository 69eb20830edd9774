//! Who may connect and ask: what a web-config file says, read again without a restart.
//!
//! Road in: [`Guard::open`] at start, which refuses a file that cannot be used; the server then asks `admit` for each request and
//! `tls` for each connection. Both look at the file and read it again when it changed.
//! Always true: nothing reaches a handler while the file cannot be read or is wrong, or for the moment in which it is written; whether TLS is spoken, HTTP/2 is offered and
//! how often may be asked stays as it was at start. No password or hash is kept or shown but in the file's own values.
//! Facts: Prometheus `docs/configuration/https.md`; statuses, texts and the order of checks as its exporter-toolkit has them.

mod rate;
mod users;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, StatusCode, header};
use narthex_config::{ConfigErrors, WebConfig, WebTlsConfig};
use parking_lot::Mutex;

use super::Response;
use super::file_stamp::FileStamp;
use super::tls::ServerTls;
use rate::RateLimit;
use users::{UserTable, Users};

/// Why a web-config file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The file is not there or not of the right form; the text says the places.
    #[error(transparent)]
    File(#[from] Box<ConfigErrors>),
    /// What it asks for cannot be done.
    #[error("{reason} ({})", file.display())]
    Unusable {
        /// The web-config file.
        file: PathBuf,
        /// What is wrong, with the file that it names if one is.
        reason: String,
    },
}

impl GuardError {
    /// The reason in the words of Prometheus, without what we add.
    #[must_use]
    pub fn as_prometheus(&self) -> String {
        match self {
            Self::File(errors) => errors.as_prometheus(),
            Self::Unusable { reason, .. } => reason.clone(),
        }
    }
}

/// The guard of a server.
#[derive(Debug)]
pub struct Guard {
    path: PathBuf,
    limit: Option<RateLimit>,
    users: Users,
    tls: Option<ServerTls>,
    /// What the file said when it was last read. Held while it is read again, so that one request reads it for all that wait.
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    stamp: FileStamp,
    /// `None`: wrong now, and logged.
    rules: Option<Arc<Rules>>,
    /// Whether the last file that was right had users.
    had_users: bool,
}

/// What a file says, made ready.
#[derive(Debug)]
pub(super) struct Rules {
    file: WebConfig,
    headers: Vec<(HeaderName, HeaderValue)>,
    users: UserTable,
}

impl Rules {
    fn read(path: &Path) -> Result<Self, GuardError> {
        let file = WebConfig::load_file(path).map_err(Box::new)?;
        let users = UserTable::new(&file.users);
        let headers = file.http.headers.iter().map(|(name, value)| {
            // COMPAT: Go writes line ends in a value as blanks, and trims it.
            let value = value.replace(['\r', '\n'], " ");
            let value = HeaderValue::from_str(value.trim()).map_err(|_| name)?;
            Ok((HeaderName::from_bytes(name.as_bytes()).map_err(|_| name)?, value))
        });
        let headers = headers.collect::<Result<_, &String>>().map_err(|name| GuardError::Unusable {
            file: path.to_owned(),
            reason: format!("the value of HTTP header {name} holds what a header cannot"),
        })?;
        Ok(Self { file, headers, users })
    }

    /// The section of TLS.
    pub(super) fn tls(&self) -> &WebTlsConfig {
        &self.file.tls
    }

    /// Sets the configured headers that an answer has not set itself.
    pub(super) fn add_headers(&self, answer: &mut HeaderMap) {
        for (name, value) in &self.headers {
            answer.entry(name).or_insert_with(|| value.clone());
        }
    }
}

impl Guard {
    /// Reads a web-config file and what it names.
    ///
    /// # Errors
    /// See [`GuardError`].
    pub fn open(path: &Path) -> Result<Self, GuardError> {
        let unusable = |reason| GuardError::Unusable { file: path.to_owned(), reason };
        let stamp = FileStamp::of(path);
        let rules = Arc::new(Rules::read(path)?);
        rules.file.validate().map_err(unusable)?;
        let tls = if rules.tls().is_enabled() {
            Some(ServerTls::new(&rules, rules.file.http.http2).map_err(unusable)?)
        } else {
            None
        };
        Ok(Self {
            path: path.to_owned(),
            limit: RateLimit::new(&rules.file.rate_limit),
            users: Users::new(),
            tls,
            current: Mutex::new(Current { stamp, had_users: !rules.users.is_empty(), rules: Some(rules) }),
        })
    }

    /// Whether connections speak TLS, and if so whether HTTP/2 is offered.
    #[must_use]
    pub fn tls_offer(&self) -> Option<bool> {
        self.tls.as_ref().map(ServerTls::offers_http2)
    }

    /// The TLS side.
    pub(super) fn tls(&self) -> Option<&ServerTls> {
        self.tls.as_ref()
    }

    /// What the file says now, `None` when it is wrong. The read is of a small local file and happens only after a change.
    pub(super) fn rules(&self) -> Option<Arc<Rules>> {
        let mut current = self.current.lock();
        let stamp = FileStamp::of(&self.path);
        if stamp.is_same(&current.stamp) {
            return current.rules.clone();
        }
        let is_fresh = stamp.is_fresh();
        current.stamp = stamp;
        match Rules::read(&self.path) {
            // Writing a file begins with cutting it to nothing, and nothing is a file without users: that would let everybody in
            // for a moment. Such a file counts once it has stayed so; until then it is looked at again each time.
            Ok(read) if is_fresh && current.had_users && read.users.is_empty() => {}
            Ok(read) => {
                current.had_users = !read.users.is_empty();
                // The same content again: TLS sessions and built configurations stay.
                if current.rules.as_ref().is_none_or(|known| known.file != read.file) {
                    current.rules = Some(Arc::new(read));
                }
            }
            Err(error) => {
                tracing::error!(component = "web", err = %error, "Unable to parse configuration");
                current.rules = None;
            }
        }
        current.rules.clone()
    }

    /// Judges a request by its head: the rules for its answer, or the answer that refuses it.
    pub(super) async fn admit(&self, head: &http::request::Parts) -> Result<Arc<Rules>, Response> {
        let rules = self.rules().ok_or_else(|| refusal(StatusCode::INTERNAL_SERVER_ERROR))?;
        if !self.limit.as_ref().is_none_or(RateLimit::allows) {
            return Err(refusal(StatusCode::TOO_MANY_REQUESTS));
        }
        if self.users.know(&rules.users, head.headers.get(header::AUTHORIZATION)).await {
            return Ok(rules);
        }
        let mut response = refusal(StatusCode::UNAUTHORIZED);
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        rules.add_headers(response.headers_mut());
        Err(response)
    }
}

/// An answer that says nothing but its status, as Go's `http.Error` writes it.
fn refusal(status: StatusCode) -> Response {
    let text = format!("{}\n", status.canonical_reason().unwrap_or(""));
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
