//! All series of a block with their chunks as they lie on disk: what compaction reads.

use crate::index::ChunkRef;
use crate::query::Texts;
use crate::{Block, ChunkPiece, ReadError, SeriesEntry};

/// All series of a block in the order of their label sets. Ends after the first error.
pub struct SeriesEntries<'b> {
    block: &'b Block,
    series: std::vec::IntoIter<u32>,
    error: Option<ReadError>,
    texts: Texts,
    pairs: Vec<u32>,
}

impl<'b> SeriesEntries<'b> {
    pub(super) fn new(block: &'b Block, series: Result<Vec<u32>, ReadError>) -> Self {
        let (series, error) = match series {
            Ok(series) => (series.into_iter(), None),
            Err(error) => (Vec::new().into_iter(), Some(error)),
        };
        let texts = Texts::for_lookups(block.index(), 20 * series.len());
        Self { block, series, error, texts, pairs: Vec::new() }
    }

    fn read(&mut self, series: u32) -> Result<SeriesEntry<'b>, ReadError> {
        let wrong = |fault| self.block.index_error("read series", fault);
        let index = self.block.index();
        self.pairs.clear();
        let entry = index.entry(series).map_err(wrong)?;
        let refs = entry.visit(|name, value| self.pairs.extend([name, value])).map_err(wrong)?;
        self.texts.check(index, &self.pairs).map_err(wrong)?;
        let mut chunks = Vec::with_capacity(refs.left().min(1024) as usize);
        for chunk in refs {
            chunks.push(self.piece(chunk.map_err(wrong)?)?);
        }
        let labels = self.texts.labels(index, &self.pairs);
        Ok(SeriesEntry { series: u64::from(series), labels, chunks })
    }

    fn piece(&self, chunk: ChunkRef) -> Result<ChunkPiece<'b>, ReadError> {
        let found = self.block.segments().chunk(chunk.place);
        let (encoding, bytes) = found.map_err(|fault| self.block.chunk_error(chunk.place, fault))?;
        Ok(ChunkPiece { min_ms: chunk.min_ms, max_ms: chunk.max_ms, encoding, bytes })
    }
}

impl<'b> Iterator for SeriesEntries<'b> {
    type Item = Result<SeriesEntry<'b>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        let series = self.series.next()?;
        let read = self.read(series);
        if read.is_err() {
            self.series = Vec::new().into_iter();
        }
        Some(read)
    }
}
