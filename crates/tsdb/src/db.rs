//! The database: a data directory opened for this process.
//!
//! Holds: the blocks (`blocks`, `reload`) and the head, served as one; the way up (`start`) and down; the work that keeps the
//! directory in shape (`maintenance`, `compaction`); what operators ask for (`admin`).
//! Always true: a querier takes the head between two looks at the same blocks, and a block is served before the head forgets its
//! samples: so each sample is seen, and one that is seen twice is merged into one.
//! Lock: `work` comes before all others, those of the head included.

mod admin;
pub(crate) mod blocks;
mod compaction;
mod error;
mod live;
mod log;
mod maintenance;
mod memory_snapshot;
mod metrics;
mod options;
mod progress;
mod reload;
mod stale;
mod start;
mod starting;
#[cfg(test)]
mod tests;
mod upload;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use narthex_block::Block;
use std::thread::JoinHandle;

use narthex_metrics::Registry;
use narthex_model::{Exemplar, Labels, Matcher, Metadata};
use narthex_storage::merge::{QuerierInTime, merge_queriers};
use narthex_storage::{Appendable, Appender, Querier, QueryError, Queryable, SeriesRef};
use parking_lot::Mutex;

use self::blocks::Blocks;
use self::compaction::Work;
pub use self::error::{DbError, OpenError};
use self::maintenance::Stop;
use self::metrics::DbMetrics;
pub use self::options::{DbOptions, Retention, RuntimeOptions};
pub use self::progress::{ReplayProgress, ReplayState, ReplayStatus};
use self::stale::StaleMetrics;
use self::start::Readiness;
use self::starting::NotYet;
use self::watch::watched;
use crate::compact::metrics::CompactMetrics;
use crate::compact::plan::Planner;
use crate::dir_lock::DirLock;
use crate::head::Head;
use crate::head::append::HeadAppender;
use crate::head::cardinality::{Cardinality, CardinalityRequest};
use crate::head::query::HeadQuerier;
use crate::head::stats::HeadStats;
use narthex_wal::{Tip, WalHold, WriteError};

/// An open data directory.
pub struct Db {
    shared: Arc<Shared>,
}

/// What the threads of a database share. They do not keep the [`Db`] itself alive.
struct Shared {
    dir: PathBuf,
    options: DbOptions,
    head: Arc<Head>,
    blocks: Arc<Blocks>,
    planner: Planner,
    metrics: DbMetrics,
    compact_metrics: CompactMetrics,
    stale_metrics: StaleMetrics,
    /// Held by whoever changes which blocks there are.
    work: Mutex<Work>,
    /// Whether the maintenance compacts.
    compacting: AtomicBool,
    stop: Stop,
    /// The maintenance; taken by who ends it.
    thread: Mutex<Option<JoinHandle<()>>>,
    wal_dir: PathBuf,
    registry: Registry,
    /// Held while a change is carried out.
    runtime: Mutex<RuntimeOptions>,
    /// Set when the log is open.
    tip: OnceLock<Tip>,
    /// Set with `tip`: how far the disk has the log.
    synced: OnceLock<Tip>,
    /// Those who follow the WAL.
    holds: Mutex<Vec<WalHold>>,
    readiness: Readiness,
    /// Given back by `close`.
    lock: Mutex<Option<DirLock>>,
}

/// The exemplars of one series in a time range, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesExemplars {
    /// The labels of the series.
    pub labels: Labels,
    /// Its exemplars.
    pub exemplars: Vec<Exemplar>,
}

