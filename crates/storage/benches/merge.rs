//! What merging adds to reading: 10,000 series in 8 sources, behind each other in time and on each other, against one source
//! with the same samples. Sources lie in memory and copy their samples, so that the difference is the merge.
//! Run: `cargo bench -p narthex-storage --bench merge`; as a test it runs with few series.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use narthex_model::Labels;
use narthex_storage::merge::{SetInTime, merge_series};
use narthex_storage::{QueryError, SampleBatch, SeriesSet};

const SOURCES: i64 = 8;
const SAMPLES: i64 = 120;

/// Samples at `first + step * i`.
struct Synthetic {
    labels: Arc<Vec<Labels>>,
    first: i64,
    step: i64,
    samples: i64,
}

impl SeriesSet for Synthetic {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn labels(&self, at: usize) -> Labels {
        Labels::from_sorted(self.labels[at].iter())
    }

    fn read(&self, _: usize, _: i64, _: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        out.t_ms.extend((0..self.samples).map(|i| self.first + self.step * i));
        out.values.resize(out.t_ms.len(), 1.0);
        Ok(())
    }
}

fn source(labels: &Arc<Vec<Labels>>, first: i64, step: i64, samples: i64) -> SetInTime {
    let set = Box::new(Synthetic { labels: Arc::clone(labels), first, step, samples });
    SetInTime { min_ms: first, max_ms: first + step * samples, set }
}

fn run(name: &str, baseline_ns: Option<f64>, sets: Vec<SetInTime>) -> f64 {
    let begin = Instant::now();
    let set = merge_series(sets, 0);
    let merged = begin.elapsed();
    let (mut out, mut checksum) = (SampleBatch::default(), 0i64);
    let begin = Instant::now();
    for at in 0..set.len() {
        out.clear();
        set.read(at, i64::MIN, i64::MAX, &mut out).expect("memory can be read");
        checksum += black_box(&out).t_ms.iter().sum::<i64>();
    }
    let samples = set.len() as f64 * (SOURCES * SAMPLES) as f64;
    let read_ns = begin.elapsed().as_secs_f64() * 1e9 / samples;
    let list_ns = merged.as_secs_f64() * 1e9 / set.len() as f64;
    let ratio = read_ns / baseline_ns.unwrap_or(read_ns);
    println!(
        "{name:<22} list {list_ns:8.1} ns/series   read {read_ns:6.2} ns/sample ({ratio:.2}x)   checksum {checksum}"
    );
    read_ns
}

fn main() {
    let series = if std::env::args().any(|arg| arg == "--bench") { 10_000 } else { 20 };
    let mut labels: Vec<Labels> = (0..series)
        .map(|i| {
            let (instance, pod) = (format!("10.0.{}.{}:9100", i / 200, i % 200), format!("pod-{i:06}"));
            let pairs = [("__name__", "http_requests_total"), ("instance", &*instance), ("job", "api")];
            Labels::from_pairs(pairs.into_iter().chain([("method", "GET"), ("pod", &*pod), ("zone", "eu-1")]))
        })
        .collect();
    labels.sort();
    let labels = Arc::new(labels);
    let one = run("one source", None, vec![source(&labels, 0, 1, SOURCES * SAMPLES)]);
    let behind = (0..SOURCES).map(|i| source(&labels, i * SAMPLES, 1, SAMPLES)).collect();
    run("8 behind each other", Some(one), behind);
    let woven = (0..SOURCES).map(|i| source(&labels, i, SOURCES, SAMPLES)).collect();
    run("8 woven sample by sample", Some(one), woven);
}
