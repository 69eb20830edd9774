//! Lanes: the samples of one endpoint that wait, kept apart by series, so that order holds whatever is in flight.
//!
//! A series belongs to one lane for ever; a lane is in one request at most. A request takes lanes in the order in which they
//! got samples, whole where it can. When it is acknowledged, each of its lanes moves up to the block before which nothing of it waits.
//! Must not know: HTTP, encoding, the log's bytes. Always true: `waiting` is the sum over all queues; a lane stands in
//! `ready` exactly when it is free and has samples.

mod load;

use std::collections::VecDeque;
use std::time::Instant;

use narthex_wal::WalPosition;
use rustc_hash::FxHashMap;

use self::load::oldest_ms;
pub(crate) use self::load::{Entry, Load, OtherEntry};
use crate::cursor::{Cursor, Mark, pack, unpack};
use crate::series::LANES;

/// Samples that a lane keeps room for when it is empty.
const KEPT_ROOM: usize = 4;

/// Buffers that are kept for the next loads.
const SPARE: usize = 1;

#[derive(Default)]
struct Lane {
    samples: Vec<Entry>,
    others: Vec<OtherEntry>,
    busy: bool,
    /// The oldest time in the request that owns it, ms; meaningless when it is free.
    flying_ms: i64,
    /// When the oldest waiting sample came; meaningless without one.
    since: Option<Instant>,
}

impl Lane {
    fn len(&self) -> usize {
        self.samples.len() + self.others.len()
    }

    /// The oldest time of what waits or flies, ms; `None` without anything.
    fn oldest_ms(&self) -> Option<i64> {
        let waiting = oldest_ms(&self.samples, &self.others);
        waiting.into_iter().chain(self.busy.then_some(self.flying_ms)).min()
    }

    /// What must not come after these samples of one block: what came in blocks before, and what is older and of the same series,
    /// such as the histograms before a staleness marker.
    fn take_older_others(&mut self, samples: &[Entry]) -> Vec<OtherEntry> {
        if self.others.is_empty() {
            return Vec::new();
        }
        let mut newest = FxHashMap::default();
        for entry in samples {
            let t_ms = newest.entry(entry.slot).or_insert(entry.t_ms);
            *t_ms = entry.t_ms.max(*t_ms);
        }
        let block = samples.first().map(|entry| entry.block);
        let is_older = |entry: &mut OtherEntry| {
            block.is_some_and(|block| (entry.block.wrapping_sub(block) as i32) < 0)
                || newest.get(&entry.slot).is_some_and(|t_ms| entry.other.t_ms <= *t_ms)
        };
        self.others.extract_if(.., is_older).collect()
    }

    /// Gives memory back that only an outage needed.
    fn give_back(&mut self) {
        let is_large = |room: usize, len: usize| room > KEPT_ROOM && room > 4 * len;
        if is_large(self.samples.capacity(), self.samples.len()) {
            self.samples.shrink_to(KEPT_ROOM);
        }
        if is_large(self.others.capacity(), self.others.len()) {
            self.others.shrink_to(KEPT_ROOM);
        }
    }
}

/// The lanes of an endpoint.
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    ready: VecDeque<u16>,
    waiting: usize,
    cursor: Cursor,
    /// Lanes whose cursor follows `read_to` because nothing of them waits or flies.
    idle: Vec<bool>,
    /// Everything before this was put into lanes.
    read_to: Mark,
    /// No waiting sample and none in flight depends on the log before this, packed.
    log_floor: u64,
    /// Ends of the blocks that entries may still name; the first one's sequence number.
    block_ends: VecDeque<Mark>,
    first_block: u32,
    /// Buffers for loads.
    spare: Vec<Vec<Entry>>,
}

impl Lanes {
    /// Empty lanes that go on at `cursor`, which is not settled from now on. The caller reads from `cursor.start()` and leaves out
    /// what [`Lanes::mark`] says.
    #[must_use]
    pub(crate) fn new(mut cursor: Cursor) -> Self {
        cursor.is_settled = false;
        let read_to = cursor.start();
        let mut lanes = Vec::new();
        lanes.resize_with(LANES, Lane::default);
        Self {
            lanes,
            ready: VecDeque::new(),
            waiting: 0,
            read_to,
            log_floor: 0,
            cursor,
            idle: vec![true; LANES],
            block_ends: VecDeque::new(),
            first_block: 0,
            spare: Vec::new(),
        }
    }

