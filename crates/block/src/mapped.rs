//! Files of a block in memory without reading them: the only unsafe lines of this crate.

use std::fs::File;
use std::io;
use std::path::Path;

/// A file as bytes. They stay readable after the file was deleted.
#[derive(Debug)]
pub(crate) struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps all of a file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        #[expect(unsafe_code, reason = "a mapped file can only be made by an unsafe call")]
        // SAFETY: the files of a finished block are never changed in place, by us or by Prometheus: they are replaced or deleted
        // whole, which leaves this mapping as it was. Nothing here relies on the bytes for memory safety: every use is a slice
        // with checked bounds.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Self(map))
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
