//! What the recorded cases cannot hold: functions that came after the recorded version, and other kinds of data.
//!
//! The expectations are facts of Prometheus' own test of its templates.

use std::sync::Arc;

use narthex_model::FloatHistogram;

use crate::{Context, ListValue, MissingKey, NoQueries, Template, Value};

fn context(missing_key: MissingKey) -> Context<'static> {
    Context {
        now_ms: 1_353_755_652_000,
        external_url: "http://testhost:9090/path/prefix",
        path_prefix: "/path/prefix",
        query: &NoQueries,
        missing_key,
    }
}

#[track_caller]
fn check_over(data: &Value, text: &str, want: &str) {
    let template = Template::parse("test", text).unwrap();
    let got = template.expand(data, &context(MissingKey::Zero)).unwrap_or_else(|error| error.to_string());
    assert_eq!(got, want, "{text}");
}

#[track_caller]
fn check(text: &str, want: &str) {
    check_over(&Value::Nil, text, want);
}

#[test]
fn durations_and_now_are_values_with_methods() {
    check("{{ (1800 | toDuration).String }}", "30m0s");
    check("{{ (\"1800\" | toDuration).String }}", "30m0s");
    check("{{ toDuration 1.5 | printf \"%v\" }} {{ toDuration 1.5 | printf \"%T\" }}", "1.5s *time.Duration");
    check("{{ (toDuration 5400).Hours }} {{ (toDuration 0.0025).Milliseconds }}", "1.5 2");
    check("{{ (toDuration 1.26).Round 100000000 }}", "1.3s");
    check("{{ humanizeDuration ((toTime 90).Sub (toTime 0)) }}", "1m 30s");
    check("{{ now }}", "1.353755652e+09");
    check("{{ (now | toTime).Format \"Mon Jan 2 15:04:05 2006\" }}", "Sat Nov 24 11:14:12 2012");
    check("{{ (\"-30m\" | parseDuration | toDuration | (now | toTime).Add).UnixMilli }}", "1353753852000");
    check("{{ printf \"%0.2f\" (parseDuration \"-1h2m10ms\") }}", "-3720.01");
}

#[test]
fn the_address_of_the_server_is_known() {
    check("{{ externalURL }} {{ pathPrefix }}", "http://testhost:9090/path/prefix /path/prefix");
    check("{{ urlQueryEscape \"a b&c=é/~'\" }}", "a+b%26c%3D%C3%A9%2F~%27");
}

#[test]
fn lists_of_numbers_are_humanized() {
    let list = |items: Vec<Value>| Value::List(Arc::new(ListValue { type_name: "[]float64", items }));
    let floats = list([0.0, 1.0, 1_234_567.0, 0.12].map(Value::Float).to_vec());
    check_over(&floats, "{{ range . }}{{ humanize . }}:{{ end }}", "0:1:1.235M:120m:");
    check_over(
        &floats,
        "{{ range $i, $e := . }}{{ $i }}{{ end }} {{ index . 3 }} {{ . }}",
        "0123 0.12 [0 1 1.234567e+06 0.12]",
    );
    let odd = list([f64::INFINITY, f64::NEG_INFINITY, f64::NAN].map(Value::Float).to_vec());
    let all = "{{ range . }}{{ humanize . }}:{{ humanize1024 . }}:{{ humanizeDuration . }}:{{humanizeTimestamp .}}:{{ end }}";
    check_over(&odd, all, "+Inf:+Inf:+Inf:+Inf:-Inf:-Inf:-Inf:-Inf:NaN:NaN:NaN:NaN:");
    let ints = list([0, -1, 1, 1_234_567, i64::MAX].map(Value::int).to_vec());
    check_over(&ints, "{{ range . }}{{ humanize1024 . }}:{{ end }}", "0:-1:1:1.177Mi:8Ei:");
}

#[test]
fn native_histograms_print_and_have_fields() {
    let data = Value::histogram(FloatHistogram { count: 3.0, sum: 10.0, ..FloatHistogram::default() });
    check_over(
        &data,
        "{{ . }} {{ .Count }} {{ .Schema }} {{ .String }}",
        "{count:3, sum:10} 3 0 {count:3, sum:10}",
    );
    let refused = "error executing template test: template: test:1:3: executing \"test\" at <humanize .>: error calling \
                   humanize: can't convert *histogram.FloatHistogram to float";
    check_over(&data, "{{ humanize . }}", refused);
}

#[test]
fn missing_keys_do_as_they_are_told() {
    let data = Value::text_map([("a", "b")]);
    let run = |missing_key| {
        let template = Template::parse("test", "{{ .Foo }}").unwrap();
        template.expand(&data, &context(missing_key)).unwrap_or_else(|error| error.to_string())
    };
    assert_eq!(run(MissingKey::Zero), "");
    assert_eq!(run(MissingKey::Default), "<no value>");
    let error = "error executing template test: template: test:1:3: executing \"test\" at <.Foo>: map has no entry for key \"Foo\"";
    assert_eq!(run(MissingKey::Error), error);
}
