//! `absent`, `absent_over_time`, `scalar`: what depends only on how many series there are.

use narthex_model::Labels;

use crate::engine::block::{Block, BlockRow};
use crate::engine::context::QueryContext;
use crate::engine::drive::{RowSink, drive};
use crate::engine::error::QueryError;
use crate::engine::row::{Row, RowSource, Wish};
use crate::engine::steps::Mask;

/// One series that is 1 wherever no row of `input` has a sample.
pub(crate) fn absent(
    ctx: &QueryContext<'_>,
    labels: &Labels,
    input: &dyn RowSource,
) -> Result<Block, QueryError> {
    let steps = input.steps();
    let mut sink = Seen { mask: Mask::none(steps.count), steps: steps.count, full: false };
    drive(ctx, input, &mut sink)?;
    let mut row = Row::default();
    row.reset(steps.count);
    for step in (0..steps.count).filter(|step| !sink.mask.get(*step)) {
        row.set(step, 1.0);
    }
    Block::new(ctx, steps, vec![BlockRow { labels: labels.clone(), drops_name: false, row }])
}

struct Seen {
    mask: Mask,
    steps: usize,
    full: bool,
}

impl RowSink for Seen {
    fn wish(&self) -> Wish {
        Wish::none()
    }

    fn accept(&mut self, _: usize, _: Labels, row: &mut Row) -> Result<(), QueryError> {
        self.mask.add(&row.occupied());
        self.full = self.mask.count() == self.steps;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.full
    }
}

/// At each step the float of the only row that has one, NaN when none or several have.
pub(crate) fn only_value(ctx: &QueryContext<'_>, input: &dyn RowSource) -> Result<Vec<f64>, QueryError> {
    let count = input.steps().count;
    let mut sink = Only { values: vec![f64::NAN; count], seen: Mask::none(count) };
    drive(ctx, input, &mut sink)?;
    Ok(sink.values)
}

struct Only {
    values: Vec<f64>,
    seen: Mask,
}

impl RowSink for Only {
    fn wish(&self) -> Wish {
        Wish::none()
    }

    fn accept(&mut self, _: usize, _: Labels, row: &mut Row) -> Result<(), QueryError> {
        for step in row.present.iter() {
            self.values[step] = if self.seen.get(step) { f64::NAN } else { row.values[step] };
        }
        self.seen.add(&row.present);
        Ok(())
    }
}
