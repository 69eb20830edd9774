//! Slow plain twins as oracles: every range function and aggregation step by step over plain lists, against the engine.
//!
//! The twin looks at each step by itself: it filters all samples of a series by the window's edges and computes from the list. Data is
//! random (seeds are printed): gaps, resets, repeated values, NaN, infinities, staleness markers, windows that overlap or
//! leave gaps. Results must agree to the last bit, with one thread and with several.
#![expect(clippy::unwrap_used, reason = "a test that cannot run its query fails")]

use std::collections::BTreeMap;

use narthex_model::{Labels, STALE_NAN, is_stale};
use narthex_promql::engine::{Engine, EngineOptions, Features, QueryOptions, Value};
use narthex_promql::parser::ParseOptions;
use narthex_promql::script::MemoryStorage;
use proptest::prelude::*;

type Samples = Vec<(i64, f64)>;

/// The samples of one window: `(from, to]`, without staleness markers.
fn window(samples: &Samples, from: i64, to: i64) -> Samples {
    samples.iter().copied().filter(|(t, v)| *t > from && *t <= to && !is_stale(*v)).collect()
}

/// A compensated sum, written down straight.
fn kahan(values: impl Iterator<Item = f64>, mut sum: f64) -> (f64, f64) {
    let mut c = 0.0;
    for v in values {
        let t = sum + v;
        if t.is_infinite() {
            c = 0.0;
        } else if sum.abs() >= v.abs() {
            c += (sum - t) + v;
        } else {
            c += (v - t) + sum;
        }
        sum = t;
    }
    (sum, c)
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    values
}

fn quantile(q: f64, values: Vec<f64>) -> f64 {
    let values = sorted(values);
    let rank = q * (values.len() as f64 - 1.0);
    let (low, high) = (rank.floor() as usize, (rank.floor() as usize + 1).min(values.len() - 1));
    values[low] * (1.0 - (rank - rank.floor())) + values[high] * (rank - rank.floor())
}

fn rate(w: &Samples, from: i64, to: i64, is_counter: bool, is_rate: bool) -> Option<f64> {
    if w.len() < 2 {
        return None;
    }
    let (first, last) = (w[0], w[w.len() - 1]);
    let mut increase = last.1 - first.1;
    if is_counter {
        for pair in w.windows(2) {
            if pair[1].1 < pair[0].1 {
                increase += pair[0].1;
            }
        }
    }
    let sampled = (last.0 - first.0) as f64 / 1000.0;
    let average = sampled / (w.len() - 1) as f64;
    let mut left = (first.0 - from) as f64 / 1000.0;
    let mut right = (to - last.0) as f64 / 1000.0;
    if left >= average * 1.1 {
        left = average / 2.0;
    }
    if is_counter && increase > 0.0 && first.1 >= 0.0 {
        let zero = sampled * (first.1 / increase);
        if zero < left {
            left = zero;
        }
    }
    if right >= average * 1.1 {
        right = average / 2.0;
    }
    let mut factor = (sampled + left + right) / sampled;
    if is_rate {
        factor /= ((to - from) / 1000) as f64;
    }
    Some(increase * factor)
}

