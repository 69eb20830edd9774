//! `sum`, `avg`, `min`, `max`, `count`, `group`, `stddev`, `stdvar`: each finished row is added to its group and dropped.
//!
//! Memory: a few numbers a step for each group, none for the series. Rows come in order (see `drive`), so sums are added in
//! Prometheus' order whatever the threads do.
//! Delayed name removal: whether a group loses its name at the end of the query is what its last step says ([`Dropping`]).

use narthex_model::{Labels, METRIC_NAME};

use super::aggregate_histograms::HistogramFold;
use crate::ast::AggregateOp;
use crate::engine::annotations::Annotations;
use crate::engine::block::{Block, BlockRow, Charge};
use crate::engine::context::QueryContext;
use crate::engine::drive::{RowSink, drive};
use crate::engine::error::QueryError;
use crate::engine::kernels::sums::{Mean, add, add_all};
use crate::engine::label_map::LabelMap;
use crate::engine::memory::labels_bytes;
use crate::engine::plan::{AggregationSpans, Grouping};
use crate::engine::row::{Row, RowSource, Wish};
use crate::engine::steps::Mask;

impl Grouping {
    /// The labels that name a group.
    pub(crate) fn wish(&self) -> Wish {
        if self.without {
            let mut names = self.labels.clone();
            names.push(METRIC_NAME.to_owned());
            Wish::all_but(&names)
        } else {
            Wish::only(&self.labels)
        }
    }
}

/// Beside its steps and labels: its place in the list and in the index, both of which grow by doubling.
const GROUP_BYTES: usize = 2 * size_of::<Group>() + 64;

/// Numbers groups by their labels in the order of appearance.
#[derive(Debug, Default)]
pub(crate) struct GroupIndex {
    places: LabelMap<Labels, usize>,
}

impl GroupIndex {
    /// The number of a group, and whether it is new.
    pub(crate) fn place(&mut self, labels: &Labels) -> (usize, bool) {
        let next = self.places.len();
        if let Some(at) = self.places.get(labels) {
            return (*at, false);
        }
        self.places.insert(labels.clone(), next);
        (next, true)
    }
}

/// Aggregates all rows of `input`.
pub(crate) fn aggregate(
    ctx: &QueryContext<'_>,
    op: AggregateOp,
    grouping: &Grouping,
    spans: AggregationSpans,
    input: &dyn RowSource,
) -> Result<Block, QueryError> {
    let mut sink = Groups {
        op,
        spans,
        input,
        wish: grouping.wish(),
        index: GroupIndex::default(),
        groups: Vec::new(),
        charge: Charge::new(ctx),
        notes: Annotations::default(),
    };
    drive(ctx, input, &mut sink)?;
    let mut notes = sink.notes;
    let rows = sink.groups.into_iter().map(|group| group.finish(spans, &mut notes)).collect();
    sink.charge.hand_over_bytes();
    ctx.annotate(|all| all.merge(notes));
    Block::new(ctx, input.steps(), rows)
}

struct Groups<'a> {
    op: AggregateOp,
    spans: AggregationSpans,
    input: &'a dyn RowSource,
    wish: Wish,
    index: GroupIndex,
    groups: Vec<Group>,
    charge: Charge,
    notes: Annotations,
}

impl RowSink for Groups<'_> {
    fn wish(&self) -> Wish {
        self.wish.clone()
    }

    fn accept(&mut self, at: usize, labels: Labels, row: &mut Row) -> Result<(), QueryError> {
        let (place, is_new) = self.index.place(&labels);
        if is_new {
            let steps = self.input.steps().count;
            self.charge.add(steps as u64)?;
            self.charge
                .add_bytes(Fold::bytes_a_step(self.op) * steps + 2 * labels_bytes(&labels) + GROUP_BYTES)?;
            self.groups.push(Group {
                labels,
                dropping: Dropping::default(),
                seen: Mask::none(steps),
                fold: Fold::new(self.op, steps),
                histograms: HistogramFold::default(),
            });
        }
        if self.input.drops_name(at) {
            let group = &mut self.groups[place];
            group.dropping.add(row, |step| !ignores_histograms(self.op) || group.seen.get(step));
        }
        if !row.histograms.is_empty() {
            self.charge_histograms(place, row)?;
            self.take_histograms(at, place, row);
        }
        let group = &mut self.groups[place];
        group.fold.add(row, &group.seen);
        group.seen.add(&row.present);
        Ok(())
    }
}

