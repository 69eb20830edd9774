//! The typed syntax tree of a PromQL expression.
//!
//! Holds: one struct a kind of node, each with the [`Span`] of query text it came from; operators in `ast/ops.rs`,
//! times and durations in `ast/time.rs`. The functions are in `functions_table.rs`.
//! Always true of a tree that [`parse`](crate::parser::parse) returned: types are checked (arguments have the types of the
//! function's signature, an operand of a binary is a scalar or an instant vector), its height is at most
//! [`MAX_DEPTH`](crate::parser::MAX_DEPTH), so that recursion over it is safe.
//! Must not know: how anything is evaluated. Offsets and `@` stand as written; the plan works out what they mean.
//! Facts: Prometheus `docs/querying/basics.md`, `docs/querying/operators.md`. Printed by `printer.rs`.

mod ops;
mod time;

use narthex_model::Matcher;

use crate::functions_table::Function;

pub use ops::{AggregateOp, BinaryOp, Cardinality, Fill, UnaryOp, VectorMatching};
pub use time::{At, DurationExpr, DurationKind, DurationOp, Interval, RangeEdges};

/// A half-open range of byte offsets `[start, end)` in the query text. Positions in errors and annotations come from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// The range `[start, end)`.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// From the start of `self` to the end of `last`.
    #[must_use]
    pub fn to(self, last: Self) -> Self {
        Self { start: self.start, end: last.end }
    }

    /// `line:column` of the start within `query`, both from 1, columns in bytes; as Prometheus writes it into errors and
    /// annotations ("unknown position" for an empty query, "invalid position" outside of it).
    #[must_use]
    pub fn line_column(self, query: &str) -> String {
        if query.is_empty() {
            return "unknown position".to_owned();
        }
        let Some(before) = query.as_bytes().get(..self.start as usize) else {
            return "invalid position".to_owned();
        };
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        format!("{line}:{}", before.len() - line_start + 1)
    }
}

/// What an expression evaluates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// One float.
    Scalar,
    /// For each series at most one sample, all at one time.
    InstantVector,
    /// For each series the samples of a time range.
    RangeVector,
    /// A text.
    String,
}

impl ValueType {
    /// The word of the API: `scalar`, `vector`, `matrix`, `string`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::InstantVector => "vector",
            Self::RangeVector => "matrix",
            Self::String => "string",
        }
    }

    /// The words of the documentation and of most errors: `scalar`, `instant vector`, `range vector`, `string`.
    #[must_use]
    pub fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::InstantVector => "instant vector",
            Self::RangeVector => "range vector",
            Self::String => "string",
        }
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `1.5`, `0x1f`, `5m`
    Number(NumberLiteral),
    /// `"text"`
    String(Box<StringLiteral>),
    /// `up{job="a"} @ 5 offset 1m`
    Vector(Box<VectorSelector>),
    /// `up[5m]`
    Matrix(Box<MatrixSelector>),
    /// `expr[1h:5m]`
    Subquery(Box<Subquery>),
    /// `-expr`
    Unary(Box<Unary>),
    /// `a + on (l) b`
    Binary(Box<Binary>),
    /// `sum by (job) (up)`
    Aggregate(Box<Aggregate>),
    /// `rate(up[5m])`
    Call(Box<Call>),
    /// `(expr)`
    Paren(Box<Paren>),
}

/// A number, or a duration used as a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberLiteral {
    /// The value; seconds when it was written as a duration.
    pub value: f64,
    /// Whether it was written as a duration (`5m`), and so is printed as one.
    pub is_duration: bool,
    /// Where it stands; includes a leading sign that was folded in.
    pub span: Span,
}

/// A string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringLiteral {
    /// The text without quotes, escapes resolved. An escape for a byte that is not UTF-8 gives U+FFFD.
    pub value: String,
    /// The bytes that were meant, when they are not UTF-8. Such a text can name no label, and is printed as it was meant.
    pub not_utf8: Option<Box<[u8]>>,
    /// Where it stands, quotes included.
    pub span: Span,
}

/// Selects series, and of each the newest sample of the lookback window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorSelector {
    /// The metric name written before the braces. `None` for `{"name"}` and `{__name__="name"}`.
    pub name: Option<String>,
    /// All conditions in the order written. When `name` is set, the last one is `__name__="name"`.
    pub matchers: Vec<Matcher>,
    /// The `@` modifier.
    pub at: Option<At>,
    /// The `offset` modifier; `None` when absent (or zero).
    pub offset: Option<Interval>,
    /// The `anchored` or `smoothed` modifier.
    pub edges: RangeEdges,
    /// Where it stands; with modifiers when it is not inside a matrix selector.
    pub span: Span,
}

/// Selects series, and of each the samples of a range.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    /// The series, with the modifiers `@`, `offset`, `anchored`, `smoothed` that were written after the brackets.
    pub selector: VectorSelector,
    /// The length of the range. The range is open at its left edge and closed at its right edge.
    pub range: Interval,
    /// Where it stands, modifiers included.
    pub span: Span,
}

/// Evaluates an instant vector at several times, which gives a range vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// The instant vector.
    pub expr: Expr,
    /// The length of the range.
    pub range: Interval,
    /// The distance of the times; `None` means the default evaluation interval.
    pub step: Option<Interval>,
    /// The `@` modifier.
    pub at: Option<At>,
    /// The `offset` modifier; `None` when absent (or zero).
    pub offset: Option<Interval>,
    /// Where it stands, modifiers included.
    pub span: Span,
}

