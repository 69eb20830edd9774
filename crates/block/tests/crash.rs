//! A process that dies while it writes or changes a block: the block is whole afterwards, or not there.
//!
//! The test starts itself as a child that is killed at a named point (debug builds only; a release build has no points).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may end where it stands")]
#![cfg(debug_assertions)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use narthex_block::Block;
use narthex_model::Matcher;

const DIR: &str = "NARTHEX_BLOCK_CRASH_DIR";

/// What the child does when it is one: writes a block, or deletes from the one that is there.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    match blocks(&dir).first() {
        None => drop(common::small(&dir)),
        Some(block) => {
            Block::open(block).unwrap().delete(0, 60_000, &[Matcher::equal("job", "a")]).unwrap();
        }
    }
}

/// Runs the child in `dir` and says whether it was killed.
fn is_killed(dir: &Path, point: &str) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child"]).env(DIR, dir).env("NARTHEX_CRASH_AT", point);
    let status = child.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(9)
}

/// Directories that a reader takes for blocks.
fn blocks(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_none()).collect()
}

fn samples(block: &Path) -> usize {
    let found =
        common::select(&*Block::open(block).unwrap().querier(i64::MIN, i64::MAX), &[], (i64::MIN, i64::MAX));
    found.iter().map(|(_, samples)| samples.len()).sum()
}

#[test]
fn a_block_is_whole_or_not_there() {
    // `disk.rename` comes for the tombstones, for the description, and for the block.
    let points = [
        "block.write.chunks",
        "block.write.index",
        "block.write.meta",
        "block.rename",
        "disk.rename:1",
        "disk.rename:2",
        "disk.rename:3",
    ];
    for point in points {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_killed(dir.path(), point), "{point} was not reached");
        assert_eq!(blocks(dir.path()), [] as [PathBuf; 0], "{point}");
        assert!(!is_killed(dir.path(), "nowhere"), "{point}: the next try works");
        assert_eq!(samples(&blocks(dir.path())[0]), 800, "{point}");
    }
}

#[test]
fn a_delete_happens_or_not_and_the_block_stays_readable() {
    for (point, left) in [("disk.rename:1", 800), ("block.tombstones.meta", 700), ("disk.rename:2", 700)] {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_killed(dir.path(), "nowhere"));
        assert!(is_killed(dir.path(), point), "{point} was not reached");
        let block = &blocks(dir.path())[0];
        assert_eq!(samples(block), left, "{point}");
        assert!(!is_killed(dir.path(), "nowhere"), "{point}: the next try works");
        assert_eq!(
            (samples(block), Block::open(block).unwrap().meta().stats.num_tombstones),
            (700, 20),
            "{point}"
        );
    }
}
