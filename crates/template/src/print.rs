//! Values as texts, as Go's `fmt` writes them: `print`, `println`, `printf`.
//!
//! Holds: how each kind of value takes each verb. `format` reads format strings, `number` writes digits, `spec` is what
//! stands between `%` and the verb. Always true: what does not fit is written into the text (`%!d(string=hi)`), nothing
//! fails; no text grows beyond the room that the caller gives.
//! Facts: the documentation of Go's `fmt`.

mod format;
mod number;
mod quote;
mod spec;

use crate::methods;
use crate::value::{Text, Value};

pub(crate) use number::float_general;
use spec::Spec;

/// Writes texts of at most `room` bytes.
pub(crate) struct Printer {
    out: Vec<u8>,
    room: usize,
    spec: Spec,
}

/// As Go's `Sprint`: blanks between operands when neither is a text.
pub(crate) fn print(values: &[Value], room: usize) -> Vec<u8> {
    let mut printer = Printer::new(room);
    let mut after_text = true;
    for value in values {
        let is_text = matches!(value, Value::Str(_) | Value::Html(_));
        if !is_text && !after_text {
            printer.push(b" ");
        }
        printer.value(value, 'v');
        after_text = is_text;
    }
    printer.out
}

/// As Go's `Sprintln`.
pub(crate) fn println(values: &[Value], room: usize) -> Vec<u8> {
    let mut printer = Printer::new(room);
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            printer.push(b" ");
        }
        printer.value(value, 'v');
    }
    printer.push(b"\n");
    printer.out
}

/// As Go's `Sprintf`.
pub(crate) fn printf(format: &Text, values: &[Value], room: usize) -> Vec<u8> {
    let mut printer = Printer::new(room);
    printer.format(format.bytes(), values);
    printer.out
}

/// One value as `{{ . }}` prints it.
pub(crate) fn display(value: &Value, room: usize) -> Vec<u8> {
    match value {
        Value::Nil => b"<no value>".to_vec(),
        Value::Str(text) | Value::Html(text) => text.bytes().to_vec(),
        // What a pointer points to is printed, unless it prints itself.
        Value::Pointer(_) => print(&[value.target().clone()], room),
        other => print(std::slice::from_ref(other), room),
    }
}

/// A text quoted, cut to `most` characters.
pub(crate) fn quoted_short(bytes: &[u8], most: usize) -> String {
    quote::quote(quote::first_chars(bytes, Some(most)), false)
}

