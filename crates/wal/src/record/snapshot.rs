//! The records of a memory snapshot: series with their open chunks, tombstones, exemplars.
//!
//! They lie in a directory of segments like a checkpoint's, and their type bytes mean something else than those of the log.
//! Holds: the layout. A chunk's bytes pass through; only its encoding byte says what follows them.
//! Facts: Prometheus `tsdb/docs/format/memory_snapshot.md`; for histograms, what its snapshots hold.

use narthex_model::{Exemplar, FloatHistogram, Histogram, Labels};
use narthex_storage::SeriesRef;

use super::exemplars::{put_exemplars, walk_exemplars};
use super::histograms::{put_float_histogram, put_histogram, take_float_histogram, take_histogram};
use super::labels::put_labels;
use super::{DecodeError, LabelPairs, RefExemplar, Tombstone};
use crate::bytes::{Fault, Input, Malformed, put_be64, put_f64, put_uvarint, put_varint};

const SERIES: u8 = 1;
const TOMBSTONES: u8 = 2;
const EXEMPLARS: u8 = 3;
/// The only format of the tombstones' bytes.
const TOMBSTONES_V1: u8 = 1;
/// Prometheus kept the last four samples of a chunk of floats once; now three of them are zeros.
const OLD_SAMPLES: usize = 3;

/// What a record of a snapshot is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotRecord {
    /// One series.
    Series,
    /// All tombstones.
    Tombstones,
    /// Some exemplars.
    Exemplars,
    /// Empty, or of another version.
    Unknown,
}

impl SnapshotRecord {
    /// The type of an encoded record.
    #[must_use]
    pub fn of(record: &[u8]) -> Self {
        match record.first() {
            Some(&SERIES) => Self::Series,
            Some(&TOMBSTONES) => Self::Tombstones,
            Some(&EXEMPLARS) => Self::Exemplars,
            _ => Self::Unknown,
        }
    }
}

/// A series of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotSeries<'a> {
    /// Its number in the log.
    pub series: SeriesRef,
    /// Its labels, still in the record.
    pub labels: LabelPairs<'a>,
    /// Its open chunk.
    pub chunk: Option<SnapshotChunk<'a>>,
}

/// The open chunk of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SnapshotChunk<'a> {
    /// Its first timestamp, ms.
    pub min_ms: i64,
    /// Its last timestamp, ms.
    pub max_ms: i64,
    /// What kind of chunk it is, as chunk files say it.
    pub encoding: u8,
    /// The chunk.
    pub bytes: &'a [u8],
}

/// The newest sample of a series' chunk, which Prometheus wants beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LastSample<'a> {
    /// Of a chunk of floats.
    Float(f64),
    /// Of a chunk of histograms with integer counts.
    Int(&'a Histogram),
    /// Of one with float counts.
    FloatHistogram(&'a FloatHistogram),
}

/// Appends the record of one series. The last sample must be of the kind of the chunk's encoding.
pub fn encode_snapshot_series(
    series: SeriesRef,
    labels: &Labels,
    chunk: Option<(SnapshotChunk<'_>, LastSample<'_>)>,
    out: &mut Vec<u8>,
) {
    out.push(SERIES);
    put_be64(out, series.0);
    put_labels(out, labels);
    // Once a chunk range; read and not used.
    put_be64(out, 0);
    let Some((chunk, last)) = chunk else { return put_uvarint(out, 0) };
    put_uvarint(out, 1);
    put_be64(out, chunk.min_ms as u64);
    put_be64(out, chunk.max_ms as u64);
    out.push(chunk.encoding);
    put_uvarint(out, chunk.bytes.len() as u64);
    out.extend_from_slice(chunk.bytes);
    match last {
        LastSample::Float(value) => {
            out.resize(out.len() + OLD_SAMPLES * 16 + 8, 0);
            put_f64(out, value);
        }
        LastSample::Int(histogram) => put_histogram(out, histogram),
        LastSample::FloatHistogram(histogram) => put_float_histogram(out, histogram),
    }
}

/// Takes the record of one series apart.
///
/// # Errors
/// A malformed record, or a chunk encoding that no version knows.
pub fn decode_snapshot_series(record: &[u8]) -> Result<SnapshotSeries<'_>, DecodeError> {
    let mut input = start(record, SERIES)?;
    take_series(&mut input).map_err(|fault| DecodeError::new(record, fault))
}

