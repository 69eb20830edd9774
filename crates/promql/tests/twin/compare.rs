//! The engine's answer against the twin's.

use std::collections::BTreeMap;

use narthex_model::{FloatHistogram, Labels};
use narthex_promql::engine::{Point, Value};

use super::data::Val;
use super::eval::Vector;
use super::histogram::{Hist, Side};

/// How far results may lie apart where the order of additions differs.
const TOLERANCE: f64 = 1e-9;

/// Points of both sides by series and time.
pub(crate) type Answer = BTreeMap<(Labels, i64), Val>;

pub(crate) fn of_engine(value: &Value) -> Answer {
    let point = |p: &Point| match p {
        Point::Float(v) => Val::F(*v),
        Point::Histogram(h) => Val::H(Hist::from(&**h)),
    };
    let mut answer = Answer::new();
    match value {
        Value::Scalar { t_ms, value } => {
            answer.insert((Labels::empty(), *t_ms), Val::F(*value));
        }
        Value::Vector(v) => v.samples.iter().for_each(|s| {
            answer.insert((s.labels.clone(), v.t_ms), point(&s.point));
        }),
        Value::Matrix(m) => {
            for s in &m.series {
                s.floats().for_each(|(t, v)| drop(answer.insert((s.labels.clone(), t), Val::F(v))));
                let of = |h: &FloatHistogram| Val::H(Hist::from(h));
                s.histograms().iter().for_each(|(t, h)| drop(answer.insert((s.labels.clone(), *t), of(h))));
            }
        }
        Value::String { .. } => {}
    }
    answer
}

pub(crate) fn of_twin(vectors: Vec<(i64, Vector)>) -> Answer {
    let points = vectors.into_iter().flat_map(|(t, v)| v.into_iter().map(move |s| ((s.labels, t), s.value)));
    points.collect()
}

fn close(a: f64, b: f64, scale: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * scale
}

pub(crate) fn same_float(a: f64, b: f64) -> bool {
    // What should be 0 is not quite after a subtraction.
    close(a, b, a.abs().max(b.abs()).max(1e-4))
}

fn same_side(a: &Side, b: &Side, scale: f64) -> bool {
    let count = |s: &Side, i: i32| s.get(&i).copied().unwrap_or(0.0);
    a.keys().chain(b.keys()).all(|i| close(count(a, *i), count(b, *i), scale))
}

pub(crate) fn same(a: &Val, b: &Val) -> bool {
    match (a, b) {
        (Val::F(a), Val::F(b)) => same_float(*a, *b),
        (Val::H(a), Val::H(b)) => {
            let scale = if a.count.is_finite() { a.count.abs().max(1.0) } else { 1.0 };
            let numbers = |h: &Hist| [h.zero_threshold, h.zero, h.count, h.sum];
            a.schema == b.schema
                && a.bounds == b.bounds
                && numbers(a).iter().zip(&numbers(b)).all(|(a, b)| same_float(*a, *b))
                && same_side(&a.positive, &b.positive, scale)
                && same_side(&a.negative, &b.negative, scale)
        }
        _ => false,
    }
}

/// What differs first, if anything.
pub(crate) fn difference(engine: &Answer, twin: &Answer) -> Option<String> {
    for (at, ours) in engine {
        match twin.get(at) {
            None => return Some(format!("{} at {}: {ours:?}, the twin has nothing", at.0, at.1)),
            Some(theirs) if !same(ours, theirs) => {
                return Some(format!("{} at {}: {ours:?}, the twin has {theirs:?}", at.0, at.1));
            }
            Some(_) => {}
        }
    }
    let missing = twin.iter().find(|(at, _)| !engine.contains_key(*at));
    missing.map(|(at, theirs)| format!("{} at {}: nothing, the twin has {theirs:?}", at.0, at.1))
}
