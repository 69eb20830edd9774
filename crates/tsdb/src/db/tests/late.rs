//! Late samples from the head to blocks: what is read does not change, and the head, its log and its files forget them.

use std::fs;
use std::time::Duration;

use super::*;
use crate::head::late::compact::LateSource;
use crate::head::source::HeadSource;

const WINDOW_MS: i64 = 1_000_000;

fn open_late(dir: &Path) -> Arc<Db> {
    let mut options = options();
    options.runtime.out_of_order_window_ms = WINDOW_MS;
    Db::open(dir, options, &Registry::new()).unwrap()
}

/// One value for each series and moment, so that doubles are alike.
fn value(name: &str, t_ms: i64) -> f64 {
    t_ms as f64 + f64::from(name.as_bytes()[0]) / 256.0
}

fn put_at(db: &Db, twin: &mut Twin, times: &[i64], names: &[&str]) {
    let mut appender = db.appender();
    for name in names {
        let series = appender.resolve(&labels(name)).unwrap();
        for t_ms in times {
            if appender.append(series, *t_ms, value(name, *t_ms)).is_ok() {
                twin.entry((*name).to_owned()).or_default().insert(*t_ms, value(name, *t_ms));
            }
        }
    }
    appender.commit().unwrap();
}

fn files_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn late_samples_go_to_blocks_and_leave_memory_log_and_files() {
    let dir = crate::scratch::tempdir().unwrap();
    let (db, mut twin) = (open_late(dir.path()), Twin::new());
    put_at(&db, &mut twin, &[5000], &["a", "b"]);
    for i in 0..40 {
        put_at(&db, &mut twin, &[3100 + i * 37 % 40 * 20, 100 + i], &["a", "b", "c"]);
    }
    assert_eq!(files_in(&dir.path().join("chunks_head")), ["000001"]);
    assert_eq!(files_in(&dir.path().join("wbl")), ["00000000"]);
    check(&db, &twin);
    db.shared.compact_late().unwrap();
    check(&db, &twin);
    assert_eq!(ranges(&db), [(0, 1000), (3000, 4000)]);
    assert!(db.blocks().iter().all(|meta| meta.compaction.hints == ["from-out-of-order"]));
    assert_eq!(files_in(&dir.path().join("wbl")), ["00000001"]);
    assert_eq!(LateSource::beside(&HeadSource::new(&db.shared.head, i64::MIN, i64::MAX)).len(), 0);
    assert_eq!(db.shared.head.late_span(), (i64::MAX, i64::MIN));
    for i in 0..40 {
        put_at(&db, &mut twin, &[2500 + i], &["a"]);
    }
    db.shared.compact_late().unwrap();
    assert_eq!(files_in(&dir.path().join("chunks_head")), ["000002"], "the first was not needed any more");
    check(&db, &twin);
    drop(db);
    check(&open_late(dir.path()), &twin);
}

#[test]
fn a_querier_of_before_still_sees_what_a_block_has_by_now() {
    let dir = crate::scratch::tempdir().unwrap();
    let (db, mut twin) = (open_late(dir.path()), Twin::new());
    put_at(&db, &mut twin, &[5000], &["a"]);
    for i in 0..10 {
        put_at(&db, &mut twin, &[100 + i], &["a"]);
    }
    let head = &db.shared.head;
    let before = db.querier(i64::MIN, i64::MAX).unwrap();
    let line = head.begin_late_compaction().unwrap().unwrap();
    put_at(&db, &mut twin, &[50], &["a"]);
    assert!(!head.truncate_late(line, Duration::ZERO), "a reader is in the way");
    assert!(head.begin_late_compaction().unwrap().is_none());
    let set = before.select(&SelectHints::default(), &all()).unwrap();
    let mut out = SampleBatch::default();
    set.read(0, i64::MIN, i64::MAX, &mut out).unwrap();
    assert_eq!(out.len(), 11);
    drop((set, before));
    assert!(head.reclaim_late(Duration::ZERO));
    let left = read(&db, i64::MIN, i64::MAX)["a"].keys().copied().collect::<Vec<_>>();
    assert_eq!(left, [50, 5000], "what came after the line stays");
    assert_eq!(head.late_span(), (50, 109), "the end stays until all are gone");
}

#[test]
fn random_lives_with_late_samples_agree_with_a_map() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    for seed in 0..4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let dir = crate::scratch::tempdir().unwrap();
        let (mut twin, mut now_ms) = (Twin::new(), 20_000);
        for _ in 0..5 {
            let db = open_late(dir.path());
            check(&db, &twin);
            for _ in 0..random.u8(1..20) {
                match random.u8(0..10) {
                    0..=3 => {
                        now_ms += random.i64(1..400);
                        let names: Vec<&str> = NAMES.into_iter().filter(|_| random.u8(0..4) > 0).collect();
                        put_at(&db, &mut twin, &[now_ms], &names);
                    }
                    4..=7 => {
                        let times: Vec<i64> =
                            (0..random.u8(1..20)).map(|_| random.i64(now_ms - 6000..now_ms + 50)).collect();
                        now_ms = now_ms.max(times.iter().copied().max().unwrap_or(now_ms));
                        put_at(&db, &mut twin, &times, &[NAMES[random.usize(0..NAMES.len())]]);
                    }
                    8 => db.maintain().unwrap(),
                    _ => db.shared.compact_late().unwrap(),
                }
                check(&db, &twin);
            }
            if random.bool() {
                db.close().unwrap();
            }
        }
    }
}

#[test]
fn writers_lose_nothing_while_late_samples_become_blocks() {
    let dir = crate::scratch::tempdir().unwrap();
    let (db, mut twin) = (open_late(dir.path()), Twin::new());
    put_at(&db, &mut twin, &[100_000], &["a", "b", "c"]);
    std::thread::scope(|scope| {
        let writers: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|name| {
                let db = Arc::clone(&db);
                scope.spawn(move || {
                    let mut twin = Twin::new();
                    for i in 0..400 {
                        put_at(&db, &mut twin, &[90_000 + i * 7919 % 9000], &[name]);
                    }
                    twin
                })
            })
            .collect();
        while !writers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            db.shared.compact_late().unwrap();
        }
        for writer in writers {
            for (name, samples) in writer.join().unwrap() {
                twin.entry(name).or_default().extend(samples);
            }
        }
    });
    check(&db, &twin);
    drop(db);
    check(&open_late(dir.path()), &twin);
}
