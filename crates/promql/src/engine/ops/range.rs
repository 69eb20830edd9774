//! Functions over range vectors, of stored series or of subqueries.

use std::sync::Arc;

use narthex_model::{CounterResetHint, FloatHistogram, Labels, METRIC_NAME, is_stale};
use narthex_storage::{SampleBatch, SeriesSet};

use super::extended::{self, Extension};
use super::long_rows::{PART, Parts, run_in_parts};
use super::range_histograms::{self, Telling};
use crate::ast::Span;
use crate::engine::context::Worker;
use crate::engine::error::{QueryError, Stage};
use crate::engine::kernels::range::RangeArgs;
use crate::engine::kernels::window::Window;
use crate::engine::native::Native;
use crate::engine::row::{Row, RowSource, Rows, Wish, histogram_weight};
use crate::engine::steps::Steps;
use crate::functions_table::Function;

/// Where the samples come from.
pub(crate) enum Source<'q> {
    /// Stored series, read in the given times, both ends included.
    Stored { series: &'q dyn SeriesSet, reach: (i64, i64), one_name: bool, stats_only: bool },
    /// The rows of a subquery.
    Rows(Rows<'q>),
}

/// The distance of samples that is taken for granted where only the amount of work is guessed.
const USUAL_INTERVAL_MS: i64 = 15_000;

/// The rows of a function over a range vector. Names are still there.
pub(crate) struct RangeRows<'q> {
    pub source: Source<'q>,
    pub function: Function,
    pub steps: Steps,
    pub window: Window,
    pub params: Vec<Vec<f64>>,
    /// Of the range vector.
    pub span: Span,
    /// Of the first argument.
    pub first_span: Span,
    /// Whether a name that does not look like a counter's is worth an info.
    pub hint: CounterHint,
    /// `anchored` or `smoothed`.
    pub extension: Option<Extension>,
}

/// How `rate` and `increase` find out whether a metric is a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CounterHint {
    Off,
    BySuffix,
    ByTypeLabel,
}

impl RowSource for RangeRows<'_> {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn len(&self) -> usize {
        match &self.source {
            Source::Stored { series, .. } => series.len(),
            Source::Rows(rows) => rows.len(),
        }
    }

    fn labels(&self, at: usize, wish: &Wish) -> Labels {
        match &self.source {
            Source::Stored { series, .. } => wish.of_series(*series, at),
            Source::Rows(rows) => rows.labels(at, wish),
        }
    }

    fn drops_name(&self, at: usize) -> bool {
        match &self.source {
            Source::Stored { .. } => false,
            Source::Rows(rows) => rows.drops_name(at),
        }
    }

    fn hidden_cost(&self) -> usize {
        match &self.source {
            // Reading samples, of which two are about a step's work.
            Source::Stored { reach, .. } => {
                (reach.1.saturating_sub(reach.0) / (2 * USUAL_INTERVAL_MS)).clamp(0, 1 << 20) as usize
            }
            Source::Rows(rows) => rows.steps().count + rows.hidden_cost(),
        }
    }

    fn has_one_name(&self) -> bool {
        match &self.source {
            Source::Stored { one_name, .. } => *one_name,
            Source::Rows(rows) => rows.has_one_name(),
        }
    }

    fn fill(&self, at: usize, worker: &mut Worker<'_>, row: &mut Row) -> Result<(), QueryError> {
        let mut batch = worker.take_batch();
        self.read(at, worker, &mut batch)?;
        if let Some(extension) = self.extension {
            let (name, span, first_span) = (self.name(at), self.span, self.first_span);
            let mut telling = Telling { notes: &mut worker.annotations, name, span, first_span };
            let times = (&self.steps, &self.window);
            let touched = extended::run(self.function, &batch, times, extension, row, &mut telling);
            worker.total_queryable += touched;
            self.hint_at_counter(at, row, worker);
            worker.return_batch(batch);
            return Ok(());
        }
        let use_starts = worker.ctx.rules.start_timestamps;
        let args = RangeArgs { steps: &self.steps, window: &self.window, params: &self.params, use_starts };
        let ctx = worker.ctx;
        let check = || ctx.check(Stage::Evaluation);
        let outcome = {
            let mut scratch = worker.take_batch();
            let mut parts = Parts { samples: PART, check: &check, scratch: &mut scratch };
            let outcome = run_in_parts(self.function, &batch, &args, row, &mut parts);
            worker.return_batch(scratch);
            outcome?
        };
        let mut touched = outcome.touched;
        if !batch.histogram_t_ms.is_empty() {
            let (name, span, first_span) = (self.name(at), self.span, self.first_span);
            let mut telling = Telling { notes: &mut worker.annotations, name, span, first_span };
            touched.total = range_histograms::run(self.function, &batch, &args, row, (&mut telling, &check))?;
            touched.read += batch.histograms.iter().map(|h| histogram_weight(h) as u64).sum::<u64>();
        }
        worker.total_queryable += touched.total;
        if matches!(self.source, Source::Stored { .. }) {
            worker.read += touched.read;
        }
        if outcome.overlaps > 0 {
            let name = self.name(at);
            (0..outcome.overlaps).for_each(|_| worker.annotations.start_time_overlap(&name, self.span));
        }
        if let Some(q) = outcome.bad_quantile {
            worker.annotations.invalid_quantile(q, self.first_span);
        }
        self.hint_at_counter(at, row, worker);
        worker.return_batch(batch);
        Ok(())
    }
}

