//! From syntax tree to plan.

use std::sync::Arc;

use narthex_model::{METRIC_NAME, MatchOp, Matcher};

use super::durations::interval_ms;
use super::invariant::is_invariant;
use super::narrow;
use super::{
    Aggregation, AggregationSpans, Grouping, Join, Node, Op, PerSample, Plan, RangeCall, Root, Samples,
    Scalar, Select, StoredRange, Tell,
};
use crate::ast::{
    Aggregate, At, Binary, BinaryOp, Call, Expr, Interval, MatrixSelector, RangeEdges, Span, Subquery, Unary,
    UnaryOp, ValueType, VectorSelector,
};
use crate::engine::MAX_TIME_MS;
use crate::engine::context::Rules;
use crate::engine::error::{QueryError, Stage};
use crate::engine::kernels::extrapolation::seconds;
use crate::engine::kernels::math;
use crate::engine::kernels::window::Window;
use crate::engine::shared::Reading;
use crate::engine::steps::Steps;
use crate::functions_table::Function;

/// When a query is evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryTimes {
    pub start_ms: i64,
    pub end_ms: i64,
    /// 0 for an instant query.
    pub step_ms: i64,
}

impl QueryTimes {
    /// The steps of the query.
    pub(crate) fn steps(&self) -> Steps {
        if self.step_ms == 0 {
            Steps::instant(self.start_ms)
        } else {
            Steps::range(self.start_ms, self.end_ms, self.step_ms)
        }
    }
}

/// Plans a query.
///
/// # Errors
/// A type that a range query cannot have, durations out of bounds, what is not supported yet.
pub(crate) fn plan(expr: &Expr, times: &QueryTimes, rules: &Rules) -> Result<Plan, QueryError> {
    let mut planner = Planner {
        times: *times,
        rules: *rules,
        selects: Vec::new(),
        readings: Vec::new(),
        around: "",
        stats: Stats::default(),
        narrowing: Vec::new(),
    };
    let kind = expr.value_type();
    if times.step_ms > 0 && !matches!(kind, ValueType::Scalar | ValueType::InstantVector) {
        return Err(QueryError::Invalid(format!(
            "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
            kind.documented()
        )));
    }
    let steps = times.steps();
    if steps.count > rules.max_steps {
        return Err(QueryError::TooManySamples(Stage::Execution));
    }
    let root = match (kind, expr.without_parens()) {
        (ValueType::Scalar, _) => Root::Scalar(planner.scalar(expr, steps)?),
        (ValueType::InstantVector, _) => Root::Vector(planner.vector(expr, steps)?),
        (_, Expr::String(s)) => Root::String(s.value.clone()),
        (_, Expr::Matrix(m)) => Root::Stored(planner.stored(m, steps)?),
        (_, Expr::Subquery(s)) => Root::Subquery(planner.subquery(s, steps)?.0),
        _ => return Err(QueryError::Unsupported(format!("{} as a whole query", kind.documented()))),
    };
    Ok(Plan { root, selects: planner.selects, readings: planner.readings })
}

/// Builds one plan.
pub(super) struct Planner {
    pub(super) times: QueryTimes,
    pub(super) rules: Rules,
    selects: Vec<Select>,
    readings: Vec<Reading>,
    /// The function or aggregation around what is being planned; a hint for the storage.
    pub(super) around: &'static str,
    /// Whether only count and sum of native histograms are looked at.
    stats: Stats,
    /// What the result of what is being planned may be narrowed by; see `narrow`.
    narrowing: Vec<Matcher>,
}

/// What stands around a selector that tells whether buckets are needed.
#[derive(Clone, Copy, Debug, Default)]
struct Stats {
    /// `histogram_count` and the like.
    wanted: bool,
    /// Something that needs the buckets after all: quantiles, trimming, a subquery.
    refused: bool,
}

impl Planner {
    fn stats_only(&self) -> bool {
        self.stats.wanted && !self.stats.refused
    }

    /// Runs `plan` inside something that looks at histograms in its own way.
    fn within_stats<T>(&mut self, wanted: bool, refused: bool, plan: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.stats;
        self.stats = Stats { wanted: before.wanted || wanted, refused: before.refused || refused };
        let planned = plan(self);
        self.stats = before;
        planned
    }

