//! Whether a native histogram agrees with itself: spans with buckets, buckets with the count, bounds with each other.
//!
//! COMPAT: the texts are Prometheus' own (`model/histogram` documentation); senders match on them.

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, Span};
use narthex_storage::HistogramRef;

/// Schemas with exponential buckets that are known.
const EXPONENTIAL: std::ops::RangeInclusive<i32> = -4..=8;

/// Says what is wrong, in Prometheus' words.
pub(crate) fn check_histogram(histogram: HistogramRef<'_>) -> Result<(), String> {
    match histogram {
        HistogramRef::Int(h) => check_int(h),
        HistogramRef::Float(h) => check_float(h),
    }
}

fn check_int(h: &Histogram) -> Result<(), String> {
    check_layout(&Layout {
        schema: h.schema,
        zero: (h.zero_count != 0, h.zero_threshold != 0.0),
        positive: (&h.positive_spans, h.positive_buckets.len()),
        negative: (&h.negative_spans, h.negative_buckets.len()),
        bounds: &h.custom_values,
    })?;
    let negative = sum_deltas(&h.negative_buckets).map_err(|e| format!("negative side: {e}"))?;
    let positive = sum_deltas(&h.positive_buckets).map_err(|e| format!("positive side: {e}"))?;
    let found = negative.wrapping_add(positive).wrapping_add(h.zero_count);
    let why = match h.sum.is_nan() {
        true if found > h.count => {
            "histogram's observation count should be at least the number of observations found in the buckets"
        }
        false if found != h.count => {
            "histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)"
        }
        _ => return Ok(()),
    };
    Err(format!("{found} observations found in buckets, but the Count field is {}: {why}", h.count))
}

fn check_float(h: &FloatHistogram) -> Result<(), String> {
    check_layout(&Layout {
        schema: h.schema,
        zero: (h.zero_count != 0.0, h.zero_threshold != 0.0),
        positive: (&h.positive_spans, h.positive_buckets.len()),
        negative: (&h.negative_spans, h.negative_buckets.len()),
        bounds: &h.custom_values,
    })?;
    check_counts(&h.negative_buckets).map_err(|e| format!("negative side: {e}"))?;
    if h.zero_count < 0.0 {
        return Err(format!("zero bucket has observation count of {}: {NEGATIVE_BUCKET}", h.zero_count));
    }
    if h.count < 0.0 {
        return Err(format!("observation count is  {}: histogram's observation count is negative", h.count));
    }
    check_counts(&h.positive_buckets).map_err(|e| format!("positive side: {e}"))
}

