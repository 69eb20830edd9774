//! One request to one endpoint, up to the checked answer.
//!
//! Always true: the timeout covers everything up to the last byte of the answer; answers are taken apart on a blocking thread.
//! COMPAT: headers and texts are those of Prometheus' client, which the user sees as a warning.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use narthex_config::RemoteReadConfig;
use narthex_net::client::{BodyBuffers, BodyError, ClientError, HttpClient, Request, RequestError, Response};
use url::Url;

use super::answer::{AnswerError, MAX_BYTES, Received};
use super::metrics::EndpointMetrics;

/// Bytes of an error answer that are kept.
const ERROR_TEXT_BYTES: u64 = 64 << 10;
const SAMPLES_TYPE: &str = "application/x-protobuf";
const CHUNKS_TYPE: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";

/// Why a client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ReadClientError {
    /// There is no URL, or it cannot be asked.
    #[error("remote_read url {url:?}: {reason}")]
    Url {
        /// What is written.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A header cannot be sent.
    #[error("remote_read header {0:?} cannot be sent")]
    Header(String),
    /// The HTTP client.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientReadError {
    #[error("error sending request: {0}")]
    Send(RequestError),
    #[error("remote server {url} returned http status {status}: {reason}")]
    Status { url: String, status: String, reason: String },
    #[error("unsupported content type: {0}")]
    ContentType(String),
    #[error("error reading response. HTTP status code: {status}: {source}")]
    Body { status: String, source: BodyError },
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error("unexpected error while reading the answer, see the log")]
    Failed,
}

/// Asks one endpoint.
pub(crate) struct Client {
    http: HttpClient,
    url: Url,
    shown_url: String,
    headers: HeaderMap,
    timeout: Duration,
    frame_limit: u64,
    metrics: EndpointMetrics,
}

impl Client {
    /// Builds the client of an endpoint.
    ///
    /// # Errors
    /// See [`ReadClientError`].
    pub(crate) fn new(config: &RemoteReadConfig, metrics: EndpointMetrics) -> Result<Self, ReadClientError> {
        let text = config.url.as_ref().map_or("", |url| url.expose());
        let url = Url::parse(text).map_err(|error| ReadClientError::Url {
            url: config.url.as_ref().map_or_else(String::new, ToString::to_string),
            reason: error.to_string(),
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SAMPLES_TYPE));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("Narthex/", env!("CARGO_PKG_VERSION"))),
        );
        headers.insert("x-prometheus-remote-read-version", HeaderValue::from_static("0.1.0"));
        for (name, value) in &config.headers {
            let pair = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
            let (name, value) = pair.ok_or_else(|| ReadClientError::Header(name.clone()))?;
            headers.insert(name, value);
        }
        Ok(Self {
            http: HttpClient::new(&config.http, "remote_storage_read_client")?,
            url,
            shown_url: config.url.as_ref().map_or_else(String::new, ToString::to_string),
            headers,
            timeout: Duration::from_millis(config.remote_timeout_ms.max(1).unsigned_abs()),
            frame_limit: config.chunked_read_limit_bytes,
            metrics,
        })
    }

    /// Sends a compressed request and takes the answer; labels named in `without` are taken off its series.
    pub(crate) async fn read(
        &self,
        request: Vec<u8>,
        without: Arc<[String]>,
    ) -> Result<Received, ClientReadError> {
        let _in_flight = InFlight::begin(&self.metrics);
        let began = Instant::now();
        let request = Request {
            method: Method::POST,
            url: &self.url,
            headers: &self.headers,
            body: Bytes::from(request),
            deadline: (began + self.timeout).into(),
            unix_socket: None,
        };
        let response = self.http.send(&request).await.map_err(ClientReadError::Send)?;
        let (code, status) = (response.status, response.status_line());
        if !(200..300).contains(&code) {
            return Err(self.refused(response, status).await);
        }
        let kind = response.header(header::CONTENT_TYPE).to_owned();
        let seconds = began.elapsed().as_secs_f64();
        let (word, chunked) = match () {
            () if kind.starts_with(SAMPLES_TYPE) => ("sampled", false),
            () if kind.starts_with(CHUNKS_TYPE) => ("chunked", true),
            () => {
                self.metrics.took("unsupported", seconds);
                self.metrics.count("unsupported", &code.to_string());
                return Err(ClientReadError::ContentType(kind));
            }
        };
        self.metrics.took(word, seconds);
        let received = self.receive(response, status, chunked, without).await;
        let counted =
            if chunked && received.is_err() { "aborted_stream".to_owned() } else { code.to_string() };
        self.metrics.count(word, &counted);
        received
    }

    async fn refused(&self, response: Response, status: String) -> ClientReadError {
        let mut body = BodyBuffers::default();
        response.read_beginning(&mut body, ERROR_TEXT_BYTES).await;
        let reason = String::from_utf8_lossy(body.bytes()).trim_matches('\n').to_owned();
        ClientReadError::Status { url: self.shown_url.clone(), status, reason }
    }

    async fn receive(
        &self,
        response: Response,
        status: String,
        chunked: bool,
        without: Arc<[String]>,
    ) -> Result<Received, ClientReadError> {
        let (mut body, frame_limit) = (Vec::new(), self.frame_limit);
        let read = response.read_raw(&mut body, MAX_BYTES as u64).await;
        read.map_err(|source| ClientReadError::Body { status, source })?;
        let take = move || match chunked {
            true => Received::from_frames(body, frame_limit, &without),
            false => Received::from_message(&body, &without),
        };
        Ok(tokio::task::spawn_blocking(take).await.map_err(|_| ClientReadError::Failed)??)
    }
}

/// Counts a request while it is under way, also one that is called off.
struct InFlight<'m>(&'m EndpointMetrics);

impl<'m> InFlight<'m> {
    fn begin(metrics: &'m EndpointMetrics) -> Self {
        metrics.in_flight.inc();
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}
