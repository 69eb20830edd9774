//! An open block: its files mapped, its description and tombstones in memory.

mod delete;
mod entries;
mod version;

use std::path::Path;
use std::sync::Arc;

use narthex_model::Matcher;
use narthex_storage::{Querier, QueryError};
use parking_lot::RwLock;

use crate::fault::Fault;
use crate::index::{Index, IndexError};
use crate::query::{BlockQuerier, Plan};
use crate::segments::{ChunkFault, SegmentError, Segments};
use crate::{BlockMeta, MetaError, TombstoneError, Tombstones, Ulid};

pub use delete::DeleteError;
pub use entries::SeriesEntries;
pub use version::{RepairError, repair_index_version};

/// A block that others may read. A clone is another handle to the same files, which stay mapped until the last one is gone;
/// deleting the directory meanwhile is fine.
#[derive(Clone)]
pub struct Block {
    shared: Arc<Shared>,
}

struct Shared {
    dir: Box<Path>,
    index: Index,
    segments: Segments,
    /// Guards what a delete changes; held for the moment of a look or a swap. `changes` comes before it.
    state: RwLock<State>,
    /// Held while tombstones or description are written, so that one delete does not undo another.
    changes: parking_lot::Mutex<()>,
}

struct State {
    meta: Arc<BlockMeta>,
    tombstones: Arc<Tombstones>,
    meta_bytes: u64,
    tombstone_bytes: u64,
}

/// Why a directory cannot be used as a block.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `meta.json`.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The chunk files.
    #[error(transparent)]
    Segments(#[from] SegmentError),
    /// `index`.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// `tombstones`.
    #[error(transparent)]
    Tombstones(#[from] TombstoneError),
}

/// Why a part of an open block cannot be read. The rest of the block may be fine.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// A list of postings, a series or a symbol.
    #[error("block: {block}: {what}: {fault}")]
    Index {
        /// The block.
        block: Ulid,
        /// What was read, in Prometheus' words.
        what: &'static str,
        /// What is wrong.
        fault: Fault,
    },
    /// A chunk's frame or checksum.
    #[error("cannot populate chunk {place} from block {block}: {fault}")]
    Chunk {
        /// The block.
        block: Ulid,
        /// The chunk's reference.
        place: u64,
        /// What is wrong.
        fault: ChunkFault,
    },
    /// The samples of a chunk.
    #[error("cannot decode chunk {place} from block {block}: {fault}")]
    Samples {
        /// The block.
        block: Ulid,
        /// The chunk's reference.
        place: u64,
        /// What is wrong.
        fault: narthex_chunks::ChunkError,
    },
}

impl From<ReadError> for QueryError {
    fn from(error: ReadError) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl Block {
    /// Opens the block in `dir`: checks headers, table of contents, symbols, postings table and tombstones, as Prometheus does.
    /// Lists, series and chunks are checked when they are read.
    ///
    /// # Errors
    /// See [`OpenError`]: whenever real Prometheus would refuse the block too.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let (meta, meta_bytes) = BlockMeta::read_sized(dir)?;
        let segments = Segments::open(dir)?;
        let index = Index::open(dir)?;
        let (tombstones, tombstone_bytes) = Tombstones::read(dir)?;
        let (meta, tombstones) = (Arc::new(meta), Arc::new(tombstones));
        let state = RwLock::new(State { meta, tombstones, meta_bytes, tombstone_bytes });
        let changes = parking_lot::Mutex::new(());
        Ok(Self { shared: Arc::new(Shared { dir: dir.into(), index, segments, state, changes }) })
    }

    /// Where it lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Its name.
    #[must_use]
    pub fn ulid(&self) -> Ulid {
        self.shared.state.read().meta.ulid
    }

    /// What it says about itself, as of now: deletes change the count of tombstones.
    #[must_use]
    pub fn meta(&self) -> Arc<BlockMeta> {
        Arc::clone(&self.shared.state.read().meta)
    }

    /// Bytes of all its files.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let state = self.shared.state.read();
        let mapped = self.shared.index.size_bytes() + self.shared.segments.size_bytes();
        mapped + state.meta_bytes + state.tombstone_bytes
    }

    /// Bytes of memory that the way into the symbol table takes.
    #[must_use]
    pub fn symbol_table_bytes(&self) -> u64 {
        self.shared.index.symbols().0.memory_bytes()
    }

    /// What is deleted, as of now.
    #[must_use]
    pub fn tombstones(&self) -> Arc<Tombstones> {
        Arc::clone(&self.shared.state.read().tombstones)
    }

    /// A view over `[mint_ms, maxt_ms]`; deletes after this call are not seen.
    #[must_use]
    pub fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Box<dyn Querier> {
        Box::new(BlockQuerier::new(self.clone(), mint_ms, maxt_ms))
    }

    /// All label names and values of the block, in the order of their bytes, unique.
    pub fn symbols(&self) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
        let (symbols, file) = self.shared.index.symbols();
        symbols.iter(file).map(String::from_utf8_lossy)
    }

    /// All series with all their chunks (tombstones are not applied), in the order of their label sets.
    #[must_use]
    pub fn series(&self) -> SeriesEntries<'_> {
        let all = self.index().all().map(|all| all.iter().collect());
        SeriesEntries::new(self, all.map_err(|fault| self.index_error("decode postings", fault)))
    }

    /// As [`Block::series`], only those that satisfy all matchers.
    #[must_use]
    pub fn series_matching(&self, matchers: &[Matcher]) -> SeriesEntries<'_> {
        let mut found = Vec::new();
        let walked = Plan::new(self, matchers).and_then(|mut plan| {
            plan.walk(self, |series, _, _| {
                found.push(series);
                Ok(true)
            })
        });
        SeriesEntries::new(self, walked.map(|()| found))
    }

    pub(crate) fn index(&self) -> &Index {
        &self.shared.index
    }

    pub(crate) fn segments(&self) -> &Segments {
        &self.shared.segments
    }

    #[cold]
    pub(crate) fn index_error(&self, what: &'static str, fault: Fault) -> ReadError {
        ReadError::Index { block: self.ulid(), what, fault }
    }

    #[cold]
    pub(crate) fn chunk_error(&self, place: u64, fault: ChunkFault) -> ReadError {
        ReadError::Chunk { block: self.ulid(), place, fault }
    }

    #[cold]
    pub(crate) fn samples_error(&self, place: u64, fault: narthex_chunks::ChunkError) -> ReadError {
        ReadError::Samples { block: self.ulid(), place, fault }
    }
}
