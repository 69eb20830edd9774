//! Go's own functions: printing, escaping, indexing.

use std::sync::Arc;

use super::compare::{self, greater, greater_equal, less, less_equal};
use super::{Env, Line, Param};
use crate::html;
use crate::percent;
use crate::print;
use crate::value::{IntType, ListValue, Text, UintType, Value};

const REFLECT: &[Param] = &[Param::Reflect];
const REFLECT_TWICE: &[Param] = &[Param::Reflect, Param::Reflect];
const ANY: &[Param] = &[Param::Any];

pub(super) static TABLE: [Line; 16] = [
    ("not", REFLECT, false, |_, values| Ok(Value::Bool(!values[0].is_true()))),
    ("len", REFLECT, false, |_, values| length(&values[0])),
    ("index", REFLECT_TWICE, true, |_, values| index(&values)),
    ("slice", REFLECT_TWICE, true, |_, values| slice(&values)),
    ("print", ANY, true, |env, values| Ok(made(print::print(&values, env.room)))),
    ("println", ANY, true, |env, values| Ok(made(print::println(&values, env.room)))),
    ("printf", &[Param::Text, Param::Any], true, |env, values| {
        let Value::Str(format) = &values[0] else { return Err("the format is no text".to_owned()) };
        Ok(made(print::printf(format, &values[1..], env.room)))
    }),
    ("html", ANY, true, |env, values| Ok(made(html::escape_html(&print_args(env, &values))))),
    ("js", ANY, true, |env, values| Ok(made(html::escape_js(&print_args(env, &values))))),
    ("urlquery", ANY, true, |env, values| Ok(Value::text(percent::query_escape(&print_args(env, &values))))),
    ("eq", REFLECT_TWICE, true, |_, values| compare::equal(&values[0], &values[1..]).map(Value::Bool)),
    ("ne", REFLECT_TWICE, false, |_, values| {
        compare::equal(&values[0], &values[1..]).map(|equal| Value::Bool(!equal))
    }),
    ("lt", REFLECT_TWICE, false, |_, values| less(&values[0], &values[1]).map(Value::Bool)),
    ("le", REFLECT_TWICE, false, |_, values| less_equal(&values[0], &values[1]).map(Value::Bool)),
    ("gt", REFLECT_TWICE, false, |_, values| greater(&values[0], &values[1]).map(Value::Bool)),
    ("ge", REFLECT_TWICE, false, |_, values| greater_equal(&values[0], &values[1]).map(Value::Bool)),
];

fn made(bytes: Vec<u8>) -> Value {
    Value::Str(Text::from(bytes))
}

/// Arguments as one text: a single text as it is, anything else as `print` writes it.
fn print_args(env: &Env<'_>, values: &[Value]) -> Vec<u8> {
    if let [Value::Str(text)] = values {
        return text.bytes().to_vec();
    }
    let shown: Vec<Value> = values
        .iter()
        .map(|value| match value {
            Value::Pointer(_) => value.target().clone(),
            other => other.clone(),
        })
        .collect();
    print::print(&shown, env.room)
}

fn length(value: &Value) -> Result<Value, String> {
    let count = match value.target() {
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.entries.len(),
        Value::Str(text) | Value::Html(text) => text.bytes().len(),
        Value::NilAny => return Err("len of nil pointer".to_owned()),
        // COMPAT: Go's reflection panics here.
        Value::Nil => return Err("reflect: call of reflect.Value.Type on zero Value".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::int(count as i64))
}

/// A position for `index` and `slice`, at most `most`.
fn position(at: &Value, most: usize) -> Result<usize, String> {
    let number = match at {
        Value::Int(number, _) | Value::Duration(number) => *number,
        Value::Uint(number, _) => *number as i64,
        Value::Nil | Value::NilAny => return Err("cannot index slice/array with nil".to_owned()),
        other => return Err(format!("cannot index slice/array with type {}", other.type_name())),
    };
    usize::try_from(number)
        .ok()
        .filter(|number| *number <= most)
        .ok_or_else(|| format!("index out of range: {number}"))
}

fn index(values: &[Value]) -> Result<Value, String> {
    let mut item = values[0].clone();
    if matches!(item, Value::Nil | Value::NilAny) {
        return Err("index of untyped nil".to_owned());
    }
    for at in &values[1..] {
        item = match item.target() {
            Value::NilAny => return Err("index of nil pointer".to_owned()),
            Value::List(list) => {
                let at = position(at, list.items.len())?;
                list.items.get(at).cloned().ok_or("reflect: slice index out of range")?
            }
            Value::Str(text) | Value::Html(text) => {
                let at = position(at, text.bytes().len())?;
                let byte = text.bytes().get(at).ok_or("reflect: string index out of range")?;
                Value::Uint(u64::from(*byte), UintType::Uint8)
            }
            Value::Map(map) => match at {
                Value::Str(key) => map.get(key.bytes()).unwrap_or(&map.zero).clone(),
                Value::Nil | Value::NilAny => {
                    return Err("value is nil; should be of type string".to_owned());
                }
                other => return Err(format!("value has type {}; should be string", other.type_name())),
            },
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

fn slice(values: &[Value]) -> Result<Value, String> {
    let item = values[0].target();
    let bounds = &values[1..];
    let text = match item {
        Value::Nil | Value::NilAny => return Err("slice of untyped nil".to_owned()),
        _ if bounds.len() > 3 => return Err(format!("too many slice indexes: {}", bounds.len())),
        Value::Str(_) | Value::Html(_) if bounds.len() == 3 => {
            return Err("cannot 3-index slice a string".to_owned());
        }
        Value::Str(text) | Value::Html(text) => Some(text),
        Value::List(_) => None,
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let len = match item {
        Value::List(list) => list.items.len(),
        _ => text.map_or(0, |text| text.bytes().len()),
    };
    let mut at = [0, len, len];
    for (i, bound) in bounds.iter().enumerate() {
        at[i] = position(bound, len)?;
    }
    if at[0] > at[1] {
        return Err(format!("invalid slice index: {} > {}", at[0], at[1]));
    }
    if bounds.len() == 3 && at[1] > at[2] {
        return Err(format!("invalid slice index: {} > {}", at[1], at[2]));
    }
    Ok(match item {
        Value::List(list) => {
            let items = list.items[at[0]..at[1]].to_vec();
            Value::List(Arc::new(ListValue { type_name: list.type_name, items }))
        }
        Value::Html(text) => Value::Html(Text::from(&text.bytes()[at[0]..at[1]])),
        _ => made(text.map_or(&[][..], |text| &text.bytes()[at[0]..at[1]]).to_vec()),
    })
}

/// Whether a value is an integer of some type that is compared as a signed one.
pub(super) fn signed(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number, IntType::Int | IntType::Int32 | IntType::Int64) => Some(*number),
        Value::Int(number, IntType::Month | IntType::Weekday) | Value::Duration(number) => Some(*number),
        _ => None,
    }
}
