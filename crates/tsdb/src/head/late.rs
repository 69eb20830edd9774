//! Late samples: what came after a newer sample of its series, or after its block range was closed, inside the out-of-order
//! window.
//!
//! They lie apart from the chunks in order: the newest in a list, older ones in chunks of `chunks_head`, and are merged in when
//! somebody reads (`merge`). A list that is full becomes chunks (`seal`), as in Prometheus.
//! Always true: the list rises strictly in time. At equal timestamps the sample in order wins, then the one that came first. Each
//! entry of the list carries its commit's number, because here a reader's view is no prefix; what lies in chunks is seen by all.
//! Must not know: the logs, locks.
//! PERF: 40 bytes a sample of the list, which holds some 32; one at the end costs a push, one before it a move of what lies
//! behind. A series without late samples pays one test of a pointer a read.

pub(crate) mod compact;
pub(crate) mod merge;
pub(crate) mod seal;
pub(crate) mod span;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

use narthex_chunks::{Encoding, decode};
use narthex_storage::{SampleBatch, SeriesRef};
use narthex_wal::record::{HistogramSample, RefSample};

use super::append::SampleKind;
use super::histograms::StoredHistogram;
use super::series::{CommitSeq, Series};
use crate::head_chunks::ChunkRef;

/// What a late sample says.
#[derive(Clone, Debug)]
pub(crate) enum LateValue {
    Float(f64),
    Histogram(StoredHistogram),
}

impl LateValue {
    pub(crate) fn kind(&self) -> SampleKind {
        match self {
            Self::Float(_) => SampleKind::Float,
            Self::Histogram(_) => SampleKind::Histogram,
        }
    }
}

/// A late sample on its way in.
#[derive(Clone, Debug)]
pub(crate) struct NewLate {
    pub(crate) series: SeriesRef,
    pub(crate) t_ms: i64,
    /// 0 for "not known".
    pub(crate) start_ms: i64,
    pub(crate) value: LateValue,
}

impl NewLate {
    pub(crate) fn float(sample: RefSample) -> Self {
        let RefSample { series, t_ms, start_ms, value } = sample;
        Self { series, t_ms, start_ms, value: LateValue::Float(value) }
    }

    pub(crate) fn histogram(sample: HistogramSample<StoredHistogram>) -> Self {
        let HistogramSample { series, t_ms, start_ms, histogram } = sample;
        Self { series, t_ms, start_ms, value: LateValue::Histogram(histogram) }
    }
}

/// A late sample in its series' list.
#[derive(Clone, Debug)]
pub(crate) struct LateSample {
    pub(crate) t_ms: i64,
    /// 0 for "not known".
    pub(crate) start_ms: i64,
    pub(crate) value: LateValue,
    /// The commit that brought it; 0 for replay.
    pub(crate) seq: CommitSeq,
}

/// A chunk of late samples in a head chunk file. `[min_ms, max_ms]` is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LateChunk {
    pub(crate) chunk: ChunkRef,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
    pub(crate) samples: u16,
}

/// The late samples of one series.
#[derive(Debug, Default)]
pub(crate) struct LateSamples {
    /// Rising in time.
    list: Vec<LateSample>,
    /// In the order in which they were written; may overlap.
    chunks: Vec<LateChunk>,
}

impl LateSamples {
    /// Adds a sample; `false` when the list has one at its timestamp.
    pub(crate) fn insert(&mut self, sample: LateSample) -> bool {
        if self.list.last().is_none_or(|last| last.t_ms < sample.t_ms) {
            self.list.push(sample);
            return true;
        }
        match self.list.binary_search_by_key(&sample.t_ms, |s| s.t_ms) {
            Ok(_) => false,
            Err(at) => {
                self.list.insert(at, sample);
                true
            }
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.chunks.is_empty()
    }

    /// The oldest of the head chunk files that it needs.
    pub(crate) fn oldest_file(&self) -> Option<u32> {
        self.chunks.iter().map(|chunk| chunk.chunk.file()).min()
    }

    /// Timestamp of the newest, ms.
    pub(crate) fn last_ms(&self) -> Option<i64> {
        let listed = self.list.last().map(|sample| sample.t_ms);
        listed.into_iter().chain(self.chunks.iter().map(|chunk| chunk.max_ms)).max()
    }

    /// Whether the list has a sample at a moment. Chunks are not asked: see the module's words on equal timestamps.
    pub(crate) fn has(&self, t_ms: i64) -> bool {
        self.list.binary_search_by_key(&t_ms, |s| s.t_ms).is_ok()
    }

    /// What a snapshot may see of the list in a closed range, rising.
    pub(crate) fn visible(
        &self,
        seq: CommitSeq,
        (mint_ms, maxt_ms): (i64, i64),
    ) -> impl Iterator<Item = &LateSample> {
        let first = self.list.partition_point(|s| s.t_ms < mint_ms);
        self.list[first..].iter().take_while(move |s| s.t_ms <= maxt_ms).filter(move |s| s.seq <= seq)
    }

    /// The chunks that overlap a closed range, oldest written first.
    pub(crate) fn chunks_in(&self, (mint_ms, maxt_ms): (i64, i64)) -> impl Iterator<Item = &LateChunk> {
        self.chunks.iter().filter(move |c| c.min_ms <= maxt_ms && c.max_ms >= mint_ms)
    }

    /// Whether a snapshot may see something in a closed range.
    pub(crate) fn may_show(&self, seq: CommitSeq, range: (i64, i64)) -> bool {
        self.chunks_in(range).next().is_some() || self.visible(seq, range).next().is_some()
    }
}

impl Series {
    /// Whether there is a sample at this very moment, of either kind, in order or in the list of late ones.
    #[cold]
    pub(crate) fn has_sample_at(&self, t_ms: i64) -> bool {
        if self.late().is_some_and(|late| late.has(t_ms)) {
            return true;
        }
        let sealed = self.sealed();
        let at = sealed.partition_point(|chunk| chunk.max_ms < t_ms);
        if let Some(chunk) = sealed.get(at).filter(|chunk| chunk.min_ms <= t_ms) {
            return chunk_has(chunk.encoding, &chunk.bytes, t_ms);
        }
        let mut bytes = Vec::new();
        if let Some(open) = self.histograms() {
            open.copy_to(&mut bytes);
            return chunk_has(open.encoding(), &bytes, t_ms);
        }
        if self.open.samples() == 0 || t_ms < self.open.first_ms() || t_ms > self.open.last_ms() {
            return false;
        }
        self.open.copy_to(&mut bytes);
        chunk_has(self.open.encoding().into(), &bytes, t_ms)
    }
}

thread_local! {
    static FOUND: RefCell<SampleBatch> = RefCell::default();
}

fn chunk_has(encoding: Encoding, chunk: &[u8], t_ms: i64) -> bool {
    FOUND.with_borrow_mut(|found| {
        found.clear();
        // A chunk that cannot be decoded says so to its readers.
        decode(encoding, chunk, t_ms, t_ms, found).is_ok() && !found.is_empty()
    })
}
