//! `anchored` and `smoothed`: ranges whose edges are brought to exact times by the samples around them.
//!
//! A window is looked at together with the samples up to a lookback before it (and after it, for `smoothed`). Anchored: the last sample at or
//! before the left edge stands for the edge. Smoothed: values at both edges are interpolated between their neighbours.

use std::sync::Arc;

use narthex_model::{CounterResetHint, FloatHistogram};
use narthex_storage::SampleBatch;

use super::range_histograms::Telling;
use crate::engine::annotations::HistogramOperation;
use crate::engine::kernels::counter::starts_anew;
use crate::engine::kernels::extrapolation::seconds;
use crate::engine::kernels::window::Window;
use crate::engine::native::{Incompatible, Native};
use crate::engine::row::{Row, histogram_weight};
use crate::engine::steps::Steps;
use crate::functions_table::Function;

/// How the edges are brought to exact times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extension {
    /// `smoothed` instead of `anchored`.
    pub smoothed: bool,
    pub lookback_ms: i64,
    /// Whether start timestamps say something about resets.
    pub use_starts: bool,
}

/// The times to read for windows that reach so far, both ends included.
pub(crate) fn reach_with(extension: Option<Extension>, (from, to): (i64, i64)) -> (i64, i64) {
    match extension {
        None => (from, to),
        Some(e) => (from - e.lookback_ms, if e.smoothed { to + e.lookback_ms } else { to }),
    }
}

/// A time range `(start, end]`, ms.
#[derive(Clone, Copy)]
struct Span {
    start: i64,
    end: i64,
}

type Points<'a> = (&'a [i64], &'a [f64]);

/// A value between two samples; a counter that began anew is taken to rise from 0.
fn interpolate(p1: (i64, f64), p2: (i64, f64), t: i64, is_counter: bool) -> f64 {
    let from = if is_counter && p2.1 < p1.1 { 0.0 } else { p1.1 };
    from + (p2.1 - from) * (t - p1.0) as f64 / (p2.0 - p1.0) as f64
}

/// The samples that stand for the edges: positions of the first and of the last one; `None` when nothing lies inside.
fn edges(t: &[i64], span: Span, smoothed: bool) -> Option<(usize, usize)> {
    let mut last = t.len().checked_sub(1)?;
    let first = t[..last].partition_point(|t| *t <= span.start).saturating_sub(1);
    if smoothed {
        last = t[..last].partition_point(|t| *t < span.end);
    }
    let nothing = t[last] <= span.start || (smoothed && t[first] > span.end);
    (!nothing).then_some((first, last))
}

/// The values at the edges.
fn edge_values(
    (t, v): Points<'_>,
    first: usize,
    last: usize,
    span: Span,
    is_counter: bool,
    smoothed: bool,
) -> (f64, f64) {
    let at = |i: usize| (t[i], v[i]);
    let left = if smoothed && t[first] < span.start {
        interpolate(at(first), at(first + 1), span.start, is_counter)
    } else {
        v[first]
    };
    let right = if smoothed && last > 0 && t[last] > span.end {
        interpolate(at(last - 1), at(last), span.end, is_counter)
    } else {
        v[last]
    };
    (left, right)
}

/// The positions strictly inside the edges.
fn inner(t: &[i64], first: usize, last: usize, span: Span) -> std::ops::Range<usize> {
    let from = if t[first] <= span.start { first + 1 } else { first };
    let to = if t[last] >= span.end { last } else { last + 1 };
    from..to.max(from)
}

fn float_change(points: Points<'_>, span: Span, is_counter: bool, smoothed: bool) -> Option<f64> {
    let (t, v) = points;
    let (first, last) = edges(t, span, smoothed)?;
    let (left, right) = edge_values(points, first, last, span, is_counter, smoothed);
    let mut change = right - left;
    if is_counter {
        let (mut correction, mut before) = (0.0, left);
        for value in v[inner(t, first, last, span)].iter().chain([&right]) {
            if *value < before {
                correction += before;
            }
            before = *value;
        }
        change += correction;
    }
    Some(change)
}

