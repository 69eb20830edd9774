//! What it costs to parse, check and print a query, apart from evaluating it.
//!
//! Isolates: lexer, parser and type check; then the printer. Data: five queries as dashboards send them, 20 to 370 bytes.
//! Run: `cargo bench -p narthex-promql --bench parse`; without `--bench` it runs tiny, as a test.
//! Baseline: one allocated string a word of the query, about the least that a tree can cost. The checksum is the number of
//! bytes of the printed forms.

use std::hint::black_box;
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
