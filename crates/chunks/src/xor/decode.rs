//! Reading a chunk: all its samples at once, into columns.
//!
//! A chunk is copied to where something lies behind it, so that a *look* at the next 64 bits can be taken anywhere. What was read
//! from behind the end is noticed after a round of samples, and the round read again with fewer of them.
//! A chunk from disk may hold anything: reading past its end is an error, never a panic.
//! PERF: from one sample to the next leads nothing but its length, and that follows from branches which are mostly foreseen, so
//! that the processor is at several samples at a time.

use std::cell::RefCell;
use std::ops::Range;

use narthex_storage::SampleBatch;

use super::looks::{Bytes, Changes};
use super::regular::{Last, Passed};
use crate::Encoding;
use crate::bits::{BitReader, End, Window};
use crate::error::ChunkError;

/// Samples of one round: those of a usual chunk, and few enough for the first-level cache.
const ROUND: usize = 128;

thread_local! {
    static COLUMNS: RefCell<Columns> = const {
        RefCell::new(Columns { bytes: Bytes::EMPTY, t_ms: [0; ROUND], values: [0.0; ROUND] })
    };
}

/// Where a chunk is read and to; used again for the next one.
struct Columns {
    bytes: Bytes,
    t_ms: [i64; ROUND],
    values: [f64; ROUND],
}

/// Appends the samples of `chunk` with `mint_ms <= t <= maxt_ms` to `out`. What lies behind them is not looked at.
///
/// # Errors
/// See [`ChunkError`]; `out` then holds the samples before the fault.
pub fn decode_xor(chunk: &[u8], mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), ChunkError> {
    read_rounds(chunk, maxt_ms, |times, values| {
        copy_range(times, values, (mint_ms, maxt_ms), out);
    })
}

/// Appends the newest of the samples of `chunk` with `mint_ms <= t <= maxt_ms` to `out`.
///
/// # Errors
/// See [`ChunkError`]; `out` then holds the newest sample before the fault.
pub fn newest_xor(chunk: &[u8], mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), ChunkError> {
    if let Some((t_ms, value)) = newest_of_usual(chunk, maxt_ms) {
        if t_ms >= mint_ms {
            out.push(t_ms, value);
        }
        return Ok(());
    }
    let mut newest = None;
    let done = read_rounds(chunk, maxt_ms, |times, values| {
        let behind = match times {
            [.., last] if *last <= maxt_ms => times.len(),
            _ => times.partition_point(|t| *t <= maxt_ms),
        };
        newest = behind.checked_sub(1).map(|at| (times[at], values[at])).or(newest);
    });
    if let Some((t_ms, value)) = newest.filter(|(t_ms, _)| *t_ms >= mint_ms) {
        out.push(t_ms, value);
    }
    done
}

/// The newest sample that is not newer than `maxt_ms`, without keeping the others. `None` for what is not usual: a chunk of many
/// bytes or few samples, without such a sample, with times that do not go on, or a broken one.
fn newest_of_usual(chunk: &[u8], maxt_ms: i64) -> Option<(i64, f64)> {
    let (header, body) = chunk.split_first_chunk::<2>()?;
    let samples = usize::from(u16::from_be_bytes(*header));
    COLUMNS.with_borrow_mut(|Columns { bytes, .. }| {
        let mut reader = ChunkReader::new(body, bytes);
        let (mut t_ms, mut values) = ([0; 2], [0.0; 2]);
        if samples < 2 || reader.held < body.len() * 8 || reader.begin(&mut t_ms, &mut values) < 2 {
            return None;
        }
        let ChunkReader { held, state, bytes, .. } = reader;
        let found = state.newest(bytes, samples - 2, maxt_ms).filter(|found| found.last.at <= held)?;
        Some((found.t_ms, f64::from_bits(found.last.value)))
    })
}

