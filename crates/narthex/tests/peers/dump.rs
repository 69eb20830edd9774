//! What a data directory holds, in the words of the real `promtool tsdb dump`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Samples by label set: time in ms and the value's text, in order of time.
pub(crate) type Dump = BTreeMap<String, Vec<(i64, String)>>;

/// Dumps a copy, so that a running server is not disturbed.
#[track_caller]
pub(crate) fn dump(promtool: &Path, data: &Path) -> Dump {
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().join("data");
    let status = Command::new("cp").arg("-r").arg(data).arg(&to).status().unwrap();
    assert!(status.success(), "cp of {}", data.display());
    let out = Command::new(promtool).args(["tsdb", "dump"]).arg(&to).output().unwrap();
    assert!(out.status.success(), "promtool tsdb dump: {}", String::from_utf8_lossy(&out.stderr));
    parse(&String::from_utf8(out.stdout).unwrap())
}

/// Lines are `{labels} value time`.
fn parse(text: &str) -> Dump {
    let mut dump = Dump::new();
    for line in text.lines() {
        let (rest, time) = line.rsplit_once(' ').unwrap_or_else(|| panic!("line {line:?}"));
        let (labels, value) = rest.rsplit_once(' ').unwrap_or_else(|| panic!("line {line:?}"));
        dump.entry(labels.to_owned()).or_default().push((time.parse().unwrap(), value.to_owned()));
    }
    dump
}

/// How many samples a dump holds.
pub(crate) fn count(dump: &Dump) -> usize {
    dump.values().map(Vec::len).sum()
}

/// Every sample of `wanted` that is not in `found`, as text; a series must have its samples in order.
pub(crate) fn missing(wanted: &Dump, found: &Dump) -> Vec<String> {
    let mut lost = Vec::new();
    for (labels, samples) in wanted {
        let there = found.get(labels).map_or(&[][..], Vec::as_slice);
        assert!(there.is_sorted_by_key(|(t, _)| *t), "{labels} is out of order");
        let gone = samples
            .iter()
            .filter(|s| there.binary_search_by_key(&s.0, |(t, _)| *t).map(|at| &there[at]) != Ok(s));
        lost.extend(gone.map(|(t, v)| format!("{labels} {v} {t}")));
    }
    lost
}
