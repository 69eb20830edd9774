//! Histograms: fixed bounds, one atomic count a bucket; some with native buckets beside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::family::Value;
use crate::native::Native;
use crate::number::AtomicFloat;
use crate::vector::MakeMetric;

/// A distribution over fixed buckets. Without bounds only sum and count are kept, as the text formats show a native histogram.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: Box<[f64]>,
    /// One per bound and one for `+Inf`, not cumulative.
    counts: Box<[AtomicU64]>,
    sum: AtomicFloat,
    native: Option<Native>,
}

/// What a histogram is made of.
#[derive(Clone, Debug)]
pub struct HistogramBuckets {
    /// Upper bounds of the fixed buckets, rising, `+Inf` left out.
    pub(crate) bounds: Box<[f64]>,
    /// Whether there are native buckets, too.
    pub(crate) is_native: bool,
}

impl Histogram {
    /// Counts one observation.
    pub fn observe(&self, value: f64) {
        let at = self.0.bounds.partition_point(|bound| *bound < value);
        self.0.counts[at].fetch_add(1, Ordering::Relaxed);
        self.0.sum.add(value);
        if let Some(native) = &self.0.native {
            native.observe(value);
        }
    }
}

impl MakeMetric for Histogram {
    type Options = HistogramBuckets;
    const HAS_START: bool = true;

    fn make(buckets: &HistogramBuckets) -> Self {
        let bounds = buckets.bounds.clone();
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        let native = buckets.is_native.then(Native::default);
        Self(Arc::new(Buckets { bounds, counts, sum: AtomicFloat::default(), native }))
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
        Value::Histogram {
            buckets,
            sum: self.0.sum.get(),
            count,
            native: self.0.native.as_ref().map(Native::value),
        }
    }
}
