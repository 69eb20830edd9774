//! What a block costs: writing, opening, selecting, decoding, walking.
//!
//! Isolates this crate from compaction and from queries; the disk is the page cache of a temporary directory.
//! Data: `wide` is 1,000 targets of 1,000 series with nine labels and 20 samples each; `deep` is ten such targets with 480
//! samples (four chunks) each; a third of the values constant, a third counters, a third noisy floats.
//! Run: `cargo bench -p narthex-block --bench block -- [wide|deep]`; without `--bench` it runs tiny, as a test. Times are CPU times.
//! Each line ends with a checksum of the result. With BENCH_KEEP=DIR the blocks are written below DIR and stay, for other
//! programs to read; a block that is there already is only read.

use std::path::{Path, PathBuf};

use narthex_block::{Block, BlockWriter, ChunkPiece, Compaction, NewBlock, Ulid, WriterOptions};
use narthex_chunks::{BuildOptions, ChunkBuilder, ChunkSample, ChunkValue, SealedChunk};
use narthex_model::{Labels, MatchOp, Matcher};
use narthex_storage::{SampleBatch, SelectHints};
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERIES_A_TARGET: usize = 1000;
const START_MS: i64 = 1_700_006_400_000;
const STEP_MS: i64 = 15_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let full = args.iter().any(|a| a == "--bench");
    let picked: Vec<&str> = args.iter().map(String::as_str).filter(|a| !a.starts_with("--")).collect();
    let wants = |part: &str| picked.is_empty() || picked.contains(&part);
    let kept = std::env::var_os("BENCH_KEEP").map(PathBuf::from);
    let temporary = tempfile::tempdir().expect("temporary directory");
    let dir = kept.as_deref().unwrap_or(temporary.path());
    if wants("wide") {
        wide(dir, if full { 1000 } else { 2 });
    }
    if wants("deep") {
        deep(dir, if full { 10 } else { 1 });
    }
}

fn report(what: &str, per: f64, unit: &str, checksum: u64) {
    println!("{what:<44} {per:>10.2} {unit:<14} checksum {checksum:016x}");
}

