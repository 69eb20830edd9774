//! The first document of a file as a tree with marks.
//!
//! Always true: building it does not recurse, so depth costs no stack; nodes lie in one vector and name each other by index;
//! an alias names its anchor's node, which may be an ancestor, so whoever walks the tree must count (the decoder does).

use std::collections::HashMap;

use super::event::{Body, Event, Events, Mark, SyntaxError};

/// The deepest nesting that is read; go-yaml's own bound.
const MAX_DEPTH: usize = 10_000;

/// A document.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    mark: Mark,
    tag: String,
    kind: Kind,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A text; `plain` when it is unquoted and has no tag.
    Scalar { value: String, plain: bool },
    /// Items by index.
    Sequence(Vec<u32>),
    /// Keys and values by index, in turn.
    Mapping(Vec<u32>),
    /// The node with that index once more.
    Alias(u32),
}

/// A node of a tree. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeRef<'t> {
    tree: &'t Tree,
    index: u32,
}

impl Tree {
    /// Reads the first document; `None` when there is none. Later documents are ignored, as go-yaml does.
    pub(crate) fn parse(input: &[u8]) -> Result<Option<Self>, SyntaxError> {
        let mut events = Events::new(input);
        let mut builder = Builder::default();
        loop {
            let Event { mark, body } = events.next()?;
            match body {
                Body::StreamStart | Body::DocumentStart => {}
                Body::StreamEnd => return Ok(None),
                Body::DocumentEnd => return Ok(Some(Self { nodes: builder.nodes })),
                Body::SequenceEnd | Body::MappingEnd => {
                    builder.open.pop();
                }
                body => builder.add(mark, body)?,
            }
        }
    }

    /// The document's top node.
    pub(crate) fn root(&self) -> NodeRef<'_> {
        NodeRef { tree: self, index: 0 }
    }
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    /// Sequences and mappings that have begun and not ended, outermost first.
    open: Vec<u32>,
    anchors: HashMap<String, u32>,
}

impl Builder {
    fn add(&mut self, mark: Mark, body: Body) -> Result<(), SyntaxError> {
        let index =
            u32::try_from(self.nodes.len()).expect("a file of four billion nodes does not fit in memory");
        let (anchor, tag, kind, opens) = match body {
            Body::Scalar { anchor, tag, value, plain } => (anchor, tag, Kind::Scalar { value, plain }, false),
            Body::SequenceStart { anchor, tag } => (anchor, tag, Kind::Sequence(Vec::new()), true),
            Body::MappingStart { anchor, tag } => (anchor, tag, Kind::Mapping(Vec::new()), true),
            Body::Alias { anchor } => {
                let Some(&target) = self.anchors.get(&anchor) else {
                    return Err(refusal(mark, format!("unknown anchor '{anchor}' referenced")));
                };
                (String::new(), String::new(), Kind::Alias(target), false)
            }
            _ => return Ok(()),
        };
        if let Some(&parent) = self.open.last() {
            match &mut self.nodes[parent as usize].kind {
                Kind::Sequence(children) | Kind::Mapping(children) => children.push(index),
                Kind::Scalar { .. } | Kind::Alias(_) => {}
            }
        }
        if !anchor.is_empty() {
            self.anchors.insert(anchor, index);
        }
        self.nodes.push(Node { mark, tag, kind });
        if opens {
            self.open.push(index);
            if self.open.len() > MAX_DEPTH {
                return Err(refusal(mark, format!("exceeded max depth of {MAX_DEPTH}")));
            }
        }
        Ok(())
    }
}

/// An error of go-yaml's own, which it prints without a line.
fn refusal(mark: Mark, problem: String) -> SyntaxError {
    SyntaxError { problem, shown_line: None, shown_line_v3: None, mark }
}

impl<'t> NodeRef<'t> {
    fn node(self) -> &'t Node {
        &self.tree.nodes[self.index as usize]
    }

    fn at(self, index: u32) -> Self {
        Self { tree: self.tree, index }
    }

    /// Where the node begins.
    pub(crate) fn mark(self) -> Mark {
        self.node().mark
    }

    /// The tag as libyaml gives it, with shorthands expanded; empty when there is none.
    pub(crate) fn tag(self) -> &'t str {
        &self.node().tag
    }

    /// What the node is, an alias not followed.
    pub(crate) fn kind(self) -> &'t Kind {
        &self.node().kind
    }

    /// The node that an alias stands for, else the node itself. An alias never names an alias.
    pub(crate) fn resolved(self) -> Self {
        match self.kind() {
            Kind::Alias(target) => self.at(*target),
            _ => self,
        }
    }

    /// Whether the node is an alias.
    pub(crate) fn is_alias(self) -> bool {
        matches!(self.kind(), Kind::Alias(_))
    }

    /// The items of a sequence; nothing for other kinds.
    pub(crate) fn items(self) -> impl Iterator<Item = Self> + use<'t> {
        let children: &'t [u32] = match self.kind() {
            Kind::Sequence(children) => children,
            _ => &[],
        };
        children.iter().map(move |&i| self.at(i))
    }

    /// The pairs of a mapping; nothing for other kinds.
    pub(crate) fn pairs(self) -> impl Iterator<Item = (Self, Self)> + use<'t> {
        let children: &'t [u32] = match self.kind() {
            Kind::Mapping(children) => children,
            _ => &[],
        };
        children.chunks_exact(2).map(move |pair| (self.at(pair[0]), self.at(pair[1])))
    }

    /// The value of a key of a mapping, also of one that it merges; aliases followed.
    pub(crate) fn get(self, key: &str) -> Option<Self> {
        let is_key = |node: Self| matches!(node.kind(), Kind::Scalar { value, .. } if value == key);
        let own = self.pairs().find(|(k, _)| is_key(*k)).map(|(_, v)| v.resolved());
        let merged = || {
            let (_, map) = self.pairs().find(|(k, _)| k.is_merge())?;
            map.resolved().pairs().find(|(k, _)| is_key(*k)).map(|(_, v)| v.resolved())
        };
        own.or_else(merged)
    }

    /// The place of a key's value, else of the node itself.
    pub(crate) fn mark_of(self, key: &str) -> Mark {
        self.get(key).unwrap_or(self).mark()
    }

    /// Whether go-yaml takes the node for null without asking its type: `null`, `~`, nothing, or the tag.
    pub(crate) fn is_null(self) -> bool {
        self.tag() == "tag:yaml.org,2002:null"
            || matches!(self.kind(), Kind::Scalar { value, plain: true }
                if self.tag().is_empty() && matches!(value.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether the node is the key `<<` of a merge.
    pub(crate) fn is_merge(self) -> bool {
        matches!(self.kind(), Kind::Scalar { value, plain } if value == "<<"
            && (*plain || self.tag() == "tag:yaml.org,2002:merge"))
    }
}
