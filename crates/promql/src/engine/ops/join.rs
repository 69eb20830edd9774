//! Binary operators between two instant vectors: which series belong together, and the operator over all steps of a pair.
//!
//! Series of both sides that agree in the matching labels form a match group. The "one" side may have several series in a
//! group as long as no two of them meet at a step. A pair of series is computed for all steps at once where both are present.
//! Always true: the "one" side is called `one` here, the other `many`; for one-to-one matching `many` is the left side.

use narthex_model::{Labels, METRIC_NAME};

use super::pairs::{Combine, PairErrors};
use crate::ast::{BinaryOp, Cardinality, Span, VectorMatching};
use crate::engine::block::{Block, BlockRow, RowList};
use crate::engine::context::QueryContext;
use crate::engine::error::{QueryError, Stage};
use crate::engine::label_map::{LabelMap, map_for};
use crate::engine::row::{METADATA_LABELS, Row};
use crate::engine::steps::Mask;

/// What a binary operator does, beside its operands.
pub(crate) struct JoinRules<'a> {
    pub op: BinaryOp,
    pub matching: &'a VectorMatching,
    pub return_bool: bool,
    pub span: Span,
}

/// The part of the labels by which series find each other.
pub(crate) fn signature(labels: &Labels, matching: &VectorMatching) -> Labels {
    if matching.on {
        return labels.keep(&matching.labels);
    }
    Labels::from_sorted(
        labels.iter().filter(|(n, _)| *n != METRIC_NAME && matching.labels.iter().all(|l| l != n)),
    )
}

/// The rows of both sides by match group.
pub(crate) struct MatchGroups {
    /// The group of each left row, of each right row.
    pub left: Vec<usize>,
    pub right: Vec<usize>,
    pub count: usize,
}

impl MatchGroups {
    pub(crate) fn of(left: &Block, right: &Block, matching: &VectorMatching) -> Self {
        let mut known: LabelMap<Labels, usize> = map_for(left.rows.len().max(right.rows.len()));
        let mut place = |row: &BlockRow| {
            let next = known.len();
            *known.entry(signature(&row.labels, matching)).or_insert(next)
        };
        let left = left.rows.iter().map(&mut place).collect();
        let right = right.rows.iter().map(&mut place).collect();
        Self { left, right, count: known.len() }
    }
}

/// `left op right` for arithmetic and comparisons.
pub(crate) fn join(
    ctx: &QueryContext<'_>,
    rules: &JoinRules<'_>,
    left: &Block,
    right: &Block,
) -> Result<Block, QueryError> {
    let steps = left.steps;
    let groups = MatchGroups::of(left, right, rules.matching);
    let swapped = rules.matching.cardinality == Cardinality::OneToMany;
    // COMPAT: under `group_right` Prometheus takes `fill_left` for the "many" side, though that is the right one.
    let fill = rules.matching.fill;
    let (left, right) = (side(left, &groups.left), side(right, &groups.right));
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let sides = Sides {
        many: Side { fill: fill.left, ..many },
        one: Side { fill: fill.right, ..one },
        swapped,
        steps: steps.count,
    };
    let mut pairs =
        Pairs { ctx, rules, sides, groups: groups.count, out: RowList::new(ctx), taken: LabelMap::default() };
    pairs.check()?;
    pairs.combine_all()?;
    let mut block = pairs.out.into_block(ctx, steps)?;
    block.merge_equal_labels()?;
    Ok(block)
}

/// One side of a join.
pub(crate) struct Side<'a> {
    pub rows: &'a [BlockRow],
    pub group_of: &'a [usize],
    /// Stands in for a missing series of this side.
    pub fill: Option<f64>,
}

fn side<'a>(block: &'a Block, group_of: &'a [usize]) -> Side<'a> {
    Side { rows: &block.rows, group_of, fill: None }
}

pub(crate) struct Sides<'a> {
    pub many: Side<'a>,
    pub one: Side<'a>,
    /// Whether `many` is the right side.
    pub swapped: bool,
    /// How many steps every row has.
    pub steps: usize,
}

struct Pairs<'a, 'q> {
    ctx: &'a QueryContext<'q>,
    rules: &'a JoinRules<'a>,
    sides: Sides<'a>,
    groups: usize,
    out: RowList,
    /// Not one-to-one: the steps at which a match group has given a result with these labels.
    taken: LabelMap<(usize, Labels), Mask>,
}

impl Pairs<'_, '_> {
    /// Refuses series that match ambiguously, with the error of the first step that has one.
    fn check(&self) -> Result<(), QueryError> {
        let errors = PairErrors { rules: self.rules, sides: &self.sides, groups: self.groups };
        errors.check()
    }

