//! The evaluator: an expression, a list of times, and for each time a vector.

use std::collections::BTreeMap;

use narthex_model::{Labels, METRIC_NAME, MatchOp, Matcher};
use narthex_promql::ast::{
    At, Call, DurationExpr, DurationKind, DurationOp, Expr, Interval, MatrixSelector, RangeEdges, Subquery,
    UnaryOp, ValueType, VectorSelector,
};
use narthex_promql::functions_table::Function;

use super::data::{Series, Stored, Val};
use super::over_time::{Window, extended, over_range};
use super::{aggregate, instant, join};

/// One element of an instant vector.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub labels: Labels,
    /// The metric name goes at the end of the query (delayed name removal).
    pub drops_name: bool,
    /// When the sample was taken: its own time where it comes from a selector, else the evaluation time.
    pub t_ms: i64,
    pub value: Val,
}

pub(crate) type Vector = Vec<Sample>;
pub(crate) type Outcome<T> = Result<T, String>;

/// The times of a query and what is switched on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub start_ms: i64,
    pub end_ms: i64,
    /// 0 for an instant query.
    pub step_ms: i64,
    pub lookback_ms: i64,
    pub subquery_step_ms: i64,
    pub delayed_names: bool,
    pub use_starts: bool,
}

pub(crate) struct Twin<'a> {
    pub data: &'a [Series],
    pub rules: Rules,
}

pub(crate) const TWICE: &str = "vector cannot contain metrics with the same labelset";

pub(crate) fn without_name(labels: &Labels) -> Labels {
    labels.drop(&[METRIC_NAME, "__type__", "__unit__"])
}

/// Where a selector or subquery looks: a range back from each time, or from one fixed time.
#[derive(Clone, Copy)]
struct Place {
    offset_ms: i64,
    at_ms: Option<i64>,
}

impl Place {
    fn end(self, t_ms: i64) -> i64 {
        self.at_ms.unwrap_or(t_ms) - self.offset_ms
    }
}

