//! The receiver over the real database: what was answered with 204 can be queried, what was refused cannot.

use std::path::Path;
use std::sync::Arc;

use narthex_metrics::Registry;
use narthex_model::{Labels, Matcher};
use narthex_storage::{Queryable as _, SampleBatch, SelectHints};
use narthex_tsdb::{Db, DbOptions};

use super::*;

fn open(dir: &Path) -> (Arc<Db>, Receiver) {
    let db = Db::open(dir, DbOptions::default(), &Registry::new()).expect("a fresh directory opens");
    (Arc::clone(&db), Receiver::new(db, ReceiveOptions::default(), &Registry::new()))
}

/// All samples of a metric as `labels value@t`.
fn stored(db: &Db, name: &str) -> Vec<String> {
    let matcher = Matcher::equal("__name__", name);
    let querier = db.querier(i64::MIN, i64::MAX).expect("the database is open");
    let found = querier.select(&SelectHints::default(), &[matcher]).expect("it reads");
    let mut lines = Vec::new();
    for at in 0..found.len() {
        let mut batch = SampleBatch::default();
        found.read(at, i64::MIN, i64::MAX, &mut batch).expect("it reads");
        let labels: Labels = found.labels(at);
        let samples = batch.t_ms.iter().zip(&batch.values);
        lines.extend(samples.map(|(t_ms, value)| format!("{labels} {value}@{}", t_ms - NOW_MS)));
        let histograms = batch.histogram_t_ms.iter().zip(&batch.histograms);
        lines.extend(histograms.map(|(t_ms, h)| format!("{labels} count {}@{}", h.count, t_ms - NOW_MS)));
    }
    lines
}

#[test]
fn what_was_acknowledged_can_be_queried_and_a_refused_request_leaves_no_trace() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (db, receiver) = open(dir.path());
    let a = [("job", "x"), ("__name__", "a")];
    assert_eq!(shown(&send(&receiver, vec![series(&a, &[(NOW_MS, 1.0)])])), "204");
    assert_eq!(shown(&send(&receiver, vec![series(&a, &[(NOW_MS, 1.0), (NOW_MS + 5, 2.0)])])), "204");
    let late = vec![series(&[("__name__", "b")], &[(NOW_MS, 9.0)]), series(&a, &[(NOW_MS - 1000, 3.0)])];
    assert_eq!(shown(&send(&receiver, late)), "400 out of order sample");
    let old = vec![series(&a, &[(NOW_MS - 100_000_000, 3.0)])];
    assert_eq!(shown(&send(&receiver, old)), "400 out of bounds");
    let twice = shown(&send(&receiver, vec![series(&a, &[(NOW_MS + 5, 3.0)])]));
    let overrides = format!(
        "400 duplicate sample for timestamp {}; overrides not allowed: existing 2, new value 3",
        NOW_MS + 5
    );
    assert_eq!(twice, overrides);
    assert_eq!(stored(&db, "a"), [r#"{__name__="a", job="x"} 1@0"#, r#"{__name__="a", job="x"} 2@5"#]);
    assert_eq!(stored(&db, "b"), [""; 0]);
}

#[test]
fn a_series_that_came_with_a_refused_request_survives_a_restart_once_it_has_a_sample() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (db, receiver) = open(dir.path());
    let b = [("__name__", "b")];
    let far = vec![series(&b, &[(NOW_MS, 9.0)]), series(&b, &[(i64::MAX, 9.0)])];
    assert_eq!(send(&receiver, far).status, 400);
    // Now the receiver knows the series, though nothing of that request was logged.
    assert_eq!(shown(&send(&receiver, vec![series(&b, &[(NOW_MS, 1.0)])])), "204");
    drop((receiver, db));
    let (db, _) = open(dir.path());
    assert_eq!(stored(&db, "b"), [r#"{__name__="b"} 1@0"#]);
}

#[test]
fn histograms_are_stored_and_contradictory_ones_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (db, receiver) = open(dir.path());
    let of = |count, timestamp| {
        let histogram =
            WireHistogram { count: Some(Count::Int(count)), timestamp, ..WireHistogram::default() };
        vec![TimeSeries { histograms: vec![histogram], ..series(&[("__name__", "h")], &[]) }]
    };
    assert_eq!(shown(&send(&receiver, of(0, NOW_MS))), "204");
    let expected = "400 0 observations found in buckets, but the Count field is 5: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)";
    assert_eq!(shown(&send(&receiver, of(5, NOW_MS + 1))), expected);
    assert_eq!(stored(&db, "h"), [r#"{__name__="h"} count 0@0"#]);
}
