//! The hand-written reading against prost's, over good, cut and flipped bytes, and its error texts.

use super::super::super::histogram::{Either, HistogramFields};
use super::super::message::{Request as Read, read_exemplar};
use super::*;
use crate::receive::wire::Reader;
use crate::wire::tests::{Count, WireSpan, ZeroCount};

fn random_request(random: &mut fastrand::Rng) -> Request {
    let texts =
        ["", "__name__", "job", "é", "a long value that does not fit into one short length, for sure not"];
    let symbols =
        (0..random.usize(0..6)).map(|i| texts[if i == 0 { 0 } else { random.usize(..5) }].to_owned());
    Request {
        symbols: symbols.collect(),
        timeseries: (0..random.usize(0..5)).map(|_| series(random)).collect(),
    }
}

fn refs(random: &mut fastrand::Rng) -> Vec<u32> {
    let large = random.u8(..8) == 0;
    (0..random.usize(0..7)).map(|_| if large { random.u32(..) } else { random.u32(..6) }).collect()
}

fn series(random: &mut fastrand::Rng) -> TimeSeries {
    let sample = |random: &mut fastrand::Rng| Sample {
        value: random.f64(),
        timestamp: random.i64(..),
        start_timestamp: random.i64(-1..9),
    };
    let exemplar = |random: &mut fastrand::Rng| Exemplar {
        labels_refs: refs(random),
        value: random.f64(),
        timestamp: random.i64(..),
    };
    let metadata =
        Metadata { kind: random.i32(-2..10), help_ref: random.u32(..9), unit_ref: random.u32(..9) };
    TimeSeries {
        labels_refs: refs(random),
        samples: (0..random.usize(0..3)).map(|_| sample(random)).collect(),
        histograms: (0..random.usize(0..2)).map(|_| histogram(random)).collect(),
        exemplars: (0..random.usize(0..2)).map(|_| exemplar(random)).collect(),
        metadata: random.bool().then_some(metadata),
    }
}

fn histogram(random: &mut fastrand::Rng) -> WireHistogram {
    let span = |random: &mut fastrand::Rng| WireSpan { offset: random.i32(-9..9), length: random.u32(..4) };
    let is_float = random.bool();
    let counts = |random: &mut fastrand::Rng| (0..random.usize(0..4)).map(|_| random.f64()).collect();
    WireHistogram {
        count: Some(if is_float { Count::Float(random.f64()) } else { Count::Int(random.u64(..)) }),
        zero_count: Some(if is_float { ZeroCount::Float(0.5) } else { ZeroCount::Int(random.u64(..)) }),
        schema: random.i32(-60..60),
        positive_spans: (0..random.usize(0..3)).map(|_| span(random)).collect(),
        positive_deltas: (0..random.usize(0..4)).map(|_| random.i64(..)).collect(),
        positive_counts: counts(random),
        custom_values: counts(random),
        timestamp: random.i64(..),
        start_timestamp: random.i64(..),
        ..WireHistogram::default()
    }
}

/// Compares everything that was read with what prost read.
#[track_caller]
fn check_same(bytes: &[u8], oracle: &Request) {
    let mut request = Read::default();
    request.read(bytes).expect("what prost reads");
    let symbols = request.symbols(bytes);
    assert_eq!(symbols.len(), oracle.symbols.len());
    for (number, text) in oracle.symbols.iter().enumerate() {
        assert_eq!(symbols.get(number as u32), Some(text.as_bytes()));
    }
    assert_eq!(request.series().len(), oracle.timeseries.len());
    for (got, expected) in request.series().zip(&oracle.timeseries) {
        assert_eq!(got.refs, expected.labels_refs);
        let samples = got.samples.iter().map(|s| (s.start_ms, s.t_ms, s.value.to_bits()));
        let all = expected.samples.iter().map(|s| (s.start_timestamp, s.timestamp, s.value.to_bits()));
        assert!(samples.eq(all), "{:?}", expected.samples);
        let metadata = expected.metadata.unwrap_or_default();
        assert_eq!((got.metadata.help, got.metadata.unit), (metadata.help_ref, metadata.unit_ref));
        let kinds =
            ["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];
        let kind = usize::try_from(metadata.kind).ok().and_then(|kind| kinds.get(kind)).unwrap_or(&"unknown");
        assert_eq!(got.metadata.kind.as_str(), *kind);
        assert_eq!(got.exemplars.len(), expected.exemplars.len());
        for (place, expected) in got.exemplars.iter().zip(&expected.exemplars) {
            let mut refs = Vec::new();
            let read = read_exemplar(Reader::new(bytes, place.range()), |number| refs.push(number));
            let (value, t_ms) = read.expect("what prost reads");
            assert_eq!((value.to_bits(), t_ms), (expected.value.to_bits(), expected.timestamp));
            assert_eq!(refs, expected.labels_refs);
        }
        assert_eq!(got.histograms.len(), expected.histograms.len());
        for (place, expected) in got.histograms.iter().zip(&expected.histograms) {
            check_histogram(bytes, place.range(), expected);
        }
    }
}

#[track_caller]
fn check_histogram(bytes: &[u8], range: std::ops::Range<usize>, expected: &WireHistogram) {
    let mut fields = HistogramFields::default();
    fields.read(bytes, range).expect("what prost reads");
    assert_eq!((fields.start_ms, fields.t_ms), (expected.start_timestamp, expected.timestamp));
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    match (fields.into_histogram(), expected.count) {
        (Either::Int(h), None | Some(Count::Int(_))) => {
            assert_eq!((h.schema, &h.positive_buckets), (expected.schema, &expected.positive_deltas));
            assert_eq!(bits(&h.custom_values), bits(&expected.custom_values));
        }
        (Either::Float(h), Some(Count::Float(_))) => {
            assert_eq!(bits(&h.positive_buckets), bits(&expected.positive_counts));
            assert_eq!(bits(&h.custom_values), bits(&expected.custom_values));
        }
        (other, count) => panic!("{other:?} for {count:?}"),
    }
}

#[test]
fn every_request_is_read_as_prost_reads_it() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..500 {
        let request = random_request(&mut random);
        check_same(&request.encode_to_vec(), &request);
    }
}

