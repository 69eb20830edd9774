//! What a record says: its type byte, then a list of entries of that type.
//!
//! Encoders append one whole record to the caller's buffer; they write the version-1 layouts unless a sample has a start
//! timestamp, so that Prometheus 3.5 can read the log too. Decoders hand entries to a closure or append them to a reused
//! `Vec`, allocate nothing per float sample, and refuse malformed bytes with their place.
//! Must not know: fragments, files, compression.
//! Facts: Prometheus `tsdb/docs/format/wal.md`, "Record types"; `conformance/inventories/wal-record-types.tsv`.

mod exemplars;
mod histograms;
mod labels;
mod samples;
mod series;
pub mod snapshot;

#[cfg(test)]
mod tests;

use super::bytes::Fault;
pub use super::bytes::Malformed;
pub use exemplars::{RefExemplar, decode_exemplars, encode_exemplars};
pub use histograms::{
    AnyHistogram, HistogramSample, decode_histograms, encode_float_histograms, encode_histograms,
};
pub use labels::{LabelPairs, LabelPairsIter};
pub use samples::{RefSample, decode_samples, encode_samples};
pub use series::{
    MmapMarker, RefMetadata, Tombstone, decode_metadata, decode_mmap_markers, decode_series,
    decode_tombstones, encode_metadata, encode_mmap_markers, encode_series, encode_tombstones,
};

/// The type of a record: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordType {
    /// Label sets and their numbers.
    Series,
    /// Float samples; the second layout has start timestamps.
    Samples {
        /// 1 or 2.
        version: u8,
    },
    /// Deleted intervals.
    Tombstones,
    /// Exemplars.
    Exemplars,
    /// In the log of out-of-order samples only: what is m-mapped by now.
    MmapMarkers,
    /// Type, unit and help of series.
    Metadata,
    /// Native histograms with integer counts.
    Histograms(HistogramLayout),
    /// Native histograms with float counts.
    FloatHistograms(HistogramLayout),
    /// Empty, or written by a newer version: to be skipped.
    Unknown,
}

/// How a histogram record is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HistogramLayout {
    /// Version 1, exponential buckets.
    Exponential,
    /// Version 1, custom buckets.
    Custom,
    /// Version 2: either kind of buckets, with start timestamps.
    V2,
}

impl RecordType {
    /// The type of an encoded record.
    #[must_use]
    pub fn of(record: &[u8]) -> Self {
        let Some(byte) = record.first() else { return Self::Unknown };
        match byte {
            1 => Self::Series,
            2 => Self::Samples { version: 1 },
            3 => Self::Tombstones,
            4 => Self::Exemplars,
            5 => Self::MmapMarkers,
            6 => Self::Metadata,
            7 => Self::Histograms(HistogramLayout::Exponential),
            8 => Self::FloatHistograms(HistogramLayout::Exponential),
            9 => Self::Histograms(HistogramLayout::Custom),
            10 => Self::FloatHistograms(HistogramLayout::Custom),
            11 => Self::Samples { version: 2 },
            12 => Self::Histograms(HistogramLayout::V2),
            13 => Self::FloatHistograms(HistogramLayout::V2),
            _ => Self::Unknown,
        }
    }

    /// The byte that stands for it, 255 for unknown ones.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Series => 1,
            Self::Samples { version } => {
                if version == 2 {
                    11
                } else {
                    2
                }
            }
            Self::Tombstones => 3,
            Self::Exemplars => 4,
            Self::MmapMarkers => 5,
            Self::Metadata => 6,
            Self::Histograms(HistogramLayout::Exponential) => 7,
            Self::FloatHistograms(HistogramLayout::Exponential) => 8,
            Self::Histograms(HistogramLayout::Custom) => 9,
            Self::FloatHistograms(HistogramLayout::Custom) => 10,
            Self::Histograms(HistogramLayout::V2) => 12,
            Self::FloatHistograms(HistogramLayout::V2) => 13,
            Self::Unknown => 255,
        }
    }
}

impl std::fmt::Display for RecordType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Series => "series",
            Self::Samples { .. } => "samples",
            Self::Tombstones => "tombstones",
            Self::Exemplars => "exemplars",
            Self::MmapMarkers => "m-map markers",
            Self::Metadata => "metadata",
            Self::Histograms(_) => "histograms",
            Self::FloatHistograms(_) => "float histograms",
            Self::Unknown => "unknown",
        })
    }
}

/// A record whose checksum is right but whose content is not. Entries before the fault were handed out already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} record is malformed at its byte {offset} of {len}: {reason}")]
pub struct DecodeError {
    /// What the record's first byte says it is.
    pub kind: RecordType,
    /// Bytes from the start of the record.
    pub offset: usize,
    /// Bytes of the record.
    pub len: usize,
    /// What is wrong there.
    pub reason: Malformed,
}

impl DecodeError {
    #[cold]
    fn new(record: &[u8], fault: Fault) -> Self {
        Self { kind: RecordType::of(record), offset: fault.at, len: record.len(), reason: fault.reason }
    }

    #[cold]
    fn wrong_type(record: &[u8]) -> Self {
        Self::new(record, Fault { at: 0, reason: Malformed::WrongType })
    }
}
