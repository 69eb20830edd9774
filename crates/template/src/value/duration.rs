//! Go's `time.Duration`: nanoseconds, printed as `1h2m3.5s`.
//!
//! Facts: the documentation of `time.Duration`'s `String`, `Round` and `Truncate`.

/// `72h3m0.5s`, `1.5ms`, `0s`.
pub(crate) fn format_duration(nanos: i64) -> String {
    let magnitude = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    if magnitude == 0 {
        return "0s".to_owned();
    }
    if magnitude < 1_000_000_000 {
        let (unit, digits) = match magnitude {
            0..1_000 => ("ns", 0),
            1_000..1_000_000 => ("µs", 3),
            _ => ("ms", 6),
        };
        return format!("{sign}{}{unit}", decimal(magnitude, digits));
    }
    let minutes = magnitude / 60_000_000_000;
    let seconds = decimal(magnitude % 60_000_000_000, 9);
    match minutes {
        0 => format!("{sign}{seconds}s"),
        1..60 => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{}h{}m{seconds}s", minutes / 60, minutes % 60),
    }
}

/// `value / 10^digits` without trailing zeros.
fn decimal(value: u64, digits: u32) -> String {
    let one = 10_u64.pow(digits);
    let whole = value / one;
    if value.is_multiple_of(one) {
        return whole.to_string();
    }
    let fraction = format!("{:0width$}", value % one, width = digits as usize);
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

/// Toward zero to a multiple of `to`; as it is when `to` is not above zero.
pub(crate) fn truncate_duration(nanos: i64, to: i64) -> i64 {
    if to <= 0 { nanos } else { nanos - nanos % to }
}

/// To the nearest multiple of `to`, halves away from zero.
pub(crate) fn round_duration(nanos: i64, to: i64) -> i64 {
    if to <= 0 {
        return nanos;
    }
    let rest = nanos % to;
    let down = nanos - rest;
    if rest.unsigned_abs().saturating_mul(2) < to.unsigned_abs() {
        down
    } else if nanos < 0 {
        down.saturating_sub(to)
    } else {
        down.saturating_add(to)
    }
}
