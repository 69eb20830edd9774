//! The symbol table: every label name and value of the head once, addressed by a dense 32-bit number.
//!
//! A series keeps one *shape* (the list of its label names, shared by all series with the same names) and one symbol a label
//! value: 4 bytes a label. A symbol or shape that nothing uses any more is freed and its number given out again.
//! Always true: a number is in use while its count is above zero; two live symbols have different texts.
//! Must not know: series, slots, who counts.
//! Lock: one reader–writer lock around all of it. Readers hold it for one label set at a time; writers only when a series is
//! new. It is a leaf: nothing else is locked while it is held.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use narthex_chunks::prefetch;
use narthex_model::Labels;
use narthex_storage::NumberedTexts;
use parking_lot::{RwLock, RwLockReadGuard};
use smallvec::SmallVec;

/// The number of a symbol.
pub(crate) type Symbol = u32;

/// A label set as numbers: the shape, then the value of each label in the shape's order.
pub(crate) type PackedLabels = SmallVec<[u32; 24]>;

/// The table and its lock.
#[derive(Default)]
pub(crate) struct Symbols {
    table: RwLock<SymbolTable>,
}

impl Symbols {
    /// Makes (or finds) the numbers of a label set and counts one use of each.
    pub(crate) fn acquire(&self, labels: &Labels) -> PackedLabels {
        self.table.write().acquire(labels)
    }

    /// The same, and adds the pairs of names and values to `pairs`.
    pub(crate) fn acquire_pairs(&self, labels: &Labels, pairs: &mut Vec<(Symbol, Symbol)>) -> PackedLabels {
        let mut table = self.table.write();
        let packed = table.acquire(labels);
        pairs.extend(table.pairs(&packed));
        packed
    }

    /// Takes back one use of each number of label sets that [`Self::acquire`] gave.
    pub(crate) fn release(&self, sets: &[&[u32]]) {
        let mut table = self.table.write();
        sets.iter().for_each(|packed| table.release(packed));
    }

    /// The table, for as many look-ups as belong together.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, SymbolTable> {
        self.table.read()
    }
}

/// Texts and shapes by number.
#[derive(Default)]
pub(crate) struct SymbolTable {
    texts: Pool<Box<str>>,
    shapes: Pool<Box<[Symbol]>>,
    /// Bytes of all texts.
    text_bytes: usize,
    /// How many texts left; their numbers are given out again.
    freed: u64,
    hasher: RandomState,
    /// The label set that was added last: the next one mostly shares names and many values with it.
    recent: PackedLabels,
}

/// Values by number, with their use counts, and numbers by value.
struct Pool<T> {
    values: Vec<T>,
    uses: Vec<u32>,
    free: Vec<u32>,
    by_hash: HashTable<u32>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { values: Vec::new(), uses: Vec::new(), free: Vec::new(), by_hash: HashTable::new() }
    }
}

impl<T: Default> Pool<T> {
    fn insert(&mut self, hash: u64, value: T, rehash: impl Fn(&T) -> u64) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.values.push(T::default());
            self.uses.push(0);
            u32::try_from(self.values.len() - 1).expect("fewer than 2^32 symbols fit into memory")
        });
        self.values[number as usize] = value;
        self.by_hash.insert_unique(hash, number, |n| rehash(&self.values[*n as usize]));
        number
    }

    /// Takes back one use; hands out the value when that was the last.
    fn release(&mut self, number: u32, hash: impl FnOnce(&T) -> u64) -> Option<T> {
        let uses = &mut self.uses[number as usize];
        *uses -= 1;
        if *uses > 0 {
            return None;
        }
        let value = std::mem::take(&mut self.values[number as usize]);
        if let Ok(entry) = self.by_hash.find_entry(hash(&value), |n| *n == number) {
            entry.remove();
        }
        self.free.push(number);
        Some(value)
    }
}

impl SymbolTable {
    /// The text of a symbol in use.
    #[inline]
    pub(crate) fn text(&self, symbol: Symbol) -> &str {
        &self.texts.values[symbol as usize]
    }

    /// Hints that the text of a symbol will be asked for soon: fetches where it is.
    #[inline]
    pub(crate) fn prefetch(&self, symbol: Symbol) {
        prefetch(std::slice::from_ref(&self.texts.values[symbol as usize]));
    }

    /// The symbol of a text, if it is in use.
    pub(crate) fn find(&self, text: &str) -> Option<Symbol> {
        let hash = self.hasher.hash_one(text);
        self.texts.by_hash.find(hash, |n| &*self.texts.values[*n as usize] == text).copied()
    }

    /// The label names of a shape, as symbols sorted by their texts.
    #[inline]
    pub(crate) fn names(&self, shape: u32) -> &[Symbol] {
        &self.shapes.values[shape as usize]
    }

    /// The pairs of a packed label set.
    pub(crate) fn pairs<'a>(&'a self, packed: &'a [u32]) -> impl Iterator<Item = (Symbol, Symbol)> + 'a {
        self.names(packed[0]).iter().copied().zip(packed[1..].iter().copied())
    }

    /// The label set as text.
    pub(crate) fn labels(&self, packed: &[u32]) -> Labels {
        Labels::from_sorted(self.pairs(packed).map(|(n, v)| (self.text(n), self.text(v))))
    }

