//! Data directories of the conformance material, written by a real Prometheus.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A fixture, unpacked; `None` after saying loudly that the material is absent.
pub(crate) fn fixture(name: &str) -> Option<tempfile::TempDir> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("NARTHEX_SHARED").map_or(beside, PathBuf::from);
    let archive = shared.join(format!("conformance/tsdb/{name}.tar.zst"));
    if !archive.is_file() {
        assert!(std::env::var_os("CI").is_none(), "{} must be there in CI", archive.display());
        eprintln!("SKIPPED: this test needs {}", archive.display());
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let tar = Command::new("tar").args(["--zstd", "-xf"]).arg(&archive).arg("-C").arg(folder.path()).status();
    assert!(tar.unwrap().success(), "unpacking {}", archive.display());
    Some(folder)
}

/// Copies a directory; the folder above `to` is made.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(status.success(), "copying {}", from.display());
}
