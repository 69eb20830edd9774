//! One series over all steps, and sources of such rows.
//!
//! Everything that is an instant vector is a [`RowSource`] while a query runs: a list of rows that are made on demand, each
//! by its number, from any thread. Labels can be asked for without values and only as far as they are needed.
//! Always true: a step of a row holds a float, a histogram or nothing, never two of them; `histograms` rise by step.

use std::sync::Arc;

use narthex_model::{FloatHistogram, Labels, METRIC_NAME};
use narthex_storage::SeriesSet;

use super::context::Worker;
use super::error::QueryError;
use super::ops::pair_histograms::Operand;
use super::steps::{Mask, Steps};

/// The labels that describe a metric instead of a series; operations that change a value's meaning drop them.
pub(crate) const METADATA_LABELS: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// One series over all steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// One value a step; where `present` is off it means nothing.
    pub values: Vec<f64>,
    /// The steps that hold a float.
    pub present: Mask,
    /// The histograms with their steps.
    pub histograms: Vec<(u32, Arc<FloatHistogram>)>,
}

impl Row {
    /// Makes this an empty row of `count` steps.
    pub(crate) fn reset(&mut self, count: usize) {
        self.values.clear();
        self.values.resize(count, 0.0);
        self.present.reset(count);
        self.histograms.clear();
    }

    /// Puts a float at a step.
    #[inline]
    pub(crate) fn set(&mut self, step: usize, value: f64) {
        self.values[step] = value;
        self.present.set(step);
    }

    /// Whether no step holds anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.present.is_empty()
    }

    /// Makes this a copy of `other`, reusing its memory.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.values.clone_from(&other.values);
        self.present.copy_from(&other.present);
        self.histograms.clone_from(&other.histograms);
    }

    /// The steps that hold anything.
    pub(crate) fn occupied(&self) -> Mask {
        let mut mask = self.present.clone();
        for (step, _) in &self.histograms {
            mask.set(*step as usize);
        }
        mask
    }

    /// What a step holds; it must hold something.
    pub(crate) fn operand(&self, step: usize) -> Operand<'_> {
        match self.histograms.binary_search_by_key(&(step as u32), |(s, _)| *s) {
            Ok(at) => Operand::Histogram(&self.histograms[at].1),
            Err(_) => Operand::Float(self.values[step]),
        }
    }

    /// Keeps only the steps of `mask`.
    pub(crate) fn keep(&mut self, mask: &Mask) {
        self.present.keep(mask);
        self.histograms.retain(|(step, _)| mask.get(*step as usize));
    }

    /// What the row holds against the sample limit: a float is 1, a histogram what it weighs in floats.
    pub(crate) fn weight(&self) -> u64 {
        let histograms: usize = self.histograms.iter().map(|(_, h)| histogram_weight(h)).sum();
        (self.present.count() + histograms) as u64
    }

    /// The bytes of what the row points to, unused capacity included; histograms count as if they were not shared.
    pub(crate) fn heap_bytes(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(|(_, h)| 16 * histogram_weight(h)).sum();
        let places = self.histograms.capacity() * size_of::<(u32, Arc<FloatHistogram>)>();
        self.values.capacity() * 8 + self.present.heap_bytes() + places + histograms
    }
}

/// The size of a histogram in samples, as Prometheus counts it (16 bytes a sample).
pub(crate) fn histogram_weight(h: &FloatHistogram) -> usize {
    // COMPAT: Prometheus takes a fixed 168 bytes for the histogram itself, 8 for the time, and its slices as they are.
    let slices = 8 * (h.positive_buckets.len() + h.negative_buckets.len() + h.custom_values.len())
        + 8 * (h.positive_spans.len() + h.negative_spans.len());
    (168 + 8 + slices) / 16
}

/// Which labels somebody needs to see.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    names: Names,
    /// What is left of it without metadata labels, where that is another wish: worked out once, not for each row.
    bare: Option<Box<Wish>>,
}

#[derive(Clone, Debug)]
enum Names {
    All,
    Only(Vec<String>),
    AllBut(Vec<String>),
}

