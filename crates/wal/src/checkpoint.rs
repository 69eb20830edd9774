//! Checkpoints: what old segments still have to say, in a directory `checkpoint.NNNNNNNN` that stands for them.
//!
//! A checkpoint is read before the segments behind it. It keeps the records of series that somebody may still name, samples,
//! histograms and exemplars from a timestamp on, tombstones that reach it, and the newest metadata of each series.
//! Always true: the directory appears under its name only when it is whole and on the disk; until then it ends in `.tmp`, and
//! whoever finds one of those deletes it. The segments go after that, then the older checkpoints: a crash in between leaves
//! more than is needed, never less.
//! PERF: streaming; memory is a batch of records (1 MiB) and 16 bytes for each series with metadata. Records of which
//! everything is kept are copied as they are.
//! Must not know: what a series is worth; `keep` says so.
//! Facts: Prometheus `tsdb/docs/format/wal.md` and what its checkpoints hold.

mod filter;

use std::io;
use std::path::{Path, PathBuf};

use narthex_disk::{point, sync_dir};
use narthex_metrics::Registry;
use narthex_storage::SeriesRef;

use self::filter::Filter;
use super::dir::{DirError, ReplayPlan, list_checkpoints};
use super::{Compression, ReadError, Reader, WalMetrics, WalOptions, WalPosition, WriteError, Writer};

/// Records are written when they are this many bytes together.
const BATCH_BYTES: usize = 1 << 20;

/// Why a checkpoint could not be written. The log is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The older checkpoint or a segment cannot be read. Cutting it here would lose what lies behind; a restart repairs it.
    #[error("read segments")]
    Read(#[from] ReadError),
    /// The new checkpoint cannot be written.
    #[error("write checkpoint")]
    Write(#[from] WriteError),
    /// A directory cannot be made, synced, renamed or deleted.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl CheckpointError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether bytes that were read are wrong.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        matches!(self, Self::Read(ReadError::Corrupt { .. }))
    }
}

/// Entries of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Read.
    pub total: u64,
    /// Left out.
    pub dropped: u64,
}

/// What went into a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointStats {
    /// Series records.
    pub series: Kept,
    /// Floats and histograms.
    pub samples: Kept,
    /// Deleted intervals.
    pub tombstones: Kept,
    /// Exemplars.
    pub exemplars: Kept,
    /// Metadata entries; older ones of a series count as dropped.
    pub metadata: Kept,
}

/// A checkpoint to write.
pub struct Checkpoint<'a> {
    /// The log's directory.
    pub dir: &'a Path,
    /// The last segment that it will stand for; must not be the one being written.
    pub last: u32,
    /// Samples, exemplars, and tombstones that end before this are left out, ms.
    pub mint_ms: i64,
    /// How its records are compressed.
    pub compression: Compression,
    /// Whether records of a series stay. Must give the same answer for a series each time.
    pub keep: &'a dyn Fn(SeriesRef) -> bool,
}

