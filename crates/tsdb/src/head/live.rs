//! Label sets lent to who follows the log.
//!
//! PERF: a short lock of the page for neighbouring series, one of the symbols for all of a call; texts are not copied. Who follows
//! the log asks for series that nobody has looked at for a scrape interval: what they need is fetched ahead.

use narthex_chunks::prefetch;
use narthex_model::Labels;
use narthex_storage::{FoundSeries, LabelsVisitor, LentLabels, LentVisitor, SeriesRef};
use smallvec::SmallVec;

use super::Head;
use super::page::{PAGE_SLOTS, Page};
use super::slab::{Slot, generation, place};
use crate::symbols::{Symbol, SymbolTable};

impl Head {
    /// See [`narthex_storage::LiveSeries::find`].
    pub(crate) fn find_live(&self, labels: &Labels) -> FoundSeries {
        let _present = self.readers.enter();
        let hash = self.series_index.hash(labels);
        let slot = self.series_index.find(hash, |slot| self.has_labels(slot, labels));
        let series = slot.and_then(|slot| self.reference_of(slot));
        FoundSeries { series, had_another: self.expiries.lock().has_left(hash) }
    }

    /// See [`narthex_storage::LiveSeries::is_live`].
    pub(crate) fn is_live(&self, series: SeriesRef) -> bool {
        let slot = series.0 as Slot;
        self.slab.page(slot).is_some_and(|page| page.generation(place(slot)) == Some(generation(series)))
    }

    /// See [`narthex_storage::LiveSeries::visit_labels`].
    pub(crate) fn visit_labels(&self, series: &[SeriesRef], visit: &mut LabelsVisitor<'_>) {
        self.visit_packed(series, |at, packed, table| {
            let texts: SmallVec<[(&str, &str); 24]> =
                lent(packed, table).iter().map(|(n, v)| (table.text(n), table.text(v))).collect();
            visit(at, &texts);
        });
    }

    /// See [`narthex_storage::LiveSeries::lend_labels`].
    pub(crate) fn lend_labels(&self, series: &[SeriesRef], visit: &mut LentVisitor<'_>) {
        self.visit_packed(series, |at, packed, table| visit(at, lent(packed, table), table));
    }

    /// Calls `visit` with the packed labels of each series, none for one that is not here.
    fn visit_packed(&self, series: &[SeriesRef], mut visit: impl FnMut(usize, &[u32], &SymbolTable)) {
        let _present = self.readers.enter();
        let mut sets = Sets::with_room(series.len());
        for neighbours in
            series.chunk_by(|a, b| a.0 as Slot / PAGE_SLOTS as u32 == b.0 as Slot / PAGE_SLOTS as u32)
        {
            match self.slab.page(neighbours[0].0 as Slot) {
                Some(page) => sets.copy(page, neighbours),
                None => neighbours.iter().for_each(|_| sets.end()),
            }
        }
        let table = self.symbols.read();
        sets.prefetch_texts(&table);
        for at in 0..series.len() {
            visit(at, sets.get(at), &table);
        }
    }
}

/// Packed label sets, one behind the other, and where each ends.
struct Sets {
    packed: Vec<u32>,
    ends: Vec<usize>,
}

impl Sets {
    fn with_room(sets: usize) -> Self {
        Self { packed: Vec::with_capacity(sets * 12), ends: Vec::with_capacity(sets) }
    }

    fn get(&self, at: usize) -> &[u32] {
        let begin = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.packed[begin..self.ends[at]]
    }

    fn end(&mut self) {
        self.ends.push(self.packed.len());
    }

    /// Adds the sets of some series of a page, empty ones for those that are not there.
    fn copy(&mut self, page: &Page, series: &[SeriesRef]) {
        let rows = page.rows.lock();
        let at = |series: &SeriesRef| place(series.0 as Slot);
        let is_here = |series: &&SeriesRef| page.generation(at(series)) == Some(generation(**series));
        series
            .iter()
            .filter(is_here)
            .for_each(|series| prefetch(std::slice::from_ref(rows.series(at(series)))));
        series.iter().filter(is_here).for_each(|series| rows.prefetch_labels(at(series)));
        for series in series {
            if is_here(&series) {
                self.packed.extend_from_slice(rows.labels(at(series)));
            }
            self.end();
        }
    }

    /// Begins to fetch the values that the set before does not have.
    fn prefetch_texts(&self, table: &SymbolTable) {
        let mut before: &[u32] = &[];
        let mut new = SmallVec::<[Symbol; 256]>::new();
        for at in 0..self.ends.len() {
            let set = self.get(at);
            let differing = set.iter().zip(before.iter().chain(std::iter::repeat(&0)));
            new.extend(differing.skip(1).filter(|(value, other)| value != other).map(|(value, _)| *value));
            before = set;
        }
        new.iter().for_each(|symbol| table.prefetch(*symbol));
        new.iter().for_each(|symbol| prefetch(table.text(*symbol).as_bytes()));
    }
}

/// The numbers of a label set, none of one that is not here.
fn lent<'a>(packed: &'a [u32], table: &'a SymbolTable) -> LentLabels<'a> {
    match packed {
        [] => LentLabels { names: &[], values: &[] },
        [shape, values @ ..] => LentLabels { names: table.names(*shape), values },
    }
}
