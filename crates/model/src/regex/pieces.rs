//! Expressions that are literals with gaps: `prefix.*`, `.*suffix`, `a.+b.*c`, and alternatives of those. They are decided by
//! comparing and searching bytes, without running a program.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// At most so many alternatives are tried one after the other.
const MAX_ALTERNATIVES: usize = 32;

/// Literals that must follow each other, with gaps of any characters before, between and behind them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    /// What the value begins with, before the first gap.
    prefix: String,
    /// Each gap, and the literal behind it. The last literal ends the value.
    rest: Vec<(Gap, String)>,
}

/// Any characters, at least `min` of them.
#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    min: usize,
}

/// The alternatives of an anchored `tree` as pieces; `None` when it has other parts or too many alternatives.
pub(super) fn alternatives(tree: &Hir) -> Option<Vec<Pieces>> {
    match tree.kind() {
        HirKind::Capture(group) => alternatives(&group.sub),
        HirKind::Concat(parts) => match without_anchors(parts) {
            [one] => alternatives(one),
            parts => parts.iter().try_fold(vec![Pieces::default()], extend),
        },
        HirKind::Alternation(parts) => {
            let all = parts.iter().map(alternatives).collect::<Option<Vec<_>>>()?.concat();
            (all.len() <= MAX_ALTERNATIVES).then_some(all)
        }
        _ => extend(vec![Pieces::default()], tree),
    }
}

/// Assertions that always hold at the two ends of an anchored expression.
fn without_anchors(mut parts: &[Hir]) -> &[Hir] {
    while let [first, rest @ ..] = parts
        && matches!(first.kind(), HirKind::Look(Look::Start))
    {
        parts = rest;
    }
    while let [rest @ .., last] = parts
        && matches!(last.kind(), HirKind::Look(Look::End))
    {
        parts = rest;
    }
    parts
}

/// Appends what `tree` matches to each of the alternatives; `None` when it is neither literals nor gaps.
fn extend(mut all: Vec<Pieces>, tree: &Hir) -> Option<Vec<Pieces>> {
    match tree.kind() {
        HirKind::Empty => Some(all),
        HirKind::Literal(text) => {
            let text = std::str::from_utf8(&text.0).ok()?;
            all.iter_mut().for_each(|pieces| pieces.add_literal(text));
            Some(all)
        }
        HirKind::Capture(group) => extend(all, &group.sub),
        HirKind::Concat(parts) => parts.iter().try_fold(all, extend),
        HirKind::Alternation(parts) => {
            let branches = parts.iter().map(|part| extend(all.clone(), part));
            let all = branches.collect::<Option<Vec<_>>>()?.concat();
            (all.len() <= MAX_ALTERNATIVES).then_some(all)
        }
        HirKind::Repetition(r) if r.max.is_none() && is_any(&r.sub) => {
            all.iter_mut().for_each(|pieces| pieces.add_gap(r.min as usize));
            Some(all)
        }
        HirKind::Class(Class::Unicode(class)) => {
            let count: usize = class.ranges().iter().map(regex_syntax::hir::ClassUnicodeRange::len).sum();
            if count == 0 || count > MAX_ALTERNATIVES / all.len().max(1) {
                return None;
            }
            let characters = class.ranges().iter().flat_map(|range| range.start()..=range.end());
            Some(characters.flat_map(|c| with_literal(&all, c)).collect())
        }
        HirKind::Repetition(_) | HirKind::Class(Class::Bytes(_)) | HirKind::Look(_) => None,
    }
}

fn with_literal(all: &[Pieces], c: char) -> Vec<Pieces> {
    let mut all = all.to_vec();
    all.iter_mut().for_each(|pieces| pieces.add_literal(c.encode_utf8(&mut [0; 4])));
    all
}

impl Pieces {
    fn add_literal(&mut self, text: &str) {
        self.rest.last_mut().map_or(&mut self.prefix, |(_, literal)| literal).push_str(text);
    }

    /// Adjacent gaps become one.
    fn add_gap(&mut self, min: usize) {
        match self.rest.last_mut() {
            Some((gap, literal)) if literal.is_empty() => gap.min += min,
            _ => self.rest.push((Gap { min }, String::new())),
        }
    }

    /// Whether the whole of `value` is these pieces.
    pub(super) fn is_match(&self, value: &str) -> bool {
        let Some(mut rest) = value.strip_prefix(&*self.prefix) else {
            return false;
        };
        let Some(((last_gap, suffix), middle)) = self.rest.split_last() else {
            return rest.is_empty();
        };
        // Taking each piece as early as possible leaves the most to those behind it.
        for (gap, literal) in middle {
            let Some(at) = gap.skip(rest).and_then(|tail| tail.find(&**literal).map(|at| tail.len() - at))
            else {
                return false;
            };
            rest = &rest[rest.len() - at + literal.len()..];
        }
        rest.strip_suffix(&**suffix).is_some_and(|between| last_gap.skip(between).is_some())
    }
}

impl Gap {
    /// What is left of `text` after the fewest characters of the gap.
    fn skip(self, text: &str) -> Option<&str> {
        let mut chars = text.chars();
        for _ in 0..self.min {
            chars.next()?;
        }
        Some(chars.as_str())
    }
}

/// Whether a tree is a single character of any kind.
fn is_any(tree: &Hir) -> bool {
    let HirKind::Class(Class::Unicode(class)) = tree.kind() else {
        return false;
    };
    matches!(class.ranges(), [all] if all.start() == '\0' && all.end() == char::MAX)
}
