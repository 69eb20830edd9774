//! The protobuf form: `io.prometheus.client.MetricFamily` messages, each after its length.
//!
//! Road in: [`ProtoParser`], a cursor over the series of a body. A metric with several numbers (summary, classic histogram) is
//! several series, as the text formats would write them; a histogram with native buckets is one.
//! Always true: every length is checked before it is used and nothing nests on the stack; the memory of one metric serves the
//! next. PERF: with a right hint neither labels nor name are looked at but for a compare; bench `parse`.
//! Facts: `io/prometheus/client/metrics.proto`; what release 3.14 makes of it. Slow twin: `tests/plain.rs` here.

mod exemplar;
mod family;
mod histogram;

pub(crate) mod key;
pub(crate) mod message;
mod metric;
mod series;
mod wire;
pub(crate) mod write;

#[cfg(test)]
mod tests;

use narthex_model::{LabelsBuilder, MetricType};

use crate::native::{Native, NativeValue};
use crate::{HistogramOptions, ParseError};
use exemplar::RawExemplar;
use family::Family;
pub use key::{decode_key, empty_labels_of_key};
use metric::Metric;
use series::{MetricSeries, is_histogram};
use wire::{Reader, Wrong};

/// What the cursor stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtoEntry {
    /// A new family: its name, type, help and unit can be asked for.
    Family,
    /// A series with a number.
    Series,
    /// A series with a native histogram.
    Histogram,
}

/// An exemplar; its labels are in the builder that was lent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProtoExemplar {
    /// The value.
    pub value: f64,
    /// Milliseconds since the epoch.
    pub t_ms: Option<i64>,
}

/// A cursor over the series of a body.
#[derive(Debug)]
pub struct ProtoParser<'b> {
    body: &'b [u8],
    /// Where the next family begins.
    next: usize,
    /// Where the current one began.
    start: usize,
    family: Family<'b>,
    /// A family begins with this metric, which was read already.
    opened: bool,
    metric: Metric<'b>,
    in_family: bool,
    series: MetricSeries,
    as_hinted: bool,
    /// The metric that was just read has the labels of the hint at hand.
    labels_hinted: bool,
}

impl<'b> ProtoParser<'b> {
    /// A cursor before the first series of `body`.
    #[must_use]
    pub fn new(body: &'b [u8], options: HistogramOptions) -> Self {
        Self {
            body,
            next: 0,
            start: 0,
            family: Family::default(),
            opened: false,
            metric: Metric::default(),
            in_family: false,
            series: MetricSeries::new(options),
            as_hinted: false,
            labels_hinted: false,
        }
    }

    /// Goes to the next entry; `None` at the end. `hint`: the key of a series that may come next, as [`ProtoParser::push_key`]
    /// gave it in an earlier body (any other bytes may be taken for one). A right guess saves reading the labels.
    ///
    /// # Errors
    /// When the body is malformed.
    #[inline]
    pub fn next_like(&mut self, hint: &[u8]) -> Result<Option<ProtoEntry>, ParseError> {
        self.advance(hint).map_err(|wrong| {
            let error = ParseError::new(wrong.to_string(), self.body, self.start);
            (self.next, self.in_family) = (self.body.len(), false);
            self.series.end();
            error
        })
    }

    #[inline]
    fn advance(&mut self, hint: &[u8]) -> Result<Option<ProtoEntry>, Wrong> {
        loop {
            if !self.series.is_at_end() && self.series.next(&self.family, &mut self.metric)? {
                self.as_hinted = self.is_hint(hint);
                return Ok(Some(if self.series.is_histogram() {
                    ProtoEntry::Histogram
                } else {
                    ProtoEntry::Series
                }));
            }
            if !self.in_family {
                if !self.next_family(hint)? {
                    return Ok(None);
                }
                if self.opened {
                    // The next call may bring another hint.
                    self.labels_hinted = false;
                    return Ok(Some(ProtoEntry::Family));
                }
                continue;
            }
            if !std::mem::take(&mut self.opened) && !self.next_metric(hint)? {
                self.in_family = false;
                continue;
            }
            self.series.restart();
        }
    }

