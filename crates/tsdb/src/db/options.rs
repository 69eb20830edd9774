//! How a database is opened, and what may change while it runs.
//!
//! Facts: defaults of Prometheus' flags; the `storage.tsdb` section of its configuration file.

use std::path::PathBuf;
use std::time::Duration;

use narthex_chunks::FloatEncoding;
use narthex_wal::WalOptions;

use super::ReplayProgress;
use crate::ingestion::Probe;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How a database is opened. The defaults are Prometheus'.
#[derive(Clone, Debug)]
pub struct DbOptions {
    /// Segment size and compression of the WAL.
    pub wal: WalOptions,
    /// No chunk crosses a multiple of this, ms; the smallest blocks have this range.
    pub min_block_duration_ms: i64,
    /// No compaction makes a block longer than this, ms; 0 for a tenth of the retention time, at most 31 days.
    pub max_block_duration_ms: i64,
    /// Where a block's chunks go on in another file, bytes; 0 for 512 MiB.
    pub max_block_chunk_segment_bytes: u64,
    /// Samples wanted in a chunk; twice as many are the limit.
    pub samples_per_chunk: u32,
    /// Whether start timestamps of samples are stored: in the logs, and in chunks of an encoding that keeps them (XOR2, which
    /// `runtime.float_chunks` must then be, and [`Self::histogram_start_chunks`]).
    pub start_timestamps: bool,
    /// Whether new chunks of histograms have the encodings that keep start timestamps.
    pub histogram_start_chunks: bool,
    /// What may change while the database runs.
    pub runtime: RuntimeOptions,
    /// How often the directory is looked through for blocks, old ones go, and compactions are thought of. At least a second.
    pub block_reload_interval: Duration,
    /// Whether compaction merges blocks that overlap in time.
    pub overlapping_compaction: bool,
    /// How long a compaction of the head may be put off, in percent of the smallest block's range: each process takes a random
    /// part of it, so that many do not compact at once. `None` for "at once".
    pub compaction_delay_max_percent: Option<u32>,
    /// Blocks are compacted only when this JSON file (of a Thanos sidecar) lists them as uploaded; `None` for "any".
    pub delay_compact_file: Option<PathBuf>,
    /// Whether a block that cannot be opened at start is put aside with its reason and the rest is served; else the start is
    /// refused, as Prometheus does.
    pub quarantine_at_start: bool,
    /// Whether a block that turns out to be corrupt when it is read is put aside with its reason; else each query that needs the
    /// corrupt part fails, as in Prometheus. The query that finds it fails in any case.
    pub quarantine_when_read: bool,
    /// Whether compactions wait for somebody to ask for them: there is no maintenance thread. For tests and tools.
    pub manual_maintenance: bool,
    /// Whether what is only in memory is written to a snapshot at the end, so that the next start is quicker. Also whether a
    /// snapshot that is there is used.
    pub memory_snapshot_on_shutdown: bool,
    /// Whether to go without the lock file.
    pub no_lockfile: bool,
    /// Tells others how far the replay is.
    pub progress: ReplayProgress,
    /// When a disk that was full or broken is tried again.
    pub probe: Probe,
}

/// What a reload of the configuration changes.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeOptions {
    /// How far behind the newest sample one that comes out of order may be, ms; 0 for "in order only".
    pub out_of_order_window_ms: i64,
    /// Exemplars kept; 0 for none.
    pub max_exemplars: usize,
    /// How new chunks of floats are encoded.
    pub float_chunks: FloatEncoding,
    /// What goes when.
    pub retention: Retention,
    /// The part of stale series among those in memory, 0 to 1, from which they are written to a block early; 0 for never.
    pub stale_series_compaction_threshold: f64,
}

/// Which blocks go. Whatever says first that a block must go decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retention {
    /// Blocks go that end this much before the newest, ms; 0 for no limit.
    pub time_ms: i64,
    /// Bytes of all blocks, the WAL and the head's chunks; 0 for no limit.
    pub size_bytes: u64,
    /// The same in percent of the file system's size, above 0 and at most 100; it goes before `size_bytes`. 0 for no limit.
    pub percentage: f64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { time_ms: 15 * DAY_MS, size_bytes: 0, percentage: 0.0 }
    }
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            out_of_order_window_ms: 0,
            max_exemplars: 0,
            float_chunks: FloatEncoding::Xor,
            retention: Retention::default(),
            stale_series_compaction_threshold: 0.0,
        }
    }
}

impl Default for DbOptions {
    fn default() -> Self {
        Self {
            wal: WalOptions::default(),
            min_block_duration_ms: 2 * HOUR_MS,
            max_block_duration_ms: 0,
            max_block_chunk_segment_bytes: 0,
            samples_per_chunk: 120,
            start_timestamps: false,
            histogram_start_chunks: false,
            runtime: RuntimeOptions::default(),
            block_reload_interval: Duration::from_mins(1),
            overlapping_compaction: true,
            compaction_delay_max_percent: None,
            delay_compact_file: None,
            quarantine_at_start: false,
            quarantine_when_read: false,
            manual_maintenance: false,
            memory_snapshot_on_shutdown: false,
            no_lockfile: false,
            progress: ReplayProgress::default(),
            probe: Probe::default(),
        }
    }
}

impl DbOptions {
    /// Whether chunks of floats in this encoding keep what is to be stored.
    pub(crate) fn keeps_starts_with(&self, floats: FloatEncoding) -> bool {
        !self.start_timestamps || floats == FloatEncoding::Xor2
    }

    /// The longest range of a compacted block, ms, with the default filled in.
    #[must_use]
    pub fn longest_block_ms(&self) -> i64 {
        let limit_ms = 31 * DAY_MS;
        let tenth_ms = self.runtime.retention.time_ms / 10;
        let wanted_ms = match self.max_block_duration_ms {
            0 if tenth_ms > 0 => tenth_ms.min(limit_ms),
            0 => limit_ms,
            given => given,
        };
        wanted_ms.max(self.min_block_duration_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_block_is_a_tenth_of_the_retention_between_a_small_block_and_31_days() {
        let longest = |max_ms, time_ms| {
            let retention = Retention { time_ms, ..Retention::default() };
            let runtime = RuntimeOptions { retention, ..RuntimeOptions::default() };
            DbOptions { max_block_duration_ms: max_ms, runtime, ..DbOptions::default() }.longest_block_ms()
        };
        assert_eq!(longest(0, 15 * DAY_MS), 36 * HOUR_MS);
        assert_eq!(longest(0, 0), 31 * DAY_MS, "no limit of time");
        assert_eq!(longest(0, 5000 * DAY_MS), 31 * DAY_MS);
        assert_eq!(longest(0, 5 * HOUR_MS), 2 * HOUR_MS, "never below the smallest block");
        assert_eq!(longest(7 * HOUR_MS, 15 * DAY_MS), 7 * HOUR_MS);
    }
}