/// The float points of a range with exact edges, as an instant query shows them.
pub(crate) fn extended_points(
    t: &[i64],
    v: &[f64],
    start: i64,
    end: i64,
    smoothed: bool,
) -> (Vec<i64>, Vec<f64>) {
    let span = Span { start, end };
    let Some(last) = t.len().checked_sub(1) else { return (Vec::new(), Vec::new()) };
    let first = t[..last].partition_point(|t| *t <= start).saturating_sub(1);
    let last = if smoothed { t[..last].partition_point(|t| *t < end) } else { last };
    if t[last] <= start {
        return (Vec::new(), Vec::new());
    }
    let (left, right) = edge_values((t, v), first, last, span, false, smoothed);
    let inside = inner(t, first, last, span);
    let times = [start].into_iter().chain(t[inside.clone()].iter().copied()).chain([end]);
    let values = [left].into_iter().chain(v[inside].iter().copied()).chain([right]);
    (times.collect(), values.collect())
}

/// Runs a function over a range with exact edges. Returns how many samples all windows hold together.
pub(crate) fn run(
    function: Function,
    batch: &SampleBatch,
    (steps, window): (&Steps, &Window),
    extension: Extension,
    row: &mut Row,
    telling: &mut Telling<'_>,
) -> u64 {
    let natives: Vec<Native> = batch.histograms.iter().map(|h| Native::from(&**h)).collect();
    let after = if extension.smoothed { extension.lookback_ms } else { 0 };
    let mut touched = 0;
    for step in 0..steps.count {
        let end = window.end(steps.at(step));
        let span = Span { start: end - window.range_ms, end };
        let from = span.start - extension.lookback_ms;
        let inside =
            |t: &[i64]| t.partition_point(|t| *t <= from)..t.partition_point(|t| *t <= span.end + after);
        let (floats, hists) = (inside(&batch.t_ms), inside(&batch.histogram_t_ms));
        let weights = batch.histograms[hists.clone()].iter().map(|h| histogram_weight(h) as u64);
        touched += floats.len() as u64 + weights.sum::<u64>();
        let w = Extended { batch, natives: &natives, floats, hists, span, extension };
        match w.one(function, window.range_ms, telling) {
            Some(Change::Float(v)) => row.set(step, v),
            Some(Change::Histogram(h)) => row.histograms.push((step as u32, Arc::new(h.pack()))),
            None => {}
        }
    }
    touched
}

/// What a window gives.
enum Change {
    Float(f64),
    Histogram(Native),
}

/// One window with the samples around it.
struct Extended<'a> {
    batch: &'a SampleBatch,
    natives: &'a [Native],
    floats: std::ops::Range<usize>,
    hists: std::ops::Range<usize>,
    span: Span,
    extension: Extension,
}

