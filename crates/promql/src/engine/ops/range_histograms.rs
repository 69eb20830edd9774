//! Functions over range vectors of series that hold native histograms, alone or among floats.
//!
//! The float columns have gone through the straight way (`kernels/range.rs`) before; here the windows that hold histograms
//! are looked at again, one by one.

use std::sync::Arc;

use narthex_model::CounterResetHint;
use narthex_storage::SampleBatch;

use crate::ast::Span;
use crate::engine::annotations::{Annotations, HistogramOperation};
use crate::engine::error::QueryError;
use crate::engine::kernels::counter::{overlaps, starts_anew};
use crate::engine::kernels::extrapolation::{Ends, Extrapolation, Factors};
use crate::engine::kernels::range::RangeArgs;
use crate::engine::native::{Native, NativeFold};
use crate::engine::row::{Row, histogram_weight};
use crate::functions_table::Function;

/// What is told about, and where.
pub(crate) struct Telling<'a> {
    pub notes: &'a mut Annotations,
    pub name: String,
    /// Of the range vector.
    pub span: Span,
    /// Of the first argument.
    pub first_span: Span,
}

/// One window over both columns, at least one histogram in it.
struct Window<'a> {
    t: &'a [i64],
    v: &'a [f64],
    ht: &'a [i64],
    h: &'a [Native],
    /// Start timestamps of the floats; empty when there are none or they do not count.
    float_starts: &'a [i64],
    /// As `float_starts`, of the histograms.
    starts: &'a [i64],
    end_ms: i64,
}

/// What a window gives.
enum Result1 {
    /// What the floats alone gave stands.
    Keep,
    Nothing,
    Float(f64),
    Histogram(Native),
}

/// How many windows are worked on between two questions whether to go on; one may hold thousands of histograms.
const CHECK_EVERY: usize = 16;

