//! Looks into values: fields, keys of maps, methods.

use narthex_model::quote_go;

use crate::context::MissingKey;
use crate::exec::call::{Caller, Given};
use crate::methods;
use crate::syntax::ast::Arg;
use crate::value::{ANY, Value, histogram_field};

use super::{At, Eval, Machine};

/// A value, and whether it lies in something that was declared to hold anything: errors then name that type.
type Slot = (Value, bool);

impl<'t> Machine<'t, '_> {
    /// Follows `names`; the last one gets the arguments.
    pub(super) fn chain(
        &mut self,
        dot: &Value,
        start: Slot,
        node: &'t Arg,
        names: &'t [String],
        given: Given<'t>,
    ) -> Eval<Value> {
        let (final_name, before) = names.split_last().expect("a chain has at least one name");
        let mut slot = start;
        for name in before {
            slot = self.field(dot, slot, node, name, Given::NOTHING)?;
        }
        self.field(dot, slot, node, final_name, given).map(|(value, _)| value)
    }

    fn field(
        &mut self,
        dot: &Value,
        (receiver, any): Slot,
        node: &'t Arg,
        name: &'t str,
        given: Given<'t>,
    ) -> Eval<Slot> {
        match receiver {
            Value::Nil if self.context.missing_key == MissingKey::Error => {
                return Err(format!("nil data; no entry for key {}", quote_go(name)));
            }
            Value::Nil => return Ok((Value::Nil, false)),
            Value::NilAny => return Err(format!("nil pointer evaluating {ANY}.{name}")),
            _ => {}
        }
        let has_args = given.is_something();
        if let Some(method) = methods::find(&receiver, name) {
            let caller = Caller { name, at: At::Arg(node) };
            return Ok((self.call_method(dot, &caller, &receiver, method, given)?, false));
        }
        match receiver.target() {
            Value::Struct(of) => {
                if let Some(field) = of.fields.iter().find(|field| field.name == name) {
                    if has_args {
                        return Err(format!("{name} has arguments but cannot be invoked as function"));
                    }
                    return Ok((field.value.clone(), field.any));
                }
            }
            Value::Histogram(histogram) => {
                if let Some(value) = histogram_field(histogram, name) {
                    if has_args {
                        return Err(format!("{name} has arguments but cannot be invoked as function"));
                    }
                    return Ok((value, false));
                }
            }
            Value::Map(map) => {
                if has_args {
                    return Err(format!("{name} is not a method but has arguments"));
                }
                if let Some(value) = map.get(name.as_bytes()) {
                    return Ok((value.clone(), map.holds_any()));
                }
                return match self.context.missing_key {
                    MissingKey::Default => Ok((Value::Nil, false)),
                    MissingKey::Zero => Ok((map.zero.clone(), map.holds_any())),
                    MissingKey::Error => Err(format!("map has no entry for key {}", quote_go(name))),
                };
            }
            Value::Time(_) if matches!(name, "wall" | "ext" | "loc") => {
                let of = receiver.type_name();
                return Err(format!("{name} is an unexported field of struct type {of}"));
            }
            _ => {}
        }
        let of = if any { ANY.into() } else { receiver.type_name() };
        Err(format!("can't evaluate field {name} in type {of}"))
    }
}
