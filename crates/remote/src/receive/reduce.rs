//! Exponential histograms finer than any that is stored, made coarser.
//!
//! Schemas above 8 are reserved; a sender may use them, and the receiver merges buckets down to schema 8 as Prometheus does. A
//! bucket `i` of a schema lies in bucket `((i - 1) >> d) + 1` of a schema that is lower by `d`.
//! COMPAT: error texts.

use narthex_model::{FloatHistogram, Histogram, Span};

use super::histogram::Either;

/// The finest schema that is stored.
const FINEST: i32 = 8;
/// The finest schema that may be sent.
const RESERVED: i32 = 52;

/// Reduces a histogram of schema 9 to 52 to schema 8, and leaves every other as it is.
pub(super) fn reduce_resolution(histogram: Either) -> Result<Either, String> {
    let is_finer = |schema: i32| (FINEST + 1..=RESERVED).contains(&schema);
    Ok(match histogram {
        Either::Int(h) if is_finer(h.schema) => Either::Int(reduce_int(&h)?),
        Either::Float(h) if is_finer(h.schema) => Either::Float(reduce_float(&h)?),
        coarse => coarse,
    })
}

fn reduce_int(h: &Histogram) -> Result<Histogram, String> {
    let side = |spans: &[Span], deltas: &[i64]| {
        let counts = deltas.iter().scan(0i64, |count, delta| {
            *count = count.wrapping_add(*delta);
            Some(*count)
        });
        let (spans, counts) = merge(spans, &counts.collect::<Vec<_>>(), h.schema, i64::wrapping_add)?;
        let mut before = 0i64;
        let deltas =
            counts.into_iter().map(|count| count.wrapping_sub(std::mem::replace(&mut before, count)));
        Ok::<_, String>((spans, deltas.collect()))
    };
    let (positive_spans, positive_buckets) = side(&h.positive_spans, &h.positive_buckets)?;
    let (negative_spans, negative_buckets) = side(&h.negative_spans, &h.negative_buckets)?;
    Ok(Histogram {
        schema: FINEST,
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        ..h.clone()
    })
}

fn reduce_float(h: &FloatHistogram) -> Result<FloatHistogram, String> {
    let side = |spans: &[Span], counts: &[f64]| merge(spans, counts, h.schema, |a, b| a + b);
    let (positive_spans, positive_buckets) = side(&h.positive_spans, &h.positive_buckets)?;
    let (negative_spans, negative_buckets) = side(&h.negative_spans, &h.negative_buckets)?;
    Ok(FloatHistogram {
        schema: FINEST,
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        ..h.clone()
    })
}

/// Adds the buckets of one side that share a coarser bucket. Stops at the first span that lacks buckets.
fn merge<C: Copy>(
    spans: &[Span],
    counts: &[C],
    schema: i32,
    add: impl Fn(C, C) -> C,
) -> Result<(Vec<Span>, Vec<C>), String> {
    let (mut out_spans, mut out): (Vec<Span>, Vec<C>) = (Vec::new(), Vec::new());
    let (mut index, mut taken) = (0i32, 0);
    let mut last: Option<i32> = None;
    for (at, span) in spans.iter().enumerate() {
        if at > 0 && span.offset < 0 {
            return Err(format!(
                "span number {} with offset {}: histogram has a span whose offset is negative",
                at + 1,
                span.offset
            ));
        }
        index = index.wrapping_add(span.offset);
        for _ in 0..span.length {
            let Some(count) = counts.get(taken) else { return Err(too_few(counts.len())) };
            taken += 1;
            let coarse = (index.wrapping_sub(1) >> (schema - FINEST).min(31)).wrapping_add(1);
            index = index.wrapping_add(1);
            match (last, out.last_mut(), out_spans.last_mut()) {
                (Some(l), Some(sum), _) if l == coarse => *sum = add(*sum, *count),
                (Some(l), _, Some(span)) if l.wrapping_add(1) == coarse => {
                    span.length += 1;
                    out.push(*count);
                }
                _ => {
                    let offset = coarse.wrapping_sub(last.map_or(0, |l| l.wrapping_add(1)));
                    out_spans.push(Span { offset, length: 1 });
                    out.push(*count);
                }
            }
            last = Some(coarse);
        }
    }
    if taken != counts.len() {
        return Err(format!(
            "spans need {taken} buckets, have {} buckets: histogram spans specify different number of buckets than provided",
            counts.len()
        ));
    }
    Ok((out_spans, out))
}

fn too_few(have: usize) -> String {
    format!(
        "have {have} buckets but spans need more: histogram spans specify different number of buckets than provided"
    )
}