/// Goes over the windows with histograms; `row` holds what the floats alone gave. Returns how many samples all windows hold
/// together.
///
/// # Errors
/// Those of `check`, which is asked every so often whether to go on.
pub(crate) fn run(
    function: Function,
    batch: &SampleBatch,
    args: &RangeArgs<'_>,
    row: &mut Row,
    (telling, check): (&mut Telling<'_>, &dyn Fn() -> Result<(), QueryError>),
) -> Result<u64, QueryError> {
    let histograms: Vec<Native> = batch.histograms.iter().map(|h| Native::from(&**h)).collect();
    let weights: Vec<u64> = batch.histograms.iter().map(|h| histogram_weight(h) as u64).collect();
    let mut touched = 0;
    for step in 0..args.steps.count {
        if step % CHECK_EVERY == CHECK_EVERY - 1 {
            check()?;
        }
        let end_ms = args.window.end(args.steps.at(step));
        let start_ms = end_ms - args.window.range_ms;
        let inside = |t: &[i64]| t.partition_point(|t| *t <= start_ms)..t.partition_point(|t| *t <= end_ms);
        let (floats, hists) = (inside(&batch.t_ms), inside(&batch.histogram_t_ms));
        touched += floats.len() as u64 + weights[hists.clone()].iter().sum::<u64>();
        if hists.is_empty() {
            continue;
        }
        let window = Window {
            t: &batch.t_ms[floats.clone()],
            v: &batch.values[floats.clone()],
            ht: &batch.histogram_t_ms[hists.clone()],
            h: &histograms[hists.clone()],
            float_starts: starts_of(&batch.start_ms, floats, args),
            starts: starts_of(&batch.histogram_start_ms, hists, args),
            end_ms,
        };
        match one(function, &window, args.window.range_ms, telling) {
            Result1::Keep => {}
            Result1::Nothing => row.present.unset(step),
            Result1::Float(v) => row.set(step, v),
            Result1::Histogram(h) => {
                row.present.unset(step);
                row.histograms.push((step as u32, Arc::new(h.pack())));
            }
        }
    }
    Ok(touched)
}

/// The start timestamps of a window, where there are any and they count.
fn starts_of<'a>(starts: &'a [i64], at: std::ops::Range<usize>, args: &RangeArgs<'_>) -> &'a [i64] {
    if args.use_starts { starts.get(at).unwrap_or_default() } else { &[] }
}

fn one(function: Function, w: &Window<'_>, range_ms: i64, telling: &mut Telling<'_>) -> Result1 {
    let is_mixed = !w.v.is_empty();
    match function {
        Function::Rate
        | Function::Increase
        | Function::Delta
        | Function::SumOverTime
        | Function::AvgOverTime
            if is_mixed =>
        {
            telling.notes.mixed_floats_histograms(&telling.name, telling.span);
            Result1::Nothing
        }
        Function::Rate => rate(w, Extrapolation { is_counter: true, is_rate: true }, range_ms, telling),
        Function::Increase => rate(w, Extrapolation { is_counter: true, is_rate: false }, range_ms, telling),
        Function::Delta => rate(w, Extrapolation { is_counter: false, is_rate: false }, range_ms, telling),
        Function::Irate => instant(w, true, telling),
        Function::Idelta => instant(w, false, telling),
        Function::SumOverTime => fold(w, false, telling),
        Function::AvgOverTime => fold(w, true, telling),
        Function::CountOverTime => Result1::Float((w.v.len() + w.h.len()) as f64),
        Function::PresentOverTime | Function::AbsentOverTime => Result1::Float(1.0),
        Function::FirstOverTime if is_mixed && w.t[0] < w.ht[0] => Result1::Keep,
        Function::FirstOverTime => Result1::Histogram(w.h[0].clone()),
        Function::LastOverTime if is_mixed && w.t[w.t.len() - 1] > w.ht[w.ht.len() - 1] => Result1::Keep,
        Function::LastOverTime => Result1::Histogram(w.h[w.h.len() - 1].clone()),
        Function::TsOfFirstOverTime => {
            let first = w.t.first().map_or(w.ht[0], |t| w.ht[0].min(*t));
            Result1::Float(first as f64 / 1000.0)
        }
        Function::TsOfLastOverTime => {
            let last = w.ht[w.ht.len() - 1];
            Result1::Float(w.t.last().map_or(last, |t| last.max(*t)) as f64 / 1000.0)
        }
        Function::Changes => Result1::Float(count_pairs(w, |a, b| match (a.value, b.value) {
            (Value::Float(a), Value::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
            (Value::Histogram(a), Value::Histogram(b)) => !b.is_same(a),
            _ => true,
        })),
        Function::Resets => Result1::Float(count_pairs(w, |a, b| {
            let anew = starts_anew(a.start_ms, a.t_ms, b.start_ms, b.t_ms);
            anew || match (a.value, b.value) {
                (Value::Float(a), Value::Float(b)) => b < a,
                (Value::Histogram(a), Value::Histogram(b)) => b.is_reset_after(a),
                _ => true,
            }
        })),
        // The others work on floats only.
        _ => {
            if is_mixed {
                telling.notes.histograms_ignored_in_range(&telling.name, telling.first_span);
            }
            Result1::Keep
        }
    }
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Float(f64),
    Histogram(&'a Native),
}

/// One sample of either kind; `start_ms` is 0 where it is unknown or does not count.
#[derive(Clone, Copy)]
struct Sample<'a> {
    t_ms: i64,
    start_ms: i64,
    value: Value<'a>,
}

/// All samples of a window in order of time.
fn samples<'a>(w: &Window<'a>) -> Vec<Sample<'a>> {
    let start = |starts: &[i64], i: usize| starts.get(i).copied().unwrap_or(0);
    let float =
        |i: usize| Sample { t_ms: w.t[i], start_ms: start(w.float_starts, i), value: Value::Float(w.v[i]) };
    let histogram =
        |i: usize| Sample { t_ms: w.ht[i], start_ms: start(w.starts, i), value: Value::Histogram(&w.h[i]) };
    let mut all: Vec<Sample<'a>> = (0..w.t.len()).map(float).chain((0..w.ht.len()).map(histogram)).collect();
    all.sort_by_key(|sample| sample.t_ms);
    all
}

fn count_pairs(w: &Window<'_>, counts: impl Fn(Sample<'_>, Sample<'_>) -> bool) -> f64 {
    samples(w).windows(2).filter(|pair| counts(pair[0], pair[1])).count() as f64
}

impl Window<'_> {
    /// Whether the counter began anew between histogram `i - 1` and `i`; `before` stands for the former.
    fn is_reset(&self, i: usize, before: &Native) -> bool {
        let s = self.starts;
        let says_so = !s.is_empty() && starts_anew(s[i - 1], self.ht[i - 1], s[i], self.ht[i]);
        says_so || self.h[i].is_reset_after(before)
    }
}

fn rate(w: &Window<'_>, kind: Extrapolation, range_ms: i64, telling: &mut Telling<'_>) -> Result1 {
    let starts = if kind.is_counter { w.starts } else { &[] };
    let ends = Ends {
        first_t: w.ht[0],
        last_t: w.ht[w.ht.len() - 1],
        first: w.h[0].count.value,
        first_start: starts.first().copied().unwrap_or(0),
        gaps: w.h.len() - 1,
    };
    let starts_inside = ends.start_inside(kind, w.end_ms - range_ms);
    let mut result = if w.h.len() > 1 {
        let Some(increase) = increase(w, kind.is_counter, telling) else { return Result1::Nothing };
        Some(increase)
    } else {
        None
    };
    if starts_inside {
        match &mut result {
            None => result = Some(w.h[0].clone()),
            Some(increase) => {
                if increase.add(&w.h[0]).is_err() {
                    telling.notes.mixed_exponential_custom(&telling.name, telling.span);
                    return Result1::Nothing;
                }
            }
        }
    }
    let Some(mut result) = result else { return Result1::Nothing };
    match Factors::new(kind, range_ms).of(result.count.value, &ends, w.end_ms) {
        Some(factor) => {
            result.multiply(factor);
            Result1::Histogram(result)
        }
        None => Result1::Nothing,
    }
}

