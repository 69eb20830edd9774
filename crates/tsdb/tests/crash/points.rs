//! Every named point: found in the sources, so that a new one is tested from the day it is there.

use std::collections::BTreeSet;
use std::path::Path;

use super::check::check;
use super::child::{Run, listen};

/// Names in `point("…")` calls below a directory of sources.
fn names_below(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names_below(&path, names);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let found = text.split("point(\"").skip(1).filter_map(|rest| rest.split_once('"'));
            names.extend(found.map(|(name, _)| name.to_owned()));
        }
    }
}

/// The points of the crates that this engine is made of.
fn names() -> Vec<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut names = BTreeSet::new();
    for part in ["disk", "wal", "block", "tsdb"] {
        names_below(&crates.join(part).join("src"), &mut names);
    }
    names.into_iter().collect()
}

/// Points that this life does not pass: it has no damaged files, no disk that fails, and no block of which deletes leave nothing.
const NOT_IN_LIFE: [&str; 5] =
    ["block.repair", "blocks.quarantine", "compact.empty", "head_chunks.repair", "head_chunks.write_again"];

/// A life that passes every point: some ten block ranges, with all maintenance, and an orderly end.
const LIFE: u64 = 700;

#[test]
fn every_acknowledged_sample_survives_a_kill_at_each_named_point() {
    let mut names = names();
    names.retain(|name| !NOT_IN_LIFE.iter().any(|other| name.starts_with(other)));
    assert!(names.len() > 5, "the points are found: {names:?}");
    if let Ok(only) = std::env::var("NARTHEX_CRASH_POINT") {
        names.retain(|name| name.contains(&only));
    }
    let mut kills = 0;
    for name in &names {
        for nth in [1, 2, 5] {
            let dir = tempfile::tempdir().unwrap();
            let crash_at = Some(format!("{name}:{nth}"));
            let heard = listen(&Run { crash_at, batches: Some(LIFE), ..Run::new(dir.path(), 0) });
            let story = format!("killed at {name}, time {nth}");
            assert!(heard.at_point || heard.closed, "{story}: the child died otherwise");
            assert!(
                nth > 1 || heard.at_point,
                "{name} is never passed in {LIFE} batches with all maintenance"
            );
            let count = heard.acknowledged(0);
            check(dir.path(), count, &story);
            if !heard.at_point {
                continue;
            }
            kills += 1;
            // Life goes on: the same steps again, over what the crash left.
            let again = listen(&Run { batches: Some(150), ..Run::new(dir.path(), count) });
            assert!(again.closed, "{story}: the next life does not end in order");
            check(dir.path(), count + 150, &format!("{story}, after the next life"));
        }
    }
    eprintln!("{} points, {kills} kills", names.len());
}