impl Printer {
    fn new(room: usize) -> Self {
        Self { out: Vec::new(), room, spec: Spec::default() }
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = self.room.saturating_sub(self.out.len());
        self.out.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn push_char(&mut self, c: char) {
        self.push(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// Writes `text` within the width.
    fn pad(&mut self, text: &[u8]) {
        self.pad_with(text, self.spec.zero);
    }

    fn pad_with(&mut self, text: &[u8], zeros: bool) {
        let width = self.spec.width.unwrap_or(0);
        let missing = if width == 0 { 0 } else { width.saturating_sub(quote::chars(text)) };
        if self.spec.minus {
            self.push(text);
            self.fill(missing, false);
        } else {
            self.fill(missing, zeros);
            self.push(text);
        }
    }

    fn fill(&mut self, count: usize, zeros: bool) {
        let byte = if zeros && !self.spec.minus { b'0' } else { b' ' };
        let room = self.room.saturating_sub(self.out.len());
        self.out.resize(self.out.len() + count.min(room), byte);
    }

    /// An operand.
    fn value(&mut self, value: &Value, verb: char) {
        match (value, verb) {
            (Value::Nil | Value::NilAny, 'T' | 'v') => self.pad(b"<nil>"),
            (Value::Nil | Value::NilAny, _) => self.bad_verb(value, verb),
            (_, 'T') => self.text(value.type_name().as_bytes(), 's'),
            (Value::Pointer(_) | Value::Map(_) | Value::List(_), 'p') => self.address(value, 'p'),
            (_, 'p') => self.bad_verb(value, verb),
            _ => self.nested(value, verb, 0),
        }
    }

    fn nested(&mut self, value: &Value, verb: char, depth: usize) {
        if verb == 'w' {
            return self.bad_verb(value, verb);
        }
        if self.by_method(value, verb) {
            return;
        }
        match value {
            Value::Nil | Value::NilAny if verb == 'v' && self.spec.sharp_v => self.push(b"interface {}(nil)"),
            Value::Nil | Value::NilAny => self.push(b"<nil>"),
            Value::Bool(b) if matches!(verb, 't' | 'v') => self.pad(b.to_string().as_bytes()),
            Value::Bool(_) => self.bad_verb(value, verb),
            Value::Int(int, _) | Value::Duration(int) => {
                self.integer(value, int.unsigned_abs(), *int < 0, true, verb);
            }
            Value::Uint(uint, _) => self.integer(value, *uint, false, false, verb),
            Value::Float(float) => self.float(value, *float, verb),
            Value::Str(text) | Value::Html(text) => {
                if matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') {
                    self.text(text.bytes(), verb);
                } else {
                    self.bad_verb(value, verb);
                }
            }
            Value::List(list) => {
                self.sequence(list.type_name, ["[", "]"], list.items.len(), |printer, i| {
                    printer.nested(&list.items[i], verb, depth + 1);
                });
            }
            Value::Map(map) => {
                self.sequence(map.type_name, ["map[", "]"], map.entries.len(), |printer, i| {
                    let (key, element) = &map.entries[i];
                    printer.nested(&Value::Str(key.clone()), verb, depth + 1);
                    printer.push(b":");
                    printer.nested(element, verb, depth + 1);
                });
            }
            Value::Struct(of) => {
                self.sequence(of.type_name, ["{", "}"], of.fields.len(), |printer, i| {
                    if printer.spec.plus_v || printer.spec.sharp_v {
                        printer.push(of.fields[i].name.as_bytes());
                        printer.push(b":");
                    }
                    printer.nested(&of.fields[i].value, verb, depth + 1);
                });
            }
            Value::Pointer(to) => match &**to {
                Value::Struct(_) | Value::Map(_) | Value::List(_) if depth == 0 => {
                    self.push(b"&");
                    self.nested(to, verb, depth + 1);
                }
                _ => self.address(value, verb),
            },
            Value::Histogram(histogram) => {
                self.text(crate::value::histogram_text(histogram).as_bytes(), 's');
            }
            Value::Time(time) => self.text(methods::time_text(*time).as_bytes(), 's'),
        }
    }

    fn sequence(
        &mut self,
        type_name: &str,
        brackets: [&str; 2],
        count: usize,
        mut item: impl FnMut(&mut Self, usize),
    ) {
        let sharp = self.spec.sharp_v;
        if sharp {
            self.push(type_name.as_bytes());
        }
        self.push(if sharp { b"{" } else { brackets[0].as_bytes() });
        for i in 0..count {
            if self.out.len() >= self.room {
                return;
            }
            if i > 0 {
                self.push(if sharp { b", " } else { b" " });
            }
            item(self, i);
        }
        self.push(if sharp { b"}" } else { brackets[1].as_bytes() });
    }

    /// Writes what the value says of itself, when it does and the verb asks for a text.
    fn by_method(&mut self, value: &Value, verb: char) -> bool {
        if self.spec.sharp_v && verb == 'v' {
            let Some(text) = methods::go_string(value) else { return false };
            self.pad(text.as_bytes());
            return true;
        }
        if !matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') {
            return false;
        }
        let Some(text) = methods::string(value) else { return false };
        self.text(text.as_bytes(), verb);
        true
    }

    /// `%!d(string=hi)`
    fn bad_verb(&mut self, value: &Value, verb: char) {
        self.push(b"%!");
        self.push_char(verb);
        self.push(b"(");
        if matches!(value, Value::Nil | Value::NilAny) {
            self.push(b"<nil>");
        } else {
            self.push(value.type_name().as_bytes());
            self.push(b"=");
            if verb != 'w' || methods::string(value).is_none() {
                self.plain(value);
            } else {
                self.push(methods::string(value).unwrap_or_default().as_bytes());
            }
        }
        self.push(b")");
    }

    /// Inside of a complaint values do not speak for themselves.
    fn plain(&mut self, value: &Value) {
        match value {
            Value::Duration(nanos) => self.integer(value, nanos.unsigned_abs(), *nanos < 0, true, 'v'),
            Value::Int(int, _) => self.integer(value, int.unsigned_abs(), *int < 0, true, 'v'),
            other => self.value(other, 'v'),
        }
    }

    fn integer(&mut self, value: &Value, magnitude: u64, negative: bool, signed: bool, verb: char) {
        match verb {
            'v' if self.spec.sharp_v && !signed => {
                self.spec.sharp = true;
                self.digits(magnitude, 16, false, 'v', false);
                self.spec.sharp = false;
            }
            'v' | 'd' => self.digits(magnitude, 10, negative, verb, false),
            'b' => self.digits(magnitude, 2, negative, verb, false),
            'o' | 'O' => self.digits(magnitude, 8, negative, verb, false),
            'x' | 'X' => self.digits(magnitude, 16, negative, verb, verb == 'X'),
            'c' => {
                let c = code_point(magnitude, negative);
                self.pad(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            'q' => {
                let quoted = quote::quote_char(code_point(magnitude, negative), self.spec.plus);
                self.pad(quoted.as_bytes());
            }
            'U' => self.unicode(if negative { magnitude.wrapping_neg() } else { magnitude }),
            _ => self.bad_verb(value, verb),
        }
    }

    fn text(&mut self, bytes: &[u8], verb: char) {
        match verb {
            'v' if self.spec.sharp_v => self.quoted(bytes),
            'q' => self.quoted(bytes),
            'x' | 'X' => self.hex(bytes, verb == 'X'),
            _ => self.pad(quote::first_chars(bytes, self.spec.precision)),
        }
    }

    fn quoted(&mut self, bytes: &[u8]) {
        let bytes = quote::first_chars(bytes, self.spec.precision);
        if self.spec.sharp && quote::can_backquote(bytes) {
            return self.pad(&[b"`", bytes, b"`"].concat());
        }
        let quoted = quote::quote(bytes, self.spec.plus);
        self.pad(quoted.as_bytes());
    }

    fn hex(&mut self, bytes: &[u8], upper: bool) {
        let bytes = &bytes[..self.spec.precision.map_or(bytes.len(), |most| most.min(bytes.len()))];
        let prefix: &[u8] = match (self.spec.sharp, upper) {
            (false, _) => b"",
            (true, false) => b"0x",
            (true, true) => b"0X",
        };
        let mut out = Vec::new();
        for (i, byte) in bytes.iter().enumerate().take(self.room) {
            if i > 0 && self.spec.space {
                out.push(b' ');
            }
            if i == 0 || self.spec.space {
                out.extend_from_slice(prefix);
            }
            let digits = if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
            out.extend_from_slice(digits.as_bytes());
        }
        self.pad(&out);
    }

    /// Addresses say nothing here: one number stands for all of them.
    fn address(&mut self, value: &Value, verb: char) {
        const ADDRESS: u64 = 0xc0_0000_0000;
        match verb {
            'v' if self.spec.sharp_v => {
                self.push(format!("({})({ADDRESS:#x})", value.type_name()).as_bytes());
            }
            'v' | 'p' => {
                let sharp = self.spec.sharp;
                self.spec.sharp = !sharp;
                self.digits(ADDRESS, 16, false, 'v', false);
                self.spec.sharp = sharp;
            }
            'b' | 'o' | 'd' | 'x' | 'X' => self.integer(value, ADDRESS, false, false, verb),
            _ => self.bad_verb(value, verb),
        }
    }
}

fn code_point(magnitude: u64, negative: bool) -> char {
    let known = u32::try_from(magnitude).ok().filter(|_| !negative || magnitude == 0);
    known.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}
