//! Writing a block from sources: their series merged in label order, streamed into a `BlockWriter`.
//!
//! Always true: the block is there with all its samples, or not at all.
//! Memory: the symbols of the new block once (in the writer) and those of the head, the series of each source that comes next, the decoded samples of one series where
//! its chunks overlap or are cut, and what the writer gathers (`WriterOptions::postings_bytes`); none of it grows with samples.
//! Must not know: which blocks are merged, what becomes of the old ones.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering as Memory};
use std::time::Instant;

use narthex_block::{BlockMeta, BlockWriter, ChunkPiece, Compaction, NewBlock, Ulid, WriterOptions};
use narthex_chunks::{BuildOptions, ChunkBuilder, ChunkError};
use narthex_disk::point;
use narthex_model::Labels;
use narthex_storage::QueryError;

use super::metrics::CompactMetrics;
use super::series_merge::SeriesMerger;
use super::source::{CompactionSource, SeriesCursor, SourceSeries, SymbolIter};

/// Why no block was written. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// A source cannot be read.
    #[error(transparent)]
    Read(#[from] QueryError),
    /// A chunk of a source cannot be decoded.
    #[error("cannot decode a chunk of series {labels}")]
    Chunk {
        /// The series.
        labels: Labels,
        /// What is wrong with it.
        #[source]
        source: ChunkError,
    },
    /// The block cannot be written.
    #[error("cannot write block")]
    Write(#[from] narthex_block::WriteError),
    /// The storage is closing.
    #[error("cancelled: the storage is closing")]
    Cancelled,
}

impl CompactError {
    /// Whether the sources' data are at fault, so that trying again cannot help.
    pub(crate) fn is_corruption(&self) -> bool {
        matches!(self, Self::Read(QueryError::Corrupt(_)) | Self::Chunk { .. })
    }
}

/// The block to be written.
pub(crate) struct Job<'a> {
    /// Its name.
    pub(crate) ulid: Ulid,
    /// Its range, ms; the end is open.
    pub(crate) range_ms: (i64, i64),
    /// Where it comes from.
    pub(crate) compaction: Compaction,
    /// Where its samples come from, in the order of their times.
    pub(crate) sources: Vec<Box<dyn CompactionSource + 'a>>,
}

/// What all jobs have in common.
pub(crate) struct Workshop<'a> {
    /// The directory that gets the block.
    pub(crate) dir: &'a Path,
    pub(crate) options: WriterOptions,
    /// How chunks are cut that are written again.
    pub(crate) chunks: BuildOptions,
    pub(crate) metrics: &'a CompactMetrics,
    /// Ends the work soon when set.
    pub(crate) stop: &'a AtomicBool,
}

impl Workshop<'_> {
    /// Writes the block; `None` when the sources have no sample for it, and then there is none.
    ///
    /// # Errors
    /// See [`CompactError`].
    pub(crate) fn write(&self, job: Job<'_>) -> Result<Option<BlockMeta>, CompactError> {
        let begin = Instant::now();
        self.metrics.populating.set(1.0);
        let written = self.populate(job);
        self.metrics.populating.set(0.0);
        self.metrics.finished(begin.elapsed());
        written
    }

    fn populate(&self, job: Job<'_>) -> Result<Option<BlockMeta>, CompactError> {
        let Job { ulid, range_ms, compaction, sources } = job;
        let first_time = compaction.level == 1;
        let new = NewBlock { ulid, min_ms: range_ms.0, max_ms: range_ms.1, compaction };
        let mut writer = BlockWriter::create(self.dir, new, &self.options)?;
        point("compact.created");
        let symbols = MergedSymbols::new(sources.iter().map(|source| source.symbols()).collect());
        symbols.for_each_once(|text| writer.add_symbol(text))?;
        let cursors: Result<Vec<_>, QueryError> = sources.iter().map(|source| source.series()).collect();
        let mut series = MergedSeries::new(cursors?)?;
        let mut merger = SeriesMerger::new(range_ms, ChunkBuilder::new(self.chunks));
        while let Some((labels, parts)) = series.next()? {
            if self.stop.load(Memory::Relaxed) {
                return Err(CompactError::Cancelled);
            }
            let chunks = merger
                .merge(&parts)
                .map_err(|source| CompactError::Chunk { labels: labels.clone(), source })?;
            self.add(&mut writer, labels, &chunks, first_time)?;
        }
        if writer.samples() == 0 {
            return Ok(None);
        }
        point("compact.populated");
        let meta = writer.finish()?;
        point("compact.written");
        Ok(Some(meta))
    }

    fn add(
        &self,
        writer: &mut BlockWriter,
        labels: &Labels,
        chunks: &[ChunkPiece<'_>],
        first_time: bool,
    ) -> Result<(), CompactError> {
        if chunks.is_empty() {
            return Ok(());
        }
        if first_time {
            self.metrics.first_time(chunks);
        }
        Ok(writer.add_series(labels, chunks)?)
    }
}

