//! Sums, means and lines over windows of whole numbers, carried along from window to window.
//!
//! Floats must not be subtracted from a sum again, since rounding would differ. Whole numbers may: bytes, counts and states are
//! such, and sums of them are exact in integers. That gives the bits of a compensated sum ([`super::sums`]): each rounding of the
//! sum loses a whole number, what is lost adds up to one that is far below 2⁵³ and therefore exact, and the last step rounds the
//! exact sum once. Times count in eighths of a second, the finest unit of milliseconds that is exact in binary.
//! Always true: a window's result does not depend on the windows before it.
//! Slow twins: [`super::sums`], [`super::regression`]. Must not know: which function asks.

use super::regression::fit;
use super::window::Slice;

/// An eighth of a second, ms.
const EIGHTH_MS: i64 = 125;
/// Up to here all whole numbers are floats.
const EXACT: f64 = (1u64 << 53) as f64;
/// More samples are not tried: what a sum of as many loses by rounding stays far below [`EXACT`].
const MOST_SAMPLES: usize = 1 << 20;

/// Whole numbers of one series.
pub(crate) struct Whole<'a> {
    values: &'a [f64],
    /// No value lies further from 0. Times the number of values it is below 2⁶².
    largest: f64,
}

impl<'a> Whole<'a> {
    /// `None` where a value is not whole, or too large.
    pub(crate) fn of(values: &'a [f64]) -> Option<Self> {
        // Adding it rounds a number below 2⁵¹ to a whole one.
        const ROUND: f64 = 1.5 * (1u64 << 52) as f64;
        let limit = (1u64 << 50) as f64;
        let mut largest = 0.0;
        for block in values.chunks(64) {
            let is_whole = |x: f64| (x + ROUND) - ROUND == x && x.abs() <= limit;
            if !block.iter().fold(true, |all, x| all & is_whole(*x)) {
                return None;
            }
            largest = block.iter().fold(largest, |most, x| if x.abs() > most { x.abs() } else { most });
        }
        let fits = values.len() <= MOST_SAMPLES && largest * values.len() as f64 <= (1u64 << 62) as f64;
        fits.then_some(Self { values, largest })
    }

    /// As [`super::sums::sum`] of each window.
    pub(crate) fn sums(&self, slices: &[Slice], mut set: impl FnMut(usize, f64)) {
        let (mut held, mut total) = (0..0, 0i64);
        let of = |places: std::ops::Range<usize>| self.values[places].iter().map(|v| *v as i64).sum::<i64>();
        for s in slices {
            if s.lo >= held.end {
                (held, total) = (s.lo..s.lo, 0);
            }
            total += of(held.end..s.hi) - of(held.start..s.lo);
            held = s.lo..s.hi;
            set(s.step, total as f64);
        }
    }

    /// As [`super::sums::mean`] of each window; `false` where sums are too large for that, and nothing is set.
    pub(crate) fn means(&self, slices: &[Slice], mut set: impl FnMut(usize, f64)) -> bool {
        let most = slices.iter().map(|s| s.hi - s.lo).max().unwrap_or(0);
        // Only then nothing is lost: sum and loss are divided apart.
        if self.largest * most as f64 > EXACT {
            return false;
        }
        let mut counts = slices.iter().map(|s| (s.hi - s.lo) as f64);
        self.sums(slices, |step, sum| set(step, sum / counts.next().unwrap_or(1.0)));
        true
    }

    /// As [`super::regression::line`] of each window, which has at least two samples, from the window's origin; gives slope and
    /// value. `false` where times are no eighths of a second apart or products are too large for that, and nothing is set.
    pub(crate) fn lines(
        &self,
        t_ms: &[i64],
        slices: &[Slice],
        origin_ms: impl Fn(&Slice) -> i64,
        mut set: impl FnMut(usize, (f64, f64)),
    ) -> bool {
        let Some(first_ms) = t_ms.first().copied() else { return true };
        let eighths = |t_ms: i64| t_ms.wrapping_sub(first_ms) / EIGHTH_MS;
        let is_eighth = |t_ms: i64| t_ms.wrapping_sub(first_ms) % EIGHTH_MS == 0;
        let furthest = slices.iter().map(|s| {
            let origin_ms = origin_ms(s);
            match is_eighth(origin_ms) {
                true => origin_ms.abs_diff(t_ms[s.lo]).max(origin_ms.abs_diff(t_ms[s.hi - 1])),
                false => u64::MAX,
            }
        });
        let furthest = furthest.max().unwrap_or(0) as f64 / EIGHTH_MS as f64;
        let span = t_ms[t_ms.len() - 1].abs_diff(first_ms);
        let are_products_exact = furthest * furthest.max(self.largest) <= EXACT && span < 1 << 40;
        if !are_products_exact || !t_ms.iter().all(|t| is_eighth(*t)) {
            return false;
        }
        let point = |at: usize| (eighths(t_ms[at]), self.values[at] as i64);
        let (mut held, mut sums, mut run) = (0..0, LineSums::default(), 0);
        for s in slices {
            if s.lo >= held.end {
                (held, sums, run) = (s.lo..s.lo, LineSums::default(), s.lo);
            }
            (held.start..s.lo).for_each(|at| sums.add(point(at), -1));
            for at in held.end..s.hi {
                sums.add(point(at), 1);
                if at > 0 && self.values[at] != self.values[at - 1] {
                    run = at;
                }
            }
            held = s.lo..s.hi;
            // As many equal values as the window has: a line whose slope must not come from rounding.
            let is_constant = run <= s.lo;
            let line = if is_constant {
                (0.0, self.values[s.lo])
            } else {
                sums.line(held.len(), eighths(origin_ms(s)))
            };
            set(s.step, line);
        }
        true
    }
}

