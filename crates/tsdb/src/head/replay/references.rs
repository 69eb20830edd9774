//! From references in the WAL to slots.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use narthex_model::Labels;
use narthex_storage::SeriesRef;
use rustc_hash::{FxBuildHasher, FxHashSet};

use crate::head::Head;
use crate::head::label_index::NewSeries;
use crate::head::page::GENERATION_LIMIT;
use crate::head::slab::{PageCursor, Slot, generation as generation_of, place, reference};

/// The generation of moved series while replay runs; no reference in a WAL has it.
const MOVED: u32 = GENERATION_LIMIT - 1;

/// Slots further apart than this many times the number of series would waste pages.
const SPREAD: u64 = 4;
/// Slots below this are always dense enough.
const SPREAD_FLOOR: u64 = 64 * 1024;

/// See the module's words.
#[derive(Default)]
pub(super) struct References {
    /// References whose series lies elsewhere than they say.
    elsewhere: HashMap<SeriesRef, Slot, FxBuildHasher>,
    /// Slots of moved series.
    moved: Vec<Slot>,
    /// Slots of references that only late samples or chunks name.
    burnt: FxHashSet<Slot>,
    /// Highest generation of any reference seen.
    newest_generation: u32,
}

impl References {
    /// The slot of a reference's series.
    pub(super) fn find(&self, head: &Head, series: SeriesRef) -> Option<Slot> {
        self.find_near(&mut PageCursor::new(&head.slab), series)
    }

    /// The same for references that come in runs.
    #[inline]
    pub(super) fn find_near(&self, cursor: &mut PageCursor<'_>, series: SeriesRef) -> Option<Slot> {
        if !self.elsewhere.is_empty()
            && let Some(slot) = self.elsewhere.get(&series)
        {
            return Some(*slot);
        }
        let (page, place) = cursor.find(series.0 as Slot)?;
        (page.generation(place) == Some(generation_of(series))).then_some(series.0 as Slot)
    }

    /// Takes a series record: finds or makes the series and remembers where it is. Returns the slot of one that was made.
    /// It waits in `new` for the label index.
    pub(super) fn place(
        &mut self,
        head: &Head,
        (series, labels): (SeriesRef, &Labels),
        new: &mut NewSeries,
    ) -> Option<Slot> {
        if generation_of(series) < MOVED {
            self.newest_generation = self.newest_generation.max(generation_of(series));
        }
        let hash = head.series_index.hash(labels);
        let mut part = head.series_index.lock(hash);
        if let Some(slot) = part.find(|slot| head.has_labels(slot, labels)) {
            if head.reference_of(slot) == Some(series) {
                self.elsewhere.remove(&series);
            } else {
                self.elsewhere.insert(series, slot);
            }
            return None;
        }
        if let Some(slot) = self.own_slot(head, series) {
            head.create_unindexed((slot, generation_of(series)), labels, true, new);
            part.insert(slot);
            self.elsewhere.remove(&series);
            return Some(slot);
        }
        let slot = head.slab.take_moved()?;
        head.create_unindexed((slot, MOVED), labels, false, new);
        part.insert(slot);
        self.elsewhere.insert(series, slot);
        self.moved.push(slot);
        Some(slot)
    }

    /// Makes sure that a reference which the WAL does not know, but the log of out-of-order samples does, is not given to a new
    /// series: after a power cut the WAL may have lost more than the other log.
    pub(super) fn burn(&mut self, head: &Head, series: SeriesRef) {
        if generation_of(series) < MOVED {
            self.newest_generation = self.newest_generation.max(generation_of(series));
        }
        if self.is_dense(head, series) {
            head.slab.take_at(series.0 as Slot);
            self.burnt.insert(series.0 as Slot);
        }
    }

    /// The slot that the reference names, if the series can stay there.
    fn own_slot(&self, head: &Head, series: SeriesRef) -> Option<Slot> {
        let slot = series.0 as Slot;
        let fits = self.is_dense(head, series) && generation_of(series) < MOVED;
        (fits && head.slab.take_at(slot)).then_some(slot)
    }

    fn is_dense(&self, head: &Head, series: SeriesRef) -> bool {
        u64::from(series.0 as Slot) < SPREAD_FLOOR + SPREAD * head.series_count()
    }

    /// Gives moved series references that are new to the WAL. The WAL names some series by more than one reference, in segments
    /// up to `last_segment`: as long as it does, the records of all of them stay.
    pub(super) fn finish(self, head: &Head, last_segment: u32) {
        if !self.elsewhere.is_empty() {
            head.has_aliases.store(true, Ordering::Relaxed);
        }
        for series in self.elsewhere.keys() {
            head.expire(*series, last_segment, head.max_ms());
        }
        let elsewhere: FxHashSet<Slot> = self.elsewhere.keys().map(|series| series.0 as Slot).collect();
        head.slab.free_vacant(|slot| elsewhere.contains(&slot) || self.burnt.contains(&slot));
        let generation = self.newest_generation + 1;
        for slot in &self.moved {
            if let Some(page) = head.slab.page(*slot) {
                page.set_generation(place(*slot), generation);
            }
        }
        if !self.moved.is_empty() {
            let moved = |series: SeriesRef| match generation_of(series) {
                MOVED => reference(generation, series.0 as Slot),
                _ => series,
            };
            head.exemplars.lock().rename(moved);
            tracing::info!(
                series = self.moved.len(),
                "gave new references to series whose numbers lie too far apart or twice"
            );
        }
    }
}
