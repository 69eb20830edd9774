//! From a tree to values under go-yaml's strict rules: types, nulls, merges, duplicate keys, unknown fields.
//!
//! Always true: every problem is noted and reading goes on; recursion follows the types of the sections, which are finite,
//! so a deep file costs no stack; aliases are counted, so a small file cannot unfold into a huge value.
//! Facts: go-yaml v2.4 `UnmarshalStrict`, recorded by running it.

use std::collections::{HashMap, HashSet};

use crate::codec::Codec;
use crate::error::Problem;
use crate::global::FeatureDefaults;
use crate::near::nearest;
use crate::yaml::{Kind, Mark, NodeRef, Resolved, resolve, short_tag};

/// An object of the file. Made by `section!`.
pub(crate) trait Section: Sized + Default {
    /// The name that Prometheus' errors use for it.
    const GO_TYPE: &'static str;
    /// The value of `null`.
    fn zero() -> Self;
    /// Reads the value of a key; `false` when there is no such key.
    fn read_key(&mut self, key: &str, value: NodeRef<'_>, d: &mut Decoder) -> bool;
    /// Adds all keys, for hints.
    fn keys(out: &mut Vec<&'static str>);
    /// Adds what would be printed.
    fn print_keys(&self, out: &mut Vec<(String, crate::yaml::Yaml)>);
    /// Whether nothing is set.
    fn is_zero(&self) -> bool;
}

/// The rules of a section that its field types cannot express.
pub(crate) trait Check: Section {
    /// What reading starts from.
    fn start() -> Self {
        Self::default()
    }

    /// Completes the section and checks its values together.
    ///
    /// # Errors
    /// The first broken rule, in Prometheus' words.
    fn verify(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// Looks at a section that was read without a type error. `at` is its node, for places.
    fn check(&mut self, at: NodeRef<'_>, d: &mut Decoder) {
        if let Err(text) = self.verify() {
            d.rule(at.mark(), text);
        }
    }
}

/// Whose rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// go-yaml v2, strict: the main file and most others. Null zeroes whatever it meets.
    V2,
    /// go-yaml v3: rule files. Null clears lists and mappings and leaves other defaults alone.
    V3 {
        /// Leave unknown fields out silently.
        ignore_unknown_fields: bool,
    },
}

/// The state of one reading.
pub(crate) struct Decoder {
    /// Whose rules hold.
    pub(crate) dialect: Dialect,
    /// The directory that relative paths start from; empty: they stay as they are.
    pub(crate) directory: String,
    /// Defaults that the command line changes.
    pub(crate) features: FeatureDefaults,
    problems: Vec<Problem>,
    visits: u64,
    alias_visits: u64,
    alias_depth: u32,
    too_many_aliases: bool,
}

impl Decoder {
    /// A reading of a file in `directory`.
    pub(crate) fn new(directory: &str) -> Self {
        Self {
            dialect: Dialect::V2,
            directory: directory.to_owned(),
            features: FeatureDefaults::default(),
            problems: Vec::new(),
            visits: 0,
            alias_visits: 0,
            alias_depth: 0,
            too_many_aliases: false,
        }
    }

    /// What was wrong.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// How many problems there are so far.
    pub(crate) fn problem_count(&self) -> usize {
        self.problems.len()
    }

    /// Notes each null item of a list that must not have one.
    pub(crate) fn refuse_nulls(&mut self, list: Option<NodeRef<'_>>, text: &str) {
        for item in list.iter().flat_map(|list| list.items()).filter(|item| item.resolved().is_null()) {
            self.rule(item.mark(), text);
        }
    }

    /// Notes a broken rule.
    pub(crate) fn rule(&mut self, at: Mark, text: impl Into<String>) {
        self.problems.push(Problem::of_rule(at, text.into()));
    }

    /// Notes a value of the wrong type.
    pub(crate) fn wrong_type(&mut self, node: NodeRef<'_>, go_type: &str) {
        let what = match node.kind() {
            Kind::Sequence(_) => if_empty(node.tag(), "!!seq"),
            Kind::Mapping(_) => if_empty(node.tag(), "!!map"),
            Kind::Alias(_) => "!!alias".to_owned(),
            Kind::Scalar { value, plain } => {
                let tag = match resolve(node.tag(), value, *plain) {
                    Ok(found) => if_empty(node.tag(), found.short_tag()),
                    Err(_) => short_tag(node.tag()),
                };
                format!("{tag} `{}`", shorten(value))
            }
        };
        self.problems.push(Problem::of_type(node.mark(), format!("cannot unmarshal {what} into {go_type}")));
    }

    /// Reads through an alias; `None` once a file unfolds to too much, which is noted once.
    pub(crate) fn visit<'t>(&mut self, node: NodeRef<'t>) -> Option<NodeRef<'t>> {
        self.visits += 1;
        if self.alias_depth > 0 || node.is_alias() {
            self.alias_visits += 1;
        }
        if self.alias_visits > 100 && self.visits > 1000 && self.is_alias_share_too_large() {
            if !self.too_many_aliases {
                self.rule(node.mark(), "yaml: document contains excessive aliasing");
            }
            self.too_many_aliases = true;
        }
        (!self.too_many_aliases).then(|| node.resolved())
    }

