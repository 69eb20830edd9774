//! How many samples each step of a query had and read, for `stats=all` (`promql-per-step-stats`).
//!
//! Nothing of this is in the way of a query that does not ask for it: the counts are found by a second walk over the plan after the
//! result is there, which reads the samples again and only looks at their times. It costs about what the query cost.
//! Facts: `util/stats/query_stats.go` and the table of `TestQueryStatistics` of Prometheus 3.14 (`tests/step_stats.tsv`). A step
//! counts its whole window; *read* counts a sample at the first step that needs it. A part that is the same at every step counts as
//! had at each and as read at the first. What a subquery reads is put down to the first outer step whose window it lies in.

use std::ops::Range;

use super::context::Worker;
use super::error::QueryError;
use super::eval::Evaluator;
use super::kernels::window::{Slice, Window, for_each_window};
use super::ops::range::drop_stale;
use super::plan::{HistogramCall, Node, Op, PerSample, RangeCall, Root, Samples, Scalar};
use super::row::{Row, RowSource, histogram_weight};
use super::steps::Steps;
use crate::ast::RangeEdges;
use narthex_storage::SampleBatch;

/// Counts of samples, one a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSamples {
    /// The steps.
    pub steps: Steps,
    /// See [`super::SampleStats::total_queryable`].
    pub total_queryable: Vec<u64>,
    /// See [`super::SampleStats::read`].
    pub read: Vec<u64>,
}

impl StepSamples {
    fn none(steps: Steps) -> Self {
        Self { steps, total_queryable: vec![0; steps.count], read: vec![0; steps.count] }
    }

    /// Adds counts of the same steps.
    fn add(&mut self, other: &Self) {
        self.total_queryable.iter_mut().zip(&other.total_queryable).for_each(|(a, b)| *a += b);
        self.read.iter_mut().zip(&other.read).for_each(|(a, b)| *a += b);
    }

    /// Had and read at all steps together.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.total_queryable.iter().sum(), self.read.iter().sum())
    }

    /// Adds what windows of one series hold. `weight` is that of a run of its samples.
    fn add_windows(
        &mut self,
        t_ms: &[i64],
        window: &Window,
        reads: bool,
        weight: impl Fn(Range<usize>) -> u64,
    ) {
        let mut seen = 0;
        for_each_window(t_ms, &self.steps, window, |Slice { step, lo, hi, .. }| {
            self.total_queryable[step] += weight(lo..hi);
            if reads {
                self.read[step] += weight(lo.max(seen).min(hi)..hi);
            }
            seen = hi;
        });
    }

    fn add_batch(&mut self, batch: &SampleBatch, window: &Window, reads: bool) {
        self.add_windows(&batch.t_ms, window, reads, |run| run.len() as u64);
        let weight =
            |run: Range<usize>| batch.histograms[run].iter().map(|h| histogram_weight(h) as u64).sum();
        self.add_windows(&batch.histogram_t_ms, window, reads, weight);
    }

    /// Puts what the steps of a subquery read down to the steps outside; reads between two windows are nobody's.
    fn take_reads_of(&mut self, inner: &Self, window: &Window) {
        if self.steps.count <= 1 {
            self.read.iter_mut().for_each(|read| *read += inner.totals().1);
            return;
        }
        for (at, read) in inner.read.iter().enumerate().filter(|(_, read)| **read > 0) {
            let t_ms = inner.steps.at(at) + window.offset_ms;
            let after = (t_ms - self.steps.start_ms).max(0);
            let step = ((after + self.steps.step_ms - 1) / self.steps.step_ms) as usize;
            let step = step.min(self.steps.count - 1);
            if t_ms > self.steps.at(step) - window.range_ms {
                self.read[step] += read;
            }
        }
    }
}

/// Counts the samples of every step of a query that was evaluated.
pub(crate) fn count(evaluator: &Evaluator<'_>, steps: Steps) -> Result<StepSamples, QueryError> {
    let mut all = StepSamples::none(steps);
    match &evaluator.plan.root {
        Root::String(_) => {}
        Root::Scalar(scalar) => of_scalars(evaluator, [scalar], &mut all)?,
        Root::Vector(node) => all.add(&of(evaluator, node)?),
        Root::Subquery(node) => {
            let (total, read) = of(evaluator, node)?.totals();
            (all.total_queryable[0], all.read[0]) = (total, read);
        }
        // It is read once, at one step, and was counted then.
        Root::Stored(_) => {
            let stats = evaluator.ctx.sample_stats();
            (all.total_queryable[0], all.read[0]) = (stats.total_queryable, stats.read);
        }
    }
    Ok(all)
}

fn of(evaluator: &Evaluator<'_>, node: &Node) -> Result<StepSamples, QueryError> {
    let mut all = StepSamples::none(node.steps);
    match &node.op {
        Op::Empty => {}
        Op::Select { .. } => of_rows(evaluator, node, &mut all)?,
        Op::Range(call) | Op::AbsentOverTime { call, .. } => of_call(evaluator, call, &mut all)?,
        Op::Repeat(once) => {
            let (total, read) = of(evaluator, once)?.totals();
            all.total_queryable.fill(total);
            all.read.iter_mut().take(1).for_each(|first| *first = read);
        }
        Op::PerSample { input, change } => {
            all.add(&of(evaluator, input)?);
            of_change(evaluator, change, &mut all)?;
        }
        Op::Aggregate(a) => {
            all.add(&of(evaluator, &a.input)?);
            of_scalars(evaluator, &a.param, &mut all)?;
        }
        Op::Join(j) => {
            all.add(&of(evaluator, &j.left)?);
            all.add(&of(evaluator, &j.right)?);
        }
        Op::Relabel { input, .. } | Op::Absent { input, .. } | Op::Sort { input, .. } => {
            all.add(&of(evaluator, input)?);
        }
        Op::Info { input, select, window, .. } => {
            all.add(&of(evaluator, input)?);
            count_rows(evaluator, &evaluator.info_rows(*select, *window, node.steps), &mut all)?;
        }
        Op::OfScalar(scalar) => of_scalars(evaluator, [scalar], &mut all)?,
        Op::Histogram { input, call, .. } => {
            all.add(&of(evaluator, input)?);
            of_histogram(evaluator, call, &mut all)?;
        }
    }
    Ok(all)
}

