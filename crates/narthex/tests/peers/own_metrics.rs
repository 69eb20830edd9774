//! What the servers say about themselves as protobuf: families that both have are of one type, say alike since when they count, and are
//! native histograms in both.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::process::{Server, free_port, get_with, narthex, peer, wait};

/// The messages in words.
const IN_WORDS: &str =
    "Accept: application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text\r\n";

/// A family's type, how many of its metrics say since when, and how many are native histograms.
type Kind = (String, usize, usize);

/// The families, and all times since when they count, in seconds.
fn families(server: &Server) -> (BTreeMap<String, Kind>, Vec<u64>) {
    let (status, text) = get_with(server.port, "/metrics", IN_WORDS).unwrap();
    assert_eq!(status, 200, "{text}");
    let (mut families, mut times) = (BTreeMap::new(), Vec::new());
    let (mut name, mut in_time) = (String::new(), false);
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim().trim_matches('"');
        match field {
            "name" => name = value.to_owned(),
            "type" => drop(families.insert(name.clone(), (value.to_owned(), 0, 0))),
            _ if field.trim() == "created_timestamp" => {
                families.get_mut(&name).unwrap().1 += 1;
                in_time = true;
            }
            _ if field.trim() == "schema" => families.get_mut(&name).unwrap().2 += 1,
            _ if in_time && field.trim() == "seconds" => times.push(value.parse().unwrap()),
            _ => in_time &= !field.trim().starts_with('}'),
        }
    }
    (families, times)
}

#[test]
fn metrics_say_since_when_they_count_where_prometheus_does() {
    let Some(prometheus) = peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let now_s = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let began_s = now_s();
    let start = |binary, name: &str| {
        let port = free_port();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: self, \
             static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\nremote_write: [{{url: 'http://127.0.0.1:1/'}}]\n"
        );
        let server = Server::prometheus(binary, &folder.path().join(name), &config, port, &[]);
        // Some metrics begin when they are first counted.
        wait("scrapes", Duration::from_secs(20), || {
            let shown = families(&server).0;
            shown.contains_key("prometheus_target_interval_length_seconds").then_some(())
        });
        server
    };
    let (theirs, ours) = (families(&start(&prometheus, "theirs")).0, families(&start(&narthex(), "ours")));
    let mut compared = 0;
    let seen = |(kind, times, native): &Kind| (kind.clone(), *times > 0, *native > 0);
    for (name, their_kind) in &theirs {
        if let Some(our_kind) = ours.0.get(name) {
            assert_eq!(seen(our_kind), seen(their_kind), "{name}");
            compared += 1;
        }
    }
    assert!(theirs.values().any(|kind| kind.2 > 0));
    assert!(compared > 150, "only {compared} families are there in both");
    assert!(ours.1.len() > 100 && ours.1.iter().all(|t| (began_s..=now_s()).contains(t)), "{:?}", ours.1);
}
