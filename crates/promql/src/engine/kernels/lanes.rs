//! Sums over several windows at a time.
//!
//! A compensated sum is a chain: each sample waits for the one before it, and the processor idles most of the time. Windows do
//! not wait for each other, so [`LANES`] of them are summed side by side. Each window's own sum takes its samples in their order,
//! so that it comes out bit for bit as if it were alone. Slow twins: [`super::sums`] and [`super::regression`], which also serve
//! windows that are left over.
//! Must not know: which function asks.

use super::regression;
use super::sums::{self, Moments, add, is_sound};
use super::window::Slice;

/// Windows that are summed side by side.
pub(crate) const LANES: usize = 4;

/// Sums side by side, and what rounding lost of each.
type LaneSums = ([f64; LANES], [f64; LANES]);

/// The values of some windows.
type Windows<'a> = [&'a [f64]; LANES];

/// Gives `of_lanes` as many windows at a time as there are lanes; hands each result with its step to `set`.
#[inline(always)]
pub(crate) fn for_windows(
    values: &[f64],
    slices: &[Slice],
    of_lanes: impl Fn(Windows<'_>) -> [f64; LANES],
    of_one: impl Fn(&[f64]) -> f64,
    mut set: impl FnMut(usize, f64),
) {
    for_groups(slices, |group, given| match given {
        [one] => set(one.step, of_one(&values[one.lo..one.hi])),
        _ => {
            let results = of_lanes(group.map(|s| &values[s.lo..s.hi]));
            given.iter().zip(results).for_each(|(s, result)| set(s.step, result));
        }
    });
}

/// Visits as many windows at a time as there are lanes. Where fewer are left, the last one stands in for those that are not there:
/// a lane costs nothing that the others do not wait for. The second list has those that are there.
#[inline(always)]
fn for_groups(slices: &[Slice], mut visit: impl FnMut([Slice; LANES], &[Slice])) {
    for given in slices.chunks(LANES) {
        visit(std::array::from_fn(|lane| given[lane.min(given.len() - 1)]), given);
    }
}

/// The sums of some windows, and what rounding lost of each.
#[inline]
fn sums_with_lost(windows: Windows<'_>) -> LaneSums {
    let (common, cut) = common(windows);
    let (mut total, mut lost) = sums_of_equal(cut);
    for (lane, window) in windows.iter().enumerate() {
        for x in &window[common..] {
            (total[lane], lost[lane]) = add(*x, total[lane], lost[lane]);
        }
    }
    (total, lost)
}

/// The same of windows of one length.
///
/// PERF: a function of its own: beside code that picks a lane by its number the compiler adds lane by lane. 1.6 → 0.6 ns a sample
/// and window, of 0.9 with [`add`] in all lanes.
#[inline(never)]
fn sums_of_equal(windows: Windows<'_>) -> LaneSums {
    let (common, cut) = common(windows);
    let (mut total, mut lost) = ([0.0; LANES], [0.0; LANES]);
    for at in 0..common {
        (total, lost) = add_lanes(cut.map(|window| window[at]), total, lost);
    }
    (total, lost)
}

/// As [`sums::sum`].
pub(crate) fn sum(windows: Windows<'_>) -> [f64; LANES] {
    let (total, lost) = sums_with_lost(windows);
    std::array::from_fn(|lane| match is_sound(total[lane], lost[lane]) {
        true => total[lane] + lost[lane],
        false => sums::sum(windows[lane]),
    })
}

/// As [`sums::mean`], of windows that are not empty.
pub(crate) fn mean(windows: Windows<'_>) -> [f64; LANES] {
    let (total, lost) = sums_with_lost(windows);
    std::array::from_fn(|lane| {
        if !is_sound(total[lane], lost[lane]) {
            return sums::mean(windows[lane]);
        }
        let count = windows[lane].len() as f64;
        total[lane] / count + lost[lane] / count
    })
}

/// As [`sums::variance_over_time`].
pub(crate) fn variance(windows: Windows<'_>) -> [f64; LANES] {
    let (common, cut) = common(windows);
    let all = LaneMoments::of_equal(cut);
    std::array::from_fn(|lane| {
        let mut moments = all.of(lane);
        windows[lane][common..].iter().for_each(|x| moments.add(*x));
        match is_sound(moments.mean, moments.mean_lost) && is_sound(moments.aux, moments.aux_lost) {
            true => moments.variance(),
            false => sums::variance_over_time(windows[lane]),
        }
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
    /// Of windows of one length; for its place see [`sums_of_equal`].
    #[inline(never)]
    fn of_equal(windows: Windows<'_>) -> Self {
        let (common, cut) = common(windows);
        let mut all = Self::default();
        for at in 0..common {
            all.add(cut.map(|window| window[at]));
        }
        all
    }

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

/// As [`sums::add_finite`], in all lanes.
#[inline(always)]
fn add_lanes(x: [f64; LANES], sum: [f64; LANES], lost: [f64; LANES]) -> ([f64; LANES], [f64; LANES]) {
    let total = zip(sum, x, |sum, x| sum + x);
    let added = zip(total, sum, |total, sum| total - sum);
    let of_sum = zip(sum, zip(total, added, |total, added| total - added), |sum, kept| sum - kept);
    let of_x = zip(x, added, |x, added| x - added);
    let part = zip(of_sum, of_x, |a, b| a + b);
    (total, zip(lost, part, |lost, part| lost + part))
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
    for_groups(slices, |group, given| {
        let (lo, hi) = (group[0].lo, group[LANES - 1].hi);
        next_break += breaks[next_break..].iter().take_while(|at| **at < lo + 2).count();
        if given.len() == 1 || breaks.get(next_break).is_some_and(|at| *at < hi) {
            given.iter().for_each(|s| set(s.step, of_one(s)));
            return;
        }
        times.reach(t_ms[lo + 1] - t_ms[lo], group.iter().map(|s| s.hi - s.lo).max().unwrap_or(0));
        let windows = group.map(|s| &values[s.lo..s.hi]);
        let sums = times.sums(windows);
        for (lane, s) in given.iter().enumerate() {
            let constant = windows[lane].iter().all(|v| *v == windows[lane][0]);
            let slope = match sums[lane] {
                Some(sums) if !constant => times.slope(windows[lane].len(), sums),
                _ => of_one(s),
            };
            set(s.step, slope);
        }
    });
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

    /// The sums of the values and of their products with the times; `None` where they are to be made anew.
    fn sums(&self, windows: Windows<'_>) -> [Option<(f64, f64)>; LANES] {
        let (common, cut) = common(windows);
        let (mut y, mut xy) = self.sums_of_equal(cut);
        for (lane, window) in windows.iter().enumerate() {
            for (x, v) in self.x.iter().zip(*window).skip(common) {
                (y.0[lane], y.1[lane]) = add(*v, y.0[lane], y.1[lane]);
                (xy.0[lane], xy.1[lane]) = add(x * v, xy.0[lane], xy.1[lane]);
            }
        }
        std::array::from_fn(|lane| {
            let (y, xy) = ((y.0[lane], y.1[lane]), (xy.0[lane], xy.1[lane]));
            (is_sound(y.0, y.1) && is_sound(xy.0, xy.1)).then_some((y.0 + y.1, xy.0 + xy.1))
        })
    }

    /// The same with what rounding lost beside each sum, of windows of one length; for its place see the other [`sums_of_equal`].
    #[inline(never)]
    fn sums_of_equal(&self, windows: Windows<'_>) -> (LaneSums, LaneSums) {
        let (common, cut) = common(windows);
        let (mut y, mut xy) = (LaneSums::default(), LaneSums::default());
        for (at, x) in self.x[..common].iter().enumerate() {
            let v = cut.map(|window| window[at]);
            y = add_lanes(v, y.0, y.1);
            xy = add_lanes(v.map(|v| x * v), xy.0, xy.1);
        }
        (y, xy)
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
