//! Arithmetic on native histograms.
//!
//! Works on [`Native`], whose buckets are lists of index and count instead of spans; [`Native::from`] and [`Native::pack`] go
//! between the two. Each number carries what rounding lost of it, so that long sums are compensated; plain sums leave that 0.
//! Always true: the buckets of a side rise by index. Histograms with exponential and with custom buckets do not mix.
//! Facts: the rules that Prometheus documents for native histograms: resolutions are reduced to the coarser one, zero buckets
//! are widened until they agree, custom bounds are cut down to the common ones.

mod api;
mod convert;
mod mean;
mod quantile;
mod reset;
mod sum;
mod trim;

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, exponential_bound};

pub use api::{HistogramBucket, histogram_buckets};
pub(crate) use mean::NativeFold;
pub(crate) use quantile::NanNote;
pub(crate) use sum::{Combined, Incompatible};
pub(crate) use trim::Keep;

/// A number and what rounding lost of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Count {
    pub value: f64,
    pub lost: f64,
}

impl Count {
    fn of(value: f64) -> Self {
        Self { value, lost: 0.0 }
    }

    /// Adds, keeping what is lost.
    fn add(&mut self, x: f64) {
        (self.value, self.lost) = super::kernels::sums::add(x, self.value, self.lost);
    }

    fn scale(&mut self, f: impl Fn(f64) -> f64) {
        // What was not lost is left alone: 0 divided by 0 would make it NaN.
        self.lost = if self.lost == 0.0 { 0.0 } else { f(self.lost) };
        self.value = f(self.value);
    }

    fn settle(&mut self) {
        self.value += self.lost;
        self.lost = 0.0;
    }
}

/// The buckets of one side, by rising index.
pub(crate) type Side = Vec<(i32, Count)>;

/// A histogram to calculate with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Native {
    pub hint: CounterResetHint,
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero: Count,
    pub count: Count,
    pub sum: Count,
    pub positive: Side,
    pub negative: Side,
    /// Upper bounds of the custom schema.
    pub bounds: Vec<f64>,
}

/// A bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounded {
    pub lower: f64,
    pub upper: f64,
    pub count: f64,
}

impl Native {
    /// Whether the bounds are given one by one.
    pub(crate) fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// The upper bound of a bucket of the positive side.
    fn bound(&self, index: i32) -> f64 {
        if !self.has_custom_buckets() {
            return exponential_bound(self.schema, index);
        }
        match usize::try_from(index) {
            Ok(at) => self.bounds.get(at).copied().unwrap_or(f64::INFINITY),
            Err(_) => f64::NEG_INFINITY,
        }
    }

    /// A bucket of the positive side.
    fn positive_bucket(&self, (index, count): &(i32, Count)) -> Bounded {
        Bounded { lower: self.bound(index - 1), upper: self.bound(*index), count: count.value }
    }

    /// A bucket of the negative side.
    fn negative_bucket(&self, (index, count): &(i32, Count)) -> Bounded {
        Bounded { lower: -self.bound(*index), upper: -self.bound(index - 1), count: count.value }
    }

    /// All buckets from the lowest to the highest, the zero bucket when it is not empty. Buckets end where the zero bucket begins.
    pub(crate) fn buckets(&self) -> Vec<Bounded> {
        let threshold = self.zero_threshold;
        let mut all: Vec<Bounded> = self.negative.iter().rev().map(|b| self.negative_bucket(b)).collect();
        for bucket in &mut all {
            if bucket.upper < 0.0 && bucket.upper > -threshold {
                bucket.upper = -threshold;
            }
        }
        if self.zero.value > 0.0 {
            all.push(Bounded { lower: -threshold, upper: threshold, count: self.zero.value });
        }
        for bucket in &self.positive {
            let mut bucket = self.positive_bucket(bucket);
            if bucket.lower > 0.0 && bucket.lower < threshold {
                bucket.lower = threshold;
            }
            all.push(bucket);
        }
        all
    }

    /// Calls `f` with every number of the histogram.
    fn for_each(&mut self, mut f: impl FnMut(&mut Count)) {
        f(&mut self.zero);
        f(&mut self.count);
        f(&mut self.sum);
        self.positive.iter_mut().chain(&mut self.negative).for_each(|(_, count)| f(count));
    }

    /// Multiplies every number.
    pub(crate) fn multiply(&mut self, factor: f64) {
        self.for_each(|c| c.scale(|v| v * factor));
        if factor < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
    }

    /// Divides every number; by 0 no bucket is left.
    pub(crate) fn divide(&mut self, by: f64) {
        self.for_each(|c| c.scale(|v| v / by));
        if by == 0.0 {
            self.positive.clear();
            self.negative.clear();
        } else if by < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
    }

    /// Puts what rounding lost back into the numbers.
    pub(crate) fn settle(&mut self) {
        self.for_each(Count::settle);
    }

    /// Drops empty buckets.
    pub(crate) fn compact(&mut self) {
        let is_used = |(_, c): &(i32, Count)| c.value != 0.0 || c.lost != 0.0;
        self.positive.retain(is_used);
        self.negative.retain(is_used);
    }

    /// Whether a number has become infinite.
    pub(crate) fn has_overflow(&self) -> bool {
        let mut buckets = self.positive.iter().chain(&self.negative);
        [self.zero, self.count, self.sum].iter().any(|c| c.value.is_infinite())
            || buckets.any(|(_, c)| c.value.is_infinite())
            || self.bounds.iter().any(|b| b.is_infinite())
    }

    /// Merges buckets down to a coarser schema (exponential ones only).
    pub(crate) fn reduce_to(&mut self, schema: i32) {
        if schema >= self.schema || self.has_custom_buckets() || schema == CUSTOM_BUCKETS_SCHEMA {
            return;
        }
        // Beyond 31 all buckets of a side are one.
        let shift = self.schema.saturating_sub(schema).min(31);
        for side in [&mut self.positive, &mut self.negative] {
            for (index, _) in side.iter_mut() {
                *index = ((*index - 1) >> shift) + 1;
            }
            side.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1.value += next.1.value;
                    kept.1.lost += next.1.lost;
                }
                same
            });
        }
        self.schema = schema;
    }
}
