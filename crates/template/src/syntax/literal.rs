//! Constants: quoted text, characters, numbers.
//!
//! Facts: the Go specification, "Integer literals", "Floating-point literals", "String literals"; `strconv` refuses with
//! "invalid syntax" and no place.

use narthex_model::{parse_go_float, quote_go};

use super::ast::Number;

const BAD: &str = "invalid syntax";

/// What a quoted or raw string means; bytes, because `\xff` is one.
pub(super) fn unquote(quoted: &str) -> Result<Vec<u8>, String> {
    if let Some(raw) = quoted.strip_prefix('`') {
        return Ok(raw.trim_end_matches('`').replace('\r', "").into_bytes());
    }
    let mut rest = &quoted[1..quoted.len() - 1];
    let mut out = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let (piece, tail) = character(rest, '"')?;
        match piece {
            Piece::Byte(byte) => out.push(byte),
            Piece::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = tail;
    }
    Ok(out)
}

enum Piece {
    Char(char),
    Byte(u8),
}

/// Reads one character or escape sequence.
fn character(text: &str, quote: char) -> Result<(Piece, &str), String> {
    let mut chars = text.chars();
    let first = chars.next().ok_or(BAD)?;
    if first == quote {
        return Err(BAD.to_owned());
    }
    if first != '\\' {
        return Ok((Piece::Char(first), chars.as_str()));
    }
    let escape = chars.next().ok_or(BAD)?;
    let rest = chars.as_str();
    let simple = |c| Ok((Piece::Char(c), rest));
    match escape {
        'a' => simple('\x07'),
        'b' => simple('\x08'),
        'f' => simple('\x0c'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\x0b'),
        '\\' => simple('\\'),
        '\'' | '"' if escape == quote => simple(escape),
        'x' => coded(rest, 2, 16).map(|(code, tail)| (Piece::Byte(code as u8), tail)),
        'u' | 'U' => {
            let (code, tail) = coded(rest, if escape == 'u' { 4 } else { 8 }, 16)?;
            Ok((Piece::Char(char::from_u32(code).ok_or(BAD)?), tail))
        }
        '0'..='7' => {
            let (code, tail) = coded(&text[1..], 3, 8)?;
            Ok((Piece::Byte(u8::try_from(code).map_err(|_| BAD)?), tail))
        }
        _ => Err(BAD.to_owned()),
    }
}

fn coded(text: &str, digits: usize, base: u32) -> Result<(u32, &str), String> {
    let part =
        text.get(..digits).filter(|part| part.bytes().all(|b| b.is_ascii_alphanumeric())).ok_or(BAD)?;
    Ok((u32::from_str_radix(part, base).map_err(|_| BAD)?, &text[digits..]))
}

/// `'a'`, `'\n'`, `'\xff'`: an integer.
pub(super) fn character_constant(text: &str) -> Result<Number, String> {
    let (piece, tail) = character(&text[1..], '\'')?;
    if tail != "'" {
        return Err(format!("malformed character constant: {text}"));
    }
    let code = match piece {
        Piece::Char(c) => u32::from(c),
        Piece::Byte(byte) => u32::from(byte),
    };
    Ok(Number {
        text: text.to_owned(),
        int: Some(i64::from(code)),
        uint: Some(u64::from(code)),
        float: Some(f64::from(code)),
    })
}

/// A number; what it fits into is noted, so that an integral float may serve where an integer is wanted.
pub(super) fn number(text: &str) -> Result<Number, String> {
    if text.ends_with('i') {
        // Prometheus' functions take none, and nobody writes one: said plainly instead of carried through every function.
        return Err(format!("complex numbers are not supported: {}", quote_go(text)));
    }
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = unsigned(digits);
    let int = magnitude.and_then(|m| signed(m, negative));
    let uint = magnitude.filter(|_| digits.len() == text.len()).or(int.filter(|i| *i == 0).map(|_| 0));
    let mut number = Number { text: text.to_owned(), int, uint, float: None };
    if let Some(int) = int {
        number.float = Some(int as f64);
    } else if let Some(uint) = uint {
        number.float = Some(uint as f64);
    } else if let Some(float) = go_float(text).filter(|float| float.is_finite()) {
        if !text.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(format!("integer overflow: {}", quote_go(text)));
        }
        number.float = Some(float);
        number.int = integral(float, -9_223_372_036_854_775_808.0).then_some(float as i64);
        number.uint = (integral(float, 0.0)
            || (0.0..18_446_744_073_709_551_616.0).contains(&float) && float.fract() == 0.0)
            .then_some(float as u64);
    } else {
        return Err(format!("illegal number syntax: {}", quote_go(text)));
    }
    Ok(number)
}

fn integral(float: f64, least: f64) -> bool {
    float.fract() == 0.0 && (least..9_223_372_036_854_775_808.0).contains(&float)
}

fn signed(magnitude: u64, negative: bool) -> Option<i64> {
    if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Digits with Go's base prefixes; underscores only between digits.
fn unsigned(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    let prefixed = digits.len() < lower.len();
    let bad = digits.is_empty()
        || digits.ends_with('_')
        || digits.contains("__")
        || (!prefixed && digits.starts_with('_'));
    if bad || digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(&digits.replace('_', ""), base).ok()
}

/// A float as Go reads it, with underscores between digits; infinite when it is too large.
pub(crate) fn go_float(text: &str) -> Option<f64> {
    let mut before = 'x';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let between = before.is_ascii_hexdigit() || before == 'x' || before == 'X';
        if c == '_' && !(between && chars.peek().is_some_and(char::is_ascii_hexdigit)) {
            return None;
        }
        before = c;
    }
    parse_go_float(&text.replace('_', ""))
}
