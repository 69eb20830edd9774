//! From the root of a plan to the value that a client sees.

use narthex_model::Labels;

use super::block::Block;
use super::context::QueryContext;
use super::error::QueryError;
use super::eval::Evaluator;
use super::memory::{Charge, labels_bytes};
use super::ops::extended::extended_points;
use super::ops::range::drop_stale;
use super::plan::{Plan, QueryTimes, Root, StoredRange};
use super::row::{METADATA_LABELS, Row};
use super::steps::Steps;
use super::value::{Floats, Matrix, MatrixSeries, Point, Value, Vector, VectorSample};
use crate::ast::RangeEdges;

/// What the root of a plan evaluates to, not yet sorted.
pub(crate) enum Raw {
    Scalar(Vec<f64>),
    String(String),
    Vector(Block),
    Matrix(Vec<MatrixSeries>),
}

/// Evaluates the root of a plan.
pub(crate) fn evaluate(plan: &Plan, times: &QueryTimes, ctx: &QueryContext<'_>) -> Result<Raw, QueryError> {
    let evaluator = Evaluator::new(plan, ctx);
    Ok(match &plan.root {
        Root::String(text) => Raw::String(text.clone()),
        Root::Scalar(scalar) => Raw::Scalar(evaluator.scalar(scalar, times.steps())?),
        Root::Vector(node) => Raw::Vector(named(ctx, Block::of(ctx, &*evaluator.vector(node)?)?)?),
        Root::Subquery(node) => {
            let block = named(ctx, Block::of(ctx, &*evaluator.vector(node)?)?)?;
            Raw::Matrix(series_of(block))
        }
        Root::Stored(range) => Raw::Matrix(stored(ctx, range)?),
    })
}

/// Drops the names that were to be dropped at the end, and makes sure that label sets are unique.
fn named(ctx: &QueryContext<'_>, mut block: Block) -> Result<Block, QueryError> {
    if !ctx.rules.delayed_names {
        block.refuse_equal_labels()?;
        return Ok(block);
    }
    for row in block.rows.iter_mut().filter(|r| r.drops_name) {
        row.labels = row.labels.drop(&METADATA_LABELS);
    }
    block.merge_equal_labels()?;
    Ok(block)
}

/// Makes the value of the result.
pub(crate) fn finish(raw: Raw, times: &QueryTimes) -> Value {
    let t_ms = times.start_ms;
    let is_instant = times.step_ms == 0;
    match raw {
        Raw::String(value) => Value::String { t_ms, value },
        Raw::Scalar(values) if is_instant => Value::Scalar { t_ms, value: values[0] },
        Raw::Scalar(values) => {
            let mut row = Row { values, ..Row::default() };
            row.present.set_all(row.values.len());
            let series = vec![series(Labels::empty(), row, times.steps())];
            Value::Matrix(Matrix { series: series.into_iter().filter(|s| s.float_count() > 0).collect() })
        }
        Raw::Vector(block) if is_instant => Value::Vector(Vector { t_ms, samples: samples_of(block) }),
        Raw::Vector(block) => sorted(series_of(block)),
        Raw::Matrix(series) => sorted(series),
    }
}

fn sorted(mut series: Vec<MatrixSeries>) -> Value {
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    Value::Matrix(Matrix { series })
}

fn samples_of(mut block: Block) -> Vec<VectorSample> {
    let rows = std::mem::take(&mut block.rows);
    let samples = rows.into_iter().map(|r| {
        let histogram = r.row.histograms.into_iter().next().map(|(_, h)| Point::Histogram(h));
        VectorSample { labels: r.labels, point: histogram.unwrap_or(Point::Float(r.row.values[0])) }
    });
    samples.collect()
}

fn series_of(mut block: Block) -> Vec<MatrixSeries> {
    let steps = block.steps;
    std::mem::take(&mut block.rows).into_iter().map(|r| series(r.labels, r.row, steps)).collect()
}

fn series(labels: Labels, row: Row, steps: Steps) -> MatrixSeries {
    let histograms = row.histograms.into_iter().map(|(step, h)| (steps.at(step as usize), h)).collect();
    MatrixSeries {
        labels,
        floats: Floats::Steps { steps, values: row.values, present: row.present },
        histograms,
    }
}

/// The samples of a range selector as they are stored, without staleness markers.
fn stored(ctx: &QueryContext<'_>, range: &StoredRange) -> Result<Vec<MatrixSeries>, QueryError> {
    let smoothed = range.edges == RangeEdges::Smoothed;
    let (from, to) = match range.edges {
        RangeEdges::Plain => range.reach,
        RangeEdges::Anchored => (range.reach.0 - ctx.rules.lookback_ms, range.reach.1),
        RangeEdges::Smoothed => {
            (range.reach.0 - ctx.rules.lookback_ms, range.reach.1 + ctx.rules.lookback_ms)
        }
    };
    let series = &ctx.series[range.select];
    let mut worker = super::context::Worker::new(ctx);
    let mut found = Vec::new();
    let mut charge = Charge::new(ctx);
    for at in 0..series.len() {
        ctx.check(super::error::Stage::Evaluation)?;
        let mut batch = narthex_storage::SampleBatch::default();
        series.read(at, from, to, &mut batch)?;
        drop_stale(&mut batch);
        if range.edges != RangeEdges::Plain {
            extend(&mut batch, range, smoothed)?;
        }
        if batch.is_empty() {
            continue;
        }
        let weight: usize = batch.histograms.iter().map(|h| super::row::histogram_weight(h)).sum();
        let touched = (batch.t_ms.len() + weight) as u64;
        ctx.account.charge(touched)?;
        charge.add_bytes(24 * batch.t_ms.capacity() + 16 * weight + labels_bytes(&series.labels(at)))?;
        worker.total_queryable += touched;
        worker.read += touched;
        found.push(MatrixSeries {
            labels: series.labels(at),
            floats: Floats::Stored { t_ms: batch.t_ms, values: batch.values },
            histograms: batch.histogram_t_ms.into_iter().zip(batch.histograms).collect(),
        });
    }
    Ok(found)
}

/// Brings the edges of a range to exact times.
fn extend(
    batch: &mut narthex_storage::SampleBatch,
    range: &StoredRange,
    smoothed: bool,
) -> Result<(), QueryError> {
    if !batch.histograms.is_empty() {
        let word = if smoothed { "smoothed" } else { "anchored" };
        return Err(QueryError::Execution(format!("{word} modifier is not supported with histograms")));
    }
    // The left edge is open: the range starts just before its first millisecond.
    let (start, end) = (range.reach.0 - 1, range.reach.1);
    (batch.t_ms, batch.values) = extended_points(&batch.t_ms, &batch.values, start, end, smoothed);
    Ok(())
}
