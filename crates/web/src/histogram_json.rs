//! A native histogram as the API's JSON: count, sum, and the buckets that hold something, in order of their bounds.
//!
//! Facts: `docs/querying/api.md`, "Native histograms": the first element of a bucket is 0 when it is open on the left, 1 on
//! the right, 3 when both bounds belong to it. Bounds of schema `s`: bucket `i` is `(2^((i-1)·2^-s), 2^(i·2^-s)]`.

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Span, exponential_bound, push_float_json};

/// One bucket as it is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    boundaries: u8,
    lower: f64,
    upper: f64,
    count: f64,
}

/// Writes `{"count":…,"sum":…,"buckets":[…]}`; no `buckets` when all are empty.
pub(crate) fn push_histogram(out: &mut String, histogram: &FloatHistogram) {
    out.push_str("{\"count\":\"");
    push_float_json(out, histogram.count);
    out.push_str("\",\"sum\":\"");
    push_float_json(out, histogram.sum);
    out.push('"');
    let mut before = ",\"buckets\":[[";
    for bucket in buckets(histogram).filter(|b| b.count != 0.0) {
        out.push_str(before);
        before = ",[";
        out.push(char::from(b'0' + bucket.boundaries));
        for number in [bucket.lower, bucket.upper, bucket.count] {
            out.push_str(",\"");
            push_float_json(out, number);
            out.push('"');
        }
        out.push(']');
    }
    out.push_str(if before == ",[" { "]}" } else { "}" });
}

/// COMPAT: where the zero bucket reaches into a bucket, that bucket begins (or ends) where the zero bucket ends.
fn clipped(mut bucket: Bucket, threshold: f64) -> Bucket {
    if bucket.upper < 0.0 {
        bucket.upper = bucket.upper.min(-threshold);
    } else if bucket.lower > 0.0 {
        bucket.lower = bucket.lower.max(threshold);
    }
    bucket
}

/// The negative buckets from the lowest up, the zero bucket, the positive ones.
fn buckets(histogram: &FloatHistogram) -> impl Iterator<Item = Bucket> {
    let threshold = histogram.zero_threshold;
    let negative: Vec<(i32, f64)> = indexed(&histogram.negative_spans, &histogram.negative_buckets).collect();
    let negative = negative.into_iter().rev().map(|(index, count)| Bucket {
        boundaries: 1,
        lower: -upper_bound(histogram, index),
        upper: -upper_bound(histogram, index - 1),
        count,
    });
    let zero = Bucket { boundaries: 3, lower: -threshold, upper: threshold, count: histogram.zero_count };
    let zero = (histogram.schema != CUSTOM_BUCKETS_SCHEMA).then_some(zero);
    let positive =
        indexed(&histogram.positive_spans, &histogram.positive_buckets).map(|(index, count)| Bucket {
            boundaries: if histogram.schema == CUSTOM_BUCKETS_SCHEMA && index == 0 { 3 } else { 0 },
            lower: upper_bound(histogram, index - 1),
            upper: upper_bound(histogram, index),
            count,
        });
    negative.chain(zero).chain(positive).map(move |bucket| clipped(bucket, threshold))
}

/// Each bucket's index and count.
fn indexed<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i32, f64)> + 'a {
    let mut next = 0i32;
    let indices = spans.iter().flat_map(move |span| {
        let first = next.saturating_add(span.offset);
        next = first.saturating_add_unsigned(span.length);
        first..next
    });
    indices.zip(counts.iter().copied())
}

fn upper_bound(histogram: &FloatHistogram, index: i32) -> f64 {
    if histogram.schema != CUSTOM_BUCKETS_SCHEMA {
        return exponential_bound(histogram.schema, index);
    }
    match usize::try_from(index) {
        Ok(i) => histogram.custom_values.get(i).copied().unwrap_or(f64::INFINITY),
        Err(_) => f64::NEG_INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(histogram: &FloatHistogram, expected: &str) {
        let mut out = String::new();
        push_histogram(&mut out, histogram);
        assert_eq!(out, expected);
    }

    #[test]
    fn buckets_go_from_low_to_high_and_skip_empty_ones() {
        let histogram = FloatHistogram {
            schema: 0,
            zero_threshold: 0.25,
            zero_count: 3.0,
            count: 22.0,
            sum: 18.5,
            positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }],
            positive_buckets: vec![12.0, 0.0, 2.0],
            negative_spans: vec![Span { offset: -1, length: 2 }],
            negative_buckets: vec![4.0, 1.0],
            ..Default::default()
        };
        let expected = concat!(
            r#"{"count":"22","sum":"18.5","buckets":[[1,"-1","-0.5","1"],[1,"-0.5","-0.25","4"],"#,
            r#"[3,"-0.25","0.25","3"],[0,"0.5","1","12"],[0,"4","8","2"]]}"#
        );
        check(&histogram, expected);
        check(&FloatHistogram::default(), r#"{"count":"0","sum":"0"}"#);
    }

    #[test]
    fn the_zero_bucket_cuts_its_neighbours() {
        let histogram = FloatHistogram {
            schema: 0,
            zero_threshold: 0.75,
            zero_count: 1.0,
            count: 3.0,
            sum: 1.0,
            positive_spans: vec![Span { offset: 0, length: 1 }],
            positive_buckets: vec![1.0],
            negative_spans: vec![Span { offset: 0, length: 1 }],
            negative_buckets: vec![1.0],
            ..Default::default()
        };
        let expected = r#"{"count":"3","sum":"1","buckets":[[1,"-1","-0.75","1"],[3,"-0.75","0.75","1"],[0,"0.75","1","1"]]}"#;
        check(&histogram, expected);
    }

    #[test]
    fn custom_bounds_end_at_infinity() {
        let histogram = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 6.0,
            sum: 1.0,
            custom_values: vec![1.0, 2.5],
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 2.0, 3.0],
            ..Default::default()
        };
        let expected = r#"{"count":"6","sum":"1","buckets":[[3,"-Inf","1","1"],[0,"1","2.5","2"],[0,"2.5","+Inf","3"]]}"#;
        check(&histogram, expected);
    }
}
