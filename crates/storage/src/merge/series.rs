//! Sorted series lists merged into one list of positions; a series is read from the sources that have it.
//!
//! PERF: merging builds the labels of each series once a source, to compare them, and keeps 8 bytes for each (source, position).
//! Reading a series whose sources lie behind each other appends their samples in place, one look at each joint.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use narthex_model::Labels;

use super::samples::append_merged;
use crate::{QueryError, SampleBatch, SeriesSet, StoredChunk, Windows};

/// Selected series of one source, and where their samples lie.
pub struct SetInTime {
    /// None of its samples is older, ms.
    pub min_ms: i64,
    /// None of its samples is newer, ms.
    pub max_ms: i64,
    /// The series.
    pub set: Box<dyn SeriesSet>,
}

/// One sorted list of all series, at most `limit` long when `limit` is not 0. Label sets that several sources have become one
/// series, which has each timestamp once. When sources disagree at a timestamp: the one that gave the sample there before
/// keeps giving, but one that just gave a sample alone gives way to the other, as in Prometheus.
#[must_use]
pub fn merge_series(mut sets: Vec<SetInTime>, limit: usize) -> Box<dyn SeriesSet> {
    sets.retain(|source| !source.set.is_empty());
    if sets.len() == 1 && (limit == 0 || sets[0].set.len() <= limit) {
        return sets.remove(0).set;
    }
    let mut merged = MergedSeries { ends: Vec::new(), entries: Vec::new(), sets };
    merged.collect(limit);
    Box::new(merged)
}

struct MergedSeries {
    /// In the order in which they were given.
    sets: Vec<SetInTime>,
    /// Where each series has it from, series behind series; those of one series by the time of their sources.
    entries: Vec<Entry>,
    /// Where the entries of each series end.
    ends: Vec<u32>,
}

/// A series of a source.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    source: u32,
    at: u32,
}

/// The next series of a source, while lists are merged. Orders by labels.
struct Next {
    labels: Labels,
    entry: Entry,
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> Ordering {
        // PERF: equal labels are the usual case and cost one comparison of memory.
        match self.labels == other.labels {
            true => self.entry.source.cmp(&other.entry.source),
            false => self.labels.cmp(&other.labels),
        }
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Next {}

impl MergedSeries {
    fn next_of(&self, source: u32, at: u32) -> Option<Reverse<Next>> {
        let set = &self.sets[source as usize].set;
        let labels = ((at as usize) < set.len()).then(|| set.labels(at as usize))?;
        Some(Reverse(Next { labels, entry: Entry { source, at } }))
    }

    fn collect(&mut self, limit: usize) {
        let mut heap: BinaryHeap<Reverse<Next>> =
            (0..self.sets.len() as u32).filter_map(|source| self.next_of(source, 0)).collect();
        while let Some(Reverse(first)) = heap.pop() {
            if limit > 0 && self.ends.len() == limit {
                break;
            }
            let begin = self.entries.len();
            self.entries.push(first.entry);
            while let Some(Reverse(same)) = heap.peek().filter(|next| next.0.labels == first.labels) {
                self.entries.push(same.entry);
                heap.pop();
            }
            let given = self.entries[begin..].iter();
            heap.extend(given.filter_map(|entry| self.next_of(entry.source, entry.at + 1)));
            let sets = &self.sets;
            self.entries[begin..].sort_by_key(|entry| (sets[entry.source as usize].min_ms, entry.source));
            self.ends.push(self.entries.len() as u32);
        }
    }

    fn entries(&self, at: usize) -> &[Entry] {
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.entries[begin..self.ends[at] as usize]
    }

    /// Whether a source of the series may have samples that are not newer than those of one before it.
    fn overlap_in_time(&self, at: usize) -> bool {
        let sources = self.entries(at).iter().map(|entry| &self.sets[entry.source as usize]);
        // They come in the order of their first times.
        !sources.is_sorted_by(|before, next| before.max_ms < next.min_ms)
    }

    /// Reads with `read` from the sources that reach into a closed range.
    fn read_with(
        &self,
        at: usize,
        (mint_ms, maxt_ms): (i64, i64),
        read: impl Fn(&dyn SeriesSet, usize, &mut SampleBatch) -> Result<(), QueryError>,
        out: &mut SampleBatch,
    ) -> Result<(), QueryError> {
        let entries = self.entries(at);
        if let [only] = entries {
            return read(&*self.sets[only.source as usize].set, only.at as usize, out);
        }
        let parts = entries.iter().filter_map(|entry| {
            let source = &self.sets[entry.source as usize];
            let overlaps = source.min_ms <= maxt_ms && source.max_ms >= mint_ms;
            overlaps.then_some((entry.source, &*source.set, entry.at as usize))
        });
        append_merged(parts, read, out)
    }

    /// Reads with `read`, which may leave out what lies in no window, or not at the end of one.
    fn read_of_windows(
        &self,
        at: usize,
        windows: &Windows,
        read: impl Fn(&dyn SeriesSet, usize, &mut SampleBatch) -> Result<(), QueryError>,
        out: &mut SampleBatch,
    ) -> Result<(), QueryError> {
        let range = windows.hull();
        if range.0 > range.1 {
            return Ok(());
        }
        if self.overlap_in_time(at) {
            // COMPAT: which of two samples at one time is shown depends on those before it, also outside the windows.
            return self.read(at, range.0, range.1, out);
        }
        self.read_with(at, range, read, out)
    }

    fn one_of(&self, at: usize) -> (&dyn SeriesSet, usize) {
        let entry = self.entries(at)[0];
        (&*self.sets[entry.source as usize].set, entry.at as usize)
    }
}

impl SeriesSet for MergedSeries {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn labels(&self, at: usize) -> Labels {
        let (set, at) = self.one_of(at);
        set.labels(at)
    }

    fn labels_named(&self, at: usize, names: &[String]) -> Labels {
        let (set, at) = self.one_of(at);
        set.labels_named(at, names)
    }

    fn labels_but(&self, at: usize, names: &[String]) -> Labels {
        let (set, at) = self.one_of(at);
        set.labels_but(at, names)
    }

    fn read(&self, at: usize, mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        let read = |set: &dyn SeriesSet, at, out: &mut SampleBatch| set.read(at, mint_ms, maxt_ms, out);
        self.read_with(at, (mint_ms, maxt_ms), read, out)
    }

    fn read_windows(&self, at: usize, windows: &Windows, out: &mut SampleBatch) -> Result<(), QueryError> {
        self.read_of_windows(at, windows, |set, at, out| set.read_windows(at, windows, out), out)
    }

    fn chunks<'a>(
        &'a self,
        at: usize,
        mint_ms: i64,
        maxt_ms: i64,
        out: &mut Vec<StoredChunk<'a>>,
    ) -> Result<(), QueryError> {
        for entry in self.entries(at) {
            let source = &self.sets[entry.source as usize];
            if source.min_ms <= maxt_ms && source.max_ms >= mint_ms {
                let begin = out.len();
                source.set.chunks(entry.at as usize, mint_ms, maxt_ms, out)?;
                out[begin..].iter_mut().for_each(|chunk| chunk.source = entry.source);
            }
        }
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        self.sets.iter().flat_map(|source| source.set.warnings()).collect()
    }

    fn read_newest(&self, at: usize, windows: &Windows, out: &mut SampleBatch) -> Result<(), QueryError> {
        self.read_of_windows(at, windows, |set, at, out| set.read_newest(at, windows, out), out)
    }
}
