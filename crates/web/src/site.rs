//! The site: from a request to its endpoint, with the readiness gate, CORS, counting and the route prefix around it.
//!
//! Always true: what needs the storage answers 503 until [`Site::open`] and after [`Site::close`]; nothing that computes for
//! long runs on the network threads (what took a moment lately may: see `quick`).

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use narthex_metrics::Registry;
use narthex_net::server::{Body, BodyError, Handler, Request, Response, ResponseFuture};

use crate::answer::{envelope, error_text, no_content, redirect, text};
use crate::api::{self, Call};
use crate::caller::Caller;
use crate::cors::CorsOrigin;
use crate::encoding::Encoding;
use crate::form::{self, Bodies, escape_path, unescape_path};
use crate::metrics::WebMetrics;
use crate::quick::QuickAnswers;
use crate::routes::{self, Endpoint, Found, ROUTES, Route};
use crate::services::{ProcessService, Services};
use crate::{
    assets, consoles, debug, federate, gateway, live, openapi, page, remote_read, search, self_metrics,
};

/// Largest remote-write request, bytes; Prometheus' own.
const MAX_WRITE: usize = 32 << 20;

/// What `/version` and `/api/v1/status/buildinfo` show.
#[derive(Clone, Debug, Default)]
pub struct BuildInfo {
    /// `3.14.0`
    pub version: String,
    /// The commit.
    pub revision: String,
    /// The branch.
    pub branch: String,
    /// Who built it.
    pub user: String,
    /// When.
    pub date: String,
    /// The compiler; under the name that clients know, `goVersion`.
    pub compiler: String,
}

/// The fixed settings of a site.
#[derive(Clone, Debug)]
pub struct SiteOptions {
    /// `/`, or `/prefix` without a slash at its end.
    pub route_prefix: String,
    /// Under which users reach the server, for links.
    pub external_url: String,
    /// Host and port of the external URL.
    pub external_host: String,
    /// `http` or `https` of the external URL.
    pub external_scheme: String,
    /// The path of the external URL without a slash at its end, `""` for none.
    pub external_path: String,
    /// The port of the first listen address, for recognizing ourselves among the targets.
    pub own_port: u16,
    /// Who may call from other pages.
    pub cors: CorsOrigin,
    /// Name and value of each flag, in order of name.
    pub flags: Vec<(String, String)>,
    /// What runs.
    pub build: BuildInfo,
    /// Whether `/-/reload` and `/-/quit` work.
    pub lifecycle: bool,
    /// Whether `/api/v1/admin/*` works.
    pub admin: bool,
    /// Whether `/api/v1/search/*` works.
    pub search: bool,
    /// Most results of a search; 0 for any number.
    pub search_max_limit: usize,
    /// The page's title.
    pub page_title: String,
    /// The directory of `/user/`; empty: there is no such path.
    pub user_assets: String,
    /// Where the pages under `/consoles/` lie.
    pub console_templates: String,
    /// Where their libraries lie.
    pub console_libraries: String,
}

impl SiteOptions {
    /// Where users find the page for queries.
    fn query_page(&self) -> String {
        let page = format!("{}/query", self.external_path);
        match routes::cleaned(page.as_bytes()) {
            Some(clean) => String::from_utf8_lossy(&clean).into_owned(),
            None => page,
        }
    }

    /// Whether an endpoint is there at all.
    fn has(&self, endpoint: Endpoint) -> bool {
        endpoint != Endpoint::UserAssets || !self.user_assets.is_empty()
    }
}

/// Nothing but the process itself can be asked.
const STARTING: u8 = 0;
/// Blocks can be queried; the log is being replayed.
const REPLAYING: u8 = 1;
const READY: u8 = 2;
const STOPPING: u8 = 3;

/// The site. Cheap to clone.
#[derive(Clone)]
pub struct Site {
    pub(crate) shared: Arc<Shared>,
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) options: SiteOptions,
    pub(crate) registry: Registry,
    pub(crate) metrics: WebMetrics,
    pub(crate) process: Arc<dyn ProcessService>,
    pub(crate) quick: QuickAnswers,
    services: OnceLock<Services>,
    /// One of the four above; written by `answer_from_blocks`, `open` and `close` only.
    state: AtomicU8,
}

