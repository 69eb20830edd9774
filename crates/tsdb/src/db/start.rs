//! The way from a directory to a ready database.
//!
//! First what is quick: the lock, the blocks. Then, on a thread of its own, the replay of the logs; when it is done they are
//! opened for writing and the database is ready. Until then appenders take nothing and the head shows nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use narthex_block::{RepairError, repair_index_version};
use narthex_metrics::Registry;
use narthex_wal::{WalMetrics, WriteError, Writer};
use parking_lot::{Condvar, Mutex};

use super::blocks::{self, Blocks};
use super::compaction::Work;
use super::maintenance::{self, Stop};
use super::metrics::{DbMetrics, register_db};
use super::stale::StaleMetrics;
use super::{Db, DbOptions, OpenError, Shared};
use crate::compact::metrics::CompactMetrics;
use crate::compact::plan::Planner;
use crate::dir_lock::{DirLock, LockError};
use crate::head::replay::found::Found;
use crate::head::replay::{Damage, Logs, ReplayError, replay};
use crate::head::{CutRule, Head, HeadOptions};
use crate::head_chunks::{HeadChunkMetrics, HeadChunks};
use crate::ingestion::IngestionSwitch;
use crate::metrics::{HeadMetrics, register_head};

/// Whether the head can be used, for those who wait for it.
#[derive(Default)]
pub(super) struct Readiness {
    phase: Mutex<Phase>,
    changed: Condvar,
}

#[derive(Default)]
enum Phase {
    #[default]
    Replaying,
    Ready,
    /// With the reason until somebody took it.
    Ended(Option<OpenError>),
}

impl Readiness {
    pub(super) fn is_ready(&self) -> bool {
        matches!(*self.phase.lock(), Phase::Ready)
    }

    pub(super) fn is_replaying(&self) -> bool {
        matches!(*self.phase.lock(), Phase::Replaying)
    }

    pub(super) fn wait(&self) -> Result<(), OpenError> {
        let mut phase = self.phase.lock();
        loop {
            match &mut *phase {
                Phase::Ready => return Ok(()),
                Phase::Ended(reason) => return Err(reason.take().unwrap_or(OpenError::NotOpened)),
                Phase::Replaying => self.changed.wait(&mut phase),
            }
        }
    }

    /// Ready from now on, unless it ended already.
    fn set_ready(&self) -> bool {
        let mut phase = self.phase.lock();
        let first = matches!(*phase, Phase::Replaying);
        if first {
            *phase = Phase::Ready;
            self.changed.notify_all();
        }
        first
    }

    /// Never ready again. `true` when the replay is still at work: it then cleans up after itself.
    pub(super) fn end(&self, reason: Option<OpenError>) -> bool {
        let before = std::mem::replace(&mut *self.phase.lock(), Phase::Ended(reason));
        self.changed.notify_all();
        matches!(before, Phase::Replaying)
    }
}

impl Db {
    /// Opens (or makes) a data directory and replays its log. Blocks until everything is in memory; `options.progress` can be
    /// watched from another thread meanwhile.
    ///
    /// # Errors
    /// See [`OpenError`]. A corrupt log is no error: it is cut at its last good record, counted and logged.
    pub fn open(path: &Path, options: DbOptions, registry: &Registry) -> Result<Arc<Self>, OpenError> {
        let db = Self::start(path, options, registry)?;
        db.wait_ready()?;
        Ok(db)
    }

