//! Floats as text, in the three layouts that Go's output has: plain, general, and the API's mix of both.
//!
//! Facts: Go `strconv.FormatFloat`: layout `'f'` with precision -1 never uses an exponent; `'g'` with -1 (which is `%v`) uses
//! one below 1e-4 and from 1e6 on; Prometheus' JSON uses one below 1e-6 and from 1e21 on. Exponents have two digits at least.
//! The shortest digits come from zmij; its own layout (an exponent below 1e-5 and from 1e16 on) is rewritten where it differs.
//! Slow twin for the tests: `std`'s `{}` and `{:e}`, which have the same digits.

/// Shortest digits without an exponent; `+Inf`, `-Inf`, `NaN`.
#[must_use]
pub fn format_float(v: f64) -> String {
    let mut out = String::new();
    push_float(&mut out, v);
    out
}

/// [`format_float`] onto a buffer.
pub fn push_float(out: &mut String, v: f64) {
    if !v.is_finite() {
        out.push_str(special(v));
        return;
    }
    // PERF: most values of counters are whole, and an integer is written faster than shortest digits are found.
    if v.fract() == 0.0 && v.abs() < WHOLE && (v != 0.0 || v.is_sign_positive()) {
        push_int(out, v as i64);
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(v);
    if text.as_bytes().contains(&b'e') {
        push_plain(out, &Digits::read(text));
    } else {
        out.push_str(text.strip_suffix(".0").unwrap_or(text));
    }
}

/// Whole floats below this are exact in an `i64` and have at most 15 digits, all of them significant.
const WHOLE: f64 = 1e15;

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
    let exponent = v.is_finite() && abs != 0.0 && !(1e-4..1e6).contains(&abs);
    if exponent { push_exponent(out, v) } else { push_float(out, v) }
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
    let exponent = v.is_finite() && abs != 0.0 && !(1e-6..1e21).contains(&abs);
    if exponent { push_exponent(out, v) } else { push_float(out, v) }
}

fn special(v: f64) -> &'static str {
    if v.is_nan() {
        "NaN"
    } else if v > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
}

/// Writes an integer in decimal.
pub fn push_int(out: &mut String, v: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = v.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if v < 0 {
        out.push('-');
    }
    out.push_str(std::str::from_utf8(&digits[at..]).expect("digits are ASCII"));
}

/// The shortest decimal digits of a finite float: `0.d1d2d3… × 10^point`, no zero first or last.
struct Digits {
    negative: bool,
    text: [u8; 20],
    len: usize,
    point: i32,
}

impl Digits {
    /// Takes zmij's text apart: `12.5`, `0.001`, `1e-7`, `1.25e+20`.
    fn read(text: &str) -> Self {
        let mut digits = Self { negative: false, text: [0; 20], len: 0, point: 0 };
        let (number, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let mut after_dot = false;
        for byte in number.bytes() {
            match byte {
                b'-' => digits.negative = true,
                b'.' => after_dot = true,
                b'0' if digits.len == 0 => digits.point -= i32::from(after_dot),
                _ => {
                    digits.text[digits.len] = byte;
                    digits.len += 1;
                    digits.point += i32::from(!after_dot);
                }
            }
        }
        while digits.len > 1 && digits.text[digits.len - 1] == b'0' {
            digits.len -= 1;
        }
        digits.point += exponent.parse::<i32>().expect("zmij writes a number after the e");
        digits
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.len]).expect("digits are ASCII")
    }
}

/// Without an exponent: zeros fill the gap to the decimal point.
fn push_plain(out: &mut String, digits: &Digits) {
    let text = digits.as_str();
    if digits.negative {
        out.push('-');
    }
    match usize::try_from(digits.point) {
        Ok(whole @ 1..) if whole < text.len() => {
            out.push_str(&text[..whole]);
            out.push('.');
            out.push_str(&text[whole..]);
        }
        Ok(whole @ 1..) => {
            out.push_str(text);
            out.extend(std::iter::repeat_n('0', whole - text.len()));
        }
        Ok(_) | Err(_) => {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', digits.point.unsigned_abs() as usize));
            out.push_str(text);
        }
    }
}

/// With an exponent of two digits at least: `1.25e+20`, `1e-07`.
fn push_exponent(out: &mut String, v: f64) {
    let mut buffer = zmij::Buffer::new();
    let digits = Digits::read(buffer.format_finite(v));
    let text = digits.as_str();
    if digits.negative {
        out.push('-');
    }
    out.push_str(&text[..1]);
    if text.len() > 1 {
        out.push('.');
        out.push_str(&text[1..]);
    }
    let exponent = digits.point - 1;
    out.push_str(if exponent < 0 { "e-" } else { "e+" });
    if exponent.abs() < 10 {
        out.push('0');
    }
    push_int(out, i64::from(exponent.abs()));
}

