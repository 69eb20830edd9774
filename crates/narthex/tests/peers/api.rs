//! The tester of the shared material sends the same requests to a real Prometheus 3.5.3 and to Narthex. What differs must be what
//! 3.14.0 answers otherwise, too, and just so, or stand on a list below with its reason; `docs/http-api.md` tells users of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::{narthex, peer};

/// Requests that are answered otherwise than by 3.5.3 and 3.14.0, and why. Whoever removes a reason removes its line.
const REASONS: [(&str, &[&str]); 5] = [
    (
        "rules are not evaluated and alerts not sent yet",
        &[
            "labels/get/00",
            "labels/post/00",
            "labels/get/08",
            "labels/post/08",
            "labels/get/10",
            "labels/post/10",
            "rules/01",
            "rules/04",
            "rules/05",
            "rules/06",
            "rules/12",
            "rules/14",
            "alerts",
            "plain/alertmanagers",
        ],
    ),
    (
        "metrics of rules and alerts are not there yet",
        &[
            "metrics/none",
            "metrics/text",
            "metrics/text1",
            "metrics/om",
            "metrics/om001",
            "metrics/pb",
            "metrics/utf8",
            "metrics/underscores",
            "metrics/values",
            "metrics/json",
            "encoding/metrics/gzip",
            "encoding/metrics/deflate",
            "encoding/metrics/identity",
            "encoding/metrics/zstd",
            "encoding/metrics/gzip, deflate",
            "encoding/metrics/br",
            "encoding/metrics/gzip;q=0",
            "encoding/metrics/*",
        ],
    ),
    ("Prometheus leads to a page instead of the API", &["path/api/v1/query/"]),
    ("Prometheus calls a plain text compressed", &["read/bad-regex"]),
    ("Prometheus fails with an index out of range", &["after-delete/get/00", "after-delete/post/00"]),
];

/// Requests that 3.14.0 answers otherwise than 3.5.3, and we not as 3.14.0 does.
const NOT_AS_NEWER: [(&str, &[&str]); 3] = [
    (
        "--enable-feature=native-histograms scrapes by protobuf as in 3.5.3, where families have other names than in text",
        &[
            "metadata/00",
            "metadata/01",
            "metadata/04",
            "targets-metadata/00",
            "targets-metadata/01",
            "targets-metadata/02",
            "targets-metadata/03",
            "targets-metadata/08",
        ],
    ),
    ("rules are not evaluated yet", &["rules/00", "rules/02", "rules/10"]),
    ("zstd is taken as well", &["write/gzip-encoding"]),
];

/// Requests whose answers differ by chance, and what each difference must say then.
const BY_CHANCE: [(&str, &[&str], &str); 4] = [
    (
        "the time is that of the request, and two servers are asked one after the other",
        &["query/get/10", "query/post/10"],
        ": timestamp ",
    ),
    (
        "a range that ends before it begins: Prometheus' answer depends on where chunks begin",
        &["series/get/09", "series/post/09"],
        "json: /data: ",
    ),
    ("the same", &["read/reversed"], "protobuf: "),
    (
        "the first histogram of a chunk does not say whether its counter was reset before it, and behind a reset Prometheus does not \
         foresee where the next chunk begins; how much of that lies in the range depends on the time of day",
        &["read/hist"],
        "protobuf: ",
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

/// What the tester found, by request.
fn differences(tester: &Path, folder: &Path) -> Vec<(String, Vec<String>)> {
    let json = folder.join("differences.json");
    let ran = Command::new("python3")
        .arg(tester)
        .arg("--candidate")
        .arg(narthex())
        .arg("--json")
        .arg(&json)
        .output();
    let text = std::fs::read_to_string(&json).unwrap_or_else(|e| panic!("{e}: {:?}", ran.unwrap()));
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let text = |d: &Value| format!("{}: {}", d[0].as_str().unwrap(), d[1].as_str().unwrap());
    let of = |case: &Value| case["differences"].as_array().unwrap().iter().map(text).collect();
    cases.iter().map(|case| (case["case"].as_str().unwrap().to_owned(), of(case))).collect()
}

#[test]
fn only_what_has_a_reason_is_answered_otherwise() {
    let (Some(_), Some(shared)) = (peer("prometheus"), shared()) else { return };
    let newer = newer(&std::fs::read_to_string(shared.join("conformance/api-3.5.3-to-3.14.0.txt")).unwrap());
    assert!(newer.len() > 60, "{newer:?}");
    let folder = tempfile::tempdir().unwrap();
    let cases = differences(&shared.join("tools/api_diff.py"), folder.path());
    assert!(cases.len() > 600);
    let names = |list: &[(&str, &'static [&str])]| -> BTreeSet<&str> {
        list.iter().flat_map(|(_, names)| *names).copied().collect()
    };
    let (mut excused, mut excused_newer) = (names(&REASONS), names(&NOT_AS_NEWER));
    let mut unexplained = Vec::new();
    for (name, differences) in &cases {
        let by_chance = BY_CHANCE
            .iter()
            .any(|(_, names, says)| names.contains(&&**name) && differences.iter().all(|d| d.contains(says)));
        let (as_it_should, list) = match newer.get(name) {
            Some(first) => (differences.iter().any(|d| d.starts_with(first)), &mut excused_newer),
            None => (differences.is_empty() || by_chance, &mut excused),
        };
        if !as_it_should && !list.remove(&**name) {
            unexplained.push(format!("{name}: {differences:?}"));
        }
    }
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    assert!(excused.is_empty(), "answered as they should be: {excused:?}");
    assert!(excused_newer.is_empty(), "answered as by 3.14.0: {excused_newer:?}");
}
