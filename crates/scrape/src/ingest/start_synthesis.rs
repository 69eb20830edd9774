//! Start timestamps for counters whose targets tell none (feature `st-synthesis`).
//!
//! The first sample of a counter is held back: its time becomes the start, and its value is taken off all that follow. After a
//! reset values are taken as they are, and the start is a millisecond before the sample that showed it.
//! Always true: what is known of a series is forgotten when it leaves the body or the store refuses a sample of it; its next
//! sample is a first one again. Memory: some 80 bytes a series, histograms twice their size; nothing without the feature.
//! Facts: Prometheus' page on feature flags; release 3.14.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use narthex_model::{FloatHistogram, Histogram, MetricType};
use narthex_storage::{HistogramRef, SeriesRef};

use super::line::Value;

/// What one target's counters began with.
#[derive(Debug, Default)]
pub(crate) struct StartSynthesis {
    series: HashMap<SeriesRef, Kept, RandomState>,
    /// The number of the pass that runs.
    pass: u32,
}

#[derive(Debug)]
struct Kept {
    /// The last pass that saw the series.
    pass: u32,
    /// `None`: the series is no counter.
    counter: Option<Counter>,
}

#[derive(Debug)]
struct Counter {
    start_ms: i64,
    /// The time of the last sample.
    last_ms: i64,
    seen: Seen,
}

/// The last sample, and what is taken off.
#[derive(Debug)]
enum Seen {
    Float { last: f64, first: f64 },
    Histogram(Box<SeenHistogram>),
}

#[derive(Debug)]
struct SeenHistogram {
    last: FloatHistogram,
    first: Option<FloatHistogram>,
}

/// What becomes of a sample.
#[derive(Debug, PartialEq)]
pub(crate) enum Rebased {
    /// Nothing: it is a counter's first one.
    HeldBack,
    /// It is older than the last one, so that nothing can be said of it.
    TooOld,
    /// It goes on as it is, without a start.
    Unchanged,
    /// A float and its start, ms.
    Float(f64, i64),
    /// An integer histogram and its start, ms.
    Int(Histogram, i64),
    /// A float histogram and its start, ms.
    FloatHistogram(FloatHistogram, i64),
}

impl StartSynthesis {
    /// A body begins.
    pub(crate) fn begin(&mut self) {
        self.pass = self.pass.wrapping_add(1);
    }

    /// A good body ended: series that were not in it are forgotten.
    pub(crate) fn finish(&mut self) {
        let pass = self.pass;
        self.series.retain(|_, kept| kept.pass == pass);
    }

    /// Whether the series was seen.
    pub(crate) fn is_known(&self, series: SeriesRef) -> bool {
        self.series.contains_key(&series)
    }

    /// Forgets a series.
    pub(crate) fn forget(&mut self, series: SeriesRef) {
        self.series.remove(&series);
    }

    /// A series got another reference.
    pub(crate) fn rename(&mut self, from: SeriesRef, to: SeriesRef) {
        if let Some(kept) = self.series.remove(&from) {
            self.series.insert(to, kept);
        }
    }

    /// Takes the next sample of a series without a start of its own. `is_counter` is asked when the series is not known.
    pub(crate) fn rebase(
        &mut self,
        (series, t_ms): (SeriesRef, i64),
        value: Value<'_>,
        is_counter: impl FnOnce() -> bool,
    ) -> Rebased {
        let pass = self.pass;
        let Some(kept) = self.series.get_mut(&series) else {
            let counter = is_counter().then(|| Counter::first(t_ms, value));
            let rebased = if counter.is_some() { Rebased::HeldBack } else { Rebased::Unchanged };
            self.series.insert(series, Kept { pass, counter });
            return rebased;
        };
        kept.pass = pass;
        kept.counter.as_mut().map_or(Rebased::Unchanged, |counter| counter.next(t_ms, value))
    }
}

impl Counter {
    fn first(t_ms: i64, value: Value<'_>) -> Self {
        let seen = match value {
            Value::Float(value) => Seen::Float { last: value, first: value },
            Value::Histogram(histogram) => {
                let histogram = to_float(histogram);
                Seen::Histogram(Box::new(SeenHistogram { last: histogram.clone(), first: Some(histogram) }))
            }
        };
        Self { start_ms: t_ms, last_ms: t_ms, seen }
    }

    fn next(&mut self, t_ms: i64, value: Value<'_>) -> Rebased {
        if t_ms < self.last_ms {
            return Rebased::TooOld;
        }
        self.last_ms = t_ms;
        match (&mut self.seen, value) {
            (Seen::Float { last, first }, Value::Float(value)) => {
                if value < *last {
                    (*first, self.start_ms) = (0.0, t_ms - 1);
                }
                *last = value;
                Rebased::Float(value - *first, self.start_ms)
            }
            (Seen::Histogram(seen), Value::Histogram(histogram)) => {
                let SeenHistogram { last, first } = &mut **seen;
                let now = to_float(histogram);
                let reset = now.growth_since(last).is_none();
                let growth = first.as_ref().filter(|_| !reset).and_then(|first| now.growth_since(first));
                if reset || (first.is_some() && growth.is_none()) {
                    (*first, self.start_ms) = (None, t_ms - 1);
                }
                *last = now;
                given(growth, histogram, self.start_ms)
            }
            // Another kind of sample: a counter of its own.
            (_, value) => {
                *self = Self::first(t_ms, value);
                Rebased::HeldBack
            }
        }
    }
}

/// The growth in the form of the sample, or the sample itself.
fn given(growth: Option<FloatHistogram>, sample: HistogramRef<'_>, start_ms: i64) -> Rebased {
    match (growth, sample) {
        (Some(growth), HistogramRef::Int(_)) => Rebased::Int(growth.to_int(), start_ms),
        (Some(growth), HistogramRef::Float(_)) => Rebased::FloatHistogram(growth, start_ms),
        (None, HistogramRef::Int(sample)) => Rebased::Int(sample.clone(), start_ms),
        (None, HistogramRef::Float(sample)) => Rebased::FloatHistogram(sample.clone(), start_ms),
    }
}

fn to_float(histogram: HistogramRef<'_>) -> FloatHistogram {
    match histogram {
        HistogramRef::Int(histogram) => histogram.to_float(),
        HistogramRef::Float(histogram) => histogram.clone(),
    }
}

/// Whether a metric of a family of this type only ever grows.
pub(crate) fn is_cumulative(kind: MetricType, metric: &str) -> bool {
    match kind {
        MetricType::Counter | MetricType::Histogram => true,
        MetricType::Summary => metric.ends_with("_count") || metric.ends_with("_sum"),
        MetricType::Unknown
        | MetricType::Gauge
        | MetricType::GaugeHistogram
        | MetricType::Info
        | MetricType::StateSet => false,
    }
}
