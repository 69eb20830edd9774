//! Test support: the conformance data that lives beside the repository.

use std::path::PathBuf;

/// The directory `conformance`, or `None` after a loud line when the data is absent.
///
/// # Panics
/// When it is absent and `CI` is set.
pub(crate) fn directory() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("NARTHEX_SHARED").map_or_else(beside, PathBuf::from);
    let directory = shared.join("conformance");
    if directory.is_dir() {
        return Some(directory);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", directory.display());
    eprintln!("SKIPPED: {} needs {}", std::thread::current().name().unwrap_or("a test"), directory.display());
    None
}

/// A file of `conformance/promql`, read as JSON.
///
/// # Panics
/// When the file is not JSON.
pub(crate) fn cases(file: &str) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(directory()?.join("promql").join(file)).expect("readable cases");
    Some(serde_json::from_str(&text).expect("cases are JSON"))
}
