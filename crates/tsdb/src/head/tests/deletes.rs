//! Deletes beside stale series that leave: what was deleted stays away, and nothing else is missing.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use narthex_storage::Appendable;

use super::*;

const GENERATIONS: i64 = 40;

fn set(generation: i64, kind: &str) -> String {
    format!("__name__=m,generation=g{generation},kind={kind}")
}

/// Writes generations one after another, each ended with staleness markers.
fn write(db: &Db, written: &AtomicI64) {
    for generation in 0..GENERATIONS {
        for round in 0..6 {
            let mut appender = db.appender();
            for kind in ["kept", "doomed"] {
                let series = appender.resolve(&labels(&set(generation, kind))).unwrap();
                let t_ms = generation * 100 + round * 10;
                match round {
                    5 => appender.append_stale(series, t_ms).unwrap(),
                    _ => appender.append(series, t_ms, t_ms as f64).unwrap(),
                }
            }
            appender.commit().unwrap();
        }
        written.store(generation + 1, Ordering::Release);
    }
}

/// Deletes the half of each generation that is doomed, and looks whether all that were deleted stay away.
fn delete(db: &Db, written: &AtomicI64) {
    for generation in 0..GENERATIONS {
        until("the generation is written", || written.load(Ordering::Acquire) > generation);
        let doomed = [matcher(&format!("generation=g{generation}")), matcher("kind=doomed")];
        db.delete(i64::MIN, i64::MAX, &doomed).unwrap();
        let found = read(db, (i64::MIN, i64::MAX), &[matcher("kind=doomed")]);
        let gone: Vec<String> = (0..=generation).map(|g| labels(&set(g, "doomed")).to_string()).collect();
        let back = found.iter().find(|(series, samples)| gone.contains(series) && !samples.is_empty());
        assert_eq!(back, None, "after generation {generation}");
    }
}

#[track_caller]
fn check(db: &Db) {
    let found = read_all(db).into_iter().filter(|(_, samples)| !samples.is_empty());
    let found: std::collections::BTreeMap<_, _> = found.collect();
    assert_eq!(found.len() as i64, GENERATIONS, "no doomed series is back");
    for generation in 0..GENERATIONS {
        let times: Vec<i64> =
            found[&labels(&set(generation, "kept")).to_string()].iter().map(|(t, _)| *t).collect();
        assert_eq!(times, (0..6).map(|round| generation * 100 + round * 10).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_deleted_while_stale_series_leave_stays_away_and_the_rest_is_whole() {
    let dir = crate::scratch::tempdir().unwrap();
    let open = || {
        let mut options = super::options(0, 0);
        options.runtime.stale_series_compaction_threshold = 0.1;
        (options.min_block_duration_ms, options.max_block_duration_ms) = (1000, 9000);
        Db::open(dir.path(), options, &Registry::new()).unwrap()
    };
    let db = open();
    let (written, done) = (AtomicI64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let maintaining = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                db.maintain().unwrap();
            }
        });
        let writing = scope.spawn(|| write(&db, &written));
        let deleting = scope.spawn(|| delete(&db, &written));
        let ended = [writing.join(), deleting.join()];
        done.store(true, Ordering::Relaxed);
        maintaining.join().unwrap();
        ended.into_iter().for_each(|joined| joined.unwrap());
    });
    check(&db);
    assert!(!db.blocks().is_empty() && db.head().series_count() < 2 * GENERATIONS as u64, "some left early");
    drop(db);
    check(&open());
}
