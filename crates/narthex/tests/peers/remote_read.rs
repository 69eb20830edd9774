//! Remote read both ways: a real Prometheus without data reads from us, we without data read from a real Prometheus, and both
//! answer what the one with the data answers itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::fixture::{copy, fixture};
use crate::process::{Server, encode, free_port, narthex, peer, wait};

const KEEP: &str = "--storage.tsdb.retention.time=100y";

/// A server over a copy of the data.
pub(crate) fn holder(binary: &Path, folder: &Path, data: &Path) -> Server {
    copy(data, &folder.join("data"));
    Server::prometheus(binary, folder, "global: {scrape_interval: 1h}\n", free_port(), &[KEEP])
}

/// A server without data that asks `port`.
fn reader(binary: &Path, folder: &Path, port: u16, more: &str) -> Server {
    let config = format!(
        "global: {{scrape_interval: 1h, external_labels: {{region: eu}}}}\n\
         remote_read: [{{url: 'http://127.0.0.1:{port}/api/v1/read', name: far, filter_external_labels: false, {more}}}]\n"
    );
    Server::prometheus(binary, folder, &config, free_port(), &[])
}

/// Series with their samples, in the order of labels.
fn found(server: &Server, path: &str) -> BTreeMap<String, Value> {
    let data = server.api(path);
    let series = data["result"].as_array().unwrap().iter().map(|series| {
        let of = |kind: &str| series[kind].clone();
        (
            series["metric"].to_string(),
            Value::from(vec![of("value"), of("values"), of("histogram"), of("histograms")]),
        )
    });
    series.collect()
}

fn paths(last_ms: i64) -> Vec<String> {
    let at = |back_s: i64| (last_ms / 1000 - back_s).to_string();
    let instant = |query: &str, back_s| format!("/api/v1/query?query={}&time={}", encode(query), at(back_s));
    let range = |query: &str| {
        format!("/api/v1/query_range?query={}&start={}&end={}&step=300", encode(query), at(14_400), at(0))
    };
    vec![
        instant(r#"{__name__=~".+"}[10m]"#, 0),
        instant(r#"{__name__=~".+"}[47m]"#, 7_000),
        range(r#"sum by (job, __name__) (last_over_time({__name__=~"fx_[a-z_]*total|up"}[5m]))"#),
        range(r#"avg by (job) (rate(fx_requests_total[5m])) or sum by (job) (up)"#),
    ]
}

#[test]
fn who_reads_remotely_answers_as_who_has_the_data() {
    let (Some(prometheus), Some(data)) = (peer("prometheus"), fixture("prom-3.5.3-a")) else { return };
    let (data, folder) = (data.path().join("data"), tempfile::tempdir().unwrap());
    let at = |name: &str| folder.path().join(name);
    let theirs = holder(&prometheus, &at("theirs"), &data);
    let ours = holder(&narthex(), &at("ours"), &data);
    let they_read = reader(&prometheus, &at("they-read"), ours.port, "read_recent: true");
    let we_read = reader(&narthex(), &at("we-read"), theirs.port, "read_recent: true");
    let last_ms = ours.api("/api/v1/status/tsdb")["headStats"]["maxTime"].as_i64().unwrap();
    let mut series = 0;
    for path in paths(last_ms) {
        let expected = found(&theirs, &path);
        series += expected.len();
        for (who, server) in
            [("we", &ours), ("they, reading from us", &they_read), ("we, reading from them", &we_read)]
        {
            let found = found(server, &path);
            assert!(found.keys().eq(expected.keys()), "{who}: {path}");
            for (metric, samples) in &expected {
                assert_eq!(&found[metric], samples, "{who}: {metric}: {path}");
            }
        }
    }
    assert!(series > 100, "only {series} series were compared");
    let (_, metrics) = we_read.get("/metrics").unwrap();
    let counts = |line: &str| {
        line.starts_with("prometheus_remote_read_client_queries_total{")
            && [r#"remote_name="far""#, r#"code="200""#, r#"response_type="chunked""#]
                .iter()
                .all(|l| line.contains(l))
    };
    assert!(metrics.lines().any(counts), "{metrics}");
    let (_, metrics) = ours.get("/metrics").unwrap();
    assert!(metrics.contains("\nprometheus_remote_read_handler_queries 0\n"));
}

/// Warnings of an answer that must be a success.
fn warnings(server: &Server, path: &str) -> Vec<String> {
    let (status, body) = server.get(path).unwrap();
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, answer["status"].as_str()), (200, Some("success")), "{path}: {body}");
    let warnings = answer["warnings"].as_array().cloned().unwrap_or_default();
    warnings.iter().map(|warning| warning.as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_fails_far_away_is_told_as_a_real_prometheus_tells_it() {
    let Some(prometheus) = peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let dead = free_port();
    let servers = [("theirs", prometheus), ("ours", narthex())];
    let [theirs, ours] =
        servers.map(|(name, binary)| reader(&binary, &folder.path().join(name), dead, "read_recent: true"));
    for path in ["/api/v1/query?query=up", "/api/v1/labels", "/api/v1/label/job/values"] {
        let told = warnings(&theirs, path);
        assert_eq!(told.len(), 1, "{path}: {told:?}");
        assert_eq!(warnings(&ours, path), told, "{path}");
    }
    // The real one looks for series without a word about what is missing.
    assert_eq!(warnings(&ours, "/api/v1/series?match[]=up").len(), 1);
    // A reload without the endpoint ends it.
    std::fs::write(folder.path().join("ours/config.yml"), "global: {scrape_interval: 1h}\n").unwrap();
    ours.signal("HUP");
    wait("no more warnings", Duration::from_secs(30), || {
        warnings(&ours, "/api/v1/query?query=up").is_empty().then_some(())
    });
}
