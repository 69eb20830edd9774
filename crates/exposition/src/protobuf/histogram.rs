//! The message `Histogram`: classic buckets and native ones, in either or both forms.
//!
//! Holds: memory that is used again for the next histogram. Always true: what is collected is at most some ten times as large
//! as its bytes in the body; a native histogram is only given out when its spans agree with its buckets.
//! Facts: `io/prometheus/client/metrics.proto` of `prometheus/client_model`.

use narthex_model::{CounterResetHint, MetricType, Span};

use super::exemplar::RawExemplar;
use super::wire::{FIXED64, Reader, Tag, VARINT, Wrong, unzigzag};
use crate::native::NativeValue;
use crate::nhcb::ClassicParts;

/// A classic bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket<'b> {
    count: u64,
    count_float: f64,
    pub(super) bound: f64,
    pub(super) exemplar: Option<RawExemplar<'b>>,
}

impl Bucket<'_> {
    /// The cumulative count.
    pub(super) fn count(&self) -> f64 {
        either(self.count_float, self.count)
    }
}

/// The float count if there is one, else the integer count.
fn either(float: f64, int: u64) -> f64 {
    if float == 0.0 { int as f64 } else { float }
}

/// See the module's words.
#[derive(Debug, Default)]
pub(super) struct Message<'b> {
    count: u64,
    count_float: f64,
    pub(super) sum: f64,
    pub(super) buckets: Vec<Bucket<'b>>,
    schema: i32,
    zero_threshold: f64,
    zero_count: u64,
    zero_count_float: f64,
    negative: Side,
    positive: Side,
    pub(super) start_ms: i64,
    pub(super) exemplars: Vec<RawExemplar<'b>>,
}

/// The native buckets of one sign.
#[derive(Debug, Default)]
struct Side {
    spans: Vec<Span>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

impl Side {
    fn clear(&mut self) {
        self.spans.clear();
        self.deltas.clear();
        self.counts.clear();
    }
}

impl<'b> Message<'b> {
    pub(super) fn clear(&mut self) {
        self.buckets.clear();
        self.exemplars.clear();
        self.negative.clear();
        self.positive.clear();
        (self.count, self.zero_count, self.schema, self.start_ms) = (0, 0, 0, 0);
        (self.count_float, self.sum, self.zero_threshold, self.zero_count_float) = (0.0, 0.0, 0.0, 0.0);
    }

    /// Reads a message onto what is there.
    pub(super) fn merge(&mut self, bytes: &'b [u8]) -> Result<(), Wrong> {
        let mut reader = Reader::new(bytes);
        while let Some(tag) = reader.tag("Histogram")? {
            match tag.field {
                1 => self.count = reader.number(tag, "SampleCount")?,
                2 => self.sum = reader.double(tag, "SampleSum")?,
                3 => self.buckets.push(bucket(reader.bytes(tag, "Bucket")?)?),
                4 => self.count_float = reader.double(tag, "SampleCountFloat")?,
                5 => self.schema = reader.signed(tag, "Schema")? as i32,
                6 => self.zero_threshold = reader.double(tag, "ZeroThreshold")?,
                7 => self.zero_count = reader.number(tag, "ZeroCount")?,
                8 => self.zero_count_float = reader.double(tag, "ZeroCountFloat")?,
                9 => self.negative.spans.push(span(reader.bytes(tag, "NegativeSpan")?)?),
                10 => push_deltas(&mut reader, tag, "NegativeDelta", &mut self.negative.deltas)?,
                11 => push_counts(&mut reader, tag, "NegativeCount", &mut self.negative.counts)?,
                12 => self.positive.spans.push(span(reader.bytes(tag, "PositiveSpan")?)?),
                13 => push_deltas(&mut reader, tag, "PositiveDelta", &mut self.positive.deltas)?,
                14 => push_counts(&mut reader, tag, "PositiveCount", &mut self.positive.counts)?,
                15 => {
                    self.start_ms = super::metric::timestamp_ms(reader.bytes(tag, "StartTimestamp")?)?;
                }
                16 => self.exemplars.push(RawExemplar::parse(reader.bytes(tag, "Exemplars")?)?),
                _ => reader.skip(tag)?,
            }
        }
        Ok(())
    }

    /// All observations.
    pub(super) fn count(&self) -> f64 {
        either(self.count_float, self.count)
    }

    /// Whether there is a native form. COMPAT: one without spans, zero threshold and zero count counts as classic.
    pub(super) fn is_native(&self) -> bool {
        !self.positive.spans.is_empty()
            || !self.negative.spans.is_empty()
            || self.zero_threshold > 0.0
            || self.zero_count > 0
    }

