//! Writing JSON straight into the bytes that go out, compressed on the way when the client asked for it.
//!
//! Holds: `JsonOut`, a text buffer that is emptied into pieces (or into a compressor) whenever it is full, so that an answer of
//! any size is never copied or reallocated as a whole. Must not know: the API's shapes.
//! Strings are escaped as Go's encoders do; `text` as in Prometheus' label sets, `html_safe` as everywhere else, where `<`, `>`
//! and `&` become `\u003c` and the like.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::encoding::Encoding;
use crate::squeeze::Squeezer;

/// Bytes after which the buffer is handed on.
pub(crate) const PIECE: usize = 128 * 1024;

/// A JSON text being written.
pub(crate) struct JsonOut {
    buffer: String,
    sink: Squeezer,
}

impl JsonOut {
    /// An empty text that will be encoded so.
    pub(crate) fn new(encoding: Encoding) -> Self {
        Self { buffer: String::with_capacity(1024), sink: Squeezer::new(encoding) }
    }

    /// Hands the buffer on when it is full. Called once per item of a list, not per byte.
    #[inline]
    pub(crate) fn breathe(&mut self) {
        if self.is_full() {
            self.hand_on();
        }
    }

    /// Whether the buffer holds a piece.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.buffer.len() >= PIECE
    }

    /// Hands the buffer on.
    #[cold]
    pub(crate) fn hand_on(&mut self) {
        let full = std::mem::take(&mut self.buffer).into_bytes();
        let emptied = self.sink.push(full).and_then(|memory| String::from_utf8(memory).ok());
        self.buffer = emptied.unwrap_or_else(|| String::with_capacity(PIECE + PIECE / 8));
    }

    /// The finished text.
    pub(crate) fn finish(mut self) -> VecDeque<Bytes> {
        self.end();
        std::iter::from_fn(|| self.take_piece(1)).collect()
    }

    /// Hands the buffer on and ends the compression. Nothing may be written afterwards.
    pub(crate) fn end(&mut self) {
        if !self.buffer.is_empty() {
            self.hand_on();
        }
        self.sink.end();
    }

    /// Takes out what was handed on first, when that is at least so many bytes.
    pub(crate) fn take_piece(&mut self, least: usize) -> Option<Bytes> {
        self.sink.take_piece(least)
    }

    /// The open end of the text, for number writers.
    pub(crate) fn buffer(&mut self) -> &mut String {
        &mut self.buffer
    }

    /// Text that is JSON already.
    #[inline]
    pub(crate) fn raw(&mut self, json: &str) -> &mut Self {
        self.buffer.push_str(json);
        self
    }

    /// `"name":` with a comma before it unless it is the first member. The name must need no escape.
    pub(crate) fn member(&mut self, name: &str, first: bool) -> &mut Self {
        self.raw(if first { "\"" } else { ",\"" }).raw(name).raw("\":")
    }

    /// A string, escaped as in label sets.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        push_string(&mut self.buffer, text, false);
        self
    }

    /// A string, escaped so that it may stand in HTML.
    pub(crate) fn html_safe(&mut self, text: &str) -> &mut Self {
        push_string(&mut self.buffer, text, true);
        self
    }

    /// An integer.
    pub(crate) fn int(&mut self, value: i64) -> &mut Self {
        narthex_model::push_int(&mut self.buffer, value);
        self
    }

    /// A number as Go's encoder writes floats; must be finite.
    pub(crate) fn number(&mut self, value: f64) -> &mut Self {
        narthex_model::push_float_json(&mut self.buffer, value);
        self
    }

    /// `true` or `false`.
    pub(crate) fn bool(&mut self, value: bool) -> &mut Self {
        self.raw(if value { "true" } else { "false" })
    }

    /// A list; `item` writes one element.
    pub(crate) fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Self, T)) {
        self.raw("[");
        for (i, one) in items.into_iter().enumerate() {
            if i > 0 {
                self.raw(",");
            }
            item(self, one);
            self.breathe();
        }
        self.raw("]");
    }

    /// A list of strings, escaped so that they may stand in HTML.
    pub(crate) fn strings(&mut self, texts: impl IntoIterator<Item = impl AsRef<str>>) {
        self.list(texts, |out, text| {
            out.html_safe(text.as_ref());
        });
    }

    /// An object of strings, escaped as in label sets.
    pub(crate) fn labels(&mut self, labels: &narthex_model::Labels) -> &mut Self {
        self.raw("{");
        for (i, (name, value)) in labels.iter().enumerate() {
            if i > 0 {
                self.raw(",");
            }
            self.text(name).raw(":").text(value);
        }
        self.raw("}")
    }
}

