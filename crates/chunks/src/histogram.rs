//! Chunks of native histograms, with integer counts and with float counts; with start timestamps or without.
//!
//! Layout: the number of samples and what is known of a counter reset before the chunk; then once the schema, the spans and
//! the custom bounds that all samples share; then the samples: integer counts as differences of differences, float counts and
//! sums as XOR with the sample before.
//! Always true: all samples of a chunk have one layout. A sample with other buckets either fits when the buckets that are
//! missing on either side are zero (the chunk is then *recoded* to the union), or begins a new chunk. In a chunk that is not
//! of gauges, no bucket ever falls.
//! Road in: [`OpenHistogramChunk::begin`], then `push`. Must not know: when a chunk is full.
//! Facts: Prometheus `tsdb/docs/format/chunks.md`, "Histogram chunk data" and the three after it; bytes compared with real
//! chunks in `tests/real_chunks.rs`.

mod align;
mod counts;
mod decode;
mod fit;
mod floats;
mod integers;
mod layout;
mod open;
mod reduce;
#[cfg(test)]
mod tests;

pub use counts::Counts;
pub(crate) use decode::{decode_histograms, for_each_histogram};
pub use floats::Floats;
pub use integers::Integers;
pub use open::{OpenChunkOf, Pushed};

/// A growing chunk of histograms with integer counts.
pub type OpenHistogramChunk = OpenChunkOf<Integers>;
/// A growing chunk of histograms with float counts.
pub type OpenFloatHistogramChunk = OpenChunkOf<Floats>;

use narthex_model::CounterResetHint;

/// Bytes in front of the bits: sample count and flags, or, with start timestamps, count with flags and their header.
pub(crate) const HEADER: usize = 3;
/// Samples that the header of a chunk with start timestamps can count.
const MOST_SAMPLES_ST: u32 = 0x3fff;

/// The upper two bits of the flags.
fn header_bits(header: CounterResetHint) -> u8 {
    match header {
        CounterResetHint::Unknown => 0b00 << 6,
        CounterResetHint::NotReset => 0b01 << 6,
        CounterResetHint::Reset => 0b10 << 6,
        CounterResetHint::Gauge => 0b11 << 6,
    }
}

fn header_of(bits: u8) -> CounterResetHint {
    match bits >> 6 {
        0b00 => CounterResetHint::Unknown,
        0b01 => CounterResetHint::NotReset,
        0b10 => CounterResetHint::Reset,
        _ => CounterResetHint::Gauge,
    }
}

/// A copy of a chunk that does not tell whether there was a counter reset before it, for a place where another chunk is before it
/// than when it was written. `None` when it tells nothing as it is: it holds floats or gauges, or the header says "unknown".
#[must_use]
pub fn forget_reset(encoding: crate::Encoding, chunk: &[u8]) -> Option<Box<[u8]>> {
    use crate::Encoding::{FloatHistogram, FloatHistogramSt, Histogram, HistogramSt, Xor, Xor2};
    let at = match encoding {
        Xor | Xor2 => return None,
        Histogram | FloatHistogram => 2,
        HistogramSt | FloatHistogramSt => 0,
    };
    match header_of(*chunk.get(at)?) {
        CounterResetHint::Unknown | CounterResetHint::Gauge => None,
        CounterResetHint::Reset | CounterResetHint::NotReset => {
            let mut copy: Box<[u8]> = chunk.into();
            copy[at] &= 0x3f;
            Some(copy)
        }
    }
}
