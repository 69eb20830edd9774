//! Makes trees of the tokens of one text.
//!
//! Always true: a tree nests at most [`MAX_NESTING`] deep, so that whoever walks it by recursion has stack enough. A name is
//! defined twice only when one of the definitions is blank. Variables are known where they are used, functions exist.
//! Facts: the grammar in Go's `text/template` documentation; texts and lines of its errors, which are a contract.

mod pipeline;

use std::collections::BTreeMap;
use std::sync::Arc;

use narthex_model::quote_go;

use super::ast::{Branch, BranchKind, List, Node, Source, Tree};
use super::lexer::{Keyword, Kind, Lexer, Token};
use super::literal;
use crate::error::ParseError;
use crate::value::Text;

/// How deep actions and brackets may nest. Go has 10000 for brackets and no limit for actions.
const MAX_NESTING: usize = 150;

/// The trees of a text, by name. The text's own tree has the text's name.
pub(crate) type Parsed = BTreeMap<String, Tree>;

/// Parses `text`; `is_function` knows the functions.
pub(crate) fn parse(
    name: &str,
    text: &str,
    is_function: &dyn Fn(&str) -> bool,
) -> Result<Parsed, ParseError> {
    let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
    let mut parser = Parser {
        lexer: Lexer::new(text),
        ahead: Vec::new(),
        last_line: 1,
        nesting: 0,
        scope: Scope::default(),
        trees: Parsed::new(),
        source: Arc::clone(&source),
        is_function,
    };
    let parsed = parser.top();
    parsed.map(|()| parser.trees).map_err(|message| ParseError {
        name: name.to_owned(),
        line: parser.last_line,
        message,
    })
}

/// What each tree of a text has for itself.
struct Scope {
    variables: Vec<String>,
    ranges: usize,
    action_line: usize,
}

impl Default for Scope {
    fn default() -> Self {
        Self { variables: vec!["$".to_owned()], ranges: 0, action_line: 0 }
    }
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    /// Tokens that were read and put back; the next one is the last.
    ahead: Vec<Token>,
    /// Where the lexer stands, which is the line that errors name.
    last_line: usize,
    nesting: usize,
    scope: Scope,
    trees: Parsed,
    source: Arc<Source>,
    is_function: &'s dyn Fn(&str) -> bool,
}

type Parse<T> = Result<T, String>;

/// What ends a list.
enum Ending {
    End,
    Else,
}

