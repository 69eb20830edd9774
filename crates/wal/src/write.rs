//! The writer: a batch of records becomes one system call.
//!
//! `log` packs a whole batch in memory, fragments and page padding included, and writes it at the segment's end. A batch never
//! crosses into another segment (a segment grows past its size for a batch that is larger than a segment), so that a failed
//! write can be undone by cutting the file. Syncing is the business of a thread (`sync`): `log` does not wait
//! for the disk, but for one that does not keep up with a promise of syncs.
//! Must not know: what records say.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::compress::{Compression, Compressor};
use super::dir::{DirError, list_segments, segment_path};
use super::fragment::{left_in_page, put_fragments};
use super::metrics::WalMetrics;
use super::sync::Syncer;
use super::tail::Tip;
use super::{PAGE_SIZE, WalPosition};

/// How a log is written.
#[derive(Clone, Copy, Debug)]
pub struct WalOptions {
    /// A segment is closed when the next batch would make it larger; a multiple of [`PAGE_SIZE`], at most 1 GiB.
    pub segment_size_bytes: u64,
    /// How records are compressed.
    pub compression: Compression,
    /// How long after a sync of the segment being written the next one begins, if there is something to sync. A power cut
    /// takes nothing that was acknowledged longer ago than this (or the length of a sync, if that is longer) plus one sync.
    /// 0: only full segments are synced, as Prometheus does.
    pub sync_interval: Duration,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            segment_size_bytes: 128 << 20,
            compression: Compression::default(),
            sync_interval: Duration::ZERO,
        }
    }
}

/// Why the log could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Listing or making the directory, opening a segment.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// The size is not a multiple of a page, or out of bounds.
    #[error("WAL segment size {0} is not a multiple of 32768 between 32768 and 1073741824")]
    SegmentSize(u64),
    /// A batch could not be written; nothing of it stays.
    #[error("cannot write WAL segment {}", path.display())]
    Io {
        /// The segment's file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        let kind = match &error {
            WriteError::Io { source, .. } | WriteError::Dir(DirError::Io { source, .. }) => source.kind(),
            WriteError::Dir(DirError::Gap { .. }) | WriteError::SegmentSize(_) => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Appends batches to a log. One per directory; the caller holds the data directory's lock.
pub struct Writer {
    dir: PathBuf,
    options: WalOptions,
    segment: Segment,
    /// Whether bytes of a failed batch may lie beyond `segment.len`.
    dirty: bool,
    compressor: Compressor,
    /// The batch as it goes to disk; kept for its memory.
    batch: Vec<u8>,
    /// Sum of the closed segments' sizes.
    closed_bytes: u64,
    syncer: Syncer,
    tip: Tip,
    metrics: WalMetrics,
}

struct Segment {
    number: u32,
    file: Arc<File>,
    /// Bytes of acknowledged batches, padding included.
    len: u64,
}

impl Segment {
    fn create(dir: &Path, number: u32) -> Result<Self, DirError> {
        let path = segment_path(dir, number);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|source| DirError::io("create WAL segment", &path, source))?;
        Ok(Self { number, file: Arc::new(file), len: 0 })
    }
}

/// A buffer above this size is given back after the batch that needed it.
const KEEP_BATCH_BYTES: usize = 1 << 20;

impl Writer {
    /// Opens the log in `dir` (made if absent) and starts a new segment after the last one that is there.
    /// Replay and [`repair`](super::repair) come before this.
    ///
    /// # Errors
    /// `SegmentSize`, `Dir`, `Io`.
    pub fn open(dir: &Path, options: WalOptions, metrics: WalMetrics) -> Result<Self, WriteError> {
        let size = options.segment_size_bytes;
        if size == 0 || size > 1 << 30 || !size.is_multiple_of(PAGE_SIZE as u64) {
            return Err(WriteError::SegmentSize(size));
        }
        make_dir(dir).map_err(|source| DirError::io("make directory", dir, source))?;
        let segments = list_segments(dir)?;
        let segment = Segment::create(dir, segments.last().map_or(0, |last| last + 1))?;
        let compressor = Compressor::new(options.compression)
            .map_err(|source| WriteError::Io { path: dir.to_owned(), source })?;
        let tip = Tip::at(WalPosition { segment: segment.number, offset: 0 });
        let current = (segment.number, Arc::clone(&segment.file));
        let sync_duration_s = metrics.fsync_duration_s.clone();
        let syncer =
            Syncer::new(dir.to_owned(), current, tip.clone(), options.sync_interval, sync_duration_s);
        let sizes = segments.iter().filter_map(|s| std::fs::metadata(segment_path(dir, *s)).ok());
        let writer = Self {
            dir: dir.to_owned(),
            options,
            dirty: false,
            compressor,
            batch: Vec::new(),
            closed_bytes: sizes.map(|meta| meta.len()).sum(),
            syncer,
            tip,
            segment,
            metrics,
        };
        writer.publish();
        Ok(writer)
    }

