//! File patterns: a literal directory and a last part that may hold `*`, `?` and `[…]`.
//!
//! Facts: Go `filepath.Match`; no part but the last of a `file_sd` path may hold `*`. A directory that cannot be read
//! holds no files.

use std::path::{Path, PathBuf};

/// All files that match, sorted.
pub(crate) fn expand(pattern: &str) -> Vec<PathBuf> {
    let path = Path::new(pattern);
    let Some(last) =
        path.file_name().and_then(|name| name.to_str()).filter(|name| name.contains(['*', '?', '[']))
    else {
        return if path.exists() { vec![path.to_owned()] } else { Vec::new() };
    };
    let directory = directory_of(pattern);
    let Ok(entries) = std::fs::read_dir(&directory) else {
        return Vec::new();
    };
    let parent = path.parent().unwrap_or(Path::new(""));
    let fits = |name: &std::ffi::OsString| {
        name.to_str().is_some_and(|name| matches(last.as_bytes(), name.as_bytes()))
    };
    let names = entries.filter_map(|entry| entry.ok().map(|e| e.file_name())).filter(fits);
    let mut found: Vec<PathBuf> = names.map(|name| parent.join(name)).collect();
    found.sort();
    found
}

/// The directory to watch for a pattern.
pub(crate) fn directory_of(pattern: &str) -> PathBuf {
    match Path::new(pattern).parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Whether a name matches one path part. Walks back to the last `*` on a mismatch, so the cost is at most the product of
/// the lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
            continue;
        } else {
            one(&pattern[p.min(pattern.len())..], name[n])
        };
        match (step, star) {
            (Some(width), _) => {
                p += width;
                n += 1;
            }
            (None, Some((at, from))) => {
                star = Some((at, from + 1));
                p = at + 1;
                n = from + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[p.min(pattern.len())..].iter().all(|b| *b == b'*')
}

/// How many bytes of the pattern match this one byte; `None` when they do not.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => class(pattern, byte),
        b'\\' => (pattern.get(1) == Some(&byte)).then_some(2),
        literal => (literal == byte).then_some(1),
    }
}

fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = pattern.get(1) == Some(&b'^');
    let mut at = if negated { 2 } else { 1 };
    let first = at;
    let mut found = false;
    while *pattern.get(at)? != b']' || at == first {
        let low = pattern[at];
        let high = if pattern.get(at + 1) == Some(&b'-') { *pattern.get(at + 2)? } else { low };
        found |= (low..=high).contains(&byte);
        at += if high == low && pattern.get(at + 1) != Some(&b'-') { 1 } else { 3 };
    }
    (found != negated).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: bool) {
        assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
    }

    #[test]
    fn patterns_match_as_in_go() {
        check("*.yml", "a.yml", true);
        check("*.yml", ".yml", true);
        check("*.yml", "a.yaml", false);
        check("a*b*c.json", "aXbYbZc.json", true);
        check("a*b*c.json", "aXbYbZ.json", false);
        check("t?.json", "t1.json", true);
        check("t[0-3].json", "t4.json", false);
        check("t[^0-3].json", "t4.json", true);
        check("t[.json", "t1.json", false);
        check("\\*.json", "*.json", true);
        check("", "a", false);
        check("*", "", true);
    }

    #[test]
    fn only_files_that_are_there_are_found_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yml", "c.json"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let names = |pattern: &str| {
            let found = expand(dir.path().join(pattern).to_str().unwrap());
            found.iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("*.yml"), ["a.yml", "b.yml"]);
        assert_eq!(names("c.json"), ["c.json"]);
        assert!(names("d.json").is_empty() && names("none/*.yml").is_empty());
    }
}
