//! From slots to a sorted list of series, and from that to label names and values.
//!
//! PERF: label sets are compared by the ranks of their symbols, which are sorted once per selection: with a hundred thousand
//! series few symbols are distinct. The first 128 bits of ranks sort nearly all of them (`benches/head.rs` select).

use std::cmp::Ordering;

use narthex_storage::{LabelSets, SeriesRef};
use parking_lot::RwLockReadGuard;
use roaring::RoaringBitmap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::query::HeadQuerier;
use super::series::Series;
use super::slab::{page_number, place, reference};
use crate::symbols::{Symbol, Symbols};

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
        self.collect_where(slots, |series, in_order| in_order || self.sees_late(series))
    }

    /// The same, but for series of which the snapshot sees only late samples.
    pub(super) fn collect_in_order(&self, slots: &RoaringBitmap) -> Selection {
        self.collect_where(slots, |_, in_order| in_order)
    }

    /// The series of these slots that `wanted` picks, which is told whether the snapshot sees some of their samples in order.
    pub(super) fn collect_where(
        &self,
        slots: &RoaringBitmap,
        wanted: impl Fn(&Series, bool) -> bool,
    ) -> Selection {
        let count = slots.len() as usize;
        let mut selection = Selection::default();
        selection.series.reserve(count);
        selection.ends.reserve(count);
        let mint_ms = self.mint_ms.max(self.view.floor_ms);
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
                let hidden_ms = rows.hidden_from_ms(at, self.view.snapshot.seq()).unwrap_or(i64::MAX);
                let series = rows.series(at);
                let in_order = series.overlaps(mint_ms, self.maxt_ms.min(hidden_ms.saturating_sub(1)));
                if wanted(series, in_order) {
                    selection.push(reference(generation, slot), rows.labels(at));
                }
            }
        }
        selection
    }

    /// Whether the snapshot can see a late sample of the series.
    #[inline]
    fn sees_late(&self, series: &Series) -> bool {
        let range = (self.mint_ms, self.maxt_ms);
        series.late().is_some_and(|late| late.may_show(self.view.snapshot.seq(), range))
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

    fn sets(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.len()).map(|at| self.labels(at))
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
        let ranks = Ranks::of(self, symbols);
        let mut order: Vec<(u128, u32)> = (0..self.len()).map(|at| (ranks.prefix(at), at as u32)).collect();
        order.sort_unstable_by(|(a, a_at), (b, b_at)| {
            a.cmp(b).then_with(|| ranks.compare(*a_at as usize, *b_at as usize))
        });
        let mut sorted = Self {
            series: Vec::with_capacity(self.len()),
            labels: Vec::with_capacity(self.labels.len()),
            ends: Vec::with_capacity(self.len()),
        };
        for (_, at) in order {
            sorted.push(self.series(at as usize), self.labels(at as usize));
        }
        *self = sorted;
    }

    /// Each name and value that some series has, once, in the order of their bytes.
    pub(crate) fn symbols(&self, symbols: &Symbols) -> Vec<Box<str>> {
        let (mut all, mut shapes) = (RoaringBitmap::new(), RoaringBitmap::new());
        for set in self.sets() {
            shapes.insert(set[0]);
            all.extend(set[1..].iter().copied());
        }
        shapes.iter().for_each(|shape| all.extend(symbols.read().names(shape).iter().copied()));
        let all: Vec<Symbol> = all.into_iter().collect();
        let mut texts: Vec<Box<str>> = Vec::with_capacity(all.len());
        // In rounds, with copies: who makes series waits for the table.
        for round in all.chunks(ROUND) {
            let table = symbols.read();
            texts.extend(round.iter().map(|symbol| Box::from(table.text(*symbol))));
        }
        texts.sort_unstable();
        texts
    }

    /// Adds the label sets. PERF: most symbols are those of the series before, which was made beside this one.
    pub(crate) fn add_label_sets(&self, symbols: &Symbols, out: &mut LabelSets) {
        let mut known: FxHashMap<Symbol, u32> = FxHashMap::default();
        // Symbols of the series before, and their numbers.
        let (mut before, mut numbers): (Vec<Symbol>, Vec<u32>) = (Vec::new(), Vec::new());
        let mut table = symbols.read();
        for (at, set) in self.sets().enumerate() {
            if at % ROUND == ROUND - 1 {
                RwLockReadGuard::bump(&mut table);
            }
            let mut len = 0;
            for symbol in table.pairs(set).flat_map(|(name, value)| [name, value]) {
                if before.len() == len {
                    before.push(!symbol);
                    numbers.push(0);
                }
                if before[len] != symbol {
                    before[len] = symbol;
                    numbers[len] = *known.entry(symbol).or_insert_with(|| out.number_of(table.text(symbol)));
                }
                len += 1;
            }
            out.add(&numbers[..len]);
        }
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
    /// Name and value of each label, one set behind the other; only the values when all series have the same names.
    ranks: Vec<u32>,
    ends: Vec<u32>,
    /// Bits of the highest rank.
    bits: u32,
}

