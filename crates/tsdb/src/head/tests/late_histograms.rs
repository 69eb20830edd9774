//! Native histograms out of order, among floats; the window changed while the database runs.

use std::sync::Arc;

use narthex_metrics::Value;
use narthex_model::{FloatHistogram, Histogram, STALE_NAN, Span, is_stale};
use narthex_storage::{AppendError, Appendable, Duplicate, HistogramRef, Queryable};

use super::*;
use crate::RuntimeOptions;

/// A histogram with `count` observations in one bucket.
pub(super) fn int(count: u64) -> Histogram {
    Histogram {
        count,
        sum: count as f64,
        positive_spans: vec![Span { offset: 3, length: 1 }],
        positive_buckets: vec![count as i64],
        ..Histogram::default()
    }
}

pub(super) fn float(count: u64) -> FloatHistogram {
    int(count).to_float()
}

/// What a series holds: time and the value, or the count of a histogram; stale markers as `-1`.
pub(super) fn all_kinds(db: &dyn Queryable) -> Vec<(String, Vec<(i64, f64)>)> {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let set = querier.select(&SelectHints::default(), &[]).unwrap();
    let mut all = Vec::new();
    for at in 0..set.len() {
        let mut batch = SampleBatch::default();
        set.read(at, i64::MIN, i64::MAX, &mut batch).unwrap();
        assert!(batch.t_ms.is_sorted_by(|a, b| a < b) && batch.histogram_t_ms.is_sorted_by(|a, b| a < b));
        let plain = |value: f64, other: f64| if is_stale(value) { -1.0 } else { other };
        let floats = batch.t_ms.iter().zip(&batch.values).map(|(t, v)| (*t, plain(*v, *v)));
        let histograms =
            batch.histogram_t_ms.iter().zip(&batch.histograms).map(|(t, h)| (*t, plain(h.sum, h.count)));
        let mut samples: Vec<_> = floats.chain(histograms).collect();
        samples.sort_by_key(|(t, _)| *t);
        all.push((set.labels(at).to_string(), samples));
    }
    all
}

fn put_int(db: &Db, series: &str, t_ms: i64, count: u64) -> Result<(), AppendError> {
    let mut appender = db.appender();
    let series = appender.resolve(&labels(series)).unwrap();
    let taken = appender.append_histogram(series, t_ms, HistogramRef::Int(&int(count)));
    appender.commit().unwrap();
    taken
}

fn put_float(db: &Db, series: &str, t_ms: i64, count: u64) -> Result<(), AppendError> {
    let mut appender = db.appender();
    let series = appender.resolve(&labels(series)).unwrap();
    let taken = appender.append_histogram(series, t_ms, HistogramRef::Float(&float(count)));
    appender.commit().unwrap();
    taken
}

#[test]
fn late_histograms_are_read_among_all_others_and_come_back() {
    let dir = crate::scratch::tempdir().unwrap();
    let registry = Registry::new();
    let db = Db::open(dir.path(), super::options(0, 100_000), &registry).unwrap();
    put_int(&db, "__name__=a", 100_000, 1).unwrap();
    put_int(&db, "__name__=a", 90_000, 2).unwrap();
    put_float(&db, "__name__=a", 80_000, 3).unwrap();
    put(&db, "__name__=a", &[(85_000, 4.0), (86_000, STALE_NAN)]);
    assert_eq!(put_int(&db, "__name__=a", 90_000, 7), Ok(()), "who comes second is dropped");
    assert_eq!(
        put_float(&db, "__name__=a", 100_000, 7),
        Err(AppendError::DuplicateTimestamp(Duplicate::UNTOLD))
    );
    assert_eq!(put_int(&db, "__name__=a", -1, 7), Err(AppendError::TooOld));
    let expected = [(80_000, 3.0), (85_000, 4.0), (86_000, -1.0), (90_000, 2.0), (100_000, 1.0)];
    let expected = vec![(labels("__name__=a").to_string(), expected.to_vec())];
    assert_eq!(all_kinds(&*db), expected);
    let families = registry.gather();
    let family =
        families.iter().find(|f| f.name.ends_with("head_out_of_order_samples_appended_total")).unwrap();
    let counts: Vec<_> = family.metrics.iter().map(|m| m.value.clone()).collect();
    assert_eq!(counts, [1.0, 3.0].map(Value::Number), "the marker became a histogram");
    drop(db);
    for window_ms in [100_000, 0] {
        assert_eq!(all_kinds(&*open_late(dir.path(), window_ms)), expected);
    }
}

