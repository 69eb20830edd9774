//! Numbers of the HTTP API, written in place: for encoders that write millions of them.
//!
//! Holds: whole numbers and floats as text of at most [`NUMBER_ROOM`] bytes, written to the start of an array of that size. What
//! lies behind the text in the array is rubbish afterwards: digits are stored eight at a time, whatever their number.
//! Facts: the layout is that of `float_text`, whose [`push_float_json`] is the slow twin in the tests.
//! Cost: no allocation, one branch a kind of number; some 5 ns a whole number, 20 ns a float with many digits, 10 ns more where an
//! exponent comes or goes (bench `answer` of the web crate).

use crate::float_text::push_float_json;

/// The most bytes that a number takes: a sign, `0.00000`, and 17 digits; and some that are written over.
pub const NUMBER_ROOM: usize = 32;

/// Up to here whole floats are one apart, so that the shortest digits are all of them: 2^53.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// Writes a float as the HTTP API's JSON has it, without quotes; returns the length of the text.
#[inline]
pub fn write_float_json(room: &mut [u8; NUMBER_ROOM], v: f64) -> usize {
    let abs = v.abs();
    // PERF: most values of counters are whole, and an integer is written faster than shortest digits are found.
    if abs < WHOLE {
        let whole = v as i64;
        if whole as f64 == v && (whole != 0 || v.is_sign_positive()) {
            return write_int(room, whole);
        }
        if abs >= 1e-5 {
            return write_digits(room, v);
        }
    }
    write_rare(room, v)
}

/// A finite float as zmij writes it, with an exponent below 1e-5 and from 1e16 on.
#[inline]
fn write_digits(room: &mut [u8; NUMBER_ROOM], v: f64) -> usize {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(v).as_bytes();
    let len = text.len();
    // PERF: two copies of fixed size, which may overlap, instead of a call of memcpy.
    if let (Some(first), Some(last)) = (text.first_chunk::<16>(), text.last_chunk::<16>()) {
        room[..16].copy_from_slice(first);
        room[len - 16..len].copy_from_slice(last);
    } else if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        room[..8].copy_from_slice(first);
        room[len - 8..len].copy_from_slice(last);
    } else {
        room[..len].copy_from_slice(text);
    }
    len
}

/// What has an exponent, here or in zmij's text, and words.
#[inline(never)]
fn write_rare(room: &mut [u8; NUMBER_ROOM], v: f64) -> usize {
    let abs = v.abs();
    if (WHOLE..1e21).contains(&abs) {
        write_large(room, v)
    } else if v.is_finite() && abs >= 1e-6 {
        if abs < 1e-5 { write_small(room, v) } else { write_digits(room, v) }
    } else if v.is_finite() && abs != 0.0 {
        let len = write_digits(room, v);
        // The exponent has two digits here: 1e-07.
        if len >= 3 && room[len - 3] == b'e' {
            (room[len - 1], room[len]) = (b'0', room[len - 1]);
            return len + 1;
        }
        len
    } else {
        // -0 and words.
        let mut text = String::new();
        push_float_json(&mut text, v);
        room[..text.len()].copy_from_slice(text.as_bytes());
        text.len()
    }
}

/// A number from 2^53 on and below 1e21, with all its digits before the point.
fn write_large(room: &mut [u8; NUMBER_ROOM], v: f64) -> usize {
    let mut zmij = zmij::Buffer::new();
    let text = zmij.format_finite(v).as_bytes();
    let sign = usize::from(v < 0.0);
    room[0] = b'-';
    match text {
        [whole @ .., b'.', b'0'] => {
            room[..whole.len()].copy_from_slice(whole);
            whole.len()
        }
        [number @ .., b'e', b'+', tens, ones] => {
            let digits = &number[sign..];
            room[sign..].fill(b'0');
            room[sign] = digits[0];
            if let Some(fraction) = digits.get(2..) {
                room[sign + 1..=sign + fraction.len()].copy_from_slice(fraction);
            }
            sign + usize::from(tens - b'0') * 10 + usize::from(ones - b'0') + 1
        }
        whole => {
            room[..whole.len()].copy_from_slice(whole);
            whole.len()
        }
    }
}

/// A number from 1e-6 on and below 1e-5, which has five zeros behind its point.
fn write_small(room: &mut [u8; NUMBER_ROOM], v: f64) -> usize {
    let mut zmij = zmij::Buffer::new();
    let text = zmij.format_finite(v).as_bytes();
    let sign = usize::from(v < 0.0);
    // `1.25e-6`
    let digits = &text[sign..text.len() - 3];
    room[0] = b'-';
    room[sign..sign + 7].copy_from_slice(b"0.00000");
    room[sign + 7] = digits[0];
    let fraction = digits.get(2..).unwrap_or(&[]);
    room[sign + 8..sign + 8 + fraction.len()].copy_from_slice(fraction);
    sign + 8 + fraction.len()
}

