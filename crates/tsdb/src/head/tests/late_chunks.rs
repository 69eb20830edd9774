//! Late samples in chunks of `chunks_head`: they are read like all others, come back after a restart and after damage, and a full
//! disk loses none.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use narthex_disk::{Harm, Step, break_step};
use narthex_metrics::Value;
use narthex_storage::{Appendable, HistogramRef, Queryable};
use narthex_wal::record::{self, RecordType};
use narthex_wal::{Compression, Reader, WalOptions};

use super::late_histograms::{all_kinds, float, int};
use super::*;

const WINDOW_MS: i64 = 1_000_000_000;

/// What should be read: by series and time, the value or the count of a histogram.
type Model = BTreeMap<String, BTreeMap<i64, f64>>;

#[track_caller]
fn check(db: &dyn Queryable, model: &Model) {
    let got = all_kinds(db);
    assert_eq!(got.len(), model.len());
    for ((series, samples), (name, expected)) in got.iter().zip(model) {
        assert_eq!(*series, labels(name).to_string());
        let got: BTreeMap<i64, f64> = samples.iter().copied().collect();
        let differs = |t: &&i64| got.get(t) != expected.get(t);
        let wrong = got.keys().chain(expected.keys()).find(differs);
        assert_eq!(
            wrong.map(|t| (t, got.get(t), expected.get(t))),
            None,
            "time, found, expected in {series}"
        );
    }
}

/// Commits random batches of all kinds, late and in order, some twice.
fn fill(db: &Db, model: &mut Model, random: &mut fastrand::Rng, batches: usize) {
    for _ in 0..batches {
        let mut appender = db.appender();
        let mut batch = BTreeMap::new();
        for _ in 0..random.usize(1..30) {
            let name = format!("__name__=s{}", random.u8(0..4));
            let (t, number) = (random.i64(0..3000) * 1000, random.u64(1..1000));
            let series = appender.resolve(&labels(&name)).unwrap();
            let taken = match random.u8(0..4) {
                0 => appender.append_histogram(series, t, HistogramRef::Int(&int(number))),
                1 => appender.append_histogram(series, t, HistogramRef::Float(&float(number))),
                _ => appender.append(series, t, number as f64),
            };
            // What equals the newest in time is refused or taken for the same; a model of that is not wanted here.
            if taken.is_ok() {
                batch.entry((name, t)).or_insert(number as f64);
            }
        }
        appender.commit().unwrap();
        // What a batch says twice about a moment, and what was there before, is told by the first.
        for ((name, t), number) in batch {
            model.entry(name).or_default().entry(t).or_insert(number);
        }
    }
}

fn open_plain(dir: &Path) -> Arc<Db> {
    let wal = WalOptions { compression: Compression::None, ..WalOptions::default() };
    Db::open(dir, DbOptions { wal, ..options(0, WINDOW_MS) }, &Registry::new()).unwrap()
}

fn head_chunk_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(dir.join("chunks_head")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn full_lists_become_chunks_with_markers_before_the_next_samples() {
    let dir = crate::scratch::tempdir().unwrap();
    let registry = Registry::new();
    let db = Db::open(dir.path(), options(0, WINDOW_MS), &registry).unwrap();
    let a = put(&db, "__name__=a", &[(1_000_000, 0.0)]);
    for i in 0..9 {
        put(&db, "__name__=a", &[(1000 + i * 7 % 9, i as f64)]);
    }
    let mut expected: Vec<_> = (0..9).map(|i| (1000 + i * 7 % 9, i as f64)).collect();
    expected.push((1_000_000, 0.0));
    expected.sort_by_key(|(t, _)| *t);
    assert_eq!(read_all(&*db), [seen("__name__=a", &expected)]);
    let families = registry.gather();
    let of = |name: &str| families.iter().find(|f| f.name.ends_with(name)).unwrap().metrics[0].value.clone();
    assert_eq!(of("tsdb_mmap_chunks_total"), Value::Number(2.0));
    drop(db);
    let mut kinds = Vec::new();
    let mut reader = Reader::open_dir(&dir.path().join("wbl")).unwrap();
    while let Some(found) = reader.next().unwrap() {
        kinds.push(match RecordType::of(found.bytes) {
            RecordType::MmapMarkers => 'm',
            _ => 's',
        });
        record::decode_mmap_markers(found.bytes, |marker| assert_eq!(marker.series, a)).ok();
    }
    assert_eq!(kinds.iter().collect::<String>(), "ssssmssssms");
    assert_eq!(read_all(&*open_late(dir.path(), 0)), [seen("__name__=a", &expected)]);
}

#[test]
fn a_plain_map_knows_what_is_read_through_many_restarts() {
    for seed in 0..6 {
        let mut random = fastrand::Rng::with_seed(seed);
        let dir = crate::scratch::tempdir().unwrap();
        let mut model = Model::new();
        for _ in 0..6 {
            let db = open_late(dir.path(), WINDOW_MS);
            check(&*db, &model);
            fill(&db, &mut model, &mut random, 25);
            check(&*db, &model);
            if random.bool() {
                db.close().unwrap();
            }
        }
        assert!(!head_chunk_files(dir.path()).is_empty());
        check(&*open_late(dir.path(), 0), &model);
    }
}

#[test]
fn a_reader_of_before_keeps_a_list_from_becoming_a_chunk() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), WINDOW_MS);
    put(&db, "__name__=a", &[(1_000_000, 0.0)]);
    let before = db.querier(i64::MIN, i64::MAX).unwrap();
    for i in 0..50 {
        put(&db, "__name__=a", &[(i, 1.0)]);
    }
    let set = before.select(&SelectHints::default(), &[]).unwrap();
    let mut batch = SampleBatch::default();
    set.read(0, i64::MIN, i64::MAX, &mut batch).unwrap();
    assert_eq!(batch.t_ms, [1_000_000]);
    assert!(head_chunk_files(dir.path()).is_empty());
    drop((before, set));
    put(&db, "__name__=a", &[(60, 1.0)]);
    assert_eq!(head_chunk_files(dir.path()).len(), 1);
    assert_eq!(read_all(&*db)[0].1.len(), 52);
}

