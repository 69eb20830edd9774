//! Format strings: flags, argument indexes (`%[2]d`), widths and precisions, also from arguments (`%*d`).

use super::Printer;
use super::spec::Spec;
use crate::value::Value;

/// The largest width, precision or index; Go has the same.
const LARGEST: usize = 1_000_000;

/// Where a format stands: what was read of it, and which operand is next.
struct Cursor<'f> {
    format: &'f [u8],
    at: usize,
    operand: usize,
    operands: usize,
    reordered: bool,
    good_index: bool,
    after_index: bool,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Decimal digits; `None` when there are none or too many.
    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        let mut number = 0_usize;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if number > LARGEST {
                self.at = self.format.len();
                return None;
            }
            number = number * 10 + usize::from(digit - b'0');
            self.at += 1;
        }
        (self.at > start).then_some(number)
    }

    /// `[n]`: the next operand is the n-th.
    fn index(&mut self) {
        self.after_index = false;
        if self.peek() != Some(b'[') {
            return;
        }
        self.reordered = true;
        let start = self.at;
        let Some(end) = self.format[start..].iter().position(|b| *b == b']').map(|len| start + len) else {
            self.good_index = false;
            self.at += 1;
            return;
        };
        self.at += 1;
        let number = self.number();
        let whole = self.at == end;
        self.at = end + 1;
        match number {
            Some(number) if whole && (1..=self.operands).contains(&number) => {
                self.operand = number - 1;
                self.after_index = true;
            }
            number => {
                self.good_index = false;
                self.after_index = number.is_some() && whole;
            }
        }
    }

    /// The operand as a width or precision.
    fn integer_operand(&mut self, values: &[Value]) -> Option<i64> {
        let value = values.get(self.operand)?;
        self.operand += 1;
        let number = match value {
            Value::Int(int, _) | Value::Duration(int) => *int,
            Value::Uint(uint, _) => i64::try_from(*uint).ok()?,
            _ => return None,
        };
        (number.unsigned_abs() <= LARGEST as u64).then_some(number)
    }
}

impl Printer {
    pub(super) fn format(&mut self, format: &[u8], values: &[Value]) {
        let mut cursor = Cursor {
            format,
            at: 0,
            operand: 0,
            operands: values.len(),
            reordered: false,
            good_index: true,
            after_index: false,
        };
        while cursor.at < format.len() && self.out.len() < self.room {
            let rest = &format[cursor.at..];
            let plain = rest.iter().position(|b| *b == b'%').unwrap_or(rest.len());
            self.push(&rest[..plain]);
            cursor.at += plain;
            if cursor.takes(b'%') {
                self.verb(&mut cursor, values);
            }
        }
        if !cursor.reordered && cursor.operand < values.len() {
            self.extra(&values[cursor.operand..]);
        }
    }

    fn verb(&mut self, cursor: &mut Cursor<'_>, values: &[Value]) {
        self.spec = Spec::default();
        cursor.good_index = true;
        self.flags(cursor);
        cursor.index();
        self.width(cursor, values);
        self.precision(cursor, values);
        if !cursor.after_index {
            cursor.index();
        }
        let Some(verb) = self.verb_char(cursor) else {
            return self.push(b"%!(NOVERB)");
        };
        if verb == '%' {
            return self.push(b"%");
        }
        if !cursor.good_index {
            return self.complain(verb, b"(BADINDEX)");
        }
        let Some(value) = values.get(cursor.operand) else {
            return self.complain(verb, b"(MISSING)");
        };
        if verb == 'v' {
            let Spec { sharp, plus, .. } = self.spec;
            self.spec = Spec { sharp: false, plus: false, sharp_v: sharp, plus_v: plus, ..self.spec };
        }
        self.value(value, verb);
        cursor.operand += 1;
    }

    fn verb_char(&self, cursor: &mut Cursor<'_>) -> Option<char> {
        let rest = &cursor.format[cursor.at.min(cursor.format.len())..];
        let chunk = rest.utf8_chunks().next()?;
        let (verb, len) = match chunk.valid().chars().next() {
            Some(verb) => (verb, verb.len_utf8()),
            None => (char::REPLACEMENT_CHARACTER, 1),
        };
        cursor.at += len;
        Some(verb)
    }

    fn flags(&mut self, cursor: &mut Cursor<'_>) {
        loop {
            match cursor.peek() {
                Some(b'#') => self.spec.sharp = true,
                Some(b'0') => self.spec.zero = true,
                Some(b'+') => self.spec.plus = true,
                Some(b'-') => self.spec.minus = true,
                Some(b' ') => self.spec.space = true,
                _ => return,
            }
            cursor.at += 1;
        }
    }

    fn width(&mut self, cursor: &mut Cursor<'_>, values: &[Value]) {
        if !cursor.takes(b'*') {
            self.spec.width = cursor.number();
            if cursor.after_index && self.spec.width.is_some() {
                cursor.good_index = false;
            }
            return;
        }
        cursor.after_index = false;
        let Some(width) = cursor.integer_operand(values) else {
            return self.push(b"%!(BADWIDTH)");
        };
        if width < 0 {
            self.spec.minus = true;
            self.spec.zero = false;
        }
        self.spec.width = Some(width.unsigned_abs() as usize);
    }

    fn precision(&mut self, cursor: &mut Cursor<'_>, values: &[Value]) {
        // A point at the very end is the verb.
        if cursor.peek() != Some(b'.') || cursor.at + 1 >= cursor.format.len() {
            return;
        }
        cursor.at += 1;
        if cursor.after_index {
            cursor.good_index = false;
        }
        cursor.index();
        if !cursor.takes(b'*') {
            self.spec.precision = Some(cursor.number().unwrap_or(0));
            return;
        }
        cursor.after_index = false;
        match cursor.integer_operand(values).and_then(|number| usize::try_from(number).ok()) {
            Some(precision) => self.spec.precision = Some(precision),
            None => self.push(b"%!(BADPREC)"),
        }
    }

    fn complain(&mut self, verb: char, what: &[u8]) {
        self.push(b"%!");
        self.push_char(verb);
        self.push(what);
    }

    fn extra(&mut self, values: &[Value]) {
        self.spec = Spec::default();
        self.push(b"%!(EXTRA ");
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                self.push(b", ");
            }
            if matches!(value, Value::Nil | Value::NilAny) {
                self.push(b"<nil>");
            } else {
                self.push(value.type_name().as_bytes());
                self.push(b"=");
                self.value(value, 'v');
            }
        }
        self.push(b")");
    }
}
