//! Samples that come out of order: which are taken, how they are read, how they come back.

use std::fs;

use narthex_metrics::Value;
use narthex_model::FloatHistogram;
use narthex_storage::{AppendError, Appendable, CommitError, Duplicate, HistogramRef, Queryable, SeriesRef};

use super::*;
use crate::{Ingestion, Probe};
use narthex_wal::{Compression, WalMetrics, WalOptions, Writer, record};

#[track_caller]
fn check_append(db: &Db, series: SeriesRef, t_ms: i64, value: f64, expected: &Result<(), AppendError>) {
    let mut appender = db.appender();
    assert_eq!(appender.append(series, t_ms, value), *expected, "{t_ms} {value}");
    appender.commit().unwrap();
}

#[test]
fn a_late_sample_is_taken_inside_the_window_only() {
    let dir = crate::scratch::tempdir().unwrap();
    let registry = Registry::new();
    let options = super::options(0, 1000);
    let db = Db::open(dir.path(), options, &registry).unwrap();
    let a = put(&db, "__name__=a", &[(10_000, 1.0)]);
    check_append(&db, a, 9_500, 2.0, &Ok(()));
    check_append(&db, a, 9_000, 3.0, &Ok(()));
    check_append(&db, a, 8_999, 1.0, &Err(AppendError::TooOld));
    let mut appender = db.appender();
    let histogram = FloatHistogram::default();
    let late = appender.append_histogram(a, 8_700, HistogramRef::Float(&histogram));
    assert_eq!(late, Err(AppendError::TooOld));
    assert_eq!(appender.append_stale(a, 9_700), Err(AppendError::OutOfOrder), "staleness is no late sample");
    drop(appender);
    let all = [(9_000, 3.0), (9_500, 2.0), (10_000, 1.0)];
    assert_eq!(read_all(&*db), [seen("__name__=a", &all)]);
    assert_eq!(
        read(&*db, (9_000, 9_999), &[]),
        [seen("__name__=a", &all[..2])],
        "the series is found by them"
    );
    assert_eq!(db.time_range(), Some((9_000, 10_000)));
    let families = registry.gather();
    let floats = |name: &str| families.iter().find(|f| f.name == name).unwrap().metrics[0].value.clone();
    let counts =
        ["head_out_of_order_samples_appended_total", "head_samples_appended_total", "too_old_samples_total"]
            .map(|name| floats(&format!("prometheus_tsdb_{name}")));
    assert_eq!(counts, [2.0, 3.0, 1.0].map(Value::Number));
    let Value::Histogram { sum, count, .. } = floats("prometheus_tsdb_sample_ooo_delta") else {
        panic!("the delta is a histogram");
    };
    assert_eq!((sum, count), (0.5 + 1.0 + 1.001 + 1.3, 4), "taken or not");
}

#[test]
fn without_a_window_nothing_late_is_taken_and_no_log_is_made() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let a = put(&db, "__name__=a", &[(10_000, 1.0)]);
    check_append(&db, a, 9_500, 2.0, &Err(AppendError::OutOfOrder));
    assert!(!dir.path().join("wbl").exists());
}

#[test]
fn the_first_sample_at_a_moment_stays() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), 1_000_000);
    let samples: Vec<(i64, f64)> = (0..300).map(|i| (i * 1000, i as f64)).collect();
    let a = put(&db, "__name__=a", &samples);
    check_append(
        &db,
        a,
        299_000,
        7.0,
        &Err(AppendError::DuplicateTimestamp(Duplicate::of_float(299_000, 299.0, 7.0))),
    );
    let before = db.wal_tip().unwrap().position();
    for t in [0, 5_000, 250_000] {
        check_append(&db, a, t, 7.0, &Ok(()));
    }
    assert_eq!(db.wal_tip().unwrap().position(), before, "nothing is written for what is there");
    check_append(&db, a, 5_500, 1.5, &Ok(()));
    check_append(&db, a, 5_500, 2.5, &Ok(()));
    let mut expected = samples;
    expected.insert(6, (5_500, 1.5));
    assert_eq!(read_all(&*db), [seen("__name__=a", &expected)]);
    drop(db);
    assert_eq!(read_all(&*open_late(dir.path(), 1_000_000)), [seen("__name__=a", &expected)]);
}

#[test]
fn a_batch_in_any_order_is_read_in_order() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), 1_000_000);
    let order = [5, 9, 7, 9, 1, 8, 5, 7, 10];
    put(&db, "__name__=a", &order.map(|t| (t, t as f64)));
    put(&db, "__name__=b", &[(90_000_000, 1.0)]);
    let c = put(&db, "__name__=c", &[(89_999_000, 2.0), (89_998_000, 3.0)]);
    check_append(&db, c, 89_997_000, 1.0, &Ok(()));
    let check = |db: &Db| {
        let a = seen("__name__=a", &[1, 5, 7, 8, 9, 10].map(|t| (t, t as f64)));
        let c = [(89_997_000, 1.0), (89_998_000, 3.0), (89_999_000, 2.0)];
        assert_eq!(read_all(db), [a, seen("__name__=b", &[(90_000_000, 1.0)]), seen("__name__=c", &c)]);
        assert_eq!(db.time_range(), Some((1, 90_000_000)));
    };
    check(&db);
    drop(db);
    for window_ms in [1_000_000, 0, 5] {
        check(&open_late(dir.path(), window_ms));
    }
}

