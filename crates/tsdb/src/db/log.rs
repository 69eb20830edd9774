//! The log of an open database, for those who follow it, bound what a power cut may take, or make it shorter.

use narthex_wal::{CheckpointError, Tip, WalHold, WalPosition};

use super::Db;
use crate::ingestion::Ingestion;

impl Db {
    /// How far the WAL is safe from a power cut; `None` until ready. Moves by itself with
    /// [`WalOptions::sync_interval`](narthex_wal::WalOptions::sync_interval); else when a segment is full.
    #[must_use]
    pub fn wal_synced(&self) -> Option<Tip> {
        self.shared.synced.get().cloned()
    }

    /// Registers somebody who follows the WAL: before segments go, `hold` is asked, and nothing at the position that it
    /// names, or behind it, is deleted. It must not block. Register before the database is ready: the first truncation may
    /// come right after that.
    pub fn add_wal_hold(&self, hold: WalHold) {
        self.shared.holds.lock().push(hold);
    }

    /// Whether samples are taken: not while the disk is full or broken. Comes back by itself.
    #[must_use]
    pub fn ingestion(&self) -> Ingestion {
        self.shared.head.ingestion.state()
    }

    /// Shortens the WAL after blocks took everything before `mint_ms`: writes a checkpoint for the older two thirds of the
    /// segments and deletes those, but for what somebody holds. Whether anything went.
    ///
    /// # Errors
    /// The WAL is as it was.
    pub fn truncate_wal(&self, mint_ms: i64) -> Result<bool, CheckpointError> {
        self.shared.truncate_wal(mint_ms)
    }

    /// The head, for tests of its own.
    #[cfg(test)]
    pub(crate) fn head(&self) -> &std::sync::Arc<crate::head::Head> {
        &self.shared.head
    }
}

impl super::Shared {
    /// See [`Db::truncate_wal`]; for the maintenance thread.
    pub(crate) fn truncate_wal(&self, mint_ms: i64) -> Result<bool, CheckpointError> {
        let hold = self.holds.lock().iter().filter_map(|hold| hold()).min();
        let Some(cut) = self.head.truncate_wal(mint_ms, hold)? else { return Ok(false) };
        self.delete_snapshots_before(Some(WalPosition { segment: cut.last.saturating_add(1), offset: 0 }));
        Ok(true)
    }
}
