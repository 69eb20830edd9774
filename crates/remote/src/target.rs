//! One request to an endpoint, and what its answer means.
//!
//! A refusal concerns the samples and is for good (400, 413, 422 and the like). Everything that a fix of the network, the endpoint or
//! the configuration would change is a reason to wait: no answer, 5xx, 429, and also 401, 403, 404, 407, which refuse
//! the sender and not the samples.
//! A redirect that turns the request into a GET (301, 302, 303) is such a reason, too: a page for people would answer 200.
//! COMPAT: Prometheus drops samples after every 4xx (429 only when `retry_on_http_429` says so), and takes a 200 of such a page for
//! a delivery; we keep them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use narthex_cloud::CloudError;
use narthex_config::{RemoteWriteConfig, WriteMessage};
use narthex_net::client::{Authorizer, BodyBuffers, Cause, ClientError, HttpClient, Request};
use tokio::time::Instant;
use url::{Position, Url};

use crate::dialect::{Written, written};

/// Bytes of an error answer that are kept.
const ERROR_TEXT_BYTES: usize = 1024;
/// Bytes of a status line that are kept, and of a place to which an answer points.
const LINE_BYTES: usize = 256;

/// Content type and version of requests in 1.0.
const V1_HEADERS: (&str, &str) = ("application/x-protobuf", "0.1.0");
/// The same in 2.0.
const V2_HEADERS: (&str, &str) = ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0");
/// What says how many samples, exemplars and histograms were written.
const WRITTEN_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-prometheus-remote-write-samples-written"),
    HeaderName::from_static("x-prometheus-remote-write-exemplars-written"),
    HeaderName::from_static("x-prometheus-remote-write-histograms-written"),
];

/// Why an endpoint cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// There is no URL, or it cannot be asked.
    #[error("remote_write url {url:?}: {reason}")]
    Url {
        /// What is written.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A header cannot be sent.
    #[error("remote_write header {0:?} cannot be sent")]
    Header(String),
    /// The HTTP client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The credentials of a cloud.
    #[error("remote_write credentials: {0}")]
    Cloud(#[from] CloudError),
}

/// Where requests go.
pub(crate) struct Target {
    client: HttpClient,
    url: Url,
    /// Of requests in 1.0 and in 2.0.
    headers: [HeaderMap; 2],
    timeout: Duration,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The endpoint has the samples, and says how many of them it wrote.
    Accepted(Written),
    /// These samples will never be taken.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What the endpoint said.
        text: String,
        /// How many of them it wrote all the same.
        written: Written,
    },
    /// A later try may work.
    Later {
        /// How long the endpoint asked to wait.
        wait: Option<Duration>,
        /// What went wrong.
        error: String,
        /// Whether the endpoint may have the samples all the same.
        in_doubt: bool,
    },
}

impl Target {
    /// Builds the client of an endpoint.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub(crate) fn new(config: &RemoteWriteConfig) -> Result<Self, TargetError> {
        let text = config.url.as_ref().map_or("", |url| url.expose());
        let url = Url::parse(text)
            .map_err(|error| TargetError::Url { url: text.to_owned(), reason: error.to_string() })?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("Narthex/", env!("CARGO_PKG_VERSION"))),
        );
        let own = |(name, value): (&String, &String)| {
            let pair = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
            pair.ok_or_else(|| TargetError::Header(name.clone()))
        };
        let own = config.headers.iter().map(own).collect::<Result<Vec<_>, _>>()?;
        let headers = [V1_HEADERS, V2_HEADERS].map(|(content_type, version)| {
            let mut headers = headers.clone();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            headers.insert("x-prometheus-remote-write-version", HeaderValue::from_static(version));
            headers.extend(own.iter().cloned());
            headers
        });
        let timeout = Duration::from_millis(config.remote_timeout_ms.max(1).unsigned_abs());
        let new = if config.round_robin_dns { HttpClient::new_spread } else { HttpClient::new };
        let mut client = new(&config.http, "remote_storage_write_client")?.keeping_bodies();
        if let Some(authorizer) = authorizer(config)? {
            client = client.with_authorizer(authorizer);
        }
        Ok(Self { client, url, headers, timeout })
    }

    /// Sends one compressed request. `attempt` counts from 0.
    pub(crate) async fn post(&self, message: WriteMessage, body: Bytes, attempt: u32) -> Verdict {
        let mut headers = self.headers[usize::from(message == WriteMessage::V2)].clone();
        if attempt > 0 {
            headers.insert("retry-attempt", HeaderValue::from(attempt));
        }
        let deadline = Instant::now() + self.timeout;
        let request = Request {
            method: Method::POST,
            url: &self.url,
            headers: &headers,
            body,
            deadline,
            unix_socket: None,
        };
        let response = match self.client.send(&request).await {
            Ok(response) => response,
            Err(error) => {
                // Without a connection or credentials nothing left this machine.
                let in_doubt = !matches!(error.cause, Cause::Dial(_) | Cause::Credentials(_));
                let error = beginning(&error.to_string(), ERROR_TEXT_BYTES).to_owned();
                return Verdict::Later { wait: None, error, in_doubt };
            }
        };
        let status = response.status;
        let written = written(WRITTEN_HEADERS.map(|name| response.header(name)));
        if status / 100 == 2 {
            response.discard().await;
            return Verdict::Accepted(written);
        }
        let wait = retry_after(response.header(header::RETRY_AFTER));
        let line = response.status_line();
        if let Some(to) = loses_body(status, response.header(header::LOCATION), &self.url) {
            let text = format!("a redirect to {to}, on which the samples would be lost");
            return judge(status, &line, wait, written, text.as_bytes());
        }
        let mut buffers = BodyBuffers::default();
        response.read_beginning(&mut buffers, 64 * 1024).await;
        judge(status, &line, wait, written, buffers.bytes())
    }
}

