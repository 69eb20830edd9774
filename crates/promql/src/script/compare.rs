//! What a query answered against what was expected.

use std::collections::HashMap;
use std::sync::Arc;

use narthex_model::{FloatHistogram, Labels};

use super::{Eval, EvalTimes, Expect, ExpectedRow, TextRule};
use crate::engine::{
    Annotations, MatrixSeries, Point, QueryError, QueryOutput, Severity, Value, VectorSample, almost_equal,
};
use crate::series_desc::SeriesValue;

/// The relative error that values may have.
const EPSILON: f64 = 1e-6;

type Checked = Result<(), String>;

/// Compares the answer of the query as it stands in the script.
pub(super) fn check(eval: &Eval, query: &str, answer: &Result<QueryOutput, QueryError>) -> Checked {
    let output = match (&eval.expect.fail, answer) {
        (Some(rule), Err(e)) if rule.matches(&e.to_string()) => return Ok(()),
        (Some(rule), Err(e)) => return Err(format!("failed with \"{e}\", expected {rule:?}")),
        (Some(_), Ok(_)) => return Err("expected to fail".to_owned()),
        (None, Err(e)) => return Err(format!("failed: {e}")),
        (None, Ok(output)) => output,
    };
    check_annotations(&eval.expect, query, &output.annotations)?;
    check_value(eval, &output.value)
}

fn check_annotations(expect: &Expect, query: &str, found: &Annotations) -> Checked {
    let warnings = found.texts(Severity::Warning, query, 0);
    let infos = found.texts(Severity::Info, query, 0);
    for (word, rules, none, texts) in
        [("warning", &expect.warn, expect.no_warn, &warnings), ("info", &expect.info, expect.no_info, &infos)]
    {
        if none && !texts.is_empty() {
            return Err(format!("unexpected {word}: {texts:?}"));
        }
        if rules.is_empty() {
            continue;
        }
        if let Some(missing) = rules.iter().find(|r| !texts.iter().any(|t| r.matches(t))) {
            return Err(format!("no {word} as expected: {missing:?}, found {texts:?}"));
        }
        if let Some(odd) = texts.iter().find(|t| !rules.iter().any(|r: &TextRule| r.matches(t))) {
            return Err(format!("unexpected {word}: {odd}"));
        }
    }
    Ok(())
}

/// Compares a value with the rows, the scalar or the string of an eval.
pub(super) fn check_value(eval: &Eval, value: &Value) -> Checked {
    match value {
        Value::String { value, .. } => {
            let same = eval.expect.string.as_ref() == Some(value);
            if same { Ok(()) } else { Err(format!("got string {value:?}")) }
        }
        Value::Scalar { value, .. } => match eval.expect.scalar {
            Some(expected) if almost_equal(*value, expected, EPSILON) => Ok(()),
            expected => Err(format!("got scalar {value}, expected {expected:?}")),
        },
        _ if eval.expect.scalar.is_some() => Err(format!("expected a scalar, got a {}", value.type_name())),
        Value::Vector(vector) => check_vector(&eval.rows, &vector.samples, eval.expect.ordered),
        Value::Matrix(matrix) => {
            let (start, end, step) = match (eval.expect.range_vector, eval.times) {
                (Some(times), _) => times,
                (None, EvalTimes::Range { start, end, step }) => (start, end, step),
                (None, EvalTimes::Instant(t)) => (t, t, 1),
            };
            check_matrix(&eval.rows, &matrix.series, (start, end, step))
        }
    }
}

fn by_labels(rows: &[ExpectedRow]) -> HashMap<&Labels, (usize, &ExpectedRow)> {
    rows.iter().enumerate().map(|(at, row)| (&row.labels, (at, row))).collect()
}

/// Compares the samples of an instant vector.
pub(super) fn check_vector(rows: &[ExpectedRow], found: &[VectorSample], ordered: bool) -> Checked {
    let mut expected = by_labels(rows);
    for (at, sample) in found.iter().enumerate() {
        let Some((place, row)) = expected.remove(&sample.labels) else {
            return Err(format!("unexpected series {} with {:?}", sample.labels, sample.point));
        };
        if ordered && place != at {
            return Err(format!("{} stands at place {at}, expected {place}", sample.labels));
        }
        let wanted = row.values.first().unwrap_or(&SeriesValue::Gap);
        check_point(&sample.labels, wanted, &sample.point)?;
    }
    expected.keys().next().map_or(Ok(()), |missing| Err(format!("series {missing} is missing")))
}

