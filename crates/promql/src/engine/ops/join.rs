//! Binary operators between two instant vectors: which series belong together, and the operator over all steps of a pair.
//!
//! Series of both sides that agree in the matching labels form a match group. The "one" side may have several series in a
//! group as long as no two of them meet at a step. A pair of series is computed for all steps at once where both are present.
//! Always true: the "one" side is called `one` here, the other `many`; for one-to-one matching `many` is the left side.

use narthex_model::{Labels, METRIC_NAME};
use smallvec::SmallVec;

use super::join_labels::ResultLabels;
use super::pairs::{Combine, PairErrors};
use crate::ast::{BinaryOp, Cardinality, Span, VectorMatching};
use crate::engine::block::{Block, BlockRow, RowList};
use crate::engine::context::QueryContext;
use crate::engine::error::{QueryError, Stage};
use crate::engine::label_map::{LabelMap, map_for};
use crate::engine::row::Row;
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
    if matching.labels.is_empty() {
        return labels.without_name();
    }
    labels.filter(|name| name != METRIC_NAME && matching.labels.iter().all(|l| l != name))
}

/// The rows of both sides by match group.
pub(crate) struct MatchGroups {
    /// The group of each left row, of each right row.
    pub left: Vec<usize>,
    pub right: Vec<usize>,
    /// By what each group is known.
    pub signatures: Vec<Labels>,
}

impl MatchGroups {
    pub(crate) fn of(left: &Block, right: &Block, matching: &VectorMatching) -> Self {
        let mut known: LabelMap<Labels, usize> = map_for(left.rows.len().max(right.rows.len()));
        let mut signatures = Vec::with_capacity(left.rows.len());
        let mut place = |row: &BlockRow| {
            let signature = signature(&row.labels, matching);
            *known.entry(signature).or_insert_with_key(|signature| {
                signatures.push(signature.clone());
                signatures.len() - 1
            })
        };
        let left = left.rows.iter().map(&mut place).collect();
        let right = right.rows.iter().map(&mut place).collect();
        Self { left, right, signatures }
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
    let result_labels = ResultLabels::of(ctx, rules);
    let signatures = &groups.signatures;
    let mut pairs = Pairs {
        ctx,
        rules,
        sides,
        signatures,
        result_labels,
        out: RowList::new(ctx),
        taken: LabelMap::default(),
    };
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
    signatures: &'a [Labels],
    result_labels: ResultLabels<'a>,
    out: RowList,
    /// Not one-to-one: the steps at which a match group has given a result with these labels.
    taken: LabelMap<(usize, Labels), Mask>,
}

impl Pairs<'_, '_> {
    /// Refuses series that match ambiguously, with the error of the first step that has one.
    fn check(&self) -> Result<(), QueryError> {
        let errors = PairErrors { rules: self.rules, sides: &self.sides, groups: self.signatures.len() };
        errors.check()
    }

    fn combine_all(&mut self) -> Result<(), QueryError> {
        let groups = self.signatures.len();
        let mut one_of: Vec<SmallVec<[usize; 1]>> = vec![SmallVec::new(); groups];
        for (at, group) in self.sides.one.group_of.iter().enumerate() {
            one_of[*group].push(at);
        }
        // The steps at which a group's "one" side has found a partner that the operator can work with.
        let fills_many = self.sides.many.fill.is_some();
        let mut matched = vec![Mask::none(self.sides.steps); if fills_many { groups } else { 0 }];
        for at in 0..self.sides.many.rows.len() {
            self.ctx.check(Stage::Evaluation)?;
            let group = self.sides.many.group_of[at];
            for &other in &one_of[group] {
                let met = self.combine(Some(at), Some(other), None)?;
                if fills_many {
                    matched[group].add(&met);
                }
            }
            if self.sides.one.fill.is_some() {
                let partners = one_of[group].iter().map(|other| self.sides.one.rows[*other].row.occupied());
                self.combine_alone((Some(at), None), partners.collect::<Vec<_>>().iter())?;
            }
        }
        if fills_many {
            for at in 0..self.sides.one.rows.len() {
                let met = &matched[self.sides.one.group_of[at]];
                self.combine_alone((None, Some(at)), std::iter::once(met))?;
            }
        }
        Ok(())
    }

    /// Computes a row with the fill value of the side that is `None`, at the steps that none of `partners` has.
    fn combine_alone<'m>(
        &mut self,
        (many, one): (Option<usize>, Option<usize>),
        partners: impl Iterator<Item = &'m Mask>,
    ) -> Result<(), QueryError> {
        let row_of = |side: &Side<'_>, at: Option<usize>| at.map(|at| side.rows[at].row.occupied());
        let alone = row_of(&self.sides.many, many).or(row_of(&self.sides.one, one));
        let mut alone = alone.expect("one of the two sides is there");
        partners.for_each(|partner| alone.remove(partner));
        if !alone.is_empty() {
            self.combine(many, one, Some(&alone))?;
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
        let labels = self.labels_of(many, one);
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
        let steps = self.sides.steps;
        let key = (self.group_of(many, one), labels.clone());
        let taken = self.taken.entry(key).or_insert_with(|| Mask::none(steps));
        if taken.first_common(met).is_some() {
            let text = "multiple matches for labels: grouping labels must ensure unique matches";
            return Err(QueryError::Execution(text.to_owned()));
        }
        taken.add(met);
        Ok(())
    }

    fn group_of(&self, many: Option<usize>, one: Option<usize>) -> usize {
        let group = many.map(|at| self.sides.many.group_of[at]).or(one.map(|at| self.sides.one.group_of[at]));
        group.expect("one of the two sides is there")
    }

    /// The labels of a pair, of which one is `None` for a fill value: that side has the labels by which the other one looked for it.
    fn labels_of(&self, many: Option<usize>, one: Option<usize>) -> Labels {
        let signature = &self.signatures[self.group_of(many, one)];
        let many = many.map_or(signature, |at| &self.sides.many.rows[at].labels);
        let one = one.map_or(signature, |at| &self.sides.one.rows[at].labels);
        self.result_labels.of_pair(signature, many, one)
    }
}

/// A row of fill values at the given steps.
pub(crate) fn filled(value: f64, at: &Mask, steps: usize) -> Row {
    let mut out = Row::default();
    out.reset(steps);
    at.iter().for_each(|step| out.set(step, value));
    out
}
