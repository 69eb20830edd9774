//! The site over doubles: what clients see of it without sockets, storage or targets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use narthex_metrics::Registry;
use narthex_model::{Exemplar, Labels, Matcher, UnixTime};
use narthex_net::server::{Handler as _, Request, RequestBody};
use narthex_promql::desk::Desk;
use narthex_promql::engine::{Engine, EngineOptions, Features};
use narthex_storage::{Querier, QueryError, Queryable, SampleBatch, SelectHints, SeriesSet};

use self::storage::Tsdb;
use self::targets::Targets;
use super::*;

mod assets;
mod consoles;
mod debug;
mod federate;
mod live;
mod paths;
mod queries;
mod quick;
mod random;
mod remote_read;
mod remote_write;
mod search;
mod status;
mod storage;
mod targets;

pub(crate) fn options() -> SiteOptions {
    SiteOptions {
        route_prefix: "/".to_owned(),
        external_url: "http://host:9090/".to_owned(),
        external_host: "host:9090".to_owned(),
        external_scheme: "http".to_owned(),
        external_path: String::new(),
        own_port: 9090,
        cors: CorsOrigin::new(".*").unwrap(),
        flags: vec![("config.file".to_owned(), "a.yml".to_owned())],
        build: BuildInfo { version: "3.14.0".to_owned(), ..BuildInfo::default() },
        lifecycle: true,
        admin: true,
        search: true,
        search_max_limit: 1000,
        page_title: "Title & more".to_owned(),
        user_assets: String::new(),
        console_templates: "consoles".to_owned(),
        console_libraries: "console_libraries".to_owned(),
    }
}

#[derive(Default)]
struct Process {
    quit: AtomicBool,
    reloads: AtomicUsize,
    subscribers: live::Subscribers,
}

impl ProcessService for Process {
    fn config_yaml(&self) -> String {
        "global:\n  scrape_interval: 1m\n".to_owned()
    }
    fn external_labels(&self) -> Labels {
        Labels::from_pairs([("cluster", "c1"), ("i", "never shown")])
    }
    fn runtime(&self) -> RuntimeInfo {
        RuntimeInfo { reload_success: true, retention: "15d".to_owned(), ..RuntimeInfo::default() }
    }
    fn wal_replay(&self) -> WalReplay {
        WalReplay { min: 1, max: 3, current: 2 }
    }
    fn notifications(&self) -> Vec<Notification> {
        vec![Notification { text: "Look out.".to_owned(), since: UnixTime::default(), active: true }]
    }
    fn subscribe(&self) -> Option<Subscription> {
        live::subscribe(&self.subscribers)
    }
    fn reload(&self) -> std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        let nth = self.reloads.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { if nth == 0 { Ok(()) } else { Err("bad file".to_owned()) } })
    }
    fn quit(&self) -> bool {
        !self.quit.swap(true, Ordering::SeqCst)
    }
}

/// Three series `m{i="0"}` to `m{i="2"}`, each with one sample a second at every whole second; the value is `i`.
pub(crate) struct Storage;

impl Queryable for Storage {
    fn querier(&self, _mint_ms: i64, _maxt_ms: i64) -> Result<Box<dyn Querier>, QueryError> {
        Ok(Box::new(Storage))
    }
}

fn series() -> Vec<Labels> {
    (0..3).map(|i| Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())])).collect()
}

impl Querier for Storage {
    fn select(&self, _hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        let fits = |labels: &Labels| matchers.iter().all(|m| m.matches(labels.value(&m.name)));
        Ok(Box::new(Found(series().into_iter().filter(fits).collect())))
    }
    fn label_values(&self, name: &str, _m: &[Matcher], limit: usize) -> Result<Vec<String>, QueryError> {
        let mut values: Vec<String> =
            series().iter().filter_map(|l| l.get(name)).map(str::to_owned).collect();
        values.dedup();
        values.truncate(if limit == 0 { usize::MAX } else { limit });
        Ok(values)
    }
    fn label_names(&self, _matchers: &[Matcher], _limit: usize) -> Result<Vec<String>, QueryError> {
        Ok(vec!["__name__".to_owned(), "i".to_owned()])
    }
}

