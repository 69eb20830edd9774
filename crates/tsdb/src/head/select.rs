//! From slots to a sorted list of series, and from that to label names and values.
//!
//! PERF: label sets are compared by the ranks of their symbols, which are sorted once per selection: with a hundred thousand
//! series few symbols are distinct, and comparing numbers needs no look at the texts.

use std::cmp::Ordering;

use narthex_storage::SeriesRef;
use roaring::RoaringBitmap;
use rustc_hash::FxHashSet;

use super::query::HeadQuerier;
use super::slab::{page_number, place, reference};
use crate::symbols::{SymbolTable, Symbols};

/// Series with their packed labels, in some order.
#[derive(Default)]
pub(crate) struct Selection {
    series: Vec<SeriesRef>,
    /// Packed labels, one set behind the other.
    labels: Vec<u32>,
    /// Where the labels of each series end.
    ends: Vec<u32>,
}

impl HeadQuerier {
    /// The series of these slots that the snapshot can see something of in the querier's range.
    pub(super) fn collect(&self, slots: &RoaringBitmap) -> Selection {
        let count = slots.len() as usize;
        let mut selection = Selection::default();
        selection.series.reserve(count);
        selection.ends.reserve(count);
        let mut slots = slots.iter().peekable();
        while let Some(first) = slots.peek().copied() {
            let number = page_number(first);
            let Some(page) = self.head.slab.page_at(number) else {
                slots.next();
                continue;
            };
            let rows = page.rows.lock();
            while let Some(slot) = slots.next_if(|slot| page_number(*slot) == number) {
                let at = place(slot);
                let Some(generation) = page.generation(at) else { continue };
                let hidden_ms = rows.hidden_from_ms(at, self.snapshot.seq()).unwrap_or(i64::MAX);
                let series = rows.series(at);
                let (first_ms, last_ms) = (series.first_ms(), series.last_ms());
                if first_ms < hidden_ms && first_ms <= self.maxt_ms && last_ms >= self.mint_ms {
                    selection.push(reference(generation, slot), rows.labels(at));
                }
            }
        }
        selection
    }
}

impl Selection {
    fn push(&mut self, series: SeriesRef, labels: &[u32]) {
        self.series.push(series);
        self.labels.extend_from_slice(labels);
        self.ends.push(self.labels.len() as u32);
    }

    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    pub(crate) fn series(&self, at: usize) -> SeriesRef {
        self.series[at]
    }

    /// The packed labels of one series.
    pub(crate) fn labels(&self, at: usize) -> &[u32] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.labels[start..self.ends[at] as usize]
    }

    pub(crate) fn truncate(&mut self, limit: usize) {
        self.series.truncate(limit);
        self.ends.truncate(limit);
        self.labels.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    /// Sorts by label sets.
    pub(crate) fn sort(&mut self, symbols: &Symbols) {
        if self.len() < 2 {
            return;
        }
        let table = symbols.read();
        let ranks = Ranks::of(self, &table);
        drop(table);
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        // Stable, because it makes use of runs: series are mostly created in order.
        order.sort_by(|a, b| ranks.compare(*a as usize, *b as usize));
        let mut sorted = Self {
            series: Vec::with_capacity(self.len()),
            labels: Vec::with_capacity(self.labels.len()),
            ends: Vec::with_capacity(self.len()),
        };
        for at in order {
            sorted.push(self.series(at as usize), self.labels(at as usize));
        }
        *self = sorted;
    }

    /// The values of one label, unsorted, perhaps repeated.
    pub(crate) fn label_values(&self, symbols: &Symbols, name: &str) -> Vec<String> {
        let table = symbols.read();
        let Some(name) = table.find(name) else { return Vec::new() };
        let value_of = |at| table.pairs(self.labels(at)).find(|(n, _)| *n == name).map(|(_, value)| value);
        let values: FxHashSet<u32> = (0..self.len()).filter_map(value_of).collect();
        values.into_iter().map(|value| table.text(value).to_owned()).collect()
    }

    /// The label names, unsorted, perhaps repeated.
    pub(crate) fn label_names(&self, symbols: &Symbols) -> Vec<String> {
        let table = symbols.read();
        let shapes: FxHashSet<u32> = (0..self.len()).map(|at| self.labels(at)[0]).collect();
        let names: FxHashSet<u32> = shapes.iter().flat_map(|shape| table.names(*shape)).copied().collect();
        names.into_iter().map(|name| table.text(name).to_owned()).collect()
    }
}

/// The labels of a selection as numbers that compare like their texts.
struct Ranks {
    /// Name and value of each label, one set behind the other.
    pairs: Vec<(u32, u32)>,
    ends: Vec<u32>,
}

impl Ranks {
    fn of(selection: &Selection, table: &SymbolTable) -> Self {
        let all = || (0..selection.len()).flat_map(|at| table.pairs(selection.labels(at)));
        let mut rank = vec![0u32; table.bound()];
        let mut distinct = Vec::new();
        for symbol in all().flat_map(|(name, value)| [name, value]) {
            if rank[symbol as usize] == 0 {
                rank[symbol as usize] = 1;
                distinct.push(symbol);
            }
        }
        distinct.sort_unstable_by(|a, b| table.text(*a).cmp(table.text(*b)));
        for (place, symbol) in distinct.iter().enumerate() {
            rank[*symbol as usize] = place as u32;
        }
        let pairs = all().map(|(name, value)| (rank[name as usize], rank[value as usize])).collect();
        let mut end = 0;
        let ends = (0..selection.len()).map(|at| {
            end += selection.labels(at).len() as u32 - 1;
            end
        });
        Self { pairs, ends: ends.collect() }
    }

    fn set(&self, at: usize) -> &[(u32, u32)] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.pairs[start..self.ends[at] as usize]
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        self.set(a).cmp(self.set(b))
    }
}
