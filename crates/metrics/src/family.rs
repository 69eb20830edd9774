//! What `Registry::gather` returns: plain values, ready to be written in any format.

use std::time::SystemTime;

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyKind {
    /// Only rises.
    Counter,
    /// Any value.
    Gauge,
    /// Buckets.
    Histogram,
    /// Quantiles.
    Summary,
}

/// All metrics of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The full name, counters with their `_total`.
    pub name: String,
    /// The help text.
    pub help: String,
    /// The type.
    pub kind: FamilyKind,
    /// Sorted by label values.
    pub metrics: Vec<Metric>,
}

/// One label set of a family with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Pairs in the order in which the family names its labels.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: Value,
    /// When what only rises began at zero; `None` for gauges, and for what the system counts.
    pub created: Option<SystemTime>,
}

/// A metric's value at the time of the gather.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter or gauge.
    Number(f64),
    /// Of a histogram.
    Histogram {
        /// Upper bound and cumulative count, rising, without `+Inf`.
        buckets: Vec<(f64, u64)>,
        /// Sum of all observations.
        sum: f64,
        /// How many observations.
        count: u64,
        /// The same in exponential buckets, of a histogram that has them.
        native: Option<NativeBuckets>,
    },
    /// Of a summary.
    Summary {
        /// Quantile and its value over the last ten minutes; NaN without observations.
        quantiles: Vec<(f64, f64)>,
        /// Sum of all observations ever.
        sum: f64,
        /// How many observations ever.
        count: u64,
    },
}

/// The exponential buckets of a native histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct NativeBuckets {
    /// `2^schema` buckets a power of two, -4 to 8.
    pub schema: i32,
    /// Up to this absolute value observations count as zero.
    pub zero_threshold: f64,
    /// How many did.
    pub zero_count: u64,
    /// Number and count of each bucket in use of negative values, by their absolute value; numbers rise.
    pub negative: Vec<(i32, u64)>,
    /// The same of positive values.
    pub positive: Vec<(i32, u64)>,
}

/// Buckets as the wire has them: runs of buckets, and of each bucket what it has more than the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpannedBuckets {
    /// Of each run how many buckets lie between it and the end of the run before (the first: its number), and its length.
    pub spans: Vec<(i32, u32)>,
    /// Differences of counts, over all runs.
    pub deltas: Vec<i64>,
}

impl SpannedBuckets {
    /// Of number and count of each bucket, numbers rising. Gaps of one or two buckets are filled, as Go's client does.
    #[must_use]
    pub fn new(buckets: &[(i32, u64)]) -> Self {
        let mut spanned = Self::default();
        let (mut next, mut before) = (0, 0);
        for (at, count) in buckets {
            let gap = at - next;
            if spanned.spans.is_empty() || gap > 2 {
                spanned.spans.push((gap, 0));
            } else {
                (0..gap).for_each(|_| spanned.push(0, &mut before));
            }
            spanned.push(i64::try_from(*count).unwrap_or(i64::MAX), &mut before);
            next = at + 1;
        }
        spanned
    }

    fn push(&mut self, count: i64, before: &mut i64) {
        if let Some((_, length)) = self.spans.last_mut() {
            *length += 1;
        }
        self.deltas.push(count - *before);
        *before = count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_become_runs_with_small_gaps_filled() {
        let spanned = SpannedBuckets::new(&[(-3, 2), (-2, 5), (1, 1), (5, 4)]);
        assert_eq!(spanned.spans, [(-3, 5), (3, 1)]);
        assert_eq!(spanned.deltas, [2, 3, -5, 0, 1, 3]);
        assert_eq!(SpannedBuckets::new(&[]), SpannedBuckets::default());
    }
}
