//! Requests to the site over a storage of one series: the first line is method and URL, what follows is the body. Whatever comes
//! is answered, and no handler breaks.
#![no_main]

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use narthex_metrics::Registry;
use narthex_model::{Exemplar, Labels, Matcher};
use narthex_net::server::{Handler as _, Request, RequestBody};
use narthex_promql::desk::Desk;
use narthex_promql::engine::{Engine, EngineOptions};
use narthex_storage::{Querier, QueryError, Queryable, SampleBatch, SelectHints, SeriesSet};
use narthex_web::{
    ActiveTarget, ApiError, BlockStatus, BuildInfo, CardinalityQuestion, CardinalityStatus, CorsOrigin,
    DroppedTarget, ErrorType, Letter, LetterReplay, LetterSelection, LetterStore, Notification, PoolConfig,
    ProcessService, ReadAnswer, ReadService, RemoteEndpoint, RemoteWriteService, RuntimeInfo, Services, Site,
    SiteOptions, Subscription, TargetMetadata, TargetService, TsdbService, TsdbStatus, WalReplay,
};
use tokio::runtime::Runtime;

/// How long the client waits.
const LONGEST: Duration = Duration::from_secs(1);

/// Of everything nothing, or the least.
struct Empty;

impl Queryable for Empty {
    fn querier(&self, _: i64, _: i64) -> Result<Box<dyn Querier>, QueryError> {
        Ok(Box::new(Empty))
    }
}

impl Querier for Empty {
    fn select(&self, _: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        Ok(Box::new(Empty))
    }
    fn label_values(&self, name: &str, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        Ok(vec![name.to_owned()])
    }
    fn label_names(&self, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        Ok(vec!["a".to_owned(), "b".to_owned()])
    }
}

/// One series with a sample at the right edge.
impl SeriesSet for Empty {
    fn len(&self) -> usize {
        1
    }
    fn labels(&self, _: usize) -> Labels {
        Labels::from_pairs([("__name__", "a"), ("b", "c")])
    }
    fn read(&self, _: usize, _: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        out.push(maxt_ms, 1.5);
        Ok(())
    }
}

impl TargetService for Empty {
    fn pool_config(&self, _: &str) -> Option<PoolConfig> {
        Some(PoolConfig::default())
    }
    fn pools(&self) -> Vec<String> {
        Vec::new()
    }
    fn active(&self, _: Option<&str>) -> Vec<ActiveTarget> {
        Vec::new()
    }
    fn dropped(&self, _: Option<&str>) -> Vec<DroppedTarget> {
        Vec::new()
    }
    fn dropped_counts(&self) -> Vec<(String, usize)> {
        Vec::new()
    }
    fn metadata(&self, _: Option<&str>) -> Vec<TargetMetadata> {
        Vec::new()
    }
}

impl TsdbService for Empty {
    fn blocks(&self) -> Vec<BlockStatus> {
        Vec::new()
    }
    fn refuses_samples(&self) -> Option<String> {
        None
    }
    fn delete_series(&self, _: i64, _: i64, matchers: &[Matcher]) -> Result<(), String> {
        assert!(!matchers.is_empty(), "nobody means everything");
        Ok(())
    }
    fn clean_tombstones(&self) -> Result<(), String> {
        Ok(())
    }
    fn snapshot(&self, _: bool) -> Result<String, String> {
        Ok("name".to_owned())
    }
    fn status(&self, limit: usize) -> TsdbStatus {
        assert!(limit <= 10_000);
        TsdbStatus::default()
    }
    fn cardinality(&self, question: &CardinalityQuestion) -> CardinalityStatus {
        assert!(question.limit <= 10_000 && question.labels.len() <= 10);
        CardinalityStatus::default()
    }
    fn exemplars(&self, _: i64, _: i64, _: &[Vec<Matcher>]) -> Vec<(Labels, Vec<Exemplar>)> {
        Vec::new()
    }
}

impl ReadService for Empty {
    fn enter(&self) -> Pin<Box<dyn Future<Output = Box<dyn Send>> + Send + '_>> {
        Box::pin(async { Box::new(()) as Box<dyn Send> })
    }
    fn read(&self, _: &[u8], _: &mut dyn FnMut(Bytes) -> bool) -> ReadAnswer {
        ReadAnswer::Streamed
    }
}

