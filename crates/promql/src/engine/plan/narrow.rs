//! Narrowing one side of a join by the other side's matchers: `x{job="a"} and on (job, instance) y` reads of `y` only what has
//! `job="a"`, as nothing else of it can find a partner.
//!
//! [`sides`] says what each side of a binary operator may be narrowed by, [`below`] what of that passes through an operator
//! to its input. The planner carries it down to the selectors, where it stands beside the matchers that were written.
//!
//! What was left out must not be missed: neither results nor errors nor annotations may change. That decides the forms:
//! * A matcher passes between the sides only for a label by which they match. `fill` gives results without a partner: never there.
//! * `and`: both sides. `unless`: only the right side; what of the left has no partner is the result. `or`: neither side.
//! * Arithmetic and comparisons: Prometheus refuses two series of the "one" side in a match group also where that group has no
//!   partner, as long as the other side has any series at that step (so does 3.5.3). So both sides are narrowed only where the
//!   "one" side cannot have two by its form: an aggregation by no other labels than those that match, or a metric matched by
//!   all its labels. `x{job="a"} * on (job) group_left y` is not narrowed.
//! * Through operators that never tell anything ([`below`]). `rate`, `sum`, `x > 0` and many more warn about native histograms
//!   that they meet, and nobody knows before they were read whether there are any.
//! * Through operators that drop names only where there is one name: two names may clash among series that are left out.
//! * Never for the labels that name and describe a metric, nor through what makes or changes the label.
//!
//! Samples that were not read are not counted either. Tested by `tests/explain.rs` (the forms) and `tests/plain_twin.rs` (the results).

use narthex_model::{METRIC_NAME, MatchOp, Matcher};

use crate::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Cardinality, Expr, RangeEdges, UnaryOp, ValueType,
    VectorMatching,
};
use crate::engine::kernels::math;
use crate::engine::row::METADATA_LABELS;
use crate::functions_table::Function;

/// How deep expressions are looked at. Below that nothing is known, so that planning long chains stays linear.
const MOST_DEPTH: u32 = 12;

/// What the left and the right side of an operator between two vectors may be narrowed by, when its result may be narrowed
/// by `around`.
pub(super) fn sides(
    binary: &Binary,
    matching: &VectorMatching,
    around: &[Matcher],
) -> (Vec<Matcher>, Vec<Matcher>) {
    let nothing = (Vec::new(), Vec::new());
    if matching.fill.left.is_some() || matching.fill.right.is_some() || binary.op == BinaryOp::Or {
        return nothing;
    }
    let carried = |matchers: Vec<Matcher>| -> Vec<Matcher> {
        matchers.into_iter().filter(|m| compares(matching, &m.name)).collect()
    };
    let of_left = carried(fixed(&binary.lhs, 0));
    let of_right = carried(fixed(&binary.rhs, 0));
    match binary.op {
        BinaryOp::And => (joined(around.to_vec(), of_right), joined(carried(around.to_vec()), of_left)),
        BinaryOp::Unless => (around.to_vec(), joined(carried(around.to_vec()), of_left)),
        _ => {
            let swapped = matching.cardinality == Cardinality::OneToMany;
            let one = if swapped { &binary.lhs } else { &binary.rhs };
            if is_unique(one, matching) { (of_right, of_left) } else { nothing }
        }
    }
}

/// What the input of an operator may be narrowed by, when its result may be narrowed by `around`.
pub(super) fn below(expr: &Expr, around: &[Matcher]) -> Vec<Matcher> {
    if around.is_empty() {
        return Vec::new();
    }
    let passes = match expr {
        Expr::Vector(v) => v.edges != RangeEdges::Smoothed,
        Expr::Paren(_) | Expr::Binary(_) => true,
        Expr::Unary(u) => u.op == UnaryOp::Plus || has_one_name(&u.expr, 0),
        Expr::Call(c) => is_quiet(c) && c.args.first().is_some_and(|arg| has_one_name(arg, 0)),
        Expr::Aggregate(a) => {
            let quiet = matches!(a.op, AggregateOp::Count | AggregateOp::Group);
            let kept = around.iter().filter(|m| quiet && keeps(a, &m.name));
            return kept.cloned().collect();
        }
        Expr::Number(_) | Expr::String(_) | Expr::Matrix(_) | Expr::Subquery(_) => false,
    };
    if passes { around.to_vec() } else { Vec::new() }
}

/// The matchers of a selector with those that narrow it; the name stays last, as the parser puts it.
pub(super) fn added(written: &[Matcher], more: &[Matcher]) -> Vec<Matcher> {
    let mut all = written.to_vec();
    for matcher in more.iter().filter(|m| !written.contains(m)) {
        let named_last = all.last().is_some_and(|m| m.name == METRIC_NAME);
        all.insert(all.len() - usize::from(named_last), matcher.clone());
    }
    all
}

fn joined(mut some: Vec<Matcher>, others: Vec<Matcher>) -> Vec<Matcher> {
    others.into_iter().for_each(|m| {
        if !some.contains(&m) {
            some.push(m);
        }
    });
    some
}

/// Whether series that find each other have one value of a label.
fn compares(matching: &VectorMatching, name: &str) -> bool {
    !METADATA_LABELS.contains(&name) && matching.labels.iter().any(|l| l == name) == matching.on
}