/// What a function over a range gives for one window; `None` for no sample.
fn over_range(function: &str, w: &Samples, from: i64, to: i64) -> Option<f64> {
    let values: Vec<f64> = w.iter().map(|(_, v)| *v).collect();
    let (first, last) = (*w.first()?, *w.last()?);
    let extreme = |better: fn(f64, f64) -> bool| {
        values.iter().copied().reduce(|a, b| if better(b, a) || a.is_nan() { b } else { a })
    };
    let pairs = || values.windows(2);
    match function {
        "rate" => rate(w, from, to, true, true),
        "increase" => rate(w, from, to, true, false),
        "delta" => rate(w, from, to, false, false),
        "irate" | "idelta" => {
            let before = w.len().checked_sub(2).map(|i| w[i])?;
            let change = last.1 - before.1;
            if function == "idelta" {
                return Some(change);
            }
            let change = if last.1 < before.1 { last.1 } else { change };
            Some(change / ((last.0 - before.0) as f64 / 1000.0))
        }
        "resets" => Some(pairs().filter(|p| p[1] < p[0]).count() as f64),
        "changes" => {
            Some(pairs().filter(|p| p[0] != p[1] && !(p[0].is_nan() && p[1].is_nan())).count() as f64)
        }
        "sum_over_time" => {
            let (sum, c) = kahan(values.iter().copied(), 0.0);
            Some(if sum.is_infinite() { sum } else { sum + c })
        }
        "count_over_time" => Some(w.len() as f64),
        "min_over_time" => extreme(|a, b| a < b),
        "max_over_time" => extreme(|a, b| a > b),
        "last_over_time" => Some(last.1),
        "first_over_time" => Some(first.1),
        "present_over_time" => Some(1.0),
        "quantile_over_time" => Some(quantile(0.3, values)),
        "ts_of_last_over_time" => Some(last.0 as f64 / 1000.0),
        _ => unreachable!("no twin of {function}"),
    }
}

/// What an aggregation gives for the values of one group at one step, in the order of the series.
fn aggregate(function: &str, values: &[f64]) -> f64 {
    let extreme = |better: fn(f64, f64) -> bool| {
        let best = values.iter().copied().reduce(|a, b| if better(b, a) || a.is_nan() { b } else { a });
        best.unwrap()
    };
    match function {
        "sum" => {
            let (sum, c) = kahan(values[1..].iter().copied(), values[0]);
            sum + c
        }
        "count" => values.len() as f64,
        "min" => extreme(|a, b| a < b),
        "max" => extreme(|a, b| a > b),
        "quantile" => quantile(0.3, values.to_vec()),
        _ => unreachable!("no twin of {function}"),
    }
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (0u32..1000).prop_map(f64::from),
        4 => -1e6..1e6f64,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(STALE_NAN),
        1 => Just(1e300),
    ]
}

fn samples() -> impl Strategy<Value = Samples> {
    prop::collection::vec((1i64..40_000, value()), 0..60).prop_map(|steps| {
        let mut t = 0;
        let mut add = |(gap, v)| {
            t += gap;
            (t, v)
        };
        steps.into_iter().map(&mut add).collect()
    })
}

fn engine(threads: usize) -> Engine {
    let parse = ParseOptions::all();
    let features = Features { parse, ..Features::default() };
    Engine::new(EngineOptions { threads, features, ..EngineOptions::default() })
}

fn store(series: &[Samples]) -> MemoryStorage {
    let mut storage = MemoryStorage::new();
    for (i, samples) in series.iter().enumerate() {
        let (i, group) = (format!("{i:03}"), (i % 3).to_string());
        let labels = Labels::from_pairs([("__name__", "x_total"), ("i", &i), ("g", &group)]);
        samples.iter().for_each(|(t, v)| storage.add_float(&labels, *t, *v));
    }
    storage
}

/// The points of a range query by the label `label`, as bits.
fn ask(
    engine: &Engine,
    storage: &MemoryStorage,
    query: &str,
    step: i64,
    label: &str,
) -> BTreeMap<String, Vec<(i64, u64)>> {
    let output = engine.range(storage, query, 5_000, 1_200_000, step, &QueryOptions::default()).unwrap();
    let Value::Matrix(matrix) = output.value else { panic!("no matrix") };
    let bits = |v: f64| if v.is_nan() { u64::MAX } else { v.to_bits() };
    let series = matrix.series.iter();
    series
        .map(|s| (s.labels.value(label).to_owned(), s.floats().map(|(t, v)| (t, bits(v))).collect()))
        .collect()
}

fn steps(step: i64) -> impl Iterator<Item = i64> {
    (0..).map(move |i| 5_000 + i * step).take_while(|t| *t <= 1_200_000)
}

