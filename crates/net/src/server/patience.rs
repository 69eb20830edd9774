//! Clients that send no more while they are answered: whoever only shut down its sending side (`nc -N`) still reads its answer, whoever
//! is gone wants none, and on the wire both look the same. So an answer goes on for [`PATIENCE`] and is given up then.
//!
//! Holds: a stream that two may read: hyper, and while a request is answered the one who waits for the end, reading ahead. A
//! connection that is broken is the end at once.
//! Always true: both are polled by the task of the connection; what was read ahead hyper gets first, and is woken for it.
//! Facts: Go's `net/http` reads ahead, too, and at the end cancels the request's context at once: handlers that look at it (those of
//! queries) answer 499, all others as if nothing were. Here a quick query is answered, too.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::body::{Arrived, Body};
use super::made::BrokenOff;
use super::{Response, rules};

/// How long an answer, or the next piece of it, may take once the client sends no more.
const PATIENCE: Duration = Duration::from_millis(250);
/// As much as is read ahead; the end behind more than that is noticed later.
const MOST_AHEAD: usize = 4096;

/// A stream whose end can be waited for while nobody else reads.
pub(super) struct Line<S>(Arc<Mutex<Inner<S>>>);

struct Inner<S> {
    stream: S,
    ahead: BytesMut,
    end: Option<End>,
    /// Who waits for bytes.
    reader: Option<Waker>,
}

/// How the client stopped to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It may still read.
    Finished,
    Broken(io::ErrorKind),
}

impl<S> Clone for Line<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncRead + Unpin> Inner<S> {
    /// Reads into `buf`; nothing at the end.
    fn poll_stream(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<()> {
        if self.end.is_some() {
            return Poll::Ready(());
        }
        let before = buf.filled().len();
        self.end = match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) if buf.filled().len() > before || buf.remaining() == 0 => None,
            Poll::Ready(Ok(())) => Some(End::Finished),
            Poll::Ready(Err(error)) => Some(End::Broken(error.kind())),
        };
        Poll::Ready(())
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        while self.end.is_none() && self.ahead.len() < MOST_AHEAD {
            let mut bytes = [0; 1024];
            let mut buf = ReadBuf::new(&mut bytes);
            if self.poll_stream(cx, &mut buf).is_pending() {
                return Poll::Pending;
            }
            self.ahead.extend_from_slice(buf.filled());
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
        }
        self.end.map_or(Poll::Pending, Poll::Ready)
    }
}

impl<S: AsyncRead + Unpin> Line<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Inner { stream, ahead: BytesMut::new(), end: None, reader: None })))
    }

    /// The end of what the client sends, behind a request that has arrived.
    ///
    /// PERF: before that nothing is read ahead, as hyper reads bodies in larger pieces. Whoever waits is polled when the request has
    /// arrived, for then it is answered.
    async fn end(&self, arrived: &Arrived) -> End {
        let end = |cx: &mut Context<'_>| match arrived.is_true() {
            true => self.0.lock().poll_end(cx),
            false => Poll::Pending,
        };
        std::future::poll_fn(end).await
    }

    /// Answers as long as somebody may want it.
    pub(super) async fn answer(
        self,
        answer: impl Future<Output = Response> + Send,
        arrived: Arrived,
    ) -> http::Response<Patient<S>> {
        let mut answer = std::pin::pin!(answer);
        let response = tokio::select! {
            biased;
            response = &mut answer => response,
            end = self.end(&arrived) => match end {
                End::Finished => tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| rules::given_up()),
                End::Broken(_) => rules::given_up(),
            },
        };
        response.map(|body| Patient { body, client: self, patience: None })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        if !inner.ahead.is_empty() {
            let piece = inner.ahead.len().min(buf.remaining());
            buf.put_slice(&inner.ahead[..piece]);
            inner.ahead.advance(piece);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if inner.poll_stream(cx, buf).is_pending() {
            inner.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        match inner.end {
            Some(End::Broken(kind)) if buf.filled().len() == before => Poll::Ready(Err(kind.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.lock().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.lock().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.lock().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_shutdown(cx)
    }
}

/// A body that breaks off when its next piece takes too long for a client that sends no more.
pub(super) struct Patient<S> {
    body: Body,
    client: Line<S>,
    patience: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + Unpin> hyper::body::Body for Patient<S> {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.patience = None;
            return Poll::Ready(frame);
        }
        match this.client.0.lock().poll_end(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(End::Broken(_)) => Poll::Ready(Some(Err(BrokenOff))),
            Poll::Ready(End::Finished) => {
                let patience = this.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
                patience.as_mut().poll(cx).map(|()| Some(Err(BrokenOff)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::task::ready;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// hyper waits for the rest of a body while the one who waits for the end reads it: nobody may sleep over it.
    #[tokio::test]
    async fn what_is_read_ahead_wakes_the_reader() {
        let (mut client, server) = tokio::io::duplex(64);
        let line = Line::new(server);
        let (mut reader, mut got) = (line.clone(), Vec::new());
        // The reader first, then who waits for the end, as in a connection; until both have what they wait for.
        let both = std::future::poll_fn(|cx| {
            let mut bytes = [0; 8];
            let mut buf = ReadBuf::new(&mut bytes);
            let read = Pin::new(&mut reader).poll_read(cx, &mut buf);
            got.extend_from_slice(buf.filled());
            let end = line.0.lock().poll_end(cx);
            ready!(read).unwrap();
            if got.len() < 20 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            end
        });
        let send = async {
            for piece in [&b"01234567"[..], b"89", b"0123456789"] {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
            client
        };
        let (end, _client) =
            tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(both, send) }).await.unwrap();
        assert_eq!((end, &*got), (End::Finished, &b"01234567890123456789"[..]));
    }

    #[tokio::test]
    async fn nothing_is_read_ahead_of_a_request_that_has_not_arrived() {
        let (mut client, server) = tokio::io::duplex(64);
        let line = Line::new(server);
        client.write_all(b"body").await.unwrap();
        drop(client);
        let pending = Arrived::new(false);
        let mut end = std::pin::pin!(line.end(&pending));
        assert!(std::future::poll_fn(|cx| Poll::Ready(end.as_mut().poll(cx))).await.is_pending());
        assert!(line.0.lock().ahead.is_empty());
        assert_eq!(line.end(&Arrived::new(true)).await, End::Finished);
        assert_eq!(line.0.lock().ahead, b"body"[..]);
    }

    #[tokio::test]
    async fn the_reader_gets_what_was_read_ahead_and_then_the_end() {
        let (mut client, server) = tokio::io::duplex(2 * MOST_AHEAD);
        let mut line = Line::new(server);
        let sent: Vec<u8> = (0..2 * MOST_AHEAD).map(|i| i as u8).collect();
        client.write_all(&sent).await.unwrap();
        drop(client);
        let end = std::future::poll_fn(|cx| Poll::Ready(line.0.lock().poll_end(cx))).await;
        assert!(end.is_pending(), "too much lies before it");
        let mut got = Vec::new();
        line.read_to_end(&mut got).await.unwrap();
        let end = std::future::poll_fn(|cx| line.0.lock().poll_end(cx)).await;
        assert_eq!((got, end), (sent, End::Finished));
    }
}
