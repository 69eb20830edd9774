//! What compaction costs: the head to a block, three blocks to one, and a read over blocks and head.
//!
//! Data: targets of 1,000 series with nine labels, a sample each 15 s for eleven hours in blocks of two; a third of the values
//! constant, a third counters, a third noisy floats. CPU is that of the whole process, memory its growth over that before.
//! Run: `cargo bench -p narthex-tsdb --bench compact`; without `--bench` it runs tiny, as a test. With BENCH_KEEP=DIR a copy of the
//! blocks before they are merged stays in DIR, for other programs to compact: a real Prometheus there tells its
//! `prometheus_tsdb_compaction_duration_seconds_sum`. With BENCH_DIR=DIR the blocks of DIR are compacted instead, with BENCH_TARGETS=N
//! there are more or fewer targets. Each line ends with a checksum of the result.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use narthex_metrics::Registry;
use narthex_model::{Labels, MatchOp, Matcher};
use narthex_storage::{Appendable, Queryable, SampleBatch, SelectHints, SeriesRef};
use narthex_tsdb::{Db, DbOptions};
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERIES_A_TARGET: usize = 1000;
const HOUR_MS: i64 = 3_600_000;
/// A multiple of the range of a merged block.
const START_MS: i64 = 1_700_000_000_000 / (6 * HOUR_MS) * (6 * HOUR_MS);
const STEP_MS: i64 = 15_000;
const HOURS: i64 = 11;

fn main() {
    if let Some(dir) = std::env::var_os("BENCH_DIR") {
        return compact_there(Path::new(&dir));
    }
    let full = std::env::args().any(|arg| arg == "--bench");
    let asked = std::env::var("BENCH_TARGETS").ok().and_then(|text| text.parse().ok());
    let targets = if full { asked.unwrap_or(50) } else { 1 };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let options = DbOptions { manual_maintenance: true, ..DbOptions::default() };
    let db = Db::open(&data, options.clone(), &Registry::new()).expect("a fresh directory opens");
    let rounds = if full { HOURS * HOUR_MS / STEP_MS } else { HOURS };
    let step_ms = HOURS * HOUR_MS / rounds;
    let series = create(&db, targets);
    // One block at a time: merging begins with the fourth.
    let mut merged = false;
    for round in 0..rounds {
        scrape(&db, &series, START_MS + round * step_ms, round);
        let before_ms = (round - 1) * step_ms;
        if before_ms < 2 * HOUR_MS || before_ms % (2 * HOUR_MS) != HOUR_MS || merged {
            continue;
        }
        if db.blocks().len() == 3 {
            keep(&db);
            merged = true;
        }
        let what = if merged { "head to block, and 3 blocks to 1" } else { "head to block" };
        measure(what, targets, || db.maintain().expect("the disk works"));
    }
    assert!(merged, "the last compaction merges");
    read(&db, "select over blocks and head");
}

fn create(db: &Arc<Db>, targets: usize) -> Vec<Vec<SeriesRef>> {
    let labels = |target: usize, series: usize| {
        Labels::from_sorted([
            ("__name__", &*format!("http_requests_{}_total", series / 20)),
            ("cluster", "eu-west-1"),
            ("code", ["200", "404", "500", "503"][series % 4]),
            ("env", "production"),
            ("instance", &format!("10.0.{}.{}:9100", target / 250, target % 250)),
            ("job", "api-server"),
            ("namespace", &format!("team-{}", target % 20)),
            ("path", &format!("/api/v1/resource/{}", series % 20 / 4)),
            ("pod", &format!("api-server-7d9f8b6c5-{target:05}")),
        ])
    };
    let resolve = |target| {
        let mut appender = db.appender();
        (0..SERIES_A_TARGET).map(|s| appender.resolve(&labels(target, s)).expect("valid labels")).collect()
    };
    (0..targets).map(resolve).collect()
}

fn scrape(db: &Db, targets: &[Vec<SeriesRef>], t_ms: i64, round: i64) {
    let mut random = fastrand::Rng::with_seed(round as u64);
    for series in targets {
        let mut appender = db.appender();
        for (number, series) in series.iter().enumerate() {
            let value = match number % 3 {
                0 => (number % 7) as f64,
                1 => (round * (number % 50) as i64) as f64,
                _ => random.f64() * 100.0,
            };
            appender.append(*series, t_ms, value).expect("newer than the last");
        }
        appender.commit().expect("the disk works");
    }
}

