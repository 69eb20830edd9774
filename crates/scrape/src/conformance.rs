//! The shared exposition cases: what a scrape of the real server made of each body, and what ours makes of it.

mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use narthex_config::ScrapeConfig;
use narthex_exposition::{Format, HistogramOptions};
use narthex_metrics::Registry;
use narthex_model::Labels;
use narthex_storage::Appendable as _;
use serde_json::Value;

use crate::ingest::{Memory, Scrape};
use crate::job::histogram_limits;
use crate::metrics::ScrapeMetrics;
use crate::options::ScrapeOptions;
use crate::series_cache::Hint;
use crate::test_store::TestStore;

use show::{show_exemplars, show_series};

/// About when the cases were recorded, and with which out-of-order window.
const NOW_MS: i64 = 1_790_000_000_000;
const WINDOW_MS: i64 = 100 * 365 * 24 * 3_600_000;

fn shared() -> Option<PathBuf> {
    let root = std::env::var("NARTHEX_SHARED").map(PathBuf::from);
    let root = root.unwrap_or_else(|_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let found = root.join("conformance/exposition");
    if found.join("cases.json").exists() {
        return Some(found);
    }
    assert!(std::env::var("CI").is_err(), "the exposition cases are missing: set NARTHEX_SHARED");
    eprintln!("SKIPPED: the exposition cases need the shared material: set NARTHEX_SHARED");
    None
}

fn body(case: &Value, directory: &std::path::Path) -> Vec<u8> {
    if let Some(text) = case["body"].as_str() {
        return text.as_bytes().to_vec();
    }
    if let Some(text) = case["body_base64"].as_str() {
        return base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    }
    std::fs::read(directory.join(case["body_file"].as_str().unwrap())).unwrap()
}

/// The options of the job; native histograms were scraped when the cases were recorded.
fn histogram_options(case: &Value) -> HistogramOptions {
    let on = |name: &str| case["scrape_options"][name] == true;
    HistogramOptions {
        native: true,
        classic: on("always_scrape_classic_histograms"),
        to_custom: on("convert_classic_histograms_to_nhcb"),
    }
}

/// What the case is about, in the layout of the recorded answer.
fn scrape(case: &Value, body: &[u8]) -> Value {
    let fallback = case["scrape_options"]["fallback_scrape_protocol"].as_str();
    let fallback =
        fallback.map(|name| if name.starts_with("OpenMetrics") { Format::OpenMetrics } else { Format::Text });
    let (config, metrics) = (ScrapeConfig::default(), ScrapeMetrics::new(&Registry::new()));
    let store = TestStore { window: Some((NOW_MS, WINDOW_MS)), ..TestStore::default() };
    let public = Labels::from_pairs([("instance", "i"), ("job", "j")]);
    let mut memory = Memory::default();
    let mut appender = store.appender();
    let scrape = Scrape {
        config: &config,
        fallback,
        public: &public,
        metrics: &metrics,
        at_ms: NOW_MS,
        now_ms: NOW_MS,
        options: &ScrapeOptions::default(),
        histograms: histogram_options(case),
        limits: histogram_limits(&config),
    };
    let content_type = case["content_type"].as_str().unwrap();
    let (mut hint, mut stale) = (Hint::default(), Vec::new());
    let (counts, outcome) =
        scrape.ingest(body, content_type, &mut memory, &mut *appender, (&mut hint, &mut stale));
    match &outcome {
        Ok(()) => appender.commit().unwrap(),
        Err(_) => appender.rollback(),
    }
    let data = store.data.lock();
    let families: BTreeMap<String, Value> = memory
        .metadata
        .families()
        .map(|f| {
            (f.name.clone(), serde_json::json!([f.metadata.kind.as_str(), f.metadata.help, f.metadata.unit]))
        })
        .collect();
    serde_json::json!({
        "health": if outcome.is_ok() { "up" } else { "down" },
        "error": outcome.err().map_or_else(String::new, |e| e.to_string()),
        "samples_scraped": counts.scraped,
        "samples_post_relabel": counts.post_relabeling,
        "series_added": counts.series_added,
        "series": show_series(&data),
        "metadata": families,
        "exemplars": show_exemplars(&data),
    })
}

/// An error text without the label set at its end, which holds labels that only the recording had.
fn without_labels(error: &Value) -> Value {
    let text = error.as_str().unwrap_or_default();
    const BAD_NAMES: &str = "invalid metric name or label names: ";
    Value::from(if text.starts_with(BAD_NAMES) { BAD_NAMES } else { text })
}

/// Differences between the recorded answer and ours.
fn differences(case: &Value, recorded: &Value, ours: &Value) -> Vec<String> {
    let mut out = Vec::new();
    let mut compare = |what: &str, expected: &Value, got: &Value| {
        if expected != got {
            out.push(format!("{what}: expected {expected}, got {got}"));
        }
    };
    compare("health", &recorded["health"], &ours["health"]);
    // Where 3.14 words an error otherwise, its words count.
    match case["upstream_3_14_error"].as_str() {
        Some("EOF") | None => {
            compare("error", &without_labels(&recorded["error"]), &without_labels(&ours["error"]));
        }
        Some(_) if recorded["health"] == "up" => {}
        Some(text) => compare("error", &Value::from(text), &ours["error"]),
    }
    for count in ["samples_scraped", "samples_post_relabel", "series_added"] {
        compare(count, &recorded[count], &ours[count]);
    }
    if let Some(text) = recorded["series"].as_str() {
        // Long lists were recorded as their length.
        let count = ours["series"].as_array().map_or(0, Vec::len);
        compare("series", &Value::from(text), &Value::from(format!("{count} series")));
        return out;
    }
    let sorted = |series: &Value| {
        let mut all: Vec<String> = series.as_array().into_iter().flatten().map(Value::to_string).collect();
        all.sort();
        Value::from(all)
    };
    compare("series", &sorted(&recorded["series"]), &sorted(&ours["series"]));
    // A real store refuses long exemplars, and holds a NaN as often as it was scraped.
    let other_store = ["om/exemplar-long", "om/exemplar-nan"].contains(&case["id"].as_str().unwrap());
    if recorded["exemplars"].is_array() && !other_store {
        compare("exemplars", &sorted(&recorded["exemplars"]), &sorted(&ours["exemplars"]));
    }
    if recorded["health"] == "up" {
        let empty = serde_json::json!({});
        let metadata = if recorded["metadata"].is_null() { &empty } else { &recorded["metadata"] };
        compare("metadata", metadata, &ours["metadata"]);
    }
    out
}

#[test]
fn every_recorded_scrape_has_the_same_outcome_here() {
    let Some(directory) = shared() else { return };
    let cases: Vec<Value> =
        serde_json::from_slice(&std::fs::read(directory.join("cases.json")).unwrap()).unwrap();
    let (mut checked, mut wrong) = (0, Vec::new());
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        let recorded = &case["scraped_by_3_5_3"];
        let body = body(case, &directory);
        if recorded.get("health").is_none() || body.is_empty() {
            continue;
        }
        checked += 1;
        let differences = differences(case, recorded, &scrape(case, &body));
        if !differences.is_empty() {
            wrong.push(format!("{id}:\n    {}", differences.join("\n    ")));
        }
    }
    println!("{checked} cases checked");
    assert!(wrong.is_empty(), "{} of {checked} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}