    /// Writes a batch and returns the position behind it. When it returns, the batch lies in the page cache: it survives
    /// the process, and a power cut once its segment was synced.
    ///
    /// # Errors
    /// `Io`, `Dir`: nothing of the batch stays in the log, a later call may work.
    pub fn log(&mut self, records: &[&[u8]]) -> Result<WalPosition, WriteError> {
        self.log_if(records, || Ok(()))
    }

    /// Writes a batch that only stands when `then` works, which runs after the write and before anybody who follows the log
    /// may see the batch: for batches that go to two logs.
    ///
    /// # Errors
    /// As `log`, and the error of `then`: nothing of the batch stays.
    pub fn log_if(
        &mut self,
        records: &[&[u8]],
        then: impl FnOnce() -> Result<(), WriteError>,
    ) -> Result<WalPosition, WriteError> {
        if records.is_empty() {
            return then().map(|()| self.position());
        }
        let logged = self.try_log(records).and_then(|end| match then() {
            Ok(()) => Ok(end),
            Err(error) => {
                self.take_back();
                Err(error)
            }
        });
        match &logged {
            Ok(_) => self.publish(),
            Err(_) => self.metrics.writes_failed.inc(),
        }
        if self.batch.capacity() > KEEP_BATCH_BYTES {
            self.batch = Vec::new();
        }
        logged
    }

    fn try_log(&mut self, records: &[&[u8]]) -> Result<WalPosition, WriteError> {
        self.undo_failed_batch()?;
        let mut parts = self.pack(records);
        let end = self.segment.len + self.batch.len() as u64;
        if end > self.options.segment_size_bytes && self.segment.len > 0 {
            self.rotate()?;
            parts = self.pack(records);
        }
        self.write_batch()?;
        self.metrics.record_part_writes.add(parts as f64);
        Ok(self.position())
    }

    /// Lays the records out as they follow the segment's end. Returns the number of fragments.
    fn pack(&mut self, records: &[&[u8]]) -> u64 {
        self.batch.clear();
        let (mut parts, mut saved) = (0, 0);
        for record in records {
            let (packed, compression) = self.compressor.compress(record);
            saved += record.len() - packed.len();
            parts += put_fragments(packed, compression, self.segment.len, &mut self.batch);
        }
        if saved > 0 {
            self.metrics.record_bytes_saved.add(saved as f64);
        }
        parts
    }

    fn write_batch(&mut self) -> Result<(), WriteError> {
        let len = self.batch.len() as u64;
        if let Err(source) = self.segment.file.write_all_at(&self.batch, self.segment.len) {
            self.dirty = true;
            let failed = WriteError::Io { path: segment_path(&self.dir, self.segment.number), source };
            // The next call tries again when this fails too.
            let _ = self.undo_failed_batch();
            return Err(failed);
        }
        let pages_before = self.segment.len / PAGE_SIZE as u64;
        self.segment.len += len;
        self.metrics.page_flushes.inc();
        self.metrics.completed_pages.add((self.segment.len / PAGE_SIZE as u64 - pages_before) as f64);
        self.metrics.record_part_bytes.add(len as f64);
        Ok(())
    }

    /// Cuts the batch that was just written off again.
    #[cold]
    fn take_back(&mut self) {
        self.segment.len -= self.batch.len() as u64;
        self.dirty = true;
        // The next call tries again when this fails.
        let _ = self.undo_failed_batch();
    }

