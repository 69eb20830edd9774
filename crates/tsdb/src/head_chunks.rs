//! The files of `chunks_head`: chunks of the head that take no more samples, on disk instead of in memory, and mapped.
//!
//! Roads in: [`HeadChunks::open`] lists what is there; a [`ChunkBatch`] gathers chunks and [`HeadChunks::write`] puts it on disk,
//! all or nothing; [`HeadChunks::chunk`] reads one back.
//! Always true: a [`ChunkRef`] that `write` returned can be read until its file is truncated away, and what was read stays
//! readable as long as the [`MappedChunk`] lives; per file, chunks lie one behind the other in the order of their batches.
//! The files are a cache: every sample in them also lies in the WAL or the WBL, so that they are synced only when a file is
//! full, and a corrupt one is cut. But a start believes that a series has no hole between two of its chunks, so a file is
//! durable before a younger one gets chunks in order; one that could not be synced is written again (`writer`).
//! Must not know: series, labels, the logs, which chunks are still needed.
//! Facts: Prometheus `tsdb/docs/format/head_chunks.md`; references are Prometheus' (file in the high 32 bits, offset in the low).

mod error;
mod files;
mod map;
mod metrics;
mod record;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use narthex_chunks::{Encoding, SealedChunk};
use narthex_disk::point;
use narthex_storage::SeriesRef;
use parking_lot::{Mutex, MutexGuard, RwLock};

pub use self::error::HeadChunksError;
use self::files::path_of;
use self::map::Mapping;
pub(crate) use self::metrics::HeadChunkMetrics;
use self::record::HEADER_BYTES;
pub use self::record::{HeaderFault, RecordFault};
use self::writer::{Current, Full, Writer, begin};

/// A file takes no batch that would make it larger than this. COMPAT: Prometheus' limit; unit tests stay small.
const FILE_BYTES: usize = if cfg!(test) { 1 << 20 } else { 128 << 20 };
/// A batch of about this size should be written.
const BATCH_BYTES: usize = 4 << 20;

/// Where a chunk lies: Prometheus' number for it, as it stands in the markers of the WBL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChunkRef(pub(crate) u64);

impl ChunkRef {
    fn new(file: u32, offset: u32) -> Self {
        Self(u64::from(file) << 32 | u64::from(offset))
    }

    /// The number of the file, for [`HeadChunks::truncate_before`].
    pub(crate) fn file(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Where in its file.
    pub(crate) fn offset(self) -> u32 {
        self.0 as u32
    }
}

/// A chunk that a start found. `[min_ms, max_ms]` is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundChunk {
    pub(crate) chunk: ChunkRef,
    /// As the WAL names the series.
    pub(crate) series: SeriesRef,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
    pub(crate) encoding: Encoding,
    /// Whether its samples came out of order.
    pub(crate) late: bool,
    pub(crate) samples: u16,
}

/// Chunks on their way to a file, laid out as they will lie there. Needs no lock.
#[derive(Default)]
pub(crate) struct ChunkBatch {
    bytes: Vec<u8>,
    /// Where each record begins.
    starts: Vec<u32>,
}

impl ChunkBatch {
    /// Adds a chunk. `series` is the reference that the WAL has; per series, chunks in order must rise in time.
    pub(crate) fn push(&mut self, series: SeriesRef, chunk: &SealedChunk, late: bool) {
        self.starts.push(u32::try_from(self.bytes.len()).expect("a batch is written long before 4 GiB"));
        record::put(series, chunk, late, &mut self.bytes);
    }

    /// Whether it is time to write.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Forgets the chunks and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }
}

/// Files by their numbers.
type Files = RwLock<BTreeMap<u32, Arc<ChunkFile>>>;

/// All head chunk files of a data directory. Locks: `writer` before `files`; no caller's code runs under either.
pub(crate) struct HeadChunks {
    dir: PathBuf,
    files: Files,
    writer: Mutex<Writer>,
    metrics: HeadChunkMetrics,
    was_repaired: bool,
}

struct ChunkFile {
    path: PathBuf,
    mapping: Mapping,
}

/// A file that stays readable.
pub(crate) struct PinnedFile(Arc<ChunkFile>);

impl PinnedFile {
    /// A chunk of this file, checked against its checksum.
    ///
    /// # Errors
    /// `Corrupt`, `NoChunk`.
    pub(crate) fn chunk(&self, chunk: ChunkRef) -> Result<MappedChunk, HeadChunksError> {
        let (path, offset) = (|| self.0.path.clone(), chunk.offset());
        let record = record::parse(self.0.mapping.bytes(), offset as usize)
            .map_err(|fault| HeadChunksError::Corrupt { path: path(), offset, fault })?;
        let no_chunk = || HeadChunksError::NoChunk { path: path(), offset };
        let record = record.ok_or_else(no_chunk)?;
        let encoding = Encoding::try_from(record.encoding).map_err(|_| no_chunk())?;
        Ok(MappedChunk { data: record.data, encoding, file: Arc::clone(&self.0) })
    }
}

