//! When a sample fits, when it begins a chunk, and what the chunk's header then says.

use super::*;

/// A histogram with counts in positive buckets, the zero count and the schema.
fn histogram(counts: &[(i32, u64)], zero_count: u64) -> Histogram {
    let (positive_spans, positive_buckets) = spans_and_deltas(counts);
    Histogram {
        schema: 1,
        zero_count,
        count: counts.iter().map(|(_, count)| count).sum::<u64>() + zero_count,
        sum: 1.5,
        positive_spans,
        positive_buckets,
        ..Histogram::default()
    }
}

fn stale() -> Histogram {
    Histogram { sum: STALE_NAN, ..Histogram::default() }
}

fn gauge(histogram: Histogram) -> Histogram {
    Histogram { counter_reset_hint: CounterResetHint::Gauge, ..histogram }
}

/// Pushes `next` behind `first`, as integers and as floats: what became of it, and what header a chunk cut before it has.
#[track_caller]
fn check(
    first: &Histogram,
    next: &Histogram,
    ints: (Pushed, CounterResetHint),
    floats: (Pushed, CounterResetHint),
) {
    let header = OpenHistogramChunk::first_header(first);
    let mut chunk = OpenHistogramChunk::begin(header, false, (1, 0), first);
    let after = chunk.header_after(next);
    assert_eq!((chunk.push(2, 0, next), after), ints, "integers");
    let (first, next) = (first.to_float(), next.to_float());
    let mut chunk = OpenFloatHistogramChunk::begin(header, false, (1, 0), &first);
    let after = chunk.header_after(&next);
    assert_eq!((chunk.push(2, 0, &next), after), floats, "floats");
}

/// As [`check`], when both kinds do the same.
#[track_caller]
fn check_both(first: &Histogram, next: &Histogram, pushed: Pushed, after: CounterResetHint) {
    check(first, next, (pushed, after), (pushed, after));
}

use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
use Pushed::{NewChunk, Recoded, Taken};

#[test]
fn counters_that_grow_share_a_chunk() {
    let first = histogram(&[(1, 3), (2, 4)], 1);
    check_both(&first, &histogram(&[(1, 3), (2, 5)], 1), Taken, NotReset);
    check_both(&first, &histogram(&[(1, 3), (2, 4), (7, 1)], 2), Recoded, NotReset);
    check_both(&histogram(&[(1, 0), (2, 4)], 1), &histogram(&[(2, 4)], 1), Taken, NotReset);
    check_both(&histogram(&[(1, 0), (2, 4)], 1), &histogram(&[(2, 4), (9, 1)], 1), Recoded, NotReset);
}

#[test]
fn a_count_that_falls_begins_a_chunk() {
    let first = histogram(&[(1, 3), (2, 4)], 2);
    for next in [
        histogram(&[(1, 2), (2, 9)], 2),
        histogram(&[(1, 3)], 9),
        histogram(&[(1, 3), (2, 9)], 1),
        histogram(&[(1, 0)], 0),
        Histogram { counter_reset_hint: Reset, ..histogram(&[(1, 3), (2, 5)], 2) },
    ] {
        check_both(&first, &next, NewChunk(Reset), Reset);
    }
}

#[test]
fn another_layout_begins_a_chunk_of_which_nothing_is_known() {
    let first = histogram(&[(1, 3)], 0);
    for next in [
        Histogram { schema: 2, ..histogram(&[(1, 4)], 0) },
        Histogram { zero_threshold: 0.5, ..histogram(&[(1, 4)], 0) },
    ] {
        // Floats that follow say "no reset" without having looked, as in Prometheus.
        check(&first, &next, (NewChunk(Unknown), Unknown), (NewChunk(Unknown), NotReset));
    }
    let custom = |bound: f64| Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        custom_values: vec![bound],
        ..histogram(&[(0, 3)], 0)
    };
    check_both(&custom(1.0), &custom(2.0), NewChunk(Reset), Reset);
    check_both(&custom(1.0), &custom(1.0), Taken, NotReset);
    check_both(&gauge(custom(1.0)), &gauge(custom(2.0)), NewChunk(Gauge), Gauge);
}

