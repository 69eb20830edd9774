//! The three ways in which a protobuf message is written: as bytes, and in two forms as text. One description of a message serves all.
//!
//! Facts: the protobuf encoding; Go's `prototext`, in its form of many lines and in that of one line, with single spaces.

use narthex_model::push_float_general;

use super::write::{push_bytes, push_varint};

/// A field as its `.proto` file names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field(pub(crate) u32, pub(crate) &'static str);

/// Takes the fields of a message one after the other.
pub(crate) trait Sink: Sized {
    /// A string.
    fn text(&mut self, field: Field, text: &str);
    /// A `uint32`, `uint64` or an `int64` that is given as its two's complement.
    fn number(&mut self, field: Field, number: u64);
    /// An `int64`.
    fn plain_signed(&mut self, field: Field, number: i64);
    /// A `sint32`, which small negative numbers keep short.
    fn signed(&mut self, field: Field, number: i32);
    /// A `sint64`.
    fn long_signed(&mut self, field: Field, number: i64);
    /// A `double`.
    fn double(&mut self, field: Field, value: f64);
    /// A value of an enumeration: its number and its name.
    fn word(&mut self, field: Field, number: u64, name: &'static str);
    /// A message inside; `fill` writes it.
    fn message(&mut self, field: Field, fill: impl FnOnce(&mut Self));
}

/// Bytes.
impl Sink for Vec<u8> {
    fn text(&mut self, field: Field, text: &str) {
        push_bytes(self, field.0, text.as_bytes());
    }

    fn number(&mut self, field: Field, number: u64) {
        push_varint(self, u64::from(field.0) << 3);
        push_varint(self, number);
    }

    fn plain_signed(&mut self, field: Field, number: i64) {
        self.number(field, number.cast_unsigned());
    }

    fn signed(&mut self, field: Field, number: i32) {
        let folded = (number << 1) ^ (number >> 31);
        self.number(field, u64::from(folded.cast_unsigned()));
    }

    fn long_signed(&mut self, field: Field, number: i64) {
        self.number(field, ((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    fn double(&mut self, field: Field, value: f64) {
        push_varint(self, u64::from(field.0) << 3 | 1);
        self.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    fn word(&mut self, field: Field, number: u64, _name: &'static str) {
        self.number(field, number);
    }

    fn message(&mut self, field: Field, fill: impl FnOnce(&mut Self)) {
        push_varint(self, u64::from(field.0) << 3 | 2);
        let start = self.len();
        fill(self);
        // The length stands before what it measures; most messages are shorter than 128 bytes, so one byte moves them all.
        let mut length = Vec::with_capacity(3);
        push_varint(&mut length, (self.len() - start) as u64);
        self.splice(start..start, length);
    }
}

/// Text that people read.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// What was written.
    pub(crate) out: String,
    /// All of a message on one line, or each field on a line of its own.
    compact: bool,
    depth: usize,
    /// Whether the next field is the first of its message.
    at_start: bool,
}

impl Words {
    /// On one line a message, or on many.
    pub(crate) fn new(compact: bool) -> Self {
        Self { compact, at_start: true, ..Self::default() }
    }

    /// Ends a message that is in none.
    pub(crate) fn end(&mut self) {
        self.out.push('\n');
        self.at_start = true;
    }

    /// Begins a field: `name: `, `name:` or, before a message, the same.
    fn begin(&mut self, field: Field) {
        if self.compact {
            if !self.at_start {
                self.out.push(' ');
            }
        } else {
            (0..self.depth).for_each(|_| self.out.push_str("  "));
        }
        self.at_start = false;
        self.out.push_str(field.1);
        self.out.push_str(if self.compact { ":" } else { ": " });
    }

    fn end_line(&mut self) {
        if !self.compact {
            self.out.push('\n');
        }
    }

    fn plain(&mut self, field: Field, text: &str) {
        self.begin(field);
        self.out.push_str(text);
        self.end_line();
    }
}

impl Sink for Words {
    fn text(&mut self, field: Field, text: &str) {
        self.begin(field);
        push_quoted(&mut self.out, text);
        self.end_line();
    }

    fn number(&mut self, field: Field, number: u64) {
        self.plain(field, &number.to_string());
    }

    fn plain_signed(&mut self, field: Field, number: i64) {
        self.plain(field, &number.to_string());
    }

    fn signed(&mut self, field: Field, number: i32) {
        self.plain(field, &number.to_string());
    }

    fn long_signed(&mut self, field: Field, number: i64) {
        self.plain(field, &number.to_string());
    }

    fn double(&mut self, field: Field, value: f64) {
        self.begin(field);
        if value.is_nan() {
            self.out.push_str("nan");
        } else if value.is_infinite() {
            self.out.push_str(if value > 0.0 { "inf" } else { "-inf" });
        } else {
            push_float_general(&mut self.out, value);
        }
        self.end_line();
    }

    fn word(&mut self, field: Field, _number: u64, name: &'static str) {
        self.plain(field, name);
    }

    fn message(&mut self, field: Field, fill: impl FnOnce(&mut Self)) {
        self.begin(field);
        self.out.push('{');
        self.end_line();
        (self.depth, self.at_start) = (self.depth + 1, true);
        fill(self);
        (self.depth, self.at_start) = (self.depth - 1, false);
        if !self.compact {
            (0..self.depth).for_each(|_| self.out.push_str("  "));
        }
        self.out.push('}');
        self.end_line();
    }
}

fn push_quoted(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || c == '\u{7f}' => {
                write!(out, "\\x{:02x}", c as u32).expect("writing to a string cannot fail");
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Field = Field(1, "name");
    const INNER: Field = Field(4, "inner");

    fn fill(sink: &mut impl Sink) {
        sink.text(NAME, "a\"\n\u{1}é");
        sink.word(Field(3, "type"), 3, "UNTYPED");
        sink.message(INNER, |m| {
            m.double(Field(1, "value"), 2.5);
            m.message(INNER, |_| ());
            m.signed(Field(2, "offset"), -2);
        });
        sink.plain_signed(Field(6, "time"), -1);
    }

    #[test]
    fn the_forms_of_text_are_those_of_go() {
        let (mut many, mut one) = (Words::new(false), Words::new(true));
        fill(&mut many);
        fill(&mut one);
        assert_eq!(
            many.out,
            "name: \"a\\\"\\n\\x01é\"\ntype: UNTYPED\ninner: {\n  value: 2.5\n  inner: {\n  }\n  offset: -2\n}\ntime: -1\n"
        );
        assert_eq!(
            one.out,
            "name:\"a\\\"\\n\\x01é\" type:UNTYPED inner:{value:2.5 inner:{} offset:-2} time:-1"
        );
    }

    #[test]
    fn bytes_have_lengths_before_messages_and_folded_signs() {
        let mut bytes = Vec::new();
        bytes.message(INNER, |m: &mut Vec<u8>| m.extend_from_slice(&[7; 200]));
        assert_eq!(bytes[..3], [0x22, 0xc8, 0x01]);
        assert_eq!(bytes.len(), 203);
        for (number, folded) in [(0, 0), (-1, 1), (1, 2), (i32::MIN, u64::from(u32::MAX))] {
            let (mut bytes, mut expected) = (Vec::new(), vec![0x10]);
            bytes.signed(Field(2, ""), number);
            push_varint(&mut expected, folded);
            assert_eq!(bytes, expected);
        }
    }
}
