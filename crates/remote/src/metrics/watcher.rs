//! What reading the log says about itself, under the names of Prometheus' WAL watcher; a consumer is an endpoint.

use narthex_metrics::{Counter, CounterVec, Gauge, GaugeVec, Registry};
use narthex_wal::WalPosition;
use narthex_wal::record::{HistogramLayout, RecordType};

/// Kinds of records, by the names that Prometheus' metrics give them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    Series,
    Samples,
    Tombstones,
    Exemplars,
    Histograms,
    FloatHistograms,
    CustomHistograms,
    CustomFloatHistograms,
    Metadata,
}

impl RecordKind {
    pub(crate) const ALL: [(Self, &'static str); 9] = [
        (Self::Series, "series"),
        (Self::Samples, "samples"),
        (Self::Tombstones, "tombstones"),
        (Self::Exemplars, "exemplars"),
        (Self::Histograms, "histogram_samples"),
        (Self::FloatHistograms, "float_histogram_samples"),
        (Self::CustomHistograms, "custom_buckets_histogram_samples"),
        (Self::CustomFloatHistograms, "custom_buckets_float_histogram_samples"),
        (Self::Metadata, "metadata"),
    ];

    /// The kind of an encoded record; `None` for what a WAL does not hold.
    #[must_use]
    pub(crate) fn of(record: &[u8]) -> Option<Self> {
        Some(match RecordType::of(record) {
            RecordType::Series => Self::Series,
            RecordType::Samples { .. } => Self::Samples,
            RecordType::Tombstones => Self::Tombstones,
            RecordType::Exemplars => Self::Exemplars,
            RecordType::Histograms(HistogramLayout::Custom) => Self::CustomHistograms,
            RecordType::Histograms(_) => Self::Histograms,
            RecordType::FloatHistograms(HistogramLayout::Custom) => Self::CustomFloatHistograms,
            RecordType::FloatHistograms(_) => Self::FloatHistograms,
            RecordType::Metadata => Self::Metadata,
            RecordType::MmapMarkers | RecordType::Unknown => return None,
        })
    }
}

/// What Prometheus' reader of the log says about itself; a consumer is an endpoint.
#[derive(Clone)]
pub(super) struct WatcherMetrics {
    records: CounterVec,
    undecoded: CounterVec,
    pre_tailing: CounterVec,
    skipped: CounterVec,
    segment: GaugeVec,
}

/// The handles of one consumer.
pub(crate) struct ConsumerMetrics {
    records: [Counter; RecordKind::ALL.len()],
    undecoded: Counter,
    segment: Gauge,
}

impl WatcherMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let full = |name: &str| format!("prometheus_wal_watcher_{name}");
        let counter = |name: &str, help: &str| registry.counter_vec(&full(name), help, &["consumer"]);
        Self {
            records: registry.counter_vec(
                &full("records_read_total"),
                "Number of records read by the WAL watcher from the WAL.",
                &["consumer", "type"],
            ),
            undecoded: counter(
                "record_decode_failures_total",
                "Number of records read by the WAL watcher that resulted in an error when decoding.",
            ),
            pre_tailing: counter(
                "samples_sent_pre_tailing_total",
                "Number of sample records read by the WAL watcher and sent to remote write during replay of existing WAL.",
            ),
            skipped: counter(
                "notifications_skipped_total",
                "The number of WAL write notifications that the Watcher has skipped due to already being in a WAL read routine.",
            ),
            segment: registry.gauge_vec(
                &full("current_segment"),
                "Current segment the WAL watcher is reading records from.",
                &["consumer"],
            ),
        }
    }

    pub(super) fn consumer(&self, name: &str) -> ConsumerMetrics {
        // Shown, though nothing here is notified, nor sent before tailing.
        let _ = (self.pre_tailing.with(&[name]), self.skipped.with(&[name]));
        ConsumerMetrics {
            records: RecordKind::ALL.map(|(_, kind)| self.records.with(&[name, kind])),
            undecoded: self.undecoded.with(&[name]),
            segment: self.segment.with(&[name]),
        }
    }

    pub(super) fn remove(&self, name: &str) {
        RecordKind::ALL.iter().for_each(|(_, kind)| self.records.remove(&[name, kind]));
        [&self.undecoded, &self.pre_tailing, &self.skipped].iter().for_each(|family| family.remove(&[name]));
        self.segment.remove(&[name]);
    }
}

impl ConsumerMetrics {
    /// Counts a block that was read up to `end`.
    pub(crate) fn read(&self, records: &[u32], undecoded: u32, end: WalPosition) {
        for (counter, count) in self.records.iter().zip(records) {
            counter.add(f64::from(*count));
        }
        self.undecoded.add(f64::from(undecoded));
        self.segment.set(f64::from(end.segment));
    }
}
