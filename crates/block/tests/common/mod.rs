//! Blocks made of plain maps, for the tests that look at them through the public door.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may end where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use narthex_block::{Block, BlockWriter, ChunkPiece, Compaction, NewBlock, Ulid, WriterOptions};
use narthex_chunks::{BuildOptions, ChunkBuilder, ChunkSample, ChunkValue, SealedChunk};
use narthex_model::Labels;
use narthex_storage::{Querier, SampleBatch, SelectHints};

/// What a block is to hold: series with samples by time.
pub(crate) type Plain = BTreeMap<Labels, Vec<(i64, f64)>>;

/// The chunks of `samples`, at most `per_chunk` in each.
pub(crate) fn chunks_of(samples: &[(i64, f64)], per_chunk: u32) -> Vec<SealedChunk> {
    let mut builder = ChunkBuilder::new(BuildOptions { samples: per_chunk, ..BuildOptions::default() });
    let mut chunks = Vec::new();
    for (t_ms, value) in samples {
        let value = ChunkValue::Float(*value);
        builder.push(ChunkSample { t_ms: *t_ms, start_ms: 0, value }, &mut chunks);
    }
    builder.finish(&mut chunks);
    chunks
}

/// Writes a block of `plain` below `parent` and returns where it lies.
pub(crate) fn write(parent: &Path, plain: &Plain, per_chunk: u32, options: &WriterOptions) -> PathBuf {
    let times = || plain.values().flatten().map(|(t_ms, _)| *t_ms);
    let (min_ms, max_ms) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let ulid = Ulid::new(1, u128::from(fastrand::u64(..)));
    let new = NewBlock { ulid, min_ms, max_ms: max_ms + 1, compaction: Compaction::from_head(ulid) };
    let mut writer = BlockWriter::create(parent, new, options).unwrap();
    let symbols: BTreeSet<&str> = plain.keys().flat_map(Labels::iter).flat_map(|(n, v)| [n, v]).collect();
    symbols.into_iter().for_each(|symbol| writer.add_symbol(symbol).unwrap());
    for (labels, samples) in plain {
        let chunks = chunks_of(samples, per_chunk);
        let pieces: Vec<ChunkPiece<'_>> = chunks.iter().map(ChunkPiece::from).collect();
        writer.add_series(labels, &pieces).unwrap();
    }
    let meta = writer.finish().unwrap();
    let samples: usize = plain.values().map(Vec::len).sum();
    assert_eq!((meta.stats.num_samples, meta.stats.num_series), (samples as u64, plain.len() as u64));
    parent.join(ulid.to_string())
}

/// Everything that a querier finds for matchers, in its order.
pub(crate) fn select(
    querier: &dyn Querier,
    matchers: &[narthex_model::Matcher],
    range: (i64, i64),
) -> Vec<(Labels, Vec<(i64, f64)>)> {
    let set = querier.select(&SelectHints::default(), matchers).unwrap();
    let mut batch = SampleBatch::default();
    let read = |at| {
        batch.clear();
        set.read(at, range.0, range.1, &mut batch).unwrap();
        let samples = batch.t_ms.iter().copied().zip(batch.values.iter().copied()).collect();
        (set.labels(at), samples)
    };
    (0..set.len()).map(read).collect()
}

/// A small block with several label names, chunks and files, for those who damage it.
pub(crate) fn small(parent: &Path) -> (Plain, PathBuf) {
    let mut plain = Plain::new();
    for number in 0..40 {
        let pod = format!("pod-{number:03}");
        let labels = [("__name__", "up"), ("job", ["a", "b"][number % 2]), ("pod", &pod)];
        let samples = (0..20).map(|at| (i64::from(at) * 15_000, f64::from(at) * 1.5)).collect();
        plain.insert(Labels::from_pairs(labels), samples);
    }
    let options = WriterOptions { segment_bytes: 2_000, ..WriterOptions::default() };
    let path = write(parent, &plain, 7, &options);
    assert!(Block::open(&path).is_ok());
    (plain, path)
}