impl Checkpoint<'_> {
    /// Writes it from the newest checkpoint and the segments behind that one, up to `last`. Nothing is deleted but what an
    /// earlier try left half done. When the newest checkpoint stands for `last` already, nothing is done.
    ///
    /// # Errors
    /// See [`CheckpointError`]; what was written is deleted again.
    pub fn write(&self) -> Result<CheckpointStats, CheckpointError> {
        let mut plan = ReplayPlan::of(self.dir).map_err(ReadError::from)?;
        plan.segments.retain(|segment| *segment <= self.last);
        if plan.checkpoint.as_ref().is_some_and(|(index, _)| *index >= self.last) {
            return Ok(CheckpointStats::default());
        }
        sweep_checkpoints(self.dir).map_err(ReadError::from)?;
        let path = self.dir.join(format!("checkpoint.{:08}", self.last));
        let tmp = path.with_extension(format!("{:08}.tmp", self.last));
        let written = self.write_tmp(&plan, &tmp).and_then(|stats| {
            point("wal.checkpoint.rename");
            narthex_disk::rename(&tmp, &path).map_err(CheckpointError::io("rename checkpoint to", &path))?;
            Ok(stats)
        });
        if written.is_err() {
            // The next try, or the next start, deletes it otherwise.
            let _ = narthex_disk::remove_dir_all(&tmp);
        }
        written
    }

    fn write_tmp(&self, plan: &ReplayPlan, tmp: &Path) -> Result<CheckpointStats, CheckpointError> {
        let options = WalOptions { compression: self.compression, ..WalOptions::default() };
        // The log's own metrics are not those of its checkpoints.
        let metrics = WalMetrics::for_wal(&Registry::new(), self.compression);
        let mut out =
            Out { writer: Writer::open(tmp, options, metrics)?, bytes: Vec::new(), ends: Vec::new() };
        let mut filter = Filter::new(self.mint_ms, self.keep);
        if let Some((_, older)) = &plan.checkpoint {
            copy(older, Reader::open_dir(older)?, &mut filter, &mut out)?;
        }
        if let (Some(first), Some(last)) = (plan.segments.first(), plan.segments.last()) {
            let reader = Reader::open(self.dir, WalPosition { segment: *first, offset: 0 }, *last)?;
            copy(self.dir, reader, &mut filter, &mut out)?;
        }
        let stats = filter.finish(&mut out)?;
        out.flush()?;
        out.writer.close()?;
        sync_dir(tmp).map_err(CheckpointError::io("sync checkpoint", tmp))?;
        Ok(stats)
    }
}

fn copy(
    dir: &Path,
    mut reader: Reader,
    filter: &mut Filter<'_>,
    out: &mut Out,
) -> Result<(), CheckpointError> {
    while let Some(record) = reader.next()? {
        let at = record.start;
        filter.take(record.bytes, out).map_err(|error| ReadError::content(dir, at, error))?;
        out.flush_if_large()?;
    }
    Ok(())
}

/// Records on their way to the new checkpoint.
struct Out {
    writer: Writer,
    bytes: Vec<u8>,
    /// Where each record ends in `bytes`.
    ends: Vec<usize>,
}

impl Out {
    fn copy(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.end_record();
    }

    /// Ends a record that was appended to `bytes`.
    fn end_record(&mut self) {
        self.ends.push(self.bytes.len());
    }

    fn flush_if_large(&mut self) -> Result<(), WriteError> {
        if self.bytes.len() >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        let mut start = 0;
        let records: Vec<&[u8]> =
            self.ends.iter().map(|end| &self.bytes[std::mem::replace(&mut start, *end)..*end]).collect();
        self.writer.log(&records)?;
        point("wal.checkpoint.write");
        self.bytes.clear();
        self.ends.clear();
        Ok(())
    }
}

/// Deletes the checkpoints of `dir` that stand for less than segment `index`, oldest first, and returns how many.
///
/// # Errors
/// The disk's; older ones are gone then.
pub fn delete_checkpoints_before(dir: &Path, index: u32) -> Result<usize, DirError> {
    let mut old = list_checkpoints(dir)?;
    old.retain(|(number, _)| *number < index);
    for (_, path) in &old {
        narthex_disk::remove_dir_all(path)
            .map_err(|source| DirError::io("delete old checkpoint", path, source))?;
        point("wal.checkpoint.delete");
    }
    Ok(old.len())
}

/// Deletes what a checkpoint that was not finished left in `dir`: directories `checkpoint.*.tmp`. An absent `dir` is empty.
///
/// # Errors
/// The disk's.
pub fn sweep_checkpoints(dir: &Path) -> Result<Vec<PathBuf>, DirError> {
    let failed = |source| DirError::io("list", dir, source);
    if !dir.try_exists().map_err(failed)? {
        return Ok(Vec::new());
    }
    let mut swept = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("checkpoint.") && name.ends_with(".tmp") && path.is_dir() {
            narthex_disk::remove_dir_all(&path)
                .map_err(|source| DirError::io("delete half-written checkpoint", &path, source))?;
            tracing::info!(dir = %path.display(), "deleted a checkpoint that was not finished");
            swept.push(path);
        }
    }
    Ok(swept)
}
