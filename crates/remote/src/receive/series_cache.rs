//! From the encoded labels of a series to its reference, without looking at a single label.
//!
//! Holds: 120 bits of a keyed hash, the reference, and when it was last used; never the labels. Two label sets of one key would
//! mix two series: among 10 million series that has a chance below 1e-22, and the hash is keyed by chance so that nobody can
//! aim for it.
//! Always true: at most [`MAX_SERIES`] series, 28–38 bytes for each (besides the smallest tables); what was not used for two to
//! three [`EPOCH_MS`] leaves when its shard is next touched. A reference may be stale: the storage says so and the caller
//! resolves again.
//! Locks: one per shard, held for a look-up or for rebuilding one shard; none inside another.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use narthex_storage::SeriesRef;
use parking_lot::Mutex;

const SHARDS: usize = 32;
/// Most series that are remembered; further ones take the places of others.
pub(super) const MAX_SERIES: usize = 4 << 20;
/// The unit of age, ms.
pub(super) const EPOCH_MS: i64 = 20 * 60 * 1000;
/// Entries of a greater age leave.
const MAX_AGE: u8 = 2;
/// Tables are rebuilt when fuller than this, percent; bounds the length of a search.
const FULL: usize = 86;
/// How full a rebuilt table is, percent; bounds the memory.
const FRESH: usize = 64;
const SMALLEST: usize = 16;

/// The keyed hash of encoded labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Key {
    /// Gives the place in a shard.
    low: u64,
    /// The top bits give the shard; the lowest eight are not used.
    high: u64,
}

/// A moment in units of [`EPOCH_MS`], modulo 255, plus one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Epoch(u8);

impl Epoch {
    pub(super) fn at(now_ms: i64) -> Self {
        Self(now_ms.div_euclid(EPOCH_MS).rem_euclid(255) as u8 + 1)
    }

    fn since(self, earlier: u8) -> u8 {
        (i16::from(self.0) - i16::from(earlier)).rem_euclid(255) as u8
    }
}

/// See the module's words.
pub(super) struct SeriesCache {
    seeds: [SharedSeed; 2],
    states: [u64; 2],
    shards: Vec<Mutex<Shard>>,
    max_per_shard: usize,
}

#[derive(Default)]
struct Shard {
    /// Open addressing, linear probing.
    slots: Vec<Slot>,
    used: usize,
    /// When it was last swept.
    swept: Epoch,
}

/// An entry; empty when `high_and_epoch` is 0.
#[derive(Clone, Copy, Default)]
struct Slot {
    low: u64,
    /// The hash's upper bits; in the lowest eight the epoch of its last use, which is never 0.
    high_and_epoch: u64,
    series: u64,
}

impl Slot {
    fn is_empty(&self) -> bool {
        self.high_and_epoch == 0
    }

    fn is(&self, key: Key) -> bool {
        self.low == key.low && (self.high_and_epoch ^ key.high) < 0x100
    }

    fn epoch(&self) -> u8 {
        self.high_and_epoch as u8
    }
}

impl SeriesCache {
    /// An empty cache for at most `max_series` series, keyed by chance.
    pub(super) fn new(max_series: usize) -> Self {
        let random = |n: u64| RandomState::new().hash_one(n);
        Self {
            seeds: [SharedSeed::from_u64(random(1)), SharedSeed::from_u64(random(2))],
            states: [random(3), random(4)],
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            max_per_shard: (max_series / SHARDS).max(1),
        }
    }

    /// Hashes encoded labels. Cost: see `benches/receive.rs`.
    #[inline]
    pub(super) fn key(&self, encoded_labels: &[u8]) -> Key {
        Key { low: self.half(0, encoded_labels), high: self.half(1, encoded_labels) & !0xff }
    }

    /// Hashes one text; keys of series may be made of such hashes, 128 bits that nobody can aim for either.
    #[inline]
    pub(super) fn hash(&self, text: &[u8]) -> [u8; 16] {
        (u128::from(self.half(0, text)) << 64 | u128::from(self.half(1, text))).to_le_bytes()
    }

