//! The files of dead letters as they lie in their directory, and the lines in them.
//!
//! `<id>.dead.<number>.jsonl`, where the number is that of the first letter in it or lower, sixteen digits; `<id>.dead.jsonl` and
//! `<id>.dead.1.jsonl`…`3` are those of older versions, of which the highest is the oldest. The first line may say whose letters
//! these are. Letters have rising numbers; a line without a fitting one gets the next, so that a file that was edited by hand
//! stays readable. Lines that are no letters are stepped over and never touched. Only reads; safe beside a running server.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::letter::{DeadLetter, parse};

/// A file of letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LetterFile {
    /// No letter in it has a lower number, and none in older files a higher one.
    pub(crate) first: u64,
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// How much of it is to be read.
    pub(crate) bytes: u64,
    /// Whether an older version wrote it.
    pub(crate) old: bool,
}

/// Whose letters a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The endpoint's name.
    pub(crate) name: String,
    /// Its URL, safe to show.
    pub(crate) url: String,
}

/// What a line is.
#[derive(Debug, PartialEq)]
pub(crate) enum Line {
    /// The endpoint's name and URL.
    Origin(Origin),
    /// A letter.
    Letter(DeadLetter),
    /// Something else.
    Unreadable,
}

/// The name of a file.
pub(crate) fn file_name(id: &str, first: u64) -> String {
    format!("{id}.dead.{first:016}.jsonl")
}

/// The first line of a file.
pub(crate) fn origin_line(origin: &Origin) -> String {
    format!("{}\n", json!({ "dead_letters_of": { "name": origin.name, "url": origin.url } }))
}

/// The files of each store in `dir`, oldest letters first.
///
/// # Errors
/// The disk's; a directory that is not there is empty.
pub(crate) fn stores(dir: &Path) -> io::Result<BTreeMap<String, Vec<LetterFile>>> {
    let mut found: BTreeMap<String, Vec<(bool, u64, LetterFile)>> = BTreeMap::new();
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some((id, number, old)) = name.to_str().and_then(parse_name) else { continue };
        let bytes = match entry.metadata() {
            Ok(metadata) => metadata.len(),
            // Gone since: the oldest goes when a new one begins.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let (order, first) = if old { (u64::MAX - number, 1) } else { (number, number) };
        let file = LetterFile { first, path: entry.path(), bytes, old };
        found.entry(id.to_owned()).or_default().push((old, order, file));
    }
    let in_order = |mut files: Vec<(bool, u64, LetterFile)>| {
        files.sort_unstable_by_key(|(old, order, _)| (*old, *order));
        files.into_iter().map(|(_, _, file)| file).collect()
    };
    Ok(found.into_iter().map(|(id, files)| (id, in_order(files))).collect())
}

/// The endpoint's id, the number, and whether the name is of the older form.
fn parse_name(name: &str) -> Option<(&str, u64, bool)> {
    let (id, number) = name.strip_suffix(".jsonl")?.split_once(".dead")?;
    let Some(number) = number.strip_prefix('.') else { return number.is_empty().then_some((id, 0, true)) };
    let is_old = number.len() < 16;
    (number.bytes().all(|byte| byte.is_ascii_digit())).then_some((id, number.parse().ok()?, is_old))
}

/// The bytes of a file; empty when it is gone.
pub(crate) fn read(file: &LetterFile) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match File::open(&file.path) {
        Ok(open) => open.take(file.bytes).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(bytes)
}

/// The lines of a file's bytes, each with its end; a line that lacks it is the last. Empty ones are left out.
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
    /// The number of the next letter that has none.
    pub(crate) next: u64,
}

impl<'a> Lines<'a> {
    /// `next` is above all numbers of older files.
    pub(crate) fn new(bytes: &'a [u8], next: u64) -> Self {
        Self { rest: bytes, next }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (&'a [u8], Line);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let end = self.rest.iter().position(|byte| *byte == b'\n').map_or(self.rest.len(), |at| at + 1);
            if end == 0 {
                return None;
            }
            let (line, rest) = self.rest.split_at(end);
            self.rest = rest;
            if line.trim_ascii().is_empty() {
                continue;
            }
            if let Some(letter) = parse(line, self.next) {
                self.next = letter.id + 1;
                return Some((line, Line::Letter(letter)));
            }
            return Some((line, origin(line).map_or(Line::Unreadable, Line::Origin)));
        }
    }
}

fn origin(line: &[u8]) -> Option<Origin> {
    let line: Value = serde_json::from_slice(line).ok()?;
    let of = line.get("dead_letters_of")?;
    Some(Origin { name: of["name"].as_str()?.to_owned(), url: of["url"].as_str()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_forms_are_told_from_others() {
        for (name, expected) in [
            ("ab.dead.0000000000000017.jsonl", Some(("ab", 17, false))),
            ("ab.dead.jsonl", Some(("ab", 0, true))),
            ("ab.dead.3.jsonl", Some(("ab", 3, true))),
            ("ab.dead.x.jsonl", None),
            ("ab.dead..jsonl", None),
            ("ab.dead.0000000000000017.jsonl.tmp", None),
            ("ab.cursor", None),
        ] {
            assert_eq!(parse_name(name), expected, "{name}");
        }
    }

    #[test]
    fn files_come_in_the_order_of_their_letters() {
        let dir = tempfile::tempdir().unwrap();
        let names = [
            "a.dead.jsonl",
            "a.dead.2.jsonl",
            "a.dead.0000000000000009.jsonl",
            "a.dead.0000000000000001.jsonl",
        ];
        names.iter().for_each(|name| std::fs::write(dir.path().join(name), "x").unwrap());
        let found = stores(dir.path()).unwrap();
        let order: Vec<_> =
            found["a"].iter().map(|f| f.path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(order, [names[3], names[2], names[1], names[0]]);
        assert!(stores(&dir.path().join("none")).unwrap().is_empty());
    }
}
