//! Full chunks in `chunks_head`: what is there is read like what is in memory, comes back after a restart, and goes in time.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use narthex_model::{FloatHistogram, Histogram};
use narthex_storage::{Appendable, HistogramRef};

use super::truncation::read_source;
use super::*;
use crate::head::source::HeadSource;

const HOUR: i64 = 3_600_000;

/// Two series of floats with five chunks each and one of histograms, five hours long.
fn fill(db: &Db) {
    for minute in 0..300i64 {
        let mut appender = db.appender();
        for series in ["__name__=a", "__name__=b", "__name__=h"] {
            let id = appender.resolve(&labels(series)).unwrap();
            let count = minute as u64;
            let histogram = Histogram { count, zero_count: count, ..Histogram::default() };
            match series {
                "__name__=h" => {
                    appender.append_histogram(id, minute * 60_000, HistogramRef::Int(&histogram)).unwrap();
                }
                _ => appender.append(id, minute * 60_000, minute as f64).unwrap(),
            }
        }
        appender.commit().unwrap();
    }
}

fn histograms(db: &Db) -> Vec<(i64, f64)> {
    let querier = narthex_storage::Queryable::querier(db, i64::MIN, i64::MAX).unwrap();
    let set = querier.select(&SelectHints::default(), &[matcher("__name__=h")]).unwrap();
    let mut batch = SampleBatch::default();
    set.read(0, i64::MIN, i64::MAX, &mut batch).unwrap();
    let counts = batch.histograms.iter().map(|h: &Arc<FloatHistogram>| h.count);
    batch.histogram_t_ms.iter().copied().zip(counts).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("chunks_head")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Chunks of all series that lie in memory, full ones, and in files.
fn places(db: &Db) -> (usize, usize) {
    let of_page = |page: &crate::head::page::Page| {
        let rows = page.rows.lock();
        let sizes =
            page.occupied().map(|at| (rows.series(at).sealed().len(), rows.series(at).in_files().len()));
        sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
    };
    let sizes = db.head().slab.pages().map(|(_, page)| of_page(page));
    sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
}

#[test]
fn mapped_chunks_are_read_as_before_and_come_back_after_a_restart() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db);
    let (before, counts) = (read_all(&*db), histograms(&db));
    let chunks = db.stats(0).chunk_count;
    let (full, none) = places(&db);
    assert!(full >= 6 && none == 0);
    assert_eq!(db.head().map_chunks().unwrap(), full as u64);
    assert_eq!(places(&db), (0, full));
    assert_eq!(db.head().map_chunks().unwrap(), 0);
    let check = |db: &Db| {
        assert_eq!((read_all(db), histograms(db)), (before.clone(), counts.clone()));
        assert_eq!(db.stats(0).chunk_count, chunks);
        let range = (HOUR, 3 * HOUR);
        let in_range = read(db, (range.0, range.1 - 1), &[]);
        assert_eq!(read_source(&HeadSource::new(db.head(), range.0, range.1), range), in_range);
    };
    check(&db);
    drop(db);
    for _ in 0..2 {
        let db = open(dir.path());
        check(&db);
        assert_eq!(places(&db), (0, full), "the log's samples in mapped chunks were passed over");
    }
    put(&open(dir.path()), "__name__=a", &[(5 * HOUR, 1.0)]);
    assert_eq!(read_all(&*open(dir.path()))[0].1.len(), 301);
}

#[test]
fn a_file_that_is_lost_or_damaged_loses_no_sample() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db);
    db.head().map_chunks().unwrap();
    let (before, counts) = (read_all(&*db), histograms(&db));
    drop(db);
    let file = files(dir.path()).remove(0);
    let bytes = fs::read(&file).unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..20 {
        let mut damaged = bytes.clone();
        damaged[random.usize(8..bytes.len())] ^= 1 << random.u8(0..8);
        files(dir.path()).iter().for_each(|file| fs::remove_file(file).unwrap());
        fs::write(&file, &damaged).unwrap();
        let db = open(dir.path());
        assert_eq!((read_all(&*db), histograms(&db)), (before.clone(), counts.clone()));
    }
    files(dir.path()).iter().for_each(|file| fs::remove_file(file).unwrap());
    assert_eq!(read_all(&*open(dir.path())), before);
}

