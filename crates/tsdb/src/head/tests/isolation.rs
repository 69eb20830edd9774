//! A reader sees a batch whole or not at all, whatever runs beside it.

use std::sync::atomic::{AtomicBool, Ordering};

use narthex_storage::{Appendable, Queryable};

use super::*;

#[test]
fn a_snapshot_does_not_move() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let samples: Vec<(i64, f64)> = (0..300).map(|i| (i * 1000, i as f64)).collect();
    let mut queriers = Vec::new();
    for (at, sample) in samples.iter().enumerate() {
        put(&db, "__name__=a", &[*sample]);
        if at % 7 == 0 {
            queriers.push((at, db.querier(i64::MIN, i64::MAX).unwrap()));
        }
        if at % 31 == 0 {
            put(&db, &format!("__name__=b{at}"), &[*sample]);
        }
    }
    for (at, querier) in queriers {
        let set = querier.select(&SelectHints::default(), &[]).unwrap();
        let mut batch = SampleBatch::default();
        set.read(0, i64::MIN, i64::MAX, &mut batch).unwrap();
        assert_eq!(batch.t_ms.len(), at + 1);
        assert_eq!(set.len(), 1 + at.div_ceil(31), "series of later commits are not there");
    }
}

/// Writers append to the same and to own series in batches; each batch writes one value to all its series. A reader that finds
/// two values, or gaps, or series that end at different batches, saw a part of a batch.
#[test]
fn batches_are_whole_under_concurrent_writers() {
    const SERIES: usize = 700;
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let db = &db;
                scope.spawn(move || {
                    for round in 1..=40i64 {
                        let mut appender = db.appender();
                        for series in 0..SERIES {
                            let set = labels(&format!("__name__=w{writer},n={series}"));
                            let series = appender.resolve(&set).unwrap();
                            appender.append(series, round * 1000, round as f64).unwrap();
                        }
                        let shared = appender.resolve(&labels("__name__=shared")).unwrap();
                        // Loses against another writer's newer sample now and then, which is no fault.
                        let _ = appender.append(shared, round * 1000, round as f64);
                        appender.commit().unwrap();
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                check_whole(&db, SERIES);
                rounds += 1;
            }
            rounds
        });
        writers.into_iter().for_each(|w| w.join().unwrap());
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
    check_whole(&db, SERIES);
    let before = read_all(&*db);
    drop(db);
    assert_eq!(read_all(&*open(dir.path())), before, "the log has the order of the head");
}

#[track_caller]
fn check_whole(db: &Db, series: usize) {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    for writer in 0..3 {
        let set =
            querier.select(&SelectHints::default(), &[matcher(&format!("__name__=w{writer}"))]).unwrap();
        assert!(set.is_empty() || set.len() == series, "{} series of {series}", set.len());
        let mut first = None;
        for at in 0..set.len() {
            let mut batch = SampleBatch::default();
            set.read(at, i64::MIN, i64::MAX, &mut batch).unwrap();
            let expected: Vec<i64> = (1..=batch.t_ms.len() as i64).map(|r| r * 1000).collect();
            assert_eq!(batch.t_ms, expected);
            assert_eq!(*first.get_or_insert(batch.t_ms.len()), batch.t_ms.len(), "a batch was seen in part");
        }
    }
}
