//! The protobuf message `prometheus.WriteRequest` of remote write 1.0, written by hand; that of 2.0 is in `v2`.
//!
//! Holds: one function per message, each appending to the caller's buffer. A series' labels are encoded once, when the series is
//! first seen, and copied from then on. Must not know: queues, HTTP, compression.
//! Always true: fields stand in the order of their numbers, values are written even when zero (so `-0` survives).
//! Facts: `prompb/types.proto`, `prompb/remote.proto`, the remote write 1.0 specification. Oracle of the tests: prost.

pub(crate) mod v2;

use narthex_model::{CounterResetHint, FloatHistogram, Histogram, Metadata, MetricType, Span};

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
pub(crate) const BYTES: u8 = 2;

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes of a varint.
#[inline]
pub(crate) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// A field's number and wire type; numbers above 15 take two bytes.
pub(crate) fn put_key(out: &mut Vec<u8>, field: u8, wire: u8) {
    put_varint(out, u64::from(field) << 3 | u64::from(wire));
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    put_key(out, field, BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_number(out: &mut Vec<u8>, field: u8, value: u64) {
    put_key(out, field, VARINT);
    put_varint(out, value);
}

pub(crate) fn put_double(out: &mut Vec<u8>, field: u8, value: f64) {
    put_key(out, field, FIXED64);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Appends one label as a field of `TimeSeries` or `Exemplar` (number 1 in both).
pub(crate) fn put_label(out: &mut Vec<u8>, name: &str, value: &str) {
    let field = |text: &str| 1 + varint_len(text.len() as u64) + text.len();
    put_key(out, 1, BYTES);
    put_varint(out, (field(name) + field(value)) as u64);
    put_bytes(out, 1, name.as_bytes());
    put_bytes(out, 2, value.as_bytes());
}

/// Walks the labels that [`put_label`] wrote; stops at the first byte that it did not.
pub(crate) fn labels(encoded: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    raw_labels(encoded)
        .map_while(|(name, value)| Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?)))
}

/// The same without a look at the texts.
pub(crate) fn raw_labels(encoded: &[u8]) -> RawLabels<'_> {
    RawLabels(encoded)
}

/// See [`raw_labels`].
pub(crate) struct RawLabels<'a>(&'a [u8]);

impl<'a> RawLabels<'a> {
    /// What was not walked yet.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for RawLabels<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut label = take_field(&mut self.0, 1)?;
        Some((take_field(&mut label, 1)?, take_field(&mut label, 2)?))
    }
}

fn take_field<'a>(bytes: &mut &'a [u8], field: u8) -> Option<&'a [u8]> {
    let (key, mut rest) = bytes.split_first()?;
    if *key != field << 3 | BYTES {
        return None;
    }
    let (mut len, mut shift) = (0usize, 0);
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        len |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if *byte < 0x80 {
            break;
        }
    }
    let (found, after) = rest.split_at_checked(len)?;
    *bytes = after;
    Some(found)
}

/// Key and length of a sample, key of its value, value, key of its timestamp: what stands before the timestamp.
const SAMPLE_HEAD: usize = 2 + 1 + 8 + 1;

/// Appends a `TimeSeries` with float samples in their order. `labels` is what [`put_label`] wrote.
/// Cost: the labels' bytes and about 10 ns a sample.
pub(crate) fn put_series<S>(
    out: &mut Vec<u8>,
    labels: &[u8],
    samples: &[S],
    sample: impl Fn(&S) -> (i64, f64),
) {
    let len = labels.len() + samples.iter().map(|s| sample_len(sample(s).0)).sum::<usize>();
    put_key(out, 1, BYTES);
    put_varint(out, len as u64);
    out.extend_from_slice(labels);
    for s in samples {
        let (t_ms, value) = sample(s);
        put_sample(out, t_ms, value);
    }
}

/// Appends one `Sample` as a field of `TimeSeries`.
#[inline]
pub(crate) fn put_sample(out: &mut Vec<u8>, t_ms: i64, value: f64) {
    out.extend_from_slice(&sample_head(t_ms, value));
    put_time(out, t_ms);
}

/// What stands before the timestamp of a sample.
#[inline]
pub(crate) fn sample_head(t_ms: i64, value: f64) -> [u8; SAMPLE_HEAD - 1] {
    let mut head = [0; SAMPLE_HEAD - 1];
    head[0] = 2 << 3 | BYTES;
    head[1] = (sample_len(t_ms) - 2) as u8;
    head[2] = 1 << 3 | FIXED64;
    head[3..].copy_from_slice(&value.to_bits().to_le_bytes());
    head
}

/// Bytes of a sample.
#[inline]
pub(crate) fn sample_len(t_ms: i64) -> usize {
    SAMPLE_HEAD - 1 + time_len(t_ms)
}

/// Appends the timestamp of a sample.
#[inline]
pub(crate) fn put_time(out: &mut Vec<u8>, t_ms: i64) {
    put_number(out, 2, t_ms as u64);
}

