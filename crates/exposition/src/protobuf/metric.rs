//! The message `Metric`: labels as bytes, and whatever value it has.

use super::exemplar::RawExemplar;
use super::histogram::Message;
use super::wire::{Reader, Wrong};

/// One metric of a family; its memory is used again for the next.
#[derive(Debug, Default)]
pub(super) struct Metric<'b> {
    bytes: &'b [u8],
    /// Where the label fields stand in `bytes`, when they stand together.
    labels: std::ops::Range<usize>,
    /// Else they are gathered here.
    gathered: Vec<u8>,
    /// 0: no timestamp.
    pub(super) t_ms: i64,
    pub(super) counter: Counter<'b>,
    pub(super) gauge: f64,
    pub(super) untyped: f64,
    /// Whether there was a summary or a histogram.
    is_compound: bool,
    pub(super) summary: Summary,
    pub(super) histogram: Message<'b>,
}

#[derive(Debug, Default)]
pub(super) struct Counter<'b> {
    pub(super) value: f64,
    pub(super) exemplar: Option<RawExemplar<'b>>,
    pub(super) start_ms: i64,
}

#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) count: u64,
    pub(super) sum: f64,
    /// Quantiles and their values.
    pub(super) quantiles: Vec<(f64, f64)>,
    pub(super) start_ms: i64,
}

impl<'b> Metric<'b> {
    /// The label fields.
    #[inline]
    pub(super) fn labels(&self) -> &[u8] {
        if self.gathered.is_empty() { &self.bytes[self.labels.clone()] } else { &self.gathered }
    }

    /// Reads a metric. Its labels are only found here; they are looked into when their series is new. `hint`: label fields
    /// that may stand at its beginning, as an earlier metric had them. Returns whether they did, and no others.
    #[inline]
    pub(super) fn read(&mut self, bytes: &'b [u8], hint: &[u8]) -> Result<bool, Wrong> {
        self.clear();
        self.bytes = bytes;
        let mut reader = Reader::new(bytes);
        // PERF: the labels of a target rarely change, and comparing them is cheaper than walking over them.
        let mut as_hinted = !hint.is_empty() && bytes.starts_with(hint);
        if as_hinted {
            reader.seek(hint.len());
            self.labels = 0..hint.len();
        }
        loop {
            let start = reader.at();
            let Some(tag) = reader.tag("Metric")? else { return Ok(as_hinted) };
            match tag.field {
                1 => {
                    reader.bytes(tag, "Label")?;
                    self.add_label(start, reader.at());
                    as_hinted = false;
                }
                2 => self.gauge = value(reader.bytes(tag, "Gauge")?, "Gauge", self.gauge)?,
                3 => self.counter.merge(reader.bytes(tag, "Counter")?)?,
                4 => {
                    self.is_compound = true;
                    self.summary.merge(reader.bytes(tag, "Summary")?)?;
                }
                5 => self.untyped = value(reader.bytes(tag, "Untyped")?, "Untyped", self.untyped)?,
                6 => self.t_ms = reader.number(tag, "TimestampMs")? as i64,
                7 => {
                    self.is_compound = true;
                    self.histogram.merge(reader.bytes(tag, "Histogram")?)?;
                }
                _ => reader.skip(tag)?,
            }
        }
    }

    fn clear(&mut self) {
        self.labels = 0..0;
        self.gathered.clear();
        (self.t_ms, self.gauge, self.untyped) = (0, 0.0, 0.0);
        self.counter = Counter::default();
        // PERF: most families have neither.
        if std::mem::take(&mut self.is_compound) {
            (self.summary.count, self.summary.sum, self.summary.start_ms) = (0, 0.0, 0);
            self.summary.quantiles.clear();
            self.histogram.clear();
        }
    }

    fn add_label(&mut self, start: usize, end: usize) {
        if self.labels.is_empty() {
            self.labels = start..end;
        } else if self.gathered.is_empty() && self.labels.end == start {
            self.labels.end = end;
        } else {
            if self.gathered.is_empty() {
                self.gathered.extend_from_slice(&self.bytes[self.labels.clone()]);
            }
            self.gathered.extend_from_slice(&self.bytes[start..end]);
        }
    }
}

impl<'b> Counter<'b> {
    fn merge(&mut self, bytes: &'b [u8]) -> Result<(), Wrong> {
        let mut reader = Reader::new(bytes);
        while let Some(tag) = reader.tag("Counter")? {
            match tag.field {
                1 => self.value = reader.double(tag, "Value")?,
                2 => self.exemplar = Some(RawExemplar::parse(reader.bytes(tag, "Exemplar")?)?),
                3 => self.start_ms = timestamp_ms(reader.bytes(tag, "StartTimestamp")?)?,
                _ => reader.skip(tag)?,
            }
        }
        Ok(())
    }
}

impl Summary {
    fn merge(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        let mut reader = Reader::new(bytes);
        while let Some(tag) = reader.tag("Summary")? {
            match tag.field {
                1 => self.count = reader.number(tag, "SampleCount")?,
                2 => self.sum = reader.double(tag, "SampleSum")?,
                3 => self.quantiles.push(quantile(reader.bytes(tag, "Quantile")?)?),
                4 => self.start_ms = timestamp_ms(reader.bytes(tag, "StartTimestamp")?)?,
                _ => reader.skip(tag)?,
            }
        }
        Ok(())
    }
}

fn quantile(bytes: &[u8]) -> Result<(f64, f64), Wrong> {
    let (mut reader, mut quantile) = (Reader::new(bytes), (0.0, 0.0));
    while let Some(tag) = reader.tag("Quantile")? {
        match tag.field {
            1 => quantile.0 = reader.double(tag, "Quantile")?,
            2 => quantile.1 = reader.double(tag, "Value")?,
            _ => reader.skip(tag)?,
        }
    }
    Ok(quantile)
}

/// The one number of a gauge or an untyped metric, or `before` when it lacks.
fn value(bytes: &[u8], message: &'static str, before: f64) -> Result<f64, Wrong> {
    let (mut reader, mut value) = (Reader::new(bytes), before);
    while let Some(tag) = reader.tag(message)? {
        match tag.field {
            1 => value = reader.double(tag, "Value")?,
            _ => reader.skip(tag)?,
        }
    }
    Ok(value)
}

/// A `google.protobuf.Timestamp` in milliseconds.
pub(super) fn timestamp_ms(bytes: &[u8]) -> Result<i64, Wrong> {
    let (mut reader, mut seconds, mut nanos) = (Reader::new(bytes), 0i64, 0i32);
    while let Some(tag) = reader.tag("Timestamp")? {
        match tag.field {
            1 => seconds = reader.number(tag, "Seconds")? as i64,
            2 => nanos = reader.number(tag, "Nanos")? as i32,
            _ => reader.skip(tag)?,
        }
    }
    Ok(seconds.wrapping_mul(1000).wrapping_add(i64::from(nanos / 1_000_000)))
}
