//! Every path of the table of routes, asked in its good and its bad forms: the status, and words of the answer.
//!
//! Always true: a path that is added to the table without lines here fails this test.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::{Narthex, SOON, scraping};
use crate::process::wait;

/// The table itself; only its patterns are looked at.
const ROUTES: &str = include_str!("../../../web/src/routes.rs");

/// What has no good form here, or one that has a test of its own.
const NO_GOOD_FORM: [&str; 4] = [
    "/api/v1/otlp/v1/metrics",
    // They need an endpoint of remote write: `remote_write`.
    "/api/v1/status/remote_write/dead_letters/show",
    "/api/v1/status/remote_write/dead_letters/replay",
    "/api/v1/status/remote_write/dead_letters/drop",
];

/// Pattern; method, target, perhaps a form; status; what the answer has.
type Case = (&'static str, &'static str, u16, &'static str);

const PAGES: &[Case] = &[
    ("/", "GET /", 302, "<a href=\"/query\">"),
    ("/", "POST /", 405, "Method Not Allowed"),
    ("/query", "GET /query", 200, "<!doctype html>"),
    ("/query", "PUT /query", 405, "Method Not Allowed"),
    ("/alerts", "GET /alerts", 200, "<!doctype html>"),
    ("/alerts", "POST /alerts", 405, ""),
    ("/targets", "GET /targets", 200, "<!doctype html>"),
    ("/targets", "POST /targets", 405, ""),
    ("/rules", "GET /rules", 200, "<!doctype html>"),
    ("/rules", "POST /rules", 405, ""),
    ("/status", "GET /status", 200, "<!doctype html>"),
    ("/status", "POST /status", 405, ""),
    ("/tsdb-status", "GET /tsdb-status", 200, "<!doctype html>"),
    ("/tsdb-status", "POST /tsdb-status", 405, ""),
    ("/flags", "GET /flags", 200, "<!doctype html>"),
    ("/flags", "POST /flags", 405, ""),
    ("/config", "GET /config", 200, "<!doctype html>"),
    ("/config", "POST /config", 405, ""),
    ("/service-discovery", "GET /service-discovery", 200, "<!doctype html>"),
    ("/service-discovery", "POST /service-discovery", 405, ""),
    ("/graph", "GET /graph?g0.expr=up", 302, "/query?g0.expr=up"),
    ("/graph", "POST /graph", 405, ""),
    ("/version", "GET /version", 200, "\"version\":\"3.14.0"),
    ("/version", "POST /version", 405, ""),
    ("/metrics", "GET /metrics", 200, "prometheus_build_info{"),
    ("/metrics", "DELETE /metrics", 405, ""),
    ("/federate", "GET /federate?match[]=up", 200, "# TYPE up untyped"),
    ("/federate", "GET /federate?match[]=up{", 400, "parse error"),
    ("/consoles/*filepath", "GET /consoles/page.html?a=b", 200, "page b"),
    ("/consoles/*filepath", "GET /consoles/nope.html", 404, "no such file or directory"),
    ("/user/*filepath", "GET /user/page.html", 200, "page {{ .Params.a }}"),
    ("/user/*filepath", "GET /user/nope.html", 404, "404 page not found"),
    ("/debug/*subpath", "GET /debug/pprof/cmdline", 200, "--config.file"),
    ("/debug/*subpath", "GET /debug/nosuch", 404, "404 page not found"),
    ("/-/healthy", "GET /-/healthy", 200, "Prometheus Server is Healthy."),
    ("/-/healthy", "POST /-/healthy", 405, ""),
    ("/-/ready", "HEAD /-/ready", 200, ""),
    ("/-/ready", "POST /-/ready", 405, ""),
    ("/-/reload", "POST /-/reload", 200, ""),
    ("/-/reload", "GET /-/reload", 405, "Only POST or PUT requests allowed"),
    ("/-/quit", "GET /-/quit", 405, "Only POST or PUT requests allowed"),
];

const QUERIES: &[Case] = &[
    ("/api/v1/query", "POST /api/v1/query query=up", 200, "\"resultType\":\"vector\""),
    ("/api/v1/query", "GET /api/v1/query?query=up&time=x", 400, "invalid parameter \\\"time\\\""),
    (
        "/api/v1/query_range",
        "POST /api/v1/query_range query=1&start=1&end=2&step=1",
        200,
        "[[1,\"1\"],[2,\"1\"]]",
    ),
    (
        "/api/v1/query_range",
        "GET /api/v1/query_range?query=1&start=2&end=1&step=1",
        400,
        "end timestamp must not be",
    ),
    ("/api/v1/query_explain", "GET /api/v1/query_explain?query=up&analyze=true", 200, "\"operator\""),
    (
        "/api/v1/query_explain",
        "GET /api/v1/query_explain?query=up&analyze=x",
        400,
        "invalid parameter \\\"analyze\\\"",
    ),
    ("/api/v1/running_queries", "GET /api/v1/running_queries", 200, "\"status\":\"success\""),
    ("/api/v1/running_queries", "DELETE /api/v1/running_queries", 405, ""),
    ("/api/v1/running_queries/cancel", "POST /api/v1/running_queries/cancel id=x", 400, "bad_data"),
    ("/api/v1/query_exemplars", "GET /api/v1/query_exemplars?query=up", 200, "\"data\":[]"),
    ("/api/v1/query_exemplars", "POST /api/v1/query_exemplars query=up{", 400, "parse error"),
    ("/api/v1/format_query", "GET /api/v1/format_query?query=a%2Bb", 200, "\"data\":\"a + b\""),
    ("/api/v1/format_query", "GET /api/v1/format_query", 400, "no expression found"),
    ("/api/v1/parse_query", "GET /api/v1/parse_query?query=1", 200, "numberLiteral"),
    ("/api/v1/parse_query", "GET /api/v1/parse_query?query=(", 400, "parse error"),
    ("/api/v1/labels", "POST /api/v1/labels match[]=up", 200, "[\"__name__\",\"instance\",\"job\"]"),
    ("/api/v1/labels", "GET /api/v1/labels?match[]={}", 400, "at least one non-empty matcher"),
    ("/api/v1/label/:name/values", "GET /api/v1/label/job/values", 200, "[\"self\"]"),
    ("/api/v1/label/:name/values", "GET /api/v1/label/%ff/values", 400, "invalid label name"),
    ("/api/v1/series", "GET /api/v1/series?match[]=up{job=\"self\"}", 200, "\"__name__\":\"up\""),
    ("/api/v1/series", "GET /api/v1/series", 400, "no match[] parameter provided"),
    (
        "/api/v1/search/metric_names",
        "GET /api/v1/search/metric_names?search[]=up&limit=1000",
        200,
        "\"name\":\"up\"",
    ),
    ("/api/v1/search/metric_names", "GET /api/v1/search/metric_names?limit=x", 400, "limit"),
    ("/api/v1/search/label_names", "POST /api/v1/search/label_names search[]=job", 200, "\"name\":\"job\""),
    ("/api/v1/search/label_names", "GET /api/v1/search/label_names?sort_by=x", 400, "sort_by"),
    ("/api/v1/search/label_values", "GET /api/v1/search/label_values?label=job", 200, "\"value\":\"self\""),
    ("/api/v1/search/label_values", "GET /api/v1/search/label_values", 400, "missing required parameter"),
    ("/api/v1/scrape_pools", "GET /api/v1/scrape_pools", 200, "\"scrapePools\":[\"self\"]"),
    ("/api/v1/scrape_pools", "POST /api/v1/scrape_pools", 405, ""),
    ("/api/v1/scrape_pools/config", "GET /api/v1/scrape_pools/config?scrapePool=self", 200, "job_name: self"),
    (
        "/api/v1/scrape_pools/config",
        "GET /api/v1/scrape_pools/config",
        400,
        "no scrapePool parameter provided",
    ),
    ("/api/v1/targets", "GET /api/v1/targets?state=active", 200, "\"scrapePool\":\"self\""),
    ("/api/v1/targets", "POST /api/v1/targets", 405, ""),
    (
        "/api/v1/targets/metadata",
        "GET /api/v1/targets/metadata?metric=prometheus_build_info",
        200,
        "\"type\":\"gauge\"",
    ),
    ("/api/v1/targets/metadata", "GET /api/v1/targets/metadata?limit=x", 400, "limit must be a number"),
    (
        "/api/v1/targets/relabel_steps",
        "GET /api/v1/targets/relabel_steps?scrapePool=self&labels={}",
        200,
        "\"steps\":[]",
    ),
    (
        "/api/v1/targets/relabel_steps",
        "GET /api/v1/targets/relabel_steps?scrapePool=self",
        400,
        "no labels parameter",
    ),
    ("/api/v1/metadata", "GET /api/v1/metadata?metric=prometheus_build_info", 200, "\"type\":\"gauge\""),
    ("/api/v1/metadata", "GET /api/v1/metadata?limit_per_metric=x", 400, "limit_per_metric must be a number"),
    (
        "/api/v1/alertmanagers",
        "GET /api/v1/alertmanagers",
        200,
        "{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}",
    ),
    ("/api/v1/alertmanagers", "POST /api/v1/alertmanagers", 405, ""),
    ("/api/v1/alerts", "GET /api/v1/alerts", 200, "{\"alerts\":[]}"),
    ("/api/v1/alerts", "POST /api/v1/alerts", 405, ""),
    ("/api/v1/rules", "GET /api/v1/rules?type=alert", 200, "{\"groups\":[]}"),
    ("/api/v1/rules", "GET /api/v1/rules?type=x", 400, "invalid parameter \\\"type\\\""),
];

const STATUS: &[Case] = &[
    ("/api/v1/status/config", "GET /api/v1/status/config", 200, "job_name: self"),
    ("/api/v1/status/config", "POST /api/v1/status/config", 405, ""),
    ("/api/v1/status/runtimeinfo", "GET /api/v1/status/runtimeinfo", 200, "\"storageRetention\":\"15d\""),
    ("/api/v1/status/runtimeinfo", "POST /api/v1/status/runtimeinfo", 405, ""),
    ("/api/v1/status/buildinfo", "GET /api/v1/status/buildinfo", 200, "\"version\":\"3.14.0"),
    ("/api/v1/status/buildinfo", "POST /api/v1/status/buildinfo", 405, ""),
    ("/api/v1/status/flags", "GET /api/v1/status/flags", 200, "\"web.enable-lifecycle\":\"true\""),
    ("/api/v1/status/flags", "POST /api/v1/status/flags", 405, ""),
    ("/api/v1/status/tsdb", "GET /api/v1/status/tsdb?limit=1", 200, "\"headStats\""),
    ("/api/v1/status/tsdb", "GET /api/v1/status/tsdb?limit=0", 400, "limit must be a positive number"),
    ("/api/v1/status/tsdb/blocks", "GET /api/v1/status/tsdb/blocks", 200, "{\"blocks\":[]}"),
    ("/api/v1/status/tsdb/blocks", "POST /api/v1/status/tsdb/blocks", 405, ""),
    ("/api/v1/status/cardinality", "GET /api/v1/status/cardinality", 200, "\"status\":\"success\""),
    ("/api/v1/status/cardinality", "GET /api/v1/status/cardinality?limit=x", 400, "limit"),
    ("/api/v1/status/self_metrics", "GET /api/v1/status/self_metrics", 200, "prometheus_build_info"),
    ("/api/v1/status/self_metrics", "POST /api/v1/status/self_metrics", 405, ""),
    ("/api/v1/status/remote_write", "GET /api/v1/status/remote_write", 200, "{\"endpoints\":[]}"),
    ("/api/v1/status/remote_write", "POST /api/v1/status/remote_write", 405, ""),
    (
        "/api/v1/status/remote_write/dead_letters",
        "GET /api/v1/status/remote_write/dead_letters",
        200,
        "{\"stores\":[]}",
    ),
    ("/api/v1/status/remote_write/dead_letters", "POST /api/v1/status/remote_write/dead_letters", 405, ""),
    (
        "/api/v1/status/remote_write/dead_letters/show",
        "GET /api/v1/status/remote_write/dead_letters/show?id=x",
        400,
        "bad_data",
    ),
    (
        "/api/v1/status/remote_write/dead_letters/replay",
        "POST /api/v1/status/remote_write/dead_letters/replay endpoint=x",
        400,
        "endpoint",
    ),
    (
        "/api/v1/status/remote_write/dead_letters/drop",
        "GET /api/v1/status/remote_write/dead_letters/drop",
        405,
        "",
    ),
    ("/api/v1/features", "GET /api/v1/features", 200, "\"promql_functions\""),
    ("/api/v1/features", "POST /api/v1/features", 405, ""),
    ("/api/v1/status/walreplay", "GET /api/v1/status/walreplay", 200, "\"current\":"),
    ("/api/v1/status/walreplay", "POST /api/v1/status/walreplay", 405, ""),
    ("/api/v1/notifications", "GET /api/v1/notifications", 200, "\"data\":["),
    ("/api/v1/notifications", "POST /api/v1/notifications", 405, ""),
    // Its good form never ends: `api` listens.
    ("/api/v1/notifications/live", "POST /api/v1/notifications/live", 405, ""),
    ("/api/v1/openapi.yaml", "GET /api/v1/openapi.yaml", 200, "openapi: 3.1.0"),
    ("/api/v1/openapi.yaml", "POST /api/v1/openapi.yaml", 405, ""),
    ("/api/v1/otlp/v1/metrics", "POST /api/v1/otlp/v1/metrics", 404, "--web.enable-otlp-receiver"),
];

const WRITERS: &[Case] = &[
    ("/api/v1/write", "POST /api/v1/write \0", 204, ""),
    ("/api/v1/write", "POST /api/v1/write nonsense", 400, "corrupt input"),
    ("/api/v1/read", "POST /api/v1/read \0", 200, ""),
    ("/api/v1/read", "POST /api/v1/read nonsense", 400, "corrupt"),
    ("/api/v1/admin/tsdb/delete_series", "POST /api/v1/admin/tsdb/delete_series?match[]=nope", 204, ""),
    (
        "/api/v1/admin/tsdb/delete_series",
        "PUT /api/v1/admin/tsdb/delete_series",
        400,
        "no match[] parameter provided",
    ),
    ("/api/v1/admin/tsdb/clean_tombstones", "POST /api/v1/admin/tsdb/clean_tombstones", 204, ""),
    ("/api/v1/admin/tsdb/clean_tombstones", "GET /api/v1/admin/tsdb/clean_tombstones", 405, ""),
    ("/api/v1/admin/tsdb/snapshot", "POST /api/v1/admin/tsdb/snapshot?skip_head=true", 200, "\"name\":\""),
    (
        "/api/v1/admin/tsdb/snapshot",
        "POST /api/v1/admin/tsdb/snapshot?skip_head=x",
        400,
        "unable to parse boolean",
    ),
    ("/api/v2/admin/tsdb/delete_series", "POST /api/v2/admin/tsdb/delete_series [", 400, "\"code\":3"),
    ("/api/v2/admin/tsdb/clean_tombstones", "POST /api/v2/admin/tsdb/clean_tombstones {}", 200, "{}"),
    (
        "/api/v2/admin/tsdb/clean_tombstones",
        "POST /api/v2/admin/tsdb/clean_tombstones {\"a\":1}",
        400,
        "unknown field",
    ),
    (
        "/api/v2/admin/tsdb/snapshot",
        "POST /api/v2/admin/tsdb/snapshot {\"skip_head\":true}",
        200,
        "{\"name\":\"",
    ),
    (
        "/api/v2/admin/tsdb/snapshot",
        "POST /api/v2/admin/tsdb/snapshot {\"skip_head\":1}",
        400,
        "true or false",
    ),
    ("/-/quit", "POST /-/quit", 200, "Requesting termination... Goodbye!"),
];

/// Good forms that are tested elsewhere or need more than a request.
const GOOD_ELSEWHERE: [&str; 3] = [
    // `queries` cancels one.
    "/api/v1/running_queries/cancel",
    "/api/v1/notifications/live",
    // The gateway's own tests delete.
    "/api/v2/admin/tsdb/delete_series",
];

/// The patterns of the table.
fn patterns() -> Vec<&'static str> {
    let lines = ROUTES.lines().filter_map(|line| line.trim().strip_prefix("route(\""));
    lines.filter_map(|line| Some(line.split_once('"')?.0)).collect()
}

