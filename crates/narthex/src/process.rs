//! The process as the web side sees it: configuration, runtime facts, replay, and requests to reload or quit.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use narthex_config::Config;
use narthex_metrics::{Gauge, Registry, Value};
use narthex_model::{Labels, UnixTime};
use narthex_tsdb::{ReplayProgress, ReplayState};
use narthex_web::{Notification, ProcessService, RuntimeInfo, Subscription, WalReplay};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::notices::Notices;
use crate::{procfs, settings, storage_settings};

/// Told from the start of the replay to its end.
pub(crate) const STARTING_UP: &str = "Prometheus is starting and replaying the write-ahead log (WAL).";
/// Told from the request to stop on.
pub(crate) const SHUTTING_DOWN: &str = "Prometheus is shutting down and gracefully stopping all operations.";
/// Told from a failed reload to the next good one.
const RELOAD_FAILED: &str = "Configuration reload has failed.";

/// Somebody waits to hear how a reload went.
pub(crate) type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// Facts and requests. Shared by the web side and the main loop.
pub(crate) struct Process {
    started: SystemTime,
    cwd: String,
    hostname: String,
    registry: Registry,
    progress: ReplayProgress,
    /// The configuration in force. Held only to read or swap the pointer.
    config: RwLock<Arc<Config>>,
    /// What users should know now.
    notices: Arc<Notices>,
    reload_success: Gauge,
    reload_time: Gauge,
    reloads: mpsc::Sender<ReloadRequest>,
    quit_asked: AtomicBool,
    quit: Notify,
}

impl Process {
    /// The process with its first configuration, and where reload requests arrive.
    #[must_use]
    pub(crate) fn new(
        config: Config,
        max_subscribers: usize,
        registry: &Registry,
    ) -> (Arc<Self>, mpsc::Receiver<ReloadRequest>) {
        // Requests beyond these wait to be taken; a reload serves only the one that asked.
        let (reloads, requests) = mpsc::channel(8);
        let success = "Whether the last configuration reload attempt was successful.";
        let time = "Timestamp of the last successful configuration reload.";
        let process = Self {
            started: procfs::start_time(SystemTime::now()),
            cwd: std::env::current_dir()
                .map_or_else(|_| String::new(), |dir: PathBuf| dir.display().to_string()),
            hostname: hostname(),
            registry: registry.clone(),
            progress: ReplayProgress::default(),
            config: RwLock::new(Arc::new(config)),
            notices: Notices::new(max_subscribers, registry),
            reload_success: registry.gauge("prometheus_config_last_reload_successful", success),
            reload_time: registry.gauge("prometheus_config_last_reload_success_timestamp_seconds", time),
            reloads,
            quit_asked: AtomicBool::new(false),
            quit: Notify::new(),
        };
        (Arc::new(process), requests)
    }

    /// When the process started.
    #[must_use]
    pub(crate) fn started(&self) -> SystemTime {
        self.started
    }

    /// Told by the storage while it replays.
    #[must_use]
    pub(crate) fn progress(&self) -> ReplayProgress {
        self.progress.clone()
    }

    /// The configuration in force.
    #[must_use]
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// A configuration came into force.
    pub(crate) fn loaded(&self, config: Arc<Config>) {
        *self.config.write().unwrap_or_else(std::sync::PoisonError::into_inner) = config;
        self.reload_success.set(1.0);
        self.notices.remove(RELOAD_FAILED);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.reload_time.set(now.as_secs_f64());
    }

    /// A configuration was refused; the old one stays.
    pub(crate) fn refused(&self) {
        self.reload_success.set(0.0);
        self.notices.add(RELOAD_FAILED);
    }

    /// What users should know now.
    pub(crate) fn notices(&self) -> &Notices {
        &self.notices
    }

    /// Corruptions of the WAL since the start, as the storage counted them.
    fn corruptions(&self) -> i64 {
        let families = self.registry.gather();
        let counted = families.iter().find(|f| f.name == "prometheus_tsdb_wal_corruptions_total");
        match counted.and_then(|f| f.metrics.first()).map(|m| &m.value) {
            Some(Value::Number(count)) => *count as i64,
            _ => 0,
        }
    }

    /// Ends when `/-/quit` was asked for.
    pub(crate) async fn quit_asked(&self) {
        self.quit.notified().await;
    }
}

impl ProcessService for Process {
    fn config_yaml(&self) -> String {
        self.config().to_yaml()
    }

    fn external_labels(&self) -> Labels {
        self.config().global.external_labels.clone()
    }

    fn runtime(&self) -> RuntimeInfo {
        RuntimeInfo {
            start: UnixTime::from_system(self.started),
            cwd: self.cwd.clone(),
            hostname: self.hostname.clone(),
            reload_success: self.reload_success.get() != 0.0,
            last_config: UnixTime { secs: self.reload_time.get() as i64, nanos: 0 },
            corruptions: self.corruptions(),
            threads: procfs::threads(),
            workers: i64::try_from(settings::worker_threads()).unwrap_or(0),
            memory_limit: i64::MAX,
            retention: storage_settings::retention_text(&self.config()),
        }
    }

    fn wal_replay(&self) -> WalReplay {
        let status = self.progress.status();
        let current = match status.state {
            ReplayState::Done => status.max,
            ReplayState::Waiting | ReplayState::Running => status.current,
        };
        WalReplay { min: status.min.into(), max: status.max.into(), current: current.into() }
    }

    fn notifications(&self) -> Vec<Notification> {
        self.notices.list()
    }

    fn subscribe(&self) -> Option<Subscription> {
        self.notices.subscribe()
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        let reloads = self.reloads.clone();
        Box::pin(async move {
            let stopping = || "the server is stopping".to_owned();
            let (tell, told) = oneshot::channel();
            reloads.send(tell).await.map_err(|_| stopping())?;
            told.await.unwrap_or_else(|_| Err(stopping()))
        })
    }

    fn quit(&self) -> bool {
        let first = !self.quit_asked.swap(true, Ordering::SeqCst);
        if first {
            self.quit.notify_one();
        }
        first
    }
}

/// The machine's name, `localhost` when it has none.
#[must_use]
pub(crate) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}
