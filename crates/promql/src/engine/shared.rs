//! What a query reads in several places is read and decoded once: `(a - b) / a`, `sum(rate(x[5m])) / count(rate(x[5m]))`.
//!
//! The plan lists the readings that it has more than once. The first place keeps its rows for the others as long as they are
//! wanted, when they are few ([`MOST_CELLS`]): reading again costs time, keeping what would else be dropped row by row costs memory.
//! Always true: a reading that has something to tell (annotations name a place in the query) is made at each place for itself.
//! Samples count at each place, as in Prometheus.

use std::cell::RefCell;
use std::sync::Arc;

use narthex_model::Labels;

use super::block::Block;
use super::context::{QueryContext, Worker};
use super::error::QueryError;
use super::kernels::window::Window;
use super::row::{Row, RowSource, Rows, Wish};
use super::steps::Steps;
use crate::functions_table::Function;

/// The most row × step cells that are kept for another place, 8 MiB of values. A row counts [`ROW_CELLS`] more.
const MOST_CELLS: usize = 1 << 20;
/// The labels and bookkeeping of a row, in cells.
const ROW_CELLS: usize = 32;

/// A selector as one place reads it, or a function of a range of it without other parameters. Equal readings give equal rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    pub select: usize,
    pub window: Window,
    pub steps: Steps,
    /// `None` for an instant selector.
    pub function: Option<Function>,
    /// See `plan::Samples`.
    pub stats_only: bool,
}

/// The readings of a query that are there more than once.
pub(crate) struct Shared {
    readings: RefCell<Vec<Place>>,
}

struct Place {
    reading: Reading,
    /// How many places have not asked yet.
    left: usize,
    kept: Option<Kept>,
    /// Each place reads for itself.
    is_refused: bool,
}

struct Kept {
    rows: Arc<Block>,
    /// What reading them counted: all samples of the windows, and samples read.
    counted: (u64, u64),
}

impl Shared {
    /// Nothing is read yet.
    pub(crate) fn new(all: &[Reading]) -> Self {
        let mut readings: Vec<Place> = Vec::new();
        for reading in all {
            match readings.iter_mut().find(|place| place.reading == *reading) {
                Some(place) => place.left += 1,
                None => readings.push(Place { reading: *reading, left: 1, kept: None, is_refused: false }),
            }
        }
        readings.retain(|place| place.left > 1);
        Self { readings: RefCell::new(readings) }
    }

    /// The rows of a reading: kept ones, or those that `make` gives.
    pub(crate) fn rows<'q>(
        &self,
        ctx: &QueryContext<'_>,
        reading: &Reading,
        make: impl FnOnce() -> Result<Rows<'q>, QueryError>,
    ) -> Result<Rows<'q>, QueryError> {
        let Some(at) = self.readings.borrow().iter().position(|p| p.reading == *reading && !p.is_refused)
        else {
            return make();
        };
        let is_last = self.count_down(at);
        if let Some(rows) = self.take(ctx, at, is_last) {
            return Ok(rows);
        }
        let rows = make()?;
        let cells = rows.len().saturating_mul(rows.steps().count + ROW_CELLS);
        if is_last || cells > MOST_CELLS {
            self.readings.borrow_mut()[at].is_refused = true;
            return Ok(rows);
        }
        self.keep(ctx, at, &*rows)
    }

    /// Says whether no other place will ask.
    fn count_down(&self, at: usize) -> bool {
        let place = &mut self.readings.borrow_mut()[at];
        place.left = place.left.saturating_sub(1);
        place.left == 0
    }

    fn take<'q>(&self, ctx: &QueryContext<'_>, at: usize, is_last: bool) -> Option<Rows<'q>> {
        let place = &mut self.readings.borrow_mut()[at];
        let kept = place.kept.as_ref()?;
        ctx.count_samples(kept.counted);
        let rows = Arc::clone(&kept.rows);
        if is_last {
            place.kept = None;
        }
        Some(Box::new(SharedRows(rows)))
    }

    fn keep<'q>(
        &self,
        ctx: &QueryContext<'_>,
        at: usize,
        rows: &dyn RowSource,
    ) -> Result<Rows<'q>, QueryError> {
        let (told, before) = (ctx.annotations_told(), ctx.sample_stats());
        let rows = Arc::new(Block::beside(ctx, rows)?);
        let place = &mut self.readings.borrow_mut()[at];
        if ctx.annotations_told() == told {
            let after = ctx.sample_stats();
            let counted = (after.total_queryable - before.total_queryable, after.read - before.read);
            place.kept = Some(Kept { rows: Arc::clone(&rows), counted });
        } else {
            place.is_refused = true;
        }
        Ok(Box::new(SharedRows(rows)))
    }
}

/// Rows that several places read.
struct SharedRows(Arc<Block>);

impl RowSource for SharedRows {
    fn steps(&self) -> Steps {
        self.0.steps()
    }

    fn len(&self) -> usize {
        RowSource::len(&*self.0)
    }

    fn labels(&self, at: usize, wish: &Wish) -> Labels {
        self.0.labels(at, wish)
    }

    fn drops_name(&self, at: usize) -> bool {
        self.0.drops_name(at)
    }

    fn has_one_name(&self) -> bool {
        self.0.has_one_name()
    }

    fn fill(&self, at: usize, worker: &mut Worker<'_>, row: &mut Row) -> Result<(), QueryError> {
        self.0.fill(at, worker, row)
    }
}
