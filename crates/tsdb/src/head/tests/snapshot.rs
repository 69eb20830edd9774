//! Memory snapshots: a start from one sees what a start from the WAL sees, whatever happened to the snapshot.

use std::path::PathBuf;

use narthex_metrics::Value;
use narthex_model::{Exemplar, Histogram, Span};
use narthex_storage::{Appendable, HistogramRef};

use super::*;
use crate::{DbOptions, SeriesExemplars};

fn with_snapshots(window_ms: i64) -> DbOptions {
    DbOptions { memory_snapshot_on_shutdown: true, ..options(100, window_ms) }
}

fn open_with(dir: &Path, options: DbOptions) -> (Arc<Db>, Registry) {
    let registry = Registry::new();
    (Db::open(dir, options, &registry).unwrap(), registry)
}

fn snapshots(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        entries.filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("chunk_snapshot.")).collect();
    found.sort();
    found
}

fn metric(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let values = families.iter().filter(|f| f.name == name).flat_map(|f| &f.metrics);
    values.map(|m| if let Value::Number(value) = &m.value { *value } else { 0.0 }).sum()
}

fn histogram(n: u64) -> Histogram {
    Histogram {
        schema: 1,
        count: 2 * n + 1,
        sum: n as f64,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![n as i64, 1],
        ..Histogram::default()
    }
}

/// A life of floats, histograms, exemplars, deletes and late samples; some series end.
fn live(db: &Db, rounds: std::ops::Range<i64>, late: bool) {
    for round in rounds {
        let t_ms = round * 15_000;
        let mut appender = db.appender();
        for n in 0..30i64 {
            if n % 10 == 3 && round % 400 > 100 {
                continue;
            }
            let series = appender.resolve(&labels(&format!("__name__=m,n={n}"))).unwrap();
            match n % 5 {
                0 => {
                    let h = histogram((round + n) as u64);
                    appender.append_histogram(series, t_ms, HistogramRef::Int(&h)).unwrap();
                }
                1 => {
                    let h = histogram((round + n) as u64).to_float();
                    appender.append_histogram(series, t_ms, HistogramRef::Float(&h)).unwrap();
                }
                _ => appender.append(series, t_ms, (round * n) as f64 / 7.0).unwrap(),
            }
            if n == 2 && round % 20 == 0 {
                let labels = Labels::from_pairs([("trace", &*round.to_string())]);
                appender.append_exemplar(series, &Exemplar { labels, value: 1.0, t_ms: Some(t_ms) }).unwrap();
            }
            if late && n == 7 && round % 50 == 49 {
                appender.append(series, t_ms - 100_001, 5.0).unwrap();
            }
        }
        appender.commit().unwrap();
    }
}

/// Floats and histograms as a reader sees them, and exemplars.
fn everything(db: &Db) -> (Vec<(String, String)>, Vec<SeriesExemplars>) {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let set = querier.select(&SelectHints::default(), &[]).unwrap();
    let mut batch = SampleBatch::default();
    let mut all = Vec::new();
    for at in 0..set.len() {
        batch.clear();
        set.read(at, i64::MIN, i64::MAX, &mut batch).unwrap();
        all.push((set.labels(at).to_string(), format!("{batch:?}")));
    }
    (all, db.exemplars(i64::MIN, i64::MAX, &[vec![]]))
}

#[test]
fn a_start_from_a_snapshot_sees_what_a_start_from_the_log_sees() {
    let dir = crate::scratch::tempdir().unwrap();
    let mut written = 0;
    for life in 0..4 {
        let (db, registry) = open_with(dir.path(), with_snapshots(3_600_000));
        assert_eq!(metric(&registry, "prometheus_tsdb_snapshot_replay_error_total"), 0.0);
        live(&db, written..written + 150, true);
        written += 150;
        let expected = everything(&db);
        assert_eq!(expected.0.len(), 30);
        db.close().unwrap();
        assert_eq!(snapshots(dir.path()).len(), 1, "the newest alone");
        drop(db);
        // From the snapshot, which is proven by a log of which the beginning cannot be read.
        let copy = crate::scratch::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        let (db, _) = open_with(copy.path(), with_snapshots(3_600_000));
        assert_eq!(everything(&db), expected, "life {life}");
        let from_snapshot = db.stats(10);
        drop(db);
        // From the log.
        let copy = crate::scratch::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        let (db, _) = open_with(copy.path(), options(100, 3_600_000));
        assert_eq!(everything(&db), expected, "life {life}");
        assert_eq!(db.stats(10).series_count, from_snapshot.series_count);
    }
}

#[test]
fn deletes_survive_in_a_snapshot() {
    let dir = crate::scratch::tempdir().unwrap();
    let (db, _) = open_with(dir.path(), with_snapshots(0));
    live(&db, 0..300, false);
    db.delete(1_000_000, 2_000_000, &[matcher("n=~.*7")]).unwrap();
    let expected = everything(&db);
    drop(db);
    let (db, _) = open_with(dir.path(), with_snapshots(0));
    assert_eq!(everything(&db), expected);
}

