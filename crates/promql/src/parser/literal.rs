//! What the text of a number, a duration or a string token means.
//!
//! Facts: Go's `strconv.ParseInt` with base 0 and `ParseFloat`, tried in this order; Prometheus' `strutil.Unquote`.

use narthex_model::quote_go;

/// The value of a number token: decimal with optional fraction and exponent, hexadecimal (`0x`), octal (leading `0`),
/// `Inf`, `NaN`; `_` may stand between digits.
///
/// # Errors
/// The message that Go's `ParseFloat` gives.
pub(crate) fn parse_number(text: &str) -> Result<f64, String> {
    if let Some(value) = parse_simple(text).or_else(|| parse_integer(text)) {
        return Ok(value);
    }
    let syntax = || format!("strconv.ParseFloat: parsing {}: invalid syntax", quote_go(text));
    if text.eq_ignore_ascii_case("inf") {
        return Ok(f64::INFINITY);
    }
    if text.eq_ignore_ascii_case("nan") {
        return Ok(f64::NAN);
    }
    if !underscores_separate_digits(text) {
        return Err(syntax());
    }
    let value: f64 = text.replace('_', "").parse().map_err(|_| syntax())?;
    if value.is_infinite() {
        return Err(format!("strconv.ParseFloat: parsing {}: value out of range", quote_go(text)));
    }
    Ok(value)
}

/// The usual case: up to fifteen decimal digits without leading zero.
fn parse_simple(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let simple = matches!(bytes, [b'0'] | [b'1'..=b'9', ..])
        && bytes.len() <= 15
        && bytes.iter().all(u8::is_ascii_digit);
    simple.then(|| bytes.iter().fold(0.0, |value, b| value * 10.0 + f64::from(b - b'0')))
}

fn parse_integer(text: &str) -> Option<f64> {
    if !underscores_separate_digits(text) {
        return None;
    }
    let digits = text.replace('_', "");
    let value = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => i64::from_str_radix(&digits[2..], 16),
        [b'0', _, ..] => i64::from_str_radix(&digits[1..], 8),
        _ => digits.parse(),
    };
    value.ok().map(|v| v as f64)
}

/// Each `_` needs a digit (or the prefix `0x`) before it and a digit behind it.
fn underscores_separate_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex = text.starts_with("0x") || text.starts_with("0X");
    let is_digit = |b: u8| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
    bytes.iter().enumerate().filter(|(_, b)| **b == b'_').all(|(at, _)| {
        let before = at > 0 && (is_digit(bytes[at - 1]) || (hex && at == 2));
        before && bytes.get(at + 1).is_some_and(|b| is_digit(*b))
    })
}

/// The text of a string token: quotes removed, escapes resolved. The lexer checked the escapes. Where escapes make
/// bytes that are not UTF-8 stands U+FFFD.
pub(crate) fn unquote(token: &str) -> String {
    unquote_bytes(token).0
}

/// As [`unquote`], and the bytes as they were meant when they are not UTF-8.
pub(crate) fn unquote_bytes(token: &str) -> (String, Option<Box<[u8]>>) {
    let inner = &token[1..token.len() - 1];
    if token.starts_with('`') || !inner.contains('\\') {
        return (inner.to_owned(), None);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let taken = push_escape(&mut out, &rest[at + 1..]);
        rest = &rest[at + 1 + taken..];
    }
    out.extend_from_slice(rest.as_bytes());
    match String::from_utf8(out) {
        Ok(text) => (text, None),
        Err(error) => {
            let bytes = error.into_bytes();
            (String::from_utf8_lossy(&bytes).into_owned(), Some(bytes.into()))
        }
    }
}

/// Appends what the escape means whose text after the backslash begins with `escape`; returns how many bytes it takes.
fn push_escape(out: &mut Vec<u8>, escape: &str) -> usize {
    let number = |from: usize, to: usize, radix| {
        u32::from_str_radix(&escape[from..to], radix).expect("the lexer checked the digits")
    };
    let code_point = |out: &mut Vec<u8>, code: u32| {
        let c = char::from_u32(code).expect("the lexer checked the code point");
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    };
    match escape.as_bytes()[0] {
        b'a' => out.push(0x07),
        b'b' => out.push(0x08),
        b'f' => out.push(0x0c),
        b'n' => out.push(b'\n'),
        b'r' => out.push(b'\r'),
        b't' => out.push(b'\t'),
        b'v' => out.push(0x0b),
        b'0'..=b'7' => {
            out.push(number(0, 3, 8) as u8);
            return 3;
        }
        b'x' => {
            out.push(number(1, 3, 16) as u8);
            return 3;
        }
        b'u' => {
            code_point(out, number(1, 5, 16));
            return 5;
        }
        b'U' => {
            code_point(out, number(1, 9, 16));
            return 9;
        }
        quote => out.push(quote),
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: f64) {
        assert_eq!(parse_number(text), Ok(expected), "{text}");
    }

    #[test]
    fn numbers_have_gos_value() {
        check("0", 0.0);
        check("15", 15.0);
        check("0755", 493.0);
        check("089", 89.0);
        check("0x1F", 31.0);
        check("0X_1f", 31.0);
        check("1_000", 1000.0);
        check("1_0.2_5e1_0", 10.25e10);
        check("007.5", 7.5);
        check(".5", 0.5);
        check("3.", 3.0);
        check("inF", f64::INFINITY);
        check("9007199254740993", 9_007_199_254_740_992.0);
        check("99999999999999999999", 1e20);
        check("1e-400", 0.0);
        assert!(parse_number("nan").is_ok_and(f64::is_nan));
    }

    #[test]
    fn malformed_numbers_have_gos_error() {
        for (text, reason) in [
            ("", "invalid syntax"),
            ("1_", "invalid syntax"),
            (".5.", "invalid syntax"),
            ("1e999", "value out of range"),
            ("0xffffffffffffffff", "invalid syntax"),
        ] {
            assert_eq!(parse_number(text), Err(format!("strconv.ParseFloat: parsing \"{text}\": {reason}")));
        }
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(unquote(r#""a\n\t\"\\""#), "a\n\t\"\\");
        assert_eq!(unquote(r"'\x41\102\u0043\U00000044\''"), "ABCD'");
        assert_eq!(unquote(r#""\xe2\x98\xba""#), "☺");
        assert_eq!(unquote(r"`\n`"), "\\n");
        assert_eq!(unquote(r#""\xff""#), "\u{fffd}");
        assert_eq!(unquote_bytes(r#""a\xff""#).1.as_deref(), Some(&b"a\xff"[..]));
    }
}
