//! What compaction says about itself, under Prometheus' names.

use std::time::Duration;

use narthex_block::ChunkPiece;
use narthex_chunks::sample_count;
use narthex_metrics::{Counter, Gauge, Histogram, Registry};

/// Handles of the compactor's metrics.
pub(crate) struct CompactMetrics {
    pub(crate) ran: Counter,
    pub(crate) vertical: Counter,
    pub(crate) populating: Gauge,
    duration_s: Histogram,
    chunk_bytes: Histogram,
    chunk_samples: Histogram,
    chunk_range_s: Histogram,
}

impl CompactMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let histogram = |name: &str, help: &str, start: f64, factor: f64, count: i32| {
            let bounds: Vec<f64> = (0..count).map(|i| start * factor.powi(i)).collect();
            registry.histogram(&format!("prometheus_tsdb_{name}"), help, &bounds)
        };
        Self {
            ran: registry.counter(
                "prometheus_tsdb_compactions_total",
                "Total number of compactions that were executed for the partition.",
            ),
            vertical: registry.counter(
                "prometheus_tsdb_vertical_compactions_total",
                "Total number of compactions done on overlapping blocks.",
            ),
            populating: registry.gauge(
                "prometheus_tsdb_compaction_populating_block",
                "Set to 1 when a block is currently being written to the disk.",
            ),
            duration_s: registry.native_histogram(
                "prometheus_tsdb_compaction_duration_seconds",
                "Duration of compaction runs",
                &std::array::from_fn::<f64, 14, _>(|i| f64::from(1_u32 << i)),
            ),
            chunk_bytes: histogram(
                "compaction_chunk_size_bytes",
                "Final size of chunks on their first compaction",
                32.0,
                1.5,
                12,
            ),
            chunk_samples: histogram(
                "compaction_chunk_samples",
                "Final number of samples on their first compaction",
                4.0,
                1.5,
                12,
            ),
            chunk_range_s: histogram(
                "compaction_chunk_range_seconds",
                "Final time range of chunks on their first compaction",
                100.0,
                4.0,
                10,
            ),
        }
    }

    pub(super) fn finished(&self, took: Duration) {
        self.ran.inc();
        self.duration_s.observe(took.as_secs_f64());
    }

    /// Chunks that are compacted for the first time. COMPAT: their range is in milliseconds, whatever the name says.
    pub(super) fn first_time(&self, chunks: &[ChunkPiece<'_>]) {
        for chunk in chunks {
            self.chunk_bytes.observe(chunk.bytes.len() as f64);
            self.chunk_samples.observe(f64::from(sample_count(chunk.encoding, chunk.bytes).unwrap_or(0)));
            self.chunk_range_s.observe(chunk.max_ms.saturating_sub(chunk.min_ms) as f64);
        }
    }
}
