//! What an endpoint had to give up, and why: one JSON object a line, in `<id>.gaps.jsonl` beside its cursor.
//!
//! A line: `time_ms`, `cause`, `from_ms` and `to_ms` (the samples' times, `to_ms` exclusive), `samples` and `exemplars`; what is not
//! known is `null`. At half of [`GAP_BYTES`] the file becomes `<id>.gaps.1.jsonl`, and that one goes. A gap is also counted and logged.
//! The files are read at the start, so that what they amount to can be shown.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

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

/// What the gap records of an endpoint amount to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GapSummary {
    /// How many records there are.
    pub records: u64,
    /// Samples and histograms in those that know how many.
    pub samples: u64,
    /// Exemplars in those that know how many.
    pub exemplars: u64,
    /// The newest one.
    pub last: Option<LastGap>,
}

/// The newest gap record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastGap {
    /// When it was written, ms.
    pub time_ms: i64,
    /// Why something is not sent.
    pub cause: String,
    /// The first time of samples that are not sent, ms; `None` when nobody knows.
    pub from_ms: Option<i64>,
    /// Behind the last one, ms.
    pub to_ms: Option<i64>,
}

impl GapSummary {
    fn add(&mut self, time_ms: i64, gap: Gap) {
        self.records += 1;
        self.samples += gap.samples.unwrap_or(0);
        self.exemplars += gap.exemplars.unwrap_or(0);
        let Gap { cause, from_ms, to_ms, .. } = gap;
        self.last = Some(LastGap { time_ms, cause, from_ms, to_ms });
    }
}

/// The gap records of one endpoint.
pub(crate) struct Gaps {
    /// `<dir>/<id>`.
    base: PathBuf,
    summary: GapSummary,
}

impl Gaps {
    /// The files lie beside the cursor. Those that cannot be read, and lines that are no records, count for nothing.
    #[must_use]
    pub(crate) fn open(dir: &Path, id: &str) -> Self {
        let base = dir.join(id);
        Self { summary: read(&base), base }
    }

    /// What there is.
    pub(crate) fn summary(&self) -> &GapSummary {
        &self.summary
    }

    /// Keeps a record, durably.
    ///
    /// # Errors
    /// The disk's; the gap is in the log of the process and in the summary only.
    pub(crate) fn keep(&mut self, gap: &Gap) -> io::Result<()> {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        let kept = self.write(now_ms, gap);
        self.summary.add(now_ms, gap.clone());
        kept
    }

    fn write(&mut self, now_ms: i64, gap: &Gap) -> io::Result<()> {
        let line = json!({
            "time_ms": now_ms, "cause": gap.cause, "from_ms": gap.from_ms, "to_ms": gap.to_ms,
            "samples": gap.samples, "exemplars": gap.exemplars,
        });
        let path = self.base.with_extension("gaps.jsonl");
        if std::fs::metadata(&path).is_ok_and(|meta| meta.len() >= GAP_BYTES / 2) {
            narthex_disk::rename(&path, &self.base.with_extension("gaps.1.jsonl"))?;
            self.summary = read(&self.base);
        }
        let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        narthex_disk::sync_file(&file, &path)
    }
}

/// What the files of an endpoint say.
fn read(base: &Path) -> GapSummary {
    let mut summary = GapSummary::default();
    for extension in ["gaps.1.jsonl", "gaps.jsonl"] {
        // There are rarely any.
        let bytes = std::fs::read(base.with_extension(extension)).unwrap_or_default();
        for line in bytes.split(|byte| *byte == b'\n') {
            if let Some((time_ms, gap)) = record(line) {
                summary.add(time_ms, gap);
            }
        }
    }
    summary
}

fn record(line: &[u8]) -> Option<(i64, Gap)> {
    let line: Value = serde_json::from_slice(line).ok()?;
    let gap = Gap {
        cause: line["cause"].as_str()?.to_owned(),
        from_ms: line["from_ms"].as_i64(),
        to_ms: line["to_ms"].as_i64(),
        samples: line["samples"].as_u64(),
        exemplars: line["exemplars"].as_u64(),
    };
    Some((line["time_ms"].as_i64()?, gap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_lines_of_json_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut gaps = Gaps::open(dir.path(), "abc");
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

    #[test]
    fn the_summary_is_that_of_the_files_after_a_restart_and_after_the_oldest_went() {
        let dir = tempfile::tempdir().unwrap();
        let mut gaps = Gaps::open(dir.path(), "abc");
        assert_eq!(*gaps.summary(), GapSummary::default());
        let gap = |cause: String, from_ms| Gap {
            cause,
            from_ms: Some(from_ms),
            samples: Some(7),
            ..Gap::default()
        };
        for number in 0..9 {
            gaps.keep(&gap("x".repeat(600_000), number)).unwrap();
        }
        std::fs::write(dir.path().join("abd.gaps.jsonl"), "no record\n{}\n").unwrap();
        gaps.keep(&Gap { cause: "known".into(), exemplars: Some(3), ..gap(String::new(), 9) }).unwrap();
        let summary = gaps.summary().clone();
        assert_eq!((summary.records, summary.samples, summary.exemplars), (4, 28, 3));
        let last = summary.last.as_ref().unwrap();
        assert_eq!((&*last.cause, last.from_ms, last.to_ms), ("known", Some(9), None));
        assert_eq!(*Gaps::open(dir.path(), "abc").summary(), summary);
        assert_eq!(*Gaps::open(dir.path(), "abd").summary(), GapSummary::default());
    }
}
