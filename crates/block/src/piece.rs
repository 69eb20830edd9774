//! What travels from one block (or the head) into another: a series with its chunks as they lie on disk.

use narthex_chunks::{Encoding, SealedChunk};
use narthex_model::Labels;

/// One chunk with borrowed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkPiece<'a> {
    /// Timestamp of the first sample, ms.
    pub min_ms: i64,
    /// Timestamp of the last sample, ms.
    pub max_ms: i64,
    /// How to read the bytes.
    pub encoding: Encoding,
    /// The whole chunk, sample count included; neither the encoding's number nor a checksum.
    pub bytes: &'a [u8],
}

impl<'a> From<&'a SealedChunk> for ChunkPiece<'a> {
    fn from(chunk: &'a SealedChunk) -> Self {
        Self { min_ms: chunk.min_ms, max_ms: chunk.max_ms, encoding: chunk.encoding, bytes: &chunk.bytes }
    }
}

/// One series of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesEntry<'a> {
    /// The number by which this block's postings and tombstones call the series.
    pub series: u64,
    /// Its labels.
    pub labels: Labels,
    /// Its chunks; their times rise and do not overlap.
    pub chunks: Vec<ChunkPiece<'a>>,
}