impl Extended<'_> {
    fn one(&self, function: Function, range_ms: i64, telling: &mut Telling<'_>) -> Option<Change> {
        if self.floats.is_empty() && self.hists.is_empty() {
            return None;
        }
        let is_counter = function != Function::Delta;
        if matches!(function, Function::Resets | Function::Changes) {
            return self.count_events(function == Function::Resets).map(Change::Float);
        }
        if !self.floats.is_empty() && !self.hists.is_empty() {
            telling.notes.mixed_floats_histograms(&telling.name, telling.span);
            return None;
        }
        let is_rate = function == Function::Rate;
        if self.hists.is_empty() {
            let points = (&self.batch.t_ms[self.floats.clone()], &self.batch.values[self.floats.clone()]);
            let change = float_change(points, self.span, is_counter, self.extension.smoothed)?;
            return Some(Change::Float(if is_rate { change / seconds(range_ms) } else { change }));
        }
        let mut change = self.histogram_change(is_counter, telling)?;
        if is_rate {
            change.divide(seconds(range_ms));
        }
        change.hint = CounterResetHint::Gauge;
        change.compact();
        Some(Change::Histogram(change))
    }

    /// `resets` and `changes`, anchored: from the newest sample at or before the left edge on.
    fn count_events(&self, resets: bool) -> Option<f64> {
        let counted = |starts: &'_ [i64], a: usize, b: usize, (prev_t, t): (i64, i64)| {
            let known = self.extension.use_starts && !starts.is_empty();
            known && starts_anew(starts[a], prev_t, starts[b], t)
        };
        let (starts, hist_starts) = (&self.batch.start_ms, &self.batch.histogram_start_ms);
        let mut all: Vec<(i64, Option<usize>, Option<usize>)> = Vec::new();
        all.extend(self.floats.clone().map(|i| (self.batch.t_ms[i], Some(i), None)));
        all.extend(self.hists.clone().map(|i| (self.batch.histogram_t_ms[i], None, Some(i))));
        all.sort_by_key(|(t, ..)| *t);
        let before = all.partition_point(|(t, ..)| *t <= self.span.start);
        if before == all.len() {
            return None;
        }
        let from = before.saturating_sub(1);
        let happens = |pair: &[(i64, Option<usize>, Option<usize>)]| match (pair[0], pair[1]) {
            ((prev_t, Some(a), _), (t, Some(b), _)) => {
                let (x, y) = (self.batch.values[a], self.batch.values[b]);
                if resets {
                    y < x || counted(starts, a, b, (prev_t, t))
                } else {
                    x != y && !(x.is_nan() && y.is_nan())
                }
            }
            ((prev_t, _, Some(a)), (t, _, Some(b))) => {
                let (x, y) = (&self.natives[a], &self.natives[b]);
                if resets {
                    y.is_reset_after(x) || counted(hist_starts, a, b, (prev_t, t))
                } else {
                    !y.is_same(x)
                }
            }
            _ => true,
        };
        Some(all[from..].windows(2).filter(|pair| happens(pair)).count() as f64)
    }

    fn histogram_change(&self, is_counter: bool, telling: &mut Telling<'_>) -> Option<Native> {
        let t = &self.batch.histogram_t_ms[self.hists.clone()];
        let h = &self.natives[self.hists.clone()];
        let smoothed = self.extension.smoothed;
        let (first, last) = edges(t, self.span, smoothed)?;
        let custom = h[first].has_custom_buckets();
        if h[first..=last].iter().any(|x| x.has_custom_buckets() != custom) {
            telling.notes.mixed_exponential_custom(&telling.name, telling.span);
            return None;
        }
        if is_counter && h[first..=last].iter().any(|x| x.hint == CounterResetHint::Gauge) {
            telling.notes.native_not_counter(&telling.name, telling.span);
        }
        let left = if smoothed && t[first] < self.span.start {
            let pair = [(t[first], &h[first]), (t[first + 1], &h[first + 1])];
            interpolate_histograms(pair, self.span.start, is_counter, telling).ok()?
        } else {
            h[first].clone()
        };
        let right = if smoothed && last > 0 && t[last] > self.span.end {
            let pair = [(t[last - 1], &h[last - 1]), (t[last], &h[last])];
            interpolate_histograms(pair, self.span.end, is_counter, telling).ok()?
        } else {
            h[last].clone()
        };
        let gauges = [&left, &right].map(|x| x.hint == CounterResetHint::Gauge);
        if !is_counter && gauges.contains(&false) {
            telling.notes.native_not_gauge(&telling.name, telling.span);
        }
        let mut change = right.clone();
        telling.combined(change.subtract(&left), HistogramOperation::Subtraction).ok()?;
        if is_counter {
            let anew = smoothed && t[first] < self.span.start && h[first + 1].is_reset_after(&h[first]);
            let (mut before, from) = if anew { (&h[first + 1], first + 2) } else { (&left, first + 1) };
            for x in h.get(from..last).unwrap_or(&[]).iter().chain((from <= last).then_some(&right)) {
                if x.is_reset_after(before) {
                    telling.combined(change.add(before), HistogramOperation::Addition).ok()?;
                }
                before = x;
            }
        }
        Some(change)
    }
}

