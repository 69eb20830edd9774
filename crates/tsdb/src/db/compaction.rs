//! The work of compaction on an open database: head to block, late samples to blocks, blocks to larger ones.
//!
//! Steps that a crash may come between, and what the next start finds:
//! - a block is written (`compact.*`, `block.*` points): a directory with an unfinished name, which is swept;
//! - it is there, but the head is not truncated: the WAL still has its samples; replay leaves out what lies before the end of the
//!   newest block with data in order. Late samples come back and are equal to those in the block;
//! - it is there, and so are its parents: they are deleted, for the block names them.
//!
//! So each sample is there once or is its own double, and never gone.
//! Lock: `Shared::work` is held through all of it, and comes before all others.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use narthex_block::{Block, BlockMeta, Compaction, Hint, Ulid, WriterOptions};
use narthex_chunks::{BuildOptions, for_each};
use narthex_disk::point;
use narthex_wal::{ReadError, list_checkpoints, list_segments};

use super::blocks::{Blocks, end_of_order_ms};
use super::{DbError, Shared};
use crate::compact::block_source::BlockSource;
use crate::compact::descent::child_of;
use crate::compact::source::{ChunkPiece, CompactionSource, SourceSeries};
use crate::compact::write::{CompactError, Job, Workshop};
use crate::head::late::compact::LateSource;
use crate::head::source::HeadSource;
use crate::head::stale::StaleSeries;

/// How long compaction waits for appenders and readers that are in its way; then it tries again at the next tick.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Of fewer segments of the WAL a checkpoint takes none away.
const WORTH_CUTTING: usize = 4;

/// What compaction remembers. Who holds it compacts.
pub(super) struct Work {
    /// How long the head's compaction is put off.
    delay: Duration,
    /// Since when it could be compacted.
    compactable_since: Option<Instant>,
    /// Stale series whose blocks are served, but which readers kept from leaving.
    pub(super) stale_in_blocks: Option<StaleSeries>,
    /// Up to when, ms, blocks have what came in order, when late samples and the WAL have still to follow.
    in_blocks_ms: Option<i64>,
    /// Whether the last look left nothing of the head to compact.
    is_head_done: bool,
}

impl Work {
    pub(super) fn new(delay: Duration) -> Self {
        Self {
            delay,
            compactable_since: None,
            stale_in_blocks: None,
            in_blocks_ms: None,
            is_head_done: false,
        }
    }

    /// Takes note that a look begins, which may do nothing for the head.
    pub(super) fn begin_look(&mut self) {
        self.is_head_done = false;
    }

    /// Whether a head that can be compacted became so after the last look had done all there was, maybe while that look went on
    /// with other work. Else something held that look up, and the next one need not hurry.
    pub(super) fn is_head_done(&self) -> bool {
        self.is_head_done
    }

    /// Whether the head must wait. Begins to count when it becomes compactable.
    fn must_wait(&mut self) -> bool {
        let since = *self.compactable_since.get_or_insert_with(Instant::now);
        since.elapsed() < self.delay
    }
}

impl Shared {
    /// Compacts all there is to compact.
    pub(super) fn compact(&self) -> Result<(), DbError> {
        let mut work = self.work.lock();
        let done = self.compact_head(&mut work).and_then(|()| {
            self.follow_head(&mut work)?;
            self.compact_stale(&mut work)?;
            self.compact_blocks(&mut work)
        });
        if done.as_ref().is_err_and(|error| !matches!(error, DbError::Cancelled)) {
            self.metrics.compactions_failed.inc();
        }
        done
    }

    /// Writes the oldest ranges of the head to blocks, as long as there is more than the newest one and a half.
    fn compact_head(&self, work: &mut Work) -> Result<(), DbError> {
        while self.head.compactable() && !self.is_stopping() {
            if work.must_wait() {
                return Ok(());
            }
            let min_ms = self.head.min_ms();
            let range_ms = self.options.min_block_duration_ms;
            let end_ms = min_ms.div_euclid(range_ms).saturating_add(1).saturating_mul(range_ms);
            if !self.head.close_range(end_ms, PATIENCE) {
                tracing::warn!(end_ms, "an appender holds up the compaction of the head; trying again later");
                break;
            }
            self.write_head(min_ms, end_ms)?;
            work.in_blocks_ms = Some(end_ms);
        }
        if !self.head.compactable() {
            work.compactable_since = None;
            work.is_head_done = true;
        }
        Ok(())
    }

