//! What a file looks like from outside, to see that it changed without reading it.
//!
//! Always true: two stamps that are equal and settled were taken of the same content. A file that was written a moment ago may
//! be written again within the clock's step of the file system without a trace; its stamp is equal to nothing.

use std::path::Path;
use std::time::{Duration, SystemTime};

/// Longer than the step of any file system's clock that we know (kernel ticks; seconds on some network file systems).
const SETTLES_AFTER: Duration = Duration::from_millis(1200);

/// The look of a file at one moment. A file that cannot be seen has a look, too.
#[derive(Clone, Debug)]
pub(crate) struct FileStamp {
    look: Option<Look>,
    settled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    modified: SystemTime,
    /// Seconds and nanoseconds; also a rename or a change of rights moves it.
    changed: (i64, i64),
    bytes: u64,
    inode: u64,
}

impl FileStamp {
    /// The look of `path` now. Follows links.
    pub(crate) fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let look = std::fs::metadata(path).ok().and_then(|meta| {
            let modified = meta.modified().ok()?;
            let changed = (meta.ctime(), meta.ctime_nsec());
            Some(Look { modified, changed, bytes: meta.len(), inode: meta.ino() })
        });
        let age = look.map(|look| SystemTime::now().duration_since(look.modified));
        // A time in the future says nothing: such a file is taken as it looks.
        let settled = !matches!(age, Some(Ok(age)) if age < SETTLES_AFTER);
        Self { look, settled }
    }

    /// Whether the file may be being written.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.settled
    }

    /// Whether the content is surely the same as when `earlier` was taken.
    pub(crate) fn is_same(&self, earlier: &Self) -> bool {
        self.look == earlier.look && earlier.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_just_written_looks_like_nothing_seen_before() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let fresh = FileStamp::of(file.path());
        assert!(fresh.is_fresh() && !FileStamp::of(file.path()).is_same(&fresh));
        let old = SystemTime::now() - Duration::from_secs(60);
        file.as_file().set_modified(old).unwrap();
        let settled = FileStamp::of(file.path());
        assert!(!settled.is_fresh());
        assert!(FileStamp::of(file.path()).is_same(&settled));
        std::fs::write(file.path(), "x").unwrap();
        assert!(!FileStamp::of(file.path()).is_same(&settled));
        let gone = FileStamp::of(Path::new("/nosuch/file"));
        assert!(FileStamp::of(Path::new("/nosuch/file")).is_same(&gone) && !settled.is_same(&gone));
    }
}