    /// go-yaml's bound: nearly everything may come from aliases in a small file, a tenth in a huge one.
    fn is_alias_share_too_large(&self) -> bool {
        const LOW: f64 = 400_000.0;
        const HIGH: f64 = 4_000_000.0;
        #[expect(clippy::cast_precision_loss, reason = "a ratio of counts needs no last digit")]
        let (visits, aliases) = (self.visits as f64, self.alias_visits as f64);
        let allowed = if visits <= LOW {
            0.99
        } else if visits >= HIGH {
            0.10
        } else {
            0.99 - 0.89 * (visits - LOW) / (HIGH - LOW)
        };
        aliases / visits > allowed
    }

    /// Notes a key that a mapping has twice. `value` is the second value, whose line Go names.
    pub(crate) fn duplicate_key(&mut self, value: NodeRef<'_>, key: &str) {
        let text = format!("key {} already set in map", narthex_model::quote_go(key));
        self.problems.push(Problem::of_type(value.mark(), text));
    }

    /// Runs `read` for the value of a node that may be an alias, counting what lies below.
    pub(crate) fn below<R>(&mut self, node: NodeRef<'_>, read: impl FnOnce(&mut Self) -> R) -> R {
        let step = u32::from(node.is_alias());
        self.alias_depth += step;
        let result = read(self);
        self.alias_depth -= step;
        result
    }

    /// Reads an object over the values that `into` has. `false` when it had a type error.
    pub(crate) fn section<T: Check>(&mut self, node: NodeRef<'_>, into: &mut T) -> bool {
        let before = self.problems.len();
        if !matches!(node.kind(), Kind::Mapping(_)) {
            self.wrong_type(node, T::GO_TYPE);
            return false;
        }
        if self.has_duplicates(node) {
            return false;
        }
        self.fields(node, into, 0);
        if self.problems[before..].iter().any(Problem::is_type) {
            return false;
        }
        into.check(node, self);
        true
    }

    fn fields<T: Section>(&mut self, node: NodeRef<'_>, into: &mut T, merges: u32) {
        let mut done: HashSet<String> = HashSet::new();
        for (key, value) in node.pairs() {
            if key.is_merge() {
                self.merge(value, into, merges);
                continue;
            }
            let Some(name) = self.visit(key).and_then(|key| self.text(key)) else { continue };
            if done.contains(&name) {
                let text = format!("field {name} already set in type {}", T::GO_TYPE);
                self.problems.push(Problem::of_type(key.mark(), text));
            } else if self.below(value, |d| into.read_key(&name, value, d)) {
                done.insert(name);
            } else {
                self.unknown_field::<T>(key.mark(), &name);
            }
        }
    }

    /// Whether a mapping has a key twice, which is noted. Only the third dialect looks before it reads.
    pub(crate) fn has_duplicates(&mut self, node: NodeRef<'_>) -> bool {
        if self.dialect == Dialect::V2 {
            return false;
        }
        let mut first: HashMap<&str, Mark> = HashMap::new();
        let before = self.problems.len();
        for (key, _) in node.pairs() {
            let Kind::Scalar { value, .. } = key.kind() else { continue };
            if let Some(earlier) = first.get(value.as_str()) {
                let name = narthex_model::quote_go(value);
                let text = format!("mapping key {name} already defined at line {}", earlier.line + 1);
                self.problems.push(Problem::of_type(key.mark(), text));
            } else {
                first.insert(value, key.mark());
            }
        }
        self.problems.len() > before
    }

