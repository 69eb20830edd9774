//! A slow, plain evaluator as oracle: random queries over random data, the engine against `twin/`.
//!
//! Data: floats with gaps, resets, repeated values, NaN, infinities, staleness markers, start times; native histograms of several schemas
//! and with custom buckets; classic ones; series that change between floats and histograms. Queries: instant and range, with delayed name
//! removal and without, nested up to three deep. Each case has a number, which is its seed. `NARTHEX_TWIN_CASES=200000` runs more of
//! them, `NARTHEX_TWIN_FROM=n` begins at case n (one case: with `NARTHEX_TWIN_CASES=1`).
#![expect(clippy::unwrap_used, reason = "a test that cannot run its query fails")]

mod twin;

use std::collections::BTreeMap;

use narthex_model::Labels;
use narthex_promql::engine::{Engine, EngineOptions, Features, QueryOptions, Value};
use narthex_promql::parser::{ParseOptions, parse};
use narthex_promql::script::MemoryStorage;
use twin::data::{random_storage, read_all};
use twin::eval::{Rules, Twin};
use twin::generate::{Generator, Language};
use twin::random::Random;
use twin::{compare, eval, prometheus};

/// Queries over one set of data; making data costs more than a query.
const QUERIES_OF_DATA: u64 = 25;
const CASES: u64 = 3_000;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

fn engine_of(rules: &Rules, threads: usize) -> Engine {
    let features = Features {
        parse: ParseOptions::all(),
        delayed_name_removal: rules.delayed_names,
        type_and_unit_labels: false,
        use_start_timestamps: rules.use_starts,
        per_step_stats: false,
    };
    Engine::new(EngineOptions {
        lookback_ms: rules.lookback_ms,
        default_subquery_step_ms: rules.subquery_step_ms,
        threads,
        features,
        ..EngineOptions::default()
    })
}

fn random_rules(random: &mut Random) -> Rules {
    let start_ms = random.below(400_000) as i64 + *random.pick(&[0, 0, 137]);
    let step_ms = *random.pick(&[0, 15_000, 30_000, 60_000, 7_000, 200_000]);
    let steps = if step_ms == 0 { 0 } else { random.below(9) as i64 };
    Rules {
        start_ms,
        end_ms: start_ms + steps * step_ms,
        step_ms,
        lookback_ms: *random.pick(&[300_000, 300_000, 40_000]),
        subquery_step_ms: *random.pick(&[60_000, 20_000]),
        delayed_names: random.chance(50),
        use_starts: random.chance(50),
    }
}

/// What the engine and the twin say to one query, and how they differ.
fn compare_one(storage: &MemoryStorage, twin: &Twin<'_>, query: &str) -> Option<String> {
    let rules = &twin.rules;
    let engine = engine_of(rules, 1);
    let options = QueryOptions::default();
    let expr = parse(query, &ParseOptions::all()).unwrap_or_else(|e| panic!("{query}: {e}"));
    let ours = if rules.step_ms == 0 {
        engine.instant(storage, query, rules.start_ms, &options)
    } else {
        engine.range(storage, query, rules.start_ms, rules.end_ms, rules.step_ms, &options)
    };
    match (ours, twin.query(&expr)) {
        (Ok(ours), Ok(theirs)) => {
            compare::difference(&compare::of_engine(&ours.value), &compare::of_twin(theirs))
        }
        (Err(_), Err(_)) => None,
        (Err(ours), Ok(_)) => Some(format!("the engine alone refuses: {ours}")),
        (Ok(_), Err(theirs)) => Some(format!("the twin alone refuses: {theirs}")),
    }
}

