//! Native histograms, integer and float, with exponential or custom buckets.
//!
//! Version 1 keeps the two kinds of buckets in records of different types; version 2 mixes them and adds start timestamps.
//! One scratch histogram is filled for each entry and lent to the closure, so that decoding a record allocates a few times, not
//! per entry. A schema that no version knows is skipped and counted, as Prometheus does.

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram, Span};
use narthex_storage::SeriesRef;

use super::samples::{put_start, take_start};
use super::{DecodeError, HistogramLayout, RecordType};
use crate::bytes::{Fault, Input, put_be64, put_f64, put_uvarint, put_varint};

/// A histogram of a numbered series; `H` is a reference or a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistogramSample<H> {
    /// The series' number.
    pub series: SeriesRef,
    /// Milliseconds since the epoch.
    pub t_ms: i64,
    /// When the counts started, milliseconds since the epoch; 0 for "not known".
    pub start_ms: i64,
    /// The histogram.
    pub histogram: H,
}

/// A decoded histogram, lent to the visitor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AnyHistogram<'a> {
    /// Integer counts.
    Int(&'a Histogram),
    /// Float counts.
    Float(&'a FloatHistogram),
}

/// Appends up to two records (exponential and custom buckets) and reports the end of each through `end_of_record`, as each
/// must be logged on its own: `end_of_record(out.len())` after each record. With start timestamps it is one record.
pub fn encode_histograms(
    samples: &[HistogramSample<&Histogram>],
    out: &mut Vec<u8>,
    end_of_record: impl FnMut(usize),
) {
    encode(samples, |h| h.schema, put_histogram, RecordType::Histograms, out, end_of_record);
}

/// The same for float histograms.
pub fn encode_float_histograms(
    samples: &[HistogramSample<&FloatHistogram>],
    out: &mut Vec<u8>,
    end_of_record: impl FnMut(usize),
) {
    encode(samples, |h| h.schema, put_float_histogram, RecordType::FloatHistograms, out, end_of_record);
}

fn encode<H>(
    samples: &[HistogramSample<&H>],
    schema: impl Fn(&H) -> i32,
    put: impl Fn(&mut Vec<u8>, &H),
    kind: impl Fn(HistogramLayout) -> RecordType,
    out: &mut Vec<u8>,
    mut end_of_record: impl FnMut(usize),
) {
    if samples.iter().any(|sample| sample.start_ms != 0) {
        out.push(kind(HistogramLayout::V2).byte());
        encode_v2(samples, put, out);
        end_of_record(out.len());
        return;
    }
    for layout in [HistogramLayout::Exponential, HistogramLayout::Custom] {
        let wanted = |sample: &&HistogramSample<&H>| {
            (schema(sample.histogram) == CUSTOM_BUCKETS_SCHEMA) == (layout == HistogramLayout::Custom)
        };
        let mut chosen = samples.iter().filter(wanted).peekable();
        let Some(first) = chosen.peek().copied() else { continue };
        out.push(kind(layout).byte());
        put_be64(out, first.series.0);
        put_be64(out, first.t_ms as u64);
        for sample in chosen {
            put_varint(out, sample.series.0.wrapping_sub(first.series.0) as i64);
            put_varint(out, sample.t_ms.wrapping_sub(first.t_ms));
            put(out, sample.histogram);
        }
        end_of_record(out.len());
    }
}

fn encode_v2<H>(samples: &[HistogramSample<&H>], put: impl Fn(&mut Vec<u8>, &H), out: &mut Vec<u8>) {
    let first = samples[0];
    put_varint(out, first.series.0 as i64);
    put_varint(out, first.t_ms);
    put_varint(out, first.start_ms);
    put(out, first.histogram);
    for pair in samples.windows(2) {
        let [before, sample] = pair else { unreachable!("windows of two") };
        put_varint(out, sample.series.0.wrapping_sub(before.series.0) as i64);
        put_varint(out, sample.t_ms.wrapping_sub(first.t_ms));
        put_start(out, sample.start_ms, first.start_ms, before.start_ms);
        put(out, sample.histogram);
    }
}

/// Hands each histogram of a record of any layout to `visit` and returns how many were skipped for an unknown schema.
///
/// # Errors
/// A malformed record; histograms before the fault were handed out.
pub fn decode_histograms(
    record: &[u8],
    mut visit: impl FnMut(HistogramSample<AnyHistogram<'_>>),
) -> Result<usize, DecodeError> {
    let mut input = Input::new(record);
    let _ = input.u8();
    let done = match RecordType::of(record) {
        RecordType::Histograms(layout) => {
            let mut scratch = Histogram::default();
            walk(&mut input, layout, |input, place| {
                take_histogram(input, &mut scratch)?;
                Ok(hand_out(scratch.schema, place.with(AnyHistogram::Int(&scratch)), &mut visit))
            })
        }
        RecordType::FloatHistograms(layout) => {
            let mut scratch = FloatHistogram::default();
            walk(&mut input, layout, |input, place| {
                take_float_histogram(input, &mut scratch)?;
                Ok(hand_out(scratch.schema, place.with(AnyHistogram::Float(&scratch)), &mut visit))
            })
        }
        _ => return Err(DecodeError::wrong_type(record)),
    };
    done.map_err(|fault| DecodeError::new(record, fault))
}

/// Whether the schema was known, and so the histogram was visited.
fn hand_out<H>(schema: i32, sample: HistogramSample<H>, visit: &mut impl FnMut(HistogramSample<H>)) -> bool {
    // COMPAT: -9..=52 are reserved for exponential buckets; -4..=8 are in use.
    let known = schema == CUSTOM_BUCKETS_SCHEMA || (-9..=52).contains(&schema);
    if known {
        visit(sample);
    }
    known
}

#[derive(Clone, Copy)]
struct Place {
    series: SeriesRef,
    t_ms: i64,
    start_ms: i64,
}

impl Place {
    fn with<H>(self, histogram: H) -> HistogramSample<H> {
        HistogramSample { series: self.series, t_ms: self.t_ms, start_ms: self.start_ms, histogram }
    }
}

fn walk<'a>(
    input: &mut Input<'a>,
    layout: HistogramLayout,
    mut take_one: impl FnMut(&mut Input<'a>, Place) -> Result<bool, Fault>,
) -> Result<usize, Fault> {
    let mut skipped = 0;
    if input.is_empty() {
        return Ok(0);
    }
    if layout != HistogramLayout::V2 {
        let first = Place { series: SeriesRef(input.be64()?), t_ms: input.be64()? as i64, start_ms: 0 };
        while !input.is_empty() {
            let series = SeriesRef(first.series.0.wrapping_add(input.varint()? as u64));
            let t_ms = first.t_ms.wrapping_add(input.varint()?);
            skipped += usize::from(!take_one(input, Place { series, t_ms, start_ms: 0 })?);
        }
        return Ok(skipped);
    }
    let first =
        Place { series: SeriesRef(input.varint()? as u64), t_ms: input.varint()?, start_ms: input.varint()? };
    let mut place = first;
    loop {
        skipped += usize::from(!take_one(input, place)?);
        if input.is_empty() {
            return Ok(skipped);
        }
        place.series.0 = place.series.0.wrapping_add(input.varint()? as u64);
        place.t_ms = first.t_ms.wrapping_add(input.varint()?);
        place.start_ms = take_start(input, first.start_ms, place.start_ms)?;
    }
}

pub(super) fn put_histogram(out: &mut Vec<u8>, h: &Histogram) {
    out.push(hint_byte(h.counter_reset_hint));
    put_varint(out, i64::from(h.schema));
    put_f64(out, h.zero_threshold);
    put_uvarint(out, h.zero_count);
    put_uvarint(out, h.count);
    put_f64(out, h.sum);
    put_spans(out, &h.positive_spans);
    put_spans(out, &h.negative_spans);
    put_list(out, &h.positive_buckets, put_varint);
    put_list(out, &h.negative_buckets, put_varint);
    if h.schema == CUSTOM_BUCKETS_SCHEMA {
        put_list(out, &h.custom_values, put_f64);
    }
}

pub(super) fn put_float_histogram(out: &mut Vec<u8>, h: &FloatHistogram) {
    out.push(hint_byte(h.counter_reset_hint));
    put_varint(out, i64::from(h.schema));
    for number in [h.zero_threshold, h.zero_count, h.count, h.sum] {
        put_f64(out, number);
    }
    put_spans(out, &h.positive_spans);
    put_spans(out, &h.negative_spans);
    put_list(out, &h.positive_buckets, put_f64);
    put_list(out, &h.negative_buckets, put_f64);
    if h.schema == CUSTOM_BUCKETS_SCHEMA {
        put_list(out, &h.custom_values, put_f64);
    }
}

pub(super) fn take_histogram(input: &mut Input<'_>, h: &mut Histogram) -> Result<(), Fault> {
    h.counter_reset_hint = hint_of(input.u8()?);
    h.schema = input.varint()? as i32;
    h.zero_threshold = input.f64()?;
    h.zero_count = input.uvarint()?;
    h.count = input.uvarint()?;
    h.sum = input.f64()?;
    take_spans(input, &mut h.positive_spans)?;
    take_spans(input, &mut h.negative_spans)?;
    take_list(input, &mut h.positive_buckets, 1, Input::varint)?;
    take_list(input, &mut h.negative_buckets, 1, Input::varint)?;
    take_custom(input, h.schema, &mut h.custom_values)
}

pub(super) fn take_float_histogram(input: &mut Input<'_>, h: &mut FloatHistogram) -> Result<(), Fault> {
    h.counter_reset_hint = hint_of(input.u8()?);
    h.schema = input.varint()? as i32;
    h.zero_threshold = input.f64()?;
    h.zero_count = input.f64()?;
    h.count = input.f64()?;
    h.sum = input.f64()?;
    take_spans(input, &mut h.positive_spans)?;
    take_spans(input, &mut h.negative_spans)?;
    take_list(input, &mut h.positive_buckets, 8, Input::f64)?;
    take_list(input, &mut h.negative_buckets, 8, Input::f64)?;
    take_custom(input, h.schema, &mut h.custom_values)
}

fn put_spans(out: &mut Vec<u8>, spans: &[Span]) {
    put_list(out, spans, |out, span| {
        put_varint(out, i64::from(span.offset));
        put_uvarint(out, u64::from(span.length));
    });
}

fn put_list<T: Copy>(out: &mut Vec<u8>, list: &[T], put: impl Fn(&mut Vec<u8>, T)) {
    put_uvarint(out, list.len() as u64);
    for entry in list {
        put(out, *entry);
    }
}

fn take_spans(input: &mut Input<'_>, spans: &mut Vec<Span>) -> Result<(), Fault> {
    take_list(input, spans, 2, |input| {
        Ok(Span { offset: input.varint()? as i32, length: input.uvarint()? as u32 })
    })
}

fn take_custom(input: &mut Input<'_>, schema: i32, bounds: &mut Vec<f64>) -> Result<(), Fault> {
    bounds.clear();
    match schema {
        CUSTOM_BUCKETS_SCHEMA => take_list(input, bounds, 8, Input::f64),
        _ => Ok(()),
    }
}

fn take_list<'a, T>(
    input: &mut Input<'a>,
    list: &mut Vec<T>,
    entry_bytes: usize,
    take: impl Fn(&mut Input<'a>) -> Result<T, Fault>,
) -> Result<(), Fault> {
    list.clear();
    let count = input.count(entry_bytes)?;
    list.reserve(count);
    for _ in 0..count {
        list.push(take(input)?);
    }
    Ok(())
}

fn hint_byte(hint: CounterResetHint) -> u8 {
    match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    }
}

fn hint_of(byte: u8) -> CounterResetHint {
    match byte {
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}
