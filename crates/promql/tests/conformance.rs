//! Every eval of the `.test` scripts of `conformance/promql`, against the list of those that do not pass yet.
//!
//! `tests/not-yet.txt` holds one `file:line reason` a line. An eval in the list that passes fails the test, so that the list
//! only shrinks; an eval not in the list that fails does too. `NARTHEX_WRITE_NOT_YET=1` writes the list anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use narthex_promql::engine::Engine;
use narthex_promql::script::{Script, engine_options};

fn shared() -> PathBuf {
    std::env::var_os("NARTHEX_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from)
}

fn scripts(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "test"));
    paths.sort();
    paths
}

fn not_yet_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/not-yet.txt")
}

fn not_yet() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(not_yet_file()).unwrap_or_default();
    let lines = text.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
    lines.map(|l| l.split_once(' ').unwrap_or((l, ""))).map(|(at, why)| (at.into(), why.into())).collect()
}

/// Runs one script; gives how many evals there are, and `place, reason` of those that fail.
fn run_script(path: &Path, engine: &Engine) -> (usize, Vec<(String, String)>) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let script = Script::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    let outcomes = script.run(engine);
    let failed = outcomes.iter().filter_map(|o| {
        let reason = o.result.as_ref().err()?;
        Some((format!("{name}:{}", o.line), format!("{} ## {reason}", o.query)))
    });
    (outcomes.len(), failed.collect())
}

#[test]
fn every_eval_of_the_shared_scripts_passes_or_is_listed() {
    let directory = shared().join("conformance/promql");
    let paths = scripts(&directory);
    if paths.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", directory.display());
        eprintln!("SKIPPED: every_eval_of_the_shared_scripts needs {}", directory.display());
        return;
    }
    let engine = Engine::new(engine_options());
    let listed = not_yet();
    let (mut total, mut failing) = (0, BTreeMap::new());
    for path in &paths {
        let (evals, failed) = run_script(path, &engine);
        println!("{}: {} of {evals} pass", path.file_name().unwrap().to_string_lossy(), evals - failed.len());
        total += evals;
        failing.extend(failed);
    }
    println!("{} of {total} evals pass, {} are listed as not yet", total - failing.len(), listed.len());
    if std::env::var_os("NARTHEX_WRITE_NOT_YET").is_some() {
        write_list(&failing);
        return;
    }
    let new: Vec<_> = failing.iter().filter(|(at, _)| !listed.contains_key(*at)).collect();
    let done: Vec<_> = listed.keys().filter(|at| !failing.contains_key(*at)).collect();
    for (at, reason) in &new {
        println!("FAILS: {at} {reason}");
    }
    assert!(new.is_empty(), "{} evals fail that are not listed in tests/not-yet.txt", new.len());
    assert!(done.is_empty(), "these pass now, remove them from tests/not-yet.txt: {done:?}");
}

fn write_list(failing: &BTreeMap<String, String>) {
    let mut text =
        "# Evals of conformance/promql that do not pass yet: file:line query ## what is wrong.\n".to_owned();
    for (at, reason) in failing {
        let reason: String = reason.replace('\n', " ").chars().take(260).collect();
        text.push_str(&format!("{at} {reason}\n"));
    }
    std::fs::write(not_yet_file(), text).unwrap();
}

#[test]
fn our_own_scripts_pass() {
    let engine = Engine::new(engine_options());
    for path in scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")) {
        let (_, failed) = run_script(&path, &engine);
        assert!(failed.is_empty(), "{}: {failed:#?}", path.display());
    }
}
