//! The head: all recent samples, in memory, and the log that brings them back.
//!
//! Holds: series in slabs (`slab`, `page`, `series`), how they are found (`lookup`, `series_index`, `label_index`, `plan`), how batches get
//! in (`append`, `batch`, `commit`; out of order: `late`), who sees them (`isolation`), how they are read (`query`, `select`), how they come back
//! after a restart (`replay`), and how the WAL gets shorter (`truncate_wal`).
//! Always true: what a reader sees lies in the WAL, what came late also in the WBL; per series, the WAL and the head have the same order.
//! Must not know: files other than these two logs, HTTP, PromQL.
//!
//! Locks, in the order in which one thread may take them: a part of `series_index`; `Page::commit` by rising page number; the
//! log; `Page::rows`; then one leaf at a time (symbols, label index, isolation, exemplars, metadata). None is held while a
//! caller's code runs.

pub(crate) mod append;
mod batch;
pub(crate) mod cardinality;
mod chunks;
pub(crate) mod commit;
mod delete;
mod epochs;
mod exemplars;
mod histograms;
mod isolation;
mod label_index;
pub(crate) mod late;
mod leave;
mod live;
mod lookup;
mod map;
mod metadata;
mod named;
mod page;
mod plan;
mod postings;
pub(crate) mod query;
pub(crate) mod replay;
mod select;
mod series;
mod series_index;
mod slab;
mod snapshot;
pub(crate) mod source;
pub(crate) mod stale;
pub(crate) mod stats;
#[cfg(test)]
pub(crate) mod tests;
mod truncate;
pub(crate) mod truncate_wal;
mod validate;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use narthex_chunks::FloatEncoding;
use narthex_model::{Exemplar, Labels};
use parking_lot::{Mutex, RwLock};

use self::batch::BatchPool;
use self::epochs::Epochs;
use self::exemplars::ExemplarRing;
use self::isolation::Isolation;
use self::label_index::LabelIndex;
use self::late::compact::LateTruncation;
use self::late::span::LateSpan;
use self::leave::Expiries;
use self::metadata::MetadataTable;
use self::series::CommitSeq;
pub(crate) use self::series::{CutRule, spread_cut};
use self::series_index::SeriesIndex;
use self::slab::Slab;
use self::truncate::Reclaim;
use crate::head_chunks::HeadChunks;
use crate::ingestion::{IngestionSwitch, Probe};
use crate::metrics::HeadMetrics;
use crate::symbols::Symbols;
use narthex_wal::{WriteError, Writer};

/// What the head is told.
#[derive(Clone, Debug)]
pub(crate) struct HeadOptions {
    /// How far behind the newest sample of the head an out-of-order sample may be at first, ms; 0 for "none is taken".
    pub(crate) out_of_order_window_ms: i64,
    /// Exemplars kept; 0 for none.
    pub(crate) max_exemplars: usize,
    /// Whether start timestamps are stored.
    pub(crate) start_timestamps: bool,
}

/// See the module's words.
pub(crate) struct Head {
    options: HeadOptions,
    /// See [`Self::late_window_ms`].
    late_window_ms: AtomicI64,
    /// The files of `chunks_head`; none before the head is started.
    chunk_files: OnceLock<HeadChunks>,
    /// Chunks that were begun since the full ones were written to files: so many are full by now, at most.
    chunks_begun: AtomicU64,
    /// Held for reading by those who write chunks, until the chunks are in their series. Comes before `Page::rows`.
    chunks_in_flight: RwLock<()>,
    /// Waits for readers. Comes before all other locks.
    late_truncation: Mutex<Option<LateTruncation>>,
    /// Whether the last try to write chunks of late samples failed.
    late_chunks_fail: AtomicBool,
    /// How chunks are cut; [`Self::cut_rule`] has the encoding of floats of this moment.
    rule: CutRule,
    /// Whether new chunks of floats are encoded as XOR2. Written by a reload of the configuration.
    use_xor2: AtomicBool,
    slab: Slab,
    series_index: SeriesIndex,
    symbols: Symbols,
    label_index: LabelIndex,
    metadata: MetadataTable,
    exemplars: Mutex<ExemplarRing>,
    /// Room in the ring, for those who only want to know whether there is any.
    max_exemplars: AtomicUsize,
    isolation: Arc<Isolation>,
    /// Appenders at work.
    appenders: Arc<Epochs>,
    /// Queriers, and all others who may hold symbols or slots of series that leave.
    readers: Arc<Epochs>,
    log: Mutex<Log>,
    batches: BatchPool,
    span: TimeSpan,
    late_span: LateSpan,
    floor: Floor,
    /// Held while memory is taken back, also while waiting for readers. Comes before all other locks.
    reclaim: Mutex<Reclaim>,
    /// Lock: a leaf.
    expiries: Mutex<Expiries>,
    series_count: AtomicU64,
    /// Where the last truncation of the WAL stood, ms. Held while one runs. Comes before the log.
    wal_truncated_ms: Mutex<i64>,
    /// Replay found series under more than one reference, so chunks in files may go by another one than their series.
    has_aliases: AtomicBool,
    pub(crate) ingestion: IngestionSwitch,
    pub(crate) metrics: HeadMetrics,
}

