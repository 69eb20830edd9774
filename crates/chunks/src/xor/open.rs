//! The open chunk: the newest samples of one series, compressed as they arrive.
//!
//! Holds: the writing half of the XOR encoding, the few numbers it needs, and what XOR2 shares with it (the rest of that is in
//! `open2`). Must not know: labels, the WAL, the clock.
//! Always true: timestamps rise strictly; full words of 64 bits lie in `words`, the bits after them at the top of `tail`, zeros
//! below; the header's bytes are only set in copies ([`OpenChunk::copy_to`]).
//! PERF: 56 bytes and one box a series. Most samples take two bits and touch only `tail`: neither the box nor bytes just
//! written, which the processor would have to wait for (`benches/chunks.rs`, encode: 35 ns a sample when each wrote to the
//! box). The box grows through size classes that the allocator has, so that slack stays below a quarter.

use narthex_model::STALE_NAN_BITS;

use crate::bits::PutBits;
use crate::{FloatEncoding, SealedChunk};

/// Bytes of the sample count in front.
const HEADER: usize = 2;
/// The same for XOR2, which has a byte about start timestamps behind the count.
const HEADER2: usize = 3;
/// No window yet: the next changed value writes one.
const NO_WINDOW: u8 = 0xff;
/// A chunk above this many bytes takes no more samples: the next one could lift it above 1,024 (with XOR2 and start
/// timestamps by some bytes more).
const FULL_BYTES: usize = 1024 - 19;

/// A growing chunk of floats. The empty one has no bytes.
#[derive(Debug)]
pub struct OpenChunk {
    /// Full words. While there are start timestamps, the last word of the box is that of the newest sample instead: few
    /// series have any, and those that do write to the box anyway.
    words: Box<[u64]>,
    /// The bits after the last full word, first one at the top.
    tail: u64,
    pub(super) last_ms: i64,
    /// Bits of the newest value; for XOR2 of the newest one that is no stale marker.
    pub(super) last_value: u64,
    /// Distance of the last two timestamps, ms; 0 while there is one sample.
    pub(super) delta_ms: u32,
    /// Bits in use, the header's included.
    bits: u16,
    pub(super) samples: u16,
    leading: u8,
    trailing: u8,
    encoding: FloatEncoding,
    /// The header's byte about start timestamps (XOR2); 0 when there is none.
    pub(super) starts: u8,
    /// Whether the newest sample is a stale marker (XOR2).
    pub(super) is_stale: bool,
}

impl Default for OpenChunk {
    fn default() -> Self {
        Self::new(FloatEncoding::Xor)
    }
}

impl OpenChunk {
    /// An empty chunk.
    #[must_use]
    pub fn new(encoding: FloatEncoding) -> Self {
        let header = match encoding {
            FloatEncoding::Xor => HEADER,
            FloatEncoding::Xor2 => HEADER2,
        };
        Self {
            words: Box::default(),
            tail: 0,
            last_ms: 0,
            last_value: 0,
            delta_ms: 0,
            bits: (header * 8) as u16,
            samples: 0,
            leading: NO_WINDOW,
            trailing: 0,
            encoding,
            starts: 0,
            is_stale: false,
        }
    }

    /// How it is encoded.
    #[inline]
    #[must_use]
    pub fn encoding(&self) -> FloatEncoding {
        self.encoding
    }

    /// How many samples it holds.
    #[inline]
    #[must_use]
    pub fn samples(&self) -> u32 {
        u32::from(self.samples)
    }

    /// Timestamp of the newest sample, ms; meaningless while empty.
    #[inline]
    #[must_use]
    pub fn last_ms(&self) -> i64 {
        self.last_ms
    }

    /// Bits of the newest value; meaningless while empty.
    #[inline]
    #[must_use]
    pub fn last_value_bits(&self) -> u64 {
        if self.is_stale { STALE_NAN_BITS } else { self.last_value }
    }

    /// Start timestamp of the newest sample, ms; 0 for none.
    #[must_use]
    pub fn last_start_ms(&self) -> i64 {
        match self.starts {
            0 => 0,
            _ => self.words.last().map_or(0, |word| *word as i64),
        }
    }

