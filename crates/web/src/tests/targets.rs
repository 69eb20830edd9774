//! Targets, their metadata and what relabeling did to them, over a double.

use super::*;
use narthex_model::{Metadata, MetricType, Regex};
use narthex_relabel::{Action, RelabelConfig};

pub(super) struct Targets;

impl TargetService for Targets {
    fn pool_config(&self, pool: &str) -> Option<PoolConfig> {
        let step = |action, source: &str| RelabelConfig {
            source_labels: vec![source.to_owned()],
            regex: Some(Regex::new_wrapped("a<b").unwrap()),
            action,
            ..RelabelConfig::default()
        };
        let set = RelabelConfig { target_label: "x".to_owned(), ..RelabelConfig::default() };
        let relabel = vec![set, step(Action::Drop, "y"), step(Action::Keep, "z")];
        (pool == "a").then(|| PoolConfig { yaml: "job_name: a\n".to_owned(), relabel })
    }
    fn pools(&self) -> Vec<String> {
        vec!["a".to_owned()]
    }
    fn active(&self, pool: Option<&str>) -> Vec<ActiveTarget> {
        let target = ActiveTarget {
            pool: "a".to_owned(),
            discovered: Labels::from_pairs([("__address__", "localhost:9090")]),
            labels: Labels::from_pairs([("job", "a")]),
            url: "http://localhost:9090/metrics".to_owned(),
            last_error: String::new(),
            last_scrape: Some(UnixTime { secs: 0, nanos: 500_000_000 }),
            last_duration_s: 0.25,
            health: Health::Up,
            interval: "15s".to_owned(),
            timeout: "10s".to_owned(),
        };
        if pool.is_none_or(|p| p == "a") { vec![target] } else { Vec::new() }
    }
    fn dropped(&self, _pool: Option<&str>) -> Vec<DroppedTarget> {
        vec![DroppedTarget { pool: "a".to_owned(), discovered: Labels::from_pairs([("x", "y")]) }]
    }
    fn dropped_counts(&self) -> Vec<(String, usize)> {
        vec![("a".to_owned(), 1)]
    }
    fn metadata(&self, metric: Option<&str>) -> Vec<TargetMetadata> {
        let entry = |family: &str, help: &str| TargetMetadata {
            target: Labels::from_pairs([("job", "a")]),
            family: family.to_owned(),
            metadata: Metadata { kind: MetricType::Gauge, unit: String::new(), help: help.to_owned() },
        };
        let all = [entry("m", "one"), entry("m", "two"), entry("n", "three")];
        all.into_iter().filter(|e| metric.is_none_or(|m| m == e.family)).collect()
    }
}

#[test]
fn targets_and_metadata_have_all_members() {
    check_all(
        &ready_site(),
        &[
            (
                "GET /api/v1/targets?state=active",
                r#"200 {"status":"success","data":{"activeTargets":[{"discoveredLabels":{"__address__":"localhost:9090"},"labels":{"job":"a"},"scrapePool":"a","scrapeUrl":"http://localhost:9090/metrics","globalUrl":"http://host:9090/metrics","lastError":"","lastScrape":"1970-01-01T00:00:00.5Z","lastScrapeDuration":0.25,"health":"up","scrapeInterval":"15s","scrapeTimeout":"10s"}],"droppedTargets":[],"droppedTargetCounts":null}}"#,
            ),
            (
                "GET /api/v1/targets?state=dropped&scrapePool=b",
                r#"200 {"status":"success","data":{"activeTargets":[],"droppedTargets":[{"discoveredLabels":{"x":"y"},"scrapePool":"a"}],"droppedTargetCounts":{"a":1}}}"#,
            ),
            (
                "GET /api/v1/metadata?limit_per_metric=1",
                r#"200 {"status":"success","data":{"m":[{"type":"gauge","help":"one","unit":""}],"n":[{"type":"gauge","help":"three","unit":""}]}}"#,
            ),
            (
                "GET /api/v1/targets/metadata?metric=n",
                r#"200 {"status":"success","data":[{"target":{"job":"a"},"type":"gauge","help":"three","unit":""}]}"#,
            ),
            (
                "GET /api/v1/metadata?limit=x",
                r#"400 {"status":"error","errorType":"bad_data","error":"limit must be a number"}"#,
            ),
            ("GET /api/v1/scrape_pools", r#"200 {"status":"success","data":{"scrapePools":["a"]}}"#),
        ],
    );
}

#[test]
fn a_pool_shows_its_configuration_and_what_its_steps_do() {
    let error = |text: &str| format!(r#"400 {{"status":"error","errorType":"bad_data","error":"{text}"}}"#);
    let unknown = error(r#"error retrieving scrape config: scrape pool \"b\" not found"#);
    let steps = |second: &str, third: &str| {
        format!(
            r#"200 {{"status":"success","data":{{"steps":[{{"rule":{{"separator":";","regex":"(.*)","target_label":"x","replacement":"$1","action":"replace"}},"output":{{"y":"{}"}},"keep":true}},{{"rule":{{"source_labels":["y"],"separator":";","regex":"a\u003cb","replacement":"$1","action":"drop"}},{second}}},{{"rule":{{"source_labels":["z"],"separator":";","regex":"a\u003cb","replacement":"$1","action":"keep"}},{third}}}]}}}}"#,
            if second.contains("true") { "c" } else { "a<b" }
        )
    };
    let dropped = r#""output":{},"keep":false"#;
    let path = "GET /api/v1/targets/relabel_steps";
    let labels = "labels=%7B%22y%22:%22a%3Cb%22%7D";
    let others = "labels=%7B%22y%22:%22c%22%7D";
    check_all(
        &ready_site(),
        &[
            (
                "GET /api/v1/scrape_pools/config?scrapePool=a",
                r#"200 {"status":"success","data":{"yaml":"job_name: a\n"}}"#,
            ),
            ("GET /api/v1/scrape_pools/config", &error("no scrapePool parameter provided")),
            ("GET /api/v1/scrape_pools/config?scrapePool=b", &unknown),
            (path, &error("no scrapePool parameter provided")),
            (&format!("{path}?scrapePool=a"), &error("no labels parameter provided")),
            (
                &format!("{path}?scrapePool=a&labels=%7B%22a%22:1%7D"),
                &error(
                    "error parsing labels: invalid type: integer `1`, expected a string at line 1 column 6",
                ),
            ),
            (&format!("{path}?scrapePool=b&{labels}"), &unknown),
            (&format!("{path}?scrapePool=a&{labels}"), &steps(dropped, dropped)),
            (&format!("{path}?scrapePool=a&{others}"), &steps(r#""output":{"y":"c"},"keep":true"#, dropped)),
        ],
    );
}
