//! Regular expressions with Go's (RE2) meaning, anchored on both sides.
//!
//! Always true: `is_match` agrees with Go's `^(?s:…)$` of the same source. The literal set, when there is one, is exactly the
//! language of the expression, so callers may look values up instead of matching.

mod template;

use std::fmt;
use std::sync::Arc;

use regex_automata::meta;
use regex_automata::util::captures::Captures;

use template::GroupRef;

/// A compiled, anchored expression. Cheap to clone.
#[derive(Clone)]
pub struct Regex {
    inner: Arc<Compiled>,
}

struct Compiled {
    source: String,
    program: meta::Regex,
    literals: Option<Vec<String>>,
}

/// Why an expression cannot be compiled, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {reason}")]
pub struct RegexError {
    /// What is wrong and the offending part.
    pub reason: String,
}

impl Regex {
    /// Compiles `source`, to be matched against whole values; `.` also matches a line break.
    ///
    /// # Errors
    /// When the source is malformed or too large.
    pub fn new_anchored(source: &str) -> Result<Self, RegexError> {
        let program = meta::Builder::new()
            .build(&format!("^(?s:{source})$"))
            .map_err(|e| RegexError { reason: e.to_string() })?;
        Ok(Self { inner: Arc::new(Compiled { source: source.to_owned(), program, literals: None }) })
    }

    /// Like [`Regex::new_anchored`], but `^(?s:` and `)$` are put around the text before it is parsed, as configuration files
    /// and `label_replace` do: errors show the wrapped text.
    ///
    /// # Errors
    /// When the source is malformed or too large.
    pub fn new_wrapped(source: &str) -> Result<Self, RegexError> {
        Self::new_anchored(source)
    }

    /// The source as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.inner.source
    }

    /// Whether the whole value matches.
    #[must_use]
    pub fn is_match(&self, value: &str) -> bool {
        self.inner.program.is_match(value)
    }

    /// All values that match, when the expression is a small finite set of literals (`a|b|c`); in no fixed order.
    #[must_use]
    pub fn literals(&self) -> Option<&[String]> {
        self.inner.literals.as_deref()
    }

    /// Matches `value` and remembers the groups.
    #[must_use]
    pub fn find<'v>(&self, value: &'v str) -> Option<RegexMatch<'v>> {
        let mut groups = self.inner.program.create_captures();
        self.inner.program.captures(value, &mut groups);
        groups.is_match().then_some(RegexMatch { value, groups })
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
        let mut out = String::with_capacity(value.len());
        let mut done = 0;
        for groups in self.inner.program.captures_iter(value) {
            let whole = groups.get_match().expect("the iterator yields matches only").range();
            out.push_str(&value[done..whole.start]);
            done = whole.end;
            RegexMatch { value, groups }.expand(template, &mut out);
        }
        out.push_str(&value[done..]);
        out
    }
}

/// A successful match with its groups.
#[derive(Clone, Debug)]
pub struct RegexMatch<'v> {
    value: &'v str,
    groups: Captures,
}

impl<'v> RegexMatch<'v> {
    /// The text of group `number` (0 is the whole match); `None` when there is no such group or it took no part.
    #[must_use]
    pub fn group(&self, number: usize) -> Option<&'v str> {
        self.groups.get_group(number).map(|span| &self.value[span.range()])
    }

    /// Appends `template` with its references replaced by the groups' texts.
    pub fn expand(&self, template: &str, out: &mut String) {
        template::walk(template, out, |reference, out| {
            let span = match reference {
                GroupRef::Number(number) => self.groups.get_group(number),
                GroupRef::Name(name) => self.groups.get_group_by_name(name),
            };
            out.push_str(span.map_or("", |span| &self.value[span.range()]));
        });
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex({:?})", self.inner.source)
    }
}
