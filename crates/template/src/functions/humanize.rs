//! Numbers for humans: prefixes, durations, percentages, times.
//!
//! Facts: Prometheus' template reference; four significant digits everywhere. Numbers may come as texts.

use narthex_model::{format_float_general, quote_go};

use crate::methods::{time_text, units};
use crate::print::float_general;
use crate::syntax::go_float;
use crate::value::{GoTime, IntType, UintType, Value};

const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];
const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];

/// A number, or a text that is one.
pub(super) fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(float) => Ok(*float),
        Value::Int(int, IntType::Int | IntType::Int64) => Ok(*int as f64),
        Value::Uint(uint, UintType::Uint64) => Ok(*uint as f64),
        Value::Duration(nanos) => Ok(units(*nanos, 1_000_000_000)),
        Value::Str(text) => parse(&text.to_str_lossy()),
        Value::Nil | Value::NilAny => Err("can't convert <nil> to float".to_owned()),
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

fn parse(text: &str) -> Result<f64, String> {
    let failed = |why| format!("strconv.ParseFloat: parsing {}: {why}", quote_go(text));
    let float = go_float(text).ok_or_else(|| failed("invalid syntax"))?;
    let says_infinite = text.trim_start_matches(['+', '-']).to_ascii_lowercase().starts_with("inf");
    if float.is_infinite() && !says_infinite { Err(failed("value out of range")) } else { Ok(float) }
}

fn four(float: f64) -> String {
    float_general(float, Some(4))
}

/// Divides by `step` until the number is below it.
fn shrink(mut float: f64, step: f64, prefixes: [&'static str; 8]) -> (f64, &'static str) {
    let mut prefix = "";
    for next in prefixes {
        if float.abs() < step {
            break;
        }
        prefix = next;
        float /= step;
    }
    (float, prefix)
}

/// Multiplies until the number is 1 or more.
fn grow(mut float: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in SMALL {
        if float.abs() >= 1.0 {
            break;
        }
        prefix = next;
        float *= 1000.0;
    }
    (float, prefix)
}

pub(super) fn humanize(value: &Value) -> Result<Value, String> {
    let float = number(value)?;
    if float == 0.0 || !float.is_finite() {
        return Ok(Value::text(four(float)));
    }
    let (float, prefix) = if float.abs() >= 1.0 { shrink(float, 1000.0, LARGE) } else { grow(float) };
    Ok(Value::text(format!("{}{prefix}", four(float))))
}

pub(super) fn humanize_1024(value: &Value) -> Result<Value, String> {
    let float = number(value)?;
    if float.abs() <= 1.0 || !float.is_finite() {
        return Ok(Value::text(four(float)));
    }
    let (float, prefix) = shrink(float, 1024.0, BINARY);
    Ok(Value::text(format!("{}{prefix}", four(float))))
}

pub(super) fn humanize_duration(value: &Value) -> Result<Value, String> {
    let float = number(value)?;
    if !float.is_finite() {
        return Ok(Value::text(four(float)));
    }
    if float == 0.0 {
        return Ok(Value::text(format!("{}s", four(float))));
    }
    if float.abs() < 1.0 {
        let (float, prefix) = grow(float);
        return Ok(Value::text(format!("{}{prefix}s", four(float))));
    }
    let sign = if float < 0.0 { "-" } else { "" };
    let seconds_float = float.abs();
    // COMPAT: what an i64 cannot hold becomes its least value on the machines that Prometheus runs on.
    let whole = if seconds_float < 9_223_372_036_854_775_808.0 { seconds_float as i64 } else { i64::MIN };
    let [seconds, minutes, hours] = [whole % 60, whole / 60 % 60, whole / 3600 % 24];
    let days = whole / 86_400;
    Ok(Value::text(if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", four(seconds_float))
    }))
}

pub(super) fn humanize_percentage(value: &Value) -> Result<Value, String> {
    Ok(Value::text(format!("{}%", four(number(value)? * 100.0))))
}

pub(super) fn humanize_timestamp(value: &Value) -> Result<Value, String> {
    let float = number(value)?;
    if !float.is_finite() {
        return Ok(Value::text(four(float)));
    }
    Ok(Value::text(time_text(instant(float)?)))
}

pub(super) fn to_time(value: &Value) -> Result<Value, String> {
    let float = number(value)?;
    if !float.is_finite() {
        return Err("value is NaN or Inf".to_owned());
    }
    Ok(Value::Time(instant(float)?).pointer())
}

/// Milliseconds are kept, what is finer is cut off toward zero.
fn instant(seconds: f64) -> Result<GoTime, String> {
    let nanos = seconds * 1e9;
    if !(-9_223_372_036_854_775_808.0..=9_223_372_036_854_775_808.0).contains(&nanos) {
        let shown = format_float_general(seconds);
        return Err(format!(
            "{shown} cannot be represented as a nanoseconds timestamp since it overflows int64"
        ));
    }
    let ms = nanos as i64 / 1_000_000;
    Ok(GoTime::from_nanos(i128::from(ms) * 1_000_000))
}

pub(super) fn to_duration(value: &Value) -> Result<Value, String> {
    let nanos = number(value)? * 1e9;
    // COMPAT: as in durations above, what does not fit becomes the least value.
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&nanos);
    Ok(Value::Duration(if fits { nanos as i64 } else { i64::MIN }).pointer())
}