fn take_series<'a>(input: &mut Input<'a>) -> Result<SnapshotSeries<'a>, Fault> {
    let series = SeriesRef(input.be64()?);
    let labels = LabelPairs::take(input)?;
    input.be64()?;
    if input.uvarint()? == 0 {
        return Ok(SnapshotSeries { series, labels, chunk: None });
    }
    let (min_ms, max_ms) = (input.be64()? as i64, input.be64()? as i64);
    let encoding = input.u8()?;
    let bytes = input.string()?;
    match encoding {
        1 | 4 => drop(input.bytes(OLD_SAMPLES as u64 * 16 + 16)?),
        2 | 5 => take_histogram(input, &mut Histogram::default())?,
        3 | 6 => take_float_histogram(input, &mut FloatHistogram::default())?,
        _ => return Err(input.fault(Malformed::WrongType)),
    }
    Ok(SnapshotSeries { series, labels, chunk: Some(SnapshotChunk { min_ms, max_ms, encoding, bytes }) })
}

/// Appends the record of all tombstones, of which there may be none.
pub fn encode_snapshot_tombstones(tombstones: &[Tombstone], out: &mut Vec<u8>) {
    let mut inner = vec![TOMBSTONES_V1];
    for tombstone in tombstones {
        put_uvarint(&mut inner, tombstone.series.0);
        put_varint(&mut inner, tombstone.mint_ms);
        put_varint(&mut inner, tombstone.maxt_ms);
    }
    out.push(TOMBSTONES);
    put_uvarint(out, inner.len() as u64);
    out.extend_from_slice(&inner);
}

/// Hands each tombstone to `visit`.
///
/// # Errors
/// A malformed record; tombstones before the fault were handed out.
pub fn decode_snapshot_tombstones(
    record: &[u8],
    mut visit: impl FnMut(Tombstone),
) -> Result<(), DecodeError> {
    let mut walk = || {
        let mut inner = Input::new(
            start(record, TOMBSTONES).map_err(|e| Fault { at: e.offset, reason: e.reason })?.string()?,
        );
        if inner.u8()? != TOMBSTONES_V1 {
            return Err(inner.fault(Malformed::WrongType));
        }
        while !inner.is_empty() {
            visit(Tombstone {
                series: SeriesRef(inner.uvarint()?),
                mint_ms: inner.varint()?,
                maxt_ms: inner.varint()?,
            });
        }
        Ok(())
    };
    walk().map_err(|fault| DecodeError::new(record, fault))
}

/// Appends one record of exemplars; nothing for an empty slice.
pub fn encode_snapshot_exemplars(exemplars: &[(SeriesRef, &Exemplar)], out: &mut Vec<u8>) {
    if !exemplars.is_empty() {
        out.push(EXEMPLARS);
        put_exemplars(exemplars, out);
    }
}