    /// What follows a block of the head: blocks of late samples, then a shorter WAL. Tried again at each tick until it works, so that
    /// a disk that was full does not stay full.
    fn follow_head(&self, work: &mut Work) -> Result<(), DbError> {
        let Some(end_ms) = work.in_blocks_ms else { return Ok(()) };
        // Late samples first: their log names series by references that only the WAL may know.
        self.compact_late()?;
        self.truncate_wal(end_ms)?;
        work.in_blocks_ms = None;
        point("compact.head.wal_truncated");
        Ok(())
    }

    /// At start: whether the last run made a block of the head and ended before the WAL got shorter. Then that follows with the first
    /// tick, not with the next block hours later. No checkpoint since the newest data of a block were written says so.
    pub(super) fn remember_what_follows(&self) -> Result<(), ReadError> {
        let metas: Vec<_> = self.blocks.current().iter().map(Block::meta).collect();
        let written_ms =
            metas.iter().flat_map(|meta| &meta.compaction.sources).map(|ulid| ulid.time_ms()).max();
        let written = UNIX_EPOCH + Duration::from_millis(written_ms.unwrap_or(0));
        let checkpoint = list_checkpoints(&self.wal_dir)?.pop();
        let cut = checkpoint.and_then(|(_, dir)| std::fs::metadata(dir).ok()?.modified().ok());
        if list_segments(&self.wal_dir)?.len() >= WORTH_CUTTING && cut.is_none_or(|cut| cut < written) {
            self.work.lock().in_blocks_ms = end_of_order_ms(metas.into_iter());
        }
        Ok(())
    }

    /// Writes one range, ms, open at its end, and lets the head forget it.
    fn write_head(&self, min_ms: i64, end_ms: i64) -> Result<(), DbError> {
        let ulid = new_ulid();
        let source = HeadSource::new(&self.head, min_ms, end_ms);
        tracing::info!(mint = min_ms, maxt = end_ms, %ulid, series = source.len(), "write block started");
        let job = Job {
            ulid,
            range_ms: (min_ms, end_ms),
            compaction: Compaction::from_head(ulid),
            sources: vec![Box::new(source)],
        };
        let written = self.write_and_serve(job)?;
        point("compact.head.served");
        self.head.truncate(end_ms, PATIENCE);
        point("compact.head.truncated");
        if written { Ok(()) } else { self.skip_gap(end_ms) }
    }

    /// After a range without samples: lets the head begin with the next one that it has, however far away. Without that a chunk
    /// that only says to begin long ago would be looked for range by range.
    fn skip_gap(&self, from_ms: i64) -> Result<(), DbError> {
        let oldest_ms = || -> Result<i64, DbError> {
            let source = HeadSource::new(&self.head, from_ms, i64::MAX);
            let (mut cursor, mut series) = (source.series()?, SourceSeries::default());
            let mut oldest_ms = i64::MAX;
            while cursor.next(&mut series)? {
                let firsts = series.chunks.iter().filter_map(|piece| first_from(&series, piece, from_ms));
                oldest_ms = firsts.fold(oldest_ms, i64::min);
            }
            Ok(oldest_ms)
        };
        self.head.raise_minimum_to(oldest_ms, PATIENCE)
    }

    /// Writes late samples to blocks, range by range, and lets the head forget them.
    pub(super) fn compact_late(&self) -> Result<(), DbError> {
        let Some(line) = self.head.begin_late_compaction()? else { return Ok(()) };
        for range_ms in line.ranges(self.options.min_block_duration_ms) {
            if self.is_stopping() {
                return Err(DbError::Cancelled);
            }
            let source = LateSource::before(&self.head, &line, range_ms);
            if source.len() == 0 {
                continue;
            }
            let (ulid, series) = (new_ulid(), source.len());
            tracing::info!(mint = range_ms.0, maxt = range_ms.1, %ulid, series, "write block of late samples started");
            let mut compaction = Compaction::from_head(ulid);
            compaction.set_hint(Hint::FromOutOfOrder);
            self.write_and_serve(Job { ulid, range_ms, compaction, sources: vec![Box::new(source)] })?;
            point("compact.late.served");
        }
        self.head.truncate_late(line, PATIENCE);
        point("compact.late.truncated");
        Ok(())
    }

