//! Late samples leave the head: to blocks, one for each block range that they touch.
//!
//! 1. [`Head::begin_late_compaction`] draws a line: a new segment of the WBL, and the commits and chunks before it.
//! 2. When everybody sees all that lies before the line, a [`LateSource`] for each range gives it: whole batches, or a block would
//!    show a part of one before its time. (What became a chunk since may be in it too; by then everybody saw it.)
//! 3. When queriers find the blocks, [`Head::truncate_late`] drops what lies before the line: from memory, when the queriers of before
//!    are gone; then the old segments of the WBL; then the files of `chunks_head` that no series names any more.
//!
//! A crash between any two steps leaves samples that are in a block and in the head too: they are their own doubles, which
//! reading and compaction merge.
//! Must not know: blocks, who writes them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use narthex_chunks::{ChunkValue, for_each};
use narthex_disk::point;
use narthex_model::{CounterResetHint, FloatHistogram, Histogram};
use narthex_storage::QueryError;
use narthex_wal::WriteError;

use super::merge::{LateCopy, LateReadError};
use super::seal::encode;
use super::{LateSample, LateSamples, LateValue};
use crate::compact::source::{CompactionSource, SeriesCursor, SourceSeries, SymbolIter};
use crate::head::Head;
use crate::head::epochs::Cut;
use crate::head::histograms::StoredHistogram;
use crate::head::page::Page;
use crate::head::query::HeadQuerier;
use crate::head::select::Selection;
use crate::head::series::CommitSeq;
use crate::head::slab::{Slot, generation, place};
use crate::head::source::HeadSource;
use crate::head_chunks::{ChunkRef, HeadChunks};

/// The line that a compaction of late samples draws.
#[derive(Clone, Debug)]
pub(crate) struct LateCompaction {
    /// The last commit before it.
    seq: CommitSeq,
    /// Chunks below this one lie before it.
    chunk: ChunkRef,
    /// The first segment of the WBL behind it; `None` without such a log.
    segment: Option<u32>,
    /// The closed range of the samples before it, ms; the first above the second for none.
    span: (i64, i64),
}

impl LateCompaction {
    /// The ranges `[mint, maxt)` that get a block, ms, as multiples of a length.
    pub(crate) fn ranges(&self, length_ms: i64) -> impl Iterator<Item = (i64, i64)> + use<> {
        let (min_ms, max_ms) = self.span;
        let first = min_ms.div_euclid(length_ms);
        let past = if min_ms <= max_ms { max_ms.div_euclid(length_ms).saturating_add(1) } else { first };
        let start = move |number: i64| number.saturating_mul(length_ms);
        (first..past).map(move |number| (start(number), start(number.saturating_add(1))))
    }
}

/// What waits for queriers of before.
#[derive(Debug)]
pub(crate) struct LateTruncation {
    done: LateCompaction,
    readers: Cut,
}

impl Head {
    /// Draws the line. `None` when there is nothing to compact, or what was compacted last cannot leave yet.
    ///
    /// # Errors
    /// The WBL cannot begin a segment.
    pub(crate) fn begin_late_compaction(&self) -> Result<Option<LateCompaction>, WriteError> {
        if !self.reclaim_late(Duration::ZERO) {
            return Ok(None);
        }
        let (seq, segment) = {
            let mut log = self.log.lock();
            let seq = log.last_seq;
            let segment = match &mut log.late {
                Some(late) if late.position().offset > 0 => Some(late.next_segment()?),
                Some(late) => Some(late.position().segment),
                None => None,
            };
            (seq, segment)
        };
        // Those before it are only going into memory, which takes microseconds.
        self.isolation.wait_for(seq);
        point("late.compact.segment");
        let chunk = self.chunk_files.get().map_or(ChunkRef(0), HeadChunks::end);
        // Who wrote a chunk before that, or logged a commit, puts it into its series before this lock is had.
        drop(self.chunks_in_flight.write());
        let mut span = (i64::MAX, i64::MIN);
        for (_, page) in self.slab.pages() {
            drop(page.commit.lock());
            let rows = page.rows.lock();
            for late in page.occupied().filter_map(|at| rows.series(at).late()) {
                let (min_ms, max_ms) = late.span();
                span = (span.0.min(min_ms), span.1.max(max_ms));
            }
        }
        let nothing = span.0 > span.1 && segment.is_none();
        Ok((!nothing).then_some(LateCompaction { seq, chunk, segment, span }))
    }

    /// Says that blocks hold all that lies before the line, and drops it. Waits for queriers of before; `false` when some were
    /// still there after `wait`: [`Self::reclaim_late`] goes on.
    pub(crate) fn truncate_late(&self, done: LateCompaction, wait: Duration) -> bool {
        *self.late_truncation.lock() = Some(LateTruncation { done, readers: self.readers.cut() });
        self.reclaim_late(wait)
    }

