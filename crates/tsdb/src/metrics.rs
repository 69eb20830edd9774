//! What the TSDB says about itself, under Prometheus' names.
//!
//! Facts: `conformance/inventories/self-metrics.tsv`. Blocks, compaction and the logs register their own.

use std::sync::{Arc, Weak};

use narthex_metrics::{Counter, Gauge, Histogram, Registry, Summary};

use crate::head::Head;
use crate::head::append::SampleKind;
use crate::head::commit::LateCounts;
use crate::head::replay::ReplayReport;
use crate::head::truncate_wal::WalLifeMetrics;

/// Handles of the head's metrics.
pub(crate) struct HeadMetrics {
    pub(crate) active_appenders: Gauge,
    pub(crate) appenders_created: Counter,
    pub(crate) series_created: Counter,
    pub(crate) series_removed: Counter,
    pub(crate) series_not_found: Counter,
    wal_corruptions: Counter,
    chunks_created: Counter,
    chunks_removed: Counter,
    pub(crate) truncations: Counter,
    pub(crate) truncations_failed: Counter,
    pub(crate) gc_duration_s: Summary,
    appended: ByKind,
    late: ByKind,
    late_delta_s: Histogram,
    out_of_bounds: ByKind,
    out_of_order: ByKind,
    too_old: ByKind,
    replay_duration_s: Gauge,
    unknown_refs: narthex_metrics::CounterVec,
    unknown_late_refs: narthex_metrics::CounterVec,
    pub(crate) wal_life: WalLifeMetrics,
    snapshot_errors: Counter,
}

/// A counter for each kind of sample.
struct ByKind {
    float: Counter,
    histogram: Counter,
}

impl ByKind {
    fn new(registry: &Registry, name: &str, help: &str) -> Self {
        let vector = registry.counter_vec(name, help, &["type"]);
        Self { float: vector.with(&["float"]), histogram: vector.with(&["histogram"]) }
    }

    fn of(&self, kind: SampleKind) -> &Counter {
        match kind {
            SampleKind::Float => &self.float,
            SampleKind::Histogram => &self.histogram,
        }
    }
}

fn snapshot_errors(registry: &Registry) -> Counter {
    let name = "prometheus_tsdb_snapshot_replay_error_total";
    registry.counter(name, "Total number snapshot replays that failed.")
}

fn gc_duration(registry: &Registry) -> Summary {
    let name = "prometheus_tsdb_head_gc_duration_seconds";
    registry.summary(name, "Runtime of garbage collection in the head block.", &[])
}

/// COMPAT: Prometheus' bounds: from 10 minutes to 12 hours.
fn late_delta(registry: &Registry) -> Histogram {
    const HOUR_S: f64 = 3600.0;
    registry.native_histogram(
        "prometheus_tsdb_sample_ooo_delta",
        "Delta in seconds by which a sample is considered out of order (reported regardless of OOO time window and whether sample is accepted or not).",
        &[600.0, 1800.0, HOUR_S, 2.0 * HOUR_S, 3.0 * HOUR_S, 6.0 * HOUR_S, 12.0 * HOUR_S],
    )
}

