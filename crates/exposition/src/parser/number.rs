//! Numbers as sample lines have them.
//!
//! Always true: the fast paths give the same bits as the slow ones; a decimal of at most 2^53 and a power of ten up to 22 are
//! exact, so one division or product of them is rounded right.

use narthex_model::parse_go_float;

use crate::quote::quote_bytes;

/// The one NaN that is stored; staleness markers differ from it.
const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Reads the decimal that `text` begins with: the number and how many bytes it has. `None` when the fast path cannot tell:
/// too many digits, a large exponent, words, or no number at all.
#[inline]
pub(crate) fn short_decimal(text: &[u8]) -> Option<(f64, usize)> {
    let negative = text.first() == Some(&b'-');
    let mut at = usize::from(negative);
    let mut mantissa: u64 = 0;
    let first = at;
    while let Some(digit) = text.get(at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    let mut digits = at - first;
    let mut scale: i32 = 0;
    if text.get(at) == Some(&b'.') {
        let point = at;
        at += 1;
        while let Some(digit) = text.get(at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        digits += at - point - 1;
        scale = -i32::try_from(at - point - 1).ok()?;
    }
    if digits == 0 || digits > 19 || mantissa > 1 << 53 {
        return None;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let (exponent, width) = short_exponent(&text[at + 1..])?;
        scale += exponent;
        at += 1 + width;
    }
    let power = POWERS.get(scale.unsigned_abs() as usize)?;
    let plain = mantissa as f64;
    let value = if scale < 0 { plain / power } else { plain * power };
    Some((if negative { -value } else { value }, at))
}

/// A sign and one to three digits.
#[inline]
fn short_exponent(text: &[u8]) -> Option<(i32, usize)> {
    let signed = matches!(text.first(), Some(b'+' | b'-'));
    let digits = &text[usize::from(signed)..];
    let width = digits.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
    if width == 0 || width > 3 {
        return None;
    }
    let number = digits[..width].iter().fold(0, |n, b| n * 10 + i32::from(b - b'0'));
    Some((if text[0] == b'-' { -number } else { number }, width + usize::from(signed)))
}

/// Reads a whole token of digits, point and exponent; `None` when it is anything else or does not fit.
#[inline]
pub(crate) fn long_decimal(token: &[u8]) -> Option<f64> {
    // Words of Rust's and Go's syntax differ; they all begin with a letter or give no finite number.
    if !matches!(token.first()?, b'0'..=b'9' | b'-' | b'.') {
        return None;
    }
    std::str::from_utf8(token).ok()?.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Reads a whole token as Go does, without the spellings of Go 1.13 and later. The error is in Go's words.
pub(crate) fn float(token: &[u8]) -> Result<f64, String> {
    if token.iter().any(|b| matches!(b, b'p' | b'P' | b'_')) {
        return Err("unsupported character in float".to_owned());
    }
    let value = std::str::from_utf8(token).ok().and_then(parse_go_float);
    let Some(value) = value else {
        return Err(format!("strconv.ParseFloat: parsing {}: invalid syntax", quote_bytes(token)));
    };
    let is_word = token.iter().any(|b| matches!(b, b'i' | b'I'));
    if value.is_infinite() && !is_word {
        return Err(format!("strconv.ParseFloat: parsing {}: value out of range", quote_bytes(token)));
    }
    Ok(canonical(value))
}

/// Any NaN becomes the one that is stored.
#[inline]
pub(crate) fn canonical(value: f64) -> f64 {
    if value.is_nan() { NORMAL_NAN } else { value }
}

/// Digits as a number of milliseconds. The error is in Go's words.
pub(crate) fn integer(digits: &[u8]) -> Result<i64, String> {
    let text = String::from_utf8_lossy(digits);
    text.parse().map_err(|_| format!("strconv.ParseInt: parsing {}: value out of range", quote_bytes(digits)))
}

/// Seconds as whole milliseconds, cut towards zero; what does not fit is the smallest number, as on Prometheus' machines.
pub(crate) fn seconds_to_ms(seconds: f64) -> i64 {
    let ms = seconds * 1000.0;
    // The bounds are exact: -2^63 and 2^63.
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&ms) {
        ms as i64
    } else {
        i64::MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str) {
        if let Some((value, width)) = short_decimal(text.as_bytes()) {
            let want: f64 = text[..width].parse().expect(text);
            assert_eq!(value.to_bits(), want.to_bits(), "{text}: {value} instead of {want}");
        }
    }

    #[test]
    fn the_fast_path_rounds_as_the_slow_one() {
        let seed = 3;
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..200_000 {
            let digits = random.u64(..) >> random.u32(0..64);
            let mut text = digits.to_string();
            if random.bool() {
                text.insert(random.usize(0..=text.len()), '.');
            }
            if random.u8(0..4) == 0 {
                text += &format!("e{}{}", ["", "+", "-"][random.usize(0..3)], random.u32(0..40));
            }
            if random.bool() {
                text.insert(0, '-');
            }
            check(&text);
        }
    }

    #[test]
    fn the_fast_path_takes_common_values_and_stops_at_their_end() {
        for (text, want) in [
            ("0", (0.0, 1)),
            ("-0 ", (-0.0, 2)),
            ("12.5\n", (12.5, 4)),
            ("1.733123456789e+09", (1_733_123_456.789, 18)),
            ("5.", (5.0, 2)),
            (".5", (0.5, 2)),
            ("1E-3 1", (0.001, 4)),
            ("1x", (1.0, 1)),
        ] {
            assert_eq!(short_decimal(text.as_bytes()), Some(want), "{text}");
        }
        for text in
            ["", "-", ".", "+1", "NaN", "1e", "1e+", "1e1000", "12345678901234567890", "9007199254740993"]
        {
            assert_eq!(short_decimal(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn slow_numbers_fail_in_gos_words() {
        assert_eq!(float(b"0x1p3"), Err("unsupported character in float".to_owned()));
        assert_eq!(
            float(b"1e400"),
            Err("strconv.ParseFloat: parsing \"1e400\": value out of range".to_owned())
        );
        assert_eq!(float(b"a\xff"), Err("strconv.ParseFloat: parsing \"a\\xff\": invalid syntax".to_owned()));
        assert_eq!(float(b"-iNf"), Ok(f64::NEG_INFINITY));
        assert_eq!(float(b"nan").map(f64::to_bits), Ok(NORMAL_NAN.to_bits()));
        assert_eq!(seconds_to_ms(1e30), i64::MIN);
        assert_eq!(seconds_to_ms(-1.0009), -1000);
    }
}
