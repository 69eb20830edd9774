//! The common line, read in one pass over its bytes: name, labels, value, perhaps a timestamp or an exemplar.
//!
//! Always true: what this accepts, the grammar accepts with the same result; whatever looks odd is left to the grammar.
//! The body has no zero bytes (the caller looked). PERF: bench `parse`.

use super::{Dialect, number};
use crate::{RawExemplar, Series};

/// Reads the line that begins at `start`. Returns the series and where the next line begins, or `None` to leave the line to
/// the grammar. `hint`: name and labels that may stand here again, as accepted before from a body of the same dialect.
#[inline]
pub(super) fn series<'b>(
    body: &'b [u8],
    start: usize,
    dialect: Dialect,
    hint: &[u8],
) -> Option<(Series<'b>, usize)> {
    let rest = &body[start..];
    // The lines of a target rarely change but for their values: comparing is much cheaper than reading.
    let as_hinted = is_hint(rest, hint);
    let raw_len = if as_hinted { hint.len() } else { name_and_labels(rest, dialect)? };
    let value_at = match (dialect, rest.get(raw_len)?) {
        (Dialect::Text, b' ' | b'\t') => raw_len + 1,
        // A brace needs no blank behind it in the text format.
        (Dialect::Text, _) if rest[raw_len - 1] == b'}' => raw_len,
        (Dialect::OpenMetrics, b' ') => raw_len + 1,
        _ => return None,
    };
    let (value, width) = value(&rest[value_at..])?;
    let mut series = Series { raw: &rest[..raw_len], as_hinted, value, t_ms: None, exemplar: None };
    let end = value_at + width;
    match (dialect, rest.get(end)) {
        (_, Some(b'\n')) => Some((series, start + end + 1)),
        (Dialect::Text, None) => Some((series, start + end + 1)),
        (Dialect::Text, Some(b' ' | b'\t')) => {
            let (t_ms, width) = milliseconds(&rest[end + 1..])?;
            series.t_ms = Some(t_ms);
            Some((series, start + end + 1 + width))
        }
        (Dialect::OpenMetrics, Some(b' ')) => {
            let width = seconds_and_exemplar(&rest[end..], &mut series)?;
            Some((series, start + end + width))
        }
        _ => None,
    }
}

/// Whether `rest` begins with the hint and the hint is complete there: it ends with a brace, or a blank follows.
#[inline]
fn is_hint(rest: &[u8], hint: &[u8]) -> bool {
    if hint.is_empty() || !rest.starts_with(hint) {
        return false;
    }
    hint[hint.len() - 1] == b'}' || rest.get(hint.len()).is_some_and(|b| *b == b' ')
}

/// Bytes of a metric name: 1 for letters and `_`, 2 for digits, 4 for `:`.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        class[i] = if b.is_ascii_alphabetic() || b == b'_' {
            1
        } else if b.is_ascii_digit() {
            2
        } else if b == b':' {
            4
        } else {
            0
        };
        i += 1;
    }
    class
};

/// How many bytes at the start of `text` are in one of the classes.
#[inline]
fn run(text: &[u8], classes: u8) -> usize {
    text.iter().position(|b| CLASS[usize::from(*b)] & classes == 0).unwrap_or(text.len())
}

/// The length of `name` or `name{label="value",…}`.
#[inline]
fn name_and_labels(line: &[u8], dialect: Dialect) -> Option<usize> {
    if CLASS[usize::from(*line.first()?)] & 5 == 0 {
        return None;
    }
    let name = run(line, 7);
    if line.get(name) == Some(&b'{') { labels(line, name + 1, dialect == Dialect::Text) } else { Some(name) }
}