/// Appends a JSON string with its quotes.
fn push_string(out: &mut String, text: &str, html: bool) {
    out.push('"');
    if is_plain(text.as_bytes(), html) {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let needs_escape = match byte {
            b'"' | b'\\' | 0..=0x1f => true,
            b'<' | b'>' | b'&' => html,
            // U+2028 and U+2029 begin so; they end lines in JavaScript.
            0xe2 => html && matches!(text.as_bytes().get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9])),
            _ => false,
        };
        if needs_escape {
            out.push_str(&text[plain_from..at]);
            plain_from = at + push_escape(out, &text[at..]);
        }
    }
    out.push_str(&text[plain_from..]);
    out.push('"');
}

/// Whether certainly no byte needs an escape.
///
/// PERF: without branches inside a stretch, so that it becomes vector instructions; nearly all names and values pass. The last
/// stretch of a text lies partly over the one before.
fn is_plain(text: &[u8], html: bool) -> bool {
    let Some(last) = text.last_chunk::<STRETCH>() else {
        return text.iter().fold(0, |found, byte| found | suspicion(*byte, html)) == 0;
    };
    let (stretches, _) = text.as_chunks::<STRETCH>();
    stretches.iter().chain([last]).all(|stretch| is_plain_stretch(stretch, html))
}

/// Bytes that are looked at together.
const STRETCH: usize = 16;

fn is_plain_stretch(stretch: &[u8; STRETCH], html: bool) -> bool {
    stretch.iter().fold(0, |found, byte| found | suspicion(*byte, html)) == 0
}

/// Not 0 for a byte that may need an escape.
#[inline(always)]
fn suspicion(byte: u8, html: bool) -> u8 {
    let always = u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    let in_html =
        u8::from(byte == b'<') | u8::from(byte == b'>') | u8::from(byte == b'&') | u8::from(byte == 0xe2);
    always | in_html & u8::from(html)
}

/// Escapes the first character; returns its length in bytes.
#[cold]
fn push_escape(out: &mut String, rest: &str) -> usize {
    use std::fmt::Write as _;
    let c = rest.chars().next().expect("the caller found a byte here");
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c => write!(out, "\\u{:04x}", c as u32).expect("writing to a string cannot fail"),
    }
    c.len_utf8()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn joined(pieces: &VecDeque<Bytes>) -> Vec<u8> {
        pieces.iter().flatten().copied().collect()
    }

    #[test]
    fn strings_read_back_whatever_is_in_them() {
        for text in ["", "plain", "q\"b\\s/", "\n\r\t\u{1}\u{7f}", "é😱\u{2028}\u{2029}<a&b>"] {
            for html in [false, true] {
                let mut out = String::new();
                push_string(&mut out, text, html);
                assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text, "{out}");
                assert!(!html || !out.contains(['<', '>', '&', '\u{2028}']), "{out}");
            }
        }
    }

    #[test]
    fn a_byte_that_needs_an_escape_is_found_wherever_it_stands() {
        for bad in ['"', '\\', '\n', '<', '&', '\u{2028}'] {
            for (before, after) in (0..40).map(|before| (before, 39 - before)) {
                let text = format!("{}{bad}{}", "a".repeat(before), "é".repeat(after));
                let mut out = String::new();
                push_string(&mut out, &text, true);
                assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
                assert!(out.contains('\\'), "{out}");
            }
        }
    }

    #[test]
    fn every_encoding_gives_the_same_text() {
        let write = |encoding| {
            let mut out = JsonOut::new(encoding);
            out.strings((0..60_000).map(|i: i32| i.to_string()));
            joined(&out.finish())
        };
        let plain = write(Encoding::Identity);
        let (mut gzip, mut zlib) = (Vec::new(), Vec::new());
        flate2::read::GzDecoder::new(&*write(Encoding::Gzip)).read_to_end(&mut gzip).unwrap();
        flate2::read::ZlibDecoder::new(&*write(Encoding::Deflate)).read_to_end(&mut zlib).unwrap();
        assert!(plain.len() > 2 * PIECE && gzip == plain && zlib == plain);
    }
}
