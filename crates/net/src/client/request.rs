//! What is asked and what came back.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use hyper::body::Incoming;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::error::BodyError;
use super::http1::Http1Body;
use super::inflate::inflate;
use super::pool::Pool;
use super::{buffers::BodyBuffers, http2};

/// One request. `Host`, `Content-Length`, credentials and configured headers are added by the client.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// Where to; `http` or `https`.
    pub url: &'a Url,
    /// Headers of this request.
    pub headers: &'a HeaderMap,
    /// The body, empty for none.
    pub body: Bytes,
    /// When to give up: covers everything up to the last byte of the answer's body.
    pub deadline: Instant,
    /// Connect to this unix socket instead of the URL's host.
    pub unix_socket: Option<&'a Path>,
}

/// The head of an answer; its body is still to be read.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    pub(super) reason: String,
    pub(super) body: Body,
    pub(super) deadline: Instant,
}

#[derive(Debug)]
pub(super) enum Body {
    Http1 { body: Http1Body, home: Home },
    Http2(Incoming),
}

/// Where a connection goes after its request.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) pool: Arc<Pool>,
    pub(super) key: String,
    pub(super) generation: u64,
}

impl Response {
    /// The status as Go prints it: `404 Not Found`.
    #[must_use]
    pub fn status_line(&self) -> String {
        let known = || StatusCode::from_u16(self.status).ok().and_then(|s| s.canonical_reason());
        let reason = if self.reason.is_empty() { known().unwrap_or_default() } else { &self.reason };
        format!("{} {reason}", self.status)
    }

    /// The text of a header, `""` when absent or not text.
    #[must_use]
    pub fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// Reads the whole body as it was sent onto `out`. With a `limit` of `n`, a body of `n` bytes or more is refused (as
    /// Prometheus does); `u64::MAX` for none.
    ///
    /// # Errors
    /// See [`BodyError`]; `out` may then hold a part.
    pub async fn read_raw(self, out: &mut Vec<u8>, limit: u64) -> Result<(), BodyError> {
        let deadline = self.deadline;
        let read = async {
            match self.body {
                Body::Http1 { body, home } => {
                    if let Some(stream) = body.read_to_end(out, limit).await? {
                        home.pool.put(&home.key, home.generation, stream);
                    }
                    Ok(())
                }
                Body::Http2(body) => http2::read_to_end(body, out, limit).await,
            }
        };
        timeout_at(deadline, read).await.unwrap_or(Err(BodyError::Deadline))
    }

    /// Reads the whole body into `buffers`, inflated when it is gzip. The limit is that of the inflated bytes.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub async fn read_decoded(self, buffers: &mut BodyBuffers, limit: u64) -> Result<(), BodyError> {
        buffers.clear();
        if self.header(header::CONTENT_ENCODING) != "gzip" {
            return self.read_raw(&mut buffers.wire, limit).await;
        }
        // Bytes that do not shrink grow by less than this.
        let wire_limit = limit.saturating_add(limit / 8).saturating_add(1024);
        self.read_raw(&mut buffers.wire, wire_limit).await?;
        buffers.inflated = true;
        inflate(&buffers.wire, &mut buffers.plain, limit)
    }

    /// Reads the beginning of the body into `buffers`, inflated when it is gzip: less than `most` bytes of what was sent, and of what
    /// comes out of them. A body that is longer, ends early or comes too late leaves what there was of it, for error texts.
    pub async fn read_beginning(mut self, buffers: &mut BodyBuffers, most: u64) {
        buffers.clear();
        buffers.inflated = self.header(header::CONTENT_ENCODING) == "gzip";
        if let Body::Http1 { body, .. } = &mut self.body {
            body.cut_off(most);
        }
        // What stands there is all that is wanted, whatever happened then.
        let _ = self.read_raw(&mut buffers.wire, most).await;
        buffers.wire.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        if buffers.inflated {
            let _ = inflate(&buffers.wire, &mut buffers.plain, most);
        }
    }

    /// Throws the body away; a short one is read first, so that the connection can be used again.
    pub async fn discard(self) {
        const SHORT: u64 = 64 * 1024;
        let mut scratch = Vec::new();
        // A failure closes the connection, which is all that it means here.
        let _ = self.read_raw(&mut scratch, SHORT).await;
    }
}