/// Selections with fewer symbols than this look them up in a map instead of a table over all symbols.
const SMALL: usize = 4096;
/// How many label sets are looked at before a waiting writer of the symbol table gets its turn.
const ROUND: usize = 1024;

impl Ranks {
    fn of(selection: &Selection, symbols: &Symbols) -> Self {
        if selection.labels.len() < SMALL {
            return Self::build(selection, symbols, &mut FxHashMap::default());
        }
        let bound = symbols.read().bound();
        Self::build(selection, symbols, &mut vec![0u32; bound])
    }

    fn build(selection: &Selection, symbols: &Symbols, rank: &mut impl RankStore) -> Self {
        let same_names = selection.sets().all(|set| set[0] == selection.labels[0]);
        let mut ranks = Vec::with_capacity(selection.labels.len());
        let (mut ends, mut distinct) = (Vec::with_capacity(selection.len()), Texts::default());
        let mut table = symbols.read();
        for (at, set) in selection.sets().enumerate() {
            if at % ROUND == ROUND - 1 {
                // Lets those in who make series.
                RwLockReadGuard::bump(&mut table);
            }
            for (name, value) in table.pairs(set) {
                for symbol in [name, value].into_iter().skip(usize::from(same_names)) {
                    ranks.push(symbol);
                    if std::mem::replace(rank.of(symbol), 1) == 0 {
                        distinct.push(symbol, table.text(symbol));
                    }
                }
            }
            ends.push(ranks.len() as u32);
        }
        drop(table);
        for (place, symbol) in distinct.sorted().into_iter().enumerate() {
            *rank.of(symbol) = place as u32 + 1;
        }
        ranks.iter_mut().for_each(|symbol| *symbol = *rank.of(*symbol));
        Self { ranks, ends, bits: (distinct.symbols.len() as u32 + 1).ilog2() + 1 }
    }

    fn set(&self, at: usize) -> &[u32] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.ranks[start..self.ends[at] as usize]
    }

    /// As much of a set as fits into 128 bits, so that most comparisons look no further.
    fn prefix(&self, at: usize) -> u128 {
        let fields = (128 / self.bits) as usize;
        let set = self.set(at);
        let ranks = set.iter().copied().chain(std::iter::repeat(0)).take(fields);
        ranks.fold(0, |prefix, rank| prefix << self.bits | u128::from(rank))
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        self.set(a).cmp(self.set(b))
    }
}

/// Symbols with copies of their texts, to be sorted without the symbol table's lock.
#[derive(Default)]
struct Texts {
    text: String,
    /// Symbol and the bounds of its text.
    symbols: Vec<(Symbol, usize, usize)>,
}

impl Texts {
    fn push(&mut self, symbol: Symbol, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        self.symbols.push((symbol, start, self.text.len()));
    }

    fn sorted(&self) -> Vec<Symbol> {
        let mut symbols = self.symbols.clone();
        symbols.sort_unstable_by_key(|(_, start, end)| &self.text.as_bytes()[*start..*end]);
        symbols.into_iter().map(|(symbol, ..)| symbol).collect()
    }
}

/// Where the rank of a symbol is kept; 0 at first.
trait RankStore {
    fn of(&mut self, symbol: Symbol) -> &mut u32;
}

impl RankStore for FxHashMap<Symbol, u32> {
    fn of(&mut self, symbol: Symbol) -> &mut u32 {
        self.entry(symbol).or_default()
    }
}

impl RankStore for Vec<u32> {
    fn of(&mut self, symbol: Symbol) -> &mut u32 {
        &mut self[symbol as usize]
    }
}
