//! A page: 256 consecutive slots that share their locks and their label arena.
//!
//! Series that were created together, such as those of one target, lie in the same few pages, so that a scrape takes few locks
//! and walks memory in order.
//!
//! Two locks, always taken in this order, pages by rising number:
//! 1. `commit`: held by one commit from its last check until its samples are in; serialises the writers of a page, across the
//!    write of the WAL. Readers never take it, so that no query waits for a disk.
//! 2. `rows`: the series themselves; held for microseconds by writers and readers alike.
//!
//! The arrays of atomics are written only under `commit` (`claimed_ms`, `logged`) or `rows` (`generation`), and read freely.
//!
//! A series that truncation wants to free is *condemned* first, by a bit of its generation: an appender that compares
//! generations, as it does for each sample, takes the long way then and rescues it (see `truncate`).

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

use narthex_chunks::prefetch;
use parking_lot::{Mutex, MutexGuard};

use super::series::{CommitSeq, Mark, Series};
use crate::symbols::PackedLabels;

/// Slots of a page.
pub(crate) const PAGE_SLOTS: usize = 256;

/// The generation of a slot that holds no series.
const VACANT: u32 = u32::MAX;
/// Set in the generation of a condemned series.
const CONDEMNED: u32 = 1 << 31;
/// Generations are below this.
pub(crate) const GENERATION_LIMIT: u32 = CONDEMNED - 1;

/// 256 slots.
pub(crate) struct Page {
    /// The newest timestamp that a commit has claimed for the series, ms; `i64::MIN` for none. Runs ahead of the rows while
    /// that commit writes its log.
    claimed_ms: [AtomicI64; PAGE_SLOTS],
    generation: [AtomicU32; PAGE_SLOTS],
    /// One bit a slot: whether the WAL knows the series' labels under its present reference.
    logged: [AtomicU64; PAGE_SLOTS / 64],
    /// See the module's words.
    pub(crate) commit: Mutex<()>,
    /// See the module's words.
    pub(crate) rows: Mutex<Rows>,
}

/// The series of a page and their labels.
#[derive(Default)]
pub(crate) struct Rows {
    series: Vec<Series>,
    /// Packed labels, one set behind the other, each with its length in front.
    labels: Vec<u32>,
    /// How much of `labels` belongs to series that are gone.
    unused_labels: u32,
    /// Marks older than the series' own that some reader may need. Mostly absent.
    older: Option<Box<OlderMarks>>,
}

/// A series between two slots.
pub(crate) struct Moving {
    pub(crate) labels: PackedLabels,
    series: Series,
    claimed_ms: i64,
}

struct OlderMarks {
    /// How many there are in all slots.
    count: usize,
    /// By slot, oldest first.
    by_slot: [Vec<Mark>; PAGE_SLOTS],
}

/// Which snapshots exist or may come: tells what marks are still needed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readers {
    /// Snapshots from now on are at this commit or later.
    pub(crate) visible: CommitSeq,
    /// Snapshots that are held, rising.
    pub(crate) held: Vec<CommitSeq>,
}

impl Readers {
    /// Whether a snapshot at `from` or later, but before `to`, is held or may come.
    fn any_between(&self, from: CommitSeq, to: CommitSeq) -> bool {
        to > self.visible.max(from) || self.held.iter().any(|s| *s >= from && *s < to)
    }
}

impl Page {
    pub(crate) fn new() -> Self {
        Self {
            claimed_ms: [const { AtomicI64::new(i64::MIN) }; PAGE_SLOTS],
            generation: [const { AtomicU32::new(VACANT) }; PAGE_SLOTS],
            logged: [const { AtomicU64::new(0) }; PAGE_SLOTS / 64],
            commit: Mutex::new(()),
            rows: Mutex::default(),
        }
    }

    /// The newest timestamp claimed for a slot.
    #[inline]
    pub(crate) fn claimed_ms(&self, at: usize) -> i64 {
        self.claimed_ms[at].load(Ordering::Relaxed)
    }

    /// Claims a timestamp; only under `commit`, or before the slot is shared.
    #[inline]
    pub(crate) fn claim(&self, at: usize, t_ms: i64) {
        self.claimed_ms[at].store(t_ms, Ordering::Relaxed);
    }

    /// The generation of the series in a slot; `None` when it is vacant.
    #[inline]
    pub(crate) fn generation(&self, at: usize) -> Option<u32> {
        Some(self.generation[at].load(Ordering::Acquire)).filter(|g| *g != VACANT).map(|g| g & !CONDEMNED)
    }

    /// Whether a slot has a series of this generation that is not condemned.
    #[inline]
    pub(crate) fn is_safe(&self, at: usize, generation: u32) -> bool {
        self.generation[at].load(Ordering::Acquire) == generation
    }

