//! The values of API parameters: times, durations, limits, and the exact words of what is wrong with them.
//!
//! Facts: Prometheus 3.14's answers (`docs/querying/api.md`, observed texts); Go's `strconv` for the numbers in them.
//! COMPAT: a time in seconds is split in whole and fraction, the fraction rounded to milliseconds, as Go's arithmetic does
//! it; numbers that do not fit an `int64` become its lowest value, as on amd64.

use narthex_model::{UnixTime, parse_duration_ms, parse_go_float, parse_rfc3339, quote_go};

/// Where `start` begins when it is not given.
pub(crate) const MIN_TIME: UnixTime = UnixTime { secs: i64::MIN / 1000 + 62_135_596_801, nanos: 0 };
/// Where `end` ends when it is not given.
pub(crate) const MAX_TIME: UnixTime = UnixTime { secs: i64::MAX / 1000 - 62_135_596_801, nanos: 999_999_999 };

/// Texts of [`MIN_TIME`] and [`MAX_TIME`] as clients send them back.
const MIN_TIME_TEXT: &str = "-292273086-05-16T16:47:06Z";
const MAX_TIME_TEXT: &str = "292277025-08-18T07:12:54.999999999Z";

/// A time in seconds since the epoch or by RFC 3339.
pub(crate) fn parse_time(text: &str) -> Result<UnixTime, String> {
    if let Some(seconds) = parse_seconds(text) {
        return Ok(time_from_seconds(seconds));
    }
    match text {
        MIN_TIME_TEXT => Ok(MIN_TIME),
        MAX_TIME_TEXT => Ok(MAX_TIME),
        _ => {
            parse_rfc3339(text).ok_or_else(|| format!("cannot parse {} to a valid timestamp", quote_go(text)))
        }
    }
}

/// Seconds. A number too large for a float is none: only a written `Inf` is infinite.
fn parse_seconds(text: &str) -> Option<f64> {
    parse_go_float(text).filter(|v| v.is_finite() || !text.contains(|c: char| c.is_ascii_digit()))
}

/// An optional time.
pub(crate) fn parse_time_or(name: &str, text: &str, default: UnixTime) -> Result<UnixTime, String> {
    if text.is_empty() {
        return Ok(default);
    }
    parse_time(text).map_err(|e| format!("invalid time value for '{name}': {e}"))
}

fn time_from_seconds(seconds: f64) -> UnixTime {
    let whole = seconds.trunc();
    let fraction = ((seconds - whole) * 1000.0).round() / 1000.0;
    let nanos = go_int64(fraction * 1e9);
    let secs = go_int64(whole).wrapping_add(nanos.div_euclid(1_000_000_000));
    UnixTime { secs, nanos: nanos.rem_euclid(1_000_000_000) as u32 }
}

/// Go's conversion on amd64: what does not fit becomes the lowest value.
fn go_int64(v: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&v) { v as i64 } else { i64::MIN }
}

/// The milliseconds at which a query is evaluated. COMPAT: it goes over nanoseconds, which wrap outside of 1677 to 2262.
pub(crate) fn query_ms(time: UnixTime) -> i64 {
    time.secs.wrapping_mul(1_000_000_000).wrapping_add(i64::from(time.nanos)) / 1_000_000
}

/// Seconds since the year 1, by which Go compares times. COMPAT: they wrap for what does not fit, as `NaN` and `Inf`.
fn go_seconds(time: UnixTime) -> i64 {
    time.secs.wrapping_add(62_135_596_800)
}

/// Whether `a` is before `b`.
pub(crate) fn is_before(a: UnixTime, b: UnixTime) -> bool {
    (go_seconds(a), a.nanos) < (go_seconds(b), b.nanos)
}

