//! What is counted about queries, under Prometheus' names, and two numbers of our own about memory.

use std::sync::Arc;
use std::time::Duration;

use narthex_metrics::{Counter, Gauge, Histogram, Registry, Summary};

use crate::engine::{Engine, QueryOutput, QueryStats, Value};

/// One part of a query's time.
struct Slice {
    summary: Summary,
    histogram: Histogram,
}

impl Slice {
    fn observe(&self, duration: Duration) {
        self.summary.observe(duration.as_secs_f64());
        self.histogram.observe(duration.as_secs_f64());
    }
}

/// The counts of a desk.
pub(super) struct DeskMetrics {
    /// Queries that run or wait.
    pub(super) active: Gauge,
    pub(super) log_enabled: Gauge,
    pub(super) log_failures: Counter,
    samples: Counter,
    read: Counter,
    queue: Slice,
    prepare: Slice,
    eval: Slice,
    sort: Slice,
}

impl DeskMetrics {
    pub(super) fn new(registry: &Registry, slots: usize, engine: &Arc<Engine>) -> Self {
        let help = "The max number of concurrent queries.";
        registry.gauge("prometheus_engine_queries_concurrent_max", help).set(slots as f64);
        register_memory(registry, engine);
        let summaries = registry.summary_vec(
            "prometheus_engine_query_duration_seconds",
            "Query timings",
            &[0.5, 0.9, 0.99],
            &["slice"],
        );
        let histograms = registry.native_histogram_vec(
            "prometheus_engine_query_duration_histogram_seconds",
            "The duration of various parts of PromQL query execution.",
            &[0.01, 0.1, 1.0, 10.0],
            &["slice"],
        );
        let slice = |name| Slice { summary: summaries.with(&[name]), histogram: histograms.with(&[name]) };
        Self {
            active: registry.gauge(
                "prometheus_engine_queries",
                "The current number of queries being executed or waiting.",
            ),
            log_enabled: registry.gauge("prometheus_engine_query_log_enabled", "State of the query log."),
            log_failures: registry
                .counter("prometheus_engine_query_log_failures_total", "The number of query log failures."),
            samples: registry.counter(
                "prometheus_engine_query_samples_total",
                "The total number of samples loaded by all queries (full window per step for range-vector).",
            ),
            read: registry.counter(
                "prometheus_engine_query_samples_read_total",
                "The total number of samples read by all queries (only new points per step for range-vector).",
            ),
            queue: slice("queue_time"),
            prepare: slice("prepare_time"),
            eval: slice("inner_eval"),
            sort: slice("result_sort"),
        }
    }

    /// Counts the waiting of one query.
    pub(super) fn queue(&self, queued: Duration) {
        self.queue.observe(queued);
    }

    /// Counts a query that ran and gave a result.
    ///
    /// COMPAT: only what is a list of series over time is sorted, and counted as that.
    pub(super) fn count(&self, output: &QueryOutput) {
        let stats = &output.stats;
        self.count_samples(stats);
        self.prepare.observe(stats.prepare);
        self.eval.observe(stats.eval);
        if matches!(output.value, Value::Matrix(_)) {
            self.sort.observe(stats.sort);
        }
    }

    /// Counts a query that ran and failed: it cost what it cost until then.
    pub(super) fn count_failed(&self, stats: &QueryStats) {
        self.count_samples(stats);
        for (slice, spent) in [(&self.prepare, stats.prepare), (&self.eval, stats.eval)] {
            if !spent.is_zero() {
                slice.observe(spent);
            }
        }
    }

    fn count_samples(&self, stats: &QueryStats) {
        self.samples.add(stats.samples.total_queryable as f64);
        self.read.add(stats.samples.read as f64);
    }
}

fn register_memory(registry: &Registry, engine: &Arc<Engine>) {
    let held = Arc::clone(engine);
    registry.gauge_fn(
        "narthex_query_memory_bytes",
        "Bytes that queries hold now, of what --query.max-memory allows.",
        move || held.held_bytes() as f64,
    );
    let limit = match engine.options().max_total_bytes {
        u64::MAX => f64::INFINITY,
        bytes => bytes as f64,
    };
    registry
        .gauge(
            "narthex_query_memory_limit_bytes",
            "Bytes that queries may hold together (--query.max-memory).",
        )
        .set(limit);
}
