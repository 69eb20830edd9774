//! What it costs to write a query's result as JSON.
//!
//! Isolates the writer: no query, no HTTP, no compression. Data: 200 series × 1,000 points; whole counters, measured values with
//! some digits, and ratios with all 17 digits. The baseline formats each point with std's `{}`.
//! Run: `cargo bench -p narthex-web --bench answer`. Without `--bench` it runs once, as a test.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use narthex_model::Labels;
use narthex_promql::engine::{Matrix, MatrixSeries, Value};

const SERIES: usize = 200;
const POINTS: usize = 1_000;

/// The value of point `i`.
type Kind = fn(u64) -> f64;

fn matrix(value: impl Fn(u64) -> f64) -> Value {
    let one = |s: usize| {
        let labels = Labels::from_pairs([
            ("__name__", "requests_total"),
            ("job", "api"),
            ("instance", &format!("host-{s}:9090")),
        ]);
        let t_ms = (0..POINTS).map(|p| 1_700_000_000_000 + p as i64 * 15_000).collect();
        let values = (0..POINTS).map(|p| value((s * POINTS + p) as u64)).collect();
        MatrixSeries::from_points(labels, t_ms, values)
    };
    Value::Matrix(Matrix { series: (0..SERIES).map(one).collect() })
}

/// The points alone, by std.
fn baseline(value: &Value) -> usize {
    let Value::Matrix(matrix) = value else { return 0 };
    let mut out = String::new();
    for (t_ms, v) in matrix.series.iter().flat_map(MatrixSeries::floats) {
        write!(out, "[{},\"{v}\"],", t_ms as f64 / 1000.0).expect("a string takes everything");
    }
    out.len()
}

/// The fastest of some runs, in nanoseconds a point, and what it gave.
fn fastest(runs: usize, work: impl Fn() -> usize) -> (f64, usize) {
    let mut best = (f64::INFINITY, 0);
    for _ in 0..runs {
        let began = Instant::now();
        let bytes = black_box(work());
        best = (best.0.min(began.elapsed().as_nanos() as f64 / (SERIES * POINTS) as f64), bytes);
    }
    best
}

fn main() {
    let runs = if std::env::args().any(|a| a == "--bench") { 20 } else { 1 };
    let kinds: [(&str, Kind); 3] = [
        ("counters", |i| (i * 37) as f64),
        ("measured", |i| (i * 7919 % 1_000_003) as f64 / 1000.0),
        ("ratios", |i| (i + 1) as f64 / (i * 3 + 7) as f64),
    ];
    for (name, of) in kinds {
        let value = matrix(of);
        let (ours, bytes) = fastest(runs, || narthex_web::value_json(&value).len());
        let (std, _) = fastest(runs, || baseline(&value));
        println!("{name}: {ours:.1} ns a point, {:.2} of std's {std:.1} ns; {bytes} bytes", ours / std);
    }
}
