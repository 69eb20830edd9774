//! Floats as text, in the three layouts that Go's output has: plain, general, and the API's mix of both.
//!
//! Facts: Go `strconv.FormatFloat`: layout `'f'` with precision -1 never uses an exponent; `'g'` with -1 (which is `%v`) uses
//! one below 1e-4 and from 1e6 on; Prometheus' JSON uses one below 1e-6 and from 1e21 on. Exponents have two digits at least.

/// Shortest digits without an exponent; `+Inf`, `-Inf`, `NaN`.
#[must_use]
pub fn format_float(v: f64) -> String {
    let mut out = String::new();
    push_float(&mut out, v);
    out
}

/// [`format_float`] onto a buffer.
pub fn push_float(out: &mut String, v: f64) {
    use std::fmt::Write as _;
    if push_special(out, v) {
        return;
    }
    write!(out, "{v}").expect("writing to a string cannot fail");
}

/// Go's `%v`, which is `'g'` with precision -1: an exponent below 1e-4 and from 1e6 on (1234567 is `1.234567e+06`).
#[must_use]
pub fn format_float_general(v: f64) -> String {
    let mut out = String::new();
    push_float_general(&mut out, v);
    out
}

/// [`format_float_general`] onto a buffer.
pub fn push_float_general(out: &mut String, v: f64) {
    let abs = v.abs();
    if push_special(out, v) {
        return;
    }
    if abs != 0.0 && !(1e-4..1e6).contains(&abs) { push_exponent(out, v) } else { push_float(out, v) }
}

/// The layout of sample values in the HTTP API.
#[must_use]
pub fn format_float_json(v: f64) -> String {
    let mut out = String::new();
    push_float_json(&mut out, v);
    out
}

/// [`format_float_json`] onto a buffer.
pub fn push_float_json(out: &mut String, v: f64) {
    let abs = v.abs();
    if push_special(out, v) {
        return;
    }
    if abs != 0.0 && !(1e-6..1e21).contains(&abs) { push_exponent(out, v) } else { push_float(out, v) }
}

fn push_special(out: &mut String, v: f64) -> bool {
    let text = if v.is_nan() {
        "NaN"
    } else if v == f64::INFINITY {
        "+Inf"
    } else if v == f64::NEG_INFINITY {
        "-Inf"
    } else {
        return false;
    };
    out.push_str(text);
    true
}

fn push_exponent(out: &mut String, v: f64) {
    let text = format!("{v:e}");
    let (digits, exponent) = text.split_once('e').expect("the layout has an exponent");
    out.push_str(digits);
    out.push('e');
    let (sign, number) = exponent.strip_prefix('-').map_or(('+', exponent), |n| ('-', n));
    out.push(sign);
    if number.len() < 2 {
        out.push('0');
    }
    out.push_str(number);
}

/// Reads a float as Go's `strconv.ParseFloat` does: also `Inf`, `+infinity`, `nan` in any case, hexadecimal floats
/// (`0x1p-2`). Underscores are refused, as Go does for decimal text.
#[must_use]
pub fn parse_go_float(text: &str) -> Option<f64> {
    let first = text.bytes().find(|b| !matches!(b, b'+' | b'-'))?;
    if first.is_ascii_digit() || first == b'.' {
        if text.as_bytes().iter().any(|b| matches!(b, b'x' | b'X')) {
            return parse_hex(text);
        }
        return text.parse().ok();
    }
    let (sign, word) = match text.as_bytes()[0] {
        b'+' => (1.0, &text[1..]),
        b'-' => (-1.0, &text[1..]),
        _ => (1.0, text),
    };
    if word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("infinity") {
        return Some(sign * f64::INFINITY);
    }
    (word.eq_ignore_ascii_case("nan") && word.len() == text.len()).then_some(f64::NAN)
}

/// `[+-]0x<hex digits>[.<hex digits>]p<exponent>`; the exponent is required, as in Go.
fn parse_hex(text: &str) -> Option<f64> {
    let (negative, rest) = match text.as_bytes()[0] {
        b'+' => (false, &text[1..]),
        b'-' => (true, &text[1..]),
        _ => (false, text),
    };
    let rest = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"))?;
    let (digits, exponent) = rest.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut mantissa: u64 = 0;
    let mut shift: i32 = 0;
    for (i, digit) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(digit.to_digit(16)?);
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
            shift -= if i >= whole.len() { 4 } else { 0 };
        } else {
            // A sticky bit keeps the rounding right for digits that no longer fit.
            mantissa |= u64::from(digit != 0);
            shift += if i < whole.len() { 4 } else { 0 };
        }
    }
    let scale = exponent.saturating_add(shift);
    let half = scale / 2;
    let value = mantissa as f64 * 2f64.powi(half) * 2f64.powi(scale - half);
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_layouts_differ_only_in_when_they_use_an_exponent() {
        for (v, plain, general, json) in [
            (0.00001, "0.00001", "1e-05", "0.00001"),
            (1e-7, "0.0000001", "1e-07", "1e-07"),
            (1e21, "1000000000000000000000", "1e+21", "1e+21"),
            (100_000.0, "100000", "100000", "100000"),
            (1_234_567.0, "1234567", "1.234567e+06", "1234567"),
            (123_456_789.5, "123456789.5", "1.234567895e+08", "123456789.5"),
            (-0.0, "-0", "-0", "-0"),
            (f64::INFINITY, "+Inf", "+Inf", "+Inf"),
        ] {
            assert_eq!(
                (&*format_float(v), &*format_float_general(v), &*format_float_json(v)),
                (plain, general, json)
            );
        }
    }

    #[test]
    fn go_spellings_of_floats_are_read() {
        for (text, v) in [
            ("1e3", 1000.0),
            ("+Inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("Infinity", f64::INFINITY),
            (".5", 0.5),
            ("5.", 5.0),
            ("0x1p-2", 0.25),
            ("-0x1.8p1", -3.0),
        ] {
            assert_eq!(parse_go_float(text), Some(v), "{text}");
        }
        assert!(parse_go_float("NaN").is_some_and(f64::is_nan));
        for bad in ["", "+", "-nan", "0x1", "1e", "abc", "1_000", " 1", "infin"] {
            assert_eq!(parse_go_float(bad), None, "{bad}");
        }
    }
}