#[test]
fn damaged_chunk_files_lose_nothing_that_the_log_has() {
    let source = crate::scratch::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    let mut model = Model::new();
    fill(&open_plain(source.path()), &mut model, &mut random, 60);
    fill(&open_plain(source.path()), &mut model, &mut random, 60);
    let files = head_chunk_files(source.path());
    assert_eq!(files.len(), 2);
    for _ in 0..25 {
        let copy = crate::scratch::tempdir().unwrap();
        copy_dir(source.path(), copy.path());
        let number = random.usize(0..2);
        let file = head_chunk_files(copy.path())[number].clone();
        let mut bytes = fs::read(&file).unwrap();
        // Not the header: what is wrong there refuses the start.
        let at = random.usize(8..bytes.len());
        match random.u8(0..3) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << random.u8(0..8),
            // Zeros end a file, so that later ones stay: a chunk with a second value for a moment could then win.
            _ if number == 1 => bytes[at..].fill(0),
            _ => bytes[at..].fill(0xaa),
        }
        fs::write(&file, bytes).unwrap();
        let mut now = model.clone();
        for _ in 0..2 {
            let db = open_plain(copy.path());
            check(&*db, &now);
            fill(&db, &mut now, &mut random, 5);
            check(&*db, &now);
        }
    }
}

#[test]
fn a_cut_log_leaves_what_chunks_hold_and_what_stands_before_the_cut() {
    let source = crate::scratch::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(6);
    let mut model = Model::new();
    fill(&open_plain(source.path()), &mut model, &mut random, 60);
    let log = fs::read(source.path().join("wbl/00000000")).unwrap();
    for _ in 0..25 {
        let copy = crate::scratch::tempdir().unwrap();
        copy_dir(source.path(), copy.path());
        let mut bytes = log.clone();
        let at = random.usize(0..bytes.len());
        match random.bool() {
            true => bytes.truncate(at),
            false => bytes[at] ^= 1 << random.u8(0..8),
        }
        fs::write(copy.path().join("wbl/00000000"), bytes).unwrap();
        let got = all_kinds(&*open_plain(copy.path()));
        for (series, samples) in &got {
            let whole = model.iter().find(|(name, _)| labels(name).to_string() == *series).unwrap().1;
            let wrong = samples.iter().find(|(t, v)| whole.get(t) != Some(v));
            assert_eq!(wrong, None, "a sample was made up in {series}");
        }
        assert_eq!(all_kinds(&*open_plain(copy.path())), got, "the second start finds the same");
    }
}

#[test]
fn a_full_disk_keeps_late_samples_in_memory_until_there_is_room() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), WINDOW_MS);
    let first = dir.path().join("chunks_head/000001");
    put(&db, "__name__=a", &[(1_000_000, 0.0)]);
    let mut count = 1;
    for i in 0..20 {
        // The device that is always full stands in for the file; a failed try removes it.
        if !first.is_symlink() {
            symlink("/dev/full", &first).unwrap();
        }
        put(&db, "__name__=a", &[(i, 1.0)]);
        count += 1;
        assert_eq!(read_all(&*db)[0].1.len(), count);
    }
    fs::remove_file(&first).ok();
    put(&db, "__name__=a", &[(50, 1.0)]);
    assert!(fs::metadata(&first).unwrap().len() > 8);
    assert_eq!(read_all(&*db)[0].1.len(), 22);
    drop(db);
    assert_eq!(read_all(&*open_late(dir.path(), 0))[0].1.len(), 22);
}

/// A disk that now and then does not take the name of a new file, or its repair.
#[test]
fn chunk_files_that_cannot_be_begun_lose_no_late_sample() {
    let mut broken = 0;
    for seed in 0..4 {
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let dir = crate::scratch::tempdir().unwrap();
        let mut model = Model::new();
        let (is_bad, hits) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        for step in [Step::SyncDir, Step::Replace] {
            let (files, is_bad, hits) = (dir.path().join("chunks_head"), is_bad.clone(), hits.clone());
            break_step(step, Harm::Full, u32::MAX, move |path| {
                let is_hit = path.starts_with(&files) && is_bad.load(Ordering::Relaxed);
                hits.fetch_add(u32::from(is_hit), Ordering::Relaxed);
                is_hit
            });
        }
        for _ in 0..5 {
            let db = open_late(dir.path(), WINDOW_MS);
            check(&*db, &model);
            for _ in 0..6 {
                is_bad.store(random.bool(), Ordering::Relaxed);
                fill(&db, &mut model, &mut random, 5);
                check(&*db, &model);
            }
            is_bad.store(false, Ordering::Relaxed);
            if random.bool() {
                db.close().unwrap();
            }
        }
        check(&*open_late(dir.path(), 0), &model);
        broken += hits.load(Ordering::Relaxed);
    }
    assert!(broken > 0, "not tested: the disk never failed");
}
