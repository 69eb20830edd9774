//! What a counter histogram counted between two of its samples.
//!
//! Always true: a growth has no negative count; what cannot be told apart from a reset is one. Facts: Prometheus' documentation of
//! native histograms, "counter resets": a finer schema, a narrower zero bucket or a count that fell is a reset; a coarser
//! schema and a wider zero bucket are not, when the older sample can be brought into them.

use super::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram, Span};
use crate::exponential_bound;

impl FloatHistogram {
    /// The observations since `before`, laid out as this sample and without empty buckets; `None` when the counter was reset in
    /// between. Other than in Prometheus custom bounds that differ are a reset, too.
    #[must_use]
    pub fn growth_since(&self, before: &Self) -> Option<Self> {
        if self.counter_reset_hint == CounterResetHint::Reset || self.custom_values != before.custom_values {
            return None;
        }
        let before = before.in_layout_of(self)?;
        let mut growth = self.clone();
        growth.zero_count = less(self.zero_count, before.zero_count)?;
        growth.count = less(self.count, before.count)?;
        growth.sum = self.sum - before.sum;
        subtract_side(
            (&growth.positive_spans, &mut growth.positive_buckets),
            (&before.positive_spans, &before.positive_buckets),
        )?;
        subtract_side(
            (&growth.negative_spans, &mut growth.negative_buckets),
            (&before.negative_spans, &before.negative_buckets),
        )?;
        growth.compact(0);
        Some(growth)
    }

    /// The same sample with integer counts; fractions are cut off.
    #[must_use]
    pub fn to_int(&self) -> Histogram {
        Histogram {
            counter_reset_hint: self.counter_reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count as u64,
            count: self.count as u64,
            sum: self.sum,
            positive_spans: self.positive_spans.clone(),
            negative_spans: self.negative_spans.clone(),
            positive_buckets: deltas(&self.positive_buckets),
            negative_buckets: deltas(&self.negative_buckets),
            custom_values: self.custom_values.clone(),
        }
    }

    /// This sample with schema and zero bucket of a later one.
    fn in_layout_of(&self, later: &Self) -> Option<Self> {
        let mut moved = self.clone();
        if self.schema == CUSTOM_BUCKETS_SCHEMA || later.schema == CUSTOM_BUCKETS_SCHEMA {
            return (self.schema == later.schema).then_some(moved);
        }
        if later.schema > self.schema || later.zero_threshold < self.zero_threshold {
            return None;
        }
        if later.zero_threshold > self.zero_threshold {
            moved.widen_zero(later.zero_threshold)?;
        }
        moved.reduce_resolution(later.schema).ok()?;
        Some(moved)
    }

    /// Moves the buckets up to `threshold` into the zero bucket; `None` when one that is not empty lies across it.
    fn widen_zero(&mut self, threshold: f64) -> Option<()> {
        let schema = self.schema;
        let mut inside = 0.0;
        for (spans, buckets) in [
            (&self.positive_spans, &mut self.positive_buckets),
            (&self.negative_spans, &mut self.negative_buckets),
        ] {
            for (index, count) in indices(spans).zip(buckets.iter_mut()) {
                if exponential_bound(schema, index) <= threshold {
                    inside += std::mem::take(count);
                } else if *count != 0.0 && exponential_bound(schema, index.saturating_sub(1)) < threshold {
                    return None;
                }
            }
        }
        self.zero_count += inside;
        self.zero_threshold = threshold;
        self.compact(0);
        Some(())
    }
}

fn less(now: f64, before: f64) -> Option<f64> {
    (now >= before).then_some(now - before)
}

/// Takes the counts of `before` from those of `now`; `None` when one would fall below 0.
fn subtract_side(now: (&[Span], &mut [f64]), before: (&[Span], &[f64])) -> Option<()> {
    let mut now = indices(now.0).zip(now.1).peekable();
    for (index, count) in indices(before.0).zip(before.1).filter(|(_, count)| **count != 0.0) {
        while now.next_if(|(at, _)| *at < index).is_some() {}
        let (_, left) = now.next_if(|(at, _)| *at == index)?;
        *left = less(*left, *count)?;
    }
    Some(())
}

