//! Request targets as people type them: `curl -g 'http://…/api/v1/series?match[]=up{job="x"}'` sends its quotes as they are, and
//! Go's server takes them. Between the socket and hyper, bytes of a target that hyper refuses, or that end it there, become `%xx`.
//!
//! Always true: only bytes between the first blank and the end of a request line change. Where requests begin is found by the
//! `Content-Length` of the one before; behind a head with chunks or an upgrade nothing is touched any more.
//! PERF: a request without such bytes is looked at once and not copied.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// As much of a line as is kept to know the header by.
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
                    self.place = behind_line(self.line.trim_ascii(), body);
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

/// Behind a line of the headers.
fn behind_line(line: &[u8], body: Option<u64>) -> Place {
    if line.is_empty() {
        return body.map_or(Place::Beyond, body_or_next);
    }
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let is = |name: &str| line[..colon].eq_ignore_ascii_case(name.as_bytes());
    let body = if is("content-length") {
        let digits = std::str::from_utf8(&line[colon + 1..]).unwrap_or("");
        body.and(digits.trim().parse().ok())
    } else if is("transfer-encoding") || is("upgrade") {
        None
    } else {
        body
    };
    Place::Headers { body }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when it comes in pieces of each length.
    #[track_caller]
    fn check(sent: &str, expected: &str) {
        for length in 1..=sent.len() {
            let mut scanner = Scanner { place: NEXT, line: Vec::new() };
            let mut got = Vec::new();
            for piece in sent.as_bytes().chunks(length) {
                got.extend_from_slice(&scanner.scan(piece).map_or_else(|| piece.to_vec(), |m| m.to_vec()));
            }
            assert_eq!(String::from_utf8_lossy(&got), expected, "in pieces of {length}");
        }
    }

    #[test]
    fn bytes_that_hyper_refuses_are_escaped_in_targets_only() {
        check(
            "GET /a?m={j=\"x\"} HTTP/1.1\r\nX: \"{é}\r\n\r\n",
            "GET /a?m=%7Bj=%22x%22%7D HTTP/1.1\r\nX: \"{é}\r\n\r\n",
        );
        check("GET /é#x HTTP/1.1\n\n", "GET /%C3%A9%23x HTTP/1.1\n\n");
        check("G\"T /\r\n\r\n", "G\"T /\r\n\r\n");
        check("GET /plain HTTP/1.1\r\n\r\n", "GET /plain HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn the_next_request_is_found_behind_a_body_of_known_length() {
        let two =
            |head: &str| format!("\r\nPOST /\" HTTP/1.1\r\n{head}\r\n\r\nG \"\r\nGET /\" HTTP/1.1\r\n\r\n");
        let mended = |text: String| text.replace("/\"", "/%22");
        let known = two("CONTENT-length:  5 ");
        check(&known, &mended(known.clone()));
        for unknown in ["Transfer-Encoding: chunked", "Upgrade: x", "Content-Length: x", "Content-Length: -1"]
        {
            let text = two(unknown);
            check(&text, &text.replacen("/\"", "/%22", 1));
        }
    }

    #[test]
    fn http_2_is_left_alone() {
        check("PRI * HTTP/2.0\r\n\r\nSM\"\r\n\r\n\"", "PRI * HTTP/2.0\r\n\r\nSM\"\r\n\r\n\"");
    }
}
