//! A block as a source for another: all its series in label order, with what its tombstones say.

use narthex_block::{Block, SeriesEntries, Tombstones};
use narthex_storage::QueryError;
use std::sync::Arc;

use super::source::{CompactionSource, SeriesCursor, SourceSeries, SymbolIter};

/// A block, with its tombstones as they are when the source is made.
pub(crate) struct BlockSource {
    block: Block,
    tombstones: Arc<Tombstones>,
}

impl BlockSource {
    pub(crate) fn new(block: Block) -> Self {
        let tombstones = block.tombstones();
        Self { block, tombstones }
    }
}

impl CompactionSource for BlockSource {
    /// Read from the mapped file as they are asked for.
    fn symbols(&self) -> SymbolIter<'_> {
        if self.block.symbols().is_sorted() {
            return Box::new(self.block.symbols());
        }
        // A text that is not UTF-8 has another place as it is written again; an index of others may have any order.
        let mut all: Vec<_> = self.block.symbols().collect();
        all.sort_unstable();
        Box::new(all.into_iter())
    }

    fn series(&self) -> Result<Box<dyn SeriesCursor + '_>, QueryError> {
        Ok(Box::new(BlockCursor { entries: self.block.series(), tombstones: &self.tombstones }))
    }
}

struct BlockCursor<'b> {
    entries: SeriesEntries<'b>,
    tombstones: &'b Tombstones,
}

impl SeriesCursor for BlockCursor<'_> {
    fn next(&mut self, series: &mut SourceSeries) -> Result<bool, QueryError> {
        let Some(entry) = self.entries.next().transpose()? else { return Ok(false) };
        series.begin(entry.labels);
        for chunk in &entry.chunks {
            series.push((chunk.min_ms, chunk.max_ms), chunk.encoding, chunk.bytes);
        }
        if let Some(deleted) = self.tombstones.get(entry.series) {
            series.deleted.extend(deleted.as_slice().iter().map(|i| (i.mint_ms, i.maxt_ms)));
        }
        Ok(true)
    }
}
