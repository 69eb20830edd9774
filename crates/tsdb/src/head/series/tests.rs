//! Where chunks are cut, and what their kinds are.

use std::sync::Arc;

use narthex_chunks::{Encoding, FloatEncoding};

use super::*;

const RULE: CutRule = CutRule::plain(7_200_000, 120);

#[test]
fn a_series_stays_small() {
    assert!(size_of::<Series>() <= 96, "{}", size_of::<Series>());
}

/// First timestamps and lengths of the chunks of `count` samples every `step_ms` from `start_ms`.
fn chunks(start_ms: i64, step_ms: i64, count: i64, value: impl Fn(i64) -> f64) -> Vec<(i64, u16)> {
    let mut series = Series::new(0);
    for i in 0..count {
        series.push(start_ms + i * step_ms, 0, value(i), RULE);
    }
    series.seal();
    series.sealed().iter().map(|c| (c.min_ms, u16::from_be_bytes([c.bytes[0], c.bytes[1]]))).collect()
}

#[test]
fn chunks_end_with_their_range_and_spread_evenly_before() {
    // 480 samples in two hours at 15 s: four equal chunks.
    let got = chunks(0, 15_000, 480, |_| 1.0);
    assert_eq!(got, [(0, 120), (1_800_000, 120), (3_600_000, 120), (5_400_000, 120)]);
    // Two samples an hour: a new chunk for each range.
    assert_eq!(chunks(3_600_000, 3_600_000, 3, |_| 1.0), [(3_600_000, 1), (7_200_000, 2)]);
}

#[test]
fn chunks_of_incompressible_values_stay_below_a_kibibyte() {
    let mut random = fastrand::Rng::with_seed(7);
    let values: Vec<f64> = (0..400).map(|_| f64::from_bits(random.u64(..))).collect();
    let mut series = Series::new(0);
    for (i, v) in values.iter().enumerate() {
        series.push(i as i64 * 977, 0, *v, RULE);
    }
    series.seal();
    assert!(series.sealed().iter().all(|c| c.bytes.len() <= 1024));
    assert!(series.sealed().len() > 2);
}

#[test]
fn a_histogram_seals_the_open_chunk_and_a_float_that_of_histograms() {
    let mut series = Series::new(0);
    series.push(1, 0, 1.0, RULE);
    let histogram = StoredHistogram::Float(Arc::default());
    assert!(series.push_histogram(2, 0, &histogram, RULE));
    assert!(!series.push_histogram(3, 0, &histogram, RULE));
    assert_eq!((series.histograms().is_some(), series.first_ms(), series.last_ms()), (true, 1, 3));
    assert!(series.push(4, 0, 1.0, RULE));
    assert!(series.histograms().is_none());
    let kinds: Vec<_> = series.sealed().iter().map(|c| (c.encoding, c.min_ms, c.max_ms)).collect();
    assert_eq!(kinds, [(Encoding::Xor, 1, 1), (Encoding::FloatHistogram, 2, 3)]);
    assert_eq!((series.first_ms(), series.last_ms(), series.drop_before(4)), (1, 4, 2));
    assert_eq!(series.first_ms(), 4);
}

#[test]
fn start_timestamps_need_a_chunk_that_keeps_them() {
    let xor2 = CutRule { floats: FloatEncoding::Xor2, ..RULE };
    let mut series = Series::new(0);
    // XOR drops them; the switch to XOR2 alone begins no chunk, a start timestamp does.
    let begun = [(1, 5, RULE), (2, 5, RULE), (3, 0, xor2), (4, 5, xor2), (5, 5, xor2)];
    let begun = begun.map(|(t_ms, start_ms, rule)| series.push(t_ms, start_ms, 1.0, rule));
    assert_eq!(begun, [true, false, false, true, false]);
    assert_eq!((series.sealed().len(), series.open.last_start_ms()), (1, 5));
}
