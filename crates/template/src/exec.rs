//! Runs trees: a loop over frames, so that neither blocks nor templates that call templates use the stack.
//!
//! Holds: the loop, variables, loops, calls of templates. `eval` computes values, `fields` looks into them, `call` brings
//! arguments into the shape that functions want. Always true: `at` is the part of the tree that was last begun, which is
//! the part that an error names; every frame gives back the variables declared since it began.
//! Facts: the documentation and the observed behaviour of Go's `text/template`.

mod call;
mod eval;
mod fields;

use std::sync::Arc;

use narthex_model::quote_go;

use crate::context::Context;
use crate::error::ExecError;
use crate::limits::Budget;
use crate::print;
use crate::set::Set;
use crate::syntax::ast::{Arg, Branch, BranchKind, Command, List, Node, Pipe, Tree};
use crate::value::{IntType, Text, UintType, Value};

/// How deep templates may call templates; Go's limit.
const MAX_CALLS: usize = 100_000;

/// The part of the tree that an error names.
#[derive(Clone, Copy)]
enum At<'t> {
    Node(&'t Node),
    Pipe(&'t Pipe),
    Command(&'t Command),
    Arg(&'t Arg),
}

impl At<'_> {
    fn pos(self) -> usize {
        match self {
            Self::Node(Node::Action { pos, .. } | Node::Template { pos, .. }) => *pos,
            Self::Node(Node::Break { pos, .. } | Node::Continue { pos, .. }) => *pos,
            Self::Node(Node::Branch(branch)) => branch.pos,
            Self::Node(Node::Text { .. }) => 0,
            Self::Pipe(pipe) => pipe.pos,
            Self::Command(command) => command.pos,
            Self::Arg(arg) => arg.pos,
        }
    }

    fn shown(self) -> String {
        match self {
            Self::Node(node) => node.to_string(),
            Self::Pipe(pipe) => pipe.to_string(),
            Self::Command(command) => command.to_string(),
            Self::Arg(arg) => arg.to_string(),
        }
    }
}

/// A list, loop or call that is not finished.
struct Frame<'t> {
    kind: FrameKind<'t>,
    dot: Value,
    /// How many variables there were when it began.
    variables: usize,
}

enum FrameKind<'t> {
    List {
        nodes: &'t [Node],
        next: usize,
    },
    Range {
        branch: &'t Branch,
        items: Items,
        next: usize,
    },
    /// What the caller goes on with.
    Call {
        tree: &'t Tree,
        base: usize,
    },
}

/// What a loop runs over.
enum Items {
    Count(Value, u64),
    List(Arc<crate::value::ListValue>),
    Map(Arc<crate::value::MapValue>),
}

/// One execution of a template.
pub(crate) struct Machine<'t, 'b> {
    set: &'t Set,
    context: &'t Context<'t>,
    budget: &'b mut Budget,
    out: Vec<u8>,
    tree: &'t Tree,
    at: Option<At<'t>>,
    /// Those of the running template lie from `base` on.
    variables: Vec<(&'t str, Value)>,
    base: usize,
    frames: Vec<Frame<'t>>,
    calls: usize,
}

type Eval<T> = Result<T, String>;

impl<'t, 'b> Machine<'t, 'b> {
    /// Runs `tree` of `set` over `data`.
    ///
    /// # Errors
    /// What the template did wrong, with the place.
    pub(crate) fn run(
        set: &'t Set,
        tree: &'t Tree,
        data: Value,
        context: &'t Context<'t>,
        budget: &'b mut Budget,
    ) -> Result<Vec<u8>, ExecError> {
        let mut machine = Machine {
            set,
            context,
            budget,
            out: Vec::new(),
            tree,
            at: None,
            variables: vec![("$", data.clone())],
            base: 0,
            frames: Vec::new(),
            calls: 0,
        };
        machine.list(&tree.root, data);
        let result = machine.finish();
        result.map_err(|message| machine.error(&message)).map(|()| machine.out)
    }

    fn error(&self, message: &str) -> ExecError {
        let name = &self.tree.name;
        let text = match self.at {
            None => format!("template: {name}: {message}"),
            Some(at) => format!(
                "template: {}: executing {} at <{}>: {message}",
                self.tree.source.place(at.pos()),
                quote_go(name),
                at.shown()
            ),
        };
        ExecError { text }
    }