fn none<T>() -> Result<T, ApiError> {
    Err(ApiError::new(ErrorType::Unavailable, "there are no letters"))
}

impl RemoteWriteService for Empty {
    fn endpoints(&self) -> Vec<RemoteEndpoint> {
        Vec::new()
    }
    fn stores(&self) -> Result<Vec<LetterStore>, ApiError> {
        none()
    }
    fn letters(&self, _: &LetterSelection, _: usize) -> Result<(Vec<Letter>, bool), ApiError> {
        none()
    }
    fn replay(&self, _: &LetterSelection, _: u64, _: Duration) -> Result<LetterReplay, ApiError> {
        none()
    }
    fn drop_letters(&self, _: &LetterSelection) -> Result<u64, ApiError> {
        none()
    }
}

impl ProcessService for Empty {
    fn config_yaml(&self) -> String {
        String::new()
    }
    fn external_labels(&self) -> Labels {
        Labels::from_pairs([("b", "d"), ("e", "f")])
    }
    fn runtime(&self) -> RuntimeInfo {
        RuntimeInfo::default()
    }
    fn wal_replay(&self) -> WalReplay {
        WalReplay::default()
    }
    fn notifications(&self) -> Vec<Notification> {
        Vec::new()
    }
    fn subscribe(&self) -> Option<Subscription> {
        None
    }
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        Box::pin(async { Ok(()) })
    }
    fn quit(&self) -> bool {
        true
    }
}

fn site() -> Site {
    let options = SiteOptions {
        route_prefix: "/".to_owned(),
        external_url: "http://host:9090/".to_owned(),
        external_host: "host:9090".to_owned(),
        external_scheme: "http".to_owned(),
        external_path: String::new(),
        own_port: 9090,
        cors: CorsOrigin::new(".*").expect("the pattern is well formed"),
        flags: Vec::new(),
        build: BuildInfo::default(),
        lifecycle: true,
        admin: true,
        search: true,
        search_max_limit: 1000,
        page_title: String::new(),
        console_templates: "/nonexistent".to_owned(),
        console_libraries: "/nonexistent".to_owned(),
        user_assets: String::new(),
    };
    let site = Site::new(options, Registry::new(), Arc::new(Empty));
    let limits = EngineOptions {
        threads: 1,
        timeout: Duration::from_secs(2),
        max_samples: 100_000,
        ..EngineOptions::default()
    };
    let desk = Arc::new(Desk::new(Arc::new(Engine::new(limits)), 1, None, &Registry::new()));
    site.answer_from_blocks(Services {
        desk,
        storage: Arc::new(Empty),
        local: Arc::new(Empty),
        targets: Arc::new(Empty),
        tsdb: Arc::new(Empty),
        reads: Arc::new(Empty),
        remote_write: Arc::new(Empty),
        receiver: None,
    });
    site.open();
    site
}

static SITE: LazyLock<(Site, Runtime)> = LazyLock::new(|| {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    (site(), runtime)
});

fuzz_target!(|bytes: &[u8]| {
    let line = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (line, body) = (&bytes[..line], bytes.get(line + 1..).unwrap_or(&[]));
    let Some((method, url)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(' ')) else {
        return;
    };
    let request = http::Request::builder().method(method).uri(url);
    let Ok(request) = request.header("content-type", "application/x-www-form-urlencoded").body(()) else {
        return;
    };
    let (head, ()) = request.into_parts();
    let (site, runtime) = &*SITE;
    let body = RequestBody::Ready(Bytes::copy_from_slice(body));
    let peer = "127.0.0.1:1".parse().expect("an address");
    runtime.block_on(async {
        // Profiles are recorded for as long as was asked for; who hangs up ends them.
        let response = tokio::time::timeout(LONGEST, site.handle(Request { head, body, peer })).await;
        let Ok(response) = response else { return };
        let answer = response.into_body().read_to_end().await.expect("no answer breaks off");
        assert!(!String::from_utf8_lossy(&answer).contains("unexpected error"), "a handler broke");
    });
});
