//! An endpoint's own numbers for series: dense, so that a waiting sample costs four bytes for its series.
//!
//! PERF: references of one log are nearly dense too, so the map from reference to slot is pages of 1,024 numbers, found through a
//! small hash map; samples come in runs of neighbouring references, and the last page is remembered.
//! Always true: references to one label set have one number, so that a request has the samples of a series in the order of the log
//! (a series that left the head and came back has a second reference, and after a restart the first one again).

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use narthex_storage::SeriesRef;
use rustc_hash::FxHashMap;

use crate::series::Series;

const PAGE: usize = 1024;
const UNKNOWN: u32 = 0;
const DROPPED: u32 = 1;
const FIRST: u32 = 2;

/// What an endpoint knows about a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Nothing yet.
    Unknown,
    /// Relabeling dropped it.
    Dropped,
    /// It is sent: its number and its lane.
    Sent(u32, u16),
}

/// The series of one endpoint.
#[derive(Default)]
pub(crate) struct Slots {
    pages: FxHashMap<u64, u32>,
    numbers: Vec<Box<[u32; PAGE]>>,
    last: Option<(u64, u32)>,
    series: Vec<(Option<Series>, u16)>,
    /// The numbers of `series` that were not forgotten, by labels: 5 to 10 bytes a series.
    by_labels: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
    /// What became of label sets that come without reference, before they are relabeled; only while the database is read.
    unnamed: Option<FxHashMap<Series, u32>>,
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

    /// How many label sets came without reference.
    #[must_use]
    pub(crate) fn label_sets(&self) -> usize {
        self.unnamed.as_ref().map_or(0, FxHashMap::len)
    }

    /// What becomes of a label set that came without reference. `relabel` is asked when it is new.
    ///
    /// # Panics
    /// When label sets are not taken.
    pub(crate) fn of_labels(
        &mut self,
        series: &Series,
        relabel: impl FnOnce(&Series) -> Option<Series>,
    ) -> Slot {
        let unnamed = self.unnamed.as_ref().expect("slots with labels were asked for");
        if let Some(number) = unnamed.get(series) {
            return self.slot(*number);
        }
        let number = relabel(series).map_or(DROPPED, |relabeled| FIRST + self.number(relabeled));
        self.unnamed.get_or_insert_default().insert(series.clone(), number);
        self.slot(number)
    }

    /// Takes label sets no more. Series that no reference names are forgotten; nothing must wait under them.
    pub(crate) fn drop_labels(&mut self) {
        if self.unnamed.take().is_some() {
            self.forget(&|_| true);
        }
    }

    /// What is known about a reference.
    #[inline]
    pub(crate) fn find(&mut self, series: SeriesRef) -> Slot {
        let page = series.0 / PAGE as u64;
        let at = match self.last {
            Some((last, at)) if last == page => at,
            _ => match self.pages.get(&page) {
                Some(at) => {
                    self.last = Some((page, *at));
                    *at
                }
                None => return Slot::Unknown,
            },
        };
        self.slot(self.numbers[at as usize][series.0 as usize % PAGE])
    }

    fn slot(&self, number: u32) -> Slot {
        match number {
            UNKNOWN => Slot::Unknown,
            DROPPED => Slot::Dropped,
            number => Slot::Sent(number - FIRST, self.series[(number - FIRST) as usize].1),
        }
    }

    /// Remembers what becomes of a reference: a series to send, or `None` when relabeling dropped it.
    pub(crate) fn insert(&mut self, reference: SeriesRef, series: Option<Series>) -> Slot {
        let slot = series.map(|series| self.number(series));
        let page = reference.0 / PAGE as u64;
        let at = *self.pages.entry(page).or_insert_with(|| {
            self.numbers.push(Box::new([UNKNOWN; PAGE]));
            self.numbers.len() as u32 - 1
        });
        self.numbers[at as usize][reference.0 as usize % PAGE] = slot.map_or(DROPPED, |slot| FIRST + slot);
        slot.map_or(Slot::Dropped, |slot| Slot::Sent(slot, self.series[slot as usize].1))
    }

    /// The number of a series, a new one if it has none.
    fn number(&mut self, wanted: Series) -> u32 {
        let Self { series, by_labels, hasher, .. } = self;
        let hash = hasher.hash_one(wanted.labels());
        let is_it = |number: &u32| series[*number as usize].0.as_ref() == Some(&wanted);
        if let Some(number) = by_labels.find(hash, is_it) {
            return *number;
        }
        let (number, lane) = (series.len() as u32, wanted.lane());
        series.push((Some(wanted), lane));
        by_labels.insert_unique(hash, number, |number| {
            let series = series[*number as usize].0.as_ref();
            hasher.hash_one(series.expect("forgotten numbers are not in the table").labels())
        });
        number
    }

