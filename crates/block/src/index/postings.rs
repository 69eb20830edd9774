//! Postings: rising numbers of series, four bytes each with the high one first, and what can be done with them.
//!
//! Lists stay where they are; results are plain vectors, since a query holds its series anyway. Two lists of about one length
//! are walked side by side; where one is much longer it is searched with growing steps from the last hit on.

use crate::bytes;
use crate::fault::Fault;

/// A list in a mapped file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct List<'f> {
    entries: &'f [[u8; 4]],
}

/// From how many times the length on a list is searched instead of walked.
const SEARCH_FROM: usize = 8;

impl<'f> List<'f> {
    /// Verifies the list at `offset`.
    pub(super) fn read(file: &'f [u8], offset: u64) -> Result<Self, Fault> {
        let mut content = bytes::section(file, offset)?;
        let count = u64::from(content.be32()?);
        let (entries, more) = content.rest().as_chunks::<4>();
        if !more.is_empty() || entries.len() as u64 != count {
            let found = content.left() as u64;
            return Err(Fault::Postings { offset, entries: count, expected: 4 * count, found });
        }
        Ok(Self { entries })
    }

    /// The length that the list at `offset` has, if it is what it should be.
    pub(super) fn claimed_len(file: &[u8], offset: u64) -> u64 {
        let content = bytes::trusted_section(file, offset);
        content.and_then(|mut content| content.be32()).map_or(0, u64::from)
    }

    /// How many series.
    pub(crate) fn len(self) -> usize {
        self.entries.len()
    }

    /// The series in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u32> + use<'f> {
        self.entries.iter().map(|entry| u32::from_be_bytes(*entry))
    }

    fn get(self, at: usize) -> Option<u32> {
        self.entries.get(at).map(|entry| u32::from_be_bytes(*entry))
    }

    /// The first place from `from` on whose series is `series` or a later one.
    #[inline]
    fn seek(self, from: usize, series: u32) -> usize {
        let (mut low, mut step) = (from, 1);
        while self.get(low + step).is_some_and(|entry| entry < series) {
            low += step;
            step *= 2;
        }
        let high = (low + step + 1).min(self.len());
        let low = low.min(high);
        low + self.entries[low..high].partition_point(|entry| u32::from_be_bytes(*entry) < series)
    }
}

/// Keeps the series of `set` that are in `list` too.
pub(crate) fn intersect(set: &mut Vec<u32>, list: List<'_>) {
    keep(set, list, true);
}

/// Takes the series of `list` out of `set`.
pub(crate) fn without(set: &mut Vec<u32>, list: List<'_>) {
    keep(set, list, false);
}

fn keep(set: &mut Vec<u32>, list: List<'_>, wanted: bool) {
    if set.len().saturating_mul(SEARCH_FROM) < list.len() {
        let mut at = 0;
        set.retain(|series| {
            at = list.seek(at, *series);
            (list.get(at) == Some(*series)) == wanted
        });
    } else if list.len().saturating_mul(SEARCH_FROM) < set.len() && wanted {
        *set = in_long_set(set, list);
    } else {
        let mut entries = list.iter().peekable();
        set.retain(|series| {
            while entries.next_if(|entry| entry < series).is_some() {}
            (entries.peek() == Some(series)) == wanted
        });
    }
}

/// The series of a short list that are in a long set.
fn in_long_set(set: &[u32], list: List<'_>) -> Vec<u32> {
    let mut rest = set;
    let is_in = |series: &u32| {
        let mut step = 1;
        while step < rest.len() && rest[step] < *series {
            rest = &rest[step..];
            step *= 2;
        }
        let near = &rest[..rest.len().min(step + 1)];
        rest = &rest[near.partition_point(|other| other < series)..];
        rest.first() == Some(series)
    };
    list.iter().filter(is_in).collect()
}

/// The series that are in any of the lists.
pub(crate) fn union(lists: &[List<'_>]) -> Vec<u32> {
    let mut all = Vec::with_capacity(lists.iter().map(|list| list.len()).sum());
    lists.iter().for_each(|list| all.extend(list.iter()));
    if lists.len() > 1 {
        // PERF: the stable sort finds the rising runs and merges them, which is what a heap of lists would do, faster.
        all.sort();
        all.dedup();
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn lists_of(sets: &[BTreeSet<u32>]) -> Vec<Vec<[u8; 4]>> {
        sets.iter().map(|set| set.iter().map(|series| series.to_be_bytes()).collect()).collect()
    }

    proptest! {
        #[test]
        fn lists_are_plain_sets(
            a in prop::collection::btree_set(0u32..3_000, 0..300),
            b in prop::collection::btree_set(0u32..3_000, 0..300),
            c in prop::collection::btree_set(0u32..3_000, 0..8),
            d in prop::collection::btree_set(0u32..3_000, 1_000..2_000),
        ) {
            let sets = [a, b, c, d];
            let lists = lists_of(&sets);
            for left in &sets {
                for (right, bytes) in sets.iter().zip(&lists) {
                    let list = List { entries: bytes };
                    let mut both: Vec<u32> = left.iter().copied().collect();
                    let mut only = both.clone();
                    intersect(&mut both, list);
                    without(&mut only, list);
                    prop_assert!(both.iter().eq(left.intersection(right)));
                    prop_assert!(only.iter().eq(left.difference(right)));
                }
            }
            let all: Vec<List<'_>> = lists.iter().map(|bytes| List { entries: bytes }).collect();
            let twin: BTreeSet<u32> = sets.iter().flatten().copied().collect();
            prop_assert!(union(&all).iter().eq(&twin));
            prop_assert!(union(&[]).is_empty());
        }

        #[test]
        fn any_bytes_are_a_list_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..40), offset in 0u64..50) {
            let _ = List::read(&bytes, offset);
            let _ = List::claimed_len(&bytes, offset);
        }
    }
}
