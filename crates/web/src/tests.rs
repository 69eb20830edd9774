//! The site over doubles: what clients see of it without sockets, storage or targets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use narthex_metrics::Registry;
use narthex_model::{Exemplar, Labels, Matcher, Metadata, MetricType, Regex, UnixTime};
use narthex_net::server::{Handler as _, Request, RequestBody};
use narthex_promql::desk::Desk;
use narthex_promql::engine::{Engine, EngineOptions, Features};
use narthex_relabel::{Action, RelabelConfig};
use narthex_storage::{Querier, QueryError, Queryable, SampleBatch, SelectHints, SeriesSet};

use self::storage::Tsdb;
use super::*;

mod federate;
mod live;
mod queries;
mod quick;
mod remote_read;
mod remote_write;
mod search;
mod storage;

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

struct Targets;

impl TargetService for Targets {
    fn pool_config(&self, pool: &str) -> Option<PoolConfig> {
        let step = |action, source: &str| RelabelConfig {
            source_labels: vec![source.to_owned()],
            regex: Some(Regex::new_wrapped("a<b").unwrap()),
            action,
            ..RelabelConfig::default()
        };
        let set = RelabelConfig { target_label: "x".to_owned(), ..RelabelConfig::default() };
        let relabel = vec![set, step(Action::Drop, "y"), step(Action::Keep, "z")];
        (pool == "a").then(|| PoolConfig { yaml: "job_name: a\n".to_owned(), relabel })
    }
    fn pools(&self) -> Vec<String> {
        vec!["a".to_owned()]
    }
    fn active(&self, pool: Option<&str>) -> Vec<ActiveTarget> {
        let target = ActiveTarget {
            pool: "a".to_owned(),
            discovered: Labels::from_pairs([("__address__", "localhost:9090")]),
            labels: Labels::from_pairs([("job", "a")]),
            url: "http://localhost:9090/metrics".to_owned(),
            last_error: String::new(),
            last_scrape: Some(UnixTime { secs: 0, nanos: 500_000_000 }),
            last_duration_s: 0.25,
            health: Health::Up,
            interval: "15s".to_owned(),
            timeout: "10s".to_owned(),
        };
        if pool.is_none_or(|p| p == "a") { vec![target] } else { Vec::new() }
    }
    fn dropped(&self, _pool: Option<&str>) -> Vec<DroppedTarget> {
        vec![DroppedTarget { pool: "a".to_owned(), discovered: Labels::from_pairs([("x", "y")]) }]
    }
    fn dropped_counts(&self) -> Vec<(String, usize)> {
        vec![("a".to_owned(), 1)]
    }
    fn metadata(&self, metric: Option<&str>) -> Vec<TargetMetadata> {
        let entry = |family: &str, help: &str| TargetMetadata {
            target: Labels::from_pairs([("job", "a")]),
            family: family.to_owned(),
            metadata: Metadata { kind: MetricType::Gauge, unit: String::new(), help: help.to_owned() },
        };
        let all = [entry("m", "one"), entry("m", "two"), entry("n", "three")];
        all.into_iter().filter(|e| metric.is_none_or(|m| m == e.family)).collect()
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
    let mut words = request.splitn(3, ' ');
    let (method, uri) = (words.next().unwrap(), words.next().unwrap());
    let body = Bytes::from(words.next().unwrap_or("").to_owned());
    let (head, ()) = http::Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(uri)
        .header("content-type", "application/x-www-form-urlencoded")
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

#[track_caller]
fn check_all(site: &Site, cases: &[(&str, &str)]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
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

#[test]
fn targets_and_metadata_have_all_members() {
    check_all(
        &ready_site(),
        &[
            (
                "GET /api/v1/targets?state=active",
                r#"200 {"status":"success","data":{"activeTargets":[{"discoveredLabels":{"__address__":"localhost:9090"},"labels":{"job":"a"},"scrapePool":"a","scrapeUrl":"http://localhost:9090/metrics","globalUrl":"http://host:9090/metrics","lastError":"","lastScrape":"1970-01-01T00:00:00.5Z","lastScrapeDuration":0.25,"health":"up","scrapeInterval":"15s","scrapeTimeout":"10s"}],"droppedTargets":[],"droppedTargetCounts":null}}"#,
            ),
            (
                "GET /api/v1/targets?state=dropped&scrapePool=b",
                r#"200 {"status":"success","data":{"activeTargets":[],"droppedTargets":[{"discoveredLabels":{"x":"y"},"scrapePool":"a"}],"droppedTargetCounts":{"a":1}}}"#,
            ),
            (
                "GET /api/v1/metadata?limit_per_metric=1",
                r#"200 {"status":"success","data":{"m":[{"type":"gauge","help":"one","unit":""}],"n":[{"type":"gauge","help":"three","unit":""}]}}"#,
            ),
            (
                "GET /api/v1/targets/metadata?metric=n",
                r#"200 {"status":"success","data":[{"target":{"job":"a"},"type":"gauge","help":"three","unit":""}]}"#,
            ),
            (
                "GET /api/v1/metadata?limit=x",
                r#"400 {"status":"error","errorType":"bad_data","error":"limit must be a number"}"#,
            ),
            ("GET /api/v1/scrape_pools", r#"200 {"status":"success","data":{"scrapePools":["a"]}}"#),
        ],
    );
}

#[test]
fn a_pool_shows_its_configuration_and_what_its_steps_do() {
    let error = |text: &str| format!(r#"400 {{"status":"error","errorType":"bad_data","error":"{text}"}}"#);
    let unknown = error(r#"error retrieving scrape config: scrape pool \"b\" not found"#);
    let steps = |second: &str, third: &str| {
        format!(
            r#"200 {{"status":"success","data":{{"steps":[{{"rule":{{"separator":";","regex":"(.*)","target_label":"x","replacement":"$1","action":"replace"}},"output":{{"y":"{}"}},"keep":true}},{{"rule":{{"source_labels":["y"],"separator":";","regex":"a\u003cb","replacement":"$1","action":"drop"}},{second}}},{{"rule":{{"source_labels":["z"],"separator":";","regex":"a\u003cb","replacement":"$1","action":"keep"}},{third}}}]}}}}"#,
            if second.contains("true") { "c" } else { "a<b" }
        )
    };
    let dropped = r#""output":{},"keep":false"#;
    let path = "GET /api/v1/targets/relabel_steps";
    let labels = "labels=%7B%22y%22:%22a%3Cb%22%7D";
    let others = "labels=%7B%22y%22:%22c%22%7D";
    check_all(
        &ready_site(),
        &[
            (
                "GET /api/v1/scrape_pools/config?scrapePool=a",
                r#"200 {"status":"success","data":{"yaml":"job_name: a\n"}}"#,
            ),
            ("GET /api/v1/scrape_pools/config", &error("no scrapePool parameter provided")),
            ("GET /api/v1/scrape_pools/config?scrapePool=b", &unknown),
            (path, &error("no scrapePool parameter provided")),
            (&format!("{path}?scrapePool=a"), &error("no labels parameter provided")),
            (
                &format!("{path}?scrapePool=a&labels=%7B%22a%22:1%7D"),
                &error(
                    "error parsing labels: invalid type: integer `1`, expected a string at line 1 column 6",
                ),
            ),
            (&format!("{path}?scrapePool=b&{labels}"), &unknown),
            (&format!("{path}?scrapePool=a&{labels}"), &steps(dropped, dropped)),
            (&format!("{path}?scrapePool=a&{others}"), &steps(r#""output":{"y":"c"},"keep":true"#, dropped)),
        ],
    );
}

#[test]
fn own_metrics_are_shown_as_json() {
    let site = new_site(options());
    site.shared.registry.counter_vec("t_total", "T<.", &["b", "a"]).with(&["1", "2"]).add(2.0);
    site.shared.registry.histogram("t_seconds", "S.", &[0.5]).observe(0.25);
    site.shared.registry.gauge("t_gauge", "G.").set(f64::NEG_INFINITY);
    open(&site);
    let counter = r#"{"name":"t_total","help":"T\u003c.","type":"COUNTER","metric":[{"label":[{"name":"a","value":"2"},{"name":"b","value":"1"}],"counter":{"value":2}}]}"#;
    let gauge = r#"{"name":"t_gauge","help":"G.","type":"GAUGE","metric":[{"gauge":{"value":"-Infinity"}}]}"#;
    let histogram = r#"{"name":"t_seconds","help":"S.","type":"HISTOGRAM","metric":[{"histogram":{"sampleCount":"1","sampleSum":0.25,"bucket":[{"cumulativeCount":"1","upperBound":0.5}]}}]}"#;
    let path = "GET /api/v1/status/self_metrics?metric_name_pattern";
    check_all(
        &site,
        &[
            (
                &format!("{path}=t_.*"),
                &format!(r#"200 {{"status":"success","data":[{gauge},{histogram},{counter}]}}"#),
            ),
            (&format!("{path}=t_"), r#"200 {"status":"success","data":[]}"#),
            (
                &format!("{path}=("),
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid metric_name_pattern: error parsing regexp: missing closing ): `^(?:()$`"}"#,
            ),
        ],
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let all = runtime.block_on(ask(&site, "GET /api/v1/status/self_metrics"));
    let json: serde_json::Value = serde_json::from_str(all.strip_prefix("200 ").unwrap()).unwrap();
    assert!(json["data"].as_array().unwrap().len() > 5);
}

#[test]
fn what_is_off_says_how_it_is_switched_on() {
    let off = "404 otlp write receiver needs to be enabled with --web.enable-otlp-receiver\n";
    check_all(
        &ready_site(),
        &[
            ("POST /api/v1/otlp/v1/metrics", off),
            ("GET /api/v1/otlp/v1/metrics", "405 allow=OPTIONS, POST Method Not Allowed\n"),
        ],
    );
}

#[test]
fn until_ready_and_while_stopping_the_storage_is_unavailable() {
    let site = new_site(options());
    check_all(
        &site,
        &[
            ("GET /-/ready", "503 x-prometheus-stopping=false Service Unavailable"),
            ("GET /api/v1/query?query=m", "503 x-prometheus-stopping=false Service Unavailable"),
            ("GET /-/healthy", "200 Prometheus Server is Healthy.\n"),
            (
                "GET /api/v1/notifications",
                r#"200 {"status":"success","data":[{"text":"Look out.","date":"1970-01-01T00:00:00Z","active":true}]}"#,
            ),
            (
                "GET /api/v1/status/walreplay",
                r#"200 {"status":"success","data":{"min":1,"max":3,"current":2}}"#,
            ),
        ],
    );
    open(&site);
    check_all(&site, &[("GET /-/ready", "200 Prometheus Server is Ready.\n"), ("HEAD /-/ready", "200 ")]);
    site.close();
    check_all(&site, &[("GET /-/ready", "503 x-prometheus-stopping=true Service Unavailable")]);
}

#[test]
fn lifecycle_needs_its_flag_and_the_right_method() {
    let off = new_site(SiteOptions { lifecycle: false, ..options() });
    check_all(
        &off,
        &[
            ("POST /-/reload", "403 Lifecycle API is not enabled."),
            ("PUT /-/quit", "403 Lifecycle API is not enabled."),
            ("GET /-/quit", "405 Only POST or PUT requests allowed"),
        ],
    );
    check_all(
        &new_site(options()),
        &[
            ("POST /-/reload", "200 "),
            ("PUT /-/reload", "500 failed to reload config: bad file\n"),
            ("POST /-/quit", "200 Requesting termination... Goodbye!"),
            ("POST /-/quit", "200 Termination already in progress."),
        ],
    );
}

#[test]
fn a_route_prefix_is_taken_off_and_put_into_redirects() {
    let site = new_site(SiteOptions {
        route_prefix: "/prom".to_owned(),
        external_path: "/prom".to_owned(),
        ..options()
    });
    check_all(
        &site,
        &[
            ("GET /prom/-/healthy", "200 Prometheus Server is Healthy.\n"),
            ("GET /-/healthy", "404 404 page not found\n"),
            ("GET /promenade", "404 404 page not found\n"),
            ("GET /", "302 location=/prom <a href=\"/prom\">Found</a>.\n\n"),
            ("GET /prom", "302 location=/prom/query <a href=\"/prom/query\">Found</a>.\n\n"),
            (
                "GET /prom/graph?a=b",
                "302 location=/prom/query?a=b <a href=\"/prom/query?a=b\">Found</a>.\n\n",
            ),
        ],
    );
}

#[test]
fn paths_that_are_nearly_right_lead_to_the_right_ones() {
    let page = |word: &str, to: &str| format!("<a href=\"{to}\">{word}</a>.\n\n");
    check_all(
        &ready_site(),
        &[
            ("GET /", &format!("302 location=/query {}", page("Found", "/query"))),
            (
                "GET /metrics/?a=b",
                &format!("301 location=/metrics?a=b {}", page("Moved Permanently", "/metrics?a=b")),
            ),
            ("GET /api/v1", &format!("307 location=/api/v1/ {}", page("Temporary Redirect", "/api/v1/"))),
            ("GET //metrics", &format!("307 location=/metrics {}", page("Temporary Redirect", "/metrics"))),
            ("POST /metrics/", "404 404 page not found\n"),
        ],
    );
}

/// Go's server drops what is malformed; some handlers look whether it did, most go on.
#[test]
fn malformed_parameters_are_refused_where_prometheus_does() {
    let escape = r#"400 {"status":"error","errorType":"bad_data","error":"error parsing form values: invalid URL escape \"%zz\""}"#;
    check_all(
        &ready_site(),
        &[
            ("GET /api/v1/series?match[]=m&x=%zz", escape),
            ("POST /api/v1/series match[]=%zz", escape),
            ("GET /api/v1/rules?x=%zz", escape),
            ("POST /api/v1/admin/tsdb/delete_series?x=%zz", escape),
            ("GET /federate?x=%zz", "400 error parsing form values: invalid URL escape \"%zz\"\n"),
            ("GET /api/v1/label/%zz/values", "400 400 Bad Request"),
            (
                "GET /api/v1/label/U__/values",
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid label name: \"\""}"#,
            ),
            ("GET /api/v1/%6cabels", r#"200 {"status":"success","data":["__name__","i"]}"#),
            (
                "GET /api/v1/rules?group_limit=99999999999",
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid parameter \"group_limit\": group_limit needs to be a valid number: strconv.ParseInt: parsing \"99999999999\": value out of range"}"#,
            ),
            ("GET /api/v1/labels?x=%zz", r#"200 {"status":"success","data":["__name__","i"]}"#),
        ],
    );
}

#[test]
fn other_methods_are_refused_with_the_allowed_ones() {
    check_all(
        &ready_site(),
        &[
            ("DELETE /api/v1/query", "405 allow=GET, OPTIONS, POST Method Not Allowed\n"),
            ("OPTIONS /metrics", "200 allow=GET, OPTIONS "),
            ("OPTIONS /api/v1/anything", "204 "),
            (
                "POST /api/v1/write",
                "404 remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n",
            ),
        ],
    );
}

#[test]
fn the_page_names_version_targets_and_links_and_escapes_text() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let page = runtime.block_on(ask(&ready_site(), "GET /query"));
    for part in [
        "200 <!doctype html>",
        "Title &amp; more",
        "3.14.0",
        "1 of 1 up",
        "href=\"/api/v1/targets\"",
        "Look out.",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
}

#[test]
fn own_metrics_count_requests_by_handler_and_code() {
    let site = ready_site();
    check_all(&site, &[("GET /-/healthy", "200 Prometheus Server is Healthy.\n")]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(ask(&site, "GET /metrics"));
    for line in [
        "prometheus_http_requests_total{code=\"200\",handler=\"/-/healthy\"} 1\n",
        "prometheus_ready 1\n",
        "prometheus_http_request_duration_seconds_bucket{handler=\"/-/healthy\",le=\"+Inf\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} is missing in {text}");
    }
}
