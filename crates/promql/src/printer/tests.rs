//! The one-line form against Prometheus' cases, and parse and print as each other's inverse.

mod generate;

use proptest::prelude::*;

use crate::ast::{DurationExpr, DurationKind, Expr, Interval, Span, VectorSelector};
use crate::conformance;
use crate::parser::{ParseOptions, parse};
use crate::prettier::prettify;

#[test]
fn the_form_is_that_of_prometheus() {
    let Some(cases) = conformance::cases("printer-cases.json") else { return };
    for case in cases.as_array().expect("a list of cases") {
        let (query, expected) = (case["query"].as_str(), case["output"].as_str());
        let (query, expected) = query.zip(expected).expect("a query and its form");
        let expr = parse(query, &ParseOptions::all()).expect(query);
        assert_eq!(expr.to_string(), expected, "{query}");
    }
}

#[test]
fn forms_that_prometheus_cannot_read_again_are_written_readably() {
    for (query, expected) in [
        ("info(a, {})", "info(a, {})"),
        (r#"sum by ("without", "inf", "a:b", by) (a)"#, r#"sum by ("without", "inf", "a:b", by) (a)"#),
        (r#"count_values("\xff", a{b="\ufffd"})"#, r#"count_values("\xff", a{b="\ufffd"})"#),
        ("-1s5ms", "-1s5ms"),
        ("+Inf ^ a", "+Inf ^ a"),
        ("-a offset +(5) ^ 2 * b", "-a offset +(5) ^ 2 * b"),
        ("a offset --2 * 2", "a offset (2 * 2)"),
        ("-5m + inf - -0", "-5m + +Inf - -0"),
    ] {
        let expr = parse(query, &ParseOptions::all()).expect(query);
        assert_eq!(expr.to_string(), expected, "{query}");
        parse(expected, &ParseOptions::all()).expect(expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_tree_parses_to_itself(expr in generate::instant_vector()) {
        for text in [expr.to_string(), prettify(&expr)] {
            let parsed = parse(&text, &ParseOptions::all());
            let parsed = parsed.map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
            prop_assert_eq!(comparable(parsed), comparable(expr.clone()), "{}", text);
        }
    }
}

#[test]
fn queries_in_use_print_to_themselves() {
    for query in conformance::queries() {
        let Ok(expr) = parse(&query, &ParseOptions::all()) else { continue };
        let again = parse(&expr.to_string(), &ParseOptions::all()).expect(&query);
        assert_eq!(comparable(again), comparable(expr), "{query}");
    }
}

/// The tree without positions and with sorted conditions, as text, in which NaN equals itself.
fn comparable(mut expr: Expr) -> String {
    clear(&mut expr);
    format!("{expr:?}")
}

fn clear(expr: &mut Expr) {
    match expr {
        Expr::Number(n) => n.span = Span::default(),
        Expr::String(s) => s.span = Span::default(),
        Expr::Vector(v) => clear_selector(v),
        Expr::Matrix(m) => {
            m.span = Span::default();
            clear_interval(&mut m.range);
            clear_selector(&mut m.selector);
        }
        Expr::Subquery(s) => {
            s.span = Span::default();
            clear_interval(&mut s.range);
            s.step.iter_mut().chain(&mut s.offset).for_each(clear_interval);
        }
        Expr::Unary(u) => u.span = Span::default(),
        Expr::Binary(b) => b.span = Span::default(),
        Expr::Aggregate(a) => a.span = Span::default(),
        Expr::Call(c) => c.span = Span::default(),
        Expr::Paren(p) => p.span = Span::default(),
    }
    expr.for_each_child_mut(clear);
}

fn clear_selector(selector: &mut VectorSelector) {
    selector.span = Span::default();
    selector.matchers.sort_by_key(ToString::to_string);
    selector.offset.iter_mut().for_each(clear_interval);
}

fn clear_interval(interval: &mut Interval) {
    if let Interval::Expr(expr) = interval {
        clear_duration(expr);
    }
}

fn clear_duration(expr: &mut DurationExpr) {
    expr.span = Span::default();
    match &mut expr.kind {
        DurationKind::Number(n) => n.span = Span::default(),
        DurationKind::Step | DurationKind::Range => {}
        DurationKind::Minus(inner) | DurationKind::Paren(inner) => clear_duration(inner),
        DurationKind::Binary { lhs, rhs, .. } => {
            clear_duration(lhs);
            clear_duration(rhs);
        }
    }
}
