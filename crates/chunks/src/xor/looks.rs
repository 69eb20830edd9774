//! Looks at the bits of a chunk, and the window in which the bits of a value change.

/// Bytes that are held at a time, a power of two; most chunks are shorter.
pub(super) const ROOM: usize = 2048;
/// What a look that begins at the last byte needs behind it.
const BEHIND: usize = 16;

/// Bytes of a chunk, with anything behind them, so that every look finds its bits.
pub(super) struct Bytes([u8; ROOM + BEHIND]);

impl Bytes {
    pub(super) const EMPTY: Self = Self([0; ROOM + BEHIND]);

    /// Takes as much of `bytes` as there is room for; returns how many bits.
    pub(super) fn hold(&mut self, bytes: &[u8]) -> usize {
        let held = bytes.len().min(ROOM);
        self.0[..held].copy_from_slice(&bytes[..held]);
        held * 8
    }

    /// The eight bytes from `place` on, which is below [`ROOM`] + 8.
    #[inline(always)]
    pub(super) fn eight(&self, place: usize) -> u64 {
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.0[place..place + 8]);
        u64::from_be_bytes(eight)
    }

    /// The 64 bits from `at` on; behind what is held, any.
    #[inline(always)]
    pub(super) fn look(&self, at: usize) -> u64 {
        let (place, bit) = (at / 8 % ROOM, at % 8);
        self.eight(place) << bit | u64::from(self.0[place + 8]) << bit >> 8
    }
}

/// A window, and how to bring a change there.
#[derive(Clone, Copy, Default)]
pub(super) struct Changes {
    pub(super) width: u32,
    /// By how much a change at the top of 64 bits is turned to the right.
    pub(super) turn: u32,
    /// The bits that can change.
    pub(super) mask: u64,
}

impl Changes {
    /// So many bits, 1..=64, with so many below them.
    #[inline(always)]
    pub(super) fn new(width: u32, trailing: u32) -> Self {
        let turn = 64u32.wrapping_sub(width).wrapping_sub(trailing) % 64;
        Self { width, turn, mask: u64::MAX >> (64 - width) << trailing }
    }

    pub(super) fn width(&self) -> usize {
        self.width as usize
    }

    /// The change that stands at the top of `bits`.
    #[inline(always)]
    pub(super) fn of(&self, bits: u64) -> u64 {
        bits.rotate_right(self.turn) & self.mask
    }
}
