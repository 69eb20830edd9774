//! From label sets and references to series, and back: finding one, and making one that is not there.
//!
//! Always true: a label set has one series at a time, made under the lock of its part of the index; what an appender found does
//! not leave before that appender. Must not know: samples, the logs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use narthex_model::{Labels, Metadata};
use narthex_storage::{AppendError, SeriesRef};

use super::Head;
use super::label_index::NewSeries;
use super::page::Page;
use super::slab::{Slot, generation, place, reference};

impl Head {
    /// The reference of a label set, old or new. For an appender, whose presence keeps the series from leaving.
    pub(super) fn get_or_create(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        if labels.is_empty() {
            return Err(AppendError::InvalidLabels("empty labelset".to_owned()));
        }
        let hash = self.series_index.hash(labels);
        let mut found = None;
        let mut is_it = |slot| {
            found = self.hold(slot, labels);
            found.is_some()
        };
        self.series_index.find(hash, &mut is_it);
        if let Some(series) = found {
            return Ok(series);
        }
        let mut part = self.series_index.lock(hash);
        let mut is_it = |slot| {
            found = self.hold(slot, labels);
            found.is_some()
        };
        part.find(&mut is_it);
        if let Some(series) = found {
            return Ok(series);
        }
        let full = || AppendError::Unavailable("the head has no room for another series".to_owned());
        let series = self.slab.take().ok_or_else(full)?;
        let slot = series.0 as Slot;
        self.create(slot, generation(series), labels, false);
        if let Some(early_ms) = self.expiries.lock().early_ms(hash)
            && let Some(page) = self.slab.page(slot)
        {
            page.claim(place(slot), early_ms);
        }
        part.insert(slot);
        Ok(series)
    }

    /// The series in a slot if it has these labels; it does not leave before the caller, an appender. The lock of its part of
    /// the index is held, without which no series leaves.
    fn hold(&self, slot: Slot, labels: &Labels) -> Option<SeriesRef> {
        if !self.has_labels(slot, labels) {
            return None;
        }
        let (page, at) = (self.slab.page(slot)?, place(slot));
        let generation = page.generation(at)?;
        (page.is_safe(at, generation) || page.rescue(at, generation)).then(|| reference(generation, slot))
    }

    /// Makes a series in a free slot. The caller holds the lock of its label set in the index.
    pub(super) fn create(&self, slot: Slot, generation: u32, labels: &Labels, logged: bool) {
        let packed = self.symbols.acquire(labels);
        let page = self.slab.page(slot).expect("slots are handed out with their page");
        page.occupy(place(slot), generation, &packed, logged);
        let pairs: smallvec::SmallVec<[(u32, u32); 24]> = self.symbols.read().pairs(&packed).collect();
        self.label_index.insert(slot, pairs.into_iter());
        self.series_count.fetch_add(1, Ordering::Relaxed);
        self.metrics.series_created.inc();
    }

    /// The same for replay: the series waits in `new` until it is added to the label index.
    pub(super) fn create_unindexed(
        &self,
        (slot, generation): (Slot, u32),
        labels: &Labels,
        logged: bool,
        new: &mut NewSeries,
    ) {
        let packed = new.push(slot, |pairs| self.symbols.acquire_pairs(labels, pairs));
        let page = self.slab.page(slot).expect("slots are handed out with their page");
        page.occupy(place(slot), generation, &packed, logged);
        self.series_count.fetch_add(1, Ordering::Relaxed);
        self.metrics.series_created.inc();
    }

    pub(super) fn has_labels(&self, slot: Slot, labels: &Labels) -> bool {
        let Some(page) = self.slab.page(slot) else { return false };
        let packed = page.rows.lock().copy_labels(place(slot));
        self.symbols.read().equals(&packed, labels)
    }

    /// The page and slot of a reference that an appender was given. The series does not leave before the appender.
    #[inline]
    pub(super) fn find_series(&self, series: SeriesRef) -> Result<(&Page, Slot), AppendError> {
        let slot = series.0 as Slot;
        match self.slab.page(slot) {
            Some(page) if page.is_safe(place(slot), generation(series)) => Ok((page, slot)),
            page => self.rescue(page, series),
        }
    }

    #[cold]
    fn rescue<'a>(&self, page: Option<&'a Page>, series: SeriesRef) -> Result<(&'a Page, Slot), AppendError> {
        let slot = series.0 as Slot;
        match page.filter(|page| page.rescue(place(slot), generation(series))) {
            Some(page) => Ok((page, slot)),
            None => {
                self.metrics.series_not_found.inc();
                Err(AppendError::UnknownSeries)
            }
        }
    }

    pub(super) fn reference_of(&self, slot: Slot) -> Option<SeriesRef> {
        Some(reference(self.slab.page(slot)?.generation(place(slot))?, slot))
    }

    /// The labels of a series, read under the page's lock and turned to text after it. The caller keeps the series from leaving.
    pub(super) fn labels_of(&self, page: &Page, at: usize) -> Labels {
        let packed = page.rows.lock().copy_labels(at);
        self.symbols.read().labels(&packed)
    }

    /// The labels of a reference; `None` when there is no such series.
    pub(crate) fn labels(&self, series: SeriesRef) -> Option<Labels> {
        let _present = self.readers.enter();
        let page = self.slab.page(series.0 as Slot)?;
        let packed =
            page.lock(place(series.0 as Slot), generation(series))?.copy_labels(place(series.0 as Slot));
        Some(self.symbols.read().labels(&packed))
    }

    /// What was last said about a series' family.
    pub(crate) fn series_metadata(&self, series: SeriesRef) -> Option<Arc<Metadata>> {
        let at = place(series.0 as Slot);
        let number = self.slab.page(series.0 as Slot)?.lock(at, generation(series))?.series(at).metadata;
        self.metadata.get(number)
    }
}
