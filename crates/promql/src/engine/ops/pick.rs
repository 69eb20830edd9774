//! `topk`, `bottomk`, `limitk`, `limit_ratio`: some of the input's series, at each step for itself.
//!
//! Memory: `topk` keeps k samples a step for each group, and rows only for the series that are among them at some step.

use std::collections::BTreeMap;

use narthex_model::Labels;

use super::aggregate::GroupIndex;
use crate::ast::AggregateOp;
use crate::engine::block::{Block, BlockRow, Charge};
use crate::engine::context::QueryContext;
use crate::engine::drive::{RowSink, drive};
use crate::engine::error::QueryError;
use crate::engine::memory::labels_bytes;
use crate::engine::plan::{AggregationSpans, Grouping};
use crate::engine::row::{Row, RowSource, Wish};

/// Picks from all rows of `input`. `param` has one value a step.
pub(crate) fn pick(
    ctx: &QueryContext<'_>,
    op: AggregateOp,
    grouping: &Grouping,
    spans: AggregationSpans,
    param: &[f64],
    input: &dyn RowSource,
) -> Result<Block, QueryError> {
    let Some(bounds) = Bounds::of(param) else { return Block::new(ctx, input.steps(), Vec::new()) };
    if op == AggregateOp::LimitRatio {
        return limit_ratio(ctx, spans, param, bounds, input);
    }
    if bounds.max < 1.0 {
        return Block::new(ctx, input.steps(), Vec::new());
    }
    let counts = counts_of(param, bounds)?;
    if op == AggregateOp::Limitk {
        return limit(ctx, grouping, &counts, input);
    }
    extremes(ctx, op, grouping, spans, &counts, input)
}

/// The range of a parameter over the steps.
#[derive(Clone, Copy)]
struct Bounds {
    min: f64,
    max: f64,
    has_nan: bool,
}

impl Bounds {
    fn of(param: &[f64]) -> Option<Self> {
        let min = param.iter().copied().reduce(f64::min)?;
        let max = param.iter().copied().reduce(f64::max)?;
        Some(Self { min, max, has_nan: param.iter().any(|v| v.is_nan()) })
    }
}

fn counts_of(param: &[f64], bounds: Bounds) -> Result<Vec<usize>, QueryError> {
    let refuse = |text: String| Err(QueryError::Execution(text));
    let number = narthex_model::format_float_general;
    if bounds.has_nan {
        return refuse("Parameter value is NaN".to_owned());
    }
    if bounds.min <= i64::MIN as f64 {
        return refuse(format!("Scalar value {} underflows int64", number(bounds.min)));
    }
    if bounds.max >= i64::MAX as f64 {
        return refuse(format!("Scalar value {} overflows int64", number(bounds.max)));
    }
    Ok(param.iter().map(|k| if *k < 1.0 { 0 } else { *k as usize }).collect())
}

/// Collects rows of which only some steps are kept.
struct Kept<'a> {
    input: &'a dyn RowSource,
    rows: Vec<BlockRow>,
    charge: Charge,
}

impl Kept<'_> {
    fn push(&mut self, at: usize, row: Row) -> Result<(), QueryError> {
        if row.is_empty() {
            return Ok(());
        }
        let labels = self.input.labels(at, &Wish::all());
        self.charge.add_row(&labels, &row)?;
        self.rows.push(BlockRow { labels, drops_name: self.input.drops_name(at), row });
        Ok(())
    }
}

/// `limitk`: the first k series of each group.
fn limit(
    ctx: &QueryContext<'_>,
    grouping: &Grouping,
    counts: &[usize],
    input: &dyn RowSource,
) -> Result<Block, QueryError> {
    let kept = Kept { input, rows: Vec::new(), charge: Charge::new(ctx) };
    let mut sink =
        First { wish: grouping.wish(), counts, index: GroupIndex::default(), taken: Vec::new(), kept };
    drive(ctx, input, &mut sink)?;
    let rows = std::mem::take(&mut sink.kept.rows);
    sink.kept.charge.hand_over_bytes();
    Block::new(ctx, input.steps(), rows)
}

struct First<'a> {
    wish: Wish,
    counts: &'a [usize],
    index: GroupIndex,
    /// How many series each group has taken, one entry a step.
    taken: Vec<Vec<usize>>,
    kept: Kept<'a>,
}

