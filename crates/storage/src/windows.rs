//! Windows of time at even distances: what a query with steps looks at.
//!
//! A store that is told of them can leave out what lies between; it may also give it.

/// The windows `(end - range_ms, end]`, where `end` is `first_end_ms`, `first_end_ms + step_ms`, …, `count` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The right edge of the first window, ms.
    pub first_end_ms: i64,
    /// The distance of two windows, ms; not below 0.
    pub step_ms: i64,
    /// How many windows there are.
    pub count: usize,
    /// Their length, ms; not below 0.
    pub range_ms: i64,
}

impl Windows {
    /// From the first time that a window holds to the last one, both included; empty (the first above the last) without any.
    #[must_use]
    pub fn hull(&self) -> (i64, i64) {
        match self.last() {
            Some(last) => (self.start_ms(0), self.end_ms(last)),
            None => (i64::MAX, i64::MIN),
        }
    }

    /// The same of what the windows hold of the closed range; `None` when they hold nothing of it.
    #[inline]
    #[must_use]
    pub fn clip(&self, (min_ms, max_ms): (i64, i64)) -> Option<(i64, i64)> {
        let last = self.last()?;
        // The first window that does not end before the range, and the last one that does not begin behind it.
        let first = self.steps(min_ms.saturating_sub(self.first_end_ms), true);
        let behind = max_ms.saturating_sub(self.first_end_ms).saturating_add(self.range_ms.saturating_sub(1));
        if behind < 0 || first > last {
            return None;
        }
        let (from, to) = (self.start_ms(first), self.end_ms(self.steps(behind, false).min(last)));
        let (from, to) = (from.max(min_ms), to.min(max_ms));
        (from <= to).then_some((from, to))
    }

    /// Whether two times, each of which lies in some window, lie in the same one. For windows that do not overlap.
    #[inline]
    #[must_use]
    pub fn are_in_one(&self, (first_ms, second_ms): (i64, i64)) -> bool {
        let window = |t_ms: i64| self.steps(t_ms.saturating_sub(self.first_end_ms), true);
        window(first_ms) == window(second_ms)
    }

    /// Whether no time lies between two windows.
    #[must_use]
    pub fn is_gapless(&self) -> bool {
        self.range_ms >= self.step_ms || self.count < 2
    }

    /// The number of the last window; `None` when they hold nothing.
    fn last(&self) -> Option<usize> {
        self.count.checked_sub(1).filter(|_| self.range_ms > 0)
    }

    /// How many steps are in a time, as whole ones or begun ones; none in one below 0.
    fn steps(&self, time_ms: i64, begun: bool) -> usize {
        match (u64::try_from(time_ms), u64::try_from(self.step_ms)) {
            (Err(_) | Ok(0), _) => 0,
            (Ok(time_ms), Ok(step_ms)) if step_ms > 0 => {
                let whole = time_ms / step_ms;
                (whole + u64::from(begun && whole * step_ms < time_ms)) as usize
            }
            // All windows are one.
            _ => {
                if begun {
                    usize::MAX
                } else {
                    usize::MAX - 1
                }
            }
        }
    }

    fn end_ms(&self, window: usize) -> i64 {
        self.first_end_ms.saturating_add(self.step_ms.saturating_mul(window as i64))
    }

    fn start_ms(&self, window: usize) -> i64 {
        self.end_ms(window).saturating_sub(self.range_ms).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain_clip(windows: &Windows, (min_ms, max_ms): (i64, i64)) -> Option<(i64, i64)> {
        let is_held = |t: &i64| {
            (0..windows.count as i64).any(|window| {
                let end_ms = windows.first_end_ms + window * windows.step_ms;
                end_ms - windows.range_ms < *t && *t <= end_ms
            })
        };
        let mut held = (min_ms..=max_ms).filter(is_held);
        let first = held.next()?;
        Some((first, held.next_back().unwrap_or(first)))
    }

    proptest! {
        #[test]
        fn a_range_is_clipped_to_what_the_windows_hold(
            first_end_ms in -50i64..50, step_ms in 0i64..40, count in 0usize..6, range_ms in 0i64..50,
            min_ms in -100i64..200, len_ms in 0i64..100
        ) {
            let windows = Windows { first_end_ms, step_ms, count, range_ms };
            let range = (min_ms, min_ms + len_ms);
            prop_assert_eq!(windows.clip(range), plain_clip(&windows, range));
        }

        #[test]
        fn times_lie_in_one_window_or_in_two(
            first_end_ms in -50i64..50, gap_ms in 0i64..20, count in 1usize..6, range_ms in 1i64..20,
            (first_ms, second_ms) in (-100i64..200, 0i64..60)
        ) {
            let windows = Windows { first_end_ms, step_ms: range_ms + gap_ms, count, range_ms };
            let second_ms = first_ms + second_ms;
            let window = |t: i64| (0..count as i64).find(|window| {
                let end_ms = first_end_ms + window * windows.step_ms;
                end_ms - range_ms < t && t <= end_ms
            });
            if let (Some(first), Some(second)) = (window(first_ms), window(second_ms)) {
                prop_assert_eq!(windows.are_in_one((first_ms, second_ms)), first == second);
            }
        }

        #[test]
        fn distant_times_do_not_overflow(
            first_end_ms: i64, step_ms in 0i64.., count: usize, range_ms in 0i64.., min_ms: i64, max_ms: i64
        ) {
            let windows = Windows { first_end_ms, step_ms, count, range_ms };
            let range = (min_ms, max_ms);
            let _ = (windows.clip(range), windows.are_in_one(range), windows.hull(), windows.is_gapless());
        }
    }
}
