//! Metrics of scraping, under Prometheus' names.

use narthex_metrics::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, Registry, Summary, SummaryVec,
};

const QUANTILES: [f64; 5] = [0.01, 0.05, 0.5, 0.9, 0.99];
/// Classic buckets of lengths, seconds.
const BOUNDS: [f64; 4] = [0.01, 0.1, 1.0, 10.0];

/// Lengths of time as a summary and as a histogram.
#[derive(Clone)]
pub(crate) struct Lengths {
    summary: Summary,
    histogram: Histogram,
}

impl Lengths {
    pub(crate) fn observe(&self, seconds: f64) {
        self.summary.observe(seconds);
        self.histogram.observe(seconds);
    }
}

/// The same by the value of a label.
#[derive(Clone)]
struct LengthsVec {
    summaries: SummaryVec,
    histograms: HistogramVec,
}

impl LengthsVec {
    /// `prometheus_target_…_length_seconds` and `…_length_histogram_seconds`.
    fn new(registry: &Registry, of: &str, help: &str, label: &str) -> Self {
        let histogram = format!("prometheus_target_{of}_length_histogram_seconds");
        Self {
            summaries: lengths(registry, &format!("prometheus_target_{of}_length_seconds"), help, label),
            histograms: registry.native_histogram_vec(&histogram, help, &BOUNDS, &[label]),
        }
    }

    fn with(&self, value: &str) -> Lengths {
        Lengths { summary: self.summaries.with(&[value]), histogram: self.histograms.with(&[value]) }
    }

    fn remove(&self, value: &str) {
        self.summaries.remove(&[value]);
        self.histograms.remove(&[value]);
    }
}

/// All families; one for a process.
#[derive(Clone)]
pub(crate) struct ScrapeMetrics {
    pub(crate) pools_created: Counter,
    pub(crate) pools_failed: Counter,
    pub(crate) reloads: Counter,
    pub(crate) reloads_failed: Counter,
    pub(crate) exceeded_target_limit: Counter,
    pub(crate) exceeded_body_size_limit: Counter,
    pub(crate) exceeded_sample_limit: Counter,
    pub(crate) exceeded_label_limits: Counter,
    pub(crate) exceeded_bucket_limit: Counter,
    pub(crate) duplicate: Counter,
    pub(crate) out_of_order: Counter,
    pub(crate) out_of_bounds: Counter,
    pub(crate) exemplar_out_of_order: Counter,
    /// From the start of a scrape to the end of its commit, of jobs with `extra_scrape_metrics`.
    pub(crate) whole_scrape: Histogram,
    interval_length: LengthsVec,
    reload_length: SummaryVec,
    jobs: JobFamilies,
    /// Registered so that dashboards find them; nothing here can raise them.
    _never: Counter,
}

#[derive(Clone)]
struct JobFamilies {
    syncs: CounterVec,
    sync_failed: CounterVec,
    sync_length: LengthsVec,
    targets: GaugeVec,
    target_limit: GaugeVec,
    symbols: GaugeVec,
}

/// The metrics of one job.
#[derive(Clone)]
pub(crate) struct JobMetrics {
    pub(crate) syncs: Counter,
    pub(crate) sync_failed: Counter,
    pub(crate) sync_length: Lengths,
    pub(crate) targets: Gauge,
    pub(crate) target_limit: Gauge,
}

