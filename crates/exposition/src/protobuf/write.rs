//! Metric families as protobuf messages: what a registry gathered, and single samples of families.
//!
//! Facts: `io/prometheus/client/metrics.proto`; what Prometheus' `/metrics` answers to a client that asks for it: the bucket
//! without a bound is left out, label pairs are sorted.

use std::time::{SystemTime, UNIX_EPOCH};

use narthex_metrics::{Family, FamilyKind, Metric, NativeBuckets, SpannedBuckets, Value};
use narthex_model::{CUSTOM_BUCKETS_SCHEMA, EscapingScheme, FloatHistogram, MetricType, Span, escape_name};

use super::message::{Field, Sink, Words};

/// Adds a number, low groups of seven bits first.
pub(crate) fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Adds a field of bytes.
pub(crate) fn push_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    push_varint(out, u64::from(field) << 3 | 2);
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Adds a `LabelPair` as field 1.
pub(crate) fn push_label(out: &mut Vec<u8>, name: &str, value: &str) {
    let mut pair = Vec::with_capacity(name.len() + value.len() + 4);
    push_bytes(&mut pair, 1, name.as_bytes());
    push_bytes(&mut pair, 2, value.as_bytes());
    push_bytes(out, 1, &pair);
}

/// `MetricFamily`.
const NAME: Field = Field(1, "name");
const HELP: Field = Field(2, "help");
const TYPE: Field = Field(3, "type");
const METRIC: Field = Field(4, "metric");
/// `Metric`.
const LABEL: Field = Field(1, "label");
const GAUGE: Field = Field(2, "gauge");
const COUNTER: Field = Field(3, "counter");
const SUMMARY: Field = Field(4, "summary");
const UNTYPED: Field = Field(5, "untyped");
const TIMESTAMP: Field = Field(6, "timestamp_ms");
const HISTOGRAM: Field = Field(7, "histogram");
/// `Gauge`, `Counter`, `Untyped`; `LabelPair` has its own below.
const VALUE: Field = Field(1, "value");
/// `Summary` and `Histogram`.
const COUNT: Field = Field(1, "sample_count");
const SUM: Field = Field(2, "sample_sum");

/// Of `Counter`, `Summary` and `Histogram`, under the name that Prometheus 3.14 writes; newer ones say `start_timestamp`.
const CREATED: &str = "created_timestamp";

/// What a sample without a registry is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Measured<'a> {
    /// A float of unknown type.
    Untyped(f64),
    /// A histogram with float counts; one with custom bounds becomes a classic one.
    Histogram(&'a FloatHistogram),
}

/// Writes the head of a family: its name (to be escaped) and type.
pub(crate) fn push_head(sink: &mut impl Sink, name: &str, help: Option<&str>, kind: MetricType) {
    let (number, word) = kind_word(kind);
    sink.text(NAME, name);
    if let Some(help) = help {
        sink.text(HELP, help);
    }
    sink.word(TYPE, number, word);
}

fn kind_word(kind: MetricType) -> (u64, &'static str) {
    match kind {
        MetricType::Counter => (0, "COUNTER"),
        MetricType::Gauge | MetricType::Info | MetricType::StateSet => (1, "GAUGE"),
        MetricType::Summary => (2, "SUMMARY"),
        MetricType::Unknown => (3, "UNTYPED"),
        MetricType::Histogram => (4, "HISTOGRAM"),
        MetricType::GaugeHistogram => (5, "GAUGE_HISTOGRAM"),
    }
}

fn push_pair(sink: &mut impl Sink, name: &str, value: &str) {
    sink.message(LABEL, |pair| {
        pair.text(Field(1, "name"), name);
        pair.text(Field(2, "value"), value);
    });
}

/// Writes one sample of a family.
pub(crate) fn push_sample<S: Sink>(
    sink: &mut S,
    labels: &[(&str, &str)],
    escaping: EscapingScheme,
    measured: Measured<'_>,
    t_ms: i64,
) {
    sink.message(METRIC, |metric| {
        for (name, value) in labels {
            push_pair(metric, &escape_name(name, escaping), value);
        }
        if let Measured::Untyped(value) = measured {
            metric.message(UNTYPED, |untyped| untyped.double(VALUE, value));
        }
        metric.plain_signed(TIMESTAMP, t_ms);
        if let Measured::Histogram(histogram) = measured {
            metric.message(HISTOGRAM, |h| push_histogram(h, histogram));
        }
    });
}

fn push_histogram<S: Sink>(sink: &mut S, histogram: &FloatHistogram) {
    sink.double(SUM, histogram.sum);
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA {
        for (bound, below) in classic_buckets(histogram) {
            sink.message(Field(3, "bucket"), |bucket| {
                bucket.double(Field(2, "upper_bound"), bound);
                bucket.double(Field(4, "cumulative_count_float"), below);
            });
        }
        sink.double(Field(4, "sample_count_float"), histogram.count);
        return;
    }
    sink.double(Field(4, "sample_count_float"), histogram.count);
    sink.signed(Field(5, "schema"), histogram.schema);
    sink.double(Field(6, "zero_threshold"), histogram.zero_threshold);
    sink.double(Field(8, "zero_count_float"), histogram.zero_count);
    push_side(sink, "negative", 9, &histogram.negative_spans, &histogram.negative_buckets);
    push_side(sink, "positive", 12, &histogram.positive_spans, &histogram.positive_buckets);
}

/// The buckets of one sign: spans, and two fields further their counts.
fn push_side<S: Sink>(sink: &mut S, sign: &str, first: u32, spans: &[Span], counts: &[f64]) {
    let (span_name, count_name) = match sign {
        "negative" => ("negative_span", "negative_count"),
        _ => ("positive_span", "positive_count"),
    };
    for span in spans {
        sink.message(Field(first, span_name), |s| {
            s.signed(Field(1, "offset"), span.offset);
            s.number(Field(2, "length"), u64::from(span.length));
        });
    }
    counts.iter().for_each(|count| sink.double(Field(first + 2, count_name), *count));
}