/// The index of each bucket.
fn indices(spans: &[Span]) -> impl Iterator<Item = i32> {
    let mut next = 0i32;
    spans.iter().flat_map(move |span| {
        let start = next.saturating_add(span.offset);
        next = start.saturating_add(i32::try_from(span.length).unwrap_or(i32::MAX));
        start..next
    })
}

fn deltas(absolute: &[f64]) -> Vec<i64> {
    let counts = absolute.iter().map(|count| *count as i64);
    counts.scan(0, |before, count| Some(count - std::mem::replace(before, count))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Buckets from index 1 on.
    fn histogram(schema: i32, zero: (f64, f64), buckets: &[f64]) -> FloatHistogram {
        FloatHistogram {
            schema,
            zero_threshold: zero.0,
            zero_count: zero.1,
            count: zero.1 + buckets.iter().sum::<f64>(),
            sum: buckets.iter().sum::<f64>() * 2.0,
            positive_spans: vec![Span { offset: 1, length: u32::try_from(buckets.len()).unwrap() }],
            positive_buckets: buckets.to_vec(),
            ..FloatHistogram::default()
        }
    }

    /// Zero bucket and buckets of the growth, or `reset`.
    fn growth(now: &FloatHistogram, before: &FloatHistogram) -> String {
        now.growth_since(before).map_or_else(
            || "reset".to_owned(),
            |g| {
                let spans: Vec<(i32, u32)> = g.positive_spans.iter().map(|s| (s.offset, s.length)).collect();
                format!("{} of {}, {spans:?} {:?}", g.zero_count, g.count, g.positive_buckets)
            },
        )
    }

    #[test]
    fn a_growth_is_the_difference_or_a_reset() {
        let before = histogram(0, (0.5, 1.0), &[1.0, 2.0, 3.0]);
        let same = |zero: f64, buckets: &[f64]| growth(&histogram(0, (0.5, zero), buckets), &before);
        assert_eq!(same(2.0, &[1.0, 4.0, 3.0]), "1 of 3, [(2, 1)] [2.0]");
        assert_eq!(same(1.0, &[1.0, 2.0, 3.0]), "0 of 0, [] []");
        assert_eq!(same(1.0, &[1.0, 2.0, 3.0, 4.0]), "0 of 4, [(4, 1)] [4.0]");
        assert_eq!(same(0.0, &[9.0, 9.0, 9.0]), "reset");
        assert_eq!(same(9.0, &[0.0, 9.0, 9.0]), "reset");
        assert_eq!(same(9.0, &[9.0, 9.0]), "reset");
        let said = FloatHistogram { counter_reset_hint: CounterResetHint::Reset, ..before.clone() };
        assert_eq!(growth(&said, &before), "reset");
    }

    #[test]
    fn a_coarser_layout_is_no_reset() {
        let before = histogram(1, (0.0, 0.0), &[1.0, 1.0, 1.0, 1.0]);
        assert_eq!(growth(&histogram(0, (0.0, 0.0), &[2.0, 3.0]), &before), "0 of 1, [(2, 1)] [1.0]");
        assert_eq!(growth(&before, &histogram(0, (0.0, 0.0), &[2.0, 2.0])), "reset");
        // Bucket 1 of schema 0 ends at 2: it goes into a zero bucket of that width, and lies across one of 1.5.
        let plain = histogram(0, (0.5, 1.0), &[1.0, 2.0]);
        let wide = |threshold: f64| FloatHistogram {
            positive_spans: vec![Span { offset: 2, length: 1 }],
            ..histogram(0, (threshold, 3.0), &[2.0])
        };
        assert_eq!(growth(&wide(2.0), &plain), "1 of 1, [] []");
        assert_eq!(growth(&wide(1.5), &plain), "reset");
    }

    #[test]
    fn integers_come_back() {
        let histogram = histogram(3, (0.5, 1.0), &[1.0, 5.0, 2.0]);
        assert_eq!(histogram.to_int().to_float(), histogram);
        assert_eq!(histogram.to_int().positive_buckets, [1, 4, -3]);
    }
}
