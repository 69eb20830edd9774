//! Metric families as delimited protobuf messages, and the few forms of fields that takes.
//!
//! Facts: `io/prometheus/client/metrics.proto`; what Prometheus' `/metrics` answers to a client that asks for it: the bucket
//! without a bound is left out, label pairs are sorted.

use narthex_metrics::{Family, FamilyKind, Metric, Value};
use narthex_model::{EscapingScheme, escape_name};

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

fn push_number(out: &mut Vec<u8>, field: u32, number: u64) {
    push_varint(out, u64::from(field) << 3);
    push_varint(out, number);
}

fn push_double(out: &mut Vec<u8>, field: u32, value: f64) {
    push_varint(out, u64::from(field) << 3 | 1);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// Adds a message as a field; `fill` writes it.
fn push_message(out: &mut Vec<u8>, field: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut message = Vec::new();
    fill(&mut message);
    push_bytes(out, field, &message);
}

/// Writes what a registry gathered.
pub(crate) fn families(families: &[Family], escaping: EscapingScheme) -> Vec<u8> {
    let mut out = Vec::new();
    let mut message = Vec::new();
    for family in families {
        message.clear();
        push_bytes(&mut message, 1, escape_name(&family.name, escaping).as_bytes());
        push_bytes(&mut message, 2, family.help.as_bytes());
        push_number(&mut message, 3, kind_number(family.kind));
        for metric in &family.metrics {
            push_message(&mut message, 4, |m| push_metric(m, metric, family.kind, escaping));
        }
        push_varint(&mut out, message.len() as u64);
        out.extend_from_slice(&message);
    }
    out
}

fn kind_number(kind: FamilyKind) -> u64 {
    match kind {
        FamilyKind::Counter => 0,
        FamilyKind::Gauge => 1,
        FamilyKind::Summary => 2,
        FamilyKind::Histogram => 4,
    }
}

fn push_metric(out: &mut Vec<u8>, metric: &Metric, kind: FamilyKind, escaping: EscapingScheme) {
    let mut labels: Vec<(&str, &str)> = metric.labels.iter().map(|(n, v)| (&**n, &**v)).collect();
    labels.sort_unstable();
    for (name, value) in labels {
        push_label(out, &escape_name(name, escaping), value);
    }
    match &metric.value {
        Value::Number(value) => {
            let field = if kind == FamilyKind::Counter { 3 } else { 2 };
            push_message(out, field, |m| push_double(m, 1, *value));
        }
        Value::Histogram { buckets, sum, count } => push_message(out, 7, |m| {
            push_number(m, 1, *count);
            push_double(m, 2, *sum);
            for (bound, below) in buckets {
                push_message(m, 3, |b| {
                    push_number(b, 1, *below);
                    push_double(b, 2, *bound);
                });
            }
        }),
        Value::Summary { quantiles, sum, count } => push_message(out, 4, |m| {
            push_number(m, 1, *count);
            push_double(m, 2, *sum);
            for (quantile, value) in quantiles {
                push_message(m, 3, |q| {
                    push_double(q, 1, *quantile);
                    push_double(q, 2, *value);
                });
            }
        }),
    }
}