/// The log's lock makes the order of commits. Held for one write.
struct Log {
    /// `None` before replay is done and after closing.
    writer: Option<Writer>,
    /// The log of out-of-order samples (WBL); `None` also without a window for them.
    late: Option<Writer>,
    last_seq: CommitSeq,
}

/// Timestamps of the oldest and newest sample, ms. Any commit may widen them, truncation narrows them.
struct TimeSpan {
    min_ms: AtomicI64,
    max_ms: AtomicI64,
    /// The oldest since truncation last asked.
    recent_min_ms: AtomicI64,
}

impl TimeSpan {
    fn empty() -> Self {
        let max = || AtomicI64::new(i64::MAX);
        Self { min_ms: max(), max_ms: AtomicI64::new(i64::MIN), recent_min_ms: max() }
    }

    fn widen(&self, min_ms: i64, max_ms: i64) {
        if min_ms <= max_ms {
            self.min_ms.fetch_min(min_ms, Ordering::Relaxed);
            self.recent_min_ms.fetch_min(min_ms, Ordering::Relaxed);
            self.max_ms.fetch_max(max_ms, Ordering::Relaxed);
        }
    }
}

/// What has left the head, or is about to, ms. Rises only; `i64::MIN` for nothing.
struct Floor {
    /// No sample before this comes in order any more.
    append_ms: AtomicI64,
    /// What came in order before this is in blocks: queriers do not look for it here.
    read_ms: AtomicI64,
}

impl Head {
    /// Waits until everything that is in the WAL now is visible.
    pub(crate) fn wait_visible(&self) {
        let seq = self.log.lock().last_seq;
        self.isolation.wait_for(seq);
    }

    pub(crate) fn new(
        options: HeadOptions,
        rule: CutRule,
        metrics: HeadMetrics,
        ingestion: IngestionSwitch,
    ) -> Self {
        Self {
            exemplars: Mutex::new(ExemplarRing::new(
                options.max_exemplars,
                options.out_of_order_window_ms.max(0),
            )),
            max_exemplars: AtomicUsize::new(options.max_exemplars),
            late_window_ms: AtomicI64::new(options.out_of_order_window_ms.max(0)),
            chunk_files: OnceLock::new(),
            chunks_begun: AtomicU64::new(0),
            chunks_in_flight: RwLock::new(()),
            late_truncation: Mutex::new(None),
            late_chunks_fail: AtomicBool::new(false),
            options,
            use_xor2: AtomicBool::new(rule.floats == FloatEncoding::Xor2),
            rule,
            slab: Slab::new(),
            series_index: SeriesIndex::new(),
            symbols: Symbols::default(),
            label_index: LabelIndex::default(),
            metadata: MetadataTable::default(),
            isolation: Arc::default(),
            appenders: Arc::default(),
            readers: Arc::default(),
            log: Mutex::new(Log { writer: None, late: None, last_seq: 0 }),
            batches: BatchPool::default(),
            span: TimeSpan::empty(),
            late_span: LateSpan::default(),
            floor: Floor { append_ms: AtomicI64::new(i64::MIN), read_ms: AtomicI64::new(i64::MIN) },
            reclaim: Mutex::default(),
            expiries: Mutex::default(),
            series_count: AtomicU64::new(0),
            wal_truncated_ms: Mutex::new(i64::MIN),
            has_aliases: AtomicBool::new(false),
            ingestion,
            metrics,
        }
    }

    /// Gives the head the files of `chunks_head`, before its replay; later calls change nothing.
    pub(crate) fn set_chunk_files(&self, files: HeadChunks) {
        // Set once: nobody else opens the directory.
        let _ = self.chunk_files.set(files);
    }

    /// Writes to the disk what is only in the page cache of the files of `chunks_head`.
    pub(crate) fn sync_chunk_files(&self) {
        if let Some(Err(error)) = self.chunk_files.get().map(HeadChunks::sync) {
            tracing::warn!(%error, "head chunk files are not synced; what a power cut takes of them comes back from the WAL");
        }
    }

    /// Opens the head for commits; `late` is the log of out-of-order samples.
    pub(crate) fn start_log(&self, writer: Writer, late: Option<Writer>, probe: Probe) {
        self.ingestion.watch(writer.dir(), probe);
        let mut log = self.log.lock();
        (log.writer, log.late) = (Some(writer), late);
    }

    /// Takes the logs away: later commits are refused.
    pub(crate) fn stop_log(&self) -> [Option<Writer>; 2] {
        self.ingestion.unwatch();
        let mut log = self.log.lock();
        [log.writer.take(), log.late.take()]
    }

