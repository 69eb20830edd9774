//! Queries from outside: limits, lanes, the list, calling off, and what the two log files tell.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;

use crate::harness::{EMPTY, Narthex, SOON, scraping};
use crate::process::{encode, free_port, wait};

/// Sends a request and does not read the answer.
fn send(port: u16, path: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n{headers}\r\n").unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// A server that scrapes itself and has done so once.
pub(crate) fn with_series(folder: &Path, flags: &[&str]) -> Narthex {
    let port = free_port();
    let server = Narthex::start_on(folder, &scraping(port), flags, port);
    wait("a scrape", SOON, || server.query("count(prometheus_http_requests_total)").filter(|n| *n > 20.0));
    server
}

/// A path that keeps the server busy for long: tens of series, each present at every step of a long subquery.
fn heavy() -> String {
    // A little ahead, so that the scrape lies in the lookback however late it is.
    let soon = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 60;
    let query =
        format!("quantile_over_time(0.5, (prometheus_http_requests_total @ {soon} * time())[300s:1s])");
    format!("/api/v1/query_range?query={}&start=0&end=10000&step=1", encode(&query))
}

fn list(server: &Narthex) -> Vec<Value> {
    let (status, body) = server.get("/api/v1/running_queries");
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    answer["data"].as_array().unwrap().clone()
}

fn wait_running(server: &Narthex, count: usize) -> Vec<Value> {
    wait("the queries on the list", SOON, || {
        let listed = list(server);
        let runs = listed.first().is_some_and(|q| q["state"] == "running" && !q["started"].is_null());
        (listed.len() == count && runs).then_some(listed)
    })
}

#[test]
fn a_query_ends_soon_after_its_client_hung_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_series(folder.path(), &[]);
    let stream = send(server.port, &heavy(), "X-Dashboard-Uid: d\r\n");
    let listed = wait_running(&server, 1);
    assert_eq!(listed[0]["lane"], "dashboards", "{listed:?}");
    assert_eq!(listed[0]["client"], "127.0.0.1", "{listed:?}");
    assert!(listed[0]["query"].as_str().unwrap().starts_with("quantile_over_time"), "{listed:?}");
    wait("bytes in the list", SOON, || list(&server)[0]["bytes"].as_i64().filter(|b| *b > 0));
    drop(stream);
    wait("an empty list", SOON, || list(&server).is_empty().then_some(()));
    let metrics = server.get("/metrics").1;
    assert!(metrics.contains("\nprometheus_engine_queries 0\n"), "{metrics}");
    assert!(metrics.contains("\nnarthex_query_memory_bytes 0\n"), "{metrics}");
}

#[test]
fn a_query_can_be_called_off_by_its_number_with_the_admin_api() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_series(folder.path(), &["--web.enable-admin-api"]);
    let stream = send(server.port, &heavy(), "");
    let id = wait_running(&server, 1)[0]["id"].as_i64().unwrap();
    let cancel = |id: i64| server.post(&format!("/api/v1/running_queries/cancel?id={id}"));
    assert_eq!(cancel(id + 1000).0, 400);
    assert_eq!(cancel(id), (204, String::new()));
    let text = answer(stream);
    assert!(text.starts_with("HTTP/1.0 499") || text.starts_with("HTTP/1.1 499"), "{text}");
    let error =
        r#"{"status":"error","errorType":"canceled","error":"query was canceled in expression evaluation"}"#;
    assert!(text.ends_with(error), "{text}");

    let folder = tempfile::tempdir().unwrap();
    let server = Narthex::start(folder.path(), EMPTY, &[]);
    server.wait_ready();
    let (status, body) = server.post("/api/v1/running_queries/cancel?id=1");
    assert!(status == 500 && body.contains("admin APIs disabled"), "{status} {body}");
}

