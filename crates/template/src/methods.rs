//! The methods that templates can call on values: of times, durations, histograms, URL values.
//!
//! Facts: the documentation of Go's `time` and `net/url`, and of Prometheus' `model/histogram`. A method with more than one
//! result is refused with Go's words. Left out: what needs a value that no template can make (formats, zones), and what
//! changes a value.

use crate::functions::{Param, Signature};
use crate::percent;
use crate::value::{
    GoTime, IntType, MONTHS, Value, WEEKDAYS, format_duration, format_layout, histogram_text, round_duration,
    truncate_duration,
};

/// A method of some type.
pub(crate) struct Method {
    pub(crate) signature: Signature,
    /// Why Go does not let templates call it.
    pub(crate) refusal: Option<&'static str>,
    pub(crate) run: fn(&Value, &[Value]) -> Result<Value, String>,
}

type Entry = (&'static str, Method);

const fn entry(
    name: &'static str,
    params: &'static [Param],
    run: fn(&Value, &[Value]) -> Result<Value, String>,
) -> Entry {
    (name, Method { signature: Signature { params, variadic: false }, refusal: None, run })
}

const fn refused(name: &'static str, refusal: &'static str) -> Entry {
    let signature = Signature { params: &[], variadic: false };
    (name, Method { signature, refusal: Some(refusal), run: |_, _| Ok(Value::Nil) })
}

/// The method `name` of a value or of what it points to.
pub(crate) fn find(receiver: &Value, name: &str) -> Option<&'static Method> {
    let methods: &'static [Entry] = match receiver.target() {
        Value::Time(_) => &TIME,
        Value::Duration(_) => &DURATION,
        Value::Int(_, IntType::Month | IntType::Weekday) => &STRING_ONLY,
        Value::Histogram(_) => &HISTOGRAM,
        Value::Map(map) if map.type_name == "url.Values" => &URL_VALUES,
        _ => return None,
    };
    methods.iter().find(|(known, _)| *known == name).map(|(_, method)| method)
}

/// What a value says of itself.
pub(crate) fn string(value: &Value) -> Option<String> {
    match value {
        Value::Time(time) => Some(time_text(*time)),
        Value::Duration(nanos) => Some(format_duration(*nanos)),
        Value::Int(month, IntType::Month) => Some(named(&MONTHS, *month - 1, "Month", *month)),
        Value::Int(day, IntType::Weekday) => Some(named(&WEEKDAYS, *day, "Weekday", *day)),
        Value::Pointer(to) => match &**to {
            Value::Histogram(histogram) => Some(histogram_text(histogram)),
            other => string(other),
        },
        _ => None,
    }
}

/// What a value says of itself in Go's own syntax.
pub(crate) fn go_string(value: &Value) -> Option<String> {
    let Value::Time(time) = value.target() else { return None };
    let civil = time.civil();
    Some(format!(
        "time.Date({}, time.{}, {}, {}, {}, {}, {}, time.UTC)",
        civil.year,
        MONTHS[civil.month - 1],
        civil.day,
        civil.hour,
        civil.minute,
        civil.second,
        time.nanos
    ))
}

/// `2015-06-23 13:19:44.128 +0000 UTC`
pub(crate) fn time_text(time: GoTime) -> String {
    format_layout(time, "2006-01-02 15:04:05.999999999 -0700 MST")
}

fn named(names: &[&str], at: i64, of: &str, number: i64) -> String {
    let name = usize::try_from(at).ok().and_then(|at| names.get(at));
    name.map_or_else(|| format!("%!{of}({number})"), |name| (*name).to_owned())
}

fn time(value: &Value) -> GoTime {
    match value.target() {
        Value::Time(time) => *time,
        _ => GoTime { seconds: 0, nanos: 0 },
    }
}

fn nanos(value: &Value) -> i64 {
    match value.target() {
        Value::Duration(nanos) => *nanos,
        _ => 0,
    }
}