/// Reads samples up to the first one that is not older than `until_ms`, or a few more, and hands them to `take`.
fn read_rounds(chunk: &[u8], until_ms: i64, mut take: impl FnMut(&[i64], &[f64])) -> Result<(), ChunkError> {
    let Some((header, body)) = chunk.split_first_chunk::<2>() else { return Ok(()) };
    let samples = usize::from(u16::from_be_bytes(*header));
    COLUMNS.with_borrow_mut(|Columns { bytes, t_ms, values }| {
        let mut reader = ChunkReader::new(body, bytes);
        let mut done = 0;
        while done < samples && (done == 0 || reader.state.t_ms < until_ms) {
            let round = ROUND.min(samples - done);
            let read = reader.read(done, until_ms, (&mut t_ms[..round], &mut values[..round]));
            take(&t_ms[..read], &values[..read]);
            if read == 0 {
                return Err(ChunkError::Truncated { sample: done, samples, len: chunk.len() });
            }
            done += read;
        }
        Ok(())
    })
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
    /// Where in the body `bytes` begins.
    from: usize,
    bytes: &'a mut Bytes,
    /// How many bits of `bytes` are those of the body.
    held: usize,
    state: State,
}

/// What one sample hands to the next.
#[derive(Clone, Copy, Default)]
struct State {
    t_ms: i64,
    delta_ms: u64,
    last: Last,
}

impl<'a> ChunkReader<'a> {
    fn new(body: &'a [u8], bytes: &'a mut Bytes) -> Self {
        let held = bytes.hold(body);
        Self { body, from: 0, bytes, held, state: State::default() }
    }

    /// Fills the columns from sample number `first` on, up to the first sample that is not older than `until_ms` or a few more;
    /// returns how many samples were read, fewer only where the bytes end before.
    fn read(&mut self, first: usize, until_ms: i64, (times, values): (&mut [i64], &mut [f64])) -> usize {
        let mut read = match first {
            0 => self.begin(times, values),
            _ => 0,
        };
        if first + read < 2 {
            return read;
        }
        let mut most = values.len() - read;
        while read < values.len() && most > 0 && self.state.t_ms < until_ms {
            self.refill();
            let before = self.state;
            let slots = read..values.len().min(read + most);
            let more = self.state.read(self.bytes, until_ms, (&mut times[slots.clone()], &mut values[slots]));
            if self.state.last.at > self.held {
                self.state = before;
                most /= 2;
            } else {
                read += more;
            }
        }
        read
    }

    /// The first two samples, whose timestamps are written otherwise.
    fn begin(&mut self, times: &mut [i64], values: &mut [f64]) -> usize {
        let mut reader = BitReader::new(self.body);
        let mut read = 0;
        for (t_ms, value) in times.iter_mut().zip(values).take(2) {
            if self.state.begin(read, &mut reader).is_err() {
                break;
            }
            (*t_ms, *value) = (self.state.t_ms, f64::from_bits(self.state.last.value));
            read += 1;
        }
        self.state.last.at = self.body.len() * 8 - reader.left_bits() as usize;
        read
    }

    /// Brings in what comes next of a long chunk.
    #[inline]
    fn refill(&mut self) {
        if self.from + self.held / 8 < self.body.len() && self.state.last.at >= self.held / 2 {
            self.from += self.state.last.at / 8;
            self.state.last.at %= 8;
            self.held = self.bytes.hold(&self.body[self.from..]);
        }
    }
}

impl State {
    fn begin(&mut self, sample: usize, reader: &mut BitReader<'_>) -> Result<(), End> {
        if sample == 0 {
            (self.t_ms, self.last.value) = (reader.varint()?, reader.take(64)?);
            return Ok(());
        }
        let mut window = Window::default();
        let delta_ms = reader.uvarint()?;
        self.last.value ^= window.read(reader)?;
        let (width, trailing) = window.width_and_trailing();
        self.last.changes = Changes::new(width, trailing);
        self.delta_ms = delta_ms;
        self.t_ms = self.t_ms.wrapping_add(delta_ms as i64);
        Ok(())
    }

    /// Reads samples as long as there are slots and the last one is older than `until_ms`.
    fn read(&mut self, bytes: &Bytes, until_ms: i64, (times, values): (&mut [i64], &mut [f64])) -> usize {
        let mut read = 0;
        while read < values.len() && self.t_ms < until_ms {
            read += self.read_jitter(bytes, until_ms, (&mut times[read..], &mut values[read..]));
            let wanted = self.regular_until(until_ms).min(values.len() - read);
            let regular = self.last.read_regular(bytes, &mut values[read..read + wanted]);
            for t_ms in &mut times[read..read + regular] {
                self.t_ms = self.t_ms.wrapping_add(self.delta_ms as i64);
                *t_ms = self.t_ms;
            }
            read += regular;
        }
        read
    }

