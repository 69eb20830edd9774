//! Whole jobs against small servers: what is scraped, written, shown, and what reloads do to it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use narthex_config::{ScrapeConfig, SdConfigs, TargetGroup};
use narthex_model::{Labels, Regex, is_stale};
use narthex_relabel::{Action, RelabelConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::snapshot::{ActiveTarget, Health};
use crate::test_store::{Data, TestStore};

/// A target whose answer can be changed and which remembers how it was asked.
struct FakeTarget {
    address: SocketAddr,
    /// Status and headers without the first `HTTP/1.1 `, blank line, body.
    answer: Arc<Mutex<String>>,
    asked: Arc<Mutex<Vec<(Instant, String)>>>,
    connections: Arc<AtomicUsize>,
}

impl FakeTarget {
    async fn start(body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let this = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::default(),
            asked: Arc::default(),
            connections: Arc::default(),
        };
        this.set_body(body);
        let (answer, asked, connections) =
            (this.answer.clone(), this.asked.clone(), this.connections.clone());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (answer, asked) = (answer.clone(), asked.clone());
                tokio::spawn(async move {
                    let mut bytes = vec![0; 8192];
                    while let Ok(count) = stream.read(&mut bytes).await {
                        if count == 0 {
                            return;
                        }
                        asked
                            .lock()
                            .push((Instant::now(), String::from_utf8_lossy(&bytes[..count]).into_owned()));
                        let text = answer.lock().clone();
                        if text == "hang" {
                            std::future::pending::<()>().await;
                        }
                        stream.write_all(format!("HTTP/1.1 {text}").as_bytes()).await.unwrap();
                    }
                });
            }
        });
        this
    }

    fn set_body(&self, body: &str) {
        let text = format!(
            "200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        *self.answer.lock() = text;
    }

    fn set_answer(&self, answer: &str) {
        *self.answer.lock() = answer.to_owned();
    }

    fn asked(&self) -> usize {
        self.asked.lock().len()
    }
}

fn job(name: &str, addresses: &[SocketAddr]) -> ScrapeConfig {
    let targets = addresses.iter().map(|a| Labels::from_pairs([("__address__", a.to_string())])).collect();
    let group = TargetGroup { targets, labels: Labels::from_pairs([("env", "test")]), source: "0".into() };
    ScrapeConfig {
        job_name: name.to_owned(),
        scrape_interval_ms: 50,
        scrape_timeout_ms: 50,
        scrape_protocols: narthex_config::ScrapeProtocol::DEFAULT.to_vec(),
        sd: SdConfigs { static_configs: vec![group], ..SdConfigs::default() },
        ..ScrapeConfig::default()
    }
}

fn config(jobs: &[ScrapeConfig]) -> Config {
    Config { scrape_configs: jobs.to_vec(), ..Config::default() }
}

struct Scene {
    store: Arc<TestStore>,
    registry: Registry,
    manager: ScrapeManager,
}

impl Scene {
    fn new() -> Self {
        let (store, registry) = (Arc::new(TestStore::default()), Registry::new());
        let options = ScrapeOptions { host_name: Some("test".into()), ..ScrapeOptions::default() };
        let manager = ScrapeManager::new(store.clone(), &registry, options);
        Self { store, registry, manager }
    }

    fn apply(&self, jobs: &[ScrapeConfig]) {
        self.manager.apply_config(&config(jobs)).unwrap();
    }

    fn samples(&self, name: &str) -> Vec<(i64, f64)> {
        self.store.data.lock().of(name)
    }

    async fn until(&self, what: &str, mut reached: impl FnMut(&Data) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !reached(&self.store.data.lock()) {
            assert!(Instant::now() < deadline, "never: {what}");
            tokio::task::yield_now().await;
        }
    }

    fn target(&self) -> ActiveTarget {
        self.manager.snapshot().remove(0).active.remove(0)
    }

    async fn until_error(&self, expected: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.target().last_error.contains(expected) {
            assert!(
                Instant::now() < deadline,
                "expected {expected:?}, last error {:?}",
                self.target().last_error
            );
            tokio::task::yield_now().await;
        }
    }

    fn metric(&self, name: &str) -> f64 {
        let families: HashMap<String, _> =
            self.registry.gather().into_iter().map(|f| (f.name.clone(), f)).collect();
        match families[name].metrics[0].value {
            narthex_metrics::Value::Number(n) => n,
            _ => panic!("not a number: {name}"),
        }
    }
}