struct Found(Vec<Labels>);

impl SeriesSet for Found {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn labels(&self, at: usize) -> Labels {
        self.0[at].clone()
    }
    fn read(&self, at: usize, mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        for second in mint_ms.div_euclid(1000)..=maxt_ms.div_euclid(1000) {
            if second * 1000 >= mint_ms {
                out.push(second * 1000, self.0[at].value("i").parse().unwrap());
            }
        }
        Ok(())
    }
}

fn new_site(options: SiteOptions) -> Site {
    Site::new(options, Registry::new(), Arc::new(Process::default()))
}

fn services() -> Services {
    Services {
        desk: desk(),
        storage: Arc::new(Storage),
        local: Arc::new(Storage),
        targets: Arc::new(Targets),
        tsdb: Arc::new(Tsdb::default()),
        reads: Arc::new(remote_read::Bytewise),
        remote_write: Arc::new(remote_write::RemoteWrites::default()),
        receiver: None,
    }
}

fn desk() -> Arc<Desk> {
    let timeout = Duration::from_secs(20);
    let features = Features { per_step_stats: true, ..Features::default() };
    let options = EngineOptions { threads: 1, timeout, features, ..EngineOptions::default() };
    Arc::new(Desk::new(Arc::new(Engine::new(options)), 2, None, &Registry::new()))
}

fn open(site: &Site) {
    site.answer_from_blocks(services());
    site.open();
}

fn ready_site() -> Site {
    let site = new_site(options());
    open(&site);
    site
}

/// Sends `METHOD path` (and a form after a blank, if any); the answer as `status headers-of-interest body`.
async fn ask(site: &Site, request: &str) -> String {
    ask_with(site, request, "application/x-www-form-urlencoded").await
}

/// The same with a body of another type.
async fn ask_with(site: &Site, request: &str, content_type: &str) -> String {
    let mut words = request.splitn(3, ' ');
    let (method, uri) = (words.next().unwrap(), words.next().unwrap());
    let body = Bytes::from(words.next().unwrap_or("").to_owned());
    let (head, ()) = http::Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(uri)
        .header("content-type", content_type)
        .body(())
        .unwrap()
        .into_parts();
    let peer = "127.0.0.1:1".parse().unwrap();
    let response = site.handle(Request { head, body: RequestBody::Ready(body), peer }).await;
    let mut text = response.status().as_u16().to_string();
    for name in ["location", "allow", "x-prometheus-stopping"] {
        if let Some(value) = response.headers().get(name) {
            text.push_str(&format!(" {name}={}", value.to_str().unwrap()));
        }
    }
    format!("{text} {}", String::from_utf8(response.body().bytes().unwrap()).unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[track_caller]
fn check_all(site: &Site, cases: &[(&str, &str)]) {
    let runtime = runtime();
    for (request, expected) in cases {
        assert_eq!(runtime.block_on(ask(site, request)), *expected, "{request}");
    }
}

#[test]
fn queries_answer_in_prometheus_shapes() {
    check_all(
        &ready_site(),
        &[
            (
                "GET /api/v1/query?query=m&time=5&limit=1",
                r#"200 {"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"m","i":"0"},"value":[5,"0"]}]},"warnings":["results truncated due to limit"]}"#,
            ),
            (
                "POST /api/v1/query_range query=sum(m)&start=5&end=6&step=1",
                r#"200 {"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[5,"3"],[6,"3"]]}]}}"#,
            ),
            (
                "GET /api/v1/query?query=1%2B1&time=5",
                r#"200 {"status":"success","data":{"resultType":"scalar","result":[5,"2"]}}"#,
            ),
            (
                "GET /api/v1/query?query=m&time=x",
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid parameter \"time\": invalid time value for 'time': cannot parse \"x\" to a valid timestamp"}"#,
            ),
            (
                "GET /api/v1/query?query=m&time=5&timeout=0",
                r#"503 {"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}"#,
            ),
        ],
    );
}

/// Ten thousand series; reading one takes a millisecond and is counted.
struct Slow(Arc<AtomicUsize>);

impl Queryable for Slow {
    fn querier(&self, _mint_ms: i64, _maxt_ms: i64) -> Result<Box<dyn Querier>, QueryError> {
        Ok(Box::new(Slow(Arc::clone(&self.0))))
    }
}

impl Querier for Slow {
    fn select(&self, _hints: &SelectHints, _m: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        Ok(Box::new(Slow(Arc::clone(&self.0))))
    }
    fn label_values(&self, _name: &str, _m: &[Matcher], _limit: usize) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }
    fn label_names(&self, _matchers: &[Matcher], _limit: usize) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }
}

