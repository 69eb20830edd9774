//! Circular and hyperbolic functions and their inverses, see the module above.

#![expect(clippy::excessive_precision, reason = "the digits stand as they were published")]

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, LN_2, PI};

use super::{exp, horner, ln};

const SIN: [f64; 6] = [
    1.58962301576546568060e-10,
    -2.50507477628578072866e-8,
    2.75573136213857245213e-6,
    -1.98412698295895385996e-4,
    8.33333333332211858878e-3,
    -1.66666666666666307295e-1,
];
const COS: [f64; 6] = [
    -1.13585365213876817300e-11,
    2.08757008419747316778e-9,
    -2.75573141792967388112e-7,
    2.48015872888517045348e-5,
    -1.38888888888730564116e-3,
    4.16666666666665929218e-2,
];

/// Beyond this the reduction by three parts of π/4 is not exact any more.
const REDUCTION_LIMIT: f64 = (1u64 << 29) as f64;

/// The octant of a non-negative angle (even) and the rest within it.
fn octant(x: f64) -> (u64, f64) {
    let mut j = (x * 1.273_239_544_735_162_7) as u64;
    j += j & 1;
    let y = j as f64;
    let parts = [7.85398125648498535156e-1, 3.77489470793079817668e-8, 2.69515142907905952645e-15];
    (j & 7, ((x - y * parts[0]) - y * parts[1]) - y * parts[2])
}

fn sine_of_rest(z: f64) -> f64 {
    let zz = z * z;
    z + z * zz * horner(zz, &SIN)
}

fn cosine_of_rest(z: f64) -> f64 {
    let zz = z * z;
    1.0 - 0.5 * zz + zz * zz * horner(zz, &COS)
}

/// The sine.
pub(crate) fn sin(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() || x.abs() >= REDUCTION_LIMIT {
        return x.sin();
    }
    let (mut j, z) = octant(x.abs());
    let mut negative = x < 0.0;
    if j > 3 {
        negative = !negative;
        j -= 4;
    }
    let y = if j == 2 { cosine_of_rest(z) } else { sine_of_rest(z) };
    if negative { -y } else { y }
}

/// The cosine.
pub(crate) fn cos(x: f64) -> f64 {
    if x.is_nan() || x.abs() >= REDUCTION_LIMIT {
        return x.cos();
    }
    let (mut j, z) = octant(x.abs());
    let mut negative = false;
    if j > 3 {
        negative = true;
        j -= 4;
    }
    negative ^= j > 1;
    let y = if j == 2 { sine_of_rest(z) } else { cosine_of_rest(z) };
    if negative { -y } else { y }
}

/// The tangent.
pub(crate) fn tan(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() || x.abs() >= REDUCTION_LIMIT {
        return x.tan();
    }
    let (j, z) = octant(x.abs());
    let zz = z * z;
    let mut y = z;
    if zz > 1e-14 {
        let p = [-1.30936939181383777646e4, 1.15351664838587416140e6, -1.79565251976484877988e7];
        let q = [
            1.0,
            1.36812963470692954678e4,
            -1.32089234440210967447e6,
            2.50083801823357915839e7,
            -5.38695755929454629881e7,
        ];
        y = z + z * (zz * horner(zz, &p) / horner(zz, &q));
    }
    if j & 2 == 2 {
        y = -1.0 / y;
    }
    if x < 0.0 { -y } else { y }
}

/// The arc tangent.
pub(crate) fn atan(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() {
        return x;
    }
    let y = positive_atan(x.abs());
    if x < 0.0 { -y } else { y }
}

fn positive_atan(x: f64) -> f64 {
    const MORE_BITS: f64 = 6.123233995736765886130e-17;
    const TAN_3_PI_8: f64 = 2.41421356237309504880;
    if x <= 0.66 {
        near_atan(x)
    } else if x > TAN_3_PI_8 {
        FRAC_PI_2 - near_atan(1.0 / x) + MORE_BITS
    } else {
        FRAC_PI_4 + near_atan((x - 1.0) / (x + 1.0)) + 0.5 * MORE_BITS
    }
}

fn near_atan(x: f64) -> f64 {
    let p = [
        -8.750608600031904122785e-01,
        -1.615753718733365076637e+01,
        -7.500855792314704667340e+01,
        -1.228866684490136173410e+02,
        -6.485021904942025371773e+01,
    ];
    let q = [
        1.0,
        2.485846490142306297962e+01,
        1.650270098316988542046e+02,
        4.328810604912902668951e+02,
        4.853903996359136964868e+02,
        1.945506571482613964425e+02,
    ];
    let z = x * x;
    let z = z * horner(z, &p) / horner(z, &q);
    x * z + x
}

