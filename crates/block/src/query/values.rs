//! Label names and values of a block, all of them or those of the series that match.

use std::cmp::Ordering;

use narthex_model::Matcher;
use rustc_hash::FxHashSet;

use super::plan::{Plan, for_values};
use super::texts::Texts;
use crate::{Block, ReadError};

/// The values of a label, sorted; those in `known` (sorted) may be left out. 0 means no limit.
pub(super) fn label_values(
    block: &Block,
    name: &str,
    matchers: &[Matcher],
    limit: usize,
    known: &[String],
) -> Result<Vec<String>, ReadError> {
    let index = block.index();
    let label = index.names().find(name).filter(|label| !label.text.is_empty());
    let Some(label) = label else { return Ok(Vec::new()) };
    if matchers.iter().any(|matcher| matcher.name != name) {
        let found = symbols_of(block, matchers, |[name, value]| (*name == label.symbol).then_some(*value))?;
        return Ok(texts(block, found, limit));
    }
    // Conditions on the very label are checked on its values, without a look at any series.
    let mut values = Vec::new();
    let is_full = |values: &Vec<String>| limit > 0 && values.len() >= limit;
    let Some((first, rest)) = matchers.split_first() else {
        let mut known = known;
        for value in index.values(label) {
            let value = value.map_err(|fault| block.index_error("get postings offset entry", fault))?;
            // PERF: blocks next to each other have mostly the same values, and making their texts is the larger part of the work.
            if !pass_to(&mut known, value.text) {
                values.push(text_of(value.text));
            }
            if is_full(&values) {
                break;
            }
        }
        return Ok(in_order(values));
    };
    for_values(index, label, first, true, |value| {
        let text = String::from_utf8_lossy(value.text);
        if rest.iter().all(|matcher| matcher.matches(&text)) {
            values.push(text.into_owned());
        }
        Ok(!is_full(&values))
    })
    .map_err(|fault| block.index_error("get postings offset entry", fault))?;
    Ok(in_order(values))
}

/// PERF: nearly all texts are UTF-8, and to see that is quicker than to look for where they are not.
fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Goes on in a sorted list past `text` and what is before it; whether it is there.
#[inline]
fn pass_to(rest: &mut &[String], text: &[u8]) -> bool {
    while let [first, more @ ..] = *rest {
        let order = first.as_bytes().cmp(text);
        if order == Ordering::Greater {
            return false;
        }
        *rest = more;
        if order == Ordering::Equal {
            return true;
        }
    }
    false
}

/// Values that were no UTF-8 may have changed their places.
fn in_order(mut values: Vec<String>) -> Vec<String> {
    if !values.is_sorted() {
        values.sort_unstable();
    }
    values.dedup();
    values
}

/// The label names, sorted; 0 means no limit.
pub(super) fn label_names(
    block: &Block,
    matchers: &[Matcher],
    limit: usize,
) -> Result<Vec<String>, ReadError> {
    if !matchers.is_empty() {
        let found = symbols_of(block, matchers, |[name, _]| Some(*name))?;
        return Ok(texts(block, found, limit));
    }
    let names = block.index().names().iter().map(|label| label.text.to_string());
    Ok(names.take(if limit == 0 { usize::MAX } else { limit }).collect())
}

/// What `pick` takes from the labels of the series that match, each once.
fn symbols_of(
    block: &Block,
    matchers: &[Matcher],
    pick: impl Fn(&[u32; 2]) -> Option<u32>,
) -> Result<FxHashSet<u32>, ReadError> {
    let mut found = FxHashSet::default();
    Plan::new(block, matchers)?.walk(block, |_, pairs, _| {
        found.extend(pairs.as_chunks::<2>().0.iter().filter_map(&pick));
        Ok(true)
    })?;
    let symbols: Vec<u32> = found.iter().copied().collect();
    let check = Texts::for_lookups(block.index(), 0).check(block.index(), &symbols);
    check.map_err(|fault| block.index_error("lookup label value", fault))?;
    Ok(found)
}

fn texts(block: &Block, symbols: FxHashSet<u32>, limit: usize) -> Vec<String> {
    let known = Texts::for_lookups(block.index(), 0);
    let text = |symbol| text_of(known.bytes(block.index(), symbol));
    let mut texts: Vec<String> = symbols.into_iter().map(text).collect();
    texts.sort_unstable();
    texts.dedup();
    if limit > 0 {
        texts.truncate(limit);
    }
    texts
}
