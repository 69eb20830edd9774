//! The database as the web side sees it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use narthex_block::BlockMeta;
use narthex_model::{Exemplar, Labels, Matcher, UnixTime, push_rfc3339};
use narthex_tsdb::{CardinalityOrder, CardinalityRequest, Db, Ingestion, SeriesCounts};
use narthex_web::{self as web, BlockStatus, CardinalityCounts, CardinalityQuestion, CardinalityStatus};
use narthex_web::{NamedCount, TsdbService, TsdbStatus};

use crate::parts::chain;

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
        self.db.blocks().iter().map(|meta| block_status(meta)).collect()
    }

    fn refuses_samples(&self) -> Option<String> {
        match self.db.ingestion() {
            Ingestion::On => None,
            Ingestion::Refused { reason, .. } => Some(reason),
        }
    }

    fn delete_series(&self, start_ms: i64, end_ms: i64, matchers: &[Matcher]) -> Result<(), String> {
        self.db.delete(start_ms, end_ms, matchers).map_err(|e| chain(&e))
    }

    fn clean_tombstones(&self) -> Result<(), String> {
        self.db.clean_tombstones().map_err(|e| chain(&e))
    }

    fn snapshot(&self, skip_head: bool) -> Result<String, String> {
        let name = snapshot_name(SystemTime::now(), RandomState::new().build_hasher().finish());
        let dir = self.dir.join("snapshots").join(&name);
        std::fs::create_dir_all(&dir).map_err(|e| format!("create snapshot directory: {e}"))?;
        self.db.snapshot(&dir, !skip_head).map_err(|e| format!("create snapshot: {}", chain(&e)))?;
        Ok(name)
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

    fn cardinality(&self, question: &CardinalityQuestion) -> CardinalityStatus {
        let found = self.db.cardinality(&CardinalityRequest {
            selectors: &question.selectors,
            since_ms: question.since_ms,
            labels: &question.labels,
            limit: question.limit,
            order: match question.order {
                web::CardinalityOrder::Series => CardinalityOrder::Series,
                web::CardinalityOrder::Quiet => CardinalityOrder::Quiet,
                web::CardinalityOrder::Created => CardinalityOrder::Created,
                web::CardinalityOrder::Ended => CardinalityOrder::Ended,
            },
        });
        let list = |counts: Vec<(String, SeriesCounts)>| {
            counts.into_iter().map(|(name, of)| (name, series_counts(of))).collect::<Vec<_>>()
        };
        let by_label_name = found.by_label_name.into_iter();
        CardinalityStatus {
            since_ms: found.since_ms,
            total: series_counts(found.total),
            by_metric: list(found.by_metric),
            by_label_name: by_label_name
                .map(|(name, values, of)| (name, values, series_counts(of)))
                .collect(),
            by_value: found.by_value.into_iter().map(|(label, values)| (label, list(values))).collect(),
            created_total: found.created_total,
            removed_total: found.removed_total,
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

fn series_counts(of: SeriesCounts) -> CardinalityCounts {
    let SeriesCounts { series, quiet, created, ended } = of;
    CardinalityCounts { series, quiet, created, ended }
}

/// `20261122T210405Z-0123456789abcdef`, as Prometheus names them; the chance has 63 bits.
fn snapshot_name(now: SystemTime, chance: u64) -> String {
    let mut time = String::new();
    push_rfc3339(&mut time, UnixTime { nanos: 0, ..UnixTime::from_system(now) });
    format!("{}-{:016x}", time.replace(['-', ':'], ""), chance >> 1)
}

fn block_status(meta: &BlockMeta) -> BlockStatus {
    let (stats, compaction) = (&meta.stats, &meta.compaction);
    BlockStatus {
        ulid: meta.ulid.to_string(),
        min_ms: meta.min_ms,
        max_ms: meta.max_ms,
        counts: vec![
            ("numSamples", stats.num_samples),
            ("numFloatSamples", stats.num_float_samples),
            ("numHistogramSamples", stats.num_histogram_samples),
            ("numSeries", stats.num_series),
            ("numChunks", stats.num_chunks),
            ("numTombstones", stats.num_tombstones),
        ],
        level: compaction.level,
        sources: compaction.sources.iter().map(ToString::to_string).collect(),
        parents: compaction.parents.iter().map(|p| (p.ulid.to_string(), p.min_ms, p.max_ms)).collect(),
        deletable: compaction.deletable,
        failed: compaction.failed,
        hints: compaction.hints.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_named_by_time_and_chance() {
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_795_310_700_123);
        assert_eq!(snapshot_name(now, u64::MAX), "20261122T012500Z-7fffffffffffffff");
        assert_eq!(snapshot_name(now, 2), "20261122T012500Z-0000000000000001");
    }
}
