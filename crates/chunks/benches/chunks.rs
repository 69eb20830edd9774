//! What the encodings cost: time to encode and to decode a sample, and bytes a sample.
//!
//! Isolates this crate; all data lies in memory. Data: series of 120 samples, 15 s apart. Floats: a third constant, a third
//! counters, a third noise. Histograms: 20 to 30 buckets of a latency, some of which grow with each sample; one new bucket now
//! and then, so that chunks are recoded.
//! Run: `cargo bench -p narthex-chunks --bench chunks`; without `--bench` it runs tiny, as a test. With the path of a chunk
//! file of a block (`… -- /data/01…/chunks/000001`) the chunks of floats in there are decoded instead. Each line ends with a
//! checksum of the result. Baselines (Prometheus 3.5, one core): XOR encode 25 ns and decode 10 ns a sample.

use std::hint::black_box;

use narthex_chunks::{
    BuildOptions, ChunkBuilder, ChunkSample, ChunkValue, Encoding, FloatEncoding, OpenChunk, SealedChunk,
    decode,
};
use narthex_model::{Histogram, Span};
use narthex_storage::SampleBatch;
use rustix::time::{ClockId, clock_gettime};

const SAMPLES: usize = 120;
const START_MS: i64 = 1_700_000_000_000;
const STEP_MS: i64 = 15_000;

fn main() {
    let full = std::env::args().any(|arg| arg == "--bench");
    let series = if full { 20_000 } else { 3 };
    if let Some(path) = std::env::args().skip(1).find(|arg| !arg.starts_with("--")) {
        return segment(&path);
    }
    floats("XOR", FloatEncoding::Xor, 0, series);
    jitter(series);
    floats("XOR2", FloatEncoding::Xor2, 0, series);
    floats("XOR2, start timestamps", FloatEncoding::Xor2, START_MS - 500, series);
    for (name, float_counts, start_ms) in [
        ("histogram", false, 0),
        ("float histogram", true, 0),
        ("histogram ST", false, START_MS - 500),
        ("float histogram ST", true, START_MS - 500),
    ] {
        histograms(name, float_counts, start_ms, series / 20 + 1);
    }
}

fn report(what: &str, which: &str, per: f64, unit: &str, checksum: u64) {
    println!("{:<44} {per:>10.2} {unit:<14} checksum {checksum:016x}", format!("{what} {which}"));
}

fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn time(round: usize) -> i64 {
    START_MS + round as i64 * STEP_MS
}

fn floats(name: &str, encoding: FloatEncoding, start_ms: i64, series: usize) {
    let mut random = fastrand::Rng::with_seed(2);
    let mut value = |series: usize, round: usize| match series % 3 {
        0 => (series % 7) as f64,
        1 => (round * (series % 50)) as f64,
        _ => random.f64() * 100.0,
    };
    let columns: Vec<Vec<f64>> =
        (0..series).map(|s| (0..SAMPLES).map(|round| value(s, round)).collect()).collect();
    let encode = |values: &Vec<f64>| {
        let mut chunk = OpenChunk::new(encoding);
        for (round, value) in values.iter().enumerate() {
            if round == 0 || chunk.has_room_with_start(time(round), start_ms) {
                chunk.push_with_start(time(round), start_ms, *value);
            }
        }
        chunk
    };
    let started = cpu_ns();
    let open: Vec<OpenChunk> = columns.iter().map(encode).collect();
    let taken_ns = cpu_ns() - started;
    let chunks: Vec<SealedChunk> = open.into_iter().map(|mut chunk| chunk.seal()).collect();
    finish(name, taken_ns, &chunks);
}

/// Counters whose samples lie a few milliseconds beside their places.
fn jitter(series: usize) {
    let mut random = fastrand::Rng::with_seed(4);
    let mut chunk = |series: usize| {
        let mut chunk = OpenChunk::new(FloatEncoding::Xor);
        (0..SAMPLES).for_each(|round| {
            chunk.push(time(round) + random.i64(-3..=3), (round * (series % 50)) as f64);
        });
        chunk.seal()
    };
    let started = cpu_ns();
    let chunks: Vec<SealedChunk> = (0..series).map(&mut chunk).collect();
    finish("XOR, jitter", cpu_ns() - started, &chunks);
}

