//! How a series leaves the head.
//!
//! 1. It is unlinked: its slot becomes vacant, the indexes forget it. Nobody who comes finds it.
//! 2. When all readers of before are gone, who may hold its slot or symbols, its symbols are given back.
//! 3. When the WAL names its reference no more, nor the one that would come next, its slot is used again, under the next
//!    generation. So no log has two series in one slot, and replay finds each where it was.
//!
//! Until 3 a checkpoint that does not cover the segment at which it left must keep its series record: records in later segments
//! may name it ([`Head::keeps_series`]).
//! Always true: exemplars outlive their series, with a copy of its labels.
//! PERF: work goes page by page with short locks; what leaves costs 4 bytes a label until step 2 is over.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use narthex_storage::SeriesRef;
use rustc_hash::FxBuildHasher;

use super::Head;
use super::epochs::Cut;
use super::label_index::Gone;
use super::page::Page;
use super::series_index::LabelsHash;
use super::slab::{Slot, next_reference, reference, slot_at};
use crate::symbols::PackedLabels;

/// Series on their way out, by steps.
#[derive(Default)]
pub(crate) struct Leaving {
    /// Step 2, oldest first.
    unlinked: VecDeque<(Cut, Unlinked)>,
    /// Step 3.
    resting: Vec<SeriesRef>,
}

/// Series that nobody finds any more.
#[derive(Default)]
struct Unlinked {
    series: Vec<SeriesRef>,
    /// Packed labels, each set with its length in front.
    labels: Vec<u32>,
}

/// References that are dead in the head, and how long the WAL needs their series records.
#[derive(Default)]
pub(crate) struct Expiries {
    by_reference: HashMap<SeriesRef, Expiry, FxBuildHasher>,
    /// Up to when, ms, the WAL has samples of label sets whose series left before those were too old to come: replay takes a series
    /// that comes back under another reference for the same, and nothing older is in order there.
    early: HashMap<LabelsHash, i64, FxBuildHasher>,
    /// The label sets of those that left.
    labels: HashSet<LabelsHash, FxBuildHasher>,
}

/// See [`Expiries`].
#[derive(Clone, Copy)]
struct Expiry {
    /// No later segment of the WAL names the reference.
    segment: u32,
    /// The WAL has no sample under it that is later than this, ms; `i64::MIN` for none at all. Mostly that is before what
    /// checkpoints keep, but for series that left early, and for those that go by another reference.
    max_ms: i64,
    /// Its label set, when it left; a reference that was only renamed has none.
    labels: Option<LabelsHash>,
    /// Whether it left before samples of its newest time were too old to come.
    is_early: bool,
}

impl Expiries {
    fn insert(&mut self, series: SeriesRef, expiry: Expiry) {
        self.by_reference.insert(series, expiry);
        self.note_labels(expiry);
    }

    fn note_labels(&mut self, expiry: Expiry) {
        let Some(labels) = expiry.labels else { return };
        self.labels.insert(labels);
        if expiry.is_early {
            let max_ms = self.early.entry(labels).or_insert(expiry.max_ms);
            *max_ms = expiry.max_ms.max(*max_ms);
        }
    }

    /// Takes back what was inserted last for a series that does not leave after all. Its label set stays noted: who makes it anew
    /// has it in memory.
    fn remove(&mut self, series: SeriesRef) {
        self.by_reference.remove(&series);
    }

    fn retain(&mut self, keep: impl Fn(&Expiry) -> bool) {
        self.by_reference.retain(|_, expiry| keep(expiry));
        (self.early, self.labels) = Default::default();
        let left: Vec<Expiry> = self.by_reference.values().copied().collect();
        left.into_iter().for_each(|expiry| self.note_labels(expiry));
    }

    /// Whether the WAL may name a series of these labels that left.
    pub(super) fn has_left(&self, labels: LabelsHash) -> bool {
        self.labels.contains(&labels)
    }

    /// Up to when, ms, the WAL may have samples of a new series' label set; `None` mostly.
    pub(super) fn early_ms(&self, labels: LabelsHash) -> Option<i64> {
        if self.early.is_empty() { None } else { self.early.get(&labels).copied() }
    }

    fn has(&self, series: SeriesRef) -> bool {
        self.by_reference.contains_key(&series)
    }
}

impl Expiry {
    /// Whether a checkpoint needs the series record that covers the segments up to `last` and keeps samples from `mint_ms` on.
    fn is_needed(self, last: u32, mint_ms: i64) -> bool {
        self.segment > last || self.max_ms >= mint_ms
    }
}

/// Label pairs that are taken out of the index at once.
const ROUND: usize = 64 * 1024;
/// Label sets whose symbols are given back under one hold of their lock.
const RELEASED: usize = 256;

