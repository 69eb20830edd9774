//! What a block can be written from: a block, the head, the late samples of the head; each over a time range `[mint, maxt)`.
//!
//! A source gives its series in label order with their compressed chunks. It need not cut chunks at the range's borders nor
//! take deleted samples out: it gives every chunk that has a sample in range, says what is deleted, and the writer cuts.
//! Must not know: where the block goes, other sources.

use std::borrow::Cow;
use std::ops::Range;

use narthex_chunks::Encoding;
use narthex_model::Labels;
use narthex_storage::QueryError;

/// Data for a block over a time range which the source was made with.
pub(crate) trait CompactionSource: Send + Sync {
    /// The label names and values of all series that [`CompactionSource::series`] will give, in the order of their bytes. A text
    /// may come again, and others too (a source does not look through its series for this; a block's symbol table is fine).
    fn symbols(&self) -> SymbolIter<'_>;

    /// The series with chunks in range, in rising order of their label sets, each label set once.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn series(&self) -> Result<Box<dyn SeriesCursor + '_>, QueryError>;
}

/// Texts in order.
pub(crate) type SymbolIter<'a> = Box<dyn Iterator<Item = Cow<'a, str>> + 'a>;

/// Walks the series of a source.
pub(crate) trait SeriesCursor {
    /// Puts the next series in place of what `series` held, keeping its memory; `false` after the last.
    ///
    /// # Errors
    /// See [`QueryError`]. The cursor is then at no series, and not asked again.
    fn next(&mut self, series: &mut SourceSeries) -> Result<bool, QueryError>;
}

/// One series of a source.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceSeries {
    /// Its labels.
    pub(crate) labels: Labels,
    /// Chunks with samples in range, by rising first timestamp. Those of a block and of in-order data do not overlap; late ones may.
    pub(crate) chunks: Vec<ChunkPiece>,
    /// The bytes of all chunks.
    pub(crate) bytes: Vec<u8>,
    /// Closed time ranges, ms, whose samples are deleted; in any order.
    pub(crate) deleted: Vec<(i64, i64)>,
}

/// A chunk, and where its bytes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkPiece {
    /// Timestamp of the first sample, ms.
    pub(crate) min_ms: i64,
    /// Timestamp of the last sample, ms.
    pub(crate) max_ms: i64,
    /// How to read the bytes.
    pub(crate) encoding: Encoding,
    /// Where in [`SourceSeries::bytes`].
    pub(crate) at: Range<usize>,
}

impl SourceSeries {
    /// Empties it for the next series.
    pub(crate) fn begin(&mut self, labels: Labels) {
        self.labels = labels;
        self.chunks.clear();
        self.bytes.clear();
        self.deleted.clear();
    }

    /// Adds a chunk with the closed range of its timestamps, ms.
    pub(crate) fn push(&mut self, (min_ms, max_ms): (i64, i64), encoding: Encoding, chunk: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(chunk);
        self.chunks.push(ChunkPiece { min_ms, max_ms, encoding, at: start..self.bytes.len() });
    }

    /// The bytes of one of its chunks.
    pub(crate) fn chunk(&self, piece: &ChunkPiece) -> &[u8] {
        &self.bytes[piece.at.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_keeps_its_chunks_apart_and_begins_anew() {
        let mut series = SourceSeries::default();
        series.push((1, 2), Encoding::Xor, b"ab");
        series.push((3, 4), Encoding::Histogram, b"cde");
        let texts: Vec<&[u8]> = series.chunks.iter().map(|piece| series.chunk(piece)).collect();
        assert_eq!(texts, [b"ab".as_slice(), b"cde"]);
        series.deleted.push((1, 1));
        series.begin(Labels::from_pairs([("a", "b")]));
        assert!(series.chunks.is_empty() && series.bytes.is_empty() && series.deleted.is_empty());
    }
}
