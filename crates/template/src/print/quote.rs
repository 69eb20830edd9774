//! Quoted texts and characters, and lengths in characters.
//!
//! Facts: the documentation of Go's `strconv`: a byte that is not UTF-8 is written as `\xff`.

use narthex_model::{quote_go, quote_go_bytes};

/// How many characters; a byte that is not UTF-8 is one.
pub(super) fn chars(bytes: &[u8]) -> usize {
    bytes.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum()
}

/// The first `most` characters.
pub(super) fn first_chars(bytes: &[u8], most: Option<usize>) -> &[u8] {
    let Some(mut left) = most else { return bytes };
    let mut end = 0;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if left == 0 {
                return &bytes[..end];
            }
            left -= 1;
            end += c.len_utf8();
        }
        let taken = chunk.invalid().len().min(left);
        (left, end) = (left - taken, end + taken);
    }
    &bytes[..end]
}

/// Double-quoted; `ascii` escapes all else.
pub(super) fn quote(bytes: &[u8], ascii: bool) -> String {
    let quoted = quote_go_bytes(bytes);
    if ascii { to_ascii(&quoted) } else { quoted }
}

/// `'x'`
pub(super) fn quote_char(c: char, ascii: bool) -> String {
    let body = match c {
        '\'' => "\\'".to_owned(),
        '"' => "\"".to_owned(),
        other => {
            let quoted = quote_go(&other.to_string());
            quoted[1..quoted.len() - 1].to_owned()
        }
    };
    let quoted = format!("'{body}'");
    if ascii { to_ascii(&quoted) } else { quoted }
}

fn to_ascii(quoted: &str) -> String {
    let escape = |c: char| match u32::from(c) {
        0..0x80 => c.to_string(),
        code @ 0x80..0x10000 => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    };
    quoted.chars().map(escape).collect()
}

/// Whether a text can stand between backquotes on one line.
pub(super) fn can_backquote(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        text.chars().all(|c| c == '\t' || (c >= ' ' && !matches!(c, '`' | '\x7f' | '\u{feff}')))
    })
}
