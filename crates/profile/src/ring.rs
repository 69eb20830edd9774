//! The way of stacks out of a signal handler: slots of atomics that a handler fills and a reader empties.
//!
//! Always true: neither side waits, locks or allocates; a stack that finds its slot taken is counted as lost.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::raw::unwind::DEPTH;

/// PERF: at 100 stacks a second and core, read ten times a second, room for 50 cores. Memory only once it is used.
const SLOTS: usize = 512;

const FREE: u32 = 0;
const BEING_WRITTEN: u32 = 1;
const FULL: u32 = 2;

struct Slot {
    /// `FREE` → `BEING_WRITTEN` → `FULL` by a handler, `FULL` → `FREE` by the reader.
    state: AtomicU32,
    thread: AtomicU32,
    len: AtomicUsize,
    frames: [AtomicUsize; DEPTH],
}

impl Slot {
    const fn new() -> Self {
        let frames = [const { AtomicUsize::new(0) }; DEPTH];
        Self { state: AtomicU32::new(FREE), thread: AtomicU32::new(0), len: AtomicUsize::new(0), frames }
    }
}

/// Slots, and how many stacks found none.
pub(crate) struct Ring {
    slots: [Slot; SLOTS],
    next: AtomicUsize,
    lost: AtomicU64,
}

impl Ring {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Self { slots: [const { Slot::new() }; SLOTS], next: AtomicUsize::new(0), lost: AtomicU64::new(0) }
    }

    /// Adds a stack of a thread; for signal handlers.
    pub(crate) fn put(&self, thread: u32, frames: &[usize]) {
        let slot = &self.slots[self.next.fetch_add(1, Ordering::Relaxed) % SLOTS];
        let taken = slot.state.compare_exchange(FREE, BEING_WRITTEN, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        slot.thread.store(thread, Ordering::Relaxed);
        slot.len.store(frames.len().min(DEPTH), Ordering::Relaxed);
        for (place, frame) in slot.frames.iter().zip(frames) {
            place.store(*frame, Ordering::Relaxed);
        }
        slot.state.store(FULL, Ordering::Release);
    }

    /// Takes all stacks out: the thread and the addresses of each.
    pub(crate) fn drain(&self, mut take: impl FnMut(u32, &[usize])) {
        let mut frames = [0; DEPTH];
        for slot in self.slots.iter().filter(|slot| slot.state.load(Ordering::Acquire) == FULL) {
            let len = slot.len.load(Ordering::Relaxed);
            for (to, from) in frames.iter_mut().zip(&slot.frames).take(len) {
                *to = from.load(Ordering::Relaxed);
            }
            let thread = slot.thread.load(Ordering::Relaxed);
            slot.state.store(FREE, Ordering::Release);
            take(thread, &frames[..len]);
        }
    }

    /// How many stacks were lost since this was last asked.
    pub(crate) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_come_out_once_and_what_finds_no_room_is_counted() {
        static RING: Ring = Ring::new();
        (0..SLOTS + 3).for_each(|i| RING.put(7, &[i, i + 1]));
        let mut seen = 0;
        RING.drain(|thread, frames| {
            assert_eq!((thread, frames[1]), (7, frames[0] + 1));
            seen += 1;
        });
        assert_eq!((seen, RING.take_lost(), RING.take_lost()), (SLOTS, 3, 0));
        RING.drain(|_, _| panic!("nothing is left"));
        RING.put(1, &[0; DEPTH + 9]);
        RING.drain(|_, frames| assert_eq!(frames.len(), DEPTH));
    }
}
