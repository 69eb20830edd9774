//! A mapped head chunk file: the one place where this crate maps files.
//!
//! Always true: only bytes below `readable` are handed out; they were written before `readable` was raised, and are never
//! written again. A file is only ever cut below that before it is mapped or after all mappings of it are gone.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::{Mmap, MmapOptions};

/// The bytes of a file that may grow.
pub(super) struct Mapping {
    map: Mmap,
    /// Raised by the one writer, read by all.
    readable: AtomicUsize,
}

impl Mapping {
    /// Maps the first `readable` bytes of a file and leaves room in the address space for `capacity`.
    pub(super) fn new(file: &File, readable: usize, capacity: usize) -> io::Result<Self> {
        let capacity = capacity.max(readable);
        #[expect(unsafe_code, reason = "mapping a file is only safe as long as nobody else changes it")]
        // SAFETY: the file is ours (the data directory is locked) and its first `readable` bytes no longer change. Pages
        // behind the end of the file would fault, but `bytes` never reaches them.
        let map = unsafe { MmapOptions::new().len(capacity).map(file)? };
        Ok(Self { map, readable: AtomicUsize::new(readable) })
    }

    /// What was written so far.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.map[..self.readable.load(Ordering::Acquire)]
    }

    /// Shows more bytes, which the caller has written; at most the capacity.
    pub(super) fn grow(&self, readable: usize) {
        assert!(readable <= self.map.len(), "a head chunk file never outgrows its mapping");
        self.readable.fetch_max(readable, Ordering::Release);
    }
}
