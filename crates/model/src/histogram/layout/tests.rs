//! Layouts against a map from bucket to count: compacting and lower resolutions change the layout, never the counts.

use std::collections::BTreeMap;

use super::*;

/// Spans and counts as text: `offset+length,… = counts`.
#[track_caller]
fn check_compact(spans: &[(i32, u32)], counts: &[i64], max_empty: u32, want: &str) {
    let mut ints = ints(2, spans, counts);
    let mut floats = ints.to_float();
    ints.compact(max_empty);
    floats.compact(max_empty);
    assert_eq!(show(&ints.to_float()), want);
    assert_eq!(show(&floats), want);
}

fn ints(schema: i32, spans: &[(i32, u32)], counts: &[i64]) -> Histogram {
    let mut buckets = counts.to_vec();
    to_deltas(&mut buckets);
    Histogram {
        schema,
        positive_spans: spans
            .iter()
            .map(|(offset, length)| Span { offset: *offset, length: *length })
            .collect(),
        positive_buckets: buckets,
        ..Histogram::default()
    }
}

fn show(h: &FloatHistogram) -> String {
    let spans: Vec<String> = h.positive_spans.iter().map(|s| format!("{}+{}", s.offset, s.length)).collect();
    format!("{} = {:?}", spans.join(","), h.positive_buckets)
}

#[test]
fn empty_buckets_go_and_short_gaps_may_stay() {
    check_compact(&[(0, 0)], &[], 0, " = []");
    check_compact(&[(-2, 2), (0, 1), (3, 1)], &[1, 2, 3, 4], 0, "-2+3,3+1 = [1.0, 2.0, 3.0, 4.0]");
    check_compact(&[(-2, 3)], &[0, 5, 0], 0, "-1+1 = [5.0]");
    check_compact(&[(1, 5)], &[1, 0, 0, 2, 0], 0, "1+1,2+1 = [1.0, 2.0]");
    check_compact(&[(1, 5)], &[1, 0, 0, 2, 0], 2, "1+4 = [1.0, 0.0, 0.0, 2.0]");
    check_compact(&[(1, 5)], &[1, 0, 0, 0, 2], 2, "1+1,3+1 = [1.0, 2.0]");
    check_compact(&[(1, 1), (2, 1)], &[1, 2], 2, "1+4 = [1.0, 0.0, 0.0, 2.0]");
    check_compact(&[(0, 5)], &[0, 0, 0, 0, 0], 2, " = []");
    // Spans that lie: nothing is touched.
    check_compact(&[(0, 5)], &[0], 0, "0+5 = [0.0]");
    check_compact(&[(0, 1), (i32::MAX, 1)], &[0, 1], 0, "0+1,2147483647+1 = [0.0, 1.0]");
}

#[track_caller]
fn check_reduce(schema: i32, spans: &[(i32, u32)], counts: &[i64], to: i32, want: &str) {
    let mut h = ints(schema, spans, counts);
    let mut floats = h.to_float();
    let got = match (h.reduce_resolution(to), floats.reduce_resolution(to)) {
        (Ok(()), Ok(())) => show(&floats),
        (Err(error), Err(other)) if error == other => error.to_string(),
        (a, b) => panic!("{a:?} and {b:?}"),
    };
    assert_eq!(got, want);
    assert_eq!(h.to_float(), floats);
}

#[test]
fn fine_buckets_merge_and_lies_are_refused() {
    check_reduce(0, &[(0, 4), (0, 0), (3, 2)], &[1, 2, 3, 4, 5, 6], -1, "0+3,1+1 = [1.0, 5.0, 4.0, 11.0]");
    check_reduce(
        1,
        &[(0, 1), (-3, 1)],
        &[1, 1],
        0,
        "span number 2 with offset -3: histogram has a span whose offset is negative",
    );
    check_reduce(
        1,
        &[(0, 3)],
        &[1, 1],
        0,
        "have 2 buckets but spans need more: histogram spans specify different number of buckets than provided",
    );
    check_reduce(
        1,
        &[(0, 1)],
        &[1, 1],
        0,
        "spans need 1 buckets, have 2 buckets: histogram spans specify different number of buckets than provided",
    );
    check_reduce(8, &[(i32::MAX, 2)], &[1, 1], 0, "buckets are further apart than a span can tell");
}

/// Buckets by index: the slow twin.
fn map(h: &FloatHistogram) -> BTreeMap<i64, f64> {
    let mut counts = h.positive_buckets.iter();
    let (mut out, mut index) = (BTreeMap::new(), 0i64);
    for span in &h.positive_spans {
        index += i64::from(span.offset);
        for _ in 0..span.length {
            *out.entry(index).or_default() += counts.next().expect("spans and buckets agree");
            index += 1;
        }
    }
    assert_eq!(counts.next(), None);
    out
}

#[test]
fn any_histogram_keeps_its_observations() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..2000 {
        let spans: Vec<(i32, u32)> = (0..random.usize(0..6))
            .map(|i| (if i == 0 { random.i32(-20..20) } else { random.i32(0..5) }, random.u32(0..6)))
            .collect();
        let counts: Vec<i64> =
            spans.iter().flat_map(|(_, n)| 0..*n).map(|_| random.i64(0..3).max(random.i64(-1..1))).collect();
        let h = ints(3, &spans, &counts);
        let before = map(&h.to_float());
        let max_empty = random.u32(0..4);
        let mut compact = h.clone();
        compact.compact(max_empty);
        let after = map(&compact.to_float());
        let full = |m: &BTreeMap<i64, f64>| {
            m.iter().filter(|(_, n)| **n != 0.0).map(|(i, n)| (*i, *n)).collect::<Vec<_>>()
        };
        assert_eq!(full(&after), full(&before), "seed {seed}");
        let gaps: Vec<i32> = compact.positive_spans.iter().skip(1).map(|s| s.offset).collect();
        assert!(gaps.iter().all(|gap| *gap as u32 > max_empty), "seed {seed}: {gaps:?}");

        let mut reduced = h.clone();
        reduced.reduce_resolution(1).expect("the spans are fine");
        let mut want = BTreeMap::<i64, f64>::new();
        before.iter().for_each(|(i, n)| *want.entry((i - 1).div_euclid(4) + 1).or_default() += n);
        assert_eq!(map(&reduced.to_float()), want, "seed {seed}");
    }
}
