//! The plan as a tree: what it says of a query, and what a watched run adds.
#![expect(clippy::unwrap_used, reason = "a test that cannot run its query fails")]

use narthex_model::Labels;
use narthex_promql::engine::{Engine, PlanNode, QueryOptions};
use narthex_promql::script::{MemoryStorage, engine_options};

fn outline(node: &PlanNode, depth: usize, out: &mut String) {
    out.push_str(&format!("{}{} {} x{}\n", "  ".repeat(depth), node.operator, node.detail, node.steps));
    node.inputs.iter().for_each(|input| outline(input, depth + 1, out));
}

#[track_caller]
fn check(query: &str, expected: &str) {
    let engine = Engine::new(engine_options());
    let plan = engine.explain(query, (0, 600_000, Some(60_000)), None).unwrap();
    let mut got = String::new();
    outline(&plan, 0, &mut got);
    assert_eq!(got.trim_end(), expected, "{query}");
}

#[test]
fn a_plan_reads_as_a_tree() {
    check(
        "sum by (job) (rate(x{a=~\"b.*\"}[5m] offset 1m)) / 2",
        "per_sample / x11\n  aggregate sum by (job) x11\n    range rate({a=~\"b.*\",__name__=\"x\"}[5m] offset 1m) x11",
    );
    check(
        "x > on (a) group_left () max_over_time(y[10m:1m])",
        "join > on (a), ManyToOne x11\n  select {__name__=\"x\"} x11\n  range max_over_time(subquery [10m]) x11\n    select {__name__=\"y\"} x20",
    );
    check("1 + 1", "scalar  x11");
}

fn storage() -> MemoryStorage {
    let mut storage = MemoryStorage::new();
    for i in 0..20 {
        let labels = Labels::from_pairs([("__name__", "x"), ("i", &i.to_string())]);
        (0..100).for_each(|t| storage.add_float(&labels, t * 10_000, t as f64));
    }
    storage
}

#[test]
fn a_watched_run_tells_series_samples_bytes_and_time_of_each_operator() {
    let engine = Engine::new(engine_options());
    let query = "count(rate(x[1m])) + count(x)";
    let options = QueryOptions { analyze: true, ..QueryOptions::default() };
    let output = engine.range(&storage(), query, 100_000, 500_000, 100_000, &options).unwrap();
    let join = output.plan.unwrap();
    assert_eq!(join.operator, "join");
    let costs = |node: &PlanNode| node.cost.map(|c| (c.series, c.samples)).unwrap();
    assert_eq!(costs(&join), (1, 5));
    for (aggregate, inner) in join.inputs.iter().zip(["range", "select"]) {
        assert_eq!((aggregate.operator, aggregate.inputs[0].operator), ("aggregate", inner));
        assert_eq!((costs(aggregate), costs(&aggregate.inputs[0])), ((1, 5), (20, 100)));
        let cost = aggregate.cost.unwrap();
        assert!(cost.bytes > 0 && !cost.time.is_zero(), "{cost:?}");
    }
    let plain = engine.range(&storage(), query, 100_000, 500_000, 100_000, &QueryOptions::default()).unwrap();
    assert!(plain.plan.is_none());
    assert_eq!(format!("{:?}", plain.value), format!("{:?}", output.value), "watching changes no result");
}

#[test]
fn what_cannot_be_planned_is_refused() {
    let engine = Engine::new(engine_options());
    let refused = engine.explain("x[5m]", (0, 60_000, Some(60_000)), None).unwrap_err();
    assert!(refused.to_string().starts_with("invalid expression type \"range vector\""), "{refused}");
}
