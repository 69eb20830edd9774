//! Sums over several windows at a time.
//!
//! A compensated sum is a chain: each sample waits for the one before it, and the processor idles most of the time. Windows do
//! not wait for each other, so [`LANES`] of them are summed side by side. Each window's own sum takes its samples in their order,
//! so that it comes out bit for bit as if it were alone. Slow twins: [`super::sums`] and [`super::regression`], which also serve
//! windows that are left over.
//! Must not know: which function asks.

use super::regression;
use super::sums::{self, Moments, add};
use super::window::Slice;

/// Windows that are summed side by side.
pub(crate) const LANES: usize = 4;

/// The values of some windows.
type Windows<'a> = [&'a [f64]; LANES];

/// Gives `of_lanes` four windows at a time and `of_one` those that are left; hands each result with its step to `set`.
#[inline(always)]
pub(crate) fn for_windows(
    values: &[f64],
    slices: &[Slice],
    of_lanes: impl Fn(Windows<'_>) -> [f64; LANES],
    of_one: impl Fn(&[f64]) -> f64,
    mut set: impl FnMut(usize, f64),
) {
    let (groups, rest) = slices.as_chunks::<LANES>();
    for group in groups {
        let results = of_lanes(group.map(|s| &values[s.lo..s.hi]));
        group.iter().zip(results).for_each(|(s, result)| set(s.step, result));
    }
    rest.iter().for_each(|s| set(s.step, of_one(&values[s.lo..s.hi])));
}

/// The sums of some windows, and what rounding lost of each.
#[inline]
fn sums_with_lost(windows: Windows<'_>) -> ([f64; LANES], [f64; LANES]) {
    let (common, cut) = common(windows);
    let (mut total, mut lost) = ([0.0; LANES], [0.0; LANES]);
    for at in 0..common {
        (total, lost) = add_lanes(cut.map(|window| window[at]), total, lost);
    }
    for (lane, window) in windows.iter().enumerate() {
        for x in &window[common..] {
            (total[lane], lost[lane]) = add(*x, total[lane], lost[lane]);
        }
    }
    (total, lost)
}

/// As [`sums::sum`].
pub(crate) fn sum(windows: Windows<'_>) -> [f64; LANES] {
    let (total, lost) = sums_with_lost(windows);
    std::array::from_fn(|lane| if total[lane].is_infinite() { total[lane] } else { total[lane] + lost[lane] })
}

/// As [`sums::mean`], of windows that are not empty.
pub(crate) fn mean(windows: Windows<'_>) -> [f64; LANES] {
    let (total, lost) = sums_with_lost(windows);
    std::array::from_fn(|lane| {
        if !total[lane].is_finite() {
            // It may have passed through the largest numbers, where a mean is found otherwise.
            return sums::mean(windows[lane]);
        }
        let count = windows[lane].len() as f64;
        total[lane] / count + lost[lane] / count
    })
}

/// As [`sums::variance_over_time`].
pub(crate) fn variance(windows: Windows<'_>) -> [f64; LANES] {
    let (common, cut) = common(windows);
    let mut all = LaneMoments::default();
    for at in 0..common {
        all.add(cut.map(|window| window[at]));
    }
    std::array::from_fn(|lane| {
        let mut moments = all.of(lane);
        windows[lane][common..].iter().for_each(|x| moments.add(*x));
        moments.variance()
    })
}

/// The [`Moments`] of as many windows, number beside number.
#[derive(Default)]
struct LaneMoments {
    count: f64,
    mean: [f64; LANES],
    mean_lost: [f64; LANES],
    aux: [f64; LANES],
    aux_lost: [f64; LANES],
}

impl LaneMoments {
    /// As [`Moments::add`].
    ///
    /// PERF: operation by operation over all lanes, so that each becomes one of the processor's for two numbers: 4.7 → 2.8 ns a
    /// sample and window. Bench `engine`, `stddev_over_time(…[1h])`.
    #[inline(always)]
    fn add(&mut self, x: [f64; LANES]) {
        self.count += 1.0;
        let delta = zip(x, zip(self.mean, self.mean_lost, |a, b| a + b), |x, mean| x - mean);
        let part = delta.map(|delta| delta / self.count);
        (self.mean, self.mean_lost) = add_lanes(part, self.mean, self.mean_lost);
        let distance = zip(x, zip(self.mean, self.mean_lost, |a, b| a + b), |x, mean| x - mean);
        (self.aux, self.aux_lost) = add_lanes(zip(delta, distance, |a, b| a * b), self.aux, self.aux_lost);
    }

    fn of(&self, lane: usize) -> Moments {
        let (mean, mean_lost) = (self.mean[lane], self.mean_lost[lane]);
        Moments { count: self.count, mean, mean_lost, aux: self.aux[lane], aux_lost: self.aux_lost[lane] }
    }
}

/// As [`add`], in all lanes.
#[inline(always)]
fn add_lanes(x: [f64; LANES], sum: [f64; LANES], lost: [f64; LANES]) -> ([f64; LANES], [f64; LANES]) {
    let total = zip(sum, x, |sum, x| sum + x);
    let large = zip(sum, x, |sum, x| if sum.abs() >= x.abs() { sum } else { x });
    let small = zip(sum, x, |sum, x| if sum.abs() >= x.abs() { x } else { sum });
    let part = zip(zip(large, total, |large, total| large - total), small, |rest, small| rest + small);
    let lost = zip(lost, part, |lost, part| lost + part);
    (total, zip(total, lost, |total, lost| if total.abs() > f64::MAX { 0.0 } else { lost }))
}

#[inline(always)]
fn zip(a: [f64; LANES], b: [f64; LANES], f: impl Fn(f64, f64) -> f64) -> [f64; LANES] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

/// The length that all windows have, and so much of each.
#[inline(always)]
fn common(windows: Windows<'_>) -> (usize, Windows<'_>) {
    let common = windows.iter().map(|window| window.len()).min().unwrap_or(0);
    (common, windows.map(|window| &window[..common]))
}

/// As the slope of [`regression::line`] from the first sample of each window, which has at least two.
pub(crate) fn slopes(t_ms: &[i64], values: &[f64], slices: &[Slice], mut set: impl FnMut(usize, f64)) {
    let of_one = |s: &Slice| regression::line(&t_ms[s.lo..s.hi], &values[s.lo..s.hi], t_ms[s.lo]).0;
    let mut times = EvenTimes::default();
    let breaks: Vec<usize> =
        (2..t_ms.len()).filter(|i| t_ms[*i] - t_ms[i - 1] != t_ms[i - 1] - t_ms[i - 2]).collect();
    let mut next_break = 0;
    let (groups, rest) = slices.as_chunks::<LANES>();
    for group in groups {
        let (lo, hi) = (group[0].lo, group[LANES - 1].hi);
        next_break += breaks[next_break..].iter().take_while(|at| **at < lo + 2).count();
        if breaks.get(next_break).is_some_and(|at| *at < hi) {
            group.iter().for_each(|s| set(s.step, of_one(s)));
            continue;
        }
        times.reach(t_ms[lo + 1] - t_ms[lo], group.iter().map(|s| s.hi - s.lo).max().unwrap_or(0));
        let windows = group.map(|s| &values[s.lo..s.hi]);
        let sums = times.sums(windows);
        for (lane, s) in group.iter().enumerate() {
            let constant = windows[lane].iter().all(|v| *v == windows[lane][0]);
            let slope = if constant { of_one(s) } else { times.slope(windows[lane].len(), sums[lane]) };
            set(s.step, slope);
        }
    }
    rest.iter().for_each(|s| set(s.step, of_one(s)));
}

/// Times at one distance, in seconds from the first, and sums over the first `n` of them.
#[derive(Default)]
struct EvenTimes {
    delta_ms: i64,
    x: Vec<f64>,
    /// Of the times and of their squares.
    sums: Vec<(f64, f64)>,
}

impl EvenTimes {
    /// Makes this hold `count` times.
    fn reach(&mut self, delta_ms: i64, count: usize) {
        if self.delta_ms == delta_ms && self.x.len() >= count {
            return;
        }
        self.delta_ms = delta_ms;
        self.x.clear();
        self.x.extend((0..count as i64).map(|n| (n * delta_ms) as f64 / 1e3));
        self.sums.clear();
        self.sums.push((0.0, 0.0));
        let (mut x_sum, mut xx_sum) = ((0.0, 0.0), (0.0, 0.0));
        for x in &self.x {
            x_sum = add(*x, x_sum.0, x_sum.1);
            xx_sum = add(x * x, xx_sum.0, xx_sum.1);
            self.sums.push((x_sum.0 + x_sum.1, xx_sum.0 + xx_sum.1));
        }
    }

    /// The sums of the values and of their products with the times.
    fn sums(&self, windows: Windows<'_>) -> [(f64, f64); LANES] {
        let (common, cut) = common(windows);
        let mut y = ([0.0; LANES], [0.0; LANES]);
        let mut xy = y;
        for (at, x) in self.x[..common].iter().enumerate() {
            let v = cut.map(|window| window[at]);
            y = add_lanes(v, y.0, y.1);
            xy = add_lanes(v.map(|v| x * v), xy.0, xy.1);
        }
        for (lane, window) in windows.iter().enumerate() {
            for (x, v) in self.x.iter().zip(*window).skip(common) {
                (y.0[lane], y.1[lane]) = add(*v, y.0[lane], y.1[lane]);
                (xy.0[lane], xy.1[lane]) = add(x * v, xy.0[lane], xy.1[lane]);
            }
        }
        std::array::from_fn(|lane| (y.0[lane] + y.1[lane], xy.0[lane] + xy.1[lane]))
    }

    fn slope(&self, count: usize, (y, xy): (f64, f64)) -> f64 {
        let (x, xx) = self.sums[count];
        regression::fit(count as f64, (x, xx), (y, xy)).0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::kernels::window::{Window, for_each_window};
    use crate::engine::steps::Steps;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            6 => -1000.0..1000.0f64,
            3 => (0..50i32).prop_map(f64::from),
            1 => prop_oneof![Just(f64::MAX), Just(-1e300), Just(f64::INFINITY), Just(f64::NAN), Just(1e-300), Just(1e16)],
        ]
    }

    #[track_caller]
    fn check(got: &[(usize, f64)], want: impl Iterator<Item = (usize, f64)>) -> Result<(), TestCaseError> {
        let bits = |(step, v): (usize, f64)| (step, if v.is_nan() { 0 } else { v.to_bits() });
        let got: Vec<_> = got.iter().copied().map(bits).collect();
        prop_assert_eq!(got, want.map(bits).collect::<Vec<_>>());
        Ok(())
    }

    proptest! {
        #[test]
        fn lanes_give_each_window_what_it_gets_alone(
            values in prop::collection::vec((value(), 1usize..6), 2..80), jitter in prop::collection::vec(0usize..400, 0..3),
            step in 1i64..9, range in 1i64..60
        ) {
            let values: Vec<f64> = values.into_iter().flat_map(|(v, n)| std::iter::repeat_n(v, n)).collect();
            let time = |i: usize| i as i64 * 1000 + jitter.iter().filter(|at| **at <= i).count() as i64 * 7;
            let t_ms: Vec<i64> = (0..values.len()).map(time).collect();
            let steps = Steps::range(0, t_ms[t_ms.len() - 1] + 3000, step * 500);
            let mut slices = Vec::new();
            let window = Window { range_ms: range * 700, offset_ms: 0, at_ms: None };
            for_each_window(&t_ms, &steps, &window, |s| slices.push(s));
            let of = |s: &Slice| &values[s.lo..s.hi];
            let mut got = Vec::new();
            for_windows(&values, &slices, sum, sums::sum, |step, v| got.push((step, v)));
            check(&got, slices.iter().map(|s| (s.step, sums::sum(of(s)))))?;
            got.clear();
            for_windows(&values, &slices, mean, sums::mean, |step, v| got.push((step, v)));
            check(&got, slices.iter().map(|s| (s.step, sums::mean(of(s)))))?;
            got.clear();
            for_windows(&values, &slices, variance, sums::variance_over_time, |step, v| got.push((step, v)));
            check(&got, slices.iter().map(|s| (s.step, sums::variance_over_time(of(s)))))?;
            got.clear();
            slices.retain(|s| s.hi - s.lo > 1);
            slopes(&t_ms, &values, &slices, |step, v| got.push((step, v)));
            let line = |s: &Slice| regression::line(&t_ms[s.lo..s.hi], of(s), t_ms[s.lo]).0;
            check(&got, slices.iter().map(|s| (s.step, line(s))))?;
        }
    }
}
