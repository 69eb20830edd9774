//! Backslash sequences that name one character or one Unicode class.

use regex_syntax::hir::ClassUnicode;

use super::RegexError;
use super::class;
use super::syntax::{before, error};

const MAX_CODE_POINT: u32 = 0x10_ffff;

/// Reads the sequence that `text` begins with: the code point (perhaps a surrogate) and what follows.
pub(super) fn code_point(text: &str) -> Result<(u32, &str), RegexError> {
    let mut chars = text[1..].chars();
    let Some(c) = chars.next() else {
        return Err(error("trailing backslash at end of expression", ""));
    };
    let rest = chars.as_str();
    let plain = match c {
        'a' => 0x07,
        'f' => 0x0c,
        'n' => 0x0a,
        'r' => 0x0d,
        't' => 0x09,
        'v' => 0x0b,
        'x' => return hexadecimal(text, rest),
        '0' => return Ok(octal(&text[1..])),
        // A single digit would be a reference back to a group, which is not supported.
        '1'..='7' if rest.starts_with(|d| ('0'..='7').contains(&d)) => return Ok(octal(&text[1..])),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
        _ => return Err(error("invalid escape sequence", before(text, rest))),
    };
    Ok((plain, rest))
}

/// Up to three octal digits.
fn octal(digits: &str) -> (u32, &str) {
    let len = digits.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
    let (number, rest) = digits.split_at(len);
    (number.bytes().fold(0, |n, b| n * 8 + u32::from(b - b'0')), rest)
}

/// `\x7F` or `\x{10FFFF}`; `rest` is what follows the `x`.
fn hexadecimal<'t>(text: &'t str, rest: &'t str) -> Result<(u32, &'t str), RegexError> {
    let mut chars = rest.chars();
    let bad = |rest: &str| error("invalid escape sequence", before(text, rest));
    if rest.starts_with('{') {
        chars.next();
        let (mut code, mut digits) = (0, 0);
        loop {
            match chars.next() {
                Some('}') if digits > 0 => return Ok((code, chars.as_str())),
                Some(c) => match c.to_digit(16) {
                    Some(digit) if code * 16 + digit <= MAX_CODE_POINT => {
                        (code, digits) = (code * 16 + digit, digits + 1);
                    }
                    _ => return Err(bad(chars.as_str())),
                },
                None => return Err(bad("")),
            }
        }
    }
    // Both characters are read before either is judged, and the error shows both.
    let (high, low) = (chars.next(), chars.next());
    match (high.and_then(|c| c.to_digit(16)), low.and_then(|c| c.to_digit(16))) {
        (Some(high), Some(low)) => Ok((high * 16 + low, chars.as_str())),
        _ => Err(bad(chars.as_str())),
    }
}

/// Reads `\pL`, `\p{Name}`, `\P…` or `\p{^Name}`: the class, whether it is negated, and what follows.
pub(super) fn unicode_class(text: &str) -> Result<(ClassUnicode, bool, &str), RegexError> {
    let body = &text[2..];
    let (name, rest) = match body.strip_prefix('{') {
        Some(braced) => braced.split_once('}').ok_or_else(|| error("invalid character class range", text))?,
        None => body.split_at(body.chars().next().map_or(0, char::len_utf8)),
    };
    let upper = text[1..].starts_with('P');
    let (plain, caret) = name.strip_prefix('^').map_or((name, false), |n| (n, true));
    let class =
        class::unicode(plain).ok_or_else(|| error("invalid character class range", before(text, rest)))?;
    Ok((class, upper != caret, rest))
}
