//! What is wrong with a configuration: every problem found, each with its place and Prometheus' words.
//!
//! Always true: a [`ConfigErrors`] is never empty. Its `Display` names file, line and column of each problem, says the
//! nearest known name of an unknown field, and contains Prometheus' own text; `as_prometheus` is that text alone.
//! Facts: go-yaml's way of listing errors (`yaml: unmarshal errors:` and a line each); other texts stand where they arise.

use std::fmt;

use crate::yaml::{Mark, SyntaxError};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    mark: Mark,
    text: String,
    near: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Not YAML at all.
    Syntax,
    /// A value of the wrong type or an unknown field: Go lists them together.
    Type,
    /// A rule of a section: Go reports only the first.
    Rule,
}

impl Problem {
    /// A value of the wrong type, or a field that must not be there.
    pub(crate) fn of_type(mark: Mark, text: String) -> Self {
        Self { kind: Kind::Type, mark, text, near: None }
    }

    /// A broken rule.
    pub(crate) fn of_rule(mark: Mark, text: String) -> Self {
        Self { kind: Kind::Rule, mark, text, near: None }
    }

    /// Adds the name that the user may have meant.
    pub(crate) fn with_near(mut self, near: Option<&str>) -> Self {
        self.near = near.map(str::to_owned);
        self
    }

    /// Whether it is of the kind that Go lists in one message.
    pub(crate) fn is_type(&self) -> bool {
        self.kind == Kind::Type
    }

    /// The line, from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.mark.line + 1
    }

    /// The column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> u32 {
        self.mark.column + 1
    }

    /// Prometheus' text of this problem alone.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The known name nearest to an unknown one.
    #[must_use]
    pub fn near(&self) -> Option<&str> {
        self.near.as_deref()
    }
}

impl Problem {
    /// A text that is not YAML, as go-yaml v3 says it.
    pub(crate) fn of_syntax_v3(e: SyntaxError) -> Self {
        Self::from(SyntaxError { shown_line: e.shown_line_v3, ..e })
    }
}

impl From<SyntaxError> for Problem {
    fn from(e: SyntaxError) -> Self {
        let text = match e.shown_line {
            Some(line) => format!("yaml: line {line}: {}", e.problem),
            None => format!("yaml: {}", e.problem),
        };
        Self { kind: Kind::Syntax, mark: e.mark, text, near: None }
    }
}

/// What stands before and after Prometheus' text of the problems of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Frame {
    /// The main file: `parsing YAML file F: `.
    Main,
    /// A file of `scrape_config_files`: `"F": `, with the absolute path.
    Included,
    /// Another file: no prefix.
    Other,
    /// Only the text.
    Bare,
}

/// All problems of one load. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    frame: Frame,
    file: String,
    problems: Vec<Problem>,
}

impl ConfigErrors {
    /// Problems of the main file.
    pub(crate) fn in_main(file: &str, problems: Vec<Problem>) -> Self {
        Self { frame: Frame::Main, file: file.to_owned(), problems }
    }

    /// Problems of an included file; `file` is absolute.
    pub(crate) fn in_included(file: &str, problems: Vec<Problem>) -> Self {
        Self { frame: Frame::Included, file: file.to_owned(), problems }
    }

    /// Problems of a file whose errors have no prefix: target groups, the web configuration.
    pub(crate) fn without_prefix(file: &str, problems: Vec<Problem>) -> Self {
        Self { frame: Frame::Other, file: file.to_owned(), problems }
    }

    /// A text without a place in a file.
    pub(crate) fn bare(file: &str, text: String) -> Self {
        let problem = Problem::of_rule(Mark::default(), text);
        Self { frame: Frame::Bare, file: file.to_owned(), problems: vec![problem] }
    }

    /// The problems, in the order found.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The file that the places are in.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether any problem knows a nearest name.
    #[must_use]
    pub fn has_hints(&self) -> bool {
        self.problems.iter().any(|p| p.near.is_some())
    }

    /// Exactly what Prometheus says: all type errors, or the first broken rule.
    #[must_use]
    pub fn as_prometheus(&self) -> String {
        format!("{}{}", self.prefix(), self.body(false))
    }

    fn prefix(&self) -> String {
        match self.frame {
            Frame::Main => format!("parsing YAML file {}: ", self.file),
            Frame::Included => format!("{}: ", narthex_model::quote_go(&self.file)),
            Frame::Other | Frame::Bare => String::new(),
        }
    }

    /// The problems; `full` adds hints, places, and those that Prometheus leaves out.
    fn body(&self, full: bool) -> String {
        let first_rule = self.problems.iter().position(|p| !p.is_type());
        let mut out = String::new();
        match first_rule {
            Some(at) => out.push_str(&self.one(&self.problems[at], full)),
            None => self.push_types(&mut out, full),
        }
        if !full {
            return out;
        }
        for (i, p) in self.problems.iter().enumerate() {
            if first_rule.is_some_and(|at| at != i) {
                out.push_str("\n  and: ");
                out.push_str(&self.one(p, true));
            }
        }
        out
    }

    fn push_types(&self, out: &mut String, full: bool) {
        out.push_str("yaml: unmarshal errors:");
        for p in &self.problems {
            out.push_str(&format!("\n  line {}: {}", p.line(), self.one(p, full)));
        }
    }

    fn one(&self, p: &Problem, full: bool) -> String {
        let mut out = p.text.clone();
        if full && let Some(near) = &p.near {
            out.push_str(&format!("; did you mean \"{near}\"?"));
        }
        if full && self.frame != Frame::Bare {
            out.push_str(&format!(" ({}:{}:{})", self.file, p.line(), p.column()));
        }
        out
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix())?;
        f.write_str(&self.body(true))
    }
}

impl std::error::Error for ConfigErrors {}
