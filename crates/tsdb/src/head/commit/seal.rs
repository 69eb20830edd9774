//! The commit's side road on which full lists of late samples become chunks, before the batch's own samples are logged.
//!
//! The pages are locked, so nobody else changes a list meanwhile. Nothing here can fail the commit: when a chunk cannot be
//! written (a full disk), its samples stay in the list, which grows, and the next commit tries again.

use std::sync::atomic::Ordering;

use narthex_storage::SeriesRef;
use narthex_wal::record::{self, MmapMarker};

use super::find;
use crate::head::Head;
use crate::head::batch::Batch;
use crate::head::late::LateChunk;
use crate::head::late::seal::encode;
use crate::head::page::Readers;
use crate::head::slab::PageCursor;
use crate::head_chunks::{ChunkBatch, ChunkRef, HeadChunks};
use narthex_chunks::{SealedChunk, sample_count};

/// Chunks on their way to a file, by series.
#[derive(Default)]
pub(crate) struct LateSeals {
    batch: ChunkBatch,
    /// Each series with the time ranges and sample counts of its chunks.
    series: Vec<(SeriesRef, Vec<LateChunk>)>,
}

impl LateSeals {
    /// Takes the chunks that a list became.
    pub(crate) fn push(&mut self, series: SeriesRef, chunks: &[SealedChunk]) {
        let unplaced = |chunk: &SealedChunk| LateChunk {
            chunk: ChunkRef(0),
            min_ms: chunk.min_ms,
            max_ms: chunk.max_ms,
            samples: sample_count(chunk.encoding, &chunk.bytes).unwrap_or(0) as u16,
        };
        chunks.iter().for_each(|chunk| self.batch.push(series, chunk, true));
        self.series.push((series, chunks.iter().map(unplaced).collect()));
    }

    pub(crate) fn is_full(&self) -> bool {
        self.batch.is_full()
    }
}

impl Head {
    /// Seals the full lists of the series that the batch has late samples for, and lays out their markers.
    #[cold]
    pub(super) fn seal_full_lists(&self, batch: &mut Batch) {
        let Some(files) = self.chunk_files.get() else { return };
        let readers = self.isolation.readers();
        let mut cursor = PageCursor::new(&self.slab);
        let (mut seals, mut markers) = (LateSeals::default(), Vec::new());
        for series in batch.late.chunk_by(|a, b| a.series == b.series).map(|samples| samples[0].series) {
            if let Some(list) = self.full_list(&mut cursor, series, &readers) {
                seals.push(series, &list);
            }
            if seals.is_full() {
                self.write_seals(files, std::mem::take(&mut seals), &mut markers);
            }
        }
        self.write_seals(files, seals, &mut markers);
        record::encode_mmap_markers(&markers, &mut batch.marker_bytes);
    }

    fn full_list(
        &self,
        cursor: &mut PageCursor<'_>,
        series: SeriesRef,
        readers: &Readers,
    ) -> Option<Vec<SealedChunk>> {
        let (page, place) = find(cursor, series);
        let rows = page.rows.lock();
        let list = rows.series(place).late().filter(|late| late.is_full(readers))?.list().to_vec();
        drop(rows);
        Some(encode(&list, self.cut_rule().floats))
    }

    /// Writes chunks and puts them in the place of the lists they were made of. The pages of the series are locked.
    pub(crate) fn write_seals(&self, files: &HeadChunks, seals: LateSeals, markers: &mut Vec<MmapMarker>) {
        if seals.series.is_empty() {
            return;
        }
        let _in_flight = self.chunks_in_flight.read();
        let written = files.write_late(&seals.batch);
        let failed_before = self.late_chunks_fail.swap(written.is_err(), Ordering::Relaxed);
        let mut refs = match written {
            Ok(refs) => refs.into_iter(),
            Err(error) => {
                if !failed_before {
                    tracing::warn!(%error, "chunks of late samples cannot be written; the samples stay in memory");
                }
                return;
            }
        };
        let mut cursor = PageCursor::new(&self.slab);
        for (series, mut chunks) in seals.series {
            for (chunk, at) in chunks.iter_mut().zip(&mut refs) {
                chunk.chunk = at;
                markers.push(MmapMarker { series, chunk: at.0 });
            }
            let (page, place) = find(&mut cursor, series);
            self.metrics.chunks_created(chunks.len() as u64);
            page.rows.lock().series_mut(place).with_late(|late| late.replace_list(chunks.into_iter()));
        }
    }
}
