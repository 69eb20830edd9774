//! Whether a sample fits into a chunk of histograms, and how.
//!
//! COMPAT: what fits, and in which order the reasons against it are looked for, is Prometheus': the header of the next chunk
//! tells of it.

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, is_stale};

use super::align::{Alignment, Compare, align};
use super::counts::{Counts, Misfit, View};
use super::open::OpenChunkOf;

/// How both sides of a sample that fits lie to the chunk.
#[derive(Default)]
pub(super) struct Fit {
    pub(super) positive: Alignment,
    pub(super) negative: Alignment,
}

impl Fit {
    pub(super) fn chunk_grows(&self) -> bool {
        self.positive.chunk_grows || self.negative.chunk_grows
    }

    pub(super) fn sample_grows(&self) -> bool {
        self.positive.sample_grows || self.negative.sample_grows
    }
}

impl<C: Counts> OpenChunkOf<C> {
    pub(super) fn fit_counter(&self, view: &View<'_, C>) -> Result<Fit, Misfit> {
        if self.header == CounterResetHint::Gauge {
            return Err(Misfit::Gauge);
        }
        if view.hint == CounterResetHint::Reset {
            return Err(Misfit::Reset);
        }
        if view.is_stale() {
            return Ok(Fit::default());
        }
        if is_stale(self.sum.value()) {
            return Err(Misfit::Stale);
        }
        if view.count < self.counts.count() {
            return Err(Misfit::Reset);
        }
        self.fit_schema(view)?;
        if self.layout.schema == CUSTOM_BUCKETS_SCHEMA && *self.layout.custom_values != *view.custom_values
            || view.zero_count < self.counts.zero_count()
        {
            return Err(Misfit::Reset);
        }
        self.align(view, Compare::Counts).ok_or(Misfit::Reset)
    }

    pub(super) fn fit_gauge(&self, view: &View<'_, C>) -> Result<Fit, Misfit> {
        if self.header != CounterResetHint::Gauge {
            return Err(Misfit::Gauge);
        }
        if view.is_stale() {
            return Ok(Fit::default());
        }
        if is_stale(self.sum.value()) {
            return Err(Misfit::Stale);
        }
        self.fit_schema(view)?;
        if self.layout.schema == CUSTOM_BUCKETS_SCHEMA && *self.layout.custom_values != *view.custom_values {
            return Err(Misfit::Schema);
        }
        self.align(view, Compare::Layout).ok_or(Misfit::Reset)
    }

    pub(super) fn fit_schema(&self, view: &View<'_, C>) -> Result<(), Misfit> {
        match view.schema == self.layout.schema && view.zero_threshold == self.layout.zero_threshold {
            true => Ok(()),
            false => Err(Misfit::Schema),
        }
    }

    fn align(&self, view: &View<'_, C>, compare: Compare) -> Option<Fit> {
        let count = self.layout.positive_buckets();
        let buckets = self.counts.buckets();
        let positive = (&*self.layout.positive, buckets.clone().take(count));
        let negative = (&*self.layout.negative, buckets.skip(count));
        Some(Fit {
            positive: align::<C>(positive, view.positive, compare)?,
            negative: align::<C>(negative, view.negative, compare)?,
        })
    }
}
