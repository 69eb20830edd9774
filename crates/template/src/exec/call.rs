//! Calls of functions and methods: how many arguments, of which types, and what happens when they fail.
//!
//! Facts: Go assigns a constant to whatever type a parameter has, and other values only to their own type.

use crate::error::ExecError;
use crate::functions::{Env, Function, Param, Run, Signature};
use crate::methods::Method;
use crate::syntax::ast::{Arg, ArgKind};
use crate::value::{ANY, ListValue, QUERY_RESULT, SAMPLE, Value};

use super::eval::ideal;
use super::{At, Eval, Machine};

/// Who calls, for errors.
pub(super) struct Caller<'t> {
    pub(super) name: &'t str,
    /// What an error of the function itself names.
    pub(super) at: At<'t>,
}

/// The arguments of a call: the words after the name, and what the command before hands over.
pub(super) struct Given<'t> {
    pub(super) args: &'t [Arg],
    pub(super) last: Option<Value>,
}

impl Given<'_> {
    pub(super) const NOTHING: Self = Self { args: &[], last: None };

    pub(super) fn is_something(&self) -> bool {
        !self.args.is_empty() || self.last.is_some()
    }
}

/// Levels that a template run by `tmpl` counts for.
const TMPL_LEVELS: usize = 6;

impl<'t> Machine<'t, '_> {
    pub(super) fn call(
        &mut self,
        dot: &Value,
        caller: &Caller<'t>,
        function: &Function,
        args: &'t [Arg],
        last: Option<Value>,
    ) -> Eval<Value> {
        let (name, signature) = (caller.name, &function.signature);
        check_count(name, signature, args.len(), last.is_some())?;
        let plain = match function.run {
            Run::And => return self.short_circuit(dot, args, last, false),
            Run::Or => return self.short_circuit(dot, args, last, true),
            Run::Plain(plain) => Some(plain),
            Run::Call | Run::Tmpl => None,
        };
        let values = self.arguments(dot, signature, args, last)?;
        let result = match (plain, function.run) {
            (Some(plain), _) => {
                let room = self.budget.room();
                plain(&Env { context: self.context, regexes: &self.set.regexes, room }, values)
            }
            (None, Run::Tmpl) => self.tmpl(values),
            (None, _) => Err(call_error(args, &values)),
        };
        self.outcome(caller, result)
    }

    pub(super) fn call_method(
        &mut self,
        dot: &Value,
        caller: &Caller<'t>,
        receiver: &Value,
        method: &Method,
        given: Given<'t>,
    ) -> Eval<Value> {
        check_count(caller.name, &method.signature, given.args.len(), given.last.is_some())?;
        if let Some(refusal) = method.refusal {
            return Err(refusal.to_owned());
        }
        let values = self.arguments(dot, &method.signature, given.args, given.last)?;
        let result = (method.run)(receiver, &values);
        self.outcome(caller, result)
    }

    /// Charges what was made, or says who failed.
    fn outcome(&mut self, caller: &Caller<'t>, result: Eval<Value>) -> Eval<Value> {
        match result {
            Ok(value) => {
                if let Value::Str(text) | Value::Html(text) = &value {
                    self.budget.take(text.bytes().len())?;
                }
                Ok(value)
            }
            Err(message) => {
                self.at = Some(caller.at);
                Err(format!("error calling {}: {message}", caller.name))
            }
        }
    }

    /// `and` and `or`: the first value that decides, or the last one.
    fn short_circuit(
        &mut self,
        dot: &Value,
        args: &'t [Arg],
        last: Option<Value>,
        until: bool,
    ) -> Eval<Value> {
        let mut value = Value::Nil;
        for arg in args {
            value = self.argument(dot, Param::Reflect, arg)?;
            if value.is_true() == until {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn arguments(
        &mut self,
        dot: &Value,
        signature: &Signature,
        args: &'t [Arg],
        last: Option<Value>,
    ) -> Eval<Vec<Value>> {
        let mut values = Vec::with_capacity(args.len() + 1);
        for arg in args {
            let value = self.argument(dot, signature.param(values.len()), arg)?;
            values.push(value);
        }
        if let Some(last) = last {
            values.push(assignable(last, signature.param(values.len()))?);
        }
        Ok(values)
    }

    fn argument(&mut self, dot: &Value, param: Param, arg: &'t Arg) -> Eval<Value> {
        self.budget.step()?;
        self.at = Some(At::Arg(arg));
        let value = match &arg.kind {
            ArgKind::Dot => dot.clone(),
            ArgKind::Nil if param.can_be_nil() => return Ok(param.nil()),
            ArgKind::Nil => return Err(format!("cannot assign nil to {}", param.type_name())),
            ArgKind::Field(names) => self.chain(dot, (dot.clone(), false), arg, names, Given::NOTHING)?,
            ArgKind::Variable(names) => {
                let value = self.variable(&names[0])?;
                match &names[1..] {
                    [] => value,
                    fields => self.chain(dot, (value, false), arg, fields, Given::NOTHING)?,
                }
            }
            ArgKind::Pipe(pipe) => self.pipeline(dot, pipe)?,
            ArgKind::Identifier(name) => self.identifier(dot, arg, name)?,
            ArgKind::Chain(start, names) => {
                let start = self.chain_start(dot, arg, start)?;
                self.chain(dot, (start, false), arg, names, Given::NOTHING)?
            }
            ArgKind::Bool(_) | ArgKind::Number(_) | ArgKind::Str { .. } => return constant_for(param, arg),
        };
        assignable(value, param)
    }

    /// Runs a template by its name and gives its text.
    fn tmpl(&mut self, mut values: Vec<Value>) -> Eval<Value> {
        let data = values.pop().unwrap_or(Value::Nil);
        let data = if let Value::NilAny = data { Value::Nil } else { data };
        let name = match values.pop() {
            Some(Value::Str(name)) => name.to_str_lossy().into_owned(),
            _ => String::new(),
        };
        let tree = self.set.safe_tree(&name)?;
        self.budget.enter(TMPL_LEVELS)?;
        let out = Machine::run(self.set, tree, data, self.context, self.budget);
        self.budget.leave(TMPL_LEVELS);
        out.map(|bytes| Value::Html(bytes.into())).map_err(|ExecError { text }| text)
    }
}

fn check_count(name: &str, signature: &Signature, args: usize, last: bool) -> Eval<()> {
    let given = args + usize::from(last);
    let wanted = signature.params.len();
    if signature.variadic {
        let least = wanted - 1;
        if given < least {
            return Err(format!("wrong number of args for {name}: want at least {least} got {args}"));
        }
    } else if given != wanted {
        return Err(format!("wrong number of args for {name}: want {wanted} got {given}"));
    }
    Ok(())
}

/// No value is a function.
fn call_error(args: &[Arg], values: &[Value]) -> String {
    match values.first() {
        None | Some(Value::Nil | Value::NilAny) => "call of nil".to_owned(),
        Some(value) => {
            let name = args.first().map_or_else(
                || String::from_utf8_lossy(&crate::print::print(&values[..1], 100)).into_owned(),
                ToString::to_string,
            );
            format!("non-function {name} of type {}", value.type_name())
        }
    }
}

fn constant_for(param: Param, arg: &Arg) -> Eval<Value> {
    match (param, &arg.kind) {
        (Param::Any | Param::Reflect, ArgKind::Bool(value)) => Ok(Value::Bool(*value)),
        (Param::Any | Param::Reflect, ArgKind::Number(number)) => ideal(number),
        (Param::Any | Param::Reflect | Param::Text, ArgKind::Str { text, .. }) => {
            Ok(Value::Str(text.clone()))
        }
        (Param::Text, _) => Err(format!("expected string; found {arg}")),
        (Param::Int | Param::Duration, ArgKind::Number(number)) if number.int.is_some() => {
            let int = number.int.unwrap_or(0);
            Ok(if param == Param::Int { Value::int(int) } else { Value::Duration(int) })
        }
        (Param::Int | Param::Duration, _) => Err(format!("expected integer; found {arg}")),
        _ => Err(format!("can't handle {arg} for arg of type {}", param.type_name())),
    }
}

/// A value for a parameter, when its type allows.
fn assignable(value: Value, param: Param) -> Eval<Value> {
    let fits = match (&value, param) {
        (Value::Nil, _) if param.can_be_nil() => return Ok(param.nil()),
        (Value::Nil, _) => return Err(format!("invalid value; expected {}", param.type_name())),
        (_, Param::Any | Param::Reflect) | (Value::Str(_), Param::Text) => true,
        (Value::List(list), Param::QueryResult) => list.type_name == QUERY_RESULT,
        (Value::Pointer(to), Param::Sample) => {
            matches!(&**to, Value::Struct(of) if of.type_name == SAMPLE)
        }
        (Value::Int(_, of), Param::Int) => *of == crate::value::IntType::Int,
        (Value::Duration(_), Param::Duration) | (Value::Time(_), Param::Time) => true,
        (Value::Pointer(to), Param::Duration | Param::Time) => {
            let target = Value::clone(to);
            return assignable(target, param).map_err(|_| wrong_type(&value, param));
        }
        _ => false,
    };
    if fits { Ok(value) } else { Err(wrong_type(&value, param)) }
}

fn wrong_type(value: &Value, param: Param) -> String {
    format!("wrong type for value; expected {}; got {}", param.type_name(), value.type_name())
}

impl Param {
    fn type_name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Any => ANY,
            Self::Reflect => "reflect.Value",
            Self::QueryResult => QUERY_RESULT,
            Self::Sample => "*template.sample",
            Self::Int => "int",
            Self::Duration => "time.Duration",
            Self::Time => "time.Time",
        }
    }

    fn can_be_nil(self) -> bool {
        matches!(self, Self::Any | Self::Reflect | Self::QueryResult | Self::Sample)
    }

    fn nil(self) -> Value {
        match self {
            Self::QueryResult => {
                Value::List(std::sync::Arc::new(ListValue { type_name: QUERY_RESULT, items: Vec::new() }))
            }
            Self::Reflect => Value::Nil,
            _ => Value::NilAny,
        }
    }
}
