//! When many of the series in memory are stale, they leave early: into blocks of their own, beside the head.
//!
//! Always true: a stale series leaves memory only after the blocks of all its samples are served; one that was written again
//! meanwhile stays (see `head::stale`). What a crash leaves in both places is equal and is merged.
//! The blocks say what they are: other series have samples in their range that only the head has.
//! Facts: Prometheus 3.14, `stale_series_compaction_threshold`; it too does without when the head's turn is near.

use std::time::Instant;

use narthex_block::{Compaction, Hint};
use narthex_disk::point;
use narthex_metrics::{Counter, Gauge, Histogram, Registry};

use super::compaction::{PATIENCE, Work, new_ulid};
use super::{DbError, Shared};
use crate::compact::write::Job;
use crate::head::source::HeadSource;
use crate::head::stale::{Newest, StaleSeries};

/// The head's own compaction is near when it comes within this, ms.
const NEAR_MS: i64 = 10 * 60 * 1000;

/// Handles of the metrics.
pub(super) struct StaleMetrics {
    series: Gauge,
    histograms: Gauge,
    buckets: Gauge,
    triggered: Counter,
    failed: Counter,
    duration_s: Histogram,
}

impl StaleMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str| {
            registry.counter(&format!("prometheus_tsdb_stale_series_compactions_{name}_total"), help)
        };
        Self {
            series: registry.gauge(
                "prometheus_tsdb_head_stale_series",
                "Total number of stale series in the head block.",
            ),
            histograms: registry.gauge(
                "prometheus_tsdb_head_native_histogram_series",
                "Number of series whose most recent in-order sample is a native histogram.",
            ),
            buckets: registry.gauge(
                "prometheus_tsdb_head_native_histogram_buckets",
                "Number of positive and negative bucket entries in the most recent in-order native histogram sample of each series, including entries carried by staleness markers.",
            ),
            triggered: counter("triggered", "Total number of triggered stale series compactions."),
            failed: counter("failed", "Total number of stale series compactions that failed."),
            duration_s: registry.native_histogram(
                "prometheus_tsdb_stale_series_compaction_duration_seconds",
                "Duration of stale series compaction runs.",
                &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0],
            ),
        }
    }

    fn show(&self, newest: Newest) {
        self.series.set(newest.stale as f64);
        self.histograms.set(newest.histograms as f64);
        self.buckets.set(newest.buckets as f64);
    }
}

impl Shared {
    /// Writes stale series to blocks and lets them go, if there are that many.
    pub(super) fn compact_stale(&self, work: &mut Work) -> Result<(), DbError> {
        if let Some(stale) = work.stale_in_blocks.take() {
            self.evict_stale(work, stale)?;
        }
        let newest = self.head.newest();
        let count = newest.stale;
        self.stale_metrics.show(newest);
        if !self.are_too_many(count) || work.stale_in_blocks.is_some() {
            return Ok(());
        }
        self.stale_metrics.triggered.inc();
        let started = Instant::now();
        let stale = self.head.stale_series();
        let done = self.write_stale(&stale).and_then(|()| {
            point("compact.stale.served");
            self.evict_stale(work, stale)
        });
        match &done {
            Ok(()) => self.stale_metrics.duration_s.observe(started.elapsed().as_secs_f64()),
            Err(_) => self.stale_metrics.failed.inc(),
        }
        done
    }

    fn are_too_many(&self, stale: u64) -> bool {
        let threshold = self.runtime.lock().stale_series_compaction_threshold;
        let range_ms = self.options.min_block_duration_ms;
        let span_ms = self.head.max_ms().saturating_sub(self.head.min_ms());
        let is_near = span_ms > (range_ms / 2 * 3).saturating_sub(NEAR_MS.min(range_ms / 12));
        threshold > 0.0
            && stale > 0
            && !is_near
            && stale as f64 >= threshold * self.head.series_count() as f64
    }

    /// Writes all samples in order of the series, range by range.
    fn write_stale(&self, stale: &StaleSeries) -> Result<(), DbError> {
        let range_ms = self.options.min_block_duration_ms;
        let end_ms = self.head.max_ms().saturating_add(1);
        let mut min_ms = self.head.min_ms().div_euclid(range_ms).saturating_mul(range_ms);
        while min_ms < end_ms {
            if self.is_stopping() {
                return Err(DbError::Cancelled);
            }
            let range = (min_ms, min_ms.saturating_add(range_ms));
            let source = HeadSource::of_stale(&self.head, stale, range.0, range.1);
            let (ulid, series) = (new_ulid(), source.len());
            tracing::info!(mint = range.0, maxt = range.1, %ulid, series, "write block of stale series started");
            let mut compaction = Compaction::from_head(ulid);
            compaction.set_hint(Hint::FromStaleSeries);
            // COMPAT: for versions before that hint, which would take the block for all data in order up to its end, and leave
            // the other series' samples out of the WAL.
            compaction.set_hint(Hint::FromOutOfOrder);
            if series > 0 {
                self.write_and_serve(Job {
                    ulid,
                    range_ms: range,
                    compaction,
                    sources: vec![Box::new(source)],
                })?;
            }
            min_ms = range.1;
        }
        Ok(())
    }

    /// The blocks are served. When older readers are in the way, the next tick tries again.
    fn evict_stale(&self, work: &mut Work, stale: StaleSeries) -> Result<(), DbError> {
        match self.head.evict(&stale, PATIENCE) {
            Ok(Some(count)) => tracing::info!(listed = stale.len(), count, "stale series left the head"),
            Ok(None) => work.stale_in_blocks = Some(stale),
            Err(error) => {
                // Not written to blocks again: they have all of it.
                work.stale_in_blocks = Some(stale);
                return Err(DbError::Evict(error));
            }
        }
        Ok(())
    }
}
