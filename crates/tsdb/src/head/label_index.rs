//! The label index: for each label pair the slots of its series.
//!
//! Two levels: a name gives its values, a value its postings. Each name has a lock of its own, so that a query that looks
//! through many values of one label holds up only the making of series, and never an append.
//! Always true: a slot is in the postings of exactly its label pairs, and in `all`, from the moment its series is complete until it
//! leaves; every value and name has a series.
//! Locks are leaves, taken one at a time, but for `names` before the lock of one name.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use roaring::RoaringBitmap;
use rustc_hash::FxBuildHasher;

use super::postings::Postings;
use super::slab::Slot;
use crate::symbols::Symbol;

type ByNumber<V> = HashMap<u32, V, FxBuildHasher>;

/// The index of the head.
#[derive(Default)]
pub(crate) struct LabelIndex {
    names: RwLock<ByNumber<Arc<RwLock<Values>>>>,
    all: RwLock<RoaringBitmap>,
}

/// Slots to take out: name, value, slot.
pub(crate) type Gone = Vec<(Symbol, Symbol, Slot)>;

/// Series on their way into the index. Cheapest when their slots rise and equal names stand at equal places.
#[derive(Default)]
pub(crate) struct NewSeries {
    slots: Vec<Slot>,
    /// Where the pairs of each series end.
    ends: Vec<u32>,
    pairs: Vec<(Symbol, Symbol)>,
}

impl NewSeries {
    /// Adds a series, whose name–value pairs `add_pairs` adds to its argument.
    pub(crate) fn push<T>(
        &mut self,
        slot: Slot,
        add_pairs: impl FnOnce(&mut Vec<(Symbol, Symbol)>) -> T,
    ) -> T {
        let added = add_pairs(&mut self.pairs);
        self.slots.push(slot);
        self.ends.push(self.pairs.len() as u32);
        added
    }

    /// How many series.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    fn pairs(&self, at: usize) -> &[(Symbol, Symbol)] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.pairs[start..self.ends[at] as usize]
    }
}

/// The values of one label name.
#[derive(Default)]
pub(crate) struct Values {
    /// Set when the name was taken out of the index: who wants to add to it must look again.
    is_gone: bool,
    /// Where in `postings` a value is.
    at: ByNumber<u32>,
    postings: Vec<(Symbol, Postings)>,
    /// The place that was last added to: series that come together mostly share their values.
    recent: u32,
}

impl LabelIndex {
    /// Adds a series under each of its pairs.
    pub(crate) fn insert(&self, slot: Slot, pairs: impl Iterator<Item = (Symbol, Symbol)>) {
        for (name, value) in pairs {
            while !self.name_or_new(name).write().insert(value, slot) {}
        }
        let mut all = self.all.write();
        if all.try_push(slot).is_err() {
            all.insert(slot);
        }
    }

    /// Adds many series. PERF: label by label, so that a name is looked up and locked once, and slots in a row are added at once
    /// (`benches/head.rs`, replay: 200 instead of 800 ns a series).
    pub(crate) fn insert_all(&self, new: &NewSeries) {
        let longest = (0..new.len()).map(|at| new.pairs(at).len()).max().unwrap_or(0);
        for label in 0..longest {
            let pairs = (0..new.len()).filter_map(|at| Some((new.pairs(at).get(label)?, new.slots[at])));
            let pairs: Vec<(Symbol, Symbol, Slot)> = pairs.map(|((n, v), slot)| (*n, *v, slot)).collect();
            for of_name in pairs.chunk_by(|a, b| a.0 == b.0) {
                while !self.name_or_new(of_name[0].0).write().insert_all(of_name) {}
            }
        }
        let mut all = self.all.write();
        for run in new.slots.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
            all.insert_range(run[0]..=run[run.len() - 1]);
        }
    }

    /// Takes series out, with the values and names that no series has any more.
    pub(crate) fn remove(&self, mut gone: Gone, slots: &[Slot]) {
        gone.sort_unstable();
        for of_name in gone.chunk_by(|a, b| a.0 == b.0) {
            let Some(values) = self.name(of_name[0].0) else { continue };
            let is_empty = values.write().remove(of_name);
            if is_empty {
                self.remove_name(of_name[0].0);
            }
        }
        let mut all = self.all.write();
        for slot in slots {
            all.remove(*slot);
        }
    }

    fn remove_name(&self, name: Symbol) {
        let mut names = self.names.write();
        let Some(values) = names.get(&name).cloned() else { return };
        let mut values = values.write();
        if values.postings.is_empty() {
            values.is_gone = true;
            names.remove(&name);
        }
    }

    fn name_or_new(&self, name: Symbol) -> Arc<RwLock<Values>> {
        if let Some(values) = self.name(name) {
            return values;
        }
        Arc::clone(self.names.write().entry(name).or_default())
    }

    /// The values of a label name, if any series has it.
    pub(crate) fn name(&self, name: Symbol) -> Option<Arc<RwLock<Values>>> {
        self.names.read().get(&name).cloned()
    }

    /// All names with their values, in no order.
    pub(crate) fn names(&self) -> Vec<(Symbol, Arc<RwLock<Values>>)> {
        self.names.read().iter().map(|(name, values)| (*name, Arc::clone(values))).collect()
    }

    /// The slots of all series.
    pub(crate) fn all(&self) -> RoaringBitmap {
        self.all.read().clone()
    }
}