/// The symbols of several sources in order.
struct MergedSymbols<'a> {
    sources: Vec<SymbolIter<'a>>,
    /// The next text of each source that has one, lowest first.
    waiting: BinaryHeap<Reverse<(Cow<'a, str>, usize)>>,
}

impl<'a> MergedSymbols<'a> {
    fn new(mut sources: Vec<SymbolIter<'a>>) -> Self {
        let firsts =
            sources.iter_mut().enumerate().filter_map(|(at, source)| Some(Reverse((source.next()?, at))));
        let waiting = firsts.collect();
        Self { sources, waiting }
    }

    /// Calls `add` with each text once, until it fails.
    fn for_each_once<E>(mut self, mut add: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let mut last = None;
        while let Some(mut first) = self.waiting.peek_mut() {
            let source = first.0.1;
            let text = match self.sources[source].next() {
                Some(next) => std::mem::replace(&mut first.0.0, next),
                None => PeekMut::pop(first).0.0,
            };
            if last.as_ref() != Some(&text) {
                add(&text)?;
                last = Some(text);
            }
        }
        Ok(())
    }
}

/// Walks several sources together.
struct MergedSeries<'a> {
    cursors: Vec<Box<dyn SeriesCursor + 'a>>,
    /// What each cursor is at.
    current: Vec<SourceSeries>,
    /// Cursors that are at a series, lowest labels first; equal ones in the order of the sources.
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Cursors whose series was given last.
    given: Vec<usize>,
}

struct Waiting {
    labels: Labels,
    source: usize,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.labels == other.labels {
            true => self.source.cmp(&other.source),
            false => self.labels.cmp(&other.labels),
        }
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

impl<'a> MergedSeries<'a> {
    fn new(cursors: Vec<Box<dyn SeriesCursor + 'a>>) -> Result<Self, QueryError> {
        let current = cursors.iter().map(|_| SourceSeries::default()).collect();
        let given = (0..cursors.len()).collect();
        Ok(Self { cursors, current, waiting: BinaryHeap::new(), given })
    }

    /// The next label set with what the sources have of it.
    fn next(&mut self) -> Result<Option<(&Labels, Vec<&SourceSeries>)>, QueryError> {
        for source in std::mem::take(&mut self.given) {
            if self.cursors[source].next(&mut self.current[source])? {
                let labels = self.current[source].labels.clone();
                self.waiting.push(Reverse(Waiting { labels, source }));
            }
        }
        let Some(Reverse(first)) = self.waiting.pop() else { return Ok(None) };
        self.given.push(first.source);
        while let Some(same) = self.waiting.peek().filter(|next| next.0.labels == first.labels) {
            self.given.push(same.0.source);
            self.waiting.pop();
        }
        let parts = self.given.iter().map(|source| &self.current[*source]).collect();
        Ok(Some((&self.current[first.source].labels, parts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(sources: &[&[&'static str]]) -> Vec<String> {
        let all = sources
            .iter()
            .map(|texts| -> SymbolIter<'_> { Box::new(texts.iter().map(|text| Cow::Borrowed(*text))) });
        let mut out = Vec::new();
        let added: Result<(), ()> = MergedSymbols::new(all.collect()).for_each_once(|text| {
            out.push(text.to_owned());
            Ok(())
        });
        added.map(|()| out).unwrap()
    }

    #[test]
    fn symbols_of_all_sources_come_once_and_in_order() {
        assert_eq!(merged(&[]), [""; 0]);
        assert_eq!(merged(&[&[], &[""], &[]]), [""]);
        assert_eq!(merged(&[&["", "a", "c"], &["a", "b", "z"], &["a", "a", "c"]]), ["", "a", "b", "c", "z"]);
        let mut added = 0;
        let sources: Vec<SymbolIter<'_>> = vec![Box::new(["a", "b", "c"].into_iter().map(Cow::Borrowed))];
        let failed = MergedSymbols::new(sources).for_each_once(|text| {
            added += 1;
            if text == "b" { Err("full") } else { Ok(()) }
        });
        assert_eq!((failed, added), (Err("full"), 2), "an error ends it");
    }
}
