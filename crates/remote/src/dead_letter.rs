//! Samples that an endpoint refused for good, kept with the reason, one JSON object a line.
//!
//! `<id>.dead.jsonl` grows to a quarter of the bound, then becomes `<id>.dead.1.jsonl` and so on; the oldest of four goes when a
//! fifth begins, which is counted and logged. A line: `time_ms`, `status`, `reason`, `labels`, and `samples` as
//! `[t_ms, value as text]`, or `exemplar`/`histogram` with the message's fields in hexadecimal.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::source::OtherKind;
use crate::wire;

/// Files that are kept.
const FILES: u32 = 4;

/// The dead letters of one endpoint.
pub(crate) struct DeadLetters {
    /// `<dir>/<id>`.
    base: PathBuf,
    file_bytes: u64,
    open: Option<(File, u64)>,
}

/// What was refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Letter<'a> {
    /// A float sample.
    Sample {
        /// Milliseconds since the epoch.
        t_ms: i64,
        /// Its value.
        value: f64,
    },
    /// An exemplar or histogram as it was sent.
    Other {
        /// Which it is.
        kind: OtherKind,
        /// The message's fields.
        encoded: &'a [u8],
    },
}

impl DeadLetters {
    /// The files lie beside the cursor; `bound_bytes` is for all of them.
    #[must_use]
    pub(crate) fn new(dir: &Path, id: &str, bound_bytes: u64) -> Self {
        Self { base: dir.join(id), file_bytes: bound_bytes / u64::from(FILES), open: None }
    }

    /// Keeps one letter. `labels` is what [`wire::put_label`] wrote.
    ///
    /// # Errors
    /// The disk's; then the letter is lost and the caller has to say so.
    pub(crate) fn keep(
        &mut self,
        labels: &[u8],
        letter: Letter<'_>,
        status: u16,
        reason: &str,
    ) -> io::Result<()> {
        let labels: serde_json::Map<String, serde_json::Value> =
            wire::labels(labels).map(|(name, value)| (name.to_owned(), value.into())).collect();
        let now_ms =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis());
        let mut line =
            json!({ "time_ms": now_ms as u64, "status": status, "reason": reason, "labels": labels });
        match letter {
            Letter::Sample { t_ms, value } => {
                line["samples"] = json!([[t_ms, narthex_model::format_float(value)]]);
            }
            Letter::Other { kind: OtherKind::Exemplar, encoded } => line["exemplar"] = hex(encoded).into(),
            Letter::Other { encoded, .. } => line["histogram"] = hex(encoded).into(),
        }
        let mut bytes = line.to_string().into_bytes();
        bytes.push(b'\n');
        self.write(&bytes)
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|(_, len)| len + line.len() as u64 > self.file_bytes) {
            self.open = None;
            self.rotate()?;
        }
        if self.open.is_none() {
            let file = OpenOptions::new().append(true).create(true).open(self.path(0))?;
            let len = file.metadata()?.len();
            self.open = Some((file, len));
        }
        let (file, len) = self.open.as_mut().expect("opened above");
        file.write_all(line)?;
        *len += line.len() as u64;
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        let oldest = self.path(FILES - 1);
        if oldest.exists() {
            tracing::warn!(path = %oldest.display(), "Oldest dead letters of remote write are deleted, the bound is reached");
        }
        for age in (0..FILES - 1).rev() {
            let from = self.path(age);
            if from.exists() {
                std::fs::rename(from, self.path(age + 1))?;
            }
        }
        Ok(())
    }

    fn path(&self, age: u32) -> PathBuf {
        let suffix = match age {
            0 => "dead.jsonl".to_owned(),
            age => format!("dead.{age}.jsonl"),
        };
        self.base.with_extension(suffix)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_lines_of_json_and_files_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut labels = Vec::new();
        wire::put_label(&mut labels, "__name__", "up");
        let mut letters = DeadLetters::new(dir.path(), "abc", 4000);
        for t_ms in 0..100 {
            letters.keep(&labels, Letter::Sample { t_ms, value: f64::NAN }, 400, "out of order").unwrap();
        }
        let mut total = 0;
        for name in ["abc.dead.jsonl", "abc.dead.1.jsonl", "abc.dead.2.jsonl", "abc.dead.3.jsonl"] {
            let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
            total += text.len();
            for line in text.lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(line["labels"]["__name__"], "up");
                assert_eq!(line["samples"][0][1], "NaN");
            }
        }
        assert!(total <= 4000, "{total}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
    }
}
