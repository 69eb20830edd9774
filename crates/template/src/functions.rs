//! The functions of templates by name: Go's own and Prometheus'.
//!
//! Holds: the table and what functions share. `builtin`, `compare` are Go's, `prometheus`, `humanize`, `network`, `title`
//! are Prometheus', the escapers of HTML mode come from `html`.
//! Must not know: the tree. Facts: `conformance/inventories/template-functions.tsv`, Go's `text/template` documentation,
//! Prometheus' template reference and the texts of its errors.

mod builtin;
mod compare;
mod humanize;
mod network;
mod prometheus;
mod regexes;
mod title;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::context::Context;
use crate::html;
use crate::value::Value;

pub(crate) use regexes::Regexes;

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Param {
    Text,
    /// Anything; absent values come as nil.
    Any,
    /// Anything, absent values too.
    Reflect,
    QueryResult,
    Sample,
    Int,
    Duration,
    Time,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Signature {
    pub(crate) params: &'static [Param],
    /// Whether the last parameter may come any number of times.
    pub(crate) variadic: bool,
}

impl Signature {
    /// The parameter that takes the argument `at`.
    pub(crate) fn param(&self, at: usize) -> Param {
        let last = self.params.len().saturating_sub(1);
        self.params.get(at.min(last)).copied().unwrap_or(Param::Any)
    }
}

/// What functions may use.
pub(crate) struct Env<'e> {
    pub(crate) context: &'e Context<'e>,
    pub(crate) regexes: &'e Regexes,
    /// How long a text may become.
    pub(crate) room: usize,
}

pub(crate) type Plain = fn(&Env<'_>, Vec<Value>) -> Result<Value, String>;

#[derive(Clone, Copy)]
pub(crate) enum Run {
    And,
    Or,
    Call,
    /// Runs another template; HTML mode only.
    Tmpl,
    Plain(Plain),
}

pub(crate) struct Function {
    pub(crate) signature: Signature,
    pub(crate) run: Run,
    scope: Scope,
}

/// Who may name a function.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Everybody,
    Html,
    /// Only the HTML pass.
    Nobody,
}

static FUNCTIONS: LazyLock<HashMap<&'static str, Function>> = LazyLock::new(|| {
    let mut all = HashMap::new();
    let mut add = |name, params, variadic, run, scope| {
        all.insert(name, Function { signature: Signature { params, variadic }, run, scope });
    };
    let reflect: &[Param] = &[Param::Reflect, Param::Reflect];
    add("and", reflect, true, Run::And, Scope::Everybody);
    add("or", reflect, true, Run::Or, Scope::Everybody);
    add("call", reflect, true, Run::Call, Scope::Everybody);
    add("tmpl", &[Param::Text, Param::Any], false, Run::Tmpl, Scope::Html);
    for (name, params, variadic, run) in builtin::TABLE.iter().chain(&prometheus::TABLE) {
        add(name, params, *variadic, Run::Plain(*run), Scope::Everybody);
    }
    for (name, run) in html::ESCAPERS {
        add(name, &[Param::Any], true, Run::Plain(run), Scope::Nobody);
    }
    all
});

/// One line of a table: name, parameters, whether the last may repeat, body.
type Line = (&'static str, &'static [Param], bool, Plain);

pub(crate) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.get(name)
}

/// Whether a template may name this function.
pub(crate) fn is_known(name: &str, html: bool) -> bool {
    find(name).is_some_and(|function| match function.scope {
        Scope::Everybody => true,
        Scope::Html => html,
        Scope::Nobody => false,
    })
}

/// The names of Prometheus' functions, sorted.
#[must_use]
pub fn function_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = prometheus::TABLE.iter().map(|(name, ..)| *name).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests;