    /// Whether the series in a slot is condemned.
    fn is_condemned(&self, at: usize) -> bool {
        let word = self.generation[at].load(Ordering::Acquire);
        word != VACANT && word & CONDEMNED != 0
    }

    /// For an appender that is counted as present: makes sure that a series stays until that appender is gone. `false` when it
    /// left already.
    #[cold]
    pub(crate) fn rescue(&self, at: usize, generation: u32) -> bool {
        let _rows = self.rows.lock();
        self.rescue_locked(at, generation)
    }

    /// The same under the lock of the rows.
    pub(crate) fn rescue_locked(&self, at: usize, generation: u32) -> bool {
        let stays = self.generation(at) == Some(generation);
        if stays {
            self.generation[at].store(generation, Ordering::Release);
        }
        stays
    }

    /// Condemns the series in a slot; under the lock of the rows.
    pub(crate) fn condemn(&self, at: usize) {
        if self.generation(at).is_some() {
            self.generation[at].fetch_or(CONDEMNED, Ordering::Release);
        }
    }

    /// Takes a series out if it is still condemned and empty. `rows` are those of this page.
    pub(crate) fn vacate(&self, rows: &mut Rows, at: usize) -> bool {
        let goes = self.is_condemned(at) && rows.series[at].is_empty();
        if goes {
            self.generation[at].store(VACANT, Ordering::Release);
            self.claim(at, i64::MIN);
            rows.vacate(at);
        }
        goes
    }

    /// The places and generations of condemned series, rising.
    pub(crate) fn condemned(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.occupied().filter(|at| self.is_condemned(*at)).filter_map(|at| Some((at, self.generation(at)?)))
    }

    /// The rows, if a slot has a series of this generation.
    #[inline]
    pub(crate) fn lock(&self, at: usize, generation: u32) -> Option<MutexGuard<'_, Rows>> {
        let rows = self.rows.lock();
        (self.generation(at) == Some(generation)).then_some(rows)
    }

    /// The places that have a series, rising. What is done under the lock of the rows sees no other.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = usize> + '_ {
        (0..PAGE_SLOTS).filter(|at| self.generation(*at).is_some())
    }

    /// Takes a series out, to lie in another slot; only before the head is open to others.
    pub(crate) fn take_out(&self, at: usize) -> Moving {
        let mut rows = self.rows.lock();
        let moving = Moving {
            labels: rows.copy_labels(at),
            claimed_ms: self.claimed_ms(at),
            series: std::mem::replace(rows.series_mut(at), Series::new(0)),
        };
        // What is vacated does not need to be there: its labels were copied.
        rows.unused_labels += moving.labels.len() as u32 + 1;
        self.generation[at].store(VACANT, Ordering::Release);
        self.claim(at, i64::MIN);
        rows.compact(self.occupied());
        moving
    }

    /// Puts a series that was taken out into a vacant slot.
    pub(crate) fn put_in(&self, at: usize, generation: u32, logged: bool, moving: Moving) {
        self.occupy(at, generation, &moving.labels, logged);
        self.claim(at, moving.claimed_ms);
        let mut rows = self.rows.lock();
        let labels_at = rows.series(at).labels_at;
        *rows.series_mut(at) = moving.series.with_labels_at(labels_at);
    }

    /// Whether the slot's series is in the WAL.
    #[inline]
    pub(crate) fn is_logged(&self, at: usize) -> bool {
        self.logged[at / 64].load(Ordering::Relaxed) >> (at % 64) & 1 == 1
    }

    /// Remembers that the slot's series is (or is not) in the WAL; only under `commit`, or before the slot is shared.
    pub(crate) fn set_logged(&self, at: usize, logged: bool) {
        let (word, bit) = (&self.logged[at / 64], 1 << (at % 64));
        match logged {
            true => word.fetch_or(bit, Ordering::Relaxed),
            false => word.fetch_and(!bit, Ordering::Relaxed),
        };
    }

    /// Puts a new series into a vacant slot.
    pub(crate) fn occupy(&self, at: usize, generation: u32, packed: &[u32], logged: bool) {
        let mut rows = self.rows.lock();
        rows.occupy(at, packed);
        self.set_logged(at, logged);
        self.generation[at].store(generation, Ordering::Release);
    }
}

impl Rows {
    fn occupy(&mut self, at: usize, packed: &[u32]) {
        let labels_at = u32::try_from(self.labels.len()).expect("256 label sets fit");
        self.labels.push(packed.len() as u32);
        self.labels.extend_from_slice(packed);
        if self.series.len() <= at {
            self.series.reserve_exact((at + 1).next_multiple_of(32) - self.series.len());
            self.series.resize_with(at + 1, || Series::new(0));
        }
        self.series[at] = Series::new(labels_at);
        if at + 1 == PAGE_SLOTS {
            self.labels.shrink_to_fit();
        }
    }

