//! Messages as plain values: how they are written, in any of the ways that protobuf allows, and what a scrape must see of them.

use fastrand::Rng;
use narthex_model::{FloatHistogram, LabelsBuilder, MetricType, Span};

use crate::HistogramOptions;

pub(super) struct Family {
    pub(super) name: String,
    pub(super) help: String,
    pub(super) unit: String,
    pub(super) kind: u64,
    pub(super) metrics: Vec<Metric>,
}

pub(super) struct Metric {
    pub(super) labels: Vec<(String, String)>,
    pub(super) t_ms: i64,
    pub(super) value: f64,
    pub(super) start_ms: i64,
    pub(super) count: u64,
    pub(super) points: Vec<(f64, u64)>,
    pub(super) native: Option<Native>,
    /// Of the counter, or of the second bucket, or of the native histogram.
    pub(super) exemplar: Option<(f64, Option<i64>)>,
}

/// Buckets of one side as absolute counts.
pub(super) struct Native {
    pub(super) schema: i32,
    pub(super) zero_count: u64,
    pub(super) is_float: bool,
    pub(super) spans: Vec<(i32, u32)>,
    pub(super) counts: Vec<u64>,
}

impl Native {
    pub(super) fn count(&self) -> u64 {
        self.zero_count + self.counts.iter().sum::<u64>()
    }
}

/// Random families; names and labels are few, so that hints nearly fit.
pub(super) fn random(rng: &mut Rng) -> Vec<Family> {
    (0..rng.usize(0..4)).map(|i| family(rng, i)).collect()
}

fn family(rng: &mut Rng, i: usize) -> Family {
    let kind = rng.u64(0..6);
    let unit = if rng.bool() { "seconds" } else { "" };
    Family {
        name: format!("{}{i}", ["a", "é.b", "c_total"][rng.usize(0..3)]),
        help: ["", "Help \"me\"."][rng.usize(0..2)].to_owned(),
        unit: unit.to_owned(),
        kind,
        metrics: (0..rng.usize(0..4)).map(|n| metric(rng, kind, n)).collect(),
    }
}

fn metric(rng: &mut Rng, kind: u64, n: usize) -> Metric {
    let mut labels = vec![("n".to_owned(), n.to_string())];
    labels.extend(
        (0..rng.usize(0..3)).map(|i| (format!("l{i}"), ["", "x", "ü\n"][rng.usize(0..3)].to_owned())),
    );
    let mut below = 0;
    let points = (0..rng.usize(0..4)).map(|i| {
        below += rng.u64(0..3);
        (i as f64 / 2.0, below)
    });
    let mut points: Vec<_> = points.collect();
    if rng.bool() {
        points.push((f64::INFINITY, below));
    }
    let native = (kind >= 4 && rng.bool()).then(|| native(rng));
    Metric {
        labels,
        t_ms: [0, 1_234, -5][rng.usize(0..3)],
        value: [0.0, 1.5, f64::NEG_INFINITY, 1e300][rng.usize(0..4)],
        start_ms: [0, 77_000][rng.usize(0..2)],
        count: native.as_ref().map_or(below, Native::count),
        points,
        native,
        exemplar: rng.bool().then(|| (0.25, rng.bool().then_some(99_000))),
    }
}

fn native(rng: &mut Rng) -> Native {
    let spans: Vec<(i32, u32)> = (0..rng.usize(1..4))
        .map(|i| (if i == 0 { rng.i32(-9..9) } else { rng.i32(0..4) }, rng.u32(0..4)))
        .collect();
    let counts: Vec<u64> = spans.iter().flat_map(|(_, n)| 0..*n).map(|_| rng.u64(0..3)).collect();
    // A float histogram without observations reads as an integer one, for which there are no counts.
    let is_float = rng.bool() && counts.iter().any(|n| *n > 0);
    Native { schema: rng.i32(-4..9), zero_count: rng.u64(0..3), is_float, spans, counts }
}

