//! The two forms of log lines.

use crate::harness::{EMPTY, Narthex};

#[test]
fn lines_have_the_shape_of_prometheus() {
    let folder = tempfile::tempdir().unwrap();
    let server = Narthex::start(folder.path(), EMPTY, &[]);
    server.wait_ready();
    let log = server.log();
    let line = log.lines().find(|l| l.contains("Server is ready")).unwrap();
    let (time, rest) = line.strip_prefix("time=").unwrap().split_once(' ').unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{line}");
    let (head, message) = rest.split_once(" msg=").unwrap();
    assert!(head.starts_with("level=INFO source=run.rs:"), "{line}");
    assert_eq!(message, "\"Server is ready to receive web requests.\"");
}

#[test]
fn json_lines_hold_one_object_each() {
    let folder = tempfile::tempdir().unwrap();
    let server = Narthex::start(folder.path(), EMPTY, &["--log.format=json"]);
    server.wait_ready();
    for line in server.log().lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for key in ["time", "level", "source", "msg"] {
            assert!(object[key].is_string(), "{key} is missing in {line}");
        }
    }
}

#[test]
fn lines_below_the_level_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("narthex.yml"), "nonsense: 1\n").unwrap();
    let (_, log) = Narthex::run_to_end(folder.path(), &["--log.level=error"]);
    assert!(log.lines().count() == 1 && log.contains("level=ERROR"), "{log}");
}