    /// Begins the next family and reads its first metric. `false` at the end of the body.
    fn next_family(&mut self, hint: &[u8]) -> Result<bool, Wrong> {
        let mut reader = Reader::new(self.body);
        reader.seek(self.next);
        self.start = self.next;
        if reader.rest().is_empty() {
            return Ok(false);
        }
        let rest = reader.rest().len();
        let invalid = || Wrong::Content("clientpb: invalid varint encountered".to_owned());
        let length = reader.varint().map_err(|_| invalid())?;
        let width = reader.at() - self.start;
        if width > 5 {
            return Err(invalid());
        }
        let total = length.saturating_add(width as u64);
        let bytes = usize::try_from(length).ok().and_then(|length| reader.rest().get(..length));
        let Some(bytes) = bytes else {
            return Err(Wrong::Content(format!(
                "clientpb: insufficient length of buffer, expected at least {total} bytes, got {rest} bytes"
            )));
        };
        self.next = self.start + width + bytes.len();
        self.family.begin(bytes)?;
        // A family without metrics says nothing.
        self.opened = self.next_metric(hint)?;
        self.in_family = self.opened;
        if self.opened {
            self.family.check()?;
        }
        Ok(true)
    }

    #[inline]
    fn next_metric(&mut self, hint: &[u8]) -> Result<bool, Wrong> {
        let Some(bytes) = self.family.next_metric()? else { return Ok(false) };
        let hint = key::labels_of_hint(hint, &self.family.prefix).unwrap_or_default();
        self.labels_hinted = self.metric.read(bytes, hint)?;
        Ok(true)
    }

    #[inline]
    fn is_hint(&mut self, hint: &[u8]) -> bool {
        let (labels, tail) = (self.metric.labels(), self.series.tail.bytes());
        if std::mem::take(&mut self.labels_hinted) {
            return hint.ends_with(tail);
        }
        let Some(rest) = hint.strip_prefix(self.family.prefix.as_slice()) else { return false };
        rest.len() == labels.len() + tail.len() && rest.starts_with(labels) && rest.ends_with(tail)
    }

    /// The name of the family.
    #[must_use]
    pub fn name(&self) -> &'b str {
        utf8(self.family.name)
    }

    /// What it says of itself; may be empty.
    #[must_use]
    pub fn help(&self) -> &'b str {
        utf8(self.family.help)
    }

    /// Its unit; may be empty.
    #[must_use]
    pub fn unit(&self) -> &'b str {
        utf8(self.family.unit)
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> MetricType {
        self.family.kind()
    }

    /// Whether the key of the current series equals the hint that was given.
    #[inline]
    #[must_use]
    pub fn as_hinted(&self) -> bool {
        self.as_hinted
    }

    /// Adds the key of the current series to `out`: bytes that tell it from every other series of a body, and that
    /// [`crate::decode_key`] reads.
    pub fn push_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.family.prefix);
        out.extend_from_slice(self.metric.labels());
        out.extend_from_slice(self.series.tail.bytes());
    }

    /// The value of a series with a number, with the bits that it had.
    #[inline]
    #[must_use]
    pub fn value(&self) -> f64 {
        self.series.value
    }

    /// The histogram of a series with one.
    #[must_use]
    pub fn histogram(&self) -> Native<'_> {
        self.series.native.get()
    }

    /// The histogram, to be made smaller.
    pub fn histogram_mut(&mut self) -> &mut NativeValue {
        &mut self.series.native
    }

    /// Milliseconds since the epoch; `None` without a timestamp. COMPAT: 0 means none.
    #[inline]
    #[must_use]
    pub fn t_ms(&self) -> Option<i64> {
        (self.metric.t_ms != 0).then_some(self.metric.t_ms)
    }

    /// When the counter behind the current series began, ms.
    #[must_use]
    pub fn start_ms(&self) -> Option<i64> {
        let start_ms = match self.family.kind() {
            MetricType::Counter => self.metric.counter.start_ms,
            MetricType::Summary => self.metric.summary.start_ms,
            MetricType::Histogram | MetricType::GaugeHistogram => self.metric.histogram.start_ms,
            _ => 0,
        };
        (start_ms != 0).then_some(start_ms)
    }

    /// Calls `each` with the exemplars of the current series; their labels are in `builder`. Native histograms only have those
    /// with a timestamp: their own, or else those of their classic buckets.
    pub fn exemplars(
        &self,
        builder: &mut LabelsBuilder,
        mut each: impl FnMut(ProtoExemplar, &mut LabelsBuilder),
    ) {
        let mut show = |exemplar: &RawExemplar<'_>| {
            builder.clear();
            if exemplar.labels(builder) {
                each(ProtoExemplar { value: exemplar.value, t_ms: exemplar.t_ms }, builder);
            }
        };
        self.series.exemplars(self.family.kind(), &self.metric, &mut show);
    }

    /// Whether [`ProtoParser::exemplars`] may have any: cheap.
    #[inline]
    #[must_use]
    pub fn may_have_exemplars(&self) -> bool {
        is_histogram(self.family.kind()) || self.metric.counter.exemplar.is_some()
    }
}

/// A text that [`Family::check`] has looked at.
fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
