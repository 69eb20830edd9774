//! Steps that fail or panic, and what the database does then.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use narthex_disk::{Harm, Step, break_step};
use narthex_wal::list_checkpoints;

use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

fn fill(db: &Db, twin: &mut Twin, from_ms: i64, end_ms: i64) {
    for t_ms in (from_ms..end_ms).step_by(250) {
        put(db, twin, t_ms, &NAMES);
    }
}

/// The WAL has segments of a few records.
fn small_wal() -> DbOptions {
    let mut options = options();
    options.wal.segment_size_bytes = 32 * 1024;
    options
}

/// So much that it fills many segments.
fn fill_wal(db: &Db, twin: &mut Twin, from_ms: i64, end_ms: i64) {
    let names: Vec<String> = (0..1000).map(|number| format!("series_{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    (from_ms..end_ms).step_by(50).for_each(|t_ms| put(db, twin, t_ms, &names));
}

fn metric(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name == name).unwrap();
    let narthex_metrics::Value::Number(value) = family.metrics[0].value else { panic!("a number") };
    value
}

/// The disk was full when the WAL should have become shorter: the next look makes it so, not the next block hours later.
#[test]
fn a_checkpoint_that_failed_is_written_at_the_next_look_or_after_a_restart() {
    if !cfg!(debug_assertions) {
        return;
    }
    for restart in [false, true] {
        let dir = crate::scratch::tempdir().unwrap();
        let mut twin = Twin::new();
        let db = Db::open(dir.path(), small_wal(), &Registry::new()).unwrap();
        fill_wal(&db, &mut twin, 0, 1800);
        let wal = dir.path().join("wal");
        break_step(Step::Rename, Harm::Full, 1, move |to| to.parent() == Some(&wal));
        assert!(db.maintain().is_err(), "the checkpoint fails");
        assert_eq!(ranges(&db), [(0, 1000)], "the block is there");
        let checkpoints = || list_checkpoints(&dir.path().join("wal")).unwrap().len();
        assert_eq!(checkpoints(), 0);
        let db = match restart {
            false => db,
            true => {
                drop(db);
                Db::open(dir.path(), small_wal(), &Registry::new()).unwrap()
            }
        };
        db.maintain().unwrap();
        assert_eq!(checkpoints(), 1, "restart: {restart}");
        check(&db, &twin);
        drop(db);
        let at = list_checkpoints(&dir.path().join("wal")).unwrap();
        let db = Db::open(dir.path(), small_wal(), &Registry::new()).unwrap();
        db.maintain().unwrap();
        assert_eq!(list_checkpoints(&dir.path().join("wal")).unwrap(), at, "nothing is left to follow");
        check(&db, &twin);
    }
}

/// The `nth` directory sync from now on of the data directory itself fails.
fn break_sync(dir: &Path, nth: u32) {
    let (dir, seen) = (dir.to_owned(), AtomicU32::new(0));
    break_step(Step::SyncDir, Harm::Full, 1, move |path| {
        *path == dir && seen.fetch_add(1, Ordering::Relaxed) + 1 == nth
    });
}

/// The block had its name, but that was not on the disk for sure: it was reported as failed and stayed, so that the next look
/// wrote the range again.
#[test]
fn a_block_whose_name_is_not_durable_is_taken_back() {
    if !cfg!(debug_assertions) {
        return;
    }
    let dir = crate::scratch::tempdir().unwrap();
    let (db, mut twin) = (open(dir.path()), Twin::new());
    fill(&db, &mut twin, 0, 1800);
    for times in 1..=3 {
        break_sync(dir.path(), 1);
        assert!(db.maintain().is_err(), "time {times}");
        assert_eq!(block_entries(dir.path()), [""; 0]);
        assert_eq!(db.shared.head.min_ms(), 0, "the head keeps what no block has");
        check(&db, &twin);
    }
    db.maintain().unwrap();
    assert_eq!(ranges(&db), [(0, 1000)]);
    assert_eq!(block_entries(dir.path()).len(), 1);
    // A merge: the parents stay. The first sync is that of a block of the head.
    fill(&db, &mut twin, 2000, 3800);
    db.maintain().unwrap();
    fill(&db, &mut twin, 4000, 4800);
    break_sync(dir.path(), 2);
    assert!(db.maintain().is_err());
    assert_eq!(block_entries(dir.path()).len(), 4);
    check(&db, &twin);
    db.maintain().unwrap();
    check(&db, &twin);
    assert_eq!(ranges(&db), [(0, 3000), (3000, 4000)]);
    assert_eq!(block_entries(dir.path()).len(), 2);
    drop(db);
    check(&open(dir.path()), &twin);
}

/// What was marked for deletion when the sync failed stayed until the next start.
#[test]
fn a_deletion_that_failed_half_way_is_finished_by_the_next_look() {
    if !cfg!(debug_assertions) {
        return;
    }
    let dir = crate::scratch::tempdir().unwrap();
    let (db, mut twin) = (open(dir.path()), Twin::new());
    fill(&db, &mut twin, 0, 3800);
    db.maintain().unwrap();
    let mut runtime = options().runtime;
    runtime.retention.time_ms = 1500;
    db.apply(&runtime).unwrap();
    for (step, marked) in [(Step::SyncDir, true), (Step::Remove, false)] {
        let data = dir.path().to_owned();
        break_step(step, Harm::Full, 2, move |path| {
            if marked { *path == data } else { path.to_string_lossy().ends_with(".tmp-for-deletion") }
        });
        fill(&db, &mut twin, 3800, 3801);
        drop(db.maintain());
        runtime.retention.time_ms = 500;
        db.apply(&runtime).unwrap();
    }
    db.maintain().unwrap();
    db.maintain().unwrap();
    assert_eq!(block_entries(dir.path()).len(), ranges(&db).len(), "{:?}", block_entries(dir.path()));
}

/// A reason that could not be written stopped all maintenance, and the block was never put aside.
#[test]
fn a_corrupt_block_goes_aside_even_without_room_for_the_reason() {
    if !cfg!(debug_assertions) {
        return;
    }
    let dir = crate::scratch::tempdir().unwrap();
    let (db, mut twin) = (open(dir.path()), Twin::new());
    fill(&db, &mut twin, 0, 3800);
    db.maintain().unwrap();
    let aside = dir.path().join("quarantine");
    let bad: Vec<_> = db.blocks().iter().take(2).map(|meta| meta.ulid).collect();
    // One of this name was put aside before.
    std::fs::create_dir_all(aside.join(bad[0].to_string()).join("chunks")).unwrap();
    bad.iter().for_each(|ulid| db.shared.blocks.withdraw(*ulid, "found bad"));
    let meant = aside.clone();
    break_step(Step::Replace, Harm::Full, 2, move |path| path.starts_with(&meant));
    let meant = aside.clone();
    break_step(Step::SyncDir, Harm::Full, 1, move |path| *path == meant);
    db.maintain().unwrap();
    assert!(aside.join(format!("{}.1", bad[0])).join("index").is_file());
    assert!(aside.join(bad[1].to_string()).join("index").is_file());
    assert_eq!(ranges(&db), [(2000, 3000)]);
}

/// A panic ended the thread without a word: no block was ever written again, and the WAL grew until the disk was full.
#[test]
fn a_panic_in_the_maintenance_is_counted_and_the_next_look_goes_on() {
    if !cfg!(debug_assertions) {
        return;
    }
    let dir = crate::scratch::tempdir().unwrap();
    let interval = Duration::from_secs(1);
    let own = DbOptions { manual_maintenance: false, block_reload_interval: interval, ..options() };
    let registry = Registry::new();
    let data = dir.path().to_owned();
    break_step(Step::Rename, Harm::Panic, 1, move |to| to.parent() == Some(&data));
    let db = Db::open(dir.path(), own, &registry).unwrap();
    let mut twin = Twin::new();
    fill(&db, &mut twin, 0, 1800);
    let deadline = Instant::now() + Duration::from_secs(20);
    while ranges(&db).is_empty() {
        assert!(Instant::now() < deadline, "no block was written");
        std::thread::yield_now();
    }
    assert_eq!(metric(&registry, "prometheus_tsdb_compactions_failed_total"), 1.0);
    assert_eq!(block_entries(dir.path()).len(), 1, "the unfinished block is gone");
    check(&db, &twin);
}

/// Commits go on while the head is copied: of each batch the copy has all or nothing.
#[test]
fn a_snapshot_of_the_head_has_whole_batches() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let names: Vec<String> = (0..2000).map(|number| format!("s{number:05}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    put(&db, &mut Twin::new(), 0, &names);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut twin = Twin::new();
            // All at times that the copy has room for: its range ends with the newest sample when it begins.
            put(&db, &mut twin, 1_000_000, &["last"]);
            (1..)
                .take_while(|_| !done.load(Ordering::Relaxed))
                .for_each(|t_ms| put(&db, &mut twin, t_ms, &names));
        });
        for _ in 0..4 {
            let copy = crate::scratch::tempdir().unwrap();
            db.snapshot(copy.path(), true).unwrap();
            let got = read(&open(copy.path()), i64::MIN, i64::MAX);
            let newest = |name: &str| got[name].keys().next_back().copied();
            let first = newest(names[0]);
            let torn = names.iter().find(|name| newest(name) != first);
            if let Some(name) = torn {
                done.store(true, Ordering::Relaxed);
                panic!("{name} ends at {:?}, others at {first:?}", newest(name));
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Puts other times, ms, into the description of a block.
fn set_range(block: &Path, (min_ms, max_ms): (i64, i64)) {
    let file = block.join("meta.json");
    let mut meta: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    (meta["minTime"], meta["maxTime"]) = (min_ms.into(), max_ms.into());
    std::fs::write(&file, meta.to_string()).unwrap();
}

/// Descriptions are files that others write: no range may make the database panic, or show what nobody wrote.
#[test]
fn blocks_that_say_impossible_ranges_do_no_harm() {
    let whole = crate::scratch::tempdir().unwrap();
    let (db, mut twin) = (open(whole.path()), Twin::new());
    fill(&db, &mut twin, 0, 3800);
    db.maintain().unwrap();
    for range in [
        (i64::MIN, i64::MAX),
        (i64::MIN, i64::MIN),
        (i64::MIN, 1000),
        (i64::MAX, i64::MAX),
        (0, i64::MAX),
        (-2000, -1000),
        (1000, 0),
        (i64::MAX, i64::MIN),
    ] {
        for which in [0, 2] {
            let (dir, copy) = (crate::scratch::tempdir().unwrap(), crate::scratch::tempdir().unwrap());
            db.snapshot(dir.path(), true).unwrap();
            let names = block_entries(dir.path());
            // The links are to the files of the others: a new file takes the place of the description.
            let block = dir.path().join(&names[which]);
            let text = std::fs::read(block.join("meta.json")).unwrap();
            std::fs::remove_file(block.join("meta.json")).unwrap();
            std::fs::write(block.join("meta.json"), text).unwrap();
            set_range(&block, range);
            let broken = open(dir.path());
            let is_served = broken.blocks().iter().any(|meta| meta.ulid.to_string() == names[which]);
            assert_eq!(is_served, range.0 <= range.1, "{range:?}");
            let found = |db: &Db| {
                for (name, samples) in read(db, i64::MIN, i64::MAX) {
                    let wrong = samples.iter().find(|(t_ms, value)| twin[&name].get(t_ms) != Some(value));
                    assert_eq!(wrong, None, "{range:?}");
                }
            };
            found(&broken);
            broken.snapshot(copy.path(), true).unwrap();
            broken.maintain().unwrap();
            found(&broken);
            broken.delete(i64::MIN, i64::MAX, &only("a")).unwrap();
            broken.clean_tombstones().unwrap();
            broken.maintain().unwrap();
            found(&broken);
            broken.close().unwrap();
            found(&open(dir.path()));
            found(&open(copy.path()));
        }
    }
}

/// The file had its new content, but not on the disk for sure: the delete is reported as failed, and may hold after a restart. Asked
/// for again it holds, and nothing else is lost.
#[test]
fn a_delete_whose_name_was_not_synced_can_be_asked_for_again() {
    if !cfg!(debug_assertions) {
        return;
    }
    for restart in [false, true] {
        let dir = crate::scratch::tempdir().unwrap();
        let (db, mut twin) = (open(dir.path()), Twin::new());
        fill(&db, &mut twin, 0, 1800);
        db.maintain().unwrap();
        let block = dir.path().join(&block_entries(dir.path())[0]);
        // The first sync of the directory follows the tombstones, the second the description with their count.
        for nth in [1, 2] {
            let (meant, seen) = (block.clone(), AtomicU32::new(0));
            break_step(Step::SyncDir, Harm::Full, 1, move |path| {
                *path == meant && seen.fetch_add(1, Ordering::Relaxed) + 1 == nth
            });
            assert!(db.delete(0, 500, &only("a")).is_err(), "sync {nth}");
            let left = read(&db, i64::MIN, i64::MAX)["a"].contains_key(&0);
            assert_eq!(left, nth == 1, "what memory says is what was deleted last");
            assert_eq!(read(&db, i64::MIN, i64::MAX)["b"], twin["b"]);
        }
        let db = match restart {
            false => db,
            true => {
                drop(db);
                open(dir.path())
            }
        };
        db.delete(0, 500, &only("a")).unwrap();
        twin.get_mut("a").unwrap().retain(|t_ms, _| *t_ms > 500);
        check(&db, &twin);
        assert_eq!(db.blocks()[0].stats.num_tombstones, 1);
        drop(db);
        check(&open(dir.path()), &twin);
    }
}
