//! The fixture exporter scraped as protobuf and as OpenMetrics, with every switch about histograms: same series, same values.
//!
//! What the exporter says depends only on the path and on the number of the request for it, so each server scrapes paths of its own and
//! the first scrapes of both must hold the same, value by value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::process::{Server, encode, free_port, get, narthex, peer, wait};

/// Jobs and what is particular about them. The flag makes native histograms be scraped in both.
const JOBS: [(&str, &str); 6] = [
    ("proto", ""),
    ("proto-classic", "always_scrape_classic_histograms: true"),
    ("proto-custom", "convert_classic_histograms_to_nhcb: true"),
    ("proto-limited", "native_histogram_bucket_limit: 5"),
    ("proto-coarse", "native_histogram_min_bucket_factor: 1.9"),
    ("om-custom", "convert_classic_histograms_to_nhcb: true, scrape_protocols: [OpenMetricsText1.0.0]"),
];
const FEATURES: &str = "--enable-feature=exemplar-storage,native-histograms";
/// So many of the first scrapes are compared.
const SCRAPES: usize = 4;

pub(crate) fn exporter() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("NARTHEX_SHARED").map_or(beside, PathBuf::from);
    let found = shared.join("tools/fixture_exporter.py");
    if found.is_file() {
        return Some(found);
    }
    assert!(std::env::var_os("CI").is_none(), "the fixture exporter must be there in CI: set NARTHEX_SHARED");
    eprintln!("SKIPPED: this test needs the fixture exporter: set NARTHEX_SHARED");
    None
}

fn config(exporter: u16, server: &str) -> String {
    let mut out = String::from("global: {scrape_interval: 1s}\nscrape_configs:\n");
    for (job, options) in JOBS {
        let separator = if options.is_empty() { "" } else { ", " };
        out.push_str(&format!(
            "- {{job_name: {job}, metrics_path: /{server}/{job}{separator}{options}, \
             static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]}}\n"
        ));
    }
    out
}

/// The first samples of every series of a job, without times.
fn samples(server: &Server, job: &str) -> BTreeMap<String, Vec<Value>> {
    let query = encode(&format!("{{job=\"{job}\",__name__!=\"scrape_duration_seconds\"}}[10m]"));
    let data = server.api(&format!("/api/v1/query?query={query}"));
    let series = data["result"].as_array().unwrap().iter().map(|series| {
        let points =
            ["values", "histograms"].into_iter().filter_map(|kind| series[kind].as_array()).flatten();
        (series["metric"].to_string(), points.take(SCRAPES).map(|point| point[1].clone()).collect())
    });
    series.collect()
}

/// The first exemplars of every series of a job, without times.
pub(crate) fn exemplars(server: &Server, job: &str) -> BTreeMap<String, Vec<Value>> {
    let query = encode(&format!("{{job=\"{job}\"}}"));
    let data = server.api(&format!("/api/v1/query_exemplars?query={query}&start=0&end=4000000000"));
    let series = data.as_array().unwrap().iter().map(|series| {
        let shown = series["exemplars"].as_array().unwrap().iter().take(SCRAPES);
        let shown = shown.map(|e| serde_json::json!([e["labels"], e["value"]])).collect();
        (series["seriesLabels"].to_string(), shown)
    });
    series.collect()
}

#[track_caller]
fn check_equal(what: &str, ours: &BTreeMap<String, Vec<Value>>, theirs: &BTreeMap<String, Vec<Value>>) {
    assert!(!theirs.is_empty(), "{what}: nothing there");
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>(),
        "{what}: ours and theirs have other series"
    );
    for (series, values) in theirs {
        assert_eq!(&ours[series], values, "{what}: ours and theirs of {series}");
    }
}

#[test]
fn protobuf_and_converted_histograms_are_stored_alike() {
    let (Some(prometheus), Some(script)) = (peer("prometheus"), exporter()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let args = [script.display().to_string(), "--port".to_owned(), port.to_string()];
    let _exporter = Server::start(Path::new("python3"), &args, port, folder.path().join("exporter.log"));
    wait("the exporter", Duration::from_secs(20), || get(port, "/elsewhere").ok());
    let (our_config, their_config) = (config(port, "ours"), config(port, "theirs"));
    let start = |binary: &Path, name: &str, config: &str| {
        Server::prometheus(binary, &folder.path().join(name), config, free_port(), &[FEATURES])
    };
    let theirs = start(&prometheus, "theirs", &their_config);
    let ours = start(&narthex(), "ours", &our_config);
    for (job, _) in JOBS {
        let query = encode(&format!("count_over_time(up{{job=\"{job}\"}}[10m])"));
        for server in [&ours, &theirs] {
            wait(&format!("{SCRAPES} scrapes of {job}"), Duration::from_secs(60), || {
                let data = server.api(&format!("/api/v1/query?query={query}"));
                let count: usize = data["result"][0]["value"][1].as_str()?.parse().ok()?;
                (count > SCRAPES).then_some(())
            });
        }
        check_equal(job, &samples(&ours, job), &samples(&theirs, job));
        check_equal(&format!("exemplars of {job}"), &exemplars(&ours, job), &exemplars(&theirs, job));
    }
}
