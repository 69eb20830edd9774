//! HTTP/2 to servers that chose it in the TLS handshake; hyper does the work.
//!
//! Always true: one connection a destination serves all requests to it; its task ends with the connection.

use bytes::Bytes;
use http::{Method, Request as HttpRequest, Response as HttpResponse, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::error::{BodyError, Cause};
use super::stream::Stream;

/// Go pings an idle connection after a minute without a frame.
const PING_AFTER: std::time::Duration = std::time::Duration::from_secs(60);

/// A handle to an open connection.
#[derive(Clone, Debug)]
pub(super) struct Http2 {
    sender: SendRequest<Full<Bytes>>,
}

impl Http2 {
    /// Starts HTTP/2 on a fresh stream.
    pub(super) async fn start(stream: Stream) -> Result<Self, Cause> {
        let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(PING_AFTER);
        let started = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = started.map_err(|e| Cause::Http2(e.to_string()))?;
        tokio::spawn(async move {
            // The requests in flight see the error too; nobody else wants it.
            let _ = connection.await;
        });
        Ok(Self { sender })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends one request; the answer's head has come when this returns.
    pub(super) async fn send(
        &mut self,
        method: &Method,
        url: &str,
        headers: &http::HeaderMap,
        body: Bytes,
    ) -> Result<HttpResponse<Incoming>, Cause> {
        self.sender.ready().await.map_err(|e| Cause::Http2(e.to_string()))?;
        let mut request = HttpRequest::builder().method(method).uri(url).version(Version::HTTP_2);
        if let Some(map) = request.headers_mut() {
            map.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        let request = request.body(Full::new(body)).map_err(|e| Cause::BadUrl(e.to_string()))?;
        self.sender.send_request(request).await.map_err(|e| Cause::Http2(e.to_string()))
    }
}

/// Reads a body to its end onto `out`; fails once `limit` bytes or more are there.
pub(super) async fn read_to_end(mut body: Incoming, out: &mut Vec<u8>, limit: u64) -> Result<(), BodyError> {
    let start = out.len();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| BodyError::Malformed(format!("http2: {e}")))?;
        if let Some(bytes) = frame.data_ref() {
            out.extend_from_slice(bytes);
        }
        if (out.len() - start) as u64 >= limit {
            return Err(BodyError::TooLarge);
        }
    }
    Ok(())
}