/// Whether an aggregation's groups have one value of a label each.
fn keeps(a: &Aggregate, name: &str) -> bool {
    !METADATA_LABELS.contains(&name) && a.grouping.iter().any(|l| l == name) != a.without
}

/// Matchers that every series of an expression's result satisfies.
fn fixed(expr: &Expr, depth: u32) -> Vec<Matcher> {
    if depth > MOST_DEPTH {
        return Vec::new();
    }
    let of = |inner: &Expr| fixed(inner, depth + 1);
    let written = |matchers: &[Matcher]| {
        let of_labels = matchers.iter().filter(|m| !METADATA_LABELS.contains(&m.name.as_str()));
        of_labels.cloned().collect()
    };
    match expr {
        Expr::Vector(v) => written(&v.matchers),
        Expr::Matrix(m) => written(&m.selector.matchers),
        Expr::Subquery(s) => of(&s.expr),
        Expr::Paren(p) => of(&p.expr),
        Expr::Unary(u) => of(&u.expr),
        Expr::Binary(b) => match b.op {
            BinaryOp::And | BinaryOp::Unless => of(&b.lhs),
            _ if b.lhs.value_type() == ValueType::Scalar => of(&b.rhs),
            _ if b.rhs.value_type() == ValueType::Scalar => of(&b.lhs),
            _ => Vec::new(),
        },
        Expr::Aggregate(a) => match a.op {
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio => {
                of(&a.expr)
            }
            AggregateOp::CountValues => Vec::new(),
            _ => of(&a.expr).into_iter().filter(|m| keeps(a, &m.name)).collect(),
        },
        Expr::Call(c) if keeps_labels(c) => c.args.first().map(of).unwrap_or_default(),
        Expr::Call(_) | Expr::Number(_) | Expr::String(_) => Vec::new(),
    }
}

/// Whether a call gives the series of its first argument under their own labels, but for the metadata.
fn keeps_labels(call: &Call) -> bool {
    let over_range = call.args.first().is_some_and(|a| a.value_type() == ValueType::RangeVector);
    is_quiet(call) || (over_range && call.func != Function::AbsentOverTime)
}

/// Whether a call gives its rows one by one and never tells anything about them, whatever they hold.
fn is_quiet(call: &Call) -> bool {
    let over_time =
        matches!(call.func, Function::CountOverTime | Function::LastOverTime | Function::PresentOverTime);
    let per_sample = matches!(
        call.func,
        Function::Timestamp | Function::Clamp | Function::ClampMin | Function::ClampMax | Function::Round
    );
    let of_vector = || call.args.first().is_some_and(|a| a.value_type() == ValueType::InstantVector);
    over_time || ((per_sample || math::float_function(call.func).is_some()) && of_vector())
}

/// Whether all series of an expression's result certainly have one name, or none.
fn has_one_name(expr: &Expr, depth: u32) -> bool {
    let of = |inner: &Expr| depth < MOST_DEPTH && has_one_name(inner, depth + 1);
    match expr {
        Expr::Vector(v) => fixes_name(&v.matchers),
        Expr::Matrix(m) => fixes_name(&m.selector.matchers),
        Expr::Subquery(s) => of(&s.expr),
        Expr::Paren(p) => of(&p.expr),
        Expr::Unary(u) => of(&u.expr),
        Expr::Call(c) => is_quiet(c) && c.args.first().is_some_and(of),
        Expr::Aggregate(a) => (a.without || a.grouping.iter().all(|l| l != METRIC_NAME)) && one_a_group(a),
        Expr::Binary(_) | Expr::Number(_) | Expr::String(_) => false,
    }
}

/// Whether an aggregation gives one series a group.
fn one_a_group(a: &Aggregate) -> bool {
    !matches!(
        a.op,
        AggregateOp::Topk
            | AggregateOp::Bottomk
            | AggregateOp::Limitk
            | AggregateOp::LimitRatio
            | AggregateOp::CountValues
    )
}

/// Whether no two series of an expression's result can be in one match group.
fn is_unique(expr: &Expr, matching: &VectorMatching) -> bool {
    match expr.without_parens() {
        // No two groups agree in all labels of the grouping.
        Expr::Aggregate(a) if one_a_group(a) && !a.without => {
            a.grouping.iter().all(|l| compares(matching, l))
        }
        Expr::Aggregate(_) => false,
        // No two series of a metric agree in all labels.
        other => !matching.on && matching.labels.is_empty() && is_metric(other),
    }
}

/// Whether an expression gives the series of one metric, under their own labels.
fn is_metric(expr: &Expr) -> bool {
    match expr {
        Expr::Vector(v) => fixes_name(&v.matchers),
        Expr::Matrix(m) => fixes_name(&m.selector.matchers),
        Expr::Call(c) => keeps_labels(c) && c.args.first().is_some_and(|arg| is_metric(arg.without_parens())),
        _ => false,
    }
}

fn fixes_name(matchers: &[Matcher]) -> bool {
    matchers.iter().any(|m| m.name == METRIC_NAME && m.op == MatchOp::Equal && !m.value.is_empty())
}
