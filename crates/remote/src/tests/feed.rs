//! A writer of the log that remembers what it wrote.

use std::collections::BTreeMap;
use std::path::Path;

use narthex_metrics::Registry;
use narthex_model::Labels;
use narthex_storage::SeriesRef;
use narthex_wal::record::{RefSample, encode_samples, encode_series};
use narthex_wal::{Compression, Tip, WalMetrics, WalOptions, Writer};

/// Timestamps and value bits of a series, by its labels.
pub(crate) type Samples = BTreeMap<String, Vec<(i64, u64)>>;

pub(crate) struct Feed {
    pub(crate) writer: Writer,
    series: u64,
    /// Of the newest scrape.
    pub(crate) t_ms: i64,
    pub(crate) written: Samples,
}

impl Feed {
    /// A log of many small segments, in the `wal` of `dir`, with `series` series.
    pub(crate) fn new(dir: &Path, series: u64) -> Self {
        let options = WalOptions {
            segment_size_bytes: 4 * 32 * 1024,
            compression: Compression::Snappy,
            ..WalOptions::default()
        };
        let metrics = WalMetrics::for_wal(&Registry::new(), Compression::Snappy);
        let writer = Writer::open(&dir.join("wal"), options, metrics).unwrap();
        let mut feed = Self { writer, series, t_ms: 1_795_310_700_000, written: Samples::new() };
        feed.log_series();
        feed
    }

    /// Commits the label sets, as the start of a log or a checkpoint does.
    pub(crate) fn log_series(&mut self) {
        let sets: Vec<_> = (1..=self.series).map(|n| (SeriesRef(n), labels(n))).collect();
        let mut record = Vec::new();
        encode_series(sets.iter().map(|(series, labels)| (*series, labels)), &mut record);
        self.writer.log(&[&record]).unwrap();
    }

    pub(crate) fn tip(&self) -> Tip {
        self.writer.tip()
    }

    /// Commits scrapes of all series.
    pub(crate) fn scrapes(&mut self, count: usize) {
        for _ in 0..count {
            self.t_ms += 1000;
            let sample = |n: u64| RefSample {
                series: SeriesRef(n),
                t_ms: self.t_ms,
                start_ms: 0,
                value: (self.t_ms % 10_000 * n as i64) as f64,
            };
            let samples: Vec<_> = (1..=self.series).map(sample).collect();
            self.log_samples(&samples);
        }
    }

    pub(crate) fn log_samples(&mut self, samples: &[RefSample]) {
        let mut record = Vec::new();
        encode_samples(samples, &mut record);
        self.writer.log(&[&record]).unwrap();
        for sample in samples {
            let series = self.written.entry(labels(sample.series.0).to_string()).or_default();
            series.push((sample.t_ms, sample.value.to_bits()));
        }
    }
}

/// The labels of the n-th series.
pub(crate) fn labels(n: u64) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("job", "feed"), ("n", &n.to_string())])
}
