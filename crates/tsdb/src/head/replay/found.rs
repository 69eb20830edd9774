//! The chunks that a start found in `chunks_head`, and how those in order come back to their series.
//!
//! A series gets its chunks when its record is read, before any of its samples: the log's samples up to the end of the last
//! chunk are then passed over, as they lie in the chunks.
//! Always true: whatever is wrong with a chunk (no series, not in order, a second reference for the same labels), leaving it out
//! loses nothing, because the log has its samples too.
//! Must not know: the files, the log.

use std::collections::HashMap;

use narthex_storage::SeriesRef;
use rustc_hash::FxBuildHasher;

use super::late::FoundLate;
use crate::head::Head;
use crate::head::series::FileChunk;
use crate::head::slab::{Slot, place};
use crate::head_chunks::FoundChunk;

/// Chunks by the references that the WAL has.
#[derive(Default)]
pub(crate) struct Found {
    pub(super) late: FoundLate,
    in_order: HashMap<SeriesRef, Vec<FileChunk>, FxBuildHasher>,
}

/// What was given to a series: how many chunks, and the closed range of their timestamps, ms.
pub(super) struct Attached {
    pub(super) chunks: u64,
    pub(super) span: (i64, i64),
}

impl Found {
    /// Takes a chunk, in the order of the files.
    pub(crate) fn add(&mut self, found: &FoundChunk) {
        if found.late {
            return self.late.add(found);
        }
        let FoundChunk { chunk, min_ms, max_ms, .. } = *found;
        self.in_order.entry(found.series).or_default().push(FileChunk { chunk, min_ms, max_ms });
    }

    /// Gives a series that was just made its chunks, but for those that end before `floor_ms`, which lie in blocks.
    pub(super) fn attach(
        &mut self,
        head: &Head,
        series: SeriesRef,
        slot: Slot,
        floor_ms: i64,
    ) -> Option<Attached> {
        let mut chunks = self.in_order.remove(&series)?;
        chunks.retain(|chunk| chunk.max_ms >= floor_ms);
        let page = head.slab.page(slot)?;
        let mut rows = page.rows.lock();
        let row = rows.series_mut(place(slot));
        let chunks = row.attach(chunks);
        if chunks == 0 {
            return None;
        }
        page.claim(place(slot), row.last_ms());
        Some(Attached { chunks, span: (row.first_ms(), row.last_ms()) })
    }

    /// The references of chunks that no series took.
    pub(super) fn unclaimed(&self) -> impl Iterator<Item = SeriesRef> + '_ {
        self.in_order.keys().copied()
    }
}
