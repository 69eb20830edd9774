//! What integer and float histograms have in common, and the trait for what they do not.

use std::fmt::Debug;

use narthex_model::{CounterResetHint, FloatHistogram, Span, is_stale};

use super::layout::Layout;
use crate::bits::{BitReader, BitWriter, End};
use crate::{ChunkValue, Encoding};

/// A kind of counts: [`super::Integers`] or [`super::Floats`]. Holds those of the newest sample of a chunk, and what the next
/// ones are written relative to. Sealed: its methods are this crate's.
pub trait Counts: Internal {}

/// See [`Counts`].
pub trait Internal: Clone + Debug + Default {
    /// The histogram as callers know it.
    type Histogram: Clone + Debug + Default;
    /// A bucket as histograms hold it: a difference, or a count.
    type Bucket: Copy + Debug + Default + PartialEq + PartialOrd;
    /// A total.
    type Total: Copy + Debug + Default + PartialEq + PartialOrd;
    /// Without and with start timestamps.
    const ENCODINGS: [Encoding; 2];
    /// Least bits of a bucket in the first sample.
    const LEAST_BUCKET_BITS: u64;

    fn view(histogram: &Self::Histogram) -> View<'_, Self>;
    fn show(histogram: &Self::Histogram) -> ChunkValue<'_>;
    /// The count of a bucket, given that of the one before.
    fn count_of(before: Self::Bucket, bucket: Self::Bucket) -> Self::Bucket;
    /// The bucket for a count, given that of the one before.
    fn bucket_of(before: Self::Bucket, count: Self::Bucket) -> Self::Bucket;
    /// The bits of a count.
    fn bits(count: Self::Bucket) -> u64;
    fn same_totals(a: Self::Total, b: Self::Total) -> bool;
    /// The header of a chunk that begins with a sample that does not fit into the chunk before it.
    fn header_after(misfit: Misfit, place: Place) -> CounterResetHint;

    fn count(&self) -> Self::Total;
    fn zero_count(&self) -> Self::Total;
    /// Buckets of the newest sample, positive ones first.
    fn buckets(&self) -> impl Iterator<Item = Self::Bucket> + Clone;
    /// Bytes of memory beside the struct itself.
    fn memory(&self) -> usize;

    /// Writes the totals of the first sample.
    fn write_first_totals(&mut self, view: &View<'_, Self>, out: &mut BitWriter);
    /// Writes the totals of a later sample.
    fn write_totals(&mut self, view: &View<'_, Self>, out: &mut BitWriter);
    /// Writes `count` buckets of the first sample; later ones have as many.
    fn write_first_buckets(
        &mut self,
        buckets: impl Iterator<Item = Self::Bucket>,
        count: usize,
        out: &mut BitWriter,
    );
    /// Writes the buckets of a later sample.
    fn write_buckets(&mut self, buckets: impl Iterator<Item = Self::Bucket>, out: &mut BitWriter);

    fn read_first_totals(&mut self, reader: &mut BitReader<'_>) -> Result<(), End>;
    fn read_totals(&mut self, reader: &mut BitReader<'_>) -> Result<(), End>;
    fn read_first_buckets(&mut self, count: usize, reader: &mut BitReader<'_>) -> Result<(), End>;
    fn read_buckets(&mut self, reader: &mut BitReader<'_>) -> Result<(), End>;
    /// The newest sample in its own form; memory of `out` is used again.
    fn fill(&self, layout: &Layout, hint: CounterResetHint, sum: f64, out: &mut Self::Histogram);
    /// The newest sample with float counts.
    fn to_float(&self, layout: &Layout, hint: CounterResetHint, sum: f64) -> FloatHistogram;
}

/// Why a sample does not fit into a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// One is a gauge, the other is not.
    Gauge,
    /// A count fell, or the sample says that it did.
    Reset,
    /// Behind a stale marker only stale markers fit.
    Stale,
    /// Another schema, or another width of the zero bucket.
    Schema,
}

/// Where a sample comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a chunk that begins because the one before refused it.
    Refused,
    /// In a chunk that begins because the one before was long enough.
    Next,
}

/// A histogram of either kind, lent.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, C: Internal> {
    pub(crate) hint: CounterResetHint,
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: C::Total,
    pub(crate) count: C::Total,
    pub(crate) sum: f64,
    pub(crate) positive: Side<'a, C::Bucket>,
    pub(crate) negative: Side<'a, C::Bucket>,
    pub(crate) custom_values: &'a [f64],
}

/// The buckets on one side of zero.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Side<'a, B> {
    pub(crate) spans: &'a [Span],
    pub(crate) buckets: &'a [B],
}

impl<C: Internal> View<'_, C> {
    /// A stale marker has nothing but its sum.
    pub(crate) fn without_content_if_stale(self) -> Self {
        if !is_stale(self.sum) {
            return self;
        }
        Self {
            schema: 0,
            zero_threshold: 0.0,
            zero_count: C::Total::default(),
            count: C::Total::default(),
            positive: Side { spans: &[], buckets: &[] },
            negative: Side { spans: &[], buckets: &[] },
            custom_values: &[],
            ..self
        }
    }

    pub(crate) fn is_stale(&self) -> bool {
        is_stale(self.sum)
    }
}
