//! The canonical one-line form of an expression: [`std::fmt::Display`] of the nodes of the tree.
//!
//! Always true: parsing the form gives the same tree again, positions aside and conditions sorted; parentheses stand exactly
//! where the tree has them, so a tree built by hand must hold the [`Paren`](crate::ast::Paren) nodes that its operators need.
//! Facts: the form of Prometheus' `/api/v1/format_query` and of rule listings, `conformance/promql/printer-cases.json`.
//! COMPAT: where Prometheus prints what it cannot read again (`info(a, {})`, `by ("without")`, U+FFFD in a string) we print
//! what can be read.

#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Formatter, Write as _};

use narthex_model::{
    METRIC_NAME, MatchOp, Matcher, format_duration_ms, is_legacy_label_name, push_float, push_float_general,
    quote_go, quote_go_bytes,
};

use crate::ast::{
    Aggregate, At, Binary, BinaryOp, Call, Cardinality, DurationExpr, DurationKind, DurationOp, Expr, Fill,
    Interval, MatrixSelector, NumberLiteral, RangeEdges, StringLiteral, Subquery, VectorMatching,
    VectorSelector,
};
use crate::lexer::TokenKind;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => n.fmt(f),
            Self::String(s) => s.fmt(f),
            Self::Vector(v) => v.fmt(f),
            Self::Matrix(m) => m.fmt(f),
            Self::Subquery(s) => write!(f, "{}{}", s.expr, SubquerySuffix(s)),
            Self::Unary(u) => write!(f, "{}{}", u.op.as_str(), u.expr),
            Self::Binary(b) => b.fmt(f),
            Self::Aggregate(a) => a.fmt(f),
            Self::Call(c) => c.fmt(f),
            Self::Paren(p) => write!(f, "({})", p.expr),
        }
    }
}

impl Display for NumberLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            return f.write_str(&format_duration_ms((self.value * 1000.0).round() as i64));
        }
        let mut text = String::new();
        push_float(&mut text, self.value);
        f.write_str(&text)
    }
}

impl Display for StringLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.not_utf8 {
            Some(bytes) => f.write_str(&quote_go_bytes(bytes)),
            None => f.write_str(&quote(&self.value)),
        }
    }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_series(f, self)?;
        write_at(f, self.at)?;
        write_edges(f, self.edges)?;
        write_offset(f, self.offset.as_ref())
    }
}

impl Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_series(f, &self.selector)?;
        write!(f, "[{}]", self.range)?;
        write_edges(f, self.selector.edges)?;
        write_at(f, self.selector.at)?;
        write_offset(f, self.selector.offset.as_ref())
    }
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.lhs {
            // Before `^` the plus of `+Inf` would be a sign over the whole.
            Expr::Number(n) if self.op == BinaryOp::Pow && n.value == f64::INFINITY => f.write_str("Inf")?,
            lhs if ends_with_open_offset(lhs) => f.write_str(&with_closed_offset(lhs.to_string()))?,
            lhs => lhs.fmt(f)?,
        }
        write!(f, " {} {}", OperatorHead(self), self.rhs)
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", AggregateHead(self))?;
        if let Some(param) = &self.param {
            write!(f, "{param}, ")?;
        }
        write!(f, "{})", self.expr)
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.func.name())?;
        for (i, arg) in self.args.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{arg}")?;
        }
        f.write_char(')')
    }
}

impl Display for Interval {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(ms) => f.write_str(&format_duration_ms(*ms)),
            Self::Expr(expr) => expr.fmt(f),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            DurationKind::Number(n) => n.fmt(f),
            DurationKind::Step => f.write_str("step()"),
            DurationKind::Range => f.write_str("range()"),
            DurationKind::Minus(inner) => write!(f, "-{inner}"),
            DurationKind::Paren(inner) => write!(f, "({inner})"),
            DurationKind::Binary { op: op @ (DurationOp::MinOf | DurationOp::MaxOf), lhs, rhs } => {
                write!(f, "{}({lhs}, {rhs})", op.as_str())
            }
            DurationKind::Binary { op, lhs, rhs } => write!(f, "{lhs} {} {rhs}", op.as_str()),
        }
    }
}

/// `sum by (job) `, everything before the parenthesis.
pub(crate) struct AggregateHead<'a>(pub(crate) &'a Aggregate);

impl Display for AggregateHead<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(aggregate) = self;
        f.write_str(aggregate.op.as_str())?;
        if aggregate.grouping.is_empty() && !aggregate.without {
            return Ok(());
        }
        f.write_str(if aggregate.without { " without " } else { " by " })?;
        write_labels(f, &aggregate.grouping)?;
        f.write_char(' ')
    }
}

/// `/ on (job) group_left (x)`, everything between the operands.
pub(crate) struct OperatorHead<'a>(pub(crate) &'a Binary);

impl Display for OperatorHead<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(binary) = self;
        f.write_str(binary.op.as_str())?;
        if binary.return_bool {
            f.write_str(" bool")?;
        }
        binary.matching.as_ref().map_or(Ok(()), |matching| write_matching(f, matching))
    }
}

/// `[5m:1m] @ 3.000 offset 1m`, everything behind the subquery's expression.
pub(crate) struct SubquerySuffix<'a>(pub(crate) &'a Subquery);