impl Site {
    /// A site that is not ready yet.
    #[must_use]
    pub fn new(options: SiteOptions, registry: Registry, process: Arc<dyn ProcessService>) -> Self {
        let routes = ROUTES.iter().filter(|route| options.has(route.endpoint));
        let metrics = WebMetrics::new(&registry, routes.map(|route| route.pattern));
        // Half of the network threads, so that there is one for everything else.
        let threads = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
        let shared = Shared {
            options,
            registry,
            metrics,
            process,
            quick: QuickAnswers::new(threads),
            services: OnceLock::new(),
            state: AtomicU8::new(STARTING),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Answers queries from now on, from blocks only: each answer has a warning. The site is not ready yet. Only the first
    /// call counts.
    pub fn answer_from_blocks(&self, services: Services) {
        if self.shared.services.set(services).is_ok() {
            self.step(STARTING, REPLAYING);
        }
    }

    /// Makes the site ready; [`Self::answer_from_blocks`] must have been called.
    pub fn open(&self) {
        if self.step(REPLAYING, READY) {
            self.shared.metrics.ready.set(1.0);
        }
    }

    /// From one state to another; a site that is stopping stays so.
    fn step(&self, from: u8, to: u8) -> bool {
        self.shared.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Answers 503 from now on where the storage is needed.
    pub fn close(&self) {
        self.shared.state.store(STOPPING, Ordering::Release);
        self.shared.metrics.ready.set(0.0);
    }
}

impl Handler for Site {
    fn handle(&self, request: Request) -> ResponseFuture {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.answer(request).await })
    }
}

impl Shared {
    /// The services, once they are there and as long as the site does not stop.
    pub(crate) fn services(&self) -> Option<&Services> {
        match self.state.load(Ordering::Acquire) {
            REPLAYING | READY => self.services.get(),
            _ => None,
        }
    }

    /// Whether answers come from blocks only.
    pub(crate) fn is_replaying(&self) -> bool {
        self.state.load(Ordering::Acquire) == REPLAYING
    }

    /// Whether the server is about to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.state.load(Ordering::Acquire) == STOPPING
    }

    /// `/-/ready`: 503 also while the storage refuses samples, with the reason.
    fn ready(&self) -> Response {
        if let Some(unavailable) = self.unless_ready() {
            return unavailable;
        }
        match self.services().and_then(|s| s.tsdb.refuses_samples()) {
            Some(reason) => error_text(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("Service Unavailable: no samples are taken: {reason}"),
            ),
            None => text(StatusCode::OK, "Prometheus Server is Ready.\n"),
        }
    }

    async fn answer(self: Arc<Self>, request: Request) -> Response {
        let is_head = request.head.method == Method::HEAD;
        let mut response = self.route(request).await;
        if is_head {
            *response.body_mut() = Body::Empty;
            if response.status().is_success() {
                // COMPAT: without a body Go guesses no type.
                response.headers_mut().remove(header::CONTENT_TYPE);
            }
        }
        response
    }

    async fn route(self: Arc<Self>, request: Request) -> Response {
        let method = request.head.method.clone();
        let Some(path) = unescape_path(request.head.uri.path()) else { return malformed() };
        if path == b"*" {
            return malformed();
        }
        let query = request.head.uri.query().map_or_else(String::new, |q| format!("?{q}"));
        let lead = |status, to: &[u8]| redirect(status, &method, &format!("{}{query}", escape_path(to)));
        // COMPAT: what is odd only without escapes is not cleaned here.
        if let Some(mut clean) = routes::cleaned(request.head.uri.path().as_bytes()) {
            if self.below_prefix(&clean) == Some(routes::API.trim_end_matches('/').as_bytes()) {
                clean.push(b'/');
            }
            let to = format!("{}{query}", String::from_utf8_lossy(&clean));
            return redirect(StatusCode::TEMPORARY_REDIRECT, &method, &to);
        }
        let Some(below) = self.below_prefix(&path) else {
            if path == b"/" {
                return redirect(StatusCode::FOUND, &method, &self.options.route_prefix);
            }
            return error_text(StatusCode::NOT_FOUND, "404 page not found");
        };
        if below.is_empty() {
            return match method {
                Method::GET => lead(StatusCode::MOVED_PERMANENTLY, &[&path, &b"/"[..]].concat()),
                _ => error_text(StatusCode::NOT_FOUND, "404 page not found"),
            };
        }
        let is_user = below == b"/user" || below.starts_with(b"/user/");
        if is_user && !self.options.has(Endpoint::UserAssets) {
            return error_text(StatusCode::NOT_FOUND, "404 page not found");
        }
        match routes::find(&method, below) {
            Found::Route(route, name) => self.counted(route, name, request).await,
            Found::Redirect(status, to) => {
                let prefix = self.options.route_prefix.trim_end_matches('/');
                lead(status, &[prefix.as_bytes(), &to].concat())
            }
            Found::OtherMethods(route) => {
                let mut response = error_text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
                response.headers_mut().insert(header::ALLOW, allow(route));
                response
            }
            Found::Options(route) => {
                let mut response = Response::new(Body::Empty);
                response.headers_mut().insert(header::ALLOW, allow(route));
                response
            }
            Found::ApiOptions => {
                let mut response = self.unless_ready().unwrap_or_else(no_content);
                self.options.cors.set(&request.head.headers, response.headers_mut());
                response
            }
            Found::Nothing => error_text(StatusCode::NOT_FOUND, "404 page not found"),
        }
    }

