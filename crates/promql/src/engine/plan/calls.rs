//! Planning of function calls that give an instant vector.

use narthex_model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher};

use super::build::{Planner, arg_span, label_arg, string_arg};
use super::{HistogramCall, Op, PerSample, Relabel, Scalar, SortKey, Tell};
use crate::ast::{Call, Expr, Interval, ValueType};
use crate::engine::error::QueryError;
use crate::engine::kernels::math;
use crate::engine::kernels::window::Window;
use crate::engine::ops::info::InfoRules;
use crate::engine::steps::Steps;
use crate::functions_table::Function;

impl Planner {
    /// Plans a call.
    pub(super) fn call(&mut self, call: &Call, steps: Steps) -> Result<Op, QueryError> {
        let range_arg = call.args.iter().position(|a| a.value_type() == ValueType::RangeVector);
        if let Some(at) = range_arg {
            return self.call_over_range(call, at, steps);
        }
        if let Some(function) = math::float_function(call.func) {
            return self.call_per_float(call, function, steps);
        }
        match call.func {
            Function::Timestamp | Function::StartTimestamp => self.call_timestamp(call, steps),
            Function::Clamp | Function::ClampMin | Function::ClampMax => self.call_clamp(call, steps),
            Function::Round => {
                let nearest =
                    if call.args.len() > 1 { self.scalar_arg(call, 1, steps)? } else { Scalar::Const(1.0) };
                self.per_sample(call, PerSample::Round(nearest), steps)
            }
            Function::Vector => Ok(Op::OfScalar(self.scalar_arg(call, 0, steps)?)),
            Function::Absent => {
                let labels = labels_of_absent(call.args[0].without_parens());
                Ok(Op::Absent { input: self.operand(&call.args[0], steps)?, labels })
            }
            Function::LabelReplace | Function::LabelJoin => self.call_relabel(call, steps),
            Function::Sort | Function::SortDesc | Function::SortByLabel | Function::SortByLabelDesc => {
                self.call_sort(call, steps)
            }
            Function::HistogramQuantile | Function::HistogramQuantiles | Function::HistogramFraction => {
                self.call_histogram(call, steps)
            }
            Function::HistogramCount
            | Function::HistogramSum
            | Function::HistogramAvg
            | Function::HistogramStddev
            | Function::HistogramStdvar => self.per_sample(call, PerSample::OfHistogram(call.func), steps),
            Function::Info => self.call_info(call, steps),
            other => Err(QueryError::Unsupported(format!("function {}()", other.name()))),
        }
    }

    fn call_over_range(&mut self, call: &Call, at: usize, steps: Steps) -> Result<Op, QueryError> {
        let range = self.range_call(call, at, steps)?;
        if call.func == Function::AbsentOverTime {
            let labels = labels_of_absent(call.args[0].without_parens());
            return Ok(Op::AbsentOverTime { call: range, labels });
        }
        Ok(Op::Range(range))
    }

    fn per_sample(&mut self, call: &Call, change: PerSample, steps: Steps) -> Result<Op, QueryError> {
        Ok(Op::PerSample { input: self.operand(&call.args[0], steps)?, change })
    }

    /// A function of one float; the date functions take the evaluation time when they have no argument.
    fn call_per_float(
        &mut self,
        call: &Call,
        function: math::FloatFn,
        steps: Steps,
    ) -> Result<Op, QueryError> {
        if call.args.is_empty() {
            return Ok(Op::OfScalar(Scalar::Of1(function, Box::new(Scalar::Time))));
        }
        self.per_sample(call, PerSample::Float(function), steps)
    }

    fn call_timestamp(&mut self, call: &Call, steps: Steps) -> Result<Op, QueryError> {
        let of_time = call.func == Function::Timestamp;
        if let Expr::Vector(v) = call.args[0].without_parens() {
            let known = of_time || self.rules.start_timestamps;
            let tell = if of_time { Tell::Time } else { Tell::StartTime };
            return if known { self.select(v, steps, tell) } else { Ok(Op::Empty) };
        }
        let change = if of_time { PerSample::StepTime } else { PerSample::Nothing };
        self.per_sample(call, change, steps)
    }

    fn call_clamp(&mut self, call: &Call, steps: Steps) -> Result<Op, QueryError> {
        let (min, max) = match call.func {
            Function::ClampMin => (self.scalar_arg(call, 1, steps)?, Scalar::Const(f64::INFINITY)),
            Function::ClampMax => (Scalar::Const(f64::NEG_INFINITY), self.scalar_arg(call, 1, steps)?),
            _ => (self.scalar_arg(call, 1, steps)?, self.scalar_arg(call, 2, steps)?),
        };
        self.per_sample(call, PerSample::Clamp { min, max }, steps)
    }

    fn call_relabel(&mut self, call: &Call, steps: Steps) -> Result<Op, QueryError> {
        let input = self.operand(&call.args[0], steps)?;
        let target = label_arg(call, 1, "destination")?;
        let change = if call.func == Function::LabelReplace {
            Relabel::Replace {
                target,
                replacement: string_arg(call, 2),
                source: string_arg(call, 3),
                regex: string_arg(call, 4),
            }
        } else {
            let sources = (3..call.args.len()).map(|i| label_arg(call, i, "source"));
            Relabel::Join {
                target,
                separator: string_arg(call, 2),
                sources: sources.collect::<Result<_, _>>()?,
            }
        };
        Ok(Op::Relabel { input, change })
    }

