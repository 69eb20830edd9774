//! What an endpoint had to give up, and why: one JSON object a line, in `<id>.gaps.jsonl` beside its cursor.
//!
//! A line: `time_ms`, `cause`, `from_ms` and `to_ms` (the samples' times, `to_ms` exclusive), `samples` and `exemplars`; what is not
//! known is `null`. At half of [`GAP_BYTES`] the file becomes `<id>.gaps.1.jsonl`, and that one goes. A gap is also counted and logged.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

/// Both files together, bytes.
const GAP_BYTES: u64 = 2 << 20;

/// Something that will never be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gap {
    /// Why.
    pub(crate) cause: String,
    /// Times of the samples, ms, open at the end; `None` when not known.
    pub(crate) from_ms: Option<i64>,
    pub(crate) to_ms: Option<i64>,
    /// How many samples and histograms; `None` when nobody counted them.
    pub(crate) samples: Option<u64>,
    /// How many exemplars.
    pub(crate) exemplars: Option<u64>,
}

/// The gap records of one endpoint.
pub(crate) struct Gaps {
    /// `<dir>/<id>`.
    base: PathBuf,
}

impl Gaps {
    /// The files lie beside the cursor.
    #[must_use]
    pub(crate) fn new(dir: &Path, id: &str) -> Self {
        Self { base: dir.join(id) }
    }

    /// Keeps a record, durably.
    ///
    /// # Errors
    /// The disk's; the gap is in the log of the process only.
    pub(crate) fn keep(&self, gap: &Gap) -> io::Result<()> {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let line = json!({
            "time_ms": now_ms, "cause": gap.cause, "from_ms": gap.from_ms, "to_ms": gap.to_ms,
            "samples": gap.samples, "exemplars": gap.exemplars,
        });
        let path = self.base.with_extension("gaps.jsonl");
        if std::fs::metadata(&path).is_ok_and(|meta| meta.len() >= GAP_BYTES / 2) {
            narthex_disk::rename(&path, &self.base.with_extension("gaps.1.jsonl"))?;
        }
        let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        narthex_disk::sync_file(&file, &path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_lines_of_json_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let gaps = Gaps::new(dir.path(), "abc");
        let gap = Gap { cause: "x".repeat(600_000), from_ms: Some(-5), samples: Some(7), ..Gap::default() };
        (0..9).for_each(|_| gaps.keep(&gap).unwrap());
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let (newer, older) = (read("abc.gaps.jsonl"), read("abc.gaps.1.jsonl"));
        assert_eq!((newer.lines().count(), older.lines().count()), (1, 2));
        let line: serde_json::Value = serde_json::from_str(newer.trim_end()).unwrap();
        assert_eq!(line["from_ms"], -5);
        assert_eq!(line["samples"], 7);
        assert!(line["to_ms"].is_null());
    }
}
