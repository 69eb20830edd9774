//! Functions over instant vectors: arithmetic, dates, labels, quantiles of histograms, sorting.

use std::collections::BTreeMap;

use narthex_model::{BUCKET_LABEL, Labels, METRIC_NAME, Regex, format_float, parse_go_float};
use narthex_promql::ast::{Call, Expr, RangeEdges, ValueType, VectorSelector};
use narthex_promql::functions_table::Function;

use super::data::{Stored, Val};
use super::eval::{Outcome, Sample, TWICE, Twin, Vector, without_name};

fn text(c: &Call, at: usize) -> &str {
    match c.args[at].without_parens() {
        Expr::String(s) => &s.value,
        other => unreachable!("not a string: {other:?}"),
    }
}

pub(crate) fn call(twin: &Twin<'_>, c: &Call, times: &[i64]) -> Outcome<Vec<Vector>> {
    use Function as F;
    let mut scalars = Vec::new();
    let mut vectors = Vec::new();
    for arg in &c.args {
        match arg.value_type() {
            ValueType::Scalar => scalars.push(twin.scalar(arg, times)?),
            ValueType::InstantVector => vectors.push(match (c.func, arg.without_parens()) {
                // COMPAT: when a sample was taken is told of the newest one, smoothed or not.
                // COMPAT: with `@`, it must lie in the window that ends there, whatever the offset is, and in the window with it.
                (F::Timestamp | F::StartTimestamp, Expr::Vector(v)) => {
                    let plain = VectorSelector { edges: RangeEdges::Plain, ..(**v).clone() };
                    twin.in_both_windows(&plain, times)?
                }
                _ => twin.vector(arg, times)?,
            }),
            ValueType::RangeVector | ValueType::String => {}
        }
    }
    let one = |t: i64, v: f64| vec![twin.sample(Labels::empty(), t, Val::F(v))];
    if c.func == F::Vector {
        return Ok(times.iter().zip(&scalars[0]).map(|(t, v)| one(*t, *v)).collect());
    }
    if vectors.is_empty() {
        vectors.push(times.iter().map(|t| one(*t, *t as f64 / 1000.0)).collect());
    }
    let input = &vectors[0];
    match c.func {
        F::Absent => return Ok(twin.absent(&c.args[0], input, times)),
        F::LabelReplace | F::LabelJoin => {
            let relabeled = input.iter().map(|v| relabel(c, v)).collect::<Outcome<Vec<Vector>>>()?;
            return Ok(relabeled);
        }
        F::HistogramQuantile | F::HistogramQuantiles | F::HistogramFraction => {
            let params = |step: usize| scalars.iter().map(|s| s[step]).collect::<Vec<f64>>();
            let of = |(step, v): (usize, &Vector)| of_histograms(twin, c, v, &params(step), times[step]);
            return Ok(input.iter().enumerate().map(of).collect());
        }
        F::Sort | F::SortDesc | F::SortByLabel | F::SortByLabelDesc => {
            return Ok(input.iter().map(|v| sorted(c, v)).collect());
        }
        _ => {}
    }
    let of_selector = matches!(c.args.first().map(Expr::without_parens), Some(Expr::Vector(_)));
    let per_step = |(step, v): (usize, &Vector)| {
        let params: Vec<f64> = scalars.iter().map(|s| s[step]).collect();
        let t = times[step];
        if matches!(c.func, F::Clamp) && params[1] < params[0] {
            return Vector::new();
        }
        let each = |s: &Sample| {
            let value = match c.func {
                F::Timestamp => Some((if of_selector { s.t_ms } else { t }) as f64 / 1000.0),
                _ => of_sample(c.func, &s.value, &params),
            };
            value.map(|v| twin.nameless(s, t, Val::F(v)))
        };
        v.iter().filter_map(each).collect()
    };
    if c.func == F::StartTimestamp {
        return Ok(input.iter().zip(times).map(|(v, t)| starts(twin, of_selector, v, *t)).collect());
    }
    Ok(input.iter().enumerate().map(per_step).collect())
}

/// When the counters of a vector began; only what comes right from a selector knows.
fn starts(twin: &Twin<'_>, of_selector: bool, v: &Vector, t: i64) -> Vector {
    if !of_selector || !twin.rules.use_starts {
        return Vector::new();
    }
    let start = |s: &Sample| {
        let series = twin.data.iter().find(|d| d.labels == s.labels);
        let stored: Option<&Stored> = series.and_then(|d| d.samples.iter().find(|x| x.t_ms == s.t_ms));
        stored.map_or(0, |x| x.start_ms) as f64 / 1000.0
    };
    v.iter().map(|s| twin.nameless(s, t, Val::F(start(s)))).collect()
}

