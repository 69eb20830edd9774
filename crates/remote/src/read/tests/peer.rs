//! The same blocks and logs served by a real Prometheus and by us: the same answers, chunk by chunk and sample by sample.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method};
use narthex_config::HttpClientConfig;
use narthex_net::client::{HttpClient, Request};

use super::*;

/// The real program and a data directory that another one wrote; `None` after a loud line.
fn material() -> Option<(PathBuf, tempfile::TempDir)> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cached = home.join(".cache/prometheus-peers/root/usr/bin");
    let program = std::env::var_os("PEERS_BIN").map_or(cached, PathBuf::from).join("prometheus");
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("NARTHEX_SHARED").map_or(beside, PathBuf::from);
    let archive = shared.join("conformance/tsdb/prom-3.5.3-a.tar.zst");
    if !program.is_file() || !archive.is_file() {
        assert!(std::env::var_os("CI").is_none(), "CI needs {} and {}", program.display(), archive.display());
        eprintln!("SKIPPED: this test needs {} and {}", program.display(), archive.display());
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let tar = Command::new("tar").args(["--zstd", "-xf"]).arg(&archive).arg("-C").arg(folder.path()).status();
    assert!(tar.unwrap().success());
    Some((program, folder))
}

struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &Path, folder: &Path, data: &Path, port: u16) -> Peer {
    let config = folder.join("peer.yml");
    std::fs::write(&config, "global: {external_labels: {region: eu}}\n").unwrap();
    let child = Command::new(program)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(["--storage.tsdb.retention.time=100y", "--storage.remote.read-max-bytes-in-frame=2000"])
        .args(["--storage.tsdb.no-lockfile", "--web.enable-admin-api"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Peer(child.unwrap())
}

async fn post(client: &HttpClient, port: u16, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    let url = url::Url::parse(&format!("http://127.0.0.1:{port}{path}")).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/x-protobuf"));
    let request = Request {
        method: Method::POST,
        url: &url,
        headers: &headers,
        body: Bytes::copy_from_slice(body),
        deadline: tokio::time::Instant::now() + Duration::from_secs(30),
        unix_socket: None,
    };
    let response = client.send(&request).await.ok()?;
    let (status, mut body) = (response.status, Vec::new());
    response.read_raw(&mut body, u64::MAX).await.ok()?;
    Some((status, body))
}

/// The result of the only query, sorted, without series that have no samples, which Prometheus gives and we do not.
fn results(message: &[u8]) -> Vec<TimeSeries> {
    let message = snap::raw::Decoder::new().decompress_vec(message).unwrap();
    let mut response = WireResponse::decode(&*message).unwrap();
    let mut series = response.results.remove(0).timeseries;
    series.retain(|series| !series.samples.is_empty() || !series.histograms.is_empty());
    series.sort_by_key(|series| labels_text(&series.labels));
    series
}

fn check_samples(ours: &[TimeSeries], theirs: &[TimeSeries], what: &str) {
    let names = |all: &[TimeSeries]| all.iter().map(|s| labels_text(&s.labels)).collect::<Vec<_>>();
    assert_eq!(names(ours), names(theirs), "{what}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        // Prometheus' encoder leaves out a value that equals zero, and with it the sign of -0, which ours keeps.
        let bits = |s: &TimeSeries| {
            s.samples.iter().map(|x| (x.timestamp, (x.value + 0.0).to_bits())).collect::<Vec<_>>()
        };
        assert_eq!(bits(ours), bits(theirs), "{what}: {:?}", ours.labels);
        let texts = |s: &TimeSeries| {
            s.histograms.iter().map(|h| (h.timestamp, h.reset_hint, wire_text(h))).collect::<Vec<_>>()
        };
        assert_eq!(texts(ours), texts(theirs), "{what}: {:?}", ours.labels);
    }
}

/// The time range of the material's blocks.
fn span(db: &Db) -> (i64, i64) {
    db.time_range().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_a_real_prometheus() {
    let Some((program, folder)) = material() else { return };
    let (data, own) = (folder.path().join("data"), folder.path().join("own"));
    assert!(Command::new("cp").arg("-r").arg(&data).arg(&own).status().unwrap().success());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _peer = start(&program, folder.path(), &data, port);
    let mut options = DbOptions { manual_maintenance: true, ..DbOptions::default() };
    options.runtime.retention.time_ms = 0;
    let db = Db::open(&own, options, &Registry::new()).unwrap();
    let server = ReadServer::new(
        Arc::clone(&db) as _,
        ReadOptions { max_frame_bytes: 2000, ..LIMITS },
        &Registry::new(),
    );
    server.set_external_labels(&Labels::from_pairs([("region", "eu")]));
    let client = HttpClient::new(&HttpClientConfig::default(), "test").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while post(&client, port, "/api/v1/read", &body(vec![], &[]))
        .await
        .is_none_or(|(status, _)| status != 200)
    {
        assert!(Instant::now() < deadline, "the real server is not ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (first, last) = span(&db);
    let middle = first + (last - first) / 2;
    let mut compared = (0, 0);
    for deleted in [false, true] {
        if deleted {
            let (from, to) = (middle - 2_000_000, middle + 1_000_000);
            db.delete(from, to, &[narthex_model::Matcher::equal("job", "fixture")]).unwrap();
            let path = format!(
                "/api/v1/admin/tsdb/delete_series?match[]=%7Bjob%3D%22fixture%22%7D&start={}&end={}",
                from as f64 / 1000.0,
                to as f64 / 1000.0
            );
            assert_eq!(post(&client, port, &path, b"").await.unwrap().0, 204);
        }
        for range in [(first, last), (middle - 1_234_567, middle + 7_654_321), (last - 60_000, last)] {
            let all = body(vec![query(range)], &[SAMPLES]);
            let Answer::Samples(message) = ask(&server, &all).0 else { panic!() };
            let (status, theirs) = post(&client, port, "/api/v1/read", &all).await.unwrap();
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&theirs));
            let what = format!("{range:?}, deleted: {deleted}");
            check_samples(&results(&message), &results(&theirs), &what);
            compared.0 += results(&theirs).len();

            let all = body(vec![query(range)], &[CHUNKS]);
            let (answer, stream) = ask(&server, &all);
            assert_eq!(answer, Answer::Streamed);
            let (status, theirs) = post(&client, port, "/api/v1/read", &all).await.unwrap();
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&theirs));
            let (ours, theirs) = (plain_chunks(&stream), plain_chunks(&theirs));
            assert!(ours.keys().eq(theirs.keys()), "{what}");
            for (labels, samples) in &ours {
                assert_eq!(samples, &theirs[labels], "{what}: {labels}");
            }
            compared.1 += ours.len();
        }
    }
    println!("{compared:?} series compared as samples and as chunks");
    assert!(compared.0 > 100 && compared.1 > 100);
}
