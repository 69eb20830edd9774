//! A native histogram as a parser gives it: in memory that the next one uses again.

use narthex_model::{CounterResetHint, FloatHistogram, Histogram, LayoutError};

/// The coarsest exponential schema.
const COARSEST: i32 = -4;
/// The finest schema that a body may use.
const FINEST_RESERVED: i32 = 52;

/// What becomes of histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistogramOptions {
    /// Native forms are read; else only classic ones are.
    pub native: bool,
    /// Classic forms are given even where there is a native one, or one is made of them.
    pub classic: bool,
    /// Classic histograms without a native form become native ones with custom buckets.
    pub to_custom: bool,
}

/// A histogram with integer or with float counts.
#[derive(Debug, Default)]
pub struct NativeValue {
    int: Histogram,
    float: FloatHistogram,
    is_float: bool,
}

/// A look at a [`NativeValue`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Native<'a> {
    /// Integer counts.
    Int(&'a Histogram),
    /// Float counts.
    Float(&'a FloatHistogram),
}

/// Why a histogram cannot be made small enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShrinkError {
    /// It has too many buckets, and they cannot be merged further.
    #[error("histogram bucket limit exceeded")]
    BucketLimit,
    /// Its spans are wrong.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

impl NativeValue {
    /// The histogram.
    #[must_use]
    pub fn get(&self) -> Native<'_> {
        if self.is_float { Native::Float(&self.float) } else { Native::Int(&self.int) }
    }

    /// Merges buckets until the schema is at most `schema` (when it is exponential).
    ///
    /// # Errors
    /// When spans and buckets do not agree.
    pub fn limit_schema(&mut self, schema: i32) -> Result<(), LayoutError> {
        let own = self.schema();
        if own > schema && (COARSEST..=FINEST_RESERVED).contains(&own) { self.reduce(schema) } else { Ok(()) }
    }

    /// Merges buckets until there are at most `limit`.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn limit_buckets(&mut self, limit: usize) -> Result<(), ShrinkError> {
        while self.bucket_count() > limit {
            let schema = self.schema();
            if schema <= COARSEST || schema > 8 {
                return Err(ShrinkError::BucketLimit);
            }
            self.reduce(schema - 1)?;
        }
        Ok(())
    }

    fn schema(&self) -> i32 {
        if self.is_float { self.float.schema } else { self.int.schema }
    }

    fn bucket_count(&self) -> usize {
        if self.is_float { self.float.bucket_count() } else { self.int.bucket_count() }
    }

    fn reduce(&mut self, schema: i32) -> Result<(), LayoutError> {
        if self.is_float { self.float.reduce_resolution(schema) } else { self.int.reduce_resolution(schema) }
    }

    pub(crate) fn set_gauge(&mut self) {
        self.int.counter_reset_hint = CounterResetHint::Gauge;
        self.float.counter_reset_hint = CounterResetHint::Gauge;
    }

    /// An empty histogram with integer counts, to be filled.
    pub(crate) fn start_int(&mut self, schema: i32) -> &mut Histogram {
        self.is_float = false;
        let h = &mut self.int;
        (h.schema, h.zero_threshold, h.zero_count) = (schema, 0.0, 0);
        h.counter_reset_hint = CounterResetHint::Unknown;
        h.positive_spans.clear();
        h.negative_spans.clear();
        h.positive_buckets.clear();
        h.negative_buckets.clear();
        h.custom_values.clear();
        h
    }

    /// An empty histogram with float counts, to be filled.
    pub(crate) fn start_float(&mut self, schema: i32) -> &mut FloatHistogram {
        self.is_float = true;
        let h = &mut self.float;
        (h.schema, h.zero_threshold, h.zero_count) = (schema, 0.0, 0.0);
        h.counter_reset_hint = CounterResetHint::Unknown;
        h.positive_spans.clear();
        h.negative_spans.clear();
        h.positive_buckets.clear();
        h.negative_buckets.clear();
        h.custom_values.clear();
        h
    }
}
