//! What an operator asks of an open database: deletes, clean tombstones, snapshots, compactions on and off.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use narthex_block::{Block, BlockMeta, Compaction};
use narthex_disk::point;
use narthex_model::Matcher;

use super::blocks::{CREATING, with_suffix};
use super::compaction::new_ulid;
use super::{Db, DbError, Shared};
use crate::compact::write::Job;
use crate::head::late::compact::LateSource;
use crate::head::source::HeadSource;
use crate::head_chunks::HeadChunksError;

impl Db {
    /// Writes the full chunks of the head to the files of `chunks_head`, as the maintenance does every minute. Returns how many.
    ///
    /// # Errors
    /// The disk failed: what was not written stays in memory.
    pub fn map_chunks(&self) -> Result<u64, HeadChunksError> {
        self.shared.head.map_chunks()
    }

    /// The blocks that are served, by the start of their range.
    #[must_use]
    pub fn blocks(&self) -> Vec<Arc<BlockMeta>> {
        self.shared.blocks.current().iter().map(Block::meta).collect()
    }

    /// Deletes the samples in `[mint_ms, maxt_ms]` of all series that satisfy every matcher, in blocks and in the head. Block by
    /// block: after an error a part may be deleted.
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn delete(&self, mint_ms: i64, maxt_ms: i64, matchers: &[Matcher]) -> Result<(), DbError> {
        let shared = self.ready()?;
        let _work = shared.work.lock();
        for block in shared.blocks.current().iter() {
            if block.meta().overlaps(mint_ms, maxt_ms) {
                block.delete(mint_ms, maxt_ms, matchers)?;
                point("db.delete.block");
            }
        }
        shared.head.delete(matchers, mint_ms, maxt_ms)?;
        Ok(())
    }

    /// Writes all blocks again that have tombstones, without what these hide, and deletes the old ones.
    ///
    /// # Errors
    /// See [`DbError`]; blocks that were not done yet are as they were.
    pub fn clean_tombstones(&self) -> Result<(), DbError> {
        let shared = self.ready()?;
        let _work = shared.work.lock();
        let started = Instant::now();
        for block in shared.blocks.current().iter() {
            if !block.tombstones().is_empty() {
                shared.rewrite(block)?;
            }
        }
        shared.metrics.tombstone_cleanup_s.observe(started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Puts a copy of all blocks into `dir`, by hard links, and, if wanted, a block of what the head holds. Time and space are
    /// those of the head's block, which has whole batches only: those that a query would see when its turn comes. When this returns,
    /// the copy is on the disk.
    ///
    /// # Errors
    /// See [`DbError`]; a part of the copy may then be there.
    pub fn snapshot(&self, dir: &Path, with_head: bool) -> Result<(), DbError> {
        let shared = self.ready()?;
        if dir == shared.dir {
            return Err(DbError::SnapshotIntoItself);
        }
        let _work = shared.work.lock();
        std::fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        for block in shared.blocks.current().iter() {
            link_block(block.dir(), &dir.join(block.ulid().to_string()))?;
        }
        let (min_ms, max_ms) = shared.head.time_range();
        if with_head && min_ms <= max_ms {
            let ulid = new_ulid();
            let range_ms = (min_ms, max_ms.saturating_add(1));
            let in_order = HeadSource::new(&shared.head, range_ms.0, range_ms.1);
            let late = LateSource::beside(&in_order);
            let compaction = Compaction::from_head(ulid);
            let job = Job { ulid, range_ms, compaction, sources: vec![Box::new(in_order), Box::new(late)] };
            shared.workshop(dir).write(job)?;
        }
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        [Some(dir), parent]
            .into_iter()
            .flatten()
            .try_for_each(|dir| narthex_disk::sync_dir(dir).map_err(io_error("sync", dir)))
    }

    /// Lets the maintenance compact (`true`, as at start) or only look for blocks and apply retention. Waits for a compaction
    /// that is at work.
    pub fn set_compactions(&self, on: bool) {
        self.shared.compacting.store(on, Ordering::Relaxed);
        drop(self.shared.work.lock());
        tracing::info!("Compactions {}", if on { "enabled" } else { "disabled" });
    }

    /// One look of the maintenance, now: blocks are reloaded, what can be compacted is compacted, what is old goes.
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn maintain(&self) -> Result<(), DbError> {
        self.ready()?.tick(true)
    }

    fn ready(&self) -> Result<&Shared, DbError> {
        if self.is_ready() { Ok(&self.shared) } else { Err(DbError::NotReady) }
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DbError + use<> {
    let path = path.to_owned();
    move |source| DbError::Io { action, path, source }
}

/// Links the files of a block into the directory `to`, which gets its name when all of them are there for good.
fn link_block(from: &Path, to: &Path) -> Result<(), DbError> {
    let tmp = with_suffix(to, CREATING);
    narthex_disk::remove_dir_all(&tmp).map_err(io_error("remove", &tmp))?;
    let (from_chunks, to_chunks) = (from.join("chunks"), tmp.join("chunks"));
    std::fs::create_dir_all(&to_chunks).map_err(io_error("create", &to_chunks))?;
    for name in ["meta.json", "index", "tombstones"] {
        match link_file(&from.join(name), &tmp.join(name)) {
            // A block without tombstones file is one without deletes.
            Err(DbError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound && name == "tombstones" => {}
            linked => linked?,
        }
    }
    for entry in std::fs::read_dir(&from_chunks).map_err(io_error("list", &from_chunks))? {
        let entry = entry.map_err(io_error("list", &from_chunks))?;
        link_file(&entry.path(), &to_chunks.join(entry.file_name()))?;
    }
    for dir in [&to_chunks, &tmp] {
        narthex_disk::sync_dir(dir).map_err(io_error("sync", dir))?;
    }
    point("db.snapshot.linked");
    narthex_disk::rename(&tmp, to).map_err(io_error("rename", &tmp))
}

/// Another name for a file, whose content is on the disk then: blocks that other programs brought may not be.
fn link_file(from: &Path, to: &Path) -> Result<(), DbError> {
    std::fs::hard_link(from, to).map_err(io_error("link", to))?;
    let file = std::fs::File::open(to).map_err(io_error("open", to))?;
    narthex_disk::sync_file(&file, to).map_err(io_error("sync", to))
}
