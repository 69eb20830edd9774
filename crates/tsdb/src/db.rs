//! The database: a data directory opened for this process.
//!
//! Opening takes the lock, replays the log, then opens it for writing; closing goes the other way. Nothing in the directory that
//! this version cannot serve (blocks, m-mapped chunks) is touched; one warning names it. The log of out-of-order samples (WBL)
//! is read when it is there, and made and written when there is a window for them.

mod progress;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use narthex_metrics::Registry;
use narthex_model::{Exemplar, Labels, Matcher, Metadata};
use narthex_storage::{Appendable, Appender, Querier, QueryError, Queryable, SeriesRef};
use parking_lot::Mutex;

pub use self::progress::{ReplayProgress, ReplayState, ReplayStatus};
use crate::dir_lock::{DirLock, LockError};
use crate::head::append::HeadAppender;
use crate::head::query::HeadQuerier;
use crate::head::replay::{ReplayError, replay};
use crate::head::stats::HeadStats;
use crate::head::{CutRule, Head, HeadOptions};
use crate::metrics::{HeadMetrics, register_head};
use narthex_wal::{Tip, WalMetrics, WalOptions, WriteError, Writer};

/// How a database is opened. The defaults are Prometheus'.
#[derive(Clone, Debug)]
pub struct DbOptions {
    /// Segment size and compression of the WAL.
    pub wal: WalOptions,
    /// No chunk crosses a multiple of this, ms; blocks will have this range.
    pub min_block_duration_ms: i64,
    /// Samples wanted in a chunk; twice as many are the limit.
    pub samples_per_chunk: u32,
    /// How far behind the newest sample a float that comes out of order may be, ms; 0 for "in order only". Native histograms
    /// must come in order in any case.
    pub out_of_order_window_ms: i64,
    /// Exemplars kept; 0 for none.
    pub max_exemplars: usize,
    /// Whether to go without the lock file.
    pub no_lockfile: bool,
    /// Tells others how far the replay is.
    pub progress: ReplayProgress,
}

