//! Reading a chunk of XOR2, with its start timestamps.

use narthex_model::STALE_NAN_BITS;
use narthex_storage::SampleBatch;

use super::decode::copy_range;
use crate::bits::{BitReader, End};
use crate::error::ChunkError;
use crate::starts::StartReader;

/// Samples of one round: small enough for the first-level cache, large enough to make copying out cheap.
const ROUND: usize = 64;

/// Appends the samples of `chunk` with `mint_ms <= t <= maxt_ms` to `out`.
///
/// # Errors
/// See [`ChunkError`]; `out` then holds the samples before the fault, in whole rounds.
pub fn decode_xor2(
    chunk: &[u8],
    mint_ms: i64,
    maxt_ms: i64,
    out: &mut SampleBatch,
) -> Result<(), ChunkError> {
    let Some(([high, low, starts], body)) = chunk.split_first_chunk::<3>() else {
        return Err(ChunkError::NoHeader { len: chunk.len(), header: 3 });
    };
    let samples = usize::from(u16::from_be_bytes([*high, *low]));
    let mut state = State::new(body, *starts);
    let (mut times, mut values, mut start_column) = ([0i64; ROUND], [0f64; ROUND], [0i64; ROUND]);
    let mut done = 0;
    while done < samples {
        let round = ROUND.min(samples - done);
        let read = state.read(done, &mut times[..round], &mut values[..round], &mut start_column);
        let range = copy_range(&times[..read], &values[..read], (mint_ms, maxt_ms), out);
        copy_starts(&start_column[range], out);
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

/// Sets the start timestamps of the newest samples of `out`; without any, the column stays as it is.
fn copy_starts(starts: &[i64], out: &mut SampleBatch) {
    if starts.iter().all(|start_ms| *start_ms == 0) {
        return;
    }
    out.start_ms.resize(out.t_ms.len(), 0);
    let from = out.t_ms.len() - starts.len();
    out.start_ms[from..].copy_from_slice(starts);
}

struct State<'a> {
    reader: BitReader<'a>,
    t_ms: i64,
    value: u64,
    /// The newest value that is no stale marker: what changes are relative to.
    baseline: u64,
    delta_ms: u64,
    width: u32,
    trailing: u32,
    /// `None` when the header says that there is none.
    starts: Option<StartReader>,
}

impl<'a> State<'a> {
    fn new(rest: &'a [u8], starts: u8) -> Self {
        Self {
            reader: BitReader::new(rest),
            t_ms: 0,
            value: 0,
            baseline: 0,
            delta_ms: 0,
            width: 64,
            trailing: 0,
            starts: (starts != 0).then(|| StartReader::new(starts)),
        }
    }

    /// Fills the columns from sample number `first` on and returns how many samples were whole.
    fn read(
        &mut self,
        first: usize,
        times: &mut [i64],
        values: &mut [f64],
        starts: &mut [i64; ROUND],
    ) -> usize {
        for (at, (t, v)) in times.iter_mut().zip(values).enumerate() {
            let before_ms = self.t_ms;
            let read = match first + at {
                0 => self.first(),
                1 => self.second(),
                _ => self.next(),
            };
            let read = read.and_then(|()| self.start(first + at, before_ms));
            let Ok(start_ms) = read else { return at };
            (*t, *v, starts[at]) = (self.t_ms, f64::from_bits(self.value), start_ms);
        }
        times.len()
    }

    #[inline]
    fn start(&mut self, at: usize, before_ms: i64) -> Result<i64, End> {
        let Some(starts) = &mut self.starts else { return Ok(0) };
        starts.read(at as u32, (before_ms, self.t_ms), &mut self.reader)?;
        Ok(starts.start_ms())
    }

    fn first(&mut self) -> Result<(), End> {
        self.t_ms = self.reader.varint()?;
        self.value = self.reader.take(64)?;
        if self.value != STALE_NAN_BITS {
            self.baseline = self.value;
        }
        Ok(())
    }

    fn second(&mut self) -> Result<(), End> {
        self.delta_ms = self.reader.uvarint()?;
        self.t_ms = self.t_ms.wrapping_add(self.delta_ms as i64);
        self.next_value()
    }

    #[inline]
    fn next(&mut self) -> Result<(), End> {
        if self.reader.ready() < 24 {
            self.reader.fill();
        }
        let ones = (!self.reader.peek()).leading_zeros();
        let (prefix, width) = match ones {
            0 => {
                self.drop_bits(1)?;
                self.advance(0);
                self.value = self.baseline;
                return Ok(());
            }
            1 => {
                self.drop_bits(2)?;
                self.advance(0);
                return self.changed_value();
            }
            2 => (3, 13),
            3 => (4, 20),
            4 => {
                self.drop_bits(5)?;
                let change = self.reader.take(64)?;
                self.advance(change as i64);
                return self.next_value();
            }
            _ => {
                self.drop_bits(5)?;
                self.advance(0);
                self.value = STALE_NAN_BITS;
                return Ok(());
            }
        };
        self.reader.need(prefix + width)?;
        // Two's complement of that width: the arithmetic shift carries the sign.
        let change = (self.reader.peek() << prefix) as i64 >> (64 - width);
        self.reader.skip(prefix + width);
        self.advance(change);
        self.next_value()
    }

    #[inline]
    fn advance(&mut self, change: i64) {
        self.delta_ms = self.delta_ms.wrapping_add(change as u64);
        self.t_ms = self.t_ms.wrapping_add(self.delta_ms as i64);
    }

    #[inline]
    fn drop_bits(&mut self, count: u32) -> Result<(), End> {
        self.reader.need(count)?;
        self.reader.skip(count);
        Ok(())
    }

    /// A value of which nothing is known yet.
    #[inline]
    fn next_value(&mut self) -> Result<(), End> {
        if self.reader.ready() < 14 {
            self.reader.fill();
        }
        match (!self.reader.peek()).leading_zeros() {
            0 => {
                self.drop_bits(1)?;
                self.value = self.baseline;
                Ok(())
            }
            1 => {
                self.drop_bits(2)?;
                self.change_value()
            }
            2 => {
                self.drop_bits(3)?;
                self.read_window()?;
                self.change_value()
            }
            _ => {
                self.drop_bits(3)?;
                self.value = STALE_NAN_BITS;
                Ok(())
            }
        }
    }

    /// A value that is known to have changed, and not to a stale marker.
    #[inline]
    fn changed_value(&mut self) -> Result<(), End> {
        if self.reader.take(1)? == 1 {
            self.read_window()?;
        }
        self.change_value()
    }

    #[inline]
    fn read_window(&mut self) -> Result<(), End> {
        let window = self.reader.take(11)?;
        let (leading, width) = ((window >> 6) as u32, (window & 63) as u32);
        self.width = if width == 0 { 64 } else { width };
        // Bytes from elsewhere may claim a window wider than the value; wrapping keeps that a wrong number.
        self.trailing = 64u32.wrapping_sub(leading).wrapping_sub(self.width) & 63;
        Ok(())
    }

    #[inline]
    fn change_value(&mut self) -> Result<(), End> {
        self.baseline ^= self.reader.take(self.width)? << self.trailing;
        self.value = self.baseline;
        Ok(())
    }
}
