//! The writing side of replay: each worker owns some of the pages and fills them from its queue.
//!
//! Samples that are not newer than their series' newest are skipped: the WAL of Prometheus also holds what its head refused.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use narthex_storage::SeriesRef;
use narthex_wal::record::{HistogramSample, RefSample};

use super::worker_of;
use crate::head::Head;
use crate::head::commit::push_float;
use crate::head::histograms::StoredHistogram;
use crate::head::page::{Page, Rows};
use crate::head::slab::{Slot, page_number, place};

/// Samples handed over at once.
const LOAD: usize = 4096;
/// Loads that may wait for a worker.
const QUEUE: usize = 8;

enum Work {
    /// The series' number is that of its slot.
    Floats(Vec<RefSample>),
    Histogram(Slot, HistogramSample<StoredHistogram>),
    /// A closed interval, ms.
    Delete(Slot, i64, i64),
}

/// What the workers added.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Applied {
    pub(super) samples: u64,
    pub(super) chunks: u64,
}

/// All workers and what waits to be handed to them.
pub(super) struct Workers<'scope> {
    workers: Vec<Handle<'scope>>,
}

struct Handle<'scope> {
    loading: Vec<RefSample>,
    queue: SyncSender<Work>,
    /// Emptied loads come back to be filled again.
    emptied: Receiver<Vec<RefSample>>,
    thread: ScopedJoinHandle<'scope, Applied>,
}

impl<'scope> Workers<'scope> {
    /// Starts `count` workers, which end when the result is finished or dropped.
    pub(super) fn start<'env>(scope: &'scope Scope<'scope, 'env>, head: &'env Head, count: usize) -> Self {
        let start = |_| {
            let (queue, work) = sync_channel(QUEUE);
            let (give_back, emptied) = sync_channel(QUEUE);
            let thread = scope.spawn(move || apply_all(head, &work, &give_back));
            Handle { loading: Vec::with_capacity(LOAD), queue, emptied, thread }
        };
        Self { workers: (0..count.max(1)).map(start).collect() }
    }

    #[inline]
    pub(super) fn sample(&mut self, slot: Slot, sample: RefSample) {
        let handle = self.of(slot);
        handle.loading.push(RefSample { series: SeriesRef(slot.into()), ..sample });
        if handle.loading.len() == LOAD {
            handle.flush();
        }
    }

    pub(super) fn histogram(&mut self, slot: Slot, sample: HistogramSample<StoredHistogram>) {
        self.of(slot).send(Work::Histogram(slot, sample));
    }

    pub(super) fn delete(&mut self, slot: Slot, mint_ms: i64, maxt_ms: i64) {
        self.of(slot).send(Work::Delete(slot, mint_ms, maxt_ms));
    }

    #[inline]
    fn of(&mut self, slot: Slot) -> &mut Handle<'scope> {
        let count = self.workers.len();
        &mut self.workers[worker_of(slot, count)]
    }

    /// Waits until all is applied.
    pub(super) fn finish(self) -> Applied {
        let mut sum = Applied::default();
        for mut handle in self.workers {
            handle.flush();
            drop(handle.queue);
            match handle.thread.join() {
                Ok(applied) => {
                    sum.samples += applied.samples;
                    sum.chunks += applied.chunks;
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        sum
    }
}

impl Handle<'_> {
    /// Hands over what is loaded, then this.
    fn send(&mut self, work: Work) {
        self.flush();
        self.hand_over(work);
    }

    fn flush(&mut self) {
        if !self.loading.is_empty() {
            let empty = self.emptied.try_recv().unwrap_or_else(|_| Vec::with_capacity(LOAD));
            let load = std::mem::replace(&mut self.loading, empty);
            self.hand_over(Work::Floats(load));
        }
    }

    fn hand_over(&self, work: Work) {
        // A worker only ends early by a panic, which joining it brings up again.
        let _ = self.queue.send(work);
    }
}

fn apply_all(head: &Head, work: &Receiver<Work>, give_back: &SyncSender<Vec<RefSample>>) -> Applied {
    let mut applied = Applied::default();
    while let Ok(work) = work.recv() {
        match work {
            Work::Floats(mut load) => {
                apply_floats(head, &load, &mut applied);
                load.clear();
                // The reader may have gone on without it; then it is dropped.
                let _ = give_back.try_send(load);
            }
            Work::Histogram(slot, sample) => {
                let HistogramSample { t_ms, start_ms, histogram, .. } = sample;
                with_rows(head, slot, |page, rows| {
                    if page.claimed_ms(place(slot)) < t_ms {
                        page.claim(place(slot), t_ms);
                        let series = rows.series_mut(place(slot));
                        let begun = series.push_histogram(t_ms, start_ms, &histogram, head.cut_rule());
                        applied.chunks += u64::from(begun);
                    }
                });
            }
            Work::Delete(slot, mint_ms, maxt_ms) => with_rows(head, slot, |_, rows| {
                let series = rows.series_mut(place(slot));
                // What comes after the record is not deleted by it.
                let maxt_ms = maxt_ms.min(series.last_ms());
                applied.chunks = applied.chunks.saturating_sub(series.delete(mint_ms, maxt_ms));
            }),
        }
    }
    applied
}

fn with_rows(head: &Head, slot: Slot, change: impl FnOnce(&Page, &mut Rows)) {
    if let Some(page) = head.slab.page(slot) {
        change(page, &mut page.rows.lock());
    }
}

fn apply_floats(head: &Head, samples: &[RefSample], applied: &mut Applied) {
    let (mut rest, rule) = (samples, head.cut_rule());
    while let Some(first) = rest.first() {
        let number = page_number(first.series.0 as Slot);
        let run = rest.iter().position(|s| page_number(s.series.0 as Slot) != number).unwrap_or(rest.len());
        let (of_page, others) = rest.split_at(run);
        with_rows(head, first.series.0 as Slot, |page, rows| {
            for sample in of_page {
                let at = place(sample.series.0 as Slot);
                if page.claimed_ms(at) < sample.t_ms {
                    page.claim(at, sample.t_ms);
                    let begun = push_float(rows.series_mut(at), sample, rule);
                    applied.samples += 1;
                    applied.chunks += u64::from(begun);
                }
            }
        });
        rest = others;
    }
}
