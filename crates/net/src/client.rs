//! The HTTP client: built from an `HttpClientConfig`, asks, and reads bodies into buffers that the caller lends.
//!
//! Road in: [`HttpClient::new`], [`HttpClient::send`], then one of `Response`'s readers. HTTP/1.1 is spoken by `http1`, written for the scrape path; HTTP/2, which only TLS servers choose, by hyper.
//! Always true: credentials never follow a redirect to another host; a connection that failed is not used again; a request
//! that a kept connection lost before any byte of an answer is sent once more on a fresh one if repeating it is harmless.
//! Must not know: what is asked and why.

mod auth;
mod authorizer;
mod buffers;
mod chunked;
mod dial;
mod error;
mod http1;
mod http2;
mod inflate;
mod metrics;
mod oauth2;
mod pool;
mod proxy;
mod redirect;
mod request;
mod secret_source;
mod stream;
mod tls;
mod verify;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use narthex_config::HttpClientConfig;
use tokio::time::timeout_at;
use url::{Position, Url};

pub use authorizer::{Authorized, Authorizer, Unsigned};
pub use buffers::BodyBuffers;
pub use error::{BodyError, Cause, DialError, RequestError, io_text};
pub use metrics::ClientMetrics;
pub use request::{Request, Response};
pub(crate) use tls::system_roots;
pub(crate) use verify::is_authority_as_end;

use auth::Credentials;
use dial::Route;
use http2::Http2;
use metrics::DialCounters;
use pool::Pool;
use proxy::Proxies;
use redirect::Hop;
use request::{Body, Home};
use stream::Stream;
use tls::Tls;

/// Why a client cannot be built from its configuration.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A credential's source makes no sense.
    #[error("unable to use {what}: {reason}")]
    Secret {
        /// Which credential.
        what: &'static str,
        /// Prometheus' words.
        reason: &'static str,
    },
    /// A header name, value or URL cannot be used.
    #[error("{0}")]
    Header(String),
    /// TLS settings or files are wrong.
    #[error("{0}")]
    Tls(String),
    /// A setting that is read but not acted on yet.
    #[error("{0} is not supported yet")]
    Unsupported(&'static str),
}

/// A client with its connections. A clone shares them.
#[derive(Clone)]
pub struct HttpClient {
    inner: Arc<Inner>,
}

struct Inner {
    credentials: Credentials,
    tls: Tls,
    proxies: Proxies,
    pool: Arc<Pool>,
    follow_redirects: bool,
    keeps_bodies: bool,
    http2: bool,
    /// Which connection is next, when they go to a host's addresses in turn.
    turns: Option<AtomicUsize>,
    authorizer: Option<Arc<dyn Authorizer>>,
    counters: DialCounters,
}

impl Inner {
    /// Which of a host's addresses is tried first; 0 leaves that to the resolver.
    fn turn(&self) -> usize {
        self.turns.as_ref().map_or(0, |turns| turns.fetch_add(1, Ordering::Relaxed).max(1))
    }
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpClient")
    }
}

impl HttpClient {
    /// Builds a client. `name` is only for its own, unregistered counters; see [`HttpClient::with_metrics`].
    ///
    /// # Errors
    /// When a file of the configuration cannot be read or its content is wrong.
    pub fn new(config: &HttpClientConfig, name: &str) -> Result<Self, ClientError> {
        Self::with_metrics(config, name, &ClientMetrics::new(&narthex_metrics::Registry::new()))
    }

