//! Commits while a slice of the database is read: the view may have them or not, the log has them in any case, and the endpoint
//! gets each of them once.

use narthex_config::WalHold;
use narthex_model::Histogram;
use narthex_storage::{Appendable as _, HistogramRef, Querier, QueryError};
use parking_lot::Mutex;

use super::world::{self, Past, World};
use super::*;
use crate::Backlog;

/// A database to which something is committed before and after each view is taken.
struct Busy {
    past: Past,
    /// Of the newest commit; without it nothing is committed.
    t_ms: Mutex<Option<i64>>,
    written: Mutex<Samples>,
    views: std::sync::atomic::AtomicUsize,
}

impl Busy {
    fn commit(&self) {
        let mut t_ms = self.t_ms.lock();
        let Some(t_ms) = t_ms.as_mut() else { return };
        *t_ms += 1000;
        let Past(db) = &self.past;
        let mut appender = db.appender();
        // Some come late for their series, some are the first of theirs.
        let new = t_ms.to_string();
        let samples = [("n", "0", 0), ("late", "1", 4500), ("late", "2", 2500), ("new", &*new, 3)];
        for (name, value, behind_ms) in samples {
            let pairs = [("__name__", "busy"), (name, value)];
            let series = appender.resolve(&Labels::from_pairs(pairs)).unwrap();
            appender.append(series, *t_ms - behind_ms, *t_ms as f64).unwrap();
            let sent = Labels::from_pairs(pairs.into_iter().chain([("dc", "eu")])).to_string();
            let sample = (*t_ms - behind_ms, (*t_ms as f64).to_bits());
            self.written.lock().entry(sent).or_default().push(sample);
        }
        let series = appender.resolve(&Labels::from_pairs([("__name__", "busy_histogram")])).unwrap();
        let histogram = Histogram { count: 4, zero_count: 4, sum: 1.0, ..Histogram::default() };
        appender.append_histogram(series, *t_ms, HistogramRef::Int(&histogram)).unwrap();
        appender.commit().unwrap();
    }
}

impl Backlog for Busy {
    fn view(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier>, QueryError> {
        self.commit();
        let view = self.past.view(mint_ms, maxt_ms);
        self.commit();
        self.views.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        view
    }

    fn span_ms(&self) -> Option<(i64, i64)> {
        self.past.span_ms()
    }
}

/// What arrives after an outage during which the log was left, while commits come with each view.
async fn check_once(change: impl Fn(&mut RemoteWriteConfig)) {
    let dir = world::tempdir();
    let mut world = World::new(dir.path(), 11, 24 * 3_600_000);
    let receiver = Receiver::start(Mode::Accept).await;
    let wal_hold = Some(WalHold { bytes: 60_000, age_ms: 0 });
    let mut config = RemoteWriteConfig { wal_hold, send_native_histograms: true, ..config(&receiver) };
    // A slow answer must not make anything come twice.
    config.remote_timeout_ms = 20_000;
    change(&mut config);
    let busy = Arc::new(Busy {
        past: Past(Arc::clone(&world.db)),
        t_ms: Mutex::default(),
        written: Mutex::default(),
        views: Default::default(),
    });
    let (remote, registry) = world.start_over(Arc::clone(&busy) as _, &[config]).await;
    world.scrapes(5);
    until("the first samples", || world.is_all_at(&receiver)).await;
    // Nothing is taken here, so nothing may come twice for want of an answer.
    receiver.set(Mode::Status(503, None));
    let is_behind = || metric(&registry, "prometheus_remote_storage_backlog_timestamp_seconds") > 0.0;
    until("the log is left", || {
        world.scrapes(20);
        is_behind()
    })
    .await;
    world.scrapes(100);
    *busy.t_ms.lock() = Some(world.t_ms);
    receiver.set(Mode::Accept);
    until("the log is followed", || !is_behind()).await;
    busy.commit();
    until("all samples", || world.is_all_at(&receiver) && receiver.has_all(&busy.written.lock())).await;
    remote.stop().await;
    assert!(busy.views.load(std::sync::atomic::Ordering::SeqCst) > 1);
    receiver.taken(|taken| assert_eq!((taken.doubles, taken.histogram_doubles), (0, 0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_while_the_database_is_read_comes_once() {
    check_once(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_while_the_database_is_read_comes_once_when_it_is_relabeled() {
    let step = narthex_relabel::RelabelConfig {
        source_labels: vec!["dc".into()],
        target_label: "dc".into(),
        replacement: "eu".into(),
        ..narthex_relabel::RelabelConfig::default()
    };
    check_once(|config| config.write_relabel_configs = vec![step.clone()]).await;
}
