//! The steps of a database's life, one by one.

use std::time::{Duration, Instant};

use narthex_storage::QueryError;

use super::*;
use crate::{DbError, OpenError};

/// Four samples a second and series, from 0 to `end_ms`.
fn fill(db: &Db, twin: &mut Twin, end_ms: i64) {
    for t_ms in (0..end_ms).step_by(250) {
        put(db, twin, t_ms, &["a", "b", "c"]);
    }
}

#[test]
fn the_head_becomes_blocks_and_these_become_larger() {
    let dir = crate::scratch::tempdir().unwrap();
    let (db, mut twin) = (open(dir.path()), Twin::new());
    fill(&db, &mut twin, 1500);
    db.maintain().unwrap();
    assert!(ranges(&db).is_empty(), "less than one and a half ranges");
    fill(&db, &mut twin, 1800);
    db.maintain().unwrap();
    assert_eq!(ranges(&db), [(0, 1000)]);
    check(&db, &twin);
    fill(&db, &mut twin, 13_000);
    db.maintain().unwrap();
    assert_eq!(ranges(&db), [(0, 9000), (9000, 10_000), (10_000, 11_000), (11_000, 12_000)]);
    check(&db, &twin);
    let level = |at: usize| db.blocks()[at].compaction.level;
    assert_eq!((level(0), level(1)), (3, 1));
    assert_eq!(db.blocks()[0].stats.num_samples, 3 * 36);
    assert_eq!(block_entries(dir.path()).len(), 4, "parents are gone");
    assert_eq!(db.time_range(), Some((0, 12_750)));
}

/// Found by fuzzing: with a chunk over many ranges, such as one that was begun under a longer minimum block duration, each
/// empty range was looked for by itself.
#[test]
fn ranges_without_samples_are_passed_over_in_one_step() {
    let dir = crate::scratch::tempdir().unwrap();
    let mut twin = Twin::new();
    let long = DbOptions { min_block_duration_ms: 100_000_000, ..options() };
    let db = Db::open(dir.path(), long, &Registry::new()).unwrap();
    put(&db, &mut twin, 500, &["a"]);
    put(&db, &mut twin, 50_000_300, &["a"]);
    db.close().unwrap();
    let registry = Registry::new();
    let db = Db::open(dir.path(), options(), &registry).unwrap();
    put(&db, &mut twin, 50_004_000, &["a"]);
    db.maintain().unwrap();
    check(&db, &twin);
    assert_eq!(ranges(&db), [(500, 1000), (50_000_300, 50_001_000)]);
    let families = registry.gather();
    let truncations = families.iter().find(|f| f.name == "prometheus_tsdb_head_truncations_total").unwrap();
    let narthex_metrics::Value::Number(truncations) = truncations.metrics[0].value else {
        panic!("a counter")
    };
    assert!(truncations < 10.0, "{truncations} truncations");
}

#[test]
fn a_restart_shows_the_same_and_goes_on() {
    let dir = crate::scratch::tempdir().unwrap();
    let mut twin = Twin::new();
    for end_ms in [3000, 4200, 9000, 13_500] {
        let db = open(dir.path());
        check(&db, &twin);
        fill(&db, &mut twin, end_ms);
        db.maintain().unwrap();
        check(&db, &twin);
        db.close().unwrap();
    }
    check(&open(dir.path()), &twin);
}

#[test]
fn blocks_are_served_while_the_head_replays_and_appends_are_refused() {
    let dir = crate::scratch::tempdir().unwrap();
    let mut twin = Twin::new();
    let db = open(dir.path());
    fill(&db, &mut twin, 4000);
    db.maintain().unwrap();
    db.close().unwrap();
    drop(db);
    let db = Db::start(dir.path(), options(), &Registry::new()).unwrap();
    assert_eq!(ranges(&db).len(), 3);
    let seen = read(&db, 0, 2999);
    assert_eq!(seen["a"].len(), 12);
    db.wait_ready().unwrap();
    check(&db, &twin);
}