fn histograms(name: &str, float_counts: bool, start_ms: i64, series: usize) {
    let mut random = fastrand::Rng::with_seed(3);
    let all: Vec<Vec<Histogram>> = (0..series).map(|_| latencies(&mut random)).collect();
    let as_floats: Vec<Vec<_>> =
        all.iter().map(|one| one.iter().map(Histogram::to_float).collect()).collect();
    let mut chunks = Vec::new();
    let mut builder = ChunkBuilder::new(BuildOptions::default());
    let started = cpu_ns();
    for (ints, floats) in all.iter().zip(&as_floats) {
        for (round, (int, float)) in ints.iter().zip(floats).enumerate() {
            let value = match float_counts {
                true => ChunkValue::FloatHistogram(float),
                false => ChunkValue::Histogram(int),
            };
            builder.push(ChunkSample { t_ms: time(round), start_ms, value }, &mut chunks);
        }
        builder.finish(&mut chunks);
    }
    finish(name, cpu_ns() - started, &chunks);
}

/// The samples of one histogram of request durations.
fn latencies(random: &mut fastrand::Rng) -> Vec<Histogram> {
    let first = random.i32(-20..0);
    let mut counts = vec![0u64; 20];
    let mut samples = Vec::with_capacity(SAMPLES);
    for round in 0..SAMPLES {
        if round % 12 == 11 {
            counts.push(0);
        }
        for _ in 0..10 {
            let at = (random.usize(..counts.len()) + random.usize(..counts.len())) / 2;
            counts[at] += random.u64(0..20);
        }
        let mut before = 0;
        let deltas = counts.iter().map(|count| *count as i64 - std::mem::replace(&mut before, *count as i64));
        samples.push(Histogram {
            schema: 3,
            zero_threshold: 2f64.powi(-128),
            count: counts.iter().sum(),
            sum: counts.iter().enumerate().map(|(at, count)| at as f64 * 0.013 * *count as f64).sum(),
            positive_spans: vec![Span { offset: first, length: counts.len() as u32 }],
            positive_buckets: deltas.collect(),
            ..Histogram::default()
        });
    }
    samples
}

/// Reports the encoding of `chunks`, their size, and their decoding.
fn finish(name: &str, encoded_ns: f64, chunks: &[SealedChunk]) {
    let mut batch = SampleBatch::default();
    let (mut sum, mut count) = (0u64, 0);
    let started = cpu_ns();
    for chunk in chunks {
        batch.clear();
        decode(chunk.encoding, &chunk.bytes, i64::MIN, i64::MAX, &mut batch).expect("just encoded");
        count += batch.len();
        let last = match chunk.encoding {
            Encoding::Xor | Encoding::Xor2 => batch.values[batch.values.len() - 1],
            _ => batch.histograms[batch.histograms.len() - 1].sum,
        };
        sum = sum.wrapping_add(black_box(last).to_bits());
    }
    let decoded_ns = cpu_ns() - started;
    let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
    report(name, "encode", encoded_ns / count as f64, "ns/sample", chunks.len() as u64);
    report(name, "size", bytes as f64 / count as f64, "bytes/sample", bytes as u64);
    report(name, "decode", decoded_ns / count as f64, "ns/sample", sum);
}

/// Decodes the float chunks of a chunk file: after 8 bytes of header each has its length, encoding, bytes and checksum.
fn segment(path: &str) {
    let file = std::fs::read(path).expect("the path is that of a chunk file");
    let (mut rest, mut chunks) = (&file[8..], Vec::new());
    while !rest.is_empty() {
        let (mut len, mut at) = (0, 0);
        while at == 0 || rest[at - 1] >= 0x80 {
            len |= usize::from(rest[at] & 0x7f) << (7 * at);
            at += 1;
        }
        let (encoding, bytes) = (Encoding::try_from(rest[at]), &rest[at + 1..][..len]);
        if let Ok(encoding @ (Encoding::Xor | Encoding::Xor2)) = encoding {
            chunks.push((encoding, bytes));
        }
        rest = &rest[at + 1 + len + 4..];
    }
    let (mut batch, mut best_ns, mut count, mut sum) = (SampleBatch::default(), f64::INFINITY, 0, 0u64);
    for _ in 0..5 {
        (count, sum) = (0, 0);
        let started = cpu_ns();
        for (encoding, bytes) in &chunks {
            batch.clear();
            decode(*encoding, bytes, i64::MIN, i64::MAX, &mut batch).expect("a whole chunk");
            count += batch.len();
            let last = (batch.t_ms[batch.t_ms.len() - 1], batch.values[batch.values.len() - 1]);
            sum = sum.rotate_left(5) ^ black_box(last.1).to_bits() ^ last.0 as u64;
        }
        best_ns = best_ns.min(cpu_ns() - started);
    }
    report("segment", "decode", best_ns / count as f64, "ns/sample", sum);
}