fn check_matrix(rows: &[ExpectedRow], found: &[MatrixSeries], times: (i64, i64, i64)) -> Checked {
    if !found.is_sorted_by(|a, b| a.labels < b.labels) {
        return Err("the series are not sorted by labels".to_owned());
    }
    let mut expected = by_labels(rows);
    for series in found {
        let Some((_, row)) = expected.remove(&series.labels) else {
            return Err(format!("unexpected series {}", series.labels));
        };
        check_series(row, series, times)?;
    }
    expected.keys().next().map_or(Ok(()), |missing| Err(format!("series {missing} is missing")))
}

fn check_series(row: &ExpectedRow, series: &MatrixSeries, (start, end, step): (i64, i64, i64)) -> Checked {
    let mut points: Vec<(i64, Point)> = series.floats().map(|(t, v)| (t, Point::Float(v))).collect();
    points.extend(series.histograms().iter().map(|(t, h)| (*t, Point::Histogram(Arc::clone(h)))));
    points.sort_by_key(|(t, _)| *t);
    let wanted: Vec<(i64, &SeriesValue)> =
        row.values.iter().enumerate().map(|(i, v)| (start + i as i64 * step, v)).collect();
    if let Some((t, _)) = wanted.iter().find(|(t, _)| *t > end) {
        return Err(format!("a point at {t} is expected of {}, after the end", series.labels));
    }
    let wanted: Vec<_> = wanted.into_iter().filter(|(_, v)| **v != SeriesValue::Gap).collect();
    if wanted.len() != points.len() || wanted.iter().zip(&points).any(|(w, p)| w.0 != p.0) {
        return Err(format!("{} has points {points:?}, expected {wanted:?}", series.labels));
    }
    let mut pairs = wanted.iter().zip(&points);
    pairs.try_for_each(|((t, wanted), (_, point))| {
        check_point(&series.labels, wanted, point).map_err(|e| format!("at {t}: {e}"))
    })
}

fn check_point(labels: &Labels, wanted: &SeriesValue, found: &Point) -> Checked {
    let same = match (wanted, found) {
        (SeriesValue::Float(a), Point::Float(b)) => almost_equal(*a, *b, EPSILON),
        (SeriesValue::Histogram { histogram, hint_given }, Point::Histogram(h)) => {
            histograms_agree(histogram, h, *hint_given)
        }
        _ => false,
    };
    if same { Ok(()) } else { Err(format!("{labels} has {found:?}, expected {wanted:?}")) }
}

/// Schema, zero threshold and bounds exactly; numbers nearly; empty buckets do not count.
fn histograms_agree(a: &FloatHistogram, b: &FloatHistogram, with_hint: bool) -> bool {
    let near = |a: f64, b: f64| almost_equal(a, b, EPSILON);
    let counts = |h: &FloatHistogram, positive: bool| -> Vec<(i32, f64)> {
        let (spans, buckets) = if positive {
            (&h.positive_spans, &h.positive_buckets)
        } else {
            (&h.negative_spans, &h.negative_buckets)
        };
        let mut index = 0;
        let mut found = Vec::new();
        let mut counts = buckets.iter();
        for span in spans {
            index += span.offset;
            for count in counts.by_ref().take(span.length as usize) {
                found.push((index, *count));
                index += 1;
            }
        }
        found.retain(|(_, count)| *count != 0.0);
        found
    };
    let buckets_agree = |positive: bool| {
        let (x, y) = (counts(a, positive), counts(b, positive));
        x.len() == y.len() && x.iter().zip(&y).all(|(x, y)| x.0 == y.0 && near(x.1, y.1))
    };
    let hints_agree = !with_hint || a.counter_reset_hint == b.counter_reset_hint;
    hints_agree
        && a.schema == b.schema
        && a.zero_threshold == b.zero_threshold
        && a.custom_values == b.custom_values
        && near(a.count, b.count)
        && near(a.sum, b.sum)
        && near(a.zero_count, b.zero_count)
        && buckets_agree(true)
        && buckets_agree(false)
}
