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
    fn a_mean_of_huge_values_does_not_overflow() {
        assert!((mean(&[f64::MAX, f64::MAX, f64::MAX]) / f64::MAX - 1.0).abs() < 1e-15);
        assert_eq!(mean(&[1.0, 2.0, 6.0]), 3.0);
    }
}