impl SeriesSet for Slow {
    fn len(&self) -> usize {
        10_000
    }
    fn labels(&self, at: usize) -> Labels {
        Labels::from_pairs([("__name__", "m"), ("i", &at.to_string())])
    }
    fn read(&self, _at: usize, _mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        std::thread::park_timeout(Duration::from_millis(1));
        self.0.fetch_add(1, Ordering::SeqCst);
        out.push(maxt_ms, 1.0);
        Ok(())
    }
}

#[tokio::test]
async fn a_query_is_called_off_when_nobody_waits_for_its_answer() {
    let reads = Arc::new(AtomicUsize::new(0));
    let site = new_site(options());
    let services = Services { storage: Arc::new(Slow(Arc::clone(&reads))), ..services() };
    let desk = Arc::clone(&services.desk);
    site.answer_from_blocks(services);
    site.open();
    let mut answer = Box::pin(ask(&site, "GET /api/v1/query?query=sum(m)&time=5"));
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while reads.load(Ordering::SeqCst) == 0 {
        let tick = tokio::time::sleep(Duration::from_millis(1));
        tokio::select! { _ = &mut answer => panic!("the query takes longer"), () = tick => {} }
        assert!(std::time::Instant::now() < deadline, "the query starts");
    }
    drop(answer);
    while !desk.list().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(std::time::Instant::now() < deadline, "the query ends");
    }
    assert!(reads.load(Ordering::SeqCst) < 10_000, "it ended before its time");
}

#[test]
fn label_sets_are_listed_without_samples() {
    check_all(
        &ready_site(),
        &[
            ("GET /api/v1/labels", r#"200 {"status":"success","data":["__name__","i"]}"#),
            (
                "GET /api/v1/label/i/values?limit=2",
                r#"200 {"status":"success","data":["0","1"],"warnings":["results truncated due to limit"]}"#,
            ),
            (
                "GET /api/v1/series?match[]=m%7Bi%3D%221%22%7D&match[]=m%7Bi!%3D%220%22%7D",
                r#"200 {"status":"success","data":[{"__name__":"m","i":"1"},{"__name__":"m","i":"2"}]}"#,
            ),
            (
                "GET /api/v1/series",
                r#"400 {"status":"error","errorType":"bad_data","error":"no match[] parameter provided"}"#,
            ),
            (
                "POST /api/v1/series match[]=%7B%7D",
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid parameter \"match[]\": match[] must contain at least one non-empty matcher"}"#,
            ),
            (
                "GET /api/v1/label/%ff/values",
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid label name: \"\\xff\""}"#,
            ),
        ],
    );
}

#[test]
fn exemplars_are_grouped_by_series() {
    check_all(
        &ready_site(),
        &[
            (
                "GET /api/v1/query_exemplars?query=rate(m[5m])&start=1.5&end=3",
                r#"200 {"status":"success","data":[{"seriesLabels":{"i":"0"},"exemplars":[{"labels":{},"value":"0.5","timestamp":1.500}]}]}"#,
            ),
            ("GET /api/v1/query_exemplars?query=1", "204 "),
        ],
    );
}
