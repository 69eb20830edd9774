//! The hand-written reading against prost's, over good, cut and flipped bytes, and its error texts.

use std::sync::Arc;

use narthex_metrics::Registry;
use prost::Message as _;

use super::super::histogram::{Either, HistogramFields};
use super::super::label_set::read_labels;
use super::super::message::Message;
use super::super::reduce::reduce_resolution;
use super::super::wire::Reader;
use super::double::Double;
use super::*;
use crate::wire::tests::{MetricMetadata, WireSpan, ZeroCount};

fn random_request(random: &mut fastrand::Rng) -> WriteRequest {
    let timeseries = (0..random.usize(0..5)).map(|_| random_series(random)).collect();
    let metadata = (0..random.usize(0..2))
        .map(|_| MetricMetadata { family: "f".to_owned(), ..MetricMetadata::default() })
        .collect();
    WriteRequest { timeseries, metadata }
}

fn random_series(random: &mut fastrand::Rng) -> TimeSeries {
    let texts =
        ["", "__name__", "job", "é", "a long value that does not fit into one short length, for sure not"];
    let text = |random: &mut fastrand::Rng| texts[random.usize(..texts.len())].to_owned();
    let labels = |random: &mut fastrand::Rng| {
        (0..random.usize(0..4)).map(|_| Label { name: text(random), value: text(random) }).collect()
    };
    TimeSeries {
        labels: labels(random),
        samples: (0..random.usize(0..3))
            .map(|_| Sample { value: random.f64(), timestamp: random.i64(..) })
            .collect(),
        exemplars: (0..random.usize(0..2))
            .map(|_| Exemplar { labels: labels(random), value: 1.5, timestamp: random.i64(..) })
            .collect(),
        histograms: (0..random.usize(0..2)).map(|_| random_histogram(random)).collect(),
    }
}

fn random_histogram(random: &mut fastrand::Rng) -> WireHistogram {
    let spans = |random: &mut fastrand::Rng| {
        (0..random.usize(0..3))
            .map(|_| WireSpan { offset: random.i32(-9..9), length: random.u32(..4) })
            .collect()
    };
    let deltas = |random: &mut fastrand::Rng| (0..random.usize(0..4)).map(|_| random.i64(..)).collect();
    let counts = |random: &mut fastrand::Rng| (0..random.usize(0..4)).map(|_| random.f64()).collect();
    let is_float = random.bool();
    WireHistogram {
        count: Some(if is_float { Count::Float(random.f64()) } else { Count::Int(random.u64(..)) }),
        zero_count: Some(if is_float { ZeroCount::Float(0.5) } else { ZeroCount::Int(random.u64(..)) }),
        sum: random.f64(),
        schema: random.i32(..),
        zero_threshold: 0.25,
        negative_spans: spans(random),
        negative_deltas: deltas(random),
        negative_counts: counts(random),
        positive_spans: spans(random),
        positive_deltas: deltas(random),
        positive_counts: counts(random),
        reset_hint: random.i32(0..5),
        timestamp: random.i64(..),
        custom_values: counts(random),
    }
}

/// Compares everything that was read with what prost read.
#[track_caller]
fn check_same(bytes: &[u8], oracle: &WriteRequest) {
    let mut message = Message::default();
    message.read(bytes).expect("what prost reads");
    assert_eq!(message.series.len(), oracle.timeseries.len());
    let samples: Vec<_> = message.samples.iter().map(|s| (s.t_ms, s.value.to_bits())).collect();
    let all = oracle.timeseries.iter().flat_map(|s| &s.samples);
    assert_eq!(samples, all.map(|s| (s.timestamp, s.value.to_bits())).collect::<Vec<_>>());
    let mut ends = (0, 0, 0);
    for (got, expected) in message.series.iter().zip(&oracle.timeseries) {
        ends.0 += expected.samples.len();
        ends.1 += expected.exemplars.len();
        ends.2 += expected.histograms.len();
        let found = (got.samples_end as usize, got.exemplars_end as usize, got.histograms_end as usize);
        assert_eq!(found, ends);
        check_labels(bytes, got.labels.range(), &expected.labels);
    }
    let all = oracle.timeseries.iter().flat_map(|s| &s.histograms);
    for (place, expected) in message.histograms.iter().zip(all) {
        check_histogram(bytes, place.range(), expected);
    }
}

#[track_caller]
fn check_labels(bytes: &[u8], range: std::ops::Range<usize>, expected: &[Label]) {
    let mut pairs: Vec<_> = expected.iter().map(|l| (l.name.as_str(), l.value.as_str())).collect();
    pairs.sort_by_key(|pair| pair.0);
    let named = pairs.iter().any(|(n, v)| *n == "__name__" && !v.is_empty());
    let fit = named && pairs.iter().all(|(n, _)| !n.is_empty()) && pairs.windows(2).all(|w| w[0].0 != w[1].0);
    match read_labels(Reader::new(bytes, range)).expect("what prost reads") {
        Ok(labels) => {
            assert!(fit, "{labels} from {expected:?}");
            assert!(labels.iter().eq(pairs.into_iter().filter(|(_, v)| !v.is_empty())));
        }
        Err(unfit) => assert!(!fit, "{unfit} from {expected:?}"),
    }
}

