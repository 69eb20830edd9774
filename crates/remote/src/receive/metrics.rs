//! The receiver's metrics, under Prometheus' names.

use narthex_metrics::{Counter, Registry};

/// Handles on the receiver's metrics.
pub(super) struct ReceiveMetrics {
    /// Series that were left out for their labels.
    pub(super) invalid_labels: Counter,
}

impl ReceiveMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        // COMPAT: Prometheus shows it, but never counts samples of protocol 1.0 in it.
        let _shown = registry.counter(
            "prometheus_api_remote_write_without_metadata_appended_samples_total",
            "The total number of received remote write samples (and histogram samples) which were ingested without corresponding metadata.",
        );
        Self {
            invalid_labels: registry.counter(
                "prometheus_api_remote_write_invalid_labels_samples_total",
                "The total number of received remote write samples and histogram samples which were rejected due to invalid labels.",
            ),
        }
    }
}
