//! A batch: what one appender has collected, as plain columns.
//!
//! Always true: within a *section*, the floats of a series come before its histograms, and these are of one kind; where a batch
//! mixes them otherwise, a new section begins. The WAL keeps the kinds in records of their own, so a section becomes a few
//! records and replay sees the order of the appends.
//! Batches are pooled: in the steady state a scrape allocates none of this.

use std::ops::Range;

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, Exemplar, Metadata};
use narthex_storage::SeriesRef;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::histograms::StoredHistogram;
use super::late::NewLate;
use super::slab::{Slot, page_number};
use narthex_wal::record::{HistogramSample, RefSample};

/// See the module's words.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) samples: Vec<RefSample>,
    /// Samples of all kinds that are older than their series' newest, in the order of the appends.
    pub(crate) late: Vec<NewLate>,
    pub(crate) histograms: Vec<HistogramSample<StoredHistogram>>,
    pub(crate) exemplars: Vec<(SeriesRef, Exemplar)>,
    pub(crate) metadata: Vec<(SeriesRef, Metadata)>,
    /// Where sections end, but for the last.
    cuts: Vec<Section>,
    /// Series with a histogram in the current section, and of which kind.
    with_histogram: FxHashMap<u64, RecordKind>,
    /// See `commit::Claimed`; here for its memory.
    pub(crate) claims: Vec<(Slot, i64)>,
    /// Encoded records, one behind the other, and where each ends.
    pub(crate) record_bytes: Vec<u8>,
    pub(crate) record_ends: Vec<usize>,
    /// Which of the records go to the WBL too.
    pub(crate) late_records: Range<usize>,
    /// A record of markers that goes to the WBL alone, before the others; may be empty.
    pub(crate) marker_bytes: Vec<u8>,
}

/// Histograms that share a record of the WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RecordKind {
    is_float: bool,
    has_custom_buckets: bool,
}

impl RecordKind {
    fn of(histogram: &StoredHistogram) -> Self {
        let (is_float, schema) = match histogram {
            StoredHistogram::Int(h) => (false, h.schema),
            StoredHistogram::Float(h) => (true, h.schema),
        };
        Self { is_float, has_custom_buckets: schema == CUSTOM_BUCKETS_SCHEMA }
    }
}

/// Ends (exclusive) in both columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) samples: usize,
    pub(crate) histograms: usize,
}

impl Batch {
    pub(crate) fn push(&mut self, sample: RefSample) {
        if !self.with_histogram.is_empty() && self.with_histogram.contains_key(&sample.series.0) {
            self.cut();
        }
        self.samples.push(sample);
    }

    pub(crate) fn push_histogram(&mut self, sample: HistogramSample<StoredHistogram>) {
        let kind = RecordKind::of(&sample.histogram);
        if self.with_histogram.insert(sample.series.0, kind).is_some_and(|before| before != kind) {
            self.cut();
            self.with_histogram.insert(sample.series.0, kind);
        }
        self.histograms.push(sample);
    }

    fn cut(&mut self) {
        self.cuts.push(self.end());
        self.with_histogram.clear();
    }

    fn end(&self) -> Section {
        Section { samples: self.samples.len(), histograms: self.histograms.len() }
    }

    /// The sections as ranges of both columns.
    pub(crate) fn sections(&self) -> Vec<(Range<usize>, Range<usize>)> {
        let mut start = Section::default();
        let ends = self.cuts.iter().copied().chain([self.end()]);
        let ranges = ends.map(|end| {
            let section = (start.samples..end.samples, start.histograms..end.histograms);
            start = end;
            section
        });
        ranges.collect()
    }

    /// Moves the ends of sections after samples were dropped: `map` tells for an old end the new one.
    pub(crate) fn move_cuts(&mut self, map: impl Fn(Section) -> Section) {
        self.cuts.iter_mut().for_each(|cut| *cut = map(*cut));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty()
            && self.late.is_empty()
            && self.histograms.is_empty()
            && self.exemplars.is_empty()
            && self.metadata.is_empty()
    }

    /// The numbers of all pages that the batch touches, rising, each once.
    pub(crate) fn pages(&self) -> Vec<u32> {
        let mut pages = Vec::with_capacity(16);
        let mut add = |series: SeriesRef| {
            let page = page_number(series.0 as Slot);
            if pages.last() != Some(&page) {
                pages.push(page);
            }
        };
        self.samples.iter().for_each(|s| add(s.series));
        self.late.iter().for_each(|s| add(s.series));
        self.histograms.iter().for_each(|h| add(h.series));
        self.exemplars.iter().for_each(|(series, _)| add(*series));
        self.metadata.iter().for_each(|(series, _)| add(*series));
        pages.sort_unstable();
        pages.dedup();
        pages
    }

    fn clear(&mut self) {
        self.samples.clear();
        self.late.clear();
        self.histograms.clear();
        self.exemplars.clear();
        self.metadata.clear();
        self.cuts.clear();
        self.with_histogram.clear();
        self.claims.clear();
        self.record_bytes.clear();
        self.record_ends.clear();
        self.late_records = 0..0;
        self.marker_bytes.clear();
    }
}

/// Batches that wait for their next appender.
#[derive(Default)]
pub(crate) struct BatchPool {
    idle: Mutex<Vec<Batch>>,
}

/// More idle batches than can be in use at once are a waste.
const IDLE_MAX: usize = 16;
/// A batch that grew above this gives its memory back.
const KEEP_SAMPLES: usize = 32 * 1024;

impl BatchPool {
    pub(crate) fn take(&self) -> Batch {
        self.idle.lock().pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&self, mut batch: Batch) {
        if batch.samples.capacity().max(batch.late.capacity()) > KEEP_SAMPLES {
            return;
        }
        batch.clear();
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_float_after_a_histogram_of_its_series_begins_a_section() {
        let (a, b) = (SeriesRef(1), SeriesRef(2));
        let float = |series, t_ms| RefSample { series, t_ms, start_ms: 0, value: 0.0 };
        let histogram = |series, t_ms| {
            let histogram = StoredHistogram::Float(Arc::default());
            HistogramSample { series, t_ms, start_ms: 0, histogram }
        };
        let mut batch = Batch::default();
        batch.push(float(a, 1));
        batch.push_histogram(histogram(a, 2));
        batch.push(float(b, 1));
        assert_eq!(batch.sections(), [(0..2, 0..1)]);
        batch.push(float(a, 3));
        batch.push_histogram(histogram(b, 2));
        assert_eq!(batch.sections(), [(0..2, 0..1), (2..3, 1..2)]);
        // A histogram of another kind would go to a record before that of the first.
        let int = StoredHistogram::Int(Arc::default());
        batch.push_histogram(HistogramSample { series: b, t_ms: 3, start_ms: 0, histogram: int });
        assert_eq!(batch.sections(), [(0..2, 0..1), (2..3, 1..2), (3..3, 2..3)]);
    }
}
