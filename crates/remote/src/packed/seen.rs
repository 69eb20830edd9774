//! Which labels were written a short while ago, and where.
//!
//! The newest few thousand labels in a ring, in the order in which they were written, and for each hash of a label the newest one
//! with it. What is overwritten is met again as something new, which costs bytes and nothing else.

/// Labels that are remembered: about as many as 64 KiB of labels are.
const REMEMBERED: usize = 4096;
const HASHES: usize = 2 * REMEMBERED;
/// How far a copy reaches.
pub(super) const REACH: usize = 0xffff;

/// A label that was written.
#[derive(Clone, Copy, Default)]
pub(super) struct Written {
    key: u64,
    /// Where in the message.
    pub(super) from: u32,
    pub(super) len: u32,
}

/// The number of a label among all that were written; 0 for none.
pub(super) type Number = u32;

/// See the module's words.
pub(super) struct Seen {
    ring: Box<[Written]>,
    /// By hash, the number of the newest label.
    newest: Box<[u32]>,
    /// The number of the next label.
    next: u32,
    /// Numbers below this are forgotten.
    first: u32,
}

impl Default for Seen {
    fn default() -> Self {
        let (ring, newest) = (vec![Written::default(); REMEMBERED], vec![0; HASHES]);
        Self { ring: ring.into(), newest: newest.into(), next: 1, first: 1 }
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
            self.newest.fill(0);
            self.next = 1;
        }
        self.first = self.next;
    }

    /// Where this label was written, within the reach of one that is written at `at` or before: right behind `before` if it is there.
    #[inline]
    pub(super) fn find(&self, key: u64, before: Number, at: usize) -> Number {
        let behind = before.wrapping_add(1);
        if before != 0 && self.is_here(behind, key, at) {
            let (one, other) = (self.get(before), self.get(behind));
            if one.from + one.len == other.from {
                return behind;
            }
        }
        let newest = self.newest[hash(key)];
        if self.is_here(newest, key, at) { newest } else { 0 }
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

    /// A label that was found.
    #[inline]
    pub(super) fn get(&self, number: Number) -> Written {
        self.ring[number as usize % REMEMBERED]
    }

    /// Takes note of a label that is written at `from`.
    #[inline]
    pub(super) fn add(&mut self, key: u64, from: usize, len: u32) {
        // A message is smaller than the 4 GiB that snappy takes.
        self.ring[self.next as usize % REMEMBERED] = Written { key, from: from as u32, len };
        self.newest[hash(key)] = self.next;
        self.next += 1;
    }

    /// As if so many labels had been written.
    #[cfg(test)]
    pub(super) fn leap(&mut self, next: u32) {
        self.next = next;
    }
}
