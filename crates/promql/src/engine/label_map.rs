//! Maps by label set, for operators that find series by their labels.
//!
//! PERF: each row of a join or aggregation is looked up once or more; the hash is seeded, so that nobody can choose labels that
//! collide, and several times faster than the standard library's.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

/// A map whose keys are label sets or hold one.
pub(crate) type LabelMap<K, V> = HashMap<K, V, RandomState>;
/// A set of label sets.
pub(crate) type LabelSet<K> = HashSet<K, RandomState>;

/// An empty map with room for `count` keys.
pub(crate) fn map_for<K, V>(count: usize) -> LabelMap<K, V> {
    LabelMap::with_capacity_and_hasher(count, RandomState::default())
}

/// An empty set with room for `count` keys.
pub(crate) fn set_for<K>(count: usize) -> LabelSet<K> {
    LabelSet::with_capacity_and_hasher(count, RandomState::default())
}
