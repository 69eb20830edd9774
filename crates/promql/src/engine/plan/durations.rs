//! Arithmetic in ranges, steps and offsets, worked out for one query.

use super::build::QueryTimes;
use crate::ast::{DurationExpr, DurationKind, DurationOp, Interval, Span};
use crate::engine::error::QueryError;
use crate::engine::kernels::extrapolation::seconds;

/// The interval in milliseconds. `allow_negative` is for offsets.
///
/// # Errors
/// A value that is not finite, out of range, or not above 0 where it must be; division by zero.
pub(super) fn interval_ms(
    interval: &Interval,
    times: &QueryTimes,
    allow_negative: bool,
) -> Result<i64, QueryError> {
    let expr = match interval {
        Interval::Fixed(ms) => return Ok(*ms),
        Interval::Expr(expr) => expr,
    };
    let value = value_s(expr, times)?;
    if !value.is_finite() {
        return Err(refuse(expr.span, "duration is NaN or infinite"));
    }
    if value <= 0.0 && !allow_negative {
        return Err(refuse(expr.span, "duration must be greater than 0"));
    }
    if value.abs() > 9_223_372_036.854_775 {
        return Err(refuse(expr.span, "duration is out of range"));
    }
    Ok((value * 1000.0) as i64)
}

fn refuse(span: Span, what: &str) -> QueryError {
    QueryError::Invalid(format!("{}:{}: {what}", span.start, span.end))
}

fn value_s(expr: &DurationExpr, times: &QueryTimes) -> Result<f64, QueryError> {
    Ok(match &expr.kind {
        DurationKind::Number(n) => n.value,
        DurationKind::Step => seconds(times.step_ms),
        DurationKind::Range => seconds(times.end_ms - times.start_ms),
        DurationKind::Minus(inner) => -value_s(inner, times)?,
        DurationKind::Paren(inner) => value_s(inner, times)?,
        DurationKind::Binary { op, lhs, rhs } => {
            let (a, b) = (value_s(lhs, times)?, value_s(rhs, times)?);
            match op {
                DurationOp::Add => a + b,
                DurationOp::Sub => a - b,
                DurationOp::Mul => a * b,
                DurationOp::Div if b == 0.0 => return Err(refuse(expr.span, "division by zero")),
                DurationOp::Div => a / b,
                DurationOp::Mod if b == 0.0 => return Err(refuse(expr.span, "modulo by zero")),
                DurationOp::Mod => a % b,
                DurationOp::Pow => a.powf(b),
                DurationOp::MinOf => a.min(b),
                DurationOp::MaxOf => a.max(b),
            }
        }
    })
}
