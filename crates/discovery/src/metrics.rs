//! Metrics of discovery, under Prometheus' names.

use narthex_metrics::{Counter, CounterVec, Gauge, GaugeVec, Registry, Summary};

/// Metrics of one manager (its name is a label) and of the file provider.
#[derive(Clone)]
pub(crate) struct DiscoveryMetrics {
    name: String,
    discovered: GaugeVec,
    last_updated: GaugeVec,
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
    pub(crate) file: FileMetrics,
    /// Kept at zero: an update waits until it is asked for, it is never turned away.
    _delayed: Counter,
    _failed: Gauge,
}

/// Metrics of the file provider.
#[derive(Clone)]
pub(crate) struct FileMetrics {
    pub(crate) read_errors: Counter,
    pub(crate) watcher_errors: Counter,
    pub(crate) scan_seconds: Summary,
    pub(crate) mtime: GaugeVec,
}

impl DiscoveryMetrics {
    pub(crate) fn new(registry: &Registry, name: &str) -> Self {
        let counter = |metric: &str, help: &str| -> Counter {
            let vec: CounterVec = registry.counter_vec(metric, help, &["name"]);
            vec.with(&[name])
        };
        let gauge = |metric: &str, help: &str| registry.gauge_vec(metric, help, &["name", "config"]);
        Self {
            name: name.to_owned(),
            discovered: gauge("prometheus_sd_discovered_targets", "Current number of discovered targets."),
            last_updated: gauge(
                "prometheus_sd_last_update_timestamp_seconds",
                "Timestamp of the last update sent to the SD consumers.",
            ),
            received: counter(
                "prometheus_sd_received_updates_total",
                "Total number of update events received from the SD providers.",
            ),
            sent: counter(
                "prometheus_sd_updates_total",
                "Total number of update events sent to the SD consumers.",
            ),
            file: FileMetrics::new(registry),
            _delayed: counter(
                "prometheus_sd_updates_delayed_total",
                "Total number of update events that couldn't be sent immediately.",
            ),
            _failed: registry
                .gauge_vec(
                    "prometheus_sd_failed_configs",
                    "Current number of service discovery configurations that failed to load.",
                    &["name"],
                )
                .with(&[name]),
        }
    }

    /// Tells how many targets a set has now.
    pub(crate) fn set_discovered(&self, set: &str, targets: usize) {
        self.discovered.with(&[&self.name, set]).set(targets as f64);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        self.last_updated.with(&[&self.name, set]).set(now.map_or(0.0, |d| d.as_secs_f64()));
    }

    /// Forgets a set.
    pub(crate) fn remove(&self, set: &str) {
        self.discovered.remove(&[&self.name, set]);
        self.last_updated.remove(&[&self.name, set]);
    }
}

impl FileMetrics {
    fn new(registry: &Registry) -> Self {
        Self {
            read_errors: registry
                .counter("prometheus_sd_file_read_errors_total", "The number of File-SD read errors."),
            watcher_errors: registry.counter(
                "prometheus_sd_file_watcher_errors_total",
                "The number of File-SD errors caused by filesystem watch failures.",
            ),
            scan_seconds: registry.summary(
                "prometheus_sd_file_scan_duration_seconds",
                "The duration of the File-SD scan in seconds.",
                &[0.5, 0.9, 0.99],
            ),
            mtime: registry.gauge_vec(
                "prometheus_sd_file_mtime_seconds",
                "Timestamp (mtime) of files read by FileSD. Timestamp is set at read time.",
                &["filename"],
            ),
        }
    }
}
