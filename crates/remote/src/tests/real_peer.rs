//! Real Prometheus as the receiver: it must end up with every committed sample, though the sender dies and the receiver goes away.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Method};
use narthex_config::{HttpClientConfig, WriteMessage};
use narthex_net::client::{HttpClient, Request};
use url::Url as HttpUrl;

use super::feed::Samples;
use super::*;

/// Real Prometheus, or `None` after a loud line.
fn prometheus() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cached = home.join(".cache/prometheus-peers/root/usr/bin");
    let path = std::env::var_os("PEERS_BIN").map_or(cached, PathBuf::from).join("prometheus");
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "this test must run in CI and needs {}", path.display());
    eprintln!("SKIPPED: real Prometheus as receiver needs {}", path.display());
    None
}

struct Server {
    child: Child,
}

impl Server {
    fn start(program: &Path, dir: &Path, port: u16, message: &str) -> Self {
        std::fs::write(dir.join("prometheus.yml"), "global: {scrape_interval: 1h}\n").unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-remote-write-receiver")
            .arg(format!("--web.remote-write-receiver.accepted-protobuf-messages={message}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self { child: child.unwrap() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All samples of the metric `m`, by the series' labels.
async fn query(client: &HttpClient, port: u16) -> Option<Samples> {
    let url = HttpUrl::parse(&format!("http://127.0.0.1:{port}/api/v1/query?query=m%5B1d%5D")).unwrap();
    let request = Request {
        method: Method::GET,
        url: &url,
        headers: &HeaderMap::new(),
        body: bytes::Bytes::new(),
        deadline: tokio::time::Instant::now() + Duration::from_secs(10),
        unix_socket: None,
    };
    let response = client.send(&request).await.ok().filter(|response| response.status == 200)?;
    let mut body = Vec::new();
    response.read_raw(&mut body, u64::MAX).await.ok()?;
    let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
    let mut samples = Samples::new();
    for series in body["data"]["result"].as_array()? {
        let labels =
            series["metric"].as_object()?.iter().filter_map(|(n, v)| Some((n.as_str(), v.as_str()?)));
        let values = series["values"].as_array()?.iter().filter_map(|pair| {
            let value: f64 = pair[1].as_str()?.parse().ok()?;
            Some(((pair[0].as_f64()? * 1000.0).round() as i64, value.to_bits()))
        });
        samples.insert(Labels::from_pairs(labels).to_string(), values.collect());
    }
    Some(samples)
}

async fn until_it_has(client: &HttpClient, port: u16, written: &Samples) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let got = query(client, port).await.unwrap_or_default();
        if got == *written {
            return;
        }
        let count = |samples: &Samples| samples.values().map(Vec::len).sum::<usize>();
        assert!(Instant::now() < deadline, "{} of {} samples arrived", count(&got), count(written));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_prometheus_ends_up_with_every_sample_through_kills_and_an_outage() {
    check(WriteMessage::V1, "prometheus.WriteRequest").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_prometheus_that_takes_2_0_alone_ends_up_with_every_sample() {
    check(WriteMessage::V2, "io.prometheus.write.v2.Request").await;
}

async fn check(message: WriteMessage, name: &str) {
    let Some(program) = prometheus() else { return };
    let (dir, peer) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = HttpClient::new(&HttpClientConfig::default(), "test").unwrap();
    let mut feed = Feed::new(dir.path(), 200);
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    feed.t_ms = now_ms - 600_000;
    let mut config = config(&Receiver::start(Mode::Accept).await);
    config.url = Some(Url::parse(&format!("http://127.0.0.1:{port}/api/v1/write")).unwrap());
    config.remote_timeout_ms = 10_000;
    config.protobuf_message = message;
    // The receiver is not there yet: that is the first outage.
    let (mut remote, _) = start(dir.path(), feed.tip(), std::slice::from_ref(&config)).await;
    feed.scrapes(20);
    let mut server = Server::start(&program, peer.path(), port, name);
    until_it_has(&client, port, &feed.written).await;
    let mut rng = fastrand::Rng::with_seed(5);
    for round in 0..8 {
        feed.scrapes(rng.usize(1..40));
        match round % 4 {
            0 | 2 => {
                drop(remote);
                feed.scrapes(rng.usize(1..10));
                remote = start(dir.path(), feed.tip(), std::slice::from_ref(&config)).await.0;
            }
            1 => {
                drop(server);
                feed.scrapes(rng.usize(1..10));
                server = Server::start(&program, peer.path(), port, name);
            }
            _ => until_it_has(&client, port, &feed.written).await,
        }
    }
    until_it_has(&client, port, &feed.written).await;
    remote.stop().await;
    drop(server);
}
