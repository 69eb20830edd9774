//! A native histogram with custom buckets (NHCB) out of the parts of a classic one.
//!
//! Holds: the rules of the conversion, for parts in any order. Facts: Prometheus' `convert_classic_histograms_to_nhcb`; error
//! texts of release 3.14.

pub(crate) mod text;

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, Span};

use crate::native::NativeValue;

/// Between buckets of an integer histogram so many empty ones may be stored.
const MAX_EMPTY: u32 = 2;
/// Floats from here on do not tell neighbouring integers apart, and their integer form would not fit.
const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;

/// Why classic parts make no histogram.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum ConvertError {
    #[error("bucket count must be non-negative: le={}, count={}", go(*bound), go(*count))]
    NegativeBucket { bound: f64, count: f64 },
    #[error("bucket boundary must not be NaN")]
    NanBound,
    #[error("count must be non-negative: count={}", go(*.0))]
    NegativeCount(f64),
    #[error("count is not cumulative: {} {order} {}", go(*count), go(*neighbour))]
    NotCumulative { count: f64, order: char, neighbour: f64 },
    #[error("count mismatch: count={} != le={} count={}", go(*count), go(*bound), go(*last))]
    Mismatch { count: f64, bound: f64, last: f64 },
}

/// A number as Go's `%g` prints it.
fn go(value: f64) -> String {
    let mut out = String::new();
    narthex_model::push_float_general(&mut out, value);
    out
}

/// What is known of one classic histogram.
#[derive(Debug, Default)]
pub(crate) struct ClassicParts {
    /// Upper bounds, rising, with cumulative counts that never fall.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    error: Option<ConvertError>,
}

impl ClassicParts {
    pub(crate) fn clear(&mut self) {
        self.buckets.clear();
        (self.count, self.sum, self.error) = (None, 0.0, None);
    }

    pub(crate) fn set_count(&mut self, count: f64) {
        if count < 0.0 {
            self.error.get_or_insert(ConvertError::NegativeCount(count));
        }
        self.count = Some(count);
    }

    pub(crate) fn set_sum(&mut self, sum: f64) {
        self.sum = sum;
    }

    /// Adds a bucket; of two with one bound the first one counts.
    pub(crate) fn add_bucket(&mut self, bound: f64, count: f64) {
        if self.error.is_none()
            && let Err(error) = self.try_add(bound, count)
        {
            self.error = Some(error);
        }
    }

    fn try_add(&mut self, bound: f64, count: f64) -> Result<(), ConvertError> {
        if bound.is_nan() {
            return Err(ConvertError::NanBound);
        }
        if count < 0.0 {
            return Err(ConvertError::NegativeBucket { bound, count });
        }
        // Buckets nearly always come in their order.
        let at = match self.buckets.last() {
            Some((last, _)) if *last >= bound => self.buckets.partition_point(|(b, _)| *b < bound),
            _ => self.buckets.len(),
        };
        if self.buckets.get(at).is_some_and(|(b, _)| *b == bound) {
            return Ok(());
        }
        let below = at.checked_sub(1).map(|before| self.buckets[before].1);
        if let Some(neighbour) = below.filter(|below| count < *below) {
            return Err(ConvertError::NotCumulative { count, order: '<', neighbour });
        }
        if let Some((_, neighbour)) = self.buckets.get(at).filter(|(_, above)| count > *above) {
            return Err(ConvertError::NotCumulative { count, order: '>', neighbour: *neighbour });
        }
        self.buckets.insert(at, (bound, count));
        Ok(())
    }

    /// Writes the native histogram to `to`.
    pub(crate) fn convert(&mut self, to: &mut NativeValue) -> Result<(), ConvertError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let last = self.buckets.last().copied();
        let count = self.count.or(last.map(|(_, count)| count)).unwrap_or(0.0);
        if last.is_none_or(|(bound, _)| bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let (bound, last) = self.buckets[self.buckets.len() - 1];
        // A NaN is equal to nothing, and here that is right.
        if count != last {
            return Err(ConvertError::Mismatch { count, bound, last });
        }
        let is_int = |count: f64| count.round() == count && count < TOO_LARGE;
        if is_int(count) && self.buckets.iter().all(|(_, count)| is_int(*count)) {
            self.convert_int(count as u64, to);
        } else {
            self.convert_float(count, to);
        }
        Ok(())
    }