    /// Whether a record that begins at `at` was acknowledged for this lane already.
    #[must_use]
    pub(crate) fn is_done(&self, lane: u16, at: WalPosition) -> bool {
        pack(at) < self.cursor.lanes[usize::from(lane)].log
    }

    /// How far the lane was acknowledged; less than it is while it waits for a look at [`Lanes::cursor`].
    #[must_use]
    pub(crate) fn mark(&self, lane: u16) -> Mark {
        self.cursor.lanes[usize::from(lane)]
    }

    /// The oldest time of what a lane has, waiting or in flight, ms.
    #[must_use]
    pub(crate) fn oldest_ms(&self, lane: usize) -> Option<i64> {
        self.lanes[lane].oldest_ms()
    }

    /// Starts a block: entries pushed from now on carry the number that this returns.
    pub(crate) fn begin_block(&mut self) -> u32 {
        self.first_block.wrapping_add(self.block_ends.len() as u32)
    }

    /// Puts a sample behind the others of its lane.
    #[inline]
    pub(crate) fn push(&mut self, lane: u16, entry: Entry, now: Instant) {
        let its = &mut self.lanes[usize::from(lane)];
        if its.samples.is_empty() && its.others.is_empty() {
            its.since = Some(now);
            self.idle[usize::from(lane)] = false;
            if !its.busy {
                self.ready.push_back(lane);
            }
        }
        its.samples.push(entry);
        self.waiting += 1;
    }

    /// Puts an exemplar or histogram behind the others of its lane.
    pub(crate) fn push_other(&mut self, lane: u16, entry: OtherEntry, now: Instant) {
        let its = &mut self.lanes[usize::from(lane)];
        if its.samples.is_empty() && its.others.is_empty() {
            its.since = Some(now);
            self.idle[usize::from(lane)] = false;
            if !its.busy {
                self.ready.push_back(lane);
            }
        }
        its.others.push(entry);
        self.waiting += 1;
    }

    /// Ends the block: everything before `end` is in lanes now.
    pub(crate) fn end_block(&mut self, end: Mark) {
        self.block_ends.push_back(end);
        self.read_to = end;
    }

    /// Ends a block of the log: everything in records before `end` is in lanes now.
    pub(crate) fn end_log_block(&mut self, end: WalPosition) {
        self.end_block(Mark { log: pack(end), ..self.read_to });
    }

    /// Takes note that nothing in lanes depends on the log before `end`, which needs no acknowledgement then.
    pub(crate) fn pass_log(&mut self, end: WalPosition) {
        self.log_floor = pack(end);
        self.read_to.log = self.read_to.log.max(self.log_floor);
    }

    /// Samples that wait, those in flight not counted.
    #[must_use]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Where reading goes on.
    #[must_use]
    pub(crate) fn read_to(&self) -> Mark {
        self.read_to
    }

    /// Where reading of the log goes on.
    #[must_use]
    pub(crate) fn log_position(&self) -> WalPosition {
        unpack(self.read_to.log)
    }

    /// Samples that a request could take now, and since when the oldest of them waits. Looks at `ready` only until `enough`.
    #[must_use]
    pub(crate) fn sendable(&self, enough: usize) -> (usize, Option<Instant>) {
        let mut count = 0;
        let oldest = self.ready.front().and_then(|lane| self.lanes[usize::from(*lane)].since);
        for lane in &self.ready {
            count += self.lanes[usize::from(*lane)].len();
            if count >= enough {
                break;
            }
        }
        (count, oldest)
    }

    /// Takes up to `most` samples (more when exemplars or histograms come along) from free lanes, which are busy from now on.
    pub(crate) fn take(&mut self, most: usize) -> Load {
        let mut load = Load { samples: self.spare.pop().unwrap_or_default(), ..Load::default() };
        load.samples.reserve(most.min(self.waiting));
        while let Some(at) = self.ready.pop_front() {
            let room = most.saturating_sub(load.len());
            let len = self.lanes[usize::from(at)].len();
            if len > room && !load.is_empty() && (room < most / 2 || room == 0) {
                self.ready.push_front(at);
                break;
            }
            self.take_lane(at, room, &mut load);
            if load.len() >= most {
                break;
            }
        }
        self.waiting -= load.len();
        // Samples of one series follow each other then, so that its labels are sent once; and series that the log brought one
        // after the other, such as those of one target, are neighbours, whose labels compress well.
        // PERF: bench.py remote-write, 100 targets of 1,000 series: 56 bytes a sample on the wire, 84 when sorted lane by lane.
        load.samples.sort_by_key(|entry| entry.slot);
        load
    }

