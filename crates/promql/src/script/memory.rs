//! A storage in memory, for scripts and rule unit tests: a sorted map of series, each a sorted map of samples.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use narthex_model::{FloatHistogram, Labels, Matcher};
use narthex_storage::{Querier, QueryError, Queryable, SampleBatch, SelectHints, SeriesSet};

use super::histograms::stored_hint;
use crate::series_desc::SeriesValue;

/// A storage in memory. A clone is a view that later additions do not change.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    series: Arc<BTreeMap<Labels, Arc<BTreeMap<i64, Stored>>>>,
}

/// One sample.
#[derive(Clone, Debug)]
struct Stored {
    value: StoredValue,
    /// 0 for unknown.
    start_ms: i64,
}

#[derive(Clone, Debug)]
enum StoredValue {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl MemoryStorage {
    /// An empty storage.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sample; one that is there already at that time is replaced. `start_ms` is 0 for unknown; a gap adds nothing.
    pub fn add(&mut self, labels: &Labels, t_ms: i64, value: &SeriesValue, start_ms: i64) {
        let value = match value {
            SeriesValue::Gap => return,
            SeriesValue::Float(v) => StoredValue::Float(*v),
            SeriesValue::Histogram { histogram, .. } => {
                StoredValue::Histogram(Arc::new((**histogram).clone()))
            }
        };
        let series = Arc::make_mut(&mut self.series);
        let samples = series.entry(labels.clone()).or_default();
        Arc::make_mut(samples).insert(t_ms, Stored { value, start_ms });
    }

    /// Adds a float sample without start time.
    pub fn add_float(&mut self, labels: &Labels, t_ms: i64, value: f64) {
        self.add(labels, t_ms, &SeriesValue::Float(value), 0);
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.series = Arc::default();
    }
}

impl Queryable for MemoryStorage {
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier>, QueryError> {
        Ok(Box::new(View { storage: self.clone(), mint_ms, maxt_ms }))
    }
}

struct View {
    storage: MemoryStorage,
    mint_ms: i64,
    maxt_ms: i64,
}

impl View {
    fn matching(&self, matchers: &[Matcher]) -> Vec<(Labels, Arc<BTreeMap<i64, Stored>>)> {
        let all = self.storage.series.iter();
        let in_range = all.filter(|(_, samples)| samples.range(self.mint_ms..=self.maxt_ms).next().is_some());
        let fits = in_range.filter(|(labels, _)| matchers.iter().all(|m| m.matches(labels.value(&m.name))));
        fits.map(|(labels, samples)| (labels.clone(), Arc::clone(samples))).collect()
    }

    fn distinct<'a>(texts: impl Iterator<Item = &'a str>, limit: usize) -> Vec<String> {
        let distinct: BTreeSet<&str> = texts.collect();
        let limit = if limit == 0 { usize::MAX } else { limit };
        distinct.into_iter().take(limit).map(str::to_owned).collect()
    }
}

impl Querier for View {
    fn select(&self, _: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        Ok(Box::new(Selected { series: self.matching(matchers) }))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
    ) -> Result<Vec<String>, QueryError> {
        let series = self.matching(matchers);
        Ok(Self::distinct(series.iter().filter_map(|(labels, _)| labels.get(name)), limit))
    }

    fn label_names(&self, matchers: &[Matcher], limit: usize) -> Result<Vec<String>, QueryError> {
        let series = self.matching(matchers);
        Ok(Self::distinct(series.iter().flat_map(|(labels, _)| labels.iter().map(|(n, _)| n)), limit))
    }
}

struct Selected {
    series: Vec<(Labels, Arc<BTreeMap<i64, Stored>>)>,
}

impl Selected {
    fn with_stored_hint(&self, at: usize, t_ms: i64, h: &Arc<FloatHistogram>) -> Arc<FloatHistogram> {
        let before = match self.series[at].1.range(..t_ms).next_back() {
            Some((_, Stored { value: StoredValue::Histogram(before), .. })) => Some(&**before),
            _ => None,
        };
        let hint = stored_hint(before, h);
        if hint == h.counter_reset_hint {
            return Arc::clone(h);
        }
        Arc::new(FloatHistogram { counter_reset_hint: hint, ..(**h).clone() })
    }
}

impl SeriesSet for Selected {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, at: usize) -> Labels {
        self.series[at].0.clone()
    }

    fn read(&self, at: usize, mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        if mint_ms > maxt_ms {
            return Ok(());
        }
        for (t_ms, sample) in self.series[at].1.range(mint_ms..=maxt_ms) {
            match &sample.value {
                StoredValue::Float(v) => {
                    if sample.start_ms != 0 {
                        out.start_ms.resize(out.t_ms.len(), 0);
                    }
                    out.t_ms.push(*t_ms);
                    out.values.push(*v);
                    if sample.start_ms != 0 || !out.start_ms.is_empty() {
                        out.start_ms.push(sample.start_ms);
                    }
                }
                StoredValue::Histogram(h) => {
                    if sample.start_ms != 0 {
                        out.histogram_start_ms.resize(out.histograms.len(), 0);
                    }
                    if sample.start_ms != 0 || !out.histogram_start_ms.is_empty() {
                        out.histogram_start_ms.push(sample.start_ms);
                    }
                    out.histogram_t_ms.push(*t_ms);
                    out.histograms.push(self.with_stored_hint(at, *t_ms, h));
                }
            }
        }
        Ok(())
    }
}
