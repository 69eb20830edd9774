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
    series: Vec<(Series, u16)>,
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
        self.series.push((series, lane));
        Slot::Sent(number - FIRST, lane)
    }

    /// The labels of a slot as fields of a `TimeSeries`.
    #[must_use]
    pub(crate) fn labels(&self, slot: u32) -> &[u8] {
        self.series[slot as usize].0.labels()
    }
}
