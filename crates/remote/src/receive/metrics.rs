//! The receiver's metrics, under Prometheus' names.

use narthex_metrics::{Counter, Registry};

/// Handles on the receiver's metrics.
pub(super) struct ReceiveMetrics {
    /// What was left out for labels: series of protocol 1.0, samples of protocol 2.0 (COMPAT: as Prometheus counts them).
    pub(super) invalid_labels: Counter,
    /// Samples whose series' metadata could not be stored; of protocol 2.0 only.
    pub(super) without_metadata: Counter,
}

impl ReceiveMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            without_metadata: registry.counter(
                "prometheus_api_remote_write_without_metadata_appended_samples_total",
                "The total number of received remote write samples (and histogram samples) which were ingested without corresponding metadata.",
            ),
            invalid_labels: registry.counter(
                "prometheus_api_remote_write_invalid_labels_samples_total",
                "The total number of received remote write samples and histogram samples which were rejected due to invalid labels.",
            ),
        }
    }
}