    /// The labels of a label set whose names are wanted, as text.
    pub(crate) fn labels_if(&self, packed: &[u32], wanted: impl Fn(&str) -> bool) -> Labels {
        let texts = self.pairs(packed).map(|(n, v)| (self.text(n), v));
        Labels::from_sorted(texts.filter(|(name, _)| wanted(name)).map(|(name, v)| (name, self.text(v))))
    }

    /// Whether a packed label set is this one.
    pub(crate) fn equals(&self, packed: &[u32], labels: &Labels) -> bool {
        let mut pairs = labels.iter();
        let all = self.pairs(packed).all(|(n, v)| pairs.next() == Some((self.text(n), self.text(v))));
        all && pairs.next().is_none()
    }

    /// Numbers that were ever given out are below this.
    pub(crate) fn bound(&self) -> usize {
        self.texts.values.len()
    }

    /// Bytes of all texts in use.
    #[cfg(test)]
    pub(crate) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    fn acquire(&mut self, labels: &Labels) -> PackedLabels {
        let recent = std::mem::take(&mut self.recent);
        let recent_names: SmallVec<[Symbol; 24]> = match recent.first() {
            Some(shape) => self.names(*shape).into(),
            None => SmallVec::new(),
        };
        let mut names = SmallVec::<[Symbol; 24]>::new();
        let mut packed = PackedLabels::new();
        packed.push(0);
        for (at, (name, value)) in labels.iter().enumerate() {
            names.push(self.intern(name, recent_names.get(at).copied()));
            let value = self.intern(value, recent.get(at + 1).copied());
            self.texts.uses[value as usize] += 1;
            packed.push(value);
        }
        packed[0] = match recent.first() {
            Some(shape) if names == recent_names => *shape,
            _ => self.intern_shape(&names),
        };
        self.shapes.uses[packed[0] as usize] += 1;
        self.recent.clone_from(&packed);
        packed
    }

    /// Finds or makes a symbol; `guess` is tried first.
    fn intern(&mut self, text: &str, guess: Option<Symbol>) -> Symbol {
        if let Some(guess) = guess.filter(|g| &*self.texts.values[*g as usize] == text) {
            return guess;
        }
        let hash = self.hasher.hash_one(text);
        let found = self.texts.by_hash.find(hash, |n| &*self.texts.values[*n as usize] == text);
        if let Some(found) = found {
            return *found;
        }
        self.text_bytes += text.len();
        self.texts.insert(hash, text.into(), |t| self.hasher.hash_one(&**t))
    }

    fn intern_shape(&mut self, names: &[Symbol]) -> u32 {
        let hash = self.hasher.hash_one(names);
        let found = self.shapes.by_hash.find(hash, |n| *self.shapes.values[*n as usize] == *names);
        if let Some(found) = found {
            return *found;
        }
        names.iter().for_each(|name| self.texts.uses[*name as usize] += 1);
        self.shapes.insert(hash, names.into(), |s| self.hasher.hash_one(&**s))
    }

    fn release(&mut self, packed: &[u32]) {
        self.recent.clear();
        for value in &packed[1..] {
            self.release_text(*value);
        }
        let gone = self.shapes.release(packed[0], |s| self.hasher.hash_one(&**s));
        gone.iter().flat_map(|names| names.iter()).for_each(|name| self.release_text(*name));
    }

    fn release_text(&mut self, symbol: Symbol) {
        if let Some(text) = self.texts.release(symbol, |t| self.hasher.hash_one(&**t)) {
            self.text_bytes -= text.len();
            self.freed += 1;
        }
    }
}

impl NumberedTexts for SymbolTable {
    #[inline]
    fn text(&self, number: u32) -> &str {
        Self::text(self, number)
    }

    fn freed(&self) -> u64 {
        self.freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn a_label_set_comes_back_as_it_went_in() {
        let symbols = Symbols::default();
        let sets = [
            set(&[("__name__", "up"), ("job", "a"), ("instance", "h:1")]),
            set(&[("__name__", "up"), ("job", "a"), ("instance", "h:2")]),
            set(&[("__name__", "down"), ("zone", "up")]),
            Labels::empty(),
            set(&[("a", "a")]),
        ];
        let packed: Vec<_> = sets.iter().map(|s| symbols.acquire(s)).collect();
        for (set, packed) in sets.iter().zip(&packed) {
            assert_eq!(symbols.read().labels(packed), *set);
            assert!(symbols.read().equals(packed, set));
        }
        assert!(!symbols.read().equals(&packed[0], &sets[1]));
        assert!(!symbols.read().equals(&packed[3], &sets[1]));
        assert_eq!(packed[0][0], packed[1][0], "equal names are one shape");
    }

    #[test]
    fn symbols_are_freed_with_their_last_use_and_their_numbers_reused() {
        let symbols = Symbols::default();
        let (first, second) = (set(&[("job", "a"), ("x", "job")]), set(&[("job", "a"), ("y", "1")]));
        let packed = [symbols.acquire(&first), symbols.acquire(&second), symbols.acquire(&first)];
        symbols.release(&[&packed[0]]);
        assert_eq!(symbols.read().labels(&packed[2]), first);
        symbols.release(&[&packed[2]]);
        assert_eq!(symbols.read().find("x"), None);
        assert_eq!(symbols.read().labels(&packed[1]), second);
        symbols.release(&[&packed[1]]);
        assert_eq!(symbols.read().text_bytes(), 0);
        let bound = symbols.read().bound();
        symbols.acquire(&second);
        assert_eq!(symbols.read().bound(), bound, "freed numbers are used before new ones");
    }
}
