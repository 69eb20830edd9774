//! The functions over range vectors: which there are, and how each runs over one series' samples and all steps.
//!
//! The batch comes without staleness markers. A series without histograms takes the straight way below; one with
//! histograms goes through `ops/range_histograms.rs`.

use std::collections::VecDeque;

use narthex_storage::SampleBatch;

use super::counter;
use super::extrapolation::Extrapolation;
use super::lanes::LANES;
use super::quantile::{median_deviation, quantile};
use super::whole::Whole;
use super::window::{Slice, Touched, Window, for_each_window};
use super::{lanes, regression, sums};
use crate::engine::error::QueryError;
use crate::engine::row::Row;
use crate::engine::steps::Steps;
use crate::functions_table::Function;

/// What a range function needs beside the samples.
pub(crate) struct RangeArgs<'a> {
    pub steps: &'a Steps,
    pub window: &'a Window,
    /// The scalar arguments, each with one value a step.
    pub params: &'a [Vec<f64>],
    /// Whether start timestamps say something about resets.
    pub use_starts: bool,
}

/// What a run did beside filling the row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RangeOutcome {
    pub touched: Touched,
    /// At how many steps a start timestamp reached back over an earlier sample.
    pub overlaps: usize,
    /// The first parameter that is no quantile.
    pub bad_quantile: Option<f64>,
}

impl From<Touched> for RangeOutcome {
    fn from(touched: Touched) -> Self {
        Self { touched, ..Self::default() }
    }
}

/// Whether a function over a range keeps the metric name.
pub(crate) fn keeps_name(function: Function) -> bool {
    matches!(function, Function::LastOverTime | Function::FirstOverTime)
}

/// Runs `function` over float samples.
///
/// # Errors
/// Parameters out of their bounds.
///
/// # Panics
/// When `function` takes no range vector.
pub(crate) fn run(
    function: Function,
    batch: &SampleBatch,
    args: &RangeArgs<'_>,
    row: &mut Row,
) -> Result<RangeOutcome, QueryError> {
    let (steps, window) = (args.steps, args.window);
    let extrapolate = |is_counter, is_rate, row: &mut Row| {
        let kind = Extrapolation { is_counter, is_rate };
        let (touched, overlaps) = counter::extrapolated(batch, args.use_starts, kind, steps, window, row);
        RangeOutcome { touched, overlaps, bad_quantile: None }
    };
    let outcome = match function {
        Function::Rate => extrapolate(true, true, row),
        Function::Increase => extrapolate(true, false, row),
        Function::Delta => extrapolate(false, false, row),
        Function::Irate => counter::instant(batch, args.use_starts, true, steps, window, row).into(),
        Function::Idelta => counter::instant(batch, args.use_starts, false, steps, window, row).into(),
        Function::Resets => counter::resets(batch, args.use_starts, steps, window, row).into(),
        Function::Changes => counter::changes(batch, steps, window, row).into(),
        Function::QuantileOverTime => quantiles(batch, args, row),
        Function::DoubleExponentialSmoothing => smoothing(batch, args, row)?,
        _ => over_time(function, batch, args, row).into(),
    };
    Ok(outcome)
}

