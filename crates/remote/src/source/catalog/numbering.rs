//! Which number and which lane the references of the log have, and where the labels of a number are.
//!
//! Always true: samples of one label set that stand under two numbers are in the log in the order of these (see [`crate::place`]).
//! So a label set that may have samples in the log under an earlier reference gets a later number, or the same one.
//! What is read first, the whole log up to then, may name a label set by several references in any order: there they share one.
//! Must not know: files, endpoints.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use narthex_model::Labels;
use narthex_storage::{FoundSeries, LiveSeries, SeriesRef};
use rustc_hash::{FxHashMap, FxHashSet};

use super::rows::Rows;
use crate::place::{Owner, Place, slot_of};
use crate::series::{Series, lane_of};

/// A series record.
pub(super) struct Named<'a> {
    pub(super) series: SeriesRef,
    pub(super) labels: &'a Labels,
    /// The segment that it is in; for one from a checkpoint the one that this stands for.
    pub(super) segment: u32,
    /// Whether it belongs to what is read first.
    pub(super) is_early: bool,
}

/// Where the labels of a number are.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// In the head, as long as the series is there.
    Head(SeriesRef),
    /// Here.
    Own(Series),
}

struct Known {
    place: Place,
    segment: u32,
}

/// See the module's words.
#[derive(Default)]
pub(super) struct Numbering {
    rows: Rows,
    /// References that have no row.
    others: FxHashMap<SeriesRef, Known>,
    /// The labels of their numbers, but for those of the head.
    sources: FxHashMap<u32, Source>,
    next: u32,
    /// Slots whose numbers other references than those of their rows have too.
    shared: FxHashSet<u32>,
    /// Early numbers with labels of their own.
    own: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
    /// Labels of series that left the head.
    copies: FxHashMap<u32, Series>,
    /// Numbers whose labels were looked for in vain.
    lost: FxHashSet<u32>,
}

impl Numbering {
    /// The place of a reference; `None` for one whose record was lost.
    #[inline]
    pub(super) fn place(&mut self, series: SeriesRef) -> Option<Place> {
        self.rows.place(series).or_else(|| self.others.get(&series).map(|known| known.place))
    }

    /// Takes note of a record. Series that are not in the head get labels of their own.
    pub(super) fn learn(&mut self, named: &Named<'_>, live: Option<&dyn LiveSeries>) {
        let found = live.map(|live| live.find(named.labels)).unwrap_or_default();
        if let Some(place) = self.place(named.series) {
            if self.is_same(place, named, found) {
                return self.again(named, place);
            }
            self.forget_reference(named.series);
        }
        let place = match found.series {
            Some(here) if here == named.series => self.enter(named, here, found.had_another),
            Some(here) => {
                let entered = self.place(here);
                let place = entered.unwrap_or_else(|| self.enter(named, here, found.had_another));
                self.name(named.series, place, named.segment);
                place
            }
            None => self.keep(named, Series::of_labels(named.labels)),
        };
        self.lost.remove(&place.number);
    }

    /// Whether a record names the series that its reference is known for, as it does but in logs where a reference was used twice.
    fn is_same(&mut self, place: Place, named: &Named<'_>, found: FoundSeries) -> bool {
        if place.lane != lane_of(named.labels.iter()) {
            return false;
        }
        if let Some(Source::Own(own)) = self.sources.get(&place.number) {
            return *own == Series::of_labels(named.labels);
        }
        let here = found.series.and_then(|here| self.place(here));
        found.had_another || here.is_none_or(|here| here.number == place.number)
    }

    /// A reference that is known was named again, perhaps only read again.
    fn again(&mut self, named: &Named<'_>, place: Place) {
        match self.others.get_mut(&named.series) {
            Some(known) => known.segment = known.segment.max(named.segment),
            None => drop(self.rows.insert(named.series, place.lane, named.segment)),
        }
    }

    fn name(&mut self, series: SeriesRef, place: Place, segment: u32) {
        if let Owner::Head(slot) = Owner::of(place.number) {
            self.shared.insert(slot);
        }
        self.others.insert(series, Known { place, segment });
    }

    fn forget_reference(&mut self, series: SeriesRef) {
        self.others.remove(&series);
        self.rows.remove(series);
    }

    /// A series of the head whose reference is new here.
    fn enter(&mut self, named: &Named<'_>, here: SeriesRef, had_another: bool) -> Place {
        let lane = lane_of(named.labels.iter());
        let may_have_older = !named.is_early && (had_another || self.has_own(named.labels));
        if !may_have_older
            && slot_of(here).is_some_and(|(slot, _)| !self.shared.contains(&slot))
            && let Some(place) = self.rows.insert(here, lane, named.segment)
        {
            self.copies.remove(&place.number);
            return place;
        }
        self.add(named, here, lane, Source::Head(here))
    }