    /// Runs `plan` for something that may be narrowed by other matchers.
    fn narrowed<T>(&mut self, by: Vec<Matcher>, plan: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.narrowing, by);
        let planned = plan(self);
        self.narrowing = before;
        planned
    }

    /// Plans an instant vector at some steps.
    pub(super) fn vector(&mut self, expr: &Expr, steps: Steps) -> Result<Node, QueryError> {
        if steps.count == 0 {
            return Ok(Node { op: Op::Empty, steps });
        }
        if steps.count > self.rules.max_steps {
            return Err(QueryError::TooManySamples(Stage::Execution));
        }
        if steps.count > 1 && is_invariant(expr) {
            let once = self.vector(expr, steps.first_only())?;
            return Ok(Node { op: Op::Repeat(Box::new(once)), steps });
        }
        let below = narrow::below(expr, &self.narrowing);
        self.narrowed(below, |planner| planner.operation(expr, steps))
    }

    fn operation(&mut self, expr: &Expr, steps: Steps) -> Result<Node, QueryError> {
        let op = match expr {
            Expr::Paren(p) => return self.vector(&p.expr, steps),
            Expr::Vector(v) => self.select(v, steps, Tell::Value)?,
            Expr::Unary(u) => return self.unary(u, steps),
            Expr::Binary(b) => {
                let trims = matches!(b.op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
                self.within_stats(false, trims, |planner| planner.binary(b, steps))?
            }
            Expr::Aggregate(a) => Op::Aggregate(self.aggregation(a, steps)?),
            Expr::Call(c) => {
                let (wanted, refused) = looks_at_histograms(c.func);
                self.within_stats(wanted, refused, |planner| {
                    planner.within(c.func.name(), |planner| planner.call(c, steps))
                })?
            }
            Expr::Number(_) | Expr::String(_) | Expr::Matrix(_) | Expr::Subquery(_) => {
                unreachable!("the type check lets only instant vectors come here")
            }
        };
        Ok(Node { op, steps })
    }

    /// Plans an instant vector as a boxed operand.
    pub(super) fn operand(&mut self, expr: &Expr, steps: Steps) -> Result<Box<Node>, QueryError> {
        Ok(Box::new(self.vector(expr.without_parens(), steps)?))
    }

    /// Runs `plan` with another word for what is around.
    fn within<T>(&mut self, around: &'static str, plan: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.around, around);
        let planned = plan(self);
        self.around = before;
        planned
    }

    fn unary(&mut self, unary: &Unary, steps: Steps) -> Result<Node, QueryError> {
        let input = self.vector(&unary.expr, steps)?;
        Ok(match unary.op {
            UnaryOp::Plus => input,
            UnaryOp::Minus => {
                Node { op: Op::PerSample { input: Box::new(input), change: PerSample::Negate }, steps }
            }
        })
    }

    fn binary(&mut self, binary: &Binary, steps: Steps) -> Result<Op, QueryError> {
        self.within("", |planner| {
            let (op, span, return_bool) = (binary.op, binary.span, binary.return_bool);
            let left_is_scalar = binary.lhs.value_type() == ValueType::Scalar;
            if left_is_scalar || binary.rhs.value_type() == ValueType::Scalar {
                let (scalar, vector) =
                    if left_is_scalar { (&binary.lhs, &binary.rhs) } else { (&binary.rhs, &binary.lhs) };
                let input = planner.narrowed(Vec::new(), |planner| planner.vector(vector, steps))?;
                let (input, scalar) = (Box::new(input), planner.scalar(scalar, steps)?);
                let change =
                    PerSample::WithScalar { op, scalar, scalar_is_left: left_is_scalar, return_bool, span };
                return Ok(Op::PerSample { input, change });
            }
            let matching = binary.matching.clone().unwrap_or_default();
            let (of_left, of_right) = narrow::sides(binary, &matching, &planner.narrowing);
            let left = Box::new(planner.narrowed(of_left, |planner| planner.vector(&binary.lhs, steps))?);
            let right = Box::new(planner.narrowed(of_right, |planner| planner.vector(&binary.rhs, steps))?);
            Ok(Op::Join(Join { op, left, right, matching, return_bool, span }))
        })
    }

    fn aggregation(&mut self, a: &Aggregate, steps: Steps) -> Result<Aggregation, QueryError> {
        let param = a.param.as_ref().map(Expr::without_parens);
        let (mut scalar, mut value_label) = (None, String::new());
        match param {
            Some(Expr::String(s)) if s.value.is_empty() || s.not_utf8.is_some() => {
                return Err(QueryError::Execution(format!("invalid label name {s}")));
            }
            Some(Expr::String(s)) => value_label.clone_from(&s.value),
            Some(expr) => scalar = Some(self.scalar(expr, steps)?),
            None => {}
        }
        let input = self.within(a.op.as_str(), |planner| planner.operand(&a.expr, steps))?;
        let mut labels = a.grouping.clone();
        labels.sort_unstable();
        labels.dedup();
        let input_span = a.expr.without_parens().span();
        let spans =
            AggregationSpans { whole: a.span, input: input_span, param: param.map_or(a.span, Expr::span) };
        let grouping = Grouping { labels, without: a.without };
        Ok(Aggregation { op: a.op, input, grouping, param: scalar, value_label, spans })
    }

    /// Plans a scalar; constants are folded.
    pub(super) fn scalar(&mut self, expr: &Expr, steps: Steps) -> Result<Scalar, QueryError> {
        Ok(match expr {
            Expr::Paren(p) => self.scalar(&p.expr, steps)?,
            Expr::Number(n) => Scalar::Const(n.value),
            Expr::Unary(u) => match (u.op, self.scalar(&u.expr, steps)?) {
                (UnaryOp::Plus, inner) => inner,
                (UnaryOp::Minus, Scalar::Const(v)) => Scalar::Const(-v),
                (UnaryOp::Minus, inner) => Scalar::Negate(Box::new(inner)),
            },
            Expr::Binary(b) => {
                let (lhs, rhs) = (self.scalar(&b.lhs, steps)?, self.scalar(&b.rhs, steps)?);
                fold(
                    lhs,
                    rhs,
                    |a, c| math::arithmetic(b.op, a, c),
                    |lhs, rhs| Scalar::Binary { op: b.op, lhs, rhs },
                )
            }
            Expr::Call(c) => self.scalar_call(c, steps)?,
            _ => unreachable!("the type check lets only scalars come here"),
        })
    }

    fn scalar_call(&mut self, call: &Call, steps: Steps) -> Result<Scalar, QueryError> {
        let times = self.times;
        Ok(match call.func {
            Function::Time => Scalar::Time,
            Function::Pi => Scalar::Const(std::f64::consts::PI),
            Function::Start => Scalar::Const(times.start_ms as f64 / 1000.0),
            Function::End => Scalar::Const(times.end_ms as f64 / 1000.0),
            Function::Range => Scalar::Const(seconds(times.end_ms - times.start_ms)),
            Function::Step if times.start_ms == times.end_ms => Scalar::Const(0.0),
            Function::Step => Scalar::Const(seconds(times.step_ms)),
            Function::MaxOf | Function::MinOf => {
                let (a, b) = (self.scalar(&call.args[0], steps)?, self.scalar(&call.args[1], steps)?);
                if call.func == Function::MaxOf {
                    fold(a, b, math::max, Scalar::Max)
                } else {
                    fold(a, b, math::min, Scalar::Min)
                }
            }
            Function::Scalar => {
                let input = self.narrowed(Vec::new(), |planner| {
                    planner.within("scalar", |planner| planner.operand(&call.args[0], steps))
                })?;
                Scalar::Of(Arc::new(*input))
            }
            other => return Err(QueryError::Unsupported(format!("function {}()", other.name()))),
        })
    }

    /// The scalar argument at `at`.
    pub(super) fn scalar_arg(&mut self, call: &Call, at: usize, steps: Steps) -> Result<Scalar, QueryError> {
        self.scalar(call.args[at].without_parens(), steps)
    }

    /// Plans an instant selector.
    pub(super) fn select(&mut self, v: &VectorSelector, steps: Steps, tell: Tell) -> Result<Op, QueryError> {
        // COMPAT: `timestamp` tells when the newest sample was taken, smoothed or not.
        let smoothed = v.edges == RangeEdges::Smoothed && tell == Tell::Value;
        let tell = if smoothed { Tell::Smoothed } else { tell };
        let mut window = self.window(v.at, v.offset.as_ref(), self.rules.lookback_ms)?;
        if matches!(tell, Tell::Time | Tell::StartTime) && window.at_ms.is_some() {
            match window.seen_from_at() {
                Some(seen) => window = seen,
                None => return Ok(Op::Empty),
            }
        }
        let mut reach = window.reach(&steps).unwrap_or((0, 0));
        if tell == Tell::Smoothed {
            reach = (reach.0 - 1, reach.1 + self.rules.lookback_ms);
        }
        let matchers = narrow::added(&v.matchers, &self.narrowing);
        let select = self.add_select(&matchers, reach, steps.step_ms, 0);
        let stats_only = self.stats_only();
        if tell == Tell::Value {
            self.readings.push(Reading { select, window, steps, function: None, stats_only });
        }
        Ok(Op::Select { select, window, tell, stats_only, span: v.span })
    }

    pub(super) fn window(
        &self,
        at: Option<At>,
        offset: Option<&Interval>,
        range_ms: i64,
    ) -> Result<Window, QueryError> {
        let offset_ms = offset.map_or(Ok(0), |o| interval_ms(o, &self.times, true))?;
        let at_ms = at.map(|at| match at {
            At::Timestamp(ms) => ms.clamp(-MAX_TIME_MS, MAX_TIME_MS),
            At::Start => self.times.start_ms,
            At::End => self.times.end_ms,
        });
        Ok(Window { range_ms, offset_ms, at_ms })
    }

    /// Plans a range selector: its window, and the selector with the times that the window can reach.
    fn range(&mut self, m: &MatrixSelector, steps: Steps) -> Result<(Window, usize, (i64, i64)), QueryError> {
        let range_ms = interval_ms(&m.range, &self.times, false)?;
        let window = self.window(m.selector.at, m.selector.offset.as_ref(), range_ms)?;
        let (mut from, mut to) = window.reach(&steps).unwrap_or((0, 0));
        match m.selector.edges {
            RangeEdges::Plain => {}
            RangeEdges::Anchored => from -= self.rules.lookback_ms,
            RangeEdges::Smoothed => {
                from -= self.rules.lookback_ms;
                to += self.rules.lookback_ms;
            }
        }
        let matchers = narrow::added(&m.selector.matchers, &self.narrowing);
        let select = self.add_select(&matchers, (from, to), steps.step_ms, range_ms);
        Ok((window, select, (from, to)))
    }

    fn stored(&mut self, m: &MatrixSelector, steps: Steps) -> Result<StoredRange, QueryError> {
        let (window, select, _) = self.range(m, steps)?;
        let reach = window.reach(&steps).unwrap_or((0, 0));
        Ok(StoredRange { select, reach, edges: m.selector.edges })
    }

    /// Plans a subquery: its inner vector on a grid of its own, and the window that the outer steps see of it.
    fn subquery(&mut self, s: &Subquery, steps: Steps) -> Result<(Node, Window), QueryError> {
        let range_ms = interval_ms(&s.range, &self.times, false)?;
        let step_ms = match &s.step {
            Some(step) => interval_ms(step, &self.times, false)?,
            None => self.rules.subquery_step_ms,
        };
        let window = self.window(s.at, s.offset.as_ref(), range_ms)?;
        let end_ms = window.end(steps.last_ms());
        let before = window.end(steps.start_ms) - range_ms;
        // COMPAT: Go's division rounds towards zero, which matters before the epoch.
        let mut start_ms = step_ms * (before / step_ms);
        if start_ms <= before {
            start_ms += step_ms;
        }
        let inner_steps = Steps::range(start_ms, end_ms, step_ms);
        let node = self.within_stats(false, true, |planner| planner.vector(&s.expr, inner_steps))?;
        Ok((node, window))
    }

    /// Plans a call of a function over a range vector, which is the argument at `at`.
    pub(super) fn range_call(
        &mut self,
        call: &Call,
        at: usize,
        steps: Steps,
    ) -> Result<RangeCall, QueryError> {
        let arg = call.args[at].without_parens();
        let (samples, window) = match arg {
            Expr::Matrix(m) => {
                check_edges(call.func, m.selector.edges)?;
                let (window, select, _) = self.range(m, steps)?;
                (Samples::Stored { select, edges: m.selector.edges, stats_only: self.stats_only() }, window)
            }
            Expr::Subquery(s) => {
                let (node, window) = self.subquery(s, steps)?;
                (Samples::Subquery(Box::new(node)), window)
            }
            _ => unreachable!("the type check lets only range vectors come here"),
        };
        let mut params = Vec::new();
        for i in (0..call.args.len()).filter(|i| *i != at) {
            params.push(self.scalar_arg(call, i, steps)?);
        }
        let first_span = call.args[0].without_parens().span();
        let call = RangeCall { function: call.func, samples, window, params, span: arg.span(), first_span };
        self.readings.extend(call.reading(steps));
        Ok(call)
    }

    /// The number of the selector with these matchers, made to reach these times.
    pub(super) fn add_select(
        &mut self,
        matchers: &[Matcher],
        reach: (i64, i64),
        step_ms: i64,
        range_ms: i64,
    ) -> usize {
        let known = self.selects.iter().position(|s| s.matchers == matchers);
        if let Some(at) = known {
            let select = &mut self.selects[at];
            select.reach = (select.reach.0.min(reach.0), select.reach.1.max(reach.1));
            if select.function != self.around || select.range_ms != range_ms {
                (select.function, select.range_ms) = ("", 0);
            }
            return at;
        }
        let fixes_name = |m: &&Matcher| m.name == METRIC_NAME && m.op == MatchOp::Equal;
        let name = matchers.iter().find(fixes_name).map(|m| m.value.clone());
        let matchers = matchers.to_vec();
        self.selects.push(Select { matchers, reach, step_ms, range_ms, function: self.around, name });
        self.selects.len() - 1
    }
}

