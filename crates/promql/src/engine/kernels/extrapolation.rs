//! From the increase between the first and the last sample of a window to that of the whole window.
//!
//! Samples mostly lie in each window where they lay in the one before, seen from its edges: what follows from their places alone
//! is worked out once for all such windows.
//! Facts: the rules as the documentation of `rate` and observed answers give them. Slow twin: `tests/twin`.

/// Which of the three extrapolating functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extrapolation {
    /// Resets are corrected and the value cannot be below 0 at the left edge.
    pub is_counter: bool,
    /// The result is per second.
    pub is_rate: bool,
}

/// The ends of a window's samples.
pub(crate) struct Ends {
    pub first_t: i64,
    pub last_t: i64,
    /// The value of the first sample.
    pub first: f64,
    /// The start timestamp of the first sample, 0 for unknown.
    pub first_start: i64,
    /// How many samples there are less one.
    pub gaps: usize,
}

impl Ends {
    /// Whether the counter is known to have begun inside the window.
    pub(crate) fn start_inside(&self, kind: Extrapolation, window_start_ms: i64) -> bool {
        let start = self.first_start;
        kind.is_counter && start != 0 && start > window_start_ms && start < self.first_t
    }
}

/// By what the increases in one window after another are multiplied.
///
/// PERF: one division a window or none, where it was eight. Bench `engine`, `sum by (job) (rate(…[5m]))`: 5.8 → 4.6 ns a sample.
pub(crate) struct Factors {
    kind: Extrapolation,
    range_ms: i64,
    range_s: f64,
    /// Of the last window.
    places: Places,
    reach: Reach,
}

/// Where samples lie in a window.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Places {
    /// From its left edge to the first sample.
    to_start_ms: i64,
    /// From the first sample to the last one.
    sampled_ms: i64,
    gaps: usize,
}

/// How far the increase is taken, in seconds.
#[derive(Clone, Copy, Default)]
struct Reach {
    /// Before the first sample.
    to_start: f64,
    sampled: f64,
    /// Behind the last one.
    to_end: f64,
    /// The factor that follows.
    factor: f64,
}

impl Factors {
    /// For windows of one length.
    pub(crate) fn new(kind: Extrapolation, range_ms: i64) -> Self {
        let (places, reach) = (Places::default(), Reach::default());
        Self { kind, range_ms, range_s: seconds(range_ms), places, reach }
    }

    /// The factor for a window that ends at `end_ms`; `None` when one sample alone says nothing. A counter that began inside the
    /// window was 0 there, which the increase contains.
    #[inline(always)]
    pub(crate) fn of(&mut self, increase: f64, ends: &Ends, end_ms: i64) -> Option<f64> {
        if ends.start_inside(self.kind, end_ms - self.range_ms) {
            return Some(self.since_its_start(ends, end_ms));
        }
        if ends.gaps == 0 {
            return None;
        }
        let to_start_ms = ends.first_t - (end_ms - self.range_ms);
        let places = Places { to_start_ms, sampled_ms: ends.last_t - ends.first_t, gaps: ends.gaps };
        if places != self.places {
            (self.places, self.reach) = (places, self.reach_of(places));
        }
        let Reach { to_start, sampled, to_end, factor } = self.reach;
        // A counter is not negative: it does not reach back further than to where its slope meets 0. That lies before the
        // first sample by more than all that was sampled when the counter did not double.
        let is_far = ends.first >= increase && sampled >= to_start;
        if self.kind.is_counter && increase > 0.0 && ends.first >= 0.0 && !is_far {
            let to_zero = sampled * (ends.first / increase);
            if to_zero < to_start {
                return Some(self.factor(to_zero, sampled, to_end));
            }
        }
        Some(factor)
    }

    #[inline(never)]
    fn reach_of(&self, places: Places) -> Reach {
        let mut to_start = places.to_start_ms as f64 / 1000.0;
        let mut to_end = (self.range_ms - places.to_start_ms - places.sampled_ms) as f64 / 1000.0;
        let sampled = places.sampled_ms as f64 / 1000.0;
        let average = sampled / places.gaps as f64;
        let threshold = average * 1.1;
        if to_start >= threshold {
            to_start = average / 2.0;
        }
        if to_end >= threshold {
            to_end = average / 2.0;
        }
        Reach { to_start, sampled, to_end, factor: self.factor(to_start, sampled, to_end) }
    }