impl Default for DbOptions {
    fn default() -> Self {
        Self {
            wal: WalOptions::default(),
            min_block_duration_ms: 2 * 3_600_000,
            samples_per_chunk: 120,
            out_of_order_window_ms: 0,
            max_exemplars: 0,
            no_lockfile: false,
            progress: ReplayProgress::default(),
        }
    }
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory could not be made or listed.
    #[error("cannot open data directory {}", path.display())]
    Dir {
        /// The data directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Another process has the directory, or the lock cannot be made.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The log cannot be read.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The log cannot be written.
    #[error("cannot open the WAL for writing")]
    Wal(#[from] WriteError),
    /// An option makes no sense.
    #[error("{what} must be above 0, not {value}")]
    Option {
        /// The option.
        what: &'static str,
        /// Its value.
        value: i64,
    },
}

/// An open data directory.
pub struct Db {
    head: Arc<Head>,
    wal_dir: PathBuf,
    tip: Tip,
    progress: ReplayProgress,
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
    /// Opens (or makes) a data directory and replays its log. Blocks until everything is in memory; `options.progress` can be
    /// watched from another thread meanwhile.
    ///
    /// # Errors
    /// See [`OpenError`]. A corrupt log is no error: it is cut at its last good record, counted and logged.
    pub fn open(path: &Path, options: DbOptions, registry: &Registry) -> Result<Arc<Self>, OpenError> {
        check_options(&options)?;
        let dir_error = |source| OpenError::Dir { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(dir_error)?;
        let lock = take_lock(path, &options, registry)?;
        warn_of_unserved(path).map_err(dir_error)?;
        let rule = CutRule { range_ms: options.min_block_duration_ms, samples: options.samples_per_chunk };
        let head_options = HeadOptions {
            out_of_order_window_ms: options.out_of_order_window_ms,
            max_exemplars: options.max_exemplars,
        };
        let head = Arc::new(Head::new(head_options, rule, HeadMetrics::new(registry)));
        register_head(registry, &head);
        let wal_dir = path.join("wal");
        let wbl_dir = path.join("wbl");
        let report = replay(&head, &wal_dir, &wbl_dir, &options.progress)?;
        head.metrics.replayed(&report);
        let writer =
            Writer::open(&wal_dir, options.wal, WalMetrics::for_wal(registry, options.wal.compression))?;
        let tip = writer.tip();
        let late = open_wbl(&wbl_dir, &options, registry)?;
        head.start_log(writer, late);
        Ok(Arc::new(Self { head, wal_dir, tip, progress: options.progress, lock: Mutex::new(lock) }))
    }

    /// The directory of the WAL.
    #[must_use]
    pub fn wal_dir(&self) -> &Path {
        &self.wal_dir
    }

    /// How far acknowledged batches reach in the WAL, for a [`Tailer`](narthex_wal::Tailer).
    #[must_use]
    pub fn wal_tip(&self) -> Tip {
        self.tip.clone()
    }

    /// How far the replay is, or was.
    #[must_use]
    pub fn replay_progress(&self) -> ReplayStatus {
        self.progress.status()
    }

    /// Statistics of the head, lists with at most `limit` entries.
    #[must_use]
    pub fn stats(&self, limit: usize) -> HeadStats {
        self.head.stats(limit)
    }

    /// Timestamps of the oldest and the newest sample, ms; `None` for an empty database.
    #[must_use]
    pub fn time_range(&self) -> Option<(i64, i64)> {
        let (min_ms, max_ms) = (self.head.min_ms(), self.head.max_ms());
        (min_ms <= max_ms).then_some((min_ms, max_ms))
    }

    /// The labels of a series; `None` for an unknown reference.
    #[must_use]
    pub fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.head.labels(series)
    }

    /// What was last said about a series' family; `None` when nothing was.
    #[must_use]
    pub fn metadata(&self, series: SeriesRef) -> Option<Arc<Metadata>> {
        self.head.series_metadata(series)
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
        let found = self.head.exemplars_in(start_ms, end_ms).into_iter().filter_map(|(series, exemplars)| {
            let labels = self.head.labels(series)?;
            matches(&labels).then_some(SeriesExemplars { labels, exemplars })
        });
        let mut found: Vec<SeriesExemplars> = found.collect();
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        found
    }

    /// Closes the log (synced to disk) and gives the directory back. Later commits fail; reading still works. Closing twice
    /// is harmless.
    ///
    /// # Errors
    /// The log could not be synced; it is then as after a crash: complete, but perhaps not on the disk.
    pub fn close(&self) -> Result<(), WriteError> {
        let [wal, late] = self.head.stop_log().map(|log| log.map_or(Ok(()), Writer::close));
        *self.lock.lock() = None;
        wal.and(late)
    }
}

impl Drop for Db {
    /// An appender may outlive the database: without its log it can no longer write to a directory that is given back.
    fn drop(&mut self) {
        drop(self.head.stop_log());
    }
}

impl Appendable for Db {
    fn appender(&self) -> Box<dyn Appender> {
        Box::new(HeadAppender::new(Arc::clone(&self.head)))
    }
}

impl Queryable for Db {
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier>, QueryError> {
        Ok(Box::new(HeadQuerier::new(Arc::clone(&self.head), mint_ms, maxt_ms)))
    }
}

/// The log for out-of-order samples; none without a window.
fn open_wbl(dir: &Path, options: &DbOptions, registry: &Registry) -> Result<Option<Writer>, WriteError> {
    if options.out_of_order_window_ms <= 0 {
        return Ok(None);
    }
    let metrics = WalMetrics::for_wbl(registry, options.wal.compression);
    Writer::open(dir, options.wal, metrics).map(Some)
}

fn check_options(options: &DbOptions) -> Result<(), OpenError> {
    let positive = [
        ("the minimum block duration", options.min_block_duration_ms),
        ("the number of samples per chunk", i64::from(options.samples_per_chunk)),
    ];
    match positive.into_iter().find(|(_, value)| *value <= 0) {
        Some((what, value)) => Err(OpenError::Option { what, value }),
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

/// Says once what lies in the directory that this version does not serve.
fn warn_of_unserved(path: &Path) -> io::Result<()> {
    let mut blocks = 0;
    let mut others = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let filled = || entry.path().read_dir().is_ok_and(|mut files| files.next().is_some());
        match &*name {
            "chunks_head" if filled() => others.push(name),
            _ if entry.path().join("meta.json").is_file() => blocks += 1,
            _ => {}
        }
    }
    if blocks > 0 || !others.is_empty() {
        tracing::warn!(
            blocks,
            others = others.join(","),
            "this version serves only what is in the WAL and the WBL; blocks and other files in the data directory are left as they are"
        );
    }
    Ok(())
}
