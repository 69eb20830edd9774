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
    let end = value_at + width;
    // PERF: built where it is returned; one that is filled in later is written and read in pieces, which stalls.
    // Bench `ingest`, text steady: 42 instead of 50 ns.
    let series = |t_ms, exemplar| Series { raw: &rest[..raw_len], as_hinted, value, t_ms, exemplar };
    match (dialect, rest.get(end)) {
        (_, Some(b'\n')) | (Dialect::Text, None) => Some((series(None, None), start + end + 1)),
        (Dialect::Text, Some(b' ' | b'\t')) => {
            let (t_ms, width) = milliseconds(&rest[end + 1..])?;
            Some((series(Some(t_ms), None), start + end + 1 + width))
        }
        (Dialect::OpenMetrics, Some(b' ')) => {
            let Extra { t_ms, exemplar, width } = seconds_and_exemplar(&rest[end..])?;
            Some((series(t_ms, exemplar), start + end + width))
        }
        _ => None,
    }
}

/// What a plain metadata line says, before anybody looks at the text.
pub(super) struct Meta<'b> {
    /// The letter after `# `: `H`, `T` or `U`.
    pub(super) word: u8,
    pub(super) name: &'b str,
    pub(super) text: &'b str,
}

/// Reads the metadata line that begins at `start`: one blank between its parts, a plain name, and some text. Returns it and
/// where the next line begins.
#[inline]
pub(super) fn metadata(body: &[u8], start: usize, dialect: Dialect) -> Option<(Meta<'_>, usize)> {
    let rest = &body[start..];
    let word = match rest.get(..7)? {
        b"# HELP " => b'H',
        b"# TYPE " => b'T',
        b"# UNIT " if dialect == Dialect::OpenMetrics => b'U',
        _ => return None,
    };
    if !is_name_start(*rest.get(7)?, NameKind::Metric) {
        return None;
    }
    let name_end = 7 + name_len(rest, 7, NameKind::Metric);
    let end = name_end + 1 + line_len(rest.get(name_end + 1..)?);
    // Without text, or with more blanks before it, the two formats differ; and OpenMetrics insists on the line break.
    let plain = rest[name_end] == b' ' && !matches!(rest.get(name_end + 1)?, b' ' | b'\t' | b'\n');
    if !plain || (end == rest.len() && dialect == Dialect::OpenMetrics) {
        return None;
    }
    let name = std::str::from_utf8(&rest[7..name_end]).ok()?;
    let text = std::str::from_utf8(&rest[name_end + 1..end]).ok()?;
    Some((Meta { word, name, text }, start + end + 1))
}

