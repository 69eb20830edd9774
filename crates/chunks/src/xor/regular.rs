//! Values of samples that lie at one distance: `0`, and then nothing (`0`), a change in the window of the one before (`10`), or a
//! window and a change in it (`11`).
//!
//! PERF: what one sample hands to the next lies in registers, and the bits that tell what a sample is are looked at once. Changes
//! in the window of the one before, which are most, have a loop of their own with little in it; equal values are a run of zero
//! bits, found by one count and written without a loop whose end must be foreseen.

use super::decode::window;
use super::looks::{Bytes, Changes, ROOM};

/// Equal values that are written at a time: more than the bits of one look can tell of.
const RUN: usize = 32;
/// Of the 64 bits of a look into eight bytes, those that are sure to be there.
const SURE: u32 = 57;

/// What the value of one sample hands to the next.
#[derive(Clone, Copy, Default)]
pub(super) struct Last {
    /// The next bit.
    pub(super) at: usize,
    /// The bits of the value.
    pub(super) value: u64,
    pub(super) changes: Changes,
}

/// Where values go to.
pub(super) trait Values {
    /// How many there are to be.
    fn count(&self) -> usize;
    /// The value of a sample.
    fn set(&mut self, at: usize, value: u64);
    /// The value of the next `run` samples.
    fn set_run(&mut self, at: usize, run: usize, value: u64);
}

impl Values for [f64] {
    #[inline(always)]
    fn count(&self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn set(&mut self, at: usize, value: u64) {
        self[at] = f64::from_bits(value);
    }

    #[inline(always)]
    fn set_run(&mut self, at: usize, run: usize, value: u64) {
        let (values, value) = (&mut self[at..], f64::from_bits(value));
        match values.first_chunk_mut::<RUN>() {
            Some(room) if run > RUN / 4 => *room = [value; RUN],
            _ => values[..run].fill(value),
        }
    }
}

/// So many values of which only the last one is wanted.
pub(super) struct Passed(pub(super) usize);

impl Values for Passed {
    #[inline(always)]
    fn count(&self) -> usize {
        self.0
    }

    #[inline(always)]
    fn set(&mut self, _: usize, _: u64) {}

    #[inline(always)]
    fn set_run(&mut self, _: usize, _: usize, _: u64) {}
}

impl Last {
    /// Reads values as long as timestamps go on in the same distance, and more are wanted; returns how many.
    pub(super) fn read_regular(&mut self, bytes: &Bytes, values: &mut (impl Values + ?Sized)) -> usize {
        let mut now = *self;
        let mut read = 0;
        while read < values.count() {
            let bits = match now.changes.width {
                // Behind `010`.
                ..=54 => now.read_changes::<false>(bytes, values, &mut read),
                _ => now.read_changes::<true>(bytes, values, &mut read),
            };
            if read == values.count() {
                break;
            }
            if bits >> 61 == 0b011 {
                now.change_window(bytes, bits << 3, 3);
                values.set(read, now.value);
                read += 1;
            } else if bits >> 62 == 0b00 {
                let run = (bits.leading_zeros().min(SURE - 1) / 2) as usize;
                let run = run.min(values.count() - read);
                values.set_run(read, run, now.value);
                now.at += 2 * run;
                read += run;
            } else {
                break;
            }
        }
        *self = now;
        read
    }

    /// Reads values as long as each is a change in this window; returns the bits of the first sample that is none.
    #[inline(always)]
    fn read_changes<const WIDE: bool>(
        &mut self,
        bytes: &Bytes,
        values: &mut (impl Values + ?Sized),
        read: &mut usize,
    ) -> u64 {
        let (mut at, mut value, Changes { width, turn, mask }) = (self.at, self.value, self.changes);
        let taken = 3 + width as usize;
        let (mut done, mut bits) = (*read, 0);
        while done < values.count() {
            let (place, bit) = (at / 8 % ROOM, at % 8);
            bits = bytes.eight(place) << bit;
            if bits >> 61 != 0b010 {
                break;
            }
            let change = if WIDE { bits << 3 | bytes.eight(place + 8) >> (61 - bit) } else { bits << 3 };
            value ^= change.rotate_right(turn) & mask;
            values.set(done, value);
            at += taken;
            done += 1;
        }
        (self.at, self.value, *read) = (at, value, done);
        bits
    }

    /// Reads a window and a change in it. The bits of the window are the upper ones of `bits`, which lie `skip` bits from here.
    #[inline(always)]
    pub(super) fn change_window(&mut self, bytes: &Bytes, bits: u64, skip: usize) {
        let (width, trailing) = window(bits);
        self.changes = Changes::new(width, trailing);
        let change = match width {
            ..=43 => bits << 11,
            _ => bytes.look(self.at + skip + 11),
        };
        self.value ^= self.changes.of(change);
        self.at += skip + 11 + width as usize;
    }
}