/// The increase from the first to the last of at least two histograms, resets corrected for counters.
fn increase(w: &Window<'_>, is_counter: bool, telling: &mut Telling<'_>) -> Option<Native> {
    let points = w.h;
    let is_gauge = |h: &Native| h.hint == CounterResetHint::Gauge;
    let (first, last) = (&points[0], &points[points.len() - 1]);
    let inner = &points[1..points.len() - 1];
    if is_counter && (is_gauge(first) || is_gauge(last) || inner.iter().any(is_gauge)) {
        telling.notes.native_not_counter(&telling.name, telling.span);
    }
    // Before a reset the layout of the first sample does not matter.
    let nothing = Native::empty_like(&points[1]);
    let anew = is_counter && w.is_reset(1, first);
    let mut before = if anew { &nothing } else { first };
    let custom = before.has_custom_buckets();
    let mixes = |h: &Native| h.has_custom_buckets() != custom;
    if mixes(last) || (is_counter && inner.iter().any(mixes)) {
        telling.notes.mixed_exponential_custom(&telling.name, telling.span);
        return None;
    }
    let inner_schemas = inner.iter().filter(|_| is_counter).map(|h| h.schema);
    let schema = inner_schemas.fold(before.schema.min(last.schema), i32::min);
    let mut result = last.clone();
    result.reduce_to(schema);
    let reconciled = result.subtract(before).ok()?.bounds_reconciled;
    if reconciled {
        telling.notes.custom_buckets_reconciled(HistogramOperation::Subtraction, telling.span);
    }
    if is_counter {
        for (i, current) in points.iter().enumerate().skip(1) {
            if w.is_reset(i, before) && result.add(before).ok()?.bounds_reconciled {
                telling.notes.custom_buckets_reconciled(HistogramOperation::Addition, telling.span);
            }
            before = current;
        }
        let s = w.starts;
        if (1..s.len()).any(|i| overlaps(s[i - 1], w.ht[i - 1], s[i])) {
            telling.notes.start_time_overlap(&telling.name, telling.span);
        }
    } else if !is_gauge(first) || !is_gauge(last) {
        telling.notes.native_not_gauge(&telling.name, telling.span);
    }
    result.hint = CounterResetHint::Gauge;
    result.compact();
    Some(result)
}

/// `irate` and `idelta`: from the last two samples, which must be of one kind.
fn instant(w: &Window<'_>, is_rate: bool, telling: &mut Telling<'_>) -> Result1 {
    let all = samples(w);
    let [.., before, last] = all[..] else { return Result1::Nothing };
    let (before_t, last_t) = (before.t_ms, last.t_ms);
    let (before, last) = match (before.value, last.value) {
        (Value::Float(_), Value::Float(_)) => return Result1::Keep,
        (Value::Histogram(before), Value::Histogram(last)) => (before, last),
        _ => {
            telling.notes.mixed_floats_histograms(&telling.name, telling.span);
            return Result1::Nothing;
        }
    };
    let gauges = [before, last].map(|h| h.hint == CounterResetHint::Gauge);
    if is_rate && gauges.contains(&true) {
        telling.notes.native_not_counter(&telling.name, telling.first_span);
    }
    if !is_rate && gauges.contains(&false) {
        telling.notes.native_not_gauge(&telling.name, telling.first_span);
    }
    let mut result = last.clone();
    if !is_rate || !w.is_reset(w.h.len() - 1, before) {
        match result.subtract(before) {
            Ok(done) if done.bounds_reconciled => {
                telling.notes.custom_buckets_reconciled(HistogramOperation::Subtraction, telling.first_span);
            }
            Ok(_) => {}
            Err(_) => {
                telling.notes.mixed_exponential_custom(&telling.name, telling.first_span);
                return Result1::Nothing;
            }
        }
    }
    result.hint = CounterResetHint::Gauge;
    result.compact();
    if is_rate {
        result.divide((last_t - before_t) as f64 / 1000.0);
    }
    Result1::Histogram(result)
}

fn fold(w: &Window<'_>, is_mean: bool, telling: &mut Telling<'_>) -> Result1 {
    let mut fold = NativeFold::new(&w.h[0], is_mean);
    let added = w.h[1..].iter().try_for_each(|h| fold.add(h));
    if added.is_err() {
        telling.notes.mixed_exponential_custom(&telling.name, telling.first_span);
        return Result1::Nothing;
    }
    let folded = fold.finish();
    if folded.happened.resets_collide {
        telling.notes.counter_reset_collision(HistogramOperation::Aggregation, telling.first_span);
    }
    if folded.happened.bounds_reconciled {
        telling.notes.custom_buckets_reconciled(HistogramOperation::Aggregation, telling.first_span);
    }
    Result1::Histogram(folded.value)
}
