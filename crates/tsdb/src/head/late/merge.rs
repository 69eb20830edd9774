//! Merging late samples into what a reader got in order.
//!
//! Who wins at a timestamp: the sample in order, then the chunk that was written first, then the list; see `late`.
//! A histogram whose predecessor in time comes from another source has no counter-reset hint, as in Prometheus: neither source
//! knows what lies between.
//! PERF: cold; only series with late samples in the range come here. Sorting n late samples, then one walk over all.

use std::sync::Arc;

use narthex_chunks::{ChunkError, decode};
use narthex_model::{CounterResetHint, FloatHistogram};
use narthex_storage::SampleBatch;

use super::{LateChunk, LateSample, LateSamples, LateValue};
use crate::head::series::CommitSeq;
use crate::head_chunks::{ChunkRef, HeadChunks, HeadChunksError, MappedChunk, PinnedFile};

/// Why late samples could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LateReadError {
    #[error(transparent)]
    File(#[from] HeadChunksError),
    #[error("head chunk file {0} with late samples is not there")]
    Missing(u32),
    #[error("chunk of late samples at byte {} of head chunk file {}: {source}", chunk.offset(), chunk.file())]
    Chunk { chunk: ChunkRef, source: ChunkError },
}

/// The late samples of one series, copied under its page's lock.
#[derive(Default)]
pub(crate) struct LateCopy {
    list: Vec<LateSample>,
    chunks: Vec<(LateChunk, Option<PinnedFile>)>,
}

/// Where a merged sample comes from: 0 is what came in order.
type Source = u32;

/// A late sample in the columns of a scratch batch.
#[derive(Clone, Copy)]
struct Entry {
    t_ms: i64,
    source: Source,
    is_histogram: bool,
    /// Place in its column.
    at: u32,
}

impl LateCopy {
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.chunks.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.chunks.is_empty()
    }

    /// Copies what a snapshot may see in a closed range. Files are pinned here, under the page's lock: a file is only deleted
    /// when no series names it any more.
    pub(crate) fn take(
        &mut self,
        late: &LateSamples,
        seq: CommitSeq,
        range: (i64, i64),
        files: Option<&HeadChunks>,
    ) {
        self.list.extend(late.visible(seq, range).cloned());
        let pin = |chunk: &LateChunk| (*chunk, files.and_then(|files| files.pin(chunk.chunk)));
        self.chunks.extend(late.chunks_in(range).map(pin));
    }

    /// Merges the copy into the columns of `out` from the given places (floats, histograms) on.
    ///
    /// # Errors
    /// See [`LateReadError`]; `out` is then as before.
    pub(crate) fn merge_into(
        &self,
        range: (i64, i64),
        from: (usize, usize),
        out: &mut SampleBatch,
    ) -> Result<(), LateReadError> {
        let mut late = SampleBatch::default();
        let mut entries = self.decode(range, &mut late)?;
        entries.sort_unstable_by_key(|entry| (entry.t_ms, entry.source));
        entries.dedup_by_key(|entry| entry.t_ms);
        entries.retain(|entry| {
            out.t_ms[from.0..].binary_search(&entry.t_ms).is_err()
                && out.histogram_t_ms[from.1..].binary_search(&entry.t_ms).is_err()
        });
        if !entries.is_empty() {
            Merge { late: &late, entries: &entries, from, out }.run();
        }
        Ok(())
    }

    /// The copied part of the list, rising in time.
    pub(in crate::head) fn list(&self) -> &[LateSample] {
        &self.list
    }

    /// Shows the chunks, oldest written first.
    pub(in crate::head) fn for_each_chunk(
        &self,
        mut show: impl FnMut(ChunkRef, &MappedChunk) -> Result<(), LateReadError>,
    ) -> Result<(), LateReadError> {
        for (chunk, file) in &self.chunks {
            let file = file.as_ref().ok_or(LateReadError::Missing(chunk.chunk.file()))?;
            show(chunk.chunk, &file.chunk(chunk.chunk)?)?;
        }
        Ok(())
    }

    /// The closed time range of each chunk, in the order in which [`Self::for_each_chunk`] shows them.
    pub(in crate::head) fn chunk_times(&self) -> impl Iterator<Item = (i64, i64)> {
        self.chunks.iter().map(|(chunk, _)| (chunk.min_ms, chunk.max_ms))
    }

    /// Puts all samples into one batch and says where each lies.
    fn decode(
        &self,
        (mint_ms, maxt_ms): (i64, i64),
        late: &mut SampleBatch,
    ) -> Result<Vec<Entry>, LateReadError> {
        let (mut entries, mut source) = (Vec::new(), 0);
        self.for_each_chunk(|chunk, mapped| {
            let before = (late.t_ms.len(), late.histogram_t_ms.len());
            decode(mapped.encoding, mapped.bytes(), mint_ms, maxt_ms, late)
                .map_err(|source| LateReadError::Chunk { chunk, source })?;
            source += 1;
            push_entries(late, before, source, &mut entries);
            Ok(())
        })?;
        let before = (late.t_ms.len(), late.histogram_t_ms.len());
        for sample in &self.list {
            match &sample.value {
                LateValue::Float(value) => push_float(late, sample.t_ms, sample.start_ms, *value),
                LateValue::Histogram(histogram) => {
                    let histogram = without_not_reset(histogram.to_float());
                    push_histogram(late, sample.t_ms, sample.start_ms, histogram);
                }
            }
        }
        push_entries(late, before, source + 1, &mut entries);
        Ok(entries)
    }
}

