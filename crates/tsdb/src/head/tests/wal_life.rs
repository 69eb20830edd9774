//! The WAL gets shorter and nothing that is needed goes: samples, series, what somebody holds.

use std::collections::BTreeMap;

use narthex_storage::Appendable;
use narthex_wal::{
    Compression, Reader, ReplayPlan, WalOptions, WalPosition, list_checkpoints, list_segments, record,
};

use super::*;
use crate::DbOptions;

fn open_small(dir: &Path) -> Arc<Db> {
    let wal =
        WalOptions { segment_size_bytes: 32 * 1024, compression: Compression::None, ..WalOptions::default() };
    Db::open(dir, DbOptions { wal, ..options(10, 0) }, &Registry::new()).unwrap()
}

/// Rounds of 100 series, one commit each; series `n` of a round gets the value of the round.
fn scrapes(db: &Db, rounds: std::ops::Range<i64>) {
    for round in rounds {
        let mut appender = db.appender();
        for n in 0..100 {
            let series = appender.resolve(&labels(&format!("__name__=m,n={n:02}"))).unwrap();
            appender.append(series, round * 1000, round as f64).unwrap();
        }
        appender.commit().unwrap();
    }
}

fn times(db: &Db, from_ms: i64) -> BTreeMap<String, Vec<i64>> {
    let all = read(db, (from_ms, i64::MAX), &[]).into_iter();
    all.map(|(series, samples)| (series, samples.into_iter().map(|(t, _)| t).collect())).collect()
}

#[test]
fn truncation_keeps_all_series_and_every_sample_from_its_time_on() {
    let dir = crate::scratch::tempdir().unwrap();
    let mut db = open_small(dir.path());
    scrapes(&db, 0..1);
    // Only the first segments know it; it must outlive them.
    put(&db, "__name__=quiet", &[(0, 1.0)]);
    for life in 1..5i64 {
        scrapes(&db, life * 200 - 199..life * 200);
        let mint_ms = life * 120_000;
        let before = times(&db, mint_ms);
        let segments = list_segments(db.wal_dir()).unwrap();
        assert!(db.truncate_wal(mint_ms).unwrap());
        assert!(!db.truncate_wal(mint_ms).unwrap(), "once is enough");
        let left = list_segments(db.wal_dir()).unwrap();
        assert!(left[0] > segments[0] && left.len() > 3 && left.len() < segments.len());
        let checkpoints = list_checkpoints(db.wal_dir()).unwrap();
        assert_eq!(checkpoints.len(), 1);
        assert_eq!(checkpoints[0].0 + 1, left[0]);
        assert_eq!(times(&db, mint_ms), before, "the head serves what it did");
        drop(db);
        db = open_small(dir.path());
        assert_eq!(times(&db, mint_ms), before, "life {life}");
        assert!(db.head().series_count() == 101, "the quiet series is still known");
        put(&db, "__name__=quiet", &[(life * 200_000 - 1000, 1.0)]);
    }
}

#[test]
fn what_somebody_holds_stays() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_small(dir.path());
    let held = Arc::new(parking_lot::Mutex::new(Some(WalPosition::default())));
    db.add_wal_hold(Arc::new(|| None));
    db.add_wal_hold({
        let held = Arc::clone(&held);
        Arc::new(move || *held.lock())
    });
    scrapes(&db, 0..300);
    let segments = list_segments(db.wal_dir()).unwrap();
    assert!(!db.truncate_wal(200_000).unwrap(), "the whole log is held");
    assert!(list_segments(db.wal_dir()).unwrap().starts_with(&segments));
    *held.lock() = Some(WalPosition { segment: segments[3], offset: 17 });
    assert!(db.truncate_wal(200_000).unwrap(), "a truncation that was held back is tried again");
    assert_eq!(list_segments(db.wal_dir()).unwrap()[0], segments[3]);
    *held.lock() = None;
    assert!(db.truncate_wal(210_000).unwrap());
    assert!(list_segments(db.wal_dir()).unwrap()[0] > segments[3]);
}

/// The references that series records name, in checkpoint and log.
fn series_in_log(wal: &Path) -> Vec<u64> {
    let plan = ReplayPlan::of(wal).unwrap();
    let mut found = Vec::new();
    let mut collect = |mut reader: Reader| {
        while let Some(bytes) = reader.next().unwrap() {
            if record::RecordType::of(bytes.bytes) == record::RecordType::Series {
                record::decode_series(bytes.bytes, |series, _| found.push(series.0)).unwrap();
            }
        }
    };
    if let Some((_, checkpoint)) = &plan.checkpoint {
        collect(Reader::open_dir(checkpoint).unwrap());
    }
    let first = WalPosition { segment: plan.segments[0], offset: 0 };
    collect(Reader::open(wal, first, *plan.segments.last().unwrap()).unwrap());
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn a_series_that_is_gone_stays_in_the_log_as_long_as_the_log_may_name_it() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_small(dir.path());
    let wal = db.wal_dir().to_owned();
    scrapes(&db, 0..100);
    let tip = db.wal_tip().unwrap().position();
    // References of series that memory does not have, named by the log up to now.
    let ghost = SeriesRef(7_000_000);
    let samples = [record::RefSample { series: ghost, t_ms: 99_000, start_ms: 0, value: 1.0 }];
    let (mut series, mut floats) = (Vec::new(), Vec::new());
    record::encode_series([(ghost, &labels("__name__=ghost"))], &mut series);
    record::encode_samples(&samples, &mut floats);
    db.head().log_records(&[&series, &floats]);
    db.head().expire(ghost, tip.segment, 99_000);
    scrapes(&db, 100..300);
    assert!(db.truncate_wal(1000).unwrap());
    assert!(list_segments(&wal).unwrap()[0] > tip.segment, "the segment that named it is gone");
    assert!(series_in_log(&wal).contains(&ghost.0), "its sample is in the checkpoint");
    scrapes(&db, 300..500);
    assert!(db.truncate_wal(100_000).unwrap());
    assert!(!series_in_log(&wal).contains(&ghost.0), "nothing names it any more");
    assert_eq!(series_in_log(&wal).len(), 100);
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_log_as_it_was() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_small(dir.path());
    scrapes(&db, 0..300);
    let segments = list_segments(db.wal_dir()).unwrap();
    let path = narthex_wal::segment_path(db.wal_dir(), segments[1]);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = db.truncate_wal(200_000).unwrap_err();
    assert!(error.is_corruption());
    assert!(list_segments(db.wal_dir()).unwrap().starts_with(&segments));
    assert_eq!(list_checkpoints(db.wal_dir()).unwrap().len(), 0);
    bytes[100] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(db.truncate_wal(200_000).unwrap());
}

#[test]
fn truncation_under_concurrent_commits_loses_none() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_small(dir.path());
    scrapes(&db, 0..50);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| scrapes(&db, 50..400));
        let mut mint_ms = 1000;
        while !writer.is_finished() {
            db.truncate_wal(mint_ms).unwrap();
            mint_ms += 1;
        }
    });
    let before = times(&db, 50_000);
    assert!(list_checkpoints(db.wal_dir()).unwrap().len() == 1);
    drop(db);
    assert_eq!(times(&open_small(dir.path()), 50_000), before);
}
