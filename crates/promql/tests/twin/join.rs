//! Binary operators: arithmetic and comparison of samples, vectors with scalars, joins, set operators.

use std::collections::BTreeMap;

use narthex_model::{Labels, METRIC_NAME};
use narthex_promql::ast::{Binary, BinaryOp, Cardinality, ValueType, VectorMatching};

use super::data::Val;
use super::eval::{Outcome, Sample, Twin, Vector, without_name};
use super::histogram::Hist;

/// The result over floats, and whether a filter keeps the left value.
pub(crate) fn of_floats(op: BinaryOp, l: f64, r: f64) -> (f64, bool) {
    match op {
        BinaryOp::Add => (l + r, true),
        BinaryOp::Sub => (l - r, true),
        BinaryOp::Mul => (l * r, true),
        BinaryOp::Div => (l / r, true),
        BinaryOp::Mod => (l % r, true),
        BinaryOp::Pow => (l.powf(r), true),
        BinaryOp::Atan2 => (l.atan2(r), true),
        BinaryOp::Eq => (l, l == r),
        BinaryOp::Ne => (l, l != r),
        BinaryOp::Gt => (l, l > r),
        BinaryOp::Lt => (l, l < r),
        BinaryOp::Ge => (l, l >= r),
        BinaryOp::Le => (l, l <= r),
        BinaryOp::TrimUpper | BinaryOp::TrimLower | BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => {
            (l, false)
        }
    }
}

/// The result of two samples; `None` where the operator does not know the types.
fn of_values(op: BinaryOp, l: &Val, r: &Val) -> Option<(Val, bool)> {
    let is_trim = matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
    match (l, r) {
        (Val::F(_), Val::F(_)) if is_trim => None,
        (Val::F(l), Val::F(r)) => {
            let (value, keep) = of_floats(op, *l, *r);
            Some((Val::F(value), keep))
        }
        (Val::F(l), Val::H(r)) if op == BinaryOp::Mul => Some((Val::H(r.clone().times(*l).compact()), true)),
        (Val::H(l), Val::F(r)) => match op {
            BinaryOp::Mul => Some((Val::H(l.clone().times(*r).compact()), true)),
            BinaryOp::Div => Some((Val::H(l.clone().divided_by(*r).compact()), true)),
            _ => None,
        },
        (Val::H(l), Val::H(r)) => {
            let sum = |sign: f64| {
                // Where reset hints contradict each other there is no sample, only a warning.
                let (sum, collide): (Hist, bool) = l.plus(r, sign).ok()?;
                (!collide).then(|| (Val::H(sum.compact()), true))
            };
            match op {
                BinaryOp::Add => sum(1.0),
                BinaryOp::Sub => sum(-1.0).map(|(v, keep)| match v {
                    Val::H(h) => (Val::H(Hist { hint: narthex_model::CounterResetHint::Gauge, ..h }), keep),
                    v @ Val::F(_) => (v, keep),
                }),
                BinaryOp::Eq => Some((Val::H(l.clone()), l.is_same(r))),
                BinaryOp::Ne => Some((Val::H(l.clone()), !l.is_same(r))),
                _ => None,
            }
        }
        (Val::F(_), Val::H(_)) => None,
    }
}

fn changes_name(op: BinaryOp) -> bool {
    use BinaryOp::{Add, Atan2, Div, Mod, Mul, Pow, Sub};
    matches!(op, Add | Sub | Mul | Div | Mod | Pow | Atan2)
}

pub(crate) fn binary(twin: &Twin<'_>, b: &Binary, times: &[i64]) -> Outcome<Vec<Vector>> {
    let is_scalar = |e: &narthex_promql::ast::Expr| e.value_type() == ValueType::Scalar;
    if is_scalar(&b.lhs) || is_scalar(&b.rhs) {
        let on_left = is_scalar(&b.lhs);
        let (scalar, vector) = if on_left { (&b.lhs, &b.rhs) } else { (&b.rhs, &b.lhs) };
        let (scalars, vectors) = (twin.scalar(scalar, times)?, twin.vector(vector, times)?);
        let step =
            |(v, s): (&Vector, &f64)| v.iter().filter_map(|x| with_scalar(twin, b, x, *s, on_left)).collect();
        return Ok(vectors.iter().zip(&scalars).map(step).collect());
    }
    let (left, right) = (twin.vector(&b.lhs, times)?, twin.vector(&b.rhs, times)?);
    let matching = b.matching.clone().unwrap_or_default();
    let step = |(l, r): (&Vector, &Vector)| match b.op {
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => Ok(set(b.op, &matching, l, r)),
        _ => join(twin, b, &matching, l, r),
    };
    left.iter().zip(&right).map(step).collect()
}

