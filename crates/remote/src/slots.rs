//! What an endpoint knows of series: what relabeling makes of them, and those that have labels of their own.
//!
//! An endpoint without relabeling that follows the log keeps nothing here: it sends series under the catalog's numbers (see
//! [`crate::place`]). Numbers of the endpoint's own are for what relabeling changed, and for label sets that come without a number:
//! from the database and from late samples.
//! Always true: one label set has one number of the endpoint's own.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use narthex_model::Labels;
use narthex_relabel::RelabelConfig;
use rustc_hash::FxHashMap;

use crate::place::{Owner, Place};
use crate::series::{Relabeled, Series, relabel};

const PAGE: usize = 1024;

/// What an endpoint knows about a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Nothing yet.
    Unknown,
    /// Relabeling dropped it.
    Dropped,
    /// It is sent under this number.
    Sent(u32),
}

const UNKNOWN: u32 = u32::MAX;
const DROPPED: u32 = u32::MAX - 1;

/// What relabeling made of neighbouring numbers, and of which version of each: 5 bytes a series.
struct Page {
    slots: [u32; PAGE],
    versions: [u8; PAGE],
}

impl Page {
    fn new() -> Box<Self> {
        Box::new(Self { slots: [UNKNOWN; PAGE], versions: [0; PAGE] })
    }
}

impl Slot {
    fn bits(self) -> u32 {
        match self {
            Self::Unknown => UNKNOWN,
            Self::Dropped => DROPPED,
            Self::Sent(number) => number,
        }
    }

    #[inline]
    fn of_bits(bits: u32) -> Self {
        match bits {
            UNKNOWN => Self::Unknown,
            DROPPED => Self::Dropped,
            number => Self::Sent(number),
        }
    }
}

/// The series of one endpoint.
#[derive(Default)]
pub(crate) struct Slots {
    /// By pages of the catalog's numbers.
    verdicts: FxHashMap<u32, Box<Page>>,
    series: Vec<Option<Series>>,
    /// The numbers of `series` that were not forgotten, by labels.
    by_labels: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
    /// What became of label sets that come without number, as the log has them; only while the database is read.
    unnamed: Option<FxHashMap<Series, Slot>>,
    /// Numbers of series that were forgotten.
    forgotten: usize,
}

impl Slots {
    /// Empty slots that take label sets too.
    #[must_use]
    pub(crate) fn with_labels() -> Self {
        Self { unnamed: Some(FxHashMap::default()), ..Self::default() }
    }

    /// Whether label sets are taken.
    #[must_use]
    pub(crate) fn keeps_labels(&self) -> bool {
        self.unnamed.is_some()
    }

    /// How many label sets came without number.
    #[must_use]
    pub(crate) fn label_sets(&self) -> usize {
        self.unnamed.as_ref().map_or(0, FxHashMap::len)
    }

    /// What becomes of a label set of the log that came without number, with the external labels.
    ///
    /// # Panics
    /// When label sets are not taken.
    pub(crate) fn of_labels(&mut self, series: &Series, external: &Labels, steps: &[RelabelConfig]) -> Slot {
        let unnamed = self.unnamed.as_ref().expect("slots with labels were asked for");
        if let Some(slot) = unnamed.get(series) {
            return *slot;
        }
        let whole = series.with_external(external);
        let slot = match relabel(whole.lane(), whole.labels(), steps) {
            Relabeled::Dropped => Slot::Dropped,
            Relabeled::Same => Slot::Sent(self.number(whole)),
            Relabeled::Changed(changed) => Slot::Sent(self.number(changed)),
        };
        self.unnamed.get_or_insert_default().insert(series.clone(), slot);
        slot
    }

    /// Takes label sets no more. Series that no number of the catalog stands for are forgotten; nothing must wait under them.
    pub(crate) fn drop_labels(&mut self) {
        if self.unnamed.take().is_some() {
            self.forget(&|_| true);
        }
    }

    /// What relabeling made of a series of the catalog.
    #[inline]
    pub(crate) fn find(&self, place: Place) -> Slot {
        let Some(page) = self.verdicts.get(&(place.number / PAGE as u32)) else { return Slot::Unknown };
        let at = place.number as usize % PAGE;
        if page.versions[at] == place.version { Slot::of_bits(page.slots[at]) } else { Slot::Unknown }
    }

    /// Relabels a series of the catalog and remembers what came of it.
    pub(crate) fn relabel(&mut self, place: Place, labels: &[u8], steps: &[RelabelConfig]) -> Slot {
        let slot = match relabel(place.lane, labels, steps) {
            Relabeled::Dropped => Slot::Dropped,
            Relabeled::Same => Slot::Sent(place.number),
            Relabeled::Changed(changed) => Slot::Sent(self.number(changed)),
        };
        let page = self.verdicts.entry(place.number / PAGE as u32);
        let (page, at) = (page.or_insert_with(Page::new), place.number as usize % PAGE);
        (page.slots[at], page.versions[at]) = (slot.bits(), place.version);
        slot
    }

    /// The number of a label set, a new one if it has none.
    pub(crate) fn number(&mut self, wanted: Series) -> u32 {
        let Self { series, by_labels, hasher, .. } = self;
        let hash = hasher.hash_one(wanted.labels());
        let is_it = |number: &u32| {
            series[*number as usize].as_ref().is_some_and(|series| series.labels() == wanted.labels())
        };
        if let Some(number) = by_labels.find(hash, is_it) {
            return *number;
        }
        let number = series.len() as u32;
        series.push(Some(wanted));
        by_labels.insert_unique(hash, number, |number| {
            let series = series[*number as usize].as_ref();
            hasher.hash_one(series.expect("forgotten numbers are not in the table").labels())
        });
        number
    }

