//! The label index: for each label pair the slots of its series.
//!
//! Two levels: a name gives its values, a value its postings. Each name has a lock of its own, so that a query that looks
//! through many values of one label holds up only the making of series, and never an append.
//! Always true: a slot is in the postings of exactly its label pairs, and in `all`, from the moment its series is complete.
//! Locks are leaves, taken one at a time.

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

/// The values of one label name.
#[derive(Default)]
pub(crate) struct Values {
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
            self.name_or_new(name).write().insert(value, slot);
        }
        let mut all = self.all.write();
        if all.try_push(slot).is_err() {
            all.insert(slot);
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
    fn insert(&mut self, value: Symbol, slot: Slot) {
        match self.postings.get_mut(self.recent as usize) {
            Some((symbol, postings)) if *symbol == value => postings.insert(slot),
            _ => {
                let next = self.postings.len() as u32;
                self.recent = *self.at.entry(value).or_insert(next);
                if self.recent == next {
                    self.postings.push((value, Postings::default()));
                }
                self.postings[self.recent as usize].1.insert(slot);
            }
        }
    }

    /// The postings of one value.
    pub(crate) fn get(&self, value: Symbol) -> Option<&Postings> {
        self.at.get(&value).map(|at| &self.postings[*at as usize].1)
    }

    /// Every value that some series has, with its postings, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Symbol, &Postings)> {
        self.postings.iter().map(|(symbol, postings)| (*symbol, postings)).filter(|(_, p)| p.len() > 0)
    }

    /// How many values were ever seen; an upper bound of [`Self::iter`].
    pub(crate) fn len(&self) -> usize {
        self.postings.len()
    }
}
