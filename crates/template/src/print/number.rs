//! Digits of integers and floats in every base, with signs, precision and zeros.
//!
//! Facts: Go's `fmt` and `strconv` documentation. `%g` without precision has the shortest digits, with an exponent below
//! 1e-4 and from 1e6 on; with a precision, from that many digits on.

use narthex_model::format_float_general;

use super::{Printer, quote};
use crate::value::Value;

impl Printer {
    /// An integer in a base.
    pub(super) fn digits(&mut self, magnitude: u64, base: u64, negative: bool, verb: char, upper: bool) {
        let spec = self.spec;
        if spec.precision == Some(0) && magnitude == 0 {
            return self.fill(spec.width.unwrap_or(0), false);
        }
        let signed = negative || spec.plus || spec.space;
        let least = match (spec.precision, spec.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if spec.zero && !spec.minus => width.saturating_sub(usize::from(signed)),
            _ => 0,
        };
        let mut text = in_base(magnitude, base, upper);
        if text.len() < least {
            text.insert_str(0, &"0".repeat((least - text.len()).min(self.room)));
        }
        if spec.sharp {
            match base {
                2 => text.insert_str(0, "0b"),
                8 if !text.starts_with('0') => text.insert(0, '0'),
                16 => text.insert_str(0, if upper { "0X" } else { "0x" }),
                _ => {}
            }
        }
        if verb == 'O' {
            text.insert_str(0, "0o");
        }
        if signed {
            text.insert(
                0,
                if negative {
                    '-'
                } else if spec.plus {
                    '+'
                } else {
                    ' '
                },
            );
        }
        self.pad_with(text.as_bytes(), false);
    }

    /// `U+00E9`, with `#` also the character.
    pub(super) fn unicode(&mut self, code: u64) {
        let least = self.spec.precision.unwrap_or(4).clamp(4, self.room.max(4));
        let mut text = format!("{code:X}");
        if text.len() < least {
            text.insert_str(0, &"0".repeat(least - text.len()));
        }
        text.insert_str(0, "U+");
        if self.spec.sharp
            && let Some(c) = u32::try_from(code).ok().and_then(char::from_u32)
        {
            let quoted = quote::quote_char(c, false);
            let prints = matches!(c, '\'' | '\\') || quoted.chars().count() == 3;
            if prints {
                text.push_str(&format!(" '{c}'"));
            }
        }
        self.pad_with(text.as_bytes(), false);
    }

    pub(super) fn float(&mut self, value: &Value, float: f64, verb: char) {
        let precision = self.spec.precision;
        let text = match verb {
            'v' | 'g' => float_general(float, precision),
            'G' => float_general(float, precision).to_uppercase(),
            'e' => exponent(float, precision.unwrap_or(6)),
            'E' => exponent(float, precision.unwrap_or(6)).to_uppercase(),
            'f' | 'F' => float_text(float, precision.unwrap_or(6)),
            'x' => hex_float(float, precision),
            'X' => hex_float(float, precision).to_uppercase(),
            'b' => binary_float(float),
            _ => return self.bad_verb(value, verb),
        };
        let verb = if verb == 'v' { 'g' } else { verb };
        self.number(
            if float.is_finite() { text } else { not_finite(float).to_owned() },
            float.is_finite(),
            verb,
        );
    }

    /// Signs and zeros around the digits of a float.
    fn number(&mut self, text: String, finite: bool, verb: char) {
        let spec = self.spec;
        let (mut sign, digits) = match text.as_bytes().first() {
            Some(b'-') => ("-", text[1..].to_owned()),
            Some(b'+') => ("+", text[1..].to_owned()),
            _ => ("+", text),
        };
        if sign == "+" && spec.space && !spec.plus {
            sign = " ";
        }
        if !finite {
            // An infinity always shows its sign, unless blanks were asked for; "not a number" only on demand.
            let shown = digits == "Inf" || spec.space || spec.plus;
            return self.pad_with(format!("{}{digits}", if shown { sign } else { "" }).as_bytes(), false);
        }
        let digits =
            if spec.sharp && verb != 'b' { with_point(&digits, spec.precision, verb) } else { digits };
        let signed = spec.plus || sign != "+";
        if !signed {
            return self.pad(digits.as_bytes());
        }
        let width = spec.width.unwrap_or(0);
        if spec.zero && !spec.minus && width > digits.len() + 1 {
            self.push(sign.as_bytes());
            self.fill(width - digits.len() - 1, true);
            return self.push(digits.as_bytes());
        }
        self.pad(format!("{sign}{digits}").as_bytes());
    }
}

fn in_base(mut magnitude: u64, base: u64, upper: bool) -> String {
    let mut out = Vec::new();
    loop {
        let digit = char::from_digit((magnitude % base) as u32, base as u32).expect("a digit of the base");
        out.push(if upper { digit.to_ascii_uppercase() } else { digit });
        magnitude /= base;
        if magnitude == 0 {
            return out.iter().rev().collect();
        }
    }
}

fn not_finite(float: f64) -> &'static str {
    if float.is_nan() {
        "NaN"
    } else if float > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
}

/// Fixed digits after the point, as `%.2f`.
fn float_text(float: f64, precision: usize) -> String {
    if !float.is_finite() {
        return not_finite(float).to_owned();
    }
    let exact = precision.min(1100);
    let mut text = format!("{float:.exact$}");
    if precision > exact {
        // No float has more digits than these.
        text.push_str(&"0".repeat(precision - exact));
    }
    text
}

