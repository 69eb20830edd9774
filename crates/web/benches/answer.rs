//! What it costs to write a query's result as JSON.
//!
//! Isolates the writer: no query, no HTTP; each piece of the text is dropped when it is full, as it is after it was sent. Then the
//! same once more as gzip: what compression adds for each MB of text, and how many times smaller it gets.
//! Data: 1,000 series × 1,000 points; whole counters, measured values with some digits, ratios with all 17 digits, values that
//! stay the same, nanoseconds since 1970, shares so small that they need an exponent, quotients that are no number now and then, on
//! the steps of a range query and once with times of their own. Native histograms: 100 series × 100 points with 20 buckets in use.
//! The baseline formats each point with std's `{}`, of a histogram its bounds and counts.
//! Run: `cargo bench -p narthex-web --bench answer`. Without `--bench` it runs once, tiny, as a test. The checksum is that of the text.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use narthex_model::{FloatHistogram, Labels, Span};
use narthex_promql::engine::{Mask, Matrix, MatrixSeries, Steps, Value, histogram_buckets};

const POINTS: usize = 1_000;

/// The value of point `i`.
type Kind = fn(u64) -> f64;

fn matrix(series: usize, stored: bool, value: impl Fn(u64) -> f64) -> Value {
    let steps = Steps { start_ms: 1_700_000_000_000, step_ms: 15_000, count: POINTS };
    let one = |s: usize| {
        let labels = Labels::from_pairs([
            ("__name__", "requests_total"),
            ("job", "api"),
            ("instance", &format!("host-{s}:9090")),
        ]);
        let values = (0..POINTS).map(|p| value((s * POINTS + p) as u64)).collect();
        match stored {
            false => MatrixSeries::on_steps(labels, steps, values, Mask::all(POINTS)),
            true => MatrixSeries::from_points(labels, steps.times().map(|t| t + s as i64).collect(), values),
        }
    };
    Value::Matrix(Matrix { series: (0..series).map(one).collect() })
}

/// Request durations: 20 of the buckets that are 9 % wide, each with its own rate.
fn histogram(i: u64) -> FloatHistogram {
    let rate = |bucket: u64| (bucket * 7919 + i) as f64 / 60.0;
    FloatHistogram {
        schema: 3,
        zero_threshold: 1e-128,
        count: 20.0 * rate(10),
        sum: 0.123 * rate(200),
        positive_spans: vec![Span { offset: -30, length: 12 }, Span { offset: 2, length: 8 }],
        positive_buckets: (0..20).map(rate).collect(),
        ..FloatHistogram::default()
    }
}

fn histograms(series: usize) -> Value {
    let points = series.min(100);
    let one = |s: usize| {
        let labels =
            Labels::from_pairs([("__name__", "request_seconds"), ("instance", &format!("host-{s}:9090"))]);
        let point =
            |p: usize| (1_700_000_000_000 + 15_000 * p as i64, Arc::new(histogram((s * points + p) as u64)));
        MatrixSeries::from_histograms(labels, (0..points).map(point).collect())
    };
    Value::Matrix(Matrix { series: (0..points).map(one).collect() })
}

/// The points alone, by std.
fn baseline(value: &Value) -> usize {
    const TAKES_ALL: &str = "a string takes everything";
    let Value::Matrix(matrix) = value else { return 0 };
    let mut out = String::new();
    for (t_ms, v) in matrix.series.iter().flat_map(MatrixSeries::floats) {
        write!(out, "[{},\"{v}\"],", t_ms as f64 / 1000.0).expect(TAKES_ALL);
    }
    for (t_ms, h) in matrix.series.iter().flat_map(MatrixSeries::histograms) {
        write!(out, "[{},\"{}\",\"{}\",", *t_ms as f64 / 1000.0, h.count, h.sum).expect(TAKES_ALL);
        for b in histogram_buckets(h) {
            write!(out, "[0,\"{}\",\"{}\",\"{}\"],", b.lower, b.upper, b.count).expect(TAKES_ALL);
        }
    }
    out.len()
}

/// The fastest of some runs, in seconds, and what it gave.
fn fastest<T>(runs: usize, work: impl Fn() -> T) -> (f64, T) {
    let run = |_| {
        let began = Instant::now();
        let gave = black_box(work());
        (began.elapsed().as_secs_f64(), gave)
    };
    (0..runs)
        .map(run)
        .reduce(|best, now| if now.0 < best.0 { now } else { best })
        .expect("there is one run at least")
}

/// Bytes and a checksum of the text.
fn digest(value: &Value) -> (usize, u64) {
    let mut digest = (0, 0u64);
    narthex_web::value_json(value, |piece| {
        digest.0 += piece.len();
        digest.1 = piece.iter().fold(digest.1, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte));
    });
    digest
}

/// Measures one value and prints a line.
fn report(name: &str, runs: usize, points: usize, value: &Value) {
    let points = points as f64;
    let (ours, bytes) = fastest(runs, || {
        let mut bytes = 0;
        narthex_web::value_json(value, |piece| bytes += black_box(piece).len());
        bytes
    });
    let (squeezed, small) = fastest(runs.min(3), || {
        let mut bytes = 0;
        narthex_web::value_gzip(value, |piece| bytes += black_box(piece).len());
        bytes
    });
    let (std, _) = fastest(runs.min(3), || baseline(value));
    let (_, checksum) = digest(value);
    println!(
        "{name}: {:.0} MB/s, {:.1} ns a point, {:.2} of std's {:.1} ns; {bytes} bytes, checksum {checksum:016x}; \
         gzip {:.1} ms/MB more, {:.2} times smaller",
        bytes as f64 / ours / 1e6,
        ours * 1e9 / points,
        ours / std,
        std * 1e9 / points,
        (squeezed - ours) * 1e9 / bytes as f64,
        bytes as f64 / small as f64
    );
}

fn main() {
    let full = std::env::args().any(|a| a == "--bench");
    let (runs, series) = if full { (10, 1_000) } else { (1, 3) };
    let measured: Kind = |i| (i * 7919 % 1_000_003) as f64 / 1000.0;
    let quotient: Kind = |i| (i % 3) as f64 / (i / 3 % 2) as f64;
    let kinds: [(&str, bool, Kind); 8] = [
        ("counters", false, |i| (i * 37) as f64),
        ("measured", false, measured),
        ("measured, as stored", true, measured),
        ("ratios", false, |i| (i + 1) as f64 / (i * 3 + 7) as f64),
        ("constant", false, |i| (i / POINTS as u64) as f64 * 0.1),
        ("nanoseconds", false, |i| 1.7e18 + (i * 15_000_000_123) as f64),
        ("tiny", false, |i| (i + 1) as f64 * 1e-14 / 3.0),
        ("quotients", false, quotient),
    ];
    for (name, stored, of) in kinds {
        report(name, runs, series * POINTS, &matrix(series, stored, of));
    }
    let points = series.min(100);
    report("histograms", runs, points * points, &histograms(series));
}
