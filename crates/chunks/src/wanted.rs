//! The samples of one chunk that are wanted, decoded, to be merged with those of others and written again.
//!
//! Always true: a sample never says of a counter reset what was said against a sample that is not before it any more.

use narthex_model::{CounterResetHint, FloatHistogram, Histogram};
use narthex_storage::merge::InTime;

use crate::{ChunkError, ChunkSample, ChunkValue, Encoding, for_each};

/// See the module's words. Given one by one, with `narthex_storage::merge::give_in_order`.
pub struct WantedSamples {
    samples: Vec<Sample>,
    next: usize,
}

struct Sample {
    t_ms: i64,
    start_ms: i64,
    value: Value,
}

enum Value {
    Float(f64),
    Histogram(Box<Histogram>),
    FloatHistogram(Box<FloatHistogram>),
}

impl WantedSamples {
    /// Decodes a chunk but for what lies outside of the closed `range_ms` or in one of the closed ranges `hidden`.
    ///
    /// # Errors
    /// The chunk cannot be decoded.
    pub fn read(
        encoding: Encoding,
        bytes: &[u8],
        range_ms: (i64, i64),
        hidden: &[(i64, i64)],
    ) -> Result<Self, ChunkError> {
        let is_hidden = |t_ms: i64| hidden.iter().any(|(from, to)| (*from..=*to).contains(&t_ms));
        let mut samples = Vec::new();
        // After a sample that is left out, the hint of the next one says nothing about the one before that.
        let mut gap = false;
        for_each(encoding, bytes, range_ms, |sample| {
            if is_hidden(sample.t_ms) {
                gap = true;
                return;
            }
            let mut value = Value::from(sample.value);
            if std::mem::take(&mut gap) {
                value.forget_hint();
            }
            samples.push(Sample { t_ms: sample.t_ms, start_ms: sample.start_ms, value });
        })?;
        Ok(Self { samples, next: 0 })
    }

    /// Gives the next sample; `follows` tells whether the one before it was given just before.
    ///
    /// # Panics
    /// At the end.
    pub fn give(&mut self, follows: bool, take: impl FnOnce(ChunkSample<'_>)) {
        let sample = &mut self.samples[self.next];
        if !follows {
            sample.value.forget_hint();
        }
        let value = match &sample.value {
            Value::Float(value) => ChunkValue::Float(*value),
            Value::Histogram(histogram) => ChunkValue::Histogram(histogram),
            Value::FloatHistogram(histogram) => ChunkValue::FloatHistogram(histogram),
        };
        take(ChunkSample { t_ms: sample.t_ms, start_ms: sample.start_ms, value });
        self.next += 1;
    }
}

impl InTime for WantedSamples {
    fn peek_ms(&self) -> Option<i64> {
        self.samples.get(self.next).map(|sample| sample.t_ms)
    }

    fn skip(&mut self) {
        self.next += 1;
    }
}

impl From<ChunkValue<'_>> for Value {
    fn from(value: ChunkValue<'_>) -> Self {
        match value {
            ChunkValue::Float(value) => Self::Float(value),
            ChunkValue::Histogram(histogram) => Self::Histogram(Box::new(histogram.clone())),
            ChunkValue::FloatHistogram(histogram) => Self::FloatHistogram(Box::new(histogram.clone())),
        }
    }
}

impl Value {
    /// Nobody knows what was before it.
    fn forget_hint(&mut self) {
        let hint = match self {
            Self::Float(_) => return,
            Self::Histogram(histogram) => &mut histogram.counter_reset_hint,
            Self::FloatHistogram(histogram) => &mut histogram.counter_reset_hint,
        };
        if *hint != CounterResetHint::Gauge {
            *hint = CounterResetHint::Unknown;
        }
    }
}
