//! Late samples and early blocks against the real server: it serves from our WBL, our late chunks and our markers what we took,
//! and beside our blocks of stale series what only the head has; and we serve what it left behind when it was killed.
//!
//! A server and not `promtool tsdb dump`, which skips samples where the kind of a series' samples changes. Needs the peers'
//! programs (PEERS_BIN); says so loudly when they are absent.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may end where it stands")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use narthex_metrics::Registry;
use narthex_model::{Histogram, Labels, Span};
use narthex_storage::{Appendable, HistogramRef, Queryable, SampleBatch, SelectHints};
use narthex_tsdb::{Db, DbOptions, RuntimeOptions};

const START_MS: i64 = 1_700_000_000_000;

/// By series and time: a float as it is, of a histogram the count, negative.
type Samples = BTreeMap<(String, i64), f64>;

fn prometheus() -> Option<PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let dir = std::env::var("PEERS_BIN").unwrap_or(format!("{home}/.cache/prometheus-peers/root/usr/bin"));
    let path = PathBuf::from(dir).join("prometheus");
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is absent", path.display());
    eprintln!("SKIPPED: this test needs {}", path.display());
    None
}

/// A running server, killed when it goes out of scope.
struct Server {
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(binary: &Path, dir: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = dir.join("prometheus.yml");
        std::fs::write(&config, "storage: {tsdb: {out_of_order_time_window: 20d}}\n").unwrap();
        let process = Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=native-histograms")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, port };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !server.get("/-/ready").is_some_and(|answer| answer.starts_with("HTTP/1.0 200")) {
            assert!(Instant::now() < deadline, "not ready after a minute");
            std::thread::park_timeout(Duration::from_millis(50));
        }
        server
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Everything named `m`.
    fn samples(&self) -> Samples {
        let answer = self.get("/api/v1/query?query=m%5B40000s%5D&time=1700030000").unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        let mut samples = Samples::new();
        for series in json["data"]["result"].as_array().unwrap() {
            let n = series["metric"]["n"].as_str().unwrap().to_owned();
            let mut add = |pair: &serde_json::Value, value: f64| {
                let t_ms = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
                assert_eq!(samples.insert((n.clone(), t_ms), value), None, "each moment once");
            };
            let all = |key: &str| series[key].as_array().cloned().unwrap_or_default();
            for pair in all("values") {
                add(&pair, pair[1].as_str().unwrap().parse().unwrap());
            }
            for pair in all("histograms") {
                add(&pair, -pair[1]["count"].as_str().unwrap().parse::<f64>().unwrap());
            }
        }
        samples
    }
}

fn open(dir: &Path) -> std::sync::Arc<Db> {
    let runtime = RuntimeOptions { out_of_order_window_ms: 1_000_000_000, ..RuntimeOptions::default() };
    let options = DbOptions { runtime, manual_maintenance: true, no_lockfile: true, ..DbOptions::default() };
    Db::open(dir, options, &Registry::new()).unwrap()
}

fn served_by_us(db: &Db) -> Samples {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let set = querier.select(&SelectHints::default(), &[]).unwrap();
    let mut samples = Samples::new();
    for at in 0..set.len() {
        let (labels, mut batch) = (set.labels(at), SampleBatch::default());
        set.read(at, i64::MIN, i64::MAX, &mut batch).unwrap();
        let floats = batch.t_ms.iter().zip(batch.values.iter().copied());
        let histograms = batch.histogram_t_ms.iter().zip(batch.histograms.iter().map(|h| -h.count));
        samples.extend(floats.chain(histograms).map(|(t, v)| ((labels.value("n").to_owned(), *t), v)));
    }
    samples
}

