//! From plan to rows: picks the operator of each node and puts its inputs before it.
//!
//! What the whole input must be seen for (aggregations, joins, sorting) is computed here at once; everything else becomes a
//! source that makes its rows when somebody asks.

use super::block::{Block, BlockRow};
use super::context::QueryContext;
use super::error::QueryError;
use super::kernels::math;
use super::kernels::range::keeps_name;
use super::kernels::window::Window;
use super::nameless::{Clash, drop_names};
use super::ops::extended::{Extension, reach_with};
use super::ops::histogram::Want;
use super::ops::join::JoinRules;
use super::ops::per_sample::{Change, ChangedRows, WithScalar};
use super::ops::range::{CounterHint, RangeRows, Source};
use super::ops::repeat::RepeatedRows;
use super::ops::select::SelectRows;
use super::ops::{aggregate, histogram, info, join, pick, presence, relabel, set, sort, values};
use super::plan::{
    Aggregation, HistogramCall, Join, Node, Op, PerSample, Plan, RangeCall, Samples, Scalar, Select, Tell,
};
use super::row::{Row, Rows};
use super::shared::{Reading, Shared};
use super::steps::Steps;
use crate::ast::{AggregateOp, RangeEdges, Span};
use crate::functions_table::Function;

/// Evaluates plan nodes for one query.
pub(crate) struct Evaluator<'q> {
    pub plan: &'q Plan,
    pub ctx: &'q QueryContext<'q>,
    shared: Shared,
}

impl<'q> Evaluator<'q> {
    /// Evaluates a plan as a whole: what it reads in several places is read once.
    pub(crate) fn new(plan: &'q Plan, ctx: &'q QueryContext<'q>) -> Self {
        Self { plan, ctx, shared: Shared::new(&plan.readings) }
    }

    /// Evaluates parts of a plan, each place for itself.
    pub(crate) fn of_parts(plan: &'q Plan, ctx: &'q QueryContext<'q>) -> Self {
        Self { plan, ctx, shared: Shared::new(&[]) }
    }

    /// The rows of an instant vector.
    pub(crate) fn vector(&self, node: &'q Node) -> Result<Rows<'q>, QueryError> {
        match &self.ctx.trace {
            None => self.rows(node),
            Some(trace) => trace.watch(self.ctx, node, || self.rows(node)),
        }
    }

    /// The rows of the info series of `info`; the values are the times of their samples, in seconds.
    pub(crate) fn info_rows(&self, select: usize, window: Window, steps: Steps) -> SelectRows<'q> {
        self.select_rows(select, window, steps, Tell::Time)
    }

    fn rows(&self, node: &'q Node) -> Result<Rows<'q>, QueryError> {
        let (ctx, steps) = (self.ctx, node.steps);
        match &node.op {
            Op::Empty => Ok(Box::new(Block::new(ctx, steps, Vec::new())?)),
            Op::Select { select, window, tell, stats_only, span } => {
                let mut rows = self.select_rows(*select, *window, steps, *tell);
                (rows.stats_only, rows.span) = (*stats_only, *span);
                if *tell != Tell::Value {
                    return self.named_by_tell(Box::new(rows), *tell);
                }
                let (select, window, stats_only) = (*select, *window, *stats_only);
                let reading = Reading { select, window, steps, function: None, stats_only };
                self.shared.rows(ctx, &reading, || Ok(Box::new(rows)))
            }
            Op::Range(call) => {
                let make = || -> Result<Rows<'q>, QueryError> { Ok(Box::new(self.range_rows(call, steps)?)) };
                let rows = match call.reading(steps) {
                    Some(reading) => self.shared.rows(ctx, &reading, make)?,
                    None => make()?,
                };
                if keeps_name(call.function) { Ok(rows) } else { drop_names(ctx, rows, Clash::Refuse) }
            }
            Op::Repeat(once) => {
                let input = ctx.counting_as(steps.count as u64, || self.vector(once))?;
                Ok(Box::new(RepeatedRows { input, steps }))
            }
            Op::PerSample { input, change } => self.per_sample(input, change),
            Op::Aggregate(a) => Ok(Box::new(self.aggregate(a)?)),
            Op::Join(j) => Ok(Box::new(self.join(j)?)),
            Op::Relabel { input, change } => relabel::relabel(ctx, change, self.vector(input)?),
            Op::Absent { input, labels } => {
                Ok(Box::new(presence::absent(ctx, labels, &*self.vector(input)?)?))
            }
            Op::AbsentOverTime { call, labels } => {
                Ok(Box::new(presence::absent(ctx, labels, &self.range_rows(call, steps)?)?))
            }
            Op::Info { input, select, window, rules } => {
                let base = Block::of(ctx, &*self.vector(input)?)?;
                let infos = Block::of(ctx, &self.info_rows(*select, *window, steps))?;
                Ok(Box::new(info::enrich(ctx, rules, &base, &infos)?))
            }
            Op::OfScalar(scalar) => self.of_scalar(scalar, steps),
            Op::Sort { input, key, descending, span } => {
                if steps.count > 1 {
                    ctx.annotate(|notes| notes.sort_in_range_query(*span));
                }
                Ok(Box::new(sort::sort(ctx, key, *descending, &*self.vector(input)?)?))
            }
            Op::Histogram { input, call, span } => {
                let want = self.want(call, steps)?;
                Ok(Box::new(histogram::of_histograms(ctx, &want, *span, &*self.vector(input)?)?))
            }
        }
    }

    fn select_rows(&self, select: usize, window: Window, steps: Steps, tell: Tell) -> SelectRows<'q> {
        SelectRows {
            series: &*self.ctx.series[select],
            steps,
            window,
            tell,
            one_name: self.select(select).name.is_some(),
            stats_only: false,
            span: Span::default(),
        }
    }