fn points(of: impl Iterator<Item = (i64, Option<f64>)>) -> Vec<(i64, u64)> {
    of.filter_map(|(t, v)| v.map(|v| (t, if v.is_nan() { u64::MAX } else { v.to_bits() }))).collect()
}

const RANGE_FUNCTIONS: [&str; 16] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "resets",
    "changes",
    "sum_over_time",
    "count_over_time",
    "min_over_time",
    "max_over_time",
    "last_over_time",
    "first_over_time",
    "present_over_time",
    "quantile_over_time",
    "ts_of_last_over_time",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn range_functions_agree_with_the_plain_twin(
        series in prop::collection::vec(samples(), 1..5),
        step in prop_oneof![Just(7_000i64), Just(30_000), Just(300_000)],
        range_s in prop_oneof![Just(10i64), Just(60), Just(400)],
    ) {
        let (engine, storage) = (engine(1), store(&series));
        for function in RANGE_FUNCTIONS {
            let parameter = if function == "quantile_over_time" { "0.3, " } else { "" };
            let query = format!("{function}({parameter}x_total[{range_s}s])");
            let mut expected = BTreeMap::new();
            for (i, samples) in series.iter().enumerate() {
                let at = |t: i64| {
                    let from = t - range_s * 1000;
                    (t, over_range(function, &window(samples, from, t), from, t))
                };
                let wanted = points(steps(step).map(at));
                if !wanted.is_empty() {
                    expected.insert(format!("{i:03}"), wanted);
                }
            }
            prop_assert_eq!(ask(&engine, &storage, &query, step, "i"), expected, "{}", query);
        }
    }

    #[test]
    fn aggregations_agree_with_the_plain_twin(
        series in prop::collection::vec(samples(), 1..12),
        step in prop_oneof![Just(7_000i64), Just(30_000)],
    ) {
        let (engine, storage) = (engine(1), store(&series));
        let newest = |samples: &Samples, t: i64| {
            let newest = samples.iter().rev().find(|(at, _)| *at <= t).copied();
            newest.filter(|(at, v)| *at > t - 300_000 && !is_stale(*v)).map(|(_, v)| v)
        };
        for function in ["sum", "count", "min", "max", "quantile"] {
            let parameter = if function == "quantile" { "0.3, " } else { "" };
            let query = format!("{function} by (g) ({parameter}x_total)");
            let mut expected = BTreeMap::new();
            for group in 0..3 {
                let members: Vec<&Samples> = series.iter().skip(group).step_by(3).collect();
                let at = |t: i64| {
                    let values: Vec<f64> = members.iter().filter_map(|s| newest(s, t)).collect();
                    (t, (!values.is_empty()).then(|| aggregate(function, &values)))
                };
                let wanted = points(steps(step).map(at));
                if !wanted.is_empty() {
                    expected.insert(group.to_string(), wanted);
                }
            }
            // Series are stored sorted by `g` first, within a group by `i`.
            prop_assert_eq!(ask(&engine, &storage, &query, step, "g"), expected, "{}", query);
        }
    }
}

/// A result never depends on how many threads there were, not even in its last bit.
#[test]
fn threads_change_no_bit_of_a_result() {
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let series: Vec<Samples> = (0..700)
        .map(|_| {
            (0..80)
                .map(|n| (n * 15_000, (next() % 1_000_000) as f64 / 7.0 * 10f64.powi((next() % 20) as i32)))
                .collect()
        })
        .collect();
    let storage = store(&series);
    for query in [
        "sum by (g) (rate(x_total[5m]))",
        "avg(x_total)",
        "stddev by (g) (x_total)",
        "topk by (g) (3, x_total)",
        "sum(x_total) / count(x_total)",
        "quantile(0.7, rate(x_total[2m]))",
    ] {
        let alone = ask(&engine(1), &storage, query, 5_000, "g");
        for threads in [2, 5] {
            for _ in 0..2 {
                assert_eq!(alone, ask(&engine(threads), &storage, query, 5_000, "g"), "{query}");
            }
        }
    }
}
