//! The registry: names to families. Asking again for a name gives what is there.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::family::{Family, FamilyKind, Metric, Value};
use crate::histogram::HistogramBuckets;
use crate::vector::{MakeMetric, MetricVec};
use crate::{Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, Summary, SummaryVec};

/// Where all metrics of a process are registered. A clone is the same registry.
#[derive(Clone, Default)]
pub struct Registry {
    /// Held to register and to copy the list of collectors, never while values are read.
    families: Arc<Mutex<BTreeMap<String, Registered>>>,
}

#[derive(Clone)]
struct Registered {
    help: String,
    kind: FamilyKind,
    collect: Collect,
    /// The `MetricVec` itself, to hand it out again; `None` for functions.
    vector: Option<Arc<dyn Any + Send + Sync>>,
}

type Collect = Arc<dyn Fn() -> Vec<Metric> + Send + Sync>;

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registry")
    }
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A counter without labels; `name` ends in `_total` where Prometheus' does.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.counter_vec(name, help, &[]).with(&[])
    }

    /// Counters by label values.
    #[must_use]
    pub fn counter_vec(&self, name: &str, help: &str, labels: &[&str]) -> CounterVec {
        self.vector(name, help, FamilyKind::Counter, || MetricVec::new(labels, ()))
    }

    /// A gauge without labels.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.gauge_vec(name, help, &[]).with(&[])
    }

    /// Gauges by label values.
    #[must_use]
    pub fn gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.vector(name, help, FamilyKind::Gauge, || MetricVec::new(labels, ()))
    }

    /// A histogram without labels; `bounds` rise and leave `+Inf` out.
    #[must_use]
    pub fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        self.histogram_vec(name, help, bounds, &[]).with(&[])
    }

    /// Histograms by label values.
    #[must_use]
    pub fn histogram_vec(&self, name: &str, help: &str, bounds: &[f64], labels: &[&str]) -> HistogramVec {
        let buckets = HistogramBuckets { bounds: bounds.into(), is_native: false };
        self.vector(name, help, FamilyKind::Histogram, || MetricVec::new(labels, buckets))
    }

    /// A histogram without labels that has native buckets beside those of `bounds`.
    #[must_use]
    pub fn native_histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        self.native_histogram_vec(name, help, bounds, &[]).with(&[])
    }

    /// The same by label values.
    #[must_use]
    pub fn native_histogram_vec(
        &self,
        name: &str,
        help: &str,
        bounds: &[f64],
        labels: &[&str],
    ) -> HistogramVec {
        let buckets = HistogramBuckets { bounds: bounds.into(), is_native: true };
        self.vector(name, help, FamilyKind::Histogram, || MetricVec::new(labels, buckets))
    }

    /// A summary without labels.
    #[must_use]
    pub fn summary(&self, name: &str, help: &str, quantiles: &[f64]) -> Summary {
        self.summary_vec(name, help, quantiles, &[]).with(&[])
    }

    /// Summaries by label values.
    #[must_use]
    pub fn summary_vec(&self, name: &str, help: &str, quantiles: &[f64], labels: &[&str]) -> SummaryVec {
        self.vector(name, help, FamilyKind::Summary, || MetricVec::new(labels, quantiles.into()))
    }

    /// A gauge that is computed when it is gathered. Registered again, the new function takes the old one's place.
    pub fn gauge_fn(&self, name: &str, help: &str, read: impl Fn() -> f64 + Send + Sync + 'static) {
        self.function(name, help, FamilyKind::Gauge, None, move || vec![(Vec::new(), read())]);
    }

    /// A counter that is computed when it is gathered and began at zero now. Registered again, the new function takes the old one's
    /// place.
    pub fn counter_fn(&self, name: &str, help: &str, read: impl Fn() -> f64 + Send + Sync + 'static) {
        let now = Some(SystemTime::now());
        self.function(name, help, FamilyKind::Counter, now, move || vec![(Vec::new(), read())]);
    }

    /// The same for what somebody else counts, since nobody knows when.
    pub fn foreign_counter_fn(&self, name: &str, help: &str, read: impl Fn() -> f64 + Send + Sync + 'static) {
        self.function(name, help, FamilyKind::Counter, None, move || vec![(Vec::new(), read())]);
    }

    /// Gauges with labels that are computed when they are gathered: label pairs and value of each.
    pub fn gauges_fn(
        &self,
        name: &str,
        help: &str,
        read: impl Fn() -> Vec<(Vec<(String, String)>, f64)> + Send + Sync + 'static,
    ) {
        self.function(name, help, FamilyKind::Gauge, None, read);
    }

    fn function(
        &self,
        name: &str,
        help: &str,
        kind: FamilyKind,
        created: Option<SystemTime>,
        read: impl Fn() -> Vec<(Vec<(String, String)>, f64)> + Send + Sync + 'static,
    ) {
        let metric = move |(labels, value)| Metric { labels, value: Value::Number(value), created };
        let collect: Collect = Arc::new(move || read().into_iter().map(metric).collect());
        let registered = Registered { help: help.to_owned(), kind, collect, vector: None };
        self.families.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), registered);
    }

    /// The value of every metric now, families sorted by name; families without any metric are left out.
    #[must_use]
    pub fn gather(&self) -> Vec<Family> {
        // Copied, so that a slow collector or one that registers something cannot block the others.
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let read = |(name, r): (String, Registered)| Family {
            name,
            help: r.help,
            kind: r.kind,
            metrics: (r.collect)(),
        };
        families.into_iter().map(read).filter(|family| !family.metrics.is_empty()).collect()
    }

    fn vector<M: MakeMetric>(
        &self,
        name: &str,
        help: &str,
        kind: FamilyKind,
        make: impl FnOnce() -> MetricVec<M>,
    ) -> MetricVec<M> {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = families.get(name) {
            let vector = there.vector.as_ref().and_then(|v| v.downcast_ref::<MetricVec<M>>());
            return vector.unwrap_or_else(|| panic!("metric {name} is registered as another kind")).clone();
        }
        let vector = make();
        let source = vector.clone();
        let registered = Registered {
            help: help.to_owned(),
            kind,
            collect: Arc::new(move || source.gather()),
            vector: Some(Arc::new(vector.clone())),
        };
        families.insert(name.to_owned(), registered);
        vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_one_metric_however_often_it_is_asked_for() {
        let registry = Registry::new();
        registry.counter_vec("requests_total", "Requests.", &["code"]).with(&["200"]).inc();
        registry.counter_vec("requests_total", "Requests.", &["code"]).with(&["200"]).add(2.0);
        let families = registry.gather();
        assert_eq!(families.len(), 1);
        assert_eq!(families[0].metrics[0].labels, [("code".to_owned(), "200".to_owned())]);
        assert_eq!(families[0].metrics[0].value, Value::Number(3.0));
    }

    #[test]
    fn histogram_buckets_are_cumulative_and_close_on_their_upper_bound() {
        let registry = Registry::new();
        let histogram = registry.histogram("h", "H.", &[1.0, 2.0]);
        [0.5, 1.0, 1.5, 99.0].into_iter().for_each(|v| histogram.observe(v));
        let Value::Histogram { buckets, sum, count, native: None } = &registry.gather()[0].metrics[0].value
        else {
            panic!("kind")
        };
        assert_eq!((&buckets[..], *sum, *count), (&[(1.0, 2), (2.0, 3)][..], 102.0, 4));
    }

    #[test]
    fn what_rises_says_since_when() {
        let before = SystemTime::now();
        let registry = Registry::new();
        drop(registry.counter("a", ""));
        drop(registry.histogram("b", "", &[]));
        drop(registry.summary("c", "", &[]));
        registry.counter_fn("d", "", || 1.0);
        drop(registry.gauge("e", ""));
        registry.gauge_fn("f", "", || 1.0);
        registry.foreign_counter_fn("g", "", || 1.0);
        let created: Vec<_> = registry.gather().iter().map(|f| f.metrics[0].created).collect();
        assert!(created[..4].iter().all(|c| c.is_some_and(|c| c >= before && c <= SystemTime::now())));
        assert_eq!(created[4..], [None; 3]);
        // A handle that is asked for again is as old as it is.
        drop(registry.counter("a", ""));
        assert_eq!(registry.gather()[0].metrics[0].created, created[0]);
    }

    #[test]
    fn removed_metrics_and_empty_families_are_not_gathered() {
        let registry = Registry::new();
        let vector = registry.gauge_vec("g", "G.", &["a"]);
        vector.with(&["x"]).set(1.0);
        vector.remove(&["x"]);
        assert!(registry.gather().is_empty());
        registry.gauge_fn("f", "F.", || 7.0);
        assert_eq!(registry.gather()[0].metrics[0].value, Value::Number(7.0));
    }
}
