//! The admin API beside a real Prometheus: the same requests on the same data give the same answers, and leave the same data.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;

use crate::fixture::{copy, fixture};
use crate::process::{Server, encode, free_port, narthex, peer};

const CONFIG: &str = "global: {scrape_interval: 1h}\nstorage: {tsdb: {out_of_order_time_window: 8h}}\n";
const FLAGS: [&str; 2] = ["--web.enable-admin-api", "--storage.tsdb.retention.time=100y"];

/// Both servers over copies of one directory.
struct Pair {
    ours: Server,
    theirs: Server,
    folder: tempfile::TempDir,
}

impl Pair {
    fn start(prometheus: &Path, data: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start = |binary: &Path, name: &str| {
            let folder = folder.path().join(name);
            copy(data, &folder.join("data"));
            Server::prometheus(binary, &folder, CONFIG, free_port(), &FLAGS)
        };
        Self { ours: start(&narthex(), "ours"), theirs: start(prometheus, "theirs"), folder }
    }

    /// Sends a request to both; gives the status and the body (names of snapshots left out) that both answer.
    #[track_caller]
    fn same(&self, method: &str, path: &str) -> (u16, String) {
        let ours = ask(&self.ours, method, path);
        assert_eq!(ours, ask(&self.theirs, method, path), "{method} {path}");
        ours
    }

    /// All samples of all series, by both.
    #[track_caller]
    fn samples(&self) -> Value {
        let query = encode(r#"{__name__=~".+"}[1d]"#);
        let path = format!("/api/v1/query?time=1795360000&query={query}");
        let sorted = |server: &Server| {
            let mut list = server.api(&path)["result"].as_array().unwrap().clone();
            list.sort_by_key(|series| series["metric"].to_string());
            Value::Array(list)
        };
        let ours = sorted(&self.ours);
        assert_eq!(ours, sorted(&self.theirs));
        ours
    }
}

fn ask(server: &Server, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    match snapshot_name(body) {
        Some(name) => (status, body.replace(&name, "NAME")),
        None => (status, body.to_owned()),
    }
}

fn snapshot_name(body: &str) -> Option<String> {
    let answer: Value = serde_json::from_str(body).ok()?;
    answer["data"]["name"].as_str().map(str::to_owned)
}

#[test]
fn deletes_and_clean_tombstones_leave_the_same_samples() {
    let Some(prometheus) = peer("prometheus") else { return };
    let Some(fixture) = fixture("prom-3.5.3-a") else { return };
    let pair = Pair::start(&prometheus, &fixture.path().join("data"));
    let whole = pair.samples();
    let api = "/api/v1/admin/tsdb";
    for (path, status) in [
        (format!("{api}/delete_series"), 400),
        (format!("{api}/delete_series?match[]={}", encode("gen_requests_total{")), 400),
        (format!("{api}/delete_series?match[]=up&start=x"), 400),
        (format!("{api}/snapshot?skip_head=x"), 400),
        // All of one metric, in blocks and in the head; a range of another; nothing.
        (format!("{api}/delete_series?match[]=gen_int"), 204),
        (format!("{api}/delete_series?match[]=gen_requests_total&start=1795330000&end=1795350000"), 204),
        (format!("{api}/delete_series?match[]=gen_native_int&match[]=gen_ooo&end=1795345000.5"), 204),
        (format!("{api}/delete_series?match[]=not_there"), 204),
    ] {
        assert_eq!(pair.same("POST", &path).0, status, "{path}");
    }
    let deleted = pair.samples();
    assert_ne!(deleted, whole);
    assert_eq!(pair.same("PUT", &format!("{api}/clean_tombstones")).0, 204);
    assert_eq!(pair.samples(), deleted);
    assert_eq!(pair.same("GET", &format!("{api}/clean_tombstones")).0, 405);
    let blocks = |server: &Server| {
        let blocks = server.api("/api/v1/status/tsdb/blocks")["blocks"].as_array().unwrap().clone();
        assert!(blocks.iter().all(|b| b["stats"]["numTombstones"].is_null()), "{blocks:?}");
        blocks.len()
    };
    assert!(blocks(&pair.ours) > 0);
}

#[test]
fn a_snapshot_is_a_directory_that_prometheus_serves() {
    let (Some(prometheus), Some(promtool)) = (peer("prometheus"), peer("promtool")) else { return };
    let Some(fixture) = fixture("prom-3.5.3-a") else { return };
    let pair = Pair::start(&prometheus, &fixture.path().join("data"));
    let whole = pair.samples();
    let path = "/api/v1/admin/tsdb/snapshot";
    assert_eq!(pair.same("POST", path).0, 200);
    let snapshots = pair.folder.path().join("ours/data/snapshots");
    let snapshot = std::fs::read_dir(&snapshots).unwrap().next().unwrap().unwrap().path();
    let listed = std::process::Command::new(promtool).args(["tsdb", "list"]).arg(&snapshot).output().unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().lines().count() > 1 + 4, "four blocks and the head");
    // A real Prometheus over our snapshot beside ours over it: both have all samples, also those out of order, which a snapshot
    // of a real Prometheus lacks.
    assert_eq!(Pair::start(&prometheus, &snapshot).samples(), whole);
    assert_eq!(pair.same("POST", &format!("{path}?skip_head=1")).0, 200);
    assert_eq!(std::fs::read_dir(&snapshots).unwrap().count(), 2);
}

#[test]
fn the_admin_api_is_off_unless_switched_on() {
    let Some(prometheus) = peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let start = |binary: &Path, name: &str| {
        Server::prometheus(binary, &folder.path().join(name), CONFIG, free_port(), &[])
    };
    let (ours, theirs) = (start(&narthex(), "ours"), start(&prometheus, "theirs"));
    for name in ["delete_series?match[]=up", "clean_tombstones", "snapshot"] {
        let path = format!("/api/v1/admin/tsdb/{name}");
        let answer = ask(&ours, "POST", &path);
        assert_eq!(answer, ask(&theirs, "POST", &path), "{path}");
        assert_eq!(answer.0, 500);
    }
}
