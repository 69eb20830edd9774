//! Request targets as people type them: `curl -g 'http://…/api/v1/series?match[]=up{job="x"}'` sends its quotes as they are, and
//! Go's server takes them. Between the socket and hyper, bytes of a target that hyper refuses, or that end it there, become `%xx`.
//!
//! Always true: only bytes between the first blank and the end of a request line change, and only where hyper, too, sees a request
//! line: what is part of a body stays. Where requests begin is found by the `Content-Length` of the one before; behind a head with
//! chunks, or with a length of so many digits that nobody means it, nothing is touched any more. An upgrade is never granted.
//! PERF: a request without such bytes is looked at once and not copied.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[cfg(test)]
mod tests;

/// As much of a line as is kept to know the header by. A length that does not fit is none that can be known here.
const LINE: usize = 64;

/// Where in the stream the next byte lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a request line; whether behind its first blank.
    RequestLine { in_target: bool },
    /// In the headers, which so far announced this body; `None`: one without an end that can be known here.
    Headers { body: Option<u64> },
    /// In a body with so many bytes left.
    Body(u64),
    /// Where nothing is looked at any more.
    Beyond,
}

/// Finds request lines in a stream of bytes.
#[derive(Debug)]
struct Scanner {
    place: Place,
    /// The beginning of the line at hand, at most [`LINE`] bytes.
    line: Vec<u8>,
}

impl Scanner {
    /// The bytes with escapes, or `None` when they need none.
    fn scan(&mut self, bytes: &[u8]) -> Option<BytesMut> {
        let (mut rest, mut mended) = (bytes, None);
        while let Some(first) = rest.first() {
            let piece = match self.place {
                Place::Beyond => rest.len(),
                Place::Body(left) => rest.len().min(usize::try_from(left).unwrap_or(usize::MAX)),
                Place::RequestLine { in_target: false } => 1,
                Place::RequestLine { .. } | Place::Headers { .. } => line_length(rest),
            };
            let (piece, behind) = rest.split_at(piece);
            let in_target = self.place == Place::RequestLine { in_target: true };
            if in_target && mended.is_none() && piece.iter().any(|byte| needs_escape(*byte)) {
                mended = Some(BytesMut::from(&bytes[..bytes.len() - rest.len()]));
            }
            match &mut mended {
                Some(mended) if in_target => escape(piece, mended),
                Some(mended) => mended.extend_from_slice(piece),
                None => {}
            }
            self.pass(piece, *first);
            rest = behind;
        }
        mended
    }

    /// Goes on behind a piece, which is a whole line, a part of one, or of a body.
    fn pass(&mut self, piece: &[u8], first: u8) {
        let room = LINE - self.line.len();
        match self.place {
            Place::Beyond => {}
            Place::Body(left) => self.place = body_or_next(left - piece.len() as u64),
            Place::RequestLine { .. } => {
                self.line.extend_from_slice(&piece[..piece.len().min(room)]);
                self.place = match first {
                    // The preface of HTTP/2.
                    b' ' if self.line == b"PRI " => Place::Beyond,
                    _ if piece.ends_with(b"\n") && self.line.trim_ascii().is_empty() => NEXT,
                    _ if piece.ends_with(b"\n") => Place::Headers { body: Some(0) },
                    b' ' => Place::RequestLine { in_target: true },
                    _ => return,
                };
                if piece.ends_with(b"\n") {
                    self.line.clear();
                }
            }
            Place::Headers { body } => {
                self.line.extend_from_slice(&piece[..piece.len().min(room)]);
                if piece.ends_with(b"\n") {
                    self.place = behind_line(self.line.trim_ascii(), self.line.len() < LINE, body);
                    self.line.clear();
                }
            }
        }
    }
}

const NEXT: Place = Place::RequestLine { in_target: false };

fn body_or_next(left: u64) -> Place {
    if left == 0 { NEXT } else { Place::Body(left) }
}

/// Behind a line of the headers, of which perhaps only the beginning is known.
fn behind_line(line: &[u8], is_whole: bool, body: Option<u64>) -> Place {
    if line.is_empty() {
        return body.map_or(Place::Beyond, body_or_next);
    }
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let is = |name: &str| line[..colon].eq_ignore_ascii_case(name.as_bytes());
    let body = if is("content-length") {
        body.filter(|_| is_whole).and_then(|_| length(line[colon + 1..].trim_ascii()))
    } else if is("transfer-encoding") {
        None
    } else {
        body
    };
    Place::Headers { body }
}

fn length(digits: &[u8]) -> Option<u64> {
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| all)?.parse().ok()
}

/// The length of the first line with its end, or of all.
fn line_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1)
}

/// Whether a byte of a target is refused by hyper, or (`#`) ends it.
fn needs_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80..)
}

fn escape(piece: &[u8], out: &mut BytesMut) {
    for byte in piece {
        match needs_escape(*byte) {
            true => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            false => out.extend_from_slice(&[*byte]),
        }
    }
}

/// A stream whose request targets hyper takes.
pub(super) struct Mended<S> {
    stream: S,
    scanner: Scanner,
    /// Read and mended, but not handed on yet.
    waiting: Bytes,
}

impl<S> Mended<S> {
    pub(super) fn new(stream: S) -> Self {
        let scanner = Scanner { place: NEXT, line: Vec::with_capacity(LINE) };
        Self { stream, scanner, waiting: Bytes::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Mended<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.waiting.is_empty() {
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            if this.scanner.place == Place::Beyond {
                return Poll::Ready(Ok(()));
            }
            let Some(mended) = this.scanner.scan(&buf.filled()[before..]) else {
                return Poll::Ready(Ok(()));
            };
            buf.set_filled(before);
            this.waiting = mended.freeze();
        }
        let piece = this.waiting.len().min(buf.remaining());
        buf.put_slice(&this.waiting[..piece]);
        this.waiting.advance(piece);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Mended<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
