//! Durations as Prometheus writes them: `1h30m`, `90s`, `5ms`; units from large to small, each at most once.
//!
//! Facts: `common/model` documentation of `Duration`. `y` is 365 days, `w` 7 days, `d` 24 hours. `0` needs no unit.

use crate::value::quote_go;

/// Why a text is not a duration. The texts are Prometheus' own, users match on them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No text at all.
    #[error("empty duration string")]
    Empty,
    /// The text has another form.
    #[error("not a valid duration string: {}", quote_go(.0))]
    Invalid(String),
    /// The letters after a number are no unit.
    #[error("unknown unit {} in duration {}", quote_go(.unit), quote_go(.text))]
    UnknownUnit {
        /// The letters.
        unit: String,
        /// The whole duration.
        text: String,
    },
    /// More than Go's 292 years.
    #[error("duration out of range")]
    OutOfRange,
}

/// Units from large to small: name, milliseconds, and whether the writer uses it only when it divides the rest exactly.
const UNITS: [(&str, i64, bool); 7] = [
    ("y", 365 * 24 * 3_600_000, true),
    ("w", 7 * 24 * 3_600_000, true),
    ("d", 24 * 3_600_000, false),
    ("h", 3_600_000, false),
    ("m", 60_000, false),
    ("s", 1_000, false),
    ("ms", 1, false),
];

/// Go keeps durations in nanoseconds of an `i64`; this is the most whole milliseconds that fit.
const MAX_MS: i64 = i64::MAX / 1_000_000;

/// Reads a duration; the result is in milliseconds and never negative.
///
/// # Errors
/// See [`DurationError`].
pub fn parse_duration_ms(text: &str) -> Result<i64, DurationError> {
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(0),
        _ => {}
    }
    let invalid = || DurationError::Invalid(text.to_owned());
    let mut rest = text;
    let mut next_unit = 0;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let (digits, after) = split_where(rest, |b| !b.is_ascii_digit());
        let (unit, tail) = split_where(after, |b| b.is_ascii_digit());
        let count: u64 = digits.parse().map_err(|_| invalid())?;
        if unit.is_empty() {
            return Err(invalid());
        }
        let at = UNITS
            .iter()
            .position(|(name, ..)| *name == unit)
            .ok_or_else(|| DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() })?;
        if at < next_unit {
            return Err(invalid());
        }
        let count = i64::try_from(count).map_err(|_| DurationError::OutOfRange)?;
        let part = count.checked_mul(UNITS[at].1).ok_or(DurationError::OutOfRange)?;
        total = total.checked_add(part).filter(|t| *t <= MAX_MS).ok_or(DurationError::OutOfRange)?;
        next_unit = at + 1;
        rest = tail;
    }
    Ok(total)
}

fn split_where(text: &str, ends: impl Fn(u8) -> bool) -> (&str, &str) {
    text.split_at(text.bytes().position(ends).unwrap_or(text.len()))
}

/// Writes a duration the way Prometheus prints it: `90s` is `1m30s`, a week is `1w`, zero is `0s`.
#[must_use]
pub fn format_duration_ms(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    if ms < 0 {
        out.push('-');
    }
    let mut rest = ms.unsigned_abs();
    for (name, unit_ms, exact) in UNITS {
        let unit_ms = unit_ms.unsigned_abs();
        if exact && !rest.is_multiple_of(unit_ms) {
            continue;
        }
        if rest >= unit_ms {
            out.push_str(&(rest / unit_ms).to_string());
            out.push_str(name);
            rest %= unit_ms;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<i64, &str>) {
        assert_eq!(parse_duration_ms(text).map_err(|e| e.to_string()), expected.map_err(str::to_owned));
    }

    #[test]
    fn units_go_from_large_to_small() {
        check("1m30s", Ok(90_000));
        check("0", Ok(0));
        check("0s", Ok(0));
        check("1y2w3d4h5m6s7ms", Ok(((365 + 14 + 3) * 24 * 3600 + 4 * 3600 + 5 * 60 + 6) * 1000 + 7));
        check("30s1m", Err(r#"not a valid duration string: "30s1m""#));
        check("1", Err(r#"not a valid duration string: "1""#));
        check("", Err("empty duration string"));
        check("1.5s", Err(r#"unknown unit "." in duration "1.5s""#));
        check("300y", Err("duration out of range"));
        check("9999999999999999999s", Err("duration out of range"));
        check("99999999999999999999s", Err(r#"not a valid duration string: "99999999999999999999s""#));
        check("5y1hs", Err(r#"unknown unit "hs" in duration "5y1hs""#));
        check("1x", Err(r#"unknown unit "x" in duration "1x""#));
        check("s", Err(r#"not a valid duration string: "s""#));
    }

    #[test]
    fn printing_uses_weeks_and_years_only_when_exact() {
        for (ms, text) in [
            (0, "0s"),
            (90_000, "1m30s"),
            (604_800_000, "1w"),
            (129_600_000, "1d12h"),
            (5, "5ms"),
            (90_061_001, "1d1h1m1s1ms"),
        ] {
            assert_eq!(format_duration_ms(ms), text);
        }
    }
}
