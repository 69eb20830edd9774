//! Narthex' metrics about itself: counters, gauges, histograms and summaries under fixed names, gathered on demand.
//!
//! Road in: `Registry`; a component's `metrics.rs` asks it for handles once and keeps them. A handle is an `Arc`: clone it, never
//! look it up on a hot path. Asking twice for one name gives the same metric, so that a component may be rebuilt at a reload.
//! What this crate does not do: write any wire format (that is `exposition`), know any component, read the clock except to age
//! summaries.
#![forbid(unsafe_code)]

mod family;
mod histogram;
mod native;
mod number;
mod registry;
mod summary;
mod vector;

pub use family::{Family, FamilyKind, Metric, NativeBuckets, SpannedBuckets, Value};
pub use histogram::Histogram;
pub use number::{Counter, Gauge};
pub use registry::Registry;
pub use summary::Summary;
pub use vector::{CounterVec, GaugeVec, HistogramVec, MetricVec, SummaryVec};