    /// Merges blocks until nothing is left to do, or the head needs attention.
    fn compact_blocks(&self, work: &mut Work) -> Result<(), DbError> {
        while !self.is_stopping() {
            if self.head.compactable() && !work.must_wait() {
                tracing::warn!("aborting block compactions to persist the head block");
                return Ok(());
            }
            let blocks = self.blocks.current();
            let metas: Vec<_> = blocks.iter().map(Block::meta).collect();
            let waits = self.waiting_for_upload(&metas);
            let ahead = ahead_of_order(&metas);
            let ready = metas.iter().map(|meta| &**meta).filter(|meta| !waits(meta) && !ahead(meta));
            let plan = self.planner.plan(ready);
            if plan.is_empty() {
                return Ok(());
            }
            let chosen: Vec<&Block> =
                plan.iter().filter_map(|ulid| blocks.iter().find(|block| block.ulid() == *ulid)).collect();
            self.merge_blocks(&chosen)?;
        }
        Err(DbError::Cancelled)
    }

    /// Makes one block of several, or of one that lost much; the old ones go.
    fn merge_blocks(&self, chosen: &[&Block]) -> Result<(), DbError> {
        let metas: Vec<_> = chosen.iter().map(|block| block.meta()).collect();
        let parents: Vec<&BlockMeta> = metas.iter().map(|meta| &**meta).collect();
        let min_ms = parents.iter().map(|meta| meta.min_ms).min().unwrap_or_default();
        let max_ms = parents.iter().map(|meta| meta.max_ms).max().unwrap_or_default();
        if parents.windows(2).any(|pair| pair[1].min_ms < pair[0].max_ms) {
            self.compact_metrics.vertical.inc();
        }
        let sources = chosen.iter().map(|block| source_of(block)).collect();
        let job =
            Job { ulid: new_ulid(), range_ms: (min_ms, max_ms), compaction: child_of(&parents), sources };
        match self.write_and_serve(job) {
            Ok(true) => Ok(()),
            Ok(false) => self.drop_empty(chosen),
            Err(DbError::Compact(error)) if error.is_corruption() => {
                for block in chosen {
                    if let Err(error) = block.set_compaction_failed() {
                        tracing::error!(%error, "cannot note that compacting a block failed");
                    }
                }
                Err(error.into())
            }
            Err(error) => Err(error),
        }
    }

    /// Writes a block again without what is deleted from it.
    pub(super) fn rewrite(&self, block: &Block) -> Result<(), DbError> {
        let (ulid, meta) = (new_ulid(), block.meta());
        let mut compaction = Compaction::from_head(ulid);
        compaction.parents = vec![meta.desc()];
        compaction.hints.clone_from(&meta.compaction.hints);
        let range_ms = (meta.min_ms, meta.max_ms);
        let job = Job { ulid, range_ms, compaction, sources: vec![source_of(block)] };
        if self.write_and_serve(job)? { Ok(()) } else { self.drop_empty(&[block]) }
    }

    /// Blocks of which nothing was left to write go.
    fn drop_empty(&self, blocks: &[&Block]) -> Result<(), DbError> {
        for block in blocks {
            let mut meta = BlockMeta::clone(&block.meta());
            meta.compaction.deletable = true;
            // Whether it can be written or not: below they go for good.
            if let Err(error) = meta.write(block.dir()) {
                tracing::error!(%error, "cannot note that a block has nothing left");
            }
        }
        point("compact.empty");
        self.reload_blocks(&blocks.iter().map(|block| block.ulid()).collect())
    }