    fn call_sort(&mut self, call: &Call, steps: Steps) -> Result<Op, QueryError> {
        let descending = matches!(call.func, Function::SortDesc | Function::SortByLabelDesc);
        let key = if matches!(call.func, Function::Sort | Function::SortDesc) {
            SortKey::Value
        } else {
            SortKey::Labels((1..call.args.len()).map(|i| string_arg(call, i)).collect())
        };
        Ok(Op::Sort { input: self.operand(&call.args[0], steps)?, key, descending, span: call.span })
    }

    fn call_histogram(&mut self, call: &Call, steps: Steps) -> Result<Op, QueryError> {
        let (histogram, at) = match call.func {
            Function::HistogramQuantile => (
                HistogramCall::Quantile { q: self.scalar_arg(call, 0, steps)?, q_span: arg_span(call, 0) },
                1,
            ),
            Function::HistogramFraction => {
                let (lower, upper) = (self.scalar_arg(call, 0, steps)?, self.scalar_arg(call, 1, steps)?);
                (HistogramCall::Fraction { lower, upper }, 2)
            }
            _ => {
                let mut qs = Vec::new();
                for i in 2..call.args.len() {
                    qs.push((self.scalar_arg(call, i, steps)?, arg_span(call, i)));
                }
                (HistogramCall::Quantiles { label: string_arg(call, 1), qs }, 0)
            }
        };
        let input = self.operand(&call.args[at], steps)?;
        Ok(Op::Histogram { input, call: histogram, span: arg_span(call, at) })
    }

    fn call_info(&mut self, call: &Call, steps: Steps) -> Result<Op, QueryError> {
        let input = self.operand(&call.args[0], steps)?;
        let written = match call.args.get(1).map(Expr::without_parens) {
            Some(Expr::Vector(v)) => v.matchers.clone(),
            _ => Vec::new(),
        };
        let (names, data): (Vec<Matcher>, Vec<Matcher>) =
            written.into_iter().partition(|m| m.name == METRIC_NAME);
        let rules = InfoRules { names: info_names(names)?, data };
        let (at_ms, offset_ms) = self.info_time(&call.args[0], (None, 0))?.unwrap_or((None, 0));
        let window = Window { range_ms: self.rules.lookback_ms, offset_ms, at_ms };
        let matchers: Vec<Matcher> = rules.data.iter().chain(&rules.names).cloned().collect();
        let reach = window.reach(&steps).unwrap_or((0, 0));
        let select = self.add_select(&matchers, reach, steps.step_ms, 0);
        Ok(Op::Info { input, select, window, rules })
    }

    /// The `@` and the offset at which the first selector below `expr` is read; info series are read there, too. `around` is
    /// what the subqueries above say.
    fn info_time(
        &self,
        expr: &Expr,
        around: (Option<i64>, i64),
    ) -> Result<Option<(Option<i64>, i64)>, QueryError> {
        let seen = |at, offset: Option<&Interval>| {
            let own = self.window(at, offset, 0)?;
            // A time of its own makes those above meaningless.
            Ok(match own.at_ms {
                Some(at_ms) => (Some(at_ms), own.offset_ms),
                None => (around.0, around.1 + own.offset_ms),
            })
        };
        match expr {
            Expr::Vector(v) => seen(v.at, v.offset.as_ref()).map(Some),
            Expr::Matrix(m) => seen(m.selector.at, m.selector.offset.as_ref()).map(Some),
            Expr::Subquery(s) => self.info_time(&s.expr, seen(s.at, s.offset.as_ref())?),
            _ => {
                let mut found = Ok(None);
                expr.for_each_child(|child| {
                    if matches!(found, Ok(None)) {
                        found = self.info_time(child, around);
                    }
                });
                found
            }
        }
    }
}

/// The conditions on the names of info metrics: as written, but never only negative ones, and `target_info` without any.
fn info_names(written: Vec<Matcher>) -> Result<Vec<Matcher>, QueryError> {
    if written.iter().any(|m| matches!(m.op, MatchOp::Equal | MatchOp::Regex)) {
        return Ok(written);
    }
    if written.is_empty() {
        return Ok(vec![Matcher::equal(METRIC_NAME, "target_info")]);
    }
    let any = Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info");
    let any = any.map_err(|e| QueryError::Execution(e.to_string()))?;
    Ok([any].into_iter().chain(written).collect())
}

/// The labels that `absent` gives its one series: those that the selector fixes with `=`, but none that it names twice.
fn labels_of_absent(expr: &Expr) -> Labels {
    let matchers = match expr {
        Expr::Vector(v) => &v.matchers,
        Expr::Matrix(m) => &m.selector.matchers,
        _ => return Labels::empty(),
    };
    let mut labels = LabelsBuilder::new();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|m| m.name != METRIC_NAME) {
        if matcher.op == MatchOp::Equal && !seen.contains(&matcher.name.as_str()) {
            labels.set(&matcher.name, &matcher.value);
            seen.push(&matcher.name);
        } else {
            labels.remove(&matcher.name);
        }
    }
    labels.labels()
}
