//! Elementary functions that round as Go's do on amd64, so that results agree with Prometheus' to the last bit.
//!
//! The system's mathematical library is more accurate in places; here that would be a difference. What is not listed (`sqrt`, `floor`, …) is
//! exact everywhere.
//! Facts: Cephes (S. Moshier) for the circular functions and `tanh`; FreeBSD's msun for the logarithm and the inverse
//! hyperbolic functions; N. Shibata's SLEEF paper for `exp` (with fused multiply-add). Checked by `tests/recorded.rs`.

#![expect(clippy::excessive_precision, reason = "the digits stand as they were published")]

mod circular;

pub(crate) use circular::{acos, acosh, asin, asinh, atan, atan2, atanh, cos, cosh, sin, sinh, tan, tanh};

/// `c[0] x^n + c[1] x^(n-1) + … + c[n]`.
#[inline]
fn horner(x: f64, coefficients: &[f64]) -> f64 {
    coefficients.iter().copied().reduce(|sum, c| sum * x + c).unwrap_or(0.0)
}

/// The natural logarithm. Numbers below the normal ones are taken for 2^-1023 and a fraction, as Go's assembly does.
pub(crate) fn ln(x: f64) -> f64 {
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x.is_nan() || x == f64::INFINITY {
        return x;
    }
    if x < 0.0 {
        return f64::NAN;
    }
    let bits = x.to_bits();
    let mut fraction = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3fe0_0000_0000_0000);
    let mut k = ((bits >> 52 & 0x7ff) as i32 - 0x3fe) as f64;
    if fraction <= std::f64::consts::FRAC_1_SQRT_2 {
        k -= 1.0;
        fraction *= 2.0;
    }
    let f = fraction - 1.0;
    let s = f / (2.0 + f);
    let s2 = s * s;
    let s4 = s2 * s2;
    let odd = [
        1.479819860511658591e-01,
        1.818357216161805012e-01,
        2.857142874366239149e-01,
        6.666666666666735130e-01,
    ];
    let even = [1.531383769920937332e-01, 2.222219843214978396e-01, 3.999999999940941908e-01];
    let r = s2 * horner(s4, &odd) + s4 * horner(s4, &even);
    let half = 0.5 * f * f;
    let (high, low) = (6.93147180369123816490e-01, 1.90821492927058770002e-10);
    k * high - ((half - (s * (half + r) + k * low)) - f)
}

/// The decimal logarithm.
pub(crate) fn log10(x: f64) -> f64 {
    ln(x) * std::f64::consts::LOG10_E
}

/// The binary logarithm; exact for powers of two.
pub(crate) fn log2(x: f64) -> f64 {
    let (fraction, exponent) = split(x);
    if fraction == 0.5 {
        return f64::from(exponent - 1);
    }
    ln(fraction) * std::f64::consts::LOG2_E + f64::from(exponent)
}

/// `x = fraction * 2^exponent` with a fraction in `[0.5, 1)`; zero and what is not finite stay as they are.
fn split(x: f64) -> (f64, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    let (x, shift) = if x.abs() < f64::MIN_POSITIVE { (x * (1u64 << 52) as f64, -52) } else { (x, 0) };
    let exponent = (x.to_bits() >> 52 & 0x7ff) as i32 - 0x3fe;
    let fraction = f64::from_bits(x.to_bits() & !(0x7ff << 52) | 0x3fe << 52);
    (fraction, exponent + shift)
}

/// e to the power of x.
pub(crate) fn exp(x: f64) -> f64 {
    if x.is_nan() || x == f64::INFINITY {
        return x;
    }
    if x == f64::NEG_INFINITY {
        return 0.0;
    }
    if x > 7.09782712893384e+02 {
        return f64::INFINITY;
    }
    let k = (std::f64::consts::LOG2_E * x).round_ties_even();
    if k < -1074.0 - 64.0 {
        return 0.0;
    }
    let upper: f64 = 0.69314718055966295651160180568695068359375;
    let lower: f64 = 0.28235290563031577122588448175013436025525412068e-12;
    let r = (-lower).mul_add(k, (-upper).mul_add(k, x)) * 0.0625;
    let terms = [
        1.9841269841269841270e-4,
        1.3888888888888888889e-3,
        8.3333333333333333333e-3,
        4.1666666666666666667e-2,
        1.6666666666666666667e-1,
        0.5,
        1.0,
    ];
    let series = terms.iter().fold(2.4801587301587301587e-5, |sum: f64, c| sum.mul_add(r, *c));
    let mut y = r * series;
    for _ in 0..3 {
        y *= y + 2.0;
    }
    y = y.mul_add(y + 2.0, 1.0);
    let exponent = k as i64 + 0x3ff;
    if exponent <= 0 {
        return 0.0;
    }
    if exponent >= 0x7ff {
        return f64::INFINITY;
    }
    y * f64::from_bits((exponent as u64) << 52)
}

