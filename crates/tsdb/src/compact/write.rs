//! Writing a block from sources: their series merged in label order, streamed into a `BlockWriter`.
//!
//! Always true: the block is there with all its samples, or not at all.
//! Memory: all symbols of the sources once, the series of each source that comes next, the decoded samples of one series where
//! its chunks overlap or are cut, and what the writer gathers (`WriterOptions::postings_bytes`); none of it grows with samples.
//! Must not know: which blocks are merged, what becomes of the old ones.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
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
use super::source::{CompactionSource, SeriesCursor, SourceSeries};

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
        let mut symbols = Symbols::default();
        for source in &sources {
            source.symbols(&mut |text| symbols.add(text))?;
        }
        symbols.sorted().try_for_each(|text| writer.add_symbol(text))?;
        drop(symbols);
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

/// Texts of several sources, each of which may come often.
#[derive(Default)]
struct Symbols {
    texts: String,
    ends: Vec<usize>,
}

impl Symbols {
    fn add(&mut self, text: &str) {
        self.texts.push_str(text);
        self.ends.push(self.texts.len());
    }

    /// Each text once, in the order of their bytes.
    fn sorted(&self) -> impl Iterator<Item = &str> {
        let mut begin = 0;
        let mut all: Vec<&str> =
            self.ends.iter().map(|end| &self.texts[std::mem::replace(&mut begin, *end)..*end]).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter()
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
