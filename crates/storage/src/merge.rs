//! Several sources read as one: their series lists are merged by labels, the samples of equal series by time.
//!
//! Road in: [`merge_queriers`]. `series` merges lists, `samples` merges samples in the `order` that all merging here has.
//! Always true: a merged list is sorted and has each label set once; a merged series has each timestamp once.
//! Lists are merged when they are selected, samples only when they are read; nothing is kept of labels but positions.
//! Facts: Prometheus `storage/merge.go`: what becomes of equal timestamps and of counter-reset hints.
//! Must not know: what the sources are.

mod order;
mod samples;
mod series;
#[cfg(test)]
mod tests;

use narthex_model::Matcher;

pub use self::order::{InTime, TimeHeap, give_in_order};
pub use self::series::{SetInTime, merge_series};
use crate::{LabelSets, Querier, QueryError, SelectHints, SeriesSet};

/// A querier, and where its samples lie.
pub struct QuerierInTime {
    /// None of its samples is older, ms.
    pub min_ms: i64,
    /// None of its samples is newer, ms.
    pub max_ms: i64,
    /// The source.
    pub querier: Box<dyn Querier>,
}

/// One view over all sources. Where several have a sample at one timestamp, one of them is shown: see [`merge_series`].
/// Sources that do not overlap in time cost little more than one.
#[must_use]
pub fn merge_queriers(mut sources: Vec<QuerierInTime>) -> Box<dyn Querier> {
    match sources.len() {
        1 => sources.remove(0).querier,
        _ => Box::new(MergedQuerier { sources }),
    }
}

struct MergedQuerier {
    sources: Vec<QuerierInTime>,
}

impl Querier for MergedQuerier {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        let hints = hints.in_order();
        let select = |source: &QuerierInTime| {
            let set = source.querier.select(&hints, matchers)?;
            Ok(SetInTime { min_ms: source.min_ms, max_ms: source.max_ms, set })
        };
        let sets: Result<Vec<_>, QueryError> = self.sources.iter().map(select).collect();
        Ok(merge_series(sets?, hints.limit))
    }

    fn label_sets(
        &self,
        hints: &SelectHints,
        matchers: &[Matcher],
        out: &mut LabelSets,
    ) -> Result<(), QueryError> {
        let hints = hints.in_order();
        out.sort();
        self.sources.iter().try_for_each(|source| source.querier.label_sets(&hints, matchers, out))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
    ) -> Result<Vec<String>, QueryError> {
        merge_texts(&self.sources, limit, |querier, known| {
            querier.label_values_beside(name, matchers, limit, known)
        })
    }

    fn label_names(&self, matchers: &[Matcher], limit: usize) -> Result<Vec<String>, QueryError> {
        merge_texts(&self.sources, limit, |querier, _| querier.label_names(matchers, limit))
    }

    fn warnings(&self) -> Vec<String> {
        self.sources.iter().flat_map(|source| source.querier.warnings()).collect()
    }
}

/// The union of sorted lists, of which each may leave out what is known already, at most `limit` texts long when `limit` is not 0.
fn merge_texts(
    sources: &[QuerierInTime],
    limit: usize,
    read: impl Fn(&dyn Querier, &[String]) -> Result<Vec<String>, QueryError>,
) -> Result<Vec<String>, QueryError> {
    let mut all: Vec<String> = Vec::new();
    for source in sources {
        let more = read(&*source.querier, &all)?;
        if all.is_empty() {
            all = more;
        } else if !more.is_empty() {
            all = union(all, more);
        }
        if limit > 0 {
            all.truncate(limit);
        }
    }
    Ok(all)
}

/// Each text of two sorted lists once, sorted. PERF: the second is mostly short beside the first, whose stretches are moved as they are.
fn union(all: Vec<String>, more: Vec<String>) -> Vec<String> {
    let mut out = Vec::with_capacity(all.len() + more.len());
    let mut all = all.into_iter();
    for text in more {
        let before = count_before(all.as_slice(), &text);
        out.extend(all.by_ref().take(before));
        if all.as_slice().first() != Some(&text) {
            out.push(text);
        }
    }
    out.extend(all);
    out
}

/// How many texts at the beginning of a sorted list come before `text`: found with growing steps.
fn count_before(sorted: &[String], text: &str) -> usize {
    let (mut low, mut step) = (0, 1);
    while sorted.get(low + step - 1).is_some_and(|other| other.as_str() < text) {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(sorted.len());
    low + sorted[low..high].partition_point(|other| other.as_str() < text)
}
