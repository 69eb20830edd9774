//! Against the real thing: chunks that Prometheus wrote, logs that it wrote, and its own tool reading ours.
//!
//! Needs the conformance material (NARTHEX_SHARED) and the peers' programs (PEERS_BIN); says so loudly when they are absent.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may end where it stands")]

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use narthex_chunks::{OpenChunk, decode_xor};
use narthex_metrics::Registry;
use narthex_model::{Labels, STALE_NAN};
use narthex_storage::{Appendable, Queryable, SampleBatch, SelectHints};
use narthex_tsdb::{Db, DbOptions, RuntimeOptions};
use narthex_wal::{Compression, WalOptions};

/// A program of the peers; `None` (loudly) when they are absent.
fn peer(name: &str) -> Option<PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let dir = std::env::var("PEERS_BIN").unwrap_or(format!("{home}/.cache/prometheus-peers/root/usr/bin"));
    present(PathBuf::from(dir).join(name))
}

/// A file of the conformance material.
fn shared(file: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("NARTHEX_SHARED").map_or(default, PathBuf::from);
    present(root.join(file))
}

fn present(path: PathBuf) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is absent", path.display());
    eprintln!("SKIPPED: this test needs {}", path.display());
    None
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn open(dir: &Path, compression: Compression) -> std::sync::Arc<Db> {
    let wal = WalOptions { compression, ..WalOptions::default() };
    let block_reload_interval = Duration::from_secs(1);
    Db::open(dir, DbOptions { wal, block_reload_interval, ..DbOptions::default() }, &Registry::new()).unwrap()
}

/// One sample as `promtool tsdb dump` tells it: labels, timestamp, bits of the value (all NaNs alike).
type Line = (String, i64, u64);

fn line(labels: &str, t_ms: i64, value: f64) -> Line {
    (labels.to_owned(), t_ms, if value.is_nan() { u64::MAX } else { value.to_bits() })
}

fn dumped_by_promtool(promtool: &Path, dir: &Path) -> BTreeSet<Line> {
    let text = run(Command::new(promtool).args(["tsdb", "dump"]).arg(dir));
    let parse = |text: &str| {
        let mut parts = text.rsplitn(3, ' ');
        let t_ms = parts.next().unwrap().parse().unwrap();
        let value: f64 = parts.next().unwrap().parse().unwrap();
        line(parts.next().unwrap(), t_ms, value)
    };
    text.lines().map(parse).collect()
}

