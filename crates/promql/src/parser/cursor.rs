//! The parser's hands: the current token, the errors found so far, and the bounds on depth.

use crate::ast::{Expr, Span};
use crate::lexer::{Lexer, Token, TokenKind, describe};

use super::{MAX_DEPTH, MAX_NESTING, ParseError, ParseErrors, ParseOptions};

/// The parse cannot go on; the reason is already among the errors.
#[derive(Debug)]
pub(super) struct Stop;

/// An expression and its height, at most [`MAX_DEPTH`].
pub(super) struct Parsed {
    pub(super) expr: Expr,
    pub(super) height: usize,
}

impl Parsed {
    pub(super) fn leaf(expr: Expr) -> Self {
        Self { expr, height: 1 }
    }
}

pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token that was read last and not yet used.
    pub(super) current: Token,
    /// Where the token stands that was used last.
    pub(super) last: Span,
    pub(super) options: ParseOptions,
    pub(super) errors: Vec<ParseError>,
    /// How many levels of the grammar's recursion are open.
    nesting: usize,
    /// How many aggregations are open; inside of one, the error for a token that fits nowhere says so.
    pub(super) open_aggregations: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, options: ParseOptions) -> Self {
        let mut lexer = Lexer::new(text);
        let current = lexer.next_token();
        Self {
            lexer,
            current,
            last: Span::default(),
            options,
            errors: Vec::new(),
            nesting: 0,
            open_aggregations: 0,
        }
    }

    /// The text of a token, or between two.
    pub(super) fn text_of(&self, span: Span) -> &'a str {
        &self.lexer.text()[span.start as usize..span.end as usize]
    }

    /// Uses the current token and reads the next.
    pub(super) fn advance(&mut self) -> Token {
        self.last = self.current.span;
        let next = self.lexer.next_token();
        std::mem::replace(&mut self.current, next)
    }

    pub(super) fn at(&self, kind: TokenKind) -> bool {
        self.current.kind == kind
    }

    /// Uses the current token if it is of this kind.
    pub(super) fn accept(&mut self, kind: TokenKind) -> bool {
        let found = self.at(kind);
        if found {
            self.advance();
        }
        found
    }

    /// Uses the current token, which must be of this kind.
    pub(super) fn expect(&mut self, kind: TokenKind) -> Result<Token, Stop> {
        if self.at(kind) { Ok(self.advance()) } else { Err(self.unexpected()) }
    }

    /// Notes an error of meaning; the parse goes on.
    pub(super) fn error(&mut self, span: Span, message: impl Into<String>) {
        self.errors.push(ParseError { message: message.into(), span });
    }

    /// The current token fits nowhere.
    pub(super) fn unexpected(&mut self) -> Stop {
        let context = if self.open_aggregations > 0 { "aggregation" } else { "" };
        self.unexpected_in(context, "")
    }

    /// The current token does not fit here, and it is known what would.
    pub(super) fn unexpected_in(&mut self, context: &str, expected: &str) -> Stop {
        let Token { kind, span } = self.current;
        if kind == TokenKind::Error {
            let message = self.lexer.error().to_owned();
            self.error(span, message);
            return Stop;
        }
        let mut message = format!("unexpected {}", describe(kind, self.text_of(span)));
        for (word, text) in [(" in ", context), (", expected ", expected)] {
            if !text.is_empty() {
                message.push_str(word);
                message.push_str(text);
            }
        }
        self.error(span, message);
        Stop
    }

    /// Reports text that is no token before the errors of what stands before it. COMPAT: Prometheus looks one token ahead
    /// at the places that call this, and so reports the lexer's error first there.
    pub(super) fn no_lexer_error(&mut self) -> Result<(), Stop> {
        if self.at(TokenKind::Error) { Err(self.unexpected()) } else { Ok(()) }
    }

    /// Opens a level of recursion; [`Self::leave`] closes it. After an error nobody needs to.
    pub(super) fn enter(&mut self) -> Result<(), Stop> {
        self.nesting += 1;
        if self.nesting <= MAX_NESTING {
            return Ok(());
        }
        self.error(self.current.span, format!("expression is nested more than {MAX_NESTING} levels deep"));
        Err(Stop)
    }

    pub(super) fn leave(&mut self) {
        self.nesting -= 1;
    }

    /// The height of a node over children of at most `below`.
    pub(super) fn height_over(&mut self, below: usize) -> Result<usize, Stop> {
        if below < MAX_DEPTH {
            return Ok(below + 1);
        }
        self.error(self.current.span, format!("expression joins more than {MAX_DEPTH} operators in a row"));
        Err(Stop)
    }

    pub(super) fn finish<T>(self, result: Result<T, Stop>) -> Result<T, ParseErrors> {
        match result {
            Ok(value) if self.errors.is_empty() => Ok(value),
            _ => Err(ParseErrors { query: self.lexer.text().to_owned(), errors: self.errors }),
        }
    }
}
