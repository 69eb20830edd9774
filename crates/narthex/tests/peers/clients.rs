//! Clients that people use: the Python package prometheus-api-client, and the calls of Grafana's data source. Narthex answers
//! them as a real Prometheus with the same data.
//!
//! Facts: the package's own calls; Grafana's `packages/grafana-prometheus` (language provider, resource calls, health check,
//! detection of what server it is) and `pkg/promlib` (queries as posted forms, exemplars).

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::beside::ask;
use crate::fixture::fixture;
use crate::process::{Server, encode, narthex, peer};
use crate::remote_read::holder;

const PACKAGE: &str = "prometheus-api-client==0.7.2";

/// A real Prometheus and Narthex over copies of the same data, which end at the time in seconds.
fn both(folder: &Path) -> Option<(Server, Server, i64)> {
    let (prometheus, data) = (peer("prometheus")?, fixture("prom-3.5.3-a")?);
    let data = data.path().join("data");
    let theirs = holder(&prometheus, &folder.join("theirs"), &data);
    let ours = holder(&narthex(), &folder.join("ours"), &data);
    let last_s = ours.api("/api/v1/status/tsdb")["headStats"]["maxTime"].as_i64().unwrap() / 1000;
    Some((theirs, ours, last_s))
}

/// Where the package lies; it is installed there when it is not.
fn package() -> Option<PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    let folder = Path::new(&cache).join("prometheus-peers/python");
    let is_there = || {
        let import = "from prometheus_api_client import PrometheusConnect";
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", &folder).args(["-c", import]).output().is_ok_and(|out| out.status.success())
    };
    if !is_there() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(&folder).arg(PACKAGE);
        let installed = pip.output();
        if !is_there() {
            assert!(std::env::var_os("CI").is_none(), "{PACKAGE} must be there in CI: {installed:?}");
            eprintln!("SKIPPED: this test needs the Python package {PACKAGE}, which pip could not install");
            return None;
        }
    }
    Some(folder)
}