fn last(samples: &[(i64, f64)]) -> f64 {
    samples.last().map_or(f64::NEG_INFINITY, |(_, v)| *v)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_is_scraped_within_its_interval_and_shown() {
    let fake = FakeTarget::start("# HELP a Help.\n# TYPE a gauge\na 1\n").await;
    let scene = Scene::new();
    scene.apply(&[job("j", &[fake.address])]);
    scene.until("three scrapes", |data| data.of("up").len() >= 3).await;
    let target = scene.target();
    assert_eq!((target.health, target.last_error.as_str()), (Health::Up, ""));
    assert_eq!(target.url, format!("http://{}/metrics", fake.address));
    let expected =
        Labels::from_pairs([("env", "test"), ("instance", &*fake.address.to_string()), ("job", "j")]);
    assert_eq!(target.labels, expected);
    assert_eq!((target.interval.as_str(), target.timeout.as_str()), ("50ms", "50ms"));
    let metadata = scene.manager.metadata(Some("a"));
    assert_eq!((metadata.len(), metadata[0].metadata.help.as_str()), (1, "Help."));
    let request = fake.asked.lock()[0].1.to_lowercase();
    for header in [
        "accept-encoding: gzip",
        "user-agent: prometheus/3.14.0",
        "x-prometheus-scrape-timeout-seconds: 0.05",
        "accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6",
    ] {
        assert!(request.contains(header), "{header} in {request}");
    }
    assert_eq!(fake.connections.load(Ordering::SeqCst), 1, "one kept connection");
    for (name, value) in [
        ("scrape_samples_scraped", 1.0),
        ("scrape_samples_post_metric_relabeling", 1.0),
        ("scrape_series_added", 0.0),
    ] {
        assert_eq!(last(&scene.samples(name)), value, "{name}");
    }
    let data = scene.store.data.lock();
    let labels = data.labels.values().find(|l| l.metric_name() == "up").unwrap();
    assert_eq!(labels.without_name(), expected);
    let samples = data.of("a");
    assert!(samples.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_scrapes_are_told_and_end_the_series() {
    let fake = FakeTarget::start("a 1\n").await;
    let scene = Scene::new();
    let limited = ScrapeConfig {
        body_size_limit_bytes: 1000,
        extra_scrape_metrics: Some(true),
        ..job("j", &[fake.address])
    };
    scene.apply(&[limited]);
    scene.until("a sample", |data| !data.of("a").is_empty()).await;
    fake.set_answer("500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
    scene.until_error("server returned HTTP status 500 Internal Server Error").await;
    scene.until("a marker", |data| data.of("a").last().is_some_and(|(_, v)| is_stale(*v))).await;
    assert_eq!(last(&scene.samples("up")), 0.0);
    let markers = scene.samples("a").iter().filter(|(_, v)| is_stale(*v)).count();
    assert_eq!(markers, 1, "one marker, however many scrapes fail");
    fake.set_body(&"a 1\n".repeat(300));
    scene.until_error("body size limit exceeded").await;
    scene.until("its size", |data| data.of("scrape_body_size_bytes").iter().any(|(_, v)| *v == -1.0)).await;
    fake.set_answer("hang");
    scene.until_error("context deadline exceeded").await;
    fake.set_body("a 2\n");
    drop(fake);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lengths_are_told_as_summaries_and_as_histograms() {
    use narthex_metrics::Value;
    let fake = FakeTarget::start("a 1\n").await;
    let scene = Scene::new();
    scene.apply(&[ScrapeConfig { extra_scrape_metrics: Some(true), ..job("j", &[fake.address]) }]);
    scene.until("samples", |data| data.of("a").len() > 3).await;
    let counts: HashMap<String, u64> = scene
        .registry
        .gather()
        .into_iter()
        .filter_map(|family| match family.metrics.first()?.value {
            Value::Histogram { count, .. } | Value::Summary { count, .. } => Some((family.name, count)),
            Value::Number(_) => None,
        })
        .collect();
    for length in ["interval", "sync"] {
        let of = |kind: &str| counts[&format!("prometheus_target_{length}_length_{kind}seconds")];
        assert!(of("") > 0 && of("histogram_") > 0, "{counts:?}");
    }
    assert!(counts["prometheus_target_scrape_duration_seconds"] > 1, "{counts:?}");
}

/// The file of failed scrapes is opened anew by each reload, also of a configuration that is the same, and a job that names none
/// writes none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_scrapes_are_logged_to_the_file_of_their_job() {
    let fake = FakeTarget::start("a 1\n").await;
    fake.set_answer("500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
    let dir = tempfile::tempdir().unwrap();
    let (path, moved) = (dir.path().join("failed.log"), dir.path().join("moved.log"));
    let file = path.display().to_string();
    let jobs = [
        ScrapeConfig { scrape_failure_log_file: file.clone(), ..job("j", &[fake.address]) },
        job("silent", &[fake.address]),
    ];
    let scene = Scene::new();
    scene.apply(&jobs);
    let lines = || std::fs::read_to_string(&path).unwrap_or_default();
    scene.until("a line", |_| !lines().is_empty()).await;
    let line: serde_json::Value = serde_json::from_str(lines().lines().next().unwrap()).unwrap();
    let expected = ["ERROR", "server returned HTTP status 500 Internal Server Error", "j"];
    assert_eq!(["level", "msg", "job_name"].map(|field| line[field].as_str().unwrap()), expected);
    assert_eq!(line["target"], format!("http://{}/metrics", fake.address));
    assert!(!lines().contains("silent"));
    std::fs::rename(&path, &moved).unwrap();
    scene.apply(&jobs);
    scene.until("a line in the new file", |_| !lines().is_empty()).await;
    // A body that cannot be used is no failure of the kind that is logged.
    fake.set_body("}\n");
    scene.until_error("expected").await;
    let quiet = lines();
    let asked = fake.asked();
    scene.until("two more scrapes", |_| fake.asked() > asked + 4).await;
    assert_eq!(lines(), quiet);
    let nowhere = ScrapeConfig { scrape_failure_log_file: format!("{file}/x"), ..job("j", &[fake.address]) };
    let error = scene.manager.apply_config(&config(&[nowhere])).unwrap_err().to_string();
    assert_eq!(error, format!("can't create json log file: open {file}/x: not a directory"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_leaves_gets_markers_and_a_stop_writes_none() {
    let (gone, stays) = (FakeTarget::start("a 1\n").await, FakeTarget::start("b 1\n").await);
    let scene = Scene::new();
    scene.apply(&[job("j", &[gone.address, stays.address])]);
    scene.until("both", |data| !data.of("a").is_empty() && !data.of("b").is_empty()).await;
    scene.apply(&[job("j", &[stays.address])]);
    scene.until("the end of a", |data| data.of("a").last().is_some_and(|(_, v)| is_stale(*v))).await;
    let ended = |data: &Data| data.of("up").iter().filter(|(_, v)| is_stale(*v)).count() == 1;
    scene.until("the end of up", ended).await;
    let (before, count) = (scene.samples("b").len(), gone.asked());
    scene.until("more of b", |data| data.of("b").len() > before + 2).await;
    assert_eq!(gone.asked(), count, "not scraped any more");
    scene.manager.stop().await;
    let batches = scene.store.data.lock().batches;
    assert!(!is_stale(last(&scene.samples("b"))));
    assert!(scene.manager.snapshot().is_empty());
    assert_eq!(scene.store.data.lock().batches, batches);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_job_ends_its_series() {
    let fake = FakeTarget::start("a 1\n").await;
    let scene = Scene::new();
    scene.apply(&[job("j", &[fake.address])]);
    scene.until("a", |data| !data.of("a").is_empty()).await;
    scene.apply(&[]);
    scene.until("the end of a", |data| data.of("a").last().is_some_and(|(_, v)| is_stale(*v))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_keeps_the_rhythm_and_the_series_of_what_goes_on() {
    let fake = FakeTarget::start("a 1\nb 1\n").await;
    let scene = Scene::new();
    scene.apply(&[job("j", &[fake.address])]);
    scene.until("two scrapes", |data| data.of("a").len() >= 2).await;
    let drop_b = RelabelConfig {
        source_labels: vec!["__name__".into()],
        regex: Some(Regex::new_anchored("b").unwrap()),
        action: Action::Drop,
        ..RelabelConfig::default()
    };
    for round in 0..6 {
        let mut changed = job("j", &[fake.address]);
        if round % 2 == 1 {
            changed.metric_relabel_configs = vec![drop_b.clone()];
        }
        let before = scene.samples("a").len();
        scene.apply(&[changed]);
        scene.until("a scrape after the reload", |data| data.of("a").len() > before + 1).await;
    }
    let a = scene.samples("a");
    assert!(a.iter().all(|(_, v)| !is_stale(*v)), "a never ends: {a:?}");
    let elapsed_ms = a[a.len() - 1].0 - a[0].0;
    assert!(a.len() as i64 <= elapsed_ms / 50 + 2, "no scrape too many: {} in {elapsed_ms} ms", a.len());
    assert!(fake.asked() <= a.len() + 1, "no scrape beside them");
    assert!(scene.samples("b").iter().any(|(_, v)| is_stale(*v)), "b ended when it was dropped");
    assert_eq!(fake.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_and_impossible_targets_are_kept_apart() {
    let fake = FakeTarget::start("a 1\n").await;
    let scene = Scene::new();
    let mut job = job("j", &[fake.address, "127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()]);
    job.keep_dropped_targets = 1;
    job.relabel_configs = vec![RelabelConfig {
        source_labels: vec!["__address__".into()],
        regex: Some(Regex::new_anchored("127.0.0.1:[12]").unwrap()),
        action: Action::Drop,
        ..RelabelConfig::default()
    }];
    job.sd.static_configs[0].targets.push(Labels::from_pairs([("__address__", "x/y")]));
    scene.apply(&[job]);
    let pool = scene.manager.snapshot().remove(0);
    assert_eq!((pool.active.len(), pool.dropped.len(), pool.dropped_count), (1, 1, 2));
    assert_eq!(pool.dropped[0].discovered.value("__address__"), "127.0.0.1:1");
    assert_eq!(scene.metric("prometheus_target_sync_failed_total"), 1.0);
    assert_eq!(scene.metric("prometheus_target_scrape_pool_targets"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_targets_fail_all_scrapes_without_asking() {
    let fakes = [FakeTarget::start("a 1\n").await, FakeTarget::start("a 1\n").await];
    let scene = Scene::new();
    let limited = ScrapeConfig { target_limit: 1, ..job("j", &fakes.each_ref().map(|f| f.address)) };
    scene.apply(std::slice::from_ref(&limited));
    scene.until_error("target_limit exceeded (number of targets: 2, limit: 1)").await;
    assert_eq!(fakes[0].asked() + fakes[1].asked(), 0);
    assert_eq!(scene.metric("prometheus_target_scrape_pool_exceeded_target_limit_total"), 1.0);
    scene.apply(&[ScrapeConfig { target_limit: 2, ..limited }]);
    scene.until("samples", |data| !data.of("a").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_cannot_be_built_changes_nothing() {
    let fake = FakeTarget::start("a 1\n").await;
    let scene = Scene::new();
    scene.apply(&[job("j", &[fake.address])]);
    let mut broken = job("k", &[fake.address]);
    broken.http.tls.ca_file = "/does/not/exist".into();
    let error = scene.manager.apply_config(&config(&[broken])).unwrap_err().to_string();
    assert!(error.contains("unable to read CA cert") && error.contains("\"k\""), "{error}");
    assert_eq!(scene.manager.pool_names(), ["j"]);
    scene.until("samples", |data| data.of("a").len() > 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_follow_their_file() {
    let fake = FakeTarget::start("a 1\n").await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.json");
    std::fs::write(&path, "[]").unwrap();
    let scene = Scene::new();
    let mut by_file = job("j", &[]);
    by_file.sd = SdConfigs {
        file_sd_configs: vec![narthex_config::FileSdConfig {
            files: vec![path.display().to_string()],
            refresh_interval_ms: 50,
        }],
        ..SdConfigs::default()
    };
    scene.apply(&[by_file]);
    std::fs::write(&path, format!(r#"[{{"targets":["{}"]}}]"#, fake.address)).unwrap();
    scene.until("samples", |data| !data.of("a").is_empty()).await;
    let discovered = scene.target().discovered;
    assert_eq!(discovered.value("__meta_filepath"), path.display().to_string());
    std::fs::write(&path, "[]").unwrap();
    scene.until("the end of a", |data| data.of("a").last().is_some_and(|(_, v)| is_stale(*v))).await;
}

#[tokio::test]
async fn an_idle_loop_is_small() {
    let fake = FakeTarget::start("a 1\n").await;
    let scene = Scene::new();
    scene.apply(&[job("j", &[fake.address])]);
    let size = scene.manager.inner.state.lock().pools["j"].loop_future_bytes();
    assert!(size < 1200, "{size} bytes");
}