/// Whether a function looks only at count and sum of native histograms, whether at their buckets.
fn looks_at_histograms(function: Function) -> (bool, bool) {
    match function {
        Function::HistogramCount | Function::HistogramSum | Function::HistogramAvg => (true, false),
        Function::HistogramQuantile | Function::HistogramQuantiles | Function::HistogramFraction => {
            (false, true)
        }
        _ => (false, false),
    }
}

/// Folds two constants with `compute`, or keeps the operation.
fn fold(
    a: Scalar,
    b: Scalar,
    compute: impl FnOnce(f64, f64) -> f64,
    keep: impl FnOnce(Box<Scalar>, Box<Scalar>) -> Scalar,
) -> Scalar {
    match (&a, &b) {
        (Scalar::Const(a), Scalar::Const(b)) => Scalar::Const(compute(*a, *b)),
        _ => keep(Box::new(a), Box::new(b)),
    }
}

/// Refuses `anchored` and `smoothed` under functions that cannot work with the samples outside of the range.
fn check_edges(function: Function, edges: RangeEdges) -> Result<(), QueryError> {
    let (word, allowed): (&str, &[Function]) = match edges {
        RangeEdges::Plain => return Ok(()),
        RangeEdges::Anchored => (
            "anchored",
            &[Function::Changes, Function::Delta, Function::Increase, Function::Rate, Function::Resets],
        ),
        RangeEdges::Smoothed => ("smoothed", &[Function::Delta, Function::Increase, Function::Rate]),
    };
    if allowed.contains(&function) {
        return Ok(());
    }
    let names: Vec<&str> = allowed.iter().map(|f| f.name()).collect();
    Err(QueryError::Execution(format!(
        "{word} modifier can only be used with: {} - not with {}",
        names.join(", "),
        function.name()
    )))
}

/// The text of a string argument.
pub(super) fn string_arg(call: &Call, at: usize) -> String {
    match call.args[at].without_parens() {
        Expr::String(s) => s.value.clone(),
        _ => unreachable!("the type check lets only strings come here"),
    }
}

/// The text of a string argument that names a label, of which `role` says what it is for.
pub(super) fn label_arg(call: &Call, at: usize, role: &str) -> Result<String, QueryError> {
    match call.args[at].without_parens() {
        Expr::String(s) if s.not_utf8.is_some() => {
            let (function, name) = (call.func.name(), &s.value);
            Err(QueryError::Execution(format!("invalid {role} label name in {function}(): {name}")))
        }
        _ => Ok(string_arg(call, at)),
    }
}

/// Where an argument stands, without parentheses around it.
pub(super) fn arg_span(call: &Call, at: usize) -> Span {
    call.args[at].without_parens().span()
}
