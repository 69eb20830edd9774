//! The repetitions of an instant eval that must give the same result.

use crate::ast::{At, Call, Expr};
use crate::functions_table::Function;

/// The query with `@ t_ms` on every selector and subquery that has none; `None` when a function of it depends on the evaluation
/// time even so. What is inside a subquery that had a time of its own stays as it is.
pub(super) fn pinned(expr: &Expr, t_ms: i64) -> Option<Expr> {
    let mut pinned = expr.clone();
    pin(&mut pinned, t_ms).then_some(pinned)
}

/// The times at which a pinned query must give the same.
pub(super) fn other_times(t_ms: i64) -> Vec<i64> {
    if t_ms == 0 { vec![-1000, 0, 1000] } else { vec![-10 * t_ms, 0, t_ms / 5, t_ms, 10 * t_ms] }
}

/// Whether the query asks for its own times, so that it means something else as a range query.
pub(super) fn asks_for_times(expr: &Expr) -> bool {
    let text = expr.to_string();
    ["start()", "end()", "range()", "step()"].iter().any(|call| text.contains(call))
}

fn pin(expr: &mut Expr, t_ms: i64) -> bool {
    let at = At::Timestamp(t_ms);
    match expr {
        Expr::Vector(v) => v.at = v.at.or(Some(at)),
        Expr::Matrix(m) => m.selector.at = m.selector.at.or(Some(at)),
        Expr::Subquery(s) => {
            s.at = s.at.or(Some(at));
            // What is under a pinned subquery is not looked at.
            return true;
        }
        Expr::Call(c) if depends_on_time(c) => return false,
        _ => {}
    }
    let mut fine = true;
    expr.for_each_child_mut(|child| fine &= pin(child, t_ms));
    fine
}

fn depends_on_time(call: &Call) -> bool {
    matches!(
        call.func,
        Function::DaysInMonth
            | Function::DayOfMonth
            | Function::DayOfWeek
            | Function::DayOfYear
            | Function::End
            | Function::Hour
            | Function::Minute
            | Function::Month
            | Function::Year
            | Function::PredictLinear
            | Function::Range
            | Function::Start
            | Function::Step
            | Function::Time
            | Function::Timestamp
    )
}
