//! Changes of an open block: deleted times, and the note that compacting it failed.
//!
//! The tombstones are written first, then the description with their count: after a crash between the two the deletes hold and
//! only the count is old.

use std::sync::Arc;

use narthex_model::Matcher;

use crate::query::Plan;
use crate::{Block, BlockMeta, Interval, MetaError, ReadError, TombstoneError, Tombstones};

/// Why a delete failed.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The series could not be found.
    #[error(transparent)]
    Select(#[from] ReadError),
    /// `tombstones` could not be written.
    #[error(transparent)]
    Tombstones(#[from] TombstoneError),
    /// `meta.json` could not be written. The deletes hold.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl Block {
    /// Deletes `[mint_ms, maxt_ms]` from the series that satisfy all matchers, as far as each has samples: writes `tombstones`,
    /// then `meta.json`. Returns how many intervals the block then has.
    ///
    /// # Errors
    /// See [`DeleteError`].
    pub fn delete(&self, mint_ms: i64, maxt_ms: i64, matchers: &[Matcher]) -> Result<u64, DeleteError> {
        let _one_at_a_time = self.shared.changes.lock();
        let mut tombstones = Tombstones::clone(&self.tombstones());
        self.mark(mint_ms, maxt_ms, matchers, &mut tombstones)?;
        let total = tombstones.total();
        self.replace_tombstones(tombstones)?;
        Ok(total)
    }

    fn mark(
        &self,
        mint_ms: i64,
        maxt_ms: i64,
        matchers: &[Matcher],
        tombstones: &mut Tombstones,
    ) -> Result<(), ReadError> {
        let mut plan = Plan::new(self, matchers)?;
        plan.walk(self, |series, _, chunks| {
            let (mut first_ms, mut last_ms, mut is_hit) = (None, 0, false);
            for chunk in chunks {
                let chunk = chunk.map_err(|fault| self.index_error("read series", fault))?;
                first_ms.get_or_insert(chunk.min_ms);
                last_ms = chunk.max_ms;
                is_hit |= chunk.min_ms <= maxt_ms && mint_ms <= chunk.max_ms;
            }
            if let (Some(first_ms), true) = (first_ms, is_hit) {
                let interval = Interval { mint_ms: mint_ms.max(first_ms), maxt_ms: maxt_ms.min(last_ms) };
                tombstones.add(u64::from(series), interval);
            }
            Ok(true)
        })
    }

    /// Replaces all tombstones: writes `tombstones`, then `meta.json`.
    ///
    /// # Errors
    /// See [`DeleteError`].
    pub fn write_tombstones(&self, tombstones: Tombstones) -> Result<(), DeleteError> {
        let _one_at_a_time = self.shared.changes.lock();
        self.replace_tombstones(tombstones)
    }

    fn replace_tombstones(&self, tombstones: Tombstones) -> Result<(), DeleteError> {
        let bytes = tombstones.write(self.dir())?;
        let total = tombstones.total();
        {
            let mut state = self.shared.state.write();
            state.tombstones = Arc::new(tombstones);
            state.tombstone_bytes = bytes;
        }
        narthex_disk::point("block.tombstones.meta");
        self.change_meta(|meta| meta.stats.num_tombstones = total)?;
        Ok(())
    }

    /// Notes in `meta.json` that compacting this block failed, so that nobody tries again.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_compaction_failed(&self) -> Result<(), MetaError> {
        let _one_at_a_time = self.shared.changes.lock();
        self.change_meta(|meta| meta.compaction.failed = true)
    }

    fn change_meta(&self, change: impl FnOnce(&mut BlockMeta)) -> Result<(), MetaError> {
        let mut meta = BlockMeta::clone(&self.meta());
        change(&mut meta);
        let bytes = meta.write(self.dir())?;
        let mut state = self.shared.state.write();
        state.meta = Arc::new(meta);
        state.meta_bytes = bytes;
        Ok(())
    }
}