impl Ending {
    fn shown(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

/// An action, or what ends a list of them.
enum Item {
    Node(Node),
    Ending(Ending),
}

impl Parser<'_> {
    fn next(&mut self) -> Token {
        self.ahead.pop().unwrap_or_else(|| {
            let token = self.lexer.next();
            self.last_line = token.line;
            token
        })
    }

    fn back(&mut self, token: Token) {
        self.ahead.push(token);
    }

    fn peek(&mut self) -> Kind {
        let token = self.next();
        let kind = token.kind;
        self.back(token);
        kind
    }

    fn next_solid(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_solid(&mut self) -> Kind {
        let token = self.next_solid();
        let kind = token.kind;
        self.back(token);
        kind
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parse<Token> {
        let token = self.next_solid();
        if token.kind == kind { Ok(token) } else { Err(self.unexpected(&token, context)) }
    }

    fn unexpected(&self, token: &Token, context: &str) -> String {
        if token.kind != Kind::Error {
            return format!("unexpected {} in {context}", token.shown());
        }
        let line = self.scope.action_line;
        if line == 0 || line == token.line {
            return token.text.clone();
        }
        let action = if token.text.ends_with(" action") { "" } else { " in action" };
        format!("{}{action} started at {}:{line}", token.text, self.source.name)
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.nesting == MAX_NESTING {
            return Err("max expression depth exceeded".to_owned());
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }

    fn top(&mut self) -> Parse<()> {
        let mut root = List::default();
        while self.peek() != Kind::Eof {
            if self.peek() == Kind::Open {
                let open = self.next();
                let word = self.next_solid();
                if word.kind == Kind::Keyword(Keyword::Define) {
                    self.definition()?;
                    continue;
                }
                self.back(word);
                self.back(open);
            }
            match self.text_or_action()? {
                Item::Node(node) => root.nodes.push(node),
                Item::Ending(ending) => return Err(format!("unexpected {}", ending.shown())),
            }
        }
        self.add(self.source.name.clone(), root)
    }

    fn add(&mut self, name: String, root: List) -> Parse<()> {
        let taken = self.trees.get(&name).is_some_and(|tree| !tree.root.is_empty());
        if !taken {
            let tree = Tree { name: name.clone(), source: Arc::clone(&self.source), root };
            self.trees.insert(name, tree);
        } else if !root.is_empty() {
            return Err(format!("template: multiple definition of template {}", quote_go(&name)));
        }
        Ok(())
    }

    fn definition(&mut self) -> Parse<()> {
        const CONTEXT: &str = "define clause";
        let token = self.next_solid();
        let name = self.template_name(&token, CONTEXT)?;
        self.expect(Kind::Close, CONTEXT)?;
        let root = self.body_of_its_own(CONTEXT)?;
        self.add(name, root)
    }

    /// A list up to its end, with variables and loops of its own.
    fn body_of_its_own(&mut self, context: &str) -> Parse<List> {
        let outer = std::mem::take(&mut self.scope);
        let (list, ending) = self.deeper(Self::list)?;
        if let Ending::Else = ending {
            return Err(format!("unexpected {} in {context}", ending.shown()));
        }
        self.scope = outer;
        Ok(list)
    }

    fn template_name(&self, token: &Token, context: &str) -> Parse<String> {
        match token.kind {
            Kind::Str | Kind::RawStr => {
                Ok(String::from_utf8_lossy(&literal::unquote(&token.text)?).into_owned())
            }
            _ => Err(self.unexpected(token, context)),
        }
    }

    fn list(&mut self) -> Parse<(List, Ending)> {
        let mut list = List::default();
        while self.peek_solid() != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => list.nodes.push(node),
                Item::Ending(ending) => return Ok((list, ending)),
            }
        }
        Err("unexpected EOF".to_owned())
    }

    fn text_or_action(&mut self) -> Parse<Item> {
        let token = self.next_solid();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text { text: Text::from(token.text) })),
            Kind::Open => {
                self.scope.action_line = token.line;
                let action = self.action()?;
                self.scope.action_line = 0;
                Ok(action)
            }
            _ => Err(self.unexpected(&token, "input")),
        }
    }

    fn action(&mut self) -> Parse<Item> {
        let token = self.next_solid();
        let (pos, line) = (token.pos, token.line);
        let node = match token.kind {
            Kind::Keyword(Keyword::End) => {
                self.expect(Kind::Close, "end")?;
                return Ok(Item::Ending(Ending::End));
            }
            Kind::Keyword(Keyword::Else) => {
                let next = self.peek_solid();
                if !matches!(next, Kind::Keyword(Keyword::If | Keyword::With)) {
                    self.expect(Kind::Close, "else")?;
                }
                return Ok(Item::Ending(Ending::Else));
            }
            Kind::Keyword(Keyword::Break) => {
                self.loop_word("{{break}}")?;
                Node::Break { pos, line }
            }
            Kind::Keyword(Keyword::Continue) => {
                self.loop_word("{{continue}}")?;
                Node::Continue { pos, line }
            }
            Kind::Keyword(Keyword::If) => self.branch(BranchKind::If)?,
            Kind::Keyword(Keyword::With) => self.branch(BranchKind::With)?,
            Kind::Keyword(Keyword::Range) => self.branch(BranchKind::Range)?,
            Kind::Keyword(Keyword::Block) => self.block()?,
            Kind::Keyword(Keyword::Template) => self.call()?,
            _ => {
                self.back(token);
                Node::Action { pos, pipe: self.pipeline("command", Kind::Close)? }
            }
        };
        Ok(Item::Node(node))
    }

    fn loop_word(&mut self, shown: &str) -> Parse<()> {
        self.expect(Kind::Close, shown)?;
        if self.scope.ranges == 0 { Err(format!("{shown} outside {{{{range}}}}")) } else { Ok(()) }
    }

    fn branch(&mut self, kind: BranchKind) -> Parse<Node> {
        self.deeper(|parser| parser.branch_body(kind))
    }

    fn branch_body(&mut self, kind: BranchKind) -> Parse<Node> {
        let known = self.scope.variables.len();
        let pipe = self.pipeline(kind.word(), Kind::Close)?;
        let is_range = usize::from(kind == BranchKind::Range);
        self.scope.ranges += is_range;
        let (list, ending) = self.list()?;
        self.scope.ranges -= is_range;
        let otherwise = match ending {
            Ending::End => None,
            Ending::Else => Some(self.otherwise(kind)?),
        };
        self.scope.variables.truncate(known);
        let (pos, line) = (pipe.pos, pipe.line);
        Ok(Node::Branch(Box::new(Branch { kind, pos, line, pipe, list, otherwise })))
    }

    fn otherwise(&mut self, kind: BranchKind) -> Parse<List> {
        let chained = match (kind, self.peek()) {
            (BranchKind::If, Kind::Keyword(Keyword::If)) => Some(BranchKind::If),
            (BranchKind::With, Kind::Keyword(Keyword::With)) => Some(BranchKind::With),
            _ => None,
        };
        if let Some(kind) = chained {
            self.next();
            return Ok(List { nodes: vec![self.branch(kind)?] });
        }
        let (list, ending) = self.list()?;
        match ending {
            Ending::End => Ok(list),
            Ending::Else => Err(format!("expected end; found {}", ending.shown())),
        }
    }

    fn block(&mut self) -> Parse<Node> {
        const CONTEXT: &str = "block clause";
        let token = self.next_solid();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Kind::Close)?;
        let root = self.body_of_its_own(CONTEXT)?;
        self.add(name.clone(), root)?;
        Ok(Node::Template { pos: token.pos, line: token.line, name, pipe: Some(pipe) })
    }

    fn call(&mut self) -> Parse<Node> {
        const CONTEXT: &str = "template clause";
        let token = self.next_solid();
        let name = self.template_name(&token, CONTEXT)?;
        let next = self.next_solid();
        let pipe = if next.kind == Kind::Close {
            None
        } else {
            self.back(next);
            Some(self.pipeline(CONTEXT, Kind::Close)?)
        };
        Ok(Node::Template { pos: token.pos, line: token.line, name, pipe })
    }
}
