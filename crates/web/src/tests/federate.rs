//! Federation: what is selected, in which form it goes out, and what happens when reading fails.

use http::HeaderValue;
use narthex_model::{CounterResetHint, FloatHistogram, STALE_NAN, Span};
use narthex_net::server::Response;

use super::*;

/// What the newest sample of a series is.
#[derive(Clone)]
enum Last {
    Float(f64),
    Histogram(FloatHistogram),
    /// Reading it fails.
    Broken,
}

/// Series with one sample each, at the right edge of what is asked for.
#[derive(Clone)]
struct Stored(Arc<Vec<(Labels, Last)>>);

impl Stored {
    fn new(mut series: Vec<(Labels, Last)>) -> Self {
        series.sort_by(|a, b| a.0.cmp(&b.0));
        Self(Arc::new(series))
    }
}

impl Queryable for Stored {
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier>, QueryError> {
        assert_eq!(maxt_ms - mint_ms, 300_000, "as far as the lookback");
        Ok(Box::new(self.clone()))
    }
}

impl Querier for Stored {
    fn select(&self, _hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        let fits = |labels: &Labels| matchers.iter().all(|m| m.matches(labels.value(&m.name)));
        Ok(Box::new(Stored(Arc::new(self.0.iter().filter(|(labels, _)| fits(labels)).cloned().collect()))))
    }
    fn label_values(&self, _n: &str, _m: &[Matcher], _l: usize) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }
    fn label_names(&self, _matchers: &[Matcher], _limit: usize) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }
}

impl SeriesSet for Stored {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn labels(&self, at: usize) -> Labels {
        self.0[at].0.clone()
    }
    fn read(&self, at: usize, _mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        match &self.0[at].1 {
            Last::Float(value) => out.push(maxt_ms, *value),
            Last::Histogram(histogram) => out.push_histogram(maxt_ms, 0, Arc::new(histogram.clone())),
            Last::Broken => return Err(QueryError::Corrupt("chunk 7".to_owned())),
        }
        Ok(())
    }
}

fn site_over(series: Vec<(Labels, Last)>) -> Site {
    let site = new_site(options());
    site.answer_from_blocks(Services { local: Arc::new(Stored::new(series)), ..services() });
    site.open();
    site
}

/// The same where one query may hold `one` bytes and all together `all`.
fn tight_site_over(series: Vec<(Labels, Last)>, one: u64, all: u64) -> Site {
    let options = EngineOptions { max_query_bytes: one, max_total_bytes: all, ..EngineOptions::default() };
    let desk = Arc::new(Desk::new(Arc::new(Engine::new(options)), 2, None, &Registry::new()));
    let site = new_site(super::options());
    site.answer_from_blocks(Services { desk, local: Arc::new(Stored::new(series)), ..services() });
    site.open();
    site
}

fn named(name: &str, value: f64) -> (Labels, Last) {
    (Labels::from_pairs([("__name__", name)]), Last::Float(value))
}

async fn get(site: &Site, uri: &str, headers: &[(&'static str, &'static str)]) -> Response {
    let mut request = http::Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_static(value));
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let peer = "127.0.0.1:1".parse().unwrap();
    site.handle(Request { head, body: RequestBody::Ready(Bytes::new()), peer }).await
}

