//! Query results as the API's JSON, written straight from the engine's arrays.
//!
//! PERF: one pass, no value tree; the points of a matrix are `point_writer`'s (bench `answer`).
//! COMPAT: scalars print their value without an exponent, all other floats as [`push_float_json`] does.

use narthex_model::{push_float, push_float_json, push_int};
use narthex_promql::engine::{MatrixSeries, Point, Value, Vector, VectorSample};

use crate::encoding::Encoding;
use crate::histogram_json::HistogramWriter;
use crate::json::{JsonOut, PIECE};
use crate::point_writer::PointWriter;

/// A query's result as the API's `data` member holds it, without statistics, in pieces of some 100 KB.
pub fn value_json(value: &Value, take: impl FnMut(&[u8])) {
    write_whole(value, Encoding::Identity, take);
}

/// The same as answers with `Content-Encoding: gzip` have it.
pub fn value_gzip(value: &Value, take: impl FnMut(&[u8])) {
    write_whole(value, Encoding::Gzip, take);
}

fn write_whole(value: &Value, encoding: Encoding, mut take: impl FnMut(&[u8])) {
    let (mut out, mut writer) = (JsonOut::new(encoding), ValueWriter::default());
    loop {
        let ended = writer.write(value, &mut out);
        if ended {
            out.raw("}").end();
        } else {
            out.hand_on();
        }
        while let Some(piece) = out.take_piece(1) {
            take(&piece);
        }
        if ended {
            return;
        }
    }
}

/// Writes a value as far as one buffer takes it, and then goes on where it stopped.
#[derive(Debug, Default)]
pub(crate) struct ValueWriter {
    began: bool,
    /// Series that are written whole.
    series: usize,
    /// What comes next of the series after them.
    part: Part,
    points: PointWriter,
    histograms: HistogramWriter,
}

/// A part of a series of a matrix.
#[derive(Clone, Copy, Debug, Default)]
enum Part {
    #[default]
    Labels,
    /// The floats from this place on.
    Floats(usize),
    /// The histograms from this one on, and the end.
    Histograms(usize),
}

impl ValueWriter {
    /// Writes `{"resultType":…,"result":…` without the closing brace, so that `stats` may follow. Returns true when all is written,
    /// false when `out` is full; the same value must be passed then.
    pub(crate) fn write(&mut self, value: &Value, out: &mut JsonOut) -> bool {
        if !std::mem::replace(&mut self.began, true) {
            out.raw("{\"resultType\":\"").raw(value.type_name()).raw("\",\"result\":[");
        }
        let ended = match value {
            Value::Scalar { t_ms, value } => {
                push_seconds(out.buffer(), *t_ms);
                out.raw(",\"");
                push_float(out.buffer(), *value);
                out.raw("\"");
                true
            }
            Value::String { t_ms, value } => {
                push_seconds(out.buffer(), *t_ms);
                out.raw(",").html_safe(value);
                true
            }
            Value::Vector(vector) => self.write_samples(vector, out),
            Value::Matrix(matrix) => {
                matrix.series[self.series..].iter().all(|series| self.write_series(series, out))
            }
        };
        if ended {
            out.raw("]");
        }
        ended
    }

    fn write_samples(&mut self, vector: &Vector, out: &mut JsonOut) -> bool {
        for sample in &vector.samples[self.series..] {
            if out.is_full() {
                return false;
            }
            out.raw(if self.series > 0 { "," } else { "" });
            push_sample(out, vector.t_ms, sample, &mut self.histograms);
            self.series += 1;
        }
        true
    }

    /// Writes what is left of the next series; false when `out` is full before its end.
    fn write_series(&mut self, series: &MatrixSeries, out: &mut JsonOut) -> bool {
        while !out.is_full() {
            self.part = match self.part {
                Part::Labels => {
                    out.raw(if self.series > 0 { ",{\"metric\":" } else { "{\"metric\":" })
                        .labels(&series.labels);
                    if series.float_count() > 0 {
                        out.raw(",\"values\":");
                        Part::Floats(0)
                    } else {
                        Part::Histograms(0)
                    }
                }
                Part::Floats(from) => {
                    let columns = series.float_columns();
                    let next = self.points.write(&columns, from, out.buffer(), PIECE);
                    if next < columns.len() {
                        Part::Floats(next)
                    } else {
                        out.raw("]");
                        Part::Histograms(0)
                    }
                }
                Part::Histograms(at) => {
                    let Some((t_ms, histogram)) = series.histograms().get(at) else {
                        out.raw(if at > 0 { "]}" } else { "}" });
                        self.part = Part::Labels;
                        self.series += 1;
                        return true;
                    };
                    out.raw(if at > 0 { ",[" } else { ",\"histograms\":[[" });
                    push_seconds(out.buffer(), *t_ms);
                    out.raw(",");
                    self.histograms.push(out.buffer(), histogram);
                    out.raw("]");
                    Part::Histograms(at + 1)
                }
            };
        }
        false
    }
}

fn push_sample(out: &mut JsonOut, t_ms: i64, sample: &VectorSample, histograms: &mut HistogramWriter) {
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
            histograms.push(out.buffer(), histogram);
            out.raw("]");
        }
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
    use narthex_promql::engine::Matrix;

    use super::*;

    #[track_caller]
    fn check(value: &Value, expected: &str) {
        assert_eq!(text(value), expected);
    }

    fn text(value: &Value) -> String {
        let mut text = Vec::new();
        value_json(value, |piece| text.extend_from_slice(piece));
        String::from_utf8(text).unwrap()
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
    fn a_buffer_may_be_full_at_any_byte() {
        for len in PIECE - 100..=PIECE {
            let name = "n".repeat(len);
            let series = [&*name, "b"].map(|name| {
                let labels = Labels::from_pairs([("a", name)]);
                MatrixSeries::from_points(labels, vec![0, 1_000], vec![1.0, 2.5])
            });
            let series = series.to_vec();
            let rest = r#""},"values":[[0,"1"],[1,"2.5"]]}"#;
            let expected = format!(
                r#"{{"resultType":"matrix","result":[{{"metric":{{"a":"{name}{rest},{{"metric":{{"a":"b{rest}]}}"#
            );
            assert!(text(&Value::Matrix(Matrix { series })) == expected, "labels of {len} bytes");
        }
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