    /// Opens (or makes) a data directory and returns when its blocks can be queried; the log is replayed on another thread. Until
    /// [`Db::is_ready`] appends are refused and queries see only blocks.
    ///
    /// # Errors
    /// See [`OpenError`]; those of the replay are told by [`Db::wait_ready`].
    pub fn start(path: &Path, options: DbOptions, registry: &Registry) -> Result<Arc<Self>, OpenError> {
        check_options(&options)?;
        let dir_error = |source| OpenError::Dir { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(dir_error)?;
        let lock = take_lock(path, &options, registry)?;
        for dir in blocks::block_dirs(path).map_err(dir_error)? {
            match repair_index_version(&dir) {
                // Whoever looks for blocks says that this one has no description.
                Ok(_) | Err(RepairError::Meta(_)) => {}
                Err(source) => return Err(OpenError::Repair { dir, source }),
            }
        }
        blocks::sweep(path).map_err(dir_error)?;
        let rule = CutRule {
            range_ms: options.min_block_duration_ms,
            samples: options.samples_per_chunk,
            floats: options.runtime.float_chunks,
            histogram_starts: options.histogram_start_chunks,
        };
        let head_options = HeadOptions {
            out_of_order_window_ms: options.runtime.out_of_order_window_ms,
            max_exemplars: options.runtime.max_exemplars,
            start_timestamps: options.start_timestamps,
        };
        let switch = IngestionSwitch::new(registry);
        let head = Arc::new(Head::new(head_options, rule, HeadMetrics::new(registry), switch));
        register_head(registry, &head);
        let longest_ms = options.longest_block_ms();
        let shared = Arc::new(Shared {
            dir: path.to_owned(),
            head,
            blocks: Arc::new(Blocks::new(path)),
            planner: Planner::new(options.min_block_duration_ms, longest_ms, options.overlapping_compaction),
            metrics: DbMetrics::new(registry),
            stale_metrics: StaleMetrics::new(registry),
            compact_metrics: CompactMetrics::new(registry),
            work: Mutex::new(Work::new(compaction_delay(&options))),
            compacting: AtomicBool::new(true),
            stop: Stop::default(),
            thread: Mutex::default(),
            wal_dir: path.join("wal"),
            runtime: Mutex::new(options.runtime.clone()),
            tip: std::sync::OnceLock::new(),
            synced: std::sync::OnceLock::new(),
            holds: Mutex::default(),
            readiness: Readiness::default(),
            options,
            lock: Mutex::new(lock),
            registry: registry.clone(),
        });
        shared.metrics.show_limits(&shared.options.runtime.retention);
        register_db(registry, &shared);
        shared.load_blocks()?;
        let replayer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("replay".to_owned());
        thread
            .spawn(move || {
                // Whoever waits for readiness must hear of a panic too.
                let brought = catch_unwind(AssertUnwindSafe(|| replayer.bring_up()));
                let brought = brought.unwrap_or_else(|panic| Err(ReplayError::panicked(&*panic).into()));
                if let Err(error) = brought {
                    replayer.give_up(error);
                }
            })
            .map_err(OpenError::Thread)?;
        Ok(Arc::new(Self { shared }))
    }
}

impl Shared {
    /// The slow part of opening.
    fn bring_up(self: &Arc<Self>) -> Result<(), OpenError> {
        let options = &self.options;
        let floor_ms = self.blocks.in_order_end_ms();
        if let Some(floor_ms) = floor_ms {
            self.head.truncate(floor_ms, Duration::ZERO);
        }
        let wbl_dir = self.wal_dir.with_file_name("wbl");
        let mut found = Found::default();
        let files = HeadChunks::open(
            &self.wal_dir.with_file_name("chunks_head"),
            HeadChunkMetrics::new(&self.registry),
            &mut |chunk| found.add(&chunk),
        )?;
        let snapshot = self.usable_snapshot(files.was_repaired());
        self.head.set_chunk_files(files);
        let logs = Logs { wal: &self.wal_dir, wbl: &wbl_dir, snapshot };
        let report = replay(&self.head, &logs, found, &options.progress, Damage::Repair)?;
        self.head.metrics.replayed(&report);
        let metrics = WalMetrics::for_wal(&self.registry, options.wal.compression);
        let writer = Writer::open(&self.wal_dir, options.wal, metrics)?;
        // Set once: nobody else opens the log.
        let _ = self.tip.set(writer.tip());
        let _ = self.synced.set(writer.synced());
        // A log that is there is opened without a window too: compaction of late samples truncates it.
        let late = if wbl_dir.is_dir() { Some(self.open_wbl()?) } else { None };
        self.head.start_log(writer, late, options.probe);
        if let Some(floor_ms) = floor_ms {
            // The log still had series whose samples all lie in blocks. They can only leave when the log is open.
            self.head.truncate(floor_ms, Duration::ZERO);
        }
        if let Err(error) = self.remember_what_follows() {
            tracing::warn!(%error, "cannot tell whether the WAL should be shorter; the next block of the head sees to it");
        }
        self.set_late_window(self.runtime.lock().out_of_order_window_ms)?;
        if !options.manual_maintenance {
            *self.thread.lock() = Some(maintenance::start(self).map_err(OpenError::Thread)?);
        }
        if !self.readiness.set_ready() {
            drop(self.close_down());
        }
        Ok(())
    }