    /// Whether a sample at `t_ms` still belongs here. Says no for a chunk that could outgrow 1,024 bytes or whose distance
    /// to the sample does not fit; whether the chunk is long enough is the caller's to decide.
    #[inline]
    #[must_use]
    pub fn has_room(&self, t_ms: i64) -> bool {
        self.byte_len() <= FULL_BYTES && t_ms.wrapping_sub(self.last_ms) <= i64::from(u32::MAX)
    }

    /// Whether [`Self::has_room`], and whether the sample's start timestamp may follow those before it. XOR takes any, and
    /// drops it.
    #[inline]
    #[must_use]
    pub fn has_room_with_start(&self, t_ms: i64, start_ms: i64) -> bool {
        self.has_room(t_ms) && (start_ms == 0 || self.takes_start(start_ms))
    }

    /// Bytes so far.
    #[inline]
    #[must_use]
    pub fn byte_len(&self) -> usize {
        usize::from(self.bits).div_ceil(8)
    }

    /// Adds a sample without start timestamp; `t_ms` must be above the last one and [`Self::has_room`] must have said yes.
    #[inline]
    pub fn push(&mut self, t_ms: i64, value: f64) {
        self.push_with_start(t_ms, 0, value);
    }

    /// As [`Self::push`], with the start timestamp, ms, 0 for none; XOR drops it.
    #[inline]
    pub fn push_with_start(&mut self, t_ms: i64, start_ms: i64, value: f64) {
        let value = value.to_bits();
        if self.encoding == FloatEncoding::Xor2 {
            return self.push2(t_ms, start_ms, value);
        }
        match self.samples {
            0 => self.push_first(t_ms, value),
            1 => {
                self.push_second_time(t_ms);
                self.put_value(0, 0, value);
            }
            _ => self.push_next(t_ms, value),
        }
        self.last_ms = t_ms;
        self.last_value = value;
        self.samples += 1;
    }

    pub(super) fn push_first(&mut self, t_ms: i64, value: u64) {
        self.put_varint(t_ms);
        self.put(value, 64);
    }

    pub(super) fn push_second_time(&mut self, t_ms: i64) {
        self.delta_ms = t_ms.wrapping_sub(self.last_ms) as u32;
        self.put_uvarint(u64::from(self.delta_ms));
    }

    /// Remembers the distance to a timestamp and returns by how much it changed.
    #[inline]
    pub(super) fn change_of_distance(&mut self, t_ms: i64) -> i64 {
        let delta_ms = t_ms.wrapping_sub(self.last_ms) as u32;
        i64::from(delta_ms) - i64::from(std::mem::replace(&mut self.delta_ms, delta_ms))
    }

    #[inline]
    fn push_next(&mut self, t_ms: i64, value: u64) {
        let change = self.change_of_distance(t_ms);
        let low = |bits: u32| change as u64 & ((1 << bits) - 1);
        match change {
            // The usual sample of a regular scrape: one bit, which joins those of the value.
            0 => self.put_value(0, 1, value),
            -8_191..=8_192 => self.put_value(0b10 << 14 | low(14), 16, value),
            -65_535..=65_536 => self.put_value(0b110 << 17 | low(17), 20, value),
            -524_287..=524_288 => self.put_value(0b1110 << 20 | low(20), 24, value),
            _ => {
                self.put(0b1111, 4);
                self.put(change as u64, 64);
                self.put_value(0, 0, value);
            }
        }
    }

    /// Writes `head` (its low `head_bits`, at most 24) and then the value as XOR.
    #[inline]
    fn put_value(&mut self, head: u64, head_bits: u32, value: u64) {
        match value ^ self.last_value {
            0 => self.put(head << 1, head_bits + 1),
            xor => self.put_xor((head, head_bits), (0b10, 2), (0b11, 2), xor),
        }
    }