    /// Writes a block and serves it; `false` when there is nothing to write.
    pub(super) fn write_and_serve(&self, job: Job<'_>) -> Result<bool, DbError> {
        let (ulid, started) = (job.ulid, Instant::now());
        let Some(meta) = self.workshop(&self.dir).write(job)? else { return Ok(false) };
        let (mint, maxt, duration) = (meta.min_ms, meta.max_ms, started.elapsed());
        tracing::info!(%ulid, mint, maxt, level = meta.compaction.level, ?duration, "write block completed");
        let reloaded = self.reload_blocks(&HashSet::new());
        if self.blocks.current().iter().any(|block| block.ulid() == ulid) {
            return reloaded.map(|()| true);
        }
        // Not served: the directory cannot be listed, or the block cannot be opened, and then the old data stay; or it is beyond
        // retention already.
        match self.dir.join(ulid.to_string()) {
            dir if dir.is_dir() => {
                let removed = Blocks::delete(&dir);
                reloaded?;
                removed.map_err(|source| DbError::Io { action: "remove", path: dir, source })?;
                Err(DbError::NotServed { block: ulid })
            }
            _ => reloaded.map(|()| true),
        }
    }

    /// Where blocks are written, into any directory.
    pub(super) fn workshop<'a>(&'a self, dir: &'a std::path::Path) -> Workshop<'a> {
        let mut options = WriterOptions::default();
        if self.options.max_block_chunk_segment_bytes > 0 {
            options.segment_bytes = self.options.max_block_chunk_segment_bytes;
        }
        let (metrics, stop) = (&self.compact_metrics, &self.stop.flag);
        let floats = self.runtime.lock().float_chunks;
        let chunks = BuildOptions { floats, ..BuildOptions::default() };
        Workshop { dir, options, chunks, metrics, stop }
    }

    /// Which blocks somebody else still has to copy away: all from the first one on.
    fn waiting_for_upload(&self, metas: &[std::sync::Arc<BlockMeta>]) -> impl Fn(&BlockMeta) -> bool {
        let file = self.options.delay_compact_file.as_deref();
        let uploaded = file.and_then(super::upload::uploaded_blocks);
        let waits = |meta: &BlockMeta, uploaded: &HashSet<Ulid>| {
            meta.compaction.level <= 1 && !uploaded.contains(&meta.ulid)
        };
        // COMPAT: in the order of their names, which is that in which they were written.
        let first = uploaded.and_then(|uploaded| {
            metas.iter().filter(|meta| waits(meta, &uploaded)).map(|meta| meta.ulid).min()
        });
        move |meta| first.is_some_and(|first| meta.ulid >= first)
    }
}

/// Which blocks of late samples reach beyond all data in order. Merged with data in order, such a block would say that these
/// reach as far as it does, and the next start would leave out of the WAL what no block has.
fn ahead_of_order(metas: &[std::sync::Arc<BlockMeta>]) -> impl Fn(&BlockMeta) -> bool + use<> {
    let end_ms = end_of_order_ms(metas.iter().cloned());
    let is_late = |meta: &BlockMeta| meta.compaction.has_hint(Hint::FromOutOfOrder);
    move |meta| is_late(meta) && end_ms.is_none_or(|end_ms| meta.max_ms > end_ms)
}

/// Timestamp, ms, of the first sample of a chunk at or after `from_ms`; `None` without one.
fn first_from(series: &SourceSeries, piece: &ChunkPiece, from_ms: i64) -> Option<i64> {
    if piece.min_ms >= from_ms {
        return Some(piece.min_ms);
    }
    let mut first_ms = None;
    // What can be read of it is enough.
    let _ = for_each(piece.encoding, series.chunk(piece), (from_ms, i64::MAX), |sample| {
        first_ms.get_or_insert(sample.t_ms);
    });
    first_ms
}

/// A block for merging.
fn source_of<'a>(block: &Block) -> Box<dyn CompactionSource + 'a> {
    Box::new(BlockSource::new(block.clone()))
}

/// A name for a block that is written now.
pub(super) fn new_ulid() -> Ulid {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ulid::new(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), fastrand::u128(..))
}

impl From<CompactError> for DbError {
    fn from(error: CompactError) -> Self {
        match error {
            CompactError::Cancelled => Self::Cancelled,
            other => Self::Compact(other),
        }
    }
}
