//! A database that is scraped, compacted, truncated and killed, and remembers what it took.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use narthex_model::{Histogram, Labels, STALE_NAN};
use narthex_storage::{Appendable as _, Appender, HistogramRef, Querier, QueryError, Queryable as _};
use narthex_tsdb::{Db, DbOptions, Retention, RuntimeOptions};
use narthex_wal::{Compression, WalOptions, list_segments};

use super::feed::Samples;
use super::*;
use crate::Backlog;

/// The range of the smallest blocks, ms.
pub(crate) const RANGE_MS: i64 = 10_000;

pub(crate) struct World {
    pub(crate) dir: PathBuf,
    pub(crate) db: Arc<Db>,
    pub(crate) rng: fastrand::Rng,
    /// Of the newest scrape.
    pub(crate) t_ms: i64,
    pub(crate) written: Samples,
    /// Label sets and times of histograms.
    pub(crate) histograms: BTreeSet<(String, i64)>,
    hold: Arc<parking_lot::Mutex<Weak<RemoteWrite>>>,
    retention_ms: i64,
}

/// A fresh directory, in memory where the system has a place for that.
pub(crate) fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The database as endpoints see it.
pub(crate) struct Past(pub(crate) Arc<Db>);

impl Backlog for Past {
    fn view(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier>, QueryError> {
        self.0.wait_visible();
        self.0.querier(mint_ms, maxt_ms)
    }

    fn span_ms(&self) -> Option<(i64, i64)> {
        self.0.time_range()
    }
}

impl World {
    pub(crate) fn new(dir: &Path, seed: u64, retention_ms: i64) -> Self {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let hold = Arc::default();
        Self {
            dir: dir.to_owned(),
            db: open(dir, retention_ms, &hold),
            rng: fastrand::Rng::with_seed(seed),
            t_ms: now_ms - 36_000_000,
            written: Samples::new(),
            histograms: BTreeSet::new(),
            hold,
            retention_ms,
        }
    }

    /// Starts remote write over it.
    pub(crate) async fn start(&self, configs: &[RemoteWriteConfig]) -> (Arc<RemoteWrite>, Registry) {
        self.start_over(Arc::new(Past(Arc::clone(&self.db))), configs).await
    }

    /// Starts remote write over it, with another look at the database.
    pub(crate) async fn start_over(
        &self,
        backlog: Arc<dyn Backlog>,
        configs: &[RemoteWriteConfig],
    ) -> (Arc<RemoteWrite>, Registry) {
        let registry = Registry::new();
        let options = RemoteWriteOptions {
            data_dir: self.dir.clone(),
            tip: self.db.wal_tip().unwrap(),
            flush_deadline: Duration::from_secs(20),
            backlog: Some(backlog),
            live: Some(Arc::clone(&self.db) as _),
            metadata: None,
        };
        let remote = Arc::new(RemoteWrite::new(options, &registry));
        *self.hold.lock() = Arc::downgrade(&remote);
        remote.apply_config(configs, &Labels::from_pairs([("dc", "eu")])).await.unwrap();
        (remote, registry)
    }

    /// Opens the database again, as after a kill: nobody closed it.
    pub(crate) fn reopen(&mut self) {
        *self.hold.lock() = Weak::new();
        let scratch = Arc::clone(&self.db);
        let _ = scratch.close();
        drop(scratch);
        self.db = open(&self.dir, self.retention_ms, &self.hold);
    }

    /// The first segment of the log that is left.
    pub(crate) fn first_segment(&self) -> u32 {
        list_segments(&self.dir.join("wal")).unwrap()[0]
    }

