//! The list of late samples, and merging, against a map.

use std::collections::BTreeMap;
use std::sync::Arc;

use narthex_model::{CounterResetHint, FloatHistogram};

use super::merge::LateCopy;
use super::*;
use crate::head::CutRule;

fn late(t_ms: i64, value: f64, seq: CommitSeq) -> LateSample {
    LateSample { t_ms, start_ms: 0, value: LateValue::Float(value), seq }
}

fn histogram(count: f64, counter_reset_hint: CounterResetHint) -> Arc<FloatHistogram> {
    Arc::new(FloatHistogram { count, counter_reset_hint, ..FloatHistogram::default() })
}

#[test]
fn the_first_at_a_timestamp_stays_and_the_list_rises() {
    let mut samples = LateSamples::default();
    let inserted = [5, 9, 7, 9, 5, 6].map(|t| samples.insert(late(t, t as f64, t as u64)));
    assert_eq!(inserted, [true, true, true, false, false, true]);
    let seen: Vec<i64> = samples.visible(7, (6, 9)).map(|s| s.t_ms).collect();
    assert_eq!(seen, [6, 7], "9 came with a later commit");
}

/// What a batch holds, by time: the value or the histogram's count, and the start timestamp.
fn flat(batch: &SampleBatch, from: (usize, usize)) -> BTreeMap<i64, (f64, i64)> {
    let start = |starts: &[i64], at: usize| starts.get(at).copied().unwrap_or(0);
    assert!(batch.start_ms.is_empty() || batch.start_ms.len() == batch.t_ms.len());
    assert!(batch.histogram_start_ms.is_empty() || batch.histogram_start_ms.len() == batch.histograms.len());
    assert!(batch.t_ms[from.0..].is_sorted() && batch.histogram_t_ms[from.1..].is_sorted());
    let floats =
        (from.0..batch.t_ms.len()).map(|at| (batch.t_ms[at], (batch.values[at], start(&batch.start_ms, at))));
    let histograms = (from.1..batch.histograms.len()).map(|at| {
        (batch.histogram_t_ms[at], (batch.histograms[at].count, start(&batch.histogram_start_ms, at)))
    });
    let all: Vec<_> = floats.chain(histograms).collect();
    let map: BTreeMap<_, _> = all.iter().copied().collect();
    assert_eq!(map.len(), all.len(), "a moment is there twice");
    map
}

#[test]
fn merging_is_that_of_a_map() {
    let mut random = fastrand::Rng::with_seed(21);
    for round in 0..1000 {
        let (mut out, mut map) = (SampleBatch::default(), BTreeMap::new());
        out.push(i64::MAX, -1.0);
        for t in 0..30 {
            match random.u8(0..4) {
                0 => {
                    out.push(t, 1.0);
                    map.insert(t, (1.0, 0));
                }
                1 => {
                    out.histogram_t_ms.push(t);
                    out.histograms.push(histogram(2.0, CounterResetHint::Unknown));
                    map.insert(t, (2.0, 0));
                }
                _ => {}
            }
        }
        let mut samples = LateSamples::default();
        for _ in 0..random.usize(0..20) {
            let (t_ms, start_ms) = (random.i64(-3..33), i64::from(random.u8(0..8) / 7));
            let (value, number) = match random.bool() {
                true => (LateValue::Float(3.0), 3.0),
                false => (
                    LateValue::Histogram(StoredHistogram::Float(histogram(4.0, CounterResetHint::Gauge))),
                    4.0,
                ),
            };
            if samples.insert(LateSample { t_ms, start_ms, value, seq: 0 }) {
                map.entry(t_ms).or_insert((number, start_ms));
            }
        }
        let mut copy = LateCopy::default();
        copy.take(&samples, 0, (i64::MIN, i64::MAX), None);
        copy.merge_into((i64::MIN, i64::MAX), (1, 0), &mut out).unwrap();
        assert_eq!(flat(&out, (1, 0)), map, "round {round}");
        assert_eq!((out.t_ms[0], out.values[0]), (i64::MAX, -1.0), "what was there before stays");
    }
}

#[test]
fn a_histogram_behind_one_of_another_source_has_no_reset_hint() {
    use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
    let mut out = SampleBatch::default();
    for (t_ms, hint) in [(10, Unknown), (20, NotReset), (30, NotReset), (40, Reset), (50, Gauge)] {
        out.histogram_t_ms.push(t_ms);
        out.histograms.push(histogram(1.0, hint));
    }
    let mut samples = LateSamples::default();
    for (t_ms, hint) in [(25, NotReset), (26, NotReset), (35, Reset), (45, Gauge)] {
        let value = LateValue::Histogram(StoredHistogram::Float(histogram(2.0, hint)));
        samples.insert(LateSample { t_ms, start_ms: 0, value, seq: 0 });
    }
    let mut copy = LateCopy::default();
    copy.take(&samples, 0, (i64::MIN, i64::MAX), None);
    copy.merge_into((i64::MIN, i64::MAX), (0, 0), &mut out).unwrap();
    let got: Vec<_> =
        out.histogram_t_ms.iter().copied().zip(out.histograms.iter().map(|h| h.counter_reset_hint)).collect();
    let expected = [
        (10, Unknown),
        (20, NotReset),
        (25, Unknown),
        (26, Unknown),
        (30, Unknown),
        (35, Unknown),
        (40, Unknown),
        (45, Gauge),
        (50, Gauge),
    ];
    assert_eq!(got, expected);
}

#[test]
fn a_series_knows_the_moments_of_its_samples() {
    let rule = CutRule::plain(7_200_000, 120);
    let mut series = Series::new(0);
    for i in 0..400 {
        series.push(i * 1000, 0, 1.0, rule);
    }
    assert!(series.insert_late(late(1500, 2.0, 1)));
    assert!(!series.insert_late(late(1500, 2.0, 1)) && !series.insert_late(late(2000, 2.0, 1)));
    for i in 0..401 {
        assert_eq!(series.has_sample_at(i * 1000), i < 400, "{i}");
        assert_eq!(series.has_sample_at(i * 1000 + 500), i == 1, "{i}");
    }
}

#[test]
fn every_sample_of_a_list_is_in_its_chunks() {
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..3000 {
        let mut samples = LateSamples::default();
        for _ in 0..random.usize(1..12) {
            let count = random.u64(1..1000);
            let int = narthex_model::Histogram {
                count,
                sum: count as f64,
                positive_spans: vec![narthex_model::Span { offset: 3, length: 1 }],
                positive_buckets: vec![count as i64],
                ..narthex_model::Histogram::default()
            };
            let value = match random.u8(0..3) {
                0 => LateValue::Float(count as f64),
                1 => LateValue::Histogram(StoredHistogram::Float(Arc::new(int.to_float()))),
                _ => LateValue::Histogram(StoredHistogram::Int(Arc::new(int))),
            };
            samples.insert(LateSample { t_ms: random.i64(0..3000) * 1000, start_ms: 0, value, seq: 0 });
        }
        let chunks = seal::encode(samples.list(), narthex_chunks::FloatEncoding::Xor);
        let mut found = SampleBatch::default();
        for chunk in &chunks {
            narthex_chunks::decode(chunk.encoding, &chunk.bytes, chunk.min_ms, chunk.max_ms, &mut found)
                .unwrap();
        }
        let mut times: Vec<i64> = found.t_ms.iter().chain(&found.histogram_t_ms).copied().collect();
        times.sort_unstable();
        let expected: Vec<i64> = samples.list().iter().map(|s| s.t_ms).collect();
        assert_eq!(times, expected, "round {round}");
    }
}
