//! From query text to a checked syntax tree: recursive descent with precedence climbing, one token of look-ahead.
//!
//! Road in: [`parse`]. The parser's hands are in `parser/cursor.rs`; the grammar is in `expr.rs` (operators),
//! `primary.rs` (what operators join), `postfix.rs` (brackets, `offset`, `@`), `selector.rs`, `matching.rs`, `duration.rs`;
//! the type check, which runs only over a tree without syntax errors, in `check.rs`.
//! Always true: the first syntax error ends the parse, an error of meaning does not, so several can be reported; recursion
//! is at most [`MAX_NESTING`] deep and the tree at most [`MAX_DEPTH`] high, whatever the text.
//! Must not know: storage, evaluation.
//! Facts: Prometheus `docs/querying/basics.md` and the behaviour of `promql/parser`; error texts are a contract, tested
//! by `conformance/promql/parse-cases.json`.

mod check;
mod cursor;
mod duration;
mod expr;
mod literal;
mod matching;
mod postfix;
mod primary;
mod selector;

#[cfg(test)]
mod tests;

use narthex_model::{Labels, Matcher};

use crate::ast::{Expr, Span};
use cursor::Parser;

pub(crate) use literal::parse_number;

/// The largest height of a tree, and so the deepest recursion over one. A longer chain of operators is an error.
pub const MAX_DEPTH: usize = 1000;

/// How deep parentheses, calls, signs and the right sides of operators may nest.
pub const MAX_NESTING: usize = 250;

/// Which experimental parts of the language are switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// Functions and aggregations that are marked experimental.
    pub experimental_functions: bool,
    /// Arithmetic, `step()`, `range()`, `min_of` and `max_of` in durations.
    pub duration_expressions: bool,
    /// `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left`, `fill_right`.
    pub fill_modifiers: bool,
}

impl ParseOptions {
    /// Everything switched on.
    #[must_use]
    pub fn all() -> Self {
        Self {
            experimental_functions: true,
            duration_expressions: true,
            extended_range_selectors: true,
            fill_modifiers: true,
        }
    }
}

/// One thing that is wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong, in Prometheus' words.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// What is wrong with a query, at least one thing. Shown as the first of them: `1:5: parse error: …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: parse error: {}", errors[0].span.line_column(query), errors[0].message)]
pub struct ParseErrors {
    /// The text that was parsed.
    pub query: String,
    /// The errors in the order found; never empty.
    pub errors: Vec<ParseError>,
}

/// Parses and checks a query.
///
/// # Errors
/// The syntax error and what was found before it, or when there is none the errors of types, arity and modifiers.
pub fn parse(query: &str, options: &ParseOptions) -> Result<Expr, ParseErrors> {
    let mut parser = Parser::new(query, *options);
    let mut result = parser.whole_expression();
    if let (Ok(expr), true) = (&mut result, parser.errors.is_empty()) {
        check::check(expr, query, &mut parser.errors);
    }
    parser.finish(result)
}

/// Parses a vector selector without modifiers (`match[]` of the API): its conditions.
///
/// # Errors
/// Syntax errors. A selector that could match everything is not an error here.
pub fn parse_metric_selector(text: &str) -> Result<Vec<Matcher>, ParseErrors> {
    let mut parser = Parser::new(text, ParseOptions::default());
    let result = parser.whole_selector();
    parser.finish(result.map(|selector| selector.matchers))
}

/// Parses one series, `name{label="value"}`.
///
/// # Errors
/// Syntax errors.
pub fn parse_metric(text: &str) -> Result<Labels, ParseErrors> {
    let mut parser = Parser::new(text, ParseOptions::default());
    let result = parser.whole_metric();
    parser.finish(result)
}

/// Parses the series in front of something else; returns it and the offset where it ends.
pub(crate) fn parse_metric_prefix(text: &str) -> Result<(Labels, usize), ParseErrors> {
    let mut parser = Parser::new(text, ParseOptions::default());
    let result = parser.metric();
    let end = parser.last.end as usize;
    parser.finish(result).map(|labels| (labels, end))
}
