//! Float samples: the record that nearly all of the log consists of.
//!
//! Version 1: reference and timestamp of the first sample (8 bytes each), then for each sample the differences to them and
//! the value. Version 2: the first sample in full with its start timestamp; then the reference as difference to the sample
//! before, the timestamp as difference to the first one's, a marker byte for the start timestamp, the value.
//! PERF: both loops look at 28 bytes at a time (the longest sample) so that only the last few samples of a record take the
//! checked path; `benches/wal.rs` has the numbers.

use narthex_storage::SeriesRef;

use crate::bytes::{
    Fault, Input, put_be64, put_f64, put_varint, read_uvarint, unzigzag, write_uvarint, zigzag,
};
use crate::record::{DecodeError, RecordType};

/// A float sample of a numbered series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefSample {
    /// The series' number.
    pub series: SeriesRef,
    /// Milliseconds since the epoch.
    pub t_ms: i64,
    /// When the counter started, in milliseconds since the epoch; 0 for "not known".
    pub start_ms: i64,
    /// The value; may be the staleness marker.
    pub value: f64,
}

/// Two varints of 10 bytes and the value.
const LONGEST: usize = 28;

const NO_START: u8 = 0;
const SAME_START: u8 = 1;
const EXPLICIT_START: u8 = 2;

/// Appends one record with all `samples` to `out`: version 1 when none has a start timestamp, else version 2.
/// Nothing is appended for an empty slice. Cost: about 5 ns a sample.
pub fn encode_samples(samples: &[RefSample], out: &mut Vec<u8>) {
    if samples.is_empty() {
        return;
    }
    match samples.iter().all(|sample| sample.start_ms == 0) {
        true => encode_v1(samples, out),
        false => encode_v2(samples, out),
    }
}

fn encode_v1(samples: &[RefSample], out: &mut Vec<u8>) {
    let first = samples[0];
    out.push(RecordType::Samples { version: 1 }.byte());
    put_be64(out, first.series.0);
    put_be64(out, first.t_ms as u64);
    let start = out.len();
    out.resize(start + samples.len() * LONGEST, 0);
    let mut at = start;
    for sample in samples {
        let room: &mut [u8; LONGEST] = (&mut out[at..at + LONGEST]).try_into().expect("reserved above");
        let mut n = write_uvarint(room, zigzag(sample.series.0.wrapping_sub(first.series.0) as i64));
        n += write_uvarint(&mut room[n..], zigzag(sample.t_ms.wrapping_sub(first.t_ms)));
        room[n..n + 8].copy_from_slice(&sample.value.to_bits().to_be_bytes());
        at += n + 8;
    }
    out.truncate(at);
}

fn encode_v2(samples: &[RefSample], out: &mut Vec<u8>) {
    let first = samples[0];
    out.push(RecordType::Samples { version: 2 }.byte());
    put_varint(out, first.series.0 as i64);
    put_varint(out, first.t_ms);
    put_varint(out, first.start_ms);
    put_f64(out, first.value);
    for pair in samples.windows(2) {
        let [before, sample] = pair else { unreachable!("windows of two") };
        put_varint(out, sample.series.0.wrapping_sub(before.series.0) as i64);
        put_varint(out, sample.t_ms.wrapping_sub(first.t_ms));
        put_start(out, sample.start_ms, first.start_ms, before.start_ms);
        put_f64(out, sample.value);
    }
}

pub(super) fn put_start(out: &mut Vec<u8>, start_ms: i64, first_ms: i64, before_ms: i64) {
    if start_ms == 0 {
        out.push(NO_START);
    } else if start_ms == before_ms {
        out.push(SAME_START);
    } else {
        out.push(EXPLICIT_START);
        put_varint(out, start_ms.wrapping_sub(first_ms));
    }
}

pub(super) fn take_start(input: &mut Input<'_>, first_ms: i64, before_ms: i64) -> Result<i64, Fault> {
    Ok(match input.u8()? {
        NO_START => 0,
        SAME_START => before_ms,
        _ => first_ms.wrapping_add(input.varint()?),
    })
}

/// Appends the samples of a record of either version to `out`. Cost: about 3 ns a sample.
///
/// # Errors
/// A malformed record; samples before the fault are in `out`.
pub fn decode_samples(record: &[u8], out: &mut Vec<RefSample>) -> Result<(), DecodeError> {
    let mut input = Input::new(record);
    let _ = input.u8();
    let done = match RecordType::of(record) {
        RecordType::Samples { .. } if input.is_empty() => Ok(()),
        RecordType::Samples { version: 1 } => decode_v1(&mut input, out),
        RecordType::Samples { .. } => decode_v2(&mut input, out),
        _ => return Err(DecodeError::wrong_type(record)),
    };
    done.map_err(|fault| DecodeError::new(record, fault))
}

fn decode_v1(input: &mut Input<'_>, out: &mut Vec<RefSample>) -> Result<(), Fault> {
    let first_series = input.be64()?;
    let first_t_ms = input.be64()? as i64;
    out.reserve(input.rest().len() / 10);
    let sample = |series: u64, t_ms: u64, value: f64| RefSample {
        series: SeriesRef(first_series.wrapping_add(unzigzag(series) as u64)),
        t_ms: first_t_ms.wrapping_add(unzigzag(t_ms)),
        start_ms: 0,
        value,
    };
    while let Some(room) = input.rest().first_chunk::<LONGEST>() {
        let Some((series, t_ms, value, len)) = one_v1(room) else { break };
        out.push(sample(series, t_ms, value));
        input.skip_seen(len);
    }
    while !input.is_empty() {
        let (series, t_ms) = (input.uvarint()?, input.uvarint()?);
        out.push(sample(series, t_ms, input.f64()?));
    }
    Ok(())
}

/// The two differences, the value and the length; `None` sends the caller to the checked path.
#[inline]
fn one_v1(room: &[u8; LONGEST]) -> Option<(u64, u64, f64, usize)> {
    let (series, a) = short_uvarint(room)?;
    let (t_ms, b) = short_uvarint(&room[a..])?;
    let at = a + b;
    let value: [u8; 8] = room[at..at + 8].try_into().expect("two varints and the value lie in 28 bytes");
    Some((series, t_ms, f64::from_bits(u64::from_be_bytes(value)), at + 8))
}

/// One and two bytes unrolled: nearly all differences are that short.
#[inline]
fn short_uvarint(bytes: &[u8]) -> Option<(u64, usize)> {
    let low = bytes[0];
    if low < 0x80 {
        return Some((u64::from(low), 1));
    }
    let high = bytes[1];
    if high < 0x80 {
        return Some((u64::from(low & 0x7f) | u64::from(high) << 7, 2));
    }
    read_uvarint(bytes)
}

fn decode_v2(input: &mut Input<'_>, out: &mut Vec<RefSample>) -> Result<(), Fault> {
    out.reserve(input.rest().len() / 11);
    let mut sample = RefSample {
        series: SeriesRef(input.varint()? as u64),
        t_ms: input.varint()?,
        start_ms: input.varint()?,
        value: input.f64()?,
    };
    let (first_t_ms, first_start_ms) = (sample.t_ms, sample.start_ms);
    out.push(sample);
    while !input.is_empty() {
        sample.series.0 = sample.series.0.wrapping_add(input.varint()? as u64);
        sample.t_ms = first_t_ms.wrapping_add(input.varint()?);
        sample.start_ms = take_start(input, first_start_ms, sample.start_ms)?;
        sample.value = input.f64()?;
        out.push(sample);
    }
    Ok(())
}