    /// The path below the route prefix, which begins with a slash or is empty.
    fn below_prefix<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        match self.options.route_prefix.as_str() {
            "/" => Some(path),
            prefix => path
                .strip_prefix(prefix.as_bytes())
                .filter(|below| below.is_empty() || below.starts_with(b"/")),
        }
    }

    async fn counted(self: Arc<Self>, route: &'static Route, name: Vec<u8>, request: Request) -> Response {
        let started = Instant::now();
        let mut response = Arc::clone(&self).dispatch(route.endpoint, name, request).await;
        let (pattern, code) = (route.pattern, response.status().as_u16());
        if let Body::Made(made) = response.body_mut() {
            made.when_done(move |bytes| self.metrics.count(pattern, code, started.elapsed(), bytes));
        } else {
            let bytes = response.body().len().unwrap_or(0);
            self.metrics.count(pattern, code, started.elapsed(), bytes);
        }
        response
    }

    /// 503 in the words of Prometheus, or `None` when ready.
    pub(crate) fn unless_ready(&self) -> Option<Response> {
        let stopping = match self.state.load(Ordering::Acquire) {
            READY => return None,
            state => state == STOPPING,
        };
        let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
        let value = HeaderValue::from_static(if stopping { "true" } else { "false" });
        response.headers_mut().insert("x-prometheus-stopping", value);
        Some(response)
    }

    async fn dispatch(self: Arc<Self>, endpoint: Endpoint, name: Vec<u8>, request: Request) -> Response {
        match endpoint {
            Endpoint::Home => redirect(StatusCode::FOUND, &request.head.method, &self.options.query_page()),
            Endpoint::Page => page::answer(&self),
            Endpoint::Graph => {
                let query = request.head.uri.query().unwrap_or("");
                let to = format!("{}?{query}", self.options.query_page());
                redirect(StatusCode::FOUND, &request.head.method, &to)
            }
            Endpoint::Version => text(StatusCode::OK, api::status::version(&self.options.build)),
            Endpoint::Metrics => self_metrics::answer(&self, &request.head.headers),
            Endpoint::Federate => federate::answer(&self, request).await,
            Endpoint::Consoles => consoles::answer(&self, &name, request).await,
            Endpoint::UserAssets => assets::answer(&self, &name, request).await,
            Endpoint::Debug => debug::answer(&self, &name, request).await,
            Endpoint::Healthy => text(StatusCode::OK, "Prometheus Server is Healthy.\n"),
            Endpoint::Ready => self.ready(),
            Endpoint::Reload | Endpoint::Quit => self.lifecycle(endpoint, &request.head.method).await,
            Endpoint::LiveNotifications => {
                let mut response = live::answer(&self);
                self.options.cors.set(&request.head.headers, response.headers_mut());
                response
            }
            Endpoint::OpenApi => self.unless_ready().unwrap_or_else(|| openapi::answer(&self, &request)),
            Endpoint::OtlpWrite => self.unless_ready().unwrap_or_else(|| {
                let reason = "otlp write receiver needs to be enabled with --web.enable-otlp-receiver";
                error_text(StatusCode::NOT_FOUND, reason)
            }),
            Endpoint::SearchMetricNames | Endpoint::SearchLabelNames | Endpoint::SearchLabelValues => {
                search::answer(&self, endpoint, request).await
            }
            Endpoint::GatewayDeleteSeries | Endpoint::GatewayCleanTombstones | Endpoint::GatewaySnapshot => {
                gateway::answer(&self, endpoint, request).await
            }
            Endpoint::Write => self.write(request).await,
            Endpoint::Read => remote_read::answer(&self, request).await,
            _ => self.api(endpoint, name, request).await,
        }
    }

    async fn lifecycle(&self, endpoint: Endpoint, method: &Method) -> Response {
        if *method == Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed");
        }
        if !self.options.lifecycle {
            return text(StatusCode::FORBIDDEN, "Lifecycle API is not enabled.");
        }
        if endpoint == Endpoint::Quit {
            let first = self.process.quit();
            let words =
                if first { "Requesting termination... Goodbye!" } else { "Termination already in progress." };
            return text(StatusCode::OK, words);
        }
        match self.process.reload().await {
            Ok(()) => Response::new(Body::Empty),
            Err(reason) => {
                error_text(StatusCode::INTERNAL_SERVER_ERROR, &format!("failed to reload config: {reason}"))
            }
        }
    }

    async fn write(self: Arc<Self>, request: Request) -> Response {
        if let Some(unavailable) = self.unless_ready() {
            return unavailable;
        }
        let Some(receiver) = self.services().and_then(|s| s.receiver.clone()) else {
            let reason = "remote write receiver needs to be enabled with --web.enable-remote-write-receiver";
            return error_text(StatusCode::NOT_FOUND, reason);
        };
        let body = match request.body.read(MAX_WRITE).await {
            Ok(body) => body,
            Err(BodyError::TooLarge { limit }) => {
                let reason = format!("request body exceeds the {limit} bytes limit");
                return error_text(StatusCode::PAYLOAD_TOO_LARGE, &reason);
            }
            Err(error) => return error_text(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let headers = request.head.headers;
        let Ok(answer) = tokio::task::spawn_blocking(move || receiver.write(&headers, &body)).await else {
            return error_text(StatusCode::INTERNAL_SERVER_ERROR, "the receiver failed on this request");
        };
        let mut response = if answer.text.is_empty() {
            Response::new(Body::Empty)
        } else {
            error_text(answer.status, answer.text.trim_end())
        };
        *response.status_mut() = answer.status;
        for (name, value) in answer.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    async fn api(self: Arc<Self>, endpoint: Endpoint, name: Vec<u8>, request: Request) -> Response {
        let before_ready = matches!(endpoint, Endpoint::StatusWalReplay | Endpoint::Notifications);
        let headers = request.head.headers.clone();
        let caller = Caller::of(&request);
        let early = before_ready || (self.is_replaying() && endpoint.while_replaying());
        let mut response = match self.unless_ready() {
            Some(unavailable) if !early => return unavailable,
            _ => {
                let encoding = if before_ready { Encoding::Identity } else { Encoding::accepted(&headers) };
                match form::read(request, bodies(endpoint)).await {
                    Ok(form) => api::run(&self, endpoint, Call { form, name, encoding, caller }).await,
                    Err(error) => envelope(encoding, |_| Err(error)),
                }
            }
        };
        self.options.cors.set(&headers, response.headers_mut());
        response
    }
}

/// COMPAT: these read the form as a whole first, and so no parts.
fn bodies(endpoint: Endpoint) -> Bodies {
    match endpoint {
        Endpoint::Series | Endpoint::Rules | Endpoint::DeleteSeries => Bodies::Forms,
        _ => Bodies::FormsAndParts,
    }
}

/// What Go answers to a target that it cannot read.
fn malformed() -> Response {
    let mut response = text(StatusCode::BAD_REQUEST, "400 Bad Request");
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn allow(route: &Route) -> HeaderValue {
    let mut methods: Vec<&str> = route.methods.iter().map(Method::as_str).chain(["OPTIONS"]).collect();
    methods.sort_unstable();
    HeaderValue::from_str(&methods.join(", ")).expect("method names are header text")
}