    /// Commits scrapes, with late samples of some series, series that come and go, stale markers and histograms.
    pub(crate) fn scrapes(&mut self, count: usize) {
        for _ in 0..count {
            self.t_ms += 1000;
            let generation = (self.t_ms / 7_000).to_string();
            let mut appender = self.db.appender();
            for n in 0..30 {
                let value = (self.t_ms % 977 * n) as f64;
                self.sample(&mut *appender, &[("n", &n.to_string())], self.t_ms, value);
            }
            for n in 0..5 {
                let value = if self.t_ms / 1000 % 7 == 6 { STALE_NAN } else { n as f64 };
                let pairs = [("generation", &*generation), ("n", &n.to_string())];
                self.sample(&mut *appender, &pairs, self.t_ms, value);
            }
            for n in 0..4 {
                let behind_ms = if self.rng.bool() { 0 } else { self.rng.i64(1..5) * 1000 + n };
                let pairs = [("late", &*n.to_string())];
                self.sample(&mut *appender, &pairs, self.t_ms - behind_ms, behind_ms as f64);
            }
            self.histogram(&mut *appender);
            appender.commit().unwrap();
        }
    }

    /// Ends the series of histograms, as a scrape does that does not find it.
    pub(crate) fn end_histograms(&mut self) {
        self.t_ms += 1000;
        let mut appender = self.db.appender();
        let labels = Labels::from_pairs([("__name__", "h")]);
        let series = appender.resolve(&labels).unwrap();
        appender.append(series, self.t_ms, STALE_NAN).unwrap();
        appender.commit().unwrap();
        let sent = Labels::from_pairs([("__name__", "h"), ("dc", "eu")]).to_string();
        self.written.entry(sent).or_default().push((self.t_ms, STALE_NAN.to_bits()));
    }

    fn sample(&mut self, appender: &mut dyn Appender, pairs: &[(&str, &str)], t_ms: i64, value: f64) {
        let all = pairs.iter().copied().chain([("__name__", "m")]);
        let labels = Labels::from_pairs(all.clone());
        let sent = Labels::from_pairs(all.chain([("dc", "eu")])).to_string();
        let series = self.written.entry(sent).or_default();
        if series.iter().rev().take(10).any(|(t, _)| *t == t_ms) {
            return;
        }
        series.push((t_ms, value.to_bits()));
        let series = appender.resolve(&labels).unwrap();
        appender.append(series, t_ms, value).unwrap();
    }

    fn histogram(&mut self, appender: &mut dyn Appender) {
        let series = appender.resolve(&Labels::from_pairs([("__name__", "h")])).unwrap();
        let count = self.t_ms.unsigned_abs() % 1_000_000;
        let histogram = Histogram { count, zero_count: count, sum: 1.0, ..Histogram::default() };
        appender.append_histogram(series, self.t_ms, HistogramRef::Int(&histogram)).unwrap();
        let labels = Labels::from_pairs([("__name__", "h"), ("dc", "eu")]).to_string();
        self.histograms.insert((labels, self.t_ms));
    }

    /// What was written of the series whose samples are never late.
    pub(crate) fn in_order(&self) -> Samples {
        let in_order = self.written.iter().filter(|(labels, _)| !labels.contains("late="));
        in_order.map(|(labels, samples)| (labels.clone(), samples.clone())).collect()
    }

    /// Whether everything arrived, floats and histograms.
    pub(crate) fn is_all_at(&self, receiver: &Receiver) -> bool {
        receiver.taken(|taken| self.histograms.is_subset(&taken.histograms))
            && receiver.has_all(&self.written)
    }
}

fn open(dir: &Path, retention_ms: i64, hold: &Arc<parking_lot::Mutex<Weak<RemoteWrite>>>) -> Arc<Db> {
    let options = DbOptions {
        wal: WalOptions {
            segment_size_bytes: 4 * 32 * 1024,
            compression: Compression::None,
            ..WalOptions::default()
        },
        min_block_duration_ms: RANGE_MS,
        max_block_duration_ms: 9 * RANGE_MS,
        runtime: RuntimeOptions {
            out_of_order_window_ms: 6_000,
            retention: Retention { time_ms: retention_ms, ..Retention::default() },
            ..RuntimeOptions::default()
        },
        manual_maintenance: true,
        no_lockfile: true,
        ..DbOptions::default()
    };
    let db = Db::open(dir, options, &Registry::new()).unwrap();
    let hold = Arc::clone(hold);
    db.add_wal_hold(Arc::new(move || match hold.lock().upgrade() {
        Some(remote) => remote.wal_hold(),
        None => Some(narthex_wal::WalPosition::default()),
    }));
    db
}
