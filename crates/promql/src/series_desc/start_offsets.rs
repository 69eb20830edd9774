//! The values of a line `series@st …`: how far before (or after) each sample's time its start timestamp lies.

use narthex_model::{parse_duration_ms, quote_go};

use super::MAX_VALUES;

/// Reads items separated by blanks: `_`, `_xN` (N gaps), `-30s`, `-30sxN` (N + 1 times), `-1m+10sxN` and `-1m-10sxN` (N + 1 items,
/// growing or shrinking). Gives milliseconds to add to the sample's time, `None` for a gap.
///
/// # Errors
/// The first item that is malformed, in Prometheus' words.
pub fn parse_start_offsets(text: &str) -> Result<Vec<Option<i64>>, String> {
    let mut offsets = Vec::new();
    for item in text.split_whitespace() {
        let run =
            parse_item(item).map_err(|reason| format!("invalid ST item {}: {reason}", quote_go(item)))?;
        if run.count > MAX_VALUES - offsets.len() {
            return Err(format!("series has more than {MAX_VALUES} values"));
        }
        let mut offset = run.first;
        for _ in 0..run.count {
            offsets.push(offset);
            offset = offset.map(|ms| ms.wrapping_add(run.step));
        }
    }
    Ok(offsets)
}

struct Run {
    /// `None` for gaps.
    first: Option<i64>,
    step: i64,
    count: usize,
}

fn parse_item(item: &str) -> Result<Run, String> {
    let invalid_count = || "invalid repeat count".to_owned();
    if let Some(rest) = item.strip_prefix('_') {
        let count = match rest.strip_prefix('x') {
            None if rest.is_empty() => 1,
            Some(n) => n.parse().ok().filter(|n| *n > 0).ok_or_else(invalid_count)?,
            None => return Err(format!("expected digits in duration {}", quote_go(item))),
        };
        return Ok(Run { first: None, step: 0, count });
    }
    let (first, rest) = take_duration(item)?;
    let (step, rest) = match rest.as_bytes().first() {
        None => return Ok(Run { first: Some(first), step: 0, count: 1 }),
        Some(b'x') => (0, rest),
        Some(sign @ (b'+' | b'-')) => {
            let (step, rest) =
                take_duration(&rest[1..]).map_err(|reason| format!("invalid step duration: {reason}"))?;
            (if *sign == b'-' { -step } else { step }, rest)
        }
        Some(_) => return Err(format!("unexpected character after duration: {}", quote_go(rest))),
    };
    let times = rest.strip_prefix('x').ok_or("expected 'x<count>' after step duration")?;
    let times: usize = times.parse().map_err(|_| invalid_count())?;
    Ok(Run { first: Some(first), step, count: times.saturating_add(1) })
}

/// A duration with or without a sign in front of `text`, in milliseconds, and what follows it.
fn take_duration(text: &str) -> Result<(i64, &str), String> {
    if text.is_empty() {
        return Err("empty duration".to_owned());
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err(format!("expected digits in duration {}", quote_go(text)));
    }
    let unit = unsigned[digits..].bytes().take_while(|b| b.is_ascii_alphabetic() && *b != b'x').count();
    let (duration, rest) = unsigned.split_at(digits + unit);
    let ms = parse_duration_ms(duration)
        .map_err(|reason| format!("invalid duration {}: {reason}", quote_go(duration)))?;
    Ok((if text.starts_with('-') { -ms } else { ms }, rest))
}
