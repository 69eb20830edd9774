//! The writing side of replay: each worker owns some of the pages and fills them, load by load.
//!
//! Always true: the loads of a page go to one worker, in order; what waits in all loads is bounded, whatever the number of pages.
//! Samples that are not newer than their series' newest are skipped: the WAL of Prometheus also holds what its head refused.
//! A worker that panics ends the replay with an error: its queue closes, and whoever fills it stops soon.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use narthex_wal::record::{HistogramSample, RefSample};
use rustc_hash::FxBuildHasher;

use super::ReplayError;
use super::load::{ByPlace, Other, PageLoad};
use crate::head::Head;
use crate::head::commit::push_float;
use crate::head::label_index::NewSeries;
use crate::head::page::{PAGE_SLOTS, Page, Rows};
use crate::head::slab::{Slot, page_number, place};

/// Groups of work that may wait for a worker.
const QUEUE: usize = 4;
/// Loads of a group. PERF: a worker that waits for each load sleeps and wakes for each.
const GROUP: usize = 8;
/// Series that wait for the label index.
const NEW_SERIES: usize = 1024;
/// Floats that wait in all loads together, at 9 bytes each.
const MOST_HELD: usize = 2 << 20;
/// A load grows to this many floats a series: more would not make it faster.
const DEEPEST: usize = 16;

/// What the workers added.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Applied {
    pub(super) samples: u64,
    pub(super) chunks: u64,
}

/// All workers and what waits to be handed to them.
pub(super) struct Workers<'scope> {
    workers: Vec<Handle<'scope>>,
    loads: Vec<PageLoad>,
    /// Where in `loads` that of a page is.
    by_page: HashMap<u32, u32, FxBuildHasher>,
    /// The page of the last sample, and where its load is.
    near: (u32, usize),
    /// A load of this weight is handed over.
    full: usize,
    new_series: NewSeries,
    /// A worker ended before its time.
    ended: bool,
}

enum Work {
    Samples(PageLoad),
    Series(NewSeries),
}

struct Handle<'scope> {
    /// Grows to `GROUP`.
    next: Vec<Work>,
    queue: SyncSender<Vec<Work>>,
    /// Emptied loads come back to be filled again.
    emptied: Receiver<PageLoad>,
    thread: ScopedJoinHandle<'scope, Applied>,
}

impl<'scope> Workers<'scope> {
    /// Starts `count` workers, which end when the result is finished or dropped.
    pub(super) fn start<'env>(scope: &'scope Scope<'scope, 'env>, head: &'env Head, count: usize) -> Self {
        let start = |_| {
            let (queue, work) = sync_channel(QUEUE);
            let (give_back, emptied) = sync_channel(QUEUE * GROUP);
            let thread = scope.spawn(move || apply_all(head, &work, &give_back));
            Handle { next: Vec::with_capacity(GROUP), queue, emptied, thread }
        };
        Self {
            workers: (0..count.max(1)).map(start).collect(),
            loads: Vec::new(),
            by_page: HashMap::default(),
            near: (u32::MAX, 0),
            full: DEEPEST * PAGE_SLOTS,
            ended: false,
            new_series: NewSeries::default(),
        }
    }

    /// Where to put the next new series, which a worker adds to the label index.
    pub(super) fn new_series(&mut self) -> &mut NewSeries {
        if self.new_series.len() >= NEW_SERIES {
            self.hand_over_series();
        }
        &mut self.new_series
    }

    fn hand_over_series(&mut self) {
        // One worker has them all, so that slots rise in the index.
        let new = Work::Series(std::mem::take(&mut self.new_series));
        self.ended |= self.workers[0].send(new);
        self.ended |= self.workers[0].flush();
    }

    /// PERF: one compare, mostly, to find the load of the sample's page.
    #[inline]
    pub(super) fn sample(&mut self, slot: Slot, sample: &RefSample) {
        let load = self.near(slot);
        let waits = &self.loads[load];
        if waits.weight() >= self.full || !waits.takes_float(place(slot)) {
            self.hand_over(load);
        }
        self.loads[load].push_float(place(slot), sample);
    }

    pub(super) fn other(&mut self, slot: Slot, other: Other) {
        let load = self.near(slot);
        let waits = &self.loads[load];
        if waits.weight() >= self.full || !waits.takes_other(place(slot)) {
            self.hand_over(load);
        }
        self.loads[load].push_other(place(slot), other);
    }

    /// Whether a worker ended before its time: [`Self::finish`] says why.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Where the load of the slot's page is.
    #[inline]
    fn near(&mut self, slot: Slot) -> usize {
        let page = page_number(slot);
        if self.near.0 != page {
            self.near = (page, self.load_of(page));
        }
        self.near.1
    }

    fn load_of(&mut self, page: u32) -> usize {
        if let Some(load) = self.by_page.get(&page) {
            return *load as usize;
        }
        let load = self.loads.len();
        self.by_page.insert(page, load as u32);
        self.loads.push(PageLoad::of(page));
        let fair = MOST_HELD / self.loads.len();
        self.full = fair.clamp(PAGE_SLOTS, DEEPEST * PAGE_SLOTS);
        // Loads that grew while there were fewer of them would hold too much together.
        if self.loads.len().is_power_of_two() && self.full < DEEPEST * PAGE_SLOTS {
            (0..load).for_each(|load| self.hand_over(load));
        }
        load
    }

    fn hand_over(&mut self, load: usize) {
        if self.loads[load].weight() == 0 {
            return;
        }
        let page = self.loads[load].page;
        // Pages are dealt out in turn.
        let workers = self.workers.len();
        let handle = &mut self.workers[page as usize % workers];
        let mut next = handle.emptied.try_recv().unwrap_or_default();
        next.reuse(page, self.full);
        let full = std::mem::replace(&mut self.loads[load], next);
        self.ended |= handle.send(Work::Samples(full));
    }

    /// Waits until all is applied.
    pub(super) fn finish(mut self) -> Result<Applied, ReplayError> {
        self.hand_over_series();
        (0..self.loads.len()).for_each(|load| self.hand_over(load));
        let mut sum = Applied::default();
        for mut handle in self.workers {
            handle.flush();
            let Handle { queue, thread, .. } = handle;
            drop(queue);
            let applied = thread.join().map_err(|panic| ReplayError::panicked(&*panic))?;
            sum.samples += applied.samples;
            sum.chunks += applied.chunks;
        }
        Ok(sum)
    }
}