    /// Builds a client whose connections are counted under `name` (a job's name, for scrapes).
    ///
    /// # Errors
    /// When a file of the configuration cannot be read or its content is wrong.
    pub fn with_metrics(
        config: &HttpClientConfig,
        name: &str,
        metrics: &ClientMetrics,
    ) -> Result<Self, ClientError> {
        let inner = Inner {
            credentials: Credentials::new(config)?,
            tls: Tls::new(&config.tls).map_err(ClientError::Tls)?,
            proxies: Proxies::new(&config.proxy)?,
            pool: Arc::new(Pool::new()),
            follow_redirects: config.follow_redirects,
            keeps_bodies: false,
            http2: config.enable_http2,
            turns: None,
            authorizer: None,
            counters: metrics.of(name),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same, whose connections go to the addresses of a host in turn, not to the first that answers.
    ///
    /// # Errors
    /// As [`HttpClient::new`].
    pub fn new_spread(config: &HttpClientConfig, name: &str) -> Result<Self, ClientError> {
        let mut client = Self::new(config, name)?;
        let inner = Arc::get_mut(&mut client.inner).expect("nobody else has the client yet");
        // Many clients that start together do not all begin at the same address.
        let first = RandomState::new().build_hasher().finish() as usize / 2;
        inner.turns = Some(AtomicUsize::new(first));
        Ok(client)
    }

    /// The same, whose requests are authorised by what a cloud asks for. The client must not have been shared before.
    #[must_use]
    pub fn with_authorizer(mut self, authorizer: Arc<dyn Authorizer>) -> Self {
        let inner = Arc::get_mut(&mut self.inner).expect("nobody else has the client yet");
        inner.authorizer = Some(authorizer);
        self
    }

    /// The same, which gives an answer as it is that redirects a request without its body (a POST becomes a GET after 301, 302, 303):
    /// what a page says to that is no answer to the request. The client must not have been shared before.
    #[must_use]
    pub fn keeping_bodies(mut self) -> Self {
        let inner = Arc::get_mut(&mut self.inner).expect("nobody else has the client yet");
        inner.keeps_bodies = true;
        self
    }

    /// Sends a request and returns when the head of the answer is there. Any status is an `Ok`.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn send(&self, request: &Request<'_>) -> Result<Response, RequestError> {
        let sent = timeout_at(request.deadline, self.inner.follow(request)).await;
        sent.unwrap_or_else(|_| Err(Cause::Deadline)).map_err(|cause| {
            let method = request.method.as_str();
            let verb = format!("{}{}", &method[..1], method[1..].to_ascii_lowercase());
            RequestError { verb, url: shown(request.url), cause }
        })
    }

    /// Closes idle connections; those in use end after their request.
    pub fn close_idle(&self) {
        self.inner.pool.clear();
    }
}

/// A URL with its password hidden as Go's `Redacted` does.
fn shown(url: &Url) -> String {
    if url.password().is_none() {
        return url.as_str().to_owned();
    }
    let mut hidden = url.clone();
    // Cannot fail for http URLs, which have a host; if it did, the text would be shown without any user information.
    if hidden.set_password(Some("xxxxx")).is_err() {
        return url[Position::BeforeHost..].to_owned();
    }
    hidden.into()
}

impl Inner {
    async fn follow(&self, request: &Request<'_>) -> Result<Response, Cause> {
        if self.tls.refresh().map_err(Cause::Credentials)? {
            self.pool.clear();
        }
        let mut hop = Hop::first(&request.method, request.url);
        loop {
            let response = self.one(request, &hop).await?;
            if !self.follow_redirects {
                return Ok(response);
            }
            match hop.next(response.status, &response.headers)? {
                Some(next) if next.with_body || !self.keeps_bodies => {
                    response.discard().await;
                    hop = next;
                }
                _ => return Ok(response),
            }
        }
    }

    async fn one(&self, request: &Request<'_>, hop: &Hop) -> Result<Response, Cause> {
        let route = Route::new(&hop.url, request.unix_socket, &self.proxies)?;
        let mut headers = request.headers.clone();
        self.credentials.apply(&mut headers, hop.crossed_hosts).await.map_err(Cause::Credentials)?;
        if let Some(own) = dial::user_info(&hop.url)
            && !headers.contains_key(header::AUTHORIZATION)
        {
            headers.insert(header::AUTHORIZATION, own);
        }
        let body = if hop.with_body { request.body.clone() } else { Bytes::new() };
        if let Some(authorizer) = self.authorizer.as_ref().filter(|_| !hop.crossed_hosts) {
            let unsigned =
                Unsigned { method: &hop.method, url: &hop.url, body: &body, headers: &mut headers };
            authorizer.authorize(unsigned).await.map_err(Cause::Credentials)?;
        }
        let outgoing = Outgoing { hop, route, headers, body, deadline: request.deadline };
        self.exchange(outgoing).await
    }

