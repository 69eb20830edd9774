//! The plan of a selector: which matcher goes first, and whether it looks at values or at candidates.
//!
//! Equalities come first, the rarest of them before the others; then sets of literals; then other conditions that need the
//! label; last those that series without the label satisfy too, which only take away. A condition on few candidates is checked
//! on their labels; one on many is answered by the postings of the values that match.
//! Always true: the result is exactly the series that satisfy every matcher; no matcher at all selects every series.

use std::sync::Arc;

use narthex_model::{MatchOp, Matcher};
use parking_lot::RwLock;
use roaring::RoaringBitmap;

use super::Head;
use super::label_index::Values;
use super::postings::Postings;
use super::slab::place;
use crate::symbols::Symbol;

/// A matcher with what the index knows about its label.
struct Step<'a> {
    matcher: &'a Matcher,
    /// Symbol and values of the label; `None` when no series has it.
    label: Option<(Symbol, Arc<RwLock<Values>>)>,
    /// Low ones go first: the class, then the number of series for an equality.
    order: (u8, u64),
}

/// How many texts are compared under one hold of the symbol table's lock.
const ROUND: usize = 1024;

impl Head {
    /// The slots of all series that satisfy every matcher.
    pub(super) fn matching(&self, matchers: &[Matcher]) -> RoaringBitmap {
        let mut steps: Vec<Step<'_>> =
            matchers.iter().filter(|m| !accepts_all(m)).map(|m| self.step(m)).collect();
        steps.sort_by_key(|step| step.order);
        let mut found: Option<RoaringBitmap> = None;
        for step in &steps {
            found = Some(match found {
                None => self.begin(step),
                Some(set) if set.is_empty() => return set,
                Some(set) => self.narrow(step, set),
            });
        }
        found.unwrap_or_else(|| self.label_index.all())
    }

    fn step<'a>(&self, matcher: &'a Matcher) -> Step<'a> {
        let name = self.symbols.read().find(&matcher.name);
        let label = name.and_then(|name| Some((name, self.label_index.name(name)?)));
        let order = match matcher.op {
            _ if matcher.matches_empty() => (3, 0),
            MatchOp::Equal => (0, label.as_ref().map_or(0, |(_, v)| self.series_with(v, &matcher.value))),
            MatchOp::Regex if literals(matcher).is_some() => (1, 0),
            MatchOp::Regex | MatchOp::NotEqual | MatchOp::NotRegex => (2, 0),
        };
        Step { matcher, label, order }
    }

    fn series_with(&self, values: &RwLock<Values>, value: &str) -> u64 {
        let Some(value) = self.symbols.read().find(value) else { return 0 };
        values.read().get(value).map_or(0, Postings::len)
    }

    fn begin(&self, step: &Step<'_>) -> RoaringBitmap {
        if step.matcher.matches_empty() {
            return self.narrow(step, self.label_index.all());
        }
        let mut set = RoaringBitmap::new();
        if let Some((_, values)) = &step.label {
            let wanted = self.values_of(values, step.matcher, true);
            let values = values.read();
            wanted.iter().filter_map(|value| values.get(*value)).for_each(|p| p.add_to(&mut set));
        }
        set
    }

    fn narrow(&self, step: &Step<'_>, mut set: RoaringBitmap) -> RoaringBitmap {
        let absent_is_fine = step.matcher.matches_empty();
        let Some((name, values)) = &step.label else {
            return if absent_is_fine { set } else { RoaringBitmap::new() };
        };
        if literals(step.matcher).is_none() && set.len() < values.read().len() as u64 {
            return self.check_candidates(*name, step.matcher, &set);
        }
        let listed = self.values_of(values, step.matcher, !absent_is_fine);
        let values = values.read();
        let listed = listed.iter().filter_map(|value| values.get(*value));
        if absent_is_fine {
            listed.for_each(|postings| postings.remove_from(&mut set));
            return set;
        }
        match listed.collect::<Vec<_>>().as_slice() {
            [only] => only.intersect(&mut set),
            many => {
                let mut union = RoaringBitmap::new();
                many.iter().for_each(|postings| postings.add_to(&mut union));
                set &= union;
            }
        }
        set
    }

    /// The values that the matcher accepts (or refuses, for `accepted` false).
    fn values_of(&self, values: &RwLock<Values>, matcher: &Matcher, accepted: bool) -> Vec<Symbol> {
        if let Some(texts) = literals(matcher) {
            let negative = matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex);
            if accepted != negative {
                let table = self.symbols.read();
                return texts.iter().filter_map(|text| table.find(text)).collect();
            }
        }
        let mut all: Vec<Symbol> = values.read().iter().map(|(value, _)| value).collect();
        let mut kept = 0;
        for start in (0..all.len()).step_by(ROUND) {
            let table = self.symbols.read();
            for at in start..all.len().min(start + ROUND) {
                if matcher.matches(table.text(all[at])) == accepted {
                    all[kept] = all[at];
                    kept += 1;
                }
            }
        }
        all.truncate(kept);
        all
    }

    /// The candidates whose own label satisfies the matcher.
    fn check_candidates(&self, name: Symbol, matcher: &Matcher, set: &RoaringBitmap) -> RoaringBitmap {
        let satisfies = |slot: &u32| {
            let Some(page) = self.slab.page(*slot) else { return false };
            let rows = page.rows.lock();
            // A series that left is in nobody's range.
            let Some(_) = page.generation(place(*slot)) else { return false };
            let packed = rows.copy_labels(place(*slot));
            drop(rows);
            let table = self.symbols.read();
            let value = table.pairs(&packed).find(|(n, _)| *n == name).map_or("", |(_, v)| table.text(v));
            matcher.matches(value)
        };
        set.iter().filter(satisfies).collect()
    }

    /// All values of a label, unsorted.
    pub(super) fn all_label_values(&self, name: &str) -> Vec<String> {
        let Some(name) = self.symbols.read().find(name) else { return Vec::new() };
        let Some(values) = self.label_index.name(name) else { return Vec::new() };
        let values: Vec<Symbol> = values.read().iter().map(|(value, _)| value).collect();
        let table = self.symbols.read();
        values.into_iter().map(|value| table.text(value).to_owned()).collect()
    }

    /// All label names, unsorted.
    pub(super) fn all_label_names(&self) -> Vec<String> {
        let names = self.label_index.names();
        let table = self.symbols.read();
        names.iter().map(|(name, _)| table.text(*name).to_owned()).collect()
    }
}

/// The finite set of texts that the matcher names, if it does.
fn literals(matcher: &Matcher) -> Option<&[String]> {
    match matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => Some(std::slice::from_ref(&matcher.value)),
        MatchOp::Regex | MatchOp::NotRegex => matcher.regex()?.literals(),
    }
}

/// Whether every series satisfies the matcher.
fn accepts_all(matcher: &Matcher) -> bool {
    matcher.op == MatchOp::Regex && matcher.value == ".*"
}