#[test]
fn gauges_may_fall_but_stay_among_themselves() {
    let first = gauge(histogram(&[(1, 3), (5, 4)], 2));
    check_both(&first, &gauge(histogram(&[(1, 1), (5, 1)], 0)), Taken, Gauge);
    check_both(&first, &gauge(histogram(&[(1, 1)], 0)), Taken, Gauge);
    check_both(&first, &gauge(histogram(&[(3, 1)], 0)), Recoded, Gauge);
    check_both(&histogram(&[(1, 1)], 0), &first, NewChunk(Gauge), Gauge);
    let counter = histogram(&[(1, 9), (5, 9)], 9);
    check(&first, &counter, (NewChunk(NotReset), NotReset), (NewChunk(Unknown), NotReset));
}

#[test]
fn behind_a_stale_marker_only_stale_markers_fit() {
    check_both(&histogram(&[(1, 3)], 0), &stale(), Taken, NotReset);
    check_both(&stale(), &stale(), Taken, NotReset);
    check(&stale(), &histogram(&[(1, 3)], 0), (NewChunk(Unknown), Unknown), (NewChunk(Unknown), NotReset));
    check_both(&gauge(stale()), &gauge(histogram(&[(1, 3)], 0)), NewChunk(Gauge), Gauge);
}

#[test]
fn hints_are_told_again_as_far_as_they_are_certain() {
    let samples = |hint| {
        let grow = |_| (1000, 0, Step::Grow(vec![(3, 1)]));
        series(0, false, hint, (0..3).map(grow).collect())
    };
    for (given, told) in [
        (Unknown, [Unknown, NotReset, NotReset]),
        (NotReset, [Unknown, NotReset, NotReset]),
        (Gauge, [Gauge, Gauge, Gauge]),
        // Each begins a chunk; what a chunk's header says is not told, as the chunk before may be another by now.
        (Reset, [Unknown, Unknown, Unknown]),
    ] {
        let mut batch = SampleBatch::default();
        for chunk in build(&samples(given), false, 120) {
            decode(chunk.encoding, &chunk.bytes, i64::MIN, i64::MAX, &mut batch).unwrap();
        }
        let hints: Vec<_> = batch.histograms.iter().map(|h| h.counter_reset_hint).collect();
        assert_eq!(hints, told, "{given:?}");
    }
}

#[test]
fn the_newest_sample_is_known_to_the_bit_but_for_empty_buckets() {
    let first = histogram(&[(1, 3), (2, 0)], 1);
    let chunk = OpenHistogramChunk::begin(Unknown, false, (1, 0), &first);
    assert!(chunk.last_is(&first) && chunk.last_is(&histogram(&[(1, 3)], 1)));
    assert!(chunk.last_is(&gauge(first.clone())));
    for other in [
        histogram(&[(1, 3), (2, 1)], 1),
        histogram(&[(2, 3)], 1),
        histogram(&[(1, 3)], 2),
        Histogram { sum: -0.0, ..first.clone() },
        Histogram { schema: 0, ..first.clone() },
        stale(),
    ] {
        assert!(!chunk.last_is(&other), "{other:?}");
    }
}

#[test]
fn a_chunk_is_full_when_its_header_can_count_no_further() {
    let mut chunk = OpenHistogramChunk::begin(Unknown, true, (0, 0), &stale());
    let taken = (1..).take_while(|t_ms| chunk.push(*t_ms, 0, &stale()) == Taken).count();
    assert_eq!((taken, chunk.samples()), (0x3ffe, 0x3fff));
    assert_eq!(crate::sample_count(chunk.encoding(), &chunk.seal().bytes), Some(0x3fff));
}
