//! Reading a chunk: all its samples at once, into columns.
//!
//! The bits of the next samples sit at the top of one 64-bit number, which is filled up from eight bytes at a time; the usual
//! sample (same distance, same value) costs two shifts. A chunk from disk may hold anything: reading past its end is an error,
//! never a panic.

use narthex_storage::SampleBatch;

use crate::error::ChunkError;

/// What reading stopped at: the end of the bytes.
struct End;

/// Samples of one round: small enough for the first-level cache, large enough to make copying out cheap.
const ROUND: usize = 64;

/// Appends the samples of `chunk` with `mint_ms <= t <= maxt_ms` to `out`.
///
/// # Errors
/// See [`ChunkError`]; `out` then holds the samples before the fault, in whole rounds.
pub fn decode_xor(chunk: &[u8], mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), ChunkError> {
    let Some((header, body)) = chunk.split_first_chunk::<2>() else { return Ok(()) };
    let samples = usize::from(u16::from_be_bytes(*header));
    let mut state = State::new(body);
    let (mut times, mut values) = ([0i64; ROUND], [0f64; ROUND]);
    let mut done = 0;
    while done < samples {
        let round = ROUND.min(samples - done);
        let read = state.read(done, &mut times[..round], &mut values[..round]);
        copy_range(&times[..read], &values[..read], (mint_ms, maxt_ms), out);
        if read < round {
            return Err(ChunkError::Truncated { sample: done + read, samples, len: chunk.len() });
        }
        if times[round - 1] >= maxt_ms {
            break;
        }
        done += round;
    }
    Ok(())
}

/// The first timestamp of a chunk, ms; `None` when the bytes end before it does.
#[must_use]
pub fn first_timestamp(chunk: &[u8]) -> Option<i64> {
    State::new(chunk.get(2..)?).varint().ok()
}

fn copy_range(times: &[i64], values: &[f64], (mint_ms, maxt_ms): (i64, i64), out: &mut SampleBatch) {
    let from = match times.first() {
        Some(first) if *first >= mint_ms => 0,
        _ => times.partition_point(|t| *t < mint_ms),
    };
    let to = match times.last() {
        Some(last) if *last <= maxt_ms => times.len(),
        _ => times.partition_point(|t| *t <= maxt_ms),
    };
    if from < to {
        out.t_ms.extend_from_slice(&times[from..to]);
        out.values.extend_from_slice(&values[from..to]);
        if !out.start_ms.is_empty() {
            out.start_ms.resize(out.t_ms.len(), 0);
        }
    }
}

struct State<'a> {
    rest: &'a [u8],
    /// The next bits, first one at the top; bits below `ready` may be anything.
    bits: u64,
    ready: u32,
    t_ms: i64,
    value: u64,
    delta_ms: u64,
    width: u32,
    trailing: u32,
}

impl<'a> State<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest, bits: 0, ready: 0, t_ms: 0, value: 0, delta_ms: 0, width: 64, trailing: 0 }
    }

    /// Fills both slices from sample number `first` on and returns how many samples were whole.
    fn read(&mut self, first: usize, times: &mut [i64], values: &mut [f64]) -> usize {
        for (at, (t, v)) in times.iter_mut().zip(values).enumerate() {
            let read = match first + at {
                0 => self.first(),
                1 => self.second(),
                _ => self.next(),
            };
            if read.is_err() {
                return at;
            }
            (*t, *v) = (self.t_ms, f64::from_bits(self.value));
        }
        times.len()
    }

    fn first(&mut self) -> Result<(), End> {
        self.t_ms = self.varint()?;
        self.value = self.take(64)?;
        Ok(())
    }

    fn second(&mut self) -> Result<(), End> {
        self.delta_ms = self.uvarint()?;
        self.t_ms = self.t_ms.wrapping_add(self.delta_ms as i64);
        self.next_value()
    }

    #[inline]
    fn next(&mut self) -> Result<(), End> {
        if self.ready < 2 {
            self.fill();
        }
        if self.ready >= 2 && self.bits >> 62 == 0 {
            self.skip(2);
            self.t_ms = self.t_ms.wrapping_add(self.delta_ms as i64);
            return Ok(());
        }
        let change = self.change()?;
        self.delta_ms = self.delta_ms.wrapping_add(change as u64);
        self.t_ms = self.t_ms.wrapping_add(self.delta_ms as i64);
        self.next_value()
    }

    /// The difference of two distances.
    #[inline]
    fn change(&mut self) -> Result<i64, End> {
        self.fill();
        let ones = (!self.bits).leading_zeros();
        let (prefix, width) = match ones {
            0 => {
                self.need(1)?;
                self.skip(1);
                return Ok(0);
            }
            1 => (2, 14),
            2 => (3, 17),
            3 => (4, 20),
            _ => {
                self.need(4)?;
                self.skip(4);
                return Ok(self.take(64)? as i64);
            }
        };
        self.need(prefix + width)?;
        let raw = (self.bits << prefix >> (64 - width)) as i64;
        self.skip(prefix + width);
        // The range is asymmetric: the highest value is positive.
        Ok(if raw > 1 << (width - 1) { raw - (1 << width) } else { raw })
    }

    #[inline]
    fn next_value(&mut self) -> Result<(), End> {
        if self.ready < 13 {
            self.fill();
        }
        match self.bits >> 62 {
            0 | 1 => {
                self.need(1)?;
                self.skip(1);
                return Ok(());
            }
            2 => {
                self.need(2)?;
                self.skip(2);
            }
            _ => {
                self.need(13)?;
                let leading = (self.bits << 2 >> 59) as u32;
                let width = (self.bits << 7 >> 58) as u32;
                self.width = if width == 0 { 64 } else { width };
                // Bytes from elsewhere may claim a window wider than the value; wrapping keeps that a wrong number.
                self.trailing = 64u32.wrapping_sub(leading).wrapping_sub(self.width) & 63;
                self.skip(13);
            }
        }
        let changed = self.take(self.width)?;
        self.value ^= changed << self.trailing;
        Ok(())
    }

    fn varint(&mut self) -> Result<i64, End> {
        let raw = self.uvarint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    fn uvarint(&mut self) -> Result<u64, End> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(8)?;
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(End)
    }

    /// The next `count` bits, 1..=64.
    #[inline]
    fn take(&mut self, count: u32) -> Result<u64, End> {
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

    #[inline]
    fn need(&self, count: u32) -> Result<(), End> {
        if self.ready < count { Err(End) } else { Ok(()) }
    }

    /// Drops `count` bits, 0..=64, that are ready.
    #[inline]
    fn skip(&mut self, count: u32) {
        self.bits = self.bits.checked_shl(count).unwrap_or(0);
        self.ready -= count;
    }

    /// Brings at least 56 bits in, or all that is left.
    #[inline]
    fn fill(&mut self) {
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
