//! Sliding windows over the timestamps of one series.

use crate::engine::steps::Steps;

/// The window of a range selector: which samples a step sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Its length; open at the left edge, closed at the right.
    pub range_ms: i64,
    /// How far its right edge lies before the evaluation time.
    pub offset_ms: i64,
    /// The `@` modifier: the time to evaluate at instead of the step's.
    pub at_ms: Option<i64>,
}

impl Window {
    /// The right edge for an evaluation at `t_ms`.
    #[inline]
    pub(crate) fn end(&self, t_ms: i64) -> i64 {
        self.at_ms.unwrap_or(t_ms) - self.offset_ms
    }

    /// The times that all windows together can hold, both ends included; `None` when there is no step.
    pub(crate) fn reach(&self, steps: &Steps) -> Option<(i64, i64)> {
        (steps.count > 0).then(|| (self.end(steps.start_ms) - self.range_ms + 1, self.end(steps.last_ms())))
    }
}

/// One window: samples `lo..hi` belong to it, at least one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    /// The step.
    pub step: usize,
    /// The first sample.
    pub lo: usize,
    /// After the last sample.
    pub hi: usize,
    /// The right edge, ms.
    pub end_ms: i64,
}

/// How many samples the windows touched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Touched {
    /// The lengths of all windows together.
    pub total: u64,
    /// Samples in any window, each once.
    pub read: u64,
}

/// Calls `visit` for each step whose window holds a sample. `t_ms` rises.
///
/// One pass: both edges only move forward, also when windows overlap or leave gaps.
#[inline(always)]
pub(crate) fn for_each_window(
    t_ms: &[i64],
    steps: &Steps,
    window: &Window,
    mut visit: impl FnMut(Slice),
) -> Touched {
    let (mut lo, mut hi) = (0, 0);
    let mut touched = Touched::default();
    let mut end_ms = window.end(steps.start_ms);
    let stride = if window.at_ms.is_some() { 0 } else { steps.step_ms };
    for step in 0..steps.count {
        let seen = hi;
        while hi < t_ms.len() && t_ms[hi] <= end_ms {
            hi += 1;
        }
        let start_ms = end_ms - window.range_ms;
        while lo < hi && t_ms[lo] <= start_ms {
            lo += 1;
        }
        if lo < hi {
            touched.total += (hi - lo) as u64;
            touched.read += (hi - lo.max(seen)) as u64;
            visit(Slice { step, lo, hi, end_ms });
        }
        end_ms += stride;
    }
    touched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(t_ms: &[i64], steps: Steps, range_ms: i64, expected: &[(usize, usize, usize)]) {
        let window = Window { range_ms, offset_ms: 0, at_ms: None };
        let mut seen = Vec::new();
        let touched = for_each_window(t_ms, &steps, &window, |s| seen.push((s.step, s.lo, s.hi)));
        assert_eq!(seen, expected);
        assert_eq!(touched.total, expected.iter().map(|(_, lo, hi)| (hi - lo) as u64).sum::<u64>());
    }

    #[test]
    fn the_left_edge_is_open_and_the_right_edge_closed() {
        check(&[0, 10, 20, 30], Steps::range(20, 30, 10), 20, &[(0, 1, 3), (1, 2, 4)]);
    }

    #[test]
    fn gaps_between_windows_and_between_samples_are_skipped() {
        check(&[0, 10, 20, 30, 40, 100], Steps::range(10, 110, 50), 15, &[(0, 0, 2), (2, 5, 6)]);
    }
}