    #[cold]
    fn since_its_start(&self, ends: &Ends, end_ms: i64) -> f64 {
        let sampled = (ends.last_t - ends.first_t) as f64 / 1000.0;
        let average = if ends.gaps > 0 { sampled / ends.gaps as f64 } else { 0.0 };
        let mut to_end = (end_ms - ends.last_t) as f64 / 1000.0;
        if to_end >= average * 1.1 {
            to_end = average / 2.0;
        }
        self.factor(0.0, (ends.last_t - ends.first_start) as f64 / 1000.0, to_end)
    }

    #[inline]
    fn factor(&self, to_start: f64, sampled: f64, to_end: f64) -> f64 {
        let factor = if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled };
        if self.kind.is_rate { factor / self.range_s } else { factor }
    }
}

/// Milliseconds as seconds, in the way Go's `Duration.Seconds` rounds.
#[inline]
pub(crate) fn seconds(ms: i64) -> f64 {
    // COMPAT: Go adds whole seconds and the rest; a single division would round differently now and then.
    (ms / 1000) as f64 + ((ms % 1000) * 1_000_000) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the documentation of `rate` tells it, window by window.
    fn plain(increase: f64, ends: &Ends, kind: Extrapolation, (end_ms, range_ms): (i64, i64)) -> Option<f64> {
        let inside = ends.start_inside(kind, end_ms - range_ms);
        let mut to_start = (ends.first_t - (end_ms - range_ms)) as f64 / 1000.0;
        let mut to_end = (end_ms - ends.last_t) as f64 / 1000.0;
        let mut sampled = (ends.last_t - ends.first_t) as f64 / 1000.0;
        let average = if ends.gaps > 0 { sampled / ends.gaps as f64 } else { 0.0 };
        if inside {
            (to_start, sampled) = (0.0, (ends.last_t - ends.first_start) as f64 / 1000.0);
        } else if ends.gaps == 0 {
            return None;
        } else if to_start >= average * 1.1 {
            to_start = average / 2.0;
        }
        if !inside && kind.is_counter && increase > 0.0 && ends.first >= 0.0 {
            let to_zero = sampled * (ends.first / increase);
            to_start = if to_zero < to_start { to_zero } else { to_start };
        }
        if to_end >= average * 1.1 {
            to_end = average / 2.0;
        }
        let factor = if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled };
        Some(if kind.is_rate { factor / seconds(range_ms) } else { factor })
    }

    fn value() -> impl Strategy<Value = f64> {
        let special =
            prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-3.0), Just(5e-324), Just(f64::MAX)];
        prop_oneof![4 => 0.0..100.0f64, 2 => (0..4i32).prop_map(f64::from), 1 => special]
    }

    proptest! {
        #[test]
        fn a_window_does_not_depend_on_the_one_before(
            windows in prop::collection::vec((value(), value(), 0i64..4, 0i64..4, 0usize..3, prop::option::of(-20i64..20)), 1..20),
            (is_counter, is_rate, range_ms) in (any::<bool>(), any::<bool>(), 60_001i64..70_000)
        ) {
            let kind = Extrapolation { is_counter, is_rate };
            let mut factors = Factors::new(kind, range_ms);
            for (n, (increase, first, before, sampled, gaps, start)) in windows.into_iter().enumerate() {
                let end_ms = 1_000_000 + n as i64 * 15_000;
                let first_t = end_ms - range_ms + 1 + before * 7_000;
                let last_t = first_t + if gaps == 0 { 0 } else { sampled * 12_000 };
                let first_start = start.map_or(0, |start| first_t + start * 1000);
                let ends = Ends { first_t, last_t, first, first_start, gaps };
                let (got, want) = (factors.of(increase, &ends, end_ms), plain(increase, &ends, kind, (end_ms, range_ms)));
                prop_assert_eq!(got.map(f64::to_bits), want.map(f64::to_bits), "{:?} {:?}", got, want);
            }
        }
    }
}