impl ScrapeMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str| registry.counter(name, help);
        Self {
            pools_created: counter(
                "prometheus_target_scrape_pools_total",
                "Total number of scrape pool creation attempts.",
            ),
            pools_failed: counter(
                "prometheus_target_scrape_pools_failed_total",
                "Total number of scrape pool creations that failed.",
            ),
            reloads: counter(
                "prometheus_target_scrape_pool_reloads_total",
                "Total number of scrape pool reloads.",
            ),
            reloads_failed: counter(
                "prometheus_target_scrape_pool_reloads_failed_total",
                "Total number of failed scrape pool reloads.",
            ),
            exceeded_target_limit: counter(
                "prometheus_target_scrape_pool_exceeded_target_limit_total",
                "Total number of times scrape pools hit the target limit, during sync or config reload.",
            ),
            exceeded_body_size_limit: counter(
                "prometheus_target_scrapes_exceeded_body_size_limit_total",
                "Total number of scrapes that hit the body size limit",
            ),
            exceeded_sample_limit: counter(
                "prometheus_target_scrapes_exceeded_sample_limit_total",
                "Total number of scrapes that hit the sample limit and were rejected.",
            ),
            exceeded_bucket_limit: counter(
                "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
                "Total number of scrapes that hit the native histogram bucket limit and were rejected.",
            ),
            exceeded_label_limits: counter(
                "prometheus_target_scrape_pool_exceeded_label_limits_total",
                "Total number of times scrape pools hit the label limits, during sync or config reload.",
            ),
            duplicate: counter(
                "prometheus_target_scrapes_sample_duplicate_timestamp_total",
                "Total number of samples rejected due to duplicate timestamps but different values.",
            ),
            out_of_order: counter(
                "prometheus_target_scrapes_sample_out_of_order_total",
                "Total number of samples rejected due to not being out of the expected order.",
            ),
            out_of_bounds: counter(
                "prometheus_target_scrapes_sample_out_of_bounds_total",
                "Total number of samples rejected due to timestamp falling outside of the time bounds.",
            ),
            exemplar_out_of_order: counter(
                "prometheus_target_scrapes_exemplar_out_of_order_total",
                "Total number of exemplar rejected due to not being out of the expected order.",
            ),
            whole_scrape: whole_scrape(registry),
            interval_length: LengthsVec::new(
                registry,
                "interval",
                "Actual intervals between scrapes.",
                "interval",
            ),
            reload_length: lengths(
                registry,
                "prometheus_target_reload_length_seconds",
                "Actual interval to reload the scrape pool with a given configuration.",
                "interval",
            ),
            jobs: JobFamilies::new(registry),
            _never: never(registry),
        }
    }

    /// The lengths of intervals between scrapes that should be this long.
    pub(crate) fn interval_length(&self, interval_ms: i64) -> Lengths {
        self.interval_length.with(&go_duration(interval_ms))
    }

    /// How long reloads of jobs with this interval take.
    pub(crate) fn reload_length(&self, interval_ms: i64) -> Summary {
        self.reload_length.with(&[&go_duration(interval_ms)])
    }

    pub(crate) fn of_job(&self, job: &str) -> JobMetrics {
        self.jobs.symbols.with(&[job]).set(0.0);
        JobMetrics {
            syncs: self.jobs.syncs.with(&[job]),
            sync_failed: self.jobs.sync_failed.with(&[job]),
            sync_length: self.jobs.sync_length.with(job),
            targets: self.jobs.targets.with(&[job]),
            target_limit: self.jobs.target_limit.with(&[job]),
        }
    }

    pub(crate) fn forget_job(&self, job: &str) {
        let of = &[job];
        self.jobs.syncs.remove(of);
        self.jobs.sync_failed.remove(of);
        self.jobs.sync_length.remove(job);
        self.jobs.targets.remove(of);
        self.jobs.target_limit.remove(of);
        self.jobs.symbols.remove(of);
    }
}

impl JobFamilies {
    fn new(registry: &Registry) -> Self {
        let job = &["scrape_job"];
        Self {
            syncs: registry.counter_vec(
                "prometheus_target_scrape_pool_sync_total",
                "Total number of syncs that were executed on a scrape pool.",
                job,
            ),
            sync_failed: registry.counter_vec(
                "prometheus_target_sync_failed_total",
                "Total number of target sync failures.",
                job,
            ),
            sync_length: LengthsVec::new(
                registry,
                "sync",
                "Actual interval to sync the scrape pool.",
                "scrape_job",
            ),
            targets: registry.gauge_vec(
                "prometheus_target_scrape_pool_targets",
                "Current number of targets in this scrape pool.",
                job,
            ),
            target_limit: registry.gauge_vec(
                "prometheus_target_scrape_pool_target_limit",
                "Maximum number of targets allowed in this scrape pool.",
                job,
            ),
            symbols: registry.gauge_vec(
                "prometheus_target_scrape_pool_symboltable_items",
                "Current number of symbols in table for this scrape pool.",
                job,
            ),
        }
    }
}

/// Summaries by a label.
fn lengths(registry: &Registry, name: &str, help: &str, label: &str) -> SummaryVec {
    registry.summary_vec(name, help, &QUANTILES, &[label])
}

fn whole_scrape(registry: &Registry) -> Histogram {
    registry.native_histogram(
        "prometheus_target_scrape_duration_seconds",
        "Total duration of the scrape from start to commit completion in seconds.",
        &[],
    )
}

/// What dashboards look for though nothing here raises it.
fn never(registry: &Registry) -> Counter {
    registry.counter(
        "prometheus_target_scrapes_cache_flush_forced_total",
        "How many times a scrape cache was flushed due to getting big while scrapes are failing.",
    )
}

/// Go's way to print a duration: `15s`, `1m30s`, `1h0m0s`, `500ms`, `1.5s`.
fn go_duration(ms: i64) -> String {
    if ms < 1000 {
        return if ms == 0 { "0s".to_owned() } else { format!("{ms}ms") };
    }
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    let seconds = format!("{}s", narthex_model::format_float((ms % 60_000) as f64 / 1000.0));
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, m) => format!("{m}m{seconds}"),
        (h, m) => format!("{h}h{m}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_labelled_as_go_prints_them() {
        for (ms, text) in [
            (15_000, "15s"),
            (90_000, "1m30s"),
            (3_600_000, "1h0m0s"),
            (500, "500ms"),
            (1500, "1.5s"),
            (60_000, "1m0s"),
        ] {
            assert_eq!(go_duration(ms), text);
        }
    }
}
