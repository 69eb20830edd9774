//! One block with one of its files damaged: it opens or is refused; every series, label and sample is read or an error.
//!
//! The first byte picks the file, the second whether the rest replaces it or edits the good one (see `narthex_fuzz::edited`).
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use narthex_block::{Block, BlockWriter, ChunkPiece, Compaction, NewBlock, Tombstones, Ulid, WriterOptions};
use narthex_chunks::OpenChunk;
use narthex_model::{Labels, MatchOp, Matcher};
use narthex_storage::{SampleBatch, SelectHints};

const FILES: [&str; 4] = ["index", "chunks/000001", "tombstones", "meta.json"];

struct Base {
    dir: PathBuf,
    files: [Vec<u8>; 4],
}

static BASE: OnceLock<Base> = OnceLock::new();

fn base() -> Base {
    let parent = narthex_fuzz::scratch();
    let ulid = Ulid::new(1_700_000_000_000, 7);
    let new = NewBlock { ulid, min_ms: 0, max_ms: 7_200_000, compaction: Compaction::from_head(ulid) };
    let mut writer = BlockWriter::create(&parent, new, &WriterOptions::default()).expect("a block can be begun");
    for symbol in ["__name__", "a", "b", "job", "up", "x", "y"] {
        writer.add_symbol(symbol).expect("symbols rise");
    }
    for (name, job) in [("a", "x"), ("a", "y"), ("b", "x"), ("up", "y")] {
        let labels = Labels::from_pairs([("__name__", name), ("job", job)]);
        let mut open = OpenChunk::default();
        (0..40).for_each(|i| open.push(i * 15_000, (i * i) as f64));
        let chunk = open.seal();
        writer.add_series(&labels, &[ChunkPiece::from(&chunk)]).expect("series rise");
    }
    writer.finish().expect("a block can be written");
    let dir = parent.join(ulid.to_string());
    let mut tombstones = Tombstones::default();
    tombstones.add(1, narthex_block::Interval { mint_ms: 5, maxt_ms: 100_000 });
    tombstones.write(&dir).expect("tombstones can be written");
    let files = FILES.map(|name| std::fs::read(dir.join(name)).expect("the block is complete"));
    Base { dir, files }
}

fuzz_target!(|bytes: &[u8]| {
    let [pick, how, rest @ ..] = bytes else { return };
    let base = BASE.get_or_init(base);
    let pick = usize::from(*pick) % FILES.len();
    let damaged = match how % 2 {
        0 => narthex_fuzz::edited(&base.files[pick], rest),
        _ => rest.to_vec(),
    };
    narthex_fuzz::put(&base.dir, FILES[pick], &damaged);
    read(&base.dir);
    narthex_fuzz::put(&base.dir, FILES[pick], &base.files[pick]);
});

fn read(dir: &std::path::Path) {
    let Ok(block) = Block::open(dir) else { return };
    let _ = block.symbols().count();
    for series in block.series().take(1_000) {
        let _ = series.map(|entry| entry.chunks.len());
    }
    let querier = block.querier(i64::MIN, i64::MAX);
    let hints = SelectHints { start_ms: i64::MIN, end_ms: i64::MAX, ..SelectHints::default() };
    let matchers = [(MatchOp::Regex, "__name__", "a|up"), (MatchOp::NotEqual, "job", "y"), (MatchOp::Regex, "job", ".*")];
    for (op, name, value) in matchers {
        let matcher = Matcher::new(op, name, value).expect("a good matcher");
        let Ok(set) = querier.select(&hints, &[matcher]) else { continue };
        let mut batch = SampleBatch::default();
        for at in 0..set.len().min(100) {
            let _ = set.labels(at);
            batch.clear();
            let _ = set.read(at, i64::MIN, i64::MAX, &mut batch);
        }
    }
    let _ = querier.label_names(&[], 0);
    let _ = querier.label_values("job", &[], 0);
}
