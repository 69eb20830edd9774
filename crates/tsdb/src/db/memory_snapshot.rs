//! The memory snapshot in the life of a database: used at start, written at the end.
//!
//! Nothing here can fail a start or an end: the WAL has all that a snapshot says.
//! Always true: a snapshot that a start does not use is deleted then, and one that the WAL was cut behind is deleted with the cut.
//! From there on the log goes its own way, forgets series and deletes, may give their references to others; together with the old
//! snapshot it would tell of what never was. (Prometheus keeps it, with the feature off, and reads it when that is on again.)

use narthex_wal::{WalPosition, WriteError, Writer, list_segments, segment_path};

use super::Shared;
use crate::snapshot::{Snapshot, SnapshotError, delete_before, sweep};

impl Shared {
    /// The newest snapshot, if it can be trusted: it is whole, the WAL reaches as far, and all chunk files are as they were. What
    /// is wrong is logged and counted, and all of the WAL is replayed. What is not used goes.
    pub(super) fn usable_snapshot(&self, chunks_were_repaired: bool) -> Option<Snapshot> {
        let usable = self.trusted_snapshot(chunks_were_repaired);
        if usable.is_none() {
            self.delete_snapshots_before(None);
        }
        usable
    }

    /// Deletes snapshots that stand for less of the WAL than up to `position`; `None` for all.
    pub(super) fn delete_snapshots_before(&self, position: Option<WalPosition>) {
        if let Err(error) = delete_before(self.data_dir(), position) {
            tracing::error!(%error, source = ?error, "cannot delete an old memory snapshot; delete it before a start that may read it");
        }
    }

    fn trusted_snapshot(&self, chunks_were_repaired: bool) -> Option<Snapshot> {
        let found = self.find_snapshot();
        let usable = found.inspect_err(|error| {
            self.head.metrics.snapshot_failed();
            tracing::error!(%error, source = ?error, "cannot use the memory snapshot; the WAL is replayed from its start");
        });
        let usable = usable.ok().flatten()?;
        if chunks_were_repaired {
            tracing::warn!(
                "chunks were lost that the memory snapshot relies on; the WAL is replayed from its start"
            );
            return None;
        }
        Some(usable)
    }

    fn find_snapshot(&self) -> Result<Option<Snapshot>, SnapshotError> {
        let data_dir = self.data_dir();
        sweep(data_dir)?;
        if !self.options.memory_snapshot_on_shutdown {
            return Ok(None);
        }
        let Some(newest) = Snapshot::newest(data_dir)? else { return Ok(None) };
        let segments = match self.wal_dir.is_dir() {
            true => list_segments(&self.wal_dir).map_err(narthex_wal::ReadError::from)?,
            false => Vec::new(),
        };
        if segments.last().is_none_or(|last| *last < newest.position.segment) {
            tracing::warn!("the WAL is behind the memory snapshot, which is deleted");
            return Ok(None);
        }
        newest.check()?;
        Ok(Some(newest))
    }

    /// Closes the WAL and, if that is wanted, writes a snapshot of what it says.
    pub(super) fn close_wal(&self, mut wal: Writer) -> Result<(), WriteError> {
        if !self.options.memory_snapshot_on_shutdown {
            return wal.close();
        }
        let introduced = self.head.introduce_all(&mut wal);
        let (segment, dir) = (wal.position().segment, wal.dir().to_owned());
        wal.close()?;
        let offset = std::fs::metadata(segment_path(&dir, segment)).map(|meta| meta.len());
        let written = introduced.map_err(SnapshotError::from).and_then(|()| {
            let offset = offset.map_err(SnapshotError::io("look at", &segment_path(&dir, segment)))?;
            let position = WalPosition { segment, offset };
            self.head.write_snapshot(self.data_dir(), position, self.options.wal.compression)
        });
        match written {
            Ok(series) => tracing::info!(series, "memory snapshot complete"),
            Err(error) => {
                tracing::error!(%error, source = ?error, "no memory snapshot; the next start replays the WAL");
            }
        }
        Ok(())
    }

    fn data_dir(&self) -> &std::path::Path {
        self.wal_dir.parent().expect("the WAL lies in the data directory")
    }
}
