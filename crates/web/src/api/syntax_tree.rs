//! The syntax tree of a query as `/api/v1/parse_query` shows it.
//!
//! Members stand in alphabetical order. Durations are in milliseconds; `null` stands for what was not written.
//! Facts: Prometheus 3.14's answers; the tree view of its user interface reads them.

use narthex_model::{Matcher, push_float};
use narthex_promql::ast::{
    Aggregate, At, Binary, Call, Cardinality, DurationExpr, DurationKind, Expr, Interval, RangeEdges,
    Subquery, VectorMatching, VectorSelector,
};
use narthex_promql::functions_table::Arity;

use crate::json::JsonOut;

/// Writes an expression.
pub(super) fn push_expr(out: &mut JsonOut, expr: &Expr) {
    match expr {
        Expr::Number(number) => push_number(out, number.value),
        Expr::String(text) => push_tagged(out, "stringLiteral", &text.value),
        Expr::Vector(selector) => push_selector(out, selector, None),
        Expr::Matrix(matrix) => push_selector(out, &matrix.selector, Some(&matrix.range)),
        Expr::Subquery(subquery) => push_subquery(out, subquery),
        Expr::Unary(unary) => {
            push_expr(out.raw("{\"expr\":"), &unary.expr);
            out.member("op", false).html_safe(unary.op.as_str()).raw(",\"type\":\"unaryExpr\"}");
        }
        Expr::Binary(binary) => push_binary(out, binary),
        Expr::Aggregate(aggregate) => push_aggregate(out, aggregate),
        Expr::Call(call) => push_call(out, call),
        Expr::Paren(paren) => {
            push_expr(out.raw("{\"expr\":"), &paren.expr);
            out.raw(",\"type\":\"parenExpr\"}");
        }
    }
}

fn push_number(out: &mut JsonOut, value: f64) {
    let mut text = String::new();
    push_float(&mut text, value);
    push_tagged(out, "numberLiteral", &text);
}

fn push_tagged(out: &mut JsonOut, kind: &str, value: &str) {
    out.raw("{\"type\":\"").raw(kind).raw("\",\"val\":").html_safe(value).raw("}");
}

/// A vector selector, or a matrix selector when there is a range.
fn push_selector(out: &mut JsonOut, selector: &VectorSelector, range: Option<&Interval>) {
    out.raw("{").member("anchored", true).bool(selector.edges == RangeEdges::Anchored);
    out.member("matchers", false).list(&selector.matchers, push_matcher);
    out.member("name", false).html_safe(selector.name.as_deref().unwrap_or(""));
    push_interval(out, "offset", selector.offset.as_ref());
    if let Some(range) = range {
        push_interval(out, "range", Some(range));
    }
    out.member("smoothed", false).bool(selector.edges == RangeEdges::Smoothed);
    push_at(out, selector.at);
    let kind = if range.is_some() { "matrixSelector" } else { "vectorSelector" };
    out.member("type", false).html_safe(kind).raw("}");
}

fn push_matcher(out: &mut JsonOut, matcher: &Matcher) {
    out.raw("{").member("name", true).html_safe(&matcher.name);
    out.member("type", false).html_safe(matcher.op.as_str());
    out.member("value", false).html_safe(&matcher.value).raw("}");
}

/// `name` in milliseconds (0 when absent or an expression) and `nameExpr`.
fn push_interval(out: &mut JsonOut, name: &str, interval: Option<&Interval>) {
    let fixed = interval.and_then(Interval::fixed_ms).unwrap_or(0);
    out.member(name, false).int(fixed).member(&format!("{name}Expr"), false);
    match interval {
        Some(Interval::Expr(expr)) => push_duration(out, expr),
        Some(Interval::Fixed(_)) | None => {
            out.raw("null");
        }
    }
}

/// `startOrEnd` and `timestamp`.
fn push_at(out: &mut JsonOut, at: Option<At>) {
    out.member("startOrEnd", false).raw(match at {
        Some(At::Start) => "\"start\"",
        Some(At::End) => "\"end\"",
        Some(At::Timestamp(_)) | None => "null",
    });
    out.member("timestamp", false);
    match at {
        Some(At::Timestamp(ms)) => out.int(ms),
        Some(At::Start | At::End) | None => out.raw("null"),
    };
}

fn push_subquery(out: &mut JsonOut, subquery: &Subquery) {
    push_expr(out.raw("{\"expr\":"), &subquery.expr);
    push_interval(out, "offset", subquery.offset.as_ref());
    push_interval(out, "range", Some(&subquery.range));
    push_at(out, subquery.at);
    push_interval(out, "step", subquery.step.as_ref());
    out.raw(",\"type\":\"subquery\"}");
}

fn push_binary(out: &mut JsonOut, binary: &Binary) {
    out.raw("{").member("bool", true).bool(binary.return_bool);
    push_expr(out.member("lhs", false), &binary.lhs);
    out.member("matching", false);
    match &binary.matching {
        Some(matching) => push_matching(out, matching),
        None => {
            out.raw("null");
        }
    }
    out.member("op", false).html_safe(binary.op.as_str());
    push_expr(out.member("rhs", false), &binary.rhs);
    out.raw(",\"type\":\"binaryExpr\"}");
}

