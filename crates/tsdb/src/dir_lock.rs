//! The lock of a data directory: the file `lock`, held with `flock` as Prometheus holds it, so that neither of the two starts
//! on a directory that the other uses. The file names the process that holds it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "data directory {} is in use{}: lock DB directory: resource temporarily unavailable; stop that process, or give this one a directory of its own",
        dir.display(), pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
    )]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// Who holds it, when the file tells.
        pid: Option<u32>,
    },
    /// The file could not be made or locked.
    #[error("cannot lock data directory: {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// Held until dropped; dropping removes the file.
#[derive(Debug)]
pub struct DirLock {
    path: PathBuf,
    /// Held open: closing it gives the lock back.
    _file: File,
    /// Whether a file was left behind by a process that did not end well.
    pub(crate) replaced: bool,
}

impl DirLock {
    /// Takes the lock of a directory that exists.
    ///
    /// # Errors
    /// Another process has it, or the system's.
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join("lock");
        let replaced = path.exists();
        let failed = |source| LockError::Io { path: path.clone(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LockError::InUse { dir: dir.to_owned(), pid: read_pid(&mut file) });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        write_pid(&mut file).map_err(failed)?;
        Ok(Self { path, _file: file, replaced })
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // The file's absence says that the process ended well; when it cannot be removed, the next start says otherwise.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_and_names_the_holder() {
        let dir = crate::scratch::tempdir().unwrap();
        let lock = DirLock::take(dir.path()).unwrap();
        assert!(!lock.replaced);
        let error = DirLock::take(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");
        assert!(error.contains(&dir.path().display().to_string()), "{error}");
        drop(lock);
        assert!(!dir.path().join("lock").exists());
        DirLock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_file_left_by_a_crash_is_taken_over() {
        let dir = crate::scratch::tempdir().unwrap();
        std::fs::write(dir.path().join("lock"), "12345\n").unwrap();
        assert!(DirLock::take(dir.path()).unwrap().replaced);
    }
}
