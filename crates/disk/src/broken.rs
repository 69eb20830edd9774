//! Steps that a test wants to fail: a disk that is full or broken, or a bug, at one step of one directory.
//!
//! Unlike the points of `fault`, these act within the process of the test, and only on the paths it means, so that tests beside it
//! go on.
//! PERF: a release build has empty functions here.

use std::io;
use std::path::Path;

/// A durable step of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A file or directory gets its name: before anything was done.
    Rename,
    /// A directory is synced: what was done in it is there, but perhaps not on the disk.
    SyncDir,
    /// A file is replaced: before anything was written.
    Replace,
    /// A directory is deleted: before anything was done.
    Remove,
}

/// How a step goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The disk is full.
    Full,
    /// A bug: the thread panics.
    Panic,
}

/// In a debug build a step goes wrong the next `times` times that it comes to a path (for a renaming: the new one) that is `meant`.
/// For tests: `meant` must look for the test's own directory, and is called under a lock.
pub fn break_step(step: Step, harm: Harm, times: u32, meant: impl Fn(&Path) -> bool + Send + 'static) {
    #[cfg(debug_assertions)]
    debug::add(step, harm, times, Box::new(meant));
    #[cfg(not(debug_assertions))]
    let _ = (step, harm, times, meant);
}

/// Whether a step is to go wrong now.
#[inline]
pub(crate) fn check(step: Step, path: &Path) -> io::Result<()> {
    #[cfg(debug_assertions)]
    return debug::check(step, path);
    #[cfg(not(debug_assertions))]
    {
        let _ = (step, path);
        Ok(())
    }
}

#[cfg(debug_assertions)]
mod debug {
    use std::io;
    use std::path::Path;
    use std::sync::{Mutex, PoisonError};

    use super::{Harm, Step};

    struct Broken {
        step: Step,
        harm: Harm,
        left: u32,
        meant: Meant,
    }

    pub(super) type Meant = Box<dyn Fn(&Path) -> bool + Send>;

    static BROKEN: Mutex<Vec<Broken>> = Mutex::new(Vec::new());

    pub(super) fn add(step: Step, harm: Harm, times: u32, meant: Meant) {
        let broken = Broken { step, harm, left: times, meant };
        BROKEN.lock().unwrap_or_else(PoisonError::into_inner).push(broken);
    }

    pub(super) fn check(step: Step, path: &Path) -> io::Result<()> {
        let harm = {
            let mut all = BROKEN.lock().unwrap_or_else(PoisonError::into_inner);
            let meant = |broken: &&mut Broken| broken.step == step && broken.left > 0 && (broken.meant)(path);
            let Some(broken) = all.iter_mut().find(meant) else { return Ok(()) };
            broken.left -= 1;
            broken.harm
        };
        match harm {
            Harm::Full => Err(io::ErrorKind::StorageFull.into()),
            Harm::Panic => panic!("a test wants a panic at {step:?} of {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_step_and_the_directory_of_the_test_go_wrong_and_only_that_often() {
        if !cfg!(debug_assertions) {
            return;
        }
        let dir = tempfile::tempdir().expect("a temporary directory");
        let inside = dir.path().join("x");
        let meant = inside.clone();
        break_step(Step::SyncDir, Harm::Full, 1, move |path| *path == meant);
        assert!(check(Step::Rename, &inside).is_ok());
        assert!(check(Step::SyncDir, &dir.path().join("y")).is_ok());
        assert!(check(Step::SyncDir, Path::new("/x")).is_ok());
        let error = check(Step::SyncDir, &inside).expect_err("it was asked for");
        assert!(crate::is_disk_full(&error));
        assert!(check(Step::SyncDir, &inside).is_ok());
    }
}
