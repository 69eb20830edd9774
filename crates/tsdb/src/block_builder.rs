//! A block from samples of the past: gathered compressed in memory, then written at once. For imports.
//!
//! Always true: chunks hold samples that rise in time and are cut as the head cuts them. Samples may come in any order: those that
//! came late are put between the others when the block is written.
//! Must not know: where the samples come from, the head's logs.

use std::collections::HashMap;
use std::path::Path;

use narthex_block::{
    BlockMeta, BlockWriter, ChunkPiece, Compaction, NewBlock, Ulid, WriteError, WriterOptions,
};
use narthex_chunks::{OpenChunk, SealedChunk, decode};
use narthex_model::Labels;
use narthex_storage::SampleBatch;

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
    /// Samples that were not newer than all before them, as they came.
    late: Vec<(i64, f64)>,
}

impl BlockBuilder {
    /// A builder of a block whose chunks do not cross multiples of `range_ms`, above 0.
    #[must_use]
    pub fn new(range_ms: i64) -> Self {
        Self {
            rule: CutRule::plain(range_ms, SAMPLES_PER_CHUNK),
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
            late: Vec::new(),
        });
        self.numbers.insert(labels.clone(), number);
        number
    }

    /// Adds a sample to a series. Of samples with one timestamp the first counts.
    pub fn append(&mut self, series: usize, t_ms: i64, value: f64) {
        let growing = &mut self.series[series];
        if growing.open.samples() > 0 && t_ms <= growing.open.last_ms() {
            growing.late.push((t_ms, value));
        } else {
            growing.push(t_ms, value, self.rule);
        }
        self.span = (self.span.0.min(t_ms), self.span.1.max(t_ms));
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
        for mut series in self.series {
            let chunks = series.finish(self.rule);
            let pieces: Vec<ChunkPiece<'_>> = chunks.iter().map(ChunkPiece::from).collect();
            writer.add_series(&series.labels, &pieces)?;
        }
        writer.finish().map(Some)
    }
}

impl Growing {
    fn push(&mut self, t_ms: i64, value: f64, rule: CutRule) {
        let samples = self.open.samples();
        if samples == rule.samples / 4 {
            let times = (self.open.first_ms(), self.open.last_ms());
            self.next_cut_ms = spread_cut(times, self.next_cut_ms, 4.0);
        }
        let stays = t_ms < self.next_cut_ms && samples < rule.samples * 2 && self.open.has_room(t_ms);
        if samples == 0 || !stays {
            if samples > 0 {
                self.sealed.push(self.open.seal());
            }
            self.next_cut_ms = rule.range_end(t_ms);
        }
        self.open.push(t_ms, value);
    }

    /// The chunks of all samples. The series is then empty.
    fn finish(&mut self, rule: CutRule) -> Vec<SealedChunk> {
        self.sealed.push(self.open.seal());
        if !self.late.is_empty() {
            self.put_late_between(rule);
            self.sealed.push(self.open.seal());
        }
        std::mem::take(&mut self.sealed)
    }

    /// Encodes everything again, in order of time.
    fn put_late_between(&mut self, rule: CutRule) {
        let mut batch = SampleBatch::default();
        for chunk in std::mem::take(&mut self.sealed) {
            decode(chunk.encoding, &chunk.bytes, i64::MIN, i64::MAX, &mut batch)
                .expect("these chunks were encoded just now");
        }
        let mut samples: Vec<(i64, f64)> = batch.t_ms.into_iter().zip(batch.values).collect();
        // Those in order came before a late one of the same time; a stable sort keeps the first.
        samples.append(&mut self.late);
        samples.sort_by_key(|(t_ms, _)| *t_ms);
        samples.dedup_by_key(|(t_ms, _)| *t_ms);
        for (t_ms, value) in samples {
            self.push(t_ms, value, rule);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use narthex_block::Block;

    use super::*;

    /// Samples in a random order, times twice among them, against a plain map.
    #[test]
    fn samples_may_come_in_any_order_and_the_first_of_a_time_counts() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut builder = BlockBuilder::new(3_600_000);
        let mut twin: BTreeMap<(usize, i64), f64> = BTreeMap::new();
        let labels: Vec<Labels> = (0..3).map(|i| Labels::from_pairs([("i", i.to_string())])).collect();
        for at in 0..3000 {
            let (which, late) = (random.usize(..3), random.i64(0..100_000) * i64::from(random.bool()));
            let (t_ms, value) = ((at * 1000 - late).max(0), random.f64());
            let series = builder.series(&labels[which]);
            builder.append(series, t_ms, value);
            twin.entry((which, t_ms)).or_insert(value);
        }
        let dir = crate::scratch::tempdir().unwrap();
        let meta = builder.write(dir.path(), Ulid::new(1, 1)).unwrap().expect("there are samples");
        assert_eq!(meta.stats.num_samples, twin.len() as u64);
        let block = Block::open(&dir.path().join(meta.ulid.to_string())).unwrap();
        let mut found = BTreeMap::new();
        for entry in block.series() {
            let entry = entry.unwrap();
            let which = labels.iter().position(|l| *l == entry.labels).expect("one of ours");
            for chunk in &entry.chunks {
                let mut batch = SampleBatch::default();
                decode(chunk.encoding, chunk.bytes, i64::MIN, i64::MAX, &mut batch).unwrap();
                assert_eq!((batch.t_ms[0], batch.t_ms.last()), (chunk.min_ms, Some(&chunk.max_ms)));
                found.extend(batch.t_ms.iter().map(|t| (which, *t)).zip(batch.values));
            }
        }
        assert_eq!(found, twin);
    }

    #[test]
    fn nothing_makes_no_block() {
        let dir = crate::scratch::tempdir().unwrap();
        assert!(BlockBuilder::new(1).write(dir.path(), Ulid::new(1, 1)).unwrap().is_none());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
