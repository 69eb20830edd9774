//! Label sets gathered from several stores, each once, in their order; from one store also in the order in which it has them.
//!
//! PERF: a text is looked at once a store, however many series have it; a label set is a list of numbers until it is written, so that
//! neighbouring blocks, which mostly have the same series, cost a hash of some numbers a series instead of a label set.
//! Must not know: where the texts come from.

use std::collections::BTreeMap;

use narthex_model::Labels;
use rustc_hash::FxHashMap;

/// Label sets as they come.
#[derive(Debug, Default)]
pub struct LabelSets {
    numbers: FxHashMap<Box<str>, u32>,
    /// With how many were there before.
    sets: FxHashMap<Box<[u32]>, u32>,
    as_added: bool,
    warnings: Vec<String>,
}

impl LabelSets {
    /// None yet. They will be listed in the order in which they come, unless somebody calls [`Self::sort`].
    #[must_use]
    pub fn as_added() -> Self {
        Self { as_added: true, ..Self::default() }
    }

    /// They will be listed in their order: several stores add to them.
    pub fn sort(&mut self) {
        self.as_added = false;
    }

    /// The number of a name or value, for [`Self::add`]. The same for the same text.
    pub fn number_of(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(text.into(), number);
        number
    }

    /// Adds the label set of these numbers: name and value of each label in turn. It may be there already. Labels may be in any
    /// order; of two with one name the later counts, one with an empty value is none.
    ///
    /// # Panics
    /// For a number that was not given out by [`Self::number_of`], at the latest in [`Self::listed`].
    pub fn add(&mut self, pairs: &[u32]) {
        if !self.sets.contains_key(pairs) {
            self.sets.insert(pairs.into(), self.sets.len() as u32);
        }
    }

    /// Adds a label set.
    pub fn add_labels(&mut self, labels: &Labels) {
        let mut pairs = Vec::with_capacity(2 * labels.len());
        for (name, value) in labels.iter() {
            pairs.extend([self.number_of(name), self.number_of(value)]);
        }
        self.add(&pairs);
    }

    /// Keeps what a store should tell the reader beside the sets.
    pub fn warn(&mut self, warnings: Vec<String>) {
        self.warnings.extend(warnings);
    }

    /// What the stores told beside the sets.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// All label sets.
    #[must_use]
    pub fn listed(self) -> ListedLabelSets {
        let mut texts: Vec<(Box<str>, u32)> = self.numbers.into_iter().collect();
        texts.sort_unstable();
        let mut rank_of = vec![0; texts.len()];
        for (rank, (_, number)) in texts.iter().enumerate() {
            rank_of[*number as usize] = rank as u32;
        }
        let texts: Vec<Box<str>> = texts.into_iter().map(|(text, _)| text).collect();
        let empty = texts.first().filter(|text| text.is_empty()).map(|_| 0);
        let bits = (texts.len() as u32).max(2).ilog2() + 1;
        let sets = self.sets.into_iter().map(|(mut set, place)| {
            set.iter_mut().for_each(|number| *number = rank_of[*number as usize]);
            if !is_usual(&set, empty) {
                set = mended(&set, empty);
            }
            (prefix(&set, bits), set, place)
        });
        let mut order: Vec<(u128, Box<[u32]>, u32)> = sets.collect();
        order.sort_unstable();
        order.dedup_by(|(_, set, _), (_, before, _)| set == before);
        if self.as_added {
            order.sort_unstable_by_key(|(.., place)| *place);
        }
        ListedLabelSets { texts, sets: order.into_iter().map(|(_, set, _)| set).collect() }
    }
}

/// As many ranks as fit into 128 bits, so that most comparisons look no further.
fn prefix(ranks: &[u32], bits: u32) -> u128 {
    let fields = (128 / bits) as usize;
    let padded = ranks.iter().copied().chain(std::iter::repeat(0)).take(fields);
    padded.fold(0, |prefix, rank| prefix << bits | u128::from(rank))
}

/// Whether names rise and no value is empty.
fn is_usual(ranks: &[u32], empty: Option<u32>) -> bool {
    let (pairs, _) = ranks.as_chunks::<2>();
    pairs.is_sorted_by(|[a, _], [b, _]| a < b) && pairs.iter().all(|[_, value]| Some(*value) != empty)
}