/// The functions that look at each window by itself.
fn over_time(function: Function, batch: &SampleBatch, args: &RangeArgs<'_>, row: &mut Row) -> Touched {
    let (t, v) = (&batch.t_ms[..], &batch.values[..]);
    let seconds = |i: usize| t[i] as f64 / 1000.0;
    let mut scratch = Vec::new();
    match function {
        Function::SumOverTime => sums_of_each(batch, args, row),
        Function::AvgOverTime => means_of_each(batch, args, row),
        Function::MinOverTime => best_of_each(batch, args, row, |a, b| a < b),
        Function::MaxOverTime => best_of_each(batch, args, row, |a, b| a > b),
        Function::CountOverTime => each(t, args, row, |s| (s.hi - s.lo) as f64),
        Function::LastOverTime => each(t, args, row, |s| v[s.hi - 1]),
        Function::FirstOverTime => each(t, args, row, |s| v[s.lo]),
        Function::PresentOverTime | Function::AbsentOverTime => each(t, args, row, |_| 1.0),
        Function::StdvarOverTime => in_lanes(batch, args, row, lanes::variance, sums::variance_over_time),
        Function::StddevOverTime => {
            let touched = in_lanes(batch, args, row, lanes::variance, sums::variance_over_time);
            row.values.iter_mut().for_each(|v| *v = v.sqrt());
            touched
        }
        Function::MadOverTime => each(t, args, row, |s| {
            scratch.clear();
            scratch.extend_from_slice(&v[s.lo..s.hi]);
            median_deviation(&mut scratch)
        }),
        Function::TsOfFirstOverTime => each(t, args, row, |s| seconds(s.lo)),
        Function::TsOfLastOverTime => each(t, args, row, |s| seconds(s.hi - 1)),
        Function::TsOfMaxOverTime => each(t, args, row, |s| seconds(s.lo + last_highest(&v[s.lo..s.hi]))),
        Function::TsOfMinOverTime => each(t, args, row, |s| seconds(s.lo + last_lowest(&v[s.lo..s.hi]))),
        Function::Deriv => slopes(batch, args, row),
        Function::PredictLinear => predictions(batch, args, row),
        _ => unreachable!("the type check lets only functions over ranges come here"),
    }
}

#[inline(always)]
fn each(t_ms: &[i64], args: &RangeArgs<'_>, row: &mut Row, mut f: impl FnMut(Slice) -> f64) -> Touched {
    for_each_window(t_ms, args.steps, args.window, |s| row.set(s.step, f(s)))
}

/// All windows that hold at least `count` samples.
fn windows_of(t_ms: &[i64], args: &RangeArgs<'_>, count: usize) -> (Vec<Slice>, Touched) {
    let mut slices = Vec::with_capacity(args.steps.count);
    let touched = for_each_window(t_ms, args.steps, args.window, |s| {
        if s.hi - s.lo >= count {
            slices.push(s);
        }
    });
    (slices, touched)
}

/// The values as whole numbers, if they are and there are windows that may share them.
fn whole<'a>(values: &'a [f64], slices: &[Slice]) -> Option<Whole<'a>> {
    if slices.len() > 1 { Whole::of(values) } else { None }
}

/// As [`each`], for functions that have a form for several windows at a time.
#[inline(always)]
fn in_lanes(
    batch: &SampleBatch,
    args: &RangeArgs<'_>,
    row: &mut Row,
    of_lanes: impl Fn([&[f64]; LANES]) -> [f64; LANES],
    of_one: impl Fn(&[f64]) -> f64,
) -> Touched {
    let (slices, touched) = windows_of(&batch.t_ms, args, 1);
    lanes::for_windows(&batch.values, &slices, of_lanes, of_one, |step, value| row.set(step, value));
    touched
}

fn sums_of_each(batch: &SampleBatch, args: &RangeArgs<'_>, row: &mut Row) -> Touched {
    let (slices, touched) = windows_of(&batch.t_ms, args, 1);
    let mut set = |step, value| row.set(step, value);
    match whole(&batch.values, &slices) {
        Some(whole) => whole.sums(&slices, set),
        None => lanes::for_windows(&batch.values, &slices, lanes::sum, sums::sum, &mut set),
    }
    touched
}

fn means_of_each(batch: &SampleBatch, args: &RangeArgs<'_>, row: &mut Row) -> Touched {
    let (slices, touched) = windows_of(&batch.t_ms, args, 1);
    let mut set = |step, value| row.set(step, value);
    if !whole(&batch.values, &slices).is_some_and(|whole| whole.means(&slices, &mut set)) {
        lanes::for_windows(&batch.values, &slices, lanes::mean, sums::mean, set);
    }
    touched
}

fn slopes(batch: &SampleBatch, args: &RangeArgs<'_>, row: &mut Row) -> Touched {
    let (t, v) = (&batch.t_ms[..], &batch.values[..]);
    let (slices, touched) = windows_of(t, args, 2);
    let of_whole =
        |whole: Whole<'_>| whole.lines(t, &slices, |s| t[s.lo], |step, line| row.set(step, line.0));
    if !whole(v, &slices).is_some_and(of_whole) {
        lanes::slopes(t, v, &slices, |step, slope| row.set(step, slope));
    }
    touched
}

