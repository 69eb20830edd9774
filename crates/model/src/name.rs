//! Metric and label names: which are legacy, which need quotes, and how a UTF-8 name is escaped for old consumers.
//!
//! Facts: `common/model` documentation of validation and escaping schemes; "UTF-8 in Prometheus" guide.

/// Which names a configuration accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NameValidation {
    /// Any UTF-8 text that is not empty.
    #[default]
    Utf8,
    /// Only the charset of old: letters, digits, `_`, and `:` in metric names.
    Legacy,
}

/// How a UTF-8 name is written for a consumer that asks for it (`escaping=` in the `Accept` header).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EscapingScheme {
    /// `allow-utf-8`: as it is.
    #[default]
    NoEscaping,
    /// `underscores`: each character outside the legacy charset becomes `_`.
    Underscores,
    /// `dots`: `.` becomes `_dot_`, `_` becomes `__`, the rest `__`.
    Dots,
    /// `values`: `U__` and `_<hex code point>_` for each character outside the legacy charset.
    Values,
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
#[must_use]
pub fn is_legacy_metric_name(name: &str) -> bool {
    is_legacy(name, true)
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`
#[must_use]
pub fn is_legacy_label_name(name: &str) -> bool {
    is_legacy(name, false)
}

fn is_legacy(name: &str, colon: bool) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || (colon && b == b':');
    name.bytes().all(ok) && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

fn is_legacy_char(c: char, first: bool) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':' || (!first && c.is_ascii_digit())
}

/// Writes a name under a scheme. Legacy names stay as they are, but for `Dots`, which doubles underscores.
#[must_use]
pub fn escape_name(name: &str, scheme: EscapingScheme) -> String {
    if name.is_empty() || scheme == EscapingScheme::NoEscaping {
        return name.to_owned();
    }
    let legacy = is_legacy_metric_name(name);
    if legacy && scheme != EscapingScheme::Dots {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len() + 8);
    if scheme == EscapingScheme::Values {
        out.push_str("U__");
    }
    for (i, c) in name.chars().enumerate() {
        push_escaped(&mut out, c, i == 0, scheme);
    }
    out
}

fn push_escaped(out: &mut String, c: char, first: bool, scheme: EscapingScheme) {
    match scheme {
        EscapingScheme::Dots | EscapingScheme::Values if c == '_' => out.push_str("__"),
        EscapingScheme::Dots if c == '.' => out.push_str("_dot_"),
        _ if is_legacy_char(c, first) => out.push(c),
        EscapingScheme::Dots => out.push_str("__"),
        EscapingScheme::Values => out.push_str(&format!("_{:x}_", c as u32)),
        EscapingScheme::Underscores | EscapingScheme::NoEscaping => out.push('_'),
    }
}

/// Reads a name back. `Underscores` cannot be undone and returns the name as it is; a malformed escape too.
#[must_use]
pub fn unescape_name(name: &str, scheme: EscapingScheme) -> String {
    match scheme {
        EscapingScheme::NoEscaping | EscapingScheme::Underscores => name.to_owned(),
        EscapingScheme::Dots => name.replace("_dot_", ".").replace("__", "_"),
        EscapingScheme::Values => {
            name.strip_prefix("U__").and_then(unescape_values).unwrap_or_else(|| name.to_owned())
        }
    }
}

fn unescape_values(mut rest: &str) -> Option<String> {
    let mut out = String::with_capacity(rest.len());
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('_') {
            out.push('_');
            rest = tail;
            continue;
        }
        let (code, tail) = after.split_once('_')?;
        out.push(char::from_u32(u32::from_str_radix(code, 16).ok().filter(|_| code.len() <= 6)?)?);
        rest = tail;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_escape_as_documented_and_values_round_trip() {
        for (name, under, dots, values) in [
            (
                "mysystem.prod.west.cpu.load",
                "mysystem_prod_west_cpu_load",
                "mysystem_dot_prod_dot_west_dot_cpu_dot_load",
                "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load",
            ),
            ("http_status:x", "http_status:x", "http__status:x", "http_status:x"),
            ("label with 😱", "label_with__", "label__with____", "U__label_20_with_20__1f631_"),
        ] {
            assert_eq!(escape_name(name, EscapingScheme::Underscores), under);
            assert_eq!(escape_name(name, EscapingScheme::Dots), dots);
            assert_eq!(escape_name(name, EscapingScheme::Values), values);
            assert_eq!(unescape_name(values, EscapingScheme::Values), name);
        }
    }
}
