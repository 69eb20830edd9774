//! Float counts: each number as XOR with that of the sample before.

use narthex_model::{CounterResetHint, FloatHistogram};

use super::counts::{Counts, Internal, Misfit, Place, Side, View};
use super::layout::Layout;
use crate::bits::{BitReader, BitWriter, End, PutBits, XorValue};
use crate::{ChunkValue, Encoding};

/// Float counts of the newest sample.
#[derive(Clone, Debug, Default)]
pub struct Floats {
    count: XorValue,
    zero_count: XorValue,
    buckets: Vec<XorValue>,
}

impl Counts for Floats {}

impl Internal for Floats {
    type Histogram = FloatHistogram;
    type Bucket = f64;
    type Total = f64;
    const ENCODINGS: [Encoding; 2] = [Encoding::FloatHistogram, Encoding::FloatHistogramSt];
    const LEAST_BUCKET_BITS: u64 = 64;

    fn view(h: &FloatHistogram) -> View<'_, Self> {
        View {
            hint: h.counter_reset_hint,
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            zero_count: h.zero_count,
            count: h.count,
            sum: h.sum,
            positive: Side { spans: &h.positive_spans, buckets: &h.positive_buckets },
            negative: Side { spans: &h.negative_spans, buckets: &h.negative_buckets },
            custom_values: &h.custom_values,
        }
    }

    fn show(histogram: &FloatHistogram) -> ChunkValue<'_> {
        ChunkValue::FloatHistogram(histogram)
    }

    fn count_of(_before: f64, bucket: f64) -> f64 {
        bucket
    }

    fn bucket_of(_before: f64, count: f64) -> f64 {
        count
    }

    fn bits(count: f64) -> u64 {
        count.to_bits()
    }

    fn same_totals(a: f64, b: f64) -> bool {
        a.to_bits() == b.to_bits()
    }

    /// COMPAT: other than for integers, Prometheus does not tell "no reset" from "not looked for"; readers rely on neither.
    fn header_after(misfit: Misfit, place: Place) -> CounterResetHint {
        match (misfit, place) {
            (Misfit::Reset, _) => CounterResetHint::Reset,
            (_, Place::Next) => CounterResetHint::NotReset,
            (_, Place::Refused) => CounterResetHint::Unknown,
        }
    }

    fn count(&self) -> f64 {
        self.count.value()
    }

    fn zero_count(&self) -> f64 {
        self.zero_count.value()
    }

    fn buckets(&self) -> impl Iterator<Item = f64> + Clone {
        self.buckets.iter().map(|bucket| bucket.value())
    }

    fn memory(&self) -> usize {
        self.buckets.capacity() * size_of::<XorValue>()
    }

    fn write_first_totals(&mut self, view: &View<'_, Self>, out: &mut BitWriter) {
        (self.count, self.zero_count) = (XorValue::new(view.count), XorValue::new(view.zero_count));
        out.put(self.count.bits, 64);
        out.put(self.zero_count.bits, 64);
    }

    fn write_totals(&mut self, view: &View<'_, Self>, out: &mut BitWriter) {
        self.count.write(view.count, out);
        self.zero_count.write(view.zero_count, out);
    }

    fn write_first_buckets(&mut self, buckets: impl Iterator<Item = f64>, count: usize, out: &mut BitWriter) {
        self.buckets = Vec::with_capacity(count);
        self.buckets.extend(buckets.take(count).map(XorValue::new));
        self.buckets.resize(count, XorValue::default());
        self.buckets.iter().for_each(|bucket| out.put(bucket.bits, 64));
    }

    fn write_buckets(&mut self, mut buckets: impl Iterator<Item = f64>, out: &mut BitWriter) {
        for bucket in &mut self.buckets {
            bucket.write(buckets.next().unwrap_or(0.0), out);
        }
    }

    fn read_first_totals(&mut self, reader: &mut BitReader<'_>) -> Result<(), End> {
        self.count = read_first(reader)?;
        self.zero_count = read_first(reader)?;
        Ok(())
    }

    fn read_totals(&mut self, reader: &mut BitReader<'_>) -> Result<(), End> {
        self.count.read(reader)?;
        self.zero_count.read(reader)
    }

    fn read_first_buckets(&mut self, count: usize, reader: &mut BitReader<'_>) -> Result<(), End> {
        self.buckets.clear();
        self.buckets.reserve_exact(count);
        for _ in 0..count {
            self.buckets.push(read_first(reader)?);
        }
        Ok(())
    }

    fn read_buckets(&mut self, reader: &mut BitReader<'_>) -> Result<(), End> {
        self.buckets.iter_mut().try_for_each(|bucket| bucket.read(reader))
    }

    fn fill(&self, layout: &Layout, hint: CounterResetHint, sum: f64, out: &mut FloatHistogram) {
        out.counter_reset_hint = hint;
        out.schema = layout.schema;
        out.zero_threshold = layout.zero_threshold;
        out.zero_count = self.zero_count();
        out.count = self.count();
        out.sum = sum;
        layout.fill(&mut out.positive_spans, &mut out.negative_spans, &mut out.custom_values);
        let (positive, negative) = layout.split(&self.buckets);
        out.positive_buckets.clear();
        out.positive_buckets.extend(positive.iter().map(|bucket| bucket.value()));
        out.negative_buckets.clear();
        out.negative_buckets.extend(negative.iter().map(|bucket| bucket.value()));
    }

    fn to_float(&self, layout: &Layout, hint: CounterResetHint, sum: f64) -> FloatHistogram {
        let mut histogram = FloatHistogram::default();
        self.fill(layout, hint, sum, &mut histogram);
        histogram
    }
}

fn read_first(reader: &mut BitReader<'_>) -> Result<XorValue, End> {
    Ok(XorValue::new(f64::from_bits(reader.take(64)?)))
}