    /// A series that the head does not have.
    fn keep(&mut self, named: &Named<'_>, series: Series) -> Place {
        let lane = series.lane();
        if !named.is_early {
            return self.add(named, named.series, lane, Source::Own(series));
        }
        if let Some(number) = self.own(&series) {
            let place = Place { number, lane, version: 0 };
            self.name(named.series, place, named.segment);
            return place;
        }
        let hash = self.hasher.hash_one(series.labels());
        let place = self.add(named, named.series, lane, Source::Own(series));
        let Self { own, sources, hasher, .. } = self;
        own.insert_unique(hash, place.number, |number| match sources.get(number) {
            Some(Source::Own(series)) => hasher.hash_one(series.labels()),
            _ => unreachable!("numbers in the table have labels of their own"),
        });
        place
    }

    fn add(&mut self, named: &Named<'_>, series: SeriesRef, lane: u16, source: Source) -> Place {
        let owner = if named.is_early { Owner::Early(self.next) } else { Owner::Later(self.next) };
        self.next += 1;
        let place = Place { number: owner.number(), lane, version: 0 };
        self.sources.insert(place.number, source);
        self.name(series, place, named.segment);
        place
    }

    fn own(&self, series: &Series) -> Option<u32> {
        let is_it =
            |number: &u32| matches!(self.sources.get(number), Some(Source::Own(own)) if own == series);
        self.own.find(self.hasher.hash_one(series.labels()), is_it).copied()
    }

    fn has_own(&self, labels: &Labels) -> bool {
        !self.own.is_empty() && self.own(&Series::of_labels(labels)).is_some()
    }

    /// Where the labels of a number are; `None` when nobody knows any more.
    pub(super) fn source(&self, number: u32) -> Option<Source> {
        match Owner::of(number) {
            Owner::Endpoint(_) => None,
            Owner::Head(slot) => self.rows.reference(slot).map(Source::Head),
            Owner::Early(_) | Owner::Later(_) => self.sources.get(&number).cloned(),
        }
    }

    /// Labels that were kept of a series that left the head.
    pub(super) fn copy(&self, number: u32) -> Option<&Series> {
        self.copies.get(&number)
    }

    /// Whether labels were looked for in vain.
    pub(super) fn is_lost(&self, number: u32) -> bool {
        self.lost.contains(&number)
    }

    /// References whose series left the head, with their numbers, as far as there are no copies of their labels.
    pub(super) fn left(&self, live: Option<&dyn LiveSeries>) -> FxHashMap<SeriesRef, u32> {
        let has_left = |series: SeriesRef| live.is_none_or(|live| !live.is_live(series));
        let of_head =
            |number: u32| matches!(self.source(number), Some(Source::Head(series)) if has_left(series));
        let rows = self.rows.iter().filter(|series| has_left(*series));
        let rows = rows.filter_map(|series| Some((series, Owner::Head(slot_of(series)?.0).number())));
        let others = self.others.iter().map(|(series, known)| (*series, known.place.number));
        let others = others.filter(|(_, number)| of_head(*number));
        rows.chain(others).filter(|(_, number)| !self.copies.contains_key(number)).collect()
    }

    /// Takes the labels that the log had of series that left; those of `looked_for` that it did not have are lost.
    pub(super) fn found(&mut self, copies: FxHashMap<u32, Series>, looked_for: impl Iterator<Item = u32>) {
        self.copies.extend(copies);
        let lost = looked_for.filter(|number| !self.copies.contains_key(number));
        self.lost.extend(lost);
    }

    /// Whether a place is still that of the series that it was given for.
    pub(super) fn is_current(&self, place: Place) -> bool {
        match Owner::of(place.number) {
            Owner::Endpoint(_) => false,
            Owner::Head(slot) => {
                let reference = self.rows.reference(slot).and_then(slot_of);
                reference.is_some_and(|(_, generation)| generation == place.version)
            }
            Owner::Early(_) | Owner::Later(_) => self.sources.contains_key(&place.number),
        }
    }

    /// Forgets references for which `keep` is false: it is given each with the segment of its newest record.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(SeriesRef, u32) -> bool) {
        self.rows.retain(&mut keep);
        self.others.retain(|series, known| keep(*series, known.segment));
        self.others.shrink_to_fit();
        let used: FxHashSet<u32> = self.others.values().map(|known| known.place.number).collect();
        self.sources.retain(|number, _| used.contains(number));
        self.sources.shrink_to_fit();
        self.own.retain(|number| used.contains(number));
        self.shared.retain(|slot| used.contains(&Owner::Head(*slot).number()));
        let rows = &self.rows;
        self.copies.retain(|number, _| match Owner::of(*number) {
            Owner::Head(slot) => used.contains(number) || rows.reference(slot).is_some(),
            _ => used.contains(number),
        });
        self.lost.clear();
    }
}

#[cfg(test)]
mod tests;
