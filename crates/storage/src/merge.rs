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

use std::cmp::Ordering;

use narthex_model::Matcher;

pub use self::order::{InTime, TimeHeap, give_in_order};
pub use self::series::{SetInTime, merge_series};
use crate::{Querier, QueryError, SelectHints, SeriesSet};

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
        let select = |source: &QuerierInTime| {
            let set = source.querier.select(hints, matchers)?;
            Ok(SetInTime { min_ms: source.min_ms, max_ms: source.max_ms, set })
        };
        let sets: Result<Vec<_>, QueryError> = self.sources.iter().map(select).collect();
        Ok(merge_series(sets?, hints.limit))
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

/// Each text of two sorted lists once, sorted. Mostly both lists are nearly the same.
fn union(a: Vec<String>, b: Vec<String>) -> Vec<String> {
    let mut out = Vec::with_capacity(a.len().max(b.len()) + a.len().min(b.len()) / 8);
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    while let (Some(left), Some(right)) = (a.peek(), b.peek()) {
        match left.cmp(right) {
            Ordering::Less => out.extend(a.next()),
            Ordering::Greater => out.extend(b.next()),
            Ordering::Equal => {
                out.extend(a.next());
                b.next();
            }
        }
    }
    out.extend(a);
    out.extend(b);
    out
}