#[test]
fn what_a_snapshot_says_is_not_read_from_the_log() {
    let dir = crate::scratch::tempdir().unwrap();
    let (db, _) = open_with(dir.path(), with_snapshots(0));
    live(&db, 0..30, false);
    let expected = everything(&db);
    drop(db);
    // Samples records of the first segment vanish: only series records are left to be remembered.
    let plan = narthex_wal::ReplayPlan::of(&dir.path().join("wal")).unwrap();
    let [snapshot] = &snapshots(dir.path())[..] else { panic!("there is one") };
    let name = snapshot.file_name().unwrap().to_string_lossy().into_owned();
    let (_, offset) = name.rsplit_once('.').unwrap();
    let path = narthex_wal::segment_path(&dir.path().join("wal"), plan.segments[0]);
    std::fs::write(&path, vec![0; offset.parse().unwrap()]).unwrap();
    let (db, _) = open_with(dir.path(), with_snapshots(0));
    assert_eq!(everything(&db), expected);
}

#[test]
fn a_kill_after_a_snapshot_loses_nothing_that_came_later() {
    let dir = crate::scratch::tempdir().unwrap();
    let (db, _) = open_with(dir.path(), with_snapshots(0));
    live(&db, 0..200, false);
    drop(db);
    let (db, _) = open_with(dir.path(), with_snapshots(0));
    live(&db, 200..500, false);
    put(&db, "__name__=fresh", &[(7_500_000, 1.0)]);
    let expected = everything(&db);
    let copy = crate::scratch::tempdir().unwrap();
    copy_dir(dir.path(), copy.path());
    let (after, registry) = open_with(copy.path(), with_snapshots(0));
    assert_eq!(everything(&after), expected);
    assert_eq!(metric(&registry, "prometheus_tsdb_wal_replay_unknown_refs_total"), 0.0);
}

#[test]
fn a_broken_snapshot_is_counted_and_the_log_replayed() {
    let dir = crate::scratch::tempdir().unwrap();
    let (db, _) = open_with(dir.path(), with_snapshots(0));
    live(&db, 0..200, false);
    let expected = everything(&db);
    drop(db);
    let mut rng = fastrand::Rng::with_seed(8);
    let mut counted = 0.0;
    for _ in 0..25 {
        let copy = crate::scratch::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        let file = narthex_wal::segment_path(&snapshots(copy.path())[0], 0);
        let mut bytes = std::fs::read(&file).unwrap();
        match rng.u8(0..3) {
            0 => bytes.truncate(rng.usize(..bytes.len())),
            1 => bytes.clear(),
            _ => {
                let at = rng.usize(..bytes.len());
                bytes[at] ^= 1 << rng.u8(0..8);
            }
        }
        std::fs::write(&file, bytes).unwrap();
        let (db, registry) = open_with(copy.path(), with_snapshots(0));
        assert_eq!(everything(&db), expected);
        counted += metric(&registry, "prometheus_tsdb_snapshot_replay_error_total");
    }
    assert!(counted > 15.0, "{counted}");
}

#[test]
fn a_snapshot_whose_chunk_files_or_log_are_gone_is_not_used() {
    let dir = crate::scratch::tempdir().unwrap();
    let (db, _) = open_with(dir.path(), with_snapshots(0));
    live(&db, 0..300, false);
    let expected = everything(&db);
    drop(db);
    let copy = crate::scratch::tempdir().unwrap();
    copy_dir(dir.path(), copy.path());
    let file = copy.path().join("chunks_head/000001");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(everything(&open_with(copy.path(), with_snapshots(0)).0), expected);
    // A log that ends before the snapshot: nothing of the snapshot may be believed.
    std::fs::remove_dir_all(dir.path().join("wal")).unwrap();
    std::fs::create_dir(dir.path().join("chunk_snapshot.000099.0000000001.tmp")).unwrap();
    let (db, _) = open_with(dir.path(), with_snapshots(0));
    assert_eq!(db.head().series_count(), 0);
    assert!(snapshots(dir.path()).is_empty());
}

#[test]
fn a_truncated_log_and_a_snapshot_agree() {
    let dir = crate::scratch::tempdir().unwrap();
    let wal = narthex_wal::WalOptions { segment_size_bytes: 32 * 1024, ..narthex_wal::WalOptions::default() };
    let small = || DbOptions { wal, ..with_snapshots(0) };
    let mut written = 0;
    for life in 0..4 {
        let (db, registry) = open_with(dir.path(), small());
        assert_eq!(metric(&registry, "prometheus_tsdb_wal_replay_unknown_refs_total"), 0.0);
        live(&db, written..written + 300, false);
        written += 300;
        // Before this all lies in blocks, or so the log is told.
        let mint_ms = (written - 200) * 15_000;
        db.truncate_wal(mint_ms).unwrap();
        let expected = everything(&db);
        drop(db);
        let copy = crate::scratch::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        assert_eq!(everything(&open_with(copy.path(), small()).0), expected, "life {life}");
        let (db, registry) = open_with(copy.path(), DbOptions { wal, ..options(100, 0) });
        assert_eq!(metric(&registry, "prometheus_tsdb_wal_replay_unknown_refs_total"), 0.0);
        assert_eq!(db.head().series_count(), 30);
    }
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        match path.is_dir() {
            true => copy_dir(&path, &target),
            false => drop(std::fs::copy(&path, &target).unwrap()),
        }
    }
}

/// The snapshot stayed when the feature was off, and was read when it was on again: beside a log that had gone on without it.
#[test]
fn a_snapshot_that_a_start_does_not_use_is_deleted() {
    let dir = crate::scratch::tempdir().unwrap();
    let (db, _) = open_with(dir.path(), with_snapshots(0));
    live(&db, 0..10, false);
    let expected = everything(&db);
    drop(db);
    assert_eq!(snapshots(dir.path()).len(), 1);
    let (db, _) = open_with(dir.path(), options(100, 0));
    assert_eq!(everything(&db), expected);
    assert!(snapshots(dir.path()).is_empty());
}
