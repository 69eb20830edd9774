//! What the head chunk files say about themselves, under Prometheus' names.

use narthex_metrics::{Counter, Gauge, Registry};

/// Handles of the head chunk files' metrics.
#[derive(Clone)]
pub(crate) struct HeadChunkMetrics {
    pub(super) corruptions: Counter,
    pub(super) chunks: Counter,
    pub(super) size_bytes: Gauge,
}

impl HeadChunkMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str| registry.counter(&format!("prometheus_tsdb_{name}"), help);
        Self {
            corruptions: counter(
                "mmap_chunk_corruptions_total",
                "Total number of memory-mapped chunk corruptions.",
            ),
            chunks: counter("mmap_chunks_total", "Total number of chunks that were memory-mapped."),
            size_bytes: registry.gauge(
                "prometheus_tsdb_head_chunks_storage_size_bytes",
                "Size of the chunks_head directory.",
            ),
        }
    }
}
