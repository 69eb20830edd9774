//! Quantiles, fractions and variance of native histograms.

use super::{Bounded, Native};
use crate::engine::kernels::math::{exp2, log2};
use crate::engine::kernels::sums;

/// A quantile, and what it says about observations that are NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum NanNote {
    Nothing,
    /// The result is NaN for them.
    ResultIsNan,
    /// The result is higher than without them.
    Skewed,
    /// They are left out of the fraction.
    LeftOut,
}

impl Bounded {
    /// Which part of the bucket lies below `v`.
    pub(super) fn part_below(&self, v: f64, linear: bool) -> f64 {
        if linear {
            return (v - self.lower) / (self.upper - self.lower);
        }
        let (lower, upper, v_log) = (log2(self.lower.abs()), log2(self.upper.abs()), log2(v.abs()));
        if v > 0.0 { (v_log - lower) / (upper - lower) } else { 1.0 - (v_log - upper) / (lower - upper) }
    }
}

impl Native {
    /// The φ-quantile.
    pub(crate) fn quantile(&self, q: f64) -> (f64, NanNote) {
        if q < 0.0 {
            return (f64::NEG_INFINITY, NanNote::Nothing);
        }
        if q > 1.0 {
            return (f64::INFINITY, NanNote::Nothing);
        }
        if self.count.value == 0.0 || q.is_nan() {
            return (f64::NAN, NanNote::Nothing);
        }
        let total = self.count.value;
        let has_nan = self.sum.value.is_nan();
        let forward = has_nan || q < 0.5;
        let mut buckets = self.buckets();
        if !forward {
            buckets.reverse();
        }
        let mut rank = if forward { q * total } else { (1.0 - q) * total };
        let mut bucket = Bounded { lower: 0.0, upper: 0.0, count: 0.0 };
        let (mut count, mut next) = (0.0, 0);
        while next < buckets.len() {
            bucket = buckets[next];
            next += 1;
            count += bucket.count;
            if bucket.count != 0.0 && count >= rank {
                break;
            }
        }
        if let Some(edge) = self.fit_edges(&mut bucket) {
            return (edge, NanNote::Nothing);
        }
        count = count.min(total);
        if count < rank {
            return if has_nan { (f64::NAN, NanNote::ResultIsNan) } else { (bucket.upper, NanNote::Nothing) };
        }
        rank = if forward { rank - (count - bucket.count) } else { count - rank };
        let mut note = NanNote::Nothing;
        if has_nan && count + buckets[next..].iter().map(|b| b.count).sum::<f64>() < total {
            note = NanNote::Skewed;
        }
        (self.interpolate(&bucket, rank / bucket.count), note)
    }

    /// Cuts a bucket to where observations can be; gives the result at once when it has an open end.
    fn fit_edges(&self, bucket: &mut Bounded) -> Option<f64> {
        if !self.has_custom_buckets() {
            if bucket.lower < 0.0 && bucket.upper > 0.0 {
                self.fit_zero_bucket(bucket);
            }
            return None;
        }
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return Some(bucket.upper);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return Some(bucket.lower);
        }
        None
    }

    /// The zero bucket of a histogram with buckets on one side only reaches to that side.
    fn fit_zero_bucket(&self, bucket: &mut Bounded) {
        match (self.negative.is_empty(), self.positive.is_empty()) {
            (true, false) => bucket.lower = 0.0,
            (false, true) => bucket.upper = 0.0,
            _ => {}
        }
    }

    fn interpolate(&self, bucket: &Bounded, part: f64) -> f64 {
        if self.has_custom_buckets() || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
            return bucket.lower + (bucket.upper - bucket.lower) * part;
        }
        let (lower, upper) = (log2(bucket.lower.abs()), log2(bucket.upper.abs()));
        if bucket.lower > 0.0 {
            exp2(lower + (upper - lower) * part)
        } else {
            -exp2(upper + (lower - upper) * (1.0 - part))
        }
    }

    /// Which part of the observations lies between two values.
    pub(crate) fn fraction(&self, lower: f64, upper: f64) -> (f64, NanNote) {
        let total = self.count.value;
        if total == 0.0 || lower.is_nan() || upper.is_nan() {
            return (f64::NAN, NanNote::Nothing);
        }
        if lower >= upper {
            return (0.0, NanNote::Nothing);
        }
        let buckets = self.buckets();
        let (mut count, mut note) = (total, NanNote::Nothing);
        if self.sum.value.is_nan() {
            count = buckets.iter().map(|b| b.count).sum();
            if count < total {
                note = NanNote::LeftOut;
            }
        }
        let rank = |v| self.rank_of(v, &buckets).filter(|rank| *rank <= count).unwrap_or(count);
        ((rank(upper) - rank(lower)) / total, note)
    }

    /// How many observations lie below a value; `None` when it is beyond all buckets.
    fn rank_of(&self, value: f64, buckets: &[Bounded]) -> Option<f64> {
        let mut rank = 0.0;
        for bucket in buckets {
            let mut b = *bucket;
            let is_zero_bucket = b.lower <= 0.0 && b.upper >= 0.0;
            if is_zero_bucket {
                self.fit_zero_bucket(&mut b);
            }
            if b.lower >= value {
                return Some(rank);
            }
            if b.upper > value {
                let linear = self.has_custom_buckets() || is_zero_bucket;
                if linear && b.lower == f64::NEG_INFINITY {
                    return Some(b.count);
                }
                return Some(rank + b.count * b.part_below(value, linear));
            }
            rank += b.count;
        }
        None
    }

    /// The estimated population variance.
    pub(crate) fn variance(&self) -> f64 {
        let mean = self.sum.value / self.count.value;
        let (mut variance, mut lost) = (0.0, 0.0);
        for b in self.buckets().iter().filter(|b| b.count != 0.0) {
            let value = if self.has_custom_buckets() {
                (b.upper + b.lower) / 2.0
            } else if b.lower <= 0.0 && b.upper >= 0.0 {
                0.0
            } else {
                (b.upper * b.lower).sqrt().copysign(b.upper)
            };
            let delta = value - mean;
            (variance, lost) = sums::add(b.count * delta * delta, variance, lost);
        }
        (variance + lost) / self.count.value
    }
}
