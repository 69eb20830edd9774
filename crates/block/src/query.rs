//! Reading one block: matchers become series, series become samples, straight from the mapped files.
//!
//! A select reads the entries of the series it finds once: it verifies them, checks the remaining conditions, and remembers
//! labels as symbol numbers. Label texts and samples are read when somebody asks for them.

mod plan;
mod samples;
mod selection;
mod sets;
mod texts;
mod values;

use std::sync::Arc;

use narthex_model::Matcher;
use narthex_storage::{LabelSets, Querier, QueryError, SelectHints, SeriesSet};

use crate::{Block, Tombstones};

pub(crate) use plan::Plan;
pub(crate) use texts::Texts;

use selection::{BlockSeriesSet, Selection};

/// A view of a block over `[mint_ms, maxt_ms]`.
pub(crate) struct BlockQuerier {
    block: Block,
    tombstones: Arc<Tombstones>,
    mint_ms: i64,
    maxt_ms: i64,
}

impl BlockQuerier {
    pub(crate) fn new(block: Block, mint_ms: i64, maxt_ms: i64) -> Self {
        let tombstones = block.tombstones();
        Self { block, tombstones, mint_ms, maxt_ms }
    }

    fn overlaps(&self) -> bool {
        self.block.meta().overlaps(self.mint_ms, self.maxt_ms)
    }
}

impl Querier for BlockQuerier {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        let range = (self.mint_ms, self.maxt_ms);
        let selection = Selection::collect(&self.block, &self.tombstones, range, hints.limit, matchers)?;
        Ok(Box::new(BlockSeriesSet::new(self.block.clone(), Arc::clone(&self.tombstones), selection)))
    }

    fn label_sets(
        &self,
        hints: &SelectHints,
        matchers: &[Matcher],
        out: &mut LabelSets,
    ) -> Result<(), QueryError> {
        let range = (self.mint_ms, self.maxt_ms);
        Ok(sets::add_label_sets(&self.block, &self.tombstones, range, hints.limit, matchers, out)?)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
    ) -> Result<Vec<String>, QueryError> {
        self.label_values_beside(name, matchers, limit, &[])
    }

    fn label_values_beside(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
        known: &[String],
    ) -> Result<Vec<String>, QueryError> {
        if !self.overlaps() {
            return Ok(Vec::new());
        }
        Ok(values::label_values(&self.block, name, matchers, limit, known)?)
    }

    fn label_names(&self, matchers: &[Matcher], limit: usize) -> Result<Vec<String>, QueryError> {
        if !self.overlaps() {
            return Ok(Vec::new());
        }
        Ok(values::label_names(&self.block, matchers, limit)?)
    }
}