impl Handle<'_> {
    /// Whether the worker ended early: only by a panic, which joining it brings up again.
    fn send(&mut self, work: Work) -> bool {
        self.next.push(work);
        self.next.len() >= GROUP && self.flush()
    }

    /// As `send`.
    fn flush(&mut self) -> bool {
        let group = std::mem::replace(&mut self.next, Vec::with_capacity(GROUP));
        !group.is_empty() && self.queue.send(group).is_err()
    }
}

fn apply_all(head: &Head, work: &Receiver<Vec<Work>>, give_back: &SyncSender<PageLoad>) -> Applied {
    let (mut applied, mut by_place) = (Applied::default(), ByPlace::default());
    for work in work.iter().flatten() {
        match work {
            Work::Series(new) => head.label_index.insert_all(&new),
            Work::Samples(mut load) => {
                apply(head, &mut load, &mut by_place, &mut applied);
                // The reader may have gone on without it; then it is dropped.
                let _ = give_back.try_send(load);
            }
        }
    }
    applied
}

fn apply(head: &Head, load: &mut PageLoad, by_place: &mut ByPlace, applied: &mut Applied) {
    let Some(page) = head.slab.page_at(load.page) else { return };
    by_place.sort(load);
    let mut rows = page.rows.lock();
    apply_floats(head, page, &mut rows, by_place, applied);
    for (at, other) in load.take_others() {
        apply_other(head, page, &mut rows, (at, other), applied);
    }
}

/// PERF: the hottest loop of a restart: a series' line in the page, its chunk and the state of the branches stay near for all of
/// its samples in the load.
fn apply_floats(head: &Head, page: &Page, rows: &mut Rows, floats: &ByPlace, applied: &mut Applied) {
    let rule = head.cut_rule();
    for (at, samples) in floats.iter() {
        let series = rows.series_mut(at);
        let mut newest_ms = page.claimed_ms(at);
        for sample in samples {
            if newest_ms < sample.t_ms {
                newest_ms = sample.t_ms;
                applied.chunks += u64::from(push_float(series, sample, rule));
                applied.samples += 1;
            }
        }
        page.claim(at, newest_ms);
    }
}

fn apply_other(
    head: &Head,
    page: &Page,
    rows: &mut Rows,
    (at, other): (usize, Other),
    applied: &mut Applied,
) {
    let series = rows.series_mut(at);
    match other {
        Other::Histogram(HistogramSample { t_ms, start_ms, histogram, .. }) => {
            if page.claimed_ms(at) < t_ms {
                page.claim(at, t_ms);
                let begun = series.push_histogram(t_ms, start_ms, &histogram, head.cut_rule());
                applied.chunks += u64::from(begun);
            }
        }
        Other::Delete(mint_ms, maxt_ms) => {
            // What comes after the record is not deleted by it.
            let maxt_ms = maxt_ms.min(series.last_ms());
            applied.chunks = applied.chunks.saturating_sub(series.delete(mint_ms, maxt_ms));
        }
    }
}