/// How many bytes stand before the line break.
#[inline]
fn line_len(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = text.get(at..at + 8) {
        let others = word(chunk) ^ (ONES * u64::from(b'\n'));
        let marks = others.wrapping_sub(ONES) & !others & HIGH;
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + text[at..].iter().take_while(|b| **b != b'\n').count()
}

/// Whether `rest` begins with the hint and the hint is complete there: it ends with a brace, or a blank follows.
#[inline]
fn is_hint(rest: &[u8], hint: &[u8]) -> bool {
    if hint.is_empty() || !rest.starts_with(hint) {
        return false;
    }
    hint[hint.len() - 1] == b'}' || rest.get(hint.len()).is_some_and(|b| *b == b' ')
}

/// Which bytes a name may have behind its first one.
#[derive(Clone, Copy, PartialEq)]
enum NameKind {
    Metric,
    Label,
}

#[inline]
fn is_name_start(b: u8, kind: NameKind) -> bool {
    b.is_ascii_alphabetic() || b == b'_' || (b == b':' && kind == NameKind::Metric)
}

/// How many bytes of a name stand at `at`.
#[inline]
fn name_len(line: &[u8], start: usize, kind: NameKind) -> usize {
    let mut at = start;
    while let Some(chunk) = line.get(at..at + 8) {
        let others = !name_bytes(word(chunk), kind) & HIGH;
        if others != 0 {
            return at - start + (others.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let is_name = |b: &&u8| is_name_start(**b, kind) || b.is_ascii_digit();
    at - start + line[at..].iter().take_while(is_name).count()
}

/// A mark in each byte of `word` that is a letter, a digit, an underscore, or a colon of a metric name.
#[inline]
fn name_bytes(word: u64, kind: NameKind) -> u64 {
    // With the high bit set, a byte can be taken from without borrowing from its neighbour; the bit stays if it was not less.
    let not_below = |word: u64, low: u8| (word | HIGH).wrapping_sub(ONES * u64::from(low));
    let lower = word | (ONES * 0x20);
    let letter = not_below(lower, b'a') & !not_below(lower, b'z' + 1);
    let digit_end = if kind == NameKind::Metric { b':' + 1 } else { b'9' + 1 };
    let digit = not_below(word, b'0') & !not_below(word, digit_end);
    let underscore = word ^ (ONES * u64::from(b'_'));
    let underscore = !(((underscore & !HIGH).wrapping_add(!HIGH)) | underscore);
    (letter | digit | underscore) & !word & HIGH
}

#[inline]
fn word(chunk: &[u8]) -> u64 {
    u64::from_le_bytes(chunk.try_into().expect("the slice has eight bytes"))
}

/// The length of `name` or `name{label="value",…}`.
#[inline]
fn name_and_labels(line: &[u8], dialect: Dialect) -> Option<usize> {
    if !is_name_start(*line.first()?, NameKind::Metric) {
        return None;
    }
    let name = name_len(line, 0, NameKind::Metric);
    if line.get(name) == Some(&b'{') { labels(line, name + 1, dialect == Dialect::Text) } else { Some(name) }
}

/// Calls `each` with the name as `(None, name)` and the labels as `(Some(name), value)`, still escaped, when `raw` has the
/// common shape; returns whether it has. When not, nothing was called.
#[inline]
pub(super) fn walk<'b>(
    raw: &'b [u8],
    blanks: bool,
    each: &mut impl FnMut(Option<&'b [u8]>, &'b [u8]),
) -> bool {
    let name = name_len(raw, 0, NameKind::Metric);
    let end = raw.len();
    if name == end {
        each(None, raw);
        return true;
    }
    // Look at everything first, so that nothing is given twice.
    if name == 0 || raw[name] != b'{' || labels(raw, name + 1, blanks) != Some(end) {
        return false;
    }
    each(None, &raw[..name]);
    let mut at = name + 1;
    while at < end && raw[at] != b'}' {
        let equal = at + name_len(raw, at, NameKind::Label);
        let Some(behind) = value_end(raw, equal + 2) else { return false };
        each(Some(&raw[at..equal]), &raw[equal + 2..behind - 1]);
        at = behind;
        while at < end && (raw[at] == b',' || (blanks && raw[at] == b' ')) {
            at += 1;
        }
    }
    true
}

/// The end of labels whose `{` stands before `at`, behind their `}`.
#[inline]
fn labels(line: &[u8], mut at: usize, blanks: bool) -> Option<usize> {
    loop {
        let c = *line.get(at)?;
        if c == b'}' {
            return Some(at + 1);
        }
        if !is_name_start(c, NameKind::Label) {
            return None;
        }
        at += name_len(line, at, NameKind::Label);
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
            let marks = candidates(word(chunk));
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
    let value = number::long_decimal(&text[..width]).or_else(|| number::float(&text[..width]).ok());
    Some((value?, width))
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

/// What follows an OpenMetrics value, from the blank on.
struct Extra<'b> {
    t_ms: Option<i64>,
    exemplar: Option<RawExemplar<'b>>,
    /// Up to and with the line break.
    width: usize,
}

fn seconds_and_exemplar(text: &[u8]) -> Option<Extra<'_>> {
    let (mut at, mut t_ms) = (1, None);
    if text.get(at) != Some(&b'#') {
        let (found, width) = seconds(&text[at..])?;
        t_ms = Some(found);
        at += width;
        match text.get(at)? {
            b'\n' => return Some(Extra { t_ms, exemplar: None, width: at + 1 }),
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
    let exemplar = Some(exemplar);
    (text.get(at) == Some(&b'\n')).then_some(Extra { t_ms, exemplar, width: at + 1 })
}

/// Seconds as milliseconds, and their width.
fn seconds(text: &[u8]) -> Option<(i64, usize)> {
    let (seconds, width) = value(text)?;
    seconds.is_finite().then(|| (number::seconds_to_ms(seconds), width))
}