/// `%e`: one digit, the point, `precision` digits, an exponent of two digits or more.
fn exponent(float: f64, precision: usize) -> String {
    if !float.is_finite() {
        return not_finite(float).to_owned();
    }
    let exact = precision.min(1100);
    let text = format!("{float:.exact$e}");
    let (mantissa, power) = text.split_once('e').expect("an exponent was asked for");
    let zeros = "0".repeat(precision - exact);
    format!("{mantissa}{zeros}{}", power_text(power.parse().expect("an exponent is a number")))
}

fn power_text(power: i32) -> String {
    format!("e{}{:02}", if power < 0 { '-' } else { '+' }, power.unsigned_abs())
}

/// `%g`: with the shortest digits, or with `precision` significant ones and no zeros at the end.
pub(crate) fn float_general(float: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else { return format_float_general(float) };
    if !float.is_finite() {
        return not_finite(float).to_owned();
    }
    if float == 0.0 {
        return if float.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let significant = precision.max(1);
    let text = exponent(float, (significant - 1).min(1100));
    let (mantissa, power) = text.split_once('e').expect("an exponent was asked for");
    let power: i32 = power.parse().expect("an exponent is a number");
    let digits = mantissa.trim_start_matches('-').replace('.', "");
    let digits = digits.trim_end_matches('0');
    let sign = if float < 0.0 { "-" } else { "" };
    // More digits than the number has do not move the limit beyond which an exponent is written.
    let count = digits.len() as i64;
    let limit =
        if significant as i64 > count && count > i64::from(power) { count } else { significant as i64 };
    if power < -4 || i64::from(power) >= limit {
        let point = if digits.len() > 1 { "." } else { "" };
        return format!("{sign}{}{point}{}{}", &digits[..1], &digits[1..], power_text(power));
    }
    let fraction = usize::try_from(count - 1 - i64::from(power)).unwrap_or(0);
    format!("{float:.fraction$}")
}

/// `%x`: a hexadecimal mantissa and a power of two.
fn hex_float(float: f64, precision: Option<usize>) -> String {
    if !float.is_finite() {
        return not_finite(float).to_owned();
    }
    let sign = if float.is_sign_negative() { "-" } else { "" };
    if float == 0.0 {
        let zeros = precision.filter(|p| *p > 0).map_or(String::new(), |p| format!(".{}", "0".repeat(p)));
        return format!("{sign}0x0{zeros}p+00");
    }
    let (mut mantissa, mut power) = parts(float);
    // One bit before the point, 60 behind it.
    let shift = mantissa.leading_zeros() - 3;
    mantissa <<= shift;
    power += 60 - shift as i32;
    if let Some(precision) = precision.filter(|p| *p < 15) {
        let drop = (15 - precision) * 4;
        let rest = mantissa & ((1 << drop) - 1);
        let half = 1 << (drop - 1);
        mantissa >>= drop;
        if rest > half || (rest == half && mantissa & 1 == 1) {
            mantissa += 1;
        }
        mantissa <<= drop;
        if mantissa >> 61 != 0 {
            mantissa >>= 1;
            power += 1;
        }
    }
    let mut fraction = format!("{:015x}", mantissa & ((1 << 60) - 1));
    match precision {
        None => fraction.truncate(fraction.trim_end_matches('0').len()),
        Some(precision) if precision < 15 => fraction.truncate(precision),
        Some(precision) => fraction.push_str(&"0".repeat(precision - 15)),
    }
    let point = if fraction.is_empty() { "" } else { "." };
    let power_sign = if power < 0 { '-' } else { '+' };
    format!("{sign}0x1{point}{fraction}p{power_sign}{:02}", power.unsigned_abs())
}

/// `%b`: the mantissa as a whole number and a power of two.
fn binary_float(float: f64) -> String {
    if !float.is_finite() {
        return not_finite(float).to_owned();
    }
    let (mantissa, power) = parts(float);
    let sign = if float.is_sign_negative() { "-" } else { "" };
    format!("{sign}{mantissa}p{power:+}")
}

/// A float is `mantissa · 2^power`.
fn parts(float: f64) -> (u64, i32) {
    let bits = float.to_bits();
    let raw = ((bits >> 52) & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    if raw == 0 { (fraction, -1074) } else { (fraction | 1 << 52, raw - 1075) }
}

/// `%#g` and its like: always a point, and zeros up to the precision.
fn with_point(digits: &str, precision: Option<usize>, verb: char) -> String {
    let hex = matches!(verb, 'x' | 'X');
    let tail_at = digits.find(|c| matches!(c, 'p' | 'P') || (!hex && matches!(c, 'e' | 'E')));
    let (head, tail) = digits.split_at(tail_at.unwrap_or(digits.len()));
    let mut missing = match verb {
        'g' | 'G' | 'x' => precision.unwrap_or(6),
        _ => 0,
    };
    let significant = head.chars().filter(|c| *c != '.').skip_while(|c| *c == '0').count();
    missing = missing.saturating_sub(significant);
    let mut out = head.to_owned();
    if !head.contains('.') {
        if head == "0" {
            missing = missing.saturating_sub(1);
        }
        out.push('.');
    }
    out.push_str(&"0".repeat(missing.min(1_000_000)));
    out.push_str(tail);
    out
}