    #[inline]
    fn half(&self, n: usize, bytes: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.states[n], &self.seeds[n]);
        // Long texts of one period, of different length, must not look alike.
        hasher.write_usize(bytes.len());
        hasher.write(bytes);
        hasher.finish()
    }

    /// The reference of a series, if it is known; marks it as used.
    #[inline]
    pub(super) fn get(&self, key: Key, now: Epoch) -> Option<SeriesRef> {
        let mut shard = self.shard(key).lock();
        shard.sweep(now);
        let slot = shard.find(key).ok()?;
        let slot = &mut shard.slots[slot];
        if slot.epoch() != now.0 {
            slot.high_and_epoch = key.high | u64::from(now.0);
        }
        Some(SeriesRef(slot.series))
    }

    /// Remembers the reference of a series.
    pub(super) fn insert(&self, key: Key, series: SeriesRef, now: Epoch) {
        let mut shard = self.shard(key).lock();
        shard.sweep(now);
        shard.insert(key, series, now, self.max_per_shard);
    }

    fn shard(&self, key: Key) -> &Mutex<Shard> {
        &self.shards[(key.high >> 59) as usize % SHARDS]
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().used).sum()
    }

    #[cfg(test)]
    pub(super) fn size_bytes(&self) -> usize {
        let slots: usize = self.shards.iter().map(|shard| shard.lock().slots.capacity()).sum();
        slots * size_of::<Slot>()
    }
}

impl Shard {
    /// Drops what is old, once an epoch.
    #[inline]
    fn sweep(&mut self, now: Epoch) {
        if self.swept != now {
            self.swept = now;
            if self.slots.iter().any(|s| !s.is_empty() && now.since(s.epoch()) > MAX_AGE) {
                self.rebuild(now);
            }
        }
    }

    fn home(&self, low: u64) -> usize {
        ((u128::from(low) * self.slots.len() as u128) >> 64) as usize
    }

    /// The place of a key, or the empty place where it belongs (none when there are no slots).
    #[inline]
    fn find(&self, key: Key) -> Result<usize, Option<usize>> {
        if self.slots.is_empty() {
            return Err(None);
        }
        let mut at = self.home(key.low);
        loop {
            let slot = &self.slots[at];
            if slot.is(key) {
                return Ok(at);
            }
            if slot.is_empty() {
                return Err(Some(at));
            }
            at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
        }
    }

    fn insert(&mut self, key: Key, series: SeriesRef, now: Epoch, max: usize) {
        let slot = Slot { low: key.low, high_and_epoch: key.high | u64::from(now.0), series: series.0 };
        let has_room = (self.used + 1) * 100 <= self.slots.len() * FULL;
        let at = match self.find(key) {
            Ok(at) => at,
            Err(Some(at)) if has_room && self.used < max => {
                self.used += 1;
                at
            }
            Err(_) if self.used < max => {
                self.rebuild(now);
                return self.insert(key, series, now, max);
            }
            // Full. Whoever has this key's first place goes: the searches of all others still pass over it. When nobody has
            // it, the series is not remembered.
            Err(_) => match self.home(key.low) {
                home if self.slots[home].is_empty() => return,
                home => home,
            },
        };
        self.slots[at] = slot;
    }

    /// Moves what is young into a table of the right size.
    fn rebuild(&mut self, now: Epoch) {
        let young = |slot: &&Slot| !slot.is_empty() && now.since(slot.epoch()) <= MAX_AGE;
        let old = std::mem::take(&mut self.slots);
        self.used = old.iter().filter(young).count();
        let len = ((self.used + 1) * 100 / FRESH).max(SMALLEST);
        self.slots = vec![Slot::default(); len];
        for slot in old.iter().filter(young) {
            let mut at = self.home(slot.low);
            while !self.slots[at].is_empty() {
                at = if at + 1 == len { 0 } else { at + 1 };
            }
            self.slots[at] = *slot;
        }
    }
}

#[cfg(test)]
mod tests;