#[test]
fn a_reader_sees_late_samples_of_a_batch_with_the_others_or_not_at_all() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), 1_000_000);
    put(&db, "__name__=a", &[(1000, 1.0)]);
    let mut queriers = Vec::new();
    let mut expected = vec![(1000, 1.0)];
    for i in 1..40i64 {
        queriers.push((db.querier(i64::MIN, i64::MAX).unwrap(), seen("__name__=a", &expected)));
        put(&db, "__name__=a", &[(1000 + i, 1.0), (1000 - i, 2.0)]);
        expected.insert(0, (1000 - i, 2.0));
        expected.push((1000 + i, 1.0));
    }
    for (querier, expected) in queriers {
        let set = querier.select(&SelectHints::default(), &[]).unwrap();
        let mut batch = SampleBatch::default();
        set.read(0, i64::MIN, i64::MAX, &mut batch).unwrap();
        let got: Vec<_> = batch.t_ms.into_iter().zip(batch.values.iter().map(|v| v.to_bits())).collect();
        assert_eq!(got, expected.1);
    }
    assert_eq!(read_all(&*db), [seen("__name__=a", &expected)]);
}

#[test]
fn a_cut_wbl_keeps_every_record_before_the_cut() {
    let dir = crate::scratch::tempdir().unwrap();
    let wal = WalOptions { compression: Compression::None, ..WalOptions::default() };
    let options = DbOptions { wal, ..super::options(0, 1_000_000) };
    let db = Db::open(dir.path(), options, &Registry::new()).unwrap();
    put(&db, "__name__=a", &[(100_000, 1.0)]);
    let segment = dir.path().join("wbl/00000000");
    let mut ends = vec![0];
    // A record that lacks only zeros is whole: the values end in none.
    for i in 1..=20 {
        put(&db, "__name__=a", &[(100_000 - i, i as f64 + 0.1)]);
        ends.push(fs::metadata(&segment).unwrap().len());
    }
    drop(db);
    let bytes = fs::read(&segment).unwrap();
    // Behind the last record the page is full of zeros: one cut there is as good as each.
    let used = *ends.last().unwrap() as usize;
    for len in (0..=used + 8).rev().step_by(11).chain([bytes.len() - 1, bytes.len()]) {
        let copy = crate::scratch::tempdir().unwrap();
        for log in ["wal", "wbl"] {
            fs::create_dir(copy.path().join(log)).unwrap();
            fs::copy(dir.path().join(log).join("00000000"), copy.path().join(log).join("00000000")).unwrap();
        }
        fs::write(copy.path().join("wbl/00000000"), &bytes[..len]).unwrap();
        // A record that lost only zeros is whole, as Prometheus fills the last page with them.
        let is_whole = |end: &u64| bytes[len.min(*end as usize)..*end as usize].iter().all(|byte| *byte == 0);
        let whole = ends.iter().rposition(is_whole).unwrap() as i64;
        for time in 0..2 {
            let got = read_all(&*open_late(copy.path(), 1_000_000));
            let expected: Vec<i64> = (100_000 - whole..=100_000).collect();
            let times: Vec<i64> = got[0].1.iter().map(|(t, _)| *t).collect();
            assert_eq!(times, expected, "cut at {len}, opening {time}");
        }
    }
}

#[test]
fn a_reference_that_only_the_wbl_knows_is_never_given_out() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), 1_000_000);
    put(&db, "__name__=a", &[(1000, 1.0)]);
    let lost = put(&db, "__name__=lost", &[(1000, 1.0), (900, 1.0)]);
    drop(db);
    // A power cut took the whole WAL, but not the other log.
    fs::remove_dir_all(dir.path().join("wal")).unwrap();
    for name in ["x", "y", "z"] {
        let db = open_late(dir.path(), 1_000_000);
        assert_ne!(put(&db, &format!("__name__={name}"), &[(2000, 1.0)]), lost);
    }
    let expected = ["x", "y", "z"].map(|n| seen(&format!("__name__={n}"), &[(2000, 1.0)]));
    assert_eq!(read_all(&*open_late(dir.path(), 1_000_000)), expected);
}