    fn undo_failed_batch(&mut self) -> Result<(), WriteError> {
        if self.dirty {
            self.segment.file.set_len(self.segment.len).map_err(|source| WriteError::Io {
                path: segment_path(&self.dir, self.segment.number),
                source,
            })?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Closes the segment and starts the next one, as before a checkpoint. Returns the new segment's number.
    ///
    /// # Errors
    /// `Io`, `Dir`: the old segment goes on.
    pub fn next_segment(&mut self) -> Result<u32, WriteError> {
        self.undo_failed_batch()?;
        self.rotate()?;
        self.publish();
        Ok(self.segment.number)
    }

    fn rotate(&mut self) -> Result<(), WriteError> {
        self.pad_page()?;
        let next = Segment::create(&self.dir, self.segment.number + 1)?;
        let full = std::mem::replace(&mut self.segment, next);
        self.closed_bytes += full.len;
        self.syncer.rotated((self.segment.number, Arc::clone(&self.segment.file)));
        Ok(())
    }

    /// Fills the last page with zeros; an empty or full one is left alone.
    fn pad_page(&mut self) -> Result<(), WriteError> {
        self.batch.clear();
        let left = left_in_page(self.segment.len);
        if left < PAGE_SIZE {
            self.batch.resize(left, 0);
            self.write_batch()?;
        }
        Ok(())
    }

    /// Deletes all segments below `segment`. Who still needs one must have been asked before.
    ///
    /// # Errors
    /// `Dir`; segments before the one that could not be deleted are gone.
    pub fn truncate_before(&mut self, segment: u32) -> Result<(), WriteError> {
        self.metrics.truncations.inc();
        let deleted = delete_segments_before(&self.dir, segment.min(self.segment.number));
        self.truncated(deleted.as_ref().ok().copied());
        Ok(deleted.map(drop)?)
    }

    /// Takes note that somebody deleted segments of this many bytes with [`delete_segments_before`]; `None` when that failed.
    pub fn truncated(&mut self, bytes: Option<u64>) {
        match bytes {
            Some(bytes) => self.closed_bytes = self.closed_bytes.saturating_sub(bytes),
            None => self.metrics.truncations_failed.inc(),
        }
        self.publish();
    }

    /// Where the next batch goes.
    #[must_use]
    pub fn position(&self) -> WalPosition {
        WalPosition { segment: self.segment.number, offset: self.segment.len }
    }

    /// How this log is written.
    #[must_use]
    pub fn options(&self) -> WalOptions {
        self.options
    }

    /// The directory that holds the segments.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A handle that always knows how far acknowledged batches reach; for [`Tailer`](super::Tailer).
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.tip.clone()
    }

    /// Pads the last page, syncs, closes. Without this call the log is as after a crash: complete, but not synced.
    ///
    /// # Errors
    /// `Io`.
    pub fn close(mut self) -> Result<(), WriteError> {
        self.undo_failed_batch()?;
        self.pad_page()?;
        self.publish();
        let Self { syncer, dir, .. } = self;
        syncer
            .close()
            .map_err(|(segment, source)| WriteError::Io { path: segment_path(&dir, segment), source })
    }

    /// A handle that always knows how far the log is safe from a power cut. See [`WalOptions::sync_interval`].
    #[must_use]
    pub fn synced(&self) -> Tip {
        self.syncer.synced()
    }

    /// Why a sync failed since this was last asked. What was written since the last one that worked may be lost with the
    /// power; [`Writer::next_segment`] begins a file that can be trusted again. Costs one atomic load while all is well.
    #[must_use]
    pub fn take_sync_failure(&self) -> Option<WriteError> {
        let (segment, source) = self.syncer.take_failure()?;
        Some(WriteError::Io { path: segment_path(&self.dir, segment), source })
    }

    fn publish(&self) {
        self.tip.publish(self.position());
        self.metrics.segment_current.set(f64::from(self.segment.number));
        self.metrics.storage_size_bytes.set((self.closed_bytes + self.segment.len) as f64);
    }
}

/// Makes a directory whose name survives a power cut.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), narthex_disk::sync_dir)
}

/// Deletes all segments of `dir` below `segment` and returns how many bytes they had. Who still needs one must have been asked
/// before; a [`Writer`] of the log is told with [`Writer::truncated`].
///
/// # Errors
/// The disk's; segments before the one that could not be deleted are gone.
pub fn delete_segments_before(dir: &Path, segment: u32) -> Result<u64, DirError> {
    let mut bytes = 0;
    for number in list_segments(dir)? {
        if number >= segment {
            break;
        }
        let path = segment_path(dir, number);
        bytes += std::fs::metadata(&path).map_or(0, |meta| meta.len());
        std::fs::remove_file(&path).map_err(|source| DirError::io("delete WAL segment", &path, source))?;
        narthex_disk::point("wal.truncate");
    }
    Ok(bytes)
}