    fn list(&mut self, list: &'t List, dot: Value) {
        let kind = FrameKind::List { nodes: &list.nodes, next: 0 };
        self.frames.push(Frame { kind, dot, variables: self.variables.len() });
    }

    fn finish(&mut self) -> Eval<()> {
        while let Some(frame) = self.frames.last_mut() {
            self.budget.step()?;
            match &mut frame.kind {
                FrameKind::List { nodes, next } => match nodes.get(*next) {
                    Some(node) => {
                        *next += 1;
                        let dot = frame.dot.clone();
                        self.node(node, &dot)?;
                    }
                    // Only blocks end a scope: the declarations of a list live as long as what the list belongs to.
                    None => drop(self.pop()),
                },
                FrameKind::Range { .. } => self.turn()?,
                FrameKind::Call { .. } => drop(self.pop()),
            }
        }
        Ok(())
    }

    /// Ends the last frame.
    fn pop(&mut self) -> Option<Frame<'t>> {
        let frame = self.frames.pop()?;
        self.variables.truncate(frame.variables);
        if let FrameKind::Call { tree, base } = frame.kind {
            (self.tree, self.base) = (tree, base);
            self.calls -= 1;
        }
        Some(frame)
    }

    fn node(&mut self, node: &'t Node, dot: &Value) -> Eval<()> {
        match node {
            Node::Text { text } => self.write(text.bytes()),
            Node::Action { pipe, .. } => {
                self.at = Some(At::Node(node));
                let value = self.pipeline(dot, pipe)?;
                if pipe.variables.is_empty() {
                    self.at = Some(At::Node(node));
                    let text = print::display(&value, self.budget.room());
                    self.write(&text)?;
                }
                Ok(())
            }
            Node::Branch(branch) => {
                self.at = Some(At::Node(node));
                self.branch(branch, dot)
            }
            Node::Template { name, pipe, .. } => {
                self.at = Some(At::Node(node));
                self.template(name, pipe.as_ref(), dot)
            }
            Node::Break { .. } => {
                while let Some(frame) = self.pop() {
                    if let FrameKind::Range { .. } = frame.kind {
                        break;
                    }
                }
                Ok(())
            }
            Node::Continue { .. } => {
                let in_loop = |frame: &Frame<'_>| matches!(frame.kind, FrameKind::Range { .. });
                while self.frames.last().is_some_and(|frame| !in_loop(frame)) {
                    self.pop();
                }
                Ok(())
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Eval<()> {
        self.budget.take(bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn branch(&mut self, branch: &'t Branch, dot: &Value) -> Eval<()> {
        let variables = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        if branch.kind == BranchKind::Range {
            return self.range(branch, dot, &value, variables);
        }
        let (list, inner) = match (value.is_true(), branch.kind) {
            (true, BranchKind::With) => (Some(&branch.list), value),
            (true, _) => (Some(&branch.list), dot.clone()),
            (false, _) => (branch.otherwise.as_ref(), dot.clone()),
        };
        match list {
            Some(list) => {
                let kind = FrameKind::List { nodes: &list.nodes, next: 0 };
                self.frames.push(Frame { kind, dot: inner, variables });
            }
            None => self.variables.truncate(variables),
        }
        Ok(())
    }

    fn range(&mut self, branch: &'t Branch, dot: &Value, value: &Value, variables: usize) -> Eval<()> {
        let value = value.target();
        let items = match value {
            Value::Int(..) | Value::Uint(..) | Value::Duration(_) if branch.pipe.variables.len() > 1 => {
                let shown =
                    String::from_utf8_lossy(&print::print(std::slice::from_ref(value), 100)).into_owned();
                return Err(format!("can't use {shown} to iterate over more than one variable"));
            }
            Value::Int(count, _) | Value::Duration(count) => {
                Some(Items::Count(value.clone(), u64::try_from(*count).unwrap_or(0)))
            }
            Value::Uint(count, _) => Some(Items::Count(value.clone(), *count)),
            Value::List(list) => Some(Items::List(Arc::clone(list))),
            Value::Map(map) => Some(Items::Map(Arc::clone(map))),
            Value::Nil | Value::NilAny => None,
            _ => {
                let shown = print::print(std::slice::from_ref(value), self.budget.room());
                return Err(format!("range can't iterate over {}", String::from_utf8_lossy(&shown)));
            }
        };
        let count = items.as_ref().map_or(0, Items::len);
        if let (Some(items), 1..) = (items, count) {
            let kind = FrameKind::Range { branch, items, next: 0 };
            self.frames.push(Frame { kind, dot: dot.clone(), variables });
        } else if let Some(list) = &branch.otherwise {
            let kind = FrameKind::List { nodes: &list.nodes, next: 0 };
            self.frames.push(Frame { kind, dot: dot.clone(), variables });
        } else {
            self.variables.truncate(variables);
        }
        Ok(())
    }

    /// Begins the next turn of the loop on top, or ends it.
    fn turn(&mut self) -> Eval<()> {
        let Some(Frame { kind: FrameKind::Range { branch, items, next }, .. }) = self.frames.last_mut()
        else {
            return Ok(());
        };
        let branch: &'t Branch = branch;
        let Some((index, element)) = items.get(*next) else {
            self.pop();
            return Ok(());
        };
        *next += 1;
        let names = &branch.pipe.variables;
        if branch.pipe.assigns {
            match &names[..] {
                [one] => self.assign(one, element.clone())?,
                [first, second, ..] => {
                    self.assign(first, index)?;
                    self.assign(second, element.clone())?;
                }
                [] => {}
            }
        } else {
            let top = self.variables.len();
            if !names.is_empty() {
                self.variables[top - 1].1 = element.clone();
            }
            if names.len() > 1 {
                self.variables[top - 2].1 = index;
            }
        }
        self.list(&branch.list, element);
        Ok(())
    }

    fn template(&mut self, name: &str, pipe: Option<&'t Pipe>, dot: &Value) -> Eval<()> {
        let tree = self.set.tree(name).ok_or_else(|| format!("template {} not defined", quote_go(name)))?;
        if self.calls == MAX_CALLS {
            return Err(format!("exceeded maximum template depth ({MAX_CALLS})"));
        }
        let inner = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::Nil,
        };
        let variables = self.variables.len();
        let kind = FrameKind::Call { tree: self.tree, base: self.base };
        self.frames.push(Frame { kind, dot: Value::Nil, variables });
        self.calls += 1;
        (self.tree, self.base) = (tree, variables);
        self.variables.push(("$", inner.clone()));
        self.list(&tree.root, inner);
        Ok(())
    }

    fn assign(&mut self, name: &str, value: Value) -> Eval<()> {
        let variable = self.variables[self.base..].iter_mut().rev().find(|(known, _)| *known == name);
        variable.ok_or_else(|| format!("undefined variable: {name}"))?.1 = value;
        Ok(())
    }

    fn variable(&self, name: &str) -> Eval<Value> {
        let variable = self.variables[self.base..].iter().rev().find(|(known, _)| *known == name);
        variable.map(|(_, value)| value.clone()).ok_or_else(|| format!("undefined variable: {name}"))
    }
}

impl Items {
    fn len(&self) -> u64 {
        match self {
            Self::Count(_, count) => *count,
            Self::List(list) => list.items.len() as u64,
            Self::Map(map) => map.entries.len() as u64,
        }
    }

    /// The index or key, and the element.
    fn get(&self, at: usize) -> Option<(Value, Value)> {
        match self {
            Self::Count(like, count) => ((at as u64) < *count).then(|| (Value::Nil, number_like(like, at))),
            Self::List(list) => list.items.get(at).map(|item| (Value::int(at as i64), item.clone())),
            Self::Map(map) => {
                map.entries.get(at).map(|(key, element)| (Value::Str(Text::clone(key)), element.clone()))
            }
        }
    }
}

/// A number of the same type.
fn number_like(like: &Value, number: usize) -> Value {
    match like {
        Value::Int(_, of) => Value::Int(number as i64, *of),
        Value::Uint(_, of) => Value::Uint(number as u64, UintType::clone(of)),
        Value::Duration(_) => Value::Duration(number as i64),
        _ => Value::Int(number as i64, IntType::Int),
    }
}
