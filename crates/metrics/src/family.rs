//! What `Registry::gather` returns: plain values, ready to be written in any format.

use std::time::SystemTime;

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyKind {
    /// Only rises.
    Counter,
    /// Any value.
    Gauge,
    /// Buckets.
    Histogram,
    /// Quantiles.
    Summary,
}

/// All metrics of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The full name, counters with their `_total`.
    pub name: String,
    /// The help text.
    pub help: String,
    /// The type.
    pub kind: FamilyKind,
    /// Sorted by label values.
    pub metrics: Vec<Metric>,
}

/// One label set of a family with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Pairs in the order in which the family names its labels.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: Value,
    /// When what only rises began at zero; `None` for gauges, and for what the system counts.
    pub created: Option<SystemTime>,
}

/// A metric's value at the time of the gather.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter or gauge.
    Number(f64),
    /// Of a histogram.
    Histogram {
        /// Upper bound and cumulative count, rising, without `+Inf`.
        buckets: Vec<(f64, u64)>,
        /// Sum of all observations.
        sum: f64,
        /// How many observations.
        count: u64,
    },
    /// Of a summary.
    Summary {
        /// Quantile and its value over the last ten minutes; NaN without observations.
        quantiles: Vec<(f64, f64)>,
        /// Sum of all observations ever.
        sum: f64,
        /// How many observations ever.
        count: u64,
    },
}
