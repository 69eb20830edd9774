//! A byte stream to a server: plain TCP, a unix socket, or TLS over either of them or over a proxy's tunnel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use narthex_metrics::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// An open connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream, #[expect(dead_code, reason = "it counts by being dropped")] Tally),
    Unix(UnixStream, #[expect(dead_code, reason = "it counts by being dropped")] Tally),
    /// The inner stream may itself be TLS: to an `https://` proxy.
    Tls(Box<TlsStream<Stream>>),
}

/// Counts the end of a connection when it is dropped.
#[derive(Debug)]
pub(super) struct Tally(pub(super) Counter);

impl Drop for Tally {
    fn drop(&mut self) {
        self.0.inc();
    }
}

impl Stream {
    /// Whether TLS agreed on HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        match self {
            Self::Tcp(..) | Self::Unix(..) => false,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Whether an idle connection has nothing to say, which is the only healthy state. A peer that closed, or that sent
    /// bytes nobody asked for, is not quiet. TLS peers send tickets at will, so bytes from them are no reason to give up.
    pub(super) fn is_quiet(&self) -> bool {
        let mut byte = [0];
        match self {
            Self::Tcp(tcp, _) => would_block(tcp.try_read(&mut byte)),
            Self::Unix(unix, _) => would_block(unix.try_read(&mut byte)),
            Self::Tls(tls) => !tls.get_ref().0.is_closed_below_tls(),
        }
    }

    /// Looks without taking bytes; only plain TCP can, others count as open.
    fn is_closed_below_tls(&self) -> bool {
        use std::future::Future;
        match self {
            Self::Tcp(tcp, _) => {
                let mut byte = [0];
                let mut peek = std::pin::pin!(tcp.peek(&mut byte));
                let outcome = peek.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
                matches!(outcome, Poll::Ready(Ok(0) | Err(_)))
            }
            Self::Unix(..) | Self::Tls(_) => false,
        }
    }
}

fn would_block(outcome: io::Result<usize>) -> bool {
    matches!(outcome, Err(e) if e.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s, _) => Pin::new(s).poll_read(cx, buf),
            Self::Unix(s, _) => Pin::new(s).poll_read(cx, buf),
            Self::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s, _) => Pin::new(s).poll_write(cx, buf),
            Self::Unix(s, _) => Pin::new(s).poll_write(cx, buf),
            Self::Tls(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s, _) => Pin::new(s).poll_flush(cx),
            Self::Unix(s, _) => Pin::new(s).poll_flush(cx),
            Self::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s, _) => Pin::new(s).poll_shutdown(cx),
            Self::Unix(s, _) => Pin::new(s).poll_shutdown(cx),
            Self::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s, _) => Pin::new(s).poll_write_vectored(cx, bufs),
            Self::Unix(s, _) => Pin::new(s).poll_write_vectored(cx, bufs),
            Self::Tls(s) => Pin::new(s).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(s, _) => s.is_write_vectored(),
            Self::Unix(s, _) => s.is_write_vectored(),
            Self::Tls(s) => s.is_write_vectored(),
        }
    }
}
