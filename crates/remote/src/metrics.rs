//! What remote write says about itself, under Prometheus' names.

mod watcher;

use narthex_metrics::{Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, Registry};

use self::watcher::WatcherMetrics;
pub(crate) use self::watcher::{ConsumerMetrics, RecordKind};

const LABELS: &[&str] = &["remote_name", "url"];

/// Upper bounds of `sent_batch_duration_seconds`.
const DURATION_BOUNDS_S: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0];

/// The families; one for all endpoints of a process.
#[derive(Clone)]
pub(crate) struct RemoteMetrics {
    counters: [(&'static str, CounterVec); 21],
    dropped: [CounterVec; 3],
    gauges: [(&'static str, GaugeVec); 14],
    sent_batch_duration_s: HistogramVec,
    watcher: WatcherMetrics,
    /// Newest timestamp read from the log by any endpoint.
    pub(crate) highest_timestamp_s: Gauge,
    /// Samples, exemplars, histograms read from the log.
    pub(crate) read: [Counter; 3],
}

const COUNTERS: [(&str, &str); 21] = [
    ("samples_total", "Total number of samples sent to remote storage."),
    ("exemplars_total", "Total number of exemplars sent to remote storage."),
    ("histograms_total", "Total number of histograms sent to remote storage."),
    ("metadata_total", "Total number of metadata entries sent to remote storage."),
    (
        "samples_failed_total",
        "Total number of samples which failed on send to remote storage, non-recoverable errors.",
    ),
    (
        "exemplars_failed_total",
        "Total number of exemplars which failed on send to remote storage, non-recoverable errors.",
    ),
    (
        "histograms_failed_total",
        "Total number of histograms which failed on send to remote storage, non-recoverable errors.",
    ),
    (
        "metadata_failed_total",
        "Total number of metadata entries which failed on send to remote storage, non-recoverable errors.",
    ),
    (
        "samples_retried_total",
        "Total number of samples which failed on send to remote storage but were retried because the send error was \
         recoverable.",
    ),
    (
        "exemplars_retried_total",
        "Total number of exemplars which failed on send to remote storage but were retried because the send error was \
         recoverable.",
    ),
    (
        "histograms_retried_total",
        "Total number of histograms which failed on send to remote storage but were retried because the send error was \
         recoverable.",
    ),
    (
        "metadata_retried_total",
        "Total number of metadata entries which failed on send to remote storage but were retried because the send \
         error was recoverable.",
    ),
    ("enqueue_retries_total", "Total number of times enqueue has failed because a shards queue was full."),
    (
        "bytes_total",
        "The total number of bytes of data (not metadata) sent by the queue after compression. Note that when \
         exemplars over remote write is enabled the exemplars included in a remote write request count towards this \
         metric.",
    ),
    ("metadata_bytes_total", "The total number of bytes of metadata sent by the queue after compression."),
    (
        "dead_letters_total",
        "Total number of samples, exemplars and histograms that the remote storage refused for good and that were \
         kept on disk.",
    ),
    (
        "in_doubt_total",
        "Total number of samples, exemplars and histograms that were sent again because it was not known whether they \
         had arrived, and that the remote storage refused as out of order or as duplicates.",
    ),
    (
        "dead_letters_evicted_total",
        "Total number of dead letters that were deleted because their store was full, oldest first.",
    ),
    (
        "dead_letters_replayed_total",
        "Total number of dead letters that the remote storage accepted in a replay.",
    ),
    ("gaps_total", "Total number of gap records: something had to be given up and will never be sent."),
    (
        "gap_samples_total",
        "Total number of samples, exemplars and histograms in gap records that know how many.",
    ),
];

const GAUGES: [(&str, &str); 14] = [
    (
        "samples_pending",
        "The number of samples pending in the queues shards to be sent to the remote storage.",
    ),
    (
        "exemplars_pending",
        "The number of exemplars pending in the queues shards to be sent to the remote storage.",
    ),
    (
        "histograms_pending",
        "The number of histograms pending in the queues shards to be sent to the remote storage.",
    ),
    (
        "shard_capacity",
        "The capacity of each shard of the queue used for parallel sending to the remote storage.",
    ),
    ("shards", "The number of shards used for parallel sending to the remote storage."),
    ("shards_max", "The maximum number of shards that the queue is allowed to run."),
    ("shards_min", "The minimum number of shards that the queue is allowed to run."),
    (
        "shards_desired",
        "The number of shards that the queues shard calculation wants to run based on the rate of samples in vs. \
         samples out.",
    ),
    (
        "max_samples_per_send",
        "The maximum number of samples to be sent, in a single request, to the remote storage. Note that, when sending \
         of exemplars over remote write is enabled, exemplars count towards this limit.",
    ),
    (
        "queue_highest_sent_timestamp_seconds",
        "Highest timestamp successfully sent by this queue, in seconds since epoch. Initialized to 0 when no data has \
         been sent yet.",
    ),
    (
        "queue_highest_timestamp_seconds",
        "Highest timestamp that was enqueued, in seconds since epoch. Initialized to 0 when no data has been received \
         yet.",
    ),
    ("dead_letters", "The number of dead letters that are kept now."),
    ("dead_letters_bytes", "The size of the files that keep dead letters."),
    (
        "backlog_timestamp_seconds",
        "Up to when the database was read for this queue, in seconds since epoch, while it catches up after the WAL was \
         no longer held for it; 0 while it follows the WAL.",
    ),
];

const DROPPED_HELP: &str = "which were dropped after being read from the WAL before being sent via remote write, either \
    via relabelling, due to being too old or unintentionally because of an unknown reference ID.";

impl RemoteMetrics {
    /// Registers the families.
    #[must_use]
    pub(crate) fn new(registry: &Registry) -> Self {
        let full = |name: &str| format!("prometheus_remote_storage_{name}");
        let dropped = |what: &str| {
            let help = format!("Total number of {what} {DROPPED_HELP}");
            let labels = &["remote_name", "url", "reason"];
            registry.counter_vec(&full(&format!("{what}_dropped_total")), &help, labels)
        };
        let read = |what: &str| {
            let help = format!("{what} in to remote storage, compare to {what} out for queue managers.");
            registry.counter(&full(&format!("{}_in_total", what.to_lowercase())), &help)
        };
        // Stays at zero: labels are borrowed from the head, there is no interner that could be given back too much.
        drop(registry.counter(
            &full("string_interner_zero_reference_releases_total"),
            "The number of times release has been called for strings that are not interned.",
        ));
        Self {
            counters: COUNTERS.map(|(name, help)| (name, registry.counter_vec(&full(name), help, LABELS))),
            dropped: [dropped("samples"), dropped("exemplars"), dropped("histograms")],
            gauges: GAUGES.map(|(name, help)| (name, registry.gauge_vec(&full(name), help, LABELS))),
            sent_batch_duration_s: registry.native_histogram_vec(
                &full("sent_batch_duration_seconds"),
                "Duration of send calls to the remote storage.",
                DURATION_BOUNDS_S,
                LABELS,
            ),
            watcher: WatcherMetrics::new(registry),
            highest_timestamp_s: registry.gauge(
                &full("highest_timestamp_in_seconds"),
                "Highest timestamp that has come into the remote storage via the Appender interface, in seconds since \
                 epoch. Initialized to 0 when no data has been received yet. Deprecated, check \
                 prometheus_remote_storage_queue_highest_timestamp_seconds which is more accurate.",
            ),
            read: [read("Samples"), read("Exemplars"), read("Histograms")],
        }
    }

    /// The handles of one endpoint.
    #[must_use]
    pub(crate) fn endpoint(&self, name: &str, url: &str) -> EndpointMetrics {
        let labels = &[name, url];
        let counter = |wanted: &str| {
            let found = self.counters.iter().find(|(name, _)| *name == wanted);
            found.expect("the name stands in the table").1.with(labels)
        };
        let gauge = |wanted: &str| {
            let found = self.gauges.iter().find(|(name, _)| *name == wanted);
            found.expect("the name stands in the table").1.with(labels)
        };
        EndpointMetrics {
            sent: ["samples_total", "exemplars_total", "histograms_total"].map(counter),
            failed: ["samples_failed_total", "exemplars_failed_total", "histograms_failed_total"]
                .map(counter),
            retried: ["samples_retried_total", "exemplars_retried_total", "histograms_retried_total"]
                .map(counter),
            metadata: ["metadata_total", "metadata_failed_total", "metadata_retried_total"].map(counter),
            dropped: self.dropped.clone(),
            dropped_labels: (name.to_owned(), url.to_owned()),
            enqueue_retries: counter("enqueue_retries_total"),
            bytes: counter("bytes_total"),
            metadata_bytes: counter("metadata_bytes_total"),
            dead_letters: counter("dead_letters_total"),
            in_doubt: counter("in_doubt_total"),
            dead_letters_evicted: counter("dead_letters_evicted_total"),
            dead_letters_replayed: counter("dead_letters_replayed_total"),
            dead_letters_now: gauge("dead_letters"),
            dead_letters_bytes: gauge("dead_letters_bytes"),
            gaps: counter("gaps_total"),
            gap_samples: counter("gap_samples_total"),
            pending: ["samples_pending", "exemplars_pending", "histograms_pending"].map(gauge),
            shard_capacity: gauge("shard_capacity"),
            shards: gauge("shards"),
            shards_max: gauge("shards_max"),
            shards_min: gauge("shards_min"),
            shards_desired: gauge("shards_desired"),
            max_samples_per_send: gauge("max_samples_per_send"),
            highest_sent_timestamp_s: gauge("queue_highest_sent_timestamp_seconds"),
            highest_timestamp_s: gauge("queue_highest_timestamp_seconds"),
            backlog_timestamp_s: gauge("backlog_timestamp_seconds"),
            sent_batch_duration_s: self.sent_batch_duration_s.with(labels),
            watcher: self.watcher.consumer(name),
        }
    }

    /// Forgets an endpoint that is gone.
    pub(crate) fn remove(&self, name: &str, url: &str) {
        let labels = &[name, url];
        self.counters.iter().for_each(|(_, family)| family.remove(labels));
        self.gauges.iter().for_each(|(_, family)| family.remove(labels));
        self.sent_batch_duration_s.remove(labels);
        self.watcher.remove(name);
        for reason in DropReason::ALL {
            self.dropped.iter().for_each(|family| family.remove(&[name, url, reason.as_str()]));
        }
    }
}

/// Why something that the log holds is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// Relabeling dropped the series.
    Relabeled,
    /// Older than `sample_age_limit`.
    TooOld,
    /// The series' record is not in the log.
    UnknownSeries,
    /// Custom buckets, which remote write 1.0 cannot carry.
    CustomBuckets,
}

impl DropReason {
    const ALL: [Self; 4] = [Self::Relabeled, Self::TooOld, Self::UnknownSeries, Self::CustomBuckets];

    fn as_str(self) -> &'static str {
        match self {
            Self::Relabeled => "dropped_series",
            Self::TooOld => "too_old",
            Self::UnknownSeries => "unintentionally_dropped_series",
            Self::CustomBuckets => "nhcb_in_rw1_not_supported",
        }
    }
}

/// Handles of one endpoint. Triples are for samples, exemplars, histograms.
pub(crate) struct EndpointMetrics {
    pub(crate) sent: [Counter; 3],
    pub(crate) failed: [Counter; 3],
    pub(crate) retried: [Counter; 3],
    /// Sent, failed, retried.
    pub(crate) metadata: [Counter; 3],
    dropped: [CounterVec; 3],
    dropped_labels: (String, String),
    pub(crate) enqueue_retries: Counter,
    pub(crate) bytes: Counter,
    pub(crate) metadata_bytes: Counter,
    pub(crate) dead_letters: Counter,
    pub(crate) in_doubt: Counter,
    pub(crate) dead_letters_evicted: Counter,
    pub(crate) dead_letters_replayed: Counter,
    pub(crate) dead_letters_now: Gauge,
    pub(crate) dead_letters_bytes: Gauge,
    pub(crate) gaps: Counter,
    pub(crate) gap_samples: Counter,
    pub(crate) pending: [Gauge; 3],
    pub(crate) shard_capacity: Gauge,
    pub(crate) shards: Gauge,
    pub(crate) shards_max: Gauge,
    pub(crate) shards_min: Gauge,
    pub(crate) shards_desired: Gauge,
    pub(crate) max_samples_per_send: Gauge,
    pub(crate) highest_sent_timestamp_s: Gauge,
    pub(crate) highest_timestamp_s: Gauge,
    pub(crate) backlog_timestamp_s: Gauge,
    pub(crate) sent_batch_duration_s: Histogram,
    pub(crate) watcher: ConsumerMetrics,
}

impl EndpointMetrics {
    pub(crate) fn count_retried(&self, counts: [u64; 3]) {
        add(&self.retried, counts);
    }

    pub(crate) fn count_failed(&self, counts: [u64; 3]) {
        add(&self.failed, counts);
    }

    pub(crate) fn count_sent(&self, counts: [u64; 3]) {
        add(&self.sent, counts);
    }

    pub(crate) fn count_dropped(&self, kind: usize, reason: DropReason, count: u64) {
        let (name, url) = &self.dropped_labels;
        self.dropped[kind].with(&[name, url, reason.as_str()]).add(count as f64);
    }
}

fn add(counters: &[Counter; 3], counts: [u64; 3]) {
    for (counter, count) in counters.iter().zip(counts) {
        if count > 0 {
            counter.add(count as f64);
        }
    }
}
