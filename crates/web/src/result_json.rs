//! Query results as the API's JSON, written straight from the engine's arrays.
//!
//! PERF: one pass, no value tree; a float point costs its digits and some 20 bytes of copying (bench `answer`).
//! COMPAT: scalars print their value without an exponent, all other floats as [`push_float_json`] does.

use narthex_model::{push_float, push_float_json, push_int};
use narthex_promql::engine::{MatrixSeries, Point, Value, VectorSample};

use crate::encoding::Encoding;
use crate::histogram_json::push_histogram;
use crate::json::JsonOut;

/// A query's result as the API's `data` member holds it, without statistics.
#[must_use]
pub fn value_json(value: &Value) -> Vec<u8> {
    let mut out = JsonOut::new(Encoding::Identity);
    push_value(&mut out, value);
    out.raw("}");
    out.finish().iter().flatten().copied().collect()
}

/// `{"resultType":…,"result":…` without the closing brace, so that `stats` may follow.
pub(crate) fn push_value(out: &mut JsonOut, value: &Value) {
    out.raw("{\"resultType\":\"").raw(value.type_name()).raw("\",\"result\":");
    match value {
        Value::Scalar { t_ms, value } => {
            let buffer = out.buffer();
            push_time(buffer, *t_ms);
            push_float(buffer, *value);
            buffer.push_str("\"]");
        }
        Value::String { t_ms, value } => {
            out.raw("[");
            push_seconds(out.buffer(), *t_ms);
            out.raw(",").html_safe(value).raw("]");
        }
        Value::Vector(vector) => out.list(&vector.samples, |out, s| push_sample(out, vector.t_ms, s)),
        Value::Matrix(matrix) => out.list(&matrix.series, push_series),
    }
}

fn push_sample(out: &mut JsonOut, t_ms: i64, sample: &VectorSample) {
    out.raw("{\"metric\":").labels(&sample.labels);
    match &sample.point {
        Point::Float(value) => {
            out.raw(",\"value\":");
            push_point(out.buffer(), t_ms, *value);
        }
        Point::Histogram(histogram) => {
            out.raw(",\"histogram\":[");
            push_seconds(out.buffer(), t_ms);
            out.raw(",");
            push_histogram(out.buffer(), histogram);
            out.raw("]");
        }
    }
    out.raw("}");
}

fn push_series(out: &mut JsonOut, series: &MatrixSeries) {
    out.raw("{\"metric\":").labels(&series.labels);
    let mut before = ",\"values\":[";
    for (t_ms, value) in series.floats() {
        let buffer = out.buffer();
        buffer.push_str(before);
        push_point(buffer, t_ms, value);
        before = ",";
        out.breathe();
    }
    if before == "," {
        out.raw("]");
    }
    if !series.histograms().is_empty() {
        out.raw(",\"histograms\":");
        out.list(series.histograms(), |out, (t_ms, histogram)| {
            let buffer = out.buffer();
            buffer.push('[');
            push_seconds(buffer, *t_ms);
            buffer.push(',');
            push_histogram(buffer, histogram);
            buffer.push(']');
        });
    }
    out.raw("}");
}

/// `[1435781451.781,"1.5"]`
#[inline]
fn push_point(out: &mut String, t_ms: i64, value: f64) {
    push_time(out, t_ms);
    push_float_json(out, value);
    out.push_str("\"]");
}

/// `[1435781451.781,"`
#[inline]
fn push_time(out: &mut String, t_ms: i64) {
    out.push('[');
    push_seconds(out, t_ms);
    out.push_str(",\"");
}

/// Milliseconds as seconds: no fraction when it is zero, else three digits.
#[inline]
pub(crate) fn push_seconds(out: &mut String, t_ms: i64) {
    if t_ms < 0 {
        out.push('-');
    }
    let ms = t_ms.unsigned_abs();
    push_int(out, (ms / 1000) as i64);
    let rest = (ms % 1000) as u32;
    if rest > 0 {
        let digit = |n: u32| char::from(b'0' + (n % 10) as u8);
        out.push('.');
        out.extend([digit(rest / 100), digit(rest / 10), digit(rest)]);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use narthex_model::{FloatHistogram, Labels};
    use narthex_promql::engine::{Matrix, Vector};

    use super::*;

    #[track_caller]
    fn check(value: &Value, expected: &str) {
        assert_eq!(String::from_utf8(value_json(value)).unwrap(), expected);
    }

    #[test]
    fn scalars_and_strings_are_pairs() {
        check(
            &Value::Scalar { t_ms: 1500, value: 1e-7 },
            r#"{"resultType":"scalar","result":[1.500,"0.0000001"]}"#,
        );
        let text = Value::String { t_ms: -1, value: "a\"b".to_owned() };
        check(&text, r#"{"resultType":"string","result":[-0.001,"a\"b"]}"#);
    }

    #[test]
    fn vectors_have_one_point_a_series() {
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "<x>")]);
        let samples = vec![VectorSample { labels, point: Point::Float(f64::INFINITY) }];
        let expected = r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"<x>"},"value":[1,"+Inf"]}]}"#;
        check(&Value::Vector(Vector { t_ms: 1000, samples }), expected);
        check(&Value::Vector(Vector::default()), r#"{"resultType":"vector","result":[]}"#);
        let histogram =
            Point::Histogram(Arc::new(FloatHistogram { count: 2.0, sum: 3.0, ..Default::default() }));
        let samples = vec![VectorSample { labels: Labels::empty(), point: histogram }];
        let expected =
            r#"{"resultType":"vector","result":[{"metric":{},"histogram":[1.007,{"count":"2","sum":"3"}]}]}"#;
        check(&Value::Vector(Vector { t_ms: 1007, samples }), expected);
    }

    #[test]
    fn matrices_have_many() {
        let series = vec![
            MatrixSeries::from_points(
                Labels::from_pairs([("a", "b")]),
                vec![0, 15_000, 30_001],
                vec![1.0, -0.5, 1e21],
            ),
            MatrixSeries::from_points(Labels::empty(), vec![], vec![]),
        ];
        let expected = concat!(
            r#"{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[0,"1"],[15,"-0.5"],[30.001,"1e+21"]]},"#,
            r#"{"metric":{}}]}"#
        );
        check(&Value::Matrix(Matrix { series }), expected);
    }
}
