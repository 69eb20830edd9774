//! What is federated: of each selected series the newest sample, with the external labels.
//!
//! Facts: Prometheus 3.14. Staleness markers are left out; the type of a family is unknown, but for histograms; external labels
//! are added where a series has no label of that name, and an empty `instance`, so that the scraper does not add its own.

use narthex_exposition::{FamilyStream, Output};
use narthex_model::{CounterResetHint, FloatHistogram, Labels, METRIC_NAME, Matcher, MetricType, is_stale};
use narthex_promql::engine::ResultMemory;
use narthex_storage::{QueryError, Queryable, SampleBatch, SelectHints, SeriesSet, Windows};

use super::Failure;
use super::order::{Place, order};

/// The label that a scrape adds unless it is there.
const INSTANCE: &str = "instance";

/// Which samples count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// The newest time, inclusive.
    pub(super) now_ms: i64,
    /// How far a sample may lie back, inclusive.
    pub(super) lookback_ms: i64,
}

/// The newest sample of a series.
enum Newest<'a> {
    Float(f64, i64),
    Histogram(&'a FloatHistogram, i64),
}

/// An answer that is being written.
pub(super) struct Samples {
    sets: Vec<Box<dyn SeriesSet>>,
    places: std::vec::IntoIter<Place>,
    window: Windows,
    /// In order of name.
    external: Vec<(String, String)>,
    families: FamilyStream,
    /// Metric name and type of the family at hand.
    family: Option<(u32, MetricType)>,
    batch: SampleBatch,
}

impl Samples {
    /// Selects the series, and charges what is held about them. Without any matcher nothing is selected, as in Prometheus.
    pub(super) fn new(
        storage: &dyn Queryable,
        selectors: &[Vec<Matcher>],
        (external, output): (&Labels, Output),
        span: Span,
        memory: &ResultMemory,
    ) -> Result<Self, Failure> {
        let start_ms = span.now_ms.saturating_sub(span.lookback_ms);
        let querier = storage.querier(start_ms, span.now_ms)?;
        let hints = SelectHints { start_ms, end_ms: span.now_ms, ..SelectHints::default() };
        let mut sets = Vec::new();
        for matchers in selectors.iter().filter(|matchers| !matchers.is_empty()) {
            let set = querier.select(&hints, matchers)?;
            memory.charge_selected(set.len())?;
            sets.push(set);
        }
        let places = order(&sets, memory)?.into_iter();
        // COMPAT: the left edge belongs to it, other than in queries.
        let range_ms = span.lookback_ms.saturating_add(1);
        let window = Windows { first_end_ms: span.now_ms, step_ms: 0, count: 1, range_ms };
        Ok(Self {
            sets,
            places,
            window,
            external: with_instance(external),
            families: FamilyStream::new(output),
            family: None,
            batch: SampleBatch::default(),
        })
    }

    /// Writes until some `bytes` are ready; false at the end.
    pub(super) fn fill(&mut self, bytes: usize) -> Result<bool, QueryError> {
        while self.families.len() < bytes {
            let Some(place) = self.places.next() else {
                self.families.end();
                return Ok(false);
            };
            self.write(place)?;
        }
        Ok(true)
    }

    /// Takes out what is ready.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.families.take()
    }

    /// How many warnings there are.
    pub(super) fn warnings(&self) -> usize {
        self.sets.iter().map(|set| set.warnings().len()).sum()
    }

    fn write(&mut self, place: Place) -> Result<(), QueryError> {
        let (set, at) = (&self.sets[place.set as usize], place.at as usize);
        self.batch.clear();
        set.read_newest(at, &self.window, &mut self.batch)?;
        let Some(newest) = newest(&self.batch) else { return Ok(()) };
        let kind = match &newest {
            Newest::Float(..) => MetricType::Unknown,
            Newest::Histogram(histogram, _) if !self.families.can_show(histogram) => return Ok(()),
            Newest::Histogram(histogram, _) => match histogram.counter_reset_hint {
                CounterResetHint::Gauge => MetricType::GaugeHistogram,
                CounterResetHint::Unknown | CounterResetHint::Reset | CounterResetHint::NotReset => {
                    MetricType::Histogram
                }
            },
        };
        let series = set.labels(at);
        if self.family.replace((place.name, kind)) != Some((place.name, kind)) {
            self.families.family(series.metric_name(), kind);
        }
        let labels = with_external(&series, &self.external);
        match newest {
            Newest::Float(value, t_ms) => self.families.float(&labels, value, t_ms),
            Newest::Histogram(histogram, t_ms) => self.families.histogram(&labels, histogram, t_ms),
        }
        Ok(())
    }
}

/// The external labels with an `instance`.
fn with_instance(external: &Labels) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        external.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if external.get(INSTANCE).is_none() {
        let at = all.partition_point(|(name, _)| name.as_str() < INSTANCE);
        all.insert(at, (INSTANCE.to_owned(), String::new()));
    }
    all
}

/// The labels of a series without its name, and behind them the external ones that it lacks.
fn with_external<'a>(series: &'a Labels, external: &'a [(String, String)]) -> Vec<(&'a str, &'a str)> {
    let own = series.iter().filter(|(name, value)| *name != METRIC_NAME && !value.is_empty());
    let added = external.iter().filter(|(name, _)| series.value(name).is_empty());
    own.chain(added.map(|(name, value)| (&**name, &**value))).collect()
}

/// The newest sample, unless it says that the series ended.
fn newest(batch: &SampleBatch) -> Option<Newest<'_>> {
    let float = batch.t_ms.last().zip(batch.values.last());
    let histogram = batch.histogram_t_ms.last().zip(batch.histograms.last());
    match (float, histogram) {
        (Some((t_ms, value)), later) if later.is_none_or(|(other_ms, _)| other_ms < t_ms) => {
            (!is_stale(*value)).then_some(Newest::Float(*value, *t_ms))
        }
        (_, Some((t_ms, histogram))) => {
            (!is_stale(histogram.sum)).then_some(Newest::Histogram(histogram, *t_ms))
        }
        (_, None) => None,
    }
}
