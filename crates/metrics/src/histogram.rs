//! Classic histograms: fixed bounds, one atomic count a bucket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::family::Value;
use crate::number::AtomicFloat;
use crate::vector::MakeMetric;

/// A distribution over fixed buckets. Without bounds only sum and count are kept, as Prometheus' text formats show a
/// native histogram.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: Box<[f64]>,
    /// One per bound and one for `+Inf`, not cumulative.
    counts: Box<[AtomicU64]>,
    sum: AtomicFloat,
}

impl Histogram {
    /// Counts one observation.
    pub fn observe(&self, value: f64) {
        let at = self.0.bounds.partition_point(|bound| *bound < value);
        self.0.counts[at].fetch_add(1, Ordering::Relaxed);
        self.0.sum.add(value);
    }
}

impl MakeMetric for Histogram {
    type Options = Box<[f64]>;
    const HAS_START: bool = true;

    fn make(bounds: &Box<[f64]>) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Buckets { bounds: bounds.clone(), counts, sum: AtomicFloat::default() }))
    }

    fn value(&self) -> Value {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(self.0.bounds.len());
        for (at, bucket) in self.0.counts.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            if let Some(bound) = self.0.bounds.get(at) {
                buckets.push((*bound, count));
            }
        }
        Value::Histogram { buckets, sum: self.0.sum.get(), count }
    }
}
