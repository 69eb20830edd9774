//! What waits for one page: the samples of many batches, kept back until it pays to touch the page's series.
//!
//! The log brings the series of a page one sample at a time, and between two of them all other series: applied like that, each
//! sample waits for memory. A load puts the samples of a series behind each other instead.
//! Always true: floats of a series keep their order, and so do its other entries; a series has either floats or others in a load,
//! so that no order between the two is lost.
//! Must not know: the head, threads.
//! PERF: 9 bytes a float, as those of a scrape share their timestamp; `benches/head.rs`, replay: 55 ns a sample applied in the
//! order of the log, 25 ns sixteen at a time.

use narthex_storage::SeriesRef;
use narthex_wal::record::{HistogramSample, RefSample};

use crate::head::histograms::StoredHistogram;
use crate::head::page::PAGE_SLOTS;

/// What one entry that is no float weighs, in floats.
const OTHER_WEIGHT: usize = 32;

/// An entry that is no float.
pub(super) enum Other {
    Histogram(HistogramSample<StoredHistogram>),
    /// A closed interval, ms.
    Delete(i64, i64),
}

/// Up to which float a timestamp holds.
struct Run {
    t_ms: i64,
    start_ms: i64,
    end: u32,
}

/// A set of places in a page.
#[derive(Clone, Copy, Default)]
struct Places([u64; PAGE_SLOTS / 64]);

impl Places {
    #[inline]
    fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    #[inline]
    fn add(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }
}

/// See the module's words.
#[derive(Default)]
pub(super) struct PageLoad {
    pub(super) page: u32,
    /// Timestamps, in the order of the floats.
    runs: Vec<Run>,
    places: Vec<u8>,
    values: Vec<f64>,
    others: Vec<(u8, Other)>,
    with_floats: Places,
    with_others: Places,
}

impl PageLoad {
    /// An empty one.
    pub(super) fn of(page: u32) -> Self {
        Self { page, ..Self::default() }
    }

    /// How much waits: floats, or as much memory as so many floats take.
    #[inline]
    pub(super) fn weight(&self) -> usize {
        self.places.len() + OTHER_WEIGHT * self.others.len()
    }

    /// Whether a float of the series at this place may follow.
    #[inline]
    pub(super) fn takes_float(&self, at: usize) -> bool {
        !self.with_others.has(at)
    }

    /// Whether another entry of the series at this place may follow.
    pub(super) fn takes_other(&self, at: usize) -> bool {
        !self.with_floats.has(at)
    }

    /// Adds a float; [`Self::takes_float`] said yes.
    #[inline]
    pub(super) fn push_float(&mut self, at: usize, sample: &RefSample) {
        self.with_floats.add(at);
        self.places.push(at as u8);
        self.values.push(sample.value);
        let end = self.places.len() as u32;
        match self.runs.last_mut() {
            Some(run) if run.t_ms == sample.t_ms && run.start_ms == sample.start_ms => run.end = end,
            _ => self.runs.push(Run { t_ms: sample.t_ms, start_ms: sample.start_ms, end }),
        }
    }

    /// Adds another entry; [`Self::takes_other`] said yes.
    pub(super) fn push_other(&mut self, at: usize, other: Other) {
        self.with_others.add(at);
        self.others.push((at as u8, other));
    }

    /// The entries that are no floats, each with its place, in their order.
    pub(super) fn take_others(&mut self) -> impl Iterator<Item = (usize, Other)> + '_ {
        self.others.drain(..).map(|(at, other)| (usize::from(at), other))
    }

    /// Empties it for a page and keeps its memory, unless that is much more than `most` floats need.
    pub(super) fn reuse(&mut self, page: u32, most: usize) {
        if self.places.capacity() > 2 * most {
            *self = Self::of(page);
            return;
        }
        self.page = page;
        let Self { runs, places, values, others, with_floats, with_others, .. } = self;
        runs.clear();
        places.clear();
        values.clear();
        others.clear();
        (*with_floats, *with_others) = (Places::default(), Places::default());
    }
}

/// The floats of a load by place; kept for its memory.
#[derive(Default)]
pub(super) struct ByPlace {
    /// Where the samples of the next place begin.
    ends: Vec<u32>,
    samples: Vec<RefSample>,
}

impl ByPlace {
    /// Takes the floats of a load: a counting sort, some 3 ns a sample.
    pub(super) fn sort(&mut self, load: &PageLoad) {
        self.ends.clear();
        self.ends.resize(PAGE_SLOTS + 1, 0);
        for at in &load.places {
            self.ends[usize::from(*at) + 1] += 1;
        }
        for at in 0..PAGE_SLOTS {
            self.ends[at + 1] += self.ends[at];
        }
        let nothing = RefSample { series: SeriesRef(0), t_ms: 0, start_ms: 0, value: 0.0 };
        if self.samples.len() < load.places.len() {
            self.samples.resize(load.places.len(), nothing);
        }
        // Each place's start moves to its end while it is filled.
        let mut from = 0;
        for Run { t_ms, start_ms, end } in &load.runs {
            let run = from..*end as usize;
            from = *end as usize;
            for (at, value) in load.places[run.clone()].iter().zip(&load.values[run]) {
                let next = &mut self.ends[usize::from(*at)];
                self.samples[*next as usize] =
                    RefSample { series: SeriesRef(0), t_ms: *t_ms, start_ms: *start_ms, value: *value };
                *next += 1;
            }
        }
    }

    /// The samples of each place that has some, without the series' number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[RefSample])> {
        let mut from = 0;
        self.ends[..PAGE_SLOTS].iter().enumerate().filter_map(move |(at, end)| {
            let range = std::mem::replace(&mut from, *end as usize)..*end as usize;
            (!range.is_empty()).then(|| (at, &self.samples[range]))
        })
    }
}
