//! What is allocated: the samples that the allocator took, by the stack that asked, and those of them that still live.
//!
//! Always true: a sampled piece stands in the table before its address is given out and leaves it before it is given back; no more
//! than [`MAX_STACKS`] stacks are kept, others count as one. The table's own memory is never sampled.
//! Facts: as in Go, an allocation is a sample with the chance `1 - exp(-size / SAMPLE_BYTES)` and stands for one over that chance.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::profile::{Kind, Profile, Row};
use crate::raw::unwind::{self, DEPTH, From};

/// One sample for so many allocated bytes, on average.
///
/// PERF: a sample costs some 6 µs. With Go's 512 KiB a server that scrapes 20,000 series a second and answers queries all the time, 270
/// MB of allocations a second, spent 0.9 % of its processor time on samples; with this a quarter of that.
pub const SAMPLE_BYTES: usize = 2 << 20;
/// Most stacks; deep ones take some 10 MB together.
const MAX_STACKS: usize = 1 << 14;
/// When nothing is sampled: how many bytes a thread allocates until it looks again.
const OFF_SPAN: isize = 1 << 20;
/// The addresses of samples are multiples of this, so that most others need not be looked up when they are given back.
pub(crate) const MARK: usize = 1024;
/// Counts of live samples by a hash of their address, so that most multiples of [`MARK`] need not be looked up either.
const FILTER: usize = 1 << 14;

/// Written by `start_heap_samples` only.
static ON: AtomicBool = AtomicBool::new(false);
static MAYBE: [AtomicU32; FILTER] = [const { AtomicU32::new(0) }; FILTER];
/// Guards all that is known of samples. Taken by allocations: whoever holds it allocates only while `BUSY`. The lock itself must not
/// allocate, which the standard library's does not (parking_lot's may, with locks of its own held).
static TABLE: Mutex<Option<Table>> = Mutex::new(None);

thread_local! {
    /// Bytes until the next sample of this thread.
    static LEFT: Cell<isize> = const { Cell::new(0) };
    /// Whether this thread works on the table: what it allocates then is no sample.
    static BUSY: Cell<bool> = const { Cell::new(false) };
    /// The thread's chance; 0 before the first.
    static CHANCE: Cell<u64> = const { Cell::new(0) };
}

/// From now on allocations are sampled.
pub fn start_heap_samples() {
    ON.store(true, Ordering::Relaxed);
}

#[derive(Default)]
struct Table {
    /// Of each stack its row.
    row_of: HashMap<Box<[usize]>, u32>,
    rows: Vec<Counted>,
    live: HashMap<usize, Live>,
}

/// What came and went by one stack, in whole objects and bytes that samples stand for.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    objects: f64,
    bytes: f64,
    freed_objects: f64,
    freed_bytes: f64,
}

#[derive(Clone, Copy)]
struct Live {
    row: u32,
    size: usize,
}

/// Counts `size` bytes; true when the allocation is to be a sample.
///
/// PERF: a subtraction and a branch (bench `allocator`).
#[inline]
pub(crate) fn is_due(size: usize) -> bool {
    LEFT.with(|left| {
        // A layout's size fits, and what is left is never far below zero.
        let rest = left.get().wrapping_sub_unsigned(size);
        left.set(rest);
        rest < 0 && begins_sample()
    })
}

/// Draws how long it is to the next sample; whether there is one now.
#[cold]
fn begins_sample() -> bool {
    if BUSY.get() || !ON.load(Ordering::Relaxed) {
        LEFT.set(OFF_SPAN);
        return false;
    }
    let is_first = CHANCE.get() == 0;
    LEFT.set(gap());
    // A thread's first allocation only draws: else each thread would begin with a sample.
    !is_first
}