/// Status and text, without the times of text lines.
async fn text(site: &Site, query: &str) -> String {
    let response = get(site, &format!("/federate?{query}"), &[]).await;
    let status = response.status().as_u16();
    let body = String::from_utf8(response.into_body().read_to_end().await.unwrap()).unwrap();
    let untimed = |line: &str| match line.rsplit_once(' ') {
        Some((rest, time)) if time.len() == 13 && time.bytes().all(|b| b.is_ascii_digit()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = body.lines().map(untimed).collect();
    format!("{status} {}", lines.join("|"))
}

fn native() -> FloatHistogram {
    FloatHistogram {
        count: 3.0,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![3.0],
        ..FloatHistogram::default()
    }
}

fn custom() -> FloatHistogram {
    FloatHistogram { schema: -53, custom_values: vec![0.5], ..native() }
}

#[tokio::test]
async fn selections_become_families_with_external_labels() {
    let two = |value: &str| Labels::from_pairs([("__name__", "b"), ("i", value), ("instance", "host")]);
    let site = site_over(vec![
        (two("2"), Last::Float(2.5)),
        (two("1"), Last::Float(f64::NAN)),
        named("a", 1.0),
        named("gone", STALE_NAN),
        (Labels::from_pairs([("__name__", "h")]), Last::Histogram(native())),
        (Labels::from_pairs([("__name__", "c")]), Last::Histogram(custom())),
        (Labels::from_pairs([("nameless", "x")]), Last::Float(1.0)),
    ]);
    for (query, expected) in [
        ("", "200 "),
        ("match[]=%7B%7D", "200 "),
        ("match=a", "200 "),
        ("match[]=gone", "200 "),
        ("match[]=h", "200 "),
        (
            "match[]=b&match[]=%7B__name__%3D~%22a%7Cb%22%7D",
            "200 # TYPE a untyped|a{cluster=\"c1\",i=\"never shown\",instance=\"\"} 1|# TYPE b untyped\
             |b{i=\"1\",instance=\"host\",cluster=\"c1\"} NaN|b{i=\"2\",instance=\"host\",cluster=\"c1\"} 2.5",
        ),
        (
            "match[]=c",
            "200 # TYPE c histogram|c_bucket{cluster=\"c1\",i=\"never shown\",instance=\"\",le=\"0.5\"} 3\
             |c_bucket{cluster=\"c1\",i=\"never shown\",instance=\"\",le=\"+Inf\"} 3\
             |c_sum{cluster=\"c1\",i=\"never shown\",instance=\"\"} 0|c_count{cluster=\"c1\",i=\"never shown\",instance=\"\"} 3",
        ),
        ("match[]=x%7B", "400 1:3: parse error: unexpected end of input inside braces"),
        ("match[]=", "400 unknown position: parse error: unexpected end of input"),
    ] {
        assert_eq!(text(&site, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn the_format_is_what_the_client_accepts() {
    let gauge = FloatHistogram { counter_reset_hint: CounterResetHint::Gauge, ..native() };
    let site = site_over(vec![(Labels::from_pairs([("__name__", "h")]), Last::Histogram(gauge))]);
    let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=compact-text;q=0.6,*/*;q=0.1";
    let response =
        get(&site, "/federate?match[]=h", &[("accept", accept), ("accept-encoding", "gzip")]).await;
    let header = |name: &str| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(
        header("content-type"),
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=compact-text; escaping=underscores"
    );
    assert_eq!(
        (header("content-encoding"), header("vary")),
        ("gzip".to_owned(), "Accept-Encoding".to_owned())
    );
    let mut body = String::new();
    let zipped = response.into_body().read_to_end().await.unwrap();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*zipped), &mut body).unwrap();
    assert!(
        body.starts_with("name:\"h\" type:GAUGE_HISTOGRAM metric:{label:{name:\"cluster\" value:\"c1\"}"),
        "{body}"
    );
    assert!(body.contains("sample_count_float:3 schema:0"), "{body}");
    assert_eq!(get(&site, "/federate?match[]=h", &[]).await.body().len(), Some(0), "text cannot show it");
}

#[tokio::test]
async fn a_long_answer_flows_and_is_whole() {
    let many = |i: usize| named(&format!("metric_{:02}_{i:06}", i % 100), i as f64);
    let site = site_over((0..40_000).map(many).collect());
    let response = get(&site, "/federate?match[]=%7B__name__!%3D%22%22%7D", &[]).await;
    assert_eq!(response.body().len(), None, "it comes in pieces");
    let body = String::from_utf8(response.into_body().read_to_end().await.unwrap()).unwrap();
    assert!(body.len() > 3 << 20);
    let names: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(names.len() == 40_000 && names.is_sorted());
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_never_a_part_that_looks_whole() {
    let broken = |name: &str| (Labels::from_pairs([("__name__", name)]), Last::Broken);
    let site = site_over(vec![named("a", 1.0), broken("b")]);
    assert_eq!(text(&site, "match[]=%7B__name__!%3D%22%22%7D").await, "500 corrupt data: chunk 7");
    let mut series: Vec<_> = (0..40_000).map(|i| named(&format!("metric_{i:06}"), 1.0)).collect();
    series.push(broken("z"));
    let late = site_over(series);
    let response = get(&late, "/federate?match[]=%7B__name__!%3D%22%22%7D", &[]).await;
    assert_eq!(response.status(), 200);
    assert!(response.into_body().read_to_end().await.is_err(), "broken off");
    for site in [site, late] {
        let own = ask(&site, "GET /metrics").await;
        assert!(own.contains("\nprometheus_web_federation_errors_total 1\n"), "{own}");
        assert!(own.contains("\nprometheus_web_federation_warnings_total 0\n"), "{own}");
    }
}

#[tokio::test]
async fn what_it_holds_counts_as_what_a_query_holds() {
    let many = || (0..40_000).map(|i| named(&format!("metric_{i:06}"), 1.0)).collect();
    let all = "match[]=%7B__name__!%3D%22%22%7D";
    let own = tight_site_over(many(), 4 << 20, u64::MAX);
    let told = "422 query processing would hold too much memory: more than the 4194304 bytes that one query may have (--query.max-memory-per-query)";
    assert_eq!(text(&own, all).await, told);
    let together = tight_site_over(many(), u64::MAX, 4 << 20);
    let told = "503 too much memory is held by queries: they may have 4194304 bytes together (--query.max-memory); try again when others are done";
    assert_eq!(text(&together, all).await, told);
    for site in [own, together] {
        assert!(
            text(&site, "match[]=metric_000007")
                .await
                .ends_with("|metric_000007{cluster=\"c1\",i=\"never shown\",instance=\"\"} 1")
        );
        let metrics = ask(&site, "GET /metrics").await;
        assert!(metrics.contains("\nprometheus_web_federation_errors_total 1\n"), "{metrics}");
    }
    let roomy = tight_site_over(many(), 16 << 20, 16 << 20);
    assert!(text(&roomy, all).await.starts_with("200 "));
}

#[test]
fn other_methods_and_other_times_are_refused() {
    let cases = [
        ("POST /federate match[]=a", "405 allow=GET, OPTIONS Method Not Allowed\n"),
        ("HEAD /federate", "405 allow=GET, OPTIONS "),
    ];
    check_all(&ready_site(), &cases);
    let starting = [("GET /federate?match[]=a", "503 x-prometheus-stopping=false Service Unavailable")];
    check_all(&new_site(options()), &starting);
}
