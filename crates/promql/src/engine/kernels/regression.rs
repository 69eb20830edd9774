//! Least squares over the samples of a window (`deriv`, `predict_linear`) and double exponential smoothing.

use super::sums::add;

/// Slope per second and value at `origin_ms` of the line through at least two samples.
pub(crate) fn line(t_ms: &[i64], values: &[f64], origin_ms: i64) -> (f64, f64) {
    let first = values[0];
    if values.iter().all(|v| *v == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let (mut n, mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) =
        (0.0, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0));
    for (t, y) in t_ms.iter().zip(values) {
        n += 1.0;
        let x = (t - origin_ms) as f64 / 1e3;
        x_sum = add(x, x_sum.0, x_sum.1);
        y_sum = add(*y, y_sum.0, y_sum.1);
        xy_sum = add(x * y, xy_sum.0, xy_sum.1);
        xx_sum = add(x * x, xx_sum.0, xx_sum.1);
    }
    let whole = |(sum, lost): (f64, f64)| sum + lost;
    let (x, y, xy, xx) = (whole(x_sum), whole(y_sum), whole(xy_sum), whole(xx_sum));
    fit(n, (x, xx), (y, xy))
}

/// Slope and value at 0 of the line through `n` points, from the sums of x, x², y and x·y.
#[inline]
pub(crate) fn fit(n: f64, (x, xx): (f64, f64), (y, xy): (f64, f64)) -> (f64, f64) {
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

/// The last value of double exponential smoothing over at least two samples.
pub(crate) fn smoothed(values: &[f64], smoothing: f64, trend: f64) -> f64 {
    let (mut before, mut level, mut slope) = (0.0, values[0], values[1] - values[0]);
    for (i, value) in values.iter().enumerate().skip(1) {
        if i > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + slope);
        (before, level) = (level, next);
    }
    level
}