#[track_caller]
fn check_histogram(bytes: &[u8], range: std::ops::Range<usize>, expected: &WireHistogram) {
    let mut fields = HistogramFields::default();
    fields.read(bytes, range).expect("what prost reads");
    assert_eq!(fields.t_ms, expected.timestamp);
    match (fields.into_histogram(), expected.count) {
        (Either::Int(h), None | Some(Count::Int(_))) => {
            assert_eq!(h.schema, expected.schema);
            assert_eq!(
                (&h.positive_buckets, &h.negative_buckets),
                (&expected.positive_deltas, &expected.negative_deltas)
            );
            assert_eq!(h.positive_spans.len(), expected.positive_spans.len());
        }
        (Either::Float(h), Some(Count::Float(count))) => {
            assert_eq!(h.count.to_bits(), count.to_bits());
            let bits = |counts: &[f64]| counts.iter().map(|c| c.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&h.positive_buckets), bits(&expected.positive_counts));
            assert_eq!(bits(&h.negative_buckets), bits(&expected.negative_counts));
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
    let receiver = Receiver::new(Arc::new(Double::default()), ReceiveOptions::default(), &Registry::new());
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
        assert!([204, 400, 500].contains(&response.status.as_u16()), "{response:?}");
        // Prost refuses text that is not UTF-8 and large field numbers, so it may refuse more, never less.
        if let (Ok(oracle), Ok(())) = (WriteRequest::decode(&bytes[..]), Message::default().read(&bytes)) {
            check_same_unless_merged(&bytes, &oracle);
        }
    }
}

/// Scattered labels and one-by-one numbers are rare shapes that [`check_same`] also understands.
#[track_caller]
fn check_same_unless_merged(bytes: &[u8], oracle: &WriteRequest) {
    let labels_are_read = |s: &TimeSeries| s.labels.iter().all(|l| l.name.is_ascii() || l.name == "é");
    if oracle.timeseries.iter().all(labels_are_read) {
        check_same(bytes, oracle);
    }
}

#[test]
fn errors_have_the_words_of_prometheus() {
    for (bytes, expected) in [
        (&b"\x0a\x05\x0a"[..], "unexpected EOF"),
        (b"\x08\x05", "proto: wrong wireType = 0 for field Timeseries"),
        (b"\x0a\x02\x08\x05", "proto: wrong wireType = 0 for field Labels"),
        (b"\x0a\x04\x0a\x02\x08\x05", "proto: wrong wireType = 0 for field Name"),
        (b"\x0a\x04\x12\x02\x08\x05", "proto: wrong wireType = 0 for field Value"),
        (b"\x0c", "proto: WriteRequest: wiretype end group for non-group"),
        (b"\x02\x00", "proto: WriteRequest: illegal tag 0 (wire type 2)"),
        (b"\x2f", "proto: illegal wireType 7"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "proto: integer overflow"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "proto: negative length found during unmarshaling"),
    ] {
        let receiver =
            Receiver::new(Arc::new(Double::default()), ReceiveOptions::default(), &Registry::new());
        assert_eq!(shown(&send_bytes(&receiver, bytes)), format!("400 {expected}"), "{bytes:x?}");
    }
}

#[test]
fn unknown_fields_and_groups_are_passed_over() {
    let mut message = Message::default();
    let deep = [vec![0x2b; 10_000], vec![0x2c; 10_000]].concat();
    for bytes in [&b"\x2b\x08\x01\x2c"[..], b"\x28\x01", b"\x29abcdefgh", b"\x2d1234", b"\x2a\x02ab", &deep] {
        message.read(bytes).expect("well formed");
    }
    assert!(message.read(&deep[..15_000]).is_err());
}

#[test]
fn a_finer_histogram_is_reduced_by_adding_buckets_that_share_a_coarser_one() {
    use narthex_model::{Histogram, Span};
    let fine = Histogram {
        schema: 9,
        count: 15,
        // Buckets 1, 2, 3 and 7 lie in buckets 1, 1, 2 and 4 of schema 8.
        positive_spans: vec![Span { offset: 1, length: 3 }, Span { offset: 3, length: 1 }],
        positive_buckets: vec![1, 1, 1, 6],
        ..Histogram::default()
    };
    let Ok(Either::Int(coarse)) = reduce_resolution(Either::Int(fine.clone())) else { panic!("it fits") };
    assert_eq!(coarse.schema, 8);
    assert_eq!(coarse.positive_spans, [Span { offset: 1, length: 2 }, Span { offset: 1, length: 1 }]);
    assert_eq!(coarse.positive_buckets, [3, 0, 6]);
    let lacking = Histogram { positive_buckets: vec![1], ..fine };
    let error = reduce_resolution(Either::Int(lacking)).expect_err("three buckets are missing");
    assert_eq!(
        error,
        "have 1 buckets but spans need more: histogram spans specify different number of buckets than provided"
    );
}
