//! Sets that follow their files, and reloads that leave the rest alone.

use std::path::Path;

use super::*;

fn statics(addresses: &[&str]) -> Vec<TargetGroup> {
    let targets = addresses.iter().map(|a| narthex_model::Labels::from_pairs([("__address__", a)])).collect();
    vec![TargetGroup { targets, labels: narthex_model::Labels::empty(), source: "0".into() }]
}

fn section(static_configs: Vec<TargetGroup>, files: &[&Path], refresh_interval_ms: i64) -> SdConfigs {
    let files: Vec<String> = files.iter().map(|p| p.to_str().unwrap().to_owned()).collect();
    let file_sd_configs =
        if files.is_empty() { vec![] } else { vec![FileSdConfig { files, refresh_interval_ms }] };
    SdConfigs { static_configs, file_sd_configs, ..SdConfigs::default() }
}

fn addresses(discovery: &Discovery, set: &str) -> Vec<String> {
    let groups = discovery.groups(set);
    groups.iter().flat_map(|g| g.targets.iter().map(|t| t.value("__address__").to_owned())).collect()
}

/// Waits for news of any set and returns the addresses of `set` then.
async fn after_news(discovery: &Discovery, set: &str) -> Vec<String> {
    let news = tokio::time::timeout(Duration::from_secs(20), discovery.changed()).await;
    assert!(news.expect("news within the deadline").contains(set));
    addresses(discovery, set)
}

fn groups_json(addresses: &[&str]) -> String {
    let list = addresses.iter().map(|a| format!("\"{a}\"")).collect::<Vec<_>>().join(",");
    format!(r#"[{{"targets":[{list}]}}]"#)
}

fn metric(registry: &Registry, name: &str) -> f64 {
    let family = registry.gather().into_iter().find(|f| f.name == name).unwrap();
    match family.metrics[0].value {
        narthex_metrics::Value::Number(n) => n,
        _ => panic!("not a number: {name}"),
    }
}

#[tokio::test]
async fn static_groups_and_files_are_there_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    std::fs::write(&path, groups_json(&["f:1"])).unwrap();
    let discovery = Discovery::new("scrape", &Registry::new());
    discovery.apply([("job".to_owned(), section(statics(&["s:1"]), &[&path], 300_000))]);
    assert_eq!(addresses(&discovery, "job"), ["s:1", "f:1"]);
    assert_eq!(discovery.take_changed().into_iter().collect::<Vec<_>>(), ["job"]);
    assert!(discovery.take_changed().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_is_heard_and_a_malformed_one_keeps_its_groups() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    std::fs::write(&path, groups_json(&["f:1"])).unwrap();
    let registry = Registry::new();
    let discovery = Discovery::new("scrape", &registry);
    discovery.apply([("job".to_owned(), section(vec![], &[&dir.path().join("*.json")], 300_000))]);
    assert_eq!(after_news(&discovery, "job").await, ["f:1"]);
    // The watcher starts with the task, so write until it was heard.
    let rewrite = async {
        loop {
            std::fs::write(&path, groups_json(&["f:2", "f:3"])).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        got = after_news(&discovery, "job") => assert_eq!(got, ["f:2", "f:3"]),
        () = rewrite => unreachable!(),
    }
    std::fs::write(&path, "[{").unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while metric(&registry, "prometheus_sd_file_read_errors_total") == 0.0 {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    assert_eq!(addresses(&discovery, "job"), ["f:2", "f:3"]);
    std::fs::write(dir.path().join("b.json"), groups_json(&["g:1"])).unwrap();
    assert_eq!(after_news(&discovery, "job").await, ["f:2", "f:3", "g:1"]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(after_news(&discovery, "job").await, ["g:1"]);
    assert_eq!(metric(&registry, "prometheus_sd_discovered_targets"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_appears_later_is_found_by_polling() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later/a.json");
    let discovery = Discovery::new("scrape", &Registry::new());
    discovery.apply([("job".to_owned(), section(vec![], &[&path], 20))]);
    assert!(after_news(&discovery, "job").await.is_empty());
    std::fs::create_dir(dir.path().join("later")).unwrap();
    std::fs::write(&path, groups_json(&["f:1"])).unwrap();
    assert_eq!(after_news(&discovery, "job").await, ["f:1"]);
}

#[tokio::test]
async fn a_reload_touches_only_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    std::fs::write(&path, groups_json(&["f:1"])).unwrap();
    let discovery = Discovery::new("scrape", &Registry::new());
    let same = || ("same".to_owned(), section(vec![], &[&path], 300_000));
    discovery.apply([same(), ("other".to_owned(), section(statics(&["s:1"]), &[], 0))]);
    let _ = discovery.take_changed();
    let provider = *discovery.inner.state.lock().providers.keys().next().unwrap();
    // A second set with the same section shares the provider.
    discovery.apply([
        same(),
        ("twin".to_owned(), same().1),
        ("other".to_owned(), section(statics(&["s:2"]), &[], 0)),
    ]);
    assert_eq!(discovery.take_changed().into_iter().collect::<Vec<_>>(), ["other", "twin"]);
    assert_eq!(discovery.inner.state.lock().providers.keys().copied().collect::<Vec<_>>(), [provider]);
    assert_eq!(
        (addresses(&discovery, "twin"), addresses(&discovery, "other")),
        (vec!["f:1".into()], vec!["s:2".into()])
    );
    discovery.apply([]);
    assert!(discovery.groups("same").is_empty() && discovery.inner.state.lock().providers.is_empty());
}
