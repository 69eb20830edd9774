//! Bodies of both directions as small enums: no boxing, and tests can make requests without a socket.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::sync::mpsc;

use super::made::{BrokenOff, Made};

/// The body of an answer.
#[derive(Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes in order, each piece as it was produced. The length is known to the client.
    Pieces(VecDeque<Bytes>),
    /// Bytes that come later; ends when all senders are gone, and breaks the connection off at an `Err`, so that the client does
    /// not take a part for the whole.
    Stream(mpsc::Receiver<Result<Bytes, BrokenOff>>),
    /// Bytes that are made while they are sent.
    Made(Box<Made>),
}

impl Body {
    /// The length in bytes when it is known beforehand.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Pieces(pieces) => Some(pieces.iter().map(|p| p.len() as u64).sum()),
            Self::Stream(_) | Self::Made(_) => None,
        }
    }

    /// Whether it is known that there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// All bytes of a body that does not come later; `None` for one that does.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Empty => Some(Vec::new()),
            Self::Pieces(pieces) => Some(pieces.iter().flatten().copied().collect()),
            Self::Stream(_) | Self::Made(_) => None,
        }
    }
}

impl Body {
    /// All bytes, also those that come later.
    ///
    /// # Errors
    /// The body broke off.
    pub async fn read_to_end(self) -> Result<Vec<u8>, BrokenOff> {
        Ok(self.collect().await?.to_bytes().into())
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Pieces(VecDeque::from([bytes])) }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Pieces(pieces) => Poll::Ready(pieces.pop_front().map(|piece| Ok(Frame::data(piece)))),
            Self::Stream(receiver) => receiver.poll_recv(cx).map(|piece| piece.map(|p| p.map(Frame::data))),
            Self::Made(made) => made.poll_piece(cx).map(|piece| piece.map(|p| p.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Pieces(pieces) => pieces.is_empty(),
            Self::Stream(_) | Self::Made(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.len().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Why a request's body could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the caller takes.
    #[error("request body is larger than {limit} bytes")]
    TooLarge {
        /// The most that the caller takes.
        limit: usize,
    },
    /// It did not arrive in time.
    #[error("request body did not arrive within {}s", .0.as_secs())]
    Timeout(Duration),
    /// The connection broke or the framing is wrong.
    #[error("cannot read request body: {0}")]
    Broken(String),
}

/// The body of a request, on its way or (in tests) at hand.
#[derive(Debug)]
pub enum RequestBody {
    /// From a socket.
    Socket(Arriving),
    /// Already here.
    Ready(Bytes),
}

/// A body that comes from a socket.
#[derive(Debug)]
pub struct Arriving {
    incoming: Incoming,
    longest: Duration,
    arrived: Arrived,
}

/// Tells whether a request was read to its end.
#[derive(Clone, Debug)]
pub(super) struct Arrived(Arc<AtomicBool>);

impl Arrived {
    /// Of a request that has arrived already, or not.
    pub(super) fn new(is_true: bool) -> Self {
        Self(Arc::new(AtomicBool::new(is_true)))
    }

    pub(super) fn is_true(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Arriving {
    /// A body that may take so long at most.
    pub(super) fn new(incoming: Incoming, longest: Duration, arrived: Arrived) -> Self {
        Self { incoming, longest, arrived }
    }

    async fn read(self, limit: usize) -> Result<Bytes, BodyError> {
        let read = tokio::time::timeout(self.longest, Limited::new(self.incoming, limit).collect());
        let body = match read.await {
            Err(_) => Err(BodyError::Timeout(self.longest)),
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(e)) if e.is::<LengthLimitError>() => Err(BodyError::TooLarge { limit }),
            Ok(Err(e)) => Err(BodyError::Broken(e.to_string())),
        };
        self.arrived.0.store(true, Ordering::Relaxed);
        body
    }
}

impl RequestBody {
    /// Reads to the end.
    ///
    /// # Errors
    /// See [`BodyError`]; at most `limit` bytes are taken.
    pub async fn read(self, limit: usize) -> Result<Bytes, BodyError> {
        match self {
            Self::Ready(bytes) if bytes.len() > limit => Err(BodyError::TooLarge { limit }),
            Self::Ready(bytes) => Ok(bytes),
            Self::Socket(body) => body.read(limit).await,
        }
    }
}
