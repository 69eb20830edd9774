//! What the web side counts about itself, under Prometheus' names.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use narthex_metrics::{Counter, CounterVec, Gauge, Histogram, HistogramVec, Registry};

/// Counts of HTTP requests by handler.
#[derive(Clone)]
pub(crate) struct WebMetrics {
    requests: CounterVec,
    /// PERF: finding a metric by its labels in three lists takes a microsecond.
    by_handler: HashMap<&'static str, OfHandler>,
    duration: HistogramVec,
    size: HistogramVec,
    /// 1 when ready.
    pub(crate) ready: Gauge,
    /// Answers of `/metrics` under way.
    pub(crate) metrics_in_flight: Gauge,
    metrics_by_code: CounterVec,
    /// Federations that failed.
    pub(crate) federation_errors: Counter,
    /// Warnings of federations.
    pub(crate) federation_warnings: Counter,
}

/// What nearly each answer of a handler is counted in.
#[derive(Clone)]
struct OfHandler {
    /// Answers with status 200.
    ok: Counter,
    /// Durations and sizes, which show from the first answer on.
    observed: OnceLock<(Histogram, Histogram)>,
}

impl WebMetrics {
    pub(crate) fn new(registry: &Registry, handlers: impl IntoIterator<Item = &'static str>) -> Self {
        let requests = registry.counter_vec(
            "prometheus_http_requests_total",
            "Counter of HTTP requests.",
            &["handler", "code"],
        );
        // A handler that was never asked shows as 0, so that rates work from its first request on.
        let of_handler =
            |handler| OfHandler { ok: requests.with(&[handler, "200"]), observed: OnceLock::new() };
        let by_handler = handlers.into_iter().map(|handler| (handler, of_handler(handler))).collect();
        let metrics_by_code = registry.counter_vec(
            "promhttp_metric_handler_requests_total",
            "Total number of scrapes by HTTP status code.",
            &["code"],
        );
        for code in ["200", "500", "503"] {
            let _ = metrics_by_code.with(&[code]);
        }
        Self {
            requests,
            by_handler,
            duration: registry.native_histogram_vec(
                "prometheus_http_request_duration_seconds",
                "Histogram of latencies for HTTP requests.",
                &[0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0],
                &["handler"],
            ),
            size: registry.histogram_vec(
                "prometheus_http_response_size_bytes",
                "Histogram of response size for HTTP requests.",
                &[1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9],
                &["handler"],
            ),
            ready: registry.gauge("prometheus_ready", "Whether Prometheus startup was fully completed and the server is ready for normal operation."),
            metrics_in_flight: registry
                .gauge("promhttp_metric_handler_requests_in_flight", "Current number of scrapes being served."),
            metrics_by_code,
            federation_errors: registry.counter(
                "prometheus_web_federation_errors_total",
                "Total number of errors that occurred while sending federation responses.",
            ),
            federation_warnings: registry.counter(
                "prometheus_web_federation_warnings_total",
                "Total number of warnings that occurred while sending federation responses.",
            ),
        }
    }

    /// Counts one answer.
    pub(crate) fn count(&self, handler: &'static str, code: u16, took: Duration, bytes: u64) {
        let known = self.by_handler.get(handler).expect("every handler was told at the beginning");
        match code {
            200 => known.ok.inc(),
            code => self.requests.with(&[handler, code_text(code, &mut [0; 3])]).inc(),
        }
        let make = || (self.duration.with(&[handler]), self.size.with(&[handler]));
        let (duration, size) = known.observed.get_or_init(make);
        duration.observe(took.as_secs_f64());
        size.observe(bytes as f64);
    }

    /// The count of `/metrics` answers of a status.
    pub(crate) fn scrapes(&self, code: u16) -> Counter {
        self.metrics_by_code.with(&[code_text(code, &mut [0; 3])])
    }
}

/// The three digits of a status.
fn code_text(code: u16, buffer: &mut [u8; 3]) -> &str {
    *buffer = [b'0' + (code / 100 % 10) as u8, b'0' + (code / 10 % 10) as u8, b'0' + (code % 10) as u8];
    std::str::from_utf8(buffer).expect("digits are ASCII")
}
