//! Label sets lent to who follows the log.
//!
//! PERF: a short lock of the page for each series, one of the symbols for all of a call; texts are not copied.

use narthex_model::Labels;
use narthex_storage::{FoundSeries, LabelsVisitor, LentVisitor, SeriesRef};
use smallvec::SmallVec;

use super::Head;
use super::slab::{Slot, generation, place};
use crate::symbols::SymbolTable;

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
                pairs(packed, table).map(|(n, v)| (table.text(n), table.text(v))).collect();
            visit(at, &texts);
        });
    }

    /// See [`narthex_storage::LiveSeries::lend_labels`].
    pub(crate) fn lend_labels(&self, series: &[SeriesRef], visit: &mut LentVisitor<'_>) {
        self.visit_packed(series, |at, packed, table| {
            let numbers: SmallVec<[(u32, u32); 24]> = pairs(packed, table).collect();
            visit(at, &numbers, table);
        });
    }

    /// Calls `visit` with the packed labels of each series, none for one that is not here.
    fn visit_packed(&self, series: &[SeriesRef], mut visit: impl FnMut(usize, &[u32], &SymbolTable)) {
        let _present = self.readers.enter();
        // Packed label sets, one behind the other, and where each ends.
        let (mut packed, mut ends) =
            (Vec::with_capacity(series.len() * 12), Vec::with_capacity(series.len()));
        for series in series {
            let slot = series.0 as Slot;
            let page = self.slab.page(slot);
            if let Some(rows) = page.and_then(|page| page.lock(place(slot), generation(*series))) {
                packed.extend_from_slice(rows.labels(place(slot)));
            }
            ends.push(packed.len());
        }
        let table = self.symbols.read();
        let mut from = 0;
        for (at, end) in ends.into_iter().enumerate() {
            visit(at, &packed[from..end], &table);
            from = end;
        }
    }
}

/// The numbers of a label set, none of one that is not here.
fn pairs<'a>(packed: &'a [u32], table: &'a SymbolTable) -> impl Iterator<Item = (u32, u32)> + 'a {
    let (names, values) = match packed {
        [] => (&[][..], &[][..]),
        [shape, values @ ..] => (table.names(*shape), values),
    };
    names.iter().copied().zip(values.iter().copied())
}
