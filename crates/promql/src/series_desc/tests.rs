//! The shorthand, case by case; errors with Prometheus' words and places.

use narthex_model::{CounterResetHint, FloatHistogram, is_stale};

use super::{MAX_VALUES, SeriesValue, parse_series, parse_start_offsets};
use crate::ast::UnaryOp;

/// A stand-in for the engine's arithmetic: sums only.
fn combine(a: &FloatHistogram, op: UnaryOp, b: &FloatHistogram) -> Result<FloatHistogram, String> {
    let sum = if op == UnaryOp::Plus { a.sum + b.sum } else { a.sum - b.sum };
    Ok(FloatHistogram { sum, ..a.clone() })
}

fn shown(value: &SeriesValue) -> String {
    match value {
        SeriesValue::Gap => "_".to_owned(),
        SeriesValue::Float(v) if is_stale(*v) => "stale".to_owned(),
        SeriesValue::Float(v) => v.to_string(),
        SeriesValue::Histogram { histogram, hint_given } => {
            format!("h{}{}", histogram.sum, if *hint_given { "!" } else { "" })
        }
    }
}

#[track_caller]
fn check(line: &str, expected: &str) {
    let got = match parse_series(line, &combine) {
        Ok(series) => {
            let values: Vec<String> = series.values.iter().map(shown).collect();
            format!("{} {}", series.labels, values.join(" "))
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(got.trim_end(), expected, "{line}");
}

#[test]
fn labels_come_first() {
    check("", "{}");
    check("{} 1 2 3", "{} 1 2 3");
    check("my_metric 1", r#"{__name__="my_metric"} 1"#);
    check("min{} 1", r#"{__name__="min"} 1"#);
    check(r#"m{a="b", c="\u70ac = torch",} -1"#, r#"{__name__="m", a="b", c="炬 = torch"} -1"#);
    check(r#"{"a.b", "c.d"='e', x=""} 1"#, r#"{__name__="a.b", "c.d"="e"} 1"#);
    check(
        r#"{"http.requests"xx} 0+50x2"#,
        r#"1:17: parse error: unexpected identifier "xx" in label set, expected "," or "}""#,
    );
    check(
        r#"{"http.requests"=, x="y"} 1"#,
        r#"1:18: parse error: unexpected "," in label set, expected string"#,
    );
    check(r#"{"http.requests} 1"#, "1:2: parse error: unterminated quoted string");
}

#[test]
fn values_repeat_and_grow() {
    check("{} 1x0", "{} 1");
    check("{} 1+1x0", "{} 1");
    check("{} 1 2 3-10x4   ", "{} 1 2 3 -7 -17 -27 -37");
    check("{} 0x5", "{} 0 0 0 0 0 0");
    check("{} 1 3 _ 5 _x4", "{} 1 3 _ 5 _ _ _ _");
    check("{} +1 -1 1e3 .5 3. 1_0", "{} 1 -1 1000 0.5 3 10");
    check("{} Inf -inf NaN stale stalex1 Infx1", "{} inf -inf NaN stale stale stale inf inf");
    check("{} 1m 1m30sx1", "{} 60 90 90");
}

#[test]
fn malformed_values_are_errors() {
    check("{} 1+1", "1:7: parse error: unexpected end of input in series values");
    check("{} 1 _a4", r#"1:7: parse error: unexpected "a" in series values"#);
    check("{} -3-3 -3", r#"1:8: parse error: unexpected " " in series values"#);
    check("{} -3 _-2", r#"1:8: parse error: unexpected "-" in series values"#);
    check("{} 3 3+3x4-4", r#"1:11: parse error: unexpected "-" in series values"#);
    check("{} 1x99999999999", &format!("1:17: parse error: series has more than {MAX_VALUES} values"));
    check("{}1", r#"1:3: parse error: unexpected "1" in series values"#);
    check("{} é", r#"1:4: parse error: unexpected "é" in series values"#);
}

#[test]
fn histograms_have_all_their_parts() {
    let line = "{} {{schema:1  sum:-0.3 count:3.1 z_bucket:7.1 z_bucket_w:0.05 buckets:[5.1 10  7 ] offset:-3 \
                n_buckets:[4.1 -5] n_offset:5 counter_reset_hint:gauge custom_values:[1 2] }}";
    let series = parse_series(line, &combine).expect("a series");
    let [SeriesValue::Histogram { histogram, hint_given: true }] = &series.values[..] else {
        panic!("one histogram with a hint: {series:?}")
    };
    let expected = FloatHistogram {
        counter_reset_hint: CounterResetHint::Gauge,
        schema: 1,
        zero_threshold: 0.05,
        zero_count: 7.1,
        count: 3.1,
        sum: -0.3,
        positive_spans: vec![narthex_model::Span { offset: -3, length: 3 }],
        negative_spans: vec![narthex_model::Span { offset: 5, length: 2 }],
        positive_buckets: vec![5.1, 10.0, 7.0],
        negative_buckets: vec![4.1, -5.0],
        custom_values: vec![1.0, 2.0],
    };
    assert_eq!(**histogram, expected);
}

#[test]
fn histograms_repeat_and_grow() {
    check("{} {{}} {{ }}", "{} h0 h0");
    check("{} {{SUM:1}}x2", "{} h1 h1 h1");
    check("{} {{sum:1}}+{{sum:2}}x2 {{sum:5}}-{{sum:1}}x1", "{} h1 h3 h5 h5 h4");
    check("{} {{sum:1 counter_reset_hint:unknown}}", "{} h1!");
    check("{} {{sum:1}}+{{sum:1 counter_reset_hint:reset}}x1", "{} h1! h2!");
}

#[test]
fn malformed_histograms_are_errors() {
    check(
        "{} {{schema:1}}+{{schema:0}}x2",
        "1:31: parse error: error combining histograms: cannot merge from schema 0 to 1",
    );
    check("{} {{schema:1 schema:1}}", r#"1:1: parse error: duplicate key "schema" in histogram"#);
    check("{} {{foo:1}}", r#"1:6: parse error: bad histogram descriptor found: "foo""#);
    check("{} {{schema :1}}", "1:6: parse error: missing `:` for histogram descriptor");
    check("{} {{schema: 1}}", r#"1:13: parse error: unexpected " " in series values"#);
    check("{} {{buckets:[ 1]}}", r#"1:15: parse error: unexpected " " in series values"#);
    check("{} {{counter_reset_hint:foo}}", r#"1:25: parse error: bad histogram descriptor found: "foo""#);
    check("{} {{sum:1", "1:11: parse error: unexpected end of input in series values");
}

#[test]
fn start_offsets_repeat_and_grow() {
    let parsed = parse_start_offsets("_ _x2 -30s 1msx1 -1m+10sx2 -1s-1sx1 0-1mx1");
    let expected =
        [None, None, None, Some(-30_000), Some(1), Some(1), Some(-60_000), Some(-50_000), Some(-40_000)];
    let expected: Vec<_> = expected.into_iter().chain([-1000, -2000, 0, -60_000].map(Some)).collect();
    assert_eq!(parsed, Ok(expected));
    assert_eq!(
        parse_start_offsets("1 _x0"),
        Err(r#"invalid ST item "1": invalid duration "1": not a valid duration string: "1""#.to_owned())
    );
    assert_eq!(parse_start_offsets("_x0"), Err(r#"invalid ST item "_x0": invalid repeat count"#.to_owned()));
    assert_eq!(
        parse_start_offsets("-1m+1s"),
        Err(r#"invalid ST item "-1m+1s": expected 'x<count>' after step duration"#.to_owned())
    );
}
