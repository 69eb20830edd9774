//! Metrics with labels: one metric per combination of label values, made when first asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use crate::family::{Metric, Value};
use crate::{Counter, Gauge, Histogram, Summary};

/// Counters that share a name.
pub type CounterVec = MetricVec<Counter>;
/// Gauges that share a name.
pub type GaugeVec = MetricVec<Gauge>;
/// Histograms that share a name and bounds.
pub type HistogramVec = MetricVec<Histogram>;
/// Summaries that share a name and quantiles.
pub type SummaryVec = MetricVec<Summary>;

/// How a kind of metric is made and read.
pub trait MakeMetric: Clone + Send + Sync + 'static {
    /// Bounds or quantiles.
    type Options: Send + Sync + 'static;
    /// Whether it only rises, so that readers want to know since when.
    const HAS_START: bool;
    /// A fresh metric.
    fn make(options: &Self::Options) -> Self;
    /// Its value now.
    fn value(&self) -> Value;
}

/// All metrics of one name, by their label values.
pub struct MetricVec<M: MakeMetric> {
    shared: Arc<Shared<M>>,
}

struct Shared<M: MakeMetric> {
    label_names: Vec<String>,
    options: M::Options,
    /// Guards the map only, never held while a metric is used.
    metrics: RwLock<BTreeMap<Vec<String>, Made<M>>>,
}

/// A metric and when it was made.
struct Made<M> {
    metric: M,
    created: SystemTime,
}

impl<M: MakeMetric> Clone for MetricVec<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<M: MakeMetric> std::fmt::Debug for MetricVec<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MetricVec({:?})", self.shared.label_names)
    }
}

impl<M: MakeMetric> MetricVec<M> {
    pub(crate) fn new(label_names: &[&str], options: M::Options) -> Self {
        let label_names = label_names.iter().map(|n| (*n).to_owned()).collect();
        Self { shared: Arc::new(Shared { label_names, options, metrics: RwLock::default() }) }
    }

    /// The metric with these label values, made if it is not there. Keep the handle: this takes a lock and hashes.
    ///
    /// # Panics
    /// When the number of values is not that of the label names.
    #[must_use]
    pub fn with(&self, values: &[&str]) -> M {
        let shared = &self.shared;
        assert_eq!(values.len(), shared.label_names.len(), "one value per label of {:?}", shared.label_names);
        let key: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
        if let Some(metric) = shared.metrics.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return metric.metric.clone();
        }
        let mut metrics = shared.metrics.write().unwrap_or_else(PoisonError::into_inner);
        let make = || Made { metric: M::make(&shared.options), created: SystemTime::now() };
        metrics.entry(key).or_insert_with(make).metric.clone()
    }

    /// Forgets the metric with these label values; handles to it still work but are no longer gathered.
    pub fn remove(&self, values: &[&str]) {
        let key: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
        self.shared.metrics.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    pub(crate) fn gather(&self) -> Vec<Metric> {
        let metrics = self.shared.metrics.read().unwrap_or_else(PoisonError::into_inner);
        let labels =
            |values: &[String]| self.shared.label_names.iter().cloned().zip(values.iter().cloned()).collect();
        let read = |(values, made): (&Vec<String>, &Made<M>)| Metric {
            labels: labels(values),
            value: made.metric.value(),
            created: M::HAS_START.then_some(made.created),
        };
        metrics.iter().map(read).collect()
    }
}
