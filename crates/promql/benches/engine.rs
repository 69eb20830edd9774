//! How long a query takes per sample that it reads, over a storage that hands out plain arrays, and over one of XOR chunks.
//!
//! Isolates: the engine without HTTP; without chunk decoding (the arrays are copied, about 1 ns a sample), and in the lines
//! "of chunks" with it: what `rate` costs a sample from the encoded bytes on.
//! Data: `series` counters in 20 jobs, a sample each 15 s for six hours, with some resets.
//! Run: `cargo bench -p narthex-promql --bench engine -- SERIES THREADS PART-OF-QUERY`, all optional. With `--test` (as
//! `cargo test` calls it) tiny. On a busy machine the processor time (in brackets) is the number to look at.
//! Prints nanoseconds per sample read and per series and step (what an aggregation adds up) and a checksum of the result. Prometheus 3.5 spends 59 ns in the first query.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data fails")]

use std::time::Instant;

use narthex_chunks::{FloatEncoding, OpenChunk, decode_xor};
use narthex_model::{Labels, Matcher};
use narthex_promql::engine::{Engine, EngineOptions, QueryOptions, Value};
use narthex_storage::{Querier, QueryError, Queryable, SampleBatch, SelectHints, SeriesSet};

const INTERVAL_MS: i64 = 15_000;

/// All series have the same times; values are made by series and position.
#[derive(Clone)]
struct Plain {
    labels: std::sync::Arc<Vec<Labels>>,
    t_ms: std::sync::Arc<Vec<i64>>,
    values: std::sync::Arc<Vec<f64>>,
    /// So many samples of a series a chunk, series after series; without any, arrays are read.
    chunks: std::sync::Arc<Vec<Vec<u8>>>,
}

/// Samples of a chunk, as in a head that is scraped every 15 s.
const CHUNK: usize = 120;

impl Plain {
    fn new(series: usize, samples: usize) -> Self {
        let label = |i: usize| {
            Labels::from_pairs([
                ("__name__", "http_requests_total".to_owned()),
                ("job", format!("job-{:02}", i % 20)),
                ("instance", format!("10.0.{}.{}:9100", i / 256, i % 256)),
                ("path", format!("/api/v1/{i}")),
            ])
        };
        let mut labels: Vec<Labels> = (0..series).map(label).collect();
        labels.sort();
        let mut values = Vec::with_capacity(series * samples);
        for i in 0..series {
            let mut v = i as f64;
            for n in 0..samples {
                v = if (n + i) % 700 == 699 { 0.0 } else { v + ((n * 7 + i) % 13) as f64 * 0.5 };
                values.push(v);
            }
        }
        let t_ms = (0..samples as i64).map(|n| n * INTERVAL_MS).collect();
        Self {
            labels: labels.into(),
            t_ms: std::sync::Arc::new(t_ms),
            values: std::sync::Arc::new(values),
            chunks: Default::default(),
        }
    }

    /// The same samples in chunks.
    fn in_chunks(&self) -> Self {
        let of_series = |values: &[f64]| -> Vec<Vec<u8>> {
            let samples: Vec<(i64, f64)> = self.t_ms.iter().copied().zip(values.iter().copied()).collect();
            let encode = |part: &[(i64, f64)]| {
                let mut chunk = OpenChunk::new(FloatEncoding::Xor);
                part.iter().for_each(|(t_ms, value)| chunk.push(*t_ms, *value));
                chunk.seal().bytes.to_vec()
            };
            samples.chunks(CHUNK).map(encode).collect()
        };
        let chunks = self.values.chunks(self.t_ms.len()).flat_map(of_series).collect();
        Self { chunks: std::sync::Arc::new(chunks), ..self.clone() }
    }

    fn read_chunks(&self, at: usize, (mint_ms, maxt_ms): (i64, i64), out: &mut SampleBatch) {
        let of_series = self.t_ms.len().div_ceil(CHUNK);
        for (times, bytes) in self.t_ms.chunks(CHUNK).zip(&self.chunks[at * of_series..]) {
            if times[0] <= maxt_ms && times[times.len() - 1] >= mint_ms {
                decode_xor(bytes, mint_ms, maxt_ms, out).unwrap();
            }
        }
    }
}

impl Queryable for Plain {
    fn querier(&self, _: i64, _: i64) -> Result<Box<dyn Querier>, QueryError> {
        Ok(Box::new(self.clone()))
    }
}

impl Querier for Plain {
    fn select(&self, _: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        let fits = self.labels.iter().all(|l| matchers.iter().all(|m| m.matches(l.value(&m.name))));
        assert!(fits, "the bench asks for all series");
        Ok(Box::new(self.clone()))
    }

    fn label_values(&self, _: &str, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }
}

