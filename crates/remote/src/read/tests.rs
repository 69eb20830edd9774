//! Both halves of remote read: against prost and a slow reader of frames, against each other, against a real Prometheus.

mod client;
mod hostile;
mod peer;
mod server;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use narthex_chunks::{ChunkValue, for_each};
use narthex_metrics::Registry;
use narthex_model::{FloatHistogram, Histogram, Labels, STALE_NAN, Span};
use narthex_storage::{Appendable as _, HistogramRef};
use narthex_tsdb::{Db, DbOptions};
use prost::Message as _;

use super::*;
use crate::wire::tests::{Label, TimeSeries, WireHistogram};

#[derive(Clone, PartialEq, prost::Message)]
struct WireRequest {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<WireQuery>,
    #[prost(int32, repeated, tag = "2")]
    accepted: Vec<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireQuery {
    #[prost(int64, tag = "1")]
    start_ms: i64,
    #[prost(int64, tag = "2")]
    end_ms: i64,
    #[prost(message, repeated, tag = "3")]
    matchers: Vec<WireMatcher>,
    #[prost(message, optional, tag = "4")]
    hints: Option<WireHints>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireMatcher {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireHints {
    #[prost(int64, tag = "1")]
    step_ms: i64,
    #[prost(string, tag = "2")]
    func: String,
    #[prost(int64, tag = "3")]
    start_ms: i64,
    #[prost(int64, tag = "4")]
    end_ms: i64,
    #[prost(string, repeated, tag = "5")]
    grouping: Vec<String>,
    #[prost(bool, tag = "6")]
    by: bool,
    #[prost(int64, tag = "7")]
    range_ms: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireResponse {
    #[prost(message, repeated, tag = "1")]
    results: Vec<WireResult>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireResult {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireFrame {
    #[prost(message, repeated, tag = "1")]
    series: Vec<WireChunkedSeries>,
    #[prost(int64, tag = "2")]
    query: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireChunkedSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    chunks: Vec<WireChunk>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireChunk {
    #[prost(int64, tag = "1")]
    min_ms: i64,
    #[prost(int64, tag = "2")]
    max_ms: i64,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(bytes = "vec", tag = "4")]
    data: Vec<u8>,
}

const SAMPLES: i32 = 0;
const CHUNKS: i32 = 1;
const LIMITS: ReadOptions =
    ReadOptions { max_samples: 50_000_000, max_concurrent: 10, max_frame_bytes: 1 << 20 };

fn matcher(kind: i32, name: &str, value: &str) -> WireMatcher {
    WireMatcher { kind, name: name.to_owned(), value: value.to_owned() }
}

/// Everything that has a name.
fn query((start_ms, end_ms): (i64, i64)) -> WireQuery {
    WireQuery { start_ms, end_ms, matchers: vec![matcher(1, "__name__", "")], hints: None }
}

fn body(queries: Vec<WireQuery>, accepted: &[i32]) -> Vec<u8> {
    snappy(&WireRequest { queries, accepted: accepted.to_vec() }.encode_to_vec())
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

/// The answer, and the bytes of all frames.
fn ask(server: &ReadServer, body: &[u8]) -> (Answer, Vec<u8>) {
    let mut frames = Vec::new();
    let answer = server.read(body, &mut |frame: Bytes| {
        frames.extend_from_slice(&frame);
        true
    });
    (answer, frames)
}

/// A sample without regard to how it came: its kind and value as text.
type Plain = BTreeMap<String, BTreeMap<i64, String>>;

fn float_text(value: f64) -> String {
    format!("{:x}", value.to_bits())
}

/// Counter-reset hints are left out: they depend on how samples lie in chunks.
fn int_text(h: &Histogram) -> String {
    let buckets = (&h.positive_spans, &h.positive_buckets, &h.negative_spans, &h.negative_buckets);
    format!("int {} {} {} {:x} {buckets:?}", h.schema, h.count, h.zero_count, h.sum.to_bits())
}

fn float_histogram_text(h: &FloatHistogram) -> String {
    let buckets = (&h.positive_spans, &h.positive_buckets, &h.negative_spans, &h.negative_buckets);
    format!("float {} {} {} {:x} {buckets:?}", h.schema, h.count, h.zero_count, h.sum.to_bits())
}

fn value_text(value: ChunkValue<'_>) -> String {
    match value {
        ChunkValue::Float(value) => float_text(value),
        ChunkValue::Histogram(histogram) => int_text(histogram),
        ChunkValue::FloatHistogram(histogram) => float_histogram_text(histogram),
    }
}

fn labels_text(labels: &[Label]) -> String {
    Labels::from_pairs(labels.iter().map(|label| (&label.name, &label.value))).to_string()
}

/// Reads the only result of a message with samples, by prost.
fn plain_samples(message: &[u8]) -> Plain {
    let message = snap::raw::Decoder::new().decompress_vec(message).unwrap();
    let mut response = WireResponse::decode(&*message).unwrap();
    assert_eq!(response.results.len(), 1);
    let mut plain = Plain::new();
    for series in response.results.remove(0).timeseries {
        let samples = plain.entry(labels_text(&series.labels)).or_default();
        samples.extend(series.samples.iter().map(|sample| (sample.timestamp, float_text(sample.value))));
        for histogram in &series.histograms {
            samples.insert(histogram.timestamp, wire_text(histogram));
        }
    }
    plain
}

fn wire_text(wire: &WireHistogram) -> String {
    use crate::receive::histogram::{Either, HistogramFields};
    let (bytes, mut fields) = (wire.encode_to_vec(), HistogramFields::default());
    fields.read(&bytes, 0..bytes.len()).unwrap();
    match fields.into_histogram() {
        Either::Int(histogram) => int_text(&histogram),
        Either::Float(histogram) => float_histogram_text(&histogram),
    }
}

/// The frames of a stream, read slowly: bit by bit checksums, messages by prost.
fn slow_frames(mut stream: &[u8]) -> Vec<WireFrame> {
    let mut frames = Vec::new();
    while !stream.is_empty() {
        let len = prost::encoding::decode_varint(&mut stream).unwrap() as usize;
        let (checksum, rest) = stream.split_first_chunk::<4>().unwrap();
        let (message, rest) = rest.split_at(len);
        let mut crc = !0u32;
        for byte in message {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            }
        }
        assert_eq!(u32::from_be_bytes(*checksum), !crc);
        frames.push(WireFrame::decode(message).unwrap());
        stream = rest;
    }
    frames
}

/// The samples of a stream; chunks of a series must not overlap.
fn plain_chunks(stream: &[u8]) -> Plain {
    let mut plain = Plain::new();
    for frame in slow_frames(stream) {
        for series in &frame.series {
            let samples = plain.entry(labels_text(&series.labels)).or_default();
            for chunk in &series.chunks {
                let before = samples.len();
                let encoding = u8::try_from(chunk.kind).unwrap().try_into().unwrap();
                assert!(samples.last_key_value().is_none_or(|(last, _)| *last < chunk.min_ms));
                for_each(encoding, &chunk.data, (i64::MIN, i64::MAX), |sample| {
                    samples.insert(sample.t_ms, value_text(sample.value));
                })
                .unwrap();
                let times: Vec<i64> = samples.keys().skip(before).copied().collect();
                assert_eq!((times[0], times[times.len() - 1]), (chunk.min_ms, chunk.max_ms));
            }
        }
    }
    plain
}

fn histogram(count: u64) -> Histogram {
    Histogram {
        schema: 1,
        count,
        sum: count as f64,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![count as i64],
        ..Histogram::default()
    }
}

/// A database with floats, stale markers, both kinds of histograms, and late samples among them; and what is in it.
fn database(dir: &Path, seed: u64) -> (Arc<Db>, Plain) {
    let mut options = DbOptions::default();
    options.runtime.out_of_order_window_ms = 3_600_000;
    let db = Db::open(dir, options, &Registry::new()).unwrap();
    let (mut random, mut plain) = (fastrand::Rng::with_seed(seed), Plain::new());
    for number in 0..6 {
        let labels = Labels::from_pairs([("__name__", "m"), ("number", &number.to_string()), ("job", "x")]);
        let samples = plain.entry(labels.to_string()).or_default();
        let mut times: Vec<i64> = (1..random.i64(2..400)).map(|at| 1_000_000 + at * 1000).collect();
        let late: Vec<i64> = times.extract_if(.., |_| number % 2 == 1 && random.u8(..) < 30).collect();
        let mut count = 0;
        for t_ms in times.into_iter().chain(late) {
            let mut appender = db.appender();
            let series = appender.resolve(&labels).unwrap();
            count += random.u64(0..3);
            match (number / 2, random.u8(0..10)) {
                (0, 0) | (_, 1) => {
                    let value = if number == 0 { STALE_NAN } else { count as f64 };
                    appender.append(series, t_ms, value).unwrap();
                    samples.insert(t_ms, float_text(value));
                }
                (0, _) => {
                    appender.append(series, t_ms, count as f64 / 3.0).unwrap();
                    samples.insert(t_ms, float_text(count as f64 / 3.0));
                }
                (1, _) => {
                    let histogram = histogram(count);
                    appender.append_histogram(series, t_ms, HistogramRef::Int(&histogram)).unwrap();
                    samples.insert(t_ms, int_text(&histogram));
                }
                _ => {
                    let histogram = histogram(count).to_float();
                    appender.append_histogram(series, t_ms, HistogramRef::Float(&histogram)).unwrap();
                    samples.insert(t_ms, float_histogram_text(&histogram));
                }
            }
            appender.commit().unwrap();
        }
    }
    (db, plain)
}

fn within(plain: &Plain, (start_ms, end_ms): (i64, i64)) -> Plain {
    let cut = |samples: &BTreeMap<i64, String>| -> BTreeMap<i64, String> {
        if start_ms > end_ms {
            BTreeMap::new()
        } else {
            samples.range(start_ms..=end_ms).map(|(t, v)| (*t, v.clone())).collect()
        }
    };
    let cut = plain.iter().map(|(labels, samples)| (labels.clone(), cut(samples)));
    cut.filter(|(_, samples)| !samples.is_empty()).collect()
}

/// The samples of an answer as the client keeps it.
fn plain_received(received: &super::answer::Received) -> Plain {
    let mut plain = Plain::new();
    for at in 0..received.len() {
        let samples = plain.entry(received.labels(at).to_string()).or_default();
        for chunk in received.chunks(at, (i64::MIN, i64::MAX)) {
            for_each(chunk.encoding.try_into().unwrap(), &chunk.bytes, (i64::MIN, i64::MAX), |sample| {
                assert!(samples.insert(sample.t_ms, value_text(sample.value)).is_none());
            })
            .unwrap();
        }
    }
    plain
}
