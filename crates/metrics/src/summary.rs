//! Summaries: quantiles over the last ten minutes, within one percent of the true value.
//!
//! Five sketches of two minutes each age out in turn, as Prometheus' client library ages its own. A sketch counts observations
//! in buckets of growing width (each 2 % wider than the one before), so it is small, exact in count and close in value.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::family::Value;
use crate::vector::MakeMetric;

const WINDOWS: usize = 5;
const WINDOW: Duration = Duration::from_secs(120);
/// Bounds of neighbouring buckets differ by this factor; the middle of a bucket is at most 1 % off.
const GROWTH: f64 = 1.02;
/// Its natural logarithm.
const LN_GROWTH: f64 = 0.019_802_627_296_179_73;
/// Below this everything counts as 0: a nanosecond in seconds is far above it.
const TINY: f64 = 1e-12;

/// Quantiles of recent observations.
#[derive(Clone, Debug)]
pub struct Summary(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    quantiles: Box<[f64]>,
    /// Guards the sketches only; held for one map insert.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    windows: [Sketch; WINDOWS],
    current: usize,
    current_began: Instant,
    sum: f64,
    count: u64,
}

/// Bucket number (0 for values up to `TINY`, negative values are counted there too) to count.
type Sketch = BTreeMap<i32, u64>;

impl Summary {
    /// Counts one observation; negative values count as 0 in the quantiles.
    pub fn observe(&self, value: f64) {
        self.observe_at(Instant::now(), value);
    }

    fn observe_at(&self, now: Instant, value: f64) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.age(now);
        let current = state.current;
        *state.windows[current].entry(bucket_of(value)).or_insert(0) += 1;
        state.sum += value;
        state.count += 1;
    }

    fn value_at(&self, now: Instant) -> Value {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.age(now);
        let mut all = Sketch::new();
        for (bucket, count) in state.windows.iter().flatten() {
            *all.entry(*bucket).or_insert(0) += count;
        }
        let quantiles = self.0.quantiles.iter().map(|q| (*q, quantile(&all, *q))).collect();
        Value::Summary { quantiles, sum: state.sum, count: state.count }
    }
}

impl State {
    fn age(&mut self, now: Instant) {
        let mut turns = 0;
        while now.saturating_duration_since(self.current_began) >= WINDOW {
            self.current_began += WINDOW;
            self.current = (self.current + 1) % WINDOWS;
            self.windows[self.current].clear();
            turns += 1;
            if turns > WINDOWS {
                self.current_began = now;
            }
        }
    }
}

impl MakeMetric for Summary {
    type Options = Box<[f64]>;
    const HAS_START: bool = true;

    fn make(quantiles: &Box<[f64]>) -> Self {
        let state = State {
            windows: std::array::from_fn(|_| Sketch::new()),
            current: 0,
            current_began: Instant::now(),
            sum: 0.0,
            count: 0,
        };
        Self(Arc::new(Shared { quantiles: quantiles.clone(), state: Mutex::new(state) }))
    }

    fn value(&self) -> Value {
        self.value_at(Instant::now())
    }
}

fn bucket_of(value: f64) -> i32 {
    // A NaN fails the comparison and lands in bucket 0 too.
    if value > TINY { ((value / TINY).ln() / LN_GROWTH).ceil() as i32 } else { 0 }
}

fn quantile(sketch: &Sketch, q: f64) -> f64 {
    let count: u64 = sketch.values().sum();
    let rank = (q * count as f64).ceil().max(1.0) as u64;
    let mut seen = 0;
    for (bucket, n) in sketch {
        seen += n;
        if seen >= rank {
            return if *bucket == 0 { 0.0 } else { TINY * GROWTH.powf(f64::from(*bucket) - 0.5) };
        }
    }
    f64::NAN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantiles(s: &Summary, now: Instant) -> Vec<f64> {
        let Value::Summary { quantiles, .. } = s.value_at(now) else { panic!("a summary") };
        quantiles.into_iter().map(|(_, v)| v).collect()
    }

    #[test]
    fn the_logarithm_is_that_of_the_growth() {
        assert!((GROWTH.ln() - LN_GROWTH).abs() < 1e-17);
    }

    #[test]
    fn quantiles_are_within_one_percent() {
        let s = Summary::make(&Box::from([0.5, 0.9, 0.99]));
        let now = Instant::now();
        (1..=1000).for_each(|i| s.observe_at(now, f64::from(i) / 1000.0));
        for (got, want) in quantiles(&s, now).iter().zip([0.5, 0.9, 0.99]) {
            assert!((got / want - 1.0).abs() < 0.011, "{got} is not near {want}");
        }
    }

    #[test]
    fn observations_leave_the_quantiles_after_ten_minutes_but_stay_in_the_count() {
        let s = Summary::make(&Box::from([0.5]));
        let now = Instant::now();
        s.observe_at(now, 3.0);
        assert!((quantiles(&s, now + Duration::from_secs(479))[0] - 3.0).abs() < 0.04);
        assert!(quantiles(&s, now + Duration::from_secs(601))[0].is_nan());
        s.observe_at(now + Duration::from_secs(86_400), 1.0);
        let Value::Summary { sum, count, .. } = s.value_at(now) else { panic!("a summary") };
        assert_eq!((sum, count), (4.0, 2));
    }
}
