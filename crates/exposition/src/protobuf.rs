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
mod metric;
mod wire;
pub(crate) mod write;

#[cfg(test)]
mod tests;

use narthex_model::{LabelsBuilder, MetricType};

use crate::native::{Native, NativeValue};
use crate::nhcb::ClassicParts;
use crate::nhcb::text::unmarked;
use crate::{HistogramOptions, LabelError, ParseError};
use exemplar::RawExemplar;
use family::Family;
use key::{Key, Part, Tail};
use metric::Metric;
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

/// Where in a metric the cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before its first series.
    Start,
    Native,
    /// The `n`th series of a summary or classic histogram: 0 the count, 1 the sum, then buckets or quantiles.
    Classic(usize),
    /// The native histogram made of the classic one.
    Custom,
    End,
}

/// A cursor over the series of a body.
#[derive(Debug)]
pub struct ProtoParser<'b> {
    body: &'b [u8],
    options: HistogramOptions,
    /// Where the next family begins.
    next: usize,
    /// Where the current one began.
    start: usize,
    family: Family<'b>,
    /// A family begins with this metric, which was read already.
    opened: bool,
    metric: Metric<'b>,
    in_family: bool,
    at: At,
    /// Whether the metric is given as a native histogram.
    is_native: bool,
    value: f64,
    native: NativeValue,
    parts: ClassicParts,
    tail: Tail,
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
            options,
            next: 0,
            start: 0,
            family: Family::default(),
            opened: false,
            metric: Metric::default(),
            in_family: false,
            at: At::End,
            is_native: false,
            value: 0.0,
            native: NativeValue::default(),
            parts: ClassicParts::default(),
            tail: Tail::new(Part::Whole, MetricType::Unknown),
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
            (self.next, self.in_family, self.at) = (self.body.len(), false, At::End);
            error
        })
    }

    #[inline]
    fn advance(&mut self, hint: &[u8]) -> Result<Option<ProtoEntry>, Wrong> {
        loop {
            if self.at != At::End && self.next_part()? {
                self.as_hinted = self.is_hint(hint);
                let histogram = matches!(self.at, At::Native | At::Custom);
                return Ok(Some(if histogram { ProtoEntry::Histogram } else { ProtoEntry::Series }));
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
            self.at = At::Start;
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

    /// Goes to the next series of the metric. `false` when there is none.
    #[inline]
    fn next_part(&mut self) -> Result<bool, Wrong> {
        let kind = self.family.kind();
        match kind {
            MetricType::Summary => self.next_of_summary(),
            MetricType::Histogram | MetricType::GaugeHistogram => return self.next_of_histogram(kind),
            _ => {
                let value = match kind {
                    MetricType::Counter => self.metric.counter.value,
                    MetricType::Gauge => self.metric.gauge,
                    _ => self.metric.untyped,
                };
                let at = if self.at == At::Start { At::Classic(0) } else { At::End };
                self.go(at, Part::Whole, value);
            }
        }
        Ok(self.at != At::End)
    }

    #[inline]
    fn go(&mut self, at: At, part: Part, value: f64) {
        (self.at, self.value) = (at, value);
        self.tail = Tail::new(part, self.family.kind());
    }

    fn next_of_summary(&mut self) {
        let summary = &self.metric.summary;
        let n = match self.at {
            At::Start => 0,
            At::Classic(n) => n + 1,
            At::Native | At::Custom | At::End => usize::MAX,
        };
        let (part, value) = match n {
            0 => (Part::Count, summary.count as f64),
            1 => (Part::Sum, summary.sum),
            n => match summary.quantiles.get(n.wrapping_sub(2)) {
                Some((quantile, value)) => (Part::Quantile(*quantile), *value),
                None => return self.at = At::End,
            },
        };
        self.go(At::Classic(n), part, value);
    }

    fn next_of_histogram(&mut self, kind: MetricType) -> Result<bool, Wrong> {
        let histogram = &self.metric.histogram;
        if self.at == At::Start {
            self.is_native = self.options.native && histogram.is_native();
        }
        let native = self.is_native;
        let at = match self.at {
            At::Start if native => At::Native,
            At::Start if self.options.to_custom && !self.options.classic => At::Custom,
            At::Start => At::Classic(0),
            At::Native if self.options.classic && !histogram.buckets.is_empty() => At::Classic(0),
            At::Classic(n) if !self.is_last(n) => At::Classic(n + 1),
            At::Classic(_) if self.options.to_custom && !native => At::Custom,
            At::Native | At::Classic(_) | At::Custom | At::End => At::End,
        };
        let named = |text: String| {
            let name = String::from_utf8_lossy(self.family.name).into_owned();
            Wrong::Content(format!("histogram {}: {text}", narthex_model::quote_go(&name)))
        };
        match at {
            At::Native => self.metric.histogram.take_native(kind, &mut self.native).map_err(named)?,
            At::Custom => {
                let made = histogram.to_custom_buckets(kind, &mut self.parts, &mut self.native);
                made.map_err(Wrong::Content)?;
            }
            At::Classic(n) => {
                self.classic(n);
                return Ok(true);
            }
            At::Start | At::End => {
                self.at = At::End;
                return Ok(false);
            }
        }
        self.go(at, Part::Whole, 0.0);
        Ok(true)
    }

    /// Whether the `n`th series of a classic histogram is its bucket without a bound, written or not.
    fn is_last(&self, n: usize) -> bool {
        let buckets = &self.metric.histogram.buckets;
        n.checked_sub(2).is_some_and(|at| buckets.get(at).is_none_or(|bucket| bucket.bound == f64::INFINITY))
    }

    fn classic(&mut self, n: usize) {
        let histogram = &self.metric.histogram;
        let (part, value) = match n {
            0 => (Part::Count, histogram.count()),
            1 => (Part::Sum, histogram.sum),
            n => match histogram.buckets.get(n - 2) {
                Some(bucket) => (Part::Bucket(bucket.bound), bucket.count()),
                None => (Part::Bucket(f64::INFINITY), histogram.count()),
            },
        };
        self.go(At::Classic(n), part, value);
    }

    #[inline]
    fn is_hint(&mut self, hint: &[u8]) -> bool {
        let (labels, tail) = (self.metric.labels(), self.tail.bytes());
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
        out.extend_from_slice(self.tail.bytes());
    }

    /// The value of a series with a number, with the bits that it had.
    #[inline]
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The histogram of a series with one.
    #[must_use]
    pub fn histogram(&self) -> Native<'_> {
        self.native.get()
    }

    /// The histogram, to be made smaller.
    pub fn histogram_mut(&mut self) -> &mut NativeValue {
        &mut self.native
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
        let histogram = &self.metric.histogram;
        let timed = |exemplar: &&RawExemplar<'_>| exemplar.t_ms.is_some();
        match self.at {
            At::Native | At::Custom if !histogram.exemplars.is_empty() => {
                histogram.exemplars.iter().filter(timed).for_each(show);
            }
            At::Native | At::Custom => {
                histogram.buckets.iter().filter_map(|b| b.exemplar.as_ref()).filter(timed).for_each(show);
            }
            At::Classic(0) if self.family.kind() == MetricType::Counter => {
                self.metric.counter.exemplar.iter().for_each(show);
            }
            // COMPAT: a converted histogram has all exemplars (case protobuf/classic-hist-nhcbclassic).
            At::Classic(n) if self.is_histogram() && (self.is_native || !self.options.to_custom) => {
                let bucket = n.checked_sub(2).and_then(|at| histogram.buckets.get(at));
                if let Some(exemplar) = bucket.and_then(|bucket| bucket.exemplar.as_ref()) {
                    show(exemplar);
                }
            }
            At::Start | At::Classic(_) | At::End => {}
        }
    }

    /// Whether [`ProtoParser::exemplars`] may have any: cheap.
    #[inline]
    #[must_use]
    pub fn may_have_exemplars(&self) -> bool {
        self.is_histogram() || self.metric.counter.exemplar.is_some()
    }

    fn is_histogram(&self) -> bool {
        matches!(self.family.kind(), MetricType::Histogram | MetricType::GaugeHistogram)
    }
}

/// A text that [`Family::check`] has looked at.
fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Sets the labels of a series, `__name__` among them, on `builder`. `key` comes from [`ProtoParser::push_key`] or from
/// [`crate::CustomHistograms`]; type and unit become labels, too, when `type_and_unit`.
///
/// # Errors
/// When two labels have one name, or a name or value is not UTF-8. The builder then holds a part of them.
pub fn decode_key(key: &[u8], type_and_unit: bool, builder: &mut LabelsBuilder) -> Result<(), LabelError> {
    match Key::parse(unmarked(key)) {
        Some(key) => key.decode(builder, type_and_unit),
        None => Err(LabelError::Protobuf("not a key".to_owned())),
    }
}

/// The names of labels that are written with an empty value, which says that they are not there.
#[must_use]
pub fn empty_labels_of_key(key: &[u8]) -> Vec<&[u8]> {
    let mut names = Vec::new();
    if let Some(key) = Key::parse(unmarked(key)) {
        // A malformed label ends the list; decoding the key tells of it.
        let _ = key.walk(|name, value| {
            if value.is_empty() {
                names.push(name);
            }
        });
    }
    names
}
