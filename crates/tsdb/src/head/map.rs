//! Full chunks go to the files of `chunks_head` and are mapped: what stays in memory is 24 bytes each.
//!
//! Always true: a chunk is in memory until it can be read from its file; a file is deleted when no series names a chunk in it.
//! The files are a cache: all their samples are in the WAL too, so a failed write changes nothing. But what lies in them need not
//! be built again by a start after a crash, which is then several times faster.
//! Must not know: what the files look like (`head_chunks`).
//! Locks: the caller holds `Head::reclaim`, so that no chunk leaves while it is on its way to a file; of the pages, one at a time.

use std::sync::atomic::Ordering;

use super::Head;
use super::page::Page;
use super::series::FileChunk;
use super::slab::{generation, place, reference, slot_at};
use crate::head_chunks::{ChunkBatch, HeadChunks, HeadChunksError};
use narthex_storage::SeriesRef;

/// Chunks of one series in a batch, by rising time.
struct OnItsWay {
    series: SeriesRef,
    /// References are those of nothing yet.
    chunks: Vec<FileChunk>,
}

/// So many full chunks are worth a look at all series before its time.
const MANY_CHUNKS: u64 = 8192;

impl Head {
    /// Whether so many chunks became full since they were last written that it should not wait for the next look: they cost a
    /// crash's start more time than writing them now, and memory. A test of two numbers.
    pub(crate) fn has_many_full_chunks(&self) -> bool {
        // The look costs some nanoseconds a series, a chunk 1 µs.
        self.chunks_begun.load(Ordering::Relaxed) >= MANY_CHUNKS.max(self.series_count() / 8)
    }

    /// Writes all full chunks to files. Returns how many.
    ///
    /// # Errors
    /// The disk failed: what was not written stays in memory, and the next call tries it again.
    pub(crate) fn map_chunks(&self) -> Result<u64, HeadChunksError> {
        let Some(files) = self.chunk_files.get() else { return Ok(0) };
        let _reclaim = self.reclaim.lock();
        self.chunks_begun.store(0, Ordering::Relaxed);
        let (mut batch, mut on_their_way, mut count) = (ChunkBatch::default(), Vec::new(), 0);
        for (number, page) in self.slab.pages() {
            gather(number, page, &mut batch, &mut on_their_way);
            if batch.is_full() {
                count += self.write_chunks(files, &mut batch, &mut on_their_way)?;
            }
        }
        Ok(count + self.write_chunks(files, &mut batch, &mut on_their_way)?)
    }

    fn write_chunks(
        &self,
        files: &HeadChunks,
        batch: &mut ChunkBatch,
        on_their_way: &mut Vec<OnItsWay>,
    ) -> Result<u64, HeadChunksError> {
        let _in_flight = self.chunks_in_flight.read();
        let written = files.write(batch)?;
        let mut places = written.iter();
        for OnItsWay { series, chunks } in on_their_way.iter_mut() {
            chunks.iter_mut().zip(&mut places).for_each(|(chunk, place)| chunk.chunk = *place);
            let (page, at) = (self.slab.page(series.0 as u32), place(series.0 as u32));
            // It cannot have left: it has samples.
            if let Some(mut rows) = page.and_then(|page| page.lock(at, generation(*series))) {
                rows.series_mut(at).settle(chunks);
            }
        }
        on_their_way.clear();
        batch.clear();
        Ok(written.len() as u64)
    }
}

/// Copies the full chunks of a page into the batch.
fn gather(number: u32, page: &Page, batch: &mut ChunkBatch, on_their_way: &mut Vec<OnItsWay>) {
    let rows = page.rows.lock();
    for at in page.occupied() {
        let (sealed, Some(generation)) = (rows.series(at).sealed(), page.generation(at)) else { continue };
        if sealed.is_empty() {
            continue;
        }
        let series = reference(generation, slot_at(number, at));
        sealed.iter().for_each(|chunk| batch.push(series, chunk, false));
        let chunks = sealed.iter().map(FileChunk::on_its_way).collect();
        on_their_way.push(OnItsWay { series, chunks });
    }
}
