//! The native histograms of a series: the open chunk of the newest ones, and a histogram on its way in.
//!
//! Always true: a chunk holds one kind, integer or float counts. Must not know: locks, the WAL, who reads.
//! Chunks are cut as Prometheus cuts them: at the end of the aligned block range, spread evenly before it, around 1,024 bytes
//! but not below ten samples; and where a histogram does not fit (`narthex_chunks::histogram` says when).
//! PERF: the open chunk keeps the newest sample's counts uncompressed, 16 bytes a bucket; only series of histograms pay that.

use std::sync::Arc;

use narthex_chunks::histogram::{Counts, OpenChunkOf};
use narthex_chunks::{OpenFloatHistogramChunk, OpenHistogramChunk, Pushed, SealedChunk};
use narthex_model::{FloatHistogram, Histogram, STALE_NAN, Span};

use super::series::{CutRule, spread_cut};

/// Bytes wanted in a chunk; twice as many are the limit, if there are [`LEAST_SAMPLES`].
const TARGET_BYTES: usize = 1024;
/// Samples in a chunk, however large they are, unless its range ends.
const LEAST_SAMPLES: u32 = 10;

/// A native histogram as it was appended.
#[derive(Clone, Debug)]
pub(crate) enum StoredHistogram {
    /// Integer counts.
    Int(Arc<Histogram>),
    /// Float counts.
    Float(Arc<FloatHistogram>),
}

impl StoredHistogram {
    /// The form that queries work on.
    pub(crate) fn to_float(&self) -> Arc<FloatHistogram> {
        match self {
            Self::Int(histogram) => Arc::new(histogram.to_float()),
            Self::Float(histogram) => Arc::clone(histogram),
        }
    }

    /// Whether its spans have as many buckets as there are. Appended ones do; those of a log may not.
    pub(crate) fn has_its_buckets(&self) -> bool {
        let agree = |spans: &[Span], buckets: usize| {
            spans.iter().map(|span| u64::from(span.length)).sum::<u64>() == buckets as u64
        };
        match self {
            Self::Int(h) => {
                agree(&h.positive_spans, h.positive_buckets.len())
                    && agree(&h.negative_spans, h.negative_buckets.len())
            }
            Self::Float(h) => {
                agree(&h.positive_spans, h.positive_buckets.len())
                    && agree(&h.negative_spans, h.negative_buckets.len())
            }
        }
    }
}

/// The open chunk of a series whose newest sample is a histogram.
#[derive(Debug)]
pub(crate) struct OpenHistograms {
    chunk: Open,
    /// The chunk takes no sample at or after this, ms.
    next_cut_ms: i64,
    /// Whether `next_cut_ms` was brought forward already.
    is_spread: bool,
}

#[derive(Debug)]
enum Open {
    Int(OpenHistogramChunk),
    Float(OpenFloatHistogramChunk),
}

/// Calls a method that both kinds have.
macro_rules! of_either {
    ($open:expr, $chunk:ident => $call:expr) => {
        match $open {
            Open::Int($chunk) => $call,
            Open::Float($chunk) => $call,
        }
    };
}

/// Timestamp and start timestamp of a sample, ms; 0 for no start timestamp.
type Times = (i64, i64);

impl OpenHistograms {
    /// A chunk behind none, or behind one of another kind.
    pub(crate) fn begin(times: Times, histogram: &StoredHistogram, rule: CutRule) -> Self {
        let starts = rule.histogram_starts;
        let chunk = match histogram {
            StoredHistogram::Int(h) => {
                Open::Int(OpenHistogramChunk::begin(OpenHistogramChunk::first_header(h), starts, times, h))
            }
            StoredHistogram::Float(h) => Open::Float(OpenFloatHistogramChunk::begin(
                OpenFloatHistogramChunk::first_header(h),
                starts,
                times,
                h,
            )),
        };
        Self { chunk, next_cut_ms: rule.range_end(times.0), is_spread: false }
    }

