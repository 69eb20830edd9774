//! Counters and gauges: one atomic 64-bit float each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::family::Value;
use crate::vector::MakeMetric;

/// The bits of an `f64`; any thread may change it.
#[derive(Debug, Default)]
pub(crate) struct AtomicFloat(AtomicU64);

impl AtomicFloat {
    pub(crate) fn add(&self, delta: f64) {
        let add = |bits| Some((f64::from_bits(bits) + delta).to_bits());
        // The closure never returns `None`, so the update cannot fail.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    pub(crate) fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// A value that only rises.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicFloat>);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.0.add(1.0);
    }

    /// Adds `delta`.
    ///
    /// # Panics
    /// In debug builds when `delta` is negative.
    pub fn add(&self, delta: f64) {
        debug_assert!(delta >= 0.0, "a counter cannot fall by {delta}");
        self.0.add(delta);
    }

    /// The value now.
    #[must_use]
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

/// A value that goes up and down.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicFloat>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Adds `delta`, which may be negative.
    pub fn add(&self, delta: f64) {
        self.0.add(delta);
    }

    /// Adds one.
    pub fn inc(&self) {
        self.0.add(1.0);
    }

    /// Takes one away.
    pub fn dec(&self) {
        self.0.add(-1.0);
    }

    /// The value now.
    #[must_use]
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

impl MakeMetric for Counter {
    type Options = ();
    const HAS_START: bool = true;
    fn make((): &()) -> Self {
        Self::default()
    }
    fn value(&self) -> Value {
        Value::Number(self.get())
    }
}

impl MakeMetric for Gauge {
    type Options = ();
    const HAS_START: bool = false;
    fn make((): &()) -> Self {
        Self::default()
    }
    fn value(&self) -> Value {
        Value::Number(self.get())
    }
}