impl Names {
    fn without_metadata(&self) -> Self {
        let is_metadata = |name: &String| METADATA_LABELS.contains(&name.as_str());
        let metadata = METADATA_LABELS.iter().map(|name| (*name).to_owned());
        match self {
            Self::All => Self::AllBut(metadata.collect()),
            Self::Only(names) => {
                Self::Only(names.iter().filter(|name| !is_metadata(name)).cloned().collect())
            }
            Self::AllBut(names) => Self::AllBut(
                names.iter().filter(|name| !is_metadata(name)).cloned().chain(metadata).collect(),
            ),
        }
    }
}

impl Wish {
    fn new(names: Names) -> Self {
        let bare = Self { names: names.without_metadata(), bare: None };
        Self { names, bare: Some(Box::new(bare)) }
    }

    /// All labels.
    pub(crate) fn all() -> Self {
        Self::new(Names::All)
    }

    /// No label.
    pub(crate) fn none() -> Self {
        Self::only(&[])
    }

    /// Only these.
    pub(crate) fn only(names: &[String]) -> Self {
        Self::new(Names::Only(names.to_vec()))
    }

    /// All but these.
    pub(crate) fn all_but(names: &[String]) -> Self {
        Self::new(Names::AllBut(names.to_vec()))
    }

    /// The same wish about labels that have lost their metadata labels.
    pub(crate) fn without_metadata(&self) -> &Self {
        self.bare.as_deref().unwrap_or(self)
    }

    /// The part of `labels` that is wished for.
    pub(crate) fn apply(&self, labels: &Labels) -> Labels {
        match &self.names {
            Names::All => labels.clone(),
            Names::Only(names) if names.is_empty() => Labels::empty(),
            Names::Only(names) => labels.keep(names),
            Names::AllBut(names) => labels.drop(names),
        }
    }

    /// The wished part of the labels of a stored series.
    pub(crate) fn of_series(&self, series: &dyn SeriesSet, at: usize) -> Labels {
        match &self.names {
            Names::All => series.labels(at),
            Names::Only(names) if names.is_empty() => Labels::empty(),
            Names::Only(names) => series.labels_named(at, names),
            Names::AllBut(names) => series.labels_but(at, names),
        }
    }
}

/// A list of rows that are made on demand.
pub(crate) trait RowSource: Send + Sync {
    /// The steps of every row.
    fn steps(&self) -> Steps;

    /// How many rows there are. A row may turn out empty.
    fn len(&self) -> usize;

    /// The wished part of a row's labels.
    fn labels(&self, at: usize, wish: &Wish) -> Labels;

    /// Whether the metric name of a row is to be dropped at the end of the query (delayed name removal only).
    fn drops_name(&self, at: usize) -> bool {
        let _ = at;
        false
    }

    /// What making a row costs beyond its steps, in the work that a step takes; a guess, by which rows are shared out.
    fn hidden_cost(&self) -> usize {
        0
    }

    /// Whether all rows are known to have one metric name (or none), so that dropping it cannot make two alike.
    fn has_one_name(&self) -> bool {
        false
    }

    /// Makes a row. `row` comes empty, with room for all steps.
    ///
    /// # Errors
    /// Storage errors, limits, and what the operation itself refuses.
    fn fill(&self, at: usize, worker: &mut Worker<'_>, row: &mut Row) -> Result<(), QueryError>;
}

/// Rows that live as long as the query.
pub(crate) type Rows<'q> = Box<dyn RowSource + 'q>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_without_metadata_is_the_wish_for_labels_that_lost_them() {
        let names = ["__name__", "__type__", "__unit__", "job", "zone"].map(str::to_owned);
        let labels = Labels::from_pairs(names.iter().map(|name| (name, "v")));
        let bare = labels.drop(&METADATA_LABELS);
        for chosen in 0..1_u32 << names.len() {
            let picked = names.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1);
            let picked: Vec<String> = picked.map(|(_, name)| name.clone()).collect();
            for wish in [Wish::all(), Wish::none(), Wish::only(&picked), Wish::all_but(&picked)] {
                assert_eq!(wish.without_metadata().apply(&labels), wish.apply(&bare), "{wish:?}");
            }
            assert_eq!(Wish::only(&picked).apply(&labels), labels.keep(&picked));
            assert_eq!(Wish::all_but(&picked).apply(&labels), labels.drop(&picked));
        }
    }
}