    /// Opens the log of samples out of order.
    fn open_wbl(&self) -> Result<Writer, WriteError> {
        let metrics = WalMetrics::for_wbl(&self.registry, self.options.wal.compression);
        Writer::open(&self.wal_dir.with_file_name("wbl"), self.options.wal, metrics)
    }

    /// Changes the window for samples out of order; makes their log when it is the first.
    pub(super) fn set_late_window(&self, window_ms: i64) -> Result<(), WriteError> {
        self.head.set_late_window(window_ms, || self.open_wbl())
    }

    fn give_up(&self, error: OpenError) {
        *self.lock.lock() = None;
        self.readiness.end(Some(error));
    }

    /// Gives logs and directory back. While the replay is at work it does so when it is done.
    pub(super) fn end(&self) -> Result<(), WriteError> {
        self.stop.set();
        if self.readiness.end(None) {
            return Ok(());
        }
        self.close_down()
    }

    fn close_down(&self) -> Result<(), WriteError> {
        if let Some(thread) = self.thread.lock().take() {
            // A panic there was logged there.
            let _ = thread.join();
        }
        let [wal, late] = self.head.stop_log();
        let late = late.map_or(Ok(()), Writer::close);
        let wal = wal.map_or(Ok(()), |wal| self.close_wal(wal));
        self.head.sync_chunk_files();
        *self.lock.lock() = None;
        wal.and(late)
    }
}

fn check_options(options: &DbOptions) -> Result<(), OpenError> {
    let positive = [
        ("the minimum block duration", options.min_block_duration_ms),
        ("the number of samples per chunk", i64::from(options.samples_per_chunk)),
    ];
    match positive.into_iter().find(|(_, value)| *value <= 0) {
        Some((what, value)) => Err(OpenError::Option { what, value }),
        None if !options.keeps_starts_with(options.runtime.float_chunks) => {
            Err(OpenError::XorWithStartTimestamps)
        }
        None => Ok(()),
    }
}

fn take_lock(path: &Path, options: &DbOptions, registry: &Registry) -> Result<Option<DirLock>, LockError> {
    let clean_start = registry.gauge(
        "prometheus_tsdb_clean_start",
        "-1: lockfile is disabled. 0: a lockfile from a previous execution was replaced. 1: lockfile creation was clean",
    );
    clean_start.set(-1.0);
    if options.no_lockfile {
        return Ok(None);
    }
    let lock = DirLock::take(path)?;
    clean_start.set(if lock.replaced { 0.0 } else { 1.0 });
    if lock.replaced {
        tracing::warn!(
            file = %path.join("lock").display(),
            "A lockfile from a previous execution already existed. It was replaced"
        );
    }
    Ok(Some(lock))
}

/// How long this process puts off the compaction of its head.
fn compaction_delay(options: &DbOptions) -> Duration {
    let percent = options.compaction_delay_max_percent.map_or(0, i64::from);
    let most_ms = options.min_block_duration_ms.saturating_mul(percent) / 100;
    let most_ms = u64::try_from(most_ms).unwrap_or(0);
    Duration::from_millis(fastrand::u64(0..=most_ms))
}