fn served_by_us(dir: &Path) -> BTreeSet<Line> {
    let db = open(dir, Compression::Snappy);
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let set = querier.select(&SelectHints::default(), &[]).unwrap();
    let mut lines = BTreeSet::new();
    for at in 0..set.len() {
        let (labels, mut batch) = (set.labels(at).to_string(), SampleBatch::default());
        set.read(at, i64::MIN, i64::MAX, &mut batch).unwrap();
        lines.extend(batch.t_ms.iter().zip(&batch.values).map(|(t, v)| line(&labels, *t, *v)));
    }
    lines
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
fn check_same(ours: &BTreeSet<Line>, theirs: &BTreeSet<Line>) {
    assert!(!theirs.is_empty());
    let missing: Vec<_> = theirs.difference(ours).take(5).collect();
    let extra: Vec<_> = ours.difference(theirs).take(5).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing here: {missing:?}; only here: {extra:?}");
}

/// Looks again until it holds; panics after a minute.
#[track_caller]
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "still waiting for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Seven hours of series that come and go: the first look of the maintenance at a restart makes blocks, truncates the head, and
/// writes full chunks to files; more samples follow.
#[test]
fn promtool_reads_a_truncated_head_with_mapped_chunks_as_we_do() {
    const MINUTE: i64 = 60_000;
    let Some(promtool) = peer("promtool") else { return };
    let dir = tempfile::tempdir().unwrap();
    let put = |db: &Db, minute: i64| {
        let mut appender = db.appender();
        for n in 0..20i64 {
            let generation = if n < 10 { 0 } else { minute / 50 };
            let set = [("__name__", "m".to_owned()), ("n", n.to_string()), ("g", generation.to_string())];
            let series = appender.resolve(&Labels::from_pairs(set)).unwrap();
            appender.append(series, minute * MINUTE, (minute * n) as f64).unwrap();
        }
        appender.commit().unwrap();
    };
    let db = open(dir.path(), Compression::Snappy);
    (0..420).for_each(|minute| put(&db, minute));
    let series = db.stats(0).series_count;
    db.close().unwrap();
    drop(db);
    let db = open(dir.path(), Compression::Snappy);
    wait_for("blocks and a smaller head", || {
        db.time_range().is_some_and(|(min_ms, _)| min_ms < MINUTE) && db.stats(0).series_count < series
    });
    // Forty minutes into a range: when all before it is in blocks, the head still has full chunks.
    (420..640).for_each(|minute| put(&db, minute));
    db.close().unwrap();
    drop(db);
    for _ in 0..2 {
        let db = open(dir.path(), Compression::Snappy);
        let chunks = dir.path().join("chunks_head");
        let size = || -> u64 {
            let files = std::fs::read_dir(&chunks).unwrap();
            files.map(|file| file.unwrap().metadata().map_or(0, |meta| meta.len())).sum()
        };
        wait_for("mapped chunks", || size() > 1000);
        db.close().unwrap();
        drop(db);
        let ours = served_by_us(dir.path());
        assert_eq!(ours.len(), 640 * 20);
        check_same(&ours, &dumped_by_promtool(&promtool, dir.path()));
    }
}

#[test]
fn promtool_reads_our_log_as_we_do() {
    let Some(promtool) = peer("promtool") else { return };
    for compression in [Compression::None, Compression::Snappy, Compression::Zstd] {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path(), compression);
        let mut random = fastrand::Rng::with_seed(5);
        for round in 0..200i64 {
            let mut appender = db.appender();
            for n in 0..60i64 {
                let set = [("__name__", "m".to_owned()), ("n", n.to_string()), ("späße", "x\n".to_owned())];
                let series = appender.resolve(&Labels::from_pairs(set)).unwrap();
                let value = match n % 5 {
                    0 => round as f64,
                    1 => random.f64() * 1e9,
                    2 if round % 50 == 49 => STALE_NAN,
                    3 => f64::from_bits(random.u64(..)),
                    _ => f64::INFINITY,
                };
                let jitter = if n % 7 == 0 { random.i64(0..900) } else { 0 };
                appender.append(series, 1_700_000_000_000 + round * 15_000 + jitter, value).unwrap();
            }
            appender.commit().unwrap();
        }
        let theirs = tempfile::tempdir().unwrap();
        copy(dir.path(), theirs.path());
        drop(db);
        let ours = served_by_us(dir.path());
        assert_eq!(ours.len(), 200 * 60);
        check_same(&ours, &dumped_by_promtool(&promtool, theirs.path()));
    }
}

