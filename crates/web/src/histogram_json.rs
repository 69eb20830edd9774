//! A native histogram as the API's JSON: count, sum, and the buckets that hold something, in order of their bounds.
//!
//! Facts: `docs/querying/api.md`, "Native histograms": the first element of a bucket says which bounds belong to it: 0 the
//! upper one, 1 the lower one, 2 none, 3 both.

use narthex_model::{FloatHistogram, push_float_json};
use narthex_promql::engine::{HistogramBucket, histogram_buckets};

/// Writes `{"count":…,"sum":…,"buckets":[…]}`; no `buckets` when all are empty.
pub(crate) fn push_histogram(out: &mut String, histogram: &FloatHistogram) {
    out.push_str("{\"count\":\"");
    push_float_json(out, histogram.count);
    out.push_str("\",\"sum\":\"");
    push_float_json(out, histogram.sum);
    out.push('"');
    let mut before = ",\"buckets\":[[";
    for bucket in histogram_buckets(histogram) {
        out.push_str(before);
        before = ",[";
        out.push(boundaries(&bucket));
        for number in [bucket.lower, bucket.upper, bucket.count] {
            out.push_str(",\"");
            push_float_json(out, number);
            out.push('"');
        }
        out.push(']');
    }
    out.push_str(if before == ",[" { "]}" } else { "}" });
}

fn boundaries(bucket: &HistogramBucket) -> char {
    match (bucket.lower_inclusive, bucket.upper_inclusive) {
        (false, true) => '0',
        (true, false) => '1',
        (false, false) => '2',
        (true, true) => '3',
    }
}

#[cfg(test)]
mod tests {
    use narthex_model::{CUSTOM_BUCKETS_SCHEMA, Span};

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
