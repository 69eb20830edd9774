//! Random trees as the parser could have built them: well typed, with parentheses around every operand that has an operator.

use narthex_model::{METRIC_NAME, MatchOp, Matcher};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Cardinality, DurationExpr, DurationKind, DurationOp,
    Expr, Fill, Interval, MatrixSelector, NumberLiteral, Paren, RangeEdges, Span, StringLiteral, Subquery,
    Unary, UnaryOp, ValueType, VectorMatching, VectorSelector,
};
use crate::functions_table::{Arity, Function};

const NOWHERE: Span = Span { start: 0, end: 0 };

/// An expression of type instant vector, some levels high.
pub(super) fn instant_vector() -> impl Strategy<Value = Expr> {
    let leaf = selector().prop_map(|v| Expr::Vector(Box::new(v)));
    leaf.prop_recursive(4, 24, 4, |inner| {
        let inner = inner.boxed();
        prop_oneof![
            aggregate(inner.clone()),
            binary(inner.clone()),
            call(inner.clone()),
            (select(vec![UnaryOp::Plus, UnaryOp::Minus]), inner.clone()).prop_map(|(op, expr)| Expr::Unary(
                Box::new(Unary { op, expr: operand(expr), span: NOWHERE })
            )),
            inner.prop_map(paren),
        ]
    })
}

fn paren(expr: Expr) -> Expr {
    Expr::Paren(Box::new(Paren { expr, span: NOWHERE }))
}

/// In parentheses when it has an operator outside.
fn operand(expr: Expr) -> Expr {
    if matches!(expr, Expr::Binary(_) | Expr::Unary(_)) { paren(expr) } else { expr }
}

fn label() -> impl Strategy<Value = String> {
    let keyword = select(vec!["by", "without", "sum", "inf", "on", "offset", "step", "and", "fill"]);
    prop_oneof![4 => "[a-zA-Z_][a-zA-Z0-9_]{0,4}", 1 => keyword.prop_map(str::to_owned), 1 => "\\PC{1,4}"]
}

fn labels() -> impl Strategy<Value = Vec<String>> {
    vec(label(), 0..3)
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), (-1000i32..1000).prop_map(f64::from), Just(f64::INFINITY), Just(-0.0)]
}

