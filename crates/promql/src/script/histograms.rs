//! What scripts do with native histograms: growing series, classic histograms as native ones, and what a storage makes of hints.

use std::collections::BTreeMap;

use narthex_model::{
    BUCKET_LABEL, CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Labels, METRIC_NAME, is_stale,
    parse_go_float,
};

use super::Load;
use crate::ast::UnaryOp;
use crate::engine::native::Native;
use crate::series_desc::SeriesValue;

/// Adds or subtracts histograms for `{{a}}+{{b}}xN`.
pub(super) fn combine(
    current: &FloatHistogram,
    op: UnaryOp,
    step: &FloatHistogram,
) -> Result<FloatHistogram, String> {
    let (mut result, mut step) = (Native::from(current), Native::from(step));
    step.reduce_to(result.schema);
    let hint = step.hint;
    let done = match op {
        UnaryOp::Plus => result.add(&step),
        UnaryOp::Minus => result.subtract(&step),
    };
    done.map_err(|_| "cannot mix exponential and custom buckets".to_owned())?;
    result.hint = hint;
    Ok(result.pack())
}

/// The hint with which a storage hands a histogram out again: what it can see in the chunk where the sample lies.
pub(super) fn stored_hint(before: Option<&FloatHistogram>, h: &FloatHistogram) -> CounterResetHint {
    if h.counter_reset_hint == CounterResetHint::Gauge {
        return CounterResetHint::Gauge;
    }
    let Some(before) = before else { return CounterResetHint::Unknown };
    let starts_chunk = before.counter_reset_hint == CounterResetHint::Gauge
        || is_stale(before.sum)
        || is_stale(h.sum)
        || before.schema != h.schema
        || before.zero_threshold != h.zero_threshold
        || before.custom_values != h.custom_values
        || Native::from(h).is_reset_after(&Native::from(before));
    if starts_chunk { CounterResetHint::Unknown } else { CounterResetHint::NotReset }
}

/// One classic histogram at one time.
#[derive(Default)]
struct Classic {
    /// Cumulative counts by upper bound; bounds as bits of positive order.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// The classic histograms of a block as series of native ones with custom buckets: name without suffix, position, histogram.
pub(super) fn from_classic(load: &Load) -> Vec<(Labels, usize, FloatHistogram)> {
    let mut found: BTreeMap<(Labels, usize), Classic> = BTreeMap::new();
    for series in &load.series {
        let name = series.labels.metric_name().to_owned();
        let suffix = ["_bucket", "_count", "_sum"].into_iter().find(|s| name.ends_with(s));
        let Some(suffix) = suffix else { continue };
        let upper = parse_go_float(series.labels.value(BUCKET_LABEL)).filter(|v| !v.is_nan());
        if (suffix == "_bucket") != series.labels.get(BUCKET_LABEL).is_some()
            || (suffix == "_bucket" && upper.is_none())
        {
            continue;
        }
        let mut labels = series.labels.to_builder();
        labels.set(METRIC_NAME, name.strip_suffix(suffix).unwrap_or(&name)).remove(BUCKET_LABEL);
        let labels = labels.labels();
        for (at, value) in series.values.iter().enumerate() {
            let SeriesValue::Float(v) = value else { continue };
            let classic = found.entry((labels.clone(), at)).or_default();
            match (suffix, upper) {
                ("_bucket", Some(upper)) => classic.buckets.push((upper, *v)),
                ("_count", _) => classic.count = Some(*v),
                _ => classic.sum = *v,
            }
        }
    }
    let native = found.into_iter().map(|((labels, at), classic)| (labels, at, native_of(classic)));
    native.collect()
}

fn native_of(mut classic: Classic) -> FloatHistogram {
    classic.buckets.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
    let infinite = classic.buckets.last().filter(|b| b.0 == f64::INFINITY).map(|b| b.1);
    let count = classic.count.or(infinite).or(classic.buckets.last().map(|b| b.1)).unwrap_or(0.0);
    let finite: Vec<(f64, f64)> = classic.buckets.into_iter().filter(|b| b.0 != f64::INFINITY).collect();
    let mut below = 0.0;
    let mut counts: Vec<f64> = Vec::with_capacity(finite.len() + 1);
    for (_, cumulative) in &finite {
        counts.push(cumulative - below);
        below = *cumulative;
    }
    counts.push(count - below);
    let mut native = FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count,
        sum: classic.sum,
        custom_values: finite.iter().map(|b| b.0).collect(),
        positive_spans: vec![narthex_model::Span { offset: 0, length: counts.len() as u32 }],
        positive_buckets: counts,
        ..FloatHistogram::default()
    };
    if is_stale(classic.sum) || is_stale(count) {
        native.sum = narthex_model::STALE_NAN;
    }
    let mut compact = Native::from(&native);
    compact.compact();
    compact.pack()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A script may ask for anything; the coarsest schema is not the number that marks custom buckets.
    #[test]
    fn custom_and_exponential_buckets_do_not_grow_into_each_other() {
        let exponential = FloatHistogram { schema: 8, ..FloatHistogram::default() };
        let custom = FloatHistogram { schema: CUSTOM_BUCKETS_SCHEMA, ..FloatHistogram::default() };
        assert!(combine(&custom, UnaryOp::Plus, &exponential).is_err());
        assert!(combine(&exponential, UnaryOp::Minus, &custom).is_err());
    }
}
