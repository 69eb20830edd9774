//! The log alone: encode, log, read, decode of float samples, without head and without disk waits.
//!
//! Data: scrapes of 1,000 series each (references in a row, one timestamp, values as an exporter has them: a third constant, a
//! third small counters, a third floats with noise). Run: `cargo bench -p narthex-tsdb --bench wal [samples]`; without
//! `--bench` it runs tiny, as a test. Prints ns a sample of one core and a checksum of what was read.

use std::time::Instant;

use narthex_metrics::Registry;
use narthex_storage::SeriesRef;
use narthex_wal::record::{RecordType, RefSample, decode_samples, encode_samples};
use narthex_wal::{Compression, Reader, WalMetrics, WalOptions, WalPosition, Writer};

const SCRAPE: usize = 1_000;
const TARGETS: usize = 100;

/// The samples of one scrape.
fn scrape(target: usize, round: usize, rng: &mut fastrand::Rng, out: &mut Vec<RefSample>) {
    out.clear();
    for i in 0..SCRAPE {
        let value = match i % 3 {
            0 => (i % 7) as f64,
            1 => (i * 100 + round * (i % 50)) as f64,
            _ => 1e6 * rng.f64(),
        };
        let series = SeriesRef((target * SCRAPE + i) as u64 + 1);
        out.push(RefSample { series, t_ms: 1_795_310_700_000 + round as i64 * 15_000, start_ms: 0, value });
    }
}

fn report(what: &str, samples: usize, bytes: u64, started: Instant) {
    let s = started.elapsed().as_secs_f64();
    let (ns, mb) = (s * 1e9 / samples as f64, bytes as f64 / 1e6 / s);
    println!("{what:<28} {ns:>7.1} ns/sample {mb:>9.0} MB/s");
}

fn bench_codec(samples: usize) {
    let (mut rng, mut batch, mut record) = (fastrand::Rng::with_seed(1), Vec::new(), Vec::new());
    scrape(3, 5, &mut rng, &mut batch);
    let rounds = samples / SCRAPE;
    let started = Instant::now();
    let mut bytes = 0;
    for _ in 0..rounds {
        record.clear();
        encode_samples(std::hint::black_box(&batch), &mut record);
        bytes += record.len() as u64;
    }
    report("encode", rounds * SCRAPE, bytes, started);
    let started = Instant::now();
    let mut checksum = 0u64;
    for _ in 0..rounds {
        batch.clear();
        decode_samples(std::hint::black_box(&record), &mut batch).expect("the record was encoded above");
        checksum = checksum.wrapping_add(batch[SCRAPE - 1].value.to_bits());
    }
    report("decode", rounds * SCRAPE, bytes, started);
    println!("checksum {checksum:016x}");
}

fn bench_log(samples: usize, compression: Compression) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let metrics = WalMetrics::for_wal(&Registry::new(), compression);
    let options = WalOptions { compression, ..WalOptions::default() };
    let mut writer = Writer::open(dir.path(), options, metrics).expect("the directory is empty");
    let rounds = (samples / SCRAPE / TARGETS).max(1);
    let mut rng = fastrand::Rng::with_seed(1);
    let (mut batch, mut record) = (Vec::new(), Vec::new());
    let (mut elapsed_s, mut raw) = (0.0, 0);
    for round in 0..rounds {
        for target in 0..TARGETS {
            scrape(target, round, &mut rng, &mut batch);
            let started = Instant::now();
            record.clear();
            encode_samples(&batch, &mut record);
            writer.log(&[&record]).expect("the disk takes it");
            elapsed_s += started.elapsed().as_secs_f64();
            raw += record.len();
        }
    }
    let total = rounds * TARGETS * SCRAPE;
    let end = writer.position();
    let disk = u64::from(end.segment) * options.segment_size_bytes + end.offset;
    println!(
        "{:<28} {:>7.1} ns/sample {:>9.0} MB/s   {:.2} bytes a sample on disk",
        format!("encode + log {}", compression.as_str()),
        elapsed_s * 1e9 / total as f64,
        raw as f64 / 1e6 / elapsed_s,
        disk as f64 / total as f64,
    );
    let started = Instant::now();
    let mut reader =
        Reader::open(dir.path(), WalPosition::default(), end.segment).expect("it was written above");
    let (mut seen, mut checksum) = (0, 0u64);
    while let Some(record) = reader.next().expect("it was written above") {
        if let RecordType::Samples { .. } = RecordType::of(record.bytes) {
            batch.clear();
            decode_samples(record.bytes, &mut batch).expect("it was written above");
            seen += batch.len();
            checksum = batch.iter().fold(checksum, |sum, s| sum.wrapping_add(s.value.to_bits() ^ s.series.0));
        }
    }
    assert_eq!(seen, total);
    report(&format!("read + decode {}", compression.as_str()), total, disk, started);
    println!("checksum {checksum:016x}");
}

fn main() {
    let full = std::env::args().any(|arg| arg == "--bench");
    let asked = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let samples = asked.unwrap_or(if full { 15_000_000 } else { 200_000 });
    bench_codec(samples);
    for compression in [Compression::None, Compression::Snappy, Compression::Zstd] {
        bench_log(samples, compression);
    }
}