#[test]
fn the_python_package_cannot_tell_the_servers_apart() {
    let (Some(package), folder) = (package(), tempfile::tempdir().unwrap()) else { return };
    let Some((theirs, ours, last_s)) = both(folder.path()) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/clients/api_client.py");
    let run = |server: &Server| -> Value {
        let url = format!("http://127.0.0.1:{}", server.port);
        let mut python = Command::new("python3");
        let out = python.env("PYTHONPATH", &package).arg(&script).args([&url, &last_s.to_string()]).output();
        let out = out.unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let (expected, got) = (run(&theirs), run(&ours));
    // It looks for a page, which Debian's build does not have.
    assert_eq!(got["connection"], true);
    for (name, answer) in expected.as_object().unwrap().iter().filter(|(name, _)| *name != "connection") {
        assert_eq!(got[name], *answer, "{name}");
    }
    let is_much = |name: &str| got[name].as_array().is_some_and(|list| !list.is_empty());
    for name in ["all_metrics", "label_names", "series", "current", "range", "query_range"] {
        assert!(is_much(name), "{name}: {}", got[name]);
    }
    assert!(got["refused"].as_str().unwrap().contains("400"), "{}", got["refused"]);
}

/// Method, path and parameters of each call.
fn grafana_calls(last_s: i64) -> Vec<(&'static str, String, String)> {
    let (start, end) = (last_s - 3600, last_s);
    let form = |pairs: &[(&str, &str)]| {
        let pairs: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        pairs.join("&")
    };
    let times = [("start", start.to_string()), ("end", end.to_string())];
    let with_times = |more: &[(&str, &str)]| {
        let times: Vec<(&str, &str)> = times.iter().map(|(name, value)| (*name, &**value)).collect();
        form(&[&times[..], more].concat())
    };
    let at = end.to_string();
    let mut calls = Vec::new();
    let mut add =
        |method, path: &str, parameters| calls.push((method, format!("/api/v1/{path}"), parameters));
    // The health check, and an instant query of a table.
    add("POST", "query", form(&[("query", "1+1"), ("time", &at)]));
    add("POST", "query", form(&[("query", "sum by (job) (up)"), ("time", &format!("{at}.123"))]));
    add("GET", "query", form(&[("query", "up{job=~\"f.*|none\"}"), ("time", &at)]));
    // Panels.
    for query in [
        "up",
        "rate({__name__=~\".+_total\"}[1m0s])",
        "histogram_quantile(0.9, sum by (le) (rate(x[5m])))",
        "up{",
    ] {
        add("POST", "query_range", with_times(&[("query", query), ("step", "15")]));
        add("GET", "query_range", with_times(&[("query", query), ("step", "15.5"), ("timeout", "60s")]));
    }
    for method in ["GET", "POST"] {
        add(method, "query_exemplars", with_times(&[("query", "up")]));
        // The query builder, and variables of dashboards.
        add(method, "labels", with_times(&[]));
        add(method, "labels", with_times(&[("match[]", "{__name__=\"up\"}"), ("limit", "40000")]));
        add(
            method,
            "series",
            with_times(&[("match[]", "{__name__=\"up\",job=~\".+\"}"), ("match[]", "nope")]),
        );
        add(method, "series", with_times(&[("match[]", "up"), ("limit", "40000")]));
        add(method, "format_query", form(&[("query", "sum(rate(a[5m]))by(b)")]));
        add(method, "parse_query", form(&[("query", "1 + 1")]));
    }
    for label in ["__name__", "job", "l.b", "U__l_2e_b"] {
        add("GET", &format!("label/{label}/values"), with_times(&[]));
        add(
            "GET",
            &format!("label/{label}/values"),
            with_times(&[("match[]", "{job=~\"f.*\"}"), ("limit", "40000")]),
        );
    }
    add("GET", "metadata", form(&[("limit", "40000")]));
    add("GET", "metadata", form(&[("metric", "up")]));
    // Alerting, and what is listed of rules.
    for parameters in ["", "type=alert", "type=record", "exclude_alerts=true"] {
        add("GET", "rules", parameters.to_owned());
    }
    add("GET", "alerts", String::new());
    add("GET", "alertmanagers", String::new());
    add("GET", "targets", form(&[("state", "active")]));
    add("GET", "scrape_pools", String::new());
    calls
}

#[test]
fn grafana_is_answered_as_by_prometheus() {
    let folder = tempfile::tempdir().unwrap();
    let Some((theirs, ours, last_s)) = both(folder.path()) else { return };
    let mut much = 0;
    for (method, path, parameters) in grafana_calls(last_s) {
        let request = match method {
            "POST" => format!(
                "POST {path} HTTP/1.0\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nX-Dashboard-Uid: d\r\n\
                 X-Panel-Id: 1\r\nContent-Length: {}\r\n\r\n{parameters}",
                parameters.len()
            ),
            _ => format!("GET {path}?{parameters} HTTP/1.0\r\nHost: x\r\nX-Grafana-Org-Id: 1\r\n\r\n"),
        };
        let (expected, got) = (ask(theirs.port, &request), ask(ours.port, &request));
        assert_eq!((got.0, &got.1), (expected.0, &expected.1), "{request}");
        let json = |body: &str| serde_json::from_str::<Value>(body).unwrap_or_else(|e| panic!("{e}: {body}"));
        assert_eq!(json(&got.2), json(&expected.2), "{request}");
        much += got.2.len();
    }
    assert!(much > 10_000, "only {much} bytes");
    // By this Grafana knows what it talks to, and what that can do.
    let build = ours.api("/api/v1/status/buildinfo");
    assert!(build["version"].as_str().unwrap().starts_with("3.14.0"), "{build}");
    assert!(build.get("application").is_none() && ours.api("/api/v1/features")["api"].is_object(), "{build}");
}
