//! Functions over a range: from the samples of one window to at most one value.

use narthex_promql::functions_table::Function;

use super::data::{Stored, Val};
use super::histogram::Hist;

/// One window `(from, to]` of one series, staleness markers taken out.
pub(crate) struct Window<'a> {
    pub samples: &'a [Stored],
    /// With `anchored` and `smoothed` the samples around the window as well.
    pub from: i64,
    pub to: i64,
    pub eval_t: i64,
    /// Whether start times count.
    pub starts: bool,
}

/// A compensated sum from 0: the sum and what rounding lost.
pub(crate) fn kahan(values: impl Iterator<Item = f64>, mut sum: f64) -> (f64, f64) {
    let mut lost = 0.0;
    for v in values {
        let t = sum + v;
        if t.is_infinite() {
            lost = 0.0;
        } else if sum.abs() >= v.abs() {
            lost += (sum - t) + v;
        } else {
            lost += (v - t) + sum;
        }
        sum = t;
    }
    (sum, lost)
}

/// A mean: the compensated sum by the count; after the sum would overflow, updated step by step.
pub(crate) fn mean(values: &[f64]) -> f64 {
    let (mut sum, mut lost, mut count) = (values[0], 0.0, 1.0);
    let mut running = false;
    for v in &values[1..] {
        count += 1.0;
        if !running {
            let (next, more) = kahan(std::iter::once(*v), sum);
            if !next.is_infinite() {
                (sum, lost) = (next, lost + more);
                continue;
            }
            running = true;
            sum /= count - 1.0;
            lost /= count - 1.0;
        }
        let q = (count - 1.0) / count;
        let (next, more) = kahan(std::iter::once(v / count), q * sum);
        (sum, lost) = (next, if next.is_infinite() { 0.0 } else { q * lost + more });
    }
    if running { sum + lost } else { sum / count + lost / count }
}

pub(crate) fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    let rank = q * (values.len() as f64 - 1.0);
    let low = rank.floor() as usize;
    let high = (low + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[low] * (1.0 - weight) + values[high] * weight
}

pub(crate) fn variance(values: &[f64]) -> f64 {
    let (mut n, mut mean, mut mean_lost, mut aux, mut aux_lost) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let add = |x: f64, sum: f64, lost: f64| {
        let (next, more) = kahan(std::iter::once(x), sum);
        (next, if next.is_infinite() { 0.0 } else { lost + more })
    };
    for v in values {
        n += 1.0;
        let delta = v - (mean + mean_lost);
        (mean, mean_lost) = add(delta / n, mean, mean_lost);
        (aux, aux_lost) = add(delta * (v - (mean + mean_lost)), aux, aux_lost);
    }
    (aux + aux_lost) / n
}

/// Least squares: slope, and value at `at_ms`.
fn line(points: &[(i64, f64)], at_ms: i64) -> (f64, f64) {
    let first = points[0].1;
    if points.iter().all(|(_, v)| *v == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let x = |t: i64| (t - at_ms) as f64 / 1000.0;
    let total = |f: &dyn Fn(i64, f64) -> f64| {
        let mut sum = (0.0, 0.0);
        for (t, v) in points {
            let (next, more) = kahan(std::iter::once(f(*t, *v)), sum.0);
            sum = (next, if next.is_infinite() { 0.0 } else { sum.1 + more });
        }
        sum.0 + sum.1
    };
    let n = points.len() as f64;
    let (sx, sy) = (total(&|t, _| x(t)), total(&|_, v| v));
    let (sxy, sxx) = (total(&|t, v| x(t) * v), total(&|t, _| x(t) * x(t)));
    let slope = (sxy - sx * sy / n) / (sxx - sx * sx / n);
    (slope, sy / n - slope * sx / n)
}

/// Whether the start of `b` says that the counter began anew after `a`.
fn starts_anew(a: &Stored, b: &Stored) -> bool {
    if b.start_ms == 0 || b.start_ms >= b.t_ms || b.start_ms < a.t_ms {
        return false;
    }
    b.start_ms > a.t_ms || (a.start_ms <= a.t_ms && a.start_ms != 0 && a.start_ms != a.t_ms)
}

impl Window<'_> {
    fn floats(&self) -> Vec<(i64, f64)> {
        let float = |s: &Stored| if let Val::F(v) = &s.value { Some((s.t_ms, *v)) } else { None };
        self.samples.iter().filter_map(float).collect()
    }

    fn hists(&self) -> Vec<&Hist> {
        self.samples.iter().filter_map(|s| if let Val::H(h) = &s.value { Some(h) } else { None }).collect()
    }

    fn is_reset(&self, a: &Stored, b: &Stored) -> bool {
        if self.starts && starts_anew(a, b) {
            return true;
        }
        match (&a.value, &b.value) {
            (Val::F(a), Val::F(b)) => b < a,
            (Val::H(a), Val::H(b)) => b.is_reset_after(a),
            _ => true,
        }
    }
}