/// Reads a float as Go's `strconv.ParseFloat` does: also `Inf`, `+infinity`, `nan` in any case, hexadecimal floats
/// (`0x1p-2`), and underscores between digits.
#[must_use]
pub fn parse_go_float(text: &str) -> Option<f64> {
    if text.contains('_') {
        return if has_good_underscores(text) { parse_go_float(&text.replace('_', "")) } else { None };
    }
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

/// Whether each underscore stands between two digits, or between `0x` and one.
fn has_good_underscores(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['+', '-']);
    let is_hex = unsigned.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"));
    let digits = if is_hex { &unsigned[2..] } else { unsigned };
    let is_digit = |c: &u8| if is_hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
    let bytes = digits.as_bytes();
    let good = |at: usize| {
        let before = if at == 0 { is_hex } else { is_digit(&bytes[at - 1]) };
        before && bytes.get(at + 1).is_some_and(is_digit)
    };
    (0..bytes.len()).filter(|at| bytes[*at] == b'_').all(good)
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

    /// The layouts by way of std's digits.
    fn by_std(v: f64, exponent_when: impl Fn(f64) -> bool) -> String {
        if !v.is_finite() {
            return special(v).to_owned();
        }
        if v == 0.0 || !exponent_when(v.abs()) {
            return format!("{v}");
        }
        let text = format!("{v:e}");
        let (digits, exponent) = text.split_once('e').unwrap();
        let exponent: i32 = exponent.parse().unwrap();
        format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
    }

    #[track_caller]
    fn check_against_std(v: f64) {
        // COMPAT: a value in the middle of two shortest texts takes the even digit in Go and here, the higher one in std.
        if is_tie(v) {
            return;
        }
        assert_eq!(format_float(v), by_std(v, |_| false), "{v:e}");
        assert_eq!(format_float_general(v), by_std(v, |a| !(1e-4..1e6).contains(&a)), "{v:e}");
        assert_eq!(format_float_json(v), by_std(v, |a| !(1e-6..1e21).contains(&a)), "{v:e}");
    }

    /// Whether the exact value ends in a 5 right after the 15 to 17 digits of the shortest text.
    fn is_tie(v: f64) -> bool {
        let exact = format!("{v:.30e}");
        let digits: String =
            exact.split('e').next().unwrap_or("").chars().filter(char::is_ascii_digit).collect();
        let five_then_zeros =
            |at| digits[at..].starts_with('5') && digits[at + 1..].bytes().all(|b| b == b'0');
        v.is_finite() && (15..=17).any(five_then_zeros)
    }

    #[test]
    fn a_tie_takes_the_even_digit_as_in_go() {
        assert_eq!(format_float(4_732_776_541_335_693.0 / 4.0), "1183194135333923.2");
    }

    #[test]
    fn any_float_has_the_digits_of_std() {
        let mut bits: u64 = 0x9e37_79b9_7f4a_7c15;
        for round in 0..40_000u64 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round | 1);
            check_against_std(f64::from_bits(bits));
            check_against_std((bits >> 40) as f64 / 1000.0);
            check_against_std((bits >> 12) as f64);
        }
    }

    #[test]
    fn the_borders_of_the_layouts_have_the_digits_of_std() {
        for exponent in -330..310 {
            let power: f64 = format!("1e{exponent}").parse().unwrap();
            for v in [power, -power, power * 1.5, power * 123.456, power.next_down(), power.next_up()] {
                check_against_std(v);
            }
        }
        for v in
            [0.0, -0.0, f64::MAX, f64::MIN_POSITIVE, f64::EPSILON, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]
        {
            check_against_std(v);
        }
        for v in [i64::MAX, i64::MIN, 0, -1, 10, 99, 100] {
            let mut out = String::new();
            push_int(&mut out, v);
            assert_eq!(out, v.to_string());
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
            ("1_000", 1000.0),
            ("-1_2.3_4e+0_1", -123.4),
            ("0x_1p4", 16.0),
        ] {
            assert_eq!(parse_go_float(text), Some(v), "{text}");
        }
        assert!(parse_go_float("NaN").is_some_and(f64::is_nan));
        for bad in
            ["", "+", "-nan", "0x1", "1e", "abc", "_1", "1_", "1__0", "1_.5", "1_e5", "in_f", " 1", "infin"]
        {
            assert_eq!(parse_go_float(bad), None, "{bad}");
        }
    }
}
