//! What makes the series many: by metric, by label name, by the values of some labels, with what came and went lately.
//!
//! Always true: memory for the lists that were asked for and four bitmaps of slots, however many series there are; the lock of one
//! label is held for [`ROUND`] values at a time, so that nobody who makes series waits for long. The counts are taken while series
//! come and go, and are that exact.
//! What came and went is read from the samples in memory: a series whose first sample there is young came, one whose newest is
//! old, or is a staleness marker, is quiet. What left memory is counted no more.

use std::sync::Arc;

use narthex_model::{METRIC_NAME, Matcher};
use parking_lot::RwLock;
use roaring::RoaringBitmap;

use super::Head;
use super::label_index::Values;
use super::postings::Postings;
use super::slab::slot_at;
use super::stats::Top;
use crate::symbols::Symbol;

/// How many values are counted under one hold of a label's lock.
const ROUND: usize = 1024;
/// A series that has no sample for so long is quiet, ms: the lookback of queries.
const QUIET_MS: i64 = 300_000;

/// What is to be counted.
#[derive(Clone, Debug)]
pub struct CardinalityRequest<'a> {
    /// Series must satisfy every matcher of one of the sets; none for all series.
    pub selectors: &'a [Vec<Matcher>],
    /// From when on series count as created and ended, ms. Memory begins somewhere: see [`Cardinality::since_ms`].
    pub since_ms: i64,
    /// Labels whose values are listed.
    pub labels: &'a [String],
    /// Most entries of each list.
    pub limit: usize,
    /// What comes first.
    pub order: CardinalityOrder,
}

/// By which count lists are sorted, largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardinalityOrder {
    /// Series in memory.
    Series,
    /// Quiet ones.
    Quiet,
    /// Created ones.
    Created,
    /// Ended ones.
    Ended,
}

/// Counts of some series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesCounts {
    /// In memory.
    pub series: u64,
    /// Of these, those that got no sample for five minutes or ended by a staleness marker.
    pub quiet: u64,
    /// Of all, those whose first sample in memory is of [`Cardinality::since_ms`] or later.
    pub created: u64,
    /// Of the quiet ones, those whose newest sample is of that time or later.
    pub ended: u64,
}

impl SeriesCounts {
    fn by(&self, order: CardinalityOrder) -> u64 {
        match order {
            CardinalityOrder::Series => self.series,
            CardinalityOrder::Quiet => self.quiet,
            CardinalityOrder::Created => self.created,
            CardinalityOrder::Ended => self.ended,
        }
    }

    fn add(&mut self, other: &Self) {
        self.series += other.series;
        self.quiet += other.quiet;
        self.created += other.created;
        self.ended += other.ended;
    }
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cardinality {
    /// The time that was asked for, or five minutes after the oldest sample in memory where that is later: before it old and new
    /// series cannot be told apart.
    pub since_ms: i64,
    /// All series that were asked for.
    pub total: SeriesCounts,
    /// By metric name.
    pub by_metric: Vec<(String, SeriesCounts)>,
    /// Label names with how many values they have in these series.
    pub by_label_name: Vec<(String, u64, SeriesCounts)>,
    /// For each label that was asked for its values, in the order asked.
    pub by_value: Vec<(String, Vec<(String, SeriesCounts)>)>,
    /// Series created since the process started, whatever was asked.
    pub created_total: u64,
    /// Series that left memory since then.
    pub removed_total: u64,
}

/// Slots by what is known of their series.
struct Sets {
    /// `None` for all.
    selected: Option<RoaringBitmap>,
    quiet: RoaringBitmap,
    created: RoaringBitmap,
    ended: RoaringBitmap,
}

impl Sets {
    fn count(&self, postings: &Postings) -> SeriesCounts {
        let series = match &self.selected {
            None => postings.len(),
            Some(selected) => postings.len_in(selected),
        };
        if series == 0 {
            return SeriesCounts::default();
        }
        SeriesCounts {
            series,
            quiet: postings.len_in(&self.quiet),
            created: postings.len_in(&self.created),
            ended: postings.len_in(&self.ended),
        }
    }
}

impl Head {
    /// Counts. Looks at each series once (some 20 ns) and at the postings of each label pair.
    pub(crate) fn cardinality(&self, request: &CardinalityRequest<'_>) -> Cardinality {
        let _present = self.readers.enter();
        let since_ms = request.since_ms.max(self.min_ms().saturating_add(QUIET_MS));
        let sets = self.sets(request.selectors, since_ms);
        let by_value = request.labels.iter().map(|label| (label.clone(), Vec::new())).collect();
        let (created_total, removed_total) = self.metrics.series_totals();
        let total = self.total(&sets);
        let (by_metric, by_label_name) = (Vec::new(), Vec::new());
        let mut found =
            Cardinality { since_ms, total, by_metric, by_label_name, by_value, created_total, removed_total };
        let mut names = Top::new(request.limit);
        for (name, values) in self.label_index.names() {
            let name = self.symbols.read().text(name).to_owned();
            let is_listed = name == METRIC_NAME || request.labels.contains(&name);
            let mut top = Top::new(if is_listed { request.limit } else { 0 });
            let (present, counts) = self.count_values(&values, &sets, |value, counts| {
                top.offer(counts.by(request.order), || (self.symbols.read().text(value).to_owned(), counts));
            });
            if present > 0 {
                names.offer(counts.by(request.order), || (name.clone(), present, counts));
            }
            let listed: Vec<_> = top.entries().collect();
            if let Some((_, list)) = found.by_value.iter_mut().find(|(label, _)| *label == name) {
                list.clone_from(&listed);
            }
            if name == METRIC_NAME {
                found.by_metric = listed;
            }
        }
        found.by_label_name = names.entries().collect();
        found
    }

