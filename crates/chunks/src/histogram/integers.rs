//! Integer counts: each number as difference of its last two differences.

use narthex_model::{CounterResetHint, FloatHistogram, Histogram};

use super::counts::{Counts, Internal, Misfit, Place, Side, View};
use super::layout::Layout;
use crate::bits::{BitReader, BitWriter, End, PutBits};
use crate::{ChunkValue, Encoding};

/// Integer counts of the newest sample.
#[derive(Clone, Debug, Default)]
pub struct Integers {
    count: Number,
    zero_count: Number,
    buckets: Vec<Number>,
}

impl Counts for Integers {}

/// A number and by how much it last changed. Totals above `i64::MAX` keep their bits.
#[derive(Clone, Copy, Debug, Default)]
struct Number {
    value: i64,
    change: i64,
}

impl Number {
    /// The difference of differences that leads to `value`.
    #[inline]
    fn advance_to(&mut self, value: i64) -> i64 {
        let change = value.wrapping_sub(self.value);
        let written = change.wrapping_sub(self.change);
        *self = Self { value, change };
        written
    }

    #[inline]
    fn advance_by(&mut self, written: i64) {
        self.change = self.change.wrapping_add(written);
        self.value = self.value.wrapping_add(self.change);
    }
}

impl Internal for Integers {
    type Histogram = Histogram;
    type Bucket = i64;
    type Total = u64;
    const ENCODINGS: [Encoding; 2] = [Encoding::Histogram, Encoding::HistogramSt];
    const LEAST_BUCKET_BITS: u64 = 1;

    fn view(h: &Histogram) -> View<'_, Self> {
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

    fn show(histogram: &Histogram) -> ChunkValue<'_> {
        ChunkValue::Histogram(histogram)
    }

    fn count_of(before: i64, bucket: i64) -> i64 {
        before.wrapping_add(bucket)
    }

    fn bucket_of(before: i64, count: i64) -> i64 {
        count.wrapping_sub(before)
    }

    fn bits(count: i64) -> u64 {
        count as u64
    }

    fn same_totals(a: u64, b: u64) -> bool {
        a == b
    }

    fn header_after(misfit: Misfit, _place: Place) -> CounterResetHint {
        match misfit {
            Misfit::Reset => CounterResetHint::Reset,
            Misfit::Gauge => CounterResetHint::NotReset,
            Misfit::Stale | Misfit::Schema => CounterResetHint::Unknown,
        }
    }

    fn count(&self) -> u64 {
        self.count.value as u64
    }

    fn zero_count(&self) -> u64 {
        self.zero_count.value as u64
    }

    fn buckets(&self) -> impl Iterator<Item = i64> + Clone {
        self.buckets.iter().map(|bucket| bucket.value)
    }

    fn memory(&self) -> usize {
        self.buckets.capacity() * size_of::<Number>()
    }

    fn write_first_totals(&mut self, view: &View<'_, Self>, out: &mut BitWriter) {
        self.count = Number { value: view.count as i64, change: 0 };
        self.zero_count = Number { value: view.zero_count as i64, change: 0 };
        out.put_varbit_unsigned(view.count);
        out.put_varbit_unsigned(view.zero_count);
    }

    fn write_totals(&mut self, view: &View<'_, Self>, out: &mut BitWriter) {
        if view.is_stale() {
            // Only stale markers can follow, and none of them has totals.
            out.put_varbit(0);
            out.put_varbit(0);
            return;
        }
        out.put_varbit(self.count.advance_to(view.count as i64));
        out.put_varbit(self.zero_count.advance_to(view.zero_count as i64));
    }

    fn write_first_buckets(&mut self, buckets: impl Iterator<Item = i64>, count: usize, out: &mut BitWriter) {
        self.buckets = Vec::with_capacity(count);
        self.buckets.extend(buckets.take(count).map(|value| Number { value, change: 0 }));
        self.buckets.resize(count, Number::default());
        self.buckets.iter().for_each(|bucket| out.put_varbit(bucket.value));
    }

    fn write_buckets(&mut self, mut buckets: impl Iterator<Item = i64>, out: &mut BitWriter) {
        for bucket in &mut self.buckets {
            out.put_varbit(bucket.advance_to(buckets.next().unwrap_or(0)));
        }
    }

    fn read_first_totals(&mut self, reader: &mut BitReader<'_>) -> Result<(), End> {
        self.count = Number { value: reader.varbit_unsigned()? as i64, change: 0 };
        self.zero_count = Number { value: reader.varbit_unsigned()? as i64, change: 0 };
        Ok(())
    }

    fn read_totals(&mut self, reader: &mut BitReader<'_>) -> Result<(), End> {
        self.count.advance_by(reader.varbit()?);
        self.zero_count.advance_by(reader.varbit()?);
        Ok(())
    }

    fn read_first_buckets(&mut self, count: usize, reader: &mut BitReader<'_>) -> Result<(), End> {
        self.buckets.clear();
        self.buckets.reserve_exact(count);
        for _ in 0..count {
            self.buckets.push(Number { value: reader.varbit()?, change: 0 });
        }
        Ok(())
    }

    fn read_buckets(&mut self, reader: &mut BitReader<'_>) -> Result<(), End> {
        self.buckets.iter_mut().try_for_each(|bucket| {
            bucket.advance_by(reader.varbit()?);
            Ok(())
        })
    }

    fn fill(&self, layout: &Layout, hint: CounterResetHint, sum: f64, out: &mut Histogram) {
        out.counter_reset_hint = hint;
        out.schema = layout.schema;
        out.zero_threshold = layout.zero_threshold;
        out.zero_count = self.zero_count();
        out.count = self.count();
        out.sum = sum;
        layout.fill(&mut out.positive_spans, &mut out.negative_spans, &mut out.custom_values);
        let (positive, negative) = layout.split(&self.buckets);
        out.positive_buckets.clear();
        out.positive_buckets.extend(positive.iter().map(|bucket| bucket.value));
        out.negative_buckets.clear();
        out.negative_buckets.extend(negative.iter().map(|bucket| bucket.value));
    }

    fn to_float(&self, layout: &Layout, hint: CounterResetHint, sum: f64) -> FloatHistogram {
        let counts = |side: &[Number]| {
            let sums = side.iter().scan(0i64, |count, bucket| {
                *count = count.wrapping_add(bucket.value);
                Some(*count as f64)
            });
            sums.collect()
        };
        let (positive, negative) = layout.split(&self.buckets);
        FloatHistogram {
            counter_reset_hint: hint,
            schema: layout.schema,
            zero_threshold: layout.zero_threshold,
            zero_count: self.zero_count() as f64,
            count: self.count() as f64,
            sum,
            positive_spans: layout.positive.to_vec(),
            negative_spans: layout.negative.to_vec(),
            positive_buckets: counts(positive),
            negative_buckets: counts(negative),
            custom_values: layout.custom_values.to_vec(),
        }
    }
}
