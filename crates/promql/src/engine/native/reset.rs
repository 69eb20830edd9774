//! Whether a counter histogram began anew between two samples.

use narthex_model::{CounterResetHint, exponential_bound};

use super::{Native, Side};

impl Native {
    /// Whether there was a reset after `before`: said by the sample, or seen by a count that fell.
    pub(crate) fn is_reset_after(&self, before: &Self) -> bool {
        match self.hint {
            CounterResetHint::Reset => return true,
            CounterResetHint::NotReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count.value < before.count.value {
            return true;
        }
        if self.has_custom_buckets() {
            if !before.has_custom_buckets() {
                return true;
            }
            if self.bounds != before.bounds {
                return self.falls_in_common_bounds(before);
            }
        }
        if self.schema > before.schema || self.zero_threshold < before.zero_threshold {
            return true;
        }
        let (zero, threshold) = before.zero_within(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero.value < zero.value {
            return true;
        }
        let mut coarse = before.clone();
        coarse.reduce_to(self.schema);
        self.falls(&self.positive, &coarse.positive) || self.falls(&self.negative, &coarse.negative)
    }

    /// Whether a bucket beyond the zero bucket has fewer observations than before.
    fn falls(&self, now: &Side, before: &Side) -> bool {
        let beyond_zero = |index: i32| {
            self.has_custom_buckets()
                || self.zero_threshold == 0.0
                || exponential_bound(self.schema, index) > self.zero_threshold
        };
        let mut now = now.iter().filter(|(i, _)| beyond_zero(*i)).peekable();
        before.iter().filter(|(i, _)| beyond_zero(*i)).any(|(index, count)| {
            while now.next_if(|(i, _)| i < index).is_some() {}
            let current = now.peek().filter(|(i, _)| i == index).map_or(0.0, |(_, c)| c.value);
            current < count.value || (current == 0.0 && count.value != 0.0)
        })
    }

    /// The same for custom bounds that differ: counts are compared between the common ones.
    fn falls_in_common_bounds(&self, before: &Self) -> bool {
        let mut common: Vec<f64> =
            self.bounds.iter().copied().filter(|b| before.bounds.contains(b)).collect();
        common.push(f64::INFINITY);
        let mut low = f64::NEG_INFINITY;
        common.into_iter().any(|high| {
            let between = |h: &Self| -> f64 {
                let inside = h.positive.iter().filter(|(i, _)| h.bound(*i) > low && h.bound(*i) <= high);
                inside.map(|(_, c)| c.value).sum()
            };
            let falls = between(self) < between(before);
            low = high;
            falls
        })
    }
}