#[test]
fn damaged_requests_never_panic_and_what_prost_takes_is_read_alike() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let options = ReceiveOptions {
        start_zero: true,
        type_and_unit_labels: true,
        metadata: true,
        ..ReceiveOptions::default()
    };
    let (receiver, _, _) = receiver_with(options);
    for _ in 0..4000 {
        let mut bytes = random_request(&mut random).encode_to_vec();
        for _ in 0..random.usize(1..4) {
            match (random.usize(..3), bytes.len()) {
                (_, 0) => bytes.push(random.u8(..)),
                (0, len) => bytes.truncate(random.usize(..len)),
                (1, len) => bytes[random.usize(..len)] = random.u8(..),
                (_, len) => bytes.insert(random.usize(..len), random.u8(..)),
            }
        }
        let _ = receiver.write(HEADERS, &bytes, NOW_MS);
        let response = send_bytes(&receiver, &bytes);
        assert!([204, 400].contains(&response.status.as_u16()), "{response:?}");
        // Prost refuses text that is not UTF-8 and large field numbers, so it may refuse more, never less.
        if let (Ok(oracle), Ok(())) = (Request::decode(&bytes[..]), Read::default().read(&bytes)) {
            check_same(&bytes, &oracle);
        }
    }
}

#[test]
fn errors_have_the_words_of_prometheus() {
    for (bytes, expected) in [
        (&b"\x2a\x05\x0a"[..], "unexpected EOF"),
        (b"\x20\x05", "proto: wrong wireType = 0 for field Symbols"),
        (b"\x28\x05", "proto: wrong wireType = 0 for field Timeseries"),
        (b"\x2a\x05\x0d\x01\x02\x03\x04", "proto: wrong wireType = 5 for field LabelsRefs"),
        (b"\x2a\x02\x10\x05", "proto: wrong wireType = 0 for field Samples"),
        (b"\x2a\x04\x12\x02\x08\x05", "proto: wrong wireType = 0 for field Value"),
        (b"\x2a\x05\x12\x03\x1a\x01\x05", "proto: wrong wireType = 2 for field StartTimestamp"),
        (b"\x2a\x02\x18\x05", "proto: wrong wireType = 0 for field Histograms"),
        (b"\x2a\x02\x20\x05", "proto: wrong wireType = 0 for field Exemplars"),
        (b"\x2a\x02\x28\x05", "proto: wrong wireType = 0 for field Metadata"),
        (b"\x2a\x05\x2a\x03\x1a\x01\x05", "proto: wrong wireType = 2 for field HelpRef"),
        (b"\x0c", "proto: Request: wiretype end group for non-group"),
        (b"\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "proto: negative length found during unmarshaling"),
    ] {
        let response = send_bytes(&receiver().0, bytes);
        assert_eq!(shown(&response), format!("400 {expected}"), "{bytes:x?}");
        assert_eq!(written(&response), (0, 0, 0));
    }
}

/// Numbers of symbols may come one by one, in several pieces, and before the table; fields of protocol 1.0 mean nothing.
#[test]
fn rare_shapes_are_read_alike() {
    let (receiver, double, _) = receiver();
    let table = b"\x22\x00\x22\x08__name__\x22\x01a\x22\x01x\x22\x01y";
    let series = b"\x2a\x0e\x08\x01\x08\x02\x12\x02\x10\x05\x0a\x02\x03\x04\x30\x01";
    let first = b"\x0a\x02\x08\x05";
    for message in [[&series[..], table].concat(), [&first[..], table, series].concat()] {
        assert_eq!(shown(&send_bytes(&receiver, &message)), "204");
        assert_eq!(double.take(), [r#"{__name__="a", x="y"} 0@5"#]);
    }
    assert_eq!(double.0.lock().resolved, 1);
}