/// Bytes to the next sample, by an exponential distribution.
fn gap() -> isize {
    let mut chance = CHANCE.get();
    if chance == 0 {
        // The place of a thread's own variable and its time differ from thread to thread.
        let place = CHANCE.with(|own| std::ptr::from_ref(own) as u64);
        chance = (place ^ std::process::id() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    }
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    CHANCE.set(chance);
    let unit = ((chance >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
    (-unit.ln() * SAMPLE_BYTES as f64) as isize
}

fn filter(address: usize) -> &'static AtomicU32 {
    let hash = (address as u64 / MARK as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    &MAYBE[(hash >> 50) as usize % FILTER]
}

/// Whether the address may be that of a sample.
#[inline]
pub(crate) fn may_be_sample(address: usize) -> bool {
    address.is_multiple_of(MARK) && filter(address).load(Ordering::Relaxed) != 0
}

/// Works on the table without being sampled meanwhile.
fn with_table<R>(work: impl FnOnce(&mut Table) -> R) -> R {
    let was = BUSY.replace(true);
    let result = work(TABLE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default());
    BUSY.set(was);
    result
}

/// Remembers a new sample by the stack of the caller.
#[cold]
pub(crate) fn born(address: usize, size: usize) {
    let mut frames = [0; DEPTH];
    let len = unwind::stack(&mut frames, From::Caller);
    filter(address).fetch_add(1, Ordering::Relaxed);
    with_table(|table| table.add(address, size, &frames[..len]));
}

/// Whether a sample lies at the address.
#[cold]
pub(crate) fn is_sample(address: usize) -> bool {
    !BUSY.get() && with_table(|table| table.live.contains_key(&address))
}

/// Forgets a sample; false when the address is none.
#[cold]
pub(crate) fn is_sample_gone(address: usize) -> bool {
    // What the table itself gives back is no sample.
    if BUSY.get() {
        return false;
    }
    let was_there = with_table(|table| table.remove(address));
    if was_there {
        filter(address).fetch_sub(1, Ordering::Relaxed);
    }
    was_there
}

impl Table {
    fn add(&mut self, address: usize, size: usize, stack: &[usize]) {
        let row = match self.row_of.get(stack) {
            Some(row) => *row,
            None => self.new_row(stack),
        };
        let weight = weight(size);
        let counted = &mut self.rows[row as usize];
        counted.objects += weight;
        counted.bytes += weight * size as f64;
        self.live.insert(address, Live { row, size });
    }

    fn new_row(&mut self, stack: &[usize]) -> u32 {
        // The last row is for all that find no room.
        let key = if self.rows.len() < MAX_STACKS { stack } else { &[] };
        if let Some(row) = self.row_of.get(key) {
            return *row;
        }
        let row = self.rows.len() as u32;
        self.rows.push(Counted::default());
        self.row_of.insert(key.into(), row);
        row
    }

    fn remove(&mut self, address: usize) -> bool {
        let Some(Live { row, size }) = self.live.remove(&address) else { return false };
        let weight = weight(size);
        let counted = &mut self.rows[row as usize];
        counted.freed_objects += weight;
        counted.freed_bytes += weight * size as f64;
        true
    }
}

/// How many allocations of this size a sample stands for.
fn weight(size: usize) -> f64 {
    1.0 / -(-(size.max(1) as f64) / SAMPLE_BYTES as f64).exp_m1()
}

/// What was allocated since samples are taken, and what of it still is; `kind` is one of `Heap` and `Allocs`, which differ in what is
/// shown first.
#[must_use]
pub fn heap(kind: Kind) -> Profile {
    let mut profile = Profile::new(kind, SAMPLE_BYTES as i64);
    profile.comments.push(match ON.load(Ordering::Relaxed) {
        true => "memory of our own code; not that of C libraries, mapped files and stacks".to_owned(),
        false => "allocations are not sampled in this process".to_owned(),
    });
    profile.rows = with_table(|table| {
        table.row_of.iter().map(|(stack, row)| table.rows[*row as usize].row(stack)).collect()
    });
    profile
}

impl Counted {
    fn row(&self, stack: &[usize]) -> Row {
        let whole = |value: f64| value.round() as i64;
        let values = vec![
            whole(self.objects),
            whole(self.bytes),
            whole(self.objects - self.freed_objects),
            whole(self.bytes - self.freed_bytes),
        ];
        Row { stack: stack.into(), thread: String::new(), values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_for_all_bytes() {
        // Whatever the size, drawing by chance and weighting gives the bytes back.
        for size in [1_usize, 100, 10_000, SAMPLE_BYTES, 10 * SAMPLE_BYTES] {
            let chance = 1.0 - (-(size as f64) / SAMPLE_BYTES as f64).exp();
            assert!((weight(size) * chance - 1.0).abs() < 1e-6, "{size}");
        }
        let mean = (0..20_000).map(|_| gap() as f64).sum::<f64>() / 20_000.0;
        assert!((mean / SAMPLE_BYTES as f64 - 1.0).abs() < 0.05, "{mean}");
    }

    #[test]
    fn stacks_are_bounded() {
        let mut table = Table::default();
        (0..MAX_STACKS + 100).for_each(|i| table.add(i * MARK, 100, &[i, i]));
        assert_eq!(table.rows.len(), MAX_STACKS + 1);
        let rest = table.row_of[&[] as &[usize]];
        assert!((table.rows[rest as usize].objects - 100.0 * weight(100)).abs() < 1e-3);
        (0..MAX_STACKS + 100).for_each(|i| assert!(table.remove(i * MARK)));
        assert!(!table.remove(0));
        assert!(table.rows.iter().all(|row| row.row(&[]).values[3] == 0));
    }
}