impl Twin<'_> {
    /// What the whole query gives, one vector a time.
    pub(crate) fn query(&self, expr: &Expr) -> Outcome<Vec<(i64, Vector)>> {
        let rules = &self.rules;
        let mut times = vec![rules.start_ms];
        while rules.step_ms > 0 && times[times.len() - 1] + rules.step_ms <= rules.end_ms {
            times.push(times[times.len() - 1] + rules.step_ms);
        }
        let mut vectors = if expr.value_type() == ValueType::Scalar {
            let as_vector = |v: f64, t: i64| vec![self.sample(Labels::empty(), t, Val::F(v))];
            self.scalar(expr, &times)?.into_iter().zip(&times).map(|(v, t)| as_vector(v, *t)).collect()
        } else {
            self.vector(expr, &times)?
        };
        if rules.delayed_names {
            for sample in vectors.iter_mut().flatten().filter(|s| s.drops_name) {
                sample.labels = without_name(&sample.labels);
            }
        }
        vectors.iter().try_for_each(refuse_doubles)?;
        Ok(times.into_iter().zip(vectors).collect())
    }

    pub(crate) fn sample(&self, labels: Labels, t_ms: i64, value: Val) -> Sample {
        Sample { labels, drops_name: false, t_ms, value }
    }

    /// A sample that loses its name: now, or at the end of the query.
    pub(crate) fn nameless(&self, of: &Sample, t_ms: i64, value: Val) -> Sample {
        let labels = if self.rules.delayed_names { of.labels.clone() } else { without_name(&of.labels) };
        Sample { labels, drops_name: true, t_ms, value }
    }

    pub(crate) fn vector(&self, expr: &Expr, times: &[i64]) -> Outcome<Vec<Vector>> {
        let mut vectors = match expr {
            Expr::Paren(p) => return self.vector(&p.expr, times),
            Expr::Vector(v) => return self.select(v, times),
            Expr::Unary(u) if u.op == UnaryOp::Plus => return self.vector(&u.expr, times),
            Expr::Unary(u) => {
                let negated = |s: &Sample| match &s.value {
                    Val::F(v) => self.nameless(s, s.t_ms, Val::F(-v)),
                    Val::H(h) => self.nameless(s, s.t_ms, Val::H(h.clone().times(-1.0))),
                };
                let inputs = self.vector(&u.expr, times)?;
                inputs.iter().map(|v| v.iter().map(negated).collect()).collect()
            }
            Expr::Aggregate(a) => return aggregate::aggregate(self, a, times),
            Expr::Binary(b) => join::binary(self, b, times)?,
            Expr::Call(c) => self.call(c, times)?,
            _ => unreachable!("not an instant vector: {expr:?}"),
        };
        // COMPAT: at a single time doubles are looked for only when names are dropped at once.
        if times.len() > 1 || !self.rules.delayed_names {
            vectors.iter().try_for_each(refuse_doubles)?;
        }
        // COMPAT: whether a series loses its name at the end is what its first sample says. Functions over ranges and signs treat a series
        // as a whole anyway.
        let mut drops: BTreeMap<Labels, bool> = BTreeMap::new();
        for sample in vectors.iter_mut().flatten() {
            sample.drops_name = *drops.entry(sample.labels.clone()).or_insert(sample.drops_name);
        }
        Ok(vectors)
    }

    /// One number a time.
    pub(crate) fn scalar(&self, expr: &Expr, times: &[i64]) -> Outcome<Vec<f64>> {
        let all = |v: f64| Ok(vec![v; times.len()]);
        let both = |a: &Expr, b: &Expr, f: &dyn Fn(f64, f64) -> f64| {
            let (a, b) = (self.scalar(a, times)?, self.scalar(b, times)?);
            Ok(a.iter().zip(&b).map(|(a, b)| f(*a, *b)).collect())
        };
        let seconds = |ms: i64| ms as f64 / 1000.0;
        match expr {
            Expr::Paren(p) => self.scalar(&p.expr, times),
            Expr::Number(n) => all(n.value),
            Expr::Unary(u) => {
                let sign = if u.op == UnaryOp::Minus { -1.0 } else { 1.0 };
                Ok(self.scalar(&u.expr, times)?.iter().map(|v| sign * v).collect())
            }
            Expr::Binary(b) => both(&b.lhs, &b.rhs, &|l, r| match join::of_floats(b.op, l, r) {
                (value, _) if !b.op.is_comparison() => value,
                (_, keep) => f64::from(u8::from(keep)),
            }),
            Expr::Call(c) => match c.func {
                Function::Time => Ok(times.iter().map(|t| seconds(*t)).collect()),
                Function::Pi => all(std::f64::consts::PI),
                Function::Start => all(seconds(self.rules.start_ms)),
                Function::End => all(seconds(self.rules.end_ms)),
                Function::Range => all(seconds(self.rules.end_ms - self.rules.start_ms)),
                Function::Step if self.rules.start_ms == self.rules.end_ms => all(0.0),
                Function::Step => all(seconds(self.rules.step_ms)),
                Function::MaxOf => both(&c.args[0], &c.args[1], &instant::larger),
                Function::MinOf => both(&c.args[0], &c.args[1], &instant::smaller),
                Function::Scalar => {
                    let only = |v: &Vector| match v.iter().filter_map(Sample::float).collect::<Vec<_>>()[..] {
                        [one] => one,
                        _ => f64::NAN,
                    };
                    Ok(self.vector(&c.args[0], times)?.iter().map(only).collect())
                }
                other => unreachable!("{} is no scalar", other.name()),
            },
            _ => unreachable!("not a scalar: {expr:?}"),
        }
    }

    fn interval(&self, interval: &Interval) -> Outcome<i64> {
        match interval {
            Interval::Fixed(ms) => Ok(*ms),
            Interval::Expr(expr) => Ok((self.duration_s(expr)? * 1000.0) as i64),
        }
    }

    fn duration_s(&self, expr: &DurationExpr) -> Outcome<f64> {
        Ok(match &expr.kind {
            DurationKind::Number(n) => n.value,
            DurationKind::Step => self.rules.step_ms as f64 / 1000.0,
            DurationKind::Range => (self.rules.end_ms - self.rules.start_ms) as f64 / 1000.0,
            DurationKind::Minus(inner) => -self.duration_s(inner)?,
            DurationKind::Paren(inner) => self.duration_s(inner)?,
            DurationKind::Binary { op, lhs, rhs } => {
                let (a, b) = (self.duration_s(lhs)?, self.duration_s(rhs)?);
                match op {
                    DurationOp::Add => a + b,
                    DurationOp::Sub => a - b,
                    DurationOp::Mul => a * b,
                    DurationOp::Div | DurationOp::Mod if b == 0.0 => {
                        return Err("division by zero".to_owned());
                    }
                    DurationOp::Div => a / b,
                    DurationOp::Mod => a % b,
                    DurationOp::Pow => a.powf(b),
                    DurationOp::MinOf => a.min(b),
                    DurationOp::MaxOf => a.max(b),
                }
            }
        })
    }

    /// As [`Self::interval`], for ranges and steps.
    fn length(&self, interval: &Interval) -> Outcome<i64> {
        match self.interval(interval)? {
            ms if ms > 0 => Ok(ms),
            _ => Err("duration must be greater than 0".to_owned()),
        }
    }

    fn place(&self, at: Option<At>, offset: Option<&Interval>) -> Outcome<Place> {
        let at_ms = at.map(|at| match at {
            At::Timestamp(ms) => ms,
            At::Start => self.rules.start_ms,
            At::End => self.rules.end_ms,
        });
        Ok(Place { offset_ms: offset.map_or(Ok(0), |o| self.interval(o))?, at_ms })
    }

    fn matching(&self, matchers: &[Matcher]) -> impl Iterator<Item = &Series> {
        self.data.iter().filter(|s| matchers.iter().all(|m| m.matches(s.labels.value(&m.name))))
    }

    fn select(&self, v: &VectorSelector, times: &[i64]) -> Outcome<Vec<Vector>> {
        let place = self.place(v.at, v.offset.as_ref())?;
        let one = |series: &Series, t_ms: i64| {
            let end = place.end(t_ms);
            if v.edges == RangeEdges::Smoothed {
                let value = self.smoothed(series, end)?;
                return Some(self.sample(series.labels.clone(), t_ms, value));
            }
            let sample = series.samples.iter().rev().find(|s| s.t_ms <= end)?;
            let found = sample.t_ms > end - self.rules.lookback_ms && !sample.is_stale();
            found.then(|| self.sample(series.labels.clone(), sample.t_ms, sample.value.clone()))
        };
        Ok(times.iter().map(|t| self.matching(&v.matchers).filter_map(|s| one(s, *t)).collect()).collect())
    }

    /// The newest samples of a selector; with `@`, among those that lie in the lookback before that time and before it with the
    /// offset.
    pub(crate) fn in_both_windows(&self, v: &VectorSelector, times: &[i64]) -> Outcome<Vec<Vector>> {
        let place = self.place(v.at, v.offset.as_ref())?;
        let Some(at_ms) = place.at_ms else { return self.select(v, times) };
        let lies_before = |t_ms: i64, end: i64| end - self.rules.lookback_ms < t_ms && t_ms <= end;
        let newest = |series: &Series, t_ms: i64| {
            let mut new_to_old = series.samples.iter().rev();
            let in_both = |s: &&Stored| lies_before(s.t_ms, at_ms) && lies_before(s.t_ms, place.end(t_ms));
            let sample = new_to_old.find(in_both).filter(|s| !s.is_stale())?;
            Some(self.sample(series.labels.clone(), sample.t_ms, sample.value.clone()))
        };
        let at_step = |t: &i64| self.matching(&v.matchers).filter_map(|s| newest(s, *t)).collect();
        Ok(times.iter().map(at_step).collect())
    }

    /// The value at a time on the line between the samples around it, or of the sample before when there is none behind.
    fn smoothed(&self, series: &Series, t_ms: i64) -> Option<Val> {
        let around = (t_ms - self.rules.lookback_ms + 1)..=(t_ms + self.rules.lookback_ms);
        let samples = series.samples.iter().filter(|s| around.contains(&s.t_ms) && !s.is_stale());
        let samples: Vec<&Stored> = samples.collect();
        let is_float = |s: &Stored| matches!(s.value, Val::F(_));
        if samples.windows(2).any(|pair| is_float(pair[0]) != is_float(pair[1])) {
            return None;
        }
        let before = samples.iter().rev().find(|s| s.t_ms <= t_ms)?;
        let Some(after) = samples.iter().find(|s| s.t_ms >= t_ms) else { return Some(before.value.clone()) };
        if before.t_ms == t_ms {
            return Some(before.value.clone());
        }
        let part = (t_ms - before.t_ms) as f64 / (after.t_ms - before.t_ms) as f64;
        match (&before.value, &after.value) {
            (Val::F(a), Val::F(b)) => {
                Some(Val::F(a + (b - a) * (t_ms - before.t_ms) as f64 / (after.t_ms - before.t_ms) as f64))
            }
            (Val::H(a), Val::H(b)) => {
                let gauges = [a, b].map(|h| h.hint == narthex_model::CounterResetHint::Gauge);
                if gauges != [true, true] && b.is_reset_after(a) {
                    return (a.is_custom() == b.is_custom()).then(|| Val::H(b.clone().times(part)));
                }
                let rise = b.plus(a, -1.0).ok()?.0.times(part);
                Some(Val::H(rise.plus(a, 1.0).ok()?.0))
            }
            _ => None,
        }
    }

    fn call(&self, c: &Call, times: &[i64]) -> Outcome<Vec<Vector>> {
        let ranged = c.args.iter().position(|a| a.value_type() == ValueType::RangeVector);
        match ranged {
            Some(at) => self.range_call(c, at, times),
            None => instant::call(self, c, times),
        }
    }

    fn range_call(&self, c: &Call, at: usize, times: &[i64]) -> Outcome<Vec<Vector>> {
        let mut params = Vec::new();
        for (i, arg) in c.args.iter().enumerate() {
            if i != at {
                params.push(self.scalar(arg, times)?);
            }
        }
        let (series, range_ms, place, edges) = match c.args[at].without_parens() {
            Expr::Matrix(m) => self.stored(m)?,
            Expr::Subquery(s) => self.subquery(s, times)?,
            other => unreachable!("not a range vector: {other:?}"),
        };
        let mut vectors = vec![Vector::new(); times.len()];
        let mut names = Vec::new();
        for (series, drops_name) in &series {
            let mut given = None;
            for (step, t) in times.iter().enumerate() {
                let (to, params) = (place.end(*t), params.iter().map(|p| p[step]).collect::<Vec<_>>());
                let (before, after) = match edges {
                    RangeEdges::Plain => (0, 0),
                    RangeEdges::Anchored => (self.rules.lookback_ms, 0),
                    RangeEdges::Smoothed => (self.rules.lookback_ms, self.rules.lookback_ms),
                };
                let inside =
                    |s: &&Stored| s.t_ms > to - range_ms - before && s.t_ms <= to + after && !s.is_stale();
                let samples: Vec<Stored> = series.samples.iter().filter(inside).cloned().collect();
                let starts = self.rules.use_starts;
                let w = Window { samples: &samples, from: to - range_ms, to, eval_t: *t, starts };
                let value = match edges {
                    _ if samples.is_empty() => None,
                    RangeEdges::Plain => over_range(
                        if c.func == Function::AbsentOverTime { Function::PresentOverTime } else { c.func },
                        &w,
                        &params,
                    )?,
                    edges => extended(c.func, &w, edges == RangeEdges::Smoothed),
                };
                let Some(value) = value else { continue };
                let keeps = matches!(c.func, Function::LastOverTime | Function::FirstOverTime) && !drops_name;
                let mut sample = self.sample(series.labels.clone(), *t, value);
                if !keeps {
                    sample = self.nameless(&sample, *t, sample.value.clone());
                }
                given = Some(sample.labels.clone());
                vectors[step].push(sample);
            }
            names.extend(given);
        }
        if c.func == Function::AbsentOverTime {
            return Ok(self.absent(&c.args[at], &vectors, times));
        }
        // COMPAT: two series of one name are refused even when they never meet at a step.
        names.sort();
        if !self.rules.delayed_names && names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(TWICE.to_owned());
        }
        Ok(vectors)
    }

    #[expect(clippy::type_complexity, reason = "what a window function needs of its argument")]
    fn stored(&self, m: &MatrixSelector) -> Outcome<(Vec<(Series, bool)>, i64, Place, RangeEdges)> {
        let range_ms = self.length(&m.range)?;
        let place = self.place(m.selector.at, m.selector.offset.as_ref())?;
        let series = self.matching(&m.selector.matchers).map(|s| (s.clone(), false)).collect();
        Ok((series, range_ms, place, m.selector.edges))
    }

    /// The inner vector on its own grid, as series.
    #[expect(clippy::type_complexity, reason = "what a window function needs of its argument")]
    fn subquery(
        &self,
        s: &Subquery,
        times: &[i64],
    ) -> Outcome<(Vec<(Series, bool)>, i64, Place, RangeEdges)> {
        let range_ms = self.length(&s.range)?;
        let step_ms = match &s.step {
            Some(step) => self.length(step)?,
            None => self.rules.subquery_step_ms,
        };
        let place = self.place(s.at, s.offset.as_ref())?;
        let before = place.end(times[0]) - range_ms;
        let mut t = step_ms * (before / step_ms);
        let mut inner = Vec::new();
        while t <= place.end(times[times.len() - 1]) {
            if t > before {
                inner.push(t);
            }
            t += step_ms;
        }
        let mut series: BTreeMap<Labels, (Series, bool)> = BTreeMap::new();
        let vectors = if inner.is_empty() { Vec::new() } else { self.vector(&s.expr, &inner)? };
        for (t_ms, vector) in inner.iter().zip(vectors) {
            for sample in vector {
                let empty =
                    || (Series { labels: sample.labels.clone(), samples: Vec::new() }, sample.drops_name);
                let entry = series.entry(sample.labels.clone()).or_insert_with(empty);
                let mut value = sample.value;
                if let Val::H(h) = &mut value {
                    use narthex_model::CounterResetHint::{Gauge, Unknown};
                    h.hint = if h.hint == Gauge { Gauge } else { Unknown };
                }
                entry.0.samples.push(Stored { t_ms: *t_ms, start_ms: 0, value });
            }
        }
        Ok((series.into_values().collect(), range_ms, place, RangeEdges::Plain))
    }

    /// One series that is 1 where there is nothing.
    pub(crate) fn absent(&self, arg: &Expr, vectors: &[Vector], times: &[i64]) -> Vec<Vector> {
        let selector = match arg.without_parens() {
            Expr::Vector(v) => Some(&**v),
            Expr::Matrix(m) => Some(&m.selector),
            _ => None,
        };
        let mut pairs: Vec<(String, String)> = Vec::new();
        let matchers = selector.map_or(&[][..], |s| &s.matchers[..]);
        for m in matchers.iter().filter(|m| m.name != METRIC_NAME && m.op == MatchOp::Equal) {
            if matchers.iter().filter(|other| other.name == m.name).count() == 1 {
                pairs.push((m.name.clone(), m.value.clone()));
            }
        }
        let labels = Labels::from_pairs(pairs);
        let one = |v: &Vector, t: i64| {
            if v.is_empty() { vec![self.sample(labels.clone(), t, Val::F(1.0))] } else { Vec::new() }
        };
        vectors.iter().zip(times).map(|(v, t)| one(v, *t)).collect()
    }
}

impl Sample {
    pub(crate) fn float(&self) -> Option<f64> {
        if let Val::F(v) = &self.value { Some(*v) } else { None }
    }
}

/// Two samples with one label set cannot be in one vector.
fn refuse_doubles(vector: &Vector) -> Outcome<()> {
    let mut labels: Vec<&Labels> = vector.iter().map(|s| &s.labels).collect();
    labels.sort();
    if labels.windows(2).any(|pair| pair[0] == pair[1]) { Err(TWICE.to_owned()) } else { Ok(()) }
}
