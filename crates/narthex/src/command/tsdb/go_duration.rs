//! Durations as Go's `time.Duration` writes and reads them: `4h35m0s`, `1.5h`, `35.2ms`.

/// Units from large to small, in ns.
const UNITS: [(&str, i64); 8] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ns", 1),
];

/// Reads a duration, in ns.
///
/// # Errors
/// In Go's words.
pub(crate) fn parse_go_duration(text: &str) -> Result<i64, String> {
    let quoted = || narthex_model::quote_go(text);
    let invalid = || format!("time: invalid duration {}", quoted());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        let after = &rest[digits..];
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let unit = &after[..unit_end];
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quoted()));
        }
        let (_, ns) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| {
            format!("time: unknown unit {} in duration {}", narthex_model::quote_go(unit), quoted())
        })?;
        total += number * *ns as f64;
        rest = &after[unit_end..];
    }
    if total > i64::MAX as f64 {
        return Err(invalid());
    }
    let ns = total as i64;
    Ok(if negative { -ns } else { ns })
}

/// Writes a duration of `ns`.
#[must_use]
pub(crate) fn format_go_duration(ns: i64) -> String {
    if ns == 0 {
        return "0s".to_owned();
    }
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    for (unit, size) in [("ns", 1), ("µs", 1_000), ("ms", 1_000_000)] {
        if ns < size * 1000 {
            return format!("{sign}{}{unit}", decimal(ns, size));
        }
    }
    let (minutes, rest) = (ns / 60_000_000_000, ns % 60_000_000_000);
    let seconds = decimal(rest, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / size` with as many digits as it takes; `size` is a power of ten.
fn decimal(value: u64, size: u64) -> String {
    let width = size.to_string().len() - 1;
    let text = format!("{}.{:0width$}", value / size, value % size);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_as_in_go() {
        for (text, ns, written) in [
            ("2h", 7_200_000_000_000, "2h0m0s"),
            ("1h30m", 5_400_000_000_000, "1h30m0s"),
            ("1.5h", 5_400_000_000_000, "1h30m0s"),
            ("-1m", -60_000_000_000, "-1m0s"),
            ("0", 0, "0s"),
            ("1500ms", 1_500_000_000, "1.5s"),
            ("35200us", 35_200_000, "35.2ms"),
            ("120ns", 120, "120ns"),
            ("1h0m0.25s", 3_600_250_000_000, "1h0m0.25s"),
        ] {
            assert_eq!(parse_go_duration(text), Ok(ns), "{text}");
            assert_eq!(format_go_duration(ns), written, "{text}");
        }
        for (text, reason) in [
            ("5", "time: missing unit in duration \"5\""),
            ("5d", "time: unknown unit \"d\" in duration \"5d\""),
            ("x", "time: invalid duration \"x\""),
            ("", "time: invalid duration \"\""),
        ] {
            assert_eq!(parse_go_duration(text), Err(reason.to_owned()), "{text}");
        }
    }
}