/// Writes a whole number in decimal; returns the length of the text.
#[inline]
pub fn write_int(room: &mut [u8; NUMBER_ROOM], v: i64) -> usize {
    room[0] = b'-';
    let sign = usize::from(v < 0);
    let n = v.unsigned_abs();
    if n < EIGHT {
        return sign + put_short(room, sign, n as u32);
    }
    let (high, low) = (n / EIGHT, (n % EIGHT) as u32);
    let at = if high < EIGHT {
        sign + put_short(room, sign, high as u32)
    } else {
        let at = sign + put_short(room, sign, (high / EIGHT) as u32);
        room[at..at + 8].copy_from_slice(&eight_digits((high % EIGHT) as u32).to_le_bytes());
        at + 8
    };
    room[at..at + 8].copy_from_slice(&eight_digits(low).to_le_bytes());
    at + 8
}

const EIGHT: u64 = 100_000_000;

/// Writes a number below 10^8 without leading zeros; returns its length.
#[inline]
fn put_short(room: &mut [u8; NUMBER_ROOM], at: usize, n: u32) -> usize {
    let digits = eight_digits(n);
    // The last digit stays even when it is a zero. A digit that is zero has only the two bits of '0'.
    let zeros = (((digits ^ ZEROS) | (1 << 56)).trailing_zeros() / 8) as usize;
    room[at..at + 8].copy_from_slice(&(digits >> (8 * zeros)).to_le_bytes());
    8 - zeros
}

/// `00000000`
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight digits of a number below 10^8 as text, the first one in the lowest byte.
///
/// PERF: halves, quarters and eighths side by side in one word; division by 100 and 10 is a multiplication and a shift, exact for
/// numbers so small.
#[inline]
fn eight_digits(n: u32) -> u64 {
    let halves = u64::from(n / 10_000) | (u64::from(n % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x7f_0000_007f;
    let pairs = hundreds | ((halves - 100 * hundreds) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    (tens | ((pairs - 10 * tens) << 8)) | ZEROS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push_int;

    #[track_caller]
    fn check_float(v: f64) {
        let (mut room, mut expected) = ([b'?'; NUMBER_ROOM], String::new());
        push_float_json(&mut expected, v);
        let len = write_float_json(&mut room, v);
        assert_eq!(std::str::from_utf8(&room[..len]).unwrap(), expected, "{v:e} {:x}", v.to_bits());
    }

    #[track_caller]
    fn check_int(v: i64) {
        let (mut room, mut expected) = ([b'?'; NUMBER_ROOM], String::new());
        push_int(&mut expected, v);
        let len = write_int(&mut room, v);
        assert_eq!(std::str::from_utf8(&room[..len]).unwrap(), expected);
    }

    #[test]
    fn whole_numbers_of_every_length_read_as_their_slow_twins() {
        let mut power: i64 = 1;
        for _ in 0..19 {
            for v in [power, power - 1, power + 1, power.wrapping_mul(9), power / 7 * 5] {
                check_int(v);
                check_int(-v);
                check_float(v as f64);
                check_float(-v as f64);
            }
            power = power.wrapping_mul(10);
        }
        [i64::MIN, i64::MAX, 99_999_999, 100_000_000, 9_999_999_999_999_999].into_iter().for_each(check_int);
        (0..200_000).for_each(check_int);
    }

    #[test]
    fn any_float_reads_as_its_slow_twin() {
        let mut bits: u64 = 0x9e37_79b9_7f4a_7c15;
        for round in 0..60_000u64 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round | 1);
            check_float(f64::from_bits(bits));
            check_float((bits >> 40) as f64 / 1000.0);
            check_float((bits >> 12) as f64);
            check_float((bits >> 12) as f64 / 3.0);
            check_float((bits >> (round % 12)) as f64 * [-1.0, 1.0, 60.0][round as usize % 3]);
            check_float((bits >> 40) as f64 * 3e-13 - 2e-6);
        }
    }

    #[test]
    fn the_borders_of_the_layouts_read_as_their_slow_twins() {
        for exponent in -330..310 {
            let power: f64 = format!("1e{exponent}").parse().unwrap();
            for v in [power, -power, power * 1.5, power * 123.456, power.next_down(), -power.next_up()] {
                check_float(v);
            }
        }
        for v in [WHOLE, WHOLE - 1.0, WHOLE + 2.0, 10.0 * WHOLE] {
            check_float(v);
            check_float(-v);
        }
        for v in [0.0, -0.0, f64::MAX, f64::MIN_POSITIVE, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            check_float(v);
        }
    }
}
