//! Aggregations, a step and a group at a time.

use std::collections::BTreeMap;

use narthex_model::{Labels, METRIC_NAME, format_float};
use narthex_promql::ast::{Aggregate, AggregateOp, Expr};

use super::data::Val;
use super::eval::{Outcome, Sample, Twin, Vector};
use super::over_time::{kahan, mean, quantile};

pub(crate) fn aggregate(twin: &Twin<'_>, a: &Aggregate, times: &[i64]) -> Outcome<Vec<Vector>> {
    let param = a.param.as_ref().map(Expr::without_parens);
    let params = match param {
        Some(Expr::String(_)) | None => vec![0.0; times.len()],
        Some(expr) => twin.scalar(expr, times)?,
    };
    let inputs = twin.vector(&a.expr, times)?;
    if let Some(Expr::String(label)) = param {
        return inputs.iter().zip(times).map(|(v, t)| count_values(twin, a, &label.value, v, *t)).collect();
    }
    check_params(a.op, &params)?;
    let mut vectors: Vec<Vector> =
        inputs.iter().zip(times).zip(&params).map(|((v, t), p)| step(a, *p, v, *t)).collect();
    if !picks(a.op) {
        // COMPAT: whether a group loses its name at the end is what its last sample says.
        let mut last: BTreeMap<Labels, bool> = BTreeMap::new();
        for sample in vectors.iter_mut().rev().flatten() {
            sample.drops_name = *last.entry(sample.labels.clone()).or_insert(sample.drops_name);
        }
    }
    Ok(vectors)
}

/// Whether an aggregation gives series of its input.
fn picks(op: AggregateOp) -> bool {
    matches!(op, AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio)
}

/// Whether any sample of a group has lost its name. COMPAT: where histograms are left out, those before the first float say nothing.
fn any_drops(op: AggregateOp, members: &[&Sample]) -> bool {
    let takes_histograms =
        matches!(op, AggregateOp::Sum | AggregateOp::Avg | AggregateOp::Count | AggregateOp::Group);
    let first = members.iter().position(|s| takes_histograms || s.float().is_some());
    first.is_some_and(|first| members[first..].iter().any(|s| s.drops_name))
}

/// What is refused, at whichever step.
fn check_params(op: AggregateOp, params: &[f64]) -> Outcome<()> {
    let bad = match op {
        AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio => {
            params.iter().any(|p| p.is_nan())
        }
        _ => false,
    };
    if bad { Err("Parameter value is NaN".to_owned()) } else { Ok(()) }
}

fn group_of(a: &Aggregate, labels: &Labels) -> Labels {
    if a.without { labels.drop(&a.grouping).drop(&[METRIC_NAME]) } else { labels.keep(&a.grouping) }
}

fn step(a: &Aggregate, param: f64, input: &Vector, t_ms: i64) -> Vector {
    let mut groups: BTreeMap<Labels, Vec<&Sample>> = BTreeMap::new();
    for sample in input {
        groups.entry(group_of(a, &sample.labels)).or_default().push(sample);
    }
    let mut out = Vector::new();
    for (labels, members) in groups {
        let floats: Vec<f64> = members.iter().filter_map(|s| s.float()).collect();
        let value = match a.op {
            AggregateOp::Topk | AggregateOp::Bottomk => {
                out.extend(best(a.op, param, &members));
                None
            }
            AggregateOp::Limitk => {
                out.extend(members.iter().take(param.max(0.0) as usize).map(|s| (*s).clone()));
                None
            }
            AggregateOp::Sum | AggregateOp::Avg => total(a.op, &members, &floats),
            AggregateOp::Count => Some(Val::F(members.len() as f64)),
            AggregateOp::Group => Some(Val::F(1.0)),
            _ if floats.is_empty() => None,
            op => Some(Val::F(of_floats(op, param, floats))),
        };
        let drops_name = any_drops(a.op, &members);
        out.extend(value.map(|value| Sample { labels, drops_name, t_ms, value }));
    }
    out
}

fn of_floats(op: AggregateOp, param: f64, floats: Vec<f64>) -> f64 {
    let extreme = |better: fn(f64, f64) -> bool| {
        floats.iter().copied().reduce(|a, b| if better(b, a) || a.is_nan() { b } else { a }).unwrap()
    };
    match op {
        AggregateOp::Min => extreme(|a, b| a < b),
        AggregateOp::Max => extreme(|a, b| a > b),
        AggregateOp::Quantile => quantile(param, floats),
        AggregateOp::Stdvar => variance(&floats),
        AggregateOp::Stddev => variance(&floats).sqrt(),
        _ => unreachable!("no twin of {op:?}"),
    }
}

/// Welford's running variance; one number that is not finite makes it NaN.
fn variance(floats: &[f64]) -> f64 {
    let (mut n, mut mean) = (1.0, floats[0]);
    let mut squares = if mean.is_finite() { 0.0 } else { f64::NAN };
    for v in &floats[1..] {
        n += 1.0;
        let delta = v - mean;
        mean += delta / n;
        squares += delta * (v - mean);
    }
    squares / n
}

/// Histograms with histograms, floats with floats; a mix gives nothing.
fn total(op: AggregateOp, members: &[&Sample], floats: &[f64]) -> Option<Val> {
    if floats.len() == members.len() {
        return Some(Val::F(if op == AggregateOp::Avg {
            mean(floats)
        } else {
            let (sum, lost) = kahan(floats[1..].iter().copied(), floats[0]);
            sum + lost
        }));
    }
    if !floats.is_empty() {
        return None;
    }
    let mut hists =
        members.iter().map(|s| if let Val::H(h) = &s.value { h } else { unreachable!("no floats") });
    let mut sum = hists.next()?.clone();
    for h in hists {
        sum = sum.plus(h, 1.0).ok()?.0;
    }
    let count = members.len() as f64;
    Some(Val::H(if op == AggregateOp::Avg { sum.divided_by(count).compact() } else { sum.compact() }))
}

/// The `k` best floats, best first; NaN is the worst of all.
fn best(op: AggregateOp, k: f64, members: &[&Sample]) -> Vec<Sample> {
    let mut floats: Vec<(f64, &Sample)> = members.iter().filter_map(|s| Some((s.float()?, *s))).collect();
    floats.sort_by(|(a, _), (b, _)| {
        let by_value = if op == AggregateOp::Topk { b.partial_cmp(a) } else { a.partial_cmp(b) };
        by_value.unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
    });
    floats.into_iter().take(k.max(0.0) as usize).map(|(_, s)| s.clone()).collect()
}

fn count_values(twin: &Twin<'_>, a: &Aggregate, label: &str, input: &Vector, t_ms: i64) -> Outcome<Vector> {
    let mut counts: BTreeMap<Labels, f64> = BTreeMap::new();
    for sample in input {
        let Some(v) = sample.float() else {
            return Err("no twin of count_values over histograms".to_owned());
        };
        let mut builder = sample.labels.to_builder();
        builder.set(label, &format_float(v));
        let labels = builder.labels();
        let group = if a.without {
            group_of(a, &labels)
        } else {
            let mut names = a.grouping.clone();
            names.push(label.to_owned());
            labels.keep(&names)
        };
        *counts.entry(group).or_default() += 1.0;
    }
    // COMPAT: a name that was to be dropped at the end stays here.
    Ok(counts.into_iter().map(|(labels, n)| twin.sample(labels, t_ms, Val::F(n))).collect())
}
