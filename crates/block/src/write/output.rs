//! A file that grows: buffered, with its position known and a running checksum.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::{WriteError, failed};

/// Memory of one file's buffer.
const BUFFER_BYTES: usize = 512 << 10;

/// A new file.
pub(super) struct Output {
    file: BufWriter<File>,
    path: PathBuf,
    position: u64,
    checksum: u32,
}

impl Output {
    pub(super) fn create(path: PathBuf) -> Result<Self, WriteError> {
        let file = File::create_new(&path).map_err(failed("create", &path))?;
        Ok(Self { file: BufWriter::with_capacity(BUFFER_BYTES, file), path, position: 0, checksum: 0 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes were written.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.file.write_all(bytes).map_err(failed("write", &self.path))?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Writes bytes that the checksum covers, which starts anew with [`Output::write_checksum`].
    pub(super) fn write_covered(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.checksum = crc32c::crc32c_append(self.checksum, bytes);
        self.write(bytes)
    }

    /// The checksum of what was covered so far.
    pub(super) fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Writes a checksum and starts the next one.
    pub(super) fn write_checksum(&mut self, checksum: u32) -> Result<(), WriteError> {
        self.checksum = 0;
        self.write(&checksum.to_be_bytes())
    }

    /// Writes zeros up to a multiple of `align`.
    pub(super) fn pad(&mut self, align: u64) -> Result<(), WriteError> {
        let zeros = [0; 16];
        let missing = (align - self.position % align) % align;
        self.write(&zeros[..missing as usize])
    }

    /// Gives everything to the system, so that others can read it.
    pub(super) fn flush(&mut self) -> Result<(), WriteError> {
        self.file.flush().map_err(failed("write", &self.path))
    }

    /// Replaces four bytes that were written before.
    pub(super) fn patch(&mut self, position: u64, bytes: [u8; 4]) -> Result<(), WriteError> {
        self.flush()?;
        self.file.get_ref().write_all_at(&bytes, position).map_err(failed("write", &self.path))
    }

    /// Makes the file durable.
    pub(super) fn finish(mut self) -> Result<(), WriteError> {
        self.flush()?;
        narthex_disk::sync_file(self.file.get_ref(), &self.path).map_err(failed("sync", &self.path))
    }
}