impl SeriesSet for Plain {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn labels(&self, at: usize) -> Labels {
        self.labels[at].clone()
    }

    fn read(&self, at: usize, mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        if !self.chunks.is_empty() {
            self.read_chunks(at, (mint_ms, maxt_ms), out);
            return Ok(());
        }
        let from = self.t_ms.partition_point(|t| *t < mint_ms);
        let to = self.t_ms.partition_point(|t| *t <= maxt_ms);
        let base = at * self.t_ms.len();
        out.t_ms.extend_from_slice(&self.t_ms[from..to]);
        out.values.extend_from_slice(&self.values[base + from..base + to]);
        Ok(())
    }
}

fn checksum(value: &Value) -> u64 {
    let Value::Matrix(matrix) = value else { return 0 };
    let points = matrix.series.iter().flat_map(|s| s.floats());
    points.fold(0, |sum: u64, (t, v)| sum.rotate_left(5) ^ v.to_bits() ^ t as u64)
}

/// Processor time of this process so far; counted in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let tiny = args.iter().any(|a| a == "--test") || cfg!(debug_assertions);
    let numbers: Vec<usize> = args.iter().filter_map(|a| a.parse().ok()).collect();
    let series = numbers.first().copied().unwrap_or(if tiny { 40 } else { 10_000 });
    let threads = numbers.get(1).copied().unwrap_or(1);
    let samples = if tiny { 100 } else { 6 * 240 };
    let storage = Plain::new(series, samples);
    let engine = Engine::new(EngineOptions { threads, max_samples: u64::MAX, ..EngineOptions::default() });
    let end_ms = (samples as i64 - 1) * INTERVAL_MS;
    println!("{series} series of {samples} samples, step 60 s, {threads} thread(s)");
    let queries = [
        "sum by (job) (rate(http_requests_total[5m]))",
        "sum by (job) (http_requests_total)",
        "http_requests_total",
        "rate(http_requests_total[5m])",
        "topk(5, rate(http_requests_total[5m]))",
        "http_requests_total / on (instance, path) http_requests_total",
        "sum by (job) (sum_over_time(http_requests_total[5m]))",
        "sum by (job) (avg_over_time(http_requests_total[5m]))",
        "sum by (job) (max_over_time(http_requests_total[1h]))",
        "sum by (job) (stddev_over_time(http_requests_total[5m]))",
        "sum by (job) (quantile_over_time(0.9, http_requests_total[5m]))",
        "quantile(0.9, http_requests_total)",
        "sum(deriv(http_requests_total[5m]))",
        "sum(deriv(http_requests_total[1h]))",
        "sum(stddev_over_time(http_requests_total[1h]))",
        "sum(avg_over_time(http_requests_total[1h]))",
        "sum(increase(http_requests_total[1h:1m]))",
    ];
    let only: Vec<&String> =
        args.iter().filter(|a| !a.starts_with("--") && a.parse::<usize>().is_err()).collect();
    let bench = Bench { engine, end_ms, runs: if tiny { 1 } else { 3 } };
    for query in queries.into_iter().filter(|q| only.iter().all(|part| q.contains(part.as_str()))) {
        bench.run(&storage, query, "");
    }
    let storage = storage.in_chunks();
    for query in ["sum by (job) (rate(http_requests_total[5m]))", "sum by (job) (http_requests_total)"] {
        if only.iter().all(|part| query.contains(part.as_str())) {
            bench.run(&storage, query, "of chunks: ");
        }
    }
}

struct Bench {
    engine: Engine,
    end_ms: i64,
    runs: u32,
}

impl Bench {
    /// Runs a query some times and prints what the best run took.
    fn run(&self, storage: &Plain, query: &str, what: &str) {
        let mut best = f64::INFINITY;
        let mut last = None;
        let cpu_before = cpu_seconds();
        for _ in 0..self.runs {
            let began = Instant::now();
            let options = QueryOptions::default();
            let output = self.engine.range(storage, query, 600_000, self.end_ms, 60_000, &options).unwrap();
            best = best.min(began.elapsed().as_secs_f64());
            last = Some(output);
        }
        let output = last.expect("the query ran");
        let cpu = (cpu_seconds() - cpu_before) / f64::from(self.runs);
        let (series, samples) = (storage.labels.len(), storage.t_ms.len());
        let per_sample = |seconds: f64| seconds * 1e9 / (series * samples) as f64;
        let sum = checksum(&output.value);
        let series_steps = (series as i64 * ((self.end_ms - 600_000) / 60_000 + 1)) as f64;
        println!(
            "{:7.2} ({:6.2}) ns/sample {:7.2} ns/series-step {:8.1} ms  {sum:016x}  {what}{query}",
            per_sample(best),
            per_sample(cpu),
            best * 1e9 / series_steps,
            best * 1e3
        );
    }
}
