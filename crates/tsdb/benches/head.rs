//! What the head costs: appending through the WAL, reading, replay, and memory.
//!
//! Isolates this crate from scraping and from queries; the disk is the page cache of a temporary directory.
//! Data: targets of 1,000 series with nine labels, each scraped as one batch; a third of the values constant, a third counters,
//! a third noisy floats.
//! Run: `cargo bench -p narthex-tsdb --bench head -- [memory10|memory120|mapped|unmapped|append|select|cardinality]`; without `--bench` it runs tiny, as a test.
//! Each line ends with a checksum of the result. With BENCH_KEEP=DIR the directory of `append` is DIR
//! and stays, for other programs to replay; `replay` opens it again. Baseline: append with WAL 150 ns.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use narthex_metrics::Registry;
use narthex_model::{Labels, Matcher};
use narthex_storage::{Appendable, Queryable, SampleBatch, SelectHints, SeriesRef, SeriesSet, Windows};
use narthex_tsdb::{CardinalityOrder, CardinalityRequest, Db, DbOptions};
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERIES_A_TARGET: usize = 1000;
const START_MS: i64 = 1_700_000_000_000;
const STEP_MS: i64 = 15_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let full = args.iter().any(|a| a == "--bench");
    let picked: Vec<&str> = args.iter().map(String::as_str).filter(|a| !a.starts_with("--")).collect();
    let wants = |part: &str| picked.is_empty() || picked.contains(&part);
    let targets = |n: usize| if full { n } else { 2 };
    // Memory is only measured right by a process that does nothing else: name one part.
    if wants("memory10") {
        memory(targets(1000), if full { 10 } else { 2 });
    }
    if wants("memory120") {
        memory(targets(1000), if full { 120 } else { 3 });
    }
    if picked.contains(&"mapped") {
        mapped(targets(300), if full { 360 } else { 6 }, 4);
    }
    if picked.contains(&"unmapped") {
        mapped(targets(300), if full { 360 } else { 6 }, usize::MAX);
    }
    if wants("append") {
        append_and_replay(targets(100), if full { 150 } else { 3 });
    }
    if picked.contains(&"replay") {
        replay_again();
    }
    if wants("select") {
        select(targets(100), if full { 20 } else { 2 });
    }
    if wants("cardinality") {
        cardinality(targets(1000));
    }
}

fn report(what: &str, per: f64, unit: &str, checksum: u64) {
    println!("{what:<44} {per:>10.2} {unit:<14} checksum {checksum:016x}");
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
}

fn open(dir: &Path) -> Arc<Db> {
    Db::open(dir, DbOptions::default(), &Registry::new()).expect("a fresh directory opens")
}

fn create(db: &Db, targets: usize) -> Vec<Vec<SeriesRef>> {
    let resolve = |target| {
        let mut appender = db.appender();
        (0..SERIES_A_TARGET).map(|s| appender.resolve(&labels(target, s)).expect("valid labels")).collect()
    };
    (0..targets).map(resolve).collect()
}

fn scrape(db: &Db, series: &[SeriesRef], round: usize, random: &mut fastrand::Rng) {
    let t_ms = START_MS + round as i64 * STEP_MS;
    let mut appender = db.appender();
    for (n, series) in series.iter().enumerate() {
        appender.append(*series, t_ms, value(n, round, random)).expect("newer than the last");
    }
    appender.commit().expect("the disk works");
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn memory(targets: usize, rounds: usize) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut random = fastrand::Rng::with_seed(1);
    let before = resident_bytes();
    let db = open(dir.path());
    let started = cpu_ns();
    let refs = create(&db, targets);
    let count = (targets * SERIES_A_TARGET) as f64;
    report("create series", (cpu_ns() - started) / count, "ns/series", refs.len() as u64);
    let refs_bytes = targets * SERIES_A_TARGET * size_of::<SeriesRef>();
    for round in 0..rounds {
        refs.iter().for_each(|series| scrape(&db, series, round, &mut random));
        if round == 0 {
            let bytes = resident_bytes().saturating_sub(before) as f64 - refs_bytes as f64;
            report("resident, 1 sample a series", bytes / count, "bytes/series", 0);
        }
    }
    let bytes = resident_bytes().saturating_sub(before) as f64 - refs_bytes as f64;
    report(
        &format!("resident, {rounds} samples a series"),
        bytes / count,
        "bytes/series",
        db.stats(0).chunk_count,
    );
}

