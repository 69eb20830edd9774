//! The head: all recent samples, in memory, and the log that brings them back.
//!
//! Holds: series in slabs (`slab`, `page`, `series`), how they are found (`series_index`, `label_index`, `plan`), how batches get
//! in (`append`, `batch`, `commit`; out of order: `late`), who sees them (`isolation`), how they are read (`query`, `select`), how they come back
//! after a restart (`replay`).
//! Always true: what a reader sees lies in the WAL, what came late also in the WBL; per series, the WAL and the head have the same order.
//! Must not know: files other than these two logs, HTTP, PromQL.
//!
//! Locks, in the order in which one thread may take them: a part of `series_index`; `Page::commit` by rising page number; the
//! log; `Page::rows`; then one leaf at a time (symbols, label index, isolation, exemplars, metadata). None is held while a
//! caller's code runs.

pub(crate) mod append;
mod batch;
mod commit;
mod exemplars;
mod isolation;
mod label_index;
mod late;
mod metadata;
mod page;
mod plan;
mod postings;
pub(crate) mod query;
pub(crate) mod replay;
mod select;
mod series;
mod series_index;
mod slab;
pub(crate) mod stats;
#[cfg(test)]
mod tests;
mod validate;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use narthex_model::{Exemplar, Labels, Metadata};
use narthex_storage::{AppendError, SeriesRef};
use parking_lot::Mutex;

use self::batch::BatchPool;
use self::exemplars::ExemplarRing;
use self::isolation::Isolation;
use self::label_index::LabelIndex;
use self::metadata::MetadataTable;
use self::page::Page;
use self::series::CommitSeq;
pub(crate) use self::series::CutRule;
use self::series_index::SeriesIndex;
use self::slab::{Slab, Slot, place, reference};
use crate::metrics::HeadMetrics;
use crate::symbols::Symbols;
use narthex_wal::Writer;

/// What the head is told.
#[derive(Clone, Debug)]
pub(crate) struct HeadOptions {
    /// How far behind the newest sample of the head an out-of-order sample may be, ms; 0 for "none is taken".
    pub(crate) out_of_order_window_ms: i64,
    /// Exemplars kept; 0 for none.
    pub(crate) max_exemplars: usize,
}

/// See the module's words.
pub(crate) struct Head {
    options: HeadOptions,
    rule: CutRule,
    slab: Slab,
    series_index: SeriesIndex,
    symbols: Symbols,
    label_index: LabelIndex,
    metadata: MetadataTable,
    exemplars: Mutex<ExemplarRing>,
    isolation: Arc<Isolation>,
    log: Mutex<Log>,
    batches: BatchPool,
    span: TimeSpan,
    series_count: AtomicU64,
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

/// Timestamps of the oldest and newest sample, ms. Any commit may widen them.
struct TimeSpan {
    min_ms: AtomicI64,
    max_ms: AtomicI64,
}

impl Head {
    pub(crate) fn new(options: HeadOptions, rule: CutRule, metrics: HeadMetrics) -> Self {
        Self {
            exemplars: Mutex::new(ExemplarRing::new(options.max_exemplars)),
            options,
            rule,
            slab: Slab::new(),
            series_index: SeriesIndex::new(),
            symbols: Symbols::default(),
            label_index: LabelIndex::default(),
            metadata: MetadataTable::default(),
            isolation: Arc::default(),
            log: Mutex::new(Log { writer: None, late: None, last_seq: 0 }),
            batches: BatchPool::default(),
            span: TimeSpan { min_ms: AtomicI64::new(i64::MAX), max_ms: AtomicI64::new(i64::MIN) },
            series_count: AtomicU64::new(0),
            metrics,
        }
    }

    /// Opens the head for commits; `late` is the log of out-of-order samples.
    pub(crate) fn start_log(&self, writer: Writer, late: Option<Writer>) {
        let mut log = self.log.lock();
        (log.writer, log.late) = (Some(writer), late);
    }

    /// Takes the logs away: later commits are refused.
    pub(crate) fn stop_log(&self) -> [Option<Writer>; 2] {
        let mut log = self.log.lock();
        [log.writer.take(), log.late.take()]
    }

    /// Timestamp of the oldest sample, ms; `i64::MAX` for an empty head.
    pub(crate) fn min_ms(&self) -> i64 {
        self.span.min_ms.load(Ordering::Relaxed)
    }

    /// Timestamp of the newest sample, ms; `i64::MIN` for an empty head.
    pub(crate) fn max_ms(&self) -> i64 {
        self.span.max_ms.load(Ordering::Relaxed)
    }