fn with_scalar(twin: &Twin<'_>, b: &Binary, sample: &Sample, scalar: f64, on_left: bool) -> Option<Sample> {
    let scalar = Val::F(scalar);
    let (l, r) = if on_left { (&scalar, &sample.value) } else { (&sample.value, &scalar) };
    let (mut value, keep) = of_values(b.op, l, r)?;
    if b.op.is_comparison() && on_left {
        value = sample.value.clone();
    }
    if b.return_bool {
        return Some(twin.nameless(sample, sample.t_ms, Val::F(f64::from(u8::from(keep)))));
    }
    if !keep {
        return None;
    }
    if changes_name(b.op) {
        Some(twin.nameless(sample, sample.t_ms, value))
    } else {
        Some(Sample { value, ..sample.clone() })
    }
}

/// The labels by which two samples find each other.
fn key(matching: &VectorMatching, labels: &Labels) -> Labels {
    if matching.on {
        return labels.keep(&matching.labels);
    }
    labels.drop(&matching.labels).drop(&[METRIC_NAME])
}

fn set(op: BinaryOp, matching: &VectorMatching, left: &Vector, right: &Vector) -> Vector {
    let has = |of: &Vector, sample: &Sample| {
        of.iter().any(|s| key(matching, &s.labels) == key(matching, &sample.labels))
    };
    match op {
        BinaryOp::And => left.iter().filter(|s| has(right, s)).cloned().collect(),
        BinaryOp::Unless => left.iter().filter(|s| !has(right, s)).cloned().collect(),
        _ => left.iter().chain(right.iter().filter(|s| !has(left, s))).cloned().collect(),
    }
}

/// One step of a join. "Many" is the side that may have several series a key, "one" the other.
fn join(
    twin: &Twin<'_>,
    b: &Binary,
    matching: &VectorMatching,
    left: &Vector,
    right: &Vector,
) -> Outcome<Vector> {
    let (fill_left, fill_right) = (matching.fill.left, matching.fill.right);
    if left.is_empty() && right.is_empty() {
        return Ok(Vector::new());
    }
    if (left.is_empty() || right.is_empty()) && fill_left.is_none() && fill_right.is_none() {
        return Ok(Vector::new());
    }
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    // COMPAT: under `group_right` Prometheus takes `fill_left` for the "many" side, though that is the right one.
    let (fill_many, fill_one) = (fill_left, fill_right);
    let mut by_key: BTreeMap<Labels, &Sample> = BTreeMap::new();
    for sample in one {
        if by_key.insert(key(matching, &sample.labels), sample).is_some() {
            return Err("found duplicate series for the match group".to_owned());
        }
    }
    let mut pairs: Vec<(Labels, Sample, Sample)> = Vec::new();
    let filled = |of: &Sample, v: f64| twin.sample(key(matching, &of.labels), of.t_ms, Val::F(v));
    for sample in many {
        let key = key(matching, &sample.labels);
        match (by_key.get(&key), fill_one) {
            (Some(partner), _) => pairs.push((key, sample.clone(), (*partner).clone())),
            (None, Some(v)) => pairs.push((key, sample.clone(), filled(sample, v))),
            (None, None) => {}
        }
    }
    let mut joiner = Joiner { twin, b, matching, swapped, seen: BTreeMap::new(), out: Vector::new() };
    for (key, many, one) in pairs {
        joiner.pair(key, &many, &one)?;
    }
    if let Some(v) = fill_many {
        for sample in one {
            let key = key(matching, &sample.labels);
            if joiner.seen.get(&key).is_none_or(Vec::is_empty) {
                joiner.pair(key, &filled(sample, v), sample)?;
            }
        }
    }
    Ok(joiner.out)
}

struct Joiner<'a> {
    twin: &'a Twin<'a>,
    b: &'a Binary,
    matching: &'a VectorMatching,
    swapped: bool,
    /// The results that each key has given.
    seen: BTreeMap<Labels, Vec<Labels>>,
    out: Vector,
}

impl Joiner<'_> {
    fn pair(&mut self, key: Labels, many: &Sample, one: &Sample) -> Outcome<()> {
        let (l, r) = if self.swapped { (one, many) } else { (many, one) };
        let Some((value, keep)) = of_values(self.b.op, &l.value, &r.value) else { return Ok(()) };
        let labels = self.labels(&many.labels, &one.labels);
        let seen = self.seen.entry(key).or_default();
        let one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        if if one_to_one { !seen.is_empty() } else { seen.contains(&labels) } {
            return Err("multiple matches for labels".to_owned());
        }
        seen.push(labels.clone());
        let bool = self.b.return_bool;
        if keep || bool {
            let value = if bool { Val::F(f64::from(u8::from(keep))) } else { value };
            self.out.push(Sample { labels, drops_name: bool, t_ms: many.t_ms, value });
        }
        Ok(())
    }

    fn labels(&self, many: &Labels, one: &Labels) -> Labels {
        let mut labels = many.clone();
        if changes_name(self.b.op) || (self.b.return_bool && !self.twin.rules.delayed_names) {
            labels = without_name(&labels);
        }
        if self.matching.cardinality == Cardinality::OneToOne {
            let names = &self.matching.labels;
            labels = if self.matching.on { labels.keep(names) } else { labels.drop(names) };
        }
        let mut builder = labels.to_builder();
        for name in &self.matching.include {
            match one.value(name) {
                "" => builder.remove(name),
                value => builder.set(name, value),
            };
        }
        builder.labels()
    }
}