fn push_entries(
    late: &SampleBatch,
    (floats, histograms): (usize, usize),
    source: Source,
    entries: &mut Vec<Entry>,
) {
    let entry = |is_histogram: bool| {
        move |(at, t_ms): (usize, &i64)| Entry { t_ms: *t_ms, source, is_histogram, at: at as u32 }
    };
    entries.extend(late.t_ms.iter().enumerate().skip(floats).map(entry(false)));
    entries.extend(late.histogram_t_ms.iter().enumerate().skip(histograms).map(entry(true)));
}

/// What the sender said about the sample before is no longer known in a list that others are sorted into.
fn without_not_reset(histogram: Arc<FloatHistogram>) -> Arc<FloatHistogram> {
    match histogram.counter_reset_hint {
        CounterResetHint::NotReset => without_hint(histogram),
        CounterResetHint::Unknown | CounterResetHint::Reset | CounterResetHint::Gauge => histogram,
    }
}

fn without_hint(mut histogram: Arc<FloatHistogram>) -> Arc<FloatHistogram> {
    Arc::make_mut(&mut histogram).counter_reset_hint = CounterResetHint::Unknown;
    histogram
}

fn push_float(out: &mut SampleBatch, t_ms: i64, start_ms: i64, value: f64) {
    push_start(&mut out.start_ms, out.t_ms.len(), start_ms);
    out.t_ms.push(t_ms);
    out.values.push(value);
}

fn push_histogram(out: &mut SampleBatch, t_ms: i64, start_ms: i64, histogram: Arc<FloatHistogram>) {
    push_start(&mut out.histogram_start_ms, out.histogram_t_ms.len(), start_ms);
    out.histogram_t_ms.push(t_ms);
    out.histograms.push(histogram);
}

/// Start timestamps have a column only when some sample has one.
fn push_start(starts: &mut Vec<i64>, len: usize, start_ms: i64) {
    if start_ms != 0 && starts.is_empty() {
        starts.resize(len, 0);
    }
    if start_ms != 0 || !starts.is_empty() {
        starts.push(start_ms);
    }
}

struct Merge<'a> {
    late: &'a SampleBatch,
    /// Rising in time; none at the time of a sample of `out`.
    entries: &'a [Entry],
    from: (usize, usize),
    out: &'a mut SampleBatch,
}

impl Merge<'_> {
    fn run(self) {
        let Self { late, entries, from: (floats, histograms), out } = self;
        let in_order = split_off(out, floats, histograms);
        let (mut float, mut histogram, mut entry) = (0, 0, 0);
        let mut last = None;
        loop {
            let next_float = in_order.t_ms.get(float).copied().unwrap_or(i64::MAX);
            let next_histogram = in_order.histogram_t_ms.get(histogram).copied().unwrap_or(i64::MAX);
            let next_late = entries.get(entry).map_or(i64::MAX, |entry| entry.t_ms);
            if entry < entries.len() && next_late <= next_float.min(next_histogram) {
                copy(late, &entries[entry], &mut last, out);
                entry += 1;
            } else if float < in_order.t_ms.len() && next_float <= next_histogram {
                let at = Entry { t_ms: next_float, source: 0, is_histogram: false, at: float as u32 };
                copy(&in_order, &at, &mut last, out);
                float += 1;
            } else if histogram < in_order.histogram_t_ms.len() {
                let at = Entry { t_ms: next_histogram, source: 0, is_histogram: true, at: histogram as u32 };
                copy(&in_order, &at, &mut last, out);
                histogram += 1;
            } else {
                return;
            }
        }
    }
}

/// Takes the ends of all columns out.
fn split_off(batch: &mut SampleBatch, floats: usize, histograms: usize) -> SampleBatch {
    let starts = |starts: &mut Vec<i64>, from: usize| {
        if starts.is_empty() { Vec::new() } else { starts.split_off(from) }
    };
    SampleBatch {
        t_ms: batch.t_ms.split_off(floats),
        values: batch.values.split_off(floats),
        start_ms: starts(&mut batch.start_ms, floats),
        histogram_t_ms: batch.histogram_t_ms.split_off(histograms),
        histograms: batch.histograms.split_off(histograms),
        histogram_start_ms: starts(&mut batch.histogram_start_ms, histograms),
    }
}

fn copy(batch: &SampleBatch, entry: &Entry, last: &mut Option<Source>, out: &mut SampleBatch) {
    let at = entry.at as usize;
    let follows_own = last.replace(entry.source).is_none_or(|last| last == entry.source);
    if !entry.is_histogram {
        let start_ms = batch.start_ms.get(at).copied().unwrap_or(0);
        return push_float(out, entry.t_ms, start_ms, batch.values[at]);
    }
    let start_ms = batch.histogram_start_ms.get(at).copied().unwrap_or(0);
    let histogram = Arc::clone(&batch.histograms[at]);
    let histogram = match histogram.counter_reset_hint {
        CounterResetHint::Reset | CounterResetHint::NotReset if !follows_own => without_hint(histogram),
        _ => histogram,
    };
    push_histogram(out, entry.t_ms, start_ms, histogram);
}