fn number(value: &Value) -> i64 {
    if let Value::Int(number, _) = value { *number } else { 0 }
}

fn text(value: &Value) -> String {
    match value {
        Value::Str(text) => text.to_str_lossy().into_owned(),
        _ => String::new(),
    }
}

fn int64(value: i64) -> Result<Value, String> {
    Ok(Value::Int(value, IntType::Int64))
}

/// As Go narrows: the low 64 bits.
fn wrapped(value: i128) -> Result<Value, String> {
    int64(value as i64)
}

const STRING_ONLY: [Entry; 1] = [entry("String", &[], |v, _| Ok(Value::text(string(v).unwrap_or_default())))];

static TIME: [Entry; 37] = [
    entry("String", &[], |v, _| Ok(Value::text(time_text(time(v))))),
    entry("GoString", &[], |v, _| Ok(Value::text(go_string(v).unwrap_or_default()))),
    entry("Format", &[Param::Text], |v, a| Ok(Value::text(format_layout(time(v), &text(&a[0]))))),
    entry("Add", &[Param::Duration], |v, a| Ok(Value::Time(time(v).add(nanos(&a[0]))))),
    entry("Sub", &[Param::Time], |v, a| Ok(Value::Duration(time(v).since(time(&a[0]))))),
    entry("AddDate", &[Param::Int, Param::Int, Param::Int], |v, a| {
        Ok(Value::Time(time(v).add_date(number(&a[0]), number(&a[1]), number(&a[2]))))
    }),
    entry("After", &[Param::Time], |v, a| Ok(Value::Bool(time(v) > time(&a[0])))),
    entry("Before", &[Param::Time], |v, a| Ok(Value::Bool(time(v) < time(&a[0])))),
    entry("Equal", &[Param::Time], |v, a| Ok(Value::Bool(time(v) == time(&a[0])))),
    entry("Compare", &[Param::Time], |v, a| Ok(Value::int(time(v).cmp(&time(&a[0])) as i64))),
    entry("IsZero", &[], |v, _| Ok(Value::Bool(time(v).is_zero()))),
    entry("IsDST", &[], |_, _| Ok(Value::Bool(false))),
    entry("Unix", &[], |v, _| int64(time(v).seconds)),
    entry("UnixMilli", &[], |v, _| wrapped(time(v).nanos().div_euclid(1_000_000))),
    entry("UnixMicro", &[], |v, _| wrapped(time(v).nanos().div_euclid(1_000))),
    entry("UnixNano", &[], |v, _| wrapped(time(v).nanos())),
    entry("UTC", &[], |v, _| Ok(Value::Time(time(v)))),
    // COMPAT: the server's own zone counts as UTC.
    entry("Local", &[], |v, _| Ok(Value::Time(time(v)))),
    entry("Round", &[Param::Duration], |v, a| Ok(Value::Time(time(v).round(nanos(&a[0]))))),
    entry("Truncate", &[Param::Duration], |v, a| Ok(Value::Time(time(v).truncate(nanos(&a[0]))))),
    entry("Year", &[], |v, _| Ok(Value::int(time(v).civil().year))),
    entry("Month", &[], |v, _| Ok(Value::Int(time(v).civil().month as i64, IntType::Month))),
    entry("Day", &[], |v, _| Ok(Value::int(time(v).civil().day))),
    entry("YearDay", &[], |v, _| Ok(Value::int(time(v).civil().year_day))),
    entry("Weekday", &[], |v, _| Ok(Value::Int(time(v).civil().weekday as i64, IntType::Weekday))),
    entry("Hour", &[], |v, _| Ok(Value::int(time(v).civil().hour))),
    entry("Minute", &[], |v, _| Ok(Value::int(time(v).civil().minute))),
    entry("Second", &[], |v, _| Ok(Value::int(time(v).civil().second))),
    entry("Nanosecond", &[], |v, _| Ok(Value::int(i64::from(time(v).nanos)))),
    entry("Location", &[], |_, _| Ok(Value::text("UTC"))),
    refused("Date", "function Date has 3 return values; should be 1 or 2"),
    refused("Clock", "function Clock has 3 return values; should be 1 or 2"),
    refused("ISOWeek", "invalid function signature for ISOWeek: second return value should be error; is int"),
    refused("Zone", "invalid function signature for Zone: second return value should be error; is int"),
    refused(
        "ZoneBounds",
        "invalid function signature for ZoneBounds: second return value should be error; is time.Time",
    ),
    entry("MarshalText", &[], |_, _| Err("not supported in templates".to_owned())),
    entry("MarshalJSON", &[], |_, _| Err("not supported in templates".to_owned())),
];

