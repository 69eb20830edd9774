//! The buckets of a histogram as the API shows them.

use narthex_model::FloatHistogram;

use super::Native;

/// A bucket of a native histogram with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistogramBucket {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// Whether the lower bound belongs to the bucket.
    pub lower_inclusive: bool,
    /// Whether the upper bound belongs to the bucket.
    pub upper_inclusive: bool,
    /// How many observations; never 0.
    pub count: f64,
}

/// The buckets of `histogram` that are not empty, from the lowest to the highest. A zero bucket counts as empty unless above 0.
#[must_use]
pub fn histogram_buckets(histogram: &FloatHistogram) -> Vec<HistogramBucket> {
    let native = Native::from(histogram);
    let custom = native.has_custom_buckets();
    let first_upper = native.bound(0);
    let used = native.buckets().into_iter().filter(|b| b.count != 0.0);
    used.map(|b| {
        let is_zero_bucket = !custom && b.lower <= 0.0 && b.upper >= 0.0;
        HistogramBucket {
            lower: b.lower,
            upper: b.upper,
            lower_inclusive: is_zero_bucket || if custom { b.upper == first_upper } else { b.lower < 0.0 },
            upper_inclusive: is_zero_bucket || custom || b.upper > 0.0,
            count: b.count,
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use narthex_model::Span;

    use super::*;

    #[test]
    fn bounds_open_away_from_zero() {
        let histogram = FloatHistogram {
            zero_threshold: 0.5,
            zero_count: 1.0,
            positive_spans: vec![Span { offset: 1, length: 2 }],
            positive_buckets: vec![2.0, 0.0],
            negative_spans: vec![Span { offset: 1, length: 1 }],
            negative_buckets: vec![3.0],
            ..FloatHistogram::default()
        };
        let shown: Vec<(f64, bool, f64, bool)> = histogram_buckets(&histogram)
            .iter()
            .map(|b| (b.lower, b.lower_inclusive, b.upper, b.upper_inclusive))
            .collect();
        assert_eq!(shown, [(-2.0, true, -1.0, false), (-0.5, true, 0.5, true), (1.0, false, 2.0, true)]);
    }
}
