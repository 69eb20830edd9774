//! Range functions over one long series: a part of the steps at a time, so that the query can be called off in between.
//!
//! Most queries check for that between rows. A subquery of many steps under a long window is one row, of which some functions look at
//! each window by itself: `quantile_over_time(0.5, vector(1)[30d:1s])` over a week is hours of work.
//! Always true: the result is that of one run over all steps. Windows are independent of each other, and what is counted
//! over all of them is counted here.
//! Cost: rows below [`PART`] samples in all windows together pay two compares.

use narthex_storage::SampleBatch;

use crate::engine::error::QueryError;
use crate::engine::kernels::range::{RangeArgs, RangeOutcome, run};
use crate::engine::kernels::window::for_each_window;
use crate::engine::row::Row;
use crate::engine::steps::Steps;
use crate::functions_table::Function;

/// Samples in the windows of one part: some tens of milliseconds for the slowest functions.
pub(crate) const PART: u64 = 1 << 22;

/// How a row is cut into parts.
pub(crate) struct Parts<'a> {
    /// About how many samples the windows of a part hold together.
    pub samples: u64,
    /// Asked before each part whether to go on.
    pub check: &'a dyn Fn() -> Result<(), QueryError>,
    /// Memory for the samples of a part.
    pub scratch: &'a mut SampleBatch,
}

/// Runs `function` over float samples as `kernels::range::run` does.
///
/// # Errors
/// Those of `run` and of the check.
pub(crate) fn run_in_parts(
    function: Function,
    batch: &SampleBatch,
    args: &RangeArgs<'_>,
    row: &mut Row,
    parts: &mut Parts<'_>,
) -> Result<RangeOutcome, QueryError> {
    let most = (batch.t_ms.len() as u64).saturating_mul(args.steps.count as u64);
    if most <= parts.samples || !looks_at_each_window(function) {
        return run(function, batch, args, row);
    }
    // Each part copies the samples of its windows; that shall be little beside what is done with them.
    let part = parts.samples.max(8 * batch.t_ms.len() as u64);
    let (mut held, mut ends) = (0, Vec::new());
    let touched = for_each_window(&batch.t_ms, args.steps, args.window, |slice| {
        held += (slice.hi - slice.lo) as u64;
        if held >= part {
            ends.push(slice.step + 1);
            held = 0;
        }
    });
    if ends.is_empty() {
        return run(function, batch, args, row);
    }
    ends.push(args.steps.count);
    let mut all = RangeOutcome { touched, ..RangeOutcome::default() };
    let (mut of_part, mut from) = (Row::default(), 0);
    ends.dedup();
    for to in ends {
        (parts.check)()?;
        let params: Vec<Vec<f64>> = args.params.iter().map(|p| p[from..to].to_vec()).collect();
        let steps = Steps { start_ms: args.steps.at(from), count: to - from, ..*args.steps };
        let args = RangeArgs { steps: &steps, params: &params, ..*args };
        copy_reach(batch, &args, parts.scratch);
        of_part.reset(steps.count);
        let outcome = run(function, parts.scratch, &args, &mut of_part)?;
        of_part.present.iter().for_each(|step| row.set(from + step, of_part.values[step]));
        all.overlaps += outcome.overlaps;
        all.bad_quantile = all.bad_quantile.or(outcome.bad_quantile);
        from = to;
    }
    Ok(all)
}

/// Whether a function's work grows with the samples of all windows together, instead of with those of the series.
fn looks_at_each_window(function: Function) -> bool {
    matches!(
        function,
        Function::SumOverTime
            | Function::AvgOverTime
            | Function::StdvarOverTime
            | Function::StddevOverTime
            | Function::MadOverTime
            | Function::QuantileOverTime
            | Function::TsOfMaxOverTime
            | Function::TsOfMinOverTime
            | Function::Deriv
            | Function::PredictLinear
            | Function::DoubleExponentialSmoothing
            | Function::Resets
            | Function::Changes
    )
}

/// Makes `out` the float samples that any of the windows holds.
fn copy_reach(batch: &SampleBatch, args: &RangeArgs<'_>, out: &mut SampleBatch) {
    out.clear();
    let Some((from, to)) = args.window.reach(args.steps) else { return };
    let at = batch.t_ms.partition_point(|t| *t < from)..batch.t_ms.partition_point(|t| *t <= to);
    out.t_ms.extend_from_slice(&batch.t_ms[at.clone()]);
    out.values.extend_from_slice(&batch.values[at.clone()]);
    out.start_ms.extend_from_slice(batch.start_ms.get(at).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::engine::kernels::window::Window;

    const ALL: [Function; 13] = [
        Function::SumOverTime,
        Function::AvgOverTime,
        Function::StdvarOverTime,
        Function::StddevOverTime,
        Function::MadOverTime,
        Function::QuantileOverTime,
        Function::TsOfMaxOverTime,
        Function::TsOfMinOverTime,
        Function::Deriv,
        Function::PredictLinear,
        Function::DoubleExponentialSmoothing,
        Function::Resets,
        Function::Changes,
    ];

    fn samples() -> SampleBatch {
        let mut batch = SampleBatch::default();
        let mut random = 7_u64;
        for t in 0..400 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if random >> 61 != 0 {
                batch.push(t * 1000, (random >> 40) as f64 / 1e3);
            }
        }
        batch
    }

    /// What a run gives, with how often it asked whether to go on.
    fn outcome(function: Function, window: Window, part: u64) -> (Vec<(usize, u64)>, String, usize) {
        let batch = samples();
        let steps = Steps { start_ms: 10_000, step_ms: 700, count: 500 };
        let first = (0..500).map(|i| if i < 450 { f64::from(i % 9 + 1) / 10.0 } else { 0.5 }).collect();
        let params = [first, vec![0.3; 500]];
        let args = RangeArgs { steps: &steps, window: &window, params: &params, use_starts: true };
        let (mut row, asked) = (Row::default(), Cell::new(0));
        row.reset(500);
        let check = || {
            asked.set(asked.get() + 1);
            Ok(())
        };
        let mut parts = Parts { samples: part, check: &check, scratch: &mut SampleBatch::default() };
        let outcome = run_in_parts(function, &batch, &args, &mut row, &mut parts).unwrap();
        let points = row.present.iter().map(|step| (step, row.values[step].to_bits())).collect();
        (points, format!("{outcome:?}"), asked.get())
    }

    #[test]
    fn parts_give_what_one_run_gives() {
        for function in ALL {
            for (range_ms, offset_ms) in [(60_000, 0), (150_000, 20_000), (150_000, -30_000)] {
                let window = Window { range_ms, offset_ms, at_ms: None };
                let (whole, in_parts) = (outcome(function, window, u64::MAX), outcome(function, window, 1));
                assert_eq!((&whole.0, &whole.1), (&in_parts.0, &in_parts.1), "{function:?} {range_ms}");
                assert!(whole.2 == 0 && in_parts.2 > 5, "{function:?}: {} parts", in_parts.2);
            }
        }
    }
}
