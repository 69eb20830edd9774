//! Compensated sums, means and variances.
//!
//! A sum carries a second number with what rounding lost (Kahan's idea, Neumaier's improvement). Once the sum is infinite
//! there is nothing to compensate. A mean is sum over count until the sum would overflow; from there on it is updated step by step.

/// One step of a compensated sum: the new sum and the new compensation.
#[inline(always)]
pub(crate) fn add(x: f64, sum: f64, lost: f64) -> (f64, f64) {
    let t = sum + x;
    let (large, small) = if sum.abs() >= x.abs() { (sum, x) } else { (x, sum) };
    let part = (large - t) + small;
    // `abs() > MAX` is true for the infinities only, and false for NaN.
    let lost = if t.abs() > f64::MAX { 0.0 } else { lost + part };
    (t, lost)
}

/// As [`add`] as long as sums stay finite. Where [`is_sound`] is false of the last one, the whole sum is to be made again with `add`.
///
/// It does not ask which number is the larger one: both ways tell exactly what rounding took (Dekker's fast two-sum and Knuth's
/// two-sum), unless a difference overflows here, after which `lost` is never finite again.
/// PERF: seven operations instead of some twenty, and no branch.
#[inline(always)]
pub(crate) fn add_finite(x: f64, sum: f64, lost: f64) -> (f64, f64) {
    let total = sum + x;
    let added = total - sum;
    let part = (sum - (total - added)) + (x - added);
    (total, lost + part)
}

/// Whether a sum made with [`add_finite`] is what [`add`] makes.
#[inline(always)]
pub(crate) fn is_sound(sum: f64, lost: f64) -> bool {
    sum.is_finite() && lost.is_finite()
}

/// Adds values to as many sums: `total[i] + lost[i] += values[i]`, as [`add`]. All have the same length, at most 64.
pub(crate) fn add_all(values: &[f64], total: &mut [f64], lost: &mut [f64]) {
    let (mut new_total, mut new_lost) = ([0.0; 64], [0.0; 64]);
    let mut sound = true;
    let new = new_total.iter_mut().zip(&mut new_lost);
    for ((x, (sum, lost)), (new_total, new_lost)) in values.iter().zip(total.iter().zip(&*lost)).zip(new) {
        (*new_total, *new_lost) = add_finite(*x, *sum, *lost);
        // Not lazily, which would be a branch.
        sound &= is_sound(*new_total, *new_lost);
    }
    if sound {
        total.copy_from_slice(&new_total[..total.len()]);
        lost.copy_from_slice(&new_lost[..lost.len()]);
        return;
    }
    for ((x, total), lost) in values.iter().zip(total).zip(lost) {
        (*total, *lost) = add(*x, *total, *lost);
    }
}

/// The sum of values that are all whole and so small that no sum of them is rounded; then compensation has nothing to do.
/// `None` for others.
///
/// PERF: without a chain from value to value; `avg_over_time` over a day of `up`: 3.2 → 0.5 ns a sample.
fn sum_of_integers(values: &[f64]) -> Option<f64> {
    // Adding it rounds a small number to a whole one.
    const ROUND: f64 = 1.5 * (1u64 << 52) as f64;
    let limit = (1u64 << 50) as f64 / values.len() as f64;
    let mut total = [0.0; LANES];
    for block in values.chunks(16 * LANES) {
        let fits = |x: f64| (x + ROUND) - ROUND == x && x.abs() <= limit;
        if !block.iter().fold(true, |all, x| all & fits(*x)) {
            return None;
        }
        let (groups, rest) = block.as_chunks::<LANES>();
        for group in groups {
            (0..LANES).for_each(|lane| total[lane] += group[lane]);
        }
        total[0] += rest.iter().sum::<f64>();
    }
    Some(total.iter().sum())
}

/// Partial sums side by side.
const LANES: usize = 4;

/// The sum of the values, from 0.
#[inline]
pub(crate) fn sum(values: &[f64]) -> f64 {
    if let Some(total) = sum_of_integers(values) {
        return total;
    }
    let (mut total, mut lost) = (0.0, 0.0);
    for x in values {
        (total, lost) = add(*x, total, lost);
    }
    if total.is_infinite() { total } else { total + lost }
}