    /// Reads a field's value; `None` leaves the field as it is.
    pub(crate) fn field<C: Codec>(&mut self, node: NodeRef<'_>) -> Option<C::Value> {
        let keeps = self.dialect != Dialect::V2 && !C::CLEARED_BY_NULL;
        if keeps && node.resolved().is_null() { None } else { C::read(node, self) }
    }

    fn unknown_field<T: Section>(&mut self, at: Mark, name: &str) {
        if self.dialect == (Dialect::V3 { ignore_unknown_fields: true }) {
            return;
        }
        let mut keys = Vec::new();
        T::keys(&mut keys);
        let text = format!("field {name} not found in type {}", T::GO_TYPE);
        self.problems.push(Problem::of_type(at, text).with_near(nearest(name, &keys)));
    }

    /// `<<`: a mapping or a list of mappings, the first of which wins.
    fn merge<T: Section>(&mut self, value: NodeRef<'_>, into: &mut T, merges: u32) {
        // A merge may name its own ancestor; go-yaml fails there too.
        const MOST_MERGES: u32 = 16;
        let Some(node) = self.visit(value) else { return };
        let all_maps = |n: NodeRef<'_>| matches!(n.kind(), Kind::Mapping(_));
        if merges >= MOST_MERGES {
            self.rule(value.mark(), "yaml: a merge contains itself");
        } else if all_maps(node) {
            self.below(value, |d| d.fields(node, into, merges + 1));
        } else if matches!(node.kind(), Kind::Sequence(_))
            && node.items().all(|item| all_maps(item.resolved()))
        {
            let items: Vec<NodeRef<'_>> = node.items().collect();
            for item in items.into_iter().rev() {
                if let Some(map) = self.visit(item) {
                    self.below(item, |d| d.fields(map, into, merges + 1));
                }
            }
        } else {
            self.rule(value.mark(), "yaml: map merge requires map or sequence of maps as the value");
        }
    }

    /// A scalar's type; notes what does not fit its tag.
    pub(crate) fn resolve(&mut self, node: NodeRef<'_>) -> Option<Resolved> {
        let Kind::Scalar { value, plain } = node.kind() else { return None };
        match resolve(node.tag(), value, *plain) {
            Ok(found) => Some(found),
            Err(text) => {
                self.rule(node.mark(), format!("yaml: {text}"));
                None
            }
        }
    }

    /// A string: any scalar as it is spelled, null as nothing.
    pub(crate) fn text(&mut self, node: NodeRef<'_>) -> Option<String> {
        self.text_or(node, "is not a valid label value")
    }

    /// The same; `complaint` follows binary data that is no UTF-8.
    pub(crate) fn text_or(&mut self, node: NodeRef<'_>, complaint: &str) -> Option<String> {
        let Kind::Scalar { value, .. } = node.kind() else {
            self.wrong_type(node, "string");
            return None;
        };
        match self.resolve(node)? {
            Resolved::Null => Some(String::new()),
            Resolved::Binary(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Some(text),
                Err(e) => {
                    self.rule(node.mark(), format!("{} {complaint}", quote_bytes(e.as_bytes())));
                    None
                }
            },
            _ => Some(value.clone()),
        }
    }
}

fn if_empty(tag: &str, default: &str) -> String {
    if tag.is_empty() { default.to_owned() } else { short_tag(tag) }
}

/// go-yaml shows at most ten bytes of a value.
fn shorten(value: &str) -> String {
    if value.len() <= 10 {
        return value.to_owned();
    }
    let mut end = 7;
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &value[..end])
}

/// Quotes bytes that are not all UTF-8 as Go does.
fn quote_bytes(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        let quoted = narthex_model::quote_go(chunk.valid());
        out.push_str(&quoted[1..quoted.len() - 1]);
        for b in chunk.invalid() {
            out.push_str(&format!("\\x{b:02x}"));
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