/// A chunk in the middle that is whole by its checksum but cannot be one of its series, or that the disk lost and shows as zeros,
/// was passed over: later chunks of its series covered the hole, and replay left out what the WAL has of it.
#[test]
fn an_odd_chunk_between_others_loses_no_sample() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db);
    db.head().map_chunks().unwrap();
    let (before, counts) = (read_all(&*db), histograms(&db));
    drop(db);
    let file = files(dir.path()).remove(0);
    let bytes = fs::read(&file).unwrap();
    // The lengths of these chunks take one or two bytes.
    let end_of = |at: usize| {
        let (low, high) = (usize::from(bytes[at + 25]), usize::from(bytes[at + 26]));
        if low < 128 { at + 26 + low + 4 } else { at + 27 + (low - 128 + high * 128) + 4 }
    };
    let mut starts = vec![8];
    while end_of(starts[starts.len() - 1]) < bytes.len() {
        starts.push(end_of(starts[starts.len() - 1]));
    }
    assert!(starts.len() >= 6);
    for at in starts {
        let end = end_of(at);
        for odd in 0..3 {
            let mut damaged = bytes.clone();
            let record = &mut damaged[at..end];
            match odd {
                // An encoding that nobody knows; a range that begins sooner than its samples; nothing.
                0 => record[24] = 77,
                1 => record[14] ^= 1,
                _ => record.fill(0),
            }
            if record.iter().any(|byte| *byte != 0) {
                let (text, sum) = record.split_at_mut(end - at - 4);
                sum.copy_from_slice(&crc32c::crc32c(text).to_be_bytes());
            }
            files(dir.path()).iter().for_each(|file| fs::remove_file(file).unwrap());
            fs::write(&file, &damaged).unwrap();
            let db = open(dir.path());
            assert_eq!((read_all(&*db), histograms(&db)), (before.clone(), counts.clone()), "chunk at {at}");
        }
    }
}

#[test]
fn files_go_when_no_series_needs_them() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db);
    db.head().map_chunks().unwrap();
    let first = files(dir.path());
    assert_eq!(first.len(), 1);
    assert!(db.head().truncate(HOUR, Duration::ZERO));
    assert_eq!(files(dir.path()), first, "later chunks lie in it too");
    put(&db, "__name__=b", &[(6 * HOUR, 1.0)]);
    db.head().map_chunks().unwrap();
    assert!(db.head().truncate(5 * HOUR, Duration::ZERO));
    assert!(!first[0].exists());
    assert_eq!(read_all(&*db), [seen("__name__=b", &[(6 * HOUR, 1.0)])]);
    drop(db);
    assert!(read_all(&*open(dir.path())).iter().any(|(series, _)| series.contains("\"b\"")));
}

#[test]
fn what_was_deleted_on_its_way_to_a_file_stays_deleted() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db);
    db.head().map_chunks().unwrap();
    db.head().delete(&[matcher("__name__=a")], i64::MIN, i64::MAX).unwrap();
    db.head().delete(&[matcher("__name__=b")], 0, HOUR).unwrap();
    put(&db, "__name__=a", &[(5 * HOUR, 1.0)]);
    let check = |db: &Db| {
        let all = read_all(db);
        assert_eq!(all[0], seen("__name__=a", &[(5 * HOUR, 1.0)]));
        assert_eq!((all[1].1[0].0, all[1].1.len()), (HOUR + 60_000, 239));
    };
    check(&db);
    drop(db);
    check(&open(dir.path()));
}

#[test]
fn a_restart_does_not_give_a_new_series_the_chunks_of_one_that_the_log_forgot() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db);
    db.head().map_chunks().unwrap();
    drop(db);
    // As after a power cut that took the log, but not the file.
    fs::remove_dir_all(dir.path().join("wal")).unwrap();
    let db = open(dir.path());
    assert_eq!(read_all(&*db), []);
    for series in ["x", "y", "z"] {
        put(&db, &format!("__name__={series}"), &[(5 * HOUR, 1.0)]);
    }
    let before = read_all(&*db);
    drop(db);
    assert_eq!(read_all(&*open(dir.path())), before);
}

/// A crash soon after many chunks became full had all their samples built again from the WAL: they waited for the minute's look.
#[test]
fn many_full_chunks_do_not_wait_for_the_next_look() {
    let dir = crate::scratch::tempdir().unwrap();
    let runtime = crate::RuntimeOptions::default();
    let options = DbOptions { runtime, samples_per_chunk: 2, ..DbOptions::default() };
    let db = Db::open(dir.path(), options, &Registry::new()).unwrap();
    for t in 0..24i64 {
        let mut appender = db.appender();
        for n in 0..2000 {
            let series = appender.resolve(&labels(&format!("__name__=m,n={n}"))).unwrap();
            appender.append(series, t * 1000, t as f64).unwrap();
        }
        appender.commit().unwrap();
    }
    // The first look came when there was none; the second would come after the deadline of this.
    until("full chunks are in files", || places(&db).1 > 8000);
}
