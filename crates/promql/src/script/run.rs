//! Running of scripts.

use super::compare::{check, check_value, check_vector};
use super::histograms;
use super::variants::{asks_for_times, other_times, pinned};
use super::{Command, Eval, EvalTimes, Load, MemoryStorage, Script};
use crate::engine::{
    Engine, MatrixSeries, Point, QueryError, QueryOptions, QueryOutput, Value, VectorSample,
};
use crate::parser;
use crate::series_desc::SeriesValue;

/// How one `eval` went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The line of the `eval`, from 1.
    pub line: usize,
    /// Its query.
    pub query: String,
    /// What was wrong, if anything.
    pub result: Result<(), String>,
}

/// Runs a script from an empty storage.
pub(super) fn run(script: &Script, engine: &Engine) -> Vec<Outcome> {
    let mut storage = MemoryStorage::new();
    let mut outcomes = Vec::new();
    let mut broken: Option<String> = None;
    for command in &script.commands {
        match command {
            Command::Clear => {
                storage.clear();
                broken = None;
            }
            Command::Load(load) => {
                add(&mut storage, load);
            }
            Command::Broken(e) => broken = Some(e.to_string()),
            Command::Eval(eval) => {
                let result = run_eval(eval, engine, &storage);
                let result = match (&broken, result) {
                    (Some(why), Err(e)) => Err(format!("{e} (data is missing: {why})")),
                    (_, result) => result,
                };
                outcomes.push(Outcome { line: eval.line, query: eval.query.clone(), result });
            }
        }
    }
    outcomes
}

fn add(storage: &mut MemoryStorage, load: &Load) {
    for series in &load.series {
        for (i, value) in series.values.iter().enumerate() {
            let t_ms = i as i64 * load.step_ms;
            let start = series.starts.get(i).copied().flatten().map_or(0, |offset| t_ms + offset);
            storage.add(&series.labels, t_ms, value, start);
        }
    }
    if load.with_native {
        for (labels, at, histogram) in histograms::from_classic(load) {
            let value = SeriesValue::Histogram { histogram: Box::new(histogram), hint_given: false };
            storage.add(&labels, at as i64 * load.step_ms, &value, 0);
        }
    }
}

fn run_eval(eval: &Eval, engine: &Engine, storage: &MemoryStorage) -> Result<(), String> {
    if let Some(broken) = &eval.broken {
        return Err(broken.to_string());
    }
    let options = QueryOptions::default();
    match eval.times {
        EvalTimes::Range { start, end, step } => {
            let answer = engine.range(storage, &eval.query, start, end, step, &options);
            check(eval, &eval.query, &answer)
        }
        EvalTimes::Instant(t_ms) => {
            run_instant(eval, &eval.query, t_ms, engine, storage)?;
            let Ok(expr) = parser::parse(&eval.query, &engine.options().features.parse) else {
                return Ok(());
            };
            let Some(pinned) = pinned(&expr, t_ms) else { return Ok(()) };
            let pinned = pinned.to_string();
            other_times(t_ms).into_iter().try_for_each(|other| {
                run_instant(eval, &pinned, other, engine, storage)
                    .map_err(|e| format!("as {pinned} at {other}: {e}"))
            })
        }
    }
}

/// Evaluates at one time, and again as the middle step of a range query.
fn run_instant(
    eval: &Eval,
    query: &str,
    t_ms: i64,
    engine: &Engine,
    storage: &MemoryStorage,
) -> Result<(), String> {
    let options = QueryOptions::default();
    let answer = engine.instant(storage, query, t_ms, &options);
    check(eval, query, &answer)?;
    let Ok(output) = answer else { return Ok(()) };
    let parsed = parser::parse(query, &engine.options().features.parse).map_err(|e| e.to_string())?;
    let no_range = eval.expect.range_vector.is_some() || eval.expect.string.is_some();
    if no_range || asks_for_times(&parsed) {
        return Ok(());
    }
    let range = engine.range(storage, query, t_ms - 60_000, t_ms + 60_000, 60_000, &options);
    check_middle(eval, &output, &range, t_ms).map_err(|e| format!("as a range query of {query}: {e}"))
}

fn check_middle(
    eval: &Eval,
    instant: &QueryOutput,
    range: &Result<QueryOutput, QueryError>,
    t_ms: i64,
) -> Result<(), String> {
    let range = range.as_ref().map_err(ToString::to_string)?;
    if eval.expect.ordered {
        return Ok(());
    }
    let Value::Matrix(matrix) = &range.value else { return Err("no matrix".to_owned()) };
    let samples: Vec<VectorSample> = matrix.series.iter().filter_map(|s| sample_at(s, t_ms)).collect();
    if let (Value::Scalar { .. }, Some(VectorSample { point: Point::Float(value), .. })) =
        (&instant.value, samples.first())
    {
        return check_value(eval, &Value::Scalar { t_ms, value: *value });
    }
    check_vector(&eval.rows, &samples, false)
}

fn sample_at(series: &MatrixSeries, t_ms: i64) -> Option<VectorSample> {
    let float = series.floats().find(|(t, _)| *t == t_ms).map(|(_, v)| Point::Float(v));
    let histogram = || {
        let found = series.histograms().iter().find(|(t, _)| *t == t_ms);
        found.map(|(_, h)| Point::Histogram(std::sync::Arc::clone(h)))
    };
    let point = float.or_else(histogram)?;
    Some(VectorSample { labels: series.labels.clone(), point })
}