    /// Goes on with a truncation as far as readers let it; whether nothing is left to do. For the maintenance tick.
    pub(crate) fn reclaim_late(&self, wait: Duration) -> bool {
        let mut waiting = self.late_truncation.lock();
        let Some(LateTruncation { done, readers }) = &*waiting else { return true };
        if !self.readers.wait(*readers, Instant::now() + wait) {
            return false;
        }
        self.drop_late(done);
        point("late.truncate.memory");
        self.truncate_wbl(done);
        point("late.truncate.wbl");
        self.truncate_chunk_files(done.chunk);
        *waiting = None;
        true
    }

    fn drop_late(&self, done: &LateCompaction) {
        let mut reclaim = self.reclaim.lock();
        self.late_span.begin_narrowing();
        let (mut oldest_ms, mut dropped) = (i64::MAX, 0);
        for (_, page) in self.slab.pages() {
            let (page_oldest_ms, page_dropped) = drop_in_page(page, done);
            oldest_ms = oldest_ms.min(page_oldest_ms);
            dropped += page_dropped;
        }
        self.late_span.narrow(oldest_ms);
        self.metrics.chunks_removed(dropped);
        self.let_go_of_condemned(&mut reclaim);
    }

    fn truncate_wbl(&self, done: &LateCompaction) {
        if let (Some(late), Some(segment)) = (&mut self.log.lock().late, done.segment)
            && let Err(error) = late.truncate_before(segment)
        {
            tracing::error!(%error, "cannot delete WBL segments whose samples are in blocks; the next truncation tries again");
        }
    }

    /// Deletes the files of `chunks_head` before `end` that no series names. A failure leaves files that nobody needs, and is
    /// counted: all else that a truncation does is in memory, or counted with its log.
    pub(crate) fn truncate_chunk_files(&self, end: ChunkRef) {
        let Some(files) = self.chunk_files.get() else { return };
        drop(self.chunks_in_flight.write());
        let in_page = |page: &Page| {
            let rows = page.rows.lock();
            page.occupied().filter_map(|at| rows.series(at).oldest_chunk_file()).min()
        };
        let oldest = self.slab.pages().filter_map(|(_, page)| in_page(page)).min();
        if let Err(error) = files.truncate_before(oldest.unwrap_or(u32::MAX).min(end.file())) {
            self.metrics.truncations_failed.inc();
            tracing::error!(%error, "cannot delete head chunk files that nobody needs; the next truncation tries again");
        }
    }
}

/// The timestamp of the oldest late sample that stays, ms, `i64::MAX` for none; and how many chunks went.
fn drop_in_page(page: &Page, done: &LateCompaction) -> (i64, u64) {
    let (mut oldest_ms, mut dropped) = (i64::MAX, 0);
    let mut rows = page.rows.lock();
    for at in page.occupied() {
        let series = rows.series_mut(at);
        if series.late().is_none() {
            continue;
        }
        series.with_late(|late| {
            dropped += late.drop_before(done.seq, done.chunk);
            oldest_ms = oldest_ms.min(late.span().0);
        });
        if series.is_empty() {
            page.condemn(at);
        }
    }
    (oldest_ms, dropped)
}

impl LateSamples {
    /// The closed range of all samples, ms; the first above the second for none.
    pub(crate) fn span(&self) -> (i64, i64) {
        let times = |sample: &LateSample| (sample.t_ms, sample.t_ms);
        let ends = self.list.first().map(times).into_iter().chain(self.list.last().map(times));
        let all = ends.chain(self.chunks.iter().map(|chunk| (chunk.min_ms, chunk.max_ms)));
        all.fold((i64::MAX, i64::MIN), |(min, max), (first, last)| (min.min(first), max.max(last)))
    }

    /// Takes out what came up to a commit, and the chunks below one. Returns how many chunks went.
    fn drop_before(&mut self, seq: CommitSeq, end: ChunkRef) -> u64 {
        let before = self.chunks.len();
        self.chunks.retain(|chunk| chunk.chunk >= end);
        self.list.retain(|sample| sample.seq > seq);
        self.list.shrink_to_fit();
        (before - self.chunks.len()) as u64
    }
}

/// The late samples of the head in `[mint, maxt)` as a source for a block.
/// While it lives it counts as a reader: truncation waits for it.
/// PERF: 16 bytes a series and 4 a label for the selection; the samples of one series at a time.
pub(crate) struct LateSource {
    querier: HeadQuerier,
    selection: Selection,
    /// The last commit that is in it.
    seq: CommitSeq,
}

impl LateSource {
    /// What the reader sees that another source is of: together they have whole batches.
    pub(crate) fn beside(in_order: &HeadSource) -> Self {
        let HeadQuerier { head, view, mint_ms, maxt_ms } = in_order.querier();
        let (head, view) = (Arc::clone(head), Arc::clone(view));
        Self::up_to(HeadQuerier { head, view, mint_ms: *mint_ms, maxt_ms: *maxt_ms }, CommitSeq::MAX)
    }