#[test]
fn what_a_crash_left_behind_is_swept_and_finished() {
    let dir = crate::scratch::tempdir().unwrap();
    let mut twin = Twin::new();
    let db = open(dir.path());
    fill(&db, &mut twin, 3300);
    db.maintain().unwrap();
    let blocks = db.blocks();
    db.close().unwrap();
    drop(db);
    // A compaction that was written, whose parents are still there.
    let copy = |from: &str, to: &str| {
        let (from, to) = (dir.path().join(from), dir.path().join(to));
        std::fs::create_dir_all(to.join("chunks")).unwrap();
        for file in ["index", "meta.json", "tombstones", "chunks/000001"] {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
    };
    let (old, new) = (blocks[0].ulid.to_string(), "01ZZZZZZZZZZZZZZZZZZZZZZZZ");
    copy(&old, new);
    let mut child = (*blocks[0]).clone();
    child.ulid = new.parse().unwrap();
    child.compaction.parents = vec![blocks[0].desc()];
    child.write(&dir.path().join(new)).unwrap();
    std::fs::create_dir(dir.path().join("01AAAAAAAAAAAAAAAAAAAAAAAA.tmp-for-creation")).unwrap();
    copy(new, "01AAAAAAAAAAAAAAAAAAAAAAAB.tmp-for-deletion");
    let db = open(dir.path());
    check(&db, &twin);
    let mut want = vec![blocks[1].ulid.to_string(), new.to_owned()];
    want.sort();
    assert_eq!(block_entries(dir.path()), want);
}

/// The head's block was written, but the process was killed before the WAL was shortened.
#[test]
fn a_block_whose_samples_are_still_in_the_wal_is_not_seen_twice() {
    let dir = crate::scratch::tempdir().unwrap();
    let saved = crate::scratch::tempdir().unwrap();
    let mut twin = Twin::new();
    let db = open(dir.path());
    fill(&db, &mut twin, 2600);
    for entry in std::fs::read_dir(dir.path().join("wal")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), saved.path().join(entry.file_name())).unwrap();
    }
    db.maintain().unwrap();
    assert_eq!(ranges(&db), [(0, 1000)]);
    db.close().unwrap();
    drop(db);
    std::fs::remove_dir_all(dir.path().join("wal")).unwrap();
    std::fs::rename(saved.path(), dir.path().join("wal")).unwrap();
    let db = open(dir.path());
    check(&db, &twin);
    assert_eq!(db.shared.head.min_ms(), 1000, "the head has only what no block has");
    fill(&db, &mut twin, 6000);
    db.maintain().unwrap();
    check(&db, &twin);
}

#[test]
fn a_head_that_fills_while_blocks_are_merged_does_not_wait_for_the_next_minute() {
    let dir = crate::scratch::tempdir().unwrap();
    let (db, mut twin) = (open(dir.path()), Twin::new());
    fill(&db, &mut twin, 3000);
    db.maintain().unwrap();
    let blocks = ranges(&db).len();
    // As if meanwhile.
    (3000..6000).step_by(250).for_each(|t_ms| put(&db, &mut twin, t_ms, &["a", "b", "c"]));
    let asked = Instant::now();
    assert!(db.shared.rest(Duration::from_mins(1)));
    assert!(asked.elapsed() < Duration::from_secs(30), "it rested for {:?}", asked.elapsed());
    db.maintain().unwrap();
    assert!(ranges(&db).len() > blocks);
    // What holds it up is not asked about all the time.
    (6000..9000).step_by(250).for_each(|t_ms| put(&db, &mut twin, t_ms, &["a", "b", "c"]));
    db.set_compactions(false);
    db.maintain().unwrap();
    let asked = Instant::now();
    assert!(db.shared.rest(Duration::from_millis(1200)));
    assert!(asked.elapsed() >= Duration::from_millis(1200));
    check(&db, &twin);
}

#[test]
fn old_blocks_go_by_time_and_by_size() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let mut twin = Twin::new();
    fill(&db, &mut twin, 12_000);
    db.set_compactions(false);
    db.maintain().unwrap();
    assert!(ranges(&db).is_empty());
    db.set_compactions(true);
    db.maintain().unwrap();
    assert_eq!(ranges(&db)[0], (0, 9000));
    let mut runtime = options().runtime;
    runtime.retention.time_ms = 2000;
    db.apply(&runtime).unwrap();
    db.maintain().unwrap();
    assert_eq!(ranges(&db), [(9000, 10_000), (10_000, 11_000)], "9 s ends 2 s before 11 s");
    twin.values_mut().for_each(|samples| samples.retain(|t_ms, _| *t_ms >= 9000));
    check(&db, &twin);
    runtime.retention = Retention { time_ms: 0, size_bytes: 1, percentage: 0.0 };
    db.apply(&runtime).unwrap();
    db.maintain().unwrap();
    assert_eq!(ranges(&db), []);
    twin.values_mut().for_each(|samples| samples.retain(|t_ms, _| *t_ms >= 11_000));
    check(&db, &twin);
    assert!(block_entries(dir.path()).is_empty());
}