/// Bytes of the timestamp of a sample with its key.
#[inline]
pub(crate) fn time_len(t_ms: i64) -> usize {
    1 + varint_len(t_ms as u64)
}

/// Bytes of a text or message field with a key of one byte.
pub(crate) fn bytes_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// Appends a `TimeSeries` with one member that is already encoded: an exemplar (field 3) or a histogram (field 4).
pub(crate) fn put_series_member(out: &mut Vec<u8>, labels: &[u8], field: u8, member: &[u8]) {
    put_key(out, 1, BYTES);
    put_varint(out, (labels.len() + bytes_len(member.len())) as u64);
    out.extend_from_slice(labels);
    put_bytes(out, field, member);
}

/// Appends the fields of an `Exemplar`.
pub(crate) fn put_exemplar(out: &mut Vec<u8>, labels: &[u8], value: f64, t_ms: i64) {
    out.extend_from_slice(labels);
    put_double(out, 2, value);
    put_number(out, 3, t_ms as u64);
}

/// Appends the fields of a `Histogram` with integer counts.
pub(crate) fn put_histogram(out: &mut Vec<u8>, t_ms: i64, h: &Histogram) {
    put_number(out, 1, h.count);
    put_double(out, 3, h.sum);
    put_number(out, 4, zigzag(i64::from(h.schema)));
    put_double(out, 5, h.zero_threshold);
    put_number(out, 6, h.zero_count);
    put_spans(out, 8, &h.negative_spans);
    put_deltas(out, 9, &h.negative_buckets);
    put_spans(out, 11, &h.positive_spans);
    put_deltas(out, 12, &h.positive_buckets);
    put_histogram_end(out, t_ms, h.counter_reset_hint, &h.custom_values);
}

/// Appends the fields of a `Histogram` with float counts.
pub(crate) fn put_float_histogram(out: &mut Vec<u8>, t_ms: i64, h: &FloatHistogram) {
    put_double(out, 2, h.count);
    put_double(out, 3, h.sum);
    put_number(out, 4, zigzag(i64::from(h.schema)));
    put_double(out, 5, h.zero_threshold);
    put_double(out, 7, h.zero_count);
    put_spans(out, 8, &h.negative_spans);
    put_doubles(out, 10, &h.negative_buckets);
    put_spans(out, 11, &h.positive_spans);
    put_doubles(out, 13, &h.positive_buckets);
    put_histogram_end(out, t_ms, h.counter_reset_hint, &h.custom_values);
}

fn put_histogram_end(out: &mut Vec<u8>, t_ms: i64, hint: CounterResetHint, custom_values: &[f64]) {
    let hint = match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    };
    put_number(out, 14, hint);
    put_number(out, 15, t_ms as u64);
    put_doubles(out, 16, custom_values);
}

fn put_spans(out: &mut Vec<u8>, field: u8, spans: &[Span]) {
    let mut span_bytes = Vec::new();
    for span in spans {
        span_bytes.clear();
        put_number(&mut span_bytes, 1, zigzag(i64::from(span.offset)));
        put_number(&mut span_bytes, 2, u64::from(span.length));
        put_bytes(out, field, &span_bytes);
    }
}

fn put_deltas(out: &mut Vec<u8>, field: u8, deltas: &[i64]) {
    if deltas.is_empty() {
        return;
    }
    put_key(out, field, BYTES);
    put_varint(out, deltas.iter().map(|delta| varint_len(zigzag(*delta))).sum::<usize>() as u64);
    deltas.iter().for_each(|delta| put_varint(out, zigzag(*delta)));
}

fn put_doubles(out: &mut Vec<u8>, field: u8, values: &[f64]) {
    if values.is_empty() {
        return;
    }
    put_key(out, field, BYTES);
    put_varint(out, values.len() as u64 * 8);
    values.iter().for_each(|value| out.extend_from_slice(&value.to_bits().to_le_bytes()));
}

/// Appends one `MetricMetadata` of the request.
pub(crate) fn put_metadata(out: &mut Vec<u8>, family: &str, metadata: &Metadata) {
    let mut fields = Vec::with_capacity(family.len() + metadata.help.len() + metadata.unit.len() + 16);
    put_number(&mut fields, 1, u64::from(metric_type(metadata.kind)));
    put_bytes(&mut fields, 2, family.as_bytes());
    put_bytes(&mut fields, 4, metadata.help.as_bytes());
    put_bytes(&mut fields, 5, metadata.unit.as_bytes());
    put_bytes(out, 3, &fields);
}

/// The number of a type; the same in 1.0 and 2.0.
fn metric_type(kind: MetricType) -> u8 {
    match kind {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::GaugeHistogram => 4,
        MetricType::Summary => 5,
        MetricType::Info => 6,
        MetricType::StateSet => 7,
    }
}

#[cfg(test)]
pub(crate) mod tests;