#[test]
fn what_other_records_a_wbl_holds_is_skipped() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), 1_000_000);
    let a = put(&db, "__name__=a", &[(1000, 1.0), (900, 2.0)]);
    drop(db);
    let options = WalOptions::default();
    let metrics = WalMetrics::for_wbl(&Registry::new(), options.compression);
    let mut writer = Writer::open(&dir.path().join("wbl"), options, metrics).unwrap();
    let mut marker = Vec::new();
    record::encode_mmap_markers(&[record::MmapMarker { series: a, chunk: 1 << 32 | 8 }], &mut marker);
    let mut samples = Vec::new();
    record::encode_samples(
        &[record::RefSample { series: a, t_ms: 800, start_ms: 0, value: 3.0 }],
        &mut samples,
    );
    writer.log(&[&marker, &[200, 1, 2], &samples]).unwrap();
    drop(writer);
    let expected = [seen("__name__=a", &[(800, 3.0), (900, 2.0), (1000, 1.0)])];
    assert_eq!(read_all(&*open_late(dir.path(), 1_000_000)), expected);
}

/// A full disk for the second log: the first must forget the batch too.
#[test]
fn a_batch_that_one_log_refuses_is_in_neither() {
    let dir = crate::scratch::tempdir().unwrap();
    let wal =
        WalOptions { segment_size_bytes: 32 * 1024, compression: Compression::None, ..WalOptions::default() };
    let probe = Probe { every: std::time::Duration::from_millis(1), ..Probe::default() };
    let options = DbOptions { wal, probe, ..super::options(0, i64::MAX) };
    let db = Db::open(dir.path(), options, &Registry::new()).unwrap();
    let many: Vec<(i64, f64)> = (0..1500).map(|i| (1_000_000 - i, i as f64)).collect();
    put(&db, "__name__=a", &many);
    // The next late batch needs a new segment, which cannot be made.
    let wbl = dir.path().join("wbl");
    fs::create_dir(wbl.join("00000001")).unwrap();
    let (before, tip) = (read_all(&*db), db.wal_tip().unwrap().position());
    let mut appender = db.appender();
    let a = appender.resolve(&labels("__name__=a")).unwrap();
    for i in 0..1500 {
        appender.append(a, 500_000 - i, 1.0).unwrap();
    }
    appender.append(a, 2_000_000, 1.0).unwrap();
    assert!(matches!(appender.commit(), Err(CommitError::Wal(_))));
    assert_eq!((read_all(&*db), db.wal_tip().unwrap().position()), (before.clone(), tip), "nothing is seen");
    until("ingestion is on again", || db.ingestion() == Ingestion::On);
    put(&db, "__name__=a", &[(2_000_001, 5.0)]);
    fs::remove_dir(wbl.join("00000001")).unwrap();
    put(&db, "__name__=a", &[(600_000, 6.0)]);
    let now = read_all(&*db);
    assert_eq!(now[0].1.len(), 1502);
    drop(db);
    assert_eq!(read_all(&*open_late(dir.path(), 1000)), now);
}

/// Each writer's batch holds one sample in order and one late for each of its series, and a late one for a shared series. A
/// reader must see as many late samples as samples in order.
#[test]
fn batches_with_late_samples_are_whole_under_concurrent_writers() {
    const NOW_MS: i64 = 1_000_000;
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), NOW_MS);
    put(&db, "__name__=shared", &[(NOW_MS, 0.0)]);
    let write = |writer: i64| {
        let all: Vec<String> = (0..300).map(|n| format!("__name__=w{writer},n={n}")).collect();
        for round in 1..=30i64 {
            let mut appender = db.appender();
            for series in &all {
                let series = appender.resolve(&labels(series)).unwrap();
                appender.append(series, NOW_MS / 2 + round, 1.0).unwrap();
                appender.append(series, NOW_MS / 2 - round, 2.0).unwrap();
            }
            let shared = appender.resolve(&labels("__name__=shared")).unwrap();
            appender.append(shared, round * 10 + writer, 3.0).unwrap();
            appender.commit().unwrap();
        }
    };
    let check = || {
        let mut rounds = [0; 4];
        for (series, samples) in read_all(&*db).into_iter().rev() {
            let late = samples.iter().filter(|(_, v)| *v == 2f64.to_bits()).count();
            match series.find("=\"w") {
                Some(at) => {
                    let writer = usize::from(series.as_bytes()[at + 3] - b'0');
                    assert_eq!(late * 2, samples.len(), "{series}");
                    assert!(
                        rounds[writer] == 0 || rounds[writer] == late,
                        "a batch was seen in part: {series}"
                    );
                    rounds[writer] = late;
                }
                None => assert_eq!(samples.len(), 1 + rounds.iter().sum::<usize>(), "{series}"),
            }
            assert!(samples.is_sorted_by(|a, b| a.0 < b.0), "{series}");
        }
        rounds.iter().sum::<usize>()
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (1..4).map(|writer| scope.spawn(move || write(writer))).collect();
        while !writers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            check();
        }
    });
    assert_eq!(check(), 90);
    let before = read_all(&*db);
    drop(db);
    assert_eq!(read_all(&*open_late(dir.path(), NOW_MS)), before);
}
