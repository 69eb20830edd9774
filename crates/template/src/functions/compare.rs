//! `eq`, `ne`, `lt`, `le`, `gt`, `ge`: values of one basic kind, whatever their types; signed and unsigned integers mix.

use std::cmp::Ordering;
use std::sync::Arc;

use super::builtin::signed;
use crate::print;
use crate::value::Value;

const BAD_TYPE: &str = "invalid type for comparison";

/// The kinds that have an order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Uint,
    Float,
    Text,
}

fn kind(value: &Value) -> Option<Kind> {
    match value {
        Value::Bool(_) => Some(Kind::Bool),
        Value::Int(..) | Value::Duration(_) => Some(Kind::Int),
        Value::Uint(..) => Some(Kind::Uint),
        Value::Float(_) => Some(Kind::Float),
        Value::Str(_) | Value::Html(_) => Some(Kind::Text),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Uint(number, _) => Some(i128::from(*number)),
        other => signed(other).map(i128::from),
    }
}

fn incompatible(one: &Value, other: &Value) -> String {
    format!("incompatible types for comparison: {} and {}", one.type_name(), other.type_name())
}

fn is_nil(value: &Value) -> bool {
    matches!(value, Value::Nil | Value::NilAny)
}

/// Whether `first` equals one of `others`.
pub(super) fn equal(first: &Value, others: &[Value]) -> Result<bool, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equal_to(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal_to(one: &Value, other: &Value) -> Result<bool, String> {
    match (one, other) {
        (Value::Bool(a), Value::Bool(b)) => return Ok(a == b),
        (Value::Float(a), Value::Float(b)) => return Ok(a == b),
        (Value::Str(a) | Value::Html(a), Value::Str(b) | Value::Html(b)) => return Ok(a == b),
        _ => {}
    }
    if let (Some(a), Some(b)) = (whole(one), whole(other)) {
        return Ok(a == b);
    }
    if is_nil(one) || is_nil(other) {
        return Ok(is_nil(one) && is_nil(other));
    }
    if kind(one) != kind(other) {
        return Err(incompatible(one, other));
    }
    compound(one, other)
}

fn compound(one: &Value, other: &Value) -> Result<bool, String> {
    let show = |value: &Value| {
        String::from_utf8_lossy(&print::print(std::slice::from_ref(value), 4096)).into_owned()
    };
    match (one, other) {
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        (Value::Pointer(a), Value::Pointer(b)) => Ok(Arc::ptr_eq(a, b)),
        _ if std::mem::discriminant(one) != std::mem::discriminant(other) => Err(format!(
            "non-comparable types {}: {}, {}: {}",
            show(one),
            one.type_name(),
            other.type_name(),
            show(other)
        )),
        _ => Err(format!("non-comparable type {}: {}", show(other), other.type_name())),
    }
}

/// The order of two values; `None` where a NaN has none.
fn order(one: &Value, other: &Value) -> Result<Option<Ordering>, String> {
    let (of_one, of_other) = (kind(one).ok_or(BAD_TYPE)?, kind(other).ok_or(BAD_TYPE)?);
    if let (Some(a), Some(b)) = (whole(one), whole(other)) {
        return Ok(Some(a.cmp(&b)));
    }
    match (one, other) {
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Str(a) | Value::Html(a), Value::Str(b) | Value::Html(b)) => Ok(Some(a.cmp(b))),
        _ if of_one == of_other => Err(BAD_TYPE.to_owned()),
        _ => Err(incompatible(one, other)),
    }
}

pub(super) fn less(one: &Value, other: &Value) -> Result<bool, String> {
    Ok(order(one, other)? == Some(Ordering::Less))
}

pub(super) fn less_equal(one: &Value, other: &Value) -> Result<bool, String> {
    Ok(matches!(order(one, other)?, Some(Ordering::Less | Ordering::Equal)))
}

/// COMPAT: "not less or equal", so that anything is greater than a NaN.
pub(super) fn greater(one: &Value, other: &Value) -> Result<bool, String> {
    less_equal(one, other).map(|yes| !yes)
}

/// COMPAT: "not less".
pub(super) fn greater_equal(one: &Value, other: &Value) -> Result<bool, String> {
    less(one, other).map(|yes| !yes)
}
