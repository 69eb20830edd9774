//! The parts of a join: what is ambiguous, and what an operator makes of two rows.

use narthex_model::Labels;

use super::join::{JoinRules, Sides};
use super::pair_histograms::{Outcome, combine};
use crate::ast::{BinaryOp, Cardinality};
use crate::engine::annotations::Annotations;
use crate::engine::context::QueryContext;
use crate::engine::error::QueryError;
use crate::engine::kernels::math;
use crate::engine::row::Row;
use crate::engine::steps::Mask;

/// Looks for series that match ambiguously.
pub(crate) struct PairErrors<'a> {
    pub rules: &'a JoinRules<'a>,
    pub sides: &'a Sides<'a>,
    pub groups: usize,
}

/// A fault with the step at which it shows first.
type Fault = (usize, QueryError);

impl PairErrors<'_> {
    /// Fails with the fault of the earliest step; at one step a doubled "one" side comes first.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        let doubled = self.doubled_one_side();
        let multiple = self.multiple_matches();
        match (doubled, multiple) {
            (None, None) => Ok(()),
            (Some((_, e)), None) | (None, Some((_, e))) => Err(e),
            (Some((at, e)), Some((other, _))) if at <= other => Err(e),
            (Some(_), Some((_, e))) => Err(e),
        }
    }

    /// Whether two series of a side are in one group; without any, nothing is ambiguous there.
    fn has_company(&self, side: &super::join::Side<'_>) -> bool {
        let mut taken = vec![false; self.groups];
        side.group_of.iter().any(|group| std::mem::replace(&mut taken[*group], true))
    }

    /// The steps at which the operator has anything to match.
    fn active(&self) -> Mask {
        let steps = self.sides.steps;
        let any = |side: &super::join::Side<'_>| {
            let mut mask = Mask::none(steps);
            side.rows.iter().for_each(|r| mask.add(&r.row.occupied()));
            mask
        };
        let (mut many, one) = (any(&self.sides.many), any(&self.sides.one));
        if self.sides.many.fill.is_some() || self.sides.one.fill.is_some() {
            many.add(&one);
        } else {
            many.keep(&one);
        }
        many
    }

    /// Two series of the "one" side in one group at one step.
    fn doubled_one_side(&self) -> Option<Fault> {
        let steps = self.sides.steps;
        let one = &self.sides.one;
        if !self.has_company(one) {
            return None;
        }
        let active = self.active();
        let mut seen = vec![Mask::none(steps); self.groups];
        let mut first: Option<(usize, usize)> = None;
        for (at, row) in one.rows.iter().enumerate() {
            let mut present = row.row.occupied();
            present.keep(&active);
            if let Some(step) = present.first_common(&seen[one.group_of[at]])
                && first.is_none_or(|(known, _)| step < known)
            {
                first = Some((step, at));
            }
            seen[one.group_of[at]].add(&present);
        }
        let (step, at) = first?;
        let same_group = |other: &usize| one.group_of[*other] == one.group_of[at];
        let before = (0..at).filter(same_group).rfind(|o| one.rows[*o].row.occupied().get(step))?;
        Some((step, self.doubled(&one.rows[at].labels, &one.rows[before].labels)))
    }

    fn doubled(&self, a: &Labels, b: &Labels) -> QueryError {
        let group = super::join::signature(a, self.rules.matching);
        let side = if self.sides.swapped { "left" } else { "right" };
        let (a, b) = (a.to_string(), b.to_string());
        let (a, b) = if a > b { (b, a) } else { (a, b) };
        QueryError::Execution(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{a}, {b}];\
             many-to-many matching not allowed: matching labels must be unique on one side"
        ))
    }

    /// One-to-one: two series of the left side that find a partner in one group at one step, with which the operator can work.
    fn multiple_matches(&self) -> Option<Fault> {
        let steps = self.sides.steps;
        if self.rules.matching.cardinality != Cardinality::OneToOne {
            return None;
        }
        let many = &self.sides.many;
        if !self.has_company(many) {
            return None;
        }
        let partners = self.partners();
        let mut seen = vec![Mask::none(steps); self.groups];
        let mut first: Option<usize> = None;
        for (at, row) in many.rows.iter().enumerate() {
            let group = many.group_of[at];
            let present = partners.of(self, &row.row, group);
            if let Some(step) = present.first_common(&seen[group]) {
                first = Some(first.map_or(step, |known| known.min(step)));
            }
            seen[group].add(&present);
        }
        let text =
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
        first.map(|step| (step, QueryError::Execution(text.to_owned())))
    }
}

/// What the rows of the left side can find a partner in.
enum Partners {
    /// The operator can work with whatever there is: the steps at which a group has any partner, or a fill value.
    Any(Vec<Mask>),
    /// It depends on what both hold: the partners of each group.
    Some(Vec<Vec<usize>>),
}

impl PairErrors<'_> {
    fn partners(&self) -> Partners {
        let one = &self.sides.one;
        let has_histograms =
            |side: &super::join::Side<'_>| side.rows.iter().any(|row| !row.row.histograms.is_empty());
        if trims(self.rules.op) || has_histograms(one) || has_histograms(&self.sides.many) {
            let mut groups: Vec<Vec<usize>> = vec![Vec::new(); self.groups];
            one.group_of.iter().enumerate().for_each(|(at, group)| groups[*group].push(at));
            return Partners::Some(groups);
        }
        if one.fill.is_some() {
            return Partners::Any(vec![Mask::all(self.sides.steps); self.groups]);
        }
        let mut groups = vec![Mask::none(self.sides.steps); self.groups];
        one.rows.iter().zip(one.group_of).for_each(|(row, group)| groups[*group].add(&row.row.occupied()));
        Partners::Any(groups)
    }
}