impl Telling<'_> {
    /// Tells what happened in a sum.
    fn combined(
        &mut self,
        done: Result<crate::engine::native::Combined, Incompatible>,
        operation: HistogramOperation,
    ) -> Result<(), Incompatible> {
        match done {
            Ok(done) => {
                if done.bounds_reconciled {
                    self.notes.custom_buckets_reconciled(operation, self.span);
                }
                Ok(())
            }
            Err(e) => {
                self.notes.mixed_exponential_custom(&self.name, self.span);
                Err(e)
            }
        }
    }
}

/// A histogram between two; a counter that began anew is taken to rise from nothing.
fn interpolate_histograms(
    [(t1, h1), (t2, h2)]: [(i64, &Native); 2],
    t: i64,
    is_counter: bool,
    telling: &mut Telling<'_>,
) -> Result<Native, Incompatible> {
    if t == t1 {
        return Ok(h1.clone());
    }
    let mut result = h2.clone();
    if t == t2 {
        return Ok(result);
    }
    let part = (t - t1) as f64 / (t2 - t1) as f64;
    if is_counter && h2.is_reset_after(h1) {
        result.multiply(part);
        return Ok(result);
    }
    telling.combined(result.subtract(h1), HistogramOperation::Subtraction)?;
    result.multiply(part);
    telling.combined(result.add(h1), HistogramOperation::Addition)?;
    Ok(result)
}

/// The smoothed instant selector: at each step the value between the samples around it, or the newest when none follows.
pub(crate) fn smooth(
    batch: &SampleBatch,
    (steps, window): (&Steps, &Window),
    row: &mut Row,
    telling: &mut Telling<'_>,
) {
    let natives: Vec<Native> = batch.histograms.iter().map(|h| Native::from(&**h)).collect();
    for step in 0..steps.count {
        let t = window.end(steps.at(step));
        let (from, to) = (t - window.range_ms, t + window.range_ms);
        let inside = |t: &[i64]| t.partition_point(|t| *t <= from)..t.partition_point(|t| *t <= to);
        let (floats, hists) = (inside(&batch.t_ms), inside(&batch.histogram_t_ms));
        if !floats.is_empty() && !hists.is_empty() {
            telling.notes.mixed_floats_histograms(&telling.name, telling.span);
            continue;
        }
        if hists.is_empty() {
            let points = (&batch.t_ms[floats.clone()], &batch.values[floats]);
            if let Some(v) = smooth_float(points, t) {
                row.set(step, v);
            }
        } else if let Some(h) =
            smooth_histogram(&batch.histogram_t_ms[hists.clone()], &natives[hists], t, telling)
        {
            row.histograms.push((step as u32, Arc::new(h)));
        }
    }
}

fn smooth_float((t, v): Points<'_>, at: i64) -> Option<f64> {
    let next = t.partition_point(|t| *t < at);
    if t.get(next) == Some(&at) {
        return Some(v[next]);
    }
    let before = next.checked_sub(1)?;
    let Some(after_t) = t.get(next) else { return Some(v[before]) };
    Some(interpolate((t[before], v[before]), (*after_t, v[next]), at, false))
}

fn smooth_histogram(t: &[i64], h: &[Native], at: i64, telling: &mut Telling<'_>) -> Option<FloatHistogram> {
    let next = t.partition_point(|t| *t < at);
    if t.get(next) == Some(&at) {
        return Some(h[next].pack());
    }
    let before = next.checked_sub(1)?;
    let Some(after_t) = t.get(next) else {
        let mut held = h[before].clone();
        held.hint = CounterResetHint::Unknown;
        return Some(held.pack());
    };
    if h[before].has_custom_buckets() != h[next].has_custom_buckets() {
        telling.notes.mixed_exponential_custom(&telling.name, telling.span);
        return None;
    }
    let is_gauge = |x: &Native| x.hint == CounterResetHint::Gauge;
    let is_counter = !(is_gauge(&h[before]) && is_gauge(&h[next]));
    let pair = [(t[before], &h[before]), (*after_t, &h[next])];
    interpolate_histograms(pair, at, is_counter, telling).ok().map(|x| x.pack())
}
