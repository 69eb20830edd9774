//! Reading a chunk: all its samples at once, into columns.
//!
//! A sample is read from a *look* at the next 57 bits or more, which can begin at any bit. Near the end of a chunk, where a look
//! would reach past it, reading goes on in a copy with zeros behind, and counts only as far as the bits are real.
//! A chunk from disk may hold anything: reading past its end is an error, never a panic.
//! PERF: from one sample to the next leads nothing but its length, and that follows from branches which are mostly foreseen, so
//! that the processor is at several samples at a time. Many equal samples are a run of zero bits, found by one count.

use std::ops::Range;

use narthex_storage::SampleBatch;

use crate::Encoding;
use crate::bits::{BitReader, End, Window, look, look_at};
use crate::error::ChunkError;

/// Samples of one round: small enough for the first-level cache, large enough to make copying out cheap.
pub(super) const ROUND: usize = 64;
/// More bytes than the looks at one sample can reach over: 4 + 64 bits of time, 13 + 64 of value, and 8 bytes.
const REACH: usize = 32;
/// The least equal samples that are written in a loop of their own.
const RUN: usize = 8;

/// Appends the samples of `chunk` with `mint_ms <= t <= maxt_ms` to `out`. What lies behind them is not looked at.
///
/// # Errors
/// See [`ChunkError`]; `out` then holds the samples before the fault.
pub fn decode_xor(chunk: &[u8], mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), ChunkError> {
    let Some((header, body)) = chunk.split_first_chunk::<2>() else { return Ok(()) };
    let samples = usize::from(u16::from_be_bytes(*header));
    let mut chunk_reader = ChunkReader::new(body);
    let (mut times, mut values) = ([0i64; ROUND], [0f64; ROUND]);
    let mut done = 0;
    while done < samples && (done == 0 || chunk_reader.state.t_ms < maxt_ms) {
        let round = ROUND.min(samples - done);
        let (times, values) = (&mut times[..round], &mut values[..round]);
        let read = chunk_reader.read(done, maxt_ms, (times, values));
        copy_range(&times[..read], &values[..read], (mint_ms, maxt_ms), out);
        if read == 0 {
            return Err(ChunkError::Truncated { sample: done, samples, len: chunk.len() });
        }
        done += read;
    }
    Ok(())
}

/// The first timestamp of a chunk of floats, ms; `None` when the bytes end before it does, and for other encodings.
#[must_use]
pub fn first_timestamp(encoding: Encoding, chunk: &[u8]) -> Option<i64> {
    let header = match encoding {
        Encoding::Xor => 2,
        Encoding::Xor2 => 3,
        _ => return None,
    };
    BitReader::new(chunk.get(header..)?).varint().ok()
}

/// Appends the samples in a closed range; returns where they lie.
pub(super) fn copy_range(
    times: &[i64],
    values: &[f64],
    (mint_ms, maxt_ms): (i64, i64),
    out: &mut SampleBatch,
) -> Range<usize> {
    // PERF: the usual rounds in front of a narrow range, without a search.
    if times.last().is_some_and(|last| *last < mint_ms) {
        return 0..0;
    }
    let from = match times.first() {
        Some(first) if *first >= mint_ms => 0,
        _ => times.partition_point(|t| *t < mint_ms),
    };
    let to = match times.last() {
        Some(last) if *last <= maxt_ms => times.len(),
        _ => times.partition_point(|t| *t <= maxt_ms),
    };
    if from >= to {
        return 0..0;
    }
    out.t_ms.extend_from_slice(&times[from..to]);
    out.values.extend_from_slice(&values[from..to]);
    if !out.start_ms.is_empty() {
        out.start_ms.resize(out.t_ms.len(), 0);
    }
    from..to
}

/// A chunk that is being read.
struct ChunkReader<'a> {
    body: &'a [u8],
    /// The end of the chunk with zeros behind, and its bits that are none of those; no bits before it is in use.
    tail: ([u8; 2 * REACH], usize),
    state: State,
}

/// What one sample hands to the next.
#[derive(Clone, Copy, Default)]
struct State {
    /// The next bit, of the body or of the tail.
    at: usize,
    t_ms: i64,
    delta_ms: u64,
    value: u64,
    /// Where the bits lie that changed last: how many, and how many are below them.
    width: u32,
    trailing: u32,
}