static DURATION: [Entry; 10] = [
    entry("String", &[], |v, _| Ok(Value::text(format_duration(nanos(v))))),
    entry("Hours", &[], |v, _| Ok(Value::Float(units(nanos(v), 3_600_000_000_000)))),
    entry("Minutes", &[], |v, _| Ok(Value::Float(units(nanos(v), 60_000_000_000)))),
    entry("Seconds", &[], |v, _| Ok(Value::Float(units(nanos(v), 1_000_000_000)))),
    entry("Milliseconds", &[], |v, _| int64(nanos(v) / 1_000_000)),
    entry("Microseconds", &[], |v, _| int64(nanos(v) / 1_000)),
    entry("Nanoseconds", &[], |v, _| int64(nanos(v))),
    entry("Round", &[Param::Duration], |v, a| Ok(Value::Duration(round_duration(nanos(v), nanos(&a[0]))))),
    entry("Truncate", &[Param::Duration], |v, a| {
        Ok(Value::Duration(truncate_duration(nanos(v), nanos(&a[0]))))
    }),
    entry("Abs", &[], |v, _| Ok(Value::Duration(nanos(v).saturating_abs()))),
];

/// Whole units and the rest are divided apart, as Go does: the float is the nearest one.
pub(crate) fn units(nanos: i64, unit: i64) -> f64 {
    (nanos / unit) as f64 + (nanos % unit) as f64 / unit as f64
}

static HISTOGRAM: [Entry; 4] = [
    entry("String", &[], |v, _| Ok(Value::text(string(v).unwrap_or_default()))),
    entry("UsesCustomBuckets", &[], |v, _| {
        let Value::Histogram(histogram) = v.target() else { return Ok(Value::Bool(false)) };
        Ok(Value::Bool(histogram.schema == narthex_model::CUSTOM_BUCKETS_SCHEMA))
    }),
    entry("Copy", &[], |v, _| Ok(v.clone())),
    entry("Size", &[], |_, _| Err("not supported in templates".to_owned())),
];

static URL_VALUES: [Entry; 3] = [
    entry("Get", &[Param::Text], |v, a| {
        Ok(texts(v, &text(&a[0])).and_then(|texts| texts.first().cloned()).unwrap_or(Value::text("")))
    }),
    entry("Has", &[Param::Text], |v, a| Ok(Value::Bool(texts(v, &text(&a[0])).is_some()))),
    entry("Encode", &[], |v, _| {
        let Value::Map(map) = v else { return Ok(Value::text("")) };
        let mut pairs = Vec::new();
        for (name, list) in &map.entries {
            let Value::List(list) = list else { continue };
            for item in &list.items {
                let Value::Str(item) = item else { continue };
                pairs.push(format!(
                    "{}={}",
                    percent::query_escape(name.bytes()),
                    percent::query_escape(item.bytes())
                ));
            }
        }
        Ok(Value::text(pairs.join("&")))
    }),
];

fn texts<'v>(values: &'v Value, name: &str) -> Option<&'v [Value]> {
    let Value::Map(map) = values else { return None };
    match map.get(name.as_bytes())? {
        Value::List(list) => Some(&list.items),
        _ => None,
    }
}