fn push_matching(out: &mut JsonOut, matching: &VectorMatching) {
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    out.raw("{").member("card", true).html_safe(card);
    out.member("fillValues", false).raw("{");
    for (i, (name, value)) in
        [("lhs", matching.fill.left), ("rhs", matching.fill.right)].into_iter().enumerate()
    {
        out.member(name, i == 0);
        match value {
            Some(value) => out.number(value),
            None => out.raw("null"),
        };
    }
    out.raw("}").member("include", false).strings(&matching.include);
    out.member("labels", false).strings(&matching.labels);
    out.member("on", false).bool(matching.on).raw("}");
}

fn push_aggregate(out: &mut JsonOut, aggregate: &Aggregate) {
    push_expr(out.raw("{\"expr\":"), &aggregate.expr);
    out.member("grouping", false).strings(&aggregate.grouping);
    out.member("op", false).html_safe(aggregate.op.as_str()).member("param", false);
    match &aggregate.param {
        Some(param) => push_expr(out, param),
        None => {
            out.raw("null");
        }
    }
    out.raw(",\"type\":\"aggregation\"").member("without", false).bool(aggregate.without).raw("}");
}

fn push_call(out: &mut JsonOut, call: &Call) {
    let signature = call.func.signature();
    out.raw("{").member("args", true).list(&call.args, push_expr);
    out.member("func", false).raw("{").member("argTypes", true);
    out.strings(signature.args.iter().map(|t| t.as_str()));
    out.member("name", false).html_safe(call.func.name());
    out.member("returnType", false).html_safe(signature.returns.as_str());
    out.member("variadic", false).int(match signature.arity {
        Arity::Exact => 0,
        Arity::Optional(most) => i64::from(most),
        Arity::Repeat => -1,
    });
    out.raw("},\"type\":\"call\"}");
}

/// Arithmetic that stands in the place of a duration.
fn push_duration(out: &mut JsonOut, expr: &DurationExpr) {
    let (wrapped, kind) = match &expr.kind {
        DurationKind::Paren(inner) => (true, &inner.kind),
        kind => (false, kind),
    };
    let (lhs, op, rhs) = match kind {
        DurationKind::Number(number) => {
            out.raw("{").member("duration", true).bool(number.is_duration).raw(",\"type\":\"numberLiteral\"");
            out.member("val", false).raw("\"");
            push_float(out.buffer(), number.value);
            out.raw("\"}");
            return;
        }
        DurationKind::Step => (None, "step", None),
        DurationKind::Range => (None, "range", None),
        DurationKind::Minus(inner) => (None, "-", Some(inner)),
        DurationKind::Paren(inner) => (None, "+", Some(inner)),
        DurationKind::Binary { op, lhs, rhs } => (Some(lhs), op.as_str(), Some(rhs)),
    };
    push_operand(out.raw("{\"lhs\":"), lhs.map(|e| &**e));
    out.member("op", false).html_safe(op);
    push_operand(out.member("rhs", false), rhs.map(|e| &**e));
    out.raw(",\"type\":\"durationExpr\"").member("wrapped", false).bool(wrapped).raw("}");
}

fn push_operand(out: &mut JsonOut, operand: Option<&DurationExpr>) {
    match operand {
        Some(expr) => push_duration(out, expr),
        None => {
            out.raw("null");
        }
    }
}

#[cfg(test)]
mod tests {
    use narthex_promql::parser::{ParseOptions, parse};

    use super::*;
    use crate::encoding::Encoding;

    #[track_caller]
    fn check(query: &str, expected: &str) {
        let mut out = JsonOut::new(Encoding::Identity);
        push_expr(&mut out, &parse(query, &ParseOptions::all()).unwrap());
        let text = std::mem::take(out.buffer());
        let read = |json: &str| {
            serde_json::from_str::<serde_json::Value>(json).unwrap_or_else(|e| panic!("{e}: {json}"))
        };
        assert_eq!(read(&text), read(expected), "{query}: {text}");
    }

    #[test]
    fn each_kind_of_node_has_its_members() {
        check("(1)", r#"{"expr":{"type":"numberLiteral","val":"1"},"type":"parenExpr"}"#);
        check(
            "a{x!=\"1\"} @ 12.5",
            r#"{"anchored":false,"matchers":[{"name":"x","type":"!=","value":"1"},{"name":"__name__","type":"=","value":"a"}],"name":"a","offset":0,"offsetExpr":null,"smoothed":false,"startOrEnd":null,"timestamp":12500,"type":"vectorSelector"}"#,
        );
        check(
            "time()",
            r#"{"args":[],"func":{"argTypes":[],"name":"time","returnType":"scalar","variadic":0},"type":"call"}"#,
        );
        check(
            "topk by (l) (3, -a)",
            r#"{"expr":{"expr":{"anchored":false,"matchers":[{"name":"__name__","type":"=","value":"a"}],"name":"a","offset":0,"offsetExpr":null,"smoothed":false,"startOrEnd":null,"timestamp":null,"type":"vectorSelector"},"op":"-","type":"unaryExpr"},"grouping":["l"],"op":"topk","param":{"type":"numberLiteral","val":"3"},"type":"aggregation","without":false}"#,
        );
    }

    #[test]
    fn arithmetic_in_durations_is_kept() {
        check(
            "a[5m*2]",
            r#"{"anchored":false,"matchers":[{"name":"__name__","type":"=","value":"a"}],"name":"a","offset":0,"offsetExpr":null,"range":0,"rangeExpr":{"lhs":{"duration":true,"type":"numberLiteral","val":"300"},"op":"*","rhs":{"duration":false,"type":"numberLiteral","val":"2"},"type":"durationExpr","wrapped":false},"smoothed":false,"startOrEnd":null,"timestamp":null,"type":"matrixSelector"}"#,
        );
    }
}
