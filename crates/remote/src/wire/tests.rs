//! The hand-written message against prost's reading of it.

use narthex_model::{CounterResetHint, FloatHistogram, Histogram, Metadata, MetricType, Span};
use proptest::prelude::*;
use prost::Message as _;

use super::*;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) metadata: Vec<MetricMetadata>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) exemplars: Vec<Exemplar>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) histograms: Vec<WireHistogram>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Label {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Sample {
    #[prost(double, tag = "1")]
    pub(crate) value: f64,
    #[prost(int64, tag = "2")]
    pub(crate) timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<Label>,
    #[prost(double, tag = "2")]
    pub(crate) value: f64,
    #[prost(int64, tag = "3")]
    pub(crate) timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WireSpan {
    #[prost(sint32, tag = "1")]
    pub(crate) offset: i32,
    #[prost(uint32, tag = "2")]
    pub(crate) length: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WireHistogram {
    #[prost(oneof = "Count", tags = "1, 2")]
    pub(crate) count: Option<Count>,
    #[prost(double, tag = "3")]
    pub(crate) sum: f64,
    #[prost(sint32, tag = "4")]
    pub(crate) schema: i32,
    #[prost(double, tag = "5")]
    pub(crate) zero_threshold: f64,
    #[prost(oneof = "ZeroCount", tags = "6, 7")]
    pub(crate) zero_count: Option<ZeroCount>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) negative_spans: Vec<WireSpan>,
    #[prost(sint64, repeated, tag = "9")]
    pub(crate) negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    pub(crate) negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) positive_spans: Vec<WireSpan>,
    #[prost(sint64, repeated, tag = "12")]
    pub(crate) positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    pub(crate) positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    pub(crate) reset_hint: i32,
    #[prost(int64, tag = "15")]
    pub(crate) timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    pub(crate) custom_values: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum Count {
    #[prost(uint64, tag = "1")]
    Int(u64),
    #[prost(double, tag = "2")]
    Float(f64),
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum ZeroCount {
    #[prost(uint64, tag = "6")]
    Int(u64),
    #[prost(double, tag = "7")]
    Float(f64),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MetricMetadata {
    #[prost(int32, tag = "1")]
    pub(crate) kind: i32,
    #[prost(string, tag = "2")]
    pub(crate) family: String,
    #[prost(string, tag = "4")]
    pub(crate) help: String,
    #[prost(string, tag = "5")]
    pub(crate) unit: String,
}

proptest! {
    #[test]
    fn series_read_back_as_written(
        pairs in prop::collection::vec(("[a-z]{0,200}", ".{0,60}"), 0..8),
        samples in prop::collection::vec((any::<i64>(), any::<u64>()), 0..20),
    ) {
        let mut encoded = Vec::new();
        pairs.iter().for_each(|(name, value)| put_label(&mut encoded, name, value));
        prop_assert!(labels(&encoded).eq(pairs.iter().map(|(n, v)| (&**n, &**v))));
        let mut out = Vec::new();
        put_series(&mut out, &encoded, &samples, |(t_ms, bits)| (*t_ms, f64::from_bits(*bits)));
        let request = WriteRequest::decode(&*out).unwrap();
        prop_assert_eq!(request.timeseries.len(), 1);
        let series = &request.timeseries[0];
        prop_assert!(series.labels.iter().map(|l| (&l.name, &l.value)).eq(pairs.iter().map(|(n, v)| (n, v))));
        let read: Vec<_> = series.samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect();
        prop_assert_eq!(read, samples);
    }
}

fn sample_histogram() -> Histogram {
    Histogram {
        counter_reset_hint: CounterResetHint::NotReset,
        schema: -4,
        zero_threshold: 0.5,
        zero_count: 7,
        count: 300,
        sum: -0.0,
        positive_spans: vec![Span { offset: -3, length: 2 }, Span { offset: 300, length: 1 }],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![5, -4, 1000],
        negative_buckets: vec![1],
        custom_values: vec![0.25, 1e9],
    }
}

fn read_member(member: &[u8], field: u8) -> TimeSeries {
    let mut label = Vec::new();
    put_label(&mut label, "__name__", "h");
    let mut out = Vec::new();
    put_series_member(&mut out, &label, field, member);
    let mut request = WriteRequest::decode(&*out).unwrap();
    assert_eq!(request.timeseries[0].labels.len(), 1);
    request.timeseries.remove(0)
}

#[test]
fn integer_histograms_read_back_as_written() {
    let h = sample_histogram();
    let mut member = Vec::new();
    put_histogram(&mut member, -5, &h);
    let read = read_member(&member, 4).histograms.remove(0);
    assert_eq!((read.count, read.zero_count), (Some(Count::Int(300)), Some(ZeroCount::Int(7))));
    assert_eq!((read.schema, read.zero_threshold, read.reset_hint, read.timestamp), (-4, 0.5, 2, -5));
    assert!(read.sum == 0.0 && read.sum.is_sign_negative());
    assert_eq!((read.positive_deltas, read.negative_deltas), (h.positive_buckets, h.negative_buckets));
    let spans: Vec<_> =
        read.positive_spans.iter().map(|s| Span { offset: s.offset, length: s.length }).collect();
    assert_eq!((spans, read.negative_spans.len()), (h.positive_spans, 1));
    assert_eq!(read.custom_values, h.custom_values);
}

#[test]
fn float_histograms_read_back_as_written() {
    let h: FloatHistogram = sample_histogram().to_float();
    let mut member = Vec::new();
    put_float_histogram(&mut member, 9, &h);
    let read = read_member(&member, 4).histograms.remove(0);
    assert_eq!((read.count, read.zero_count), (Some(Count::Float(300.0)), Some(ZeroCount::Float(7.0))));
    assert_eq!((read.positive_counts, read.negative_counts), (h.positive_buckets, h.negative_buckets));
    assert_eq!(read.timestamp, 9);
}

#[test]
fn exemplars_and_metadata_read_back_as_written() {
    let mut trace = Vec::new();
    put_label(&mut trace, "trace_id", "abc");
    let mut member = Vec::new();
    put_exemplar(&mut member, &trace, 1.5, 77);
    let read = read_member(&member, 3).exemplars.remove(0);
    assert_eq!((read.value, read.timestamp, &*read.labels[0].value), (1.5, 77, "abc"));

    let mut out = Vec::new();
    let metadata = Metadata { kind: MetricType::Counter, unit: "bytes".into(), help: "Help.".into() };
    put_metadata(&mut out, "a_total", &metadata);
    let read = WriteRequest::decode(&*out).unwrap().metadata.remove(0);
    assert_eq!((read.kind, &*read.family, &*read.help, &*read.unit), (1, "a_total", "Help.", "bytes"));
}