/// A sign before a scalar or an instant vector. A sign before a number literal is folded into the literal.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    /// The sign.
    pub op: UnaryOp,
    /// The operand.
    pub expr: Expr,
    /// Where it stands.
    pub span: Span,
}

/// Two operands and an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// The left operand.
    pub lhs: Expr,
    /// The right operand.
    pub rhs: Expr,
    /// How series of the two sides find each other; `Some` exactly when both sides are instant vectors.
    pub matching: Option<VectorMatching>,
    /// Comparisons only: give 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// From the start of the left to the end of the right operand.
    pub span: Span,
}

/// An aggregation over the series of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// The instant vector.
    pub expr: Expr,
    /// `Some` exactly for the operators of [`AggregateOp::param_type`].
    pub param: Option<Expr>,
    /// The labels in parentheses, as written.
    pub grouping: Vec<String>,
    /// Whether `grouping` names the labels to drop (`without`) instead of those to keep (`by`, or nothing written).
    pub without: bool,
    /// Where it stands.
    pub span: Span,
}

/// A function call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function.
    pub func: Function,
    /// The arguments; their number and types fit the function's signature.
    pub args: Vec<Expr>,
    /// Where it stands.
    pub span: Span,
}

/// Parentheses. They are kept so that the printed form has them where the writer had them.
#[derive(Clone, Debug, PartialEq)]
pub struct Paren {
    /// What is inside.
    pub expr: Expr,
    /// Where it stands, parentheses included.
    pub span: Span,
}

impl Expr {
    /// Where the expression stands in the query.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Number(n) => n.span,
            Self::String(s) => s.span,
            Self::Vector(v) => v.span,
            Self::Matrix(m) => m.span,
            Self::Subquery(s) => s.span,
            Self::Unary(u) => u.span,
            Self::Binary(b) => b.span,
            Self::Aggregate(a) => a.span,
            Self::Call(c) => c.span,
            Self::Paren(p) => p.span,
        }
    }

    /// What the expression evaluates to.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Number(_) => ValueType::Scalar,
            Self::String(_) => ValueType::String,
            Self::Vector(_) | Self::Aggregate(_) => ValueType::InstantVector,
            Self::Matrix(_) | Self::Subquery(_) => ValueType::RangeVector,
            Self::Unary(u) => u.expr.value_type(),
            Self::Paren(p) => p.expr.value_type(),
            Self::Call(c) => c.func.signature().returns,
            Self::Binary(b) => match (b.lhs.value_type(), b.rhs.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::InstantVector,
            },
        }
    }

    /// The expression without the parentheses around it, however many.
    #[must_use]
    pub fn without_parens(&self) -> &Self {
        let mut expr = self;
        while let Self::Paren(p) = expr {
            expr = &p.expr;
        }
        expr
    }

    /// Calls `f` with each direct child. An aggregation's parameter comes after its operand. The selector inside a matrix
    /// selector is not an `Expr` and is not visited.
    pub fn for_each_child<'a>(&'a self, mut f: impl FnMut(&'a Self)) {
        match self {
            Self::Number(_) | Self::String(_) | Self::Vector(_) | Self::Matrix(_) => {}
            Self::Subquery(s) => f(&s.expr),
            Self::Unary(u) => f(&u.expr),
            Self::Paren(p) => f(&p.expr),
            Self::Binary(b) => {
                f(&b.lhs);
                f(&b.rhs);
            }
            Self::Aggregate(a) => {
                f(&a.expr);
                a.param.iter().for_each(f);
            }
            Self::Call(c) => c.args.iter().for_each(f),
        }
    }

    /// As [`Self::for_each_child`], for changes in place.
    pub fn for_each_child_mut(&mut self, mut f: impl FnMut(&mut Self)) {
        match self {
            Self::Number(_) | Self::String(_) | Self::Vector(_) | Self::Matrix(_) => {}
            Self::Subquery(s) => f(&mut s.expr),
            Self::Unary(u) => f(&mut u.expr),
            Self::Paren(p) => f(&mut p.expr),
            Self::Binary(b) => {
                f(&mut b.lhs);
                f(&mut b.rhs);
            }
            Self::Aggregate(a) => {
                f(&mut a.expr);
                a.param.iter_mut().for_each(f);
            }
            Self::Call(c) => c.args.iter_mut().for_each(f),
        }
    }

    /// Calls `f` with the expression and everything below it, parents first.
    pub fn walk<'a>(&'a self, f: &mut impl FnMut(&'a Self)) {
        f(self);
        self.for_each_child(|child| child.walk(f));
    }

    /// The selectors of the expression, those of matrix selectors among them, in the order of [`Self::walk`].
    #[must_use]
    pub fn selectors(&self) -> Vec<&VectorSelector> {
        let mut found = Vec::new();
        self.walk(&mut |expr| match expr {
            Self::Vector(v) => found.push(&**v),
            Self::Matrix(m) => found.push(&m.selector),
            _ => {}
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn positions_are_lines_and_byte_columns_from_one() {
        let at = |start, query: &str| Span::new(start, start).line_column(query);
        assert_eq!(at(0, "abc"), "1:1");
        assert_eq!(at(3, "abc"), "1:4");
        assert_eq!(at(4, "abc"), "invalid position");
        assert_eq!(at(5, "ab\n\ncd"), "3:2");
        assert_eq!(at(0, ""), "unknown position");
    }
}
