//! What users see of the storage's states: replay, reload, retention, quarantine, commands beside a running server.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{EMPTY, Narthex, SOON, scraping};
use crate::process::{free_port, narthex, wait};

/// Makes blocks with one sample a minute of `m` over three hours of the given day.
fn fill(data: &Path, day_s: i64) {
    let mut text = String::from("# TYPE m gauge\n");
    for minute in 0..180 {
        text.push_str(&format!("m{{day=\"{day_s}\"}} {minute} {}\n", day_s + minute * 60));
    }
    std::fs::create_dir_all(data).unwrap();
    let input = data.join("input.txt");
    std::fs::write(&input, text + "# EOF\n").unwrap();
    let words = ["tsdb", "create-blocks-from", "-q", "openmetrics"];
    let status = Command::new(narthex()).args(words).args([&input, data]).status().unwrap();
    assert!(status.success());
    std::fs::remove_file(input).unwrap();
}

fn json(server: &Narthex, path: &str) -> Value {
    serde_json::from_str(&server.get(path).1).unwrap_or_default()
}

fn blocks(server: &Narthex) -> usize {
    json(server, "/api/v1/status/tsdb/blocks")["data"]["blocks"].as_array().map_or(0, Vec::len)
}

const COUNT: &str = "/api/v1/query?query=count_over_time(m%5B4h%5D)&time=1700010800";
const LONG: &str = "--storage.tsdb.retention.time=100y";

/// A segment that is a pipe holds the replay up as long as nobody writes into it.
#[test]
fn queries_on_blocks_are_answered_while_the_log_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fill(&data, 1_700_000_000);
    std::fs::create_dir_all(data.join("wal")).unwrap();
    assert!(Command::new("mkfifo").arg(data.join("wal/00000000")).status().unwrap().success());
    let server = Narthex::start(folder.path(), EMPTY, &[LONG]);
    let answer = wait("an answer from blocks", SOON, || {
        Some(server.get(COUNT)).filter(|(status, _)| *status == 200).map(|(_, body)| body)
    });
    assert!(answer.contains(r#""180""#) && answer.contains("write-ahead log is being replayed"), "{answer}");
    assert_eq!(server.get("/-/ready"), (503, "Service Unavailable".to_owned()));
    assert_eq!(server.get("/-/healthy").0, 200);
    assert_eq!(server.get("/api/v1/targets").0, 503);
    assert!(blocks(&server) >= 2);
    let replay = json(&server, "/api/v1/status/walreplay");
    assert_eq!(replay["status"], "success", "{replay}");
    let (status, labels) = server.get("/api/v1/label/day/values");
    assert!(status == 200 && labels.contains("1700000000") && labels.contains("warnings"), "{labels}");
    server.kill();
}

#[test]
fn a_reload_changes_the_retention_and_the_room_for_exemplars() {
    let folder = tempfile::tempdir().unwrap();
    fill(&folder.path().join("data"), 1_700_000_000);
    let features = "--enable-feature=exemplar-storage";
    let flags = [LONG, features, "--storage.tsdb.block-reload-interval=1s", "--web.enable-lifecycle"];
    let server = Narthex::start(folder.path(), EMPTY, &flags);
    server.wait_ready();
    let retention = || json(&server, "/api/v1/status/runtimeinfo")["data"]["storageRetention"].clone();
    assert_eq!(retention(), "100y");
    assert!(blocks(&server) >= 2);
    let room = || {
        let text = server.get("/metrics").1;
        text.lines()
            .find_map(|l| l.strip_prefix("prometheus_tsdb_exemplar_max_exemplars ").map(str::to_owned))
    };
    assert_eq!(room().as_deref(), Some("100000"));
    server.configure("storage: {exemplars: {max_exemplars: 7}, tsdb: {retention: {time: 30m}}}\n");
    assert_eq!(server.post("/-/reload").0, 200);
    assert_eq!(retention(), "30m");
    assert_eq!(room().as_deref(), Some("7"));
    // All blocks but the newest end more than half an hour before it.
    wait("old blocks to go", SOON, || (blocks(&server) == 1).then_some(()));
}

#[test]
fn a_corrupt_block_ends_the_start_or_is_put_aside_by_our_own_flag() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fill(&data, 1_700_000_000);
    let names = || std::fs::read_dir(&data).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let corrupt = names().filter(|name| name.len() == 26).min().unwrap();
    std::fs::write(data.join(&corrupt).join("index"), "no index").unwrap();
    let whole = names().filter(|name| name.len() == 26).count();
    std::fs::write(folder.path().join("narthex.yml"), EMPTY).unwrap();
    let (code, log) = Narthex::run_to_end(folder.path(), &[LONG]);
    assert!(code == Some(1) && log.contains(&format!("corrupted block {corrupt}")), "{log}");
    let server = Narthex::start(folder.path(), EMPTY, &[LONG, "--storage.tsdb.quarantine-corrupt-blocks"]);
    server.wait_ready();
    assert_eq!(blocks(&server), whole - 1);
    assert!(data.join("quarantine").join(&corrupt).join("index").is_file());
    let reason = std::fs::read_to_string(data.join(format!("quarantine/{corrupt}.reason"))).unwrap();
    assert!(!reason.trim().is_empty());
    assert!(server.log().contains(&corrupt), "the log names it");
}

#[test]
fn chunks_without_start_timestamps_are_refused_where_these_are_to_be_stored() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("narthex.yml"), EMPTY).unwrap();
    let (code, log) = Narthex::run_to_end(folder.path(), &["--enable-feature=st-storage"]);
    assert!(code == Some(1) && log.contains("incompatible with start-timestamp storage"), "{log}");
}

#[test]
fn commands_read_the_directory_of_a_running_server_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fill(&data, 1_700_000_000);
    let port = free_port();
    let server = Narthex::start_on(folder.path(), &scraping(port), &[LONG], port);
    wait("samples", SOON, || server.query("count_over_time(up[1m])").filter(|n| *n >= 3.0));
    let run = |words: &[&str]| {
        let out = Command::new(narthex()).args(words).arg(&data).output().unwrap();
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(run(&["tsdb", "list"]).lines().count(), blocks(&server) + 1);
    let dump = run(&["tsdb", "dump", "--match=m", "--match=up"]);
    assert_eq!(dump.lines().filter(|line| line.contains("__name__=\"m\"")).count(), 180);
    assert!(dump.lines().filter(|line| line.contains("__name__=\"up\"")).count() >= 3, "{dump}");
    assert!(server.query("count_over_time(up[1m])") >= Some(3.0), "the server goes on");
}