/// Hands each exemplar to `visit`.
///
/// # Errors
/// A malformed record; exemplars before the fault were handed out.
pub fn decode_snapshot_exemplars(
    record: &[u8],
    mut visit: impl FnMut(RefExemplar<'_>),
) -> Result<(), DecodeError> {
    let mut input = start(record, EXEMPLARS)?;
    walk_exemplars(&mut input, &mut visit).map_err(|fault| DecodeError::new(record, fault))
}

/// The record behind its type byte.
fn start(record: &[u8], kind: u8) -> Result<Input<'_>, DecodeError> {
    if record.first() != Some(&kind) {
        return Err(DecodeError::wrong_type(record));
    }
    let mut input = Input::new(record);
    input.skip_seen(1);
    Ok(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        Labels::from_pairs([("__name__", "m"), ("i", "7")])
    }

    fn histogram() -> Histogram {
        Histogram { count: 3, sum: 1.5, positive_buckets: vec![1, 1], ..Histogram::default() }
    }

    fn encoded() -> Vec<Vec<u8>> {
        let chunk = |encoding| SnapshotChunk { min_ms: -5, max_ms: 99, encoding, bytes: &[1, 2, 3] };
        let (int, float) = (histogram(), histogram().to_float());
        let parts = [
            None,
            Some((chunk(1), LastSample::Float(2.5))),
            Some((chunk(4), LastSample::Float(f64::NAN))),
            Some((chunk(2), LastSample::Int(&int))),
            Some((chunk(5), LastSample::Int(&int))),
            Some((chunk(3), LastSample::FloatHistogram(&float))),
            Some((chunk(6), LastSample::FloatHistogram(&float))),
        ];
        let encode = |part| {
            let mut out = Vec::new();
            encode_snapshot_series(SeriesRef(1 << 33 | 7), &labels(), part, &mut out);
            out
        };
        parts.into_iter().map(encode).collect()
    }

    #[test]
    fn series_come_back() {
        for (record, encoding) in
            encoded().iter().zip([None, Some(1), Some(4), Some(2), Some(5), Some(3), Some(6)])
        {
            let series = decode_snapshot_series(record).unwrap();
            assert_eq!((series.series, series.labels.to_labels()), (SeriesRef(1 << 33 | 7), labels()));
            let chunk = encoding.map(|encoding| SnapshotChunk {
                min_ms: -5,
                max_ms: 99,
                encoding,
                bytes: &[1, 2, 3],
            });
            assert_eq!(series.chunk, chunk);
        }
    }

    #[test]
    fn tombstones_and_exemplars_come_back() {
        let tombstones: Vec<_> = (0..5)
            .map(|n| Tombstone {
                series: SeriesRef(n << 33),
                mint_ms: i64::MIN + n as i64,
                maxt_ms: i64::MAX,
            })
            .collect();
        for count in [0, 5] {
            let (mut record, mut found) = (Vec::new(), Vec::new());
            encode_snapshot_tombstones(&tombstones[..count], &mut record);
            decode_snapshot_tombstones(&record, |t| found.push(t)).unwrap();
            assert_eq!(found, tombstones[..count]);
        }
        let exemplar = Exemplar { labels: labels(), value: 3.0, t_ms: Some(-8) };
        let (mut record, mut found) = (Vec::new(), Vec::new());
        encode_snapshot_exemplars(&[(SeriesRef(9), &exemplar)], &mut record);
        decode_snapshot_exemplars(&record, |e| found.push((e.series, e.to_exemplar()))).unwrap();
        assert_eq!(found, [(SeriesRef(9), exemplar)]);
    }

    #[test]
    fn cut_and_flipped_records_are_refused_or_read_and_never_worse() {
        let mut rng = fastrand::Rng::with_seed(6);
        let mut records = encoded();
        let mut tombstones = Vec::new();
        encode_snapshot_tombstones(
            &[Tombstone { series: SeriesRef(1), mint_ms: 1, maxt_ms: 2 }; 9],
            &mut tombstones,
        );
        records.push(tombstones);
        for record in &records {
            for cut in 0..record.len() {
                let kind = SnapshotRecord::of(&record[..cut]);
                let refused = match kind {
                    SnapshotRecord::Series => decode_snapshot_series(&record[..cut]).is_err(),
                    SnapshotRecord::Tombstones => decode_snapshot_tombstones(&record[..cut], |_| {}).is_err(),
                    SnapshotRecord::Exemplars | SnapshotRecord::Unknown => true,
                };
                assert!(refused, "cut at {cut} of {}", record.len());
            }
            for _ in 0..500 {
                let mut bytes = record.clone();
                bytes[rng.usize(..record.len())] ^= 1 << rng.u8(0..8);
                let _ = decode_snapshot_series(&bytes);
                let _ = decode_snapshot_tombstones(&bytes, |_| {});
                let _ = decode_snapshot_exemplars(&bytes, |_| {});
            }
        }
    }
}