    fn vacate(&mut self, at: usize) {
        self.unused_labels += self.labels(at).len() as u32 + 1;
        self.series[at] = Series::new(0);
        if let Some(older) = &mut self.older {
            older.count -= older.by_slot[at].len();
            older.by_slot[at] = Vec::new();
        }
    }

    /// Gives back memory after series were taken out; `occupied` are the places of those that stay, rising.
    pub(crate) fn compact(&mut self, occupied: impl Iterator<Item = usize>) {
        if self.older.as_ref().is_some_and(|older| older.count == 0) {
            self.older = None;
        }
        if (self.unused_labels as usize) < self.labels.len() / 4 {
            return;
        }
        let mut labels = Vec::with_capacity(self.labels.len() - self.unused_labels as usize);
        let mut used = 0;
        for at in occupied {
            let from = self.series[at].labels_at as usize;
            let len = self.labels[from] as usize;
            self.series[at].labels_at = labels.len() as u32;
            labels.extend_from_slice(&self.labels[from..=from + len]);
            used = at + 1;
        }
        (self.labels, self.unused_labels) = (labels, 0);
        self.series.truncate(used.next_multiple_of(32));
        self.series.shrink_to_fit();
    }

    /// A series; `at` must be occupied.
    #[inline]
    pub(crate) fn series(&self, at: usize) -> &Series {
        &self.series[at]
    }

    /// Hints that the samples of the series in a slot, if there is one, are wanted soon.
    ///
    /// PERF: they lie in memory of their own, and queries mostly go from slot to slot.
    #[inline]
    pub(crate) fn prefetch(&self, at: usize) {
        if let Some(series) = self.series.get(at) {
            series.open.prefetch();
        }
    }

    /// A series to change; `at` must be occupied.
    #[inline]
    pub(crate) fn series_mut(&mut self, at: usize) -> &mut Series {
        &mut self.series[at]
    }

    /// The packed labels of an occupied slot.
    pub(crate) fn labels(&self, at: usize) -> &[u32] {
        let from = self.series[at].labels_at as usize;
        let len = self.labels[from] as usize;
        &self.labels[from + 1..from + 1 + len]
    }

    /// Hints that the packed labels of an occupied slot are wanted soon.
    #[inline]
    pub(crate) fn prefetch_labels(&self, at: usize) {
        prefetch(&self.labels[self.series[at].labels_at as usize..]);
    }

    /// A copy of the packed labels, to look at without the lock.
    pub(crate) fn copy_labels(&self, at: usize) -> PackedLabels {
        self.labels(at).into()
    }

    /// Notes that commit `seq` adds samples from `first_ms` on to a series. Called before each of its samples; only the first
    /// call of a commit counts.
    #[inline]
    pub(crate) fn mark(&mut self, at: usize, seq: CommitSeq, first_ms: i64, readers: &Readers) {
        let old = self.series[at].mark;
        if old.seq == seq {
            return;
        }
        // A reader needs the old mark only if its snapshot is older than that commit.
        if old.seq > readers.visible || readers.held.first().is_some_and(|s| *s < old.seq) {
            self.keep_mark(at, old, readers);
        } else if self.older.is_some() {
            self.prune_marks(at, readers);
        }
        self.series[at].mark = Mark { seq, first_ms };
    }

    #[cold]
    fn keep_mark(&mut self, at: usize, old: Mark, readers: &Readers) {
        self.prune_marks(at, readers);
        let empty = || Box::new(OlderMarks { count: 0, by_slot: [const { Vec::new() }; PAGE_SLOTS] });
        let older = self.older.get_or_insert_with(empty);
        // A snapshot before the last mark kept is cut there already: only one in between needs this mark too.
        let kept = older.by_slot[at].last().map_or(0, |m| m.seq);
        if readers.any_between(kept, old.seq) {
            older.by_slot[at].push(old);
            older.count += 1;
        }
    }

    /// Forgets marks of a slot that no snapshot needs any more, and the whole list when none is left.
    #[cold]
    fn prune_marks(&mut self, at: usize, readers: &Readers) {
        let Some(older) = &mut self.older else { return };
        let oldest = readers.held.first().map_or(readers.visible, |s| readers.visible.min(*s));
        let marks = &mut older.by_slot[at];
        let before = marks.len();
        marks.retain(|m| m.seq > oldest);
        older.count -= before - marks.len();
        if marks.is_empty() {
            *marks = Vec::new();
        }
        if older.count == 0 {
            self.older = None;
        }
    }

    /// The first timestamp that a reader at snapshot `seq` must not see, ms; `None` when it may see all.
    #[inline]
    pub(crate) fn hidden_from_ms(&self, at: usize, seq: CommitSeq) -> Option<i64> {
        let newest = self.series[at].mark;
        if newest.seq <= seq {
            return None;
        }
        let older = self.older.as_ref().and_then(|all| all.by_slot[at].iter().find(|m| m.seq > seq));
        Some(older.unwrap_or(&newest).first_ms)
    }
}
