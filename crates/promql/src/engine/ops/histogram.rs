//! `histogram_quantile`, `histogram_quantiles`, `histogram_fraction` over classic and native histograms.
//!
//! The series of a classic histogram, one a bucket, are brought together by their labels without `le`; each step is then computed by itself.

use narthex_model::{BUCKET_LABEL, Labels, format_float_general, parse_go_float};

use crate::ast::Span;
use crate::engine::annotations::{Annotations, Repair};
use crate::engine::block::{Block, BlockRow, RowList};
use crate::engine::context::QueryContext;
use crate::engine::error::QueryError;
use crate::engine::kernels::buckets::{self, Bucket, Forced};
use crate::engine::label_map::LabelMap;
use crate::engine::native::{NanNote, Native};
use crate::engine::row::{METADATA_LABELS, Row, RowSource};
use crate::engine::steps::{Mask, Steps};

/// What is wanted of each histogram; scalars have one value a step.
pub(crate) enum Want {
    Quantile { q: Vec<f64>, q_span: Span },
    Quantiles { label: String, qs: Vec<(Vec<f64>, Span)> },
    Fraction { lower: Vec<f64>, upper: Vec<f64> },
}

impl Want {
    /// Quantiles are looked at whether there are histograms or not.
    fn warn_of_bad_quantiles(&self, notes: &mut Annotations) {
        let mut check = |qs: &[f64], span: Span| {
            qs.iter().filter(|q| !(0.0..=1.0).contains(*q)).for_each(|q| notes.invalid_quantile(*q, span));
        };
        match self {
            Self::Quantile { q, q_span } => check(q, *q_span),
            Self::Quantiles { qs, .. } => qs.iter().for_each(|(q, span)| check(q, *span)),
            Self::Fraction { .. } => {}
        }
    }
}

/// Computes what is wanted of every histogram among the rows of `input`.
pub(crate) fn of_histograms(
    ctx: &QueryContext<'_>,
    want: &Want,
    span: Span,
    input: &dyn RowSource,
) -> Result<Block, QueryError> {
    let block = Block::of(ctx, input)?;
    let mut notes = Annotations::default();
    let delayed = ctx.rules.delayed_names;
    let histograms = gather(&block, delayed, span, &mut notes);
    let mut block = block;
    want.warn_of_bad_quantiles(&mut notes);
    keep_apart(&mut block, &histograms, delayed, span, &mut notes);
    let mut maker = Maker { steps: block.steps, span, delayed, notes };
    let mut rows = RowList::new(ctx);
    for row in block.rows.iter().filter(|r| !r.row.histograms.is_empty()) {
        match want {
            Want::Quantile { q, .. } => rows.push(maker.native_quantile(row, q))?,
            Want::Quantiles { label, qs } => {
                for (q, _) in qs {
                    let row = maker.native_quantile(row, q);
                    for row in maker.by_quantile(&row, label, q) {
                        rows.push(row)?;
                    }
                }
            }
            Want::Fraction { lower, upper } => rows.push(maker.native_fraction(row, lower, upper))?,
        }
    }
    for histogram in &histograms {
        match want {
            Want::Quantile { q, .. } => rows.push(maker.quantile(&block, histogram, q))?,
            Want::Quantiles { label, qs } => {
                for (q, _) in qs {
                    let row = maker.quantile(&block, histogram, q);
                    for row in maker.by_quantile(&row, label, q) {
                        rows.push(row)?;
                    }
                }
            }
            Want::Fraction { lower, upper } => rows.push(maker.fraction(&block, histogram, lower, upper))?,
        }
    }
    let notes = maker.notes;
    ctx.annotate(|all| all.merge(notes));
    let mut out = rows.into_block(ctx, block.steps)?;
    out.merge_equal_labels()?;
    Ok(out)
}

/// The buckets of one classic histogram.
struct Classic {
    /// Without `le`, with the name.
    labels: Labels,
    /// Upper bounds with the rows that hold the counts, sorted by bound.
    buckets: Vec<(f64, usize)>,
}

fn gather(block: &Block, delayed: bool, span: Span, notes: &mut Annotations) -> Vec<Classic> {
    let mut places: LabelMap<Labels, usize> = LabelMap::default();
    let mut found: Vec<Classic> = Vec::new();
    for (at, row) in block.rows.iter().enumerate().filter(|(_, r)| !r.row.present.is_empty()) {
        let le = row.labels.value(BUCKET_LABEL);
        let Some(upper) = parse_go_float(le) else {
            let name = if delayed { row.labels.metric_name() } else { "" };
            notes.bad_bucket_label(name, le, span);
            continue;
        };
        let labels = row.labels.drop(&[BUCKET_LABEL]);
        let place = *places.entry(labels.clone()).or_insert_with(|| {
            found.push(Classic { labels, buckets: Vec::new() });
            found.len() - 1
        });
        found[place].buckets.push((upper, at));
    }
    for histogram in &mut found {
        histogram.buckets.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
    }
    found
}

