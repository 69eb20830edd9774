//! Functions of one float, and the binary operators on floats.

use super::{date, elementary};
use crate::ast::BinaryOp;
use crate::functions_table::Function;

/// A function from float to float.
pub(crate) type FloatFn = fn(f64) -> f64;

/// The function of one float that a PromQL function applies to each sample; `None` for functions that do something else.
pub(crate) fn float_function(function: Function) -> Option<FloatFn> {
    Some(match function {
        Function::Abs => f64::abs,
        Function::Ceil => f64::ceil,
        Function::Floor => f64::floor,
        Function::Exp => elementary::exp,
        Function::Sqrt => f64::sqrt,
        Function::Ln => elementary::ln,
        Function::Log2 => elementary::log2,
        Function::Log10 => elementary::log10,
        Function::Sin => elementary::sin,
        Function::Cos => elementary::cos,
        Function::Tan => elementary::tan,
        Function::Asin => elementary::asin,
        Function::Acos => elementary::acos,
        Function::Atan => elementary::atan,
        Function::Sinh => elementary::sinh,
        Function::Cosh => elementary::cosh,
        Function::Tanh => elementary::tanh,
        Function::Asinh => elementary::asinh,
        Function::Acosh => elementary::acosh,
        Function::Atanh => elementary::atanh,
        Function::Rad => |v| v * std::f64::consts::PI / 180.0,
        Function::Deg => |v| v * 180.0 / std::f64::consts::PI,
        Function::Sgn => |v| {
            if v < 0.0 {
                -1.0
            } else if v > 0.0 {
                1.0
            } else {
                v
            }
        },
        _ => return date_function(function),
    })
}

/// The functions that take the value for seconds since the epoch.
pub(crate) fn date_function(function: Function) -> Option<FloatFn> {
    Some(match function {
        Function::Year => |v| date::date_of(whole(v)).year as f64,
        Function::Month => |v| f64::from(date::date_of(whole(v)).month),
        Function::DayOfMonth => |v| f64::from(date::date_of(whole(v)).day),
        Function::DayOfWeek => |v| date::day_of_week(whole(v)) as f64,
        Function::DayOfYear => |v| f64::from(date::day_of_year(date::date_of(whole(v)))),
        Function::DaysInMonth => |v| f64::from(date::days_in_month(date::date_of(whole(v)))),
        Function::Hour => |v| date::hour(whole(v)) as f64,
        Function::Minute => |v| date::minute(whole(v)) as f64,
        _ => return None,
    })
}

/// A float as whole seconds, as Go converts on amd64: what does not fit (NaN too) is the smallest integer.
fn whole(v: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&v) { v as i64 } else { i64::MIN }
}

/// The binary logarithm.
pub(crate) fn log2(v: f64) -> f64 {
    elementary::log2(v)
}

/// 2 to the power of v.
pub(crate) fn exp2(v: f64) -> f64 {
    elementary::exp2(v)
}

/// `round(v, nearest)`: to the nearest multiple, ties up.
pub(crate) fn round(v: f64, nearest: f64) -> f64 {
    // COMPAT: the inverse, as Prometheus does it, for the same rounding errors.
    let inverse = 1.0 / nearest;
    (v * inverse + 0.5).floor() / inverse
}

/// The larger one; NaN when one is.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    if a.is_infinite() && a > 0.0 || b.is_infinite() && b > 0.0 {
        return f64::INFINITY;
    }
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    if a == 0.0 && b == 0.0 {
        return if a.is_sign_negative() { b } else { a };
    }
    if a > b { a } else { b }
}

/// The smaller one; NaN when one is.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

/// The result of an arithmetic operator. Comparisons give 0 or 1, as between scalars.
pub(crate) fn arithmetic(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => elementary::pow(a, b),
        BinaryOp::Atan2 => elementary::atan2(a, b),
        _ => f64::from(compare(op, a, b)),
    }
}

/// Whether a comparison holds; `false` for operators that compare nothing.
pub(crate) fn compare(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Eq => a == b,
        BinaryOp::Ne => a != b,
        BinaryOp::Gt => a > b,
        BinaryOp::Lt => a < b,
        BinaryOp::Ge => a >= b,
        BinaryOp::Le => a <= b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_round_up() {
        for (v, nearest, expected) in [(2.5, 1.0, 3.0), (-2.5, 1.0, -2.0), (7.0, 5.0, 5.0), (8.0, 5.0, 10.0)]
        {
            assert_eq!(round(v, nearest), expected);
        }
    }

    #[test]
    fn nan_wins_over_all_but_the_matching_infinity() {
        assert!(max(f64::NAN, 1.0).is_nan());
        assert_eq!(max(f64::NAN, f64::INFINITY), f64::INFINITY);
        assert_eq!(min(f64::NEG_INFINITY, f64::NAN), f64::NEG_INFINITY);
        assert_eq!(min(0.0, -0.0).to_bits(), (-0.0f64).to_bits());
        assert_eq!((min(1.0, 2.0), max(1.0, 2.0)), (1.0, 2.0));
    }
}
