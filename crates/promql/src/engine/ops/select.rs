//! Instant selectors: the newest sample of each series within the lookback, at every step.

use narthex_model::{Labels, METRIC_NAME, is_stale};
use narthex_storage::{SampleBatch, SeriesSet};

use super::extended::smooth;
use super::range::{drop_stale, find_resets};
use super::range_histograms::Telling;
use crate::ast::Span;
use crate::engine::context::Worker;
use crate::engine::error::QueryError;
use crate::engine::kernels::window::{Edge, Window};
use crate::engine::plan::Tell;
use crate::engine::row::{Row, RowSource, Wish, histogram_weight};
use crate::engine::steps::Steps;

/// The rows of an instant selector.
pub(crate) struct SelectRows<'q> {
    pub series: &'q dyn SeriesSet,
    pub steps: Steps,
    /// Its range is the lookback.
    pub window: Window,
    pub tell: Tell,
    pub one_name: bool,
    /// See `plan::Samples`.
    pub stats_only: bool,
    pub span: Span,
}

impl RowSource for SelectRows<'_> {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, at: usize, wish: &Wish) -> Labels {
        wish.of_series(self.series, at)
    }

    fn has_one_name(&self) -> bool {
        self.one_name
    }

    fn fill(&self, at: usize, worker: &mut Worker<'_>, row: &mut Row) -> Result<(), QueryError> {
        let Some((from, to)) = self.window.reach(&self.steps) else { return Ok(()) };
        let mut batch = worker.take_batch();
        if self.tell == Tell::Smoothed {
            self.series.read(at, from, to + self.window.range_ms, &mut batch)?;
            drop_stale(&mut batch);
            let name = self.labels(at, &Wish::only(&[METRIC_NAME.to_owned()])).metric_name().to_owned();
            let (span, first_span) = (self.span, self.span);
            let mut telling = Telling { notes: &mut worker.annotations, name, span, first_span };
            smooth(&batch, (&self.steps, &self.window), row, &mut telling);
            worker.return_batch(batch);
            return Ok(());
        }
        self.series.read_newest(at, &self.window.of_steps(&self.steps), &mut batch)?;
        if batch.histogram_t_ms.is_empty() {
            self.fill_floats(&batch, row);
        } else {
            if self.stats_only {
                find_resets(&mut batch);
            }
            self.fill_mixed(&batch, row);
        }
        let touched = row.weight();
        worker.total_queryable += touched;
        worker.read += touched;
        worker.return_batch(batch);
        Ok(())
    }
}

impl SelectRows<'_> {
    /// One pass; per step only the newest sample is looked at.
    fn fill_floats(&self, batch: &SampleBatch, row: &mut Row) {
        let (t, v) = (&batch.t_ms[..], &batch.values[..]);
        let mut edge = Edge::default();
        for step in 0..self.steps.count {
            let end = self.window.end(self.steps.at(step));
            let hi = edge.move_behind(t, end);
            if hi > 0 && t[hi - 1] > end - self.window.range_ms && !is_stale(v[hi - 1]) {
                let told = match self.tell {
                    Tell::Time => t[hi - 1] as f64 / 1000.0,
                    Tell::StartTime => batch.start_ms.get(hi - 1).copied().unwrap_or(0) as f64 / 1000.0,
                    Tell::Value | Tell::Smoothed => v[hi - 1],
                };
                row.set(step, told);
            }
        }
    }

    /// As `fill_floats`, for a series that also holds histograms: the newer of both kinds counts.
    fn fill_mixed(&self, batch: &SampleBatch, row: &mut Row) {
        let (t, ht) = (&batch.t_ms[..], &batch.histogram_t_ms[..]);
        let (mut hi, mut hhi) = (0, 0);
        for step in 0..self.steps.count {
            let end = self.window.end(self.steps.at(step));
            while hi < t.len() && t[hi] <= end {
                hi += 1;
            }
            while hhi < ht.len() && ht[hhi] <= end {
                hhi += 1;
            }
            let float_t = if hi > 0 { t[hi - 1] } else { i64::MIN };
            let histogram_t = if hhi > 0 { ht[hhi - 1] } else { i64::MIN };
            let newest = float_t.max(histogram_t);
            let histogram = (histogram_t > float_t).then(|| &batch.histograms[hhi - 1]);
            let stale =
                histogram.map_or_else(|| hi > 0 && is_stale(batch.values[hi - 1]), |h| is_stale(h.sum));
            if newest <= end - self.window.range_ms || stale {
                continue;
            }
            match (self.tell, histogram) {
                (Tell::Time, _) => row.set(step, newest as f64 / 1000.0),
                (Tell::StartTime, of_histogram) => {
                    let (starts, at) = match of_histogram {
                        Some(_) => (&batch.histogram_start_ms, hhi - 1),
                        None => (&batch.start_ms, hi - 1),
                    };
                    row.set(step, starts.get(at).copied().unwrap_or(0) as f64 / 1000.0);
                }
                (_, Some(h)) => row.histograms.push((step as u32, std::sync::Arc::clone(h))),
                (_, None) => row.set(step, batch.values[hi - 1]),
            }
        }
        debug_assert!(row.histograms.iter().all(|(_, h)| histogram_weight(h) > 0));
    }
}
