//! Native histograms as a target exposes them: the protobuf form, as far as the loss tests need it.
//!
//! Facts: Prometheus `client_model`, `io/prometheus/client/metrics.proto`.

use prost::Message;

/// The content type of [`families`].
pub(crate) const CONTENT_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
const HISTOGRAM: i32 = 4;

/// One family of histograms, whose counts and sums are `scrape`.
pub(crate) fn families(series: u64, scrape: u64) -> Vec<u8> {
    let metric = |n: u64| Metric {
        label: vec![Label { name: "n".to_owned(), value: n.to_string() }],
        histogram: Some(Histogram {
            sample_count: scrape,
            sample_sum: scrape as f64,
            schema: 3,
            zero_threshold: 1e-9,
            zero_count: 0,
            positive_span: vec![Span { offset: (n % 5) as i32, length: 1 }],
            positive_delta: vec![scrape as i64],
        }),
    };
    let family = Family {
        name: "loss_histogram".to_owned(),
        kind: HISTOGRAM,
        metric: (0..series).map(metric).collect(),
    };
    family.encode_length_delimited_to_vec()
}

#[derive(Clone, PartialEq, Message)]
struct Family {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<Label>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    sample_count: u64,
    #[prost(double, tag = "2")]
    sample_sum: f64,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<Span>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}