/// What a series costs after `rounds` samples when full chunks are mapped every so many rounds: every minute, as the
/// maintenance does it, or never.
fn mapped(targets: usize, rounds: usize, every: usize) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut random = fastrand::Rng::with_seed(1);
    let before = resident_bytes();
    let db = open(dir.path());
    let refs = create(&db, targets);
    let (mut chunks, mut cpu) = (0, 0.0);
    for round in 0..rounds {
        refs.iter().for_each(|series| scrape(&db, series, round, &mut random));
        if round % every == every - 1 {
            let started = cpu_ns();
            chunks += db.map_chunks().expect("the disk works");
            cpu += cpu_ns() - started;
        }
    }
    let bytes = resident_bytes().saturating_sub(before) as f64 / (targets * SERIES_A_TARGET) as f64;
    report(&format!("resident, {rounds} samples a series"), bytes, "bytes/series", chunks);
    report("map full chunks, with all looks for them", cpu / chunks.max(1) as f64, "ns/chunk", chunks);
}

fn append_and_replay(targets: usize, rounds: usize) {
    let temporary = tempfile::tempdir().expect("temporary directory");
    let kept = std::env::var_os("BENCH_KEEP").map(std::path::PathBuf::from);
    let dir = kept.as_deref().unwrap_or(temporary.path());
    let mut random = fastrand::Rng::with_seed(3);
    let db = open(dir);
    let refs = create(&db, targets);
    refs.iter().for_each(|series| scrape(&db, series, 0, &mut random));
    let count = (targets * SERIES_A_TARGET * (rounds - 1)) as f64;
    let started = cpu_ns();
    for round in 1..rounds {
        refs.iter().for_each(|series| scrape(&db, series, round, &mut random));
    }
    let position = db.wal_tip().expect("the database is ready").position();
    report("append + WAL + commit", (cpu_ns() - started) / count, "ns/sample", position.offset);
    let wal_bytes: u64 = std::fs::read_dir(db.wal_dir())
        .expect("the WAL is there")
        .filter_map(|e| e.ok()?.metadata().ok())
        .map(|m| m.len())
        .sum();
    let samples = (targets * SERIES_A_TARGET * rounds) as f64;
    report("WAL size", wal_bytes as f64 / samples, "bytes/sample", 0);
    drop(db);
    let (started, cpu) = (Instant::now(), cpu_ns());
    let db = open(dir);
    let wall = started.elapsed().as_secs_f64();
    report("replay, wall", samples / wall / 1e6, "M samples/s", db.stats(0).chunk_count);
    report("replay, CPU", (cpu_ns() - cpu) / samples, "ns/sample", db.stats(0).series_count);
}

/// Opens a directory that an earlier run of `append` left.
fn replay_again() {
    let dir =
        std::env::var_os("BENCH_KEEP").map(std::path::PathBuf::from).expect("BENCH_KEEP names a directory");
    let (started, cpu) = (Instant::now(), cpu_ns());
    let db = open(&dir);
    let wall = started.elapsed().as_secs_f64();
    report("replay, wall", wall, "s", db.stats(0).chunk_count);
    report("replay, CPU", (cpu_ns() - cpu) / 1e9, "s", db.stats(0).series_count);
    report("resident after it", resident_bytes() as f64 / f64::from(1 << 20), "MiB", 0);
}