#[test]
fn random_queries_agree_with_the_plain_twin() {
    let from = number("NARTHEX_TWIN_FROM", 0);
    let cases = from..from + number("NARTHEX_TWIN_CASES", CASES);
    println!("cases {cases:?}; one of them again: NARTHEX_TWIN_FROM=n NARTHEX_TWIN_CASES=1");
    let (mut wrong, mut refused, mut empty) = (Vec::new(), 0, 0);
    let mut of_data: Option<(u64, Rules, MemoryStorage, Vec<twin::data::Series>)> = None;
    for case in cases {
        let seed = case / QUERIES_OF_DATA;
        if of_data.as_ref().is_none_or(|(of, ..)| *of != seed) {
            let mut random = Random::new(seed);
            let rules = random_rules(&mut random);
            let storage = random_storage(&mut random, rules.use_starts);
            let data = read_all(&storage);
            of_data = Some((seed, rules, storage, data));
        }
        let (_, rules, storage, data) = of_data.as_ref().unwrap();
        let mut random = Random::new(case.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let language = Language { experimental: true, histograms: random.chance(60), newest: true };
        let query = Generator { random: &mut random, language }.query();
        let twin = Twin { data, rules: *rules };
        let answer = parse(&query, &ParseOptions::all()).map(|e| twin.query(&e));
        refused += u64::from(matches!(answer, Ok(Err(_))));
        empty += u64::from(
            matches!(&answer, Ok(Ok(v)) if v.iter().all(|(_, v): &(i64, eval::Vector)| v.is_empty())),
        );
        if let Some(difference) = compare_one(storage, &twin, &query) {
            wrong.push(format!("case {case}: {query}\n    {rules:?}\n    {difference}"));
        }
    }
    println!("{refused} refused, {empty} empty");
    wrong.iter().take(20).for_each(|w| println!("{w}"));
    assert!(wrong.is_empty(), "{} cases differ", wrong.len());
}

/// Random queries that 3.5.3 and 3.14 answer alike, over one set of data, against a real Prometheus.
#[test]
fn random_queries_agree_with_a_real_prometheus() {
    let Some(peer) = prometheus::peer() else { return };
    let seed = number("NARTHEX_PEER_SEED", 1);
    println!("data and queries of seed {seed}; others: NARTHEX_PEER_SEED=n");
    let mut random = Random::new(seed);
    let data = prometheus::floats(read_all(&random_storage(&mut random, false)));
    let storage = prometheus::storage_of(&data);
    let language = Language { experimental: false, histograms: false, newest: false };
    let mut queries = Vec::new();
    for _ in 0..number("NARTHEX_PEER_QUERIES", 1_000) {
        let rules = random_rules(&mut random);
        let text = Generator { random: &mut random, language }.query();
        let range = vec![rules.start_ms, rules.end_ms, rules.step_ms];
        queries.push((text, if rules.step_ms == 0 { vec![rules.start_ms] } else { range }));
    }
    let answers = prometheus::ask(&peer, &data, &queries);
    let engine = engine(1);
    let mut wrong = Vec::new();
    for ((text, times), theirs) in queries.iter().zip(&answers) {
        let options = QueryOptions::default();
        let ours = match times[..] {
            [start, end, step] => engine.range(&storage, text, start, end, step, &options),
            _ => engine.instant(&storage, text, times[0], &options),
        };
        let difference = match (ours, theirs["status"] == "success") {
            (Ok(ours), true) => prometheus::difference(&ours.value, &theirs["data"]),
            (Err(_), false) => None,
            (Err(ours), true) => Some(format!("the engine alone refuses: {ours}")),
            (Ok(_), false) => Some(format!("the real server alone refuses: {}", theirs["error"])),
        };
        wrong.extend(difference.map(|d| format!("{text} {times:?}\n    {d}")));
    }
    wrong.iter().take(20).for_each(|w| println!("{w}"));
    assert!(wrong.is_empty(), "{} of {} answers differ", wrong.len(), queries.len());
}

type Samples = Vec<(i64, f64)>;

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

fn engine(threads: usize) -> Engine {
    Engine::new(EngineOptions { threads, ..EngineOptions::default() })
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
