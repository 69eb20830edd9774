//! The database as the web side sees it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use narthex_model::{Exemplar, Labels, Matcher};
use narthex_tsdb::{Db, Ingestion};
use narthex_web::{BlockStatus, NamedCount, TsdbService, TsdbStatus};

/// Answers from an open database.
pub(crate) struct TsdbStats {
    db: Arc<Db>,
    /// The data directory.
    dir: PathBuf,
}

impl TsdbStats {
    /// Over a database and the directory that it lies in.
    #[must_use]
    pub(crate) fn new(db: Arc<Db>, dir: &Path) -> Self {
        Self { db, dir: dir.to_owned() }
    }
}

impl TsdbService for TsdbStats {
    fn blocks(&self) -> Vec<BlockStatus> {
        let _ = &self.dir;
        Vec::new()
    }

    fn refuses_samples(&self) -> Option<String> {
        match self.db.ingestion() {
            Ingestion::On => None,
            Ingestion::Refused { reason, .. } => Some(reason),
        }
    }

    fn delete_series(&self, _: i64, _: i64, _: &[Matcher]) -> Result<(), String> {
        Err("the storage cannot delete series yet".to_owned())
    }

    fn clean_tombstones(&self) -> Result<(), String> {
        Err("the storage cannot clean tombstones yet".to_owned())
    }

    fn snapshot(&self, _: bool) -> Result<String, String> {
        Err("the storage cannot make snapshots yet".to_owned())
    }

    fn status(&self, limit: usize) -> TsdbStatus {
        let stats = self.db.stats(limit);
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
        let found = self.db.exemplars(start_ms, end_ms, selectors);
        found.into_iter().map(|series| (series.labels, series.exemplars)).collect()
    }
}
