//! What a sender is told, and what is stored then.

use std::sync::Arc;

use narthex_metrics::{Registry, Value};
use narthex_storage::{AppendError, Duplicate};

use super::super::*;
use super::double::Double;
use super::*;

fn receiver() -> (Receiver, Double, Registry) {
    let (double, registry) = (Double::default(), Registry::new());
    (Receiver::new(Arc::new(double.clone()), ReceiveOptions::default(), &registry), double, registry)
}

#[track_caller]
fn check_headers(content_type: &str, content_encoding: &str, body: &[u8], expected: &str) {
    let response = receiver().0.write(BodyHeaders { content_type, content_encoding }, body, NOW_MS);
    assert_eq!(shown(&response), expected, "{content_type} {content_encoding}");
}

#[test]
fn headers_are_judged_as_prometheus_does() {
    let supported = "supported: prometheus.WriteRequest, io.prometheus.write.v2.Request";
    let key_values = "415 as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be key-values, got";
    for (content_type, expected) in [
        ("", "204"),
        ("application/x-protobuf", "204"),
        ("application/x-protobuf;proto=prometheus.WriteRequest", "204"),
        ("application/x-protobuf; proto=prometheus.WriteRequest", "204"),
        ("application/x-protobuf; charset=utf-8", "204"),
        ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "204"),
        (
            "text/plain",
            "415 expected application/x-protobuf as the first (media) part, got text/plain content-type",
        ),
        (
            "application/x-protobuf;proto=foo,bar",
            &format!(
                "415 got application/x-protobuf;proto=foo,bar content type; unknown type for remote write protobuf message foo,bar, {supported}"
            ),
        ),
        (
            "application/x-protobuf;proto=foo",
            &format!(
                "415 got application/x-protobuf;proto=foo content type; unknown type for remote write protobuf message foo, {supported}"
            ),
        ),
        (
            "application/x-protobuf;foo",
            &format!("{key_values} foo in application/x-protobuf;foo content-type"),
        ),
        (
            "application/x-protobuf;a=b=c",
            &format!("{key_values} a=b=c in application/x-protobuf;a=b=c content-type"),
        ),
    ] {
        check_headers(content_type, "snappy", &[0], expected);
    }
    check_headers("", "", &[0], "204");
    let gzip =
        "415 gzip encoding (compression) is not accepted by this server; only snappy and zstd are acceptable";
    check_headers("", "gzip", &[0], gzip);
}

#[test]
fn messages_that_are_not_accepted_are_named_beside_those_that_are() {
    let v2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    for (accepted, content_type, expected) in [
        (
            vec![Protocol::V1],
            v2,
            "415 io.prometheus.write.v2.Request protobuf message is not accepted by this server; only accepts prometheus.WriteRequest",
        ),
        (
            vec![Protocol::V2],
            "",
            "415 prometheus.WriteRequest protobuf message is not accepted by this server; only accepts io.prometheus.write.v2.Request",
        ),
        (vec![Protocol::V2], v2, "204"),
        (vec![Protocol::V2, Protocol::V1], "", "204"),
    ] {
        let options = ReceiveOptions { accepted, ..ReceiveOptions::default() };
        let receiver = Receiver::new(Arc::new(Double::default()), options, &Registry::new());
        let headers = BodyHeaders { content_type, content_encoding: "snappy" };
        assert_eq!(shown(&receiver.write(headers, &[0], NOW_MS)), expected);
    }
}

#[test]
fn bodies_that_are_not_snappy_or_too_large_are_refused_before_they_take_memory() {
    for body in [&[][..], &[0xff, 0xff, 0xff], &[5, 0x10], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0]] {
        check_headers("", "snappy", body, "400 s2: corrupt input");
    }
    let announces_33_mib = [0x80, 0x80, 0x80 | 0x40, 0x10, 0];
    check_headers("", "snappy", &announces_33_mib, "400 decoded size exceeds the 33554432 bytes limit");
    let large = vec![0; limits::MAX_BODY + 1];
    check_headers("", "snappy", &large, "413 request body exceeds the 33554432 bytes limit");
}

