//! The label sets of the series that match, without the series.
//!
//! PERF: the text of a symbol is looked up once; series come sorted, so that most symbols are those of the series before.

use narthex_model::Matcher;
use narthex_storage::LabelSets;
use rustc_hash::FxHashMap;

use super::plan::Plan;
use super::selection::has_samples;
use super::texts::Texts;
use crate::{Block, ReadError, Tombstones};

/// Adds the label sets of all series that satisfy every matcher and have a chunk in `range` (closed) that is not deleted as a whole;
/// the first `limit` of them when that is not 0.
pub(super) fn add_label_sets(
    block: &Block,
    tombstones: &Tombstones,
    range: (i64, i64),
    limit: usize,
    matchers: &[Matcher],
    out: &mut LabelSets,
) -> Result<(), ReadError> {
    if !block.meta().overlaps(range.0, range.1) {
        return Ok(());
    }
    let index = block.index();
    let texts = Texts::for_lookups(index, 0);
    let mut known: FxHashMap<u32, u32> = FxHashMap::default();
    // Symbols of the series before, and their numbers.
    let (mut before, mut numbers): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut found = 0;
    Plan::new(block, matchers)?.walk(block, |series, pairs, chunks| {
        let wrong = |fault| block.index_error("read series", fault);
        let deleted = if tombstones.is_empty() { None } else { tombstones.get(u64::from(series)) };
        if !has_samples(chunks, range, deleted).map_err(wrong)? {
            return Ok(true);
        }
        texts.check(index, pairs).map_err(wrong)?;
        numbers.resize(pairs.len(), 0);
        for (at, symbol) in pairs.iter().enumerate() {
            if before.get(at) != Some(symbol) {
                numbers[at] = *known
                    .entry(*symbol)
                    .or_insert_with(|| out.number_of(&String::from_utf8_lossy(texts.bytes(index, *symbol))));
            }
        }
        before.clear();
        before.extend_from_slice(pairs);
        out.add(&numbers);
        found += 1;
        Ok(limit == 0 || found < limit)
    })
}