impl<'a> ChunkReader<'a> {
    fn new(body: &'a [u8]) -> Self {
        Self { body, tail: ([0; 2 * REACH], 0), state: State::default() }
    }

    /// Fills the columns from sample number `first` on, about as far as to the first sample that is not older than `until_ms`;
    /// returns how many samples were read, at least one unless the bytes end before.
    fn read(&mut self, first: usize, until_ms: i64, (times, values): (&mut [i64], &mut [f64])) -> usize {
        match first {
            0 => return self.begin(times, values),
            // Where the first two samples are, they were read together.
            1 => return 0,
            _ => {}
        }
        let (tail, tail_bits) = &self.tail;
        if *tail_bits > 0 {
            return self.state.read((tail, *tail_bits), until_ms, (times, values));
        }
        let read = self.state.read((self.body, self.body.len() * 8), until_ms, (times, values));
        if read > 0 || !self.turn_to_tail() {
            return read;
        }
        self.state.read((&self.tail.0, self.tail.1), until_ms, (times, values))
    }

    /// The first two samples, whose timestamps are written otherwise.
    fn begin(&mut self, times: &mut [i64], values: &mut [f64]) -> usize {
        let mut reader = BitReader::new(self.body);
        let mut read = 0;
        for (t_ms, value) in times.iter_mut().zip(values).take(2) {
            if self.state.begin(read, &mut reader).is_err() {
                break;
            }
            (*t_ms, *value) = (self.state.t_ms, f64::from_bits(self.state.value));
            read += 1;
        }
        self.state.at = self.body.len() * 8 - reader.left_bits() as usize;
        read
    }

    /// Copies what is left, if it is short enough for that. It is when only a look could not be taken.
    fn turn_to_tail(&mut self) -> bool {
        let rest = &self.body[self.state.at / 8..];
        let Some(copy) = self.tail.0.get_mut(..rest.len()) else { return false };
        copy.copy_from_slice(rest);
        self.tail.1 = rest.len() * 8;
        self.state.at %= 8;
        true
    }
}

impl State {
    fn begin(&mut self, sample: usize, reader: &mut BitReader<'_>) -> Result<(), End> {
        if sample == 0 {
            (self.t_ms, self.value) = (reader.varint()?, reader.take(64)?);
            return Ok(());
        }
        let mut window = Window::default();
        let delta_ms = reader.uvarint()?;
        self.value ^= window.read(reader)?;
        (self.width, self.trailing) = window.width_and_trailing();
        self.delta_ms = delta_ms;
        self.t_ms = self.t_ms.wrapping_add(delta_ms as i64);
        Ok(())
    }

    /// Reads samples as long as looks at the bytes can be taken; only those that end within `end` bits count.
    fn read(
        &mut self,
        (bytes, end): (&[u8], usize),
        until_ms: i64,
        (times, values): (&mut [i64], &mut [f64]),
    ) -> usize {
        let mut read = 0;
        while read < values.len() && self.t_ms < until_ms {
            let jitter = self.read_jitter((bytes, end), until_ms, (&mut times[read..], &mut values[read..]));
            read += jitter;
            let wanted = self.regular_until(until_ms).min(values.len() - read);
            let regular = self.read_regular((bytes, end), &mut values[read..read + wanted]);
            for t_ms in &mut times[read..read + regular] {
                self.t_ms = self.t_ms.wrapping_add(self.delta_ms as i64);
                *t_ms = self.t_ms;
            }
            read += regular;
            if jitter + regular == 0 {
                break;
            }
        }
        read
    }

    /// How many samples in the same distance there are up to one that is not older than `until_ms`, or more.
    fn regular_until(&self, until_ms: i64) -> usize {
        let (delta_ms, left_ms) = (self.delta_ms as i64, until_ms.saturating_sub(self.t_ms));
        match delta_ms.saturating_mul(ROUND as i64) {
            ..=0 => ROUND,
            round_ms if round_ms <= left_ms => ROUND,
            _ => (left_ms / delta_ms) as usize + 1,
        }
    }