/// Nanoseconds from `a` to `b`, at most what an `i64` holds (292 years).
pub(crate) fn nanos_between(a: UnixTime, b: UnixTime) -> i64 {
    let seconds = i128::from(go_seconds(b)) - i128::from(go_seconds(a));
    let nanos = seconds * 1_000_000_000 + i128::from(b.nanos) - i128::from(a.nanos);
    nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// A duration in seconds or in Prometheus' form (`5m`), in nanoseconds; may be negative.
pub(crate) fn parse_duration_ns(text: &str) -> Result<i64, String> {
    if let Some(seconds) = parse_seconds(text) {
        let ns = seconds * 1e9;
        if ns > i64::MAX as f64 || ns < i64::MIN as f64 {
            return Err(format!("cannot parse {} to a valid duration. It overflows int64", quote_go(text)));
        }
        return Ok(go_int64(ns));
    }
    let ms = parse_duration_ms(text)
        .map_err(|_| format!("cannot parse {} to a valid duration", quote_go(text)))?;
    Ok(ms * 1_000_000)
}

/// `limit`: 0 for no limit.
pub(crate) fn parse_limit(text: &str) -> Result<usize, String> {
    if text.is_empty() {
        return Ok(0);
    }
    usize::try_from(parse_go_int(text)?).map_err(|_| "limit must be non-negative".to_owned())
}

/// A truth value as Go's `strconv.ParseBool`.
pub(crate) fn parse_go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote_go(text))),
    }
}

/// An integer as Go's `strconv.Atoi`.
pub(crate) fn parse_go_int(text: &str) -> Result<i64, String> {
    text.parse::<i64>().map_err(|e| {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        let reason = match e.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.Atoi: parsing {}: {reason}", quote_go(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_time(text: &str, expected: Result<i64, &str>) {
        assert_eq!(parse_time(text).map(UnixTime::to_ms), expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        check_time("1e9", Ok(1_000_000_000_000));
        check_time("1.5", Ok(1500));
        check_time("-1", Ok(-1000));
        check_time("-0.25", Ok(-250));
        check_time("1700000000.123456", Ok(1_700_000_000_123));
        check_time("2024-01-01T00:00:00+01:00", Ok(1_704_063_600_000));
        check_time(MIN_TIME_TEXT, Ok(MIN_TIME.to_ms()));
        check_time(MAX_TIME_TEXT, Ok(MAX_TIME.to_ms()));
        check_time("abc", Err("cannot parse \"abc\" to a valid timestamp"));
        check_time("2024-01-01", Err("cannot parse \"2024-01-01\" to a valid timestamp"));
        check_time("1e400", Err("cannot parse \"1e400\" to a valid timestamp"));
        check_time("", Err("cannot parse \"\" to a valid timestamp"));
        let error = parse_time_or("time", "x", MIN_TIME).unwrap_err();
        assert_eq!(error, "invalid time value for 'time': cannot parse \"x\" to a valid timestamp");
    }

    #[test]
    fn times_that_do_not_fit_wrap_as_in_go() {
        for (text, ms) in [
            ("NaN", -9_223_372_036_854),
            ("Inf", -9_223_372_036_854),
            ("9223372036854775808", 0),
            ("-1.5", -1500),
        ] {
            assert_eq!(query_ms(parse_time(text).unwrap()), ms, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_before_all_times() {
        let [none, endless, zero] = ["NaN", "Inf", "0"].map(|text| parse_time(text).unwrap());
        assert!(is_before(none, zero) && is_before(endless, zero) && !is_before(none, endless));
        assert_eq!((nanos_between(none, zero), nanos_between(zero, none)), (i64::MAX, i64::MIN));
        assert_eq!(nanos_between(zero, parse_time("1.5").unwrap()), 1_500_000_000);
    }

    #[track_caller]
    fn check_duration(text: &str, expected: Result<i64, &str>) {
        assert_eq!(parse_duration_ns(text), expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn durations_are_seconds_or_with_units() {
        check_duration("15", Ok(15_000_000_000));
        check_duration("0.5", Ok(500_000_000));
        check_duration("-1", Ok(-1_000_000_000));
        check_duration("1m30s", Ok(90_000_000_000));
        check_duration("1.5m", Err("cannot parse \"1.5m\" to a valid duration"));
        check_duration("1e20", Err("cannot parse \"1e20\" to a valid duration. It overflows int64"));
        check_duration("", Err("cannot parse \"\" to a valid duration"));
    }

    #[test]
    fn limits_are_whole_and_not_negative() {
        assert_eq!(parse_limit(""), Ok(0));
        assert_eq!(parse_limit("7"), Ok(7));
        assert_eq!(parse_limit("-1").unwrap_err(), "limit must be non-negative");
        assert_eq!(parse_limit("x").unwrap_err(), "strconv.Atoi: parsing \"x\": invalid syntax");
        let error = parse_limit("99999999999999999999").unwrap_err();
        assert_eq!(error, "strconv.Atoi: parsing \"99999999999999999999\": value out of range");
    }
}
