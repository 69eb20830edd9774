//! A full list of late samples becomes chunks of `chunks_head`; and at a restart, what the chunks hold leaves the list again.
//!
//! The log of late samples (WBL) gets a marker for each chunk, before the next samples of the series: everything of the series
//! that stands before the marker lies in chunks. A list is only sealed when every reader sees all of it, so that chunks need no
//! commit numbers.
//! Always true: a sample leaves the list only when a chunk that can be read holds it. A marker is believed only as far as its
//! chunk is there and holds the very samples; so a lost chunk costs nothing as long as the log has its samples.

use narthex_chunks::{
    BuildOptions, ChunkBuilder, ChunkSample, ChunkValue, FloatEncoding, SealedChunk, for_each,
};
use rustc_hash::FxHashSet;

use super::{LateChunk, LateSample, LateSamples, LateValue};
use crate::head::histograms::StoredHistogram;
use crate::head::page::Readers;
use crate::head_chunks::{ChunkRef, HeadChunks};

/// Samples of a full list. COMPAT: Prometheus' default of `OutOfOrderCapMax`; unit tests fill one sooner.
pub(crate) const FULL: usize = if cfg!(test) { 4 } else { 32 };

impl LateSamples {
    /// Whether the list should become chunks, and may: all readers see all of it.
    pub(crate) fn is_full(&self, readers: &Readers) -> bool {
        self.list.len() >= FULL && self.all_seen(readers)
    }

    /// Whether all readers, present and to come, see the whole list.
    pub(crate) fn all_seen(&self, readers: &Readers) -> bool {
        let oldest = readers.held.first().map_or(readers.visible, |held| readers.visible.min(*held));
        self.list.iter().all(|sample| sample.seq <= oldest)
    }

    /// The list, rising in time.
    pub(crate) fn list(&self) -> &[LateSample] {
        &self.list
    }

    /// Adds a chunk that a start found.
    pub(crate) fn add_chunk(&mut self, chunk: LateChunk) {
        self.chunks.push(chunk);
    }

    /// Puts chunks in the place of the list, whose samples they hold.
    pub(crate) fn replace_list(&mut self, chunks: impl Iterator<Item = LateChunk>) {
        self.list = Vec::new();
        self.chunks.extend(chunks);
    }

    /// Takes the samples out of the list that a chunk of the series holds; 0 stands for all of its chunks.
    pub(crate) fn settle(&mut self, chunk: ChunkRef, files: &HeadChunks) {
        let Self { list, chunks } = self;
        for known in chunks.iter().filter(|known| chunk.0 == 0 || known.chunk == chunk) {
            let span = list.first().zip(list.last()).map(|(first, last)| (first.t_ms, last.t_ms));
            match span {
                None => return,
                // PERF: the usual case needs no decoding: the list is what the chunk was made of.
                Some(span)
                    if span == (known.min_ms, known.max_ms) && list.len() == usize::from(known.samples) =>
                {
                    list.clear();
                }
                Some(_) => {
                    let held = times_of(known, files);
                    list.retain(|sample| !held.contains(&sample.t_ms));
                }
            }
        }
    }
}

/// When the samples of a chunk are; nothing for one that cannot be read.
fn times_of(chunk: &LateChunk, files: &HeadChunks) -> FxHashSet<i64> {
    let mut times = FxHashSet::default();
    if let Ok(mapped) = files.chunk(chunk.chunk) {
        let all = (i64::MIN, i64::MAX);
        let read = for_each(mapped.encoding, mapped.bytes(), all, |sample| {
            times.insert(sample.t_ms);
        });
        if read.is_err() {
            times.clear();
        }
    }
    times
}

/// A list as chunks, rising in time.
pub(crate) fn encode(list: &[LateSample], floats: FloatEncoding) -> Vec<SealedChunk> {
    let mut builder = ChunkBuilder::new(BuildOptions { floats, ..BuildOptions::default() });
    let mut chunks = Vec::with_capacity(1);
    for sample in list {
        let value = match &sample.value {
            LateValue::Float(value) => ChunkValue::Float(*value),
            LateValue::Histogram(StoredHistogram::Int(h)) => ChunkValue::Histogram(h),
            LateValue::Histogram(StoredHistogram::Float(h)) => ChunkValue::FloatHistogram(h),
        };
        let (t_ms, start_ms) = (sample.t_ms, sample.start_ms);
        builder.push(ChunkSample { t_ms, start_ms, value }, &mut chunks);
    }
    builder.finish(&mut chunks);
    chunks
}