    /// The newest of `left` more samples that is not newer than `until_ms`. `None` when time does not go on, or none is that old.
    fn newest(mut self, bytes: &Bytes, mut left: usize, until_ms: i64) -> Option<Self> {
        if self.t_ms > until_ms {
            return None;
        }
        loop {
            let delta_ms = i64::try_from(self.delta_ms).ok().filter(|delta_ms| *delta_ms > 0)?;
            let regular = usize::try_from(until_ms.saturating_sub(self.t_ms) / delta_ms).ok()?;
            let read = self.last.read_regular(bytes, &mut Passed(regular.min(left)));
            self.t_ms += read as i64 * delta_ms;
            left -= read;
            let before = self;
            // A sample at the same distance is too new.
            if left == 0 || !self.other_delta(bytes) {
                return Some(before);
            }
            match self.t_ms {
                t_ms if t_ms <= before.t_ms => return None,
                t_ms if t_ms > until_ms => return Some(before),
                _ => left -= 1,
            }
        }
    }

    /// How many samples in the same distance there are up to one that is not older than `until_ms`, or more.
    fn regular_until(&self, until_ms: i64) -> usize {
        let (delta_ms, left_ms) = (self.delta_ms as i64, until_ms.saturating_sub(self.t_ms));
        match delta_ms.saturating_mul(ROUND as i64) {
            _ if left_ms <= 0 => 0,
            ..=0 => ROUND,
            round_ms if round_ms <= left_ms => ROUND,
            _ => (left_ms / delta_ms) as usize + 1,
        }
    }

    /// Reads samples as long as each is at another distance than the one before.
    fn read_jitter(
        &mut self,
        bytes: &Bytes,
        until_ms: i64,
        (times, values): (&mut [i64], &mut [f64]),
    ) -> usize {
        // A copy, which lies in registers.
        let mut now = *self;
        let mut read = 0;
        for (t_ms, value) in times.iter_mut().zip(values) {
            if now.t_ms >= until_ms || !now.other_delta(bytes) {
                break;
            }
            (*t_ms, *value) = (now.t_ms, f64::from_bits(now.last.value));
            read += 1;
        }
        *self = now;
        read
    }

    /// Goes to the next sample, if it is at another distance than the one before.
    #[inline(always)]
    fn other_delta(&mut self, bytes: &Bytes) -> bool {
        let bits = bytes.look(self.last.at);
        // The ranges are asymmetric: the highest value is positive.
        let signed = |raw: u64, width: u32| raw.wrapping_sub(u64::from(raw > 1 << (width - 1)) << width);
        let (change, taken) = match (!bits).leading_zeros() {
            0 => return false,
            1 => (signed(bits << 2 >> 50, 14), 16),
            2 => (signed(bits << 3 >> 47, 17), 20),
            3 => (signed(bits << 4 >> 44, 20), 24),
            _ => (bytes.look(self.last.at + 4), 68),
        };
        self.delta_ms = self.delta_ms.wrapping_add(change);
        self.t_ms = self.t_ms.wrapping_add(self.delta_ms as i64);
        self.last.at += taken;
        let bits = bytes.look(self.last.at);
        match bits >> 62 {
            0b00 | 0b01 => self.last.at += 1,
            0b10 => {
                self.last.value ^= self.last.changes.of(bytes.look(self.last.at + 2));
                self.last.at += 2 + self.last.changes.width();
            }
            _ => self.last.change_window(bytes, bits << 2, 2),
        }
        true
    }
}

/// Width, 1..=64, and place of the bits that change, from the eleven bits that tell.
#[inline(always)]
pub(super) fn window(bits: u64) -> (u32, u32) {
    let (leading, width) = ((bits >> 59) as u32, (bits << 5 >> 58) as u32);
    // 64 is written as 0. Bytes from elsewhere may claim more bits than there are: a wrong number, but one.
    let width = width.wrapping_sub(1) % 64 + 1;
    (width, 64u32.wrapping_sub(leading).wrapping_sub(width) % 64)
}
