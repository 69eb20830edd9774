//! From query text to a checked syntax tree.
//!
//! Road in: [`parse`]. Must not know: storage, evaluation.

use narthex_model::{Labels, Matcher};

use crate::ast::{Expr, Span};

/// The largest height of a tree, and so the deepest recursion over one. Longer chains and deeper nests are an error.
pub const MAX_DEPTH: usize = 500;

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
/// Syntax errors, or when there are none the errors of types, arity and modifiers.
pub fn parse(query: &str, _options: &ParseOptions) -> Result<Expr, ParseErrors> {
    Err(unfinished(query))
}

/// Parses a vector selector without modifiers (`match[]` of the API): its conditions.
///
/// # Errors
/// Syntax errors. A selector that could match everything is not an error here.
pub fn parse_metric_selector(text: &str) -> Result<Vec<Matcher>, ParseErrors> {
    Err(unfinished(text))
}

/// Parses one series, `name{label="value"}`.
///
/// # Errors
/// Syntax errors.
pub fn parse_metric(text: &str) -> Result<Labels, ParseErrors> {
    Err(unfinished(text))
}

fn unfinished(query: &str) -> ParseErrors {
    let error = ParseError { message: "not parsed yet".to_owned(), span: Span::default() };
    ParseErrors { query: query.to_owned(), errors: vec![error] }
}
