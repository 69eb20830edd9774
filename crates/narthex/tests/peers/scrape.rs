//! The same targets scraped by Narthex and by a real Prometheus: same series, same shape, counters within one scrape.
//!
//! `NARTHEX_SOAK_S` sets how long both scrape before the answers are compared (20 s by default; releases use 300).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Server, encode, free_port, get, narthex, peer, wait};

const INTERVAL_S: u64 = 1;

/// Queries whose answers must have the same series in both; those marked `true` must agree in value, too.
const QUERIES: [(&str, bool); 12] = [
    ("up", true),
    ("count by (job) ({__name__!=\"\"})", false),
    ("node_memory_MemTotal_bytes", true),
    ("node_uname_info", true),
    ("count(node_cpu_seconds_total) by (mode)", true),
    ("sum by (cpu) (rate(node_cpu_seconds_total{mode=\"idle\"}[10s]))", false),
    ("node_filesystem_size_bytes", true),
    (
        "histogram_quantile(0.9, sum by (le) (prometheus_http_response_size_bytes_bucket{handler=\"/metrics\"}))",
        false,
    ),
    ("sort_desc(count by (job) ({__name__=~\"(node|go)_.+\"}))", false),
    ("prometheus_build_info", true),
    ("label_replace(up, \"host\", \"$1\", \"instance\", \"(.*):.*\")", true),
    ("max_over_time(scrape_samples_scraped[10s])", false),
];

fn config(exporter: u16, prometheus: u16) -> String {
    format!(
        "global: {{scrape_interval: {INTERVAL_S}s}}\n\
         scrape_configs:\n- job_name: node\n  static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]\n\
         - job_name: prometheus\n  static_configs: [{{targets: ['127.0.0.1:{prometheus}']}}]\n"
    )
}

/// The label sets of a vector or matrix, as text.
fn series(data: &Value) -> BTreeSet<String> {
    data["result"].as_array().unwrap().iter().map(|s| s["metric"].to_string()).collect()
}

#[track_caller]
fn check_instant(ours: &Server, theirs: &Server, query: &str, exact: bool) {
    let time = ours.api("/api/v1/query?query=time()")["result"][0].as_f64().unwrap() - 1.0;
    let path = format!("/api/v1/query?time={time}&query={}", encode(query));
    let (a, b) = (ours.api(&path), theirs.api(&path));
    assert_eq!(a["resultType"], b["resultType"], "{query}");
    assert_eq!(series(&a), series(&b), "{query}");
    assert!(!series(&a).is_empty(), "{query} selects nothing");
    for one in a["result"].as_array().unwrap().iter().filter(|_| exact) {
        let other = b["result"].as_array().unwrap().iter().find(|o| o["metric"] == one["metric"]).unwrap();
        assert_eq!(one["value"][1], other["value"][1], "{query} of {}", one["metric"]);
    }
}

#[track_caller]
fn check_range(ours: &Server, theirs: &Server, query: &str) {
    let end = ours.api("/api/v1/query?query=time()")["result"][0].as_f64().unwrap().floor() - 2.0;
    let path = format!("/api/v1/query_range?start={}&end={end}&step=1&query={}", end - 5.0, encode(query));
    let (a, b) = (ours.api(&path), theirs.api(&path));
    assert_eq!(series(&a), series(&b), "{query}");
    for (one, other) in a["result"].as_array().unwrap().iter().zip(b["result"].as_array().unwrap()) {
        let times =
            |s: &Value| s["values"].as_array().unwrap().iter().map(|v| v[0].to_string()).collect::<Vec<_>>();
        assert_eq!(times(one), times(other), "{query} of {}", one["metric"]);
    }
}

/// A counter read by both at the same time differs by what it can grow within one interval.
#[track_caller]
fn check_counter(ours: &Server, theirs: &Server) {
    let query = |s: &Server, text: &str| -> f64 {
        s.api(&format!("/api/v1/query?query={}", encode(text)))["result"][0]["value"][1]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    let counter = "sum(node_cpu_seconds_total)";
    let cores = query(ours, "count(node_cpu_seconds_total{mode=\"idle\"})");
    let apart = (query(ours, counter) - query(theirs, counter)).abs();
    assert!(apart <= 2.0 * cores * INTERVAL_S as f64 + 1.0, "{counter} is {apart} apart");
}

#[test]
fn the_same_targets_give_the_same_answers() {
    let (Some(prometheus), Some(exporter)) = (peer("prometheus"), peer("prometheus-node-exporter")) else {
        return;
    };
    let soak = std::env::var("NARTHEX_SOAK_S").ok().and_then(|s| s.parse().ok()).unwrap_or(20);
    let folder = tempfile::tempdir().unwrap();
    let (exporter_port, watched_port) = (free_port(), free_port());
    let listen = [format!("--web.listen-address=127.0.0.1:{exporter_port}")];
    let _exporter = Server::start(&exporter, &listen, exporter_port, folder.path().join("exporter.log"));
    wait("the node exporter", Duration::from_secs(20), || get(exporter_port, "/metrics").ok());
    let config = config(exporter_port, watched_port);
    let theirs = Server::prometheus(&prometheus, &folder.path().join("theirs"), &config, watched_port, &[]);
    let ours = Server::prometheus(&narthex(), &folder.path().join("ours"), &config, free_port(), &[]);

    let began = Instant::now();
    wait("the soak", Duration::from_secs(soak + 60), || (began.elapsed().as_secs() >= soak).then_some(()));
    for (query, exact) in QUERIES {
        check_instant(&ours, &theirs, query, exact);
        check_range(&ours, &theirs, query);
    }
    check_counter(&ours, &theirs);
    assert_eq!(ours.api("/api/v1/labels"), theirs.api("/api/v1/labels"));
    assert_eq!(ours.api("/api/v1/label/__name__/values"), theirs.api("/api/v1/label/__name__/values"));
}
