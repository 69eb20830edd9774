//! Sums and differences of two histograms.

use narthex_model::{CounterResetHint, exponential_bound};

use super::{Count, Native, Side};

/// One histogram has exponential buckets, the other custom ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incompatible;

/// What happened beside the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Combined {
    /// One says that there was a reset, the other that there was none.
    pub resets_collide: bool,
    /// Custom bounds differed and were cut down to the common ones.
    pub bounds_reconciled: bool,
}

impl std::ops::BitOrAssign for Combined {
    fn bitor_assign(&mut self, other: Self) {
        self.resets_collide |= other.resets_collide;
        self.bounds_reconciled |= other.bounds_reconciled;
    }
}

/// How numbers are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Plus,
    Minus,
    /// Keeping what rounding loses.
    Compensated,
}

impl How {
    fn add(self, to: &mut Count, x: Count) {
        match self {
            Self::Plus => to.value += x.value,
            Self::Minus => to.value -= x.value,
            Self::Compensated => {
                to.add(x.value);
                to.add(x.lost);
            }
        }
    }
}

impl Native {
    /// Adds another histogram.
    pub(crate) fn add(&mut self, other: &Self) -> Result<Combined, Incompatible> {
        self.combine(other, How::Plus)
    }

    /// Subtracts another histogram.
    pub(crate) fn subtract(&mut self, other: &Self) -> Result<Combined, Incompatible> {
        self.combine(other, How::Minus)
    }

    /// Adds another histogram and keeps what rounding loses; [`Native::settle`] at the end of a sum puts it back.
    pub(crate) fn add_compensated(&mut self, other: &Self) -> Result<Combined, Incompatible> {
        self.combine(other, How::Compensated)
    }

    fn combine(&mut self, other: &Self, how: How) -> Result<Combined, Incompatible> {
        if self.has_custom_buckets() != other.has_custom_buckets() {
            return Err(Incompatible);
        }
        let mut done = Combined { resets_collide: self.merge_hint(other.hint), bounds_reconciled: false };
        how.add(&mut self.count, other.count);
        how.add(&mut self.sum, other.sum);
        if self.has_custom_buckets() {
            done.bounds_reconciled = self.combine_custom(other, how);
            return Ok(done);
        }
        let zero = self.reconcile_zero(other);
        how.add(&mut self.zero, zero);
        if how != How::Compensated {
            self.zero.lost = 0.0;
        }
        let mut other = std::borrow::Cow::Borrowed(other);
        if other.schema > self.schema {
            other.to_mut().reduce_to(self.schema);
        } else {
            self.reduce_to(other.schema);
        }
        let (schema, threshold) = (self.schema, self.zero_threshold);
        let beyond_zero = |side: &Side| {
            let from = side.iter().position(|(index, _)| exponential_bound(schema, *index) > threshold);
            from.unwrap_or(side.len())
        };
        merge(&mut self.positive, &other.positive[beyond_zero(&other.positive)..], how);
        merge(&mut self.negative, &other.negative[beyond_zero(&other.negative)..], how);
        Ok(done)
    }

    /// Adapts what is known about resets; says whether the two contradict each other.
    fn merge_hint(&mut self, other: CounterResetHint) -> bool {
        use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
        match (self.hint, other) {
            (mine, theirs) if mine == theirs => {}
            (Gauge | Unknown, Unknown | Reset | NotReset) => {}
            (_, Gauge) => self.hint = Gauge,
            (_, Unknown) => self.hint = Unknown,
            _ => {
                self.hint = Unknown;
                return true;
            }
        }
        false
    }

    /// Widens the zero buckets until they agree; gives the other's count in it.
    fn reconcile_zero(&mut self, other: &Self) -> Count {
        let (mut zero, mut threshold) = (other.zero, other.zero_threshold);
        while threshold != self.zero_threshold {
            if self.zero_threshold > threshold {
                (zero, threshold) = other.zero_within(self.zero_threshold);
            }
            if threshold > self.zero_threshold {
                (self.zero, self.zero_threshold) = self.zero_within(threshold);
                self.empty_zero_range();
            }
        }
        zero
    }

    /// The count of the zero bucket if it reached to `wider`, or further where a bucket that is not empty lies across.
    pub(super) fn zero_within(&self, wider: f64) -> (Count, f64) {
        let mut threshold = wider;
        if threshold == self.zero_threshold {
            return (self.zero, threshold);
        }
        'wider: loop {
            let mut zero = self.zero;
            for side in [&self.positive, &self.negative] {
                for (index, count) in side {
                    let (lower, upper) = (self.bound(index - 1), self.bound(*index));
                    if lower >= threshold {
                        break;
                    }
                    zero.add(count.value);
                    zero.add(count.lost);
                    if upper > threshold {
                        if count.value != 0.0 {
                            threshold = upper;
                            if std::ptr::eq(side, &self.negative) {
                                continue 'wider;
                            }
                        }
                        break;
                    }
                }
            }
            return (zero, threshold);
        }
    }

    /// Drops the buckets that the zero bucket has swallowed.
    fn empty_zero_range(&mut self) {
        let (schema, threshold) = (self.schema, self.zero_threshold);
        for side in [&mut self.positive, &mut self.negative] {
            side.retain(|(index, c)| {
                exponential_bound(schema, index - 1) >= threshold && (c.value != 0.0 || c.lost != 0.0)
            });
        }
    }

    /// Says whether the bounds had to be reconciled.
    fn combine_custom(&mut self, other: &Self, how: How) -> bool {
        if self.bounds == other.bounds {
            merge(&mut self.positive, &other.positive, how);
            return false;
        }
        let mut common = self.bounds.clone();
        common.retain(|bound| other.bounds.contains(bound));
        let mut counts = vec![Count::default(); common.len() + 1];
        for (from, sign) in [(&*self, 1.0), (other, if how == How::Minus { -1.0 } else { 1.0 })] {
            for (index, count) in &from.positive {
                let own = usize::try_from(*index).ok().and_then(|at| from.bounds.get(at));
                let at = own.map_or(common.len(), |own| common.partition_point(|bound| bound < own));
                counts[at].add(sign * count.value);
                counts[at].add(sign * count.lost);
            }
        }
        let used = counts.into_iter().zip(0..).filter(|(c, _)| c.value != 0.0 || c.lost != 0.0);
        self.positive = used.map(|(count, index)| (index, count)).collect();
        if how != How::Compensated {
            // A plain sum does not carry on what it lost.
            self.positive.iter_mut().for_each(|(_, c)| c.lost = 0.0);
        }
        self.bounds = common;
        true
    }
}

/// Adds the buckets of one side to another.
fn merge(into: &mut Side, from: &[(i32, Count)], how: How) {
    if from.is_empty() {
        return;
    }
    let mut merged = Side::with_capacity(into.len() + from.len());
    let mut mine = into.iter().copied().peekable();
    for (index, count) in from {
        while let Some(before) = mine.next_if(|(i, _)| i < index) {
            merged.push(before);
        }
        let mut sum = mine.next_if(|(i, _)| i == index).unwrap_or((*index, Count::default()));
        how.add(&mut sum.1, *count);
        merged.push(sum);
    }
    merged.extend(mine);
    *into = merged;
}
