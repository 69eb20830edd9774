//! The database as the web side sees it.

use std::sync::Arc;

use narthex_model::{Exemplar, Labels, Matcher};
use narthex_tsdb::Db;
use narthex_web::{NamedCount, TsdbService, TsdbStatus};

/// Answers from an open database.
pub(crate) struct TsdbStats(pub(crate) Arc<Db>);

impl TsdbService for TsdbStats {
    fn status(&self, limit: usize) -> TsdbStatus {
        let stats = self.0.stats(limit);
        let list = |counts: Vec<(String, u64)>| {
            counts.into_iter().map(|(name, value)| NamedCount { name, value }).collect::<Vec<_>>()
        };
        TsdbStatus {
            series: stats.series_count,
            label_pairs: stats.label_pair_count,
            chunks: i64::try_from(stats.chunk_count).unwrap_or(i64::MAX),
            min_ms: stats.min_ms,
            max_ms: stats.max_ms,
            series_by_metric: list(stats.series_by_metric_name),
            values_by_label: list(stats.values_by_label_name),
            bytes_by_label: list(stats.bytes_by_label_name),
            series_by_pair: list(stats.series_by_label_pair),
        }
    }

    fn exemplars(
        &self,
        start_ms: i64,
        end_ms: i64,
        selectors: &[Vec<Matcher>],
    ) -> Vec<(Labels, Vec<Exemplar>)> {
        let found = self.0.exemplars(start_ms, end_ms, selectors);
        found.into_iter().map(|series| (series.labels, series.exemplars)).collect()
    }
}
