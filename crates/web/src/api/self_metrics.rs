//! `/api/v1/status/self_metrics`: the own registry as JSON, for pages that show it.
//!
//! Facts: the JSON form of the protobuf messages, as Prometheus 3.14 answers it: 64-bit counts are strings, numbers that JSON lacks
//! are words, the bucket without a bound is left out, labels are sorted.

use std::time::SystemTime;

use narthex_metrics::{Family, FamilyKind, Metric, NativeBuckets, SpannedBuckets, Value};
use narthex_model::{Regex, UnixTime, push_rfc3339};

use super::Call;
use crate::answer::{ApiResult, PLAIN};
use crate::api_error::ApiError;
use crate::json::JsonOut;
use crate::site::Shared;

/// Answers it, for the families whose names match when a pattern is given.
pub(super) fn answer(shared: &Shared, call: &Call, out: &mut JsonOut) -> ApiResult {
    let pattern = match call.form.value("metric_name_pattern") {
        "" => None,
        text => Some(Regex::new_wrapped(text).map_err(|e| {
            // COMPAT: Prometheus wraps this pattern without the flag that others get.
            let text = e.to_string().replacen("^(?s:", "^(?:", 1);
            ApiError::bad_data(format!("invalid metric_name_pattern: {text}"))
        })?),
    };
    let families = shared.registry.gather();
    let is_meant = |family: &&Family| pattern.as_ref().is_none_or(|p| p.is_match(&family.name));
    out.list(families.iter().filter(is_meant), push_family);
    PLAIN
}

fn push_family(out: &mut JsonOut, family: &Family) {
    let kind = match family.kind {
        FamilyKind::Counter => "COUNTER",
        FamilyKind::Gauge => "GAUGE",
        FamilyKind::Histogram => "HISTOGRAM",
        FamilyKind::Summary => "SUMMARY",
    };
    out.raw("{").member("name", true).html_safe(&family.name);
    out.member("help", false).html_safe(&family.help);
    out.member("type", false).html_safe(kind);
    if !family.metrics.is_empty() {
        out.member("metric", false)
            .list(&family.metrics, |out, metric| push_metric(out, metric, family.kind));
    }
    out.raw("}");
}

fn push_metric(out: &mut JsonOut, metric: &Metric, kind: FamilyKind) {
    out.raw("{");
    let mut labels: Vec<(&str, &str)> = metric.labels.iter().map(|(n, v)| (&**n, &**v)).collect();
    labels.sort_unstable();
    let is_first = labels.is_empty();
    if !is_first {
        out.member("label", true).list(&labels, |out, (name, value)| {
            out.raw("{")
                .member("name", true)
                .html_safe(name)
                .member("value", false)
                .html_safe(value)
                .raw("}");
        });
    }
    match &metric.value {
        Value::Number(value) => {
            let name = if kind == FamilyKind::Counter { "counter" } else { "gauge" };
            out.member(name, is_first).raw("{");
            push_double(out.member("value", true), *value);
            push_created(out, metric.created);
            out.raw("}");
        }
        Value::Histogram { buckets, sum, count, native } => {
            push_counts(out.member("histogram", is_first), *count, *sum);
            if !buckets.is_empty() {
                out.member("bucket", false).list(buckets, |out, (bound, below)| {
                    push_count(out.raw("{").member("cumulativeCount", true), *below);
                    push_double(out.member("upperBound", false), *bound);
                    out.raw("}");
                });
            }
            if let Some(native) = native {
                push_native(out, native);
            }
            push_created(out, metric.created);
            out.raw("}");
        }
        Value::Summary { quantiles, sum, count } => {
            push_counts(out.member("summary", is_first), *count, *sum);
            if !quantiles.is_empty() {
                out.member("quantile", false).list(quantiles, |out, (quantile, value)| {
                    push_double(out.raw("{").member("quantile", true), *quantile);
                    push_double(out.member("value", false), *value);
                    out.raw("}");
                });
            }
            push_created(out, metric.created);
            out.raw("}");
        }
    }
    out.raw("}");
}

/// Exponential buckets. Of protobuf's JSON: lists without elements are left out.
fn push_native(out: &mut JsonOut, native: &NativeBuckets) {
    out.member("schema", false).int(native.schema.into());
    push_double(out.member("zeroThreshold", false), native.zero_threshold);
    push_count(out.member("zeroCount", false), native.zero_count);
    for (buckets, span, delta) in [
        (&native.negative, "negativeSpan", "negativeDelta"),
        (&native.positive, "positiveSpan", "positiveDelta"),
    ] {
        let buckets = SpannedBuckets::new(buckets);
        if buckets.spans.is_empty() {
            continue;
        }
        out.member(span, false).list(buckets.spans, |out, (offset, length)| {
            out.raw("{").member("offset", true).int(offset.into());
            out.member("length", false).int(length.into()).raw("}");
        });
        out.member(delta, false).list(buckets.deltas, |out, delta| {
            out.raw("\"").raw(&delta.to_string()).raw("\"");
        });
    }
}

/// When it began at zero, if that is known: with no, 3, 6 or 9 digits of the second, as protobuf's JSON has it.
fn push_created(out: &mut JsonOut, created: Option<SystemTime>) {
    let Some(created) = created.map(UnixTime::from_system) else { return };
    let mut text = String::new();
    push_rfc3339(&mut text, UnixTime { nanos: 0, ..created });
    let digits = match created.nanos {
        0 => String::new(),
        n if n % 1_000_000 == 0 => format!(".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => format!(".{:06}", n / 1_000),
        n => format!(".{n:09}"),
    };
    let whole = text.trim_end_matches('Z');
    out.member("createdTimestamp", false).html_safe(&format!("{whole}{digits}Z"));
}

/// Begins a summary or a histogram.
fn push_counts(out: &mut JsonOut, count: u64, sum: f64) {
    push_count(out.raw("{").member("sampleCount", true), count);
    push_double(out.member("sampleSum", false), sum);
}

fn push_count(out: &mut JsonOut, count: u64) {
    out.raw("\"").raw(&count.to_string()).raw("\"");
}

fn push_double(out: &mut JsonOut, value: f64) {
    if value.is_nan() {
        out.raw("\"NaN\"");
    } else if value.is_infinite() {
        out.raw(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    } else {
        out.number(value);
    }
}