struct Layout<'a> {
    schema: i32,
    /// Whether the zero bucket has a count, and a width.
    zero: (bool, bool),
    positive: (&'a [Span], usize),
    negative: (&'a [Span], usize),
    bounds: &'a [f64],
}

fn check_layout(layout: &Layout<'_>) -> Result<(), String> {
    if layout.schema == CUSTOM_BUCKETS_SCHEMA {
        return check_custom(layout);
    }
    if !EXPONENTIAL.contains(&layout.schema) {
        return Err(format!(
            "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, or -53 for custom buckets, got schema {}",
            layout.schema
        ));
    }
    check_spans(layout.positive, true).map_err(|e| format!("positive side: {e}"))?;
    check_spans(layout.negative, true).map_err(|e| format!("negative side: {e}"))?;
    if !layout.bounds.is_empty() {
        return Err("histogram with exponential schema must not have custom bounds".to_owned());
    }
    Ok(())
}

fn check_custom(layout: &Layout<'_>) -> Result<(), String> {
    check_bounds(layout.bounds)
        .and_then(|()| check_spans(layout.positive, false))
        .and_then(|()| check_cover(layout.bounds, layout.positive.0))
        .map_err(|e| format!("custom buckets: {e}"))?;
    let faults = [
        (layout.zero.0, "must have zero count of 0"),
        (layout.zero.1, "must have zero threshold of 0"),
        (!layout.negative.0.is_empty(), "must not have negative spans"),
        (layout.negative.1 > 0, "must not have negative buckets"),
    ];
    match faults.iter().find(|(wrong, _)| *wrong) {
        Some((_, what)) => Err(format!("custom buckets: {what}")),
        None => Ok(()),
    }
}

fn check_spans((spans, buckets): (&[Span], usize), first_may_be_negative: bool) -> Result<(), String> {
    for (at, span) in spans.iter().enumerate() {
        if span.offset < 0 && !(at == 0 && first_may_be_negative) {
            return Err(format!(
                "span number {} with offset {}: histogram has a span whose offset is negative",
                at + 1,
                span.offset
            ));
        }
    }
    let needed: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if needed != buckets as u64 {
        return Err(format!(
            "spans need {needed} buckets, have {buckets} buckets: histogram spans specify different number of buckets than provided"
        ));
    }
    Ok(())
}

fn check_bounds(bounds: &[f64]) -> Result<(), String> {
    if bounds.iter().any(|bound| bound.is_nan()) {
        return Err("histogram custom bounds must not be NaN".to_owned());
    }
    if let Some(pair) = bounds.windows(2).find(|pair| pair[1] <= pair[0]) {
        return Err(format!(
            "previous bound is {:.6} and current is {:.6}: histogram custom bounds must be in strictly increasing order",
            pair[0], pair[1]
        ));
    }
    if bounds.last() == Some(&f64::INFINITY) {
        return Err("last +Inf bound must not be explicitly defined: histogram custom bounds must be finite"
            .to_owned());
    }
    Ok(())
}

fn check_cover(bounds: &[f64], spans: &[Span]) -> Result<(), String> {
    let total: i64 = spans.iter().map(|span| i64::from(span.length) + i64::from(span.offset)).sum();
    if (bounds.len() as i64) + 1 < total {
        return Err(format!(
            "only {} custom bounds defined which is insufficient to cover total span length of {total}: histogram custom bounds are too few",
            bounds.len()
        ));
    }
    Ok(())
}

const NEGATIVE_BUCKET: &str = "histogram has a bucket whose observation count is negative";

fn sum_deltas(deltas: &[i64]) -> Result<u64, String> {
    let (mut count, mut sum) = (0i64, 0u64);
    for (at, delta) in deltas.iter().enumerate() {
        count = count.wrapping_add(*delta);
        if count < 0 {
            return Err(format!(
                "bucket number {} has observation count of {count}: {NEGATIVE_BUCKET}",
                at + 1
            ));
        }
        sum = sum.wrapping_add(count as u64);
    }
    Ok(sum)
}

fn check_counts(counts: &[f64]) -> Result<(), String> {
    match counts.iter().position(|count| *count < 0.0) {
        Some(at) => Err(format!(
            "bucket number {} has observation count of {}: {NEGATIVE_BUCKET}",
            at + 1,
            counts[at]
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(histogram: &Histogram, expected: &str) {
        let got = check_histogram(HistogramRef::Int(histogram)).map_or_else(|e| e, |()| String::new());
        assert_eq!(got, expected);
    }

    #[test]
    fn a_histogram_must_agree_with_itself() {
        let spans = vec![Span { offset: -2, length: 2 }];
        let good = Histogram {
            count: 5,
            positive_spans: spans,
            positive_buckets: vec![1, 3],
            ..Histogram::default()
        };
        check(&good, "");
        check(
            &Histogram { count: 6, ..good.clone() },
            "5 observations found in buckets, but the Count field is 6: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)",
        );
        check(
            &Histogram { positive_buckets: vec![1], ..good.clone() },
            "positive side: spans need 2 buckets, have 1 buckets: histogram spans specify different number of buckets than provided",
        );
        check(
            &Histogram { positive_buckets: vec![1, -2], ..good.clone() },
            "positive side: bucket number 2 has observation count of -1: histogram has a bucket whose observation count is negative",
        );
        check(&Histogram { sum: f64::NAN, count: 9, ..good }, "");
    }
}
