//! The receiver over the real database: what it says is written can be queried, what it refuses cannot.

use std::path::Path;

use narthex_model::{Labels, Matcher};
use narthex_storage::{Queryable as _, SampleBatch, SelectHints};
use narthex_tsdb::{Db, DbOptions};

use super::*;
use crate::wire::tests::{Count, WireSpan};

fn open(dir: &Path, start_timestamps: bool) -> (Arc<Db>, Receiver) {
    let mut options = DbOptions { start_timestamps, ..DbOptions::default() };
    if start_timestamps {
        options.runtime.float_chunks = narthex_tsdb::FloatEncoding::Xor2;
    }
    let db = Db::open(dir, options, &Registry::new()).expect("a fresh directory opens");
    (Arc::clone(&db), Receiver::new(db, ReceiveOptions::default(), &Registry::new()))
}

/// All samples of a metric as `labels value@t`, and their start timestamps.
fn stored(db: &Db, name: &str) -> Vec<String> {
    let matcher = Matcher::equal("__name__", name);
    let querier = db.querier(i64::MIN, i64::MAX).expect("the database is open");
    let found = querier.select(&SelectHints::default(), &[matcher]).expect("it reads");
    let mut lines = Vec::new();
    for at in 0..found.len() {
        let mut batch = SampleBatch::default();
        found.read(at, i64::MIN, i64::MAX, &mut batch).expect("it reads");
        let labels: Labels = found.labels(at);
        let since = |starts: &[i64], i: usize| match starts.get(i) {
            Some(0) | None => String::new(),
            Some(start_ms) => format!(" since {}", start_ms - NOW_MS),
        };
        for (i, (t_ms, value)) in batch.t_ms.iter().zip(&batch.values).enumerate() {
            let since = since(&batch.start_ms, i);
            lines.push(format!("{labels} {value}@{}{since}", t_ms - NOW_MS));
        }
        for (i, (t_ms, h)) in batch.histogram_t_ms.iter().zip(&batch.histograms).enumerate() {
            let since = since(&batch.histogram_start_ms, i);
            lines.push(format!("{labels} count {}@{}{since}", h.count, t_ms - NOW_MS));
        }
    }
    lines
}

const A: [(&str, &str); 2] = [("__name__", "a"), ("job", "x")];

#[test]
fn what_is_said_to_be_written_can_be_queried_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (db, receiver) = open(dir.path(), false);
    let first = Builder::new().floats(&A, &[(NOW_MS, 1.0)]).send(&receiver);
    assert_eq!((shown(&first), written(&first)), ("204".to_owned(), (1, 0, 0)));
    let response = Builder::new()
        .floats(&[("__name__", "b")], &[(NOW_MS, 9.0)])
        .floats(
            &A,
            &[
                (NOW_MS, 1.0),
                (NOW_MS, 2.0),
                (NOW_MS - 1, 3.0),
                (NOW_MS - 100_000_000, 3.0),
                (NOW_MS + 5, 4.0),
            ],
        )
        .floats(&[("__name__", "c")], &[(NOW_MS, 9.0)])
        .send(&receiver);
    let expected = format!(
        "400 duplicate sample for timestamp {NOW_MS}; overrides not allowed: existing 1, new value 2 for series {A}
out of order sample for series {A}
out of bounds for series {A}",
        A = r#"{__name__="a", job="x"}"#
    );
    assert_eq!((shown(&response), written(&response)), (expected, (4, 0, 0)));
    assert_eq!(stored(&db, "a"), [r#"{__name__="a", job="x"} 1@0"#, r#"{__name__="a", job="x"} 4@5"#]);
    assert_eq!(stored(&db, "b"), [r#"{__name__="b"} 9@0"#]);
    assert_eq!(stored(&db, "c"), [r#"{__name__="c"} 9@0"#]);
}

#[test]
fn both_protocols_write_the_same_series() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (db, receiver) = open(dir.path(), false);
    for t in 0..3 {
        assert_eq!(shown(&Builder::new().floats(&A, &[(NOW_MS + 2 * t, 1.0)]).send(&receiver)), "204");
        let first = super::super::super::tests::series(&A, &[(NOW_MS + 2 * t + 1, 2.0)]);
        assert_eq!(shown(&super::super::super::tests::send(&receiver, vec![first])), "204");
    }
    assert_eq!(stored(&db, "a").len(), 6);
}

#[test]
fn start_timestamps_are_kept_by_a_storage_that_keeps_them() {
    for keeps in [false, true] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (db, receiver) = open(dir.path(), keeps);
        let histogram = WireHistogram {
            count: Some(Count::Int(2)),
            schema: -53,
            positive_spans: vec![WireSpan { offset: 0, length: 1 }],
            positive_deltas: vec![2],
            custom_values: vec![0.5],
            timestamp: NOW_MS,
            start_timestamp: NOW_MS - 7,
            ..WireHistogram::default()
        };
        let response = Builder::new()
            .floats(&A, &[(NOW_MS, 1.0)])
            .with(|series| series.samples[0].start_timestamp = NOW_MS - 9)
            .floats(&[("__name__", "h")], &[])
            .histogram(histogram)
            .send(&receiver);
        assert_eq!((shown(&response), written(&response)), ("204".to_owned(), (1, 1, 0)));
        let since = |ago: &str| if keeps { format!(" since -{ago}") } else { String::new() };
        assert_eq!(stored(&db, "a"), [format!(r#"{{__name__="a", job="x"}} 1@0{}"#, since("9"))]);
        let of_histogram = stored(&db, "h");
        assert!(of_histogram[0].starts_with(r#"{__name__="h"} count 2@0"#), "{of_histogram:?}");
    }
}