    /// What lies before a line in `[mint_ms, maxt_ms)`.
    pub(crate) fn before(head: &Arc<Head>, line: &LateCompaction, (mint_ms, maxt_ms): (i64, i64)) -> Self {
        Self::up_to(HeadQuerier::new(Arc::clone(head), mint_ms, maxt_ms.saturating_sub(1)), line.seq)
    }

    fn up_to(querier: HeadQuerier, seq: CommitSeq) -> Self {
        let (range, seq) = ((querier.mint_ms, querier.maxt_ms), querier.view.snapshot.seq().min(seq));
        let mut selection = querier.collect_where(&querier.head.label_index.all(), |series, _| {
            series.late().is_some_and(|late| late.may_show(seq, range))
        });
        selection.sort(&querier.head.symbols);
        Self { querier, selection, seq }
    }

    /// How many series have late samples in range, or a chunk around it.
    pub(crate) fn len(&self) -> usize {
        self.selection.len()
    }
}

impl CompactionSource for LateSource {
    fn symbols(&self) -> SymbolIter<'_> {
        let texts = self.selection.symbols(&self.querier.head.symbols);
        Box::new(texts.into_iter().map(|text| Cow::Owned(text.into_string())))
    }

    fn series(&self) -> Result<Box<dyn SeriesCursor + '_>, QueryError> {
        Ok(Box::new(Cursor { source: self, next: 0, copy: LateCopy::default() }))
    }
}

struct Cursor<'a> {
    source: &'a LateSource,
    next: usize,
    copy: LateCopy,
}

impl SeriesCursor for Cursor<'_> {
    fn next(&mut self, series: &mut SourceSeries) -> Result<bool, QueryError> {
        let LateSource { querier, selection, seq } = self.source;
        while self.next < selection.len() {
            let (at, reference) = (self.next, selection.series(self.next));
            self.next += 1;
            series.begin(querier.head.symbols.read().labels(selection.labels(at)));
            self.copy.clear();
            querier.copy_late(reference, *seq, &mut self.copy);
            let samples = self
                .copy
                .stored((querier.mint_ms, querier.maxt_ms))
                .map_err(|error| QueryError::Corrupt(format!("head series {}: {error}", reference.0)))?;
            for chunk in encode(&samples, querier.head.cut_rule().floats) {
                series.push((chunk.min_ms, chunk.max_ms), chunk.encoding, &chunk.bytes);
            }
            if !series.chunks.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl HeadQuerier {
    /// Copies the late samples of a series in the querier's range, up to a commit.
    fn copy_late(&self, series: narthex_storage::SeriesRef, seq: CommitSeq, copy: &mut LateCopy) {
        let at = place(series.0 as Slot);
        let Some(page) = self.head.slab.page(series.0 as Slot) else { return };
        let Some(rows) = page.lock(at, generation(series)) else { return };
        if let Some(late) = rows.series(at).late() {
            copy.take(late, seq, (self.mint_ms, self.maxt_ms), self.head.chunk_files.get());
        }
    }
}

impl LateCopy {
    /// All samples in a closed range as they were stored, each moment once, rising in time.
    fn stored(&self, range: (i64, i64)) -> Result<Vec<LateSample>, LateReadError> {
        let mut samples = Vec::new();
        self.for_each_chunk(|chunk, mapped| {
            let take = |sample: narthex_chunks::ChunkSample<'_>| {
                let value = match sample.value {
                    ChunkValue::Float(value) => LateValue::Float(value),
                    ChunkValue::Histogram(h) => {
                        LateValue::Histogram(StoredHistogram::Int(Arc::new(Histogram {
                            counter_reset_hint: lasting(h.counter_reset_hint),
                            ..h.clone()
                        })))
                    }
                    ChunkValue::FloatHistogram(h) => {
                        LateValue::Histogram(StoredHistogram::Float(Arc::new(FloatHistogram {
                            counter_reset_hint: lasting(h.counter_reset_hint),
                            ..h.clone()
                        })))
                    }
                };
                samples.push(LateSample { t_ms: sample.t_ms, start_ms: sample.start_ms, value, seq: 0 });
            };
            for_each(mapped.encoding, mapped.bytes(), range, take)
                .map_err(|source| LateReadError::Chunk { chunk, source })
        })?;
        samples.extend_from_slice(self.list());
        // Stable: at equal timestamps the chunk that was written first is first, and the list last.
        samples.sort_by_key(|sample| sample.t_ms);
        samples.dedup_by_key(|sample| sample.t_ms);
        Ok(samples)
    }
}

/// What a chunk says of resets holds within the chunk; among the samples of others only the gauge is sure.
fn lasting(hint: CounterResetHint) -> CounterResetHint {
    match hint {
        CounterResetHint::Gauge => hint,
        CounterResetHint::Unknown | CounterResetHint::Reset | CounterResetHint::NotReset => {
            CounterResetHint::Unknown
        }
    }
}