impl Groups<'_> {
    /// A group keeps one histogram a step, about as large as what is added: the first row pays for them.
    fn charge_histograms(&mut self, place: usize, row: &Row) -> Result<(), QueryError> {
        let keeps = matches!(self.op, AggregateOp::Sum | AggregateOp::Avg);
        if keeps && self.groups[place].histograms.is_empty() {
            self.charge.add_bytes(2 * row.heap_bytes())
        } else {
            Ok(())
        }
    }

    /// `count` and `group` take histograms like any sample, `sum` and `avg` add them up; others leave them out and say so.
    fn take_histograms(&mut self, at: usize, place: usize, row: &mut Row) {
        match self.op {
            AggregateOp::Count | AggregateOp::Group => {
                for (step, _) in std::mem::take(&mut row.histograms) {
                    row.set(step as usize, 0.0);
                }
            }
            AggregateOp::Sum | AggregateOp::Avg => {
                let (input, span) = (self.input, self.spans.input);
                let mixes = |notes: &mut Annotations| {
                    let labels = input.labels(at, &Wish::only(&[METRIC_NAME.to_owned()]));
                    notes.mixed_exponential_custom(labels.metric_name(), span);
                };
                let is_mean = self.op == AggregateOp::Avg;
                self.groups[place].histograms.add(&row.histograms, is_mean, mixes, &mut self.notes);
            }
            _ => self.notes.histogram_ignored_in(self.op.as_str(), self.spans.input),
        }
    }
}

/// One group on its way.
struct Group {
    labels: Labels,
    dropping: Dropping,
    /// The steps at which any series had a sample.
    seen: Mask,
    fold: Fold,
    histograms: HistogramFold,
}

impl Group {
    fn finish(self, spans: AggregationSpans, notes: &mut Annotations) -> BlockRow {
        let mut row = Row { values: self.fold.finish(), present: self.seen, histograms: Vec::new() };
        if !self.histograms.is_empty() {
            self.histograms.finish(&mut row, spans.input, notes);
        }
        BlockRow { labels: self.labels, drops_name: self.dropping.at_the_end(&row), row }
    }
}

/// Whether a group loses its name at the end of the query.
///
/// COMPAT: Prometheus asks at each step anew whether any of the series that are there has lost its name, and keeps the last answer.
#[derive(Debug, Default)]
pub(crate) struct Dropping {
    /// The steps at which some series had; `None` as long as there is none, as always without delayed name removal.
    at: Option<Mask>,
}

impl Dropping {
    /// Notes the samples of a row that loses its name; its histograms only where `counts` says so.
    pub(crate) fn add(&mut self, row: &Row, counts: impl Fn(usize) -> bool) {
        let at = self.at.get_or_insert_with(|| Mask::none(row.values.len()));
        at.add(&row.present);
        let steps = row.histograms.iter().map(|(step, _)| *step as usize);
        steps.filter(|step| counts(*step)).for_each(|step| at.set(step));
    }

    /// What counts for the row of the group as it was given out.
    pub(crate) fn at_the_end(&self, out: &Row) -> bool {
        let last = || out.occupied().last();
        self.at.as_ref().is_some_and(|at| last().is_some_and(|step| at.get(step)))
    }
}

/// Whether an aggregation leaves histograms out.
///
/// COMPAT: one of them says nothing about the name where it is the first of its group, but does where floats came before it.
fn ignores_histograms(op: AggregateOp) -> bool {
    !matches!(op, AggregateOp::Sum | AggregateOp::Avg | AggregateOp::Count | AggregateOp::Group)
}

/// What a group knows so far, one entry a step.
enum Fold {
    Sum { total: Vec<f64>, lost: Vec<f64> },
    Mean(Vec<Mean>),
    Max(Vec<f64>),
    Min(Vec<f64>),
    Count(Vec<f64>),
    Group(Vec<f64>),
    Variance { of: Vec<Spread>, is_deviation: bool },
}