/// Appends the samples of one moment: floats, histograms of both kinds, and a series that changes its kind.
fn append(db: &Db, round: i64, random: &mut fastrand::Rng, expected: &mut Samples) {
    let mut appender = db.appender();
    for n in 0..6i64 {
        let set = Labels::from_pairs([("__name__", "m"), ("n", &n.to_string())]);
        let series = appender.resolve(&set).unwrap();
        let (t_ms, count) = (START_MS + round * 15_000, random.u64(1..1000));
        let int = Histogram {
            count,
            sum: count as f64,
            schema: 3,
            positive_spans: vec![Span { offset: random.i32(0..3), length: 1 }],
            positive_buckets: vec![count as i64],
            ..Histogram::default()
        };
        let is_float = n < 3 || n == 5 && round % 3 == 0;
        match n {
            _ if is_float => appender.append(series, t_ms, count as f64).unwrap(),
            4 => appender.append_histogram(series, t_ms, HistogramRef::Float(&int.to_float())).unwrap(),
            _ => appender.append_histogram(series, t_ms, HistogramRef::Int(&int)).unwrap(),
        }
        let value = if is_float { count as f64 } else { -(count as f64) };
        expected.insert((n.to_string(), t_ms), value);
    }
    appender.commit().unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[track_caller]
fn check_same(got: &Samples, expected: &Samples, who: &str) {
    let wrong: Vec<_> = expected.iter().filter(|(key, value)| got.get(key) != Some(value)).take(5).collect();
    let made_up: Vec<_> = got.keys().filter(|key| !expected.contains_key(key)).take(5).collect();
    assert!(wrong.is_empty() && made_up.is_empty(), "{who}: not served {wrong:?}; made up {made_up:?}");
}

/// The directory goes to and fro, each time as a kill leaves it.
#[test]
fn late_samples_of_all_kinds_are_served_by_either_after_a_kill() {
    let Some(binary) = prometheus() else { return };
    let mut random = fastrand::Rng::with_seed(9);
    let mut rounds: Vec<i64> = (0..600).collect();
    random.shuffle(&mut rounds);
    let mut expected = Samples::new();
    let dir = tempfile::tempdir().unwrap();
    let mut data = dir.path().join("0/data");
    for (number, rounds) in rounds.chunks(200).enumerate() {
        let db = open(&data);
        check_same(&served_by_us(&db), &expected, "we");
        rounds.iter().for_each(|round| append(&db, *round, &mut random, &mut expected));
        let theirs = dir.path().join(format!("{}", number + 1));
        copy(&data, &theirs.join("data"));
        let chunk_files = std::fs::read_dir(theirs.join("data/chunks_head")).unwrap().count();
        assert!(chunk_files > number, "there are chunks of late samples");
        std::fs::remove_file(theirs.join("data/lock")).ok();
        let server = Server::start(&binary, &theirs);
        check_same(&server.samples(), &expected, "Prometheus");
        drop(server);
        std::fs::remove_file(theirs.join("data/lock")).ok();
        data = theirs.join("data");
    }
    check_same(&served_by_us(&open(&data)), &expected, "we");
}

/// Stale series leave early, into a block that reaches as far as the head does. A version that does not know such blocks must not
/// take it for all data up to its end, or it leaves the other series' samples out of the WAL.
#[test]
fn a_block_of_stale_series_hides_nothing_of_the_head() {
    let Some(binary) = prometheus() else { return };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let runtime = RuntimeOptions { stale_series_compaction_threshold: 0.3, ..RuntimeOptions::default() };
    let options = DbOptions { runtime, manual_maintenance: true, no_lockfile: true, ..DbOptions::default() };
    let db = Db::open(&data, options, &Registry::new()).unwrap();
    let mut expected = Samples::new();
    let mut append = |rounds: std::ops::Range<i64>| {
        for round in rounds {
            let (mut appender, t_ms) = (db.appender(), START_MS + round * 15_000);
            for n in 0..6i64 {
                let set = Labels::from_pairs([("__name__", "m"), ("n", &n.to_string())]);
                let series = appender.resolve(&set).unwrap();
                match round {
                    100 if n >= 3 => appender.append_stale(series, t_ms).unwrap(),
                    101..200 if n >= 3 => {}
                    _ => {
                        appender.append(series, t_ms, (round * n) as f64).unwrap();
                        expected.insert((n.to_string(), t_ms), (round * n) as f64);
                    }
                }
            }
            appender.commit().unwrap();
        }
    };
    append(0..160);
    db.maintain().unwrap();
    let blocks = db.blocks();
    assert_eq!((blocks.len(), db.stats(0).series_count), (1, 3), "a block of stale series was written");
    let newest_ms = START_MS + 159 * 15_000;
    assert!(blocks[0].max_ms > newest_ms, "it reaches beyond the head");
    // Some of them come back.
    append(160..220);
    db.close().unwrap();
    drop(db);
    for _ in 0..2 {
        let server = Server::start(&binary, dir.path());
        check_same(&server.samples(), &expected, "Prometheus");
        drop(server);
        std::fs::remove_file(data.join("lock")).ok();
        let mut ours = served_by_us(&open(&data));
        ours.retain(|_, value| !value.is_nan());
        check_same(&ours, &expected, "we");
    }
}

/// What the admin API's snapshot makes of the head while batches come in: the server opens it, and serves each batch whole or not
/// at all, late samples too.
#[test]
fn prometheus_serves_whole_batches_from_a_snapshot_of_a_busy_head() {
    let Some(binary) = prometheus() else { return };
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir.path().join("ours"));
    let (mut random, mut expected) = (fastrand::Rng::with_seed(7), Samples::new());
    // Late ones after newer ones; then times between those, so that the copy's range has room for all that comes.
    let before: Vec<i64> = (0..200).chain([500]).chain(450..480).collect();
    before.iter().for_each(|round| append(&db, *round, &mut random, &mut expected));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (db, stop) = (&db, &stop);
        let writer = scope.spawn(move || {
            let (mut random, mut more) = (fastrand::Rng::with_seed(8), Samples::new());
            let rounds = (200..450).take_while(|_| !stop.load(std::sync::atomic::Ordering::Relaxed));
            rounds.for_each(|round| append(db, round, &mut random, &mut more));
            more
        });
        let copied = db.snapshot(&dir.path().join("data"), true);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        expected.extend(writer.join().unwrap());
        copied.unwrap();
    });
    drop(db);
    let server = Server::start(&binary, dir.path());
    let theirs = server.samples();
    let mut batches = BTreeMap::<i64, usize>::new();
    for (at, value) in &theirs {
        assert_eq!(expected.get(at), Some(value), "{at:?}");
        *batches.entry(at.1).or_default() += 1;
    }
    assert!(batches.values().all(|count| *count == 6), "a batch in part: {batches:?}");
    let missing = before.iter().find(|round| !batches.contains_key(&(START_MS + **round * 15_000)));
    assert_eq!(missing, None, "committed before the copy began");
}
