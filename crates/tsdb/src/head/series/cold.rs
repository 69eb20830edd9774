//! What most young series do not have: chunks that take no more samples, histograms, deleted intervals, late samples.
//!
//! Always true: chunks in files lie before the sealed ones in time, these before the open one. One allocation, made when the first
//! of it comes.

use narthex_chunks::SealedChunk;

use super::super::histograms::OpenHistograms;
use super::super::late::LateSamples;
use crate::head_chunks::ChunkRef;

/// A chunk that lies in a head chunk file. `[min_ms, max_ms]` is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileChunk {
    pub(crate) chunk: ChunkRef,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
}

impl FileChunk {
    /// What a sealed chunk will be when it is written; its reference is that of nothing yet.
    pub(crate) fn on_its_way(sealed: &SealedChunk) -> Self {
        Self { chunk: ChunkRef(0), min_ms: sealed.min_ms, max_ms: sealed.max_ms }
    }

    /// Whether it overlaps a closed range.
    pub(crate) fn overlaps(&self, (mint_ms, maxt_ms): (i64, i64)) -> bool {
        self.min_ms <= maxt_ms && self.max_ms >= mint_ms
    }
}

/// See the module's words.
#[derive(Debug, Default)]
pub(super) struct Cold {
    /// Rising in time, all before the sealed chunks.
    pub(super) in_files: Vec<FileChunk>,
    /// Of all kinds, rising in time, all before the open chunk.
    pub(super) sealed: Vec<SealedChunk>,
    /// The open chunk of histograms; then that of floats is empty.
    pub(super) histograms: Option<Box<OpenHistograms>>,
    /// Deleted intervals, closed at both ends, ms.
    pub(super) deleted: Vec<(i64, i64)>,
    /// Floats that came out of order.
    pub(super) late: Option<Box<LateSamples>>,
}

impl Cold {
    /// Adds a chunk later than all others.
    pub(super) fn add_sealed(&mut self, sealed: SealedChunk) {
        if self.sealed.len() == self.sealed.capacity() {
            self.sealed.reserve_exact(4);
        }
        self.sealed.push(sealed);
    }

    /// Takes out the chunks that end before `mint_ms`, and deleted intervals too. Returns how many chunks.
    pub(super) fn drop_before(&mut self, mint_ms: i64) -> u64 {
        let in_files = self.in_files.partition_point(|chunk| chunk.max_ms < mint_ms);
        drop_first(&mut self.in_files, in_files);
        let chunks = self.sealed.partition_point(|chunk| chunk.max_ms < mint_ms);
        drop_first(&mut self.sealed, chunks);
        let open = self.histograms.take_if(|open| open.last_ms() < mint_ms);
        self.deleted.retain(|(_, maxt_ms)| *maxt_ms >= mint_ms);
        (in_files + chunks) as u64 + u64::from(open.is_some())
    }

    /// Whether there is a sample.
    pub(super) fn has_samples(&self) -> bool {
        !(self.in_files.is_empty()
            && self.sealed.is_empty()
            && self.histograms.is_none()
            && self.late.is_none())
    }

    /// Whether there is nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_samples() && self.deleted.is_empty()
    }
}

/// Takes out the first elements, with their memory.
pub(super) fn drop_first<T>(list: &mut Vec<T>, count: usize) {
    if count > 0 {
        list.drain(..count);
        list.shrink_to_fit();
    }
}
