//! Syncing, renaming, replacing, removing: the steps after which something is on the disk for good.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use crate::broken::{Step, check};
use crate::fault::{journal, journal_len, journal_rename, point};

/// Writes what the system holds back of a file to the disk. `path` is where the file lies.
///
/// # Errors
/// The system's; the data may then be lost with the power, and a later call does not help.
pub fn sync_file(file: &File, path: &Path) -> io::Result<()> {
    // Before: what is written meanwhile need not be on the disk.
    let len = journal_len(file);
    file.sync_all()?;
    journal("sync", len, path);
    Ok(())
}

/// Makes the entries of a directory durable: files made, renamed or removed in it.
///
/// # Errors
/// The system's.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    check(Step::SyncDir, path)?;
    File::open(path)?.sync_all()?;
    journal("syncdir", 0, path);
    Ok(())
}

/// Gives a file or directory another name in the same file system and makes the new name durable. An existing file is
/// replaced in one step; an existing directory only when it is empty.
///
/// # Errors
/// The system's. Whether the new name is there says only a look: syncing it may be what failed.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    point("disk.rename");
    check(Step::Rename, to)?;
    std::fs::rename(from, to)?;
    journal_rename(from, to);
    let parent = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
    let (old, new) = (parent(from), parent(to));
    sync_dir(&new)?;
    if old != new { sync_dir(&old) } else { Ok(()) }
}

/// Puts `bytes` into the file at `path` in one step: after a crash it has its old content or all of the new. Uses
/// `<path>.tmp` beside it.
///
/// # Errors
/// The system's; the old content then stays.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    check(Step::Replace, path)?;
    let mut tmp = path.as_os_str().to_owned();
    tmp.push(".tmp");
    let tmp = Path::new(&tmp);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(tmp)?;
    file.write_all(bytes)?;
    sync_file(&file, tmp)?;
    rename(tmp, path)
}

/// Deletes a directory and all in it; one that is gone already is fine.
///
/// # Errors
/// The system's; a part may then be gone.
pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    check(Step::Remove, path)?;
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("state");
        for text in ["first", "second, longer", ""] {
            replace_file(&path, text.as_bytes()).expect("the directory can be written");
            assert_eq!(std::fs::read_to_string(&path).expect("it is there"), text);
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 1);
    }
}