/// CPU time of this process, all threads: on a machine that others use too, wall time says little.
fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn select(targets: usize, rounds: usize) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut random = fastrand::Rng::with_seed(4);
    let db = open(dir.path());
    let refs = create(&db, targets);
    for round in 0..rounds {
        refs.iter().for_each(|series| scrape(&db, series, round, &mut random));
    }
    resolve_again(&db, targets);
    for (what, name, value) in
        [("one metric", "__name__", "http_requests_3_total"), ("all series", "job", "api-server")]
    {
        let querier = db.querier(i64::MIN, i64::MAX).expect("open");
        let started = cpu_ns();
        let set = querier.select(&SelectHints::default(), &[Matcher::equal(name, value)]).expect("in memory");
        report(
            &format!("select {what}"),
            (cpu_ns() - started) / set.len() as f64,
            "ns/series",
            set.len() as u64,
        );
        let started = cpu_ns();
        let bytes: usize = (0..set.len()).map(|at| set.labels(at).as_packed().len()).sum();
        report(
            &format!("labels of {what}"),
            (cpu_ns() - started) / set.len() as f64,
            "ns/series",
            bytes as u64,
        );
        let (mut batch, mut samples) = (SampleBatch::default(), 0);
        let started = cpu_ns();
        for at in 0..set.len() {
            batch.clear();
            set.read(at, i64::MIN, i64::MAX, &mut batch).expect("in memory");
            samples += batch.len();
        }
        report(&format!("read {what}"), (cpu_ns() - started) / samples as f64, "ns/sample", samples as u64);
        newest(&*set, what, START_MS + rounds as i64 * STEP_MS);
    }
}

/// What the cardinality of a million series costs, of all and of those of a selector.
fn cardinality(targets: usize) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut random = fastrand::Rng::with_seed(5);
    let db = open(dir.path());
    let refs = create(&db, targets);
    (0..3).for_each(|round| refs.iter().for_each(|series| scrape(&db, series, round, &mut random)));
    let labels = ["job", "instance"].map(str::to_owned);
    for (what, matcher) in [("all", None), ("job", Some(Matcher::equal("job", "api-server")))] {
        let selectors: Vec<Vec<Matcher>> = matcher.into_iter().map(|matcher| vec![matcher]).collect();
        let request = CardinalityRequest {
            selectors: &selectors,
            since_ms: START_MS,
            labels: &labels,
            limit: 10,
            order: CardinalityOrder::Series,
        };
        let (before, started) = (resident_bytes(), cpu_ns());
        let found = db.cardinality(&request);
        let took = (cpu_ns() - started) / 1e6;
        let grown = resident_bytes().saturating_sub(before) as f64;
        report(&format!("cardinality of {what} series"), took, "ms", found.total.series);
        report(&format!("resident memory more by {what}"), grown, "bytes", found.by_metric.len() as u64);
    }
}

/// What an instant query at the present time asks of each series: by decoding, and without.
fn newest(set: &dyn SeriesSet, what: &str, now_ms: i64) {
    let windows = Windows { first_end_ms: now_ms, step_ms: 0, count: 1, range_ms: 300_000 };
    let mut batch = SampleBatch::default();
    let mut run = |how: &str, read: &dyn Fn(usize, &mut SampleBatch)| {
        let (mut sum, started) = (0u64, cpu_ns());
        for at in 0..set.len() {
            batch.clear();
            read(at, &mut batch);
            sum = sum.wrapping_add(batch.values.last().map_or(0, |value| value.to_bits()));
        }
        report(&format!("{how} of {what}"), (cpu_ns() - started) / set.len() as f64, "ns/series", sum);
    };
    run("window", &|at, batch| set.read_windows(at, &windows, batch).expect("in memory"));
    run("newest", &|at, batch| set.read_newest(at, &windows, batch).expect("in memory"));
}

fn resolve_again(db: &Db, targets: usize) {
    let all: Vec<Labels> =
        (0..targets).flat_map(|t| (0..SERIES_A_TARGET).map(move |s| labels(t, s))).collect();
    let mut appender = db.appender();
    let started = cpu_ns();
    let sum = all.iter().fold(0u64, |sum, l| sum.wrapping_add(appender.resolve(l).expect("valid labels").0));
    report("resolve a known label set", (cpu_ns() - started) / all.len() as f64, "ns/series", sum);
}
