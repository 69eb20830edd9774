//! Rows computed at one step and shown at all.

use narthex_model::Labels;

use crate::engine::context::Worker;
use crate::engine::error::QueryError;
use crate::engine::row::{Row, RowSource, Rows, Wish};
use crate::engine::steps::Steps;

/// The one-step rows of `input` at every step.
pub(crate) struct RepeatedRows<'q> {
    pub input: Rows<'q>,
    pub steps: Steps,
}

impl RowSource for RepeatedRows<'_> {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn len(&self) -> usize {
        self.input.len()
    }

    fn labels(&self, at: usize, wish: &Wish) -> Labels {
        self.input.labels(at, wish)
    }

    fn drops_name(&self, at: usize) -> bool {
        self.input.drops_name(at)
    }

    fn has_one_name(&self) -> bool {
        self.input.has_one_name()
    }

    fn fill(&self, at: usize, worker: &mut Worker<'_>, row: &mut Row) -> Result<(), QueryError> {
        let mut once = worker.take_row(1);
        let before = worker.total_queryable;
        self.input.fill(at, worker, &mut once)?;
        // Each step had these samples; they were read once.
        worker.total_queryable = before + (worker.total_queryable - before) * self.steps.count as u64;
        if once.present.get(0) {
            row.values.fill(once.values[0]);
            row.present.set_all(self.steps.count);
        } else if let Some((_, histogram)) = once.histograms.first() {
            let all = (0..self.steps.count as u32).map(|step| (step, std::sync::Arc::clone(histogram)));
            row.histograms.extend(all);
        }
        worker.return_row(once);
        Ok(())
    }
}
