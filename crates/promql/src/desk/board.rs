//! Slots, lanes and the list of queries, under one lock that is held for a few steps at a time.
//!
//! Beside the slots for all there are some for rules only ([`slots_for_rules`]): however long the queries of others run, a rule starts
//! at once. It takes a slot for all while one is free, so that the others are there when they are needed.
//! Of others than rules, few begin at a time ([`Young`]).
//! Always true: a query that waits stands in the queue of its lane, and only there; a free slot and a query that may have it are
//! never there at once when the lock is released, unless time made it so: whoever waits looks again. A lane that was passed over [`PATIENCE`] times while somebody waited in it is next, so that
//! the lowest lane moves on at least once in `PATIENCE + 1` turns.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use narthex_model::UnixTime;

use super::young::Young;
use super::{Lane, Origin, Request};
use crate::engine::{CancelToken, Progress};

/// How often a lane is passed over by higher ones before it is its turn.
pub(super) const PATIENCE: u32 = 8;

/// How many slots only rules may have, beside so many for all: a quarter of them, at least one. What a rule group waits for is the
/// clock, so that few rules run at a time; they need not be as many as the others, but there must be a place to start.
pub(super) fn slots_for_rules(slots: usize) -> usize {
    slots.div_ceil(4)
}

/// How far a listed query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// In its lane.
    Waiting,
    /// It has a slot.
    Running,
    /// Called off; it ends at its next row.
    Canceled,
}

impl Stand {
    /// `waiting`, `running`, `canceled`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Canceled => "canceled",
        }
    }
}

/// A query that waits or runs.
#[derive(Clone, Debug)]
pub struct ListedQuery {
    /// Its number, for [`super::Desk::cancel`].
    pub id: u64,
    /// The text.
    pub text: String,
    /// Its lane.
    pub lane: Lane,
    /// Where it came from.
    pub origin: Origin,
    /// How far it is.
    pub stand: Stand,
    /// When it came in.
    pub received: UnixTime,
    /// When it began to run.
    pub started: Option<UnixTime>,
    /// Samples read and bytes held so far.
    pub progress: Progress,
}

/// What became of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    Waiting,
    Slot(usize),
    Canceled,
}

#[derive(Debug)]
struct Entry {
    listed: ListedQuery,
    cancel: CancelToken,
    entered: Entered,
    waker: Option<Waker>,
}

#[derive(Debug)]
pub(super) struct Board {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    next_id: u64,
    /// Slots below `slots` are for all, those from there on for rules.
    slots: usize,
    free: Vec<usize>,
    free_for_rules: Vec<usize>,
    entries: BTreeMap<u64, Entry>,
    /// By lane, the highest first.
    waiting: [VecDeque<u64>; 3],
    /// How often each lane was passed over since its last turn.
    passed: [u32; 3],
    young: Young,
}

impl Board {
    pub(super) fn new(slots: usize, young: Young) -> Self {
        let inner = Inner {
            next_id: 1,
            slots,
            free: (0..slots).rev().collect(),
            free_for_rules: (slots..slots + slots_for_rules(slots)).rev().collect(),
            entries: BTreeMap::new(),
            waiting: Default::default(),
            passed: [0; 3],
            young,
        };
        Self { inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a query on the list and in its lane.
    pub(super) fn enter(&self, request: &Request, received: UnixTime) -> u64 {
        let mut inner = self.lock();
        let id = inner.next_id;
        inner.next_id += 1;
        let listed = ListedQuery {
            id,
            text: request.text.clone(),
            lane: request.lane,
            origin: request.origin.clone(),
            stand: Stand::Waiting,
            received,
            started: None,
            progress: request.options.progress.clone(),
        };
        let cancel = request.options.cancel.clone();
        inner.entries.insert(id, Entry { listed, cancel, entered: Entered::Waiting, waker: None });
        inner.waiting[request.lane as usize].push_back(id);
        inner.fill_slots();
        id
    }

    /// What became of a query; `waker` is called when that changes.
    pub(super) fn poll(&self, id: u64, waker: &Waker) -> Entered {
        let mut inner = self.lock();
        inner.fill_slots();
        let entry = inner.entries.get_mut(&id).expect("a ticket's query is on the list");
        if entry.entered == Entered::Waiting {
            entry.waker = Some(waker.clone());
        }
        entry.entered
    }

    /// Notes that a query begins to run.
    pub(super) fn start(&self, id: u64, now: UnixTime) {
        if let Some(entry) = self.lock().entries.get_mut(&id) {
            entry.listed.started = Some(now);
        }
    }

    /// Takes a query off the list; its slot goes to the next.
    pub(super) fn leave(&self, id: u64) {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.remove(&id) else { return };
        match entry.entered {
            Entered::Waiting => inner.waiting[entry.listed.lane as usize].retain(|other| *other != id),
            Entered::Slot(slot) if slot < inner.slots => inner.free.push(slot),
            Entered::Slot(slot) => inner.free_for_rules.push(slot),
            Entered::Canceled => {}
        }
        inner.young.end(id);
        inner.fill_slots();
    }

    pub(super) fn cancel(&self, id: u64) -> bool {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(&id) else { return false };
        entry.cancel.cancel();
        entry.listed.stand = Stand::Canceled;
        if entry.entered == Entered::Waiting {
            entry.entered = Entered::Canceled;
            let lane = entry.listed.lane as usize;
            if let Some(waker) = entry.waker.take() {
                waker.wake();
            }
            inner.waiting[lane].retain(|other| *other != id);
        }
        true
    }

    pub(super) fn list(&self) -> Vec<ListedQuery> {
        self.lock().entries.values().map(|entry| entry.listed.clone()).collect()
    }
}

impl Inner {
    /// Gives free slots to those who are next.
    fn fill_slots(&mut self) {
        let rules = Lane::Rules as usize;
        while let Some(slot) = self.free.last().copied()
            && self.young.has_room(Instant::now())
        {
            let Some(lane) = self.next_lane() else { return };
            self.free.pop();
            self.give(slot, lane);
        }
        while !self.waiting[rules].is_empty()
            && let Some(slot) = self.free.pop()
        {
            self.give(slot, rules);
        }
        while !self.waiting[rules].is_empty()
            && let Some(slot) = self.free_for_rules.pop()
        {
            self.give(slot, rules);
        }
    }

    /// Gives a slot to the first of a lane, in which somebody waits.
    fn give(&mut self, slot: usize, lane: usize) {
        let id = self.waiting[lane].pop_front().expect("the lane that is next has somebody waiting");
        let entry = self.entries.get_mut(&id).expect("who waits is on the list");
        entry.entered = Entered::Slot(slot);
        entry.listed.stand = Stand::Running;
        if lane != Lane::Rules as usize {
            self.young.begin(id, Instant::now());
        }
        if let Some(waker) = entry.waker.take() {
            waker.wake();
        }
    }

    /// The highest lane where somebody waits, unless a lower one was passed over too often.
    fn next_lane(&mut self) -> Option<usize> {
        let waits: Vec<usize> = (0..3).filter(|lane| !self.waiting[*lane].is_empty()).collect();
        let starved = waits.iter().rev().find(|lane| self.passed[**lane] >= PATIENCE);
        let next = *starved.or(waits.first())?;
        for &lower in waits.iter().filter(|lane| **lane > next) {
            self.passed[lower] += 1;
        }
        self.passed[next] = 0;
        Some(next)
    }
}
