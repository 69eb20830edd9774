//! What a store holds, in the layout of the recorded answers.

use std::collections::BTreeMap;

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Labels};
use serde_json::Value;

use super::NOW_MS;
use crate::test_store::Data;

/// Scraped labels, without those of the target.
fn pairs(labels: &Labels) -> serde_json::Map<String, Value> {
    let scraped = labels.drop(&["instance", "job"]);
    scraped.iter().map(|(n, v)| (n.to_owned(), Value::from(v))).collect()
}

/// Every series with its samples.
pub(super) fn show_series(data: &Data) -> Vec<Value> {
    let one = |t: i64, value: Value| {
        let t = if t == NOW_MS { Value::Null } else { Value::from(t) };
        Value::from(vec![t, value])
    };
    let floats = data.samples.iter().map(|(reference, samples)| {
        let samples = samples.iter().map(|(t, v)| one(*t, Value::from(narthex_model::format_float_json(*v))));
        (reference, samples.collect::<Vec<_>>())
    });
    let histograms = data.histograms.iter().map(|(reference, samples)| {
        (reference, samples.iter().map(|(t, h)| one(*t, show_histogram(h))).collect::<Vec<_>>())
    });
    let series = floats
        .chain(histograms)
        .map(|(reference, samples)| serde_json::json!({ "labels": pairs(&data.labels[reference]), "samples": samples }));
    series.collect()
}

/// Every series with exemplars.
pub(super) fn show_exemplars(data: &Data) -> Vec<Value> {
    let mut exemplars: BTreeMap<String, Value> = BTreeMap::new();
    for (labels, exemplar) in &data.exemplars {
        let series = pairs(labels);
        let entry = exemplars
            .entry(format!("{series:?}"))
            .or_insert_with(|| serde_json::json!({ "series": series, "exemplars": [] }));
        let t = exemplar.t_ms.filter(|t| *t != NOW_MS);
        let all = entry["exemplars"].as_array_mut().unwrap();
        let value = narthex_model::format_float_json(exemplar.value);
        let exemplar =
            serde_json::json!({ "labels": pairs(&exemplar.labels), "value": value, "t": t.map(seconds) });
        if !all.contains(&exemplar) {
            all.push(exemplar);
        }
    }
    exemplars.into_values().collect()
}

/// A histogram as the API shows it: count, sum, buckets that are not empty with the way their bounds are meant.
fn show_histogram(h: &FloatHistogram) -> Value {
    let text = |v: f64| Value::from(narthex_model::format_float_json(v));
    let bucket =
        |b: (u8, f64, f64, f64)| Value::from(vec![Value::from(b.0), text(b.1), text(b.2), text(b.3)]);
    let mut buckets: Vec<(u8, f64, f64, f64)> = Vec::new();
    for (spans, counts, sign) in
        [(&h.negative_spans, &h.negative_buckets, -1.0), (&h.positive_spans, &h.positive_buckets, 1.0)]
    {
        let (mut index, mut counts) = (0, counts.iter());
        for span in spans {
            index += span.offset;
            for count in counts.by_ref().take(span.length as usize) {
                let (lower, upper) = (bound(h, index - 1), bound(h, index));
                let lower_open = lower == f64::NEG_INFINITY;
                buckets.push(match (sign < 0.0, lower_open) {
                    (true, _) => (1, -upper, -lower, *count),
                    (false, true) => (3, lower, upper, *count),
                    (false, false) => (0, lower, upper, *count),
                });
                index += 1;
            }
        }
    }
    if h.zero_count > 0.0 {
        buckets.push((3, -h.zero_threshold, h.zero_threshold, h.zero_count));
    }
    buckets.sort_by(|a, b| a.1.total_cmp(&b.1));
    let shown: Vec<Value> = buckets.into_iter().filter(|b| b.3 != 0.0).map(bucket).collect();
    let mut out = serde_json::json!({ "count": text(h.count), "sum": text(h.sum) });
    if !shown.is_empty() {
        out["buckets"] = Value::from(shown);
    }
    out
}

/// As JSON writes seconds: whole ones without a point.
fn seconds(t_ms: i64) -> Value {
    if t_ms % 1000 == 0 { Value::from(t_ms / 1000) } else { Value::from(t_ms as f64 / 1000.0) }
}

/// The upper bound of a bucket.
fn bound(h: &FloatHistogram, index: i32) -> f64 {
    if h.schema != CUSTOM_BUCKETS_SCHEMA {
        return narthex_model::exponential_bound(h.schema, index);
    }
    match usize::try_from(index) {
        Err(_) => f64::NEG_INFINITY,
        Ok(at) => h.custom_values.get(at).copied().unwrap_or(f64::INFINITY),
    }
}