/// Checkpoint after checkpoint, with restarts in between: both read the same, and everything from the truncation on is there.
#[test]
fn promtool_reads_our_shortened_log_as_we_do() {
    let Some(promtool) = peer("promtool") else { return };
    const START_MS: i64 = 1_700_000_000_000;
    for compression in [Compression::None, Compression::Snappy, Compression::Zstd] {
        let dir = tempfile::tempdir().unwrap();
        let wal = WalOptions { segment_size_bytes: 32 * 1024, compression, ..WalOptions::default() };
        let options = || DbOptions { wal, manual_maintenance: true, ..DbOptions::default() };
        let mut written = BTreeSet::new();
        let mut mint_ms = START_MS;
        for life in 0..3i64 {
            let db = Db::open(dir.path(), options(), &Registry::new()).unwrap();
            for round in life * 400..(life + 1) * 400 {
                let mut appender = db.appender();
                for n in 0..80i64 {
                    // Some series begin late, some end early: the checkpoint has series that no kept sample names.
                    if (n % 7 == 0 && round < 450) || (n % 7 == 1 && round > 200) {
                        continue;
                    }
                    let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("n", n.to_string())]);
                    let series = appender.resolve(&labels).unwrap();
                    let (t_ms, value) = (START_MS + round * 15_000, (round * n) as f64 / 3.0);
                    appender.append(series, t_ms, value).unwrap();
                    written.insert(line(&labels.to_string(), t_ms, value));
                }
                appender.commit().unwrap();
            }
            mint_ms = START_MS + life * 4_800_000;
            assert!(db.truncate_wal(mint_ms).unwrap());
        }
        written.retain(|(_, t_ms, _)| *t_ms >= mint_ms);
        let theirs = tempfile::tempdir().unwrap();
        copy(dir.path(), theirs.path());
        let ours = served_by_us(dir.path());
        check_same(&ours, &dumped_by_promtool(&promtool, theirs.path()));
        let kept: BTreeSet<Line> = ours.into_iter().filter(|(_, t_ms, _)| *t_ms >= mint_ms).collect();
        check_same(&kept, &written);
    }
}

/// Batches in random order of time, by which most samples are late.
#[test]
fn promtool_reads_our_logs_with_late_samples_as_we_do() {
    let Some(promtool) = peer("promtool") else { return };
    let dir = tempfile::tempdir().unwrap();
    let runtime = RuntimeOptions { out_of_order_window_ms: 1_000_000_000, ..RuntimeOptions::default() };
    let options = DbOptions { runtime, ..DbOptions::default() };
    let db = Db::open(dir.path(), options, &Registry::new()).unwrap();
    let mut random = fastrand::Rng::with_seed(8);
    let mut rounds: Vec<i64> = (0..300).collect();
    random.shuffle(&mut rounds);
    for round in rounds {
        let mut appender = db.appender();
        for n in 0..20i64 {
            let series =
                appender.resolve(&Labels::from_pairs([("__name__", "m"), ("n", &n.to_string())])).unwrap();
            let t_ms = 1_700_000_000_000 + round * 15_000;
            appender.append(series, t_ms + 5_000, random.f64()).unwrap();
            appender.append(series, t_ms, round as f64).unwrap();
        }
        appender.commit().unwrap();
    }
    let theirs = tempfile::tempdir().unwrap();
    copy(dir.path(), theirs.path());
    drop(db);
    let ours = served_by_us(dir.path());
    assert_eq!(ours.len(), 300 * 20 * 2);
    check_same(&ours, &dumped_by_promtool(&promtool, theirs.path()));
}

/// A running server, killed when it goes out of scope.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_prometheus(binary: &Path, dir: &Path) -> Server {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = dir.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\nscrape_configs:\n- {{job_name: self, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n- {{job_name: nobody, static_configs: [{{targets: ['127.0.0.1:9']}}]}}\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(binary);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Server(command.spawn().unwrap())
}

#[test]
fn a_log_of_a_killed_prometheus_replays_to_the_same_samples() {
    let (Some(prometheus), Some(promtool)) = (peer("prometheus"), peer("promtool")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = start_prometheus(&prometheus, dir.path());
    let segment = dir.path().join("data/wal/00000000");
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::metadata(&segment).map_or(0, |m| m.len()) < 96 * 1024 {
        assert!(Instant::now() < deadline, "no log after a minute");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    drop(server);
    let theirs = tempfile::tempdir().unwrap();
    copy(&dir.path().join("data"), theirs.path());
    let theirs = dumped_by_promtool(&promtool, theirs.path());
    check_same(&served_by_us(&dir.path().join("data")), &theirs);
    check_same(&served_by_us(&dir.path().join("data")), &theirs);
}

fn uvarint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if *byte < 0x80 {
            return value;
        }
    }
}