    async fn exchange(&self, mut out: Outgoing<'_>) -> Result<Response, Cause> {
        let generation = self.pool.generation();
        if let Some(mut open) = self.pool.shared(&out.route.key) {
            return out.over_http2(&mut open).await;
        }
        if let Some(stream) = self.pool.take(&out.route.key) {
            match out.over_http1(stream, self.home(&out.route, generation)).await {
                Err(cause) if out.may_repeat(&cause) => {}
                done => return done,
            }
        }
        let stream = self.dial(&out.route).await?;
        if stream.is_http2() {
            let mut open = Http2::start(stream).await?;
            self.pool.share(&out.route.key, generation, open.clone());
            return out.over_http2(&mut open).await;
        }
        out.over_http1(stream, self.home(&out.route, generation)).await
    }

    async fn dial(&self, route: &Route) -> Result<Stream, Cause> {
        self.counters.attempted.inc();
        match dial::dial(route, self).await {
            Ok(stream) => {
                self.counters.established.inc();
                Ok(stream)
            }
            Err(error) => {
                self.counters.count_failure(&error);
                Err(error.into())
            }
        }
    }

    fn home(&self, route: &Route, generation: u64) -> Home {
        Home { pool: Arc::clone(&self.pool), key: route.key.clone(), generation }
    }
}

/// One hop, ready to be written.
struct Outgoing<'a> {
    hop: &'a Hop,
    route: Route,
    headers: HeaderMap,
    body: Bytes,
    deadline: tokio::time::Instant,
}

impl Outgoing<'_> {
    /// Whether a kept connection just turned out to be gone, and sending again cannot do a thing twice.
    fn may_repeat(&self, cause: &Cause) -> bool {
        let harmless = matches!(self.hop.method, Method::GET | Method::HEAD);
        harmless && matches!(cause, Cause::Closed | Cause::Io { .. })
    }

    async fn over_http1(&self, mut stream: Stream, home: Home) -> Result<Response, Cause> {
        let head_only = self.hop.method == Method::HEAD;
        let written = http1::write_request(&mut stream, self.head_bytes(), &self.body).await;
        written.map_err(|source| Cause::Io { action: "write", source })?;
        let (head, body) = http1::read_head(stream, head_only).await?;
        Ok(Response {
            status: head.status,
            reason: head.reason,
            headers: head.headers,
            body: Body::Http1 { body, home },
            deadline: self.deadline,
        })
    }

    async fn over_http2(&mut self, open: &mut Http2) -> Result<Response, Cause> {
        let url = &self.hop.url[..Position::AfterQuery];
        let body = std::mem::take(&mut self.body);
        let answer = open.send(&self.hop.method, url, &self.headers, body).await?;
        let (head, body) = answer.into_parts();
        Ok(Response {
            status: head.status.as_u16(),
            reason: String::new(),
            headers: head.headers,
            body: Body::Http2(body),
            deadline: self.deadline,
        })
    }

    fn head_bytes(&self) -> Vec<u8> {
        let url = &self.hop.url;
        let mut out = Vec::with_capacity(512);
        let mut push = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        let host = &url[Position::BeforeHost..Position::AfterPort];
        push(&[self.hop.method.as_str().as_bytes(), b" "]);
        if self.route.is_absolute_form() {
            // User information is left out: it travels as a header.
            push(&[url.scheme().as_bytes(), b"://", host.as_bytes()]);
        }
        push(&[url[Position::BeforePath..Position::AfterQuery].as_bytes(), b" HTTP/1.1\r\n"]);
        if !self.headers.contains_key(header::HOST) {
            push(&[b"Host: ", host.as_bytes(), b"\r\n"]);
        }
        for (name, value) in &self.headers {
            push(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
        let proxy_authorization: Option<HeaderValue> = self.route.proxy_authorization();
        if let Some(value) = proxy_authorization {
            push(&[b"proxy-authorization: ", value.as_bytes(), b"\r\n"]);
        }
        if !self.body.is_empty() || self.hop.method == Method::POST || self.hop.method == Method::PUT {
            push(&[b"content-length: ", self.body.len().to_string().as_bytes(), b"\r\n"]);
        }
        push(&[b"\r\n"]);
        out
    }
}

#[cfg(test)]
mod tests;
