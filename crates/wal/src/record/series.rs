//! The small records: series, metadata, tombstones, m-map markers.

use std::borrow::Cow;

use narthex_model::{Labels, Metadata, MetricType};
use narthex_storage::SeriesRef;

use super::labels::put_labels;
use super::{DecodeError, LabelPairs, RecordType};
use crate::bytes::{Fault, Input, put_be64, put_string, put_uvarint, put_varint};

/// Appends one series record; nothing for an empty iterator.
pub fn encode_series<'a>(series: impl IntoIterator<Item = (SeriesRef, &'a Labels)>, out: &mut Vec<u8>) {
    encode(RecordType::Series, series, out, |(series, labels), out| {
        put_be64(out, series.0);
        put_labels(out, labels);
    });
}

/// Hands each series of a record to `visit`.
///
/// # Errors
/// A malformed record; series before the fault were handed out.
pub fn decode_series(
    record: &[u8],
    mut visit: impl FnMut(SeriesRef, LabelPairs<'_>),
) -> Result<(), DecodeError> {
    decode(RecordType::Series, record, |input| {
        let series = SeriesRef(input.be64()?);
        visit(series, LabelPairs::take(input)?);
        Ok(())
    })
}

/// Type, unit and help of a series' family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefMetadata<'a> {
    /// The series' number.
    pub series: SeriesRef,
    /// The type; `Unknown` for bytes that no version defines.
    pub kind: MetricType,
    /// The unit; bytes that are not UTF-8 are replaced.
    pub unit: Cow<'a, str>,
    /// The help text; bytes that are not UTF-8 are replaced.
    pub help: Cow<'a, str>,
}

/// Appends one metadata record; nothing for an empty iterator.
pub fn encode_metadata<'a>(metadata: impl IntoIterator<Item = (SeriesRef, &'a Metadata)>, out: &mut Vec<u8>) {
    encode(RecordType::Metadata, metadata, out, |(series, metadata), out| {
        put_uvarint(out, series.0);
        out.push(metric_type_byte(metadata.kind));
        put_uvarint(out, 2);
        for (name, text) in [("UNIT", &metadata.unit), ("HELP", &metadata.help)] {
            put_string(out, name);
            put_string(out, text);
        }
    });
}

/// Hands each entry of a metadata record to `visit`. Fields other than unit and help are skipped.
///
/// # Errors
/// A malformed record; entries before the fault were handed out.
pub fn decode_metadata(record: &[u8], mut visit: impl FnMut(RefMetadata<'_>)) -> Result<(), DecodeError> {
    decode(RecordType::Metadata, record, |input| {
        let series = SeriesRef(input.uvarint()?);
        let kind = metric_type_of(input.u8()?);
        let (mut unit, mut help) = (&b""[..], &b""[..]);
        for _ in 0..input.count(2)? {
            match (input.string()?, input.string()?) {
                (b"UNIT", text) => unit = text,
                (b"HELP", text) => help = text,
                _ => {}
            }
        }
        visit(RefMetadata {
            series,
            kind,
            unit: String::from_utf8_lossy(unit),
            help: String::from_utf8_lossy(help),
        });
        Ok(())
    })
}

/// The bytes of `conformance/inventories/wal-metadata-metric-types.tsv`.
fn metric_type_byte(kind: MetricType) -> u8 {
    match kind {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::GaugeHistogram => 4,
        MetricType::Summary => 5,
        MetricType::Info => 6,
        MetricType::StateSet => 7,
    }
}

fn metric_type_of(byte: u8) -> MetricType {
    match byte {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::StateSet,
        _ => MetricType::Unknown,
    }
}

/// A deleted interval of a series, both ends inclusive, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The series' number.
    pub series: SeriesRef,
    /// First deleted millisecond.
    pub mint_ms: i64,
    /// Last deleted millisecond.
    pub maxt_ms: i64,
}

/// Appends one tombstones record; nothing for an empty slice.
pub fn encode_tombstones(tombstones: &[Tombstone], out: &mut Vec<u8>) {
    encode(RecordType::Tombstones, tombstones, out, |tombstone, out| {
        put_be64(out, tombstone.series.0);
        put_varint(out, tombstone.mint_ms);
        put_varint(out, tombstone.maxt_ms);
    });
}

/// Hands each tombstone of a record to `visit`.
///
/// # Errors
/// A malformed record; tombstones before the fault were handed out.
pub fn decode_tombstones(record: &[u8], mut visit: impl FnMut(Tombstone)) -> Result<(), DecodeError> {
    decode(RecordType::Tombstones, record, |input| {
        visit(Tombstone {
            series: SeriesRef(input.be64()?),
            mint_ms: input.varint()?,
            maxt_ms: input.varint()?,
        });
        Ok(())
    })
}

/// Says that all out-of-order samples of a series before this record lie in m-mapped chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmapMarker {
    /// The series' number.
    pub series: SeriesRef,
    /// Where its newest m-mapped chunk is: file number in the high 32 bits, offset in the low.
    pub chunk: u64,
}

/// Appends one record of m-map markers; nothing for an empty slice.
pub fn encode_mmap_markers(markers: &[MmapMarker], out: &mut Vec<u8>) {
    encode(RecordType::MmapMarkers, markers, out, |marker, out| {
        put_be64(out, marker.series.0);
        put_be64(out, marker.chunk);
    });
}

/// Hands each marker of a record to `visit`.
///
/// # Errors
/// A malformed record; markers before the fault were handed out.
pub fn decode_mmap_markers(record: &[u8], mut visit: impl FnMut(MmapMarker)) -> Result<(), DecodeError> {
    decode(RecordType::MmapMarkers, record, |input| {
        visit(MmapMarker { series: SeriesRef(input.be64()?), chunk: input.be64()? });
        Ok(())
    })
}

fn encode<T>(
    kind: RecordType,
    entries: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    put: impl Fn(T, &mut Vec<u8>),
) {
    let start = out.len();
    out.push(kind.byte());
    for entry in entries {
        put(entry, out);
    }
    if out.len() == start + 1 {
        out.truncate(start);
    }
}

fn decode<'a>(
    kind: RecordType,
    record: &'a [u8],
    mut take_one: impl FnMut(&mut Input<'a>) -> Result<(), Fault>,
) -> Result<(), DecodeError> {
    if RecordType::of(record) != kind {
        return Err(DecodeError::wrong_type(record));
    }
    let mut input = Input::new(record);
    input.skip_seen(1);
    while !input.is_empty() {
        take_one(&mut input).map_err(|fault| DecodeError::new(record, fault))?;
    }
    Ok(())
}