/// A running variance (Welford).
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    fn add(&mut self, v: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.mean = v;
            self.squares = if v.is_finite() { 0.0 } else { f64::NAN };
            return;
        }
        let delta = v - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (v - self.mean);
    }
}

impl Fold {
    /// The bytes of one step, of the mask too.
    fn bytes_a_step(op: AggregateOp) -> usize {
        match op {
            AggregateOp::Sum => 17,
            AggregateOp::Avg => size_of::<Mean>() + 1,
            AggregateOp::Stddev | AggregateOp::Stdvar => size_of::<Spread>() + 1,
            _ => 9,
        }
    }

    fn new(op: AggregateOp, steps: usize) -> Self {
        match op {
            AggregateOp::Sum => Self::Sum { total: vec![0.0; steps], lost: vec![0.0; steps] },
            AggregateOp::Avg => Self::Mean(vec![Mean::of(0.0); steps]),
            AggregateOp::Max => Self::Max(vec![f64::NAN; steps]),
            AggregateOp::Min => Self::Min(vec![f64::NAN; steps]),
            AggregateOp::Count => Self::Count(vec![0.0; steps]),
            AggregateOp::Group => Self::Group(vec![1.0; steps]),
            AggregateOp::Stddev | AggregateOp::Stdvar => {
                Self::Variance { of: vec![Spread::default(); steps], is_deviation: op == AggregateOp::Stddev }
            }
            _ => unreachable!("the other aggregations have operators of their own"),
        }
    }

    /// Adds a row; `seen` are the steps that have a sample already.
    fn add(&mut self, row: &Row, seen: &Mask) {
        match self {
            Self::Sum { total, lost } => add_row(row, total, lost),
            Self::Mean(means) => {
                for step in row.present.iter() {
                    let v = row.values[step];
                    if seen.get(step) {
                        means[step].add(v);
                    } else {
                        means[step] = Mean::of(v);
                    }
                }
            }
            Self::Max(best) => keep_better(row, best, |v, best| v > best),
            Self::Min(best) => keep_better(row, best, |v, best| v < best),
            Self::Count(counts) => row.present.iter().for_each(|step| counts[step] += 1.0),
            Self::Group(_) => {}
            Self::Variance { of, .. } => row.present.iter().for_each(|step| of[step].add(row.values[step])),
        }
    }

    fn finish(self) -> Vec<f64> {
        match self {
            Self::Sum { total, lost } => total.iter().zip(&lost).map(|(t, l)| t + l).collect(),
            Self::Mean(means) => means.iter().map(Mean::value).collect(),
            Self::Max(v) | Self::Min(v) | Self::Count(v) | Self::Group(v) => v,
            Self::Variance { of, is_deviation } => {
                let variance = |s: &Spread| s.squares / s.count;
                of.iter().map(|s| if is_deviation { variance(s).sqrt() } else { variance(s) }).collect()
            }
        }
    }
}

#[inline(always)]
fn keep_better(row: &Row, best: &mut [f64], is_better: impl Fn(f64, f64) -> bool) {
    for step in row.present.iter() {
        let v = row.values[step];
        if is_better(v, best[step]) || best[step].is_nan() {
            best[step] = v;
        }
    }
}

/// Adds a row to compensated sums: `total[s] + lost[s] += row[s]` for every step that the row holds.
///
/// Words of 64 steps that are all present take the straight loop, which the compiler turns into vector instructions.
pub(crate) fn add_row(row: &Row, total: &mut [f64], lost: &mut [f64]) {
    for (at, word) in row.present.words().iter().enumerate() {
        let base = at * 64;
        if *word == u64::MAX {
            let range = base..base + 64;
            add_all(&row.values[range.clone()], &mut total[range.clone()], &mut lost[range]);
            continue;
        }
        let mut rest = *word;
        while rest != 0 {
            let step = base + rest.trailing_zeros() as usize;
            rest &= rest - 1;
            (total[step], lost[step]) = add(row.values[step], total[step], lost[step]);
        }
    }
}