/// What `function` gives for a window; `None` for no sample.
pub(crate) fn over_range(function: Function, w: &Window<'_>, params: &[f64]) -> Result<Option<Val>, String> {
    if w.samples.is_empty() {
        return Ok(None);
    }
    use Function as F;
    let float = |v: f64| Ok(Some(Val::F(v)));
    let (floats, hists) = (w.floats(), w.hists());
    let (first, last) = (&w.samples[0], &w.samples[w.samples.len() - 1]);
    match function {
        F::Rate => return Ok(rate(w, true, true)),
        F::Increase => return Ok(rate(w, true, false)),
        F::Delta => return Ok(rate(w, false, false)),
        F::Irate => return Ok(instant_rate(w, true)),
        F::Idelta => return Ok(instant_rate(w, false)),
        F::SumOverTime | F::AvgOverTime if !hists.is_empty() => {
            return Ok(if floats.is_empty() { fold_hists(&hists, function == F::AvgOverTime) } else { None });
        }
        F::CountOverTime => return float(w.samples.len() as f64),
        F::PresentOverTime => return float(1.0),
        F::FirstOverTime => return Ok(Some(first.value.clone())),
        F::LastOverTime => return Ok(Some(last.value.clone())),
        F::TsOfFirstOverTime => return float(first.t_ms as f64 / 1000.0),
        F::TsOfLastOverTime => return float(last.t_ms as f64 / 1000.0),
        F::Resets => {
            return float(w.samples.windows(2).filter(|p| w.is_reset(&p[0], &p[1])).count() as f64);
        }
        F::Changes => {
            let changed = |p: &&[Stored]| match (&p[0].value, &p[1].value) {
                (Val::F(a), Val::F(b)) => a != b && !(a.is_nan() && b.is_nan()),
                (Val::H(a), Val::H(b)) => !a.is_same(b),
                _ => true,
            };
            return float(w.samples.windows(2).filter(changed).count() as f64);
        }
        _ => {}
    }
    if floats.is_empty() { Ok(None) } else { Ok(of_floats(function, &floats, w.eval_t, params)?.map(Val::F)) }
}

/// The functions that look at floats only, of which there is at least one.
fn of_floats(
    function: Function,
    floats: &[(i64, f64)],
    eval_t: i64,
    params: &[f64],
) -> Result<Option<f64>, String> {
    use Function as F;
    let values: Vec<f64> = floats.iter().map(|(_, v)| *v).collect();
    let best = |better: fn(f64, f64) -> bool| {
        let mut best = floats[0];
        for point in floats {
            if better(point.1, best.1) || best.1.is_nan() {
                best = *point;
            }
        }
        best
    };
    Ok(Some(match function {
        F::SumOverTime => {
            let (sum, lost) = kahan(values.iter().copied(), 0.0);
            if sum.is_infinite() { sum } else { sum + lost }
        }
        F::AvgOverTime => mean(&values),
        F::MinOverTime => best(|a, b| a < b).1,
        F::MaxOverTime => best(|a, b| a > b).1,
        F::TsOfMinOverTime => best(|a, b| a <= b).0 as f64 / 1000.0,
        F::TsOfMaxOverTime => best(|a, b| a >= b).0 as f64 / 1000.0,
        F::StdvarOverTime => variance(&values),
        F::StddevOverTime => variance(&values).sqrt(),
        F::QuantileOverTime => quantile(params[0], values),
        F::MadOverTime if values.iter().any(|v| v.is_nan()) => f64::NAN,
        F::MadOverTime => {
            let median = quantile(0.5, values.clone());
            quantile(0.5, values.iter().map(|v| (v - median).abs()).collect())
        }
        F::Deriv | F::PredictLinear | F::DoubleExponentialSmoothing if floats.len() < 2 => {
            if function == F::DoubleExponentialSmoothing {
                check_factors(params)?;
            }
            return Ok(None);
        }
        F::Deriv => line(floats, floats[0].0).0,
        F::PredictLinear => {
            let (slope, value) = line(floats, eval_t);
            slope * params[0] + value
        }
        F::DoubleExponentialSmoothing => {
            check_factors(params)?;
            smooth(&values, params[0], params[1])
        }
        _ => unreachable!("no twin of {}", function.name()),
    }))
}

