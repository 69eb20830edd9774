//! Values of pipelines, commands and operands.

use crate::exec::call::{Caller, Given};
use crate::functions;
use crate::syntax::ast::{Arg, ArgKind, Command, Number, Pipe};
use crate::value::Value;

use super::{At, Eval, Machine};

impl<'t> Machine<'t, '_> {
    /// The value of the last command; it also goes into the pipeline's variables.
    pub(super) fn pipeline(&mut self, dot: &Value, pipe: &'t Pipe) -> Eval<Value> {
        self.budget.enter(1)?;
        self.at = Some(At::Pipe(pipe));
        let mut value = None;
        for command in &pipe.commands {
            self.budget.step()?;
            let result = self.command(dot, command, value)?;
            value = Some(if let Value::NilAny = result { Value::Nil } else { result });
        }
        let value = value.unwrap_or(Value::Nil);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone())?;
            } else {
                // A loop that declares forever is stopped by the steps, each of which is worth more than a variable.
                self.variables.push((name, value.clone()));
            }
        }
        self.budget.leave(1);
        Ok(value)
    }

    fn command(&mut self, dot: &Value, command: &'t Command, last: Option<Value>) -> Eval<Value> {
        let (first, args) = command.args.split_first().expect("a command has at least one word");
        match &first.kind {
            ArgKind::Field(names) => {
                self.at = Some(At::Arg(first));
                self.chain(dot, (dot.clone(), false), first, names, Given { args, last })
            }
            ArgKind::Chain(start, names) => {
                let start = self.chain_start(dot, first, start)?;
                self.chain(dot, (start, false), first, names, Given { args, last })
            }
            ArgKind::Variable(names) => {
                self.at = Some(At::Arg(first));
                let value = self.variable(&names[0])?;
                if names.len() == 1 {
                    no_arguments(first, args, last.as_ref())?;
                    return Ok(value);
                }
                self.chain(dot, (value, false), first, &names[1..], Given { args, last })
            }
            ArgKind::Identifier(name) => {
                self.at = Some(At::Arg(first));
                let caller = Caller { name, at: At::Command(command) };
                self.function(dot, &caller, args, last)
            }
            ArgKind::Pipe(pipe) => {
                no_arguments(first, args, last.as_ref())?;
                self.pipeline(dot, pipe)
            }
            _ => {
                self.at = Some(At::Arg(first));
                no_arguments(first, args, last.as_ref())?;
                self.constant(dot, first)
            }
        }
    }

    /// What `(pipeline).field` starts from.
    pub(super) fn chain_start(&mut self, dot: &Value, chain: &'t Arg, start: &'t Arg) -> Eval<Value> {
        self.at = Some(At::Arg(chain));
        if let ArgKind::Nil = start.kind {
            return Err(format!("indirection through explicit nil in {chain}"));
        }
        self.at = Some(At::Arg(start));
        match &start.kind {
            ArgKind::Pipe(pipe) => self.pipeline(dot, pipe),
            ArgKind::Identifier(name) => {
                let caller = Caller { name, at: At::Arg(start) };
                self.function(dot, &caller, &[], None)
            }
            ArgKind::Chain(inner, names) => {
                let inner = self.chain_start(dot, start, inner)?;
                self.chain(dot, (inner, false), start, names, Given::NOTHING)
            }
            _ => self.constant(dot, start),
        }
    }

    fn function(
        &mut self,
        dot: &Value,
        caller: &Caller<'t>,
        args: &'t [Arg],
        last: Option<Value>,
    ) -> Eval<Value> {
        let function = functions::find(caller.name)
            .ok_or_else(|| format!("{} is not a defined function", narthex_model::quote_go(caller.name)))?;
        self.call(dot, caller, function, args, last)
    }

    /// A bare word where something was declared to take anything.
    pub(super) fn identifier(&mut self, dot: &Value, arg: &'t Arg, name: &'t str) -> Eval<Value> {
        let caller = Caller { name, at: At::Arg(arg) };
        self.function(dot, &caller, &[], None)
    }

    pub(super) fn constant(&mut self, dot: &Value, arg: &'t Arg) -> Eval<Value> {
        self.at = Some(At::Arg(arg));
        match &arg.kind {
            ArgKind::Bool(value) => Ok(Value::Bool(*value)),
            ArgKind::Dot => Ok(dot.clone()),
            ArgKind::Nil => Err("nil is not a command".to_owned()),
            ArgKind::Number(number) => ideal(number),
            ArgKind::Str { text, .. } => Ok(Value::Str(text.clone())),
            _ => Err(format!("can't evaluate command {}", narthex_model::quote_go(&arg.to_string()))),
        }
    }
}

fn no_arguments(first: &Arg, args: &[Arg], last: Option<&Value>) -> Eval<()> {
    if args.is_empty() && last.is_none() {
        return Ok(());
    }
    Err(format!("can't give argument to non-function {first}"))
}

/// A number that nobody wants in a certain type: a float when it looks like one, else an `int`.
pub(super) fn ideal(number: &Number) -> Eval<Value> {
    let text = &number.text;
    let hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let plain = !(text.starts_with('\'') || hexadecimal && text.len() > 2 && !text.contains(['p', 'P']));
    match (number.float, number.int) {
        (Some(float), _) if plain && text.contains(['.', 'e', 'E', 'p', 'P']) => Ok(Value::Float(float)),
        (_, Some(int)) => Ok(Value::int(int)),
        _ => Err(format!("{text} overflows int")),
    }
}