#[test]
fn one_batch_mixes_all_kinds_in_any_order() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), 1_000_000);
    let mut appender = db.appender();
    let a = appender.resolve(&labels("__name__=a")).unwrap();
    let (h, f) = (int(5), float(6));
    for t in [50, 10, 40, 10, 60, 30, 20, 70] {
        match t % 30 {
            0 => appender.append(a, t, t as f64).unwrap(),
            10 => appender.append_histogram(a, t, HistogramRef::Int(&h)).unwrap(),
            _ => appender.append_histogram(a, t, HistogramRef::Float(&f)).unwrap(),
        }
    }
    appender.commit().unwrap();
    let expected = [(10, 5.0), (20, 6.0), (30, 30.0), (40, 5.0), (50, 6.0), (60, 60.0), (70, 5.0)];
    let expected = vec![(labels("__name__=a").to_string(), expected.to_vec())];
    assert_eq!(all_kinds(&*db), expected);
    drop(db);
    assert_eq!(all_kinds(&*open_late(dir.path(), 1_000_000)), expected);
}

#[test]
fn the_window_opens_and_closes_while_the_database_runs() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), 0);
    let window = |out_of_order_window_ms| {
        db.apply(&RuntimeOptions { out_of_order_window_ms, ..RuntimeOptions::default() }).unwrap();
    };
    put(&db, "__name__=a", &[(100_000, 1.0)]);
    assert_eq!(put_int(&db, "__name__=a", 90_000, 2), Err(AppendError::OutOfOrder));
    assert!(!dir.path().join("wbl").exists());
    window(50_000);
    assert_eq!(put_int(&db, "__name__=a", 90_000, 2), Ok(()));
    assert_eq!(put_int(&db, "__name__=a", 40_000, 2), Err(AppendError::TooOld));
    let mut before = db.appender();
    let a = before.resolve(&labels("__name__=a")).unwrap();
    before.append(a, 80_000, 3.0).unwrap();
    window(0);
    before.commit().unwrap();
    assert_eq!(put_int(&db, "__name__=a", 95_000, 2), Err(AppendError::OutOfOrder));
    let expected =
        vec![(labels("__name__=a").to_string(), vec![(80_000, 3.0), (90_000, 2.0), (100_000, 1.0)])];
    assert_eq!(all_kinds(&*db), expected, "what was taken stays");
    window(5_000);
    assert_eq!(put_int(&db, "__name__=a", 95_000, 2), Ok(()));
    window(0);
    drop(db);
    let db = open_late(dir.path(), 0);
    assert_eq!(all_kinds(&*db)[0].1.len(), 4);
    assert_eq!(put_int(&db, "__name__=a", 96_000, 2), Err(AppendError::OutOfOrder));
}

#[test]
fn threads_that_append_late_histograms_lose_none() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), 1_000_000);
    put(&db, "__name__=a", &[(1_000_000, 1.0)]);
    std::thread::scope(|scope| {
        for writer in 0..3i64 {
            let db = Arc::clone(&db);
            scope.spawn(move || {
                for i in 0..200 {
                    put_int(&db, "__name__=a", 500_000 - i * 3 + writer, 1).unwrap();
                }
            });
        }
    });
    assert_eq!(all_kinds(&*db)[0].1.len(), 601);
    drop(db);
    assert_eq!(all_kinds(&*open_late(dir.path(), 0))[0].1.len(), 601);
}