    fn select(&self, at: usize) -> &'q Select {
        &self.plan.selects[at]
    }

    /// `timestamp` of a selector gives something else than the metric, so that the name has to go.
    fn named_by_tell(&self, rows: Rows<'q>, tell: Tell) -> Result<Rows<'q>, QueryError> {
        match tell {
            Tell::Value | Tell::Smoothed => Ok(rows),
            Tell::Time | Tell::StartTime => drop_names(self.ctx, rows, Clash::Merge),
        }
    }

    fn of_scalar(&self, scalar: &'q Scalar, steps: Steps) -> Result<Rows<'q>, QueryError> {
        let mut row = Row { values: self.scalar(scalar, steps)?, ..Row::default() };
        row.present.set_all(steps.count);
        let only = BlockRow { labels: narthex_model::Labels::empty(), drops_name: false, row };
        Ok(Box::new(Block::new(self.ctx, steps, vec![only])?))
    }

    fn range_rows(&self, call: &'q RangeCall, steps: Steps) -> Result<RangeRows<'q>, QueryError> {
        let mut extension = None;
        let (source, name) = match &call.samples {
            Samples::Stored { select, stats_only, edges } => {
                let name = self.select(*select).name.as_deref();
                extension = self.extension(*edges);
                let reach = reach_with(extension, call.window.reach(&steps).unwrap_or((0, -1)));
                let series = &*self.ctx.series[*select];
                (Source::Stored { series, reach, one_name: name.is_some(), stats_only: *stats_only }, name)
            }
            Samples::Subquery(node) => {
                let rows = self.ctx.counting_as(0, || self.vector(node))?;
                (Source::Rows(rows), None)
            }
        };
        let mut params = Vec::with_capacity(call.params.len());
        for param in &call.params {
            params.push(self.scalar(param, steps)?);
        }
        Ok(RangeRows {
            source,
            function: call.function,
            steps,
            window: call.window,
            params,
            span: call.span,
            first_span: call.first_span,
            hint: self.counter_hint(call.function, name),
            extension,
        })
    }

    fn extension(&self, edges: RangeEdges) -> Option<Extension> {
        let rules = &self.ctx.rules;
        (edges != RangeEdges::Plain).then_some(Extension {
            smoothed: edges == RangeEdges::Smoothed,
            lookback_ms: rules.lookback_ms,
            use_starts: rules.start_timestamps,
        })
    }

    fn counter_hint(&self, function: Function, name: Option<&str>) -> CounterHint {
        let counts = matches!(function, Function::Rate | Function::Increase);
        match name {
            _ if !counts => CounterHint::Off,
            _ if self.ctx.rules.type_labels => CounterHint::ByTypeLabel,
            Some(name) if crate::engine::ops::range::looks_like_counter(name) => CounterHint::Off,
            _ => CounterHint::BySuffix,
        }
    }

    fn per_sample(&self, input: &'q Node, change: &'q PerSample) -> Result<Rows<'q>, QueryError> {
        let steps = input.steps;
        let change = match change {
            PerSample::Float(f) => Change::Float(*f),
            PerSample::Clamp { min, max } => {
                Change::Clamp { min: self.scalar(min, steps)?, max: self.scalar(max, steps)? }
            }
            PerSample::Round(nearest) => Change::Round(self.scalar(nearest, steps)?),
            PerSample::StepTime => Change::StepTime,
            PerSample::Nothing => Change::Nothing,
            PerSample::Negate => Change::Negate,
            PerSample::OfHistogram(function) => Change::OfHistogram(*function),
            PerSample::WithScalar { op, scalar, scalar_is_left, return_bool, span } => {
                Change::WithScalar(WithScalar {
                    op: *op,
                    scalar: self.scalar(scalar, steps)?,
                    scalar_is_left: *scalar_is_left,
                    return_bool: *return_bool,
                    span: *span,
                })
            }
        };
        let drops_name = change.drops_name();
        let rows: Rows<'q> = Box::new(ChangedRows { input: self.vector(input)?, change });
        if drops_name { drop_names(self.ctx, rows, Clash::Merge) } else { Ok(rows) }
    }

    fn aggregate(&self, a: &'q Aggregation) -> Result<Block, QueryError> {
        let (ctx, grouping, spans) = (self.ctx, &a.grouping, a.spans);
        let param = a.param.as_ref().map(|p| self.scalar(p, a.input.steps)).transpose()?.unwrap_or_default();
        let input = self.vector(&a.input)?;
        match a.op {
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio => {
                pick::pick(ctx, a.op, grouping, spans, &param, &*input)
            }
            AggregateOp::Quantile => values::quantile(ctx, grouping, spans, &param, &*input),
            AggregateOp::CountValues => values::count_values(ctx, grouping, &a.value_label, &*input),
            AggregateOp::Sum
            | AggregateOp::Avg
            | AggregateOp::Min
            | AggregateOp::Max
            | AggregateOp::Count
            | AggregateOp::Group
            | AggregateOp::Stddev
            | AggregateOp::Stdvar => aggregate::aggregate(ctx, a.op, grouping, spans, &*input),
        }
    }

    fn join(&self, j: &'q Join) -> Result<Block, QueryError> {
        let left = Block::of(self.ctx, &*self.vector(&j.left)?)?;
        let right = Block::of(self.ctx, &*self.vector(&j.right)?)?;
        if j.op.is_set() {
            return set::set_operation(self.ctx, j.op, &j.matching, left, right);
        }
        let rules = JoinRules { op: j.op, matching: &j.matching, return_bool: j.return_bool, span: j.span };
        join::join(self.ctx, &rules, &left, &right)
    }

    fn want(&self, call: &'q HistogramCall, steps: Steps) -> Result<Want, QueryError> {
        Ok(match call {
            HistogramCall::Quantile { q, q_span } => {
                Want::Quantile { q: self.scalar(q, steps)?, q_span: *q_span }
            }
            HistogramCall::Quantiles { label, qs } => {
                let qs = qs.iter().map(|(q, span)| Ok((self.scalar(q, steps)?, *span)));
                Want::Quantiles { label: label.clone(), qs: qs.collect::<Result<_, QueryError>>()? }
            }
            HistogramCall::Fraction { lower, upper } => {
                Want::Fraction { lower: self.scalar(lower, steps)?, upper: self.scalar(upper, steps)? }
            }
        })
    }

    /// The values of a scalar, one a step.
    pub(crate) fn scalar(&self, scalar: &'q Scalar, steps: Steps) -> Result<Vec<f64>, QueryError> {
        let two = |a: &'q Scalar, b: &'q Scalar, f: &dyn Fn(f64, f64) -> f64| {
            let (a, b) = (self.scalar(a, steps)?, self.scalar(b, steps)?);
            Ok(a.iter().zip(&b).map(|(a, b)| f(*a, *b)).collect())
        };
        match scalar {
            Scalar::Const(v) => Ok(vec![*v; steps.count]),
            Scalar::Time => Ok(steps.times().map(|t| t as f64 / 1000.0).collect()),
            Scalar::Negate(inner) => Ok(self.scalar(inner, steps)?.iter().map(|v| -v).collect()),
            Scalar::Of1(f, inner) => Ok(self.scalar(inner, steps)?.iter().map(|v| f(*v)).collect()),
            Scalar::Binary { op, lhs, rhs } => two(lhs, rhs, &|a, b| math::arithmetic(*op, a, b)),
            Scalar::Max(a, b) => two(a, b, &math::max),
            Scalar::Min(a, b) => two(a, b, &math::min),
            Scalar::Of(node) => presence::only_value(self.ctx, &*self.vector(node)?),
        }
    }
}