/// Leaves a copy of the blocks for others.
fn keep(db: &Db) {
    if let Some(dir) = std::env::var_os("BENCH_KEEP") {
        db.snapshot(Path::new(&dir), true).expect("the directory is on the same disk");
    }
}

/// What the process holds for itself, and the pages of mapped files it has touched, which the system may take back.
fn resident_bytes() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    (kib("RssAnon:") * 1024, kib("RssFile:") * 1024)
}

/// Compacts the blocks of a directory, and reads 10,000 of their series again and again.
fn compact_there(dir: &Path) {
    let options = DbOptions { manual_maintenance: true, ..DbOptions::default() };
    let db = Db::open(dir, options, &Registry::new()).expect("the directory opens");
    let blocks = db.blocks();
    let series = blocks.iter().map(|meta| meta.stats.num_series as usize).max().unwrap_or(0);
    select_some(&db, blocks[0].max_ms - 1);
    measure("blocks to 1", series / SERIES_A_TARGET, || db.maintain().expect("the disk works"));
    println!("{} blocks became {}", blocks.len(), db.blocks().len());
}

/// What `count(QUERY)` at one moment needs of the storage: the last sample of 10 targets with 1,000 series each.
fn select_some(db: &Db, t_ms: i64) {
    const TIMES: u32 = 50;
    let matchers = [
        Matcher::new(MatchOp::Equal, "job", "api-server").expect("no pattern"),
        Matcher::new(MatchOp::Regex, "instance", "10.0.0.[0-9]:9100").expect("a good pattern"),
    ];
    let (begin_ms, cpu_before, mut samples) = (t_ms - 300_000, cpu_s(), 0);
    for _ in 0..TIMES {
        let querier = db.querier(begin_ms, t_ms).expect("the database is open");
        let set = querier.select(&SelectHints::default(), &matchers).expect("the blocks are sound");
        let mut out = SampleBatch::default();
        for at in 0..set.len() {
            out.clear();
            set.read(at, begin_ms, t_ms, &mut out).expect("the blocks are sound");
            samples += usize::from(!out.is_empty());
        }
    }
    let ms = (cpu_s() - cpu_before) * 1e3 / f64::from(TIMES);
    println!("select of {} series: {ms:.2} ms CPU", samples / TIMES as usize);
}

fn cpu_s() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Runs the work on this thread while another watches the memory.
fn measure(what: &str, targets: usize, work: impl FnOnce() + Send) {
    let (before, cpu_before, begin) = (resident_bytes(), cpu_s(), Instant::now());
    let mut peak = before;
    let mut look = || {
        let now = resident_bytes();
        peak = (peak.0.max(now.0), peak.1.max(now.1));
    };
    std::thread::scope(|scope| {
        let work = scope.spawn(work);
        while !work.is_finished() {
            look();
            std::thread::yield_now();
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    });
    let (cpu_s, wall_s) = (cpu_s() - cpu_before, begin.elapsed().as_secs_f64());
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let (own, mapped) = (mib(peak.0 - before.0), mib(peak.1 - before.1));
    let series = targets * SERIES_A_TARGET;
    println!(
        "{what:<34} {cpu_s:7.3} s CPU {wall_s:7.3} s   {own:7.1} MiB more, {mapped:.1} MiB of files   checksum {series}"
    );
}

fn read(db: &Db, what: &str) {
    let begin = Instant::now();
    let querier = db.querier(i64::MIN, i64::MAX).expect("the database is open");
    let matcher = Matcher::new(MatchOp::Equal, "job", "api-server").expect("no pattern");
    let set = querier.select(&SelectHints::default(), &[matcher]).expect("the blocks are sound");
    let selected_s = begin.elapsed().as_secs_f64();
    let (mut out, mut samples, mut checksum) = (SampleBatch::default(), 0, 0u64);
    for at in 0..set.len() {
        out.clear();
        set.read(at, i64::MIN, i64::MAX, &mut out).expect("the blocks are sound");
        samples += out.len();
        checksum = out.values.iter().fold(checksum, |sum, v| sum.wrapping_add(v.to_bits()));
    }
    let read_ns = (begin.elapsed().as_secs_f64() - selected_s) * 1e9 / samples as f64;
    let select_us = selected_s * 1e6 / set.len() as f64;
    println!("{what:<34} {select_us:7.2} µs/series {read_ns:7.2} ns/sample   checksum {checksum:016x}");
}
