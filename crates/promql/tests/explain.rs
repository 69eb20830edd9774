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

/// What the selectors of a query read, in order.
#[track_caller]
fn check_reads(query: &str, expected: &[&str]) {
    fn selectors(node: &PlanNode, out: &mut Vec<String>) {
        if matches!(node.operator, "select" | "range") && node.detail.contains('{') {
            let (from, to) = (node.detail.find('{').unwrap(), node.detail.rfind('}').unwrap());
            out.push(node.detail[from..=to].to_owned());
        }
        node.inputs.iter().for_each(|input| selectors(input, out));
    }
    let engine = Engine::new(engine_options());
    let mut got = Vec::new();
    selectors(&engine.explain(query, (0, 600_000, Some(60_000)), None).unwrap(), &mut got);
    let expected: Vec<String> = expected.iter().map(|e| e.replace('\'', "\"")).collect();
    assert_eq!(got, expected, "{query}");
}

const X: &str = "{a='1',__name__='x'}";
const Y: &str = "{__name__='y'}";
const NARROWED: &str = "{a='1',__name__='y'}";

#[test]
fn sets_are_narrowed_where_the_left_out_cannot_matter() {
    check_reads("x{a='1'} and on (a, b) y", &[X, NARROWED]);
    check_reads("y and on (a, b) x{a='1'}", &[NARROWED, X]);
    check_reads("x{a='1'} and y", &[X, NARROWED]);
    check_reads("x{a='1'} and ignoring (b) y", &[X, NARROWED]);
    check_reads("x{a='1'} unless on (a) y", &[X, NARROWED]);
    // What of the left has no partner is the result.
    check_reads("y unless on (a) x{a='1'}", &[Y, X]);
    check_reads("x{a='1'} or y", &[X, Y]);
    check_reads("x{a='1'} and on (b) y", &[X, Y]);
    check_reads("x{a='1'} and ignoring (a) y", &[X, Y]);
    check_reads(
        "x{a='1',b!~'c.*'} and on (a, b) y",
        &["{a='1',b!~'c.*',__name__='x'}", "{a='1',b!~'c.*',__name__='y'}"],
    );
    // Names and what is written already.
    check_reads("x{a='1'} and on (__name__) y", &[X, Y]);
    check_reads("x{a='1'} and y{a='1'}", &[X, NARROWED]);
}

#[test]
fn joins_are_narrowed_where_the_one_side_cannot_be_ambiguous() {
    check_reads("x{a='1'} / y", &[X, NARROWED]);
    check_reads("y / x{a='1'}", &[NARROWED, X]);
    check_reads("x{a='1'} > bool y", &[X, NARROWED]);
    check_reads("x{a='1'} * on (a) group_left () count by (a) (y)", &[X, NARROWED]);
    check_reads("count by (a) (y) * on (a, b) group_right () x{a='1'}", &[NARROWED, X]);
    check_reads("y * on (a) group_left () sum by (a) (x{a='1'})", &[NARROWED, X]);
    // Prometheus refuses two of y in a group although nothing of x is in that group.
    check_reads("x{a='1'} * on (a) y", &[X, Y]);
    check_reads("x{a='1'} * on (a) group_left () y", &[X, Y]);
    check_reads("y * on (a) x{a='1'}", &[Y, X]);
    check_reads("x{a='1'} * ignoring (b) y", &[X, Y]);
    check_reads("x{a='1'} * on (a) count by (a, b) (y)", &[X, Y]);
    check_reads("x{a='1'} * on (a) count without (b) (y)", &[X, Y]);
    check_reads("x{a='1'} / {__name__=~'y|z'}", &[X, "{__name__=~'y|z'}"]);
    // Results without a partner.
    check_reads("x{a='1'} / fill (0) y", &[X, Y]);
    check_reads("x{a='1'} / fill_left (0) y", &[X, Y]);
}

#[test]
fn matchers_pass_only_through_what_keeps_the_label_and_never_warns() {
    for quiet in [
        "abs(y)",
        "(y)",
        "-y",
        "timestamp(y)",
        "clamp(y, 0, scalar(x))",
        "count by (a) (y)",
        "group without (b) (y)",
        "count by (a) (abs(y))",
        "(y and x)",
    ] {
        let mut expected = vec![X, NARROWED];
        match quiet {
            "(y and x)" => expected.push(X),
            "clamp(y, 0, scalar(x))" => expected.push("{__name__='x'}"),
            _ => {}
        }
        check_reads(&format!("x{{a='1'}} and on (a) {quiet}"), &expected);
    }
    check_reads("x{a='1'} and on (a) last_over_time(y[5m])", &[X, NARROWED]);
    check_reads("x{a='1'} and on (a) count_over_time(y[5m:1m])", &[X, NARROWED]);
    for telling in [
        "rate(y[5m])",
        "sum by (a) (y)",
        "(y > 0)",
        "count by (b) (y)",
        "label_replace(y, 'a', '1', 'b', '.*')",
        "label_join(y, 'a', '', 'b')",
        "count_values by (a) ('v', y)",
        "count_values('a', y)",
        "absent(y)",
        "vector(scalar(y))",
        "(y or y)",
        "topk by (a) (1, y)",
        "histogram_quantile(0.9, y)",
    ] {
        let reads = 1 + usize::from(telling == "(y or y)");
        let expected = [vec![X], vec![Y; reads]].concat();
        check_reads(&format!("x{{a='1'}} and on (a) {telling}"), &expected);
    }
    // Two names could clash under the function.
    check_reads("x{a='1'} and on (a) -{__name__=~'y|z'}", &[X, "{__name__=~'y|z'}"]);
    check_reads("x{a='1'} and on (a) {__name__=~'y|z'}", &[X, "{a='1',__name__=~'y|z'}"]);
    // The label that was made is not the one that was matched.
    check_reads("label_replace(x{a='1'}, 'a', '2', '', '') and on (a) y", &[X, Y]);
    check_reads("sum by (b) (x{a='1'}) and on (a) y", &[X, Y]);
    check_reads("sum by (a) (rate(x{a='1'}[5m])) and on (a) y", &[X, NARROWED]);
    check_reads("(x{a='1'} > 0) and on (a) y", &[X, NARROWED]);
}

/// Of what is narrowed nothing else is read, and of what is not, all: with two in a group that has no partner, Prometheus refuses.
#[test]
fn narrowing_hides_no_error() {
    let engine = Engine::new(engine_options());
    let mut storage = MemoryStorage::new();
    for (name, a, b) in [("x", "1", "1"), ("y", "1", "1"), ("y", "2", "1"), ("y", "2", "2")] {
        let labels = Labels::from_pairs([("__name__", name), ("a", a), ("b", b)]);
        storage.add_float(&labels, 0, 1.0);
    }
    let ask = |query: &str| {
        let output = engine.instant(&storage, query, 0, &QueryOptions::default());
        output.map(|o| o.stats.samples.total_queryable).map_err(|e| e.to_string())
    };
    assert_eq!(ask("x{a=\"1\"} / y"), Ok(2));
    let refused = ask("x{a=\"1\"} * on (a) y").unwrap_err();
    assert!(refused.starts_with("found duplicate series for the match group {a=\"2\"}"), "{refused}");
    assert_eq!(ask("x{a=\"9\"} * on (a) y"), Ok(3), "with nothing on the left nothing is refused");
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
