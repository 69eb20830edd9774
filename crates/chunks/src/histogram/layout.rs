//! What all samples of a histogram chunk share: schema, zero bucket, spans, custom bounds.

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, Span};

use super::counts::{Internal, View};
use crate::bits::{BitReader, BitWriter, End, PutBits};
use crate::error::ChunkError;

/// Highest schema with exponential buckets that is reserved; see `reduce` for those above 8.
const RESERVED: std::ops::RangeInclusive<i64> = -9..=52;
/// Custom bounds up to this many thousandths are written as integers.
const MOST_THOUSANDTHS: f64 = 33_554_430.0;

/// See the module's words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) positive: Box<[Span]>,
    pub(crate) negative: Box<[Span]>,
    pub(crate) custom_values: Box<[f64]>,
}

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    End,
    Content(ChunkError),
}

impl From<End> for Fault {
    fn from(End: End) -> Self {
        Self::End
    }
}

impl Layout {
    pub(crate) fn of<C: Internal>(view: &View<'_, C>) -> Self {
        Self {
            schema: view.schema,
            zero_threshold: view.zero_threshold,
            positive: view.positive.spans.into(),
            negative: view.negative.spans.into(),
            custom_values: view.custom_values.into(),
        }
    }

    /// Buckets of both sides.
    pub(crate) fn buckets(&self) -> u64 {
        bucket_count(&self.positive) + bucket_count(&self.negative)
    }

    /// Buckets of the positive side.
    pub(crate) fn positive_buckets(&self) -> usize {
        bucket_count(&self.positive) as usize
    }

    /// Positive and negative buckets apart.
    pub(crate) fn split<'a, B>(&self, buckets: &'a [B]) -> (&'a [B], &'a [B]) {
        // A stale marker has no buckets, whatever the layout.
        buckets.split_at(self.positive_buckets().min(buckets.len()))
    }

    /// Copies spans and bounds.
    pub(crate) fn fill(&self, positive: &mut Vec<Span>, negative: &mut Vec<Span>, bounds: &mut Vec<f64>) {
        positive.clear();
        positive.extend_from_slice(&self.positive);
        negative.clear();
        negative.extend_from_slice(&self.negative);
        bounds.clear();
        bounds.extend_from_slice(&self.custom_values);
    }

    /// Bytes of memory beside the struct itself.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.positive) + size_of_val(&*self.negative) + size_of_val(&*self.custom_values)
    }

    pub(crate) fn write(&self, out: &mut BitWriter) {
        put_zero_threshold(self.zero_threshold, out);
        out.put_varbit(self.schema.into());
        for spans in [&self.positive, &self.negative] {
            out.put_varbit_unsigned(spans.len() as u64);
            for span in spans {
                out.put_varbit_unsigned(span.length.into());
                out.put_varbit(span.offset.into());
            }
        }
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            out.put_varbit_unsigned(self.custom_values.len() as u64);
            self.custom_values.iter().for_each(|bound| put_bound(*bound, out));
        }
    }

    /// Reads a layout whose buckets, of at least `bucket_bits` each, still fit into what is left.
    pub(crate) fn read(reader: &mut BitReader<'_>, bucket_bits: u64) -> Result<Self, Fault> {
        let zero_threshold = take_zero_threshold(reader)?;
        let schema = reader.varbit()?;
        if !RESERVED.contains(&schema) && schema != i64::from(CUSTOM_BUCKETS_SCHEMA) {
            return Err(Fault::Content(ChunkError::UnknownSchema { schema }));
        }
        let positive = take_spans(reader, bucket_bits)?;
        let negative = take_spans(reader, bucket_bits)?;
        let custom_values = match schema as i32 {
            CUSTOM_BUCKETS_SCHEMA => take_bounds(reader)?,
            _ => Box::default(),
        };
        let layout = Self { schema: schema as i32, zero_threshold, positive, negative, custom_values };
        check_claim("buckets", layout.buckets(), bucket_bits, reader)?;
        Ok(layout)
    }
}

fn bucket_count(spans: &[Span]) -> u64 {
    spans.iter().map(|span| u64::from(span.length)).sum()
}

/// Refuses a number of things that the bytes cannot hold, before anything is allocated for them.
fn check_claim(
    what: &'static str,
    claimed: u64,
    bits_each: u64,
    reader: &BitReader<'_>,
) -> Result<(), Fault> {
    let left_bits = reader.left_bits();
    if claimed.checked_mul(bits_each).is_some_and(|bits| bits <= left_bits) {
        return Ok(());
    }
    Err(Fault::Content(ChunkError::Layout { what, claimed, left_bits }))
}

