//! What a received sample costs: decompression, protobuf, and the way from labels to series.
//!
//! Isolates the receiver from HTTP. Data: requests of 2,000 series with nine labels and one sample each, then 20 samples each,
//! every series known after the first round. Run: `cargo bench -p narthex-remote --bench receive [series]`; without `--bench` it runs
//! tiny, as a test. Prints CPU ns a sample (fastest round) over a storage that only counts, and over the real database with its
//! log, each with a checksum (samples stored). Baseline: Prometheus 6,000 ns with one sample a series, 630 ns with twenty, HTTP
//! included.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use narthex_metrics::Registry;
use narthex_model::{Exemplar, Labels, Metadata};
use narthex_remote::receive::{BodyHeaders, Receiver};
use narthex_storage::{AppendError, Appendable, Appender, CommitError, HistogramRef, SeriesRef};
use narthex_tsdb::{Db, DbOptions};
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERIES_A_REQUEST: usize = 2_000;
const ROUNDS: usize = 6;
const START_MS: i64 = 1_700_000_000_000;
const STEP_MS: i64 = 15_000;
const HEADERS: BodyHeaders<'static> =
    BodyHeaders { content_type: "application/x-protobuf", content_encoding: "snappy" };

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let asked = args.iter().find_map(|a| a.parse().ok());
    let full = args.iter().any(|a| a == "--bench");
    let series = asked.unwrap_or(if full { 200_000 } else { SERIES_A_REQUEST });
    for samples in [1, 20] {
        let counts = Counts::default();
        let best = run(series, samples, Arc::new(counts.clone()));
        report("counted", samples, best, counts.0.samples.load(Ordering::Relaxed));
        let dir = tempfile::tempdir().expect("a temporary directory");
        let registry = Registry::new();
        let db = Db::open(dir.path(), DbOptions::default(), &registry).expect("a fresh directory opens");
        let best = run(series, samples, db);
        let stored =
            registry.gather().into_iter().find(|f| f.name == "prometheus_tsdb_head_samples_appended_total");
        let stored = stored.map_or(0.0, |f| {
            f.metrics
                .iter()
                .map(|m| if let narthex_metrics::Value::Number(n) = m.value { n } else { 0.0 })
                .sum()
        });
        report("database", samples, best, stored as u64);
    }
}

fn report(storage: &str, samples: usize, ns: f64, checksum: u64) {
    let baseline = if samples == 1 { 6000.0 } else { 630.0 };
    println!(
        "{storage:<10} {samples:>3} samples a series {ns:>9.1} ns/sample {:>7.4}x Prometheus  checksum {checksum}",
        ns / baseline
    );
}

/// CPU ns a sample of the fastest round but the first, which creates the series.
fn run(series: usize, samples: usize, storage: Arc<dyn Appendable>) -> f64 {
    let receiver = Receiver::new(storage, &Registry::new());
    let mut best = f64::INFINITY;
    for round in 0..ROUNDS {
        let first_ms = START_MS + (round * samples) as i64 * STEP_MS;
        let starts = (0..series).step_by(SERIES_A_REQUEST);
        let requests: Vec<_> = starts.map(|first| request(first, samples, first_ms)).collect();
        let before = cpu_ns();
        for body in &requests {
            let answer = receiver.write(HEADERS, body, first_ms + samples as i64 * STEP_MS);
            assert_eq!(answer.status, 204, "{}", answer.message);
        }
        let ns = (cpu_ns() - before) as f64 / (series * samples) as f64;
        if round > 0 {
            best = best.min(ns);
        }
    }
    best
}

fn cpu_ns() -> i64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn request(first: usize, samples: usize, first_ms: i64) -> Vec<u8> {
    let mut message = Vec::new();
    for n in first..first + SERIES_A_REQUEST {
        let mut series = Vec::new();
        for (name, value) in labels(n) {
            let mut label = Vec::new();
            put(&mut label, 1, name.as_bytes());
            put(&mut label, 2, value.as_bytes());
            put(&mut series, 1, &label);
        }
        for at in 0..samples {
            let mut sample = vec![1 << 3 | 1];
            sample.extend_from_slice(&((n * 31 + at) as f64).to_le_bytes());
            sample.push(2 << 3);
            varint(&mut sample, (first_ms + at as i64 * STEP_MS + 1) as u64);
            put(&mut series, 2, &sample);
        }
        put(&mut message, 1, &series);
    }
    snap::raw::Encoder::new().compress_vec(&message).expect("small enough")
}

fn labels(n: usize) -> [(&'static str, String); 9] {
    let (target, series) = (n / 1000, n % 1000);
    [
        ("__name__", format!("http_requests_{}_total", series / 20)),
        ("cluster", "eu-west-1".to_owned()),
        ("code", ["200", "404", "500", "503"][series % 4].to_owned()),
        ("env", "production".to_owned()),
        ("instance", format!("10.0.{}.{}:9100", target / 250, target % 250)),
        ("job", "api-server".to_owned()),
        ("namespace", format!("team-{}", target % 20)),
        ("path", format!("/api/v1/resource/{}", series % 20 / 4)),
        ("pod", format!("api-server-7d9f8b6c5-{target:05}")),
    ]
}

fn put(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A storage that numbers label sets as they are resolved and counts samples.
#[derive(Clone, Default)]
struct Counts(Arc<Counters>);

#[derive(Default)]
struct Counters {
    series: AtomicU64,
    samples: AtomicU64,
}

impl Appendable for Counts {
    fn appender(&self) -> Box<dyn Appender> {
        Box::new(CountBatch { counters: Arc::clone(&self.0), samples: 0 })
    }
}

struct CountBatch {
    counters: Arc<Counters>,
    samples: u64,
}

impl Appender for CountBatch {
    fn resolve(&mut self, _: &Labels) -> Result<SeriesRef, AppendError> {
        Ok(SeriesRef(self.counters.series.fetch_add(1, Ordering::Relaxed) + 1))
    }

    fn append(&mut self, _: SeriesRef, _: i64, _: f64) -> Result<(), AppendError> {
        self.samples += 1;
        Ok(())
    }

    fn append_histogram(&mut self, _: SeriesRef, _: i64, _: HistogramRef<'_>) -> Result<(), AppendError> {
        Ok(())
    }

    fn append_exemplar(&mut self, _: SeriesRef, _: &Exemplar) -> Result<(), AppendError> {
        Ok(())
    }

    fn update_metadata(&mut self, _: SeriesRef, _: &Metadata) -> Result<(), AppendError> {
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), CommitError> {
        self.counters.samples.fetch_add(self.samples, Ordering::Relaxed);
        Ok(())
    }

    fn rollback(self: Box<Self>) {}
}
