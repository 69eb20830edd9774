//! Writing bits.

use super::PutBits;

/// Bits written so far. 48 bytes and one allocation that grows by a quarter.
#[derive(Clone, Debug, Default)]
pub struct BitWriter {
    /// Whole words, high byte first.
    bytes: Vec<u8>,
    /// The bits after them, first one at the top, zeros below.
    tail: u64,
    /// How many bits of `tail` are in use, 0..64.
    used: u32,
}

/// Least bytes to grow by.
const GROWTH: usize = 64;

impl BitWriter {
    /// Bytes so far, the last one padded.
    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len() + self.used.div_ceil(8) as usize
    }

    fn flush(&mut self, word: u64) {
        if self.bytes.capacity() - self.bytes.len() < 8 {
            self.bytes.reserve_exact((self.bytes.len() / 4).max(GROWTH).next_multiple_of(8));
        }
        self.bytes.extend_from_slice(&word.to_be_bytes());
    }

    /// Appends everything to `out`, the last byte padded with zeros.
    pub(crate) fn copy_to(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.byte_len();
        out.extend_from_slice(&self.bytes);
        out.extend_from_slice(&self.tail.to_be_bytes());
        out.truncate(end);
    }

    /// Bytes of memory beside the struct itself.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}

impl PutBits for BitWriter {
    #[inline]
    fn put(&mut self, value: u64, count: u32) {
        debug_assert!((1..=64).contains(&count) && (count == 64 || value >> count == 0));
        let free = 64 - self.used;
        if count < free {
            self.tail |= value << (free - count);
            self.used += count;
            return;
        }
        let rest = count - free;
        self.flush(self.tail | value >> rest);
        self.tail = if rest == 0 { 0 } else { value << (64 - rest) };
        self.used = rest;
    }
}
