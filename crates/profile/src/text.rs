//! A profile as text for people: rows with the largest first, each with its stack and names.

use std::fmt::Write as _;

use crate::profile::Profile;
use crate::symbols::Symbols;

/// The profile as text.
#[must_use]
pub fn to_text(profile: &Profile, symbols: &Symbols) -> String {
    let names: Vec<String> =
        profile.kind.values().iter().map(|(name, unit)| format!("{name}/{unit}")).collect();
    let mut out = format!("{} rows of {}\n", profile.rows.len(), names.join(" "));
    for comment in &profile.comments {
        out += &format!("# {comment}\n");
    }
    let mut rows: Vec<_> = profile.rows.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse((row.values.last().copied(), row.stack.len())));
    for row in rows {
        let values: Vec<String> = row.values.iter().map(i64::to_string).collect();
        let _ = write!(out, "\n{}", values.join(" "));
        if !row.thread.is_empty() {
            let _ = write!(out, " thread {}", row.thread);
        }
        out.push('\n');
        for address in &row.stack {
            let name = symbols.name(*address);
            let _ = writeln!(out, "#\t{address:#x}\t{}", name.as_deref().unwrap_or("?"));
        }
    }
    out
}
