//! Sizes in bytes as the configuration writes them: `512MB`, `1GiB`, `1MB512KB`; every unit counts in 1024s.
//!
//! Facts: the `units` package that Prometheus reads sizes with, by its behaviour.

/// Prefixes from small to large.
const PREFIXES: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];

/// Reads a size: numbers with a unit, added up; a leading sign; `0` needs no unit.
///
/// # Errors
/// In the words of the `units` package.
pub(crate) fn parse_size(text: &str) -> Result<i64, String> {
    let invalid = || format!("units: invalid {text}");
    let (negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let total = sum_units(rest, "iB", text).or_else(|_| sum_units(rest, "B", text))?;
    #[expect(clippy::cast_possible_truncation, reason = "compared with the bounds just before")]
    let bytes =
        if total < 9.2e18 { total as i64 } else { return Err("units: overflow parsing unit".to_owned()) };
    Ok(if negative { -bytes } else { bytes })
}

/// Adds up `rest`, in which every unit above the byte ends in `suffix`.
fn sum_units(mut rest: &str, suffix: &str, text: &str) -> Result<f64, String> {
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| format!("units: invalid {text}"))?;
        let after = &rest[digits..];
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let unit = &after[..unit_end];
        let factor =
            unit_bytes(unit, suffix).ok_or_else(|| format!("units: unknown unit {unit} in {text}"))?;
        total += number * factor;
        rest = &after[unit_end..];
    }
    Ok(total)
}

fn unit_bytes(unit: &str, suffix: &str) -> Option<f64> {
    if unit == "B" {
        return Some(1.0);
    }
    let prefix = unit.strip_suffix(suffix).filter(|p| !p.is_empty())?;
    let power = PREFIXES.iter().position(|p| *p == prefix)?;
    Some(1024_f64.powi(i32::try_from(power).expect("there are seven prefixes")))
}

/// Writes a size with a unit for each non-zero part, large ones first: `1GiB512MiB`, `0B`.
#[must_use]
pub fn format_size(bytes: i64) -> String {
    if bytes == 0 {
        return "0B".to_owned();
    }
    let mut parts = Vec::new();
    let mut rest = bytes;
    for prefix in PREFIXES {
        if rest == 0 {
            break;
        }
        if rest % 1024 != 0 {
            let suffix = if prefix.is_empty() { "B" } else { "iB" };
            parts.push(format!("{}{prefix}{suffix}", rest % 1024));
        }
        rest /= 1024;
    }
    parts.reverse();
    parts.concat()
}

#[cfg(test)]
mod tests {
    use narthex_model::quote_go;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(i64, &str), &str>) {
        let found = parse_size(text).map(|b| (b, format_size(b)));
        assert_eq!(
            found,
            expected.map(|(b, s)| (b, s.to_owned())).map_err(str::to_owned),
            "{}",
            quote_go(text)
        );
    }

    #[test]
    fn every_unit_counts_in_1024s() {
        check("15MB", Ok((15 << 20, "15MiB")));
        check("1.5GiB", Ok((3 << 29, "1GiB512MiB")));
        check("1MB1KB", Ok(((1 << 20) + 1024, "1MiB1KiB")));
        check("0", Ok((0, "0B")));
        check("100B", Ok((100, "100B")));
        check("-1GB", Ok((-(1 << 30), "-1GiB")));
        check("100", Err("units: unknown unit  in 100"));
        check("1XB", Err("units: unknown unit XB in 1XB"));
        check("", Err("units: invalid "));
    }
}