/// The bounds of a histogram with custom buckets, but for the infinite one, and how much lies at or below each.
pub(crate) fn classic_buckets(histogram: &FloatHistogram) -> Vec<(f64, f64)> {
    let mut of_bound = vec![0.0; histogram.custom_values.len()];
    let (mut at, mut counts) = (0_i64, histogram.positive_buckets.iter());
    for span in &histogram.positive_spans {
        at = at.saturating_add(i64::from(span.offset));
        for (count, at) in counts.by_ref().take(span.length as usize).zip(at..) {
            // The last bucket, without a bound, has no place here.
            if let Some(place) = usize::try_from(at).ok().and_then(|at| of_bound.get_mut(at)) {
                *place = *count;
            }
        }
        at = at.saturating_add(i64::from(span.length));
    }
    let below = of_bound.iter().scan(0.0, |below, count| {
        *below += count;
        Some(*below)
    });
    histogram.custom_values.iter().copied().zip(below).collect()
}

/// Writes what a registry gathered, each family as a message with its length before it.
pub(crate) fn families(families: &[Family], escaping: EscapingScheme) -> Vec<u8> {
    let (mut out, mut message) = (Vec::new(), Vec::new());
    for family in families {
        message.clear();
        push_family(&mut message, family, escaping);
        push_varint(&mut out, message.len() as u64);
        out.extend_from_slice(&message);
    }
    out
}

/// The same in one of the forms of text.
pub(crate) fn families_in_words(families: &[Family], escaping: EscapingScheme, compact: bool) -> Vec<u8> {
    let mut words = Words::new(compact);
    for family in families {
        push_family(&mut words, family, escaping);
        words.end();
    }
    words.out.into_bytes()
}

fn push_family<S: Sink>(sink: &mut S, family: &Family, escaping: EscapingScheme) {
    let kind = metric_type(family.kind);
    push_head(sink, &escape_name(&family.name, escaping), Some(&family.help), kind);
    for metric in &family.metrics {
        sink.message(METRIC, |m| push_metric(m, metric, family.kind, escaping));
    }
}

/// The type of a registry's family.
pub(crate) fn metric_type(kind: FamilyKind) -> MetricType {
    match kind {
        FamilyKind::Counter => MetricType::Counter,
        FamilyKind::Gauge => MetricType::Gauge,
        FamilyKind::Histogram => MetricType::Histogram,
        FamilyKind::Summary => MetricType::Summary,
    }
}

fn push_metric<S: Sink>(sink: &mut S, metric: &Metric, kind: FamilyKind, escaping: EscapingScheme) {
    let mut labels: Vec<(&str, &str)> = metric.labels.iter().map(|(n, v)| (&**n, &**v)).collect();
    labels.sort_unstable();
    for (name, value) in labels {
        push_pair(sink, &escape_name(name, escaping), value);
    }
    match &metric.value {
        Value::Number(value) => {
            let field = if kind == FamilyKind::Counter { COUNTER } else { GAUGE };
            sink.message(field, |m| {
                m.double(VALUE, *value);
                push_created(m, Field(3, CREATED), metric.created);
            });
        }
        Value::Histogram { buckets, sum, count, native } => sink.message(HISTOGRAM, |m| {
            m.number(COUNT, *count);
            m.double(SUM, *sum);
            for (bound, below) in buckets {
                m.message(Field(3, "bucket"), |b| {
                    b.number(Field(1, "cumulative_count"), *below);
                    b.double(Field(2, "upper_bound"), *bound);
                });
            }
            if let Some(native) = native {
                push_native(m, native);
            }
            push_created(m, Field(15, CREATED), metric.created);
        }),
        Value::Summary { quantiles, sum, count } => sink.message(SUMMARY, |m| {
            m.number(COUNT, *count);
            m.double(SUM, *sum);
            for (quantile, value) in quantiles {
                m.message(Field(3, "quantile"), |q| {
                    q.double(Field(1, "quantile"), *quantile);
                    q.double(Field(2, "value"), *value);
                });
            }
            push_created(m, Field(4, CREATED), metric.created);
        }),
    }
}

/// The fields of a native histogram with whole counts.
fn push_native<S: Sink>(sink: &mut S, native: &NativeBuckets) {
    sink.signed(Field(5, "schema"), native.schema);
    sink.double(Field(6, "zero_threshold"), native.zero_threshold);
    sink.number(Field(7, "zero_count"), native.zero_count);
    for (buckets, first, span_name, delta_name) in [
        (&native.negative, 9, "negative_span", "negative_delta"),
        (&native.positive, 12, "positive_span", "positive_delta"),
    ] {
        let buckets = SpannedBuckets::new(buckets);
        for (offset, length) in buckets.spans {
            sink.message(Field(first, span_name), |s| {
                s.signed(Field(1, "offset"), offset);
                s.number(Field(2, "length"), u64::from(length));
            });
        }
        buckets.deltas.iter().for_each(|delta| sink.long_signed(Field(first + 1, delta_name), *delta));
    }
}

/// A `Timestamp`, if it is known.
fn push_created<S: Sink>(sink: &mut S, field: Field, created: Option<SystemTime>) {
    let Some(since) = created.and_then(|created| created.duration_since(UNIX_EPOCH).ok()) else { return };
    sink.message(field, |time| {
        time.number(Field(1, "seconds"), since.as_secs());
        if since.subsec_nanos() > 0 {
            time.number(Field(2, "nanos"), u64::from(since.subsec_nanos()));
        }
    });
}
