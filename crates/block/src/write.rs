//! Making a block: all symbols first, then series by series with their chunks, then postings and description.
//!
//! Everything goes into `<ulid>.tmp-for-creation` beside the place of the block; the last step gives it its name. A crash
//! before that leaves a directory that the next start sweeps.
//! Memory, whatever the size of the block: 2 MiB of buffers, about 16 bytes a symbol, 4 bytes a series, and for postings
//! [`WriterOptions::postings_bytes`] or, if that is more, 12 bytes a series.
//! Facts: Prometheus `tsdb/docs/format/index.md`, `chunks.md`; the order of sections that `tsdb/index/index.go` writes.

mod chunks;
mod index;
mod output;
mod postings;
mod symbols;

use std::io;
use std::path::{Path, PathBuf};

use narthex_chunks::Encoding;
use narthex_model::Labels;

use crate::segments;
use crate::{BlockMeta, ChunkPiece, Compaction, MetaError, TombstoneError, Tombstones, Ulid};

use chunks::SegmentWriter;
use index::IndexWriter;

/// What a directory is called until its block is complete.
const UNFINISHED: &str = ".tmp-for-creation";

/// What the writer cannot know by itself.
#[derive(Clone, Debug)]
pub struct NewBlock {
    /// Its name.
    pub ulid: Ulid,
    /// Start of its range, ms, inclusive.
    pub min_ms: i64,
    /// End of its range, ms, exclusive.
    pub max_ms: i64,
    /// Where it comes from.
    pub compaction: Compaction,
}

/// Sizes of a writer.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// Most bytes of one file of chunks; a larger chunk gets a file of its own.
    pub segment_bytes: u64,
    /// Memory for postings while they are gathered.
    pub postings_bytes: usize,
}

impl Default for WriterOptions {
    /// Prometheus' segments; postings of about three million label pairs at a time.
    fn default() -> Self {
        Self { segment_bytes: 512 << 20, postings_bytes: 32 << 20 }
    }
}

/// Why a block could not be written. What was written of it is removed with the writer.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The system's reason.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// `meta.json`.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// `tombstones`.
    #[error(transparent)]
    Tombstones(#[from] TombstoneError),
    /// A symbol does not sort behind the one before it, or comes after the first series.
    #[error("symbol {text:?} out-of-order: the last one was {last:?}")]
    SymbolOrder {
        /// The symbol.
        text: String,
        /// The one before it.
        last: String,
    },
    /// A series has a text that was not added as symbol.
    #[error("symbol entry for {text:?} does not exist")]
    UnknownSymbol {
        /// The text.
        text: String,
    },
    /// A series does not sort behind the one before it.
    #[error("out-of-order series added with label set {labels}, last label set {last}")]
    SeriesOrder {
        /// The series.
        labels: Labels,
        /// The one before it.
        last: Labels,
    },
    /// The chunks of a series do not rise, or one is no chunk.
    #[error(
        "series {labels}: chunk of [{min_ms}, {max_ms}] ms cannot follow one that ends at {last_ms} ms, or is no chunk"
    )]
    Chunk {
        /// The series.
        labels: Labels,
        /// Start of the chunk.
        min_ms: i64,
        /// End of the chunk.
        max_ms: i64,
        /// End of the chunk before it, or the least time there is.
        last_ms: i64,
    },
    /// A part outgrows what its format can hold.
    #[error("exceeding max size: {what} of {} would be {bytes} bytes", path.display())]
    TooLarge {
        /// The part.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What it would need.
        bytes: u64,
    },
}

impl WriteError {
    /// Whether the disk is full, so that a later try may work.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Io { source, .. }
            | Self::Meta(MetaError::Io { source, .. })
            | Self::Tombstones(TombstoneError::Io { source, .. }) => narthex_disk::is_disk_full(source),
            _ => false,
        }
    }
}

/// Makes one block. Symbols first, then series, then [`BlockWriter::finish`]; dropping it before removes what it wrote.
pub struct BlockWriter {
    /// Where the block will lie.
    place: PathBuf,
    /// Where it lies until then.
    tmp: Unfinished,
    meta: BlockMeta,
    chunks: SegmentWriter,
    index: IndexWriter,
    /// The places of the chunks of one series; kept for its memory.
    places: Vec<u64>,
}