fn cpu_ns() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// Runs a part and returns what it made with its CPU time in nanoseconds.
fn timed<T>(part: impl FnOnce() -> T) -> (T, f64) {
    let started = cpu_ns();
    let made = part();
    (made, cpu_ns() - started)
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn value(series: usize, round: usize, random: &mut fastrand::Rng) -> f64 {
    match series % 3 {
        0 => (series % 7) as f64,
        1 => (round * (series % 50)) as f64,
        _ => random.f64() * 100.0,
    }
}

fn labels(target: usize, series: usize) -> Labels {
    Labels::from_sorted([
        ("__name__", &*format!("http_requests_{:02}_total", series / 20)),
        ("cluster", "eu-west-1"),
        ("code", ["200", "404", "500", "503"][series % 4]),
        ("env", "production"),
        ("instance", &format!("10.0.{}.{}:9100", target / 250, target % 250)),
        ("job", "api-server"),
        ("namespace", &format!("team-{}", target % 20)),
        ("path", &format!("/api/v1/resource/{}", series % 20 / 4)),
        ("pod", &format!("api-server-7d9f8b6c5-{target:05}")),
    ])
}

/// Writes a block of some targets, or finds it.
fn make(dir: &Path, name: u64, targets: usize, samples: usize) -> (Block, f64) {
    let ulid = Ulid::new(1_700_000_000_000 + name, 0);
    let path = dir.join(ulid.to_string());
    if let Ok(block) = Block::open(&path) {
        return (block, 0.0);
    }
    let mut all: Vec<(Labels, usize)> = (0..targets)
        .flat_map(|target| (0..SERIES_A_TARGET).map(move |series| (labels(target, series), series)))
        .collect();
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let (mut random, mut builder) = (fastrand::Rng::with_seed(1), ChunkBuilder::new(BuildOptions::default()));
    let variants: Vec<Vec<SealedChunk>> =
        (0..SERIES_A_TARGET).map(|series| chunks(series, samples, &mut builder, &mut random)).collect();
    let mut symbols: Vec<&str> =
        all.iter().flat_map(|(labels, _)| labels.iter()).flat_map(|(n, v)| [n, v]).collect();
    symbols.sort_unstable();
    symbols.dedup();
    let max_ms = START_MS + samples as i64 * STEP_MS;
    let new = NewBlock { ulid, min_ms: START_MS, max_ms, compaction: Compaction::from_head(ulid) };
    let ((), write_ns) = timed(|| {
        let mut writer = BlockWriter::create(dir, new, &WriterOptions::default()).expect("a fresh directory");
        symbols.iter().for_each(|symbol| writer.add_symbol(symbol).expect("in order"));
        for (labels, series) in &all {
            let pieces: Vec<ChunkPiece<'_>> = variants[*series].iter().map(ChunkPiece::from).collect();
            writer.add_series(labels, &pieces).expect("in order");
        }
        writer.finish().expect("the disk works");
    });
    (Block::open(&path).expect("what was written opens"), write_ns)
}

fn chunks(
    series: usize,
    samples: usize,
    builder: &mut ChunkBuilder,
    random: &mut fastrand::Rng,
) -> Vec<SealedChunk> {
    let mut chunks = Vec::new();
    for round in 0..samples {
        let value = ChunkValue::Float(value(series, round, random));
        let sample = ChunkSample { t_ms: START_MS + round as i64 * STEP_MS, start_ms: 0, value };
        builder.push(sample, &mut chunks);
    }
    builder.finish(&mut chunks);
    chunks
}

fn wide(dir: &Path, targets: usize) {
    let count = (targets * SERIES_A_TARGET) as f64;
    let (block, write_ns) = make(dir, 1, targets, 20);
    report("wide: write", write_ns / count, "ns/series", block.meta().stats.num_series);
    let before = resident_bytes();
    let (block, ns) = timed(|| Block::open(block.dir()).expect("it opened before"));
    report("wide: open", ns / 1e6, "ms", block.size_bytes());
    report("wide: resident after open", resident_bytes().saturating_sub(before) as f64 / 1024.0, "KiB", 0);
    let equal = Matcher::equal;
    let regex =
        |name: &str, value: &str| Matcher::new(MatchOp::Regex, name, value).expect("a valid expression");
    let selectors = [
        ("one name, 20 a target", vec![equal("__name__", "http_requests_07_total")]),
        (
            "one name and one value of three",
            vec![
                equal("__name__", "http_requests_07_total"),
                equal("code", "200"),
                equal("job", "api-server"),
            ],
        ),
        ("name by prefix", vec![regex("__name__", "http_requests_1.*"), equal("code", "200")]),
        ("pods by expression", vec![equal("__name__", "http_requests_07_total"), regex("pod", ".*[37]")]),
        ("one target", vec![equal("instance", "10.0.0.1:9100")]),
        (
            "one series",
            vec![
                equal("instance", "10.0.0.1:9100"),
                equal("__name__", "http_requests_07_total"),
                equal("code", "200"),
                equal("path", "/api/v1/resource/1"),
            ],
        ),
    ];
    for (what, matchers) in &selectors {
        select(&block, what, matchers);
    }
    let querier = block.querier(START_MS, START_MS + 3_600_000);
    let (values, ns) = timed(|| querier.label_values("pod", &[], 0).expect("whole"));
    report("wide: all pods", ns / 1e3, "us", values.len() as u64);
    let (values, ns) = timed(|| querier.label_values("pod", &selectors[0].1, 0).expect("whole"));
    report("wide: pods of one name", ns / 1e3, "us", values.len() as u64);
    let (read, ns) = timed(|| {
        let read = block.series().map(|entry| entry.expect("whole"));
        read.fold(0, |sum, entry| sum + entry.chunks.len() as u64 + entry.labels.len() as u64)
    });
    report("wide: walk all series", ns / count, "ns/series", read);
    copy(&block, dir);
}

/// Reads all of a block and writes it again, as a compaction does, with an eye on memory.
fn copy(block: &Block, dir: &Path) {
    let before = resident_bytes();
    let mut peak = before;
    let meta = block.meta();
    let ulid = Ulid::new(1_700_000_000_000, 9);
    let new = NewBlock { ulid, min_ms: meta.min_ms, max_ms: meta.max_ms, compaction: Compaction::default() };
    let (written, ns) = timed(|| {
        let mut writer = BlockWriter::create(dir, new, &WriterOptions::default()).expect("a fresh directory");
        block.symbols().for_each(|symbol| writer.add_symbol(&symbol).expect("in order"));
        for (number, entry) in block.series().enumerate() {
            let entry = entry.expect("whole");
            writer.add_series(&entry.labels, &entry.chunks).expect("in order");
            if number % 50_000 == 0 {
                peak = peak.max(resident_bytes());
            }
        }
        // Postings are gathered at the end: their memory is what the options say.
        writer.finish().expect("the disk works").stats.num_series
    });
    report("wide: copy", ns / written as f64, "ns/series", written);
    report("wide:   memory before postings", (peak - before) as f64 / 1024.0, "KiB", 0);
    std::fs::remove_dir_all(dir.join(ulid.to_string())).expect("it was just written");
}

fn select(block: &Block, what: &str, matchers: &[Matcher]) {
    let querier = block.querier(START_MS, START_MS + 3_600_000);
    let rounds = 5;
    let (found, ns) = timed(|| {
        let mut found = 0;
        for _ in 0..rounds {
            found = querier.select(&SelectHints::default(), matchers).expect("whole").len();
        }
        found
    });
    report(&format!("wide: select {what} ({found})"), ns / f64::from(rounds) / 1e3, "us", found as u64);
    let set = querier.select(&SelectHints::default(), matchers).expect("whole");
    let (bytes, ns) = timed(|| (0..set.len()).map(|at| set.labels(at).as_packed().len()).sum::<usize>());
    report("wide:   its labels", ns / found.max(1) as f64, "ns/series", bytes as u64);
}

fn deep(dir: &Path, targets: usize) {
    let count = (targets * SERIES_A_TARGET) as f64;
    let (block, write_ns) = make(dir, 2, targets, 480);
    report("deep: write", write_ns / count, "ns/series", block.size_bytes());
    let querier = block.querier(i64::MIN, i64::MAX);
    let rounds = 10;
    let (sum, ns) = timed(|| {
        let mut sum = 0.0;
        for _ in 0..rounds {
            let set = querier
                .select(&SelectHints::default(), &[Matcher::equal("job", "api-server")])
                .expect("whole");
            let mut batch = SampleBatch::default();
            for at in 0..set.len() {
                batch.clear();
                set.read(at, i64::MIN, i64::MAX, &mut batch).expect("whole");
                sum += batch.values.last().copied().unwrap_or(0.0) + set.labels(at).as_packed().len() as f64;
            }
        }
        sum
    });
    let per_round = ns / f64::from(rounds);
    report("deep: select, labels, decode all", per_round / 1e6, "ms", f64::to_bits(sum));
    report("deep:   a sample", per_round / (count * 480.0), "ns", 0);
}
