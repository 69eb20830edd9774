//! Histogram chunks: what comes out is what went in; where chunks end; a plain twin for the bits; bytes that are no chunk.

mod plain;
mod rules;

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram, STALE_NAN, Span};
use proptest::prelude::*;

use self::plain::{PlainChunk, PlainSample};
use super::*;
use crate::{BuildOptions, ChunkBuilder, ChunkError, ChunkSample, ChunkValue, Encoding, SealedChunk, decode};
use narthex_storage::SampleBatch;

/// How a random series goes on.
#[derive(Clone, Debug)]
enum Step {
    /// Buckets get these counts more.
    Grow(Vec<(i32, u64)>),
    /// All counts begin at zero again.
    Restart,
    Stale,
    Zero(u64),
}

fn steps() -> impl Strategy<Value = Vec<(i64, i64, Step)>> {
    let growth = prop::collection::vec((-40i32..60, 0u64..50), 0..6);
    let step = prop_oneof![
        12 => growth.prop_map(Step::Grow),
        1 => Just(Step::Restart),
        1 => Just(Step::Stale),
        2 => (0u64..1 << 40).prop_map(Step::Zero),
    ];
    let delta = prop_oneof![4 => Just(15_000i64), 2 => 14_000i64..16_000, 1 => 1i64..1 << 40];
    let start = prop_oneof![4 => Just(0i64), 4 => Just(1_000i64), 1 => 0i64..1 << 41];
    prop::collection::vec((delta, start, step), 1..200)
}

/// Samples of a series as its target would expose them.
fn series(
    first_ms: i64,
    custom: bool,
    hint: CounterResetHint,
    steps: Vec<(i64, i64, Step)>,
) -> Vec<PlainSample> {
    let (mut t_ms, mut counts, mut zero_count) = (first_ms, std::collections::BTreeMap::<i32, u64>::new(), 0);
    let sample = |(delta_ms, start_ms, step)| {
        t_ms += delta_ms;
        match step {
            Step::Grow(more) => {
                for (at, count) in more {
                    let at = if custom { at.rem_euclid(8) } else { at };
                    *counts.entry(at).or_default() += count;
                }
            }
            Step::Restart => {
                counts.clear();
                zero_count = 0;
            }
            Step::Zero(count) if !custom => zero_count += count,
            Step::Zero(_) => {}
            Step::Stale => {
                let histogram = Histogram { sum: STALE_NAN, ..Histogram::default() };
                return PlainSample { t_ms, start_ms, histogram };
            }
        }
        let (negative, positive): (Vec<_>, Vec<_>) =
            counts.iter().map(|(at, count)| (*at, *count)).partition(|(at, _)| *at < 0);
        let (positive_spans, positive_buckets) = spans_and_deltas(&positive);
        let (negative_spans, negative_buckets) = spans_and_deltas(&negative);
        let histogram = Histogram {
            counter_reset_hint: hint,
            schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { 2 },
            zero_threshold: if custom { 0.0 } else { 0.001 },
            zero_count,
            count: counts.values().sum::<u64>() + zero_count,
            sum: counts.iter().map(|(at, count)| f64::from(*at) * *count as f64).sum(),
            positive_spans,
            negative_spans,
            positive_buckets,
            negative_buckets,
            custom_values: if custom { vec![0.005, 0.1, 1.0, 2.5, 1e9, 2e9, 3e9] } else { Vec::new() },
        };
        PlainSample { t_ms, start_ms, histogram }
    };
    steps.into_iter().map(sample).collect()
}

fn spans_and_deltas(counts: &[(i32, u64)]) -> (Vec<Span>, Vec<i64>) {
    let (mut spans, mut next, mut before): (Vec<Span>, i32, i64) = (Vec::new(), 0, 0);
    let mut deltas = Vec::new();
    for (at, count) in counts {
        match spans.last_mut() {
            Some(span) if next == *at => span.length += 1,
            _ => spans.push(Span { offset: at - next, length: 1 }),
        }
        next = at + 1;
        deltas.push(*count as i64 - before);
        before = *count as i64;
    }
    (spans, deltas)
}

/// What may be compared between a histogram and what a chunk made of it: counts by bucket, without empty ones and hints.
#[derive(Debug, PartialEq)]
struct Content {
    schema: i32,
    count: f64,
    zero_count: f64,
    sum: u64,
    positive: Vec<(i64, f64)>,
    negative: Vec<(i64, f64)>,
    custom_values: Vec<f64>,
}

fn content(h: &FloatHistogram) -> Content {
    let side = |spans: &[Span], buckets: &[f64]| {
        align::indexes(spans).zip(buckets.iter().copied()).filter(|(_, count)| *count != 0.0).collect()
    };
    Content {
        schema: h.schema,
        count: h.count,
        zero_count: h.zero_count,
        sum: h.sum.to_bits(),
        positive: side(&h.positive_spans, &h.positive_buckets),
        negative: side(&h.negative_spans, &h.negative_buckets),
        custom_values: h.custom_values.clone(),
    }
}

/// Builds chunks of a series, as integers or as floats.
fn build(samples: &[PlainSample], floats: bool, most: u32) -> Vec<SealedChunk> {
    let (mut builder, mut chunks) =
        (ChunkBuilder::new(BuildOptions { samples: most, ..BuildOptions::default() }), Vec::new());
    for sample in samples {
        let float = sample.histogram.to_float();
        let value = match floats {
            true => ChunkValue::FloatHistogram(&float),
            false => ChunkValue::Histogram(&sample.histogram),
        };
        builder.push(ChunkSample { t_ms: sample.t_ms, start_ms: sample.start_ms, value }, &mut chunks);
    }
    builder.finish(&mut chunks);
    chunks
}

