//! A native histogram as a dump writes it: `{count:4, sum:17, [-0.001,0.001]:1, (1,2]:3}`.
//!
//! Facts: promtool's dumps. Buckets go from low to high, empty ones are left out, and none is cut where the zero bucket overlaps it.

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Span, exponential_bound, format_float_general};

/// One bucket and whether its bounds belong to it.
struct Bucket {
    lower: (f64, bool),
    upper: (f64, bool),
    count: f64,
}

/// The text. Counts are written as integers do it when all are whole: a reader cannot tell the two kinds of histograms apart.
pub(super) fn histogram_text(histogram: &FloatHistogram) -> String {
    let buckets = buckets(histogram);
    let is_whole = |v: f64| v.fract() == 0.0 && v.abs() < 9e15;
    let whole = is_whole(histogram.count) && buckets.iter().all(|b| is_whole(b.count));
    let number = |v: f64| if whole { (v as i64).to_string() } else { format_float_general(v) };
    let mut text =
        format!("{{count:{}, sum:{}", number(histogram.count), format_float_general(histogram.sum));
    for Bucket { lower, upper, count } in &buckets {
        let (open, close) = (if lower.1 { '[' } else { '(' }, if upper.1 { ']' } else { ')' });
        let (lower, upper) = (format_float_general(lower.0), format_float_general(upper.0));
        text.push_str(&format!(", {open}{lower},{upper}{close}:{}", number(*count)));
    }
    text.push('}');
    text
}

fn buckets(histogram: &FloatHistogram) -> Vec<Bucket> {
    let schema = histogram.schema;
    let negative =
        indexed(&histogram.negative_spans, &histogram.negative_buckets).map(|(index, count)| Bucket {
            lower: (-exponential_bound(schema, index), true),
            upper: (-exponential_bound(schema, index - 1), false),
            count,
        });
    let mut all: Vec<Bucket> = negative.collect();
    all.reverse();
    let zero = histogram.zero_threshold;
    all.push(Bucket { lower: (-zero, true), upper: (zero, true), count: histogram.zero_count });
    let bound = |index: i32| match schema {
        CUSTOM_BUCKETS_SCHEMA => custom_bound(&histogram.custom_values, index),
        _ => exponential_bound(schema, index),
    };
    all.extend(indexed(&histogram.positive_spans, &histogram.positive_buckets).map(|(index, count)| {
        let first = schema == CUSTOM_BUCKETS_SCHEMA && index == 0;
        Bucket { lower: (bound(index - 1), first), upper: (bound(index), true), count }
    }));
    all.retain(|bucket| bucket.count != 0.0);
    all
}

/// The upper bound of a custom bucket; that below the first is minus, that of the last plus infinity.
fn custom_bound(values: &[f64], index: i32) -> f64 {
    match usize::try_from(index) {
        Ok(at) => values.get(at).copied().unwrap_or(f64::INFINITY),
        Err(_) => f64::NEG_INFINITY,
    }
}

/// Buckets with their indexes.
fn indexed<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i32, f64)> {
    let mut next = 0i32;
    let indexes = spans.iter().flat_map(move |span| {
        let first = next.saturating_add(span.offset);
        next = first.saturating_add_unsigned(span.length);
        first..next
    });
    indexes.zip(counts.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From promtool's dumps of the recorded directories.
    #[test]
    fn buckets_are_written_as_promtool_does() {
        let histogram = FloatHistogram {
            schema: -1,
            count: 16.0,
            sum: 2.5,
            zero_threshold: 0.001,
            zero_count: 1.0,
            negative_spans: vec![Span { offset: -4, length: 1 }, Span { offset: 1, length: 1 }],
            negative_buckets: vec![2.0, 1.0],
            positive_spans: vec![Span { offset: -4, length: 2 }],
            positive_buckets: vec![12.0, 0.0],
            ..FloatHistogram::default()
        };
        assert_eq!(
            histogram_text(&histogram),
            "{count:16, sum:2.5, [-0.0625,-0.015625):1, [-0.00390625,-0.0009765625):2, [-0.001,0.001]:1, (0.0009765625,0.00390625]:12}"
        );
        let custom = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 6_000_000.5,
            sum: 949.0,
            custom_values: vec![0.5, 1.0],
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![6_000_000.0, 0.25, 0.25],
            ..FloatHistogram::default()
        };
        assert_eq!(
            histogram_text(&custom),
            "{count:6.0000005e+06, sum:949, [-Inf,0.5]:6e+06, (0.5,1]:0.25, (1,+Inf]:0.25}"
        );
    }
}
