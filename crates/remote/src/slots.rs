//! An endpoint's own numbers for series: dense, so that a waiting sample costs four bytes for its series.
//!
//! PERF: references of one log are nearly dense too, so the map from reference to slot is pages of 1,024 numbers, found through a
//! small hash map; samples come in runs of neighbouring references, and the last page is remembered.

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
    /// Numbers of series that were forgotten.
    forgotten: usize,
}

impl Slots {
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
        match self.numbers[at as usize][series.0 as usize % PAGE] {
            UNKNOWN => Slot::Unknown,
            DROPPED => Slot::Dropped,
            number => Slot::Sent(number - FIRST, self.series[(number - FIRST) as usize].1),
        }
    }

    /// Remembers what becomes of a reference: a series to send, or `None` when relabeling dropped it.
    pub(crate) fn insert(&mut self, reference: SeriesRef, series: Option<Series>) -> Slot {
        let number = match &series {
            Some(_) => FIRST + self.series.len() as u32,
            None => DROPPED,
        };
        let page = reference.0 / PAGE as u64;
        let at = *self.pages.entry(page).or_insert_with(|| {
            self.numbers.push(Box::new([UNKNOWN; PAGE]));
            self.numbers.len() as u32 - 1
        });
        self.numbers[at as usize][reference.0 as usize % PAGE] = number;
        let Some(series) = series else { return Slot::Dropped };
        let lane = series.lane();
        self.series.push((Some(series), lane));
        Slot::Sent(number - FIRST, lane)
    }

    /// The labels of a slot as fields of a `TimeSeries`.
    #[must_use]
    pub(crate) fn labels(&self, slot: u32) -> &[u8] {
        self.series[slot as usize].0.as_ref().map_or(&[], Series::labels)
    }

    /// Forgets references that `is_known` does not know, and the labels of their series. Numbers are not given again: should a
    /// sample wait under one against all promises, it goes out without labels, is refused and kept, and no other series gets it.
    pub(crate) fn forget(&mut self, is_known: &dyn Fn(SeriesRef) -> bool) {
        let Self { pages, numbers, series, forgotten, .. } = self;
        for (page, at) in pages.iter() {
            for (place, number) in numbers[*at as usize].iter_mut().enumerate() {
                if *number == UNKNOWN || is_known(SeriesRef(page * PAGE as u64 + place as u64)) {
                    continue;
                }
                if *number >= FIRST {
                    series[(*number - FIRST) as usize].0 = None;
                    *forgotten += 1;
                }
                *number = UNKNOWN;
            }
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
}
