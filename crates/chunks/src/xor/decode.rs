//! Reading a chunk: all its samples at once, into columns.
//!
//! PERF: the usual sample (same distance, same value) costs two shifts; samples leave in rounds, as columns. A chunk from disk
//! may hold anything: reading past its end is an error, never a panic.

use std::ops::Range;

use narthex_storage::SampleBatch;

use crate::Encoding;
use crate::bits::{BitReader, End};
use crate::error::ChunkError;

/// Samples of one round: small enough for the first-level cache, large enough to make copying out cheap.
pub(super) const ROUND: usize = 64;

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

struct State<'a> {
    reader: BitReader<'a>,
    t_ms: i64,
    value: u64,
    delta_ms: u64,
    width: u32,
    trailing: u32,
}

impl<'a> State<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { reader: BitReader::new(rest), t_ms: 0, value: 0, delta_ms: 0, width: 64, trailing: 0 }
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
        self.t_ms = self.reader.varint()?;
        self.value = self.reader.take(64)?;
        Ok(())
    }

    fn second(&mut self) -> Result<(), End> {
        self.delta_ms = self.reader.uvarint()?;
        self.t_ms = self.t_ms.wrapping_add(self.delta_ms as i64);
        self.next_value()
    }

    #[inline]
    fn next(&mut self) -> Result<(), End> {
        if self.reader.ready() < 2 {
            self.reader.fill();
        }
        if self.reader.ready() >= 2 && self.reader.peek() >> 62 == 0 {
            self.reader.skip(2);
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
        self.reader.fill();
        let ones = (!self.reader.peek()).leading_zeros();
        let (prefix, width) = match ones {
            0 => {
                self.reader.need(1)?;
                self.reader.skip(1);
                return Ok(0);
            }
            1 => (2, 14),
            2 => (3, 17),
            3 => (4, 20),
            _ => {
                self.reader.need(4)?;
                self.reader.skip(4);
                return Ok(self.reader.take(64)? as i64);
            }
        };
        self.reader.need(prefix + width)?;
        let raw = (self.reader.peek() << prefix >> (64 - width)) as i64;
        self.reader.skip(prefix + width);
        // The range is asymmetric: the highest value is positive.
        Ok(if raw > 1 << (width - 1) { raw - (1 << width) } else { raw })
    }

    #[inline]
    fn next_value(&mut self) -> Result<(), End> {
        if self.reader.ready() < 13 {
            self.reader.fill();
        }
        match self.reader.peek() >> 62 {
            0 | 1 => {
                self.reader.need(1)?;
                self.reader.skip(1);
                return Ok(());
            }
            2 => {
                self.reader.need(2)?;
                self.reader.skip(2);
            }
            _ => {
                self.reader.need(13)?;
                let leading = (self.reader.peek() << 2 >> 59) as u32;
                let width = (self.reader.peek() << 7 >> 58) as u32;
                self.width = if width == 0 { 64 } else { width };
                // Bytes from elsewhere may claim a window wider than the value; wrapping keeps that a wrong number.
                self.trailing = 64u32.wrapping_sub(leading).wrapping_sub(self.width) & 63;
                self.reader.skip(13);
            }
        }
        let changed = self.reader.take(self.width)?;
        self.value ^= changed << self.trailing;
        Ok(())
    }
}
