//! A block from samples of the past: gathered compressed in memory, then written at once. For imports.
//!
//! Always true: per series, samples rise in time; chunks are cut as the head cuts them.
//! Must not know: where the samples come from, the head's logs.

use std::collections::HashMap;
use std::path::Path;

use narthex_block::{
    BlockMeta, BlockWriter, ChunkPiece, Compaction, NewBlock, Ulid, WriteError, WriterOptions,
};
use narthex_chunks::{OpenChunk, SealedChunk};
use narthex_model::Labels;
use narthex_storage::AppendError;

use crate::head::{CutRule, spread_cut};

/// Samples wanted in a chunk.
const SAMPLES_PER_CHUNK: u32 = 120;

/// Samples on their way into one block.
pub struct BlockBuilder {
    rule: CutRule,
    series: Vec<Growing>,
    numbers: HashMap<Labels, usize>,
    /// Time of the first and the last sample, ms; first above last while there is none.
    span: (i64, i64),
}

/// One series.
struct Growing {
    labels: Labels,
    open: OpenChunk,
    next_cut_ms: i64,
    sealed: Vec<SealedChunk>,
}

impl BlockBuilder {
    /// A builder of a block whose chunks do not cross multiples of `range_ms`, above 0.
    #[must_use]
    pub fn new(range_ms: i64) -> Self {
        Self {
            rule: CutRule { range_ms, samples: SAMPLES_PER_CHUNK },
            series: Vec::new(),
            numbers: HashMap::new(),
            span: (i64::MAX, i64::MIN),
        }
    }

    /// The number of a series, for [`Self::append`].
    pub fn series(&mut self, labels: &Labels) -> usize {
        if let Some(number) = self.numbers.get(labels) {
            return *number;
        }
        let number = self.series.len();
        self.series.push(Growing {
            labels: labels.clone(),
            open: OpenChunk::default(),
            next_cut_ms: i64::MIN,
            sealed: Vec::new(),
        });
        self.numbers.insert(labels.clone(), number);
        number
    }

    /// Adds a sample to a series. One that equals the newest in time and value changes nothing.
    ///
    /// # Errors
    /// `OutOfOrder`, `DuplicateTimestamp`.
    pub fn append(&mut self, series: usize, t_ms: i64, value: f64) -> Result<(), AppendError> {
        let growing = &mut self.series[series];
        if growing.open.samples() > 0 && t_ms <= growing.open.last_ms() {
            return match (t_ms == growing.open.last_ms(), growing.open.last_value_bits() == value.to_bits()) {
                (true, true) => Ok(()),
                (true, false) => Err(AppendError::DuplicateTimestamp),
                (false, _) => Err(AppendError::OutOfOrder),
            };
        }
        growing.push(t_ms, value, self.rule);
        self.span = (self.span.0.min(t_ms), self.span.1.max(t_ms));
        Ok(())
    }

    /// Writes the block into the data directory `dir`; `None` when there was no sample.
    ///
    /// # Errors
    /// See [`WriteError`]; no block is then there.
    pub fn write(mut self, dir: &Path, ulid: Ulid) -> Result<Option<BlockMeta>, WriteError> {
        if self.span.0 > self.span.1 {
            return Ok(None);
        }
        let new = NewBlock {
            ulid,
            min_ms: self.span.0,
            max_ms: self.span.1.saturating_add(1),
            compaction: Compaction::from_head(ulid),
        };
        let mut writer = BlockWriter::create(dir, new, &WriterOptions::default())?;
        self.series.retain(|series| series.open.samples() > 0);
        self.series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        let mut symbols: Vec<&str> =
            self.series.iter().flat_map(|s| s.labels.iter()).flat_map(|(n, v)| [n, v]).collect();
        symbols.sort_unstable();
        symbols.dedup();
        for symbol in symbols {
            writer.add_symbol(symbol)?;
        }
        for series in &mut self.series {
            series.sealed.push(series.open.seal());
            let chunks: Vec<ChunkPiece<'_>> = series.sealed.iter().map(ChunkPiece::from).collect();
            writer.add_series(&series.labels, &chunks)?;
            series.sealed = Vec::new();
        }
        writer.finish().map(Some)
    }
}

impl Growing {
    fn push(&mut self, t_ms: i64, value: f64, rule: CutRule) {
        let samples = self.open.samples();
        if samples == rule.samples / 4 {
            let (first_ms, last_ms) = (self.open.first_ms(), self.open.last_ms());
            self.next_cut_ms = spread_cut(first_ms, last_ms, self.next_cut_ms, rule.range_ms);
        }
        let stays = t_ms < self.next_cut_ms && samples < rule.samples * 2 && self.open.has_room(t_ms);
        if samples == 0 || !stays {
            if samples > 0 {
                self.sealed.push(self.open.seal());
            }
            self.next_cut_ms = t_ms.div_euclid(rule.range_ms).saturating_add(1).saturating_mul(rule.range_ms);
        }
        self.open.push(t_ms, value);
    }
}
