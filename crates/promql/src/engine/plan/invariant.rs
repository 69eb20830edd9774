//! Which parts of a query are the same at every step, and so need to be computed only once.
//!
//! COMPAT: the rules are Prometheus' own, with their edges: the parameter of an aggregation is not looked at.

use crate::ast::Expr;
use crate::functions_table::Function;

/// Whether a function's result depends on the evaluation time even when its arguments do not.
fn depends_on_time(function: Function) -> bool {
    matches!(
        function,
        Function::DaysInMonth
            | Function::DayOfMonth
            | Function::DayOfWeek
            | Function::DayOfYear
            | Function::Hour
            | Function::Minute
            | Function::Month
            | Function::Year
            | Function::PredictLinear
            | Function::Time
            | Function::Timestamp
    )
}

/// Whether the expression has one value at all steps.
pub(crate) fn is_invariant(expr: &Expr) -> bool {
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Vector(v) => v.at.is_some(),
        Expr::Matrix(m) => m.selector.at.is_some(),
        Expr::Subquery(s) => s.at.is_some(),
        Expr::Paren(p) => is_invariant(&p.expr),
        Expr::Unary(u) => is_invariant(&u.expr),
        Expr::Aggregate(a) => is_invariant(&a.expr),
        Expr::Binary(b) => is_invariant(&b.lhs) && is_invariant(&b.rhs),
        Expr::Call(c) => {
            let args = c.args.iter().all(is_invariant);
            let of_selector =
                c.func == Function::Timestamp && matches!(c.args[0].without_parens(), Expr::Vector(_));
            args && (of_selector || !depends_on_time(c.func))
        }
    }
}