#[test]
fn after_kill_9_the_next_start_tells_what_ran() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_series(folder.path(), &[]);
    let _stream = send(server.port, &heavy(), "");
    wait_running(&server, 1);
    let file = folder.path().join("data/queries.active");
    wait("the entry", SOON, || std::fs::read(&file).is_ok_and(|b| b.get(1) == Some(&b'{')).then_some(()));
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 25_001, "20 slots for all, 5 for rules");
    server.kill();

    let server = Narthex::start(folder.path(), EMPTY, &["--query.max-concurrency=2"]);
    server.wait_ready();
    let log = server.log();
    let line =
        log.lines().find(|l| l.contains("These queries didn't finish in prometheus' last run:")).unwrap();
    assert!(line.contains("component=activeQueryTracker"), "{line}");
    assert!(line.contains(r#"queries="[{\"query\":\"quantile_over_time(0.5, "#), "{line}");
    assert!(line.contains(r#"\"timestamp_sec\":"#), "{line}");
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 3_001);
    drop(server);
    let server = Narthex::start(folder.path(), EMPTY, &[]);
    server.wait_ready();
    assert_eq!(server.log().matches("These queries didn't finish").count(), 1, "it is told once");
}

/// Prometheus 3.14 logs the same two lines and ends with 1; so does 3.5.3, by a panic.
#[test]
fn without_the_file_of_running_queries_there_is_no_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("data/queries.active")).unwrap();
    std::fs::write(folder.path().join("narthex.yml"), EMPTY).unwrap();
    let (code, log) = Narthex::run_to_end(folder.path(), &[]);
    assert_eq!(code, Some(1), "{log}");
    let has = |parts: &[&str]| log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(
        has(&["level=ERROR", "Error opening query log file", "data/queries.active", "activeQueryTracker"]),
        "{log}"
    );
    assert!(has(&["level=ERROR", "failed to initialize active query tracker", "err="]), "{log}");
    assert!(!log.contains("Server is ready"), "{log}");
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

#[test]
fn the_query_log_follows_reloads() {
    let folder = tempfile::tempdir().unwrap();
    let (first, moved) = (folder.path().join("first.log"), folder.path().join("moved.log"));
    let config = "global: {query_log_file: first.log}\n";
    let server = Narthex::start(folder.path(), config, &["--web.enable-lifecycle", "--web.route-prefix=/p"]);
    wait("readiness", SOON, || (server.get("/p/-/ready").0 == 200).then_some(()));
    let ask = |n: u32| {
        let path = format!("/p/api/v1/query_range?query=vector({n})&start=0&end=60&step=15");
        assert_eq!(server.get(&path).0, 200);
    };
    let reload = || assert_eq!(server.post("/p/-/reload").0, 200);
    ask(1);
    assert_eq!(server.get("/p/api/v1/query?query=vector(").0, 400);
    let logged = lines(&first);
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert_eq!(logged[0]["msg"], "promql query logged");
    let params = r#"{"end":"1970-01-01T00:01:00.000Z","query":"vector(1)","start":"1970-01-01T00:00:00.000Z","step":15}"#;
    assert_eq!(logged[0]["params"].to_string(), params);
    assert_eq!(
        logged[0]["httpRequest"].to_string(),
        r#"{"clientIP":"127.0.0.1","method":"GET","path":"/p/api/v1/query_range"}"#
    );
    assert!(logged[0]["stats"]["samples"]["peakSamples"].is_i64(), "{logged:?}");

    std::fs::rename(&first, &moved).unwrap();
    reload();
    ask(2);
    assert_eq!((lines(&moved).len(), lines(&first).len()), (1, 1), "a moved file is left, a new one is made");

    server.configure("global: {query_log_file: nosuch/folder/x.log}\n");
    let (status, reason) = server.post("/p/-/reload");
    assert!(status == 500 && reason.contains("can't create json log file"), "{reason}");
    ask(3);
    assert_eq!(lines(&first).len(), 2, "the log before goes on");

    server.configure(EMPTY);
    reload();
    ask(4);
    assert_eq!(lines(&first).len(), 2, "switched off");
    assert!(server.get("/p/metrics").1.contains("\nprometheus_engine_query_log_enabled 0\n"));
}

#[test]
fn dashboards_go_before_other_queries_when_all_slots_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--query.max-concurrency=1", "--web.enable-admin-api"];
    let server = with_series(folder.path(), &flags);
    server.configure("global: {query_log_file: q.log}\n");
    server.signal("HUP");
    let log = folder.path().join("q.log");
    wait("the query log", SOON, || log.exists().then_some(()));
    let busy = send(server.port, &heavy(), "");
    let id = wait_running(&server, 1)[0]["id"].as_i64().unwrap();
    let typed = send(server.port, "/api/v1/query?query=vector(1)", "");
    wait_running(&server, 2);
    let seen = send(server.port, "/api/v1/query?query=vector(2)", "X-Panel-Id: 4\r\n");
    let listed = wait_running(&server, 3);
    assert_eq!((&listed[1]["state"], &listed[2]["lane"]), (&"waiting".into(), &"dashboards".into()));
    let (status, late) = server.get("/api/v1/query?query=vector(3)&timeout=1ms");
    let error = r#""errorType":"bad_data","error":"invalid parameter \"query\": context deadline exceeded""#;
    assert!(status == 400 && late.contains(error), "no slot in time: {status} {late}");
    let rule = answer(send(server.port, "/api/v1/query?query=vector(4)", "X-Narthex-Lane: rules\r\n"));
    assert!(rule.contains("\"status\":\"success\""), "rules have slots of their own: {rule}");
    assert_eq!(server.post(&format!("/api/v1/running_queries/cancel?id={id}")).0, 204);
    for stream in [typed, seen] {
        assert!(answer(stream).contains("\"status\":\"success\""));
    }
    drop(busy);
    let order: Vec<String> =
        lines(&log).iter().map(|l| l["params"]["query"].as_str().unwrap().to_owned()).collect();
    assert_eq!(order[0], "vector(4)", "one that gave up is not logged, as in Prometheus");
    assert!(order[1].starts_with("quantile_over_time"), "{order:?}");
    assert_eq!(order[2..], ["vector(2)", "vector(1)"]);
}

#[test]
fn a_query_that_holds_too_much_fails_alone() {
    #[track_caller]
    fn check(server: &Narthex, query: &str, expected: (u16, &str)) {
        let (status, body) = server.get(&format!("/api/v1/query?query={}", encode(query)));
        assert!(status == expected.0 && body.contains(expected.1), "{query}: {status} {body}");
    }
    let large = "max_over_time((vector(1) * time())[200000s:1s])";
    let folder = tempfile::tempdir().unwrap();
    let server = Narthex::start(
        folder.path(),
        EMPTY,
        &["--query.max-samples=1000", "--query.max-memory-per-query=1MB", "--query.timeout=60s"],
    );
    server.wait_ready();
    let samples = "query processing would load too many samples into memory in query execution";
    check(&server, large, (422, samples));
    drop(server);
    let server = Narthex::start(folder.path(), EMPTY, &["--query.max-memory-per-query=1MB"]);
    server.wait_ready();
    check(
        &server,
        large,
        (422, "more than the 1048576 bytes that one query may have (--query.max-memory-per-query)"),
    );
    check(&server, "vector(1)", (200, "success"));
    drop(server);
    let server =
        Narthex::start(folder.path(), EMPTY, &["--query.max-memory=1MB", "--query.max-memory-per-query=0"]);
    server.wait_ready();
    check(&server, large, (503, "they may have 1048576 bytes together (--query.max-memory)"));
    check(&server, "vector(1)", (200, "success"));
}