/// A frame of zstd, with or without its length at the beginning.
fn zstd_frame(message: &[u8], says_its_length: bool) -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_contentsize(says_its_length).unwrap();
    encoder.set_pledged_src_size(says_its_length.then_some(message.len() as u64)).unwrap();
    std::io::Write::write_all(&mut encoder, message).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn zstd_is_taken_as_snappy_is_whether_it_says_its_length_or_not() {
    let (receiver, double, _) = receiver();
    let headers = BodyHeaders { content_type: "", content_encoding: "zstd" };
    for (says_its_length, t_ms) in [(true, 5), (false, 6)] {
        let timeseries = vec![series(&[("__name__", "c")], &[(t_ms, 1.0)])];
        let message = WriteRequest { timeseries, metadata: Vec::new() }.encode_to_vec();
        let frame = zstd_frame(&message, says_its_length);
        assert_eq!(shown(&receiver.write(headers, &frame, NOW_MS)), "204");
        assert_eq!(double.take(), [format!(r#"{{__name__="c"}} 1@{t_ms}"#)]);
        for cut in 0..frame.len() {
            let answer = shown(&receiver.write(headers, &frame[..cut], NOW_MS));
            assert_eq!(answer, "400 zstd: corrupt input", "{cut} bytes");
        }
    }
    assert_eq!(shown(&receiver.write(headers, &snappy(b"123"), NOW_MS)), "400 zstd: corrupt input");
}

#[test]
fn small_frames_of_zstd_that_grow_are_refused() {
    let large = vec![0; limits::MAX_BODY + 1];
    let too_large = "400 decoded size exceeds the 33554432 bytes limit";
    for says_its_length in [true, false] {
        let frame = zstd_frame(&large, says_its_length);
        assert!(frame.len() < 10_000, "{}", frame.len());
        check_headers("", "zstd", &frame, too_large);
    }
    check_headers("", "zstd", &large, "413 request body exceeds the 33554432 bytes limit");
    // More frames than the first one says.
    let two = [zstd_frame(b"", true), zstd_frame(&large[1..], true)].concat();
    check_headers("", "zstd", &two, "400 zstd: corrupt input");
}

#[test]
fn labels_are_sorted_and_empty_ones_dropped() {
    let (receiver, double, _) = receiver();
    let labels = [("z", "1"), ("__name__", "c"), ("b", "")];
    assert_eq!(shown(&send(&receiver, vec![series(&labels, &[(5, 1.0), (6, 2.0)])])), "204");
    assert_eq!(double.take(), [r#"{__name__="c", z="1"} 1@5"#, r#"{__name__="c", z="1"} 2@6"#]);
}

#[test]
fn series_with_unfit_labels_are_left_out_and_counted() {
    let (receiver, double, registry) = receiver();
    let sample = [(5, 1.0)];
    let mut request = vec![
        series(&[("x", "y")], &sample),
        series(&[("__name__", ""), ("x", "y")], &sample),
        series(&[("__name__", "a"), ("x", "1"), ("x", "2")], &sample),
        series(&[("__name__", "a"), ("x", ""), ("x", "2")], &sample),
        series(&[("__name__", "a"), ("", "2")], &sample),
        series(&[], &sample),
        series(&[("__name__", "good")], &sample),
        series(&[("__name__", "nothing to store")], &[]),
    ];
    assert_eq!(shown(&send(&receiver, request.clone())), "204");
    assert_eq!(double.take(), [r#"{__name__="good"} 1@5"#]);
    assert_eq!((counted(&registry), double.0.lock().series.len()), (6.0, 1));

    request.push(series(&[("__name__", "bad")], &[(5, 7.0)]));
    double.0.lock().refuse = Some((7.0, AppendError::OutOfOrder));
    assert_eq!(shown(&send(&receiver, request)), "400 out of order sample");
    assert_eq!(counted(&registry), 6.0, "a request that failed counts nothing");
    let not_utf8 = b"\x0a\x16\x0a\x0f\x0a\x08__name__\x12\x03a\xffb\x12\x03\x10\x80\x01";
    assert_eq!(shown(&send_bytes(&receiver, not_utf8)), "204");
    assert_eq!(counted(&registry), 7.0);
}

fn counted(registry: &Registry) -> f64 {
    let name = "prometheus_api_remote_write_invalid_labels_samples_total";
    let family = registry.gather().into_iter().find(|f| f.name == name).expect("it is registered");
    match family.metrics[0].value {
        Value::Number(value) => value,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_refused_sample_ends_the_request_and_nothing_is_kept() {
    let expected = [
        (AppendError::OutOfOrder, "400 out of order sample"),
        (
            AppendError::DuplicateTimestamp(Duplicate::of_float(5, 0.5, 1e6)),
            "400 duplicate sample for timestamp 5; overrides not allowed: existing 0.5, new value 1e+06",
        ),
        (AppendError::OutOfBounds, "400 out of bounds"),
        (AppendError::TooOld, "400 too old sample"),
        (AppendError::UnknownSeries, "500 unknown series reference"),
        (AppendError::Unavailable("disk full".to_owned()), "500 storage refuses writes: disk full"),
    ];
    for (rolled_back, (error, expected)) in expected.into_iter().enumerate() {
        let (receiver, double, _) = receiver();
        double.0.lock().refuse = Some((7.0, error.clone()));
        let request =
            vec![series(&[("__name__", "a")], &[(5, 1.0)]), series(&[("__name__", "b")], &[(5, 7.0)])];
        assert_eq!(shown(&send(&receiver, request)), expected, "case {rolled_back}");
        assert_eq!((double.take().len(), double.0.lock().rolled_back), (0, 1));
    }
}

#[test]
fn samples_from_the_future_are_refused_and_exemplars_left_out() {
    let (receiver, double, _) = receiver();
    let limit = NOW_MS + 10 * 60 * 1000;
    let far = "400 out of bounds: timestamp is too far in the future";
    let a = [("__name__", "a")];
    assert_eq!(shown(&send(&receiver, vec![series(&a, &[(limit, 1.0)])])), "204");
    assert_eq!(shown(&send(&receiver, vec![series(&a, &[(limit + 1, 1.0)])])), far);
    let histogram = WireHistogram { timestamp: limit + 1, ..WireHistogram::default() };
    let histograms = TimeSeries { histograms: vec![histogram], ..series(&a, &[]) };
    assert_eq!(shown(&send(&receiver, vec![histograms])), far);
    double.take();
    let exemplar = |timestamp, value| Exemplar { labels: vec![label("id", "x")], value, timestamp };
    let exemplars = vec![exemplar(limit + 1, 1.0), exemplar(5, -1.0), exemplar(6, 2.0)];
    assert_eq!(shown(&send(&receiver, vec![TimeSeries { exemplars, ..series(&a, &[]) }])), "204");
    assert_eq!(double.take(), [r#"{__name__="a"} # {id="x"} 2@6"#]);
}

#[test]
fn histograms_keep_their_kind_and_too_fine_ones_become_coarser() {
    let (receiver, double, _) = receiver();
    let of = |count, schema| WireHistogram {
        count: Some(count),
        schema,
        timestamp: 5,
        ..WireHistogram::default()
    };
    let histograms =
        vec![of(Count::Int(3), 2), of(Count::Float(2.5), -4), of(Count::Int(3), 12), of(Count::Int(3), -53)];
    let request = TimeSeries { histograms, ..series(&[("__name__", "h")], &[(4, 1.0)]) };
    assert_eq!(shown(&send(&receiver, vec![request])), "204");
    let expected = ["1@4", "int 3/2@5", "float 2.5/-4@5", "int 3/8@5", "int 3/-53@5"];
    assert_eq!(double.take(), expected.map(|what| format!("{{__name__=\"h\"}} {what}")));
    let bad = TimeSeries { histograms: vec![of(Count::Int(99), 2)], ..series(&[("__name__", "h")], &[]) };
    assert_eq!(shown(&send(&receiver, vec![bad])), "400 why");
}

#[test]
fn known_series_are_not_resolved_again_unless_the_storage_dropped_them() {
    let (receiver, double, _) = receiver();
    let request = |t| {
        vec![series(&[("__name__", "a"), ("x", "1")], &[(t, 1.0)]), series(&[("__name__", "b")], &[(t, 2.0)])]
    };
    for (t, resolved) in [(1, 2), (2, 2), (3, 2)] {
        assert_eq!(shown(&send(&receiver, request(t))), "204");
        assert_eq!(double.0.lock().resolved, resolved);
    }
    double.forget_series();
    double.take();
    for t in [4, 5] {
        assert_eq!(shown(&send(&receiver, request(t))), "204");
        assert_eq!(
            double.take(),
            [format!(r#"{{__name__="a", x="1"}} 1@{t}"#), format!(r#"{{__name__="b"}} 2@{t}"#)]
        );
        assert_eq!(double.0.lock().resolved, 4);
    }
}

#[test]
fn a_failed_commit_is_the_servers_fault() {
    let (receiver, double, _) = receiver();
    double.0.lock().fail_commit = true;
    let response = send(&receiver, vec![series(&[("__name__", "a")], &[(5, 1.0)])]);
    assert_eq!(shown(&response), "500 cannot write batch to the WAL: disk full");
}

#[test]
fn labels_behind_samples_belong_to_the_series_too() {
    let (receiver, double, _) = receiver();
    let (first, last) = (b"\x0a\x0d\x0a\x08__name__\x12\x01a", b"\x0a\x06\x0a\x01x\x12\x01y");
    let body = [&first[..], b"\x12\x02\x10\x05", last].concat();
    let message = [&[0x0a, body.len() as u8][..], &body].concat();
    for _ in 0..2 {
        assert_eq!(shown(&send_bytes(&receiver, &message)), "204");
        assert_eq!(double.take(), [r#"{__name__="a", x="y"} 0@5"#]);
    }
}