fn check_factors(params: &[f64]) -> Result<(), String> {
    if params.iter().take(2).all(|p| *p > 0.0 && *p < 1.0) {
        Ok(())
    } else {
        Err("invalid factor".to_owned())
    }
}

fn smooth(values: &[f64], level: f64, trend: f64) -> f64 {
    let (mut before, mut now, mut slope) = (0.0, values[0], values[1] - values[0]);
    for (i, v) in values.iter().enumerate().skip(1) {
        if i > 1 {
            slope = trend * (now - before) + (1.0 - trend) * slope;
        }
        (before, now) = (now, level * v + (1.0 - level) * (now + slope));
    }
    now
}

fn fold_hists(hists: &[&Hist], is_mean: bool) -> Option<Val> {
    let mut sum = hists[0].clone();
    for h in &hists[1..] {
        sum = sum.plus(h, 1.0).ok()?.0;
    }
    Some(Val::H(if is_mean { sum.divided_by(hists.len() as f64) } else { sum }))
}

fn rate(w: &Window<'_>, is_counter: bool, is_rate: bool) -> Option<Val> {
    let (first, last) = (&w.samples[0], &w.samples[w.samples.len() - 1]);
    let is_float = matches!(first.value, Val::F(_));
    if w.samples.iter().any(|s| matches!(s.value, Val::F(_)) != is_float) {
        return None;
    }
    let starts = w.starts && is_counter;
    let known_start = starts && first.start_ms != 0 && first.start_ms > w.from && first.start_ms < first.t_ms;
    if w.samples.len() < 2 && !known_start {
        return None;
    }
    let mut increase = if w.samples.len() < 2 { None } else { Some(increase(w, is_counter)?) };
    if known_start {
        increase = Some(match (increase, &first.value) {
            (None, value) => value.clone(),
            (Some(Val::F(sum)), Val::F(first)) => Val::F(sum + first),
            (Some(Val::H(sum)), Val::H(first)) => Val::H(sum.plus(first, 1.0).ok()?.0),
            _ => unreachable!("all samples are of one kind"),
        });
    }
    let increase = increase?;
    let count = |v: &Val| match v {
        Val::F(v) => *v,
        Val::H(h) => h.count,
    };
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1000.0;
    let gaps = (w.samples.len() - 1) as f64;
    let mut sampled = seconds(first.t_ms, last.t_ms);
    let average = if gaps > 0.0 { sampled / gaps } else { 0.0 };
    let (mut left, mut right) = (seconds(w.from, first.t_ms), seconds(last.t_ms, w.to));
    if known_start {
        (left, sampled) = (0.0, seconds(first.start_ms, last.t_ms));
    } else {
        if left >= average * 1.1 {
            left = average / 2.0;
        }
        if is_counter && count(&increase) > 0.0 && count(&first.value) >= 0.0 {
            let to_zero = sampled * (count(&first.value) / count(&increase));
            if to_zero < left {
                left = to_zero;
            }
        }
    }
    if right >= average * 1.1 {
        right = average / 2.0;
    }
    let mut factor = if sampled == 0.0 { 1.0 } else { (sampled + left + right) / sampled };
    if is_rate {
        factor /= seconds(w.from, w.to);
    }
    Some(match increase {
        Val::F(v) => Val::F(v * factor),
        Val::H(h) => Val::H(h.times(factor)),
    })
}