    /// Writes `head`, then `same` and the bits that changed, when they lie in the window of the sample before, else `new` and
    /// a window of their own. Each is a value and its number of bits.
    #[inline]
    pub(super) fn put_xor(&mut self, head: (u64, u32), same: (u64, u32), new: (u64, u32), xor: u64) {
        let leading = xor.leading_zeros().min(31) as u8;
        let trailing = xor.trailing_zeros() as u8;
        if self.leading != NO_WINDOW && leading >= self.leading && trailing >= self.trailing {
            self.put(head.0 << same.1 | same.0, head.1 + same.1);
            let width = 64 - u32::from(self.leading) - u32::from(self.trailing);
            return self.put(xor >> self.trailing, width);
        }
        (self.leading, self.trailing) = (leading, trailing);
        let width = 64 - u32::from(leading) - u32::from(trailing);
        // 64 does not fit into six bits and is written as 0; a width of 0 never occurs.
        let window = u64::from(leading) << 6 | u64::from(width & 63);
        self.put((head.0 << new.1 | new.0) << 11 | window, head.1 + new.1 + 11);
        self.put(xor >> trailing, width);
    }

    /// Moves the full tail to the words.
    fn flush(&mut self) {
        let at = usize::from(self.bits) / 64;
        if at + usize::from(self.starts != 0) == self.words.len() {
            self.grow();
        }
        self.words[at] = self.tail;
    }

    #[cold]
    fn grow(&mut self) {
        let mut words = vec![0; size_class(self.words.len() + 1)].into_boxed_slice();
        words[..self.words.len()].copy_from_slice(&self.words);
        if let (Some(last), Some(old)) = (words.last_mut(), self.words.last()) {
            *last = *old;
        }
        self.words = words;
    }

    /// Keeps the start timestamp of the newest sample, and the header's byte about all of them.
    pub(super) fn keep_start(&mut self, starts: u8, start_ms: i64) {
        if self.starts == 0 && usize::from(self.bits) / 64 == self.words.len() {
            self.grow();
        }
        self.starts = starts;
        *self.words.last_mut().expect("one word more than the full ones") = start_ms as u64;
    }

    /// Appends the whole chunk to `out`, header included.
    pub fn copy_to(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let full = usize::from(self.bits) / 64;
        // PERF: the room is made at once, so that the words are turned in a loop without a look at the capacity.
        out.resize(start + 8 * full + 8, 0);
        let (places, _) = out[start..].as_chunks_mut::<8>();
        let words = self.words[..full].iter().chain([&self.tail]);
        places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_be_bytes());
        out.truncate(start + self.byte_len());
        out[start..start + HEADER].copy_from_slice(&self.samples.to_be_bytes());
        if self.encoding == FloatEncoding::Xor2 {
            out[start + HEADER] = self.starts;
        }
    }

    /// Lets the processor fetch what [`Self::copy_to`] reads, without waiting for it.
    #[inline]
    pub fn prefetch(&self) {
        crate::prefetch::prefetch(&self.words);
    }

    /// Timestamp of the first sample, ms; the chunk must not be empty.
    #[must_use]
    pub fn first_ms(&self) -> i64 {
        // The first sample is 64 bits and a varint long: the words that hold all of the varint are full.
        let word = |at: usize| self.words.get(at).copied().unwrap_or(0).to_be_bytes();
        let bytes = [word(0), word(1)];
        super::first_timestamp(self.encoding.into(), bytes.as_flattened())
            .expect("the first sample was written whole")
    }

    /// Closes the chunk into exact bytes and starts an empty one of the same encoding in its place. The chunk must not be
    /// empty.
    #[must_use]
    pub fn seal(&mut self) -> SealedChunk {
        let mut bytes = Vec::with_capacity(self.byte_len());
        self.copy_to(&mut bytes);
        let sealed = SealedChunk {
            min_ms: self.first_ms(),
            max_ms: self.last_ms,
            encoding: self.encoding.into(),
            bytes: bytes.into_boxed_slice(),
        };
        *self = Self::new(self.encoding);
        sealed
    }
}

impl PutBits for OpenChunk {
    #[inline]
    fn put(&mut self, value: u64, count: u32) {
        let used = u32::from(self.bits) % 64;
        let aligned = value << (64 - count);
        self.tail |= aligned >> used;
        if used + count >= 64 {
            self.flush();
            // With no bit used before, all of the value went into the word.
            self.tail = aligned.checked_shl(64 - used).unwrap_or(0);
        }
        self.bits += count as u16;
    }
}

/// The number of words to allocate for `need`: two at a time up to 128 bytes, then four steps to each doubling.
fn size_class(need: usize) -> usize {
    if need <= 16 {
        return need.next_multiple_of(2);
    }
    need.next_multiple_of(need.next_power_of_two() / 8)
}
