//! What a select found: series in the order of their label sets.
//!
//! PERF: eight bytes a series. Labels are read again from the mapped entry when they are asked for, which costs a tenth of
//! making the label set, and nothing for those who do not ask.

use std::sync::Arc;

use narthex_model::{Labels, Matcher};
use narthex_storage::{QueryError, SampleBatch, SeriesSet, StoredChunk, Windows};
use smallvec::SmallVec;

use super::plan::Plan;
use super::samples::{self, Wish};
use super::texts::Texts;
use crate::index::ChunkRefs;
use crate::{Block, Intervals, ReadError, Tombstones};

/// Series with something to read in a range. Their entries were verified.
#[derive(Default)]
pub(crate) struct Selection {
    picked: Vec<Picked>,
}

/// One series.
struct Picked {
    series: u32,
    /// How far behind the start of the entry the chunks begin.
    chunks_at: u32,
}

/// Look-ups of symbols that the labels of one series take, about.
const LABELS: usize = 20;

impl Selection {
    /// Finds the series that satisfy all matchers and have a chunk in `range` (closed) that is not deleted as a whole.
    pub(super) fn collect(
        block: &Block,
        tombstones: &Tombstones,
        range: (i64, i64),
        limit: usize,
        matchers: &[Matcher],
    ) -> Result<Self, ReadError> {
        let mut selection = Self::default();
        if !block.meta().overlaps(range.0, range.1) {
            return Ok(selection);
        }
        let mut plan = Plan::new(block, matchers)?;
        let check = Texts::for_lookups(block.index(), 0);
        selection.picked.reserve(plan.candidates());
        plan.walk(block, |series, pairs, chunks| {
            let wrong = |fault| block.index_error("read series", fault);
            let chunks_at = (chunks.offset() - block.index().place(series)) as u32;
            let deleted = if tombstones.is_empty() { None } else { tombstones.get(u64::from(series)) };
            if has_samples(chunks, range, deleted).map_err(wrong)? {
                check.check(block.index(), pairs).map_err(wrong)?;
                selection.picked.push(Picked { series, chunks_at });
            }
            Ok(limit == 0 || selection.picked.len() < limit)
        })?;
        selection.picked.shrink_to_fit();
        Ok(selection)
    }
}

/// Whether a chunk reaches into the range and is not wholly deleted.
#[inline]
pub(super) fn has_samples(
    chunks: ChunkRefs<'_>,
    (mint_ms, maxt_ms): (i64, i64),
    deleted: Option<&Intervals>,
) -> Result<bool, crate::Fault> {
    for chunk in chunks {
        let chunk = chunk?;
        let is_gone = |deleted: &Intervals| deleted.covers(chunk.min_ms, chunk.max_ms);
        if chunk.min_ms <= maxt_ms && mint_ms <= chunk.max_ms && !deleted.is_some_and(is_gone) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The result of a select; holds the block's files mapped.
pub(super) struct BlockSeriesSet {
    block: Block,
    tombstones: Arc<Tombstones>,
    selection: Selection,
    texts: Texts,
}

impl BlockSeriesSet {
    pub(super) fn new(block: Block, tombstones: Arc<Tombstones>, selection: Selection) -> Self {
        let texts = Texts::for_lookups(block.index(), LABELS * selection.picked.len());
        Self { block, tombstones, selection, texts }
    }

    /// The symbols of a series' labels, names and values in turn.
    fn pairs(&self, at: usize) -> SmallVec<[u32; 64]> {
        let mut pairs = SmallVec::new();
        let entry = self.block.index().trusted_entry(self.selection.picked[at].series);
        let visited = entry.and_then(|entry| entry.visit(|name, value| pairs.extend([name, value])));
        debug_assert!(visited.is_ok(), "the entry was verified when it was selected");
        pairs
    }
}

impl BlockSeriesSet {
    fn read_series(&self, at: usize, wish: Wish<'_>, out: &mut SampleBatch) -> Result<(), ReadError> {
        let picked = &self.selection.picked[at];
        let chunks = self.block.index().chunks(picked.series, picked.chunks_at);
        let chunks = chunks.map_err(|fault| self.block.index_error("read series", fault))?;
        let deleted = self.tombstones.get(u64::from(picked.series));
        samples::read(&self.block, chunks, deleted, wish, out)
    }
}

impl SeriesSet for BlockSeriesSet {
    fn len(&self) -> usize {
        self.selection.picked.len()
    }

    fn labels(&self, at: usize) -> Labels {
        self.texts.labels(self.block.index(), &self.pairs(at))
    }

    fn labels_named(&self, at: usize, names: &[String]) -> Labels {
        let wanted = |name: &[u8]| names.iter().any(|wanted| wanted.as_bytes() == name);
        self.texts.labels_if(self.block.index(), &self.pairs(at), wanted)
    }

    fn labels_but(&self, at: usize, names: &[String]) -> Labels {
        let wanted = |name: &[u8]| names.iter().all(|but| but.as_bytes() != name);
        self.texts.labels_if(self.block.index(), &self.pairs(at), wanted)
    }

    fn read(&self, at: usize, mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        let wish = Wish { range: (mint_ms, maxt_ms), windows: None, only_newest: false };
        Ok(self.read_series(at, wish, out)?)
    }

    fn chunks<'a>(
        &'a self,
        at: usize,
        mint_ms: i64,
        maxt_ms: i64,
        out: &mut Vec<StoredChunk<'a>>,
    ) -> Result<(), QueryError> {
        let picked = &self.selection.picked[at];
        let chunks = self.block.index().chunks(picked.series, picked.chunks_at);
        let chunks = chunks.map_err(|fault| self.block.index_error("read series", fault))?;
        let deleted = self.tombstones.get(u64::from(picked.series));
        Ok(samples::collect_chunks(&self.block, chunks, deleted, (mint_ms, maxt_ms), out)?)
    }

    fn read_windows(&self, at: usize, windows: &Windows, out: &mut SampleBatch) -> Result<(), QueryError> {
        Ok(self.read_series(at, Wish::of_windows(windows, false), out)?)
    }

    fn read_newest(&self, at: usize, windows: &Windows, out: &mut SampleBatch) -> Result<(), QueryError> {
        Ok(self.read_series(at, Wish::of_windows(windows, true), out)?)
    }
}
