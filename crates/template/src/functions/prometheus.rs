//! Prometheus' functions: queries and their samples, texts, links, time.

use std::cmp::Ordering;
use std::sync::Arc;

use narthex_model::parse_duration_ms;

use super::{Env, Line, Param, humanize, network, title};
use crate::context::{QuerySample, SampleValue};
use crate::percent;
use crate::value::{ANY_MAP, Field, ListValue, MapValue, QUERY_RESULT, SAMPLE, StructValue, Text, Value};

const TEXT: &[Param] = &[Param::Text];
const SAMPLE_ONLY: &[Param] = &[Param::Sample];
const ANY: &[Param] = &[Param::Any];

pub(super) static TABLE: [Line; 29] = [
    ("query", TEXT, false, |env, values| query(env, &text(&values[0]))),
    ("first", &[Param::QueryResult], false, |_, values| match &values[0] {
        Value::List(list) if !list.items.is_empty() => Ok(list.items[0].clone()),
        _ => Err("first() called on vector with no elements".to_owned()),
    }),
    ("label", &[Param::Text, Param::Sample], false, |_, values| label(&values[1], &text(&values[0]))),
    ("value", SAMPLE_ONLY, false, |_, values| sample_field(&values[0], "Value")),
    ("strvalue", SAMPLE_ONLY, false, |_, values| label(&values[0], "__value__")),
    ("args", ANY, true, |_, values| Ok(args(values))),
    ("reReplaceAll", &[Param::Text, Param::Text, Param::Text], false, |env, values| {
        replace_all(env, &values)
    }),
    ("safeHtml", TEXT, false, |_, mut values| match values.remove(0) {
        Value::Str(text) => Ok(Value::Html(text)),
        other => Ok(other),
    }),
    ("match", &[Param::Text, Param::Text], false, |env, values| {
        Ok(Value::Bool(env.regexes.get(&text(&values[0]))?.is_match(&text(&values[1]))))
    }),
    ("title", TEXT, false, |_, values| Ok(Value::text(title::title(&text(&values[0]))))),
    ("toUpper", TEXT, false, |_, values| Ok(Value::text(title::upper(&text(&values[0]))))),
    ("toLower", TEXT, false, |_, values| Ok(Value::text(title::lower(&text(&values[0]))))),
    ("graphLink", TEXT, false, |_, values| Ok(link(&values[0], 0))),
    ("tableLink", TEXT, false, |_, values| Ok(link(&values[0], 1))),
    ("sortByLabel", &[Param::Text, Param::QueryResult], false, |_, values| Ok(sort_by_label(&values))),
    ("stripPort", TEXT, false, |_, values| Ok(Value::text(network::strip_port(&text(&values[0]))))),
    ("stripDomain", TEXT, false, |_, values| Ok(Value::text(network::strip_domain(&text(&values[0]))))),
    ("humanize", ANY, false, |_, values| humanize::humanize(&values[0])),
    ("humanize1024", ANY, false, |_, values| humanize::humanize_1024(&values[0])),
    ("humanizeDuration", ANY, false, |_, values| humanize::humanize_duration(&values[0])),
    ("humanizePercentage", ANY, false, |_, values| humanize::humanize_percentage(&values[0])),
    ("humanizeTimestamp", ANY, false, |_, values| humanize::humanize_timestamp(&values[0])),
    ("toTime", ANY, false, |_, values| humanize::to_time(&values[0])),
    ("toDuration", ANY, false, |_, values| humanize::to_duration(&values[0])),
    ("now", &[], false, |env, _| Ok(Value::Float(env.context.now_ms as f64 / 1000.0))),
    ("pathPrefix", &[], false, |env, _| Ok(Value::text(env.context.path_prefix))),
    ("externalURL", &[], false, |env, _| Ok(Value::text(env.context.external_url))),
    ("parseDuration", TEXT, false, |_, values| parse_duration(&text(&values[0])).map(Value::Float)),
    ("urlQueryEscape", TEXT, false, |_, values| match &values[0] {
        Value::Str(text) => Ok(Value::text(percent::query_escape(text.bytes()))),
        _ => Ok(Value::text("")),
    }),
];