impl Display for SubquerySuffix<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(subquery) = self;
        write!(f, "[{}:", subquery.range)?;
        if let Some(step) = &subquery.step {
            step.fmt(f)?;
        }
        f.write_char(']')?;
        write_at(f, subquery.at)?;
        write_offset(f, subquery.offset.as_ref())
    }
}

/// Whether the form of `expr` ends with `offset (…)`, which would draw an operator behind it into the offset.
pub(crate) fn ends_with_open_offset(expr: &Expr) -> bool {
    let offset = match expr {
        Expr::Vector(v) => &v.offset,
        Expr::Matrix(m) => &m.selector.offset,
        Expr::Subquery(s) => &s.offset,
        Expr::Unary(u) => return ends_with_open_offset(&u.expr),
        Expr::Binary(b) => return ends_with_open_offset(&b.rhs),
        Expr::Number(_) | Expr::String(_) | Expr::Aggregate(_) | Expr::Call(_) | Expr::Paren(_) => {
            return false;
        }
    };
    matches!(offset, Some(Interval::Expr(d)) if matches!(d.kind, DurationKind::Paren(_)))
}

/// The form of such an expression with a sign before the parenthesis: signed, the offset ends with it.
pub(crate) fn with_closed_offset(mut form: String) -> String {
    const OPEN: &str = " offset (";
    let at = form.rfind(OPEN).expect("the form ends with such an offset");
    form.replace_range(at..at + OPEN.len(), " offset +(");
    form
}

fn write_matching(f: &mut Formatter<'_>, matching: &VectorMatching) -> fmt::Result {
    let group = match matching.cardinality {
        Cardinality::ManyToOne => Some(" group_left "),
        Cardinality::OneToMany => Some(" group_right "),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if !matching.labels.is_empty() || matching.on || group.is_some() {
        f.write_str(if matching.on { " on " } else { " ignoring " })?;
        write_labels(f, &matching.labels)?;
    }
    if let Some(group) = group {
        f.write_str(group)?;
        write_labels(f, &matching.include)?;
    }
    match matching.fill {
        Fill { left: Some(l), right: Some(r) } if l.to_bits() == r.to_bits() => {
            write_fill(f, "fill", Some(l))
        }
        Fill { left, right } => {
            write_fill(f, "fill_left", left)?;
            write_fill(f, "fill_right", right)
        }
    }
}

fn write_fill(f: &mut Formatter<'_>, word: &str, value: Option<f64>) -> fmt::Result {
    let Some(value) = value else { return Ok(()) };
    let mut text = String::new();
    push_float_general(&mut text, value);
    write!(f, " {word} ({text})")
}

/// `(a, b)`, with quotes around what the grammar would not take as a label.
fn write_labels(f: &mut Formatter<'_>, labels: &[String]) -> fmt::Result {
    for (i, label) in labels.iter().enumerate() {
        f.write_str(if i > 0 { ", " } else { "(" })?;
        if is_legacy_label_name(label) && TokenKind::of_word(label).is_grouping_label() {
            f.write_str(label)?;
        } else {
            f.write_str(&quote(label))?;
        }
    }
    f.write_str(if labels.is_empty() { "()" } else { ")" })
}

/// The name and the sorted conditions of a selector.
fn write_series(f: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    let name = selector.name.as_deref().unwrap_or_default();
    f.write_str(name)?;
    let is_name =
        |m: &Matcher| m.op == MatchOp::Equal && m.name == METRIC_NAME && m.value == name && !name.is_empty();
    let mut conditions: Vec<String> =
        selector.matchers.iter().filter(|m| !is_name(m)).map(condition).collect();
    conditions.sort_unstable();
    if !conditions.is_empty() || name.is_empty() {
        write!(f, "{{{}}}", conditions.join(","))?;
    }
    Ok(())
}

fn condition(matcher: &Matcher) -> String {
    let (name, value) = (&matcher.name, quote(&matcher.value));
    let op = matcher.op.as_str();
    if is_legacy_label_name(name) {
        format!("{name}{op}{value}")
    } else {
        format!("{}{op}{value}", quote(name))
    }
}

fn write_at(f: &mut Formatter<'_>, at: Option<At>) -> fmt::Result {
    match at {
        None => Ok(()),
        Some(At::Timestamp(ms)) => write!(f, " @ {:.3}", ms as f64 / 1000.0),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
    }
}

fn write_edges(f: &mut Formatter<'_>, edges: RangeEdges) -> fmt::Result {
    f.write_str(match edges {
        RangeEdges::Plain => "",
        RangeEdges::Anchored => " anchored",
        RangeEdges::Smoothed => " smoothed",
    })
}

fn write_offset(f: &mut Formatter<'_>, offset: Option<&Interval>) -> fmt::Result {
    offset.map_or(Ok(()), |offset| write!(f, " offset {offset}"))
}

/// Go's quoting, but U+FFFD as an escape: the lexer takes the character itself for broken UTF-8.
fn quote(text: &str) -> String {
    let quoted = quote_go(text);
    if quoted.contains('\u{fffd}') { quoted.replace('\u{fffd}', "\\ufffd") } else { quoted }
}
