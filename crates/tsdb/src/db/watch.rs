//! A block's querier that reports corruption, so that the block goes into quarantine and the next query is served the rest.
//!
//! Used only when corrupt blocks are to be put aside; else a query that needs a corrupt part fails each time, as in Prometheus.
//! PERF: one more call a series read.

use std::sync::Arc;

use narthex_block::Ulid;
use narthex_model::{Labels, Matcher};
use narthex_storage::{
    LabelSets, Querier, QueryError, SampleBatch, SelectHints, SeriesSet, StoredChunk, Windows,
};

use super::blocks::Blocks;

/// Whose errors are watched.
#[derive(Clone)]
struct Watch {
    block: Ulid,
    blocks: Arc<Blocks>,
}

impl Watch {
    fn look<T>(&self, read: Result<T, QueryError>) -> Result<T, QueryError> {
        if let Err(QueryError::Corrupt(reason)) = &read {
            self.blocks.withdraw(self.block, reason);
        }
        read
    }
}

/// Watches what a querier of a block answers.
pub(super) fn watched(querier: Box<dyn Querier>, block: Ulid, blocks: &Arc<Blocks>) -> Box<dyn Querier> {
    Box::new(Watched { inner: querier, watch: Watch { block, blocks: Arc::clone(blocks) } })
}

struct Watched<T: ?Sized> {
    watch: Watch,
    inner: Box<T>,
}

impl Querier for Watched<dyn Querier> {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        let inner = self.watch.look(self.inner.select(hints, matchers))?;
        Ok(Box::new(Watched { watch: self.watch.clone(), inner }))
    }

    fn label_sets(
        &self,
        hints: &SelectHints,
        matchers: &[Matcher],
        out: &mut LabelSets,
    ) -> Result<(), QueryError> {
        self.watch.look(self.inner.label_sets(hints, matchers, out))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
    ) -> Result<Vec<String>, QueryError> {
        self.watch.look(self.inner.label_values(name, matchers, limit))
    }

    fn label_values_beside(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
        known: &[String],
    ) -> Result<Vec<String>, QueryError> {
        self.watch.look(self.inner.label_values_beside(name, matchers, limit, known))
    }

    fn label_names(&self, matchers: &[Matcher], limit: usize) -> Result<Vec<String>, QueryError> {
        self.watch.look(self.inner.label_names(matchers, limit))
    }
}

impl SeriesSet for Watched<dyn SeriesSet> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn labels(&self, at: usize) -> Labels {
        self.inner.labels(at)
    }

    fn labels_named(&self, at: usize, names: &[String]) -> Labels {
        self.inner.labels_named(at, names)
    }

    fn labels_but(&self, at: usize, names: &[String]) -> Labels {
        self.inner.labels_but(at, names)
    }

    fn read(&self, at: usize, mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        self.watch.look(self.inner.read(at, mint_ms, maxt_ms, out))
    }

    fn read_windows(&self, at: usize, windows: &Windows, out: &mut SampleBatch) -> Result<(), QueryError> {
        self.watch.look(self.inner.read_windows(at, windows, out))
    }

    fn chunks<'a>(
        &'a self,
        at: usize,
        mint_ms: i64,
        maxt_ms: i64,
        out: &mut Vec<StoredChunk<'a>>,
    ) -> Result<(), QueryError> {
        self.watch.look(self.inner.chunks(at, mint_ms, maxt_ms, out))
    }

    fn read_newest(&self, at: usize, windows: &Windows, out: &mut SampleBatch) -> Result<(), QueryError> {
        self.watch.look(self.inner.read_newest(at, windows, out))
    }
}
