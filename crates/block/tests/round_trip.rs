//! What is written is read: the writer against the reader, and both against damage.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may end where it stands")]

mod common;

use std::path::Path;

use common::Plain;
use narthex_block::{Block, BlockWriter, ChunkPiece, Compaction, NewBlock, Ulid, WriteError, WriterOptions};
use narthex_model::Labels;
use narthex_storage::{QueryError, SampleBatch, SelectHints, Windows};
use proptest::prelude::*;

fn plain() -> impl Strategy<Value = Plain> {
    let text = prop_oneof!["[a-c]{1,2}", "[a-z]{0,200}", ".{0,9}"];
    let labels = prop::collection::btree_map("[a-c]{1,3}|__name__|é.", text, 0..6);
    let samples = prop::collection::btree_map(-1000i64..100_000, any::<f64>(), 1..60);
    let series = prop::collection::vec((labels, samples), 0..60);
    series.prop_map(|all| {
        let labelled = |(labels, samples): (
            std::collections::BTreeMap<String, String>,
            std::collections::BTreeMap<i64, f64>,
        )| { (Labels::from_pairs(labels), samples.into_iter().collect()) };
        all.into_iter().map(labelled).collect()
    })
}

fn bits(samples: &[(i64, f64)]) -> Vec<(i64, u64)> {
    samples.iter().map(|(t_ms, value)| (*t_ms, value.to_bits())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_written_is_read(plain in plain(), per_chunk in 1u32..40, segment_bytes in 10u64..3000, postings_bytes in 0usize..2000) {
        let dir = tempfile::tempdir().unwrap();
        let path = common::write(dir.path(), &plain, per_chunk, &WriterOptions { segment_bytes, postings_bytes });
        let block = Block::open(&path).unwrap();
        let found = common::select(&*block.querier(i64::MIN, i64::MAX), &[], (i64::MIN, i64::MAX));
        prop_assert_eq!(found.len(), plain.len());
        for ((labels, samples), (expected_labels, expected)) in found.iter().zip(&plain) {
            prop_assert_eq!(labels, expected_labels);
            prop_assert_eq!(bits(samples), bits(expected));
        }
        for (entry, (labels, samples)) in block.series().zip(&plain) {
            let entry = entry.unwrap();
            let chunks = common::chunks_of(samples, per_chunk);
            let pieces: Vec<ChunkPiece<'_>> = chunks.iter().map(ChunkPiece::from).collect();
            prop_assert_eq!((&entry.labels, entry.chunks), (labels, pieces));
        }
        prop_assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing unfinished is left");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn windows_and_their_newest_samples_show_what_a_whole_read_shows_there(
        plain in plain(), per_chunk in 1u32..40, first_end_ms in -2000i64..50_000, step_ms in 1i64..60_000,
        count in 0usize..9, range_ms in 0i64..20_000
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = common::write(dir.path(), &plain, per_chunk, &WriterOptions::default());
        let block = Block::open(&path).unwrap();
        let set = block.querier(i64::MIN, i64::MAX).select(&SelectHints::default(), &[]).unwrap();
        let windows = Windows { first_end_ms, step_ms, count, range_ms };
        for (at, samples) in plain.values().enumerate() {
            let mut batch = SampleBatch::default();
            set.read_windows(at, &windows, &mut batch).unwrap();
            let is_held = |t_ms: i64| (0..count as i64)
                .map(|window| first_end_ms + window * step_ms)
                .any(|end_ms| end_ms - range_ms < t_ms && t_ms <= end_ms);
            let read = batch.t_ms.iter().copied().zip(batch.values.iter().copied());
            let held: Vec<_> = read.filter(|(t_ms, _)| is_held(*t_ms)).collect();
            let expected: Vec<_> = samples.iter().copied().filter(|(t_ms, _)| is_held(*t_ms)).collect();
            prop_assert_eq!(bits(&held), bits(&expected));
            prop_assert!(batch.t_ms.is_sorted_by(|a, b| a < b));
            let mut newest = SampleBatch::default();
            set.read_newest(at, &windows, &mut newest).unwrap();
            prop_assert!(newest.t_ms.is_sorted_by(|a, b| a < b));
            for end_ms in (0..count as i64).map(|window| first_end_ms + window * step_ms) {
                let last = |batch: &SampleBatch| {
                    let at = batch.t_ms.partition_point(|t_ms| *t_ms <= end_ms).checked_sub(1)?;
                    (batch.t_ms[at] > end_ms - range_ms).then(|| (batch.t_ms[at], batch.values[at].to_bits()))
                };
                prop_assert_eq!(last(&newest), last(&batch));
            }
        }
    }
}

fn writer(parent: &Path) -> BlockWriter {
    let ulid = Ulid::new(7, 7);
    let new = NewBlock { ulid, min_ms: 0, max_ms: 100, compaction: Compaction::from_head(ulid) };
    BlockWriter::create(parent, new, &WriterOptions::default()).unwrap()
}

#[test]
fn what_is_out_of_order_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Labels::from_pairs([("n", "a")]), Labels::from_pairs([("n", "b")]));
    let chunks = common::chunks_of(&[(5, 1.0), (9, 2.0)], 1);
    let pieces: Vec<ChunkPiece<'_>> = chunks.iter().map(ChunkPiece::from).collect();
    let mut writer = writer(dir.path());
    writer.add_symbol("b").unwrap();
    assert!(matches!(writer.add_symbol("a"), Err(WriteError::SymbolOrder { .. })));
    assert!(matches!(writer.add_symbol("b"), Err(WriteError::SymbolOrder { .. })));
    writer.add_symbol("n").unwrap();
    assert!(matches!(writer.add_series(&a, &pieces), Err(WriteError::UnknownSymbol { .. })));
    writer.add_series(&b, &pieces).unwrap();
    assert!(matches!(writer.add_symbol("z"), Err(WriteError::SymbolOrder { .. })));
    assert!(matches!(writer.add_series(&a, &pieces), Err(WriteError::SeriesOrder { .. })));
    let swapped = [pieces[1], pieces[0]];
    assert!(matches!(writer.add_series(&b, &swapped), Err(WriteError::Chunk { .. })));
    assert!(matches!(
        writer.add_series(&b, &[ChunkPiece { bytes: &[1], ..pieces[0] }]),
        Err(WriteError::Chunk { .. })
    ));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    drop(writer);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "a dropped writer removes its directory");
}

