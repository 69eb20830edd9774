//! From references in the WAL to slots.
//!
//! Until the log is read to its end, nobody knows which slots it names; a series that cannot stay where the log has it lies in
//! the upper half meanwhile. At the end it goes to a slot of the lower half, under a reference that the log has for it or has for
//! nobody.
//! Always true: whatever starts there are, references stay below 2^40, and a series that moved once stays: the next start finds
//! the reference that it got (as soon as a sample was logged under it).

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use narthex_model::Labels;
use narthex_storage::SeriesRef;
use rustc_hash::{FxBuildHasher, FxHashSet};
use smallvec::SmallVec;

use crate::head::Head;
use crate::head::label_index::{Gone, NewSeries};
use crate::head::page::GENERATION_LIMIT;
use crate::head::slab::{
    GENERATION_MAX, MOVED as UPPER_HALF, PageCursor, Slot, generation as generation_of, place, reference,
};

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
    /// The references that the WAL has for moved series, oldest first.
    names: HashMap<Slot, SmallVec<[SeriesRef; 2]>, FxBuildHasher>,
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
        let hash = head.series_index.hash(labels);
        let mut part = head.series_index.lock(hash);
        if let Some(slot) = part.find(|slot| head.has_labels(slot, labels)) {
            if head.reference_of(slot) == Some(series) {
                self.elsewhere.remove(&series);
            } else {
                self.lead_elsewhere(head, series, slot);
            }
            if slot >= UPPER_HALF {
                self.names.entry(slot).or_default().push(series);
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
        self.lead_elsewhere(head, series, slot);
        self.names.entry(slot).or_default().push(series);
        self.moved.push(slot);
        Some(slot)
    }

    /// From here on the log means the series at `slot` by the reference. Whoever lies where it says must be logged again before its
    /// next sample, else the next start would take that for one of `slot`.
    fn lead_elsewhere(&mut self, head: &Head, series: SeriesRef, slot: Slot) {
        self.elsewhere.insert(series, slot);
        let own = series.0 as Slot;
        if let Some(page) = head.slab.page(own)
            && page.generation(place(own)) == Some(generation_of(series))
        {
            page.set_logged(place(own), false);
        }
    }

    /// Makes sure that a reference which the WAL does not know, but the log of out-of-order samples does, is not given to a new
    /// series: after a power cut the WAL may have lost more than the other log.
    pub(super) fn burn(&mut self, head: &Head, series: SeriesRef) {
        if self.is_dense(head, series) {
            head.slab.take_at(series.0 as Slot);
            self.burnt.insert(series.0 as Slot);
        }
    }

    /// The slot that the reference names, if the series can stay there.
    fn own_slot(&self, head: &Head, series: SeriesRef) -> Option<Slot> {
        let slot = series.0 as Slot;
        let fits = self.is_dense(head, series) && generation_of(series) <= GENERATION_MAX;
        (fits && head.slab.take_at(slot)).then_some(slot)
    }

    fn is_dense(&self, head: &Head, series: SeriesRef) -> bool {
        u64::from(series.0 as Slot) < SPREAD_FLOOR + SPREAD * head.series_count()
    }

    /// Gives moved series slots and references that are new to the WAL, or that it names them by already. The WAL names some series
    /// by more than one reference, in segments up to `last_segment`: as long as it does, the records of all of them stay.
    pub(super) fn finish(mut self, head: &Head, last_segment: u32) {
        if !self.elsewhere.is_empty() {
            head.has_aliases.store(true, Ordering::Relaxed);
        }
        let named = self.elsewhere.keys().map(|series| series.0 as Slot).chain(self.burnt.drain());
        head.slab.free_vacant(named.collect());
        let moves = self.moves(head);
        for to in moves.iter().map(|m| m.to) {
            self.elsewhere.remove(&to);
        }
        for series in self.elsewhere.keys() {
            head.expire(*series, last_segment, head.max_ms());
        }
        if !moves.is_empty() {
            tracing::info!(
                series = moves.len(),
                "gave new references to series whose numbers lie too far apart or twice"
            );
            move_all(head, &moves);
        }
    }

    /// Where each moved series goes.
    fn moves(&self, head: &Head) -> Vec<Move> {
        let mut taken = FxHashSet::default();
        let place = |from: &Slot| {
            // PERF: also one that was moved because its slot seemed too far off when few series were known.
            let mut names = self.names.get(from).into_iter().flatten().rev();
            let known = names
                .find(|name| {
                    // The log may mean another series by it meanwhile.
                    self.elsewhere.get(name) == Some(from)
                        && self.own_slot(head, **name).is_some_and(|slot| taken.insert(slot))
                })
                .copied();
            Some(Move { from: *from, to: known.or_else(|| head.slab.take())?, is_logged: known.is_some() })
        };
        self.moved.iter().filter_map(place).collect()
    }
}

/// A series on its way to where it stays.
struct Move {
    from: Slot,
    to: SeriesRef,
    /// Whether the WAL knows it by its new reference.
    is_logged: bool,
}

/// Takes series to other slots, before anybody else knows them.
fn move_all(head: &Head, moves: &[Move]) {
    let (mut gone, mut slots, mut new) = (Gone::new(), Vec::new(), NewSeries::default());
    for Move { from, to, is_logged } in moves {
        let slot = to.0 as Slot;
        let (Some(old), Some(page)) = (head.slab.page(*from), head.slab.page(slot)) else { continue };
        let moving = old.take_out(place(*from));
        let labels = head.symbols.read().labels(&moving.labels);
        let mut part = head.series_index.lock(head.series_index.hash(&labels));
        part.remove(*from);
        part.insert(slot);
        new.push(slot, |pairs| pairs.extend(head.symbols.read().pairs(&moving.labels)));
        gone.extend(head.symbols.read().pairs(&moving.labels).map(|(name, value)| (name, value, *from)));
        slots.push(*from);
        page.put_in(place(slot), generation_of(*to), *is_logged, moving);
    }
    // The new ones first: no name or value becomes empty.
    head.label_index.insert_all(&new);
    head.label_index.remove(gone, &slots);
    let names: HashMap<SeriesRef, SeriesRef, FxBuildHasher> =
        moves.iter().map(|m| (reference(MOVED, m.from), m.to)).collect();
    head.exemplars.lock().rename(|series| names.get(&series).copied().unwrap_or(series));
}