fn check_round_trip(samples: &[PlainSample], floats: bool) -> Result<(), TestCaseError> {
    let mut batch = SampleBatch::default();
    for chunk in build(samples, floats, 120) {
        prop_assert_eq!(first_and_last(&chunk), (chunk.min_ms, chunk.max_ms));
        decode(chunk.encoding, &chunk.bytes, i64::MIN, i64::MAX, &mut batch).unwrap();
        check_no_count_falls(&chunk)?;
    }
    let expected: Vec<i64> = samples.iter().map(|sample| sample.t_ms).collect();
    prop_assert_eq!(&batch.histogram_t_ms, &expected);
    for (at, sample) in samples.iter().enumerate() {
        prop_assert_eq!(
            content(&batch.histograms[at]),
            content(&sample.histogram.to_float()),
            "sample {}",
            at
        );
        prop_assert_eq!(batch.histogram_start_ms.get(at).copied().unwrap_or(0), sample.start_ms);
    }
    Ok(())
}

fn first_and_last(chunk: &SealedChunk) -> (i64, i64) {
    let mut batch = SampleBatch::default();
    decode(chunk.encoding, &chunk.bytes, i64::MIN, i64::MAX, &mut batch).unwrap();
    (batch.histogram_t_ms[0], *batch.histogram_t_ms.last().unwrap())
}

/// Within a chunk that is not of gauges, "no reset" must be true.
fn check_no_count_falls(chunk: &SealedChunk) -> Result<(), TestCaseError> {
    let mut batch = SampleBatch::default();
    decode(chunk.encoding, &chunk.bytes, i64::MIN, i64::MAX, &mut batch).unwrap();
    for pair in batch.histograms.windows(2) {
        let [before, after] = pair else { unreachable!("windows of two") };
        if after.counter_reset_hint == CounterResetHint::NotReset {
            prop_assert!(before.count <= after.count && before.zero_count <= after.zero_count);
            prop_assert_eq!(&before.positive_spans, &after.positive_spans);
            let fell = before.positive_buckets.iter().zip(&after.positive_buckets).any(|(a, b)| a > b);
            prop_assert!(!fell);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_goes_in_comes_out(
        first_ms in prop_oneof![Just(1_700_000_000_000i64), -5_000i64..5_000], custom: bool, floats: bool,
        hint in prop_oneof![3 => Just(CounterResetHint::Unknown), 1 => Just(CounterResetHint::Gauge)], steps in steps()
    ) {
        check_round_trip(&series(first_ms, custom, hint, steps), floats)?;
    }

    #[test]
    fn bytes_are_those_of_the_plain_twin(
        custom: bool, floats: bool, gauge: bool, starts: bool, steps in steps()
    ) {
        let hint = if gauge { CounterResetHint::Gauge } else { CounterResetHint::Unknown };
        let mut samples = series(1_700_000_000_000, custom, hint, steps);
        if !starts {
            samples.iter_mut().for_each(|sample| sample.start_ms = 0);
        }
        for chunk in build(&samples, floats, 150) {
            let own: Vec<_> =
                samples.iter().filter(|s| (chunk.min_ms..=chunk.max_ms).contains(&s.t_ms)).cloned().collect();
            let with_starts = matches!(chunk.encoding, Encoding::HistogramSt | Encoding::FloatHistogramSt);
            let twin = PlainChunk::encode(&chunk, &own, floats, with_starts);
            prop_assert_eq!(&*chunk.bytes, &*twin);
        }
    }

    #[test]
    fn cut_and_flipped_bytes_are_an_error_or_other_samples_but_no_panic(
        custom: bool, floats: bool, steps in steps(), cut in any::<usize>(),
        flips in prop::collection::vec(any::<usize>(), 0..4)
    ) {
        for chunk in build(&series(0, custom, CounterResetHint::Unknown, steps), floats, 120).into_iter().take(3) {
            let mut bytes = chunk.bytes.to_vec();
            bytes.truncate(bytes.len() - if cut % 2 == 0 { 0 } else { cut / 2 % bytes.len() });
            for flip in &flips {
                let bits = bytes.len() * 8;
                bytes[flip % bits / 8] ^= 1 << (flip % 8);
            }
            let mut batch = SampleBatch::default();
            let _ = decode(chunk.encoding, &bytes, i64::MIN, i64::MAX, &mut batch);
            prop_assert_eq!(batch.histogram_t_ms.len(), batch.histograms.len());
        }
    }
}

#[test]
fn a_cut_chunk_names_the_sample_that_is_missing() {
    let grow = |at: i32| (1000, 0, Step::Grow(vec![(at % 5, 3), (7, 1 << (at % 30))]));
    let samples = series(0, false, CounterResetHint::Unknown, (0..50).map(grow).collect());
    for floats in [false, true] {
        let chunk = build(&samples, floats, 120).pop().unwrap();
        let len = chunk.bytes.len() - 1;
        let mut batch = SampleBatch::default();
        let error = decode(chunk.encoding, &chunk.bytes[..len], i64::MIN, i64::MAX, &mut batch).unwrap_err();
        assert_eq!(error, ChunkError::Truncated { sample: 49, samples: 50, len });
        let error = decode(chunk.encoding, &chunk.bytes[..2], i64::MIN, i64::MAX, &mut batch).unwrap_err();
        assert_eq!(error, ChunkError::NoHeader { len: 2, header: 3 });
    }
}
