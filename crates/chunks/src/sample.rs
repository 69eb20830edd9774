//! Samples as a chunk holds them: floats, integer histograms and float histograms apart, so that they can be written again
//! as what they were.
//!
//! [`for_each`] is the road of compaction, deletes and recoding; queries take [`crate::decode`], which turns every histogram
//! into a float one. Must not know: files, labels.

use narthex_model::{FloatHistogram, Histogram};
use narthex_storage::SampleBatch;

use crate::error::ChunkError;
use crate::histogram::{Floats, Integers, for_each_histogram};
use crate::{Encoding, decode};

/// What a sample says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ChunkValue<'a> {
    /// A float; may be the staleness marker.
    Float(f64),
    /// A histogram with integer counts; stale when its sum is the staleness NaN.
    Histogram(&'a Histogram),
    /// A histogram with float counts; stale when its sum is the staleness NaN.
    FloatHistogram(&'a FloatHistogram),
}

/// One sample of a chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChunkSample<'a> {
    /// Milliseconds since the epoch.
    pub t_ms: i64,
    /// When the counter started, ms since the epoch; 0 for "not known".
    pub start_ms: i64,
    /// The sample.
    pub value: ChunkValue<'a>,
}

/// Shows `take` the samples of a chunk in the closed range (ms), in their order. Histograms are lent: their memory is
/// used again for the next sample.
///
/// # Errors
/// See [`ChunkError`]; samples before the fault were shown, or a part of them.
pub fn for_each(
    encoding: Encoding,
    chunk: &[u8],
    range: (i64, i64),
    mut take: impl FnMut(ChunkSample<'_>),
) -> Result<(), ChunkError> {
    match encoding {
        Encoding::Xor | Encoding::Xor2 => {
            let mut batch = SampleBatch::default();
            let done = decode(encoding, chunk, range.0, range.1, &mut batch);
            show_floats(&batch, &mut take);
            done
        }
        Encoding::Histogram => for_each_histogram::<Integers>(chunk, false, range, &mut take),
        Encoding::FloatHistogram => for_each_histogram::<Floats>(chunk, false, range, &mut take),
        Encoding::HistogramSt => for_each_histogram::<Integers>(chunk, true, range, &mut take),
        Encoding::FloatHistogramSt => for_each_histogram::<Floats>(chunk, true, range, &mut take),
    }
}

fn show_floats(batch: &SampleBatch, take: &mut impl FnMut(ChunkSample<'_>)) {
    for (at, (t_ms, value)) in batch.t_ms.iter().zip(&batch.values).enumerate() {
        let start_ms = batch.start_ms.get(at).copied().unwrap_or(0);
        take(ChunkSample { t_ms: *t_ms, start_ms, value: ChunkValue::Float(*value) });
    }
}
