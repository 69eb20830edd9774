//! Compensated sums, means and variances.
//!
//! A sum carries a second number with what rounding lost (Kahan's idea, Neumaier's improvement). Once the sum is infinite
//! there is nothing to compensate. A mean is sum over count until the sum would overflow; from there on it is updated step by step.

/// One step of a compensated sum: the new sum and the new compensation.
#[inline(always)]
pub(crate) fn add(x: f64, sum: f64, lost: f64) -> (f64, f64) {
    let t = sum + x;
    let part = if sum.abs() >= x.abs() { (sum - t) + x } else { (x - t) + sum };
    // `abs() > MAX` is true for the infinities only, and false for NaN.
    let lost = if t.abs() > f64::MAX { 0.0 } else { lost + part };
    (t, lost)
}

/// The sum of the values, from 0.
#[inline]
pub(crate) fn sum(values: &[f64]) -> f64 {
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
    let mut mean = Mean::of(values[0]);
    for x in &values[1..] {
        mean.add(*x);
    }
    mean.value()
}

/// The population variance of at least one value, as the functions over time compute it (compensated).
#[inline]
pub(crate) fn variance_over_time(values: &[f64]) -> f64 {
    let (mut count, mut mean, mut mean_lost, mut aux, mut aux_lost) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for x in values {
        count += 1.0;
        let delta = x - (mean + mean_lost);
        (mean, mean_lost) = add(delta / count, mean, mean_lost);
        (aux, aux_lost) = add(delta * (x - (mean + mean_lost)), aux, aux_lost);
    }
    (aux + aux_lost) / count
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
