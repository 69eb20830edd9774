//! Writing to head chunk files: the one that grows, and those that are full and have to reach the disk.
//!
//! Always true: what a failed write left is cut off before the next; a full file leaves the list of unsynced ones only when
//! all its chunks are on the disk.
//! After a failed sync the system may have dropped what it could not write, and a second sync of the same file says that all is
//! well. So such a file is written again from what can still be read of it, each chunk checked, and takes the old one's
//! place; when chunks cannot be read any more, nothing younger is written, and the next start gets them from the WAL.
//! Must not know: chunks, but for where they end.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use narthex_disk::{point, replace_file, sync_dir, sync_file};

use super::map::Mapping;
use super::record::{self, HEADER_BYTES, RecordFault};
use super::{ChunkFile, Files, HeadChunksError};

/// The files that are written, or not on the disk yet.
pub(super) struct Writer {
    pub(super) current: Option<Current>,
    /// Full files, or those of an earlier run, that are not synced yet; oldest first.
    pub(super) unsynced: Vec<Full>,
    /// The number of the next file.
    pub(super) next: u32,
}

impl Writer {
    pub(super) fn new(next: u32) -> Self {
        Self { current: None, unsynced: Vec::new(), next }
    }

    /// Makes all full files durable.
    pub(super) fn sync_full(&mut self, files: &Files) -> Result<(), HeadChunksError> {
        while let Some(full) = self.unsynced.first_mut() {
            point("head_chunks.sync");
            full.make_durable(files)?;
            self.unsynced.remove(0);
        }
        Ok(())
    }

    /// Makes all files durable.
    pub(super) fn sync_all(&mut self, files: &Files) -> Result<(), HeadChunksError> {
        self.sync_full(files)?;
        let failed = |current: &mut Current| current.sync().is_err();
        if let Some(current) = self.current.take_if(failed) {
            self.unsynced.push(Full { is_doubtful: true, ..Full::from(current) });
        }
        self.sync_full(files)
    }
}

/// The file that takes the next batch.
pub(super) struct Current {
    pub(super) number: u32,
    file: File,
    /// Bytes that stand.
    pub(super) len: usize,
    /// Whether a part of a failed batch may lie behind them.
    dirty: bool,
    pub(super) shared: Arc<ChunkFile>,
}

/// Makes a file with its header.
pub(super) fn begin(number: u32, path: &Path, capacity: usize) -> io::Result<Current> {
    // Truncated: a try that failed may have left it, and no chunk lies in a file with this number.
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    point("head_chunks.begin");
    file.write_all_at(&record::header(), 0)?;
    // The header before the name: a power cut must not leave a file with half a header, which refuses the next start.
    sync_file(&file, path)?;
    sync_dir(path.parent().unwrap_or(path))?;
    let mapping = Mapping::new(&file, HEADER_BYTES, capacity)?;
    let shared = Arc::new(ChunkFile { path: path.to_owned(), mapping });
    Ok(Current { number, file, len: HEADER_BYTES, dirty: false, shared })
}

impl Current {
    /// Writes behind what stands, and shows it.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), HeadChunksError> {
        point("head_chunks.write");
        let written = self.undo_failed_write().and_then(|()| self.file.write_all_at(bytes, self.len as u64));
        if let Err(source) = written {
            // What was written in part must not stay: the next start would take the file for corrupt. When this fails too,
            // the next batch tries again.
            self.dirty = true;
            let _ = self.undo_failed_write();
            return Err(HeadChunksError::io("write", &self.shared.path, source));
        }
        self.len += bytes.len();
        self.shared.mapping.grow(self.len);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        sync_file(&self.file, &self.shared.path).inspect_err(|error| warn_of_sync(&self.shared, error))
    }

    fn undo_failed_write(&mut self) -> io::Result<()> {
        if self.dirty {
            self.file.set_len(self.len as u64)?;
            self.dirty = false;
        }
        Ok(())
    }
}

/// A file that takes no more chunks.
pub(super) struct Full {
    pub(super) number: u32,
    /// None for one of an earlier run.
    pub(super) file: Option<File>,
    shared: Arc<ChunkFile>,
    /// Where its chunks end.
    end: usize,
    /// A sync failed: no other says whether the chunks are on the disk.
    is_doubtful: bool,
}

impl From<Current> for Full {
    fn from(current: Current) -> Self {
        let Current { number, file, len, shared, .. } = current;
        Self { number, file: Some(file), shared, end: len, is_doubtful: false }
    }
}

impl Full {
    /// One of an earlier run, whose chunks end at `end`.
    pub(super) fn found(number: u32, shared: &Arc<ChunkFile>, end: usize) -> Self {
        Self { number, file: None, shared: Arc::clone(shared), end, is_doubtful: false }
    }

    fn make_durable(&mut self, files: &Files) -> Result<(), HeadChunksError> {
        if !self.is_doubtful {
            match self.sync() {
                Ok(()) => return Ok(()),
                Err(error) => warn_of_sync(&self.shared, &error),
            }
            self.is_doubtful = true;
        }
        self.write_again(files)
    }

    fn sync(&self) -> io::Result<()> {
        let path = &self.shared.path;
        match &self.file {
            Some(file) => sync_file(file, path),
            None => sync_file(&File::open(path)?, path),
        }
    }

    /// Puts a new file with the same chunks at the same places into the place of this one.
    fn write_again(&self, files: &Files) -> Result<(), HeadChunksError> {
        let path = &self.shared.path;
        self.check_chunks().map_err(|(offset, fault)| HeadChunksError::Corrupt {
            path: path.clone(),
            offset: offset as u32,
            fault,
        })?;
        point("head_chunks.write_again");
        let failed = |source| HeadChunksError::io("write again", path, source);
        replace_file(path, &self.shared.mapping.bytes()[..self.end]).map_err(failed)?;
        let mapping = super::files::map(path)?;
        let again = Arc::new(ChunkFile { path: path.clone(), mapping });
        files.write().insert(self.number, again);
        tracing::info!(file = %path.display(), "head chunk file was written again and is on the disk");
        Ok(())
    }

    /// Where the first chunk lies that cannot be read any more, and why.
    fn check_chunks(&self) -> Result<(), (usize, RecordFault)> {
        let mut at = HEADER_BYTES;
        while at < self.end {
            match record::parse(self.shared.mapping.bytes(), at) {
                Ok(Some(record)) => at = record.end,
                Ok(None) => return Err((at, RecordFault::Hole)),
                Err(fault) => return Err((at, fault)),
            }
        }
        Ok(())
    }
}

fn warn_of_sync(file: &ChunkFile, error: &io::Error) {
    tracing::warn!(file = %file.path.display(), %error, "head chunk file cannot be synced; it is written again");
}