/// A chunk in a mapped file. Keeps the file's bytes readable, even when the file is deleted.
pub(crate) struct MappedChunk {
    file: Arc<ChunkFile>,
    data: Range<usize>,
    pub(crate) encoding: Encoding,
}

impl MappedChunk {
    /// The chunk's bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.file.mapping.bytes()[self.data.clone()]
    }
}

impl HeadChunks {
    /// Opens (or makes) the directory, reads all files and tells of each chunk, file by file, in the order in which they were
    /// written. The first corrupt chunk and all behind it are cut away, logged and counted.
    ///
    /// # Errors
    /// `Header`, `Gap`: the directory stays as it is; `Io`.
    pub(crate) fn open(
        dir: &Path,
        metrics: HeadChunkMetrics,
        visit: &mut dyn FnMut(FoundChunk),
    ) -> Result<Self, HeadChunksError> {
        std::fs::create_dir_all(dir)
            .map_err(|source| HeadChunksError::io("make directory of", dir, source))?;
        let mut paths = files::list(dir)?;
        paths.values().try_for_each(|path| files::check(path))?;
        let numbers: Vec<u32> = paths.keys().copied().collect();
        let (mut was_repaired, mut ends) = (false, Vec::new());
        for number in numbers {
            let (end, fault) = files::scan(&paths[&number], number, visit)?;
            ends.push(end);
            if let Some(fault) = fault {
                metrics.corruptions.inc();
                files::repair(&mut paths, number, end as u64, fault)?;
                was_repaired = true;
                break;
            }
        }
        let opened = Self { was_repaired, ..Self::opened(dir, paths, metrics)? };
        // The last run may have ended before these were on the disk.
        let full =
            opened.files.read().iter().zip(ends).map(|((n, file), end)| Full::found(*n, file, end)).collect();
        opened.writer.lock().unsynced = full;
        Ok(opened)
    }

    /// Like `open`, but changes nothing: a directory that is not there has no chunks, and the first corrupt chunk and all behind it
    /// are left out.
    ///
    /// # Errors
    /// As `open`.
    pub(crate) fn open_to_read(
        dir: &Path,
        metrics: HeadChunkMetrics,
        visit: &mut dyn FnMut(FoundChunk),
    ) -> Result<Self, HeadChunksError> {
        let mut paths = if dir.is_dir() { files::list_plainly(dir)?.0 } else { BTreeMap::new() };
        paths.values().try_for_each(|path| files::check(path))?;
        let numbers: Vec<u32> = paths.keys().copied().collect();
        for number in numbers {
            if let (end, Some(fault)) = files::scan(&paths[&number], number, visit)? {
                tracing::warn!(
                    file = %paths[&number].display(),
                    offset = end,
                    error = %fault,
                    "head chunk file is corrupt; only what stands before the damage is read"
                );
                drop(paths.split_off(&(number + 1)));
                break;
            }
        }
        Self::opened(dir, paths, metrics)
    }

    fn opened(
        dir: &Path,
        paths: BTreeMap<u32, PathBuf>,
        metrics: HeadChunkMetrics,
    ) -> Result<Self, HeadChunksError> {
        let next = paths.last_key_value().map_or(1, |(last, _)| last + 1);
        let mut opened = BTreeMap::new();
        for (number, path) in paths {
            let mapping = files::map(&path)?;
            opened.insert(number, Arc::new(ChunkFile { path, mapping }));
        }
        let writer = Mutex::new(Writer::new(next));
        let this =
            Self { dir: dir.to_owned(), files: RwLock::new(opened), writer, metrics, was_repaired: false };
        this.publish_size();
        Ok(this)
    }

    /// Writes a batch and returns where its chunks lie now, in the batch's order; they can be read from then on. Syncs files that
    /// are full, so that a power cut never takes an older chunk and leaves a younger one.
    ///
    /// # Errors
    /// `Io` (a full disk among them): nothing of the batch was written, a later call may work.
    pub(crate) fn write(&self, batch: &ChunkBatch) -> Result<Vec<ChunkRef>, HeadChunksError> {
        let mut writer = self.writer.lock();
        self.make_room(&mut writer, batch)?;
        writer.sync_full(&self.files)?;
        self.append(writer, batch)
    }