/// A number, or a duration of whole milliseconds.
fn literal(positive: bool) -> impl Strategy<Value = NumberLiteral> {
    let least = if positive { 1 } else { -1_000_000_000 };
    let duration = (least..1_000_000_000i64, any::<bool>()).prop_map(|(ms, is_duration)| NumberLiteral {
        value: ms as f64 / 1000.0,
        is_duration,
        span: NOWHERE,
    });
    let plain = number().prop_map(|value| NumberLiteral { value, is_duration: false, span: NOWHERE });
    if positive { duration.boxed() } else { prop_oneof![duration, plain].boxed() }
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let name = prop_oneof![label(), Just(METRIC_NAME.to_owned()), Just(String::new())];
    let ops = vec![MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
    (select(ops), name, any::<String>(), "[a-z.*+|]{0,5}").prop_map(|(op, name, text, regex)| {
        let value = if matches!(op, MatchOp::Equal | MatchOp::NotEqual) { text } else { regex };
        Matcher::new(op, name.clone(), value).unwrap_or_else(|_| Matcher::equal(name, "x"))
    })
}

fn selector() -> impl Strategy<Value = VectorSelector> {
    let name = option::weighted(
        0.7,
        "[a-zA-Z_:][a-zA-Z0-9_:]{0,5}"
            .prop_filter("a keyword", |name| crate::lexer::TokenKind::of_word(name).is_metric_name()),
    );
    let edges =
        select(vec![RangeEdges::Plain, RangeEdges::Plain, RangeEdges::Anchored, RangeEdges::Smoothed]);
    (name, vec(matcher(), 0..3), at(), option::weighted(0.3, offset()), edges).prop_map(
        |(name, mut matchers, at, offset, edges)| {
            match &name {
                Some(name) => {
                    matchers.retain(|m| m.name != METRIC_NAME);
                    matchers.push(Matcher::equal(METRIC_NAME, name.as_str()));
                }
                None => matchers.push(Matcher::equal("not_empty", "x")),
            }
            VectorSelector { name, matchers, at, offset, edges, span: NOWHERE }
        },
    )
}

fn at() -> impl Strategy<Value = Option<At>> {
    let time = (-1_000_000_000_000i64..2_000_000_000_000).prop_map(At::Timestamp);
    option::weighted(0.3, prop_oneof![time, Just(At::Start), Just(At::End)])
}

fn offset() -> impl Strategy<Value = Interval> {
    let fixed = (-1_000_000_000i64..1_000_000_000).prop_filter("no offset", |ms| *ms != 0);
    let wrapped = duration().prop_map(duration_operand).prop_filter("a plain number", not_number);
    prop_oneof![fixed.prop_map(Interval::Fixed), wrapped.prop_map(|d| Interval::Expr(Box::new(d)))]
}

fn range() -> impl Strategy<Value = Interval> {
    let arithmetic = duration().prop_filter("a plain number", not_number);
    prop_oneof![
        2 => (1i64..1_000_000_000).prop_map(Interval::Fixed),
        // The lexer takes a colon only behind a number, which `step()` alone is not.
        1 => (literal(true), arithmetic).prop_map(|(number, rhs)| {
            let lhs = duration_node(DurationKind::Number(number));
            Interval::Expr(Box::new(duration_binary(DurationOp::Mul, lhs, duration_operand(rhs))))
        }),
    ]
}

fn not_number(expr: &DurationExpr) -> bool {
    !matches!(expr.kind, DurationKind::Number(_))
}

fn duration_node(kind: DurationKind) -> DurationExpr {
    DurationExpr { kind, span: NOWHERE }
}

fn duration_binary(op: DurationOp, lhs: DurationExpr, rhs: DurationExpr) -> DurationExpr {
    duration_node(DurationKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) })
}

fn duration_operand(expr: DurationExpr) -> DurationExpr {
    match expr.kind {
        DurationKind::Binary { op: DurationOp::MinOf | DurationOp::MaxOf, .. } => expr,
        DurationKind::Binary { .. } | DurationKind::Minus(_) => {
            duration_node(DurationKind::Paren(Box::new(expr)))
        }
        _ => expr,
    }
}

fn duration() -> impl Strategy<Value = DurationExpr> {
    use DurationOp::{Add, Div, MaxOf, MinOf, Mod, Mul, Pow, Sub};
    let leaf = prop_oneof![
        literal(true).prop_map(DurationKind::Number),
        Just(DurationKind::Step),
        Just(DurationKind::Range)
    ];
    leaf.prop_map(duration_node).prop_recursive(3, 8, 2, |inner| {
        let two = (select(vec![Add, Sub, Mul, Div, Mod, Pow, MinOf, MaxOf]), inner.clone(), inner.clone());
        prop_oneof![
            two.prop_map(|(op, lhs, rhs)| duration_binary(op, duration_operand(lhs), duration_operand(rhs))),
            inner
                .prop_filter("folded into the number", not_number)
                .prop_map(|d| { duration_node(DurationKind::Minus(Box::new(duration_operand(d)))) }),
        ]
    })
}

fn aggregate(inner: BoxedStrategy<Expr>) -> impl Strategy<Value = Expr> {
    (select(AggregateOp::ALL.to_vec()), inner, scalar(), string(), labels(), any::<bool>()).prop_map(
        |(op, expr, number, text, grouping, without)| {
            let param = op.param_type().map(|t| if t == ValueType::String { text } else { number });
            Expr::Aggregate(Box::new(Aggregate { op, expr, param, grouping, without, span: NOWHERE }))
        },
    )
}