impl Head {
    /// Unlinks all series that are still condemned and empty. The appenders of before are gone. `false` when the WAL is not open.
    pub(super) fn free_condemned(&self, leaving: &mut Leaving) -> bool {
        // All records of these series are written: their last appenders are gone.
        let Some(segment) = self.log.lock().writer.as_ref().map(|writer| writer.position().segment) else {
            return false;
        };
        let (mut unlinked, mut pairs, mut slots) = (Unlinked::default(), Gone::new(), Vec::new());
        for (number, page) in self.slab.pages() {
            let before = slots.len();
            for (at, packed) in self.unlink_page(number, page, segment) {
                let series = reference(packed.0, slot_at(number, at));
                unlinked.push(series, &packed.1);
                slots.push(series.0 as Slot);
                let table = self.symbols.read();
                pairs.extend(table.pairs(&packed.1).map(|(n, v)| (n, v, series.0 as Slot)));
            }
            if slots.len() > before {
                page.rows.lock().compact(page.occupied());
            }
            if pairs.len() >= ROUND {
                self.label_index.remove(std::mem::take(&mut pairs), &slots);
                slots.clear();
            }
        }
        self.label_index.remove(pairs, &slots);
        let count = unlinked.series.len();
        if count > 0 {
            self.metrics.series_removed.add(count as f64);
            leaving.unlinked.push_back((self.readers.cut(), unlinked));
        }
        true
    }

    /// Step 1 for a page. Gives the places with generations and labels.
    fn unlink_page(&self, number: u32, page: &Page, segment: u32) -> Vec<(usize, (u32, PackedLabels))> {
        let condemned: Vec<(usize, u32, PackedLabels)> = {
            let rows = page.rows.lock();
            page.condemned().map(|(at, generation)| (at, generation, rows.copy_labels(at))).collect()
        };
        let mut unlinked = Vec::with_capacity(condemned.len());
        for (at, generation, packed) in condemned {
            let slot = slot_at(number, at);
            let series = reference(generation, slot);
            let labels = self.symbols.read().labels(&packed);
            // Before the slot is vacant, so that a checkpoint sees the series in one place or the other.
            let (max_ms, hash) = (page.claimed_ms(at), self.series_index.hash(&labels));
            let is_early = max_ms >= self.append_floor_ms();
            self.expiries.lock().insert(series, Expiry { segment, max_ms, labels: Some(hash), is_early });
            self.exemplars.lock().adopt(series, &labels);
            let mut part = self.series_index.lock(hash);
            let vacated = page.vacate(&mut page.rows.lock(), at);
            match vacated {
                true => {
                    part.remove(slot);
                    unlinked.push((at, (generation, packed)));
                }
                false => self.expiries.lock().remove(series),
            }
        }
        self.series_count.fetch_sub(unlinked.len() as u64, std::sync::atomic::Ordering::Relaxed);
        unlinked
    }

    /// Steps 2 and 3. Returns whether no series waits for readers any more.
    pub(super) fn release(&self, leaving: &mut Leaving, deadline: Instant) -> bool {
        while let Some((readers, _)) = leaving.unlinked.front() {
            if !self.readers.wait(*readers, deadline) {
                return false;
            }
            let Some((_, gone)) = leaving.unlinked.pop_front() else { break };
            self.release_symbols(&gone.labels);
            leaving.resting.extend(gone.series);
        }
        let expiries = self.expiries.lock();
        // Replay may have found the reference that would come next: an alias of a series that lies elsewhere.
        let is_named = |series: &SeriesRef| expiries.has(*series) || expiries.has(next_reference(*series));
        let (resting, free) = leaving.resting.drain(..).partition(is_named);
        drop(expiries);
        leaving.resting = resting;
        let free: Vec<SeriesRef> = free;
        self.slab.give_back(free.into_iter());
        true
    }

    fn release_symbols(&self, labels: &[u32]) {
        let mut rest = labels;
        let mut sets = Vec::with_capacity(RELEASED);
        while let Some((len, behind)) = rest.split_first() {
            let (set, others) = behind.split_at(*len as usize);
            sets.push(set);
            rest = others;
            if sets.len() == RELEASED || rest.is_empty() {
                self.symbols.release(&sets);
                sets.clear();
            }
        }
    }

    /// Whether a checkpoint that covers the segments up to `last`, with samples from `mint_ms` on, must keep a series record: the
    /// series is here, or left so lately that later segments may name it, or samples that it needs go by this reference.
    pub(crate) fn keeps_series(&self, series: SeriesRef, last: u32, mint_ms: i64) -> bool {
        self.slab.find(series).is_some()
            || self
                .expiries
                .lock()
                .by_reference
                .get(&series)
                .is_some_and(|expiry| expiry.is_needed(last, mint_ms))
    }

    /// Says that the records of the segments up to `last` exist no more but in a checkpoint, whose series records
    /// [`Self::keeps_series`] chose.
    pub(crate) fn forget_expired(&self, last: u32, mint_ms: i64) {
        self.expiries.lock().retain(|expiry| expiry.is_needed(last, mint_ms));
        // Slots that become free by this are found at the next truncation or tick.
    }

    /// Remembers a reference that replay found in segments up to `segment`, with samples up to `max_ms`, and whose series goes
    /// by another one now.
    pub(in crate::head) fn expire(&self, series: SeriesRef, segment: u32, max_ms: i64) {
        self.expiries.lock().insert(series, Expiry { segment, max_ms, labels: None, is_early: false });
    }
}

impl Unlinked {
    fn push(&mut self, series: SeriesRef, packed: &[u32]) {
        self.series.push(series);
        self.labels.push(packed.len() as u32);
        self.labels.extend_from_slice(packed);
    }
}