    /// The labels of a slot as fields of a `TimeSeries`.
    #[must_use]
    pub(crate) fn labels(&self, slot: u32) -> &[u8] {
        self.series[slot as usize].0.as_ref().map_or(&[], Series::labels)
    }

    /// Forgets references that `is_known` does not know, and the labels of their series. Numbers are not given again: should a
    /// sample wait under one against all promises, it goes out without labels, is refused and kept, and no other series gets it.
    pub(crate) fn forget(&mut self, is_known: &dyn Fn(SeriesRef) -> bool) {
        let Self { pages, numbers, series, by_labels, forgotten, .. } = self;
        let mut is_named = vec![false; series.len()];
        for (page, at) in pages.iter() {
            for (place, number) in numbers[*at as usize].iter_mut().enumerate() {
                if *number == UNKNOWN {
                    continue;
                }
                if !is_known(SeriesRef(page * PAGE as u64 + place as u64)) {
                    *number = UNKNOWN;
                } else if *number >= FIRST {
                    is_named[(*number - FIRST) as usize] = true;
                }
            }
        }
        by_labels.retain(|number| is_named[*number as usize]);
        for ((series, _), is_named) in series.iter_mut().zip(is_named) {
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
    use narthex_model::Labels;
    use narthex_wal::record::{decode_series, encode_series};

    use super::*;

    fn series(n: u64) -> Series {
        let labels = Labels::from_pairs([("n", &*n.to_string())]);
        let mut record = Vec::new();
        encode_series([(SeriesRef(n), &labels)], &mut record);
        let mut found = None;
        decode_series(&record, |_, pairs| found = Some(Series::new(pairs, &Labels::empty()))).unwrap();
        found.unwrap()
    }

    #[test]
    fn a_forgotten_series_gives_its_labels_back_and_never_its_number() {
        let mut slots = Slots::default();
        let numbers: Vec<u32> = (0..3000)
            .map(|n| match slots.insert(SeriesRef(n), Some(series(n))) {
                Slot::Sent(number, _) => number,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(slots.insert(SeriesRef(5000), None), Slot::Dropped);
        slots.forget(&|series| series.0.is_multiple_of(3));
        for n in 0..3000u64 {
            let number = numbers[n as usize];
            match n.is_multiple_of(3) {
                true => assert_eq!(slots.labels(number), series(n).labels()),
                false => {
                    assert_eq!(slots.find(SeriesRef(n)), Slot::Unknown);
                    assert!(slots.labels(number).is_empty());
                }
            }
        }
        assert_eq!(slots.find(SeriesRef(5000)), Slot::Unknown);
        assert!(slots.is_mostly_forgotten());
        let Slot::Sent(number, _) = slots.insert(SeriesRef(1), Some(series(1))) else { panic!("it is sent") };
        assert_eq!(number, 3000);
    }

    #[test]
    fn two_references_to_one_series_have_one_number_until_both_are_forgotten() {
        let mut slots = Slots::default();
        let first = slots.insert(SeriesRef(1), Some(series(1)));
        slots.insert(SeriesRef(2), Some(series(2)));
        assert_eq!(slots.insert(SeriesRef(7000), Some(series(1))), first);
        slots.forget(&|series| series.0 != 1);
        let Slot::Sent(number, _) = slots.find(SeriesRef(7000)) else { panic!("it is sent") };
        assert_eq!((slots.find(SeriesRef(1)), slots.labels(number)), (Slot::Unknown, series(1).labels()));
        assert_eq!(slots.insert(SeriesRef(9000), Some(series(1))), first);
        slots.forget(&|series| series.0 == 2);
        assert!(slots.labels(number).is_empty());
        assert_ne!(slots.insert(SeriesRef(9001), Some(series(1))), first);
    }

    #[test]
    fn a_label_set_has_one_number_whoever_names_it_until_labels_are_dropped() {
        let mut slots = Slots::with_labels();
        let of = |slots: &mut Slots, n| slots.of_labels(&series(n), |s| (n != 2).then(|| s.clone()));
        let first = of(&mut slots, 1);
        assert_eq!(of(&mut slots, 2), Slot::Dropped);
        let third = of(&mut slots, 3);
        assert_eq!((of(&mut slots, 1), of(&mut slots, 3), slots.label_sets()), (first, third, 3));
        assert_eq!(slots.insert(SeriesRef(70), Some(series(1))), first);
        slots.drop_labels();
        assert_eq!(slots.find(SeriesRef(70)), first);
        let Slot::Sent(third, _) = third else { panic!("it is sent") };
        assert!(slots.labels(third).is_empty(), "nobody names it any more");
    }
}