/// Last minus first of at least two samples of one kind, and what each reset took away.
fn increase(w: &Window<'_>, is_counter: bool) -> Option<Val> {
    let samples = w.samples;
    let last = &samples[samples.len() - 1];
    match (&samples[0].value, &last.value) {
        (Val::F(first), Val::F(end)) => {
            let mut sum = end - first;
            for pair in samples.windows(2).filter(|p| is_counter && w.is_reset(&p[0], &p[1])) {
                if let Val::F(before) = &pair[0].value {
                    sum += before;
                }
            }
            Some(Val::F(sum))
        }
        (Val::H(_), Val::H(end)) => {
            let hists = w.hists();
            // A first sample that a reset follows at once says nothing, not even by its layout.
            let skip = usize::from(is_counter && w.is_reset(&samples[0], &samples[1]));
            let relevant = if is_counter { &hists[skip..] } else { &[hists[0], end][..] };
            if relevant.iter().any(|h| h.is_custom() != end.is_custom()) {
                return None;
            }
            let schema = relevant.iter().map(|h| h.schema).min()?;
            let mut sum = end.at_schema(schema);
            // COMPAT: the bounds of what is not looked at any more still count, those of the second sample.
            let nothing = hists[1].nothing();
            sum = sum.plus(if skip == 0 { hists[0] } else { &nothing }, -1.0).ok()?.0;
            for i in 1 + skip..samples.len() {
                if is_counter && w.is_reset(&samples[i - 1], &samples[i]) {
                    sum = sum.plus(hists[i - 1], 1.0).ok()?.0;
                }
            }
            Some(Val::H(sum.compact()))
        }
        _ => None,
    }
}

fn instant_rate(w: &Window<'_>, is_rate: bool) -> Option<Val> {
    let [.., a, b] = w.samples else { return None };
    let restarted = is_rate && w.is_reset(a, b);
    let by = (b.t_ms - a.t_ms) as f64 / 1000.0;
    match (&a.value, &b.value) {
        (Val::F(a), Val::F(b)) => {
            let change = if restarted { *b } else { b - a };
            Some(Val::F(if is_rate { change / by } else { change }))
        }
        (Val::H(a), Val::H(b)) => {
            let change = if restarted { b.clone() } else { b.plus(a, -1.0).ok()?.0 };
            let change = change.compact();
            Some(Val::H(if is_rate { change.divided_by(by) } else { change }))
        }
        _ => None,
    }
}

/// `rate`, `increase`, `delta` with exact edges over floats: the value at each edge is that of the sample before it (`anchored`) or lies on the
/// line between its neighbours (`smoothed`).
pub(crate) fn extended(function: Function, w: &Window<'_>, smoothed: bool) -> Option<Val> {
    if matches!(function, Function::Resets | Function::Changes) {
        let before = w.samples.iter().take_while(|s| s.t_ms <= w.from).count();
        if before == w.samples.len() {
            return None;
        }
        let inside = Window { samples: &w.samples[before.saturating_sub(1)..], ..*w };
        return over_range(function, &inside, &[]).ok().flatten();
    }
    let is_counter = function != Function::Delta;
    let all = w.floats();
    if all.is_empty() || all.len() != w.samples.len() {
        return None;
    }
    let first = all.iter().take(all.len() - 1).take_while(|(t, _)| *t <= w.from).count().saturating_sub(1);
    let last = if smoothed {
        all.iter().take(all.len() - 1).take_while(|(t, _)| *t < w.to).count()
    } else {
        all.len() - 1
    };
    if all[last].0 <= w.from || (smoothed && all[first].0 > w.to) {
        return None;
    }
    let between = |a: (i64, f64), b: (i64, f64), t: i64| {
        let from = if is_counter && b.1 < a.1 { 0.0 } else { a.1 };
        from + (b.1 - from) * (t - a.0) as f64 / (b.0 - a.0) as f64
    };
    let left = if smoothed && all[first].0 < w.from {
        between(all[first], all[first + 1], w.from)
    } else {
        all[first].1
    };
    let right = if smoothed && last > 0 && all[last].0 > w.to {
        between(all[last - 1], all[last], w.to)
    } else {
        all[last].1
    };
    let mut result = right - left;
    if is_counter {
        let (mut before, mut lost) = (left, 0.0);
        let inside = |i: usize| (i > first || all[i].0 > w.from) && (i < last || all[i].0 < w.to);
        let middle = (first..=last).filter(|i| inside(*i)).map(|i| all[i].1);
        for v in middle.chain([right]) {
            if v < before {
                lost += before;
            }
            before = v;
        }
        result += lost;
    }
    if function == Function::Rate {
        result /= (w.to - w.from) as f64 / 1000.0;
    }
    Some(Val::F(result))
}
