//! The little JSON that the two log files need.

use std::fmt::Write as _;

/// Appends a string with its quotes. `html` escapes what Go's encoder escapes unless told otherwise.
pub(super) fn push_string(out: &mut String, text: &str, html: bool) {
    out.push('"');
    for c in text.chars() {
        push_char(out, c, html);
    }
    out.push('"');
}

/// Appends one character of a string.
pub(super) fn push_char(out: &mut String, c: char, html: bool) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if (c as u32) < 0x20
            || matches!(c, '\u{2028}' | '\u{2029}')
            || (html && matches!(c, '<' | '>' | '&')) =>
        {
            write!(out, "\\u{:04x}", c as u32).expect("writing to a string cannot fail");
        }
        c => out.push(c),
    }
}
