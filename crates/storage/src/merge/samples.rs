//! The samples of one series from several sources, appended to one batch.
//!
//! Sources are read in the order of their times. As long as each begins behind what was read, that is all; from the first part
//! that something newer overlaps on, the parts are taken apart again and merged sample by sample.
//! COMPAT: where the samples of a source do not follow each other directly, nobody knows whether a counter was reset between
//! them: the hint of the histogram behind a joint becomes "unknown", unless it is a gauge.
//! PERF: bench `merge`.

use std::cell::RefCell;
use std::sync::Arc;

use narthex_model::CounterResetHint;

use super::order::{InTime, TimeHeap, give_in_order};
use crate::{QueryError, SampleBatch, SeriesSet};

/// Appends what `read` gets from the parts. A part is the number of its source, the set, and the position in it.
pub(super) fn append_merged<'a>(
    parts: impl Iterator<Item = (u32, &'a dyn SeriesSet, usize)>,
    read: impl Fn(&dyn SeriesSet, usize, &mut SampleBatch) -> Result<(), QueryError>,
    out: &mut SampleBatch,
) -> Result<(), QueryError> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.begin();
        for (source, set, at) in parts {
            let begin = Place::end_of(out);
            read(set, at, out)?;
            scratch.note(source, begin, out);
        }
        scratch.finish(out);
        Ok(())
    })
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A position in a batch.
#[derive(Clone, Copy, Default)]
struct Place {
    float: usize,
    histogram: usize,
}

impl Place {
    fn end_of(batch: &SampleBatch) -> Self {
        Self { float: batch.t_ms.len(), histogram: batch.histogram_t_ms.len() }
    }
}

/// What one source put into the batch.
#[derive(Clone, Copy)]
struct Part {
    source: u32,
    begin: Place,
    last_ms: i64,
}

/// What one read needs; its memory is kept.
#[derive(Default)]
struct Scratch {
    /// Parts that have samples.
    parts: Vec<Part>,
    /// Timestamp of the newest sample so far.
    last_ms: i64,
    /// The first part with a sample that is not older than one which was read after it.
    overlapped_from: Option<usize>,
    merge: Merge,
}

impl Scratch {
    fn begin(&mut self) {
        self.parts.clear();
        (self.last_ms, self.overlapped_from) = (i64::MIN, None);
    }

    /// Looks at what was appended since `begin`.
    fn note(&mut self, source: u32, begin: Place, out: &mut SampleBatch) {
        let (floats, histograms) = (&out.t_ms[begin.float..], &out.histogram_t_ms[begin.histogram..]);
        let firsts = floats.first().into_iter().chain(histograms.first());
        let lasts = floats.last().into_iter().chain(histograms.last());
        let (Some(&first_ms), Some(&last_ms)) = (firsts.min(), lasts.max()) else { return };
        if histograms.first() == Some(&first_ms) {
            forget_hint(out, begin.histogram);
        }
        if !self.parts.is_empty() && first_ms <= self.last_ms {
            let overlapped = self.parts.iter().position(|part| part.last_ms >= first_ms);
            self.overlapped_from = self.overlapped_from.min(overlapped).or(overlapped);
        }
        self.parts.push(Part { source, begin, last_ms });
        self.last_ms = self.last_ms.max(last_ms);
    }

    /// Puts overlapping parts in order.
    fn finish(&mut self, out: &mut SampleBatch) {
        let Some(from) = self.overlapped_from else { return };
        self.merge.take_out(&self.parts[from..], out);
        self.merge.run(out);
    }
}

/// Makes the hint of a histogram "unknown".
fn forget_hint(out: &mut SampleBatch, at: usize) {
    let hint = out.histograms[at].counter_reset_hint;
    if !matches!(hint, CounterResetHint::Gauge | CounterResetHint::Unknown) {
        Arc::make_mut(&mut out.histograms[at]).counter_reset_hint = CounterResetHint::Unknown;
    }
}

/// Merges columns of several sources.
#[derive(Default)]
struct Merge {
    columns: Vec<Column>,
    heap: TimeHeap,
}

/// The samples of one source, and how far they were given.
#[derive(Default)]
struct Column {
    source: u32,
    batch: SampleBatch,
    next: Place,
}

impl Merge {
    /// Moves parts, which end the batch, into columns of their own.
    fn take_out(&mut self, parts: &[Part], out: &mut SampleBatch) {
        self.columns.resize_with(parts.len(), Column::default);
        for (part, column) in parts.iter().zip(&mut self.columns).rev() {
            column.source = part.source;
            column.next = Place::default();
            column.batch.clear();
            column.batch.t_ms.extend(out.t_ms.drain(part.begin.float..));
            column.batch.values.extend(out.values.drain(part.begin.float..));
            column.batch.start_ms.extend(out.start_ms.drain(part.begin.float.min(out.start_ms.len())..));
            column.batch.histogram_t_ms.extend(out.histogram_t_ms.drain(part.begin.histogram..));
            column.batch.histograms.extend(out.histograms.drain(part.begin.histogram..));
            let starts = part.begin.histogram.min(out.histogram_start_ms.len());
            column.batch.histogram_start_ms.extend(out.histogram_start_ms.drain(starts..));
        }
        // Equal times come from the heap in an order that depends on the order in which sources went in.
        self.columns.sort_by_key(|column| column.source);
    }

    fn run(&mut self, out: &mut SampleBatch) {
        give_in_order(&mut self.columns, &mut self.heap, |column, follows| column.give(follows, out));
        for column in &mut self.columns {
            column.batch.clear();
        }
    }
}

impl InTime for Column {
    fn peek_ms(&self) -> Option<i64> {
        let float = self.batch.t_ms.get(self.next.float);
        let histogram = self.batch.histogram_t_ms.get(self.next.histogram);
        float.into_iter().chain(histogram).min().copied()
    }

    fn skip(&mut self) {
        match self.next_is_float() {
            true => self.next.float += 1,
            false => self.next.histogram += 1,
        }
    }
}

impl Column {
    fn next_is_float(&self) -> bool {
        let histogram = self.batch.histogram_t_ms.get(self.next.histogram);
        self.batch.t_ms.get(self.next.float).is_some_and(|t_ms| histogram.is_none_or(|h| t_ms < h))
    }

    /// Moves the next sample to `out`; `follows`: it comes directly behind the last one there.
    fn give(&mut self, follows: bool, out: &mut SampleBatch) {
        let (from, batch) = (self.next, &self.batch);
        if self.next_is_float() {
            push_start(&mut out.start_ms, out.t_ms.len(), batch.start_ms.get(from.float));
            out.t_ms.push(batch.t_ms[from.float]);
            out.values.push(batch.values[from.float]);
        } else {
            let start_ms = batch.histogram_start_ms.get(from.histogram);
            push_start(&mut out.histogram_start_ms, out.histograms.len(), start_ms);
            out.histogram_t_ms.push(batch.histogram_t_ms[from.histogram]);
            out.histograms.push(Arc::clone(&batch.histograms[from.histogram]));
            if !follows {
                forget_hint(out, out.histograms.len() - 1);
            }
        }
        self.skip();
    }
}

/// Adds a start timestamp to a column that stays empty until there is one.
fn push_start(starts: &mut Vec<i64>, before: usize, start_ms: Option<&i64>) {
    let start_ms = start_ms.copied().unwrap_or(0);
    if start_ms != 0 || !starts.is_empty() {
        starts.resize(before, 0);
        starts.push(start_ms);
    }
}