/// A classic and a native histogram of one name and one label set at one step: neither counts.
fn keep_apart(block: &mut Block, classics: &[Classic], delayed: bool, span: Span, notes: &mut Annotations) {
    for at in 0..block.rows.len() {
        if block.rows[at].row.histograms.is_empty() {
            continue;
        }
        let Some(classic) = classics.iter().find(|c| c.labels == block.rows[at].labels) else { continue };
        let mut both = Mask::none(block.steps.count);
        for (_, bucket) in &classic.buckets {
            both.add(&block.rows[*bucket].row.present);
        }
        let row = &block.rows[at];
        let mut native = Mask::none(block.steps.count);
        row.row.histograms.iter().for_each(|(step, _)| native.set(*step as usize));
        both.keep(&native);
        if both.is_empty() {
            continue;
        }
        notes.mixed_classic_native(if delayed { row.labels.metric_name() } else { "" }, span);
        block.rows[at].row.histograms.retain(|(step, _)| !both.get(*step as usize));
        for (_, bucket) in &classic.buckets {
            block.rows[*bucket].row.present.remove(&both);
        }
    }
}

struct Maker {
    steps: Steps,
    span: Span,
    delayed: bool,
    notes: Annotations,
}

impl Maker {
    fn each_step(
        &mut self,
        block: &Block,
        h: &Classic,
        mut f: impl FnMut(&mut Self, usize, &mut Vec<Bucket>) -> f64,
    ) -> BlockRow {
        let mut row = Row::default();
        row.reset(self.steps.count);
        let mut buckets = Vec::with_capacity(h.buckets.len());
        for step in 0..self.steps.count {
            buckets.clear();
            for (upper, at) in &h.buckets {
                let counts = &block.rows[*at].row;
                if counts.present.get(step) {
                    buckets.push(Bucket { upper: *upper, count: counts.values[step] });
                }
            }
            if !buckets.is_empty() {
                let value = f(self, step, &mut buckets);
                row.set(step, value);
            }
        }
        let labels = if self.delayed { h.labels.clone() } else { h.labels.drop(&METADATA_LABELS) };
        BlockRow { labels, drops_name: true, row }
    }

    fn quantile(&mut self, block: &Block, h: &Classic, q: &[f64]) -> BlockRow {
        let name = if self.delayed { h.labels.metric_name().to_owned() } else { String::new() };
        self.each_step(block, h, |maker, step, buckets| {
            let (value, forced) = buckets::quantile(q[step], buckets);
            if let Some(Forced { lowest, highest, max_diff }) = forced {
                let t_ms = maker.steps.at(step);
                let repair =
                    Repair { times_ms: (t_ms, t_ms), buckets: (lowest, highest), max_diff, count: 1 };
                maker.notes.repaired_buckets(&name, repair, maker.span);
            }
            value
        })
    }

    fn each_native(
        &mut self,
        row: &BlockRow,
        mut f: impl FnMut(&Native, usize) -> (f64, NanNote),
    ) -> BlockRow {
        let mut out = Row::default();
        out.reset(self.steps.count);
        let name = if self.delayed { row.labels.metric_name() } else { "" };
        for (step, histogram) in &row.row.histograms {
            let (value, note) = f(&Native::from(&**histogram), *step as usize);
            match note {
                NanNote::Nothing => {}
                NanNote::ResultIsNan => self.notes.nan_makes_quantile_nan(name, self.span),
                NanNote::Skewed => self.notes.nan_skews_quantile(name, self.span),
                NanNote::LeftOut => self.notes.nan_left_out_of_fraction(name, self.span),
            }
            out.set(*step as usize, value);
        }
        let labels = if self.delayed { row.labels.clone() } else { row.labels.drop(&METADATA_LABELS) };
        BlockRow { labels, drops_name: true, row: out }
    }

    fn native_quantile(&mut self, row: &BlockRow, q: &[f64]) -> BlockRow {
        self.each_native(row, |h, step| h.quantile(q[step]))
    }

    fn native_fraction(&mut self, row: &BlockRow, lower: &[f64], upper: &[f64]) -> BlockRow {
        self.each_native(row, |h, step| h.fraction(lower[step], upper[step]))
    }

    fn fraction(&mut self, block: &Block, h: &Classic, lower: &[f64], upper: &[f64]) -> BlockRow {
        self.each_step(block, h, |_, step, buckets| buckets::fraction(lower[step], upper[step], buckets))
    }

    /// Splits a row by the quantile that was asked for at each step, which becomes a label.
    fn by_quantile(&self, row: &BlockRow, label: &str, q: &[f64]) -> Vec<BlockRow> {
        let mut split: Vec<(String, BlockRow)> = Vec::new();
        for step in row.row.present.iter() {
            let text = open_metrics_float(q[step]);
            let place = split.iter().position(|(t, _)| *t == text).unwrap_or_else(|| {
                let mut builder = row.labels.to_builder();
                builder.set(label, &text);
                let mut empty = Row::default();
                empty.reset(self.steps.count);
                split.push((text, BlockRow { labels: builder.labels(), drops_name: true, row: empty }));
                split.len() - 1
            });
            split[place].1.row.set(step, row.row.values[step]);
        }
        split.into_iter().map(|(_, row)| row).collect()
    }
}

/// A float as OpenMetrics writes it: always with a point or an exponent.
fn open_metrics_float(v: f64) -> String {
    let text = format_float_general(v);
    if v.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}
