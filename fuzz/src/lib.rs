//! What several targets share: a directory in memory where one file holds the bytes of a run.

use std::path::{Path, PathBuf};

/// A directory that lives as long as the process, in shared memory where the system has it.
pub fn scratch() -> PathBuf {
    let shm = Path::new("/dev/shm");
    let base = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new()
        .prefix("narthex-fuzz-")
        .tempdir_in(base)
        .expect("a scratch directory can be made")
        .keep()
}

/// Replaces the content of `dir/name`.
pub fn put(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).expect("the scratch directory can be written");
    path
}
