//! What the server says about itself, against the list of all that Prometheus says: names, types, labels.
//!
//! Facts: `conformance/inventories/self-metrics.tsv` of the shared material, taken from a Prometheus that uses all its parts.
//! What describes the Go runtime (`go_*`) is left out: there is none here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::harness::{Narthex, SOON};
use crate::process::{free_port, wait};

/// How names begin that are not there, and why. Whoever builds such a part takes its line away.
const MISSING: [(&str, &str); 8] = [
    ("prometheus_notifications_", "alerts are not sent yet"),
    ("prometheus_rule_", "rules are not evaluated yet"),
    ("prometheus_sd_dns_", "discovery by DNS does not exist yet"),
    ("prometheus_sd_kubernetes_", "discovery by Kubernetes does not exist yet"),
    ("prometheus_sd_linode_", "discovery by Linode does not exist yet"),
    ("prometheus_treecache_", "discovery by Zookeeper does not exist yet"),
    ("prometheus_sd_http_", "discovery over HTTP does not count yet"),
    ("prometheus_sd_refresh_", "no discovery that refreshes counts yet"),
];

/// Of each family its type and the names of its labels.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

fn wanted() -> Option<Families> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let shared = std::env::var_os("NARTHEX_SHARED").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let path = shared.join("conformance/inventories/self-metrics.tsv");
    let Ok(table) = std::fs::read_to_string(&path) else {
        assert!(std::env::var_os("CI").is_none(), "this test must run in CI and needs {}", path.display());
        eprintln!("SKIPPED: this test needs {}", path.display());
        return None;
    };
    let row = |line: &str| {
        let mut columns = line.split('\t').map(str::to_owned);
        let (name, kind) = (columns.next()?, columns.next()?);
        let labels = columns.next().unwrap_or_default();
        let labels = labels.split(", ").filter(|label| !label.is_empty()).map(str::to_owned).collect();
        Some((name, (kind, labels)))
    };
    Some(table.lines().skip(1).filter_map(row).filter(|(name, _)| !name.starts_with("go_")).collect())
}

fn label_names(line: &str) -> impl Iterator<Item = String> {
    // No value holds an equals sign and a quote.
    line.split("=\"").map(|before| before.rsplit(['{', ',']).next().unwrap_or_default().to_owned())
}

fn shown(exposition: &str) -> Families {
    let mut families = Families::new();
    let mut name = String::new();
    for line in exposition.lines() {
        if let Some((of, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            name = of.to_owned();
            families.insert(name.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if !line.starts_with('#') && line.contains('{') {
            let count = line.matches("=\"").count();
            families.get_mut(&name).unwrap().1.extend(label_names(line).take(count));
        }
    }
    families
}

/// A server that uses all parts that have metrics only when they are used, after its first scrape.
fn exposition(folder: &Path) -> String {
    let port = free_port();
    let config = format!(
        "global: {{scrape_interval: 1s}}\nstorage: {{tsdb: {{out_of_order_time_window: 1h}}}}\n\
         scrape_configs:\n- job_name: self\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n\
         - {{job_name: files, file_sd_configs: [{{files: ['{}/*.json']}}]}}\n\
         remote_write: [{{url: 'http://127.0.0.1:1/'}}]\n\
         remote_read: [{{url: 'http://127.0.0.1:{port}/api/v1/labels', read_recent: true}}]\n",
        folder.display()
    );
    std::fs::write(folder.join("targets.json"), "[]").unwrap();
    let server = Narthex::start_on(folder, &config, &["--web.enable-remote-write-receiver"], port);
    wait("a scrape", SOON, || server.query("prometheus_target_interval_length_seconds_count"));
    server.get("/metrics").1
}

#[test]
fn everything_that_prometheus_says_about_itself_is_said_in_the_same_words() {
    let Some(wanted) = wanted() else { return };
    let folder = tempfile::tempdir().unwrap();
    let shown = shown(&exposition(folder.path()));
    let reason = |name: &str| MISSING.iter().find(|(prefix, _)| name.starts_with(prefix));
    let mut wrong = Vec::new();
    for (name, expected) in &wanted {
        match (shown.get(name), reason(name)) {
            (Some(found), None) if found != expected => {
                wrong.push(format!("{name} is {found:?}, Prometheus has {expected:?}"));
            }
            (None, None) => wrong.push(format!("{name} is missing")),
            (Some(_), Some((prefix, _))) => {
                wrong.push(format!("{name} is there: take {prefix} off the list"));
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let stray = MISSING.iter().find(|(prefix, _)| !wanted.keys().any(|name| name.starts_with(prefix)));
    assert_eq!(stray, None, "a line of the list that nothing needs");
}
