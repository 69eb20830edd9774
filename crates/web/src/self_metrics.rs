//! `/metrics`: the own registry, gathered and written.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use narthex_metrics::{Family, FamilyKind, Metric, Value};
use narthex_model::push_float_general;
use narthex_net::server::Response;

use crate::answer::with_type;
use crate::site::Shared;

/// Answers one scrape of ourselves.
pub(crate) fn answer(shared: &Shared, _headers: &HeaderMap) -> Response {
    shared.metrics.metrics_in_flight.inc();
    let mut text = String::with_capacity(64 * 1024);
    for family in shared.registry.gather() {
        push_family(&mut text, &family);
    }
    shared.metrics.metrics_in_flight.dec();
    shared.metrics.scrapes(200).inc();
    with_type(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
        Bytes::from(text),
    )
}

fn push_family(out: &mut String, family: &Family) {
    let kind = match family.kind {
        FamilyKind::Counter => "counter",
        FamilyKind::Gauge => "gauge",
        FamilyKind::Histogram => "histogram",
        FamilyKind::Summary => "summary",
    };
    let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
    out.push_str(&format!("# HELP {0} {help}\n# TYPE {0} {kind}\n", family.name));
    for metric in &family.metrics {
        push_metric(out, &family.name, metric);
    }
}

fn push_metric(out: &mut String, name: &str, metric: &Metric) {
    match &metric.value {
        Value::Number(value) => push_line(out, name, metric, None, *value),
        Value::Histogram { buckets, sum, count } => {
            let bucket = format!("{name}_bucket");
            for (bound, up_to) in buckets {
                push_line(out, &bucket, metric, Some(("le", *bound)), *up_to as f64);
            }
            push_line(out, &bucket, metric, Some(("le", f64::INFINITY)), *count as f64);
            push_sum_and_count(out, name, metric, *sum, *count);
        }
        Value::Summary { quantiles, sum, count } => {
            for (quantile, value) in quantiles {
                push_line(out, name, metric, Some(("quantile", *quantile)), *value);
            }
            push_sum_and_count(out, name, metric, *sum, *count);
        }
    }
}

fn push_sum_and_count(out: &mut String, name: &str, metric: &Metric, sum: f64, count: u64) {
    push_line(out, &format!("{name}_sum"), metric, None, sum);
    push_line(out, &format!("{name}_count"), metric, None, count as f64);
}

fn push_line(out: &mut String, name: &str, metric: &Metric, extra: Option<(&str, f64)>, value: f64) {
    out.push_str(name);
    let mut before = '{';
    for (label, text) in &metric.labels {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        out.push_str(&format!("{before}{label}=\"{text}\""));
        before = ',';
    }
    if let Some((label, bound)) = extra {
        out.push_str(&format!("{before}{label}=\""));
        push_float_general(out, bound);
        out.push('"');
        before = ',';
    }
    out.push_str(if before == ',' { "} " } else { " " });
    push_float_general(out, value);
    out.push('\n');
}
