//! From a label set to its slot: a hash table in 64 parts, each with its own lock.
//!
//! An entry is 8 bytes: the slot and 32 bits of the hash. The label set itself lies in the slab; the caller compares it.
//! Lock: a part's lock comes before the locks of pages and symbols. It is held for writing while one series is made, so that
//! two callers with one label set get one series.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use narthex_model::Labels;
use parking_lot::{RwLock, RwLockWriteGuard};

use super::slab::Slot;

const PARTS: usize = 64;

/// All parts. Hashes are keyed per process: label sets come from the network.
pub(crate) struct SeriesIndex {
    parts: Box<[RwLock<HashTable<Entry>>]>,
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct Entry {
    hash: u32,
    slot: Slot,
}

/// The hash of a label set in this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LabelsHash(u64);

impl LabelsHash {
    fn part(self) -> usize {
        self.0 as usize % PARTS
    }

    fn short(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The tables take their buckets from the low bits and their tags from the high ones: spread the 32 bits over both.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl SeriesIndex {
    pub(crate) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| RwLock::default()).collect(), hasher: RandomState::default() }
    }

    pub(crate) fn hash(&self, labels: &Labels) -> LabelsHash {
        LabelsHash(self.hasher.hash_one(labels.as_packed().as_bytes()))
    }

    /// The slot with this label set; `is_it` compares a candidate.
    pub(crate) fn find(&self, hash: LabelsHash, mut is_it: impl FnMut(Slot) -> bool) -> Option<Slot> {
        find_in(&self.parts[hash.part()].read(), hash, &mut is_it)
    }

    /// Locks the part of a hash to look again and then perhaps insert.
    pub(crate) fn lock(&self, hash: LabelsHash) -> LockedPart<'_> {
        LockedPart { table: self.parts[hash.part()].write(), hash }
    }
}

/// A part of the index, locked for one hash.
pub(crate) struct LockedPart<'a> {
    table: RwLockWriteGuard<'a, HashTable<Entry>>,
    hash: LabelsHash,
}

impl LockedPart<'_> {
    pub(crate) fn find(&self, mut is_it: impl FnMut(Slot) -> bool) -> Option<Slot> {
        find_in(&self.table, self.hash, &mut is_it)
    }

    pub(crate) fn insert(&mut self, slot: Slot) {
        let hash = self.hash.short();
        self.table.insert_unique(spread(hash), Entry { hash, slot }, |e| spread(e.hash));
    }
}

impl LockedPart<'_> {
    /// Forgets a slot.
    pub(crate) fn remove(&mut self, slot: Slot) {
        let short = self.hash.short();
        if let Ok(entry) = self.table.find_entry(spread(short), |e| e.slot == slot) {
            entry.remove();
        }
        if self.table.capacity() > 64 && self.table.len() < self.table.capacity() / 4 {
            let room = self.table.len() * 2;
            self.table.shrink_to(room, |e| spread(e.hash));
        }
    }
}

fn find_in(table: &HashTable<Entry>, hash: LabelsHash, is_it: &mut dyn FnMut(Slot) -> bool) -> Option<Slot> {
    let short = hash.short();
    table.find(spread(short), |e| e.hash == short && is_it(e.slot)).map(|e| e.slot)
}
