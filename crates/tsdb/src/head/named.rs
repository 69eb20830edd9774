//! A part of the labels of many series: those that a query groups by, made once for all series that share them.
//!
//! Always true: an answer is what filtering all labels of the series would give. What is remembered belongs to one wish and one
//! selection, whose symbols stay while the selection does; it is at most [`MOST`] label sets, and it ends by itself where they
//! do not repeat.
//! PERF: `sum by (le) (rate(x[1m]))` over 22,800 buckets asks 22,800 times for one of 12 label sets.

use narthex_model::Labels;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::symbols::{Symbol, SymbolTable, Symbols};

/// Most label sets that are remembered.
const MOST: usize = 1024;
/// After so many new label sets it is looked whether remembering them pays.
const TRIAL: u32 = 256;

/// Which labels: the named ones, or all but those.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    Named(&'a [String]),
    But(&'a [String]),
}

impl Part<'_> {
    pub(super) fn takes(self, name: &str) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|n| n == name),
            Self::But(names) => names.iter().all(|n| n != name),
        }
    }

    fn names(self) -> (bool, Vec<String>) {
        match self {
            Self::Named(names) => (true, names.to_vec()),
            Self::But(names) => (false, names.to_vec()),
        }
    }

    fn is(self, (named, names): &(bool, Vec<String>)) -> bool {
        match self {
            Self::Named(own) => *named && own == *names,
            Self::But(own) => !*named && own == *names,
        }
    }
}

/// The names and values that are wished for, as symbols.
type Key = SmallVec<[Symbol; 12]>;

/// What was found for the wish that was last asked for.
#[derive(Default)]
pub(super) struct NamedLabels {
    part: (bool, Vec<String>),
    /// The shape that `places` is about.
    shape: Option<u32>,
    /// The names that are wished for, with the places of their values in a packed label set.
    places: SmallVec<[(Symbol, u32); 12]>,
    known: FxHashMap<Key, Labels>,
    hits: u32,
    misses: u32,
}

impl NamedLabels {
    /// A part of a packed label set.
    pub(super) fn of(&mut self, part: Part<'_>, packed: &[u32], symbols: &Symbols) -> Labels {
        if !part.is(&self.part) {
            *self = Self { part: part.names(), ..Self::default() };
        }
        if self.shape != Some(packed[0]) {
            self.look_at_shape(part, packed[0], &symbols.read());
        }
        if !self.pays() {
            return self.make(packed, &symbols.read());
        }
        let key: Key = self.places.iter().flat_map(|(name, at)| [*name, packed[*at as usize]]).collect();
        if let Some(labels) = self.known.get(&key) {
            self.hits = self.hits.saturating_add(1);
            return labels.clone();
        }
        self.misses = self.misses.saturating_add(1);
        let labels = self.make(packed, &symbols.read());
        if self.known.len() < MOST {
            self.known.insert(key, labels.clone());
        }
        labels
    }

    fn look_at_shape(&mut self, part: Part<'_>, shape: u32, table: &SymbolTable) {
        let names = table.names(shape).iter().zip(1..);
        self.places.clear();
        self.places.extend(names.filter(|(name, _)| part.takes(table.text(**name))).map(|(n, at)| (*n, at)));
        self.shape = Some(shape);
    }

    fn make(&self, packed: &[u32], table: &SymbolTable) -> Labels {
        let pairs =
            self.places.iter().map(|(name, at)| (table.text(*name), table.text(packed[*at as usize])));
        Labels::from_sorted(pairs)
    }

    /// Whether label sets repeat. Those that are remembered are let go when they do not.
    fn pays(&mut self) -> bool {
        let pays = self.misses < TRIAL || self.hits / 4 > self.misses;
        if !pays && !self.known.is_empty() {
            self.known = FxHashMap::default();
        }
        pays
    }
}
