//! Reading bits.
//!
//! PERF: the next bits sit at the top of one 64-bit number, which is filled up from eight bytes at a time; a number of a few
//! bits costs a compare and two shifts.

/// What reading stopped at: the end of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End;

/// The bits of a byte slice that are not read yet.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    rest: &'a [u8],
    /// The next bits, first one at the top; bits below `ready` may be anything.
    bits: u64,
    ready: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest, bits: 0, ready: 0 }
    }

    /// How many bits are left, padding included.
    pub(crate) fn left_bits(&self) -> u64 {
        self.rest.len() as u64 * 8 + u64::from(self.ready)
    }

    /// How many bits [`Self::peek`] may be asked for without [`Self::fill`].
    #[inline]
    pub(crate) fn ready(&self) -> u32 {
        self.ready
    }

    /// The next bits, first one at the top; those after [`Self::ready`] may be anything.
    #[inline]
    pub(crate) fn peek(&self) -> u64 {
        self.bits
    }

    /// The next `count` bits, 1..=64.
    #[inline]
    pub(crate) fn take(&mut self, count: u32) -> Result<u64, End> {
        if self.ready < count {
            self.fill();
            if self.ready < count {
                return self.take_wide(count);
            }
        }
        let value = self.bits >> (64 - count);
        self.skip(count);
        Ok(value)
    }

    /// More bits than one filling gives: the upper part, then the rest.
    #[cold]
    fn take_wide(&mut self, count: u32) -> Result<u64, End> {
        let high_bits = self.ready;
        if high_bits == 0 {
            return Err(End);
        }
        let high = self.bits >> (64 - high_bits);
        self.skip(high_bits);
        self.fill();
        let low_bits = count - high_bits;
        self.need(low_bits)?;
        let low = self.bits >> (64 - low_bits);
        self.skip(low_bits);
        Ok(high << low_bits | low)
    }

    /// Whether `count` bits are ready.
    #[inline]
    pub(crate) fn need(&self, count: u32) -> Result<(), End> {
        if self.ready < count { Err(End) } else { Ok(()) }
    }

    /// Drops `count` bits, 0..=64, that are ready.
    #[inline]
    pub(crate) fn skip(&mut self, count: u32) {
        self.bits = self.bits.checked_shl(count).unwrap_or(0);
        self.ready -= count;
    }

    /// Brings at least 57 bits in, or all that is left.
    #[inline]
    pub(crate) fn fill(&mut self) {
        if self.ready > 56 {
            return;
        }
        if let Some(bytes) = self.rest.first_chunk::<8>() {
            self.bits |= u64::from_be_bytes(*bytes) >> self.ready;
            let whole = (64 - self.ready) / 8;
            self.rest = &self.rest[whole as usize..];
            self.ready += whole * 8;
            // Bits of a byte that was not taken whole come again with the next filling: OR-ing them twice is harmless.
        } else {
            self.fill_slow();
        }
    }

    fn fill_slow(&mut self) {
        while self.ready <= 56 {
            let Some((byte, rest)) = self.rest.split_first() else { return };
            self.bits |= u64::from(*byte) << (56 - self.ready);
            self.ready += 8;
            self.rest = rest;
        }
    }
}
