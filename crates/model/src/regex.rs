//! Regular expressions with Go's (RE2) meaning, anchored on both sides.
//!
//! Always true: `is_match` agrees with Go's `^(?s:…)$` of the same source. The literal set, when there is one, is exactly the
//! language of the expression, so callers may look values up instead of matching.
//! Road: `syntax` reads Go's grammar into a tree; `finite`, `pieces` and `affix` look for shapes that need no program; the
//! regex-automata crate runs the rest. Slow twin: the program alone, in `regex/tests.rs`.

mod affix;
mod class;
mod escape;
mod finite;
mod pieces;
mod scripts;
mod syntax;
mod template;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};

use regex_automata::meta;
use regex_automata::util::captures::Captures;
use regex_syntax::hir::{Hir, Look};

use pieces::Pieces;
use template::GroupRef;

/// The largest program. Go allows about 128 MiB; `.{1000}` over all of Unicode must fit.
const MAX_PROGRAM_BYTES: usize = 64 << 20;

/// A compiled, anchored expression. Cheap to clone.
#[derive(Clone)]
pub struct Regex {
    inner: Arc<Compiled>,
}

struct Compiled {
    source: String,
    /// The names of the groups, from group 1 on.
    names: Vec<Option<Box<str>>>,
    prefix: String,
    shape: Shape,
    /// The anchored tree; the program is built from it when it is first needed.
    tree: Hir,
    program: OnceLock<meta::Regex>,
}

/// How a value is decided.
enum Shape {
    /// By looking it up in the sorted list of all matches.
    Literals(Vec<String>),
    /// By comparing and searching bytes.
    Pieces(Vec<Pieces>),
    /// By the program, if the value also ends with this text.
    Program { suffix: String },
}

/// Why an expression cannot be compiled, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {reason}")]
pub struct RegexError {
    /// What is wrong and the offending part.
    pub reason: String,
}

impl Regex {
    /// Compiles `source`, to be matched against whole values; `.` also matches a line break. As matchers do, it parses the
    /// source alone: errors show it as given.
    ///
    /// # Errors
    /// When the source is malformed or too large.
    pub fn new_anchored(source: &str) -> Result<Self, RegexError> {
        Self::compile(source, source, true)
    }

    /// Like [`Regex::new_anchored`], but `^(?s:` and `)$` are put around the text before it is parsed, as configuration files
    /// and `label_replace` do: errors show the wrapped text.
    ///
    /// # Errors
    /// When the source is malformed or too large.
    pub fn new_wrapped(source: &str) -> Result<Self, RegexError> {
        Self::compile(source, &format!("^(?s:{source})$"), false)
    }

    /// Compiles `source` to be found anywhere in a value, as Go's `regexp.MatchString` does; `.` does not match a line break.
    ///
    /// # Errors
    /// When the source is malformed or too large.
    pub fn new_search(source: &str) -> Result<Self, RegexError> {
        Self::compile(source, source, false)
    }

    /// `text` is what is parsed. COMPAT: when it was wrapped, a source such as `a)|(b` escapes the anchors, in Go as here.
    fn compile(source: &str, text: &str, bare: bool) -> Result<Self, RegexError> {
        let parsed = syntax::parse(text, bare)?;
        let tree = if bare {
            Hir::concat(vec![Hir::look(Look::Start), parsed.tree, Hir::look(Look::End)])
        } else {
            parsed.tree
        };
        let anchored = bare || is_anchored(&tree);
        let shape = Shape::of(&tree, anchored);
        let prefix = if anchored { affix::prefix(&tree) } else { String::new() };
        let inner = Compiled {
            source: source.to_owned(),
            names: parsed.names,
            prefix,
            shape,
            tree,
            program: OnceLock::new(),
        };
        if let Shape::Program { .. } = inner.shape {
            let built = build(&inner.tree, Some(MAX_PROGRAM_BYTES))
                .map_err(|_| syntax::error("expression too large", text))?;
            inner.program.set(built).expect("nobody else holds the new value");
        }
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The source as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.inner.source
    }

    /// Whether the whole value matches.
    #[must_use]
    pub fn is_match(&self, value: &str) -> bool {
        match &self.inner.shape {
            Shape::Literals(texts) => texts.binary_search_by(|text| (**text).cmp(value)).is_ok(),
            Shape::Pieces(alternatives) => alternatives.iter().any(|pieces| pieces.is_match(value)),
            Shape::Program { suffix } => {
                value.starts_with(&*self.inner.prefix)
                    && value.ends_with(&**suffix)
                    && self.program().is_match(value)
            }
        }
    }

    /// All values that match, sorted, when the expression is a finite set of at most 256 literals (`a|b|c`).
    #[must_use]
    pub fn literals(&self) -> Option<&[String]> {
        match &self.inner.shape {
            Shape::Literals(texts) => Some(texts),
            Shape::Pieces(_) | Shape::Program { .. } => None,
        }
    }

