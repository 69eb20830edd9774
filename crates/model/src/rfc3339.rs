//! Times as text by RFC 3339: `2026-11-22T17:24:31.5Z`.
//!
//! Holds: writing as Go's `RFC3339Nano` does (UTC, trailing zeros of the fraction cut) and reading as its `time.Parse` does
//! (exactly this form, with `Z` or `±hh:mm`; no leap seconds). Years 0 to 9999 only, as the form has four digits.

/// Seconds and nanoseconds since the epoch; `nanos` counts up also before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime {
    /// Whole seconds, rounded down.
    pub secs: i64,
    /// The rest, `0..1_000_000_000`.
    pub nanos: u32,
}

impl UnixTime {
    /// From milliseconds since the epoch.
    #[must_use]
    pub fn from_ms(ms: i64) -> Self {
        Self { secs: ms.div_euclid(1000), nanos: ms.rem_euclid(1000) as u32 * 1_000_000 }
    }

    /// Milliseconds since the epoch, rounded down; wraps where Go's arithmetic does.
    #[must_use]
    pub fn to_ms(self) -> i64 {
        self.secs.wrapping_mul(1000).wrapping_add(i64::from(self.nanos / 1_000_000))
    }

    /// From the system's clock.
    #[must_use]
    pub fn from_system(time: std::time::SystemTime) -> Self {
        match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => Self { secs: after.as_secs() as i64, nanos: after.subsec_nanos() },
            Err(before) => {
                let before = before.duration();
                let borrow = i64::from(before.subsec_nanos() > 0);
                let nanos = (1_000_000_000 - before.subsec_nanos()) % 1_000_000_000;
                Self { secs: -(before.as_secs() as i64) - borrow, nanos }
            }
        }
    }
}

/// Writes a time in UTC with as many digits of the second as it needs.
pub fn push_rfc3339(out: &mut String, time: UnixTime) {
    push_seconds(out, time.secs);
    if time.nanos > 0 {
        let digits = format!(".{:09}", time.nanos);
        out.push_str(digits.trim_end_matches('0'));
    }
    out.push('Z');
}

/// Writes a time in UTC with exactly three digits after the second, as log lines have it.
pub fn push_rfc3339_ms(out: &mut String, time: UnixTime) {
    use std::fmt::Write as _;
    push_seconds(out, time.secs);
    write!(out, ".{:03}Z", time.nanos / 1_000_000).expect("writing to a string cannot fail");
}

fn push_seconds(out: &mut String, secs: i64) {
    use std::fmt::Write as _;
    let (year, month, day) = civil_from_days(secs.div_euclid(86_400));
    let second = secs.rem_euclid(86_400);
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    write!(out, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}")
        .expect("writing to a string cannot fail");
}

/// Reads `2026-11-22T17:24:31[.fraction](Z|±hh:mm)`; `None` when the text has any other form or names no real time.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<UnixTime> {
    let bytes = text.as_bytes();
    let fixed = bytes.get(..19)?;
    let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if punctuation.iter().any(|(at, b)| fixed[*at] != *b) {
        return None;
    }
    let number = |from: usize, to: usize| parse_digits(&fixed[from..to]);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (h, m, s) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) || h > 23 || m > 59 || s > 59
    {
        return None;
    }
    let (nanos, rest) = parse_fraction(&bytes[19..])?;
    let secs = days_from_civil(year, month, day) * 86_400 + h * 3600 + m * 60 + s;
    Some(UnixTime { secs: secs - parse_offset(rest)?, nanos })
}

fn parse_digits(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
}

/// The fraction in nanoseconds (more digits are cut) and what follows it.
fn parse_fraction(rest: &[u8]) -> Option<(u32, &[u8])> {
    let Some(after) = rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b",")) else {
        return Some((0, rest));
    };
    let len = after.iter().take_while(|b| b.is_ascii_digit()).count();
    let shown = &after[..len.min(9)];
    let scale = 10u32.pow(9 - shown.len() as u32);
    (len > 0).then_some((parse_digits(shown)? as u32 * scale, &after[len..]))
}

/// Seconds east of UTC.
fn parse_offset(rest: &[u8]) -> Option<i64> {
    match rest {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (h, m) = (parse_digits(&[*h1, *h2])?, parse_digits(&[*m1, *m2])?);
            let east = h * 3600 + m * 60;
            (h <= 24 && m < 60).then_some(if *sign == b'-' { -east } else { east })
        }
        _ => None,
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch of a date. The year is shifted to begin in March, so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// The reverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = (shifted + 2) % 12 + 1;
    (year + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(i64, u32)>) {
        let expected = expected.map(|(secs, nanos)| UnixTime { secs, nanos });
        assert_eq!(parse_rfc3339(text), expected, "{text}");
    }

    #[test]
    fn the_form_is_strict() {
        check("1970-01-01T00:00:00Z", Some((0, 0)));
        check("2024-02-29T12:00:00.25+01:00", Some((1_709_204_400, 250_000_000)));
        check("1969-12-31T23:59:59.999999999Z", Some((-1, 999_999_999)));
        check("2024-01-01T00:00:00.1234567899Z", Some((1_704_067_200, 123_456_789)));
        for bad in [
            "",
            "2024-01-01",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00",
            "2024-13-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:60Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00z",
            "2024-01-01T00:00:00+0100",
            "2024-01-01T00:00:00Z ",
            "12024-01-01T00:00:00Z",
            "2024-01-01T00:00:0éZ",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for day in -800_000i64..800_000 {
            let time = UnixTime {
                secs: day * 86_400 + day.rem_euclid(86_400),
                nanos: day.rem_euclid(1000) as u32 * 1_000_003,
            };
            if !(-62_167_219_200..253_402_300_800).contains(&time.secs) || day % 97 != 0 {
                continue;
            }
            let mut text = String::new();
            push_rfc3339(&mut text, time);
            check(&text, Some((time.secs, time.nanos)));
        }
    }

    #[test]
    fn fractions_are_as_long_as_needed_or_three_digits() {
        for (ms, short, fixed) in [
            (0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
            (1_500, "1970-01-01T00:00:01.5Z", "1970-01-01T00:00:01.500Z"),
            (-1, "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ] {
            let (mut a, mut b) = (String::new(), String::new());
            push_rfc3339(&mut a, UnixTime::from_ms(ms));
            push_rfc3339_ms(&mut b, UnixTime::from_ms(ms));
            assert_eq!((&*a, &*b, UnixTime::from_ms(ms).to_ms()), (short, fixed, ms));
        }
        let before = std::time::UNIX_EPOCH - std::time::Duration::from_millis(1);
        assert_eq!(UnixTime::from_system(before), UnixTime::from_ms(-1));
    }
}
