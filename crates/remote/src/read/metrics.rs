//! What the client of remote reads says about itself, under Prometheus' names.

use narthex_metrics::{CounterVec, Gauge, GaugeVec, HistogramVec, Registry};

/// Upper bounds of the request duration, seconds.
const DURATION_BOUNDS_S: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0];

/// The families, for all endpoints of a process.
#[derive(Clone)]
pub(crate) struct ReadMetrics {
    total: CounterVec,
    in_flight: GaugeVec,
    duration_s: HistogramVec,
}

/// Those of one endpoint.
#[derive(Clone)]
pub(crate) struct EndpointMetrics {
    families: ReadMetrics,
    name: String,
    url: String,
    /// Requests under way.
    pub(crate) in_flight: Gauge,
}

impl ReadMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            total: registry.counter_vec(
                "prometheus_remote_read_client_queries_total",
                "The total number of remote read queries.",
                &["remote_name", "url", "response_type", "code"],
            ),
            in_flight: registry.gauge_vec(
                "prometheus_remote_read_client_queries",
                "The number of in-flight remote read queries.",
                &["remote_name", "url"],
            ),
            duration_s: registry.native_histogram_vec(
                "prometheus_remote_read_client_request_duration_seconds",
                "Histogram of the latency for remote read requests. Note that for streamed responses this is only the \
                 duration of the initial call and does not include the processing of the stream.",
                DURATION_BOUNDS_S,
                &["remote_name", "url", "response_type"],
            ),
        }
    }

    /// Those of an endpoint; `url` without password.
    pub(crate) fn of(&self, name: &str, url: &str) -> EndpointMetrics {
        let in_flight = self.in_flight.with(&[name, url]);
        EndpointMetrics { families: self.clone(), name: name.to_owned(), url: url.to_owned(), in_flight }
    }
}

impl EndpointMetrics {
    /// Counts the time until the head of an answer of a type (`sampled`, `chunked`, `unsupported`) was there.
    pub(crate) fn took(&self, kind: &str, seconds: f64) {
        self.families.duration_s.with(&[&self.name, &self.url, kind]).observe(seconds);
    }

    /// Counts an answer by its type and status.
    pub(crate) fn count(&self, kind: &str, code: &str) {
        self.families.total.with(&[&self.name, &self.url, kind, code]).inc();
    }
}
