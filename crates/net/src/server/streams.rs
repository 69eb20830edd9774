//! How many requests of an HTTP/2 connection are being answered, up to the last byte of each body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::watch;

use super::body::Body;
use super::made::BrokenOff;

/// The requests of one connection.
#[derive(Debug)]
pub(super) struct Streams(Arc<watch::Sender<usize>>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Streams {
    /// A request begins; it lasts until the token, or the body that it went through, is dropped.
    pub(super) fn begin(&self) -> Token {
        self.0.send_modify(|open| *open += 1);
        Token(Arc::clone(&self.0))
    }

    /// Ends when there was no request for so long.
    pub(super) async fn idle_for(&self, longest: Duration) {
        let mut open = self.0.subscribe();
        loop {
            // The sender lives as long as we do.
            let _ = open.wait_for(|open| *open == 0).await;
            if tokio::time::timeout(longest, open.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// One request.
#[derive(Debug)]
pub(super) struct Token(Arc<watch::Sender<usize>>);

impl Token {
    /// The body, with which the request ends.
    pub(super) fn through(self, body: Body) -> Counted {
        Counted { body, _token: self }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// A body whose request ends with it.
#[derive(Debug)]
pub(super) struct Counted {
    body: Body,
    _token: Token,
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
