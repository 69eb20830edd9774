//! What a sender of protocol 2.0 is told, and what is stored then.

use narthex_metrics::Value;
use narthex_storage::{AppendError, Duplicate};

use super::*;
use crate::wire::tests::{Count, WireSpan};

const A: [(&str, &str); 2] = [("__name__", "a"), ("x", "1")];

fn counted(registry: &Registry, name: &str) -> f64 {
    let family = registry.gather().into_iter().find(|f| f.name == name).expect("it is registered");
    match family.metrics[0].value {
        Value::Number(value) => value,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn all_kinds_of_members_are_stored_and_counted() {
    let (receiver, double, _) = receiver();
    let custom = WireHistogram {
        count: Some(Count::Float(2.5)),
        schema: -53,
        positive_spans: vec![WireSpan { offset: 0, length: 1 }],
        positive_counts: vec![2.5],
        custom_values: vec![0.5],
        timestamp: 8,
        start_timestamp: 3,
        ..WireHistogram::default()
    };
    let fine = WireHistogram {
        count: Some(Count::Int(3)),
        schema: 12,
        timestamp: 7,
        start_timestamp: 3,
        ..WireHistogram::default()
    };
    let response = Builder::new()
        .floats(&[("x", "1"), ("empty", ""), ("__name__", "a")], &[(5, 1.0), (6, f64::NAN)])
        .with(|series| series.samples[1].start_timestamp = 4)
        .exemplar(&[("id", "x")], 2.0, 6)
        .floats(&[("__name__", "h")], &[])
        .histogram(fine)
        .histogram(custom)
        .send(&receiver);
    assert_eq!((shown(&response), written(&response)), ("204".to_owned(), (2, 2, 1)));
    let expected = [
        r#"{__name__="a", x="1"} 1@5"#,
        r#"{__name__="a", x="1"} NaN@6 since 4"#,
        r#"{__name__="a", x="1"} # {id="x"} 2@6"#,
        r#"{__name__="h"} int 3/8@7 since 3"#,
        r#"{__name__="h"} float 2.5/-53@8 since 3"#,
    ];
    assert_eq!(double.take(), expected);
}

#[test]
fn parts_that_are_refused_are_named_and_the_others_stored() {
    let (receiver, double, registry) = receiver();
    let far = NOW_MS + 10 * 60 * 1000;
    let response = Builder::new()
        .floats(&A, &[(5, 1.0)])
        .floats(&[("x", "1")], &[(5, 1.0), (6, 1.0)])
        .floats(&[("__name__", "")], &[(5, 1.0)])
        .floats(&[("__name__", "a"), ("", "1")], &[(5, 1.0)])
        .floats(&[("__name__", "a"), ("x", ""), ("x", "2")], &[(5, 1.0)])
        .floats(&[("__name__", "new")], &[])
        .exemplar(&[], 1.0, 5)
        .floats(&A, &[])
        .floats(&A, &[])
        .with(|series| series.labels_refs.truncate(3))
        .floats(&A, &[(6, 1.0)])
        .with(|series| series.labels_refs[1] = 99)
        .floats(&A, &[(6, 1.0)])
        .with(|series| series.metadata = Some(Metadata { kind: 1, help_ref: 0, unit_ref: 77 }))
        .floats(&A, &[(6, 1.0)])
        .with(|series| series.metadata = Some(Metadata { kind: 1, help_ref: 78, unit_ref: 0 }))
        .floats(&A, &[(far + 1, 1.0), (far, 2.0)])
        .floats(&A, &[(7, 3.0)])
        .exemplar(&[("id", "late")], -1.0, 4)
        .exemplar(&[("id", "good")], 1.0, 4)
        .exemplar(&[("id", "from the future")], 1.0, far + 1)
        .exemplar(&[("id", "odd")], 1.0, 4)
        .with(|series| series.exemplars[3].labels_refs.truncate(1))
        .exemplar(&[("id", "1"), ("id", "2")], 1.0, 4)
        .exemplar(&[("id", &"long".repeat(200))], 1.0, 4)
        .floats(&A, &[])
        .histogram(WireHistogram { count: Some(Count::Int(99)), timestamp: 8, ..WireHistogram::default() })
        .send(&receiver);
    let expected = r#"400 invalid metric name or labels, got {x="1"}
invalid metric name or labels, got {__name__=""}
invalid metric name or labels, got {""="1", __name__="a"}
invalid labels for series, labels {__name__="a", x="", x="2"}, duplicated label x
TimeSeries must contain at least one sample or histogram for series {__name__="new"}
TimeSeries must contain at least one sample or histogram for series {__name__="a", x="1"}
parsing labels for series [1 2 3]: invalid labelRefs length 3
parsing labels for series [1 99 3 4]: labelRefs 1 (name) = 99 (value) outside of symbols table (size 13)
parsing metadata for series [1 2 3 4]: metadata unit_ref 77 outside of symbols table (size 13)
parsing metadata for series [1 2 3 4]: metadata help_ref 78 outside of symbols table (size 13)
out of bounds: timestamp is too far in the future for series {__name__="a", x="1"}
out of order exemplar for series {__name__="a", x="1"}
parsing exemplar for series {__name__="a", x="1"}: invalid labelRefs length 1
why for series {__name__="a", x="1"}"#;
    assert_eq!(shown(&response), expected);
    assert_eq!(written(&response), (3, 0, 1));
    let stored = ["1@5", &format!("2@{far}"), "3@7", r#"# {id="good"} 1@4"#];
    assert_eq!(double.take(), stored.map(|what| format!(r#"{{__name__="a", x="1"}} {what}"#)));
    assert_eq!(counted(&registry, "prometheus_api_remote_write_invalid_labels_samples_total"), 6.0);
}

/// Prometheus sends exemplars as series of their own, behind the samples. Its receiver refuses those.
#[test]
fn exemplars_may_come_alone_once_their_series_is_known() {
    let (receiver, double, _) = receiver();
    let alone = |builder: Builder, t| builder.floats(&A, &[]).exemplar(&[("id", "x")], 1.0, t);
    let told =
        r#"400 TimeSeries must contain at least one sample or histogram for series {__name__="a", x="1"}"#;
    assert_eq!(shown(&alone(Builder::new(), 3).send(&receiver)), told);
    assert_eq!(double.0.lock().resolved, 0);
    let both = alone(Builder::new().floats(&A, &[(4, 1.0)]), 4).send(&receiver);
    assert_eq!((shown(&both), written(&both)), ("204".to_owned(), (1, 0, 1)));
    let later = alone(Builder::new(), 5).send(&receiver);
    assert_eq!((shown(&later), written(&later)), ("204".to_owned(), (0, 0, 1)));
    let stored = ["1@4", r#"# {id="x"} 1@4"#, r#"# {id="x"} 1@5"#];
    assert_eq!(double.take(), stored.map(|what| format!(r#"{{__name__="a", x="1"}} {what}"#)));
    // A series that the storage dropped has nothing that an exemplar could lie at.
    double.forget_series();
    assert_eq!(shown(&alone(Builder::new(), 6).send(&receiver)), told);
    assert_eq!(shown(&Builder::new().floats(&A, &[]).send(&receiver)), told);
}

#[test]
fn refused_samples_leave_the_others_and_a_failing_storage_leaves_nothing() {
    let a = r#"{__name__="a", x="1"}"#;
    let duplicate = Duplicate::of_float(5, 0.5, 7.0);
    for (error, expected, kept) in [
        (AppendError::OutOfOrder, format!("400 out of order sample for series {a}"), 2),
        (
            AppendError::DuplicateTimestamp(duplicate),
            format!(
                "400 duplicate sample for timestamp 5; overrides not allowed: existing 0.5, new value 7 for series {a}"
            ),
            2,
        ),
        (AppendError::OutOfBounds, format!("400 out of bounds for series {a}"), 2),
        (AppendError::TooOld, format!("400 too old sample for series {a}"), 2),
        (AppendError::HistogramsDisabled, "500 native histograms are disabled".to_owned(), 0),
        (
            AppendError::Unavailable("disk full".to_owned()),
            "500 storage refuses writes: disk full".to_owned(),
            0,
        ),
    ] {
        let (receiver, double, _) = receiver();
        double.0.lock().refuse = Some((7.0, error));
        for _known in 0..2 {
            let response = Builder::new().floats(&A, &[(4, 1.0), (5, 7.0), (6, 2.0)]).send(&receiver);
            assert_eq!((shown(&response), written(&response)), (expected.clone(), (kept, 0, 0)));
            assert_eq!(double.take().len(), kept, "{expected}");
        }
    }
    let (receiver, double, _) = receiver();
    double.0.lock().fail_commit = true;
    let response = Builder::new().floats(&A, &[(4, 1.0)]).send(&receiver);
    assert_eq!(shown(&response), "500 cannot write batch to the WAL: disk full");
    assert_eq!(written(&response), (0, 0, 0));
}

#[test]
fn known_series_are_not_resolved_again_whatever_their_numbers_are() {
    let (receiver, double, _) = receiver();
    let request = |t, reversed: bool| {
        let mut builder = Builder::new();
        if reversed {
            for text in ["1", "x", "a", "other"] {
                builder.symbol(text);
            }
        }
        let far = NOW_MS + 3_600_000;
        builder.floats(&A, &[(far, 1.0), (t, 1.0)]).floats(&[("__name__", "b")], &[(t, 2.0)])
    };
    for (t, resolved) in [(1, 2), (2, 2)] {
        assert_eq!(written(&request(t, t == 2).send(&receiver)), (2, 0, 0));
        assert_eq!(double.0.lock().resolved, resolved);
    }
    double.forget_series();
    double.take();
    for t in [4, 5] {
        let response = request(t, false).send(&receiver);
        let told =
            r#"400 out of bounds: timestamp is too far in the future for series {__name__="a", x="1"}"#;
        assert_eq!((shown(&response), written(&response)), (told.to_owned(), (2, 0, 0)));
        let expected = [format!(r#"{{__name__="a", x="1"}} 1@{t}"#), format!(r#"{{__name__="b"}} 2@{t}"#)];
        assert_eq!((double.take(), double.0.lock().resolved), (expected.to_vec(), 4));
    }
}

#[test]
fn start_timestamps_bring_in_zeros_when_that_is_on() {
    let options = ReceiveOptions { start_zero: true, ..ReceiveOptions::default() };
    let (receiver, double, _) = receiver_with(options);
    let histogram = WireHistogram { timestamp: 9, start_timestamp: 3, ..WireHistogram::default() };
    let response = Builder::new()
        .floats(&[("__name__", "a")], &[(5, 1.0), (6, 2.0), (NOW_MS + 3_600_000, 2.0)])
        .with(|series| {
            series.samples[0].start_timestamp = 4;
            series.samples[2].start_timestamp = NOW_MS + 3_000_000;
        })
        .floats(&[("__name__", "h")], &[])
        .histogram(histogram)
        .send(&receiver);
    assert_eq!((response.status.as_u16(), written(&response)), (400, (2, 1, 0)));
    let expected = [
        r#"{__name__="a"} zero float 4 before 5"#,
        r#"{__name__="a"} 1@5 since 4"#,
        r#"{__name__="a"} 2@6"#,
        r#"{__name__="h"} zero histogram 3 before 9"#,
        r#"{__name__="h"} int 0/0@9 since 3"#,
    ];
    assert_eq!(double.take(), expected);
}

#[test]
fn types_and_units_become_labels_when_that_is_on() {
    let options = ReceiveOptions { type_and_unit_labels: true, ..ReceiveOptions::default() };
    let (receiver, double, _) = receiver_with(options);
    for _known in 0..2 {
        let own = [("__name__", "a"), ("__type__", "mine"), ("__unit__", "mine")];
        let response = Builder::new()
            .floats(&own, &[(5, 1.0)])
            .floats(&own, &[(6, 1.0)])
            .metadata(1, "", "bytes")
            .floats(&own, &[(7, 1.0)])
            .metadata(2, "", "")
            .floats(&own, &[(8, 1.0)])
            .metadata(0, "help", "seconds")
            .send(&receiver);
        assert_eq!((shown(&response), written(&response)), ("204".to_owned(), (4, 0, 0)));
        let expected = [
            r#"{__name__="a", __type__="mine", __unit__="mine"} 1@5"#,
            r#"{__name__="a", __type__="counter", __unit__="bytes"} 1@6"#,
            r#"{__name__="a", __type__="gauge"} 1@7"#,
            r#"{__name__="a", __unit__="seconds"} 1@8"#,
        ];
        assert_eq!(double.take(), expected);
    }
    assert_eq!(double.0.lock().resolved, 4);
}

#[test]
fn metadata_is_stored_when_that_is_on() {
    let options = ReceiveOptions { metadata: true, ..ReceiveOptions::default() };
    let (receiver, double, registry) = receiver_with(options);
    let response = Builder::new()
        .floats(&[("__name__", "a")], &[(5, 1.0)])
        .metadata(1, "What it counts.", "bytes")
        .floats(&[("__name__", "b")], &[(5, 1.0), (6, 1.0)])
        .metadata(2, "refused", "")
        .floats(&[("__name__", "c")], &[(5, 1.0)])
        .send(&receiver);
    assert_eq!((shown(&response), written(&response)), ("204".to_owned(), (4, 0, 0)));
    let expected = [
        r#"{__name__="a"} 1@5"#,
        r#"{__name__="a"} is counter in "bytes": What it counts."#,
        r#"{__name__="b"} 1@5"#,
        r#"{__name__="b"} 1@6"#,
        r#"{__name__="c"} 1@5"#,
        r#"{__name__="c"} is unknown in "": "#,
    ];
    assert_eq!(double.take(), expected);
    let name = "prometheus_api_remote_write_without_metadata_appended_samples_total";
    assert_eq!(counted(&registry, name), 2.0);
}