fn text(value: &Value) -> String {
    match value {
        Value::Str(text) => text.to_str_lossy().into_owned(),
        _ => String::new(),
    }
}

fn query(env: &Env<'_>, expr: &str) -> Result<Value, String> {
    let samples = env.context.query.query(expr, env.context.now_ms)?;
    let items = samples.into_iter().map(sample).collect();
    Ok(Value::List(Arc::new(ListValue { type_name: QUERY_RESULT, items })))
}

fn sample(sample: QuerySample) -> Value {
    let value = match sample.value {
        SampleValue::Float(float) => Value::Float(float),
        SampleValue::Histogram(histogram) => Value::histogram(*histogram),
    };
    let labels = Field { name: "Labels", value: Value::labels(&sample.labels), any: false };
    let fields = vec![labels, Field { name: "Value", value, any: true }];
    Value::Struct(Arc::new(StructValue { type_name: SAMPLE, fields })).pointer()
}

fn sample_field(sample: &Value, name: &str) -> Result<Value, String> {
    match sample.target() {
        Value::Struct(of) => Ok(of
            .fields
            .iter()
            .find(|field| field.name == name)
            .map_or(Value::Nil, |field| field.value.clone())),
        _ => Err("runtime error: invalid memory address or nil pointer dereference".to_owned()),
    }
}

fn label(sample: &Value, name: &str) -> Result<Value, String> {
    match sample_field(sample, "Labels")? {
        Value::Map(labels) => Ok(labels.get(name.as_bytes()).unwrap_or(&labels.zero).clone()),
        other => Ok(other),
    }
}

fn args(values: Vec<Value>) -> Value {
    let mut entries: Vec<(Text, Value)> =
        values.into_iter().enumerate().map(|(i, value)| (Text::from(format!("arg{i}")), value)).collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    Value::Map(Arc::new(MapValue { type_name: ANY_MAP, zero: Value::NilAny, entries }))
}

fn replace_all(env: &Env<'_>, values: &[Value]) -> Result<Value, String> {
    let [pattern, replacement, subject] = [0, 1, 2].map(|i| text(&values[i]));
    let quoted =
        if pattern.contains('`') { narthex_model::quote_go(&pattern) } else { format!("`{pattern}`") };
    let regex = env.regexes.get(&pattern).map_err(|error| format!("regexp: Compile({quoted}): {error}"))?;
    let replaced = regex.replace_all_within(&subject, &replacement, env.room);
    replaced.map(Value::text).ok_or_else(|| "the replaced text is too long".to_owned())
}

fn link(expr: &Value, tab: u8) -> Value {
    let Value::Str(expr) = expr else { return Value::text("") };
    Value::text(format!("/graph?g0.expr={}&g0.tab={tab}", percent::query_escape(expr.bytes())))
}

fn sort_by_label(values: &[Value]) -> Value {
    let (by, Value::List(list)) = (text(&values[0]), &values[1]) else { return values[1].clone() };
    let key = |sample: &Value| match label(sample, &by) {
        Ok(Value::Str(text)) => Some(text),
        _ => None,
    };
    let mut items = list.items.clone();
    items.sort_by(|one, other| key(one).partial_cmp(&key(other)).unwrap_or(Ordering::Equal));
    Value::List(Arc::new(ListValue { type_name: list.type_name, items }))
}

/// Seconds of a duration, which may have a minus.
fn parse_duration(text: &str) -> Result<f64, String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    match parse_duration_ms(rest) {
        Ok(ms) => Ok(sign * crate::methods::units(ms.saturating_mul(1_000_000), 1_000_000_000)),
        Err(error) => Err(error.to_string()),
    }
}