#[cold]
fn mended(ranks: &[u32], empty: Option<u32>) -> Box<[u32]> {
    let (pairs, _) = ranks.as_chunks::<2>();
    let mut by_name: BTreeMap<u32, u32> = pairs.iter().map(|[name, value]| (*name, *value)).collect();
    by_name.retain(|_, value| Some(*value) != empty);
    by_name.into_iter().flat_map(|(name, value)| [name, value]).collect()
}

/// Label sets, each once.
#[derive(Debug, Default)]
pub struct ListedLabelSets {
    /// In the order of their bytes, each once.
    texts: Vec<Box<str>>,
    sets: Vec<Box<[u32]>>,
}

impl ListedLabelSets {
    /// How many label sets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Keeps the first `len` label sets.
    pub fn truncate(&mut self, len: usize) {
        self.sets.truncate(len);
    }

    /// Every text that label sets name.
    #[must_use]
    pub fn texts(&self) -> &[Box<str>] {
        &self.texts
    }

    /// The label sets: positions in [`Self::texts`] of name and value of each label in turn.
    pub fn sets(&self) -> impl Iterator<Item = &[[u32; 2]]> {
        self.sets.iter().map(|set| set.as_chunks::<2>().0)
    }

    /// One label set.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn labels(&self, at: usize) -> Labels {
        let text = |number: u32| &*self.texts[number as usize];
        let (pairs, _) = self.sets[at].as_chunks::<2>();
        Labels::from_sorted(pairs.iter().map(|[name, value]| (text(*name), text(*value))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The plain twin: a list of label sets.
        #[test]
        fn label_sets_come_out_once_and_in_order(
            given in prop::collection::vec(prop::collection::vec(("[a-c]{1,2}", "[x-z]{0,2}"), 0..6), 0..60),
            ready in any::<u64>(),
            (as_added, mixed) in any::<(bool, bool)>(),
        ) {
            let mut sets = if as_added { LabelSets::as_added() } else { LabelSets::default() };
            for (at, pairs) in given.iter().enumerate() {
                if ready >> (at % 64) & 1 == 0 {
                    sets.add_labels(&Labels::from_pairs(pairs.iter().map(|(n, v)| (n, v))));
                } else {
                    let numbers: Vec<u32> =
                        pairs.iter().flat_map(|(n, v)| [sets.number_of(n), sets.number_of(v)]).collect();
                    sets.add(&numbers);
                }
            }
            let mut twin: Vec<Labels> = Vec::new();
            for pairs in &given {
                let labels = Labels::from_pairs(pairs.iter().map(|(n, v)| (n, v)));
                if !twin.contains(&labels) {
                    twin.push(labels);
                }
            }
            if !as_added || mixed {
                sets.sort();
                twin.sort();
            }
            let sorted = sets.listed();
            let found: Vec<Labels> = (0..sorted.len()).map(|at| sorted.labels(at)).collect();
            prop_assert_eq!(&found, &twin);
            prop_assert!(sorted.texts().is_sorted_by(|a, b| a < b));
            let written = sorted.sets().map(|pairs| {
                Labels::from_pairs(pairs.iter().map(|pair| pair.map(|at| &*sorted.texts()[at as usize])).map(|[n, v]| (n, v)))
            });
            prop_assert_eq!(written.collect::<Vec<_>>(), found);
        }
    }

    /// With many texts few ranks fit into the prefix.
    #[test]
    fn sets_that_differ_late_are_in_order_too() {
        let mut sets = LabelSets::default();
        let names: Vec<String> = (0..3000).map(|i| format!("n{i:04}")).collect();
        for value in ["c", "a", "b"] {
            sets.add_labels(&Labels::from_pairs(
                names.iter().map(|name| (name, "x")).chain([(&"z".to_owned(), value)]),
            ));
        }
        let sorted = sets.listed();
        let last: Vec<String> = (0..3).map(|at| sorted.labels(at).value("z").to_owned()).collect();
        assert_eq!(last, ["a", "b", "c"]);
    }
}
