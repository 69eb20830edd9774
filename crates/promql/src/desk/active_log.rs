//! The log of running queries, `<data>/queries.active`: what ran when the process died is told at the next start.
//!
//! Format (facts: Prometheus 3.14 `promql/query_logger.go`, a file of 3.5.3): `[`, then for each slot 1000 bytes, either zeros or
//! `{"query":"…","timestamp_sec":…}` with a comma as the last byte. Without the zeros and with the last comma as `]` it is a JSON list.
//! A slot is written with one system call into the page cache, which outlives the process, as a mapping would.
//! Always true: an entry is valid JSON; a query that does not fit is cut at a character.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::json::push_char;

/// Bytes of a slot.
const SLOT: usize = 1000;
/// The most bytes that are read of a file that another process left.
const MOST_READ: u64 = 64 << 20;

/// The file of running queries.
#[derive(Debug)]
pub struct ActiveLog {
    file: File,
}

impl ActiveLog {
    /// Where the file is.
    #[must_use]
    pub fn file(dir: &Path) -> PathBuf {
        dir.join("queries.active")
    }

    /// The queries that an earlier process did not finish, as a JSON list; `None` when there are none. To be asked before the
    /// file is opened.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn unfinished(dir: &Path) -> io::Result<Option<String>> {
        match File::open(Self::file(dir)) {
            Ok(old) => unfinished(old),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Opens the file in `dir` for so many slots and empties it.
    ///
    /// # Errors
    /// The file cannot be made or sized.
    pub fn open(dir: &Path, slots: usize) -> io::Result<Self> {
        let path = Self::file(dir);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        file.set_len(1 + (slots.max(1) * SLOT) as u64)?;
        file.write_all_at(b"[", 0)?;
        Ok(Self { file })
    }

    /// Notes that a query runs in a slot. A disk that fails now must not fail the query.
    pub(super) fn insert(&self, slot: usize, query: &str, now: SystemTime) {
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let mut bytes = entry(query, seconds).into_bytes();
        bytes.resize(SLOT - 1, 0);
        bytes.push(b',');
        let _ = self.file.write_all_at(&bytes, offset(slot));
    }

    /// Notes that the query in a slot ended.
    pub(super) fn remove(&self, slot: usize) {
        let _ = self.file.write_all_at(&[0; SLOT], offset(slot));
    }
}

fn offset(slot: usize) -> u64 {
    (1 + slot * SLOT) as u64
}

/// The JSON of a query, at most a byte less than a slot.
fn entry(query: &str, seconds: u64) -> String {
    let end = format!("\",\"timestamp_sec\":{seconds}}}");
    let mut out = String::from("{\"query\":\"");
    for c in query.chars() {
        let before = out.len();
        push_char(&mut out, c, true);
        if out.len() + end.len() > SLOT - 1 {
            out.truncate(before);
            break;
        }
    }
    out.push_str(&end);
    out
}

fn unfinished(old: File) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    old.take(MOST_READ).read_to_end(&mut bytes)?;
    bytes.retain(|b| *b != 0);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    // Either only the bracket, or a comma after the last query.
    if text.pop().is_none() || text.is_empty() {
        return Ok(None);
    }
    text.push(']');
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("narthex-active-log-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn what_was_not_removed_is_told_at_the_next_start() {
        let dir = dir("told");
        assert_eq!(ActiveLog::unfinished(&dir).unwrap(), None);
        let log = ActiveLog::open(&dir, 3).unwrap();
        let at = UNIX_EPOCH + std::time::Duration::from_secs(7);
        log.insert(0, "up", at);
        log.insert(1, "a < \"b\"", at);
        log.insert(2, "gone", at);
        log.remove(2);
        let bytes = std::fs::read(dir.join("queries.active")).unwrap();
        assert_eq!(
            (bytes.len(), bytes[0], bytes[1000], bytes[2000], bytes[3000]),
            (3001, b'[', b',', b',', 0)
        );
        let before = ActiveLog::unfinished(&dir).unwrap();
        let expected = r#"[{"query":"up","timestamp_sec":7},{"query":"a \u003c \"b\"","timestamp_sec":7}]"#;
        assert_eq!(before.as_deref(), Some(expected));
        ActiveLog::open(&dir, 1).unwrap();
        assert_eq!(ActiveLog::unfinished(&dir).unwrap(), None, "it is told once");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_long_query_is_cut_at_a_character_and_stays_in_its_slot() {
        for (query, longest) in [("x".repeat(5000), 999), ("é".repeat(5000), 999), ("\"".repeat(600), 999)] {
            let text = entry(&query, 1_795_390_620);
            assert!(text.len() <= longest && text.len() > longest - 4, "{}", text.len());
            assert!(text.ends_with("\",\"timestamp_sec\":1795390620}"));
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
    }
}
