//! Replay from a memory snapshot: it stands for the WAL before its position.
//!
//! The snapshot was read and checked whole before: what is wrong with it was found before the head knows anything of it.
//! Series come with their references, chunks from `chunks_head` first, then the open chunk, which takes no more samples.
//! The series records of the log before the snapshot are read nonetheless: their references must not be given to other series,
//! and as long as the log has samples under them, checkpoints keep their records.

use std::path::Path;

use narthex_chunks::{Encoding, SealedChunk};
use narthex_wal::record::snapshot::{
    SnapshotChunk, SnapshotRecord, SnapshotSeries, decode_snapshot_exemplars, decode_snapshot_series,
    decode_snapshot_tombstones,
};
use narthex_wal::record::{DecodeError, RecordType, decode_series};
use narthex_wal::{ReadError, Reader, ReplayPlan, WalPosition};

use super::Replay;
use crate::head::slab::place;
use crate::snapshot::Snapshot;

impl Replay<'_> {
    /// Fills an empty head.
    pub(super) fn read_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), ReadError> {
        snapshot.for_each(|record| self.apply_snapshot(record))?;
        tracing::info!(dir = %snapshot.dir.display(), series = self.head.series_count(), "memory snapshot loaded");
        Ok(())
    }

    fn apply_snapshot(&mut self, record: &[u8]) -> Result<(), DecodeError> {
        match SnapshotRecord::of(record) {
            SnapshotRecord::Series => self.add_snapshot_series(&decode_snapshot_series(record)?),
            SnapshotRecord::Tombstones => decode_snapshot_tombstones(record, |t| self.add_tombstone(t))?,
            SnapshotRecord::Exemplars | SnapshotRecord::Unknown => {
                decode_snapshot_exemplars(record, |exemplar| self.add_exemplar(&exemplar))?;
            }
        }
        Ok(())
    }

    fn add_snapshot_series(&mut self, found: &SnapshotSeries<'_>) {
        self.add_series(found.series, found.labels);
        let Some(chunk) = found.chunk.and_then(|chunk| sealed(&chunk)) else { return };
        let Some(slot) = self.references.find(self.head, found.series) else { return };
        let Some(page) = self.head.slab.page(slot) else { return };
        let mut rows = page.rows.lock();
        let row = rows.series_mut(place(slot));
        // An older snapshot may hold what lies in files, or in blocks, by now.
        if chunk.min_ms <= row.last_ms() || chunk.max_ms < self.floor_ms {
            return;
        }
        self.span = (self.span.0.min(chunk.min_ms), self.span.1.max(chunk.max_ms));
        self.chunks += 1;
        page.claim(place(slot), chunk.max_ms);
        row.restore(chunk);
    }

    /// Reads the series records before `position`, of which the head may not know all.
    pub(super) fn remember_older(
        &mut self,
        dir: &Path,
        plan: &ReplayPlan,
        position: WalPosition,
    ) -> Result<(), ReadError> {
        if let Some((number, checkpoint)) = &plan.checkpoint {
            self.remember(Reader::open_dir(checkpoint)?, None, *number)?;
        }
        if let Some(first) = plan.segments.first().filter(|first| **first <= position.segment) {
            let reader = Reader::open(dir, WalPosition { segment: *first, offset: 0 }, position.segment)?;
            self.remember(reader, Some(position), position.segment)?;
        }
        Ok(())
    }

    fn remember(&mut self, mut reader: Reader, to: Option<WalPosition>, last: u32) -> Result<(), ReadError> {
        while reader.position().is_some_and(|at| to.is_none_or(|to| at < to)) {
            let Some(record) = reader.next_series()? else { break };
            if RecordType::of(record.bytes) != RecordType::Series {
                continue;
            }
            // What makes no sense here makes none to a replay either.
            let newest_ms = self.span.1;
            let _ = decode_series(record.bytes, |series, _| {
                if self.head.slab.find(series).is_none() {
                    self.references.burn(self.head, series);
                    self.head.expire(series, last, newest_ms);
                }
            });
        }
        Ok(())
    }
}

/// `None` for a chunk that says nothing.
fn sealed(chunk: &SnapshotChunk<'_>) -> Option<SealedChunk> {
    let encoding = Encoding::try_from(chunk.encoding).ok()?;
    (chunk.min_ms <= chunk.max_ms).then(|| SealedChunk {
        min_ms: chunk.min_ms,
        max_ms: chunk.max_ms,
        encoding,
        bytes: chunk.bytes.into(),
    })
}
