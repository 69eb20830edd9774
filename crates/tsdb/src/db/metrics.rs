//! What the database says about its blocks, under Prometheus' names.

use std::sync::{Arc, Weak};

use narthex_metrics::{Counter, Gauge, Histogram, Registry};

use super::{Retention, Shared};

/// Handles of the database's metrics.
pub(super) struct DbMetrics {
    pub(super) reloads: Counter,
    pub(super) reloads_failed: Counter,
    pub(super) compactions_triggered: Counter,
    pub(super) compactions_skipped: Counter,
    pub(super) compactions_failed: Counter,
    pub(super) time_retentions: Counter,
    pub(super) size_retentions: Counter,
    pub(super) tombstone_cleanup_s: Histogram,
    pub(super) blocks_bytes: Gauge,
    /// Ours: blocks that were put aside because they are corrupt.
    pub(super) quarantined: Counter,
    retention_bytes: Gauge,
    retention_percentage: Gauge,
    retention_s: Gauge,
}

impl DbMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str| registry.counter(&format!("prometheus_tsdb_{name}"), help);
        let gauge = |name: &str, help: &str| registry.gauge(&format!("prometheus_tsdb_{name}"), help);
        // Prometheus' default buckets.
        let seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        Self {
            reloads: counter("reloads_total", "Number of times the database reloaded block data from disk."),
            reloads_failed: counter(
                "reloads_failures_total",
                "Number of times the database failed to reloadBlocks block data from disk.",
            ),
            compactions_triggered: counter(
                "compactions_triggered_total",
                "Total number of triggered compactions for the partition.",
            ),
            compactions_skipped: counter(
                "compactions_skipped_total",
                "Total number of skipped compactions due to disabled auto compaction.",
            ),
            compactions_failed: counter(
                "compactions_failed_total",
                "Total number of compactions that failed for the partition.",
            ),
            time_retentions: counter(
                "time_retentions_total",
                "The number of times that blocks were deleted because the maximum time limit was exceeded.",
            ),
            size_retentions: counter(
                "size_retentions_total",
                "The number of times that blocks were deleted because the maximum number of bytes was exceeded.",
            ),
            tombstone_cleanup_s: registry.native_histogram(
                "prometheus_tsdb_tombstone_cleanup_seconds",
                "The time taken to recompact blocks to remove tombstones.",
                &seconds,
            ),
            blocks_bytes: gauge(
                "storage_blocks_bytes",
                "The number of bytes that are currently used for local storage by all blocks.",
            ),
            quarantined: registry.counter(
                "narthex_tsdb_blocks_quarantined_total",
                "Blocks that were put aside because they are corrupt.",
            ),
            retention_bytes: gauge(
                "retention_limit_bytes",
                "Max number of bytes to be retained in the tsdb blocks, configured 0 means disabled",
            ),
            retention_percentage: gauge(
                "retention_limit_percentage",
                "Max percentage of total storage space to be retained in the tsdb blocks, configured 0 means disabled",
            ),
            retention_s: gauge("retention_limit_seconds", "How long to retain samples in storage."),
        }
    }

    /// Shows the limits that hold from now on.
    pub(super) fn show_limits(&self, retention: &Retention) {
        self.retention_bytes.set(retention.size_bytes as f64);
        self.retention_percentage.set(retention.percentage);
        self.retention_s.set(retention.time_ms as f64 / 1000.0);
    }
}

/// Registers what is read when somebody asks.
pub(super) fn register_db(registry: &Registry, shared: &Arc<Shared>) {
    let gauge = |name: &str, help: &str, read: fn(&Shared) -> f64| {
        let shared: Weak<Shared> = Arc::downgrade(shared);
        let read = move || shared.upgrade().map_or(0.0, |shared| read(&shared));
        registry.gauge_fn(&format!("prometheus_tsdb_{name}"), help, read);
    };
    gauge("blocks_loaded", "Number of currently loaded data blocks", |db| db.blocks.current().len() as f64);
    gauge("symbol_table_size_bytes", "Size of symbol table in memory for loaded blocks", |db| {
        db.blocks.current().iter().map(|block| block.symbol_table_bytes() as f64).sum()
    });
    gauge(
        "lowest_timestamp",
        "Lowest timestamp value stored in the database. The unit is decided by the library consumer.",
        |db| db.lowest_ms() as f64,
    );
    gauge("lowest_timestamp_seconds", "Lowest timestamp value stored in the database.", |db| {
        db.lowest_ms() as f64 / 1000.0
    });
}
