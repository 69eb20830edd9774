//! Shortening the WAL: a checkpoint for the older two thirds of the segments, which then go.
//!
//! Always true: a record stays as long as somebody needs it. Those are the series in memory; the series that are gone, as long as
//! a segment that is kept may name them or the checkpoint keeps samples of theirs (`leave`); and those who follow
//! the log: nothing at the position that they hold, or behind it, is touched.
//! Must not know: who holds what, when blocks are made.
//! Facts: Prometheus keeps the same share of segments, and begins a new segment each time.

use std::path::PathBuf;
use std::time::Instant;

use narthex_metrics::{Counter, Registry, Summary};
use narthex_wal::{
    Checkpoint, CheckpointError, CheckpointStats, Compression, ReadError, WalPosition,
    delete_checkpoints_before, delete_segments_before, list_checkpoints, list_segments,
};

use super::Head;

/// Handles of the metrics.
pub(crate) struct WalLifeMetrics {
    checkpoints: Counter,
    checkpoints_failed: Counter,
    deletions: Counter,
    deletions_failed: Counter,
    duration_s: Summary,
}

impl WalLifeMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str| registry.counter(&format!("prometheus_tsdb_{name}"), help);
        Self {
            checkpoints: counter(
                "checkpoint_creations_total",
                "Total number of checkpoint creations attempted.",
            ),
            checkpoints_failed: counter(
                "checkpoint_creations_failed_total",
                "Total number of checkpoint creations that failed.",
            ),
            deletions: counter(
                "checkpoint_deletions_total",
                "Total number of checkpoint deletions attempted.",
            ),
            deletions_failed: counter(
                "checkpoint_deletions_failed_total",
                "Total number of checkpoint deletions that failed.",
            ),
            duration_s: registry.summary(
                "prometheus_tsdb_wal_truncate_duration_seconds",
                "Duration of WAL truncation.",
                &[],
            ),
        }
    }
}

/// What a truncation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WalTruncation {
    /// The last segment that the new checkpoint stands for.
    pub(crate) last: u32,
    pub(crate) stats: CheckpointStats,
}

impl Head {
    /// Writes a checkpoint without samples before `mint_ms` (they lie in blocks), and deletes the segments that it stands for.
    /// `hold` is what those who follow the log still need. `None` when it is too early for that, nothing may go, or the log is
    /// closed. Takes long; commits go on meanwhile.
    ///
    /// # Errors
    /// The WAL is as it was, and all of it will be tried again next time.
    pub(crate) fn truncate_wal(
        &self,
        mint_ms: i64,
        hold: Option<WalPosition>,
    ) -> Result<Option<WalTruncation>, CheckpointError> {
        let mut done_ms = self.wal_truncated_ms.lock();
        if mint_ms <= *done_ms {
            return Ok(None);
        }
        let started = Instant::now();
        let Some((dir, compression, newest)) = self.next_wal_segment()? else { return Ok(None) };
        let Some(last) = last_to_go(&dir, newest, hold)? else { return Ok(None) };
        self.metrics.wal_life.checkpoints.inc();
        let keep = |series| self.keeps_series(series, last, mint_ms);
        let written = Checkpoint { dir: &dir, last, mint_ms, compression, keep: &keep }.write();
        let stats = written.inspect_err(|error| {
            self.metrics.wal_life.checkpoints_failed.inc();
            if error.is_corruption() {
                self.metrics.wal_corrupted();
            }
        })?;
        self.delete_old_wal(&dir, last);
        self.forget_expired(last, mint_ms);
        *done_ms = mint_ms;
        let duration_s = started.elapsed().as_secs_f64();
        self.metrics.wal_life.duration_s.observe(duration_s);
        tracing::info!(last, mint_ms, duration_s, ?stats, "WAL checkpoint complete");
        Ok(Some(WalTruncation { last, stats }))
    }

    /// Logs records as they are.
    #[cfg(test)]
    pub(crate) fn log_records(&self, records: &[&[u8]]) {
        self.log.lock().writer.as_mut().expect("the log is open").log(records).expect("the disk works");
    }

    /// Ends the segment being written, so that a quiet log gets shorter too. The directory, how it is compressed, and the last
    /// segment that is complete.
    fn next_wal_segment(&self) -> Result<Option<(PathBuf, Compression, u32)>, CheckpointError> {
        let mut log = self.log.lock();
        let Some(writer) = &mut log.writer else { return Ok(None) };
        if writer.position().offset > 0 {
            writer.next_segment()?;
        }
        let complete = writer.position().segment.checked_sub(1);
        Ok(complete.map(|complete| (writer.dir().to_owned(), writer.options().compression, complete)))
    }

    /// Deletes what the checkpoint up to `last` stands for. A failure leaves files that nobody reads; the next truncation
    /// tries again.
    fn delete_old_wal(&self, dir: &std::path::Path, last: u32) {
        let deleted = delete_segments_before(dir, last + 1);
        if let Err(error) = &deleted {
            tracing::error!(%error, "cannot delete WAL segments that a checkpoint stands for");
        }
        if let Some(writer) = &mut self.log.lock().writer {
            writer.truncated(deleted.ok());
        }
        self.metrics.wal_life.deletions.inc();
        if let Err(error) = delete_checkpoints_before(dir, last) {
            self.metrics.wal_life.deletions_failed.inc();
            tracing::error!(%error, "cannot delete WAL checkpoints that a newer one replaces");
        }
    }
}

/// The last segment that may go when `newest` is the last complete one; `None` when it is not worth it.
fn last_to_go(
    dir: &std::path::Path,
    newest: u32,
    hold: Option<WalPosition>,
) -> Result<Option<u32>, CheckpointError> {
    let segments = list_segments(dir).map_err(ReadError::from)?;
    let covered = list_checkpoints(dir).map_err(ReadError::from)?.pop();
    let behind = covered.map_or(0, |(index, _)| index.saturating_add(1));
    let Some(first) = segments.into_iter().find(|segment| *segment >= behind) else { return Ok(None) };
    // COMPAT: the last complete segment never goes, of the others two thirds.
    let Some(rest) = newest.checked_sub(1).and_then(|newest| newest.checked_sub(first)) else {
        return Ok(None);
    };
    let wanted = first + (u64::from(rest) * 2 / 3) as u32;
    let last = match hold {
        Some(hold) => hold.segment.checked_sub(1).map(|allowed| allowed.min(wanted)),
        None => Some(wanted),
    };
    Ok(last.filter(|last| *last > first))
}