    fn convert_int(&self, count: u64, to: &mut NativeValue) {
        let h = to.start_int(CUSTOM_BUCKETS_SCHEMA);
        (h.count, h.sum) = (count, self.sum);
        h.positive_spans.push(Span { offset: 0, length: self.buckets.len() as u32 });
        let (mut below, mut before) = (0i64, 0i64);
        for (_, cumulative) in &self.buckets {
            let own = *cumulative as i64 - below;
            h.positive_buckets.push(own - before);
            (below, before) = (*cumulative as i64, own);
        }
        h.custom_values.extend(self.bounds());
        h.compact(MAX_EMPTY);
    }

    fn convert_float(&self, count: f64, to: &mut NativeValue) {
        let h = to.start_float(CUSTOM_BUCKETS_SCHEMA);
        (h.count, h.sum) = (count, self.sum);
        h.positive_spans.push(Span { offset: 0, length: self.buckets.len() as u32 });
        let mut below = 0.0;
        for (_, cumulative) in &self.buckets {
            h.positive_buckets.push(cumulative - below);
            below = *cumulative;
        }
        h.custom_values.extend(self.bounds());
        h.compact(0);
    }

    /// All bounds but the last, which is infinite.
    fn bounds(&self) -> impl Iterator<Item = f64> {
        self.buckets[..self.buckets.len() - 1].iter().map(|(bound, _)| *bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::Native;

    #[track_caller]
    fn check(count: Option<f64>, buckets: &[(f64, f64)], want: &str) {
        let (mut parts, mut value) = (ClassicParts::default(), NativeValue::default());
        if let Some(count) = count {
            parts.set_count(count);
        }
        parts.set_sum(2.5);
        buckets.iter().for_each(|(bound, count)| parts.add_bucket(*bound, *count));
        let got = match parts.convert(&mut value).map(|()| value.get()) {
            Ok(Native::Int(h)) => {
                format!(
                    "{} {:?} {:?} {:?}",
                    h.count,
                    h.custom_values,
                    spans(&h.positive_spans),
                    h.positive_buckets
                )
            }
            Ok(Native::Float(h)) => {
                format!(
                    "{:?} {:?} {:?} {:?}",
                    h.count,
                    h.custom_values,
                    spans(&h.positive_spans),
                    h.positive_buckets
                )
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(got, want);
    }

    fn spans(spans: &[Span]) -> Vec<(i32, u32)> {
        spans.iter().map(|s| (s.offset, s.length)).collect()
    }

    #[test]
    fn parts_become_a_histogram_or_say_what_is_wrong() {
        let inf = f64::INFINITY;
        check(Some(5.0), &[(0.5, 1.0), (1.0, 3.0), (inf, 5.0)], "5 [0.5, 1.0] [(0, 3)] [1, 1, 0]");
        check(None, &[(1.0, 3.0), (0.5, 1.0)], "3 [0.5, 1.0] [(0, 2)] [1, 1]");
        check(Some(2.0), &[], "2 [] [(0, 1)] [2]");
        check(None, &[], "0 [] [] []");
        check(Some(1.5), &[(1.0, 0.5)], "1.5 [1.0] [(0, 2)] [0.5, 1.0]");
        check(Some(5.0), &[(1.0, 5.0), (1.0, 4.0)], "5 [1.0] [(0, 1)] [5]");
        check(Some(4.0), &[(1.0, 1.0), (inf, 5.0)], "count mismatch: count=4 != le=+Inf count=5");
        check(Some(4.0), &[(1.0, 2.0), (2.0, 1.0)], "count is not cumulative: 1 < 2");
        check(Some(4.0), &[(2.0, 1.0), (1.0, 2.0)], "count is not cumulative: 2 > 1");
        check(Some(-4.0), &[], "count must be non-negative: count=-4");
        check(Some(4.0), &[(0.5, -1.0)], "bucket count must be non-negative: le=0.5, count=-1");
        check(Some(4.0), &[(f64::NAN, 1.0)], "bucket boundary must not be NaN");
        check(Some(f64::NAN), &[(1.0, 1.0)], "count mismatch: count=NaN != le=+Inf count=NaN");
        check(Some(1e19), &[(1.0, 1.0)], "1e19 [1.0] [(0, 2)] [1.0, 1e19]");
    }
}