    /// Reads values as long as timestamps go on in the same distance.
    fn read_regular(&mut self, (bytes, end): (&[u8], usize), values: &mut [f64]) -> usize {
        let (count, mut slots) = (values.len(), values.iter_mut());
        // Copies, which lie in registers.
        let (mut at, mut value, mut width, mut trailing) = (self.at, self.value, self.width, self.trailing);
        while let Some(bits) = look(bytes, at)
            && !slots.as_slice().is_empty()
        {
            let (changed, after) = match bits >> 61 {
                0b010 if width <= 54 => (bits << 3 >> (64 - width), at + 3 + width as usize),
                0b010 => {
                    let Some(changed) = look_at(bytes, at + 3, width) else { break };
                    (changed, at + 3 + width as usize)
                }
                0b011 => {
                    let window = window(bits << 3);
                    let Some(changed) = look_at(bytes, at + 14, window.0) else { break };
                    (width, trailing) = window;
                    (changed, at + 14 + width as usize)
                }
                0b000 | 0b001 => {
                    if bits >> (64 - 2 * RUN) == 0 {
                        // Behind what the look is sure to hold, a bit that ends the run.
                        let run = ((bits | 0x7f).leading_zeros() / 2) as usize;
                        let run = run.min(slots.len()).min((end - at) / 2);
                        let (equal, rest) = slots.into_slice().split_at_mut(run);
                        equal.fill(f64::from_bits(value));
                        (slots, at) = (rest.iter_mut(), at + 2 * run);
                        if run == 0 {
                            break;
                        }
                        continue;
                    }
                    (0, at + 2)
                }
                _ => break,
            };
            if after > end {
                break;
            }
            value ^= changed << trailing;
            at = after;
            if let Some(slot) = slots.next() {
                *slot = f64::from_bits(value);
            }
        }
        (self.at, self.value, self.width, self.trailing) = (at, value, width, trailing);
        count - slots.len()
    }

    /// Reads samples as long as each is at another distance than the one before.
    fn read_jitter(
        &mut self,
        (bytes, end): (&[u8], usize),
        until_ms: i64,
        (times, values): (&mut [i64], &mut [f64]),
    ) -> usize {
        // A copy, which lies in registers.
        let mut now = *self;
        let mut read = 0;
        for (t_ms, value) in times.iter_mut().zip(values) {
            if now.t_ms >= until_ms {
                break;
            }
            let Some(next) = now.other_delta(bytes).filter(|next| next.at <= end) else { break };
            now = next;
            (*t_ms, *value) = (now.t_ms, f64::from_bits(now.value));
            read += 1;
        }
        *self = now;
        read
    }

    /// The next sample, if it is at another distance than the one before.
    #[inline(always)]
    fn other_delta(mut self, bytes: &[u8]) -> Option<Self> {
        let bits = look(bytes, self.at)?;
        // The ranges are asymmetric: the highest value is positive.
        let signed = |raw: u64, width: u32| raw.wrapping_sub(u64::from(raw > 1 << (width - 1)) << width);
        let (change, taken) = match (!bits).leading_zeros() {
            0 => return None,
            1 => (signed(bits << 2 >> 50, 14), 16),
            2 => (signed(bits << 3 >> 47, 17), 20),
            3 => (signed(bits << 4 >> 44, 20), 24),
            _ => (look_at(bytes, self.at + 4, 64)?, 68),
        };
        self.delta_ms = self.delta_ms.wrapping_add(change);
        self.t_ms = self.t_ms.wrapping_add(self.delta_ms as i64);
        self.at += taken;
        let bits = look(bytes, self.at)?;
        if bits >> 63 == 0 {
            self.at += 1;
            return Some(self);
        }
        if bits >> 62 == 0b11 {
            (self.width, self.trailing) = window(bits << 2);
            self.at += 11;
        }
        self.value ^= look_at(bytes, self.at + 2, self.width)? << self.trailing;
        self.at += 2 + self.width as usize;
        Some(self)
    }
}

/// Width, 1..=64, and place of the bits that change, from the eleven bits that tell.
#[inline(always)]
fn window(bits: u64) -> (u32, u32) {
    let (leading, width) = ((bits >> 59) as u32, (bits << 5 >> 58) as u32);
    // 64 is written as 0. Bytes from elsewhere may claim more bits than there are: a wrong number, but one.
    let width = width.wrapping_sub(1) % 64 + 1;
    (width, 64u32.wrapping_sub(leading).wrapping_sub(width) % 64)
}