impl Values {
    /// `false` when the name is gone.
    fn insert(&mut self, value: Symbol, slot: Slot) -> bool {
        if self.is_gone {
            return false;
        }
        self.postings_of(value).insert(slot);
        true
    }

    /// The same for many series with this name. `false` when the name is gone.
    fn insert_all(&mut self, series: &[(Symbol, Symbol, Slot)]) -> bool {
        if self.is_gone {
            return false;
        }
        for run in series.chunk_by(|a, b| a.1 == b.1 && a.2.checked_add(1) == Some(b.2)) {
            self.postings_of(run[0].1).insert_run(run[0].2, run[run.len() - 1].2);
        }
        true
    }

    /// The postings of a value, old or new.
    #[inline]
    fn postings_of(&mut self, value: Symbol) -> &mut Postings {
        if self.postings.get(self.recent as usize).is_none_or(|(symbol, _)| *symbol != value) {
            let next = self.postings.len() as u32;
            self.recent = *self.at.entry(value).or_insert(next);
            if self.recent == next {
                self.postings.push((value, Postings::default()));
            }
        }
        &mut self.postings[self.recent as usize].1
    }

    /// Takes slots out of the postings of values, both rising. Returns whether no value is left.
    fn remove(&mut self, gone: &[(Symbol, Symbol, Slot)]) -> bool {
        let mut slots = Vec::new();
        for of_value in gone.chunk_by(|a, b| a.1 == b.1) {
            let value = of_value[0].1;
            let Some(at) = self.at.get(&value).map(|at| *at as usize) else { continue };
            slots.clear();
            slots.extend(of_value.iter().map(|(.., slot)| *slot));
            self.postings[at].1.remove(&slots);
            if self.postings[at].1.len() == 0 {
                self.remove_value(value, at);
            }
        }
        if self.postings.len() < self.postings.capacity() / 4 {
            self.postings.shrink_to(self.postings.len() * 2);
            self.at.shrink_to(self.postings.len() * 2);
        }
        self.postings.is_empty()
    }

    fn remove_value(&mut self, value: Symbol, at: usize) {
        self.at.remove(&value);
        self.postings.swap_remove(at);
        if let Some((moved, _)) = self.postings.get(at) {
            self.at.insert(*moved, at as u32);
        }
    }

    /// The postings of one value.
    pub(crate) fn get(&self, value: Symbol) -> Option<&Postings> {
        self.at.get(&value).map(|at| &self.postings[*at as usize].1)
    }

    /// Every value that some series has, with its postings, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Symbol, &Postings)> {
        self.postings.iter().map(|(symbol, postings)| (*symbol, postings))
    }

    /// The same from a place on: for who does not want to hold the lock over all of them. Values that come or go meanwhile may be
    /// left out.
    pub(crate) fn iter_from(&self, from: usize) -> impl Iterator<Item = (Symbol, &Postings)> {
        self.postings.iter().skip(from).map(|(symbol, postings)| (*symbol, postings))
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.postings.len()
    }
}
