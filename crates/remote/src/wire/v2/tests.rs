//! The request written by hand against prost's reading of it.

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, Metadata, MetricType, Span};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::receive::v2::tests::wire as twin;
use crate::wire::tests::Count;
use crate::wire::{put_exemplar, put_float_histogram, put_histogram, put_label};

type Pairs = Vec<(String, String)>;

fn encoded(labels: &Pairs) -> Vec<u8> {
    let mut out = Vec::new();
    labels.iter().for_each(|(name, value)| put_label(&mut out, name, value));
    out
}

fn decoded(request: &Request) -> twin::Request {
    let mut out = Vec::new();
    request.put(&mut out);
    twin::Request::decode(&*out).unwrap()
}

fn pairs(request: &twin::Request, refs: &[u32]) -> Pairs {
    let text = |number: u32| request.symbols[number as usize].clone();
    refs.chunks(2).map(|pair| (text(pair[0]), text(pair[1]))).collect()
}

fn labels() -> impl Strategy<Value = Pairs> {
    prop::collection::vec(("[a-c]{0,2}", "[a-cä]{0,200}"), 0..6)
}

type Series = (Pairs, Vec<(i64, u64, i64)>, Vec<(Pairs, u64, i64)>);

fn series() -> impl Strategy<Value = Series> {
    let samples =
        prop::collection::vec((any::<i64>(), any::<u64>(), prop_oneof![Just(0), any::<i64>()]), 0..5);
    let exemplars = prop::collection::vec((labels(), any::<u64>(), any::<i64>()), 0..3);
    (labels(), samples, exemplars)
}

proptest! {
    #[test]
    fn a_request_reads_as_it_was_written_and_its_buffers_serve_the_next(
        requests in prop::collection::vec(prop::collection::vec(series(), 0..6), 1..3),
    ) {
        let mut request = Request::default();
        for series in &requests {
            request.clear();
            for (labels, samples, exemplars) in series {
                request.begin(&encoded(labels));
                for (t_ms, bits, start_ms) in samples {
                    request.sample(*t_ms, f64::from_bits(*bits), *start_ms);
                }
                for (labels, bits, t_ms) in exemplars {
                    let mut fields = Vec::new();
                    put_exemplar(&mut fields, &encoded(labels), f64::from_bits(*bits), *t_ms);
                    request.exemplar(&fields);
                }
                request.end();
            }
            let read = decoded(&request);
            prop_assert_eq!(&read.symbols[0], "");
            let mut unique = read.symbols.clone();
            unique.sort();
            unique.dedup();
            prop_assert_eq!(unique.len(), read.symbols.len());
            prop_assert_eq!(read.timeseries.len(), series.len());
            for (found, (labels, samples, exemplars)) in read.timeseries.iter().zip(series) {
                prop_assert_eq!(&pairs(&read, &found.labels_refs), labels);
                let all: Vec<_> =
                    found.samples.iter().map(|s| (s.timestamp, s.value.to_bits(), s.start_timestamp)).collect();
                prop_assert_eq!(&all, samples);
                let of = |e: &twin::Exemplar| (pairs(&read, &e.labels_refs), e.value.to_bits(), e.timestamp);
                prop_assert_eq!(&found.exemplars.iter().map(of).collect::<Vec<_>>(), exemplars);
            }
        }
    }
}

#[test]
fn histograms_and_metadata_read_as_they_were_written() {
    let spans = vec![Span { offset: -3, length: 2 }];
    let custom = Histogram {
        count: 7,
        schema: CUSTOM_BUCKETS_SCHEMA,
        positive_spans: spans.clone(),
        positive_buckets: vec![3, 1],
        custom_values: vec![0.5, 2.0],
        ..Histogram::default()
    };
    let float = FloatHistogram {
        count: 2.5,
        positive_spans: spans,
        positive_buckets: vec![1.0, 1.5],
        ..Default::default()
    };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    put_histogram(&mut first, 1000, &custom);
    put_float_histogram(&mut second, 2000, &float);
    let mut request = Request::default();
    request.clear();
    request.begin(&encoded(&vec![("a".into(), "b".into())]));
    request.histogram(&first, 0);
    request.histogram(&second, 1500);
    let about = Metadata { kind: MetricType::GaugeHistogram, help: "a".into(), unit: String::new() };
    request.metadata(Some(&about));
    request.end();
    let read = decoded(&request);
    let series = &read.timeseries[0];
    let [first, second] = &series.histograms[..] else { panic!("{series:?}") };
    assert_eq!((first.count, first.timestamp, first.start_timestamp), (Some(Count::Int(7)), 1000, 0));
    assert_eq!(
        (first.schema, &*first.custom_values, &*first.positive_deltas),
        (-53, &[0.5, 2.0][..], &[3, 1][..])
    );
    assert_eq!(
        (second.count, second.timestamp, second.start_timestamp),
        (Some(Count::Float(2.5)), 2000, 1500)
    );
    assert_eq!(second.positive_counts, [1.0, 1.5]);
    assert_eq!(series.metadata, Some(twin::Metadata { kind: 4, help_ref: 1, unit_ref: 0 }));
}
