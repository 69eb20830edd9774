//! Making the served blocks those of the directory, less what is old, replaced or too much.
//!
//! Always true: a block is deleted only after the one that replaces it is served. That a block names parents is enough for
//! them to go, so that a deletion which a crash cut short is taken up by the next look.

use std::collections::HashSet;
use std::path::PathBuf;

use narthex_block::{Block, Ulid};
use narthex_disk::point;

use super::blocks::{Blocks, Corrupt, Found, bytes_below, chain};
use super::{DbError, OpenError, Shared};
use crate::retention::{Kept, beyond};

impl Shared {
    /// The look at start: corrupt blocks that nothing replaces are put aside if that is wanted, else the start is refused.
    pub(super) fn load_blocks(&self) -> Result<(), OpenError> {
        let dir_error = |source| OpenError::Dir { path: self.dir.clone(), source };
        let mut found = self.blocks.find().map_err(dir_error)?;
        // A process that was killed may have left a block whose name only the system knows. What is in it will be forgotten
        // elsewhere, so it must be on the disk first.
        if !found.blocks.is_empty() {
            narthex_disk::sync_dir(&self.dir).map_err(dir_error)?;
        }
        let corrupt = orphans(&mut found);
        if !corrupt.is_empty() && !self.options.quarantine_at_start {
            let list: Vec<String> = corrupt.iter().map(describe).collect();
            return Err(OpenError::CorruptBlocks { list: list.join("; ") });
        }
        for block in &corrupt {
            let reason = describe(block);
            self.blocks.quarantine(&block.dir, &reason).map_err(dir_error)?;
            self.metrics.quarantined.inc();
            tracing::error!(err = reason, "a corrupt block is in quarantine; the others are served");
        }
        self.settle(found.blocks, &HashSet::new());
        Ok(())
    }

    /// The look while running; what cannot be opened is named once and not served. `gone` lists blocks that have nothing left.
    /// The caller holds the compaction lock.
    pub(super) fn reload_blocks(&self, gone: &HashSet<Ulid>) -> Result<(), DbError> {
        self.metrics.reloads.inc();
        let failed = |source| {
            self.metrics.reloads_failed.inc();
            DbError::Io { action: "list", path: self.dir.clone(), source }
        };
        self.metrics.quarantined.add(self.blocks.quarantine_withdrawn() as f64);
        let mut found = self.blocks.find().map_err(failed)?;
        let corrupt = orphans(&mut found);
        if !corrupt.is_empty() {
            self.metrics.reloads_failed.inc();
        }
        for block in &corrupt {
            self.blocks.tell(&block.dir, &describe(block));
        }
        self.settle(found.blocks, gone);
        Ok(())
    }

    /// Serves what stays, deletes what goes. A directory that cannot be deleted is tried again next time.
    fn settle(&self, found: Vec<Block>, gone: &HashSet<Ulid>) {
        let mut going = self.beyond_retention(&found);
        going.extend(gone);
        for block in &found {
            let meta = block.meta();
            going.extend(meta.compaction.parents.iter().map(|parent| parent.ulid));
            if meta.compaction.deletable {
                going.insert(meta.ulid);
            }
        }
        let (old, kept): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|block| going.contains(&block.ulid()));
        self.metrics.blocks_bytes.set(kept.iter().map(Block::size_bytes).sum::<u64>() as f64);
        self.blocks.serve(kept);
        point("blocks.served");
        // Also parents that could not be opened.
        let named = going.iter().map(|ulid| self.dir.join(ulid.to_string())).filter(|dir| dir.is_dir());
        let dirs: HashSet<PathBuf> = old.iter().map(|block| block.dir().to_owned()).chain(named).collect();
        for dir in dirs {
            if let Err(error) = Blocks::delete(&dir) {
                tracing::error!(dir = %dir.display(), %error, "cannot delete an obsolete block");
            }
        }
        if let Err(error) = self.blocks.delete_marked() {
            tracing::error!(%error, "cannot delete what is left of obsolete blocks; the next look tries again");
        }
    }

    fn beyond_retention(&self, blocks: &[Block]) -> HashSet<Ulid> {
        let retention = self.runtime.lock().retention;
        let kept = |block: &Block| Kept { max_ms: block.meta().max_ms, size_bytes: block.size_bytes() };
        let most_bytes = match retention.percentage > 0.0 {
            true => self.part_of_disk(retention.percentage).unwrap_or(retention.size_bytes),
            false => retention.size_bytes,
        };
        let other_bytes = if most_bytes > 0 { self.log_bytes() } else { 0 };
        let kept: Vec<Kept> = blocks.iter().map(kept).collect();
        let beyond = beyond(&kept, retention.time_ms, most_bytes, other_bytes);
        self.metrics.time_retentions.add(f64::from(u8::from(!beyond.time.is_empty())));
        self.metrics.size_retentions.add(f64::from(u8::from(!beyond.size.is_empty())));
        beyond.time.into_iter().chain(beyond.size).map(|at| blocks[at].ulid()).collect()
    }

    fn part_of_disk(&self, percentage: f64) -> Option<u64> {
        match narthex_disk::total_bytes(&self.dir) {
            Ok(bytes) => Some((bytes as f64 * percentage / 100.0) as u64),
            Err(error) => {
                tracing::warn!(
                    dir = %self.dir.display(), %error,
                    "cannot tell the size of the file system: retention by percentage does nothing, by size holds"
                );
                None
            }
        }
    }

    /// Bytes of what the head has on disk.
    pub(super) fn log_bytes(&self) -> u64 {
        ["wal", "wbl", "chunks_head"].iter().map(|name| bytes_below(&self.dir.join(name))).sum()
    }

    /// Timestamp of the oldest sample, ms, as far as blocks and the head say; `i64::MAX` for none.
    pub(super) fn lowest_ms(&self) -> i64 {
        match self.blocks.current().first() {
            Some(block) => block.meta().min_ms,
            None => self.head.min_ms(),
        }
    }
}

/// Corrupt blocks that no other block replaces.
fn orphans(found: &mut Found) -> Vec<Corrupt> {
    let metas = found.blocks.iter().map(Block::meta);
    let replaced: HashSet<Ulid> =
        metas.flat_map(|meta| meta.compaction.parents.iter().map(|p| p.ulid).collect::<Vec<_>>()).collect();
    let mut corrupt = std::mem::take(&mut found.corrupt);
    corrupt.retain(|block| !replaced.contains(&block.ulid));
    corrupt
}

fn describe(corrupt: &Corrupt) -> String {
    format!("corrupted block {} in {}: {}", corrupt.ulid, corrupt.dir.display(), chain(&corrupt.source))
}