    fn combine_all(&mut self) -> Result<(), QueryError> {
        let mut one_of: Vec<Vec<usize>> = vec![Vec::new(); self.groups];
        for (at, group) in self.sides.one.group_of.iter().enumerate() {
            one_of[*group].push(at);
        }
        // The steps at which a group's "one" side has found a partner that the operator can work with.
        let mut matched = vec![Mask::none(self.sides.steps); self.groups];
        for at in 0..self.sides.many.rows.len() {
            self.ctx.check(Stage::Evaluation)?;
            let group = self.sides.many.group_of[at];
            let mut alone = self.sides.many.rows[at].row.occupied();
            for &other in &one_of[group] {
                alone.remove(&self.sides.one.rows[other].row.occupied());
                matched[group].add(&self.combine(Some(at), Some(other), None)?);
            }
            if self.sides.one.fill.is_some() && !alone.is_empty() {
                self.combine(Some(at), None, Some(&alone))?;
            }
        }
        if self.sides.many.fill.is_some() {
            for at in 0..self.sides.one.rows.len() {
                let mut alone = self.sides.one.rows[at].row.occupied();
                alone.remove(&matched[self.sides.one.group_of[at]]);
                if !alone.is_empty() {
                    self.combine(None, Some(at), Some(&alone))?;
                }
            }
        }
        Ok(())
    }

    /// Computes a pair; a side that is `None` takes its fill value at the steps `only`. Gives the steps at which the operator can work
    /// with what the two hold.
    fn combine(
        &mut self,
        many: Option<usize>,
        one: Option<usize>,
        only: Option<&Mask>,
    ) -> Result<Mask, QueryError> {
        let many_row = many.map(|at| &self.sides.many.rows[at].row);
        let one_row = one.map(|at| &self.sides.one.rows[at].row);
        let steps = self.sides.steps;
        let fill = |value: Option<f64>| Some(filled(value?, only?, steps));
        let filled_many = many_row.is_none().then(|| fill(self.sides.many.fill)).flatten();
        let filled_one = one_row.is_none().then(|| fill(self.sides.one.fill)).flatten();
        let many_row = many_row.or(filled_many.as_ref()).expect("one of the two sides is there");
        let one_row = one_row.or(filled_one.as_ref()).expect("one of the two sides is there");
        let (left, right) = if self.sides.swapped { (one_row, many_row) } else { (many_row, one_row) };
        let combine = Combine { ctx: self.ctx, rules: self.rules };
        let row = combine.rows(left, right);
        let labels = self.result_labels(many, one);
        let one_to_one = self.rules.matching.cardinality == Cardinality::OneToOne;
        // Nobody asks for it in the usual join of one with one.
        let asked = !one_to_one || self.sides.many.fill.is_some();
        let met = if asked { combine.met(left, right) } else { Mask::none(0) };
        if !one_to_one {
            self.take(many, one, &labels, &met)?;
        }
        if !row.is_empty() {
            self.out.push(BlockRow { labels, drops_name: self.rules.return_bool, row })?;
        }
        Ok(met)
    }

    /// Refuses a second result with equal labels in one match group at one step.
    fn take(
        &mut self,
        many: Option<usize>,
        one: Option<usize>,
        labels: &Labels,
        met: &Mask,
    ) -> Result<(), QueryError> {
        let group = many.map(|at| self.sides.many.group_of[at]).or(one.map(|at| self.sides.one.group_of[at]));
        let steps = self.sides.steps;
        let key = (group.expect("one of the two sides is there"), labels.clone());
        let taken = self.taken.entry(key).or_insert_with(|| Mask::none(steps));
        if taken.first_common(met).is_some() {
            let text = "multiple matches for labels: grouping labels must ensure unique matches";
            return Err(QueryError::Execution(text.to_owned()));
        }
        taken.add(met);
        Ok(())
    }

    /// The labels of a pair, of which one is `None` for a fill value. Each pair comes once.
    fn result_labels(&self, many: Option<usize>, one: Option<usize>) -> Labels {
        let (matching, rules) = (self.rules.matching, self.rules);
        let of = |side: &Side<'_>, at: Option<usize>| at.map(|at| side.rows[at].labels.clone());
        let (many_labels, one_labels) = (of(&self.sides.many, many), of(&self.sides.one, one));
        // A filled side has the labels by which the other one looked for it.
        let stand_in = |other: &Option<Labels>| {
            other.as_ref().map_or_else(Labels::empty, |labels| signature(labels, matching))
        };
        let base = many_labels.clone().unwrap_or_else(|| stand_in(&one_labels));
        let other = one_labels.unwrap_or_else(|| stand_in(&many_labels));
        let changes_meaning = changes_meaning(rules.op);
        let drops_name = changes_meaning || (rules.return_bool && !self.ctx.rules.delayed_names);
        let one_to_one = matching.cardinality == Cardinality::OneToOne;
        let keeps = |name: &str| {
            let named = !one_to_one || matching.labels.iter().any(|l| l == name) == matching.on;
            named && !(drops_name && METADATA_LABELS.contains(&name))
        };
        let kept = Labels::from_sorted(base.iter().filter(|(name, _)| keeps(name)));
        if matching.include.is_empty() {
            return kept;
        }
        let mut builder = kept.to_builder();
        for name in &matching.include {
            builder.set(name, other.value(name));
        }
        builder.labels()
    }
}

/// A row of fill values at the given steps.
pub(crate) fn filled(value: f64, at: &Mask, steps: usize) -> Row {
    let mut out = Row::default();
    out.reset(steps);
    at.iter().for_each(|step| out.set(step, value));
    out
}

/// Whether the operator's result is another quantity than its operands, so that the name has to go.
fn changes_meaning(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::Div
            | BinaryOp::Mod
            | BinaryOp::Pow
            | BinaryOp::Atan2
    )
}
