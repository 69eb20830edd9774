//! Start timestamps of counters, classic histograms and summaries in OpenMetrics: with `created-timestamp-zero-ingestion` a zero is
//! stored where each says that it began, also after a restart of the target.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::process::{Server, encode, free_port, narthex, peer, wait};
use crate::target;

/// The target starts anew with this scrape.
const RESTART: usize = 3;
const SCRAPES: usize = 6;
const FEATURE: &str = "--enable-feature=created-timestamp-zero-ingestion";

fn exposition(scrape: usize, first_start: SystemTime) -> String {
    // A moment before the scrape in which it is told first; the same from then on would need a memory, so the later ones give
    // none that is newer than the last sample.
    let restarted = SystemTime::now() - Duration::from_millis(200);
    let start = if scrape == RESTART { restarted } else { first_start };
    let start = start.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as f64 / 1000.0;
    let n = if scrape < RESTART { scrape + 5 } else { scrape - RESTART + 1 };
    format!(
        "# TYPE hits counter\nhits_total{{a=\"1\"}} {n}\nhits_created{{a=\"1\"}} {start}\n\
         # TYPE took histogram\ntook_bucket{{le=\"0.5\"}} {n}\ntook_bucket{{le=\"+Inf\"}} {n}\ntook_count {n}\ntook_sum {n}\n\
         took_created {start}\n\
         # TYPE slow summary\nslow{{quantile=\"0.5\"}} {n}\nslow_count {n}\nslow_sum {n}\nslow_created {start}\n\
         # TYPE plain counter\nplain_total {n}\n\
         # EOF\n"
    )
}

fn target() -> u16 {
    let first_start = SystemTime::now() - Duration::from_secs(30);
    target::serve("application/openmetrics-text; version=1.0.0; charset=utf-8", move |scrape| {
        exposition(scrape, first_start)
    })
}

fn start(binary: &Path, folder: &Path) -> Server {
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: a\n  static_configs: [{{targets: ['127.0.0.1:{}']}}]\n",
        target()
    );
    Server::prometheus(binary, folder, &config, free_port(), &[FEATURE])
}

/// The values of every series of the target, in their order; of the scrapes that are compared, and the zeros among them.
fn values(server: &Server) -> BTreeMap<String, Vec<Value>> {
    let up = encode("count_over_time(up[10m])");
    wait("the scrapes", Duration::from_secs(60), || {
        let data = server.api(&format!("/api/v1/query?query={up}"));
        let count: usize = data["result"][0]["value"][1].as_str()?.parse().ok()?;
        (count >= SCRAPES).then_some(())
    });
    let query = encode("{__name__=~\"hits.*|took.*|slow.*|plain.*\"}[10m]");
    let data = server.api(&format!("/api/v1/query?query={query}"));
    let series = data["result"].as_array().unwrap().iter().map(|series| {
        let mut metric = series["metric"].clone();
        metric.as_object_mut().unwrap().remove("instance");
        let points = series["values"].as_array().unwrap().iter().map(|point| point[1].clone());
        (metric.to_string(), points.collect::<Vec<_>>())
    });
    let ends_with = Value::from((SCRAPES - RESTART).to_string());
    let upto = |values: Vec<Value>| {
        let end = values.iter().rposition(|v| *v == ends_with).map_or(values.len(), |at| at + 1);
        values[..end].to_vec()
    };
    series.map(|(metric, values)| (metric, upto(values))).collect()
}

#[test]
fn a_zero_is_stored_where_a_counter_says_that_it_began() {
    let Some(prometheus) = peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let ours = start(&narthex(), &folder.path().join("ours"));
    let theirs = start(&prometheus, &folder.path().join("theirs"));
    let (ours, theirs) = (values(&ours), values(&theirs));
    let hits = ours.iter().find(|(metric, _)| metric.contains("hits_total")).unwrap().1;
    assert_eq!(*hits, ["0", "5", "6", "7", "0", "1", "2", "3"].map(Value::from));
    let plain = ours.iter().find(|(metric, _)| metric.contains("plain_total")).unwrap().1;
    assert_eq!(*plain, ["5", "6", "7", "1", "2", "3"].map(Value::from));
    assert_eq!(ours, theirs);
}
