//! What type a scalar's text has under go-yaml's YAML 1.1.
//!
//! Facts: `yes`/`on`/`y` are booleans, a leading 0 is octal, underscores are dropped from numbers, a quoted text is a string.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use narthex_model::parse_go_float;

/// A scalar with its type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    /// A positive integer above `i64::MAX`.
    Uint(u64),
    Float(f64),
    /// The text stands for itself.
    Str,
    /// `!!binary`, decoded.
    Binary(Vec<u8>),
    /// A date or time; only strings accept it, as it was written.
    Timestamp,
}

const PREFIX: &str = "tag:yaml.org,2002:";

/// `tag:yaml.org,2002:int` as `!!int`.
pub(crate) fn short_tag(tag: &str) -> String {
    tag.strip_prefix(PREFIX).map_or_else(|| tag.to_owned(), |rest| format!("!!{rest}"))
}

impl Resolved {
    /// The tag that error texts name.
    pub(crate) fn short_tag(&self) -> &'static str {
        match self {
            Self::Null => "!!null",
            Self::Bool(_) => "!!bool",
            Self::Int(_) | Self::Uint(_) => "!!int",
            Self::Float(_) => "!!float",
            Self::Str => "!!str",
            Self::Binary(_) => "!!binary",
            Self::Timestamp => "!!timestamp",
        }
    }
}

/// Resolves a scalar.
///
/// # Errors
/// When the text does not fit its explicit tag, in go-yaml's words.
pub(crate) fn resolve(tag: &str, value: &str, plain: bool) -> Result<Resolved, String> {
    if tag.is_empty() && !plain {
        return Ok(Resolved::Str);
    }
    let short = short_tag(tag);
    match short.as_str() {
        "" => Ok(resolve_plain(value, true)),
        "!!str" => Ok(Resolved::Str),
        "!!binary" => decode_base64(value)
            .map(Resolved::Binary)
            .ok_or_else(|| "!!binary value contains invalid base64 data".to_owned()),
        "!!bool" | "!!int" | "!!float" | "!!null" | "!!timestamp" => resolve_tagged(&short, value),
        _ => Ok(Resolved::Str),
    }
}

fn resolve_tagged(short: &str, value: &str) -> Result<Resolved, String> {
    let found = resolve_plain(value, short == "!!timestamp");
    match found {
        #[expect(clippy::cast_precision_loss, reason = "the tag asks for a float")]
        Resolved::Int(i) if short == "!!float" => Ok(Resolved::Float(i as f64)),
        found if found.short_tag() == short => Ok(found),
        found => Err(format!("cannot decode {} `{value}` as a {short}", found.short_tag())),
    }
}

fn resolve_plain(value: &str, times: bool) -> Resolved {
    if let Some(word) = resolve_word(value) {
        return word;
    }
    match value.as_bytes().first() {
        Some(b'.') => parse_go_float(value).map_or(Resolved::Str, Resolved::Float),
        Some(b'0'..=b'9' | b'+' | b'-') if times && is_timestamp(value) => Resolved::Timestamp,
        Some(b'0'..=b'9' | b'+' | b'-') => resolve_number(value),
        _ => Resolved::Str,
    }
}

fn resolve_word(value: &str) -> Option<Resolved> {
    Some(match value {
        "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Resolved::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Resolved::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Resolved::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn resolve_number(value: &str) -> Resolved {
    let plain = value.replace('_', "");
    let (negative, digits) = match plain.as_bytes().first() {
        Some(b'-') => (true, &plain[1..]),
        Some(b'+') => (false, &plain[1..]),
        _ => (false, plain.as_str()),
    };
    let signed = plain.starts_with(['+', '-']);
    if let Some(magnitude) = parse_integer(digits) {
        let limit = i64::MAX.unsigned_abs();
        if negative && magnitude <= limit + 1 {
            return Resolved::Int(0_i64.wrapping_sub_unsigned(magnitude));
        }
        if !negative && magnitude <= limit {
            return Resolved::Int(i64::try_from(magnitude).expect("just compared with the largest"));
        }
        if !signed {
            return Resolved::Uint(magnitude);
        }
    }
    match is_float_style(digits).then(|| parse_go_float(&plain)).flatten() {
        Some(f) => Resolved::Float(f),
        None => Resolved::Str,
    }
}

/// Go's `ParseInt` with base 0: `0x`, `0o`, `0b`, and octal after a plain leading zero.
fn parse_integer(digits: &str) -> Option<u64> {
    let lower = digits.to_ascii_lowercase();
    let (base, rest) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if rest.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(rest, base).ok()
}

/// `[0-9]*\.?[0-9]+([eE][-+][0-9]+)?`, with go-yaml's dot that may also end the digits.
fn is_float_style(digits: &str) -> bool {
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let mantissa_ok = match mantissa.split_once('.') {
        Some((whole, part)) => {
            all_digits(whole) && all_digits(part) && !(whole.is_empty() && part.is_empty())
        }
        None => !mantissa.is_empty() && all_digits(mantissa),
    };
    let exponent_ok = exponent.is_none_or(|e| {
        let rest = e.strip_prefix(['+', '-']).unwrap_or(e);
        !rest.is_empty() && all_digits(rest)
    });
    mantissa_ok && exponent_ok
}

/// A date `2006-1-2`, alone or with a time of day after `T`, `t` or a blank.
fn is_timestamp(value: &str) -> bool {
    let bytes = value.as_bytes();
    if bytes.len() < 8 || bytes.get(4) != Some(&b'-') || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let (date, time) = match value.find(['T', 't', ' ']) {
        Some(at) => (&value[..at], Some(&value[at + 1..])),
        None => (value, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let in_range = |part: &str, max: u32| {
        matches!(part.len(), 1 | 2)
            && part.bytes().all(|b| b.is_ascii_digit())
            && part.parse().is_ok_and(|n: u32| (1..=max).contains(&n))
    };
    let date_ok = matches!(parts.as_slice(), [_, month, day] if in_range(month, 12) && in_range(day, 31));
    date_ok && time.is_none_or(|t| t.len() >= 5 && t.as_bytes().iter().filter(|b| **b == b':').count() >= 2)
}

/// Standard base64 with padding; line breaks are skipped, as Go does.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'\n' | b'\r')).collect();
    STANDARD.decode(bytes).ok()
}