    /// A text that every matching value begins with; empty when none is known. In a sorted list only the values of this
    /// prefix need be tried.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.inner.prefix
    }

    /// Matches `value` and remembers the groups.
    #[must_use]
    pub fn find<'v>(&self, value: &'v str) -> Option<RegexMatch<'v>> {
        let mut groups = self.program().create_captures();
        self.program().captures(value, &mut groups);
        groups.is_match().then(|| self.found(value, groups))
    }

    /// Matches `value` and, on success, expands `template` with Go's `$1`, `${1}`, `${name}`, `$$` rules onto `out`.
    /// Returns whether it matched. Use [`Regex::find`] to expand several templates.
    pub fn expand(&self, value: &str, template: &str, out: &mut String) -> bool {
        let found = self.find(value);
        if let Some(found) = &found {
            found.expand(template, out);
        }
        found.is_some()
    }

    /// `value` with the match replaced by the expanded `template`; `value` itself when nothing matches.
    #[must_use]
    pub fn replace_all(&self, value: &str, template: &str) -> String {
        self.replace_all_within(value, template, usize::MAX).expect("no text is that long")
    }

    /// [`Regex::replace_all`] for outside patterns: `None` as soon as the result is longer than `most` bytes and one expansion
    /// of the template.
    #[must_use]
    pub fn replace_all_within(&self, value: &str, template: &str, most: usize) -> Option<String> {
        let mut out = String::with_capacity(value.len());
        let mut done = 0;
        for groups in self.program().captures_iter(value) {
            let whole = groups.get_match().expect("the iterator yields matches only").range();
            out.push_str(&value[done..whole.start]);
            done = whole.end;
            self.found(value, groups).expand(template, &mut out);
            if out.len() > most {
                return None;
            }
        }
        out.push_str(&value[done..]);
        Some(out)
    }

    fn program(&self) -> &meta::Regex {
        // No limit: the program of literals and gaps grows with the source, and not faster.
        let build = || build(&self.inner.tree, None).expect("a tree of literals and gaps can be compiled");
        self.inner.program.get_or_init(build)
    }

    fn found<'v>(&self, value: &'v str, groups: Captures) -> RegexMatch<'v> {
        RegexMatch { value, groups, regex: Arc::clone(&self.inner) }
    }
}

impl Shape {
    fn of(tree: &Hir, anchored: bool) -> Self {
        if !anchored {
            return Self::Program { suffix: String::new() };
        }
        if let Some(texts) = finite::literals(tree) {
            return Self::Literals(texts);
        }
        pieces::alternatives(tree).map_or_else(|| Self::Program { suffix: affix::suffix(tree) }, Self::Pieces)
    }
}

/// Whether every match spans the whole value.
fn is_anchored(tree: &Hir) -> bool {
    let properties = tree.properties();
    properties.look_set_prefix().contains(Look::Start) && properties.look_set_suffix().contains(Look::End)
}

fn build(tree: &Hir, limit_bytes: Option<usize>) -> Result<meta::Regex, Box<meta::BuildError>> {
    // PERF: without a full DFA compiling is 3 to 7 times faster (`.*foo.*` 97 to 23 us) and matching hardly slower (14 to 16 ns).
    let config = meta::Config::new().nfa_size_limit(limit_bytes).dfa(false);
    meta::Builder::new().configure(config).build_from_hir(tree).map_err(Box::new)
}

/// A successful match with its groups.
#[derive(Clone)]
pub struct RegexMatch<'v> {
    value: &'v str,
    groups: Captures,
    regex: Arc<Compiled>,
}

impl<'v> RegexMatch<'v> {
    /// The text of group `number` (0 is the whole match); `None` when there is no such group or it took no part.
    #[must_use]
    pub fn group(&self, number: usize) -> Option<&'v str> {
        self.groups.get_group(number).map(|span| &self.value[span.range()])
    }

    /// The text of the first group of this name that took part.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&'v str> {
        let mut names = self.regex.names.iter().zip(1..);
        names.find_map(|(n, number)| self.group(number).filter(|_| n.as_deref() == Some(name)))
    }

    /// Appends `template` with its references replaced by the groups' texts.
    pub fn expand(&self, template: &str, out: &mut String) {
        template::walk(template, out, |reference, out| {
            let text = match reference {
                GroupRef::Number(number) => self.group(number),
                GroupRef::Name(name) => self.named(name),
            };
            out.push_str(text.unwrap_or(""));
        });
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex({:?})", self.inner.source)
    }
}

impl fmt::Debug for RegexMatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegexMatch({:?} by {:?})", self.group(0), self.regex.source)
    }
}