fn binary(inner: BoxedStrategy<Expr>) -> impl Strategy<Value = Expr> {
    use BinaryOp::{
        Add, And, Atan2, Div, Eq, Ge, Gt, Le, Lt, Mod, Mul, Ne, Or, Pow, Sub, TrimLower, TrimUpper, Unless,
    };
    let ops = vec![
        Add, Sub, Mul, Div, Mod, Pow, Atan2, Eq, Ne, Gt, Lt, Ge, Le, TrimUpper, TrimLower, And, Or, Unless,
    ];
    (select(ops), inner.clone(), inner, any::<bool>(), matching()).prop_map(
        |(op, lhs, rhs, bool, mut matching)| {
            if op.is_set() {
                matching.cardinality = Cardinality::ManyToMany;
                matching.fill = Fill::default();
                matching.include.clear();
            }
            Expr::Binary(Box::new(Binary {
                op,
                lhs: operand(lhs),
                rhs: operand(rhs),
                matching: Some(matching),
                return_bool: bool && op.is_comparison(),
                span: NOWHERE,
            }))
        },
    )
}

fn matching() -> impl Strategy<Value = VectorMatching> {
    let cardinality = select(vec![Cardinality::OneToOne, Cardinality::ManyToOne, Cardinality::OneToMany]);
    let fill = (option::of(number()), option::of(number())).prop_map(|(left, right)| Fill { left, right });
    (cardinality, any::<bool>(), labels(), labels(), fill).prop_map(
        |(cardinality, on, labels, mut include, fill)| {
            include.retain(|label| cardinality != Cardinality::OneToOne && !labels.contains(label));
            VectorMatching { cardinality, on, labels, include, fill }
        },
    )
}

fn call(inner: BoxedStrategy<Expr>) -> impl Strategy<Value = Expr> {
    let functions: Vec<Function> = Function::ALL
        .iter()
        .copied()
        .filter(|f| f.signature().returns == ValueType::InstantVector && *f != Function::Info)
        .collect();
    (select(functions), 0usize..3, vec(inner, 3), range_vector(), scalar(), string()).prop_map(
        |(func, extra, vectors, matrix, number, text)| {
            let signature = func.signature();
            let (types, extra) = (
                signature.args,
                extra.min(match signature.arity {
                    Arity::Exact => 0,
                    Arity::Optional(n) => usize::from(n) - 1,
                    Arity::Repeat => 2,
                }),
            );
            let last = types.last().into_iter().cycle().take(extra);
            let args = types.iter().chain(last).enumerate().map(|(i, wanted)| match wanted {
                ValueType::InstantVector => vectors[i % vectors.len()].clone(),
                ValueType::RangeVector => matrix.clone(),
                ValueType::Scalar => number.clone(),
                ValueType::String => text.clone(),
            });
            Expr::Call(Box::new(Call { func, args: args.collect(), span: NOWHERE }))
        },
    )
}

fn range_vector() -> impl Strategy<Value = Expr> {
    let matrix = (selector(), range()).prop_map(|(selector, range)| {
        Expr::Matrix(Box::new(MatrixSelector { selector, range, span: NOWHERE }))
    });
    let subquery = (selector(), range(), option::of(range()), at(), option::of(offset())).prop_map(
        |(selector, range, step, at, offset)| {
            let expr = Expr::Vector(Box::new(selector));
            Expr::Subquery(Box::new(Subquery { expr, range, step, at, offset, span: NOWHERE }))
        },
    );
    prop_oneof![matrix, subquery]
}

fn scalar() -> impl Strategy<Value = Expr> {
    literal(false).prop_map(Expr::Number)
}

fn string() -> impl Strategy<Value = Expr> {
    any::<String>()
        .prop_map(|value| Expr::String(Box::new(StringLiteral { value, not_utf8: None, span: NOWHERE })))
}
