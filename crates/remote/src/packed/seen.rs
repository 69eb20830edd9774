//! Which labels were written a short while ago, and where.
//!
//! The newest few thousand labels in a ring, in the order in which they were written, and for each hash of a label one of the newest
//! with it. What is overwritten is met again as something new, which costs bytes and nothing else.
//! PERF: the ring is read and written in its order; the places of hashes are not, and are left alone where that will do.

/// Labels that are remembered: about as many as 64 KiB of labels are.
const REMEMBERED: usize = 4096;
const HASHES: usize = 2 * REMEMBERED;
/// How far a copy reaches.
pub(super) const REACH: usize = 0xffff;

/// A label that was written.
#[derive(Clone, Copy, Default)]
struct Written {
    key: u64,
    /// Where in the message.
    from: u32,
    len: u32,
}

/// A label that was written, and is within reach.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) number: Number,
    /// Where in the message.
    pub(super) from: u32,
    /// Its encoded bytes.
    pub(super) len: u32,
}

/// The number of a label among all that were written; 0 for none.
pub(super) type Number = u32;

/// See the module's words.
pub(super) struct Seen {
    ring: Box<[Written]>,
    /// By hash, the number of a label.
    by_hash: Box<[u32]>,
    /// The number of the next label.
    next: u32,
    /// Numbers below this are forgotten.
    first: u32,
}

impl Default for Seen {
    fn default() -> Self {
        let (ring, by_hash) = (vec![Written::default(); REMEMBERED], vec![0; HASHES]);
        Self { ring: ring.into(), by_hash: by_hash.into(), next: 1, first: 1 }
    }
}

#[inline]
fn hash(key: u64) -> usize {
    // The golden ratio: Fibonacci hashing of two small numbers.
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - HASHES.ilog2())) as usize
}

impl Seen {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        if self.next > u32::MAX / 2 {
            self.by_hash.fill(0);
            self.next = 1;
        }
        self.first = self.next;
    }

    /// The number of the next label.
    pub(super) fn next(&self) -> Number {
        self.next
    }

    /// Where this label was written, within the reach of one that is written at `at` or before: right behind `before` if it is there,
    /// or else as number `beside`.
    #[inline]
    pub(super) fn find(&self, key: u64, before: Number, beside: Number, at: usize) -> Option<Found> {
        let behind = before.wrapping_add(1);
        if before != 0 && self.is_here(behind, key, at) {
            let (one, other) = (self.get(before), self.get(behind));
            if one.from + one.len == other.from {
                return Some(self.found(behind));
            }
        }
        if self.is_here(beside, key, at) {
            return Some(self.found(beside));
        }
        let indexed = self.by_hash[hash(key)];
        self.is_here(indexed, key, at).then(|| self.found(indexed))
    }

    #[inline]
    fn is_here(&self, number: Number, key: u64, at: usize) -> bool {
        let written = self.get(number);
        let age = self.next.wrapping_sub(number);
        written.key == key
            && number >= self.first
            && age.wrapping_sub(1) < REMEMBERED as u32
            && at - written.from as usize <= REACH
    }

    #[inline]
    fn get(&self, number: Number) -> Written {
        self.ring[number as usize % REMEMBERED]
    }

    #[inline]
    fn found(&self, number: Number) -> Found {
        let Written { from, len, .. } = self.get(number);
        Found { number, from, len }
    }

    /// Takes note of a label that is written at `from`; without `is_indexed` it is found behind and beside others only.
    #[inline]
    pub(super) fn add(&mut self, key: u64, from: usize, len: u32, is_indexed: bool) {
        // A message is smaller than the 4 GiB that snappy takes.
        self.ring[self.next as usize % REMEMBERED] = Written { key, from: from as u32, len };
        if is_indexed {
            self.by_hash[hash(key)] = self.next;
        }
        self.next += 1;
    }

    /// As if so many labels had been written.
    #[cfg(test)]
    pub(super) fn leap(&mut self, next: u32) {
        self.next = next;
    }
}