    /// The labels of a number of the endpoint's own as fields of a `TimeSeries`.
    #[must_use]
    pub(crate) fn labels(&self, number: u32) -> &[u8] {
        self.series[number as usize].as_ref().map_or(&[], Series::labels)
    }

    /// Forgets series of the catalog that are not `current` any more, and the labels that only they had. Numbers are not given again:
    /// should a sample wait under one against all promises, it goes out without labels, is refused and kept, and no other series
    /// gets it.
    pub(crate) fn forget(&mut self, is_current: &dyn Fn(Place) -> bool) {
        let Self { verdicts, series, by_labels, forgotten, .. } = self;
        let mut is_named = vec![false; series.len()];
        for (first, page) in verdicts.iter_mut().map(|(page, verdicts)| (page * PAGE as u32, verdicts)) {
            for (at, bits) in page.slots.iter_mut().enumerate() {
                let place = Place { number: first + at as u32, lane: 0, version: page.versions[at] };
                if *bits != UNKNOWN && !is_current(place) {
                    *bits = UNKNOWN;
                }
                if let Slot::Sent(number) = Slot::of_bits(*bits)
                    && let Owner::Endpoint(own) = Owner::of(number)
                {
                    is_named[own as usize] = true;
                }
            }
        }
        verdicts.retain(|_, page| page.slots.iter().any(|bits| *bits != UNKNOWN));
        by_labels.retain(|number| is_named[*number as usize]);
        for (series, is_named) in series.iter_mut().zip(is_named) {
            *forgotten += usize::from(!is_named && series.take().is_some());
        }
    }

    /// Whether most of the numbers belong to nobody, so that it pays to begin anew when nothing waits.
    #[must_use]
    pub(crate) fn is_mostly_forgotten(&self) -> bool {
        self.forgotten > self.series.len() / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(n: u32) -> Series {
        Series::of_labels(&Labels::from_pairs([("n", &*n.to_string())]))
    }

    fn place(n: u32) -> Place {
        Place { number: Owner::Head(n).number(), lane: 1, version: 0 }
    }

    /// Sets `m` to `n` modulo 10,000, and drops `n`.
    fn steps() -> Vec<RelabelConfig> {
        let regex = narthex_model::Regex::new_anchored("1?(....)").unwrap();
        let copy = RelabelConfig {
            source_labels: vec!["n".into()],
            target_label: "m".into(),
            regex: Some(regex),
            replacement: "$1".into(),
            ..RelabelConfig::default()
        };
        let regex = narthex_model::Regex::new_anchored("n").unwrap();
        let drop = RelabelConfig {
            action: narthex_relabel::Action::LabelDrop,
            regex: Some(regex),
            ..RelabelConfig::default()
        };
        vec![copy, drop]
    }

    fn number(slot: Slot) -> u32 {
        match slot {
            Slot::Sent(number) => number,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_forgotten_series_gives_its_labels_back_and_never_its_number() {
        let (mut slots, steps) = (Slots::default(), steps());
        let numbers: Vec<u32> =
            (1000..4000).map(|n| number(slots.relabel(place(n), series(n).labels(), &steps))).collect();
        slots.forget(&|place| place.number.is_multiple_of(3));
        for (n, number) in (1000..4000).zip(numbers) {
            let is_kept = place(n).number.is_multiple_of(3);
            assert_eq!(slots.find(place(n)) == Slot::Sent(number), is_kept);
            assert_eq!(slots.labels(number).is_empty(), !is_kept);
        }
        assert!(slots.is_mostly_forgotten());
        let gone = (1000..4000).find(|n| !place(*n).number.is_multiple_of(3)).unwrap();
        assert_eq!(number(slots.relabel(place(gone), series(gone).labels(), &steps)), 3000);
    }

    #[test]
    fn series_that_relabeling_makes_equal_have_one_number_until_all_are_forgotten() {
        let (mut slots, steps) = (Slots::default(), steps());
        let mut relabel = |n: u32| number(slots.relabel(place(n), series(n).labels(), &steps));
        let (first, other, again) = (relabel(1001), relabel(1002), relabel(11001));
        assert_eq!(first, again);
        assert_ne!(first, other);
        slots.forget(&|its| its != Place { lane: 0, ..place(1001) });
        assert_eq!((slots.find(place(1001)), slots.find(place(11001))), (Slot::Unknown, Slot::Sent(first)));
        assert!(!slots.labels(first).is_empty());
        slots.forget(&|its| its == Place { lane: 0, ..place(1002) });
        assert!(slots.labels(first).is_empty());
    }

    #[test]
    fn what_relabeling_leaves_as_it_is_keeps_the_number_of_the_catalog_and_another_version_is_another_series()
    {
        let mut slots = Slots::default();
        assert_eq!(slots.relabel(place(5), series(5).labels(), &[]), Slot::Sent(place(5).number));
        assert_eq!(slots.find(Place { version: 1, ..place(5) }), Slot::Unknown);
    }

    #[test]
    fn a_label_set_has_one_number_until_labels_are_dropped() {
        let (mut slots, steps) = (Slots::with_labels(), steps());
        let first = slots.of_labels(&series(1001), &Labels::empty(), &[]);
        assert_eq!((slots.of_labels(&series(1001), &Labels::empty(), &[]), slots.label_sets()), (first, 1));
        let changed = number(slots.of_labels(&series(1002), &Labels::empty(), &steps));
        let again = slots.relabel(place(9), series(11002).labels(), &steps);
        assert_eq!(again, Slot::Sent(changed));
        slots.drop_labels();
        assert!(slots.labels(number(first)).is_empty(), "nobody names it any more");
        assert!(!slots.labels(changed).is_empty());
    }
}