impl HeadMetrics {
    /// How many series were created and removed since the start.
    pub(crate) fn series_totals(&self) -> (u64, u64) {
        (self.series_created.get() as u64, self.series_removed.get() as u64)
    }

    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str| registry.counter(&format!("prometheus_tsdb_{name}"), help);
        let gauge = |name: &str, help: &str| registry.gauge(&format!("prometheus_tsdb_{name}"), help);
        let by_kind =
            |name: &str, help: &str| ByKind::new(registry, &format!("prometheus_tsdb_{name}"), help);
        Self {
            active_appenders: gauge(
                "head_active_appenders",
                "Number of currently active appender transactions",
            ),
            appenders_created: counter(
                "head_appenders_created_total",
                "Total number of appender transactions created.",
            ),
            series_created: counter(
                "head_series_created_total",
                "Total number of series created in the head",
            ),
            series_removed: counter(
                "head_series_removed_total",
                "Total number of series removed in the head",
            ),
            series_not_found: counter(
                "head_series_not_found_total",
                "Total number of requests for series that were not found.",
            ),
            wal_corruptions: counter("wal_corruptions_total", "Total number of WAL corruptions."),
            chunks_created: counter(
                "head_chunks_created_total",
                "Total number of chunks created in the head",
            ),
            chunks_removed: counter(
                "head_chunks_removed_total",
                "Total number of chunks removed in the head",
            ),
            truncations: counter("head_truncations_total", "Total number of head truncations attempted."),
            truncations_failed: counter(
                "head_truncations_failed_total",
                "Total number of head truncations that failed.",
            ),
            gc_duration_s: gc_duration(registry),
            appended: by_kind("head_samples_appended_total", "Total number of appended samples."),
            late_delta_s: late_delta(registry),
            late: by_kind(
                "head_out_of_order_samples_appended_total",
                "Total number of appended out of order samples.",
            ),
            out_of_bounds: by_kind(
                "out_of_bound_samples_total",
                "Total number of out of bound samples ingestion failed attempts with out of order support disabled.",
            ),
            out_of_order: by_kind(
                "out_of_order_samples_total",
                "Total number of out of order samples ingestion failed attempts due to out of order being disabled.",
            ),
            too_old: by_kind(
                "too_old_samples_total",
                "Total number of out of order samples ingestion failed attempts with out of support enabled, but sample outside of time window.",
            ),
            replay_duration_s: gauge(
                "data_replay_duration_seconds",
                "Time taken to replay the data on disk.",
            ),
            unknown_refs: unknown_refs(registry, "wal", "WAL"),
            unknown_late_refs: unknown_refs(registry, "wbl", "WBL"),
            wal_life: WalLifeMetrics::new(registry),
            snapshot_errors: snapshot_errors(registry),
        }
    }

    /// Counts a memory snapshot that could not be used.
    pub(crate) fn snapshot_failed(&self) {
        self.snapshot_errors.inc();
    }

    /// Counts a WAL in which wrong bytes were found.
    pub(crate) fn wal_corrupted(&self) {
        self.wal_corruptions.inc();
    }

    pub(crate) fn out_of_bounds(&self, kind: SampleKind) {
        self.out_of_bounds.of(kind).inc();
    }

    pub(crate) fn out_of_order(&self, kind: SampleKind) {
        self.out_of_order.of(kind).inc();
    }

    pub(crate) fn too_old(&self, kind: SampleKind) {
        self.too_old.of(kind).inc();
    }

    /// Notes how far behind the newest sample of the head one out of order is, taken or not.
    #[cold]
    pub(crate) fn late_by(&self, delta_ms: i64) {
        if delta_ms > 0 {
            self.late_delta_s.observe(delta_ms as f64 / 1000.0);
        }
    }

    /// Counts samples that were taken out of order.
    pub(crate) fn late(&self, added: &LateCounts) {
        if *added != LateCounts::default() {
            self.late.float.add(added.floats as f64);
            self.late.histogram.add(added.histograms as f64);
        }
    }

    /// Counts what one commit added.
    pub(crate) fn appended(&self, floats: u64, histograms: u64, chunks: u64) {
        let counts = [
            (&self.appended.float, floats),
            (&self.appended.histogram, histograms),
            (&self.chunks_created, chunks),
        ];
        for (counter, count) in counts {
            if count > 0 {
                counter.add(count as f64);
            }
        }
    }

    /// Chunks of the head.
    pub(crate) fn chunk_count(&self) -> u64 {
        (self.chunks_created.get() - self.chunks_removed.get()).max(0.0) as u64
    }

    /// Counts chunks that left.
    pub(crate) fn chunks_created(&self, chunks: u64) {
        self.chunks_created.add(chunks as f64);
    }

    pub(crate) fn chunks_removed(&self, chunks: u64) {
        if chunks > 0 {
            self.chunks_removed.add(chunks as f64);
        }
    }

    /// Counts what a replay found.
    pub(crate) fn replayed(&self, report: &ReplayReport) {
        self.replay_duration_s.set(report.duration_s);
        self.wal_corruptions.add(f64::from(report.corruptions));
        self.chunks_created.add(report.chunks as f64);
        for (kind, count) in report.unknown_late.by_name() {
            if count > 0 {
                self.unknown_late_refs.with(&[kind]).add(count as f64);
            }
        }
        for (kind, count) in report.unknown.by_name() {
            if count > 0 {
                self.unknown_refs.with(&[kind]).add(count as f64);
            }
        }
    }
}

