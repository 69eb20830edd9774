//! The data directory both ways: real promtool reads what we wrote, we read what a real Prometheus wrote.

use std::time::Duration;

use crate::dump::{self, Dump};
use crate::process::{Server, encode, free_port, narthex, peer, wait};
use crate::target;

fn config(target: u16) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n- job_name: stored\n  static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
    )
}

/// Every sample of the last hour as the server's own query API gives it, in the form of a dump.
pub(crate) fn served(server: &Server) -> Dump {
    let data = server.api(&format!("/api/v1/query?query={}", encode(r#"{__name__=~".+"}[1h]"#)));
    let mut dump = Dump::new();
    for series in data["result"].as_array().unwrap() {
        let pairs = series["metric"].as_object().unwrap().iter();
        let labels: Vec<_> = pairs.map(|(n, v)| format!("{n}={:?}", v.as_str().unwrap())).collect();
        let samples = series["values"].as_array().unwrap().iter();
        let sample = |s: &serde_json::Value| {
            ((s[0].as_f64().unwrap() * 1000.0).round() as i64, s[1].as_str().unwrap().to_owned())
        };
        dump.insert(format!("{{{}}}", labels.join(", ")), samples.map(sample).collect());
    }
    dump
}

/// Dumps print a value as Go's `%v`; the API prints it without an exponent. Staleness markers are not in the API.
fn comparable(dump: Dump) -> Dump {
    let number = |v: String| v.parse::<f64>().map_or(v, |f| format!("{f:?}"));
    let clean = |samples: Vec<(i64, String)>| {
        samples.into_iter().filter(|s| s.1 != "NaN").map(|(t, v)| (t, number(v))).collect::<Vec<_>>()
    };
    dump.into_iter().map(|(l, s)| (l, clean(s))).filter(|(_, s)| !s.is_empty()).collect()
}

fn scraped(server: &Server, times: u64) {
    let count = format!("/api/v1/query?query={}", encode(r#"min(count_over_time(shipped[1h]))"#));
    wait("scrapes", Duration::from_secs(60), || {
        let text = server.api(&count)["result"][0]["value"][1].as_str().map(str::to_owned)?;
        text.parse::<u64>().ok().filter(|n| *n >= times)
    });
}

#[track_caller]
fn check_equal(ours: Dump, theirs: Dump) {
    let (ours, theirs) = (comparable(ours), comparable(theirs));
    assert_eq!(dump::missing(&ours, &theirs), Vec::<String>::new(), "in the first, not in the second");
    assert_eq!(dump::missing(&theirs, &ours), Vec::<String>::new(), "in the second, not in the first");
    assert!(dump::count(&ours) > 100, "only {} samples were compared", dump::count(&ours));
}

#[test]
fn promtool_reads_a_data_directory_that_narthex_wrote() {
    let Some(promtool) = peer("promtool") else { return };
    let folder = tempfile::tempdir().unwrap();
    let target = target::start(50);
    let start = || Server::prometheus(&narthex(), folder.path(), &config(target), free_port(), &[]);
    let server = start();
    scraped(&server, 4);
    server.kill();
    // A second life: its WAL goes on in a new segment.
    let server = start();
    scraped(&server, 7);
    let reload = config(1).replace("1s", "1h");
    std::fs::write(folder.path().join("config.yml"), reload).unwrap();
    server.signal("HUP");
    wait("no more scrapes", Duration::from_secs(30), || {
        let targets = server.api("/api/v1/targets");
        (targets["activeTargets"][0]["scrapeInterval"] == "1h").then_some(())
    });
    let dumped = dump::dump(&promtool, &folder.path().join("data"));
    check_equal(served(&server), dumped);
}

#[test]
fn narthex_serves_a_data_directory_that_prometheus_wrote() {
    let (Some(prometheus), Some(promtool)) = (peer("prometheus"), peer("promtool")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::prometheus(&prometheus, folder.path(), &config(target::start(50)), free_port(), &[]);
    scraped(&server, 6);
    server.kill();
    let dumped = dump::dump(&promtool, &folder.path().join("data"));
    let quiet = "global: {scrape_interval: 1h}\n";
    let ours = Server::prometheus(&narthex(), folder.path(), quiet, free_port(), &[]);
    check_equal(served(&ours), dumped);
}