/// Status and text of the answer to `METHOD target [body]`.
fn ask(server: &Narthex, request: &str) -> (u16, String) {
    let mut words = request.splitn(3, ' ');
    let (method, target, body) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or(""));
    let kind = match target {
        "/api/v1/write" | "/api/v1/read" => "application/x-protobuf\r\nContent-Encoding: snappy",
        _ => "application/x-www-form-urlencoded",
    };
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {target} HTTP/1.0\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn every_path_answers_its_good_and_its_bad_forms() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("pages");
    std::fs::create_dir(&pages).unwrap();
    std::fs::write(pages.join("page.html"), "page {{ .Params.a }}").unwrap();
    let flags = [
        "--web.enable-lifecycle",
        "--web.enable-admin-api",
        "--web.enable-remote-write-receiver",
        "--enable-feature=search-api,exemplar-storage",
        &format!("--web.console.templates={}", pages.display()),
        &format!("--web.user-assets={}", pages.display()),
    ];
    let server = Narthex::start(folder.path(), &scraping(1), &flags);
    server.configure(&scraping(server.port));
    server.wait_ready();
    assert_eq!(server.post("/-/reload").0, 200);
    wait("a scrape", SOON, || server.query("up").filter(|up| *up == 1.0));
    let mut wrong = Vec::new();
    let mut seen: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (pattern, request, status, words) in [PAGES, QUERIES, STATUS, WRITERS].concat() {
        let (got, text) = ask(&server, request);
        if got != status || !text.contains(words) {
            wrong.push(format!("{request}: {got} {text:.300}, expected {status} {words}"));
        }
        let (good, bad) = seen.entry(pattern).or_default();
        *if status < 400 { good } else { bad } += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for pattern in patterns() {
        let (good, bad) = seen.get(pattern).copied().unwrap_or_default();
        let elsewhere = NO_GOOD_FORM.contains(&pattern) || GOOD_ELSEWHERE.contains(&pattern);
        assert!(bad > 0 && (good > 0 || elsewhere), "{pattern}: {good} good forms, {bad} bad ones");
    }
    assert!(patterns().len() > 60);
    assert!(server.ended().success());
}