    /// The same for chunks of late samples, whose order does not matter: leaves syncing to the next `write` or `sync`, so that
    /// a commit can call it.
    ///
    /// # Errors
    /// As `write`.
    pub(crate) fn write_late(&self, batch: &ChunkBatch) -> Result<Vec<ChunkRef>, HeadChunksError> {
        let mut writer = self.writer.lock();
        self.make_room(&mut writer, batch)?;
        self.append(writer, batch)
    }

    fn append(
        &self,
        mut writer: MutexGuard<'_, Writer>,
        batch: &ChunkBatch,
    ) -> Result<Vec<ChunkRef>, HeadChunksError> {
        let Some(current) = writer.current.as_mut().filter(|_| !batch.is_empty()) else {
            return Ok(Vec::new());
        };
        let (number, start) = (current.number, current.len as u32);
        current.append(&batch.bytes)?;
        drop(writer);
        self.metrics.chunks.add(batch.starts.len() as f64);
        self.publish_size();
        Ok(batch.starts.iter().map(|at| ChunkRef::new(number, start + at)).collect())
    }

    /// Makes sure that the present file takes the batch, or begins the next.
    fn make_room(&self, writer: &mut Writer, batch: &ChunkBatch) -> Result<(), HeadChunksError> {
        let fits = |current: &Current| current.len + batch.bytes.len() <= FILE_BYTES;
        if batch.is_empty() || writer.current.as_ref().is_some_and(fits) {
            return Ok(());
        }
        let (number, path) = (writer.next, path_of(&self.dir, writer.next));
        let current =
            begin(number, &path, FILE_BYTES.max(HEADER_BYTES + batch.bytes.len())).map_err(|source| {
                // An empty file would do no harm: the next try and the next start expect it.
                let _ = std::fs::remove_file(&path);
                HeadChunksError::io("create", &path, source)
            })?;
        self.files.write().insert(number, Arc::clone(&current.shared));
        let full = writer.current.replace(current);
        writer.unsynced.extend(full.map(Full::from));
        writer.next = number + 1;
        Ok(())
    }

    /// The file of a chunk, kept readable as long as the result lives, also when it is deleted. `None` when it is not there.
    /// PERF: a look into a small map; for callers who hold a lock, to read the chunk after it.
    pub(crate) fn pin(&self, chunk: ChunkRef) -> Option<PinnedFile> {
        self.files.read().get(&chunk.file()).map(|file| PinnedFile(Arc::clone(file)))
    }

    /// A chunk by its reference, checked against its checksum.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`, `NoChunk`.
    pub(crate) fn chunk(&self, chunk: ChunkRef) -> Result<MappedChunk, HeadChunksError> {
        let missing = || HeadChunksError::Missing { path: path_of(&self.dir, chunk.file()) };
        self.pin(chunk).ok_or_else(missing)?.chunk(chunk)
    }

    /// Where the next chunk will lie, or a place before it: all chunks that were written lie below it.
    pub(crate) fn end(&self) -> ChunkRef {
        let writer = self.writer.lock();
        match &writer.current {
            Some(current) => ChunkRef::new(current.number, current.len as u32),
            None => ChunkRef::new(writer.next, 0),
        }
    }

    /// Deletes all files below `file`, oldest first, and lets the next batch begin a new one, so that the present one can go
    /// soon. Who reads one of them may finish.
    ///
    /// # Errors
    /// `Io`; files before the one that could not be deleted are gone.
    pub(crate) fn truncate_before(&self, file: u32) -> Result<(), HeadChunksError> {
        let mut writer = self.writer.lock();
        if let Some(current) = writer.current.take_if(|current| current.len > HEADER_BYTES) {
            writer.unsynced.push(current.into());
        }
        writer.unsynced.retain(|full| full.number >= file);
        writer.sync_full(&self.files)?;
        let gone = {
            let mut files = self.files.write();
            let kept = files.split_off(&file);
            std::mem::replace(&mut *files, kept)
        };
        let mut gone = gone.into_iter();
        while let Some((number, old)) = gone.next() {
            point("head_chunks.truncate");
            if let Err(source) = std::fs::remove_file(&old.path) {
                let error = HeadChunksError::io("delete", &old.path, source);
                self.files.write().extend(std::iter::once((number, old)).chain(gone));
                return Err(error);
            }
        }
        drop(writer);
        self.publish_size();
        Ok(())
    }

    /// Bytes of all files.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.files.read().values().map(|file| file.mapping.bytes().len() as u64).sum()
    }

    /// Syncs what is not. Writing and reading still work.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn sync(&self) -> Result<(), HeadChunksError> {
        self.writer.lock().sync_all(&self.files)
    }

    /// Whether chunks were cut away when the directory was opened.
    pub(crate) fn was_repaired(&self) -> bool {
        self.was_repaired
    }

    fn publish_size(&self) {
        self.metrics.size_bytes.set(self.size_bytes() as f64);
    }
}