    fn widen(&self, min_ms: i64, max_ms: i64) {
        if min_ms <= max_ms {
            self.span.min_ms.fetch_min(min_ms, Ordering::Relaxed);
            self.span.max_ms.fetch_max(max_ms, Ordering::Relaxed);
        }
    }

    /// Whether a sample that does not come in order may still be taken.
    #[cold]
    fn in_late_window(&self, t_ms: i64) -> bool {
        let window_ms = self.options.out_of_order_window_ms;
        window_ms > 0 && t_ms >= self.max_ms().saturating_sub(window_ms)
    }

    /// Samples before this are out of bounds, ms; `None` for an empty head.
    fn min_valid_ms(&self) -> Option<i64> {
        let max_ms = self.max_ms();
        (max_ms > i64::MIN).then(|| max_ms.saturating_sub(self.rule.range_ms / 2))
    }

    /// How many series there are.
    pub(crate) fn series_count(&self) -> u64 {
        self.series_count.load(Ordering::Relaxed)
    }

    /// The reference of a label set, old or new.
    fn get_or_create(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        if labels.is_empty() {
            return Err(AppendError::InvalidLabels("empty labelset".to_owned()));
        }
        let hash = self.series_index.hash(labels);
        let found = self.series_index.find(hash, |slot| self.has_labels(slot, labels));
        if let Some(series) = found.and_then(|slot| self.reference_of(slot)) {
            return Ok(series);
        }
        let mut part = self.series_index.lock(hash);
        let found = part.find(|slot| self.has_labels(slot, labels));
        if let Some(series) = found.and_then(|slot| self.reference_of(slot)) {
            return Ok(series);
        }
        let full = || AppendError::Unavailable("the head has no room for another series".to_owned());
        let slot = self.slab.take().ok_or_else(full)?;
        self.create(slot, 0, labels, false);
        part.insert(slot);
        Ok(reference(0, slot))
    }

    /// Makes a series in a free slot. The caller holds the lock of its label set in the index.
    fn create(&self, slot: Slot, generation: u32, labels: &Labels, logged: bool) {
        let packed = self.symbols.acquire(labels);
        let page = self.slab.page(slot).expect("slots are handed out with their page");
        page.occupy(place(slot), generation, &packed, logged);
        let pairs: smallvec::SmallVec<[(u32, u32); 24]> = self.symbols.read().pairs(&packed).collect();
        self.label_index.insert(slot, pairs.into_iter());
        self.series_count.fetch_add(1, Ordering::Relaxed);
        self.metrics.series_created.inc();
    }

    fn has_labels(&self, slot: Slot, labels: &Labels) -> bool {
        let Some(page) = self.slab.page(slot) else { return false };
        let packed = page.rows.lock().copy_labels(place(slot));
        self.symbols.read().equals(&packed, labels)
    }

    /// The page and slot of a reference that a caller gave.
    #[inline]
    fn find_series(&self, series: SeriesRef) -> Result<(&Page, Slot), AppendError> {
        self.slab.find(series).ok_or_else(|| {
            self.metrics.series_not_found.inc();
            AppendError::UnknownSeries
        })
    }

    fn reference_of(&self, slot: Slot) -> Option<SeriesRef> {
        Some(reference(self.slab.page(slot)?.generation(place(slot))?, slot))
    }

    /// The labels of a series, read under the page's lock and turned to text after it.
    fn labels_of(&self, page: &Page, at: usize) -> Labels {
        let packed = page.rows.lock().copy_labels(at);
        self.symbols.read().labels(&packed)
    }

    /// The labels of a reference; `None` when there is no such series.
    pub(crate) fn labels(&self, series: SeriesRef) -> Option<Labels> {
        let (page, slot) = self.slab.find(series)?;
        Some(self.labels_of(page, place(slot)))
    }

    /// What was last said about a series' family.
    pub(crate) fn series_metadata(&self, series: SeriesRef) -> Option<Arc<Metadata>> {
        let (page, slot) = self.slab.find(series)?;
        let number = page.rows.lock().series(place(slot)).metadata;
        self.metadata.get(number)
    }

    /// Every series with its exemplars in `[start_ms, end_ms]`.
    pub(crate) fn exemplars_in(&self, start_ms: i64, end_ms: i64) -> Vec<(SeriesRef, Vec<Exemplar>)> {
        self.exemplars.lock().in_range(start_ms, end_ms)
    }
}
