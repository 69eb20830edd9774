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

    /// Lets the system take back the memory that shows the file. It stays in the system's cache as long as there is room, from
    /// where the next look at a place brings it back, 16 pages a time.
    pub(crate) fn release(&self) {
        #[expect(unsafe_code, reason = "for memory without a file behind it the call would mean zeros")]
        // SAFETY: the mapping is of a file and nobody writes to it, so that each page comes back as it was.
        let released = unsafe { self.0.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        // Nothing depends on it; a system that cannot do so keeps the memory.
        let _ = released;
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the process that show files.
    fn resident_file_bytes() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssFile:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    #[test]
    fn what_was_released_comes_back_as_it_was() {
        const LEN: u64 = 32 << 20;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let content: Vec<u8> = (0..LEN).map(|at| (at / 4096) as u8 ^ at as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let file = Mapped::open(&path).unwrap();
        assert!(file.bytes() == content);
        let before = resident_file_bytes();
        file.release();
        // Other tests of this process map files too, but smaller ones.
        assert!(before.saturating_sub(resident_file_bytes()) > LEN / 2);
        assert!(file.bytes() == content);
    }
}
