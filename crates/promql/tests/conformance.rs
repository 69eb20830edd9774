//! Every eval of the `.test` scripts of `conformance/promql` and of our own in `testdata`: each passes, without exception.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data fails")]

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
fn every_eval_of_the_shared_scripts_passes() {
    let directory = shared().join("conformance/promql");
    let paths = scripts(&directory);
    if paths.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", directory.display());
        eprintln!("SKIPPED: every_eval_of_the_shared_scripts needs {}", directory.display());
        return;
    }
    let engine = Engine::new(engine_options());
    let (mut total, mut failing) = (0, Vec::new());
    for path in &paths {
        let (evals, failed) = run_script(path, &engine);
        println!("{}: {} of {evals} pass", path.file_name().unwrap().to_string_lossy(), evals - failed.len());
        total += evals;
        failing.extend(failed);
    }
    assert!(failing.is_empty(), "{} of {total} evals fail: {failing:#?}", failing.len());
}

#[test]
fn our_own_scripts_pass() {
    let engine = Engine::new(engine_options());
    for path in scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")) {
        let (_, failed) = run_script(&path, &engine);
        assert!(failed.is_empty(), "{}: {failed:#?}", path.display());
    }
}
