//! The real promtool asks Narthex over HTTP what it asks a real Prometheus with the same data: same words, same exit status.

use std::path::Path;
use std::process::Command;

use crate::fixture::fixture;
use crate::process::{Server, free_port, narthex, peer};
use crate::remote_read::holder;

/// Exit status and lines of both outputs, in order: series may come in any.
fn run(promtool: &Path, server: &Server, words: &str) -> (Option<i32>, Vec<String>) {
    let url = format!("http://127.0.0.1:{}", server.port);
    let words = words.split('|').map(|word| word.replace("URL", &url));
    let out = Command::new(promtool).args(words).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    let mut lines: Vec<String> = text.replace(&url, "URL").lines().map(str::to_owned).collect();
    lines.sort();
    (out.status.code(), lines)
}

#[test]
fn promtool_cannot_tell_the_servers_apart() {
    let (Some(prometheus), Some(promtool)) = (peer("prometheus"), peer("promtool")) else { return };
    let Some(data) = fixture("prom-3.5.3-a") else { return };
    let (data, folder) = (data.path().join("data"), tempfile::tempdir().unwrap());
    let theirs = holder(&prometheus, &folder.path().join("theirs"), &data);
    let ours = holder(&narthex(), &folder.path().join("ours"), &data);
    let last_s = ours.api("/api/v1/status/tsdb")["headStats"]["maxTime"].as_i64().unwrap() / 1000;
    let range = format!("--start={}|--end={last_s}", last_s - 7200);
    let mut shown = 0;
    for (words, status) in [
        ("check|healthy|--url=URL".to_owned(), 0),
        ("check|ready|--url=URL".to_owned(), 0),
        (format!("query|instant|--time={last_s}|URL|{{__name__=~\".+\"}}"), 0),
        (
            format!("query|instant|--time={last_s}|URL|sum by (job) (rate({{__name__=~\".+_total\"}}[10m]))"),
            0,
        ),
        (format!("query|instant|-o|json|--time={last_s}|URL|1 + 1"), 0),
        (format!("query|instant|--time={last_s}|URL|sum("), 1),
        (format!("query|range|{range}|--step=5m|URL|avg by (__name__) ({{__name__=~\".+\"}})"), 0),
        (format!("query|range|{range}|--step=5m|-o|json|URL|avg by (__name__) ({{__name__=~\".+\"}})"), 0),
        (format!("query|range|{range}|--step=0.1s|URL|up"), 1),
        (format!("query|series|{range}|--match={{__name__=~\".+\"}}|URL"), 0),
        (format!("query|series|{range}|--match=up{{|URL"), 1),
        (format!("query|labels|{range}|URL|__name__"), 0),
        (format!("query|labels|{range}|--match=up|URL|job"), 0),
        ("query|analyze|--server=URL|--type=histogram|--match=nothing_bucket".to_owned(), 0),
    ] {
        let (expected, got) = (run(&promtool, &theirs, &words), run(&promtool, &ours, &words));
        assert_eq!(got, expected, "{words}");
        assert_eq!(got.0, Some(status), "{words}: {:?}", got.1);
        shown += got.1.len();
    }
    assert!(shown > 100, "only {shown} lines");
}

/// It records for half a minute: the length is its own.
#[test]
fn promtool_fetches_and_reads_our_profiles() {
    let Some(promtool) = peer("promtool") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (ours, config) = (folder.path().join("ours"), "global: {scrape_interval: 1h}\n");
    let server = Server::prometheus(&narthex(), &ours, config, free_port(), &[]);
    let url = format!("http://127.0.0.1:{}", server.port);
    let out =
        Command::new(promtool).args(["debug", "all", &url]).current_dir(folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    // It parses each profile before it writes it.
    assert!(out.status.success() && text.contains("all files written in"), "{text}");
    let archive = folder.path().join("debug.tar.gz");
    let listed = Command::new("tar").arg("-tzf").arg(archive).output().unwrap();
    let mut files: Vec<_> = std::str::from_utf8(&listed.stdout).unwrap().lines().collect();
    files.sort_unstable();
    let expected = "block.pb cpu.pb goroutine.pb heap.pb metrics.txt mutex.pb threadcreate.pb trace.pb";
    assert_eq!(files.join(" "), expected);
}
