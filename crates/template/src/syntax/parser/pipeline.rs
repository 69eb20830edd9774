//! Pipelines: declarations, commands, operands.

use narthex_model::quote_go;

use super::super::ast::{Arg, ArgKind, Command, Pipe};
use super::super::lexer::Kind;
use super::super::literal;
use super::{Parse, Parser};
use crate::value::Text;

impl Parser<'_> {
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Parse<Pipe> {
        let first = self.next_solid();
        let (pos, line) = (first.pos, first.line);
        self.back(first);
        let mut pipe = Pipe { pos, line, assigns: false, variables: Vec::new(), commands: Vec::new() };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_solid();
            match token.kind {
                kind if kind == end => {
                    check(&pipe, context)?;
                    return Ok(pipe);
                }
                Kind::Bool | Kind::CharConstant | Kind::Complex | Kind::Dot | Kind::Field => {}
                Kind::Identifier | Kind::Number | Kind::Nil | Kind::RawStr | Kind::Str => {}
                Kind::Variable | Kind::LeftParen => {}
                _ => return Err(self.unexpected(&token, context)),
            }
            self.back(token);
            pipe.commands.push(self.command()?);
        }
    }

    /// `$x :=`, `$x =`, and in loops `$i, $x :=`.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Parse<()> {
        loop {
            let variable = self.next_solid();
            if variable.kind != Kind::Variable {
                self.back(variable);
                return Ok(());
            }
            let after = self.next();
            let next = if after.kind == Kind::Space { self.next_solid() } else { after.clone() };
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    pipe.assigns = next.kind == Kind::Assign;
                    self.declare(pipe, variable.text);
                    return Ok(());
                }
                Kind::Comma => self.declare(pipe, variable.text),
                _ => {
                    self.back(next);
                    if after.kind == Kind::Space {
                        self.back(after);
                    }
                    self.back(variable);
                    return Ok(());
                }
            }
            if context != "range" || pipe.variables.len() >= 2 {
                return Err(format!("too many declarations in {context}"));
            }
            if !matches!(self.peek_solid(), Kind::Variable | Kind::Close | Kind::RightParen) {
                return Err("range can only initialize variables".to_owned());
            }
        }
    }

    fn declare(&mut self, pipe: &mut Pipe, name: String) {
        self.scope.variables.push(name.clone());
        pipe.variables.push(name);
    }

    fn command(&mut self) -> Parse<Command> {
        let first = self.next_solid();
        let pos = first.pos;
        self.back(first);
        let mut args = Vec::new();
        loop {
            self.peek_solid();
            args.extend(self.operand()?);
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::Close | Kind::RightParen => self.back(token),
                Kind::Bar => {}
                _ => return Err(self.unexpected(&token, "operand")),
            }
            break;
        }
        if args.is_empty() { Err("empty command".to_owned()) } else { Ok(Command { pos, args }) }
    }

    fn operand(&mut self) -> Parse<Option<Arg>> {
        let Some(term) = self.term()? else { return Ok(None) };
        if self.peek() != Kind::Field {
            return Ok(Some(term));
        }
        let mut pos = None;
        let mut names = Vec::new();
        while self.peek() == Kind::Field {
            let field = self.next();
            pos.get_or_insert(field.pos);
            names.push(field.text[1..].to_owned());
        }
        let pos = pos.expect("there was a field");
        let kind = match term.kind {
            ArgKind::Field(mut fields) => {
                fields.append(&mut names);
                ArgKind::Field(fields)
            }
            ArgKind::Variable(mut fields) => {
                fields.append(&mut names);
                ArgKind::Variable(fields)
            }
            ArgKind::Identifier(_) | ArgKind::Pipe(_) | ArgKind::Chain(..) => {
                ArgKind::Chain(Box::new(term), names)
            }
            ArgKind::Bool(_) | ArgKind::Dot | ArgKind::Nil | ArgKind::Number(_) | ArgKind::Str { .. } => {
                return Err(format!("unexpected . after term {}", quote_go(&term.to_string())));
            }
        };
        Ok(Some(Arg { pos, kind }))
    }

    fn term(&mut self) -> Parse<Option<Arg>> {
        let token = self.next_solid();
        let kind = match token.kind {
            Kind::Identifier if !(self.is_function)(&token.text) => {
                return Err(format!("function {} not defined", quote_go(&token.text)));
            }
            Kind::Identifier => ArgKind::Identifier(token.text),
            Kind::Dot => ArgKind::Dot,
            Kind::Nil => ArgKind::Nil,
            Kind::Variable if !self.scope.variables.contains(&token.text) => {
                return Err(format!("undefined variable {}", quote_go(&token.text)));
            }
            Kind::Variable => ArgKind::Variable(vec![token.text]),
            Kind::Field => ArgKind::Field(vec![token.text[1..].to_owned()]),
            Kind::Bool => ArgKind::Bool(token.text == "true"),
            Kind::CharConstant => ArgKind::Number(literal::character_constant(&token.text)?),
            Kind::Number | Kind::Complex => ArgKind::Number(literal::number(&token.text)?),
            Kind::LeftParen => ArgKind::Pipe(
                self.deeper(|parser| parser.pipeline("parenthesized pipeline", Kind::RightParen))?,
            ),
            Kind::Str | Kind::RawStr => {
                let text = Text::from(literal::unquote(&token.text)?);
                ArgKind::Str { quoted: token.text, text }
            }
            _ => {
                self.back(token);
                return Ok(None);
            }
        };
        let pos = match &kind {
            // A bracket stands where its pipeline begins.
            ArgKind::Pipe(pipe) => pipe.pos,
            _ => token.pos,
        };
        Ok(Some(Arg { pos, kind }))
    }
}

/// Constants cannot receive the value of the command before them.
fn check(pipe: &Pipe, context: &str) -> Parse<()> {
    if pipe.commands.is_empty() {
        return Err(format!("missing value for {context}"));
    }
    let constant = |command: &Command| {
        matches!(
            command.args[0].kind,
            ArgKind::Bool(_) | ArgKind::Dot | ArgKind::Nil | ArgKind::Number(_) | ArgKind::Str { .. }
        )
    };
    match pipe.commands.iter().skip(1).position(constant) {
        Some(at) => Err(format!("non executable command in pipeline stage {}", at + 2)),
        None => Ok(()),
    }
}
