//! The tester of the shared material sends the same requests to a real Prometheus 3.5.3 and to Narthex. What differs must be what
//! 3.14.0 answers otherwise, too, or stand on the list below with its reason; `docs/http-api.md` tells users of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::{narthex, peer};

/// How the names of requests begin that differ, and why. Whoever removes a reason removes its line.
const REASONS: [(&str, &[&str]); 11] = [
    (
        "series come in order of their labels; in Prometheus in order of creation while all lie in its head",
        &[
            "query/get/01",
            "query/post/01",
            "query/get/25",
            "query/post/25",
            "query/get/26",
            "query/post/26",
            "query/get/27",
            "query/post/27",
            "query/get/39",
            "query/post/39",
            "query/get/44",
            "query/post/44",
            "encoding/query/",
            "written/",
            "series/get/00",
            "series/post/00",
            "series/get/10",
            "series/post/10",
            "read/eq",
            "read/neq",
            "read/re",
            "read/samples-type",
        ],
    ),
    (
        "a range that ends before it begins: Prometheus' answer depends on where chunks begin",
        &["series/get/09", "series/post/09", "read/reversed"],
    ),
    (
        "rules are not evaluated and alerts not sent yet",
        &[
            "labels/get/00",
            "labels/post/00",
            "labels/get/08",
            "labels/post/08",
            "labels/get/10",
            "labels/post/10",
            "rules/",
            "alerts",
            "plain/alertmanagers",
        ],
    ),
    ("consoles are not there yet", &["path/consoles/"]),
    (
        "metrics of rules, alerts, templates and some discovery are not there yet",
        &["metrics/", "encoding/metrics/"],
    ),
    ("Prometheus leads to a page instead of the API", &["path/api/v1/query/"]),
    ("zeros are written out; to a reader they are the same", &["read/nre"]),
    ("a histogram whose predecessor is not sent says nothing about resets", &["read/hist"]),
    ("Prometheus calls a plain text compressed", &["read/bad-regex"]),
    ("Prometheus fails with an index out of range", &["after-delete/"]),
    (
        "the reason says the place, too; the time is that of the request",
        &["lifecycle/reload-bad", "query/get/10", "query/post/10"],
    ),
];

fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("NARTHEX_SHARED").map_or(beside, PathBuf::from);
    if shared.join("tools/api_diff.py").is_file() {
        return Some(shared);
    }
    assert!(std::env::var_os("CI").is_none(), "the tester must be there in CI: set NARTHEX_SHARED");
    eprintln!("SKIPPED: this test needs tools/api_diff.py: set NARTHEX_SHARED");
    None
}

/// The requests that 3.14.0 answers otherwise than 3.5.3: the lines that begin with a name, up to the method.
fn newer(list: &str) -> BTreeSet<String> {
    let methods = [" GET ", " POST ", " PUT ", " DELETE ", " HEAD ", " OPTIONS "];
    let name = |line: &str| {
        let end = methods.iter().filter_map(|method| line.find(method)).min()?;
        Some(line[..end].trim().to_owned())
    };
    list.lines().filter(|line| !line.starts_with([' ', '#'])).filter_map(name).collect()
}

#[test]
fn only_what_has_a_reason_is_answered_otherwise() {
    let (Some(_), Some(shared)) = (peer("prometheus"), shared()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("differences.json");
    let tester = shared.join("tools/api_diff.py");
    let ran = Command::new("python3")
        .arg(tester)
        .arg("--candidate")
        .arg(narthex())
        .arg("--json")
        .arg(&json)
        .output();
    let text = std::fs::read_to_string(&json).unwrap_or_else(|e| panic!("{e}: {:?}", ran.unwrap()));
    let newer = newer(&std::fs::read_to_string(shared.join("conformance/api-3.5.3-to-3.14.0.txt")).unwrap());
    assert!(newer.len() > 60, "{newer:?}");
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() > 600);
    let has_reason = |name: &str| {
        newer.contains(name) || REASONS.iter().any(|(_, names)| names.iter().any(|n| name.starts_with(n)))
    };
    let differ = cases.iter().filter(|case| !case["differences"].as_array().unwrap().is_empty());
    let unexplained: Vec<String> = differ
        .filter(|case| !has_reason(case["case"].as_str().unwrap()))
        .map(|case| format!("{} {}: {}", case["case"], case["params"], case["differences"]))
        .collect();
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
}
