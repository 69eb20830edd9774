//! What the head says about itself: counts, and the labels that cost most.

use narthex_model::METRIC_NAME;

use super::Head;
use super::isolation::Isolation;

/// Statistics of the head, for `/api/v1/status/tsdb`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadStats {
    /// Series in memory.
    pub series_count: u64,
    /// Chunks in memory, the open ones included.
    pub chunk_count: u64,
    /// Timestamp of the oldest sample, ms; `i64::MAX` for an empty head.
    pub min_ms: i64,
    /// Timestamp of the newest sample, ms; `i64::MIN` for an empty head.
    pub max_ms: i64,
    /// Distinct pairs of label name and value.
    pub label_pair_count: u64,
    /// Metric names with most series.
    pub series_by_metric_name: Vec<(String, u64)>,
    /// Label names with most values.
    pub values_by_label_name: Vec<(String, u64)>,
    /// Label names by the bytes of their values, each counted once a series.
    pub bytes_by_label_name: Vec<(String, u64)>,
    /// Label pairs (`name=value`) with most series.
    pub series_by_label_pair: Vec<(String, u64)>,
}

/// A list that keeps its `limit` largest entries; of equal ones those that came first.
pub(super) struct Top<T> {
    limit: usize,
    entries: Vec<(T, u64)>,
}

impl<T> Top<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, entries: Vec::new() }
    }

    /// Offers what `make` makes when it finds a place.
    pub(super) fn offer(&mut self, count: u64, make: impl FnOnce() -> T) {
        let full = self.entries.len() == self.limit;
        if self.limit == 0 || full && self.entries.last().is_some_and(|(_, least)| *least >= count) {
            return;
        }
        if full {
            self.entries.pop();
        }
        let at = self.entries.partition_point(|(_, other)| *other >= count);
        self.entries.insert(at, (make(), count));
    }

    /// The entries, largest first.
    pub(super) fn entries(self) -> impl Iterator<Item = T> {
        self.entries.into_iter().map(|(entry, _)| entry)
    }
}

impl Head {
    /// Statistics with at most `limit` entries a list. Looks at each label pair once.
    pub(crate) fn stats(&self, limit: usize) -> HeadStats {
        let _present = self.readers.enter();
        let [mut metrics, mut values_by_name, mut bytes_by_name, mut pairs] = [0; 4].map(|_| Top::new(limit));
        let mut label_pair_count = 0;
        for (name, values) in self.label_index.names() {
            let counts: Vec<(u32, u64)> =
                values.read().iter().map(|(v, postings)| (v, postings.len())).collect();
            let table = self.symbols.read();
            let name = table.text(name);
            let mut bytes = 0;
            for (value, series) in &counts {
                let value = table.text(*value);
                bytes += value.len() as u64 * series;
                pairs.offer(*series, || format!("{name}={value}"));
                if name == METRIC_NAME {
                    metrics.offer(*series, || value.to_owned());
                }
            }
            label_pair_count += counts.len() as u64;
            values_by_name.offer(counts.len() as u64, || name.to_owned());
            bytes_by_name.offer(bytes, || name.to_owned());
        }
        HeadStats {
            series_count: self.series_count(),
            chunk_count: self.metrics.chunk_count(),
            min_ms: self.min_ms(),
            max_ms: self.max_ms(),
            label_pair_count,
            series_by_metric_name: metrics.entries,
            values_by_label_name: values_by_name.entries,
            bytes_by_label_name: bytes_by_name.entries,
            series_by_label_pair: pairs.entries,
        }
    }

    /// Bytes of all label names and values.
    #[cfg(test)]
    pub(crate) fn symbol_bytes(&self) -> usize {
        self.symbols.read().text_bytes()
    }

    /// The lowest snapshot in use and the highest visible commit.
    pub(crate) fn watermarks(&self) -> (u64, u64) {
        Isolation::watermarks(&self.isolation)
    }

    /// Exemplars held, series that have some, room, and the oldest timestamp in ms.
    pub(crate) fn exemplar_stats(&self) -> (usize, usize, usize, i64) {
        let ring = self.exemplars.lock();
        (ring.len(), ring.series_count(), ring.capacity(), ring.oldest_ms())
    }

    /// Exemplars taken, and refused for their order, since start.
    pub(crate) fn exemplar_totals(&self) -> (u64, u64) {
        let ring = self.exemplars.lock();
        (ring.appended, ring.out_of_order)
    }
}
