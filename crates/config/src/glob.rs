//! File patterns as Go's `filepath.Glob` reads them: `*`, `?`, `[a-z]` and `\` within one part of a path.
//!
//! Always true: results are sorted within each directory; a directory that cannot be read counts as empty.

use std::fs;

use crate::codec::clean;

/// A pattern that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// The existing paths that match `pattern`.
///
/// # Errors
/// When the pattern is malformed.
pub fn glob(pattern: &str) -> Result<Vec<String>, BadPattern> {
    is_match(pattern, "")?;
    glob_parts(pattern, 0)
}

fn has_magic(part: &str) -> bool {
    part.contains(['*', '?', '[', '\\'])
}

fn glob_parts(pattern: &str, depth: u32) -> Result<Vec<String>, BadPattern> {
    /// Each step takes one part of the path off; this many parts no file system allows.
    const DEEPEST: u32 = 4096;
    if depth > DEEPEST {
        return Err(BadPattern);
    }
    if !has_magic(pattern) {
        let exists = fs::symlink_metadata(pattern).is_ok();
        return Ok(if exists { vec![pattern.to_owned()] } else { Vec::new() });
    }
    let (directory, file) = match pattern.rfind('/') {
        Some(at) => (&pattern[..=at], &pattern[at + 1..]),
        None => ("", pattern),
    };
    let trimmed = directory.strip_suffix('/').filter(|d| !d.is_empty()).unwrap_or(directory);
    if !has_magic(trimmed) {
        return in_directory(trimmed, file);
    }
    let mut out = Vec::new();
    for found in glob_parts(trimmed, depth + 1)? {
        out.extend(in_directory(&found, file)?);
    }
    Ok(out)
}

fn in_directory(directory: &str, file: &str) -> Result<Vec<String>, BadPattern> {
    let read = if directory.is_empty() { "." } else { directory };
    let entries = fs::read_dir(read).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort_unstable();
    let mut out = Vec::new();
    for name in names {
        if is_match(file, &name)? {
            out.push(if directory.is_empty() { name } else { clean(&format!("{directory}/{name}")) });
        }
    }
    Ok(out)
}

/// Whether `name` matches `pattern` as a whole. The whole pattern is checked also when it does not match.
///
/// # Errors
/// When the pattern is malformed.
fn is_match(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let tokens = parse(pattern)?;
    let name: Vec<char> = name.chars().collect();
    // The last star and how much of the name it took so far: on a mismatch it takes one more.
    let (mut t, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match tokens.get(t) {
            Some(Token::Star) => {
                star = Some((t, n));
                t += 1;
            }
            Some(token) if token.takes(name[n]) => {
                t += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) if name[taken] != '/' => {
                    star = Some((at, taken + 1));
                    t = at + 1;
                    n = taken + 1;
                }
                _ => return Ok(false),
            },
        }
    }
    Ok(tokens[t..].iter().all(|token| matches!(token, Token::Star)))
}

enum Token {
    Star,
    Any,
    One(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Star => false,
            Self::Any => c != '/',
            Self::One(one) => *one == c,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated && c != '/'
            }
        }
    }
}

fn parse(pattern: &str) -> Result<Vec<Token>, BadPattern> {
    let mut chars = pattern.chars().peekable();
    let mut out = Vec::new();
    while let Some(c) = chars.next() {
        out.push(match c {
            '*' => Token::Star,
            '?' => Token::Any,
            '\\' => Token::One(chars.next().ok_or(BadPattern)?),
            '[' => parse_class(&mut chars)?,
            c => Token::One(c),
        });
    }
    Ok(out)
}

fn parse_class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, BadPattern> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Ok(Token::Class { negated, ranges });
        }
        let low = class_char(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() { class_char(chars)? } else { low };
        ranges.push((low, high));
    }
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, BadPattern> {
    match chars.next() {
        None | Some('-' | ']') => Err(BadPattern),
        Some('\\') => chars.next().ok_or(BadPattern),
        Some(c) => Ok(c),
    }
}

/// The absolute form of a path, by the text and the working directory alone.
pub(crate) fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        return clean(path);
    }
    match std::env::current_dir() {
        Ok(cwd) => clean(&format!("{}/{path}", cwd.display())),
        Err(_) => path.to_owned(),
    }
}

/// Reads a text file; the error reads as Go's.
pub(crate) fn read_text(path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|e| format!("open {path}: {}", io_text(&e)))
}

/// An I/O error in the words of the system without Rust's additions.
pub(crate) fn io_text(e: &std::io::Error) -> String {
    let text = e.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: Result<bool, BadPattern>) {
        assert_eq!(is_match(pattern, name), expected, "{pattern} {name}");
    }

    #[test]
    fn patterns_match_as_in_go() {
        check("*.yml", "a.yml", Ok(true));
        check("*.yml", "a.yaml", Ok(false));
        check("a*b*c", "aXbYbZc", Ok(true));
        check("[a-c]?", "b1", Ok(true));
        check("[^a-c]", "b", Ok(false));
        check("*", "a/b", Ok(false));
        check("\\*", "*", Ok(true));
        check("[", "a", Err(BadPattern));
        check("[]a]", "a", Err(BadPattern));
        check("", "", Ok(true));
    }

    #[test]
    fn glob_lists_sorted_names_and_plain_paths_only_when_they_exist() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path().to_str().expect("a plain path").to_owned();
        for name in ["b.yml", "a.yml", "c.txt"] {
            fs::write(dir.path().join(name), "").expect("the directory is ours");
        }
        assert_eq!(
            glob(&format!("{root}/*.yml")),
            Ok(vec![format!("{root}/a.yml"), format!("{root}/b.yml")])
        );
        assert_eq!(glob(&format!("{root}/c.txt")), Ok(vec![format!("{root}/c.txt")]));
        assert_eq!(glob(&format!("{root}/none")), Ok(Vec::new()));
    }
}