/// Where an answer points that redirects without the body, without what may be secret of it.
fn loses_body(status: u16, location: &str, from: &Url) -> Option<String> {
    if !(301..=303).contains(&status) || location.is_empty() {
        return None;
    }
    let text = from.join(location).map_or("somewhere".to_owned(), |to| {
        let path = &to[Position::BeforeHost..Position::AfterPath];
        format!("{}://{path}", to.scheme())
    });
    Some(beginning(&text, LINE_BYTES).to_owned())
}

/// At most so many bytes of a text.
fn beginning(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// What a cloud wants on each request. The configuration names at most one.
fn authorizer(config: &RemoteWriteConfig) -> Result<Option<Arc<dyn Authorizer>>, CloudError> {
    let aws = config.sigv4.as_ref().map(narthex_cloud::sigv4);
    let azure = || config.azuread.as_ref().map(narthex_cloud::azuread);
    let google = || config.google_iam.as_ref().map(narthex_cloud::google_iam);
    aws.or_else(azure).or_else(google).transpose()
}

fn judge(status: u16, line: &str, wait: Option<Duration>, written: Written, body: &[u8]) -> Verdict {
    let body = String::from_utf8_lossy(&body[..body.len().min(ERROR_TEXT_BYTES)]);
    let text = format!("server returned HTTP status {}: {}", beginning(line, LINE_BYTES), body.trim());
    let concerns_sender =
        matches!(status, 401 | 402 | 403 | 404 | 405 | 407 | 408 | 421 | 423 | 425 | 426 | 429 | 451);
    match status {
        400..500 if !concerns_sender => Verdict::Refused { status, text, written },
        // Something between may have had no answer.
        _ => Verdict::Later { wait, error: text, in_doubt: matches!(status, 408 | 500 | 502 | 504) },
    }
}

/// The header as seconds or as an HTTP date; `None` when absent, not in the future or neither.
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds)).filter(|wait| !wait.is_zero());
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Duration::try_from(at.duration_since(jiff::Timestamp::now())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_judgement(status: u16, refused: bool) {
        let verdict = judge(status, "4xx Text", None, None, b"out of order sample\n");
        assert_eq!(matches!(verdict, Verdict::Refused { .. }), refused, "{status}");
        let text = match verdict {
            Verdict::Refused { text, .. } | Verdict::Later { error: text, .. } => text,
            Verdict::Accepted(_) => panic!("{status} is no success"),
        };
        assert_eq!(text, "server returned HTTP status 4xx Text: out of order sample");
    }

    #[test]
    fn only_answers_about_the_samples_are_final() {
        for status in [400, 409, 413, 415, 422] {
            check_judgement(status, true);
        }
        for status in [300, 401, 403, 404, 407, 408, 425, 429, 500, 501, 502, 503, 504] {
            check_judgement(status, false);
        }
    }

    #[test]
    fn retry_after_reads_seconds_and_dates() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("0"), None);
        assert_eq!(retry_after(""), None);
        assert_eq!(retry_after("soon"), None);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), None);
        let far = retry_after("Thu, 06 Nov 2092 08:49:37 GMT").unwrap();
        assert!(far > Duration::from_secs(86_400 * 365));
    }
}