impl RowSink for First<'_> {
    fn wish(&self) -> Wish {
        self.wish.clone()
    }

    fn accept(&mut self, at: usize, labels: Labels, row: &mut Row) -> Result<(), QueryError> {
        let (place, is_new) = self.index.place(&labels);
        if is_new {
            self.kept.charge.add_bytes(8 * self.counts.len() + 2 * labels_bytes(&labels))?;
            self.taken.push(vec![0; self.counts.len()]);
        }
        let mut keep = row.occupied();
        for step in row.occupied().iter() {
            if self.taken[place][step] < self.counts[step] {
                self.taken[place][step] += 1;
            } else {
                keep.unset(step);
            }
        }
        let mut row = std::mem::take(row);
        row.keep(&keep);
        self.kept.push(at, row)
    }
}

/// `limit_ratio`: the series whose hash falls into the wanted part of all hashes.
fn limit_ratio(
    ctx: &QueryContext<'_>,
    spans: AggregationSpans,
    param: &[f64],
    bounds: Bounds,
    input: &dyn RowSource,
) -> Result<Block, QueryError> {
    if bounds.max == 0.0 && bounds.min == 0.0 {
        return Block::new(ctx, input.steps(), Vec::new());
    }
    if bounds.has_nan {
        return Err(QueryError::Execution("Ratio value is NaN".to_owned()));
    }
    for (beyond, value, cap) in [(bounds.max > 1.0, bounds.max, 1.0), (bounds.min < -1.0, bounds.min, -1.0)] {
        if beyond {
            ctx.annotate(|notes| notes.invalid_ratio(value, cap, spans.param));
        }
    }
    let mut block = Block::of(ctx, input)?;
    for row in &mut block.rows {
        let share = share_of(&row.labels);
        let mut keep = row.row.occupied();
        for (step, ratio) in param.iter().enumerate() {
            let ratio = ratio.clamp(-1.0, 1.0);
            let takes = if ratio >= 0.0 { share < ratio } else { share >= 1.0 + ratio };
            if !takes {
                keep.unset(step);
            }
        }
        row.row.keep(&keep);
    }
    block.rows.retain(|row| !row.row.is_empty());
    Ok(block)
}

/// Where the labels' hash lies between all hashes, 0 to 1.
fn share_of(labels: &Labels) -> f64 {
    // COMPAT: the hash of Prometheus' default build, over its packed label strings, so that the same series are picked.
    let mut bytes = Vec::with_capacity(256);
    for (name, value) in labels {
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(len) if len < u8::MAX => bytes.push(len),
                _ => {
                    bytes.push(u8::MAX);
                    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes()[..3]);
                }
            }
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    twox_hash::XxHash64::oneshot(0, &bytes) as f64 / u64::MAX as f64
}

/// `topk` and `bottomk`.
fn extremes(
    ctx: &QueryContext<'_>,
    op: AggregateOp,
    grouping: &Grouping,
    spans: AggregationSpans,
    counts: &[usize],
    input: &dyn RowSource,
) -> Result<Block, QueryError> {
    let mut sink = Extremes {
        ctx,
        op,
        spans,
        counts,
        wish: grouping.wish(),
        index: GroupIndex::default(),
        groups: Vec::new(),
        charge: Charge::new(ctx),
    };
    drive(ctx, input, &mut sink)?;
    let is_top = op == AggregateOp::Topk;
    let heaps = std::mem::take(&mut sink.groups);
    let rows = if counts.len() == 1 {
        // An instant query shows the best first, group by group.
        let sorted = heaps.into_iter().flat_map(|mut group| group.swap_remove(0).into_sorted(is_top));
        sorted.map(|(v, at)| one_step_row(input, at, v)).collect()
    } else {
        rows_of_heaps(input, &heaps)
    };
    Block::new(ctx, input.steps(), rows)
}

fn one_step_row(input: &dyn RowSource, at: usize, value: f64) -> BlockRow {
    let mut row = Row::default();
    row.reset(1);
    row.set(0, value);
    BlockRow { labels: input.labels(at, &Wish::all()), drops_name: input.drops_name(at), row }
}