/// Entries of a log whose series is not known, by kind.
fn unknown_refs(registry: &Registry, log: &str, name: &str) -> narthex_metrics::CounterVec {
    registry.counter_vec(
        &format!("prometheus_tsdb_{log}_replay_unknown_refs_total"),
        &format!("Total number of unknown series references encountered during {name} replay."),
        &["type"],
    )
}

/// Registers what is read off the head when somebody asks.
pub(crate) fn register_head(registry: &Registry, head: &Arc<Head>) {
    let gauge = |name: &str, help: &str, read: fn(&Head) -> f64| {
        let head = Arc::downgrade(head);
        registry.gauge_fn(&format!("prometheus_tsdb_{name}"), help, move || read_or_zero(&head, read));
    };
    gauge("head_series", "Total number of series in the head block.", |h| h.series_count() as f64);
    gauge("head_chunks", "Total number of chunks in the head block.", |h| h.metrics.chunk_count() as f64);
    gauge(
        "head_max_time",
        "Maximum timestamp of the head block. The unit is decided by the library consumer.",
        |h| h.max_ms() as f64,
    );
    gauge("head_max_time_seconds", "Maximum timestamp of the head block.", |h| seconds(h.max_ms()));
    gauge(
        "head_min_time",
        "Minimum time bound of the head block. The unit is decided by the library consumer.",
        |h| h.min_ms() as f64,
    );
    gauge("head_min_time_seconds", "Minimum time bound of the head block.", |h| seconds(h.min_ms()));
    gauge("isolation_low_watermark", "The lowest TSDB append ID that is still referenced.", |h| {
        h.watermarks().0 as f64
    });
    gauge("isolation_high_watermark", "The highest TSDB append ID that has been given out.", |h| {
        h.watermarks().1 as f64
    });
    register_exemplars(registry, head);
}

fn register_exemplars(registry: &Registry, head: &Arc<Head>) {
    let name = |name: &str| format!("prometheus_tsdb_exemplar_{name}");
    let gauge = |suffix: &str, help: &str, read: fn(&Head) -> f64| {
        let head = Arc::downgrade(head);
        registry.gauge_fn(&name(suffix), help, move || read_or_zero(&head, read));
    };
    let counter = |suffix: &str, help: &str, read: fn(&Head) -> f64| {
        let head = Arc::downgrade(head);
        registry.counter_fn(&name(suffix), help, move || read_or_zero(&head, read));
    };
    gauge("exemplars_in_storage", "Number of exemplars currently in circular storage.", |h| {
        h.exemplar_stats().0 as f64
    });
    gauge(
        "series_with_exemplars_in_storage",
        "Number of series with exemplars currently in circular storage.",
        |h| h.exemplar_stats().1 as f64,
    );
    gauge("max_exemplars", "Total number of exemplars the exemplar storage can store, resizeable.", |h| {
        h.exemplar_stats().2 as f64
    });
    gauge(
        "last_exemplars_timestamp_seconds",
        "The timestamp of the oldest exemplar stored in circular storage. Useful to check for what time range the current exemplar buffer limit allows. This usually means the last timestampfor all exemplars for a typical setup. This is not true though if one of the series timestamp is in future compared to rest series.",
        |h| h.exemplar_stats().3 as f64 / 1000.0,
    );
    counter("exemplars_appended_total", "Total number of appended exemplars.", |h| {
        h.exemplar_totals().0 as f64
    });
    counter(
        "out_of_order_exemplars_total",
        "Total number of out of order exemplar ingestion failed attempts.",
        |h| h.exemplar_totals().1 as f64,
    );
}

fn read_or_zero(head: &Weak<Head>, read: fn(&Head) -> f64) -> f64 {
    head.upgrade().map_or(0.0, |head| read(&head))
}

/// COMPAT: Go divides integers, so seconds are whole; an empty head shows its bounds as they are.
fn seconds(ms: i64) -> f64 {
    (ms / 1000) as f64
}
