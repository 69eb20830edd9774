//! What is kept of the series of the head, by slot: 8 bytes each.
//!
//! PERF: slots are dense, so rows lie in pages that are found through a small hash map; samples come in runs of neighbouring slots,
//! and the last page is remembered.

use narthex_storage::SeriesRef;
use rustc_hash::FxHashMap;

use crate::place::{Owner, Place, slot_of};

const PAGE: usize = 1024;

/// A series of the head.
#[derive(Clone, Copy, Default)]
struct Row {
    /// The segment of its newest record.
    segment: u32,
    lane: u16,
    generation: u8,
    is_known: bool,
}

/// See the module's words.
#[derive(Default)]
pub(super) struct Rows {
    pages: FxHashMap<u32, u32>,
    rows: Vec<Box<[Row; PAGE]>>,
    last: Option<(u32, u32)>,
}

impl Rows {
    /// The place of a reference.
    #[inline]
    pub(super) fn place(&mut self, series: SeriesRef) -> Option<Place> {
        let (slot, generation) = slot_of(series)?;
        let page = slot / PAGE as u32;
        let at = match self.last {
            Some((last, at)) if last == page => at,
            _ => {
                let at = *self.pages.get(&page)?;
                self.last = Some((page, at));
                at
            }
        };
        let row = self.rows[at as usize][slot as usize % PAGE];
        let place = Place { number: Owner::Head(slot).number(), lane: row.lane, version: generation };
        (row.is_known && row.generation == generation).then_some(place)
    }

    /// The reference of the series in a slot.
    pub(super) fn reference(&self, slot: u32) -> Option<SeriesRef> {
        let row = self.rows[*self.pages.get(&(slot / PAGE as u32))? as usize][slot as usize % PAGE];
        row.is_known.then(|| SeriesRef(u64::from(row.generation) << 32 | u64::from(slot)))
    }

    /// Takes a reference, in the place of an earlier one in its slot; `None` for one that cannot have a slot.
    pub(super) fn insert(&mut self, series: SeriesRef, lane: u16, segment: u32) -> Option<Place> {
        let (slot, generation) = slot_of(series)?;
        let at = *self.pages.entry(slot / PAGE as u32).or_insert_with(|| {
            self.rows.push(Box::new([Row::default(); PAGE]));
            self.rows.len() as u32 - 1
        });
        let row = &mut self.rows[at as usize][slot as usize % PAGE];
        let is_again = row.is_known && row.generation == generation;
        let segment = if is_again { segment.max(row.segment) } else { segment };
        *row = Row { segment, lane, generation, is_known: true };
        self.place(series)
    }

    /// Forgets a reference.
    pub(super) fn remove(&mut self, series: SeriesRef) {
        let Some((slot, _)) = slot_of(series).filter(|_| self.place(series).is_some()) else { return };
        let at = self.pages[&(slot / PAGE as u32)];
        self.rows[at as usize][slot as usize % PAGE].is_known = false;
    }

    /// All references.
    pub(super) fn iter(&self) -> impl Iterator<Item = SeriesRef> + '_ {
        let slots = self.pages.keys().flat_map(|page| (page * PAGE as u32)..(page + 1) * PAGE as u32);
        slots.filter_map(|slot| self.reference(slot))
    }

    /// Forgets those for which `keep` is false: it is given a reference and the segment of its newest record.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(SeriesRef, u32) -> bool) {
        for (page, at) in &self.pages {
            for (slot, row) in (page * PAGE as u32..).zip(self.rows[*at as usize].iter_mut()) {
                let series = SeriesRef(u64::from(row.generation) << 32 | u64::from(slot));
                row.is_known = row.is_known && keep(series, row.segment);
            }
        }
    }
}
