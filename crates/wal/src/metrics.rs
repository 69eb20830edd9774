//! What the log says about itself, under Prometheus' names.

use narthex_metrics::{Counter, Gauge, Registry, Summary};

use super::compress::Compression;

/// Handles of one log's metrics.
#[derive(Clone, Debug)]
pub struct WalMetrics {
    pub(super) fsync_duration_s: Summary,
    pub(super) page_flushes: Counter,
    pub(super) completed_pages: Counter,
    pub(super) truncations: Counter,
    pub(super) truncations_failed: Counter,
    pub(super) segment_current: Gauge,
    pub(super) writes_failed: Counter,
    pub(super) storage_size_bytes: Gauge,
    pub(super) record_part_writes: Counter,
    pub(super) record_part_bytes: Counter,
    pub(super) record_bytes_saved: Counter,
}

impl WalMetrics {
    /// Registers under `prometheus_tsdb_wal_`, the names of the main log.
    #[must_use]
    pub fn for_wal(registry: &Registry, compression: Compression) -> Self {
        Self::new(registry, "prometheus_tsdb_wal_", compression)
    }

    /// Registers under `prometheus_tsdb_out_of_order_wbl_`, the names of the log of out-of-order samples.
    #[must_use]
    pub fn for_wbl(registry: &Registry, compression: Compression) -> Self {
        Self::new(registry, "prometheus_tsdb_out_of_order_wbl_", compression)
    }

    fn new(registry: &Registry, prefix: &str, compression: Compression) -> Self {
        let counter = |name: &str, help: &str| registry.counter(&format!("{prefix}{name}"), help);
        let gauge = |name: &str, help: &str| registry.gauge(&format!("{prefix}{name}"), help);
        let saved = format!("{prefix}record_bytes_saved_total");
        Self {
            fsync_duration_s: registry.summary(
                &format!("{prefix}fsync_duration_seconds"),
                "Duration of write log fsync.",
                &[0.5, 0.9, 0.99],
            ),
            page_flushes: counter("page_flushes_total", "Total number of page flushes."),
            completed_pages: counter("completed_pages_total", "Total number of completed pages."),
            truncations: counter("truncations_total", "Total number of write log truncations attempted."),
            truncations_failed: counter(
                "truncations_failed_total",
                "Total number of write log truncations that failed.",
            ),
            segment_current: gauge("segment_current", "Write log segment index that TSDB is currently writing to."),
            writes_failed: counter("writes_failed_total", "Total number of write log writes that failed."),
            storage_size_bytes: gauge("storage_size_bytes", "Size of the write log directory."),
            record_part_writes: counter(
                "record_part_writes_total",
                "Total number of record parts written before flushing.",
            ),
            record_part_bytes: counter(
                "record_parts_bytes_written_total",
                "Total number of record part bytes written before flushing, including CRC and compression headers.",
            ),
            record_bytes_saved: registry
                .counter_vec(
                    &saved,
                    "Total number of bytes saved by the optional record compression. Use this metric to learn about \
                     the effectiveness compression.",
                    &["compression"],
                )
                .with(&[compression.as_str()]),
        }
    }
}