    /// Adds a sample. When it began a new chunk, returns the one before.
    pub(crate) fn push(
        &mut self,
        times: Times,
        histogram: &StoredHistogram,
        rule: CutRule,
    ) -> Option<SealedChunk> {
        let is_long_enough = self.is_long_enough(times.0, rule);
        let sealed = match (&mut self.chunk, histogram) {
            (Open::Int(chunk), StoredHistogram::Int(h)) if chunk.keeps_starts() == rule.histogram_starts => {
                push(chunk, is_long_enough, times, h)?
            }
            (Open::Float(chunk), StoredHistogram::Float(h))
                if chunk.keeps_starts() == rule.histogram_starts =>
            {
                push(chunk, is_long_enough, times, h)?
            }
            (Open::Int(_) | Open::Float(_), _) => {
                let sealed = self.seal();
                *self = Self::begin(times, histogram, rule);
                return Some(sealed);
            }
        };
        (self.next_cut_ms, self.is_spread) = (rule.range_end(times.0), false);
        Some(sealed)
    }

    /// Whether a sample at `t_ms` belongs into the next chunk.
    fn is_long_enough(&mut self, t_ms: i64, rule: CutRule) -> bool {
        let (samples, bytes) = of_either!(&self.chunk, chunk => (chunk.samples(), chunk.byte_len()));
        let range_end_ms = rule.range_end(self.first_ms());
        if !self.is_spread && bytes >= TARGET_BYTES / 4 {
            let times = (self.first_ms(), self.last_ms());
            self.next_cut_ms = spread_cut(times, self.next_cut_ms, TARGET_BYTES as f64 / bytes as f64);
            self.is_spread = true;
        }
        (t_ms >= self.next_cut_ms || bytes >= TARGET_BYTES * 2)
            && (samples >= LEAST_SAMPLES || t_ms >= range_end_ms)
    }

    /// The chunk as it is, to keep it.
    pub(crate) fn seal(&self) -> SealedChunk {
        of_either!(&self.chunk, chunk => chunk.seal())
    }

    /// Timestamp of the oldest sample, ms.
    pub(crate) fn first_ms(&self) -> i64 {
        of_either!(&self.chunk, chunk => chunk.first_ms())
    }

    /// Timestamp of the newest sample, ms.
    pub(crate) fn last_ms(&self) -> i64 {
        of_either!(&self.chunk, chunk => chunk.last_ms())
    }

    /// How the bytes of [`Self::copy_to`] are to be read.
    pub(crate) fn encoding(&self) -> narthex_chunks::Encoding {
        of_either!(&self.chunk, chunk => chunk.encoding())
    }

    /// Appends the chunk's bytes.
    pub(crate) fn copy_to(&self, out: &mut Vec<u8>) {
        of_either!(&self.chunk, chunk => chunk.copy_to(out));
    }

    /// How many buckets the newest sample has, of both signs.
    pub(crate) fn buckets(&self) -> u64 {
        of_either!(&self.chunk, chunk => chunk.buckets())
    }

    /// Whether the newest sample is a stale marker.
    pub(crate) fn is_stale(&self) -> bool {
        of_either!(&self.chunk, chunk => chunk.is_stale())
    }

    /// Whether the newest sample is this one.
    pub(crate) fn last_is(&self, histogram: &StoredHistogram) -> bool {
        match (&self.chunk, histogram) {
            (Open::Int(chunk), StoredHistogram::Int(h)) => chunk.last_is(h),
            (Open::Float(chunk), StoredHistogram::Float(h)) => chunk.last_is(h),
            (Open::Int(_) | Open::Float(_), _) => false,
        }
    }

    /// The stale marker of this kind.
    pub(crate) fn stale_marker(&self) -> StoredHistogram {
        match &self.chunk {
            Open::Int(_) => {
                StoredHistogram::Int(Arc::new(Histogram { sum: STALE_NAN, ..Histogram::default() }))
            }
            Open::Float(_) => StoredHistogram::Float(Arc::new(FloatHistogram {
                sum: STALE_NAN,
                ..FloatHistogram::default()
            })),
        }
    }
}