/// Sums over points: of their times in eighths, the squares of these, the values, and the products of both.
#[derive(Clone, Copy, Default)]
struct LineSums {
    t: i64,
    tt: i128,
    y: i64,
    ty: i128,
}

impl LineSums {
    /// Adds a point, or takes it out with a `sign` of -1.
    #[inline(always)]
    fn add(&mut self, (t, y): (i64, i64), sign: i64) {
        let (t_signed, y_signed) = (t * sign, y * sign);
        self.t += t_signed;
        self.tt += i128::from(t) * i128::from(t_signed);
        self.y += y_signed;
        self.ty += i128::from(t) * i128::from(y_signed);
    }

    /// Slope per second and value at `origin`, which is in eighths.
    fn line(&self, count: usize, origin: i64) -> (f64, f64) {
        let (n, o) = (count as i128, i128::from(origin));
        let (t, y) = (i128::from(self.t), i128::from(self.y));
        let x = t - n * o;
        let xx = self.tt - 2 * o * t + n * o * o;
        let xy = self.ty - o * y;
        fit(count as f64, (x as f64 / 8.0, xx as f64 / 64.0), (y as f64, xy as f64 / 8.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::kernels::window::{Window, for_each_window};
    use crate::engine::kernels::{regression, sums};
    use crate::engine::steps::Steps;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            6 => (-1000..1000i32).prop_map(f64::from),
            4 => (0..1i64 << 40).prop_map(|v| v as f64),
            2 => (-(1i64 << 50)..1i64 << 50).prop_map(|v| v as f64),
            1 => prop_oneof![Just(-0.0), Just((1u64 << 50) as f64)],
        ]
    }

    fn bits(line: (f64, f64)) -> (u64, u64) {
        (line.0.to_bits(), line.1.to_bits())
    }

    proptest! {
        #[test]
        fn each_window_gets_what_it_gets_alone(
            values in prop::collection::vec((value(), 1usize..5), 1..60),
            gaps in prop::collection::vec(prop_oneof![8 => Just(120i64), 1 => 1i64..900], 240),
            start_ms in prop_oneof![Just(0i64), -1_000_000i64..1_000_000], unit_ms in prop_oneof![4 => Just(125i64), 1 => Just(1)],
            (step, range, offset) in (1i64..200, 1i64..4000, -300i64..300)
        ) {
            let values: Vec<f64> = values.into_iter().flat_map(|(v, n)| std::iter::repeat_n(v, n)).collect();
            let mut t = start_ms;
            let t_ms: Vec<i64> = gaps[..values.len()].iter().map(|gap| { t += gap * unit_ms; t }).collect();
            let steps = Steps::range(t_ms[0], t + 3000, step * 1000);
            let window = Window { range_ms: range * 125, offset_ms: offset * 125, at_ms: None };
            let mut slices = Vec::new();
            for_each_window(&t_ms, &steps, &window, |s| slices.push(s));
            let whole = Whole::of(&values).expect("all are whole");
            let of = |s: &Slice| &values[s.lo..s.hi];
            let mut got = Vec::new();
            whole.sums(&slices, |step, v| got.push((step, v.to_bits())));
            prop_assert_eq!(&got, &slices.iter().map(|s| (s.step, sums::sum(of(s)).to_bits())).collect::<Vec<_>>());
            got.clear();
            if whole.means(&slices, |step, v| got.push((step, v.to_bits()))) {
                prop_assert_eq!(got, slices.iter().map(|s| (s.step, sums::mean(of(s)).to_bits())).collect::<Vec<_>>());
            }
            slices.retain(|s| s.hi - s.lo > 1);
            let line = |s: &Slice, origin_ms| bits(regression::line(&t_ms[s.lo..s.hi], of(s), origin_ms));
            let mut got = Vec::new();
            if whole.lines(&t_ms, &slices, |s| t_ms[s.lo], |_, line| got.push(bits(line))) {
                prop_assert_eq!(&got, &slices.iter().map(|s| line(s, t_ms[s.lo])).collect::<Vec<_>>());
            }
            got.clear();
            if whole.lines(&t_ms, &slices, |s| steps.at(s.step), |_, line| got.push(bits(line))) {
                prop_assert_eq!(&got, &slices.iter().map(|s| line(s, steps.at(s.step))).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn bytes_at_quarters_of_a_second_go_this_way_and_fractions_do_not() {
        let t_ms: Vec<i64> = (0..100).map(|n| 1_700_000_000_250 + n * 15_000).collect();
        let values: Vec<f64> = (0..100).map(|n| 5e10 + f64::from(n * n * 4096)).collect();
        let slices = [Slice { step: 0, lo: 3, hi: 90, end_ms: 1_700_001_335_250 }];
        let whole = Whole::of(&values).expect("bytes are whole");
        assert!(whole.lines(&t_ms, &slices, |s| s.end_ms, |_, _| ()));
        assert!(whole.means(&slices, |_, _| ()));
        let jittered: Vec<i64> = t_ms.iter().enumerate().map(|(at, t)| t + i64::from(at == 50)).collect();
        assert!(!whole.lines(&jittered, &slices, |s| s.end_ms, |_, _| ()));
        assert!(Whole::of(&[1.0, 0.5]).is_none() && Whole::of(&[f64::NAN]).is_none());
        assert!(Whole::of(&[f64::INFINITY]).is_none() && Whole::of(&[1e300]).is_none());
    }
}