/// The XOR chunks of a block's chunk file.
fn xor_chunks(file: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(file).unwrap();
    let (mut rest, mut chunks) = (&bytes[8..], Vec::new());
    while !rest.is_empty() {
        let len = uvarint(&mut rest) as usize;
        if len == 0 {
            break;
        }
        let (chunk, after) = rest.split_at(1 + len);
        if chunk[0] == 1 {
            chunks.push(chunk[1..].to_vec());
        }
        rest = &after[4..];
    }
    chunks
}

#[test]
fn chunks_of_real_blocks_decode_and_encode_to_the_same_bytes() {
    let Some(archive) = shared("conformance/tsdb/prom-3.5.3-a.tar.zst") else { return };
    let dir = tempfile::tempdir().unwrap();
    run(Command::new("tar").arg("--zstd").arg("-xf").arg(&archive).arg("-C").arg(dir.path()));
    let find = run(Command::new("find").arg(dir.path()).args(["-path", "*/chunks/0*"]));
    let chunks: Vec<Vec<u8>> = find.lines().flat_map(|file| xor_chunks(Path::new(file))).collect();
    assert!(chunks.len() > 100, "{} chunks", chunks.len());
    for chunk in chunks {
        let mut batch = SampleBatch::default();
        decode_xor(&chunk, i64::MIN, i64::MAX, &mut batch).unwrap();
        assert_eq!(batch.len(), usize::from(u16::from_be_bytes([chunk[0], chunk[1]])));
        let (mut open, mut bytes) = (OpenChunk::default(), Vec::new());
        batch.t_ms.iter().zip(&batch.values).for_each(|(t, v)| open.push(*t, *v));
        open.copy_to(&mut bytes);
        assert_eq!(bytes, chunk);
    }
}

/// The labels and float samples of one line of `samples.jsonl`, which is `{"metric": {..}, "values": [[s, "v"], ..]}`.
fn parse_series(text: &str) -> (String, Vec<(i64, f64)>) {
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    let pairs = json["metric"].as_object().unwrap().iter();
    let labels = Labels::from_pairs(pairs.map(|(n, v)| (n.as_str(), v.as_str().unwrap_or(""))));
    let sample = |pair: &serde_json::Value| {
        let t_ms = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
        (t_ms, pair[1].as_str().unwrap().parse().unwrap())
    };
    let samples = json["values"].as_array().map_or(Vec::new(), |values| values.iter().map(sample).collect());
    (labels.to_string(), samples)
}

/// A directory with blocks, a checkpoint, segments and all record types. What is newer than the blocks comes from the WAL
/// and, for samples that came out of order, the WBL.
#[test]
fn the_log_of_a_busy_prometheus_serves_what_it_served() {
    let Some(archive) = shared("conformance/tsdb/prom-3.5.3-a.tar.zst") else { return };
    let dir = tempfile::tempdir().unwrap();
    run(Command::new("tar").arg("--zstd").arg("-xf").arg(&archive).arg("-C").arg(dir.path()));
    const BLOCKS_END_MS: i64 = 1_795_348_800_000;
    let ours = served_by_us(&dir.path().join("data"));
    let ours: BTreeSet<Line> = ours.into_iter().filter(|(_, t, _)| *t >= BLOCKS_END_MS).collect();
    let text = std::fs::read_to_string(dir.path().join("expected/samples.jsonl")).unwrap();
    let mut theirs = BTreeSet::new();
    for (labels, samples) in text.lines().map(parse_series) {
        let new = samples.into_iter().filter(|(t, _)| *t >= BLOCKS_END_MS);
        theirs.extend(new.map(|(t, v)| line(&labels, t, v)));
    }
    let stale: BTreeSet<Line> = ours.iter().filter(|(_, _, v)| *v == u64::MAX).cloned().collect();
    let ours: BTreeSet<Line> = ours.difference(&stale).cloned().collect();
    let theirs: BTreeSet<Line> = theirs.into_iter().filter(|(_, _, v)| *v != u64::MAX).collect();
    check_same(&ours, &theirs);
}

fn with_snapshots() -> DbOptions {
    DbOptions { memory_snapshot_on_shutdown: true, manual_maintenance: true, ..DbOptions::default() }
}

