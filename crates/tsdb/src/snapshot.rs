//! Memory snapshots: what the head holds in memory only, written at shutdown, so that the next start reads little of the WAL.
//!
//! A snapshot is a directory `chunk_snapshot.SEGMENT.OFFSET` of the data directory: the open chunk of each series, all tombstones,
//! exemplars; it stands for the WAL up to that position. Full chunks lie in `chunks_head` and are not in it. The WAL keeps all
//! that the snapshot says: without one, with one that is broken, or with the feature off, everything is replayed.
//! Always true: a snapshot appears under its name only when it is whole and on the disk.
//! Must not know: how it is applied (`head::replay::snapshot`).
//! Facts: Prometheus `tsdb/docs/format/memory_snapshot.md`; directories by real Prometheus under `conformance/tsdb`.

use std::io;
use std::path::{Path, PathBuf};

use narthex_chunks::ChunkError;
use narthex_storage::SeriesRef;
use narthex_wal::record::DecodeError;
use narthex_wal::record::snapshot::{
    SnapshotRecord, decode_snapshot_exemplars, decode_snapshot_series, decode_snapshot_tombstones,
};
use narthex_wal::{ReadError, Reader, WalPosition, WriteError};

const PREFIX: &str = "chunk_snapshot.";

/// Why a snapshot cannot be written or read. The WAL has everything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// A directory cannot be listed, made, synced, renamed or deleted.
    #[error("cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The log's writer failed.
    #[error("cannot write the snapshot")]
    Write(#[from] WriteError),
    /// Wrong bytes, or the disk.
    #[error("cannot read the snapshot")]
    Read(#[from] ReadError),
    /// The disk is too full for the chunks that a snapshot does not have.
    #[error("full chunks are still in memory")]
    ChunksInMemory,
    /// The log names a series twice; a later end of the process will have a snapshot.
    #[error("the WAL has series under more than one reference")]
    Aliases,
    /// The open chunk of a series cannot be read back.
    #[error("the open chunk of series {} cannot be read", series.0)]
    Chunk {
        series: SeriesRef,
        #[source]
        source: ChunkError,
    },
    /// Its last records are missing.
    #[error("snapshot {} has no record of tombstones: it was cut", path.display())]
    Cut { path: PathBuf },
}

impl SnapshotError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// A snapshot on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) dir: PathBuf,
    /// It stands for the WAL before this.
    pub(crate) position: WalPosition,
}

impl Snapshot {
    pub(crate) fn named(data_dir: &Path, position: WalPosition) -> Self {
        let name = format!("{PREFIX}{:06}.{:010}", position.segment, position.offset);
        Self { dir: data_dir.join(name), position }
    }

    /// The newest snapshot of a data directory.
    pub(crate) fn newest(data_dir: &Path) -> Result<Option<Self>, SnapshotError> {
        Ok(list(data_dir)?.into_iter().max_by_key(|snapshot| snapshot.position))
    }

    /// Reads all of it: checksums, layout, and that it ends where it should.
    pub(crate) fn check(&self) -> Result<(), SnapshotError> {
        let mut is_whole = false;
        self.for_each(|record| {
            match SnapshotRecord::of(record) {
                SnapshotRecord::Series => decode_snapshot_series(record).map(drop)?,
                SnapshotRecord::Tombstones => {
                    is_whole = true;
                    decode_snapshot_tombstones(record, |_| {})?;
                }
                // What no version knows is refused by the decoder.
                SnapshotRecord::Exemplars | SnapshotRecord::Unknown => {
                    decode_snapshot_exemplars(record, |_| {})?;
                }
            }
            Ok(())
        })?;
        if is_whole { Ok(()) } else { Err(SnapshotError::Cut { path: self.dir.clone() }) }
    }

    /// Shows each record to `visit`.
    pub(crate) fn for_each(
        &self,
        mut visit: impl FnMut(&[u8]) -> Result<(), DecodeError>,
    ) -> Result<(), ReadError> {
        let mut reader = Reader::open_dir(&self.dir)?;
        while let Some(record) = reader.next()? {
            let at = record.start;
            visit(record.bytes).map_err(|error| ReadError::content(&self.dir, at, error))?;
        }
        Ok(())
    }
}

fn list(data_dir: &Path) -> Result<Vec<Snapshot>, SnapshotError> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(data_dir).map_err(SnapshotError::io("list", data_dir))?;
    for entry in entries {
        let dir = entry.map_err(SnapshotError::io("list", data_dir))?.path();
        if let Some(position) = dir.file_name().and_then(|name| position_of(name.to_str()?)) {
            found.push(Snapshot { dir, position });
        }
    }
    Ok(found)
}

fn position_of(name: &str) -> Option<WalPosition> {
    let (segment, offset) = name.strip_prefix(PREFIX)?.split_once('.')?;
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let position = WalPosition { segment: segment.parse().ok()?, offset: offset.parse().ok()? };
    (are_digits(segment) && are_digits(offset)).then_some(position)
}

/// Deletes snapshots that stand for less than `position`; `None` for all of them.
pub(crate) fn delete_before(data_dir: &Path, position: Option<WalPosition>) -> Result<(), SnapshotError> {
    for old in list(data_dir)? {
        if position.is_none_or(|position| old.position < position) {
            narthex_disk::remove_dir_all(&old.dir).map_err(SnapshotError::io("delete snapshot", &old.dir))?;
        }
    }
    Ok(())
}

/// Deletes what a snapshot that was not finished left: `chunk_snapshot.*.tmp`.
pub(crate) fn sweep(data_dir: &Path) -> Result<(), SnapshotError> {
    let entries = std::fs::read_dir(data_dir).map_err(SnapshotError::io("list", data_dir))?;
    for entry in entries {
        let path = entry.map_err(SnapshotError::io("list", data_dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(PREFIX) && name.ends_with(".tmp") && path.is_dir() {
            narthex_disk::remove_dir_all(&path)
                .map_err(SnapshotError::io("delete half-written snapshot", &path))?;
            tracing::info!(dir = %path.display(), "deleted a memory snapshot that was not finished");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_by_segment_and_offset_is_found_and_older_ones_go() {
        let dir = crate::scratch::tempdir().unwrap();
        assert_eq!(Snapshot::newest(dir.path()).unwrap(), None);
        let names = [
            "000002.0000000900",
            "000010.0000000001",
            "000010.0000000020",
            "000011.0000000001.tmp",
            "12",
            "a.b",
        ];
        for name in names {
            std::fs::create_dir(dir.path().join(format!("{PREFIX}{name}"))).unwrap();
        }
        let newest = Snapshot::newest(dir.path()).unwrap().unwrap();
        assert_eq!(newest, Snapshot::named(dir.path(), WalPosition { segment: 10, offset: 20 }));
        delete_before(dir.path(), Some(newest.position)).unwrap();
        assert_eq!(list(dir.path()).unwrap(), [newest]);
        sweep(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "what is not ours stays");
        delete_before(dir.path(), None).unwrap();
        assert_eq!(list(dir.path()).unwrap(), []);
    }
}