impl RangeRows<'_> {
    fn name(&self, at: usize) -> String {
        self.labels(at, &Wish::only(&[METRIC_NAME.to_owned()])).metric_name().to_owned()
    }

    /// Fills `batch` with the samples of a series, without staleness markers.
    fn read(&self, at: usize, worker: &mut Worker<'_>, batch: &mut SampleBatch) -> Result<(), QueryError> {
        match &self.source {
            Source::Stored { series, reach, stats_only, .. } => {
                match self.extension {
                    None => series.read_windows(at, &self.window.of_steps(&self.steps), batch)?,
                    Some(_) => series.read(at, reach.0, reach.1, batch)?,
                }
                if *stats_only {
                    find_resets(batch);
                }
                drop_stale(batch);
            }
            Source::Rows(rows) => {
                let steps = rows.steps();
                let mut inner = worker.take_row(steps.count);
                // What the subquery itself had is not counted: its results are, by the windows over them.
                let before = worker.total_queryable;
                rows.fill(at, worker, &mut inner)?;
                worker.total_queryable = before;
                for step in inner.present.iter() {
                    batch.push(steps.at(step), inner.values[step]);
                }
                for (step, histogram) in &inner.histograms {
                    batch.histogram_t_ms.push(steps.at(*step as usize));
                    batch.histograms.push(without_reset_hint(histogram));
                }
                worker.return_row(inner);
            }
        }
        Ok(())
    }

    fn hint_at_counter(&self, at: usize, row: &Row, worker: &mut Worker<'_>) {
        if self.hint == CounterHint::Off || row.present.is_empty() {
            return;
        }
        let labels = self.labels(at, &Wish::only(&[METRIC_NAME.to_owned(), "__type__".to_owned()]));
        let name = labels.metric_name();
        if name.is_empty() {
            return;
        }
        if self.hint == CounterHint::ByTypeLabel {
            let kind = labels.value("__type__");
            if kind != "counter" && kind != "histogram" {
                worker.annotations.not_typed_as_counter(name, kind, self.first_span);
            }
        } else if !looks_like_counter(name) {
            worker.annotations.not_a_counter(name, self.first_span);
        }
    }
}

/// What a sample says about the one before it is not true of the one before it in a subquery.
fn without_reset_hint(histogram: &Arc<FloatHistogram>) -> Arc<FloatHistogram> {
    match histogram.counter_reset_hint {
        CounterResetHint::Reset | CounterResetHint::NotReset => Arc::new(FloatHistogram {
            counter_reset_hint: CounterResetHint::Unknown,
            ..(**histogram).clone()
        }),
        CounterResetHint::Unknown | CounterResetHint::Gauge => Arc::clone(histogram),
    }
}

/// Writes down at each histogram what a look at the one before it says about a reset.
///
/// COMPAT: Prometheus does so where only count and sum are wanted, since it drops the buckets there; the hints show in warnings.
pub(crate) fn find_resets(batch: &mut SampleBatch) {
    let mut before: Option<Native> = None;
    for histogram in batch.histograms.iter_mut().filter(|h| !is_stale(h.sum)) {
        let current = Native::from(&**histogram);
        if let (CounterResetHint::Unknown, Some(before)) = (histogram.counter_reset_hint, &before) {
            let is_reset = current.is_reset_after(before);
            let hint = if is_reset { CounterResetHint::Reset } else { CounterResetHint::NotReset };
            *histogram = Arc::new(FloatHistogram { counter_reset_hint: hint, ..(**histogram).clone() });
        }
        before = Some(current);
    }
}

/// Whether a name ends as those of counters do.
pub(crate) fn looks_like_counter(name: &str) -> bool {
    ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix))
}

/// Whether there is a staleness marker.
///
/// PERF: without a branch a value, by the question whether a block has any NaN at all: 0.5 → 0.15 ns a sample.
fn has_stale(values: &[f64]) -> bool {
    values.chunks(64).any(|block| {
        block.iter().fold(false, |any, v| any | v.is_nan()) && block.iter().any(|v| is_stale(*v))
    })
}

/// Takes the staleness markers out of a batch.
pub(crate) fn drop_stale(batch: &mut SampleBatch) {
    if has_stale(&batch.values) {
        let keep: Vec<bool> = batch.values.iter().map(|v| !is_stale(*v)).collect();
        retain(&mut batch.t_ms, &keep);
        retain(&mut batch.start_ms, &keep);
        retain(&mut batch.values, &keep);
    }
    if batch.histograms.iter().any(|h| is_stale(h.sum)) {
        let keep: Vec<bool> = batch.histograms.iter().map(|h| !is_stale(h.sum)).collect();
        retain(&mut batch.histogram_t_ms, &keep);
        retain(&mut batch.histogram_start_ms, &keep);
        retain(&mut batch.histograms, &keep);
    }
}

fn retain<T>(column: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    column.retain(|_| keep.next().copied().unwrap_or(true));
}
