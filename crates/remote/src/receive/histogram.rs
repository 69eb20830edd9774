//! The message `Histogram` of a request: one form on the wire, two kinds in the model.
//!
//! A histogram is a float one when the last count it gives is a float. Whether it agrees with itself is the storage's to say.
//! Both protocols write it alike, but for the start timestamp.
//! Facts: `prompb/types.proto`, `prompb/io/prometheus/write/v2/types.proto`.

use std::ops::Range;

use narthex_model::{CounterResetHint, FloatHistogram, Histogram, Span};

use super::wire::{DecodeError, FIXED64, Reader, VARINT, unzigzag, unzigzag_32};

/// A count as the wire has it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Count {
    Int(u64),
    Float(f64),
}

/// All fields of the message.
#[derive(Debug)]
pub(crate) struct HistogramFields {
    pub(crate) t_ms: i64,
    /// When its counter started, ms; 0: not known. Protocol 2.0 only.
    pub(crate) start_ms: i64,
    hint: CounterResetHint,
    schema: i32,
    zero_threshold: f64,
    sum: f64,
    count: Count,
    zero_count: Count,
    positive: Buckets,
    negative: Buckets,
    custom_values: Vec<f64>,
}

/// One side. Only one of `deltas` and `counts` means something.
#[derive(Debug, Default)]
struct Buckets {
    spans: Vec<Span>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

impl Buckets {
    fn clear(&mut self) {
        self.spans.clear();
        self.deltas.clear();
        self.counts.clear();
    }
}

impl Default for HistogramFields {
    fn default() -> Self {
        Self {
            t_ms: 0,
            start_ms: 0,
            hint: CounterResetHint::Unknown,
            schema: 0,
            zero_threshold: 0.0,
            sum: 0.0,
            count: Count::Int(0),
            zero_count: Count::Int(0),
            positive: Buckets::default(),
            negative: Buckets::default(),
            custom_values: Vec::new(),
        }
    }
}

/// A histogram of either kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Either {
    Int(Histogram),
    Float(FloatHistogram),
}

impl Reader<'_> {
    /// Reads the histogram at a place that this reader gave.
    pub(crate) fn histogram(
        &self,
        place: Range<usize>,
        fields: &mut HistogramFields,
    ) -> Result<(), DecodeError> {
        fields.read_from(self.nested(place))
    }
}

impl HistogramFields {
    fn clear(&mut self) {
        let (mut positive, mut negative) =
            (std::mem::take(&mut self.positive), std::mem::take(&mut self.negative));
        let mut custom_values = std::mem::take(&mut self.custom_values);
        positive.clear();
        negative.clear();
        custom_values.clear();
        *self = Self { positive, negative, custom_values, ..Self::default() };
    }

    /// Reads the message at `range` in place of what was here.
    pub(crate) fn read(&mut self, buffer: &[u8], range: Range<usize>) -> Result<(), DecodeError> {
        self.read_from(Reader::new(buffer, range))
    }

    fn read_from(&mut self, mut reader: Reader<'_>) -> Result<(), DecodeError> {
        self.clear();
        while let Some(key) = reader.key("Histogram")? {
            match key.field {
                1 => self.count = Count::Int(reader.number(key, "CountInt")?),
                2 => self.count = Count::Float(reader.float(key, "CountFloat")?),
                3 => self.sum = reader.float(key, "Sum")?,
                4 => self.schema = unzigzag_32(reader.number(key, "Schema")?),
                5 => self.zero_threshold = reader.float(key, "ZeroThreshold")?,
                6 => self.zero_count = Count::Int(reader.number(key, "ZeroCountInt")?),
                7 => self.zero_count = Count::Float(reader.float(key, "ZeroCountFloat")?),
                8 => {
                    let place = reader.block(key, "NegativeSpans")?;
                    self.negative.spans.push(read_span(reader.nested(place))?);
                }
                9 => push_deltas(&mut reader, key, "NegativeDeltas", &mut self.negative.deltas)?,
                10 => push_doubles(&mut reader, key, "NegativeCounts", &mut self.negative.counts)?,
                11 => {
                    let place = reader.block(key, "PositiveSpans")?;
                    self.positive.spans.push(read_span(reader.nested(place))?);
                }
                12 => push_deltas(&mut reader, key, "PositiveDeltas", &mut self.positive.deltas)?,
                13 => push_doubles(&mut reader, key, "PositiveCounts", &mut self.positive.counts)?,
                14 => self.hint = hint(reader.number(key, "ResetHint")?),
                15 => self.t_ms = reader.number(key, "Timestamp")? as i64,
                16 => push_doubles(&mut reader, key, "CustomValues", &mut self.custom_values)?,
                17 => self.start_ms = reader.number(key, "StartTimestamp")? as i64,
                _ => reader.skip(key)?,
            }
        }
        Ok(())
    }

    /// The histogram that was read.
    pub(crate) fn into_histogram(self) -> Either {
        match self.count {
            Count::Int(count) => Either::Int(Histogram {
                counter_reset_hint: self.hint,
                schema: self.schema,
                zero_threshold: self.zero_threshold,
                zero_count: if let Count::Int(zero_count) = self.zero_count { zero_count } else { 0 },
                count,
                sum: self.sum,
                positive_spans: self.positive.spans,
                negative_spans: self.negative.spans,
                positive_buckets: self.positive.deltas,
                negative_buckets: self.negative.deltas,
                custom_values: self.custom_values,
            }),
            Count::Float(count) => Either::Float(FloatHistogram {
                counter_reset_hint: self.hint,
                schema: self.schema,
                zero_threshold: self.zero_threshold,
                zero_count: if let Count::Float(zero_count) = self.zero_count { zero_count } else { 0.0 },
                count,
                sum: self.sum,
                positive_spans: self.positive.spans,
                negative_spans: self.negative.spans,
                positive_buckets: self.positive.counts,
                negative_buckets: self.negative.counts,
                custom_values: self.custom_values,
            }),
        }
    }
}

fn hint(number: u64) -> CounterResetHint {
    match number as i32 {
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}

fn read_span(mut reader: Reader<'_>) -> Result<Span, DecodeError> {
    let mut span = Span { offset: 0, length: 0 };
    while let Some(key) = reader.key("BucketSpan")? {
        match key.field {
            1 => span.offset = unzigzag_32(reader.number(key, "Offset")?),
            2 => span.length = reader.number(key, "Length")? as u32,
            _ => reader.skip(key)?,
        }
    }
    Ok(span)
}

fn push_deltas(
    reader: &mut Reader<'_>,
    key: super::wire::Key,
    field: &'static str,
    out: &mut Vec<i64>,
) -> Result<(), DecodeError> {
    reader.numbers(key, (VARINT, field), |one| {
        out.push(unzigzag(one.varint()?));
        Ok(())
    })
}

fn push_doubles(
    reader: &mut Reader<'_>,
    key: super::wire::Key,
    field: &'static str,
    out: &mut Vec<f64>,
) -> Result<(), DecodeError> {
    reader.numbers(key, (FIXED64, field), |one| {
        out.push(one.double()?);
        Ok(())
    })
}
