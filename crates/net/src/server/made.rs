//! Bodies that are made while they are sent: a piece at a time, on a blocking thread, at most one piece ahead of the socket.
//!
//! Always true: a client that reads slowly holds no thread, only what the source holds and a few pieces; when it hangs up, the
//! source is dropped (after the piece under way, if one is). A source that panics breaks the connection, so that its client
//! does not take the beginning of an answer for the whole.
//! Must not know: what is made.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;

/// Makes a body piece by piece.
pub trait PieceSource: Send + 'static {
    /// The next piece, `None` at the end. May compute, must not wait for anything.
    fn next(&mut self) -> Option<Bytes>;
}

/// The making of a body failed after its head was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer broke off while it was made")]
pub struct BrokenOff;

/// Told the bytes of a body when it ends or is given up.
type WhenDone = Box<dyn FnOnce(u64) + Send>;

/// A body on its way.
pub struct Made {
    /// Pieces that are ready.
    ready: VecDeque<Bytes>,
    work: Work,
    sent_bytes: u64,
    when_done: Option<WhenDone>,
}

/// Where the source is.
enum Work {
    Resting(Box<dyn PieceSource>),
    Making(JoinHandle<(Option<Bytes>, Box<dyn PieceSource>)>),
    Ended,
}

impl Made {
    /// A body of `ready` followed by what `source` makes.
    #[must_use]
    pub fn new(ready: VecDeque<Bytes>, source: Box<dyn PieceSource>) -> Self {
        Self { ready, work: Work::Resting(source), sent_bytes: 0, when_done: None }
    }

    /// Has `then` told how many bytes were handed to the socket, when the body ends or is given up.
    pub fn when_done(&mut self, then: impl FnOnce(u64) + Send + 'static) {
        self.when_done = Some(Box::new(then));
    }

    /// Starts to make the next piece, unless one is being made.
    fn start(&mut self) {
        self.work = match std::mem::replace(&mut self.work, Work::Ended) {
            Work::Resting(mut source) => {
                Work::Making(tokio::task::spawn_blocking(move || (source.next(), source)))
            }
            other => other,
        };
    }

    /// The next piece for the socket.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        // Before anything is sent, so that the next piece is made meanwhile.
        self.start();
        if let Some(piece) = self.ready.pop_front() {
            return self.hand_out(piece);
        }
        let Work::Making(handle) = &mut self.work else { return Poll::Ready(None) };
        match ready!(Pin::new(handle).poll(cx)) {
            Ok((Some(piece), source)) => {
                self.work = Work::Resting(source);
                self.start();
                self.hand_out(piece)
            }
            Ok((None, _)) => {
                self.work = Work::Ended;
                Poll::Ready(None)
            }
            Err(_) => {
                self.work = Work::Ended;
                Poll::Ready(Some(Err(BrokenOff)))
            }
        }
    }

    fn hand_out(&mut self, piece: Bytes) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        self.sent_bytes += piece.len() as u64;
        Poll::Ready(Some(Ok(piece)))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(then) = self.when_done.take() {
            then(self.sent_bytes);
        }
    }
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("sent_bytes", &self.sent_bytes).finish_non_exhaustive()
    }
}