impl Partners {
    /// The steps at which a left row of a group has a partner with which the operator can work.
    fn of(&self, errors: &PairErrors<'_>, row: &Row, group: usize) -> Mask {
        let (rules, sides) = (errors.rules, errors.sides);
        let partners = match self {
            Self::Any(groups) => {
                let mut present = row.occupied();
                present.keep(&groups[group]);
                return present;
            }
            Self::Some(groups) => &groups[group],
        };
        let (mut found, mut alone) = (Mask::none(sides.steps), row.occupied());
        for &partner in partners {
            let partner = &sides.one.rows[partner].row;
            found.add(&met(rules, row, partner));
            alone.remove(&partner.occupied());
        }
        if let Some(fill) = sides.one.fill {
            found.add(&met(rules, row, &super::join::filled(fill, &alone, sides.steps)));
        }
        found
    }
}

fn trims(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper)
}

/// The steps at which the operator can work with what both sides hold. Only histograms, or a trim of floats, make it refuse.
fn met(rules: &JoinRules<'_>, left: &Row, right: &Row) -> Mask {
    let mut met = left.occupied();
    met.keep(&right.occupied());
    let trims = trims(rules.op);
    if left.histograms.is_empty() && right.histograms.is_empty() && !trims {
        return met;
    }
    let mut floats = left.present.clone();
    floats.keep(&right.present);
    for step in met.clone().iter() {
        let understood = if floats.get(step) {
            !trims
        } else {
            let (a, b) = (left.operand(step), right.operand(step));
            let outcome = combine(rules.op, a, b, rules.span, &mut Annotations::default());
            !matches!(outcome, Outcome::Refused)
        };
        if !understood {
            met.unset(step);
        }
    }
    met
}

/// Computes the operator over two rows.
pub(crate) struct Combine<'a, 'q> {
    pub ctx: &'a QueryContext<'q>,
    pub rules: &'a JoinRules<'a>,
}

impl Combine<'_, '_> {
    /// The steps at which the operator can work with what both sides hold.
    pub(crate) fn met(&self, left: &Row, right: &Row) -> Mask {
        met(self.rules, left, right)
    }

    /// `left op right` at the steps that both hold.
    pub(crate) fn rows(&self, left: &Row, right: &Row) -> Row {
        let mut out = self.float_rows(left, right);
        if !left.histograms.is_empty() || !right.histograms.is_empty() {
            self.histogram_rows(left, right, &mut out);
        }
        out
    }

    /// The steps at which at least one side is a histogram.
    fn histogram_rows(&self, left: &Row, right: &Row, out: &mut Row) {
        let mut both = left.occupied();
        both.keep(&right.occupied());
        let mut floats = left.present.clone();
        floats.keep(&right.present);
        both.remove(&floats);
        let mut notes = Annotations::default();
        for step in both.iter() {
            let (a, b) = (left.operand(step), right.operand(step));
            match combine(self.rules.op, a, b, self.rules.span, &mut notes) {
                Outcome::Refused => {}
                Outcome::Histogram(_) if self.rules.return_bool => out.set(step, 1.0),
                Outcome::Compared(_, holds) if self.rules.return_bool => out.set(step, f64::from(holds)),
                Outcome::Compared(_, false) => {}
                Outcome::Compared(h, true) | Outcome::Histogram(h) => out.histograms.push((step as u32, h)),
            }
        }
        self.ctx.annotate(|all| all.merge(notes));
    }

    fn float_rows(&self, left: &Row, right: &Row) -> Row {
        let mut out = Row::default();
        out.reset(left.values.len());
        out.present.copy_from(&left.present);
        out.present.keep(&right.present);
        if out.present.is_empty() {
            return out;
        }
        let op = self.rules.op;
        let (l, r) = (&left.values[..], &right.values[..]);
        match op {
            BinaryOp::Add => columns(&mut out.values, l, r, |a, b| a + b),
            BinaryOp::Sub => columns(&mut out.values, l, r, |a, b| a - b),
            BinaryOp::Mul => columns(&mut out.values, l, r, |a, b| a * b),
            BinaryOp::Div => columns(&mut out.values, l, r, |a, b| a / b),
            BinaryOp::TrimLower | BinaryOp::TrimUpper => {
                let span = self.rules.span;
                self.ctx.annotate(|notes| notes.incompatible_types("float", op.as_str(), "float", span));
                out.present.reset(left.values.len());
            }
            _ if op.is_comparison() => self.compare(l, r, &mut out),
            _ => columns(&mut out.values, l, r, |a, b| math::arithmetic(op, a, b)),
        }
        out
    }

    fn compare(&self, l: &[f64], r: &[f64], out: &mut Row) {
        for step in 0..l.len() {
            let holds = math::compare(self.rules.op, l[step], r[step]);
            out.values[step] = if self.rules.return_bool { f64::from(holds) } else { l[step] };
            if !holds && !self.rules.return_bool {
                out.present.unset(step);
            }
        }
    }
}

#[inline(always)]
fn columns(out: &mut [f64], l: &[f64], r: &[f64], f: impl Fn(f64, f64) -> f64) {
    for ((out, l), r) in out.iter_mut().zip(l).zip(r) {
        *out = f(*l, *r);
    }
}