fn predictions(batch: &SampleBatch, args: &RangeArgs<'_>, row: &mut Row) -> Touched {
    let (t, v) = (&batch.t_ms[..], &batch.values[..]);
    let (slices, touched) = windows_of(t, args, 2);
    let origin_ms = |s: &Slice| args.steps.at(s.step);
    let mut set = |step, (slope, value)| row.set(step, slope * args.params[0][step] + value);
    if !whole(v, &slices).is_some_and(|whole| whole.lines(t, &slices, origin_ms, &mut set)) {
        let line = |s: &Slice| regression::line(&t[s.lo..s.hi], &v[s.lo..s.hi], origin_ms(s));
        slices.iter().for_each(|s| set(s.step, line(s)));
    }
    touched
}

fn quantiles(batch: &SampleBatch, args: &RangeArgs<'_>, row: &mut Row) -> RangeOutcome {
    let mut scratch = Vec::new();
    let mut bad = None;
    let touched = each(&batch.t_ms, args, row, |s| {
        let q = args.params[0][s.step];
        if !(0.0..=1.0).contains(&q) && bad.is_none() {
            bad = Some(q);
        }
        scratch.clear();
        scratch.extend_from_slice(&batch.values[s.lo..s.hi]);
        quantile(q, &mut scratch)
    });
    RangeOutcome { touched, overlaps: 0, bad_quantile: bad }
}

fn smoothing(batch: &SampleBatch, args: &RangeArgs<'_>, row: &mut Row) -> Result<RangeOutcome, QueryError> {
    let mut refused = None;
    let touched = for_each_window(&batch.t_ms, args.steps, args.window, |s| {
        let (factor, trend) = (args.params[0][s.step], args.params[1][s.step]);
        for (name, value, short) in [("smoothing", factor, "sf"), ("trend", trend, "tf")] {
            if value <= 0.0 || value >= 1.0 {
                refused.get_or_insert_with(|| {
                    format!("invalid {name} factor. Expected: 0 < {short} < 1, got: {value:.6}")
                });
            }
        }
        if s.hi - s.lo > 1 {
            row.set(s.step, regression::smoothed(&batch.values[s.lo..s.hi], factor, trend));
        }
    });
    refused.map_or_else(|| Ok(touched.into()), |text| Err(QueryError::Execution(text)))
}

/// The best value of each window; NaN only when there is nothing else.
///
/// Keeps the samples that can still become the best, the best in front, so that a sample is looked at a few times however
/// many windows it lies in. Of equal ones the earliest stays, as when a window is read from its start.
/// PERF: bench `max_over_time(…[1h])` at a step of a minute, 240 samples a window: 79 ns a sample read window by window.
#[inline(always)]
fn best_of_each(
    batch: &SampleBatch,
    args: &RangeArgs<'_>,
    row: &mut Row,
    is_better: impl Fn(f64, f64) -> bool,
) -> Touched {
    let v = &batch.values[..];
    let mut candidates: VecDeque<usize> = VecDeque::new();
    let mut seen = 0;
    each(&batch.t_ms, args, row, |s| {
        for i in seen.max(s.lo)..s.hi {
            if v[i].is_nan() {
                continue;
            }
            while candidates.back().is_some_and(|last| is_better(v[i], v[*last])) {
                candidates.pop_back();
            }
            candidates.push_back(i);
        }
        seen = s.hi;
        while candidates.front().is_some_and(|first| *first < s.lo) {
            candidates.pop_front();
        }
        candidates.front().map_or(f64::NAN, |best| v[*best])
    })
}

/// Where the largest value stands, the last such place.
pub(crate) fn last_highest(values: &[f64]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v >= values[best] || values[best].is_nan() {
            best = i;
        }
    }
    best
}

/// Where the smallest value stands, the last such place.
pub(crate) fn last_lowest(values: &[f64]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v <= values[best] || values[best].is_nan() {
            best = i;
        }
    }
    best
}