    /// Moves the native form to `to`, without empty buckets.
    pub(super) fn take_native(&mut self, kind: MetricType, to: &mut NativeValue) -> Result<(), String> {
        let is_float = self.count_float > 0.0 || self.zero_count_float > 0.0;
        check_side("positive", &self.positive, is_float)?;
        check_side("negative", &self.negative, is_float)?;
        let counter_reset_hint = if kind == MetricType::GaugeHistogram {
            CounterResetHint::Gauge
        } else {
            CounterResetHint::Unknown
        };
        let (positive, negative) = (&mut self.positive, &mut self.negative);
        if is_float {
            let h = to.start_float(self.schema);
            h.counter_reset_hint = counter_reset_hint;
            (h.zero_threshold, h.zero_count) = (self.zero_threshold, self.zero_count_float);
            (h.count, h.sum) = (self.count_float, self.sum);
            std::mem::swap(&mut h.positive_spans, &mut positive.spans);
            std::mem::swap(&mut h.negative_spans, &mut negative.spans);
            std::mem::swap(&mut h.positive_buckets, &mut positive.counts);
            std::mem::swap(&mut h.negative_buckets, &mut negative.counts);
            h.compact(0);
        } else {
            let h = to.start_int(self.schema);
            h.counter_reset_hint = counter_reset_hint;
            (h.zero_threshold, h.zero_count) = (self.zero_threshold, self.zero_count);
            (h.count, h.sum) = (self.count, self.sum);
            std::mem::swap(&mut h.positive_spans, &mut positive.spans);
            std::mem::swap(&mut h.negative_spans, &mut negative.spans);
            std::mem::swap(&mut h.positive_buckets, &mut positive.deltas);
            std::mem::swap(&mut h.negative_buckets, &mut negative.deltas);
            h.compact(0);
        }
        Ok(())
    }

    /// Makes a native histogram with custom buckets out of the classic form.
    pub(super) fn to_custom_buckets(
        &self,
        kind: MetricType,
        parts: &mut ClassicParts,
        to: &mut NativeValue,
    ) -> Result<(), String> {
        parts.clear();
        parts.set_count(self.count());
        parts.set_sum(self.sum);
        self.buckets.iter().for_each(|b| parts.add_bucket(b.bound, b.count()));
        parts.convert(to).map_err(|error| error.to_string())?;
        if kind == MetricType::GaugeHistogram {
            to.set_gauge();
        }
        Ok(())
    }
}

fn check_side(side: &str, buckets: &Side, is_float: bool) -> Result<(), String> {
    let have = if is_float { buckets.counts.len() } else { buckets.deltas.len() };
    let need: u64 = buckets.spans.iter().map(|span| u64::from(span.length)).sum();
    if need == have as u64 {
        return Ok(());
    }
    Err(format!("{side} side: spans require {need} buckets, have {have} buckets"))
}

fn bucket(bytes: &[u8]) -> Result<Bucket<'_>, Wrong> {
    let (mut reader, mut bucket) = (Reader::new(bytes), Bucket::default());
    while let Some(tag) = reader.tag("Bucket")? {
        match tag.field {
            1 => bucket.count = reader.number(tag, "CumulativeCount")?,
            2 => bucket.bound = reader.double(tag, "UpperBound")?,
            3 => bucket.exemplar = Some(RawExemplar::parse(reader.bytes(tag, "Exemplar")?)?),
            4 => bucket.count_float = reader.double(tag, "CumulativeCountFloat")?,
            _ => reader.skip(tag)?,
        }
    }
    Ok(bucket)
}

fn span(bytes: &[u8]) -> Result<Span, Wrong> {
    let (mut reader, mut span) = (Reader::new(bytes), Span { offset: 0, length: 0 });
    while let Some(tag) = reader.tag("BucketSpan")? {
        match tag.field {
            1 => span.offset = reader.signed(tag, "Offset")? as i32,
            2 => span.length = reader.number(tag, "Length")? as u32,
            _ => reader.skip(tag)?,
        }
    }
    Ok(span)
}

/// One number, or several packed into bytes.
fn push_deltas(
    reader: &mut Reader<'_>,
    tag: Tag,
    field: &'static str,
    out: &mut Vec<i64>,
) -> Result<(), Wrong> {
    match tag.wire {
        VARINT => out.push(unzigzag(reader.varint()?)),
        _ => {
            let mut packed = Reader::new(reader.bytes(tag, field)?);
            while !packed.rest().is_empty() {
                out.push(unzigzag(packed.varint()?));
            }
        }
    }
    Ok(())
}

fn push_counts(
    reader: &mut Reader<'_>,
    tag: Tag,
    field: &'static str,
    out: &mut Vec<f64>,
) -> Result<(), Wrong> {
    match tag.wire {
        FIXED64 => out.push(reader.fixed64()?),
        _ => {
            let mut packed = Reader::new(reader.bytes(tag, field)?);
            while !packed.rest().is_empty() {
                out.push(packed.fixed64()?);
            }
        }
    }
    Ok(())
}
