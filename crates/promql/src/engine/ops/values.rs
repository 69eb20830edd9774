//! `quantile` and `count_values`: aggregations that need every value of a group.

use narthex_model::{Labels, format_float};

use super::aggregate::{Dropping, GroupIndex};
use crate::engine::block::{Block, BlockRow, Charge};
use crate::engine::context::QueryContext;
use crate::engine::drive::{RowSink, drive};
use crate::engine::error::{QueryError, Stage};
use crate::engine::kernels;
use crate::engine::label_map::LabelMap;
use crate::engine::memory::{labels_bytes, row_bytes};
use crate::engine::native::Native;
use crate::engine::plan::{AggregationSpans, Grouping};
use crate::engine::row::{Row, RowSource, Wish};

/// `quantile`; `param` has one value a step.
pub(crate) fn quantile(
    ctx: &QueryContext<'_>,
    grouping: &Grouping,
    spans: AggregationSpans,
    param: &[f64],
    input: &dyn RowSource,
) -> Result<Block, QueryError> {
    warn_of_bad_quantiles(ctx, param, spans);
    let steps = input.steps();
    let mut sink = Values {
        ctx,
        spans,
        input,
        wish: grouping.wish(),
        index: GroupIndex::default(),
        groups: Vec::new(),
        charge: Charge::new(ctx),
    };
    drive(ctx, input, &mut sink)?;
    let mut rows = Vec::with_capacity(sink.groups.len());
    for mut group in std::mem::take(&mut sink.groups) {
        let mut row = Row::default();
        row.reset(steps.count);
        for (step, values) in group.values.iter_mut().enumerate().filter(|(_, v)| !v.is_empty()) {
            // A step may have to put a hundred thousand series in order.
            if values.len() >= CHECK_EACH || step % CHECK_EACH == 0 {
                ctx.check(Stage::Evaluation)?;
            }
            row.set(step, kernels::quantile::quantile(param[step], values));
        }
        rows.push(BlockRow { labels: group.labels, drops_name: group.dropping.at_the_end(&row), row });
    }
    Block::new(ctx, steps, rows)
}

/// With so many series in a group each of its steps asks whether to go on, else one of so many steps.
const CHECK_EACH: usize = 256;

fn warn_of_bad_quantiles(ctx: &QueryContext<'_>, param: &[f64], spans: AggregationSpans) {
    let max = param.iter().copied().reduce(f64::max).unwrap_or(0.0);
    let min = param.iter().copied().reduce(f64::min).unwrap_or(0.0);
    let nan = param.iter().any(|q| q.is_nan());
    for (is_bad, q) in [(nan, f64::NAN), (max > 1.0, max), (min < 0.0, min)] {
        if is_bad {
            ctx.annotate(|notes| notes.invalid_quantile(q, spans.param));
        }
    }
}

struct Values<'a, 'q> {
    ctx: &'a QueryContext<'q>,
    spans: AggregationSpans,
    input: &'a dyn RowSource,
    wish: Wish,
    index: GroupIndex,
    groups: Vec<ValueGroup>,
    charge: Charge,
}

struct ValueGroup {
    labels: Labels,
    dropping: Dropping,
    /// The values of each step.
    values: Vec<Vec<f64>>,
}

impl RowSink for Values<'_, '_> {
    fn wish(&self) -> Wish {
        self.wish.clone()
    }

    fn accept(&mut self, at: usize, labels: Labels, row: &mut Row) -> Result<(), QueryError> {
        let (place, is_new) = self.index.place(&labels);
        if is_new {
            let steps = self.input.steps().count;
            self.charge.add_bytes(size_of::<Vec<f64>>() * steps + 2 * labels_bytes(&labels))?;
            let values = vec![Vec::new(); steps];
            self.groups.push(ValueGroup { labels, dropping: Dropping::default(), values });
        }
        if !row.histograms.is_empty() {
            let span = self.spans.input;
            self.ctx.annotate(|notes| notes.histogram_ignored_in("quantile", span));
        }
        // The list of a step grows by doubling.
        self.charge.add_bytes(16 * row.present.count())?;
        self.charge.add(row.present.count() as u64)?;
        let group = &mut self.groups[place];
        if self.input.drops_name(at) {
            group.dropping.add(row, |step| !group.values[step].is_empty());
        }
        row.present.iter().for_each(|step| group.values[step].push(row.values[step]));
        Ok(())
    }
}

/// `count_values`: how many series of a group have each value.
pub(crate) fn count_values(
    ctx: &QueryContext<'_>,
    grouping: &Grouping,
    label: &str,
    input: &dyn RowSource,
) -> Result<Block, QueryError> {
    let mut sink = Counts {
        label,
        // The value takes the place of a label of that name before the series are grouped.
        drops_value: grouping.without && grouping.labels.iter().any(|l| l == label),
        wish: grouping.wish(),
        steps: input.steps().count,
        known: LabelMap::default(),
        index: GroupIndex::default(),
        rows: Vec::new(),
        charge: Charge::new(ctx),
    };
    drive(ctx, input, &mut sink)?;
    let rows = std::mem::take(&mut sink.rows);
    sink.charge.hand_over_bytes();
    Block::new(ctx, input.steps(), rows)
}

struct Counts<'a> {
    label: &'a str,
    drops_value: bool,
    wish: Wish,
    steps: usize,
    /// The output row of a group's labels and a value's bits.
    known: LabelMap<(Labels, u64), usize>,
    index: GroupIndex,
    rows: Vec<BlockRow>,
    charge: Charge,
}

impl RowSink for Counts<'_> {
    fn wish(&self) -> Wish {
        self.wish.clone()
    }

    fn accept(&mut self, _: usize, labels: Labels, row: &mut Row) -> Result<(), QueryError> {
        for (step, histogram) in std::mem::take(&mut row.histograms) {
            let text = Native::from(&*histogram).text();
            let place = self.place_of_text(&labels, &text)?;
            self.count(place, step as usize);
        }
        let mut last: Option<(u64, usize)> = None;
        for step in row.present.iter() {
            let value = row.values[step];
            let bits = if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
            let place = match last {
                Some((same, place)) if same == bits => place,
                _ => self.place(&labels, bits, value)?,
            };
            last = Some((bits, place));
            self.count(place, step);
        }
        Ok(())
    }
}

impl Counts<'_> {
    fn place(&mut self, labels: &Labels, bits: u64, value: f64) -> Result<usize, QueryError> {
        if let Some(place) = self.known.get(&(labels.clone(), bits)) {
            return Ok(*place);
        }
        let place = self.place_of_text(labels, &format_float(value))?;
        self.known.insert((labels.clone(), bits), place);
        Ok(place)
    }

    fn place_of_text(&mut self, labels: &Labels, value: &str) -> Result<usize, QueryError> {
        let mut named = labels.to_builder();
        if !self.drops_value {
            named.set(self.label, value);
        }
        let (place, is_new) = self.index.place(&named.labels());
        if is_new {
            self.charge.add(self.steps as u64)?;
            let mut row = Row::default();
            row.reset(self.steps);
            let labels = named.labels();
            // In the list, in the index, and by its value.
            self.charge.add_bytes(row_bytes(&labels, &row) + 3 * labels_bytes(&labels))?;
            self.rows.push(BlockRow { labels, drops_name: false, row });
        }
        Ok(place)
    }

    fn count(&mut self, place: usize, step: usize) {
        let out = &mut self.rows[place].row;
        let before = if out.present.get(step) { out.values[step] } else { 0.0 };
        out.set(step, before + 1.0);
    }
}