    fn take_lane(&mut self, at: u16, room: usize, load: &mut Load) {
        let lane = &mut self.lanes[usize::from(at)];
        lane.busy = true;
        let (samples, others) = (load.samples.len(), load.others.len());
        let done = if lane.len() <= room || lane.samples.len() <= room {
            load.samples.append(&mut lane.samples);
            load.others.append(&mut lane.others);
            self.read_to
        } else {
            let (count, whole_blocks) = cut(&lane.samples, room);
            load.samples.extend(lane.samples.drain(..count));
            let last = load.samples[load.samples.len() - 1].block;
            match whole_blocks {
                true => {
                    let split =
                        lane.others.partition_point(|entry| entry.block.wrapping_sub(last) as i32 <= 0);
                    load.others.extend(lane.others.drain(..split));
                    self.block_ends[last.wrapping_sub(self.first_block) as usize]
                }
                false => {
                    let taken = &load.samples[load.samples.len() - count..];
                    load.others.extend(lane.take_older_others(taken));
                    self.cursor.lanes[usize::from(at)]
                }
            }
        };
        lane.flying_ms = oldest_ms(&load.samples[samples..], &load.others[others..]).unwrap_or(i64::MAX);
        lane.give_back();
        load.lanes.push((at, done));
    }

    /// Takes a buffer back that a load had, for the next one.
    pub(crate) fn recycle(&mut self, mut samples: Vec<Entry>) {
        if self.spare.len() < SPARE {
            samples.clear();
            self.spare.push(samples);
        }
    }

    /// Frees the lanes of a load whose every sample was delivered or dead-lettered.
    pub(crate) fn acknowledge(&mut self, load: &Load, now: Instant) {
        for (at, done) in &load.lanes {
            let index = usize::from(*at);
            self.cursor.lanes[index] = self.cursor.lanes[index].join(*done);
            let lane = &mut self.lanes[index];
            lane.busy = false;
            if lane.len() > 0 {
                // Those that came while the lane was busy have waited for a shorter time than this says, at most.
                lane.since.get_or_insert(now);
                self.ready.push_back(*at);
            } else {
                self.idle[index] = true;
            }
        }
        self.forget_blocks();
    }

    /// Drops the ends of blocks that no waiting sample names.
    fn forget_blocks(&mut self) {
        if self.waiting == 0 {
            self.first_block = self.first_block.wrapping_add(self.block_ends.len() as u32);
            self.block_ends.clear();
            return;
        }
        if self.block_ends.len() < 4096 {
            return;
        }
        let firsts = self.lanes.iter().flat_map(|lane| {
            lane.samples.first().map(|e| e.block).into_iter().chain(lane.others.first().map(|e| e.block))
        });
        let oldest = firsts.map(|block| block.wrapping_sub(self.first_block)).min().unwrap_or(0);
        self.block_ends.drain(..oldest as usize);
        self.first_block = self.first_block.wrapping_add(oldest);
    }

    /// The cursor as of now: lanes without samples stand where reading stands.
    pub(crate) fn cursor(&mut self) -> &Cursor {
        for (lane, idle) in self.cursor.lanes.iter_mut().zip(&self.idle) {
            if *idle {
                *lane = lane.join(self.read_to);
            }
            lane.log = lane.log.max(self.log_floor);
        }
        &self.cursor
    }

    /// Takes note that every request was answered, and that no other will be made.
    pub(crate) fn settle(&mut self) {
        self.cursor.is_settled = true;
    }

    /// Takes note of the newest sample of a piece that was accepted or dead-lettered, ms.
    pub(crate) fn set_settled(&mut self, t_ms: i64) {
        self.cursor.sent_ms = self.cursor.sent_ms.max(t_ms);
    }
}

/// How many samples to take when not all fit: whole blocks if one fits, and whether that is so.
fn cut(samples: &[Entry], room: usize) -> (usize, bool) {
    let room = room.max(1).min(samples.len());
    if room == samples.len() {
        return (room, true);
    }
    let next = samples[room].block;
    match samples[..room].iter().rposition(|entry| entry.block != next) {
        Some(last) => (last + 1, true),
        None => (room, false),
    }
}

#[cfg(test)]
mod tests;
