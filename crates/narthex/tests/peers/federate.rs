//! A real Prometheus federates from Narthex, and Narthex from it: what arrives is what the other one stored, histograms included.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::process::{Server, encode, free_port, get, narthex, peer, wait};
use crate::protobuf::exporter;

const FEATURES: &str = "--enable-feature=native-histograms";

/// A server that scrapes the exporter.
fn source(name: &str, exporter: u16) -> String {
    format!(
        "global: {{scrape_interval: 1s, external_labels: {{region: eu}}}}\nscrape_configs:\n\
         - {{job_name: app, metrics_path: /{name}/app, static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]}}\n"
    )
}

/// A server that federates from it, by protobuf and by text.
fn scraper(source: u16) -> String {
    let job = |name: &str, protocol: &str| {
        format!(
            "- {{job_name: {name}, honor_labels: true, metrics_path: /federate, params: {{'match[]': ['{{job=\"app\"}}', up]}}, \
             scrape_protocols: [{protocol}], metric_relabel_configs: [{{target_label: by, replacement: {name}}}], \
             static_configs: [{{targets: ['127.0.0.1:{source}']}}]}}\n"
        )
    };
    let jobs = job("proto", "PrometheusProto") + &job("text", "PrometheusText0.0.4");
    format!("global: {{scrape_interval: 1s}}\nscrape_configs:\n{jobs}")
}

/// The samples of all series of the exporter, by labels without those that federation adds: times and values.
fn samples(server: &Server, selector: &str) -> BTreeMap<String, Vec<Value>> {
    let data = server.api(&format!("/api/v1/query?query={}", encode(&format!("{selector}[10m]"))));
    let series = data["result"].as_array().unwrap().iter().map(|series| {
        let mut labels = series["metric"].as_object().unwrap().clone();
        let by_federation = labels.remove("by").is_some();
        assert_eq!(labels.remove("region").is_some(), by_federation, "{series}");
        let points = ["values", "histograms"].into_iter().filter_map(|kind| series[kind].as_array());
        (Value::from(labels).to_string(), points.flatten().cloned().collect())
    });
    series.collect()
}

/// What arrived was stored at the source: each series, and each of its samples that were taken.
#[track_caller]
fn check_arrived(
    what: &str,
    arrived: &BTreeMap<String, Vec<Value>>,
    stored: &BTreeMap<String, Vec<Value>>,
    text: bool,
) {
    let is_native = |points: &[Value]| points.iter().any(|p| p[1].is_object());
    let expected: BTreeSet<_> =
        stored.iter().filter(|(_, points)| !text || !is_native(points)).map(|(labels, _)| labels).collect();
    assert!(expected.len() > 20, "{what}: {expected:?}");
    assert_eq!(arrived.keys().collect::<BTreeSet<_>>(), expected, "{what}");
    assert!(text || arrived.values().any(|points| is_native(points)), "{what}: native histograms");
    for (labels, points) in arrived {
        let foreign: Vec<_> = points.iter().filter(|point| !stored[labels].contains(point)).collect();
        assert!(foreign.is_empty(), "{what}: {labels} has {foreign:?}, stored are {:?}", stored[labels]);
    }
}

#[test]
fn each_federates_what_the_other_stored() {
    let (Some(prometheus), Some(script)) = (peer("prometheus"), exporter()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let args = [script.display().to_string(), "--port".to_owned(), port.to_string()];
    let _exporter = Server::start(Path::new("python3"), &args, port, folder.path().join("exporter.log"));
    wait("the exporter", Duration::from_secs(20), || get(port, "/elsewhere").ok());
    let start = |binary: &Path, name: &str, config: &str| {
        Server::prometheus(binary, &folder.path().join(name), config, free_port(), &[FEATURES])
    };
    for (from, to, name) in [(&narthex(), &prometheus, "ours"), (&prometheus, &narthex(), "theirs")] {
        let source = start(from, &format!("{name}-source"), &source(name, port));
        let scraper = start(to, &format!("{name}-scraper"), &scraper(source.port));
        for by in ["proto", "text"] {
            let count = format!(
                "/api/v1/query?query={}",
                encode(&format!("count_over_time(up{{job=\"app\",by=\"{by}\"}}[10m])"))
            );
            wait(&format!("some federations of {name} by {by}"), Duration::from_secs(60), || {
                scraper.api(&count)["result"][0]["value"][1].as_str()?.parse::<u32>().ok().filter(|n| *n > 4)
            });
            // First what arrived: what was stored meanwhile is more.
            // Names outside of the old charset are escaped on the way, as the scraper asks for, and text
            // has no negative zero.
            let arrived =
                samples(&scraper, &format!("{{job=\"app\",by=\"{by}\",__name__!~\".*utf8.*\",v!=\"zero\"}}"));
            let stored = samples(&source, "{job=\"app\",__name__!~\".*utf8.*\",v!=\"zero\"}");
            check_arrived(&format!("from {name} by {by}"), &arrived, &stored, by == "text");
        }
    }
}