fn floats(db: &Db) -> BTreeSet<Line> {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let set = querier.select(&SelectHints::default(), &[]).unwrap();
    let mut lines = BTreeSet::new();
    for at in 0..set.len() {
        let (labels, mut batch) = (set.labels(at).to_string(), SampleBatch::default());
        set.read(at, i64::MIN, i64::MAX, &mut batch).unwrap();
        lines.extend(batch.t_ms.iter().zip(&batch.values).map(|(t, v)| line(&labels, *t, *v)));
    }
    lines
}

/// The value of a metric without labels.
fn metric(registry: &Registry, name: &str) -> Option<f64> {
    let families = registry.gather();
    let metrics = &families.iter().find(|family| family.name == name)?.metrics;
    match metrics.first()?.value {
        narthex_metrics::Value::Number(value) => Some(value),
        _ => None,
    }
}

#[test]
fn a_snapshot_of_prometheus_serves_what_it_served() {
    let Some(archive) = shared("conformance/tsdb/prom-3.5.3-a-snapshot.tar.zst") else { return };
    let dir = tempfile::tempdir().unwrap();
    run(Command::new("tar").arg("--zstd").arg("-xf").arg(&archive).arg("-C").arg(dir.path()));
    let text = std::fs::read_to_string(dir.path().join("expected/samples.jsonl")).unwrap();
    let mut theirs = BTreeSet::new();
    for (labels, samples) in text.lines().map(parse_series) {
        theirs.extend(samples.into_iter().filter(|(_, v)| !v.is_nan()).map(|(t, v)| line(&labels, t, v)));
    }
    let registry = Registry::new();
    let db = Db::open(&dir.path().join("data"), with_snapshots(), &registry).unwrap();
    assert_eq!(metric(&registry, "prometheus_tsdb_snapshot_replay_error_total"), Some(0.0));
    let ours: BTreeSet<Line> = floats(&db).into_iter().filter(|(_, _, v)| *v != u64::MAX).collect();
    check_same(&ours, &theirs);
}

/// What an HTTP server on this machine answers to a GET.
fn get(port: u16, path: &str) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.0 200").then_some(answer)
}

#[test]
fn prometheus_starts_from_our_snapshot() {
    let Some(prometheus) = peer("prometheus") else { return };
    const START_MS: i64 = 1_700_000_000_000;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let db = Db::open(&data, with_snapshots(), &Registry::new()).unwrap();
    for round in 0..300i64 {
        let mut appender = db.appender();
        for n in 0..20i64 {
            let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("n", n.to_string())]);
            let series = appender.resolve(&labels).unwrap();
            appender.append(series, START_MS + round * 15_000, (round * n) as f64).unwrap();
        }
        appender.commit().unwrap();
    }
    db.close().unwrap();
    drop(db);
    let config = dir.path().join("prometheus.yml");
    std::fs::write(&config, "global: {}\n").unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let mut command = Command::new(prometheus);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(["--enable-feature=memory-snapshot-on-shutdown", "--storage.tsdb.retention.time=100y"])
        .stdout(Stdio::null())
        .stderr(log);
    let _server = Server(command.spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    while get(port, "/-/ready").is_none() {
        assert!(Instant::now() < deadline, "not ready after a minute");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let metrics = get(port, "/metrics").unwrap();
    assert!(metrics.contains("prometheus_tsdb_snapshot_replay_error_total 0\n"));
    let end_s = (START_MS + 299 * 15_000) / 1000;
    for (query, expected) in
        [("count(count_over_time(m[2h])==300)", "\"20\""), ("sum(sum_over_time(m[2h]))", "\"8521500\"")]
    {
        let query = query.replace('=', "%3D").replace('(', "%28").replace(')', "%29");
        let answer = get(port, &format!("/api/v1/query?time={end_s}&query={query}")).unwrap();
        assert!(answer.contains(expected), "{answer}");
    }
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.contains("chunk snapshot loaded"), "{log}");
}