#[test]
fn a_directory_that_a_crash_left_does_not_disturb_the_next_try() {
    let dir = tempfile::tempdir().unwrap();
    std::mem::forget(writer(dir.path()));
    let meta = writer(dir.path()).finish().unwrap();
    let block = Block::open(&dir.path().join(meta.ulid.to_string())).unwrap();
    assert_eq!((block.series().count(), block.symbols().count()), (0, 0), "an empty block is a block");
}

/// Reads all there is and says how it went; must never panic.
fn read_all(path: &Path) -> Result<Plain, String> {
    let block = Block::open(path).map_err(|error| error.to_string())?;
    let mut read = Plain::new();
    let querier = block.querier(i64::MIN, i64::MAX);
    let mut all = || -> Result<(), QueryError> {
        for matchers in [vec![], vec![narthex_model::Matcher::equal("job", "a")]] {
            let set = querier.select(&SelectHints::default(), &matchers)?;
            for at in 0..set.len() {
                let mut batch = SampleBatch::default();
                set.read(at, i64::MIN, i64::MAX, &mut batch)?;
                read.insert(set.labels(at), batch.t_ms.iter().copied().zip(batch.values).collect());
            }
        }
        querier.label_values("pod", &[], 0)?;
        querier.label_names(&[], 0)?;
        Ok(())
    };
    all().map_err(|error| error.to_string())?;
    for entry in block.series() {
        entry.map_err(|error| error.to_string())?;
    }
    Ok(read)
}

/// Flips a bit of `file`, or cuts it, and looks at what is read.
fn damage(random: &mut fastrand::Rng, file: &Path, block: &Path) -> Result<Plain, String> {
    let whole = std::fs::read(file).unwrap();
    let mut bytes = whole.clone();
    let at = random.usize(0..bytes.len());
    if random.usize(0..4) == 0 {
        bytes.truncate(at);
    } else {
        bytes[at] ^= 1 << random.u8(0..8);
    }
    // A new file each time: an old one may still be mapped.
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, &bytes).unwrap();
    let read = read_all(block);
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, &whole).unwrap();
    read
}

#[test]
fn damaged_files_are_errors_and_never_other_samples() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let (plain, path) = common::small(dir.path());
    assert_eq!(read_all(&path).unwrap(), plain);
    for (file, least_errors) in
        [("index", 250), ("chunks/000001", 250), ("tombstones", 390), ("meta.json", 50)]
    {
        let mut errors = 0;
        for _ in 0..400 {
            match damage(&mut random, &path.join(file), &path) {
                Err(_) => errors += 1,
                // What no reader needs may be damaged; and a description may hide a part of the range.
                Ok(read) => assert!(file == "meta.json" || read == plain, "{file}: other samples were read"),
            }
        }
        assert!(errors > least_errors, "{file}: only {errors} of 400 were noticed");
    }
    assert_eq!(read_all(&path).unwrap(), plain);
}