/// The angle of the point `(x, y)`.
pub(crate) fn atan2(y: f64, x: f64) -> f64 {
    if y.is_nan() || x.is_nan() || y == 0.0 || x == 0.0 || x.is_infinite() || y.is_infinite() {
        return y.atan2(x);
    }
    let q = atan(y / x);
    match (x < 0.0, q <= 0.0) {
        (false, _) => q,
        (true, true) => q + PI,
        (true, false) => q - PI,
    }
}

/// The arc sine.
pub(crate) fn asin(x: f64) -> f64 {
    if x == 0.0 || !(-1.0..=1.0).contains(&x) {
        return x.asin();
    }
    let a = x.abs();
    let root = (1.0 - a * a).sqrt();
    let y = if a > 0.7 { FRAC_PI_2 - positive_atan(root / a) } else { positive_atan(a / root) };
    if x < 0.0 { -y } else { y }
}

/// The arc cosine.
pub(crate) fn acos(x: f64) -> f64 {
    FRAC_PI_2 - asin(x)
}

/// The hyperbolic sine.
pub(crate) fn sinh(x: f64) -> f64 {
    let a = x.abs();
    let y = if a > 21.0 {
        exp(a) * 0.5
    } else if a > 0.5 {
        let e = exp(a);
        (e - 1.0 / e) * 0.5
    } else {
        let p = [
            -0.2630563213397497062819489e+2,
            -0.2894211355989563807284660366e+4,
            -0.8991272022039509355398013511e+5,
            -0.6307673640497716991184787251e+6,
        ];
        let q = [
            1.0,
            -0.173678953558233699533450911e+3,
            0.1521517378790019070696485176e+5,
            -0.6307673640497716991212077277e+6,
        ];
        let sq = a * a;
        horner(sq, &p) * a / horner(sq, &q)
    };
    if x < 0.0 { -y } else { y }
}

/// The hyperbolic cosine.
pub(crate) fn cosh(x: f64) -> f64 {
    let a = x.abs();
    let e = exp(a);
    if a > 21.0 { e * 0.5 } else { (e + 1.0 / e) * 0.5 }
}

/// The hyperbolic tangent.
pub(crate) fn tanh(x: f64) -> f64 {
    const MAX_LOG: f64 = 8.8029691931113054295988e+01;
    let z = x.abs();
    if z > 0.5 * MAX_LOG {
        return if x < 0.0 { -1.0 } else { 1.0 };
    }
    if z >= 0.625 {
        let y = 1.0 - 2.0 / (exp(2.0 * z) + 1.0);
        return if x < 0.0 { -y } else { y };
    }
    if x == 0.0 {
        return x;
    }
    let p = [-9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3];
    let q = [1.0, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3];
    let s = x * x;
    x + x * s * horner(s, &p) / horner(s, &q)
}

const LARGE: f64 = (1u64 << 28) as f64;

/// The inverse hyperbolic sine.
pub(crate) fn asinh(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let a = x.abs();
    let y = if a > LARGE {
        ln(a) + LN_2
    } else if a > 2.0 {
        ln(2.0 * a + 1.0 / ((a * a + 1.0).sqrt() + a))
    } else if a < 1.0 / LARGE {
        a
    } else {
        (a + a * a / (1.0 + (1.0 + a * a).sqrt())).ln_1p()
    };
    if x < 0.0 { -y } else { y }
}

/// The inverse hyperbolic cosine.
pub(crate) fn acosh(x: f64) -> f64 {
    if x < 1.0 || x.is_nan() {
        f64::NAN
    } else if x == 1.0 {
        0.0
    } else if x >= LARGE {
        ln(x) + LN_2
    } else if x > 2.0 {
        ln(2.0 * x - 1.0 / (x + (x * x - 1.0).sqrt()))
    } else {
        let t = x - 1.0;
        (t + (2.0 * t + t * t).sqrt()).ln_1p()
    }
}

/// The inverse hyperbolic tangent.
pub(crate) fn atanh(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() || a >= 1.0 || a == 0.0 {
        return x.atanh();
    }
    let y = if a < 1.0 / LARGE {
        a
    } else if a < 0.5 {
        let double = a + a;
        0.5 * (double + double * a / (1.0 - a)).ln_1p()
    } else {
        0.5 * ((a + a) / (1.0 - a)).ln_1p()
    };
    if x < 0.0 { -y } else { y }
}
