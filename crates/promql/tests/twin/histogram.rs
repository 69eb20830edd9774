//! Native histograms, plainly: buckets in a map from index to count, sums without compensation.
//!
//! Written for reading, apart from the engine's `native`. The order in which numbers are added differs from the engine's; the
//! random data has whole counts, so that this does not show.

use std::collections::BTreeMap;

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Span, exponential_bound};

/// Counts by bucket index.
pub(crate) type Side = BTreeMap<i32, f64>;

/// A native histogram.
#[derive(Clone, Debug)]
pub(crate) struct Hist {
    pub hint: CounterResetHint,
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero: f64,
    pub count: f64,
    pub sum: f64,
    pub positive: Side,
    pub negative: Side,
    /// Upper bounds of custom buckets, without +Inf.
    pub bounds: Vec<f64>,
}

/// Exponential and custom buckets do not mix.
#[derive(Debug)]
pub(crate) struct Mixed;

/// A bucket with its bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    pub lower: f64,
    pub upper: f64,
    pub count: f64,
}

fn unpack(spans: &[Span], counts: &[f64]) -> Side {
    let (mut side, mut index, mut counts) = (Side::new(), 0, counts.iter());
    for span in spans {
        index += span.offset;
        for _ in 0..span.length {
            side.insert(index, *counts.next().unwrap());
            index += 1;
        }
    }
    side
}

impl From<&FloatHistogram> for Hist {
    fn from(h: &FloatHistogram) -> Self {
        Self {
            hint: h.counter_reset_hint,
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            zero: h.zero_count,
            count: h.count,
            sum: h.sum,
            positive: unpack(&h.positive_spans, &h.positive_buckets),
            negative: unpack(&h.negative_spans, &h.negative_buckets),
            bounds: h.custom_values.clone(),
        }
    }
}