impl BlockWriter {
    /// Starts a block below `parent`, the data directory.
    ///
    /// # Errors
    /// `Io`.
    pub fn create(parent: &Path, new: NewBlock, options: &WriterOptions) -> Result<Self, WriteError> {
        let tmp = Unfinished(parent.join(format!("{}{UNFINISHED}", new.ulid)));
        narthex_disk::remove_dir_all(&tmp.0).map_err(failed("remove", &tmp.0))?;
        let chunk_dir = tmp.0.join(segments::DIR);
        std::fs::create_dir_all(&chunk_dir).map_err(failed("create", &chunk_dir))?;
        Ok(Self {
            place: parent.join(new.ulid.to_string()),
            chunks: SegmentWriter::new(chunk_dir, options.segment_bytes),
            index: IndexWriter::create(&tmp.0, options.postings_bytes)?,
            meta: BlockMeta::new(new.ulid, new.min_ms, new.max_ms, new.compaction),
            tmp,
            places: Vec::new(),
        })
    }

    /// Adds a label name or value. Every text that a series uses must come, in the order of their bytes, once, before the first
    /// series; texts that none uses are harmless.
    ///
    /// # Errors
    /// `SymbolOrder`, `TooLarge`, `Io`.
    pub fn add_symbol(&mut self, text: &str) -> Result<(), WriteError> {
        self.index.add_symbol(text)
    }

    /// Adds a series. Series come in the order of their label sets; chunks by time, without overlap. A series without chunks is
    /// left out.
    ///
    /// # Errors
    /// `SeriesOrder`, `UnknownSymbol`, `Chunk`, `TooLarge`, `Io`.
    pub fn add_series(&mut self, labels: &Labels, chunks: &[ChunkPiece<'_>]) -> Result<(), WriteError> {
        if chunks.is_empty() {
            return Ok(());
        }
        self.places.clear();
        let mut last_ms = None;
        for chunk in chunks {
            let samples = narthex_chunks::sample_count(chunk.encoding, chunk.bytes);
            let follows =
                last_ms.is_none_or(|last_ms| last_ms < chunk.min_ms) && chunk.min_ms <= chunk.max_ms;
            let (Some(samples), true) = (samples, follows) else {
                let (min_ms, max_ms, last_ms) = (chunk.min_ms, chunk.max_ms, last_ms.unwrap_or(i64::MIN));
                return Err(WriteError::Chunk { labels: labels.clone(), min_ms, max_ms, last_ms });
            };
            last_ms = Some(chunk.max_ms);
            self.places.push(self.chunks.write(chunk.encoding, chunk.bytes)?);
            self.count(chunk.encoding, u64::from(samples));
        }
        self.index.add_series(labels, chunks, &self.places)?;
        self.meta.stats.num_series += 1;
        Ok(())
    }

    fn count(&mut self, encoding: Encoding, samples: u64) {
        let stats = &mut self.meta.stats;
        stats.num_chunks += 1;
        stats.num_samples += samples;
        match encoding {
            Encoding::Xor | Encoding::Xor2 => stats.num_float_samples += samples,
            Encoding::Histogram
            | Encoding::FloatHistogram
            | Encoding::HistogramSt
            | Encoding::FloatHistogramSt => stats.num_histogram_samples += samples,
        }
    }

    /// How many samples were added so far.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.meta.stats.num_samples
    }

    /// Writes the rest, syncs all, and gives the directory its name: from then on the block is there.
    ///
    /// # Errors
    /// `TooLarge`, `Io`, `Meta`, `Tombstones`; nothing of the block is then visible.
    pub fn finish(self) -> Result<BlockMeta, WriteError> {
        let Self { place, tmp, meta, chunks, index, .. } = self;
        chunks.finish()?;
        narthex_disk::point("block.write.chunks");
        index.finish()?;
        narthex_disk::point("block.write.index");
        Tombstones::default().write(&tmp.0)?;
        meta.write(&tmp.0)?;
        narthex_disk::point("block.write.meta");
        for dir in [tmp.0.join(segments::DIR), tmp.0.clone()] {
            narthex_disk::sync_dir(&dir).map_err(failed("sync", &dir))?;
        }
        narthex_disk::point("block.rename");
        if let Err(error) = narthex_disk::rename(&tmp.0, &place) {
            // The name may be there without being durable: whoever takes its samples away from elsewhere would lose them with
            // the power, and whoever writes them again would have them twice. As the system knows no better, it goes.
            if place.is_dir() && std::fs::rename(&place, &tmp.0).is_err() {
                tracing::error!(dir = %place.display(), "a block that is not durable could not be taken back");
            }
            return Err(failed("rename", &tmp.0)(error));
        }
        Ok(meta)
    }
}

/// The directory of a block that is not complete; removed when nobody works on it any more. After the renaming there is
/// nothing left to remove.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Err(error) = narthex_disk::remove_dir_all(&self.0) {
            tracing::warn!(dir = %self.0.display(), %error, "an unfinished block could not be removed; the next start does it");
        }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError {
    let path = path.to_owned();
    move |source| WriteError::Io { action, path, source }
}
