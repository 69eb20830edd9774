//! Histograms finer than anybody reads: schemas 9 to 52, which a later version may write, are brought down to 8.

use narthex_model::{FloatHistogram, Span};

use super::align::{indexes, spans_of};

/// The finest schema with exponential buckets that readers know.
const FINEST: i32 = 8;

/// Merges buckets until the schema is known; most histograms stay as they are.
pub(crate) fn to_known_schema(histogram: &mut FloatHistogram) {
    if histogram.schema <= FINEST {
        return;
    }
    let shift = (histogram.schema - FINEST) as u32;
    merge(shift, &mut histogram.positive_spans, &mut histogram.positive_buckets);
    merge(shift, &mut histogram.negative_spans, &mut histogram.negative_buckets);
    histogram.schema = FINEST;
}

fn merge(shift: u32, spans: &mut Vec<Span>, buckets: &mut Vec<f64>) {
    let (mut merged, mut counts): (Vec<i64>, Vec<f64>) = (Vec::new(), Vec::new());
    for (index, count) in indexes(spans).zip(buckets.iter()) {
        // Bucket i ends at base^i: the coarse bucket is that of its upper end.
        let coarse = ((index - 1) >> shift) + 1;
        match counts.last_mut() {
            Some(last) if merged.last() == Some(&coarse) => *last += count,
            _ => {
                merged.push(coarse);
                counts.push(*count);
            }
        }
    }
    *spans = spans_of(&merged);
    *buckets = counts;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_fine_buckets_become_one() {
        let span = |offset, length| Span { offset, length };
        let mut histogram = FloatHistogram {
            schema: 9,
            positive_spans: vec![span(1, 4), span(3, 1)],
            positive_buckets: vec![1.0, 2.0, 3.0, 4.0, 5.0],
            ..FloatHistogram::default()
        };
        to_known_schema(&mut histogram);
        // Buckets 1 and 2 end in 1, 3 and 4 in 2, 8 in 4.
        assert_eq!((histogram.schema, histogram.positive_buckets), (8, vec![3.0, 7.0, 5.0]));
        assert_eq!(histogram.positive_spans, [span(1, 2), span(1, 1)]);
    }
}