    /// Counts each value's series for `each`; how many values have some, and the sums.
    fn count_values(
        &self,
        values: &Arc<RwLock<Values>>,
        sets: &Sets,
        mut each: impl FnMut(Symbol, SeriesCounts),
    ) -> (u64, SeriesCounts) {
        let (mut present, mut sums, mut from) = (0, SeriesCounts::default(), 0);
        loop {
            let some: Vec<(Symbol, SeriesCounts)> =
                values.read().iter_from(from).take(ROUND).map(|(v, p)| (v, sets.count(p))).collect();
            for (value, counts) in some.iter().filter(|(_, counts)| counts.series > 0) {
                present += 1;
                sums.add(counts);
                each(*value, *counts);
            }
            if some.len() < ROUND {
                return (present, sums);
            }
            from += ROUND;
        }
    }

    fn total(&self, sets: &Sets) -> SeriesCounts {
        SeriesCounts {
            series: sets.selected.as_ref().map_or_else(|| self.series_count(), RoaringBitmap::len),
            quiet: sets.quiet.len(),
            created: sets.created.len(),
            ended: sets.ended.len(),
        }
    }

    fn sets(&self, selectors: &[Vec<Matcher>], since_ms: i64) -> Sets {
        let selected = (!selectors.is_empty()).then(|| {
            let union = |set: RoaringBitmap, matchers: &Vec<Matcher>| set | self.matching(matchers);
            selectors.iter().fold(RoaringBitmap::new(), union)
        });
        let [mut quiet, mut created, mut ended] = std::array::from_fn(|_| RoaringBitmap::new());
        let quiet_ms = self.max_ms().saturating_sub(QUIET_MS);
        for (number, page) in self.slab.pages() {
            let rows = page.rows.lock();
            for at in page.occupied() {
                let slot = slot_at(number, at);
                if selected.as_ref().is_some_and(|set| !set.contains(slot)) {
                    continue;
                }
                let series = rows.series(at);
                let (first_ms, newest_ms) = (series.first_ms(), series.newest_ms());
                let is_quiet = newest_ms < quiet_ms || series.ends_stale();
                for (belongs, set) in [
                    (is_quiet, &mut quiet),
                    (first_ms >= since_ms && first_ms != i64::MAX, &mut created),
                    (is_quiet && newest_ms >= since_ms, &mut ended),
                ] {
                    if belongs && set.try_push(slot).is_err() {
                        set.insert(slot);
                    }
                }
            }
        }
        Sets { selected, quiet, created, ended }
    }
}
