//! The tester of the shared material sends the same requests to a real Prometheus 3.5.3 and to Narthex. What differs must be what
//! 3.14.0 answers otherwise, too, and just so, or stand on a list below with its reason; `docs/http-api.md` tells users of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::{narthex, peer};

/// How the names of requests begin that differ, and why. Whoever removes a reason removes its line.
const REASONS: [(&str, &[&str]); 9] = [
    (
        "series come in order of their labels; in Prometheus in order of creation while all lie in its head",
        &["series/get/00", "series/post/00", "series/get/10", "series/post/10"],
    ),
    (
        "remote read: the first sample of a histogram says nothing about resets, zeros are written out",
        &["read/eq", "read/neq", "read/re", "read/samples-type", "read/nre", "read/hist"],
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
    ("metrics of rules, alerts and some discovery are not there yet", &["metrics/", "encoding/metrics/"]),
    ("Prometheus leads to a page instead of the API", &["path/api/v1/query/"]),
    ("Prometheus calls a plain text compressed", &["read/bad-regex"]),
    ("Prometheus fails with an index out of range", &["after-delete/"]),
    (
        "the reason says the place, too; the time is that of the request",
        &["lifecycle/reload-bad", "query/get/10", "query/post/10"],
    ),
];

/// Requests that 3.14.0 answers otherwise than 3.5.3, and we not as 3.14.0 does.
const NOT_AS_NEWER: [(&str, &[&str]); 3] = [
    (
        "--enable-feature=native-histograms scrapes by protobuf as in 3.5.3, where families have other names than in text",
        &["metadata/", "targets-metadata/"],
    ),
    ("rules are not evaluated yet", &["rules/"]),
    ("zstd is taken as well", &["write/gzip-encoding"]),
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

/// The requests that 3.14.0 answers otherwise than 3.5.3, each with how the first difference begins.
fn newer(list: &str) -> BTreeMap<String, String> {
    let methods = [" GET ", " POST ", " PUT ", " DELETE ", " HEAD ", " OPTIONS "];
    let lines: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
    let pairs = lines.windows(2).filter_map(|pair| {
        let end = methods.iter().filter_map(|method| pair[0].find(method)).min()?;
        let named = !pair[0].starts_with(' ');
        named.then(|| (pair[0][..end].trim().to_owned(), pair[1].trim().chars().take(60).collect()))
    });
    let mut all = BTreeMap::new();
    for (name, difference) in pairs {
        // Of several lines for one request the first counts.
        all.entry(name).or_insert(difference);
    }
    all
}

/// Whether a request stands on a list by the beginning of its name.
fn is_on(list: &[(&str, &[&str])], name: &str) -> bool {
    list.iter().any(|(_, names)| names.iter().any(|n| name.starts_with(n)))
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
    let unexplained: Vec<String> = cases
        .iter()
        .filter(|case| {
            let name = case["case"].as_str().unwrap();
            let differences: Vec<String> = case["differences"]
                .as_array()
                .unwrap()
                .iter()
                .map(|d| format!("{}: {}", d[0].as_str().unwrap(), d[1].as_str().unwrap()))
                .collect();
            match newer.get(name) {
                Some(first) => {
                    !differences.iter().any(|d| d.starts_with(first)) && !is_on(&NOT_AS_NEWER, name)
                }
                None => !differences.is_empty() && !is_on(&REASONS, name),
            }
        })
        .map(|case| format!("{} {}: {}", case["case"], case["params"], case["differences"]))
        .collect();
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
}
