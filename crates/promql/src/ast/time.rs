//! Times and durations in the syntax tree: `@`, `offset`, ranges, and the arithmetic that may stand in their place.

use super::{NumberLiteral, Span};

/// The `@` modifier: evaluate as if at this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// `@ 1603774568.1`: milliseconds since the epoch.
    Timestamp(i64),
    /// `@ start()`: the first step of the query.
    Start,
    /// `@ end()`: the last step of the query.
    End,
}

/// How a range treats its edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RangeEdges {
    /// Only the samples inside.
    #[default]
    Plain,
    /// `anchored`: the sample before the left edge counts as standing on it.
    Anchored,
    /// `smoothed`: values at both edges are interpolated.
    Smoothed,
}

/// A range, step or offset: a fixed time or an expression that the engine works out per query.
#[derive(Clone, Debug, PartialEq)]
pub enum Interval {
    /// Milliseconds; negative only for offsets.
    Fixed(i64),
    /// Arithmetic; its value is in seconds.
    Expr(Box<DurationExpr>),
}

impl Interval {
    /// The milliseconds of a fixed interval.
    #[must_use]
    pub fn fixed_ms(&self) -> Option<i64> {
        match self {
            Self::Fixed(ms) => Some(*ms),
            Self::Expr(_) => None,
        }
    }
}

/// Arithmetic on durations; its value is in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct DurationExpr {
    /// What it is.
    pub kind: DurationKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of [`DurationExpr`].
#[derive(Clone, Debug, PartialEq)]
pub enum DurationKind {
    /// `5m` or `300`
    Number(NumberLiteral),
    /// `step()`: the step of the query, 0 for an instant query.
    Step,
    /// `range()`: the length of the query's time range, 0 for an instant query.
    Range,
    /// `-a`
    Minus(Box<DurationExpr>),
    /// `(a)`
    Paren(Box<DurationExpr>),
    /// `a + b`, `min_of(a, b)`, …
    Binary {
        /// The operator.
        op: DurationOp,
        /// The left operand.
        lhs: Box<DurationExpr>,
        /// The right operand.
        rhs: Box<DurationExpr>,
    },
}

/// An operator on two durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DurationOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `min_of(a, b)`
    MinOf,
    /// `max_of(a, b)`
    MaxOf,
}

impl DurationOp {
    /// As PromQL writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::MinOf => "min_of",
            Self::MaxOf => "max_of",
        }
    }
}