    /// Timestamp of the oldest sample that came in order, ms, or a moment before it; `i64::MAX` for an empty head.
    pub(crate) fn min_ms(&self) -> i64 {
        self.span.min_ms.load(Ordering::Relaxed)
    }

    /// Timestamp of the newest sample, ms; `i64::MIN` for an empty head.
    pub(crate) fn max_ms(&self) -> i64 {
        self.span.max_ms.load(Ordering::Relaxed)
    }

    /// The closed range of all samples, late ones included, ms; the first is above the second for an empty head.
    pub(crate) fn time_range(&self) -> (i64, i64) {
        let (min_ms, max_ms) = self.late_span.get();
        (self.min_ms().min(min_ms), self.max_ms().max(max_ms))
    }

    /// The closed range of late samples, ms; the first is above the second for none.
    #[cfg(test)]
    pub(crate) fn late_span(&self) -> (i64, i64) {
        self.late_span.get()
    }

    /// How far behind the newest sample of the head a sample out of order may be, ms; 0 for "none is taken".
    pub(crate) fn late_window_ms(&self) -> i64 {
        self.late_window_ms.load(Ordering::Relaxed)
    }

    /// Changes the window for samples out of order; they need their log, which `open` opens when there is none yet. What was
    /// taken stays, whatever the window.
    ///
    /// # Errors
    /// That of `open`; the window is then as before.
    pub(crate) fn set_late_window(
        &self,
        window_ms: i64,
        open: impl FnOnce() -> Result<Writer, WriteError>,
    ) -> Result<(), WriteError> {
        if window_ms > 0 {
            let mut log = self.log.lock();
            if log.writer.is_some() && log.late.is_none() {
                log.late = Some(open()?);
            }
        }
        self.late_window_ms.store(window_ms.max(0), Ordering::Relaxed);
        self.exemplars.lock().set_window_ms(window_ms.max(0));
        Ok(())
    }

    /// How chunks are cut at this moment.
    pub(crate) fn cut_rule(&self) -> CutRule {
        let floats = match self.use_xor2.load(Ordering::Relaxed) {
            true => FloatEncoding::Xor2,
            false => FloatEncoding::Xor,
        };
        CutRule { floats, ..self.rule }
    }

    /// Chooses the encoding of new chunks of floats.
    pub(crate) fn set_float_encoding(&self, encoding: FloatEncoding) {
        self.use_xor2.store(encoding == FloatEncoding::Xor2, Ordering::Relaxed);
    }

    /// A start timestamp as the head keeps it, ms: 0 when it keeps none.
    #[inline]
    fn kept_start(&self, start_ms: i64) -> i64 {
        if self.options.start_timestamps { start_ms } else { 0 }
    }

    /// Whether a sample that does not come in order may still be taken.
    #[cold]
    fn in_late_window(&self, t_ms: i64) -> bool {
        let window_ms = self.late_window_ms();
        window_ms > 0 && t_ms >= self.max_ms().saturating_sub(window_ms)
    }

    /// Samples before this do not come in order any more, ms; `None` for an empty head.
    fn min_valid_ms(&self) -> Option<i64> {
        let max_ms = self.max_ms();
        (max_ms > i64::MIN).then(|| max_ms.saturating_sub(self.rule.range_ms / 2).max(self.append_floor_ms()))
    }

    /// How many series there are.
    pub(crate) fn series_count(&self) -> u64 {
        self.series_count.load(Ordering::Relaxed)
    }

    /// How many exemplars are kept.
    pub(crate) fn max_exemplars(&self) -> usize {
        self.max_exemplars.load(Ordering::Relaxed)
    }

    /// Changes how many exemplars are kept; of those there are, the newest stay.
    pub(crate) fn set_max_exemplars(&self, max: usize) {
        let mut ring = self.exemplars.lock();
        let before = ring.capacity();
        if before != max {
            let kept = ring.resize(max);
            self.max_exemplars.store(max, Ordering::Relaxed);
            tracing::info!(from = before, to = max, migrated = kept, "Exemplar storage resized");
        }
    }

    /// The labels of every series with its exemplars in `[start_ms, end_ms]`, in no order. A label set comes twice when its series
    /// left and was made again.
    pub(crate) fn exemplars_in(&self, start_ms: i64, end_ms: i64) -> Vec<(Labels, Vec<Exemplar>)> {
        let found = self.exemplars.lock().in_range(start_ms, end_ms);
        let with_labels = found.into_iter().filter_map(|(series, exemplars)| {
            // In this order: a series gives its labels to the ring before it leaves.
            let labels = self.labels(series).or_else(|| self.exemplars.lock().labels(series).cloned())?;
            Some((labels, exemplars))
        });
        with_labels.collect()
    }
}