/// A running mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mean {
    /// The sum, or the mean itself once `incremental`.
    total: f64,
    lost: f64,
    count: f64,
    incremental: bool,
}

impl Mean {
    /// The mean of one value.
    #[inline]
    pub(crate) fn of(first: f64) -> Self {
        Self { total: first, lost: 0.0, count: 1.0, incremental: false }
    }

    /// Takes in one more value.
    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        self.count += 1.0;
        if !self.incremental {
            let (total, lost) = add(x, self.total, self.lost);
            if !total.is_infinite() {
                (self.total, self.lost) = (total, lost);
                return;
            }
            self.incremental = true;
            self.total /= self.count - 1.0;
            self.lost /= self.count - 1.0;
        }
        let q = (self.count - 1.0) / self.count;
        (self.total, self.lost) = add(x / self.count, q * self.total, q * self.lost);
    }

    /// The mean of the values so far.
    #[inline]
    pub(crate) fn value(&self) -> f64 {
        if self.incremental {
            self.total + self.lost
        } else {
            self.total / self.count + self.lost / self.count
        }
    }
}

/// The mean of at least one value.
#[inline]
pub(crate) fn mean(values: &[f64]) -> f64 {
    if let Some(total) = sum_of_integers(values) {
        return total / values.len() as f64;
    }
    let mut mean = Mean::of(values[0]);
    for x in &values[1..] {
        mean.add(*x);
    }
    mean.value()
}

/// A running mean and sum of squared distances from it, both compensated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    /// How many values.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// What rounding lost of it.
    pub mean_lost: f64,
    /// The sum of squared distances.
    pub aux: f64,
    /// What rounding lost of it.
    pub aux_lost: f64,
}

impl Moments {
    /// Takes in one more value.
    #[inline(always)]
    pub(crate) fn add(&mut self, x: f64) {
        self.count += 1.0;
        let delta = x - (self.mean + self.mean_lost);
        (self.mean, self.mean_lost) = add(delta / self.count, self.mean, self.mean_lost);
        let distance = x - (self.mean + self.mean_lost);
        (self.aux, self.aux_lost) = add(delta * distance, self.aux, self.aux_lost);
    }

    /// The population variance of the values so far, at least one.
    #[inline]
    pub(crate) fn variance(&self) -> f64 {
        (self.aux + self.aux_lost) / self.count
    }
}

/// The population variance of at least one value, as the functions over time compute it (compensated).
#[inline]
pub(crate) fn variance_over_time(values: &[f64]) -> f64 {
    let mut moments = Moments::default();
    values.iter().for_each(|x| moments.add(*x));
    moments.variance()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_survive_beside_large_ones() {
        assert_eq!(sum(&[1e100, 1.0, -1e100, 1.0]), 2.0);
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn sums_side_by_side_are_as_each_alone() {
        let of = |n: usize| {
            [0.1, 1e16, -1e16, f64::MAX, f64::MAX, 1.0, f64::INFINITY, -2.5, f64::NAN, 3.0][n % 10]
        };
        // The first number of each column decides what it goes through; in some blocks nothing is special.
        for (columns, steps) in [(64, 3), (64, 30), (10, 30), (1, 5)] {
            let value =
                |step: usize, at: usize| if steps == 3 { of(at % 3 + step) } else { of(at + step * 7) };
            let (mut total, mut lost) = (vec![0.0; columns], vec![0.0; columns]);
            let mut alone = vec![(0.0, 0.0); columns];
            for step in 0..steps {
                let values: Vec<f64> = (0..columns).map(|at| value(step, at)).collect();
                add_all(&values, &mut total, &mut lost);
                values.iter().zip(&mut alone).for_each(|(x, sum)| *sum = add(*x, sum.0, sum.1));
            }
            let bits = |v: f64| if v.is_nan() { 0 } else { v.to_bits() };
            for at in 0..columns {
                assert_eq!((bits(total[at]), bits(lost[at])), (bits(alone[at].0), bits(alone[at].1)), "{at}");
            }
        }
    }

    #[test]
    fn a_mean_of_huge_values_does_not_overflow() {
        assert!((mean(&[f64::MAX, f64::MAX, f64::MAX]) / f64::MAX - 1.0).abs() < 1e-15);
        assert_eq!(mean(&[1.0, 2.0, 6.0]), 3.0);
    }
}