/// The end of labels whose `{` stands before `at`, behind their `}`.
#[inline]
fn labels(line: &[u8], mut at: usize, blanks: bool) -> Option<usize> {
    loop {
        let c = *line.get(at)?;
        if c == b'}' {
            return Some(at + 1);
        }
        if CLASS[usize::from(c)] != 1 {
            return None;
        }
        at += run(&line[at..], 3);
        if line.get(at) != Some(&b'=') || line.get(at + 1) != Some(&b'"') {
            return None;
        }
        at = value_end(line, at + 2)?;
        match line.get(at)? {
            b',' => at += 1,
            b'}' => return Some(at + 1),
            _ => return None,
        }
        while blanks && line.get(at) == Some(&b' ') {
            at += 1;
        }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// A mark in each byte of `word` that is below `"` + 1 or a backslash: candidates for an end, never missing one.
#[inline]
fn candidates(word: u64) -> u64 {
    let backslash = word ^ (ONES * b'\\' as u64);
    let zero = backslash.wrapping_sub(ONES) & !backslash;
    // Bytes below `#`: the quote, line breaks, blanks and `!`. Bytes of UTF-8 text are above.
    let low = word.wrapping_sub(ONES * b'#' as u64) & !word;
    (zero | low) & HIGH
}

/// The place behind the quote that ends the value beginning at `at`.
#[inline]
fn value_end(line: &[u8], mut at: usize) -> Option<usize> {
    loop {
        while let Some(chunk) = line.get(at..at + 8) {
            let word = u64::from_le_bytes(chunk.try_into().expect("the slice has eight bytes"));
            let marks = candidates(word);
            if marks != 0 {
                at += (marks.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        match *line.get(at)? {
            b'"' => return Some(at + 1),
            b'\n' => return None,
            b'\\' => match line.get(at + 1)? {
                b'\n' => return None,
                _ => at += 2,
            },
            _ => at += 1,
        }
    }
}

/// A number and its width; it ends before a blank or a line break, or at the end.
#[inline]
fn value(text: &[u8]) -> Option<(f64, usize)> {
    if let Some((value, width)) = number::short_decimal(text)
        && matches!(text.get(width), Some(b'\n' | b' ' | b'\t') | None)
    {
        return Some((value, width));
    }
    let width = text.iter().position(|b| matches!(b, b'\n' | b' ' | b'\t' | b'{')).unwrap_or(text.len());
    if text.get(width) == Some(&b'{') {
        return None;
    }
    Some((number::float(&text[..width]).ok()?, width))
}

/// A timestamp of the text format and the line break: the milliseconds and the width of both.
fn milliseconds(text: &[u8]) -> Option<(i64, usize)> {
    let width = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    if width == 0 || width > 18 || !matches!(text.get(width), Some(b'\n') | None) {
        return None;
    }
    let number = text[..width].iter().fold(0i64, |n, b| n * 10 + i64::from(b - b'0'));
    Some((number, width + 1))
}

/// What follows an OpenMetrics value, from the blank on; returns the width up to and with the line break.
fn seconds_and_exemplar<'b>(text: &'b [u8], series: &mut Series<'b>) -> Option<usize> {
    let mut at = 1;
    if text.get(at) != Some(&b'#') {
        let (t_ms, width) = seconds(&text[at..])?;
        series.t_ms = Some(t_ms);
        at += width;
        match text.get(at)? {
            b'\n' => return Some(at + 1),
            b' ' => at += 1,
            _ => return None,
        }
    }
    if !text[at..].starts_with(b"# {") {
        return None;
    }
    let open = at + 2;
    let end = labels(text, open + 1, false)?;
    if text.get(end) != Some(&b' ') {
        return None;
    }
    let (value, width) = value(&text[end + 1..])?;
    let mut exemplar = RawExemplar { raw: &text[open..end], value, t_ms: None };
    at = end + 1 + width;
    if text.get(at) == Some(&b' ') {
        let (t_ms, width) = seconds(&text[at + 1..])?;
        exemplar.t_ms = Some(t_ms);
        at += 1 + width;
    }
    series.exemplar = Some(exemplar);
    (text.get(at) == Some(&b'\n')).then_some(at + 1)
}

/// Seconds as milliseconds, and their width.
fn seconds(text: &[u8]) -> Option<(i64, usize)> {
    let (seconds, width) = value(text)?;
    seconds.is_finite().then(|| (number::seconds_to_ms(seconds), width))
}