#[test]
fn old_blocks_go_by_a_part_of_the_file_system_which_goes_before_the_size() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, &mut Twin::new(), 12_000);
    db.maintain().unwrap();
    let all = ranges(&db);
    assert!(all.len() > 1);
    let mut runtime = options().runtime;
    let mut keep_percent = |percentage| {
        runtime.retention = Retention { time_ms: 0, size_bytes: 1, percentage };
        db.apply(&runtime).unwrap();
        db.maintain().unwrap();
        ranges(&db)
    };
    assert_eq!(keep_percent(100.0), all, "not the single byte of the size");
    let total_bytes = narthex_disk::total_bytes(dir.path()).unwrap() as f64;
    let newest = db.blocks().last().map(|meta| block_bytes(dir.path(), meta.ulid)).unwrap();
    let most_bytes = (newest + db.shared.log_bytes()) as f64 + 100.0;
    assert_eq!(
        keep_percent(100.0 * most_bytes / total_bytes),
        all[all.len() - 1..],
        "the newest alone has room"
    );
    assert_eq!(keep_percent(100.0 * 2.0 / total_bytes), [], "nothing has");
}

fn block_bytes(dir: &Path, ulid: narthex_block::Ulid) -> u64 {
    crate::db::blocks::bytes_below(&dir.join(ulid.to_string()))
}

#[test]
fn deletes_hide_at_once_and_cleaning_makes_them_true() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let mut twin = Twin::new();
    fill(&db, &mut twin, 5600);
    db.maintain().unwrap();
    let before: u64 = db.blocks().iter().map(|meta| meta.stats.num_samples).sum();
    db.delete(500, 1250, &only("a")).unwrap();
    db.delete(i64::MIN, 2999, &only("b")).unwrap();
    twin.get_mut("a").unwrap().retain(|t_ms, _| !(500..=1250).contains(t_ms));
    twin.get_mut("b").unwrap().retain(|t_ms, _| *t_ms > 2999);
    check(&db, &twin);
    db.clean_tombstones().unwrap();
    check(&db, &twin);
    let after: u64 = db.blocks().iter().map(|meta| meta.stats.num_samples).sum();
    assert_eq!(before - after, 4 + 12);
    assert!(db.blocks().iter().all(|meta| meta.stats.num_tombstones == 0));
    // All of a block.
    db.delete(0, 2999, &all()).unwrap();
    twin.values_mut().for_each(|samples| samples.retain(|t_ms, _| *t_ms > 2999));
    db.clean_tombstones().unwrap();
    check(&db, &twin);
    assert!(ranges(&db).iter().all(|(min_ms, _)| *min_ms >= 3000));
    db.close().unwrap();
    drop(db);
    check(&open(dir.path()), &twin);
}

#[test]
fn a_snapshot_is_a_database_of_its_own() {
    let (dir, copy) = (crate::scratch::tempdir().unwrap(), crate::scratch::tempdir().unwrap());
    let db = open(dir.path());
    let mut twin = Twin::new();
    fill(&db, &mut twin, 3600);
    db.maintain().unwrap();
    db.snapshot(copy.path(), true).unwrap();
    assert!(matches!(db.snapshot(dir.path(), true), Err(DbError::SnapshotIntoItself)));
    fill(&db, &mut twin.clone(), 9000);
    db.maintain().unwrap();
    db.delete(0, 10_000, &all()).unwrap();
    check(&open(copy.path()), &twin);
    let bare = crate::scratch::tempdir().unwrap();
    db.snapshot(bare.path(), false).unwrap();
    assert_eq!(block_entries(bare.path()).len(), db.blocks().len());
}

#[test]
fn a_corrupt_block_stops_the_start_or_goes_into_quarantine() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let mut twin = Twin::new();
    fill(&db, &mut twin, 4600);
    db.maintain().unwrap();
    let bad = db.blocks()[0].ulid.to_string();
    db.close().unwrap();
    drop(db);
    let index = dir.path().join(&bad).join("index");
    let mut bytes = std::fs::read(&index).unwrap();
    let end = bytes.len();
    bytes[end - 20] ^= 0xff;
    std::fs::write(&index, bytes).unwrap();
    let Err(OpenError::CorruptBlocks { list }) = Db::open(dir.path(), options(), &Registry::new()) else {
        panic!("a corrupt block is not passed over in silence");
    };
    assert!(list.contains(&bad) && list.contains("checksum"), "{list}");
    let registry = Registry::new();
    let quarantine = DbOptions { quarantine_at_start: true, ..options() };
    let db = Db::open(dir.path(), quarantine, &registry).unwrap();
    assert!(dir.path().join("quarantine").join(&bad).join("index").is_file());
    let reason = std::fs::read_to_string(dir.path().join(format!("quarantine/{bad}.reason"))).unwrap();
    assert!(reason.contains("checksum"), "{reason}");
    let gone_before_ms = ranges(&db)[0].0;
    twin.values_mut().for_each(|samples| samples.retain(|t_ms, _| *t_ms >= gone_before_ms));
    check(&db, &twin);
}