/// The smaller of two; -Inf is smaller even than NaN.
pub(crate) fn smaller(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

pub(crate) fn larger(a: f64, b: f64) -> f64 {
    -smaller(-a, -b)
}

fn of_sample(function: Function, value: &Val, params: &[f64]) -> Option<f64> {
    use Function as F;
    let v = match value {
        Val::F(v) => *v,
        Val::H(h) => {
            return match function {
                F::HistogramCount => Some(h.count),
                F::HistogramSum => Some(h.sum),
                F::HistogramAvg => Some(h.sum / h.count),
                F::HistogramStdvar => Some(h.variance()),
                F::HistogramStddev => Some(h.variance().sqrt()),
                _ => None,
            };
        }
    };
    let clamp = |v: f64, low: f64, high: f64| larger(low, smaller(high, v));
    Some(match function {
        F::HistogramCount | F::HistogramSum | F::HistogramAvg | F::HistogramStdvar | F::HistogramStddev => {
            return None;
        }
        F::Abs => v.abs(),
        F::Ceil => v.ceil(),
        F::Floor => v.floor(),
        F::Exp => v.exp(),
        F::Sqrt => v.sqrt(),
        F::Ln => v.ln(),
        F::Log2 => v.log2(),
        F::Log10 => v.log10(),
        F::Sin => v.sin(),
        F::Cos => v.cos(),
        F::Tan => v.tan(),
        F::Asin => v.asin(),
        F::Acos => v.acos(),
        F::Atan => v.atan(),
        F::Sinh => v.sinh(),
        F::Cosh => v.cosh(),
        F::Tanh => v.tanh(),
        F::Asinh => v.asinh(),
        F::Acosh => v.acosh(),
        F::Atanh => v.atanh(),
        F::Rad => v * std::f64::consts::PI / 180.0,
        F::Deg => v * 180.0 / std::f64::consts::PI,
        F::Sgn if v > 0.0 => 1.0,
        F::Sgn if v < 0.0 => -1.0,
        F::Sgn => v,
        F::Round => {
            let inverse = 1.0 / params.first().copied().unwrap_or(1.0);
            (v * inverse + 0.5).floor() / inverse
        }
        F::Clamp => clamp(v, params[0], params[1]),
        F::ClampMin => clamp(v, params[0], f64::INFINITY),
        F::ClampMax => clamp(v, f64::NEG_INFINITY, params[0]),
        date => of_date(date, v),
    })
}

/// Parts of a date, UTC, year by year and month by month.
fn of_date(function: Function, v: f64) -> f64 {
    let seconds = v as i64;
    let (mut days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let weekday = (days + 4).rem_euclid(7);
    let is_leap = |y: i64| (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    let year_days = |y: i64| if is_leap(y) { 366 } else { 365 };
    // The calendar repeats itself after 400 years.
    let mut year = 1970 + 400 * days.div_euclid(146_097);
    days = days.rem_euclid(146_097);
    while days >= year_days(year) {
        days -= year_days(year);
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (mut day, mut month) = (days, 0);
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    (match function {
        Function::Minute => second / 60 % 60,
        Function::Hour => second / 3600,
        Function::DayOfWeek => weekday,
        Function::DayOfMonth => day + 1,
        Function::DayOfYear => days + 1,
        Function::DaysInMonth => lengths[month],
        Function::Month => month as i64 + 1,
        Function::Year => year,
        _ => unreachable!("no twin of {}", function.name()),
    }) as f64
}

fn relabel(c: &Call, input: &Vector) -> Outcome<Vector> {
    let target = text(c, 1);
    let one = |s: &Sample| {
        let value = if c.func == Function::LabelReplace {
            let (replacement, source) = (text(c, 2), s.labels.value(text(c, 3)));
            let regex = Regex::new_wrapped(text(c, 4)).unwrap();
            let mut value = String::new();
            if !regex.expand(source, replacement, &mut value) {
                return s.clone();
            }
            value
        } else {
            let parts: Vec<&str> = (3..c.args.len()).map(|i| s.labels.value(text(c, i))).collect();
            parts.join(text(c, 2))
        };
        let mut builder = s.labels.to_builder();
        if value.is_empty() {
            builder.remove(target)
        } else {
            builder.set(target, &value)
        };
        let drops_name = s.drops_name && target != METRIC_NAME;
        Sample { labels: builder.labels(), drops_name, ..s.clone() }
    };
    let out: Vector = input.iter().map(one).collect();
    let mut labels: Vec<&Labels> = out.iter().map(|s| &s.labels).collect();
    labels.sort();
    if labels.windows(2).any(|pair| pair[0] == pair[1]) { Err(TWICE.to_owned()) } else { Ok(out) }
}

fn sorted(c: &Call, input: &Vector) -> Vector {
    let mut out = input.clone();
    let descending = matches!(c.func, Function::SortDesc | Function::SortByLabelDesc);
    if matches!(c.func, Function::Sort | Function::SortDesc) {
        out.retain(|s| s.float().is_some());
        let value = |s: &Sample| s.float().unwrap();
        out.sort_by(|a, b| {
            let (a, b) = (value(a), value(b));
            let by_value = if descending { b.partial_cmp(&a) } else { a.partial_cmp(&b) };
            by_value.unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
        });
        return out;
    }
    let names: Vec<&str> = (1..c.args.len()).map(|i| text(c, i)).collect();
    let key = |s: &Sample| names.iter().map(|n| s.labels.value(n).to_owned()).collect::<Vec<_>>();
    out.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.labels.cmp(&b.labels)));
    if descending {
        out.reverse();
    }
    out
}

/// A classic histogram: upper bounds with cumulative counts.
type Classic = Vec<(f64, f64)>;

fn of_histograms(twin: &Twin<'_>, c: &Call, input: &Vector, params: &[f64], t: i64) -> Vector {
    let mut classic: BTreeMap<Labels, (Labels, Classic)> = BTreeMap::new();
    for s in input {
        let Some(count) = s.float() else { continue };
        let le = s.labels.value(BUCKET_LABEL);
        let Some(bound) = parse_go_float(le) else { continue };
        let key = s.labels.drop(&[BUCKET_LABEL]);
        classic.entry(key.clone()).or_insert((key, Vec::new())).1.push((bound, count));
    }
    let mut out = Vector::new();
    let mut give = |labels: &Labels, f: &dyn Fn(&[f64]) -> f64| {
        let labels = if twin.rules.delayed_names { labels.clone() } else { without_name(labels) };
        if c.func != Function::HistogramQuantiles {
            let value = Val::F(f(params));
            out.push(Sample { labels, drops_name: true, t_ms: t, value });
            return;
        }
        for q in params {
            let mut builder = labels.to_builder();
            builder.set(text(c, 1), &openmetrics(*q));
            out.push(Sample { labels: builder.labels(), drops_name: true, t_ms: t, value: Val::F(f(&[*q])) });
        }
    };
    let is_fraction = c.func == Function::HistogramFraction;
    for s in input {
        let Val::H(h) = &s.value else { continue };
        // A native and a classic histogram of one name: neither counts.
        if classic.remove(&s.labels).is_none() {
            give(&s.labels, &|p| if is_fraction { h.fraction(p[0], p[1]) } else { h.quantile(p[0]) });
        }
    }
    for (labels, buckets) in classic.values() {
        give(labels, &|p| {
            if is_fraction { classic_fraction(p[0], p[1], buckets) } else { classic_quantile(p[0], buckets) }
        });
    }
    out
}

/// A float as OpenMetrics writes it: with a point, or an exponent.
fn openmetrics(v: f64) -> String {
    let text = format_float(v);
    if v.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}

/// Sorted, equal bounds added up; `None` without a last bucket of +Inf.
fn tidy(buckets: &Classic) -> Option<Classic> {
    let mut sorted = buckets.clone();
    sorted.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap());
    if sorted[sorted.len() - 1].0 != f64::INFINITY {
        return None;
    }
    let mut tidy = Classic::new();
    for (bound, count) in sorted {
        match tidy.last_mut() {
            Some(last) if last.0 == bound => last.1 += count,
            _ => tidy.push((bound, count)),
        }
    }
    Some(tidy)
}

fn classic_quantile(q: f64, buckets: &Classic) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let Some(mut buckets) = tidy(buckets) else { return f64::NAN };
    let mut before = buckets[0].1;
    for (_, count) in &mut buckets[1..] {
        let close = (*count - before).abs() < 1e-12 * (count.abs() + before.abs());
        if *count == before || close || *count < before {
            *count = before;
        } else {
            before = *count;
        }
    }
    let (last, n) = (buckets.len() - 1, buckets[buckets.len() - 1].1);
    if last == 0 || n == 0.0 {
        return f64::NAN;
    }
    let rank = q * n;
    // A count that is NaN is not below the rank.
    let at = buckets[..last].partition_point(|(_, count)| count.is_nan() || *count < rank);
    if at == last {
        return buckets[last - 1].0;
    }
    if at == 0 && buckets[0].0 <= 0.0 {
        return buckets[0].0;
    }
    let (start, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    let (end, count) = buckets[at];
    start + (end - start) * ((rank - below) / (count - below))
}

fn classic_fraction(lower: f64, upper: f64, buckets: &Classic) -> f64 {
    let Some(buckets) = tidy(buckets) else { return f64::NAN };
    let n = buckets[buckets.len() - 1].1;
    if n == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let below = |v: f64| {
        let mut rank = 0.0;
        let mut start = if buckets[0].0 <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
        for (bound, count) in &buckets {
            if start >= v {
                return rank;
            }
            if *bound > v {
                let part = rank + (count - rank) * (v - start) / (bound - start);
                return if start == f64::NEG_INFINITY { *count } else { part };
            }
            (rank, start) = (*count, *bound);
        }
        n
    };
    let capped = |v: f64| if below(v) > n { n } else { below(v) };
    (capped(upper) - capped(lower)) / n
}