/// Adds a sample of the chunk's kind. When it began a new chunk, returns the one before.
fn push<C: Counts>(
    chunk: &mut OpenChunkOf<C>,
    is_long_enough: bool,
    (t_ms, start_ms): Times,
    histogram: &C::Histogram,
) -> Option<SealedChunk> {
    let header = match is_long_enough {
        true => chunk.header_after(histogram),
        false => match chunk.push(t_ms, start_ms, histogram) {
            Pushed::Taken | Pushed::Recoded => return None,
            Pushed::NewChunk(header) => header,
        },
    };
    let sealed = chunk.seal();
    *chunk = OpenChunkOf::begin(header, chunk.keeps_starts(), (t_ms, start_ms), histogram);
    Some(sealed)
}

#[cfg(test)]
mod tests {
    use narthex_chunks::sample_count;

    use super::*;

    const RULE: CutRule = CutRule::plain(7_200_000, 120);

    /// A histogram of `buckets` buckets, the `round`th of its series.
    fn histogram(buckets: usize, round: u64) -> StoredHistogram {
        let mut random = fastrand::Rng::with_seed(round);
        let counts: Vec<f64> =
            (0..buckets).map(|at| (at as u64 * 1000 + round * 10 + random.u64(..10)) as f64).collect();
        StoredHistogram::Float(Arc::new(FloatHistogram {
            count: counts.iter().sum(),
            positive_spans: vec![Span { offset: 0, length: buckets as u32 }],
            positive_buckets: counts,
            ..FloatHistogram::default()
        }))
    }

    /// Samples and bytes of the chunks of a series that is scraped every 15 seconds.
    fn chunks(buckets: usize, samples: u64) -> Vec<(i64, u32, usize)> {
        let mut open = OpenHistograms::begin((0, 0), &histogram(buckets, 0), RULE);
        let mut sealed: Vec<SealedChunk> = Vec::new();
        for round in 1..samples {
            sealed.extend(open.push((round as i64 * 15_000, 0), &histogram(buckets, round), RULE));
        }
        sealed.push(open.seal());
        let facts = |c: &SealedChunk| (c.min_ms, sample_count(c.encoding, &c.bytes).unwrap(), c.bytes.len());
        sealed.iter().map(facts).collect()
    }

    #[test]
    fn chunks_are_spread_over_their_range_and_have_about_a_kibibyte() {
        // Four hours: a chunk ends with each range, and the ones of a range are about equal.
        let chunks = chunks(4, 960);
        assert!(chunks.iter().any(|(min_ms, ..)| *min_ms == 7_200_000), "{chunks:?}");
        assert!(chunks.iter().all(|(_, samples, bytes)| *samples >= 10 && *bytes <= 2100), "{chunks:?}");
        assert!(chunks.iter().all(|(.., bytes)| *bytes >= 400), "{chunks:?}");
    }

    #[test]
    fn chunks_of_large_histograms_have_ten_samples_all_the_same() {
        let chunks = chunks(400, 100);
        assert!(chunks.iter().all(|(_, samples, _)| *samples == 10), "{chunks:?}");
    }

    #[test]
    fn another_kind_or_encoding_begins_a_chunk() {
        let mut open = OpenHistograms::begin((0, 0), &histogram(4, 0), RULE);
        let int = StoredHistogram::Int(Arc::default());
        let starts = CutRule { histogram_starts: true, ..RULE };
        let begun = [(1, &int, RULE), (2, &int, RULE), (3, &int, starts), (4, &int, starts)]
            .map(|(t_ms, histogram, rule)| open.push((t_ms, 0), histogram, rule).map(|chunk| chunk.max_ms));
        assert_eq!(begun, [Some(0), None, Some(2), None]);
    }
}