impl Hist {
    pub(crate) fn is_custom(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    fn upper(&self, index: i32) -> f64 {
        if !self.is_custom() {
            return exponential_bound(self.schema, index);
        }
        if index < 0 {
            return f64::NEG_INFINITY;
        }
        self.bounds.get(index as usize).copied().unwrap_or(f64::INFINITY)
    }

    /// All buckets, lowest first.
    pub(crate) fn buckets(&self) -> Vec<Bucket> {
        let zero = self.zero_threshold;
        let mut all = Vec::new();
        for (index, count) in self.negative.iter().rev() {
            let (lower, mut upper) = (-self.upper(*index), -self.upper(index - 1));
            if upper < 0.0 && upper > -zero {
                upper = -zero;
            }
            all.push(Bucket { lower, upper, count: *count });
        }
        if self.zero > 0.0 {
            all.push(Bucket { lower: -zero, upper: zero, count: self.zero });
        }
        for (index, count) in &self.positive {
            let (mut lower, upper) = (self.upper(index - 1), self.upper(*index));
            if lower > 0.0 && lower < zero {
                lower = zero;
            }
            all.push(Bucket { lower, upper, count: *count });
        }
        all
    }

    /// A histogram of this layout without any observation.
    pub(crate) fn nothing(&self) -> Self {
        Self {
            zero_threshold: 0.0,
            zero: 0.0,
            count: 0.0,
            sum: 0.0,
            positive: Side::new(),
            negative: Side::new(),
            ..self.clone()
        }
    }

    fn each(&mut self, f: impl Fn(f64) -> f64) {
        for number in [&mut self.zero, &mut self.count, &mut self.sum] {
            *number = f(*number);
        }
        self.positive.values_mut().chain(self.negative.values_mut()).for_each(|count| *count = f(*count));
    }

    pub(crate) fn times(mut self, factor: f64) -> Self {
        self.each(|v| v * factor);
        if factor < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
        self
    }

    pub(crate) fn divided_by(mut self, by: f64) -> Self {
        self.each(|v| v / by);
        if by == 0.0 {
            self.positive.clear();
            self.negative.clear();
        } else if by < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
        self
    }

    pub(crate) fn compact(mut self) -> Self {
        self.positive.retain(|_, count| *count != 0.0);
        self.negative.retain(|_, count| *count != 0.0);
        self
    }

    /// At a coarser resolution.
    pub(crate) fn at_schema(&self, schema: i32) -> Self {
        let mut result = self.clone();
        if self.is_custom() || schema >= self.schema {
            return result;
        }
        result.schema = schema;
        let coarser = |side: &Side| {
            let mut merged = Side::new();
            for (index, count) in side {
                *merged.entry(((index - 1) >> (self.schema - schema)) + 1).or_default() += count;
            }
            merged
        };
        (result.positive, result.negative) = (coarser(&self.positive), coarser(&self.negative));
        result
    }

    /// How far a zero bucket of at least `threshold` must reach so that it cuts no bucket in two.
    fn threshold_from(&self, threshold: f64) -> f64 {
        let mut reach = threshold;
        if threshold <= self.zero_threshold {
            return self.zero_threshold;
        }
        loop {
            let cut = self.positive.iter().chain(&self.negative).find(|(index, count)| {
                **count != 0.0 && self.upper(**index - 1) < reach && self.upper(**index) > reach
            });
            match cut {
                Some((index, _)) => reach = self.upper(*index),
                None => return reach,
            }
        }
    }

    /// The count of the zero bucket when it reaches to `threshold`.
    fn zero_to(&self, threshold: f64) -> f64 {
        if threshold == self.zero_threshold {
            return self.zero;
        }
        let inside = self.positive.iter().chain(&self.negative);
        let inside = inside.filter(|(index, _)| self.upper(**index - 1) < threshold);
        inside.map(|(_, count)| count).fold(self.zero, |sum, count| sum + count)
    }

    /// `self + sign · other`; also whether reset hints contradict each other.
    pub(crate) fn plus(&self, other: &Self, sign: f64) -> Result<(Self, bool), Mixed> {
        if self.is_custom() != other.is_custom() {
            return Err(Mixed);
        }
        let mut result = self.clone();
        let collide = result.merge_hint(other.hint);
        result.count += sign * other.count;
        result.sum += sign * other.sum;
        if self.is_custom() {
            result.add_custom(other, sign);
            return Ok((result, collide));
        }
        let mut threshold = self.zero_threshold.max(other.zero_threshold);
        loop {
            let wider = self.threshold_from(threshold).max(other.threshold_from(threshold));
            if wider == threshold {
                break;
            }
            threshold = wider;
        }
        result.zero = self.zero_to(threshold) + sign * other.zero_to(threshold);
        if threshold != self.zero_threshold {
            let swallowed = |index: &i32| self.upper(*index - 1) < threshold;
            result.positive.retain(|index, _| !swallowed(index));
            result.negative.retain(|index, _| !swallowed(index));
            result.zero_threshold = threshold;
        }
        let schema = self.schema.min(other.schema);
        result = result.at_schema(schema);
        let other = other.at_schema(schema);
        for (into, from) in [(&mut result.positive, &other.positive), (&mut result.negative, &other.negative)]
        {
            for (index, count) in from.iter().filter(|(i, _)| exponential_bound(schema, **i) > threshold) {
                *into.entry(*index).or_default() += sign * count;
            }
        }
        Ok((result, collide))
    }

    fn add_custom(&mut self, other: &Self, sign: f64) {
        if self.bounds == other.bounds {
            other.positive.iter().for_each(|(i, c)| *self.positive.entry(*i).or_default() += sign * c);
            return;
        }
        let common: Vec<f64> = self.bounds.iter().copied().filter(|b| other.bounds.contains(b)).collect();
        let mut merged = Side::new();
        for (from, sign) in [(&*self, 1.0), (other, sign)] {
            for (index, count) in &from.positive {
                let upper = from.upper(*index);
                let at = common.iter().position(|bound| *bound >= upper).unwrap_or(common.len());
                *merged.entry(at as i32).or_default() += sign * count;
            }
        }
        (self.positive, self.bounds) = (merged, common);
    }

    fn merge_hint(&mut self, other: CounterResetHint) -> bool {
        use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
        self.hint = match (self.hint, other) {
            (a, b) if a == b => a,
            (Gauge, _) | (_, Gauge) => Gauge,
            (Reset, NotReset) | (NotReset, Reset) => {
                self.hint = Unknown;
                return true;
            }
            _ => Unknown,
        };
        false
    }

    /// Whether a counter began anew between `before` and this.
    pub(crate) fn is_reset_after(&self, before: &Self) -> bool {
        match self.hint {
            CounterResetHint::Reset => return true,
            CounterResetHint::NotReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count < before.count {
            return true;
        }
        if self.is_custom() && (!before.is_custom() || self.bounds != before.bounds) {
            return !before.is_custom() || self.is_custom_reset_after(before);
        }
        if !self.is_custom() && before.is_custom() {
            // An exponential schema is always "finer" than the number that marks custom buckets.
            return true;
        }
        if self.schema > before.schema || self.zero_threshold < before.zero_threshold {
            return true;
        }
        if before.threshold_from(self.zero_threshold) != self.zero_threshold {
            return true;
        }
        if self.zero < before.zero_to(self.zero_threshold) {
            return true;
        }
        let before = before.at_schema(self.schema);
        let fell = |now: &Side, before: &Side| {
            let is_outside = |i: i32| self.zero_threshold == 0.0 || self.upper(i) > self.zero_threshold;
            let outside = before.iter().filter(|(i, _)| is_outside(**i));
            outside.into_iter().any(|(i, count)| now.get(i).map_or(*count != 0.0, |now| now < count))
        };
        fell(&self.positive, &before.positive) || fell(&self.negative, &before.negative)
    }

    fn is_custom_reset_after(&self, before: &Self) -> bool {
        let common = self.bounds.iter().filter(|b| before.bounds.contains(b)).copied();
        let edges: Vec<f64> = common.chain([f64::INFINITY]).collect();
        let rolled = |h: &Self| {
            let mut counts = vec![0.0; edges.len()];
            for (index, count) in &h.positive {
                let at = edges.iter().position(|edge| *edge >= h.upper(*index)).unwrap();
                counts[at] += count;
            }
            counts
        };
        rolled(self).iter().zip(&rolled(before)).any(|(now, before)| now < before)
    }

    /// Whether all numbers are the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let bits = |h: &Self| {
            let side = |s: &Side| s.iter().map(|(i, c)| (*i, c.to_bits())).collect::<Vec<_>>();
            let head = [h.zero_threshold, h.zero, h.count, h.sum].map(f64::to_bits);
            (h.schema, head, side(&h.positive), side(&h.negative))
        };
        bits(self) == bits(other) && self.bounds == other.bounds
    }