fn rows_of_heaps(input: &dyn RowSource, groups: &[Vec<Heap>]) -> Vec<BlockRow> {
    let mut rows: BTreeMap<usize, Row> = BTreeMap::new();
    let steps = input.steps().count;
    for group in groups {
        for (step, heap) in group.iter().enumerate() {
            for (value, at) in &heap.items {
                let row = rows.entry(*at).or_insert_with(|| {
                    let mut row = Row::default();
                    row.reset(steps);
                    row
                });
                row.set(step, *value);
            }
        }
    }
    let named = rows.into_iter().map(|(at, row)| BlockRow {
        labels: input.labels(at, &Wish::all()),
        drops_name: input.drops_name(at),
        row,
    });
    named.collect()
}

struct Extremes<'a, 'q> {
    ctx: &'a QueryContext<'q>,
    op: AggregateOp,
    spans: AggregationSpans,
    counts: &'a [usize],
    wish: Wish,
    index: GroupIndex,
    /// For each group one heap a step.
    groups: Vec<Vec<Heap>>,
    charge: Charge,
}

impl RowSink for Extremes<'_, '_> {
    fn wish(&self) -> Wish {
        self.wish.clone()
    }

    fn accept(&mut self, at: usize, labels: Labels, row: &mut Row) -> Result<(), QueryError> {
        let (place, is_new) = self.index.place(&labels);
        if is_new {
            self.charge.add_bytes(size_of::<Heap>() * self.counts.len() + 2 * labels_bytes(&labels))?;
            self.groups.push(vec![Heap::default(); self.counts.len()]);
        }
        if !row.histograms.is_empty() {
            let (word, span) = (self.op.as_str(), self.spans.whole);
            self.ctx.annotate(|notes| notes.histogram_ignored_in(word, span));
        }
        let is_top = self.op == AggregateOp::Topk;
        let mut grown = 0;
        for step in row.present.iter() {
            let heap = &mut self.groups[place][step];
            grown += u64::from(heap.offer(row.values[step], at, self.counts[step], is_top));
        }
        // A heap grows by doubling.
        self.charge.add_bytes(grown as usize * 2 * size_of::<(f64, usize)>())?;
        self.charge.add(grown)
    }
}

/// The k best samples so far, the worst of them on top. Equal values are kept and dropped in the order that Prometheus' heap gives.
#[derive(Clone, Debug, Default)]
struct Heap {
    items: Vec<(f64, usize)>,
}

/// Whether `a` is to lie above `b`: it is the worse one.
fn is_worse(a: f64, b: f64, is_top: bool) -> bool {
    a.is_nan() || if is_top { a < b } else { a > b }
}

impl Heap {
    /// Takes a sample in if it is good enough; says whether the heap grew.
    fn offer(&mut self, value: f64, at: usize, k: usize, is_top: bool) -> bool {
        if self.items.len() < k {
            self.items.push((value, at));
            // COMPAT: the first sample of `bottomk` is pushed as for `topk`, which is the same for one sample.
            self.sift_up(self.items.len() - 1, is_top);
            return true;
        }
        let Some((top, _)) = self.items.first().copied() else { return false };
        let is_better = if is_top { top < value } else { top > value };
        if is_better || (top.is_nan() && !value.is_nan()) {
            self.items[0] = (value, at);
            self.sift_down(0, is_top);
        }
        false
    }

    fn sift_up(&mut self, mut at: usize, is_top: bool) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if !is_worse(self.items[at].0, self.items[parent].0, is_top) {
                break;
            }
            self.items.swap(at, parent);
            at = parent;
        }
    }

    fn sift_down(&mut self, mut at: usize, is_top: bool) {
        loop {
            let left = 2 * at + 1;
            if left >= self.items.len() {
                return;
            }
            let right = left + 1;
            let is_right =
                right < self.items.len() && is_worse(self.items[right].0, self.items[left].0, is_top);
            let child = if is_right { right } else { left };
            if !is_worse(self.items[child].0, self.items[at].0, is_top) {
                return;
            }
            self.items.swap(at, child);
            at = child;
        }
    }

    /// The samples, the best first, NaN last.
    fn into_sorted(mut self, is_top: bool) -> Vec<(f64, usize)> {
        self.items.sort_by(|a, b| {
            let order = a.0.partial_cmp(&b.0).unwrap_or_else(|| b.0.is_nan().cmp(&a.0.is_nan()));
            match (is_top, a.0.is_nan() || b.0.is_nan()) {
                (_, true) | (true, false) => order.reverse(),
                (false, false) => order,
            }
        });
        self.items
    }
}
