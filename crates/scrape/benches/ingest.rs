//! What a scrape costs without HTTP and without a store: parse, cache, append, for bodies of 1,000 usual lines.
//!
//! Times are CPU times of the thread, so that a busy machine does not show. Run: `cargo bench -p narthex-scrape --bench ingest`; with `--test` it runs once. Prints nanoseconds a sample for bodies whose
//! lines, or the same series as protobuf, stay (the steady state), whose order changes each time, and that are new each time; bytes of cache a series; a checksum.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use narthex_config::ScrapeConfig;
use narthex_model::{Exemplar, Labels, Metadata};
use narthex_scrape::OfflineTarget;
use narthex_storage::{AppendError, Appendable, Appender, CommitError, HistogramRef, SeriesRef};

const LINES: usize = 1000;

/// Counts and forgets.
#[derive(Default)]
struct Null {
    sum: Arc<AtomicU64>,
    next: Arc<AtomicU64>,
}

struct NullAppender {
    sum: Arc<AtomicU64>,
    next: Arc<AtomicU64>,
    local: Cell<u64>,
}

impl Appendable for Null {
    fn appender(&self) -> Box<dyn Appender> {
        Box::new(NullAppender {
            sum: Arc::clone(&self.sum),
            next: Arc::clone(&self.next),
            local: Cell::new(0),
        })
    }
}

impl Appender for NullAppender {
    fn resolve(&mut self, _: &Labels) -> Result<SeriesRef, AppendError> {
        Ok(SeriesRef(self.next.fetch_add(1, Ordering::Relaxed)))
    }

    fn append(&mut self, series: SeriesRef, _: i64, value: f64) -> Result<(), AppendError> {
        self.local.set(self.local.get().wrapping_add(value.to_bits() ^ series.0));
        Ok(())
    }

    fn append_histogram(&mut self, _: SeriesRef, _: i64, _: HistogramRef<'_>) -> Result<(), AppendError> {
        Err(AppendError::HistogramsDisabled)
    }

    fn append_exemplar(&mut self, _: SeriesRef, _: &Exemplar) -> Result<(), AppendError> {
        Ok(())
    }

    fn update_metadata(&mut self, _: SeriesRef, _: &Metadata) -> Result<(), AppendError> {
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), CommitError> {
        self.sum.fetch_add(self.local.get(), Ordering::Relaxed);
        Ok(())
    }

    fn rollback(self: Box<Self>) {}
}

/// CPU time of this thread so far.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

fn lines(round: usize) -> Vec<String> {
    let line = |i: usize| {
        let (code, method) = (["200", "404", "500"][i % 3], ["GET", "POST"][i / 3 % 2]);
        let handler = i / 6;
        format!(
            "http_requests_total{{handler=\"/api/v1/handler_{handler:03}\",method=\"{method}\",code=\"{code}\"}} {}\n",
            i * 37 + round * 11
        )
    };
    (0..LINES).map(line).collect()
}

/// The lines of a text body as a protobuf family.
fn protobuf(text: &str) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        let mut out = vec![number << 3 | 2];
        push_varint(&mut out, bytes.len());
        out.extend_from_slice(bytes);
        out
    };
    let mut family = field(1, b"http_requests_total");
    for line in text.lines() {
        let (labels, value) = line.split_once("} ").expect("a label set");
        let mut metric = Vec::new();
        for pair in labels.split_once('{').expect("a label set").1.split(',') {
            let (name, value) = pair.split_once('=').expect("a pair");
            let pair = [field(1, name.as_bytes()), field(2, value.trim_matches('"').as_bytes())].concat();
            metric.extend(field(1, &pair));
        }
        let value: f64 = value.parse().expect("a number");
        metric.extend(field(3, &[&[0x09][..], &value.to_bits().to_le_bytes()].concat()));
        family.extend(field(4, &metric));
    }
    let mut out = Vec::new();
    push_varint(&mut out, family.len());
    out.extend(family);
    out
}

fn push_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn measure(name: &str, content_type: &str, bodies: &[Vec<u8>], rounds: usize) {
    let store = Null::default();
    let mut target =
        OfflineTarget::new(ScrapeConfig::default(), Labels::from_pairs([("job", "j"), ("instance", "i")]));
    let mut scrape = |round: usize| {
        let body = &bodies[round % bodies.len()];
        target.scrape(body, content_type, round as i64 + 1, &store).expect("a good body")
    };
    for round in 0..bodies.len() {
        scrape(round);
    }
    let start = cpu_ns();
    let samples: u64 = (0..rounds).map(&mut scrape).sum();
    let spent = (cpu_ns() - start).max(1) as f64;
    let ns = spent / samples as f64;
    let mb = bodies[0].len() as f64 * rounds as f64 * 1000.0 / spent;
    let per_series = target.series_cache_bytes() as f64 / LINES as f64;
    let checksum = store.sum.load(Ordering::Relaxed);
    println!(
        "{name:18} {ns:6.1} ns a sample, {mb:6.0} MB/s, {per_series:5.1} B of cache a series, checksum {checksum:016x}"
    );
}

fn main() {
    let rounds = if std::env::args().any(|a| a == "--test") { 3 } else { 3000 };
    let steady = |round: usize| lines(round).concat();
    let turned = |round: usize| {
        let mut lines = lines(round);
        lines.rotate_left(round * 125);
        lines.concat()
    };
    let renamed = |round: usize| lines(round).concat().replace("handler=", &format!("handler{round}="));
    let all = |make: &dyn Fn(usize) -> String| (0..8).map(make).collect::<Vec<_>>();
    for (name, texts, rounds) in [
        ("steady", all(&steady), rounds),
        ("reordered", all(&turned), rounds),
        ("all new", all(&renamed), rounds / 8),
    ] {
        let bytes: Vec<Vec<u8>> = texts.iter().map(|text| text.clone().into_bytes()).collect();
        measure(&format!("text {name}"), "text/plain", &bytes, rounds);
        let bytes: Vec<Vec<u8>> = texts.iter().map(|text| protobuf(text)).collect();
        measure(&format!("protobuf {name}"), "application/vnd.google.protobuf", &bytes, rounds);
    }
}
