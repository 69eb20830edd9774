//! Rows that are all there at once, for operators that must see them together, and what is done to such rows.
//!
//! Always true: what a block holds is charged to the query's account until the block is dropped.

use std::collections::hash_map::Entry;

use narthex_model::Labels;

use super::context::{QueryContext, Worker};
use super::drive::{RowSink, drive};
use super::error::QueryError;
use super::label_map::{LabelMap, map_for, set_for};
pub(crate) use super::memory::Charge;
use super::memory::row_bytes;
use super::row::{Row, RowSource, Wish};
use super::steps::Steps;

/// Rows that are there already.
pub(crate) struct Block {
    /// The steps of every row.
    pub steps: Steps,
    /// The rows.
    pub rows: Vec<BlockRow>,
    /// See [`RowSource::has_one_name`].
    pub one_name: bool,
    /// Held until the block is dropped.
    _charge: Charge,
}

/// One row of a [`Block`].
#[derive(Clone, Debug)]
pub(crate) struct BlockRow {
    /// All its labels.
    pub labels: Labels,
    /// See [`RowSource::drops_name`].
    pub drops_name: bool,
    /// Its values.
    pub row: Row,
}

impl Block {
    /// A block of these rows; empty ones are left out.
    pub(crate) fn new(
        ctx: &QueryContext<'_>,
        steps: Steps,
        mut rows: Vec<BlockRow>,
    ) -> Result<Self, QueryError> {
        rows.retain(|r| !r.row.is_empty());
        let mut charge = Charge::new(ctx);
        for r in &rows {
            charge.add_row(&r.labels, &r.row)?;
        }
        Ok(Self { steps, rows, one_name: false, _charge: charge })
    }

    /// Makes all rows of a source, in order; empty ones are left out.
    pub(crate) fn of(ctx: &QueryContext<'_>, source: &dyn RowSource) -> Result<Self, QueryError> {
        let mut sink = Collect { source, rows: Vec::new(), charge: Charge::new(ctx), counts_samples: true };
        drive(ctx, source, &mut sink)?;
        let (rows, charge) = (sink.rows, sink.charge);
        Ok(Self { steps: source.steps(), rows, one_name: source.has_one_name(), _charge: charge })
    }

    /// As [`Block::of`], but kept beside what counts the samples: only bytes are charged.
    pub(crate) fn beside(ctx: &QueryContext<'_>, source: &dyn RowSource) -> Result<Self, QueryError> {
        let mut sink = Collect { source, rows: Vec::new(), charge: Charge::new(ctx), counts_samples: false };
        drive(ctx, source, &mut sink)?;
        let (rows, charge) = (sink.rows, sink.charge);
        Ok(Self { steps: source.steps(), rows, one_name: source.has_one_name(), _charge: charge })
    }

    /// Puts rows with equal labels together into one, at the place of the first.
    ///
    /// # Errors
    /// Two of them have a sample at one step.
    pub(crate) fn merge_equal_labels(&mut self) -> Result<(), QueryError> {
        let mut places: LabelMap<Labels, usize> = map_for(self.rows.len());
        let mut kept: Vec<BlockRow> = Vec::with_capacity(self.rows.len());
        for row in self.rows.drain(..) {
            match places.entry(row.labels.clone()) {
                Entry::Vacant(free) => {
                    free.insert(kept.len());
                    kept.push(row);
                }
                Entry::Occupied(old) => {
                    let old = &mut kept[*old.get()];
                    // COMPAT: whether the name goes at the end is what the sample of the first step says.
                    if row.row.occupied().first() < old.row.occupied().first() {
                        old.drops_name = row.drops_name;
                    }
                    merge_rows(&mut old.row, &row.row)?;
                }
            }
        }
        self.rows = kept;
        Ok(())
    }

    /// Fails when two rows have equal labels.
    pub(crate) fn refuse_equal_labels(&self) -> Result<(), QueryError> {
        let mut seen = set_for(self.rows.len());
        if self.rows.iter().all(|r| seen.insert(&r.labels)) {
            Ok(())
        } else {
            Err(QueryError::same_labelset())
        }
    }
}

/// Rows on their way into a block, charged as they come.
pub(crate) struct RowList {
    rows: Vec<BlockRow>,
    charge: Charge,
}

impl RowList {
    pub(crate) fn new(ctx: &QueryContext<'_>) -> Self {
        Self { rows: Vec::new(), charge: Charge::new(ctx) }
    }

    /// Adds a row. Its samples are counted when the block is made.
    pub(crate) fn push(&mut self, row: BlockRow) -> Result<(), QueryError> {
        self.charge.add_bytes(row_bytes(&row.labels, &row.row))?;
        self.rows.push(row);
        Ok(())
    }

    /// The block of all rows.
    pub(crate) fn into_block(mut self, ctx: &QueryContext<'_>, steps: Steps) -> Result<Block, QueryError> {
        self.charge.hand_over_bytes();
        Block::new(ctx, steps, self.rows)
    }
}

/// Adds the samples of `from` to `into`.
///
/// # Errors
/// Both have a sample at one step.
pub(crate) fn merge_rows(into: &mut Row, from: &Row) -> Result<(), QueryError> {
    if into.occupied().first_common(&from.occupied()).is_some() {
        return Err(QueryError::same_labelset());
    }
    for step in from.present.iter() {
        into.set(step, from.values[step]);
    }
    into.histograms.extend(from.histograms.iter().cloned());
    into.histograms.sort_by_key(|(step, _)| *step);
    Ok(())
}

impl RowSource for Block {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn labels(&self, at: usize, wish: &Wish) -> Labels {
        wish.apply(&self.rows[at].labels)
    }

    fn drops_name(&self, at: usize) -> bool {
        self.rows[at].drops_name
    }

    fn has_one_name(&self) -> bool {
        self.one_name
    }

    fn fill(&self, at: usize, _: &mut Worker<'_>, row: &mut Row) -> Result<(), QueryError> {
        row.copy_from(&self.rows[at].row);
        Ok(())
    }
}

/// Takes all rows as they come.
struct Collect<'a> {
    source: &'a dyn RowSource,
    rows: Vec<BlockRow>,
    charge: Charge,
    counts_samples: bool,
}

impl RowSink for Collect<'_> {
    fn wish(&self) -> Wish {
        Wish::all()
    }

    fn accept(&mut self, at: usize, labels: Labels, row: &mut Row) -> Result<(), QueryError> {
        if self.counts_samples {
            self.charge.add_row(&labels, row)?;
        } else {
            self.charge.add_bytes(row_bytes(&labels, row))?;
        }
        let drops_name = self.source.drops_name(at);
        self.rows.push(BlockRow { labels, drops_name, row: std::mem::take(row) });
        Ok(())
    }
}
