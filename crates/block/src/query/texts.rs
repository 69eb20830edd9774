//! From symbols to label sets, with the places of symbols remembered for as long as a query lives.
//!
//! PERF: finding a symbol walks up to 31 others; most labels of a selection repeat few symbols. A table with four bytes for each
//! symbol of the block makes the second look-up one load; untouched parts of it take no memory.

use std::sync::atomic::{AtomicU32, Ordering};

use narthex_model::Labels;
use smallvec::SmallVec;

use crate::fault::Fault;
use crate::index::Index;

/// How many symbols of the block one look-up must stand for, at most, so that a table is made.
const SPARSE: usize = 128;

/// Places of symbols that were looked up. Several threads may use it at once.
pub(crate) struct Texts {
    /// 0 for a symbol not yet looked up; written by whoever found it, always with the same number. Empty: not remembered.
    places: Vec<AtomicU32>,
}

impl Texts {
    /// For about as many look-ups as `lookups`.
    pub(crate) fn for_lookups(index: &Index, lookups: usize) -> Self {
        let symbols = index.symbols().0;
        if symbols.by_place() || lookups.saturating_mul(SPARSE) < symbols.count() as usize {
            return Self { places: Vec::new() };
        }
        Self::remembering(index)
    }

    /// For a walk over all series.
    pub(crate) fn remembering(index: &Index) -> Self {
        let symbols = index.symbols().0;
        let count = if symbols.by_place() { 0 } else { symbols.count() as usize };
        Self { places: (0..count).map(|_| AtomicU32::new(0)).collect() }
    }

    /// Whether all symbols are there: [`Texts::labels`] must not be asked for others.
    #[inline]
    pub(crate) fn check(&self, index: &Index, pairs: &[u32]) -> Result<(), Fault> {
        let (symbols, file) = index.symbols();
        let Some(highest) = pairs.iter().max() else { return Ok(()) };
        if symbols.by_place() {
            return pairs
                .iter()
                .try_for_each(|symbol| symbols.text(file, symbols.place(file, *symbol)?).map(drop));
        }
        if *highest < symbols.count() { Ok(()) } else { Err(Fault::Symbol { symbol: u64::from(*highest) }) }
    }

    /// The text of a symbol that is there; `""` for any other.
    #[inline]
    pub(crate) fn bytes<'i>(&self, index: &'i Index, symbol: u32) -> &'i [u8] {
        let (symbols, file) = index.symbols();
        let place = match self.places.get(symbol as usize) {
            Some(known) => match known.load(Ordering::Relaxed) {
                0 => {
                    let place = symbols.place(file, symbol).unwrap_or(0);
                    known.store(place, Ordering::Relaxed);
                    place
                }
                place => place,
            },
            None => symbols.place(file, symbol).unwrap_or(0),
        };
        if place == 0 { b"" } else { symbols.text(file, place).unwrap_or_default() }
    }

    /// The label set of these symbols, names and values in turn.
    pub(crate) fn labels(&self, index: &Index, pairs: &[u32]) -> Labels {
        self.labels_if(index, pairs, |_| true)
    }

    /// As [`Texts::labels`], only the labels whose name is `wanted`.
    pub(crate) fn labels_if(&self, index: &Index, pairs: &[u32], wanted: impl Fn(&[u8]) -> bool) -> Labels {
        let mut texts: SmallVec<[(&str, &str); 32]> = SmallVec::new();
        let (pairs, _) = pairs.as_chunks::<2>();
        for [name, value] in pairs {
            let name = self.bytes(index, *name);
            if !wanted(name) {
                continue;
            }
            let value = self.bytes(index, *value);
            match (std::str::from_utf8(name), std::str::from_utf8(value)) {
                (Ok(name), Ok(value)) if is_next(&texts, name, value) => texts.push((name, value)),
                _ => return self.unusual_labels(index, pairs, wanted),
            }
        }
        Labels::from_sorted(texts)
    }

    /// Labels that are not sorted, or no UTF-8.
    #[cold]
    fn unusual_labels(&self, index: &Index, pairs: &[[u32; 2]], wanted: impl Fn(&[u8]) -> bool) -> Labels {
        let texts = pairs.iter().map(|[name, value]| (self.bytes(index, *name), self.bytes(index, *value)));
        let wanted = texts.filter(|(name, _)| wanted(name));
        Labels::from_pairs(wanted.map(|(n, v)| (String::from_utf8_lossy(n), String::from_utf8_lossy(v))))
    }
}

/// Whether a label keeps the promises of a label set.
#[inline]
fn is_next(before: &[(&str, &str)], name: &str, value: &str) -> bool {
    !value.is_empty() && before.last().is_none_or(|(last, _)| *last < name)
}
