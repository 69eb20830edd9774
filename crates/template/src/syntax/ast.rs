//! The tree of a template.
//!
//! Always true: every part knows the byte of the text where it stands, which is what error messages count columns from. A
//! tree is never changed once it is made; the HTML pass makes new ones.

use std::sync::Arc;

use crate::value::Text;

/// The text that a tree was read from, for the places in errors.
#[derive(Debug)]
pub(crate) struct Source {
    /// The name that errors give: of the template, or of the file.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    /// `NAME:LINE:COLUMN` of a byte: lines from 1, columns from 0 and in bytes, as Go counts them.
    pub(crate) fn place(&self, pos: usize) -> String {
        let before = &self.text.as_bytes()[..pos.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = before.iter().rposition(|byte| *byte == b'\n').map_or(pos, |at| pos - at - 1);
        format!("{}:{line}:{column}", self.name)
    }
}

/// One named template.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) name: String,
    pub(crate) source: Arc<Source>,
    pub(crate) root: List,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    pub(crate) nodes: Vec<Node>,
}

impl List {
    /// Whether it writes nothing but blanks, so that a later definition of the same name may take its place.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.iter().all(
            |node| matches!(node, Node::Text { text } if text.bytes().iter().all(u8::is_ascii_whitespace)),
        )
    }
}

/// What stands between two delimiters, or between two actions.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Text { text: Text },
    Action { pos: usize, pipe: Pipe },
    Branch(Box<Branch>),
    Template { pos: usize, line: usize, name: String, pipe: Option<Pipe> },
    Break { pos: usize, line: usize },
    Continue { pos: usize, line: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BranchKind {
    If,
    With,
    Range,
}

impl BranchKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::If => "if",
            Self::With => "with",
            Self::Range => "range",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) kind: BranchKind,
    pub(crate) pos: usize,
    pub(crate) line: usize,
    pub(crate) pipe: Pipe,
    pub(crate) list: List,
    pub(crate) otherwise: Option<List>,
}

/// Commands of which each hands its value to the next; then the variables that take the last one's.
#[derive(Clone, Debug)]
pub(crate) struct Pipe {
    pub(crate) pos: usize,
    pub(crate) line: usize,
    /// `=` rather than `:=`.
    pub(crate) assigns: bool,
    pub(crate) variables: Vec<String>,
    pub(crate) commands: Vec<Command>,
}

/// A function, field or value, with arguments. Never empty.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) pos: usize,
    pub(crate) args: Vec<Arg>,
}

#[derive(Clone, Debug)]
pub(crate) struct Arg {
    pub(crate) pos: usize,
    pub(crate) kind: ArgKind,
}

#[derive(Clone, Debug)]
pub(crate) enum ArgKind {
    Bool(bool),
    Dot,
    Nil,
    Number(Number),
    /// The text as written, and what it means.
    Str {
        quoted: String,
        text: Text,
    },
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a.b`: the variable with its `$`, then the fields.
    Variable(Vec<String>),
    Identifier(String),
    Pipe(Pipe),
    /// `(pipeline).a.b`
    Chain(Box<Arg>, Vec<String>),
}

/// A constant: what it may be taken for depends on who asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Number {
    pub(crate) text: String,
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
}
