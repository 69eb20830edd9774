//! The series of one metric, one after the other, as the text formats would write them.
//!
//! Holds: where in its metric the cursor stands, and what it found there. Must not know: where metrics begin in a body, labels.
//! Always true: value, histogram and tail belong to the series that `next` went to last.

use narthex_model::MetricType;

use super::exemplar::RawExemplar;
use super::family::Family;
use super::histogram::Message;
use super::key::{Part, Tail};
use super::metric::{Metric, Summary};
use super::wire::Wrong;
use crate::HistogramOptions;
use crate::native::NativeValue;
use crate::nhcb::ClassicParts;

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

/// See the module's words.
#[derive(Debug)]
pub(super) struct MetricSeries {
    options: HistogramOptions,
    at: At,
    /// Whether the metric is given as a native histogram.
    is_native: bool,
    /// The number of a series with one.
    pub(super) value: f64,
    /// The histogram of a series with one.
    pub(super) native: NativeValue,
    parts: ClassicParts,
    /// The end of the key.
    pub(super) tail: Tail,
}

impl MetricSeries {
    /// A cursor behind the last series of no metric.
    pub(super) fn new(options: HistogramOptions) -> Self {
        Self {
            options,
            at: At::End,
            is_native: false,
            value: 0.0,
            native: NativeValue::default(),
            parts: ClassicParts::default(),
            tail: Tail::new(Part::Whole, MetricType::Unknown),
        }
    }

    /// Goes before the first series of the next metric.
    #[inline]
    pub(super) fn restart(&mut self) {
        self.at = At::Start;
    }

    /// Goes behind the last series.
    pub(super) fn end(&mut self) {
        self.at = At::End;
    }

    /// Whether there is no series left.
    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        self.at == At::End
    }

    /// Whether the series has a histogram instead of a number.
    #[inline]
    pub(super) fn is_histogram(&self) -> bool {
        matches!(self.at, At::Native | At::Custom)
    }

    /// Goes to the next series of the metric. `false` when there is none.
    #[inline]
    pub(super) fn next(&mut self, family: &Family<'_>, metric: &mut Metric<'_>) -> Result<bool, Wrong> {
        let kind = family.kind();
        match kind {
            MetricType::Summary => self.next_of_summary(&metric.summary),
            MetricType::Histogram | MetricType::GaugeHistogram => {
                return self.next_of_histogram(family, &mut metric.histogram);
            }
            _ => {
                let value = match kind {
                    MetricType::Counter => metric.counter.value,
                    MetricType::Gauge => metric.gauge,
                    _ => metric.untyped,
                };
                let at = if self.at == At::Start { At::Classic(0) } else { At::End };
                self.go(at, (Part::Whole, kind), value);
            }
        }
        Ok(self.at != At::End)
    }

    #[inline]
    fn go(&mut self, at: At, (part, kind): (Part, MetricType), value: f64) {
        (self.at, self.value) = (at, value);
        self.tail = Tail::new(part, kind);
    }

    fn next_of_summary(&mut self, summary: &Summary) {
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
        self.go(At::Classic(n), (part, MetricType::Summary), value);
    }

    fn next_of_histogram(&mut self, family: &Family<'_>, histogram: &mut Message<'_>) -> Result<bool, Wrong> {
        let kind = family.kind();
        if self.at == At::Start {
            self.is_native = self.options.native && histogram.is_native();
        }
        let native = self.is_native;
        let at = match self.at {
            At::Start if native => At::Native,
            At::Start if self.options.to_custom && !self.options.classic => At::Custom,
            At::Start => At::Classic(0),
            At::Native if self.options.classic && !histogram.buckets.is_empty() => At::Classic(0),
            At::Classic(n) if !is_last(n, histogram) => At::Classic(n + 1),
            At::Classic(_) if self.options.to_custom && !native => At::Custom,
            At::Native | At::Classic(_) | At::Custom | At::End => At::End,
        };
        let named = |text: String| {
            let name = String::from_utf8_lossy(family.name).into_owned();
            Wrong::Content(format!("histogram {}: {text}", narthex_model::quote_go(&name)))
        };
        match at {
            At::Native => histogram.take_native(kind, &mut self.native).map_err(named)?,
            At::Custom => {
                let made = histogram.to_custom_buckets(kind, &mut self.parts, &mut self.native);
                made.map_err(Wrong::Content)?;
            }
            At::Classic(n) => {
                let (part, value) = classic(n, histogram);
                self.go(At::Classic(n), (part, kind), value);
                return Ok(true);
            }
            At::Start | At::End => {
                self.at = At::End;
                return Ok(false);
            }
        }
        self.go(at, (Part::Whole, kind), 0.0);
        Ok(true)
    }

    /// Calls `show` with the exemplars of the series. Native histograms only have those with a timestamp: their own, or else
    /// those of their classic buckets.
    pub(super) fn exemplars<'b>(
        &self,
        kind: MetricType,
        metric: &Metric<'b>,
        show: &mut impl FnMut(&RawExemplar<'b>),
    ) {
        let histogram = &metric.histogram;
        let timed = |exemplar: &&RawExemplar<'_>| exemplar.t_ms.is_some();
        match self.at {
            At::Native | At::Custom if !histogram.exemplars.is_empty() => {
                histogram.exemplars.iter().filter(timed).for_each(show);
            }
            At::Native | At::Custom => {
                histogram.buckets.iter().filter_map(|b| b.exemplar.as_ref()).filter(timed).for_each(show);
            }
            At::Classic(0) if kind == MetricType::Counter => {
                metric.counter.exemplar.iter().for_each(show);
            }
            // COMPAT: a converted histogram has all exemplars (case protobuf/classic-hist-nhcbclassic).
            At::Classic(n) if is_histogram(kind) && (self.is_native || !self.options.to_custom) => {
                let bucket = n.checked_sub(2).and_then(|at| histogram.buckets.get(at));
                bucket.and_then(|bucket| bucket.exemplar.as_ref()).into_iter().for_each(show);
            }
            At::Start | At::Classic(_) | At::End => {}
        }
    }
}

/// Whether metrics of this type are histograms.
pub(super) fn is_histogram(kind: MetricType) -> bool {
    matches!(kind, MetricType::Histogram | MetricType::GaugeHistogram)
}

/// Whether the `n`th series of a classic histogram is its bucket without a bound, written or not.
fn is_last(n: usize, histogram: &Message<'_>) -> bool {
    let buckets = &histogram.buckets;
    n.checked_sub(2).is_some_and(|at| buckets.get(at).is_none_or(|bucket| bucket.bound == f64::INFINITY))
}

/// The `n`th series of a classic histogram.
fn classic(n: usize, histogram: &Message<'_>) -> (Part, f64) {
    match n {
        0 => (Part::Count, histogram.count()),
        1 => (Part::Sum, histogram.sum),
        n => match histogram.buckets.get(n - 2) {
            Some(bucket) => (Part::Bucket(bucket.bound), bucket.count()),
            None => (Part::Bucket(f64::INFINITY), histogram.count()),
        },
    }
}
