//! What a received sample costs: decompression, protobuf, and the way from labels to series.
//!
//! Isolates the receiver from HTTP, for both protocols. Data: requests of 2,000 series with nine labels and one sample each, then 20 samples each,
//! every series known after the first round. Run: `cargo bench -p narthex-remote --bench receive [series]`; without `--bench` it runs
//! tiny, as a test. Prints CPU ns a sample (fastest round) over a storage that only counts, and over the real database with its
//! log, each with a checksum (samples stored). Baseline: Prometheus 6,000 ns with one sample a series, 630 ns with twenty, HTTP
//! included.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use narthex_metrics::Registry;
use narthex_model::{Exemplar, Labels, Metadata};
use narthex_remote::receive::{BodyHeaders, ReceiveOptions, Receiver};
use narthex_storage::{AppendError, Appendable, Appender, CommitError, HistogramRef, SeriesRef};
use narthex_tsdb::{Db, DbOptions};
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERIES_A_REQUEST: usize = 2_000;
const ROUNDS: usize = 6;
const START_MS: i64 = 1_700_000_000_000;
const STEP_MS: i64 = 15_000;

/// A protocol: how its headers and its messages look.
struct Wire {
    name: &'static str,
    content_type: &'static str,
    message: fn(first: usize, samples: usize, first_ms: i64) -> Vec<u8>,
}

const WIRES: [Wire; 2] = [
    Wire { name: "1.0", content_type: "application/x-protobuf", message: message_v1 },
    Wire {
        name: "2.0",
        content_type: "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        message: message_v2,
    },
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let asked = args.iter().find_map(|a| a.parse().ok());
    let full = args.iter().any(|a| a == "--bench");
    let series = asked.unwrap_or(if full { 200_000 } else { SERIES_A_REQUEST });
    for (samples, wire) in [(1, &WIRES[0]), (1, &WIRES[1]), (20, &WIRES[0]), (20, &WIRES[1])] {
        let counts = Counts::default();
        let best = run(wire, series, samples, Arc::new(counts.clone()));
        report(wire, "counted", samples, best, counts.0.samples.load(Ordering::Relaxed));
        let dir = tempfile::tempdir().expect("a temporary directory");
        let registry = Registry::new();
        let db = Db::open(dir.path(), DbOptions::default(), &registry).expect("a fresh directory opens");
        let best = run(wire, series, samples, db);
        let stored =
            registry.gather().into_iter().find(|f| f.name == "prometheus_tsdb_head_samples_appended_total");
        let stored = stored.map_or(0.0, |f| {
            f.metrics
                .iter()
                .map(|m| if let narthex_metrics::Value::Number(n) = m.value { n } else { 0.0 })
                .sum()
        });
        report(wire, "database", samples, best, stored as u64);
    }
}

fn report(wire: &Wire, storage: &str, samples: usize, ns: f64, checksum: u64) {
    let baseline = if samples == 1 { 6000.0 } else { 630.0 };
    println!(
        "{} {storage:<10} {samples:>3} samples a series {ns:>9.1} ns/sample {:>7.4}x Prometheus  checksum {checksum}",
        wire.name,
        ns / baseline
    );
}

/// CPU ns a sample of the fastest round but the first, which creates the series.
fn run(wire: &Wire, series: usize, samples: usize, storage: Arc<dyn Appendable>) -> f64 {
    let receiver = Receiver::new(storage, ReceiveOptions::default(), &Registry::new());
    let mut best = f64::INFINITY;
    for round in 0..ROUNDS {
        let first_ms = START_MS + (round * samples) as i64 * STEP_MS;
        let starts = (0..series).step_by(SERIES_A_REQUEST);
        let requests: Vec<_> = starts
            .map(|first| {
                let message = (wire.message)(first, samples, first_ms);
                snap::raw::Encoder::new().compress_vec(&message).expect("small enough")
            })
            .collect();
        let headers = BodyHeaders { content_type: wire.content_type, content_encoding: "snappy" };
        let before = cpu_ns();
        for body in &requests {
            let answer = receiver.write(headers, body, first_ms + samples as i64 * STEP_MS);
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

fn message_v1(first: usize, samples: usize, first_ms: i64) -> Vec<u8> {
    let mut message = Vec::new();
    for n in first..first + SERIES_A_REQUEST {
        let mut series = Vec::new();
        for (name, value) in labels(n) {
            let mut label = Vec::new();
            put(&mut label, 1, name.as_bytes());
            put(&mut label, 2, value.as_bytes());
            put(&mut series, 1, &label);
        }
        put_samples(&mut series, n, samples, first_ms);
        put(&mut message, 1, &series);
    }
    message
}

fn message_v2(first: usize, samples: usize, first_ms: i64) -> Vec<u8> {
    let mut numbers = HashMap::from([(String::new(), 0)]);
    let (mut symbols, mut all) = (Vec::new(), Vec::new());
    put(&mut symbols, 4, b"");
    for n in first..first + SERIES_A_REQUEST {
        let mut refs = Vec::new();
        for text in labels(n).into_iter().flat_map(|(name, value)| [name.to_owned(), value]) {
            let next = numbers.len();
            let number = *numbers.entry(text.clone()).or_insert(next);
            if number == next {
                put(&mut symbols, 4, text.as_bytes());
            }
            varint(&mut refs, number as u64);
        }
        let mut series = Vec::new();
        put(&mut series, 1, &refs);
        put_samples(&mut series, n, samples, first_ms);
        put(&mut series, 5, &[1 << 3, 1]);
        put(&mut all, 5, &series);
    }
    symbols.append(&mut all);
    symbols
}

/// Both protocols write samples alike.
fn put_samples(series: &mut Vec<u8>, n: usize, samples: usize, first_ms: i64) {
    for at in 0..samples {
        let mut sample = vec![1 << 3 | 1];
        sample.extend_from_slice(&((n * 31 + at) as f64).to_le_bytes());
        sample.push(2 << 3);
        varint(&mut sample, (first_ms + at as i64 * STEP_MS + 1) as u64);
        put(series, 2, &sample);
    }
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