    pub(crate) fn variance(&self) -> f64 {
        let mean = self.sum / self.count;
        let mut total = 0.0;
        for b in self.buckets().iter().filter(|b| b.count != 0.0) {
            let middle = if self.is_custom() {
                f64::midpoint(b.upper, b.lower)
            } else if b.lower <= 0.0 && b.upper >= 0.0 {
                0.0
            } else {
                (b.upper * b.lower).sqrt().copysign(b.upper)
            };
            total += b.count * (middle - mean) * (middle - mean);
        }
        total / self.count
    }

    /// The zero bucket reaches only to the side that has observations.
    fn narrowed(&self, mut b: Bucket) -> Bucket {
        if self.negative.is_empty() && !self.positive.is_empty() {
            b.lower = 0.0;
        } else if self.positive.is_empty() && !self.negative.is_empty() {
            b.upper = 0.0;
        }
        b
    }

    pub(crate) fn quantile(&self, q: f64) -> f64 {
        if q < 0.0 {
            return f64::NEG_INFINITY;
        }
        if q > 1.0 {
            return f64::INFINITY;
        }
        if self.count == 0.0 || q.is_nan() {
            return f64::NAN;
        }
        let forward = self.sum.is_nan() || q < 0.5;
        let mut buckets = self.buckets();
        if !forward {
            buckets.reverse();
        }
        let wanted = if forward { q * self.count } else { (1.0 - q) * self.count };
        let mut bucket = Bucket { lower: 0.0, upper: 0.0, count: 0.0 };
        let mut seen = 0.0;
        for b in buckets.into_iter().filter(|b| b.count != 0.0) {
            bucket = b;
            seen += b.count;
            if seen >= wanted {
                break;
            }
        }
        if self.is_custom() {
            if bucket.lower == f64::NEG_INFINITY {
                if bucket.upper <= 0.0 {
                    return bucket.upper;
                }
                bucket.lower = 0.0;
            } else if bucket.upper == f64::INFINITY {
                return bucket.lower;
            }
        } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
            bucket = self.narrowed(bucket);
        }
        seen = seen.min(self.count);
        if seen < wanted {
            return if self.sum.is_nan() { f64::NAN } else { bucket.upper };
        }
        let rank = if forward { wanted - (seen - bucket.count) } else { seen - wanted };
        let part = rank / bucket.count;
        if self.is_custom() || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
            return bucket.lower + (bucket.upper - bucket.lower) * part;
        }
        let (low, high) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
        if bucket.lower > 0.0 {
            (low + (high - low) * part).exp2()
        } else {
            -(high + (low - high) * (1.0 - part)).exp2()
        }
    }

    pub(crate) fn fraction(&self, lower: f64, upper: f64) -> f64 {
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return f64::NAN;
        }
        if lower >= upper {
            return 0.0;
        }
        (self.below(upper) - self.below(lower)) / self.count
    }

    /// How many observations lie below `v`.
    fn below(&self, v: f64) -> f64 {
        let mut rank: f64 = 0.0;
        let seen: f64 = self.buckets().iter().map(|b| b.count).sum();
        let most = if self.sum.is_nan() { seen } else { self.count };
        for b in self.buckets() {
            let spans_zero = b.lower <= 0.0 && b.upper >= 0.0;
            let b = if spans_zero { self.narrowed(b) } else { b };
            if b.lower >= v {
                return rank.min(most);
            }
            if b.upper > v {
                let part = if self.is_custom() || spans_zero {
                    if b.lower == f64::NEG_INFINITY {
                        return b.count.min(most);
                    }
                    (v - b.lower) / (b.upper - b.lower)
                } else {
                    let (low, high, at) = (b.lower.abs().log2(), b.upper.abs().log2(), v.abs().log2());
                    if v > 0.0 { (at - low) / (high - low) } else { 1.0 - (at - high) / (low - high) }
                };
                return (rank + b.count * part).min(most);
            }
            rank += b.count;
        }
        most
    }
}
