//! What it costs to parse, check and print a query, apart from evaluating it.
//!
//! Isolates: lexer, parser and type check; then the printer. Data: five queries as dashboards send them, 20 to 370 bytes; then all
//! queries of the conformance data that parse and all that do not, when they are there.
//! Run: `cargo bench -p narthex-promql --bench parse`; without `--bench` it runs tiny, as a test.
//! Baseline: one allocated string a word of the query, about the least that a tree can cost. The checksum is the number of
//! bytes of the printed forms; over the conformance data that of the printed forms and the texts of the errors.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use narthex_promql::parser::{ParseOptions, parse};

const QUERIES: [&str; 5] = [
    r#"up{job="prometheus"}"#,
    r#"sum by (instance) (rate(node_cpu_seconds_total{mode!="idle",instance=~"$node"}[5m]))"#,
    r#"histogram_quantile(0.99, sum by (le, route) (rate(http_request_duration_seconds_bucket{job="api",code!~"5.."}[5m])))"#,
    r#"(1 - (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)) * 100 > 90 and on (instance) up == 1"#,
    concat!(
        r#"(node_filesystem_avail_bytes{job="node",fstype!=""} / node_filesystem_size_bytes{job="node",fstype!=""} * 100 < 20 "#,
        r#"and predict_linear(node_filesystem_avail_bytes{job="node",fstype!=""}[6h], 24 * 60 * 60) < 0 "#,
        r#"and node_filesystem_readonly{job="node",fstype!=""} == 0) * on (instance) group_left (nodename) "#,
        r#"max_over_time(node_uname_info[1h:5m] offset 1d)"#
    ),
];

fn main() {
    let rounds = if std::env::args().any(|a| a == "--bench") { 20_000 } else { 3 };
    let options = ParseOptions::default();
    for query in QUERIES {
        let expr = parse(query, &options).expect("the queries are right");
        let words = nanoseconds(rounds, || {
            let words = query.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
            words.map(str::to_owned).collect::<Vec<_>>().len()
        });
        let parsed = nanoseconds(rounds, || usize::from(parse(black_box(query), &options).is_ok()));
        let printed = nanoseconds(rounds, || black_box(&expr).to_string().len());
        println!(
            "{:3} bytes: parse {parsed:6.0} ns, {:4.1} × words; print {printed:6.0} ns; checksum {}",
            query.len(),
            parsed / words,
            expr.to_string().len()
        );
    }
    for fails in [false, true] {
        corpus(fails, rounds.div_ceil(1_000));
    }
}

/// All conformance queries that parse, or all that fail.
fn corpus(fails: bool, rounds: u32) {
    let options = ParseOptions::all();
    let mut queries = conformance_queries();
    queries.retain(|query| parse(query, &options).is_err() == fails);
    if queries.is_empty() {
        return println!("SKIPPED: the conformance data is absent");
    }
    let text = |query: &String| match parse(query, &options) {
        Ok(expr) => expr.to_string(),
        Err(errors) => errors.to_string(),
    };
    let checksum: usize = queries.iter().map(|query| text(query).len()).sum();
    let all =
        nanoseconds(rounds, || queries.iter().filter(|q| parse(black_box(q), &options).is_ok()).count());
    println!(
        "{:4} conformance queries that {}: {:6.0} ns a query, {:.1} ns a byte; checksum {checksum}",
        queries.len(),
        if fails { "fail" } else { "parse" },
        all / queries.len() as f64,
        all / queries.iter().map(String::len).sum::<usize>() as f64
    );
}

/// The queries of the parser's and the printer's cases and of the `.test` files' evals; none when the data is absent.
fn conformance_queries() -> Vec<String> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("NARTHEX_SHARED").map_or_else(beside, PathBuf::from);
    let Ok(entries) = std::fs::read_dir(shared.join("conformance/promql")) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
    paths.sort();
    let mut queries = Vec::new();
    for path in paths {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        match path.extension().and_then(|e| e.to_str()) {
            Some("json") => {
                let cases: serde_json::Value = serde_json::from_str(&text).expect("cases are JSON");
                let of = |case: &serde_json::Value| case["query"].as_str().map(str::to_owned);
                queries.extend(cases.as_array().into_iter().flatten().filter_map(of));
            }
            Some("test") => queries.extend(text.lines().filter_map(eval_query)),
            _ => {}
        }
    }
    queries
}

/// The query of a line `eval instant at 5m <query>` or `eval range from 0 to 10m step 1m <query>`.
fn eval_query(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let from = match words.get(..2)? {
        ["eval", "instant"] => 4,
        ["eval", "range"] => 8,
        _ => return None,
    };
    Some(words.get(from..)?.join(" ")).filter(|query| !query.is_empty())
}

/// The time of one call, the best of five series of calls.
fn nanoseconds(rounds: u32, call: impl Fn() -> usize) -> f64 {
    let series = || {
        let start = Instant::now();
        for _ in 0..rounds {
            black_box(call());
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
    };
    (0..5).map(|_| series()).fold(f64::INFINITY, f64::min)
}
