//! Closed time intervals, and sets of them: which times of a series are deleted.
//!
//! Always true of a set: its intervals rise, do not overlap and do not touch.
//! Facts: Prometheus `tsdb/tombstones`: neighbours one millisecond apart become one interval.

/// A closed interval of time, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The first millisecond.
    pub mint_ms: i64,
    /// The last millisecond.
    pub maxt_ms: i64,
}

impl Interval {
    /// Whether a time lies inside.
    #[must_use]
    pub fn contains(self, t_ms: i64) -> bool {
        (self.mint_ms..=self.maxt_ms).contains(&t_ms)
    }
}

/// A set of times as rising intervals with gaps between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intervals(Vec<Interval>);

impl Intervals {
    /// Adds the times of `new`. An interval whose end lies before its start holds no time and changes nothing.
    pub fn add(&mut self, new: Interval) {
        if new.mint_ms > new.maxt_ms {
            return;
        }
        let before = new.mint_ms.saturating_sub(1);
        let behind = new.maxt_ms.saturating_add(1);
        let first = self.0.partition_point(|interval| interval.maxt_ms < before);
        let end = self.0.partition_point(|interval| interval.mint_ms <= behind);
        let mut merged = new;
        if let [lowest, ..] = &self.0[first..end] {
            merged.mint_ms = merged.mint_ms.min(lowest.mint_ms);
            merged.maxt_ms = merged.maxt_ms.max(self.0[end - 1].maxt_ms);
        }
        self.0.splice(first..end, [merged]);
    }

    /// Whether a time is in the set.
    #[must_use]
    pub fn contains(&self, t_ms: i64) -> bool {
        let at = self.0.partition_point(|interval| interval.maxt_ms < t_ms);
        self.0.get(at).is_some_and(|interval| interval.mint_ms <= t_ms)
    }

    /// Whether every time of `[mint_ms, maxt_ms]` is in the set.
    #[must_use]
    pub fn covers(&self, mint_ms: i64, maxt_ms: i64) -> bool {
        let at = self.0.partition_point(|interval| interval.maxt_ms < mint_ms);
        self.0.get(at).is_some_and(|interval| interval.mint_ms <= mint_ms && maxt_ms <= interval.maxt_ms)
    }

    /// The intervals, rising.
    #[must_use]
    pub fn as_slice(&self) -> &[Interval] {
        &self.0
    }

    /// Whether no time is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn intervals_are_a_plain_set_of_times(adds in prop::collection::vec((0i64..60, -2i64..9), 0..20)) {
            let (mut set, mut twin) = (Intervals::default(), BTreeSet::new());
            for (mint_ms, length) in adds {
                set.add(Interval { mint_ms, maxt_ms: mint_ms + length });
                twin.extend(mint_ms..=mint_ms + length);
            }
            for pair in set.as_slice().windows(2) {
                prop_assert!(pair[0].maxt_ms + 1 < pair[1].mint_ms, "{:?}", set);
            }
            for t in -2..75 {
                prop_assert_eq!(set.contains(t), twin.contains(&t));
                prop_assert_eq!(set.covers(t, t + 3), (t..=t + 3).all(|t| twin.contains(&t)));
            }
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let mut set = Intervals::default();
        set.add(Interval { mint_ms: i64::MAX - 1, maxt_ms: i64::MAX });
        set.add(Interval { mint_ms: i64::MIN, maxt_ms: 0 });
        assert_eq!(set.as_slice().len(), 2);
        set.add(Interval { mint_ms: i64::MIN, maxt_ms: i64::MAX });
        assert!(set.covers(i64::MIN, i64::MAX) && set.as_slice().len() == 1);
    }
}
