//! The messages of protocol 2.0 as prost knows them: the plain twin of the reading by hand, and the tests' encoder.

use crate::wire::tests::{Count, WireSpan, ZeroCount};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Request {
    #[prost(string, repeated, tag = "4")]
    pub(super) symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    pub(super) timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TimeSeries {
    #[prost(uint32, repeated, tag = "1")]
    pub(super) labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub(super) histograms: Vec<WireHistogram>,
    #[prost(message, repeated, tag = "4")]
    pub(super) exemplars: Vec<Exemplar>,
    #[prost(message, optional, tag = "5")]
    pub(super) metadata: Option<Metadata>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Sample {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    #[prost(int64, tag = "2")]
    pub(super) timestamp: i64,
    #[prost(int64, tag = "3")]
    pub(super) start_timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Exemplar {
    #[prost(uint32, repeated, tag = "1")]
    pub(super) labels_refs: Vec<u32>,
    #[prost(double, tag = "2")]
    pub(super) value: f64,
    #[prost(int64, tag = "3")]
    pub(super) timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Metadata {
    #[prost(int32, tag = "1")]
    pub(super) kind: i32,
    #[prost(uint32, tag = "3")]
    pub(super) help_ref: u32,
    #[prost(uint32, tag = "4")]
    pub(super) unit_ref: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WireHistogram {
    #[prost(oneof = "Count", tags = "1, 2")]
    pub(super) count: Option<Count>,
    #[prost(double, tag = "3")]
    pub(super) sum: f64,
    #[prost(sint32, tag = "4")]
    pub(super) schema: i32,
    #[prost(double, tag = "5")]
    pub(super) zero_threshold: f64,
    #[prost(oneof = "ZeroCount", tags = "6, 7")]
    pub(super) zero_count: Option<ZeroCount>,
    #[prost(message, repeated, tag = "8")]
    pub(super) negative_spans: Vec<WireSpan>,
    #[prost(sint64, repeated, tag = "9")]
    pub(super) negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    pub(super) negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    pub(super) positive_spans: Vec<WireSpan>,
    #[prost(sint64, repeated, tag = "12")]
    pub(super) positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    pub(super) positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    pub(super) reset_hint: i32,
    #[prost(int64, tag = "15")]
    pub(super) timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    pub(super) custom_values: Vec<f64>,
    #[prost(int64, tag = "17")]
    pub(super) start_timestamp: i64,
}
