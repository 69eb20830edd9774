//! Directories for tests.

use std::io;
use std::path::Path;

use tempfile::TempDir;

/// Where files lie in memory, so that to sync them costs nothing.
const IN_MEMORY: &str = "/dev/shm";

/// A fresh directory, in memory where the system has a place for that. What only a disk does (its end, its failures) is made by
/// `narthex_disk` or by the test itself.
pub(crate) fn tempdir() -> io::Result<TempDir> {
    match Path::new(IN_MEMORY).is_dir() {
        true => tempfile::tempdir_in(IN_MEMORY).or_else(|_| tempfile::tempdir()),
        false => tempfile::tempdir(),
    }
}