fn of_scalars<'s>(
    evaluator: &Evaluator<'_>,
    scalars: impl IntoIterator<Item = &'s Scalar>,
    all: &mut StepSamples,
) -> Result<(), QueryError> {
    let mut outcome = Ok(());
    for scalar in scalars {
        scalar.for_each_node(&mut |node| match of(evaluator, node) {
            Ok(counts) => all.add(&counts),
            Err(error) => outcome = Err(error),
        });
    }
    outcome
}

fn of_change(evaluator: &Evaluator<'_>, change: &PerSample, all: &mut StepSamples) -> Result<(), QueryError> {
    match change {
        PerSample::Clamp { min, max } => of_scalars(evaluator, [min, max], all),
        PerSample::Round(nearest) => of_scalars(evaluator, [nearest], all),
        PerSample::WithScalar { scalar, .. } => of_scalars(evaluator, [scalar], all),
        PerSample::Float(_)
        | PerSample::StepTime
        | PerSample::Nothing
        | PerSample::Negate
        | PerSample::OfHistogram(_) => Ok(()),
    }
}

fn of_histogram(
    evaluator: &Evaluator<'_>,
    call: &HistogramCall,
    all: &mut StepSamples,
) -> Result<(), QueryError> {
    match call {
        HistogramCall::Quantile { q, .. } => of_scalars(evaluator, [q], all),
        HistogramCall::Quantiles { qs, .. } => of_scalars(evaluator, qs.iter().map(|(q, _)| q), all),
        HistogramCall::Fraction { lower, upper } => of_scalars(evaluator, [lower, upper], all),
    }
}

/// An instant selector reads what it gives.
fn of_rows(evaluator: &Evaluator<'_>, node: &Node, all: &mut StepSamples) -> Result<(), QueryError> {
    // The evaluator lives as long as the query, the plan longer; a shorter borrow of both does for one walk.
    let again = Evaluator::of_parts(evaluator.plan, evaluator.ctx);
    count_rows(evaluator, &*again.vector(node)?, all)
}

fn count_rows(
    evaluator: &Evaluator<'_>,
    rows: &dyn RowSource,
    all: &mut StepSamples,
) -> Result<(), QueryError> {
    for_each_row(evaluator, rows, |row| {
        for step in row.present.iter() {
            all.total_queryable[step] += 1;
            all.read[step] += 1;
        }
        for (step, h) in &row.histograms {
            all.total_queryable[*step as usize] += histogram_weight(h) as u64;
            all.read[*step as usize] += histogram_weight(h) as u64;
        }
    })
}

fn for_each_row(
    evaluator: &Evaluator<'_>,
    rows: &dyn RowSource,
    mut visit: impl FnMut(&Row),
) -> Result<(), QueryError> {
    let mut worker = Worker::new(evaluator.ctx);
    let mut row = Row::default();
    for at in 0..rows.len() {
        evaluator.ctx.check(super::error::Stage::Evaluation)?;
        row.reset(rows.steps().count);
        rows.fill(at, &mut worker, &mut row)?;
        visit(&row);
    }
    Ok(())
}

fn of_call(evaluator: &Evaluator<'_>, call: &RangeCall, all: &mut StepSamples) -> Result<(), QueryError> {
    of_scalars(evaluator, &call.params, all)?;
    match &call.samples {
        Samples::Stored { select, edges, .. } => {
            let series = &*evaluator.ctx.series[*select];
            let window = widened(&call.window, *edges, evaluator.ctx.rules.lookback_ms);
            let Some((from, to)) = window.reach(&all.steps) else { return Ok(()) };
            for at in 0..series.len() {
                evaluator.ctx.check(super::error::Stage::Evaluation)?;
                let mut batch = SampleBatch::default();
                series.read(at, from, to, &mut batch)?;
                drop_stale(&mut batch);
                all.add_batch(&batch, &window, true);
            }
            Ok(())
        }
        Samples::Subquery(node) => {
            all.take_reads_of(&of(evaluator, node)?, &call.window);
            let again = Evaluator::of_parts(evaluator.plan, evaluator.ctx);
            let rows = again.vector(node)?;
            let steps = rows.steps();
            for_each_row(evaluator, &*rows, |row| {
                let mut batch = SampleBatch::default();
                row.present.iter().for_each(|step| batch.push(steps.at(step), 0.0));
                for (step, histogram) in &row.histograms {
                    batch.histogram_t_ms.push(steps.at(*step as usize));
                    batch.histograms.push(std::sync::Arc::clone(histogram));
                }
                all.add_batch(&batch, &call.window, false);
            })
        }
    }
}

/// The window with what `anchored` and `smoothed` look at beyond its edges.
fn widened(window: &Window, edges: RangeEdges, lookback_ms: i64) -> Window {
    match edges {
        RangeEdges::Plain => *window,
        RangeEdges::Anchored => Window { range_ms: window.range_ms + lookback_ms, ..*window },
        RangeEdges::Smoothed => Window {
            range_ms: window.range_ms + 2 * lookback_ms,
            offset_ms: window.offset_ms - lookback_ms,
            ..*window
        },
    }
}