/// 2 to the power of x.
pub(crate) fn exp2(x: f64) -> f64 {
    if !x.is_finite() || x.abs() > 1100.0 {
        return x.exp2();
    }
    let k = if x > 0.0 { (x + 0.5).trunc() } else { (x - 0.5).trunc() };
    let t = x - k;
    let (high, low) = (t * 6.93147180369123816490e-01, -t * 1.90821492927058770002e-10);
    let r = high - low;
    let squared = r * r;
    let terms = [
        4.13813679705723846039e-08,
        -1.65339022054652515390e-06,
        6.61375632143793436117e-05,
        -2.77777777770155933842e-03,
        1.66666666666666657415e-01,
    ];
    let c = r - squared * horner(squared, &terms);
    let y = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
    scale(y, k as i64)
}

/// x to the power of y. Special cases are those of IEEE 754, which the system's library has as well.
pub(crate) fn pow(x: f64, y: f64) -> f64 {
    let special = y == 0.0 || x == 1.0 || x == 0.0 || !x.is_finite() || !y.is_finite();
    if special || y.abs() >= 9_223_372_036_854_775_808.0 {
        return x.powf(y);
    }
    if y == 0.5 {
        return x.sqrt();
    }
    if y == -0.5 {
        return 1.0 / x.sqrt();
    }
    let (mut whole, mut part) = (y.abs().trunc(), y.abs().fract());
    if part != 0.0 && x < 0.0 {
        return f64::NAN;
    }
    let (mut result, mut exponent) = (1.0, 0i64);
    if part != 0.0 {
        if part > 0.5 {
            part -= 1.0;
            whole += 1.0;
        }
        result = exp(part * ln(x));
    }
    let (mut base, base_exponent) = split(x);
    let mut base_exponent = i64::from(base_exponent);
    let mut bits = whole as i64;
    while bits != 0 {
        if !(-4096..=4096).contains(&base_exponent) {
            exponent += base_exponent;
            break;
        }
        if bits & 1 == 1 {
            result *= base;
            exponent += base_exponent;
        }
        base *= base;
        base_exponent <<= 1;
        if base < 0.5 {
            base += base;
            base_exponent -= 1;
        }
        bits >>= 1;
    }
    if y < 0.0 { scale(1.0 / result, -exponent) } else { scale(result, exponent) }
}

/// `x * 2^exponent`, rounded once.
fn scale(x: f64, exponent: i64) -> f64 {
    let (fraction, own) = split(x);
    let exponent = exponent + i64::from(own);
    if !(-1080..=1024).contains(&exponent) {
        return if exponent > 0 { x.signum() * f64::INFINITY } else { 0.0f64.copysign(x) };
    }
    // The fraction is below 1, so that 2^1024 comes in two steps and what is below the normal numbers is rounded at the end.
    let first = (exponent / 2) as i32;
    let (first, second) =
        if exponent < -1022 { (-1000, exponent as i32 + 1000) } else { (first, exponent as i32 - first) };
    fraction * 2f64.powi(first) * 2f64.powi(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, ours: fn(f64) -> f64, theirs: fn(f64) -> f64, from: f64, to: f64) {
        for i in 0..=10_000 {
            let x = from + (to - from) * f64::from(i) / 10_000.0;
            let (a, b) = (ours(x), theirs(x));
            let close = a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-13 * b.abs().max(1e-3);
            assert!(close, "{name}({x}) is {a}, the system says {b}");
        }
    }

    #[test]
    fn they_agree_with_the_system_but_for_the_last_digits() {
        check("ln", ln, f64::ln, 1e-3, 1e6);
        check("exp", exp, f64::exp, -700.0, 700.0);
        check("sin", sin, f64::sin, -1000.0, 1000.0);
        check("cos", cos, f64::cos, -1000.0, 1000.0);
        check("tan", tan, f64::tan, -1.5, 1.5);
        check("atan", atan, f64::atan, -50.0, 50.0);
        check("asin", asin, f64::asin, -1.0, 1.0);
        check("sinh", sinh, f64::sinh, -20.0, 20.0);
        check("cosh", cosh, f64::cosh, -20.0, 20.0);
        check("tanh", tanh, f64::tanh, -5.0, 5.0);
        check("asinh", asinh, f64::asinh, -50.0, 50.0);
        check("acosh", acosh, f64::acosh, 1.0, 50.0);
        check("atanh", atanh, f64::atanh, -0.999, 0.999);
        check("log2", log2, f64::log2, 1e-3, 1e6);
    }

    #[test]
    fn powers_agree_with_the_system_but_for_the_last_digits() {
        for (x, y) in
            [(2.0, 10.0), (2.0, -3.5), (10.0, 300.0), (0.5, 1074.0), (-3.0, 5.0), (1.1, 99.9), (1e-300, 1.02)]
        {
            let (a, b) = (pow(x, y), x.powf(y));
            assert!((a - b).abs() <= 1e-12 * b.abs(), "{x}^{y} is {a}, the system says {b}");
        }
        assert_eq!((pow(2.0, 2000.0), pow(2.0, -2000.0)), (f64::INFINITY, 0.0));
    }
}
