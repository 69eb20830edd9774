//! The encodings by their numbers on disk, and one door to all decoders.

use narthex_storage::SampleBatch;

use crate::error::ChunkError;
use crate::histogram::{Floats, Integers, decode_histograms};
use crate::xor::{decode_xor, decode_xor2, newest_xor};

/// How a chunk's bytes are to be read; the number is the byte on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Encoding {
    /// Floats.
    Xor = 1,
    /// Native histograms with integer counts.
    Histogram = 2,
    /// Native histograms with float counts.
    FloatHistogram = 3,
    /// Floats, with start timestamps where they have one.
    Xor2 = 4,
    /// Integer histograms with start timestamps.
    HistogramSt = 5,
    /// Float histograms with start timestamps.
    FloatHistogramSt = 6,
}

impl Encoding {
    /// Whether the samples are floats.
    #[must_use]
    pub fn is_float(self) -> bool {
        match self {
            Self::Xor | Self::Xor2 => true,
            Self::Histogram | Self::FloatHistogram | Self::HistogramSt | Self::FloatHistogramSt => false,
        }
    }
}

/// The encodings of floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FloatEncoding {
    /// What every Prometheus reads.
    #[default]
    Xor,
    /// Smaller; keeps start timestamps; Prometheus 3.5 cannot read it, 3.14 can.
    Xor2,
}

impl From<FloatEncoding> for Encoding {
    fn from(encoding: FloatEncoding) -> Self {
        match encoding {
            FloatEncoding::Xor => Self::Xor,
            FloatEncoding::Xor2 => Self::Xor2,
        }
    }
}

/// A byte that names no encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown chunk encoding {0}")]
pub struct UnknownEncoding(pub u8);

impl TryFrom<u8> for Encoding {
    type Error = UnknownEncoding;

    fn try_from(byte: u8) -> Result<Self, UnknownEncoding> {
        Ok(match byte {
            1 => Self::Xor,
            2 => Self::Histogram,
            3 => Self::FloatHistogram,
            4 => Self::Xor2,
            5 => Self::HistogramSt,
            6 => Self::FloatHistogramSt,
            other => return Err(UnknownEncoding(other)),
        })
    }
}

/// A chunk that takes no more samples: exact bytes, and the closed range of its timestamps in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedChunk {
    /// Timestamp of the first sample.
    pub min_ms: i64,
    /// Timestamp of the last sample.
    pub max_ms: i64,
    /// How to read the bytes.
    pub encoding: Encoding,
    /// The whole chunk, sample count included; neither the encoding's number nor a checksum.
    pub bytes: Box<[u8]>,
}

/// The number of samples that a chunk's header tells; `None` when the bytes end before it does.
#[must_use]
pub fn sample_count(encoding: Encoding, chunk: &[u8]) -> Option<u32> {
    let count = u32::from(u16::from_be_bytes(*chunk.first_chunk()?));
    Some(match encoding {
        Encoding::Xor | Encoding::Xor2 | Encoding::Histogram | Encoding::FloatHistogram => count,
        // The upper two bits tell of counter resets.
        Encoding::HistogramSt | Encoding::FloatHistogramSt => count & 0x3fff,
    })
}

/// Appends the samples of a chunk with `mint_ms <= t <= maxt_ms` to `out`.
///
/// # Errors
/// See [`ChunkError`]; `out` then holds the samples before the fault, or a part of them.
pub fn decode(
    encoding: Encoding,
    chunk: &[u8],
    mint_ms: i64,
    maxt_ms: i64,
    out: &mut SampleBatch,
) -> Result<(), ChunkError> {
    match encoding {
        Encoding::Xor => decode_xor(chunk, mint_ms, maxt_ms, out),
        Encoding::Histogram => decode_histograms::<Integers>(chunk, false, (mint_ms, maxt_ms), out),
        Encoding::FloatHistogram => decode_histograms::<Floats>(chunk, false, (mint_ms, maxt_ms), out),
        Encoding::HistogramSt => decode_histograms::<Integers>(chunk, true, (mint_ms, maxt_ms), out),
        Encoding::FloatHistogramSt => decode_histograms::<Floats>(chunk, true, (mint_ms, maxt_ms), out),
        Encoding::Xor2 => decode_xor2(chunk, mint_ms, maxt_ms, out),
    }
}

/// As [`decode`] for who needs only the newest of these samples: older floats may be missing.
///
/// # Errors
/// As [`decode`].
pub fn decode_newest(
    encoding: Encoding,
    chunk: &[u8],
    mint_ms: i64,
    maxt_ms: i64,
    out: &mut SampleBatch,
) -> Result<(), ChunkError> {
    match encoding {
        Encoding::Xor => newest_xor(chunk, mint_ms, maxt_ms, out),
        _ => decode(encoding, chunk, mint_ms, maxt_ms, out),
    }
}