/// A writer of messages that chooses between equal forms.
struct Message<'r> {
    fields: Vec<Vec<u8>>,
    rng: &'r mut Rng,
}

fn message(rng: &mut Rng, fill: impl FnOnce(&mut Message<'_>)) -> Vec<u8> {
    let mut message = Message { fields: Vec::new(), rng };
    fill(&mut message);
    if message.rng.u8(0..8) == 0 {
        // Unknown fields: a number, bytes, a group with a number in it.
        let odd: [&[u8]; 3] =
            [&[0xf8, 0x07, 1], &[0xfa, 0x07, 2, 9, 9], &[0xfb, 0x07, 0xf8, 0x07, 1, 0xfc, 0x07]];
        let at = message.rng.usize(0..=message.fields.len());
        message.fields.insert(at, odd[message.rng.usize(0..3)].to_vec());
    }
    message.fields.concat()
}

impl Message<'_> {
    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        let mut out = Vec::new();
        super::super::write::push_bytes(&mut out, field, bytes);
        self.fields.push(out);
    }

    fn number(&mut self, field: u32, number: u64) {
        if number != 0 || self.rng.bool() {
            let mut out = Vec::new();
            super::super::write::push_varint(&mut out, u64::from(field) << 3);
            super::super::write::push_varint(&mut out, number);
            self.fields.push(out);
        }
    }

    fn signed(&mut self, field: u32, number: i64) {
        self.number(field, zigzag(number));
    }

    fn double(&mut self, field: u32, value: f64) {
        let mut out = Vec::new();
        super::super::write::push_varint(&mut out, u64::from(field) << 3 | 1);
        out.extend_from_slice(&value.to_bits().to_le_bytes());
        self.fields.push(out);
    }

    fn message(&mut self, field: u32, fill: impl FnOnce(&mut Message<'_>)) {
        let bytes = message(self.rng, fill);
        self.bytes(field, &bytes);
    }

    fn time(&mut self, field: u32, t_ms: i64) {
        self.message(field, |m| {
            m.number(1, (t_ms / 1000) as u64);
            m.number(2, (t_ms % 1000 * 1_000_000) as u64);
        });
    }

    fn exemplar(&mut self, field: u32, (value, t_ms): (f64, Option<i64>)) {
        self.message(field, |m| {
            m.message(1, |m| {
                m.bytes(1, b"trace");
                m.bytes(2, b"t1");
            });
            m.double(2, value);
            if let Some(t_ms) = t_ms {
                m.time(3, t_ms);
            }
        });
    }

    /// Numbers one by one or packed.
    fn deltas(&mut self, field: u32, counts: &[u64]) {
        let mut before = 0;
        let deltas: Vec<i64> =
            counts.iter().map(|n| *n as i64 - std::mem::replace(&mut before, *n as i64)).collect();
        if self.rng.bool() {
            let mut packed = Vec::new();
            deltas.iter().for_each(|d| super::super::write::push_varint(&mut packed, zigzag(*d)));
            return self.bytes(field, &packed);
        }
        for delta in deltas {
            let mut out = Vec::new();
            super::super::write::push_varint(&mut out, u64::from(field) << 3);
            super::super::write::push_varint(&mut out, zigzag(delta));
            self.fields.push(out);
        }
    }

    fn floats(&mut self, field: u32, counts: &[u64]) {
        if self.rng.bool() {
            let packed: Vec<u8> = counts.iter().flat_map(|n| (*n as f64).to_bits().to_le_bytes()).collect();
            return self.bytes(field, &packed);
        }
        counts.iter().for_each(|n| self.double(field, *n as f64));
    }
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

/// A body.
pub(super) fn encode(families: &[Family], rng: &mut Rng) -> Vec<u8> {
    let mut body = Vec::new();
    for family in families {
        let bytes = message(rng, |m| {
            m.bytes(1, family.name.as_bytes());
            m.bytes(2, family.help.as_bytes());
            m.number(3, family.kind);
            family.metrics.iter().for_each(|metric| m.message(4, |m| encode_metric(family.kind, metric, m)));
            m.bytes(5, family.unit.as_bytes());
        });
        super::super::write::push_varint(&mut body, bytes.len() as u64);
        body.extend_from_slice(&bytes);
    }
    body
}

fn encode_metric(kind: u64, metric: &Metric, m: &mut Message<'_>) {
    for (name, value) in &metric.labels {
        m.message(1, |m| {
            m.bytes(1, name.as_bytes());
            m.bytes(2, value.as_bytes());
        });
    }
    match kind {
        0 => m.message(3, |m| {
            m.double(1, metric.value);
            if let Some(exemplar) = metric.exemplar {
                m.exemplar(2, exemplar);
            }
            m.time(3, metric.start_ms);
        }),
        1 => m.message(2, |m| m.double(1, metric.value)),
        2 => m.message(4, |m| {
            m.number(1, metric.count);
            m.double(2, metric.value);
            for (quantile, value) in &metric.points {
                m.message(3, |m| {
                    m.double(1, *quantile);
                    m.double(2, *value as f64);
                });
            }
            m.time(4, metric.start_ms);
        }),
        3 => m.message(5, |m| m.double(1, metric.value)),
        _ => m.message(7, |m| encode_histogram(metric, m)),
    }
    m.number(6, metric.t_ms as u64);
    if m.rng.u8(0..6) == 0 {
        // A label apart from the others, and out of order.
        m.message(1, |m| {
            m.bytes(2, b"1");
            m.bytes(1, b"late");
        });
    }
}

fn encode_histogram(metric: &Metric, m: &mut Message<'_>) {
    let float = metric.native.as_ref().is_some_and(|native| native.is_float);
    if float {
        m.double(4, metric.count as f64);
    } else {
        m.number(1, metric.count);
    }
    m.double(2, metric.value);
    for (i, (bound, count)) in metric.points.iter().enumerate() {
        m.message(3, |m| {
            if m.rng.bool() {
                m.number(1, *count);
            } else {
                m.double(4, *count as f64);
            }
            m.double(2, *bound);
            if let Some(exemplar) = metric.exemplar.filter(|_| i == 1) {
                m.exemplar(3, exemplar);
            }
        });
    }
    if let Some(native) = &metric.native {
        m.signed(5, i64::from(native.schema));
        m.double(6, 0.5);
        if float {
            m.double(8, native.zero_count as f64);
        } else {
            m.number(7, native.zero_count);
        }
        for (offset, length) in &native.spans {
            m.message(12, |m| {
                m.signed(1, i64::from(*offset));
                m.number(2, u64::from(*length));
            });
        }
        if float {
            m.floats(14, &native.counts);
        } else {
            m.deltas(13, &native.counts);
        }
        if let Some(exemplar) = metric.exemplar {
            m.exemplar(16, exemplar);
        }
    }
    m.time(15, metric.start_ms);
}

/// What a scrape must see: a line for each family and each series.
pub(super) fn describe(
    families: &[Family],
    options: HistogramOptions,
    late: &dyn Fn(usize, usize) -> bool,
) -> Vec<String> {
    let mut out = Vec::new();
    for (f, family) in families.iter().enumerate().filter(|(_, family)| !family.metrics.is_empty()) {
        let kind = kind_of(family.kind);
        out.push(format!("# {} {kind} {:?} {:?}", family.name, family.help, family.unit));
        for (i, metric) in family.metrics.iter().enumerate() {
            series(family, metric, options, late(f, i), &mut out);
        }
    }
    out
}

fn kind_of(number: u64) -> MetricType {
    [
        MetricType::Counter,
        MetricType::Gauge,
        MetricType::Summary,
        MetricType::Unknown,
        MetricType::Histogram,
        MetricType::GaugeHistogram,
    ][number as usize]
}

fn series(family: &Family, metric: &Metric, options: HistogramOptions, late: bool, out: &mut Vec<String>) {
    let start = if matches!(family.kind, 0 | 2 | 4 | 5) { metric.start_ms } else { 0 };
    let line = |suffix: &str, bound: Option<(&str, f64)>, value: &str, exemplars: &[(f64, Option<i64>)]| {
        let mut builder = LabelsBuilder::new();
        builder.set("__name__", &format!("{}{suffix}", family.name));
        metric.labels.iter().filter(|(_, v)| !v.is_empty()).for_each(|(n, v)| {
            builder.set(n, v);
        });
        if late {
            builder.set("late", "1");
        }
        if let Some((name, bound)) = bound {
            builder.set(name, &crate::open_metrics_float(bound));
        }
        format!("{} {value} {} {start} {exemplars:?}", builder.labels(), metric.t_ms)
    };
    let number = |value: f64| format!("{value:?}");
    let own: Vec<_> = metric.exemplar.into_iter().collect();
    match family.kind {
        0 => out.push(line("", None, &number(metric.value), &own)),
        1 | 3 => out.push(line("", None, &number(metric.value), &[])),
        2 => {
            out.push(line("_count", None, &number(metric.count as f64), &[]));
            out.push(line("_sum", None, &number(metric.value), &[]));
            for (quantile, value) in &metric.points {
                out.push(line("", Some(("quantile", *quantile)), &number(*value as f64), &[]));
            }
        }
        _ => {
            let timed: Vec<_> = own.iter().copied().filter(|(_, t)| t.is_some()).collect();
            let native = metric.native.as_ref().filter(|_| options.native);
            if let Some(native) = native {
                out.push(line("", None, &show(&native_value(native, metric, family.kind)), &timed));
            }
            let converted = native.is_none() && options.to_custom;
            if (native.is_none() && !converted)
                || (options.classic && (native.is_none() || !metric.points.is_empty()))
            {
                out.push(line("_count", None, &number(metric.count as f64), &[]));
                out.push(line("_sum", None, &number(metric.value), &[]));
                for (i, (bound, count)) in metric.points.iter().enumerate() {
                    let exemplars = if i == 1 && !converted { &*own } else { &[] };
                    out.push(line("_bucket", Some(("le", *bound)), &number(*count as f64), exemplars));
                }
                if metric.points.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
                    out.push(line("_bucket", Some(("le", f64::INFINITY)), &number(metric.count as f64), &[]));
                }
            }
            if converted {
                let has_own = metric.native.is_some() || metric.points.len() > 1;
                out.push(line("", None, "custom", if has_own { &timed } else { &[] }));
            }
        }
    }
}

/// The histogram without empty buckets, bucket by bucket.
fn native_value(native: &Native, metric: &Metric, kind: u64) -> FloatHistogram {
    let mut h = FloatHistogram {
        schema: native.schema,
        zero_threshold: 0.5,
        zero_count: native.zero_count as f64,
        count: metric.count as f64,
        sum: metric.value,
        ..FloatHistogram::default()
    };
    if kind == 5 {
        h.counter_reset_hint = narthex_model::CounterResetHint::Gauge;
    }
    let (mut index, mut end, mut counts) = (0, None::<i32>, native.counts.iter());
    for (offset, length) in &native.spans {
        index += offset;
        for count in counts.by_ref().take(*length as usize) {
            if *count > 0 {
                match h.positive_spans.last_mut() {
                    Some(span) if end == Some(index) => span.length += 1,
                    _ => h.positive_spans.push(Span { offset: index - end.unwrap_or(0), length: 1 }),
                }
                h.positive_buckets.push(*count as f64);
                end = Some(index + 1);
            }
            index += 1;
        }
    }
    h
}

pub(super) fn show(h: &FloatHistogram) -> String {
    format!("{h:?}")
}