fn take_spans(reader: &mut BitReader<'_>, bucket_bits: u64) -> Result<Box<[Span]>, Fault> {
    let count = reader.varbit_unsigned()?;
    check_claim("spans", count, 2, reader)?;
    let mut spans = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let (length, offset) = (reader.varbit_unsigned()?, reader.varbit()?);
        check_claim("buckets", length, bucket_bits, reader)?;
        let (Ok(length), Ok(offset)) = (u32::try_from(length), i32::try_from(offset)) else {
            let left_bits = reader.left_bits();
            return Err(Fault::Content(ChunkError::Layout { what: "buckets", claimed: length, left_bits }));
        };
        spans.push(Span { offset, length });
    }
    Ok(spans.into())
}

fn take_bounds(reader: &mut BitReader<'_>) -> Result<Box<[f64]>, Fault> {
    let count = reader.varbit_unsigned()?;
    check_claim("custom bounds", count, 5, reader)?;
    let mut bounds = Vec::with_capacity(count as usize);
    for _ in 0..count {
        bounds.push(match reader.varbit_unsigned()? {
            0 => f64::from_bits(reader.take(64)?),
            thousandths => (thousandths - 1) as f64 / 1000.0,
        });
    }
    Ok(bounds.into())
}

fn put_bound(bound: f64, out: &mut BitWriter) {
    let thousandths = bound * 1000.0;
    let whole = thousandths.round() as u64;
    if (0.0..=MOST_THOUSANDTHS).contains(&thousandths) && whole as f64 / 1000.0 == bound {
        return out.put_varbit_unsigned(whole + 1);
    }
    out.put(0, 1);
    out.put(bound.to_bits(), 64);
}

/// Powers of two from 2^-243 to 2^10 take a byte, 0 too; all else nine.
fn put_zero_threshold(threshold: f64, out: &mut BitWriter) {
    let bits = threshold.to_bits();
    let exponent = (bits >> 52) as i64 - 1022;
    if threshold == 0.0 {
        out.put(0, 8);
    } else if bits << 12 == 0 && (-242..=11).contains(&exponent) {
        out.put((exponent + 243) as u64, 8);
    } else {
        out.put(255, 8);
        out.put(bits, 64);
    }
}

fn take_zero_threshold(reader: &mut BitReader<'_>) -> Result<f64, End> {
    Ok(match reader.take(8)? {
        0 => 0.0,
        255 => f64::from_bits(reader.take(64)?),
        byte => f64::from_bits((byte + 1022 - 243) << 52),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(layout: &Layout, bytes: usize) {
        let mut writer = BitWriter::default();
        layout.write(&mut writer);
        assert_eq!(writer.byte_len(), bytes, "{layout:?}");
        let mut written = Vec::new();
        writer.copy_to(&mut written);
        let read = Layout::read(&mut BitReader::new(&written), 0).unwrap();
        assert_eq!(&read, layout);
    }

    #[test]
    fn zero_thresholds_that_are_powers_of_two_take_a_byte() {
        let wide = |zero_threshold| Layout { zero_threshold, ..Layout::default() };
        for exponent in [-243, -242, -128, -1, 0, 10] {
            check(&wide(2f64.powi(exponent)), 2);
        }
        check(&wide(0.0), 2);
        for other in [2f64.powi(-244), 2f64.powi(11), 0.3, 1e-300, f64::MIN_POSITIVE / 2.0] {
            check(&wide(other), 10);
        }
    }

    #[test]
    fn custom_bounds_that_are_whole_thousandths_are_short() {
        let custom = |bound| Layout {
            schema: CUSTOM_BUCKETS_SCHEMA,
            custom_values: Box::new([bound]),
            ..Layout::default()
        };
        // Threshold 8 bits, schema 13 bits... the number of bounds 5 bits, then the bound.
        for (bound, bits) in [(0.0, 5), (0.006, 5), (0.1, 13), (33_554.43, 32), (33_554.431, 65), (-1.0, 65)]
        {
            check(&custom(bound), (8 + 13 + 1 + 1 + 5 + bits as usize).div_ceil(8));
        }
        check(&custom(0.000_1), (8 + 13 + 2 + 5 + 65usize).div_ceil(8));
    }

    #[test]
    fn claims_that_the_bytes_cannot_hold_are_refused_before_memory_is_taken() {
        let mut writer = BitWriter::default();
        put_zero_threshold(0.0, &mut writer);
        writer.put_varbit(3);
        writer.put_varbit_unsigned(1);
        writer.put_varbit_unsigned(1 << 31);
        writer.put_varbit(0);
        let mut bytes = Vec::new();
        writer.copy_to(&mut bytes);
        let fault = Layout::read(&mut BitReader::new(&bytes), 1).unwrap_err();
        assert!(matches!(
            fault,
            Fault::Content(ChunkError::Layout { what: "buckets", claimed: 0x8000_0000, .. })
        ));
    }
}