impl Db {
    /// Whether the head is replayed and takes samples.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.readiness.is_ready()
    }

    /// Waits for the end of the replay.
    ///
    /// # Errors
    /// Why it failed, to the first who asks; `NotOpened` to others and after `close`.
    pub fn wait_ready(&self) -> Result<(), OpenError> {
        self.shared.readiness.wait()
    }

    /// Takes over what a reload of the configuration changed.
    ///
    /// # Errors
    /// The log of out-of-order samples cannot be made; then nothing is changed.
    pub fn apply(&self, runtime: &RuntimeOptions) -> Result<(), DbError> {
        if !self.shared.options.keeps_starts_with(runtime.float_chunks) {
            return Err(DbError::XorWithStartTimestamps);
        }
        let mut current = self.shared.runtime.lock();
        self.shared.set_late_window(runtime.out_of_order_window_ms)?;
        self.shared.metrics.show_limits(&runtime.retention);
        self.shared.head.set_float_encoding(runtime.float_chunks);
        self.shared.head.set_max_exemplars(runtime.max_exemplars);
        *current = runtime.clone();
        Ok(())
    }

    /// The directory of the WAL.
    #[must_use]
    pub fn wal_dir(&self) -> &Path {
        &self.shared.wal_dir
    }

    /// How far acknowledged batches reach in the WAL, for a [`Tailer`](narthex_wal::Tailer); `None` until ready.
    #[must_use]
    pub fn wal_tip(&self) -> Option<Tip> {
        self.shared.tip.get().cloned()
    }

    /// Waits until queriers see everything that was acknowledged in the WAL before the call: commits that are only going into
    /// memory, which takes microseconds. The caller is in the middle of no commit.
    pub fn wait_visible(&self) {
        self.shared.head.wait_visible();
    }

    /// How far the replay is, or was.
    #[must_use]
    pub fn replay_progress(&self) -> ReplayStatus {
        self.shared.options.progress.status()
    }

    /// Statistics of the head, lists with at most `limit` entries.
    #[must_use]
    pub fn stats(&self, limit: usize) -> HeadStats {
        self.shared.head.stats(limit)
    }

    /// What makes the series in memory many.
    #[must_use]
    pub fn cardinality(&self, request: &CardinalityRequest<'_>) -> Cardinality {
        self.shared.head.cardinality(request)
    }

    /// Timestamps of the oldest and the newest sample, ms; `None` for an empty database.
    #[must_use]
    pub fn time_range(&self) -> Option<(i64, i64)> {
        let (mut min_ms, mut max_ms) = self.shared.head.time_range();
        for meta in self.blocks() {
            (min_ms, max_ms) = (min_ms.min(meta.min_ms), max_ms.max(meta.max_ms.saturating_sub(1)));
        }
        (min_ms <= max_ms).then_some((min_ms, max_ms))
    }

    /// The labels of a series; `None` for an unknown reference.
    #[must_use]
    pub fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.shared.head.labels(series)
    }

    /// What was last said about a series' family; `None` when nothing was.
    #[must_use]
    pub fn metadata(&self, series: SeriesRef) -> Option<Arc<Metadata>> {
        self.shared.head.series_metadata(series)
    }

    /// The exemplars in `[start_ms, end_ms]` of all series that satisfy every matcher of one of the sets, sorted by labels.
    #[must_use]
    pub fn exemplars(
        &self,
        start_ms: i64,
        end_ms: i64,
        matcher_sets: &[Vec<Matcher>],
    ) -> Vec<SeriesExemplars> {
        let matches = |labels: &Labels| {
            matcher_sets.iter().any(|set| set.iter().all(|m| m.matches(labels.value(&m.name))))
        };
        let found = self.shared.head.exemplars_in(start_ms, end_ms).into_iter();
        let found = found.filter(|(labels, _)| matches(labels));
        let mut found: Vec<_> =
            found.map(|(labels, exemplars)| SeriesExemplars { labels, exemplars }).collect();
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        found.dedup_by(|next, first| {
            let same = next.labels == first.labels;
            if same {
                first.exemplars.append(&mut next.exemplars);
                first.exemplars.sort_by_key(|exemplar| exemplar.t_ms);
            }
            same
        });
        found
    }

    /// Closes the log (synced to disk) and gives the directory back. Later commits fail; reading still works. Closing twice
    /// is harmless.
    ///
    /// # Errors
    /// The log could not be synced; it is then as after a crash: complete, but perhaps not on the disk.
    pub fn close(&self) -> Result<(), WriteError> {
        self.shared.end()
    }
}

impl Drop for Db {
    /// An appender may outlive the database: without its log it can no longer write to a directory that is given back.
    fn drop(&mut self) {
        drop(self.shared.end());
    }
}

impl Appendable for Db {
    fn appender(&self) -> Box<dyn Appender> {
        match self.shared.readiness.is_replaying() {
            false => Box::new(HeadAppender::new(Arc::clone(&self.shared.head))),
            true => Box::new(NotYet),
        }
    }
}

impl Queryable for Db {
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier>, QueryError> {
        let (head, blocks) = self.shared.head_and_blocks(mint_ms, maxt_ms);
        let mut sources: Vec<QuerierInTime> = head.into_iter().collect();
        for block in blocks.iter() {
            let meta = block.meta();
            if meta.overlaps(mint_ms, maxt_ms) {
                let mut querier = block.querier(mint_ms, maxt_ms);
                if self.shared.options.quarantine_when_read {
                    querier = watched(querier, meta.ulid, &self.shared.blocks);
                }
                sources.push(QuerierInTime {
                    min_ms: meta.min_ms,
                    max_ms: meta.max_ms.saturating_sub(1),
                    querier,
                });
            }
        }
        Ok(merge_queriers(sources))
    }
}

impl Shared {
    /// A view of the head, once it is replayed, and the blocks that belong to it: those that are served before and after it was
    /// taken. With older blocks the query could miss what the head has just let go, with younger ones it could see a part of a
    /// batch that came after the view (of stale or late series, whose blocks reach up to now).
    fn head_and_blocks(&self, mint_ms: i64, maxt_ms: i64) -> (Option<QuerierInTime>, Arc<Vec<Block>>) {
        loop {
            let blocks = self.blocks.current();
            let head = (!self.readiness.is_replaying()).then(|| self.head_querier(mint_ms, maxt_ms));
            if Arc::ptr_eq(&blocks, &self.blocks.current()) {
                return (head, blocks);
            }
        }
    }

    fn head_querier(&self, mint_ms: i64, maxt_ms: i64) -> QuerierInTime {
        // Truncation may raise the minimum after the querier came, late commits may lower it before: what the querier sees is
        // not older than the lower of both.
        let before_ms = self.head.time_range().0;
        let querier = Box::new(HeadQuerier::new(Arc::clone(&self.head), mint_ms, maxt_ms));
        let min_ms = before_ms.min(self.head.time_range().0);
        QuerierInTime { min_ms, max_ms: i64::MAX, querier }
    }
}
