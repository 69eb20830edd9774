//! Native histograms: exponential buckets that come as they are needed, under a bound of their number.
//!
//! Always true: bucket `i` of schema `s` holds values in `(2^((i-1)/2^s), 2^(i/2^s)]`, by absolute value; when more than [`MAX_BUCKETS`]
//! are in use neighbours become one and the schema falls by one. What is not a number counts only in the histogram's sum and count.
//! Facts: OpenMetrics' native histograms as Prometheus' own metrics have them: growth of at most 1.1 a bucket, 100 buckets.
//! COMPAT: Prometheus forgets all counts instead, when the last time was more than an hour ago; here they stay.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::family::NativeBuckets;

/// 8 buckets a power of two: the coarsest schema whose buckets grow by at most 1.1.
const SCHEMA: i32 = 3;
/// The coarsest schema there is.
const LEAST_SCHEMA: i32 = -4;
/// More buckets than this make the schema fall.
const MAX_BUCKETS: usize = 100;
/// Absolute values up to this are zero: 2^-128.
const ZERO_THRESHOLD: f64 = f64::from_bits((1023 - 128) << 52);

/// Where a power of two is divided at schema 3, in `[0.5, 1)`: `2^(i/8 - 1)`.
const DIVISIONS: [f64; 8] = [
    0.5,
    0.545_253_866_332_628_8,
    0.594_603_557_501_360_5,
    0.648_419_777_325_504_8,
    0.707_106_781_186_547_5,
    0.771_105_412_703_970_4,
    0.840_896_415_253_714_4,
    0.917_004_043_204_671_1,
];

/// The buckets of one histogram.
#[derive(Debug, Default)]
pub(crate) struct Native(Mutex<State>);

#[derive(Debug)]
struct State {
    schema: i32,
    zero: u64,
    negative: BTreeMap<i32, u64>,
    positive: BTreeMap<i32, u64>,
}

impl Default for State {
    fn default() -> Self {
        Self { schema: SCHEMA, zero: 0, negative: BTreeMap::new(), positive: BTreeMap::new() }
    }
}

impl Native {
    /// Counts one observation.
    pub(crate) fn observe(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if value.abs() <= ZERO_THRESHOLD {
            state.zero += 1;
            return;
        }
        let at = coarser(finest_bucket(value.abs()), SCHEMA - state.schema);
        let side = if value > 0.0 { &mut state.positive } else { &mut state.negative };
        *side.entry(at).or_insert(0) += 1;
        while state.positive.len() + state.negative.len() > MAX_BUCKETS && state.schema > LEAST_SCHEMA {
            state.make_coarser();
        }
    }

    /// The buckets now.
    pub(crate) fn value(&self) -> NativeBuckets {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let list = |side: &BTreeMap<i32, u64>| side.iter().map(|(at, count)| (*at, *count)).collect();
        NativeBuckets {
            schema: state.schema,
            zero_threshold: ZERO_THRESHOLD,
            zero_count: state.zero,
            negative: list(&state.negative),
            positive: list(&state.positive),
        }
    }
}

impl State {
    fn make_coarser(&mut self) {
        self.schema -= 1;
        for side in [&mut self.negative, &mut self.positive] {
            for (at, count) in std::mem::take(side) {
                *side.entry(coarser(at, 1)).or_insert(0) += count;
            }
        }
    }
}

/// The bucket that a bucket is part of after so many steps of the schema.
fn coarser(at: i32, steps: i32) -> i32 {
    ((at - 1) >> steps) + 1
}

/// The bucket of a positive value at schema 3.
fn finest_bucket(value: f64) -> i32 {
    // What has no bound counts above the largest number.
    let (value, beyond) = if value.is_infinite() { (f64::MAX, 1) } else { (value, 0) };
    let bits = value.to_bits();
    let biased = (bits >> 52 & 0x7ff) as i32;
    // Numbers so small that they have no exponent of their own are zero here.
    let fraction = f64::from_bits(bits & ((1 << 52) - 1) | 1022 << 52);
    let within = DIVISIONS.partition_point(|division| *division < fraction) as i32;
    within + (biased - 1022 - 1) * DIVISIONS.len() as i32 + beyond
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_between_the_bounds_of_their_bucket() {
        for exponent in [-100.0, -3.5, -0.1, 0.0, 0.3, 1.0, 7.77, 900.0] {
            for factor in [1.0, 1.01, 1.2, 1.5, 1.99] {
                let value = 2_f64.powf(exponent) * factor;
                let at = f64::from(finest_bucket(value));
                let (low, high) = (((at - 1.0) / 8.0).exp2(), (at / 8.0).exp2());
                assert!(value > low * (1.0 - 1e-12) && value <= high * (1.0 + 1e-12), "{low} {value} {high}");
            }
        }
        // Bounds belong to the bucket below them.
        assert_eq!([0.5, 1.0, 2.0, 1.5].map(finest_bucket), [-8, 0, 8, 5]);
        assert_eq!(finest_bucket(f64::INFINITY), finest_bucket(f64::MAX) + 1);
    }

    #[test]
    fn buckets_are_bounded_and_no_count_is_lost() {
        let native = Native::default();
        [0.0, -1.0, f64::NAN, f64::INFINITY].iter().for_each(|v| native.observe(*v));
        (0..1_000).for_each(|i| native.observe(1.07_f64.powi(i)));
        let value = native.value();
        assert!(value.negative.len() + value.positive.len() <= MAX_BUCKETS && value.schema < SCHEMA);
        assert_eq!((value.zero_count, value.negative.iter().map(|b| b.1).sum::<u64>()), (1, 1));
        assert_eq!(value.positive.iter().map(|b| b.1).sum::<u64>(), 1_001);
        // As if all had been counted at that schema.
        let mut expected = BTreeMap::new();
        for v in (0..1_000).map(|i| 1.07_f64.powi(i)).chain([f64::INFINITY]) {
            *expected.entry(coarser(finest_bucket(v), SCHEMA - value.schema)).or_insert(0) += 1;
        }
        assert_eq!(value.positive, expected.into_iter().collect::<Vec<_>>());
    }
}
