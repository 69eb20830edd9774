//! Samples by step, as the API tells them with `stats=all`: the numbers of Prometheus' own table, and what must hold of any query.
#![expect(clippy::unwrap_used, reason = "a test that cannot run its query fails")]

use narthex_promql::engine::{Engine, EngineOptions, Features, QueryOptions, QueryStats};
use narthex_promql::parser::ParseOptions;
use narthex_promql::script::MemoryStorage;
use narthex_promql::series_desc::parse_series;

/// The data of the table: a sample each 10 s from 0 to 1000 s. A histogram weighs as much as 13 floats.
const SERIES: [&str; 5] = [
    "metricWith1SampleEvery10Seconds 1+1x100",
    "metricWith3SampleEvery10Seconds{a=\"1\",b=\"1\"} 1+1x100",
    "metricWith3SampleEvery10Seconds{a=\"2\",b=\"2\"} 1+1x100",
    "metricWith3SampleEvery10Seconds{a=\"3\",b=\"2\"} 1+1x100",
    "metricWith1HistogramEvery10Seconds{} {{schema:1 count:5 sum:20 buckets:[1 2 1 1]}}x100",
];

fn storage() -> MemoryStorage {
    let mut storage = MemoryStorage::new();
    for line in SERIES {
        let series = parse_series(line, &|_, _, _| Err("no histogram is added here".to_owned())).unwrap();
        for (i, value) in series.values.iter().enumerate() {
            storage.add(&series.labels, i as i64 * 10_000, value, 0);
        }
    }
    storage
}

fn engine(per_step_stats: bool) -> Engine {
    let features = Features { parse: ParseOptions::all(), per_step_stats, ..Features::default() };
    Engine::new(EngineOptions { threads: 1, features, ..EngineOptions::default() })
}

fn stats(engine: &Engine, query: &str, (start, end, step): (i64, i64, i64)) -> QueryStats {
    let options = QueryOptions { per_step_stats: true, ..QueryOptions::default() };
    let output = match step {
        0 => engine.instant(&storage(), query, start * 1000, &options),
        _ => engine.range(&storage(), query, start * 1000, end * 1000, step * 1000, &options),
    };
    output.unwrap_or_else(|e| panic!("{query}: {e}")).stats
}

fn texts(counts: &[u64]) -> String {
    counts.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_table_of_prometheus_holds() {
    let (engine, plain) = (engine(true), engine(false));
    let mut wrong = Vec::new();
    for line in include_str!("step_stats.tsv").lines().filter(|l| !l.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let number = |at: usize| fields[at].parse::<i64>().unwrap();
        let stats = stats(&engine, fields[0], (number(1), number(2), number(3)));
        let by_step = stats.by_step.unwrap();
        let got = (texts(&by_step.total_queryable), texts(&by_step.read));
        if got != (fields[4].to_owned(), fields[5].to_owned()) {
            wrong.push(format!("{line}\n  got {got:?}"));
        }
        // What is counted on the way is the same, but that steps of a subquery which no window holds are read all the same.
        let sums = (by_step.total_queryable.iter().sum::<u64>(), by_step.read.iter().sum::<u64>());
        let on_the_way = self::stats(&plain, fields[0], (number(1), number(2), number(3))).samples;
        let has_gaps =
            line.starts_with("max_over_time(metricWith1SampleEvery10Seconds[30s:10s])\t201\t261\t60");
        if sums.0 != on_the_way.total_queryable || (sums.1 != on_the_way.read && !has_gaps) {
            wrong.push(format!("{line}\n  sums {sums:?}, counted on the way {on_the_way:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nothing_is_counted_unless_both_the_server_and_the_query_want_it() {
    assert!(stats(&engine(false), "metricWith1SampleEvery10Seconds", (10, 10, 0)).by_step.is_none());
    let output = engine(true).instant(&storage(), "1", 0, &QueryOptions::default()).unwrap();
    assert!(output.stats.by_step.is_none());
}
