//! Named points at which a debug build can be killed, and the journal of what was made durable.
//!
//! `NARTHEX_CRASH_AT=name` kills the process (as `kill -9` does) when it reaches the point; `name:3` at the third time.
//! `NARTHEX_DISK_JOURNAL=file` gets one line a step: the step, the length of the file at that time, its path; for a renaming both
//! paths, with a tab between.
//! PERF: a release build has empty functions here.

use std::fs::File;
use std::path::Path;

/// A point at which a test may kill the process. Names read `area.step`.
#[inline]
pub fn point(name: &str) {
    #[cfg(debug_assertions)]
    debug::point(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Bytes of a file that is about to be synced; 0 when there is no journal.
#[inline]
pub(crate) fn journal_len(file: &File) -> u64 {
    #[cfg(debug_assertions)]
    return debug::len(file);
    #[cfg(not(debug_assertions))]
    {
        let _ = file;
        0
    }
}

#[inline]
pub(crate) fn journal(step: &str, len: u64, path: &Path) {
    #[cfg(debug_assertions)]
    debug::write(&format!("{step} {len} {}", path.display()));
    #[cfg(not(debug_assertions))]
    let _ = (step, len, path);
}

#[inline]
pub(crate) fn journal_rename(from: &Path, to: &Path) {
    #[cfg(debug_assertions)]
    debug::write(&format!("rename 0 {}\t{}", from.display(), to.display()));
    #[cfg(not(debug_assertions))]
    let _ = (from, to);
}

#[cfg(debug_assertions)]
mod debug {
    use std::fs::{File, OpenOptions};
    use std::io::Write as _;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, OnceLock, PoisonError};

    struct Crash {
        name: String,
        nth: u64,
        seen: AtomicU64,
    }

    static CRASH: OnceLock<Option<Crash>> = OnceLock::new();
    static JOURNAL: OnceLock<Option<Mutex<File>>> = OnceLock::new();

    fn wanted() -> Option<Crash> {
        let text = std::env::var("NARTHEX_CRASH_AT").ok()?;
        let (name, nth) = match text.split_once(':') {
            Some((name, nth)) => (name.to_owned(), nth.parse().ok()?),
            None => (text, 1),
        };
        Some(Crash { name, nth, seen: AtomicU64::new(0) })
    }

    pub(super) fn point(name: &str) {
        let Some(crash) = CRASH.get_or_init(wanted) else { return };
        if crash.name == name && crash.seen.fetch_add(1, Ordering::Relaxed) + 1 == crash.nth {
            let _ = writeln!(std::io::stderr(), "killed at {name}, as NARTHEX_CRASH_AT asks");
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }

    fn open() -> Option<Mutex<File>> {
        let path = std::env::var_os("NARTHEX_DISK_JOURNAL")?;
        OpenOptions::new().append(true).create(true).open(path).ok().map(Mutex::new)
    }

    pub(super) fn len(file: &File) -> u64 {
        match JOURNAL.get_or_init(open) {
            Some(_) => file.metadata().map_or(0, |meta| meta.len()),
            None => 0,
        }
    }

    pub(super) fn write(line: &str) {
        let Some(journal) = JOURNAL.get_or_init(open) else { return };
        let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(journal, "{line}");
    }
}