#[test]
fn the_maintenance_runs_by_itself_and_ends_with_the_database() {
    let dir = crate::scratch::tempdir().unwrap();
    let options =
        DbOptions { manual_maintenance: false, block_reload_interval: Duration::from_secs(1), ..options() };
    let db = Db::open(dir.path(), options, &Registry::new()).unwrap();
    let mut twin = Twin::new();
    fill(&db, &mut twin, 5600);
    let deadline = Instant::now() + Duration::from_secs(20);
    while ranges(&db).is_empty() {
        assert!(Instant::now() < deadline, "no block was written");
        std::thread::yield_now();
    }
    check(&db, &twin);
    db.close().unwrap();
    assert!(matches!(db.maintain(), Err(DbError::NotReady)));
    assert!(!matches!(db.querier(0, 1), Err(QueryError::NotReady(_))), "reading still works");
}

#[test]
fn blocks_wait_until_they_are_copied_away() {
    let dir = crate::scratch::tempdir().unwrap();
    let file = dir.path().join("thanos.shipper.json");
    std::fs::write(&file, r#"{"version":1,"uploaded":[]}"#).unwrap();
    let waiting = DbOptions { delay_compact_file: Some(file.clone()), ..options() };
    let db = Db::open(dir.path(), waiting, &Registry::new()).unwrap();
    let mut twin = Twin::new();
    fill(&db, &mut twin, 5600);
    db.maintain().unwrap();
    assert_eq!(ranges(&db).len(), 4, "nothing is merged: {:?}", ranges(&db));
    let names: Vec<String> = db.blocks().iter().map(|meta| format!("\"{}\"", meta.ulid)).collect();
    std::fs::write(&file, format!(r#"{{"version":1,"uploaded":[{}]}}"#, names.join(","))).unwrap();
    db.maintain().unwrap();
    assert_eq!(ranges(&db), [(0, 3000), (3000, 4000)]);
    check(&db, &twin);
}

#[test]
fn a_block_that_turns_out_to_be_corrupt_goes_and_the_rest_serves() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let mut twin = Twin::new();
    fill(&db, &mut twin, 4600);
    db.maintain().unwrap();
    let bad = (*db.blocks()[0]).clone();
    db.close().unwrap();
    drop(db);
    let chunks = dir.path().join(bad.ulid.to_string()).join("chunks/000001");
    let mut bytes = std::fs::read(&chunks).unwrap();
    bytes[20] ^= 0xff;
    std::fs::write(&chunks, bytes).unwrap();
    let select = |db: &Db| {
        let querier = db.querier(0, 10_000).unwrap();
        let set = querier.select(&SelectHints::default(), &all()).unwrap();
        let mut out = SampleBatch::default();
        (0..set.len()).try_for_each(|at| set.read(at, 0, 10_000, &mut out))
    };
    let db = open(dir.path());
    assert!((0..2).all(|_| matches!(select(&db), Err(QueryError::Corrupt(_)))), "it is found each time");
    db.close().unwrap();
    drop(db);
    let quarantine = DbOptions { quarantine_when_read: true, ..options() };
    let db = Db::open(dir.path(), quarantine, &Registry::new()).unwrap();
    assert!(matches!(select(&db), Err(QueryError::Corrupt(_))), "who meets it is told");
    twin.values_mut().for_each(|samples| samples.retain(|t_ms, _| *t_ms >= bad.max_ms));
    check(&db, &twin);
    db.maintain().unwrap();
    check(&db, &twin);
    let aside = dir.path().join("quarantine");
    assert!(aside.join(bad.ulid.to_string()).is_dir());
    let reason = std::fs::read_to_string(aside.join(format!("{}.reason", bad.ulid))).unwrap();
    assert!(reason.contains("checksum"), "{reason}");
}
