//! The head's samples in order as a source for a block over `[mint, maxt)`.
//!
//! The range was closed before ([`Head::close_range`]), so all its samples are in and none will come; that chunks at its end
//! may grow meanwhile does not matter. Late samples are a source of their own.
//! While it lives it counts as a reader: truncation waits for it.
//! PERF: 16 bytes a series and 4 a label for the whole selection; one series at a time is copied out of its page.

use std::sync::Arc;

use narthex_storage::QueryError;
use roaring::RoaringBitmap;

use super::Head;
use super::query::HeadQuerier;
use super::select::Selection;
use super::series::FileChunk;
use super::slab::{Slot, generation, place};
use crate::compact::source::{CompactionSource, SeriesCursor, SourceSeries};
use crate::head_chunks::{HeadChunksError, PinnedFile};

/// See the module's words.
pub(crate) struct HeadSource {
    querier: HeadQuerier,
    selection: Selection,
}

impl HeadSource {
    /// A view of `[mint_ms, maxt_ms)`.
    pub(crate) fn new(head: &Arc<Head>, mint_ms: i64, maxt_ms: i64) -> Self {
        Self::of(head, &head.label_index.all(), mint_ms, maxt_ms)
    }

    /// The same for the series in some slots.
    pub(super) fn of(head: &Arc<Head>, slots: &RoaringBitmap, mint_ms: i64, maxt_ms: i64) -> Self {
        let querier = HeadQuerier::new(Arc::clone(head), mint_ms, maxt_ms - 1);
        let mut selection = querier.collect_in_order(slots);
        selection.sort(&head.symbols);
        Self { querier, selection }
    }

    /// How many series have samples in range, or a chunk around it.
    pub(crate) fn len(&self) -> usize {
        self.selection.len()
    }
}

impl CompactionSource for HeadSource {
    fn symbols(&self, add: &mut dyn FnMut(&str)) -> Result<(), QueryError> {
        self.selection.symbols(&self.querier.head.symbols, add);
        Ok(())
    }

    fn series(&self) -> Result<Box<dyn SeriesCursor + '_>, QueryError> {
        Ok(Box::new(Cursor { source: self, next: 0 }))
    }
}

struct Cursor<'a> {
    source: &'a HeadSource,
    next: usize,
}

impl SeriesCursor for Cursor<'_> {
    fn next(&mut self, series: &mut SourceSeries) -> Result<bool, QueryError> {
        let HeadSource { querier, selection } = self.source;
        while self.next < selection.len() {
            let at = self.next;
            self.next += 1;
            series.begin(querier.head.symbols.read().labels(selection.labels(at)));
            copy_series(querier, selection, at, series)?;
            if !series.chunks.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Copies the chunks of a series that overlap the querier's range.
fn copy_series(
    querier: &HeadQuerier,
    selection: &Selection,
    at: usize,
    out: &mut SourceSeries,
) -> Result<(), QueryError> {
    let reference = selection.series(at);
    let (slot, mint_ms, maxt_ms) = (reference.0 as Slot, querier.mint_ms, querier.maxt_ms);
    let Some(page) = querier.head.slab.page(slot) else { return Ok(()) };
    let Some(rows) = page.lock(place(slot), generation(reference)) else { return Ok(()) };
    let series = rows.series(place(slot));
    let in_files = series.in_files().iter().filter(|chunk| chunk.overlaps((mint_ms, maxt_ms)));
    let files = querier.head.chunk_files.get();
    let in_files: Vec<(FileChunk, Option<PinnedFile>)> =
        in_files.map(|chunk| (*chunk, files.and_then(|files| files.pin(chunk.chunk)))).collect();
    let sealed = series.sealed();
    let first = sealed.partition_point(|chunk| chunk.max_ms < mint_ms);
    for chunk in sealed[first..].iter().take_while(|chunk| chunk.min_ms <= maxt_ms) {
        out.push((chunk.min_ms, chunk.max_ms), chunk.encoding, &chunk.bytes);
    }
    let open = &series.open;
    if open.samples() > 0 && open.last_ms() >= mint_ms && open.first_ms() <= maxt_ms {
        let mut bytes = Vec::new();
        open.copy_to(&mut bytes);
        out.push((open.first_ms(), open.last_ms()), open.encoding().into(), &bytes);
    }
    if let Some(open) = series.histograms()
        && open.last_ms() >= mint_ms
        && open.first_ms() <= maxt_ms
    {
        let mut bytes = Vec::new();
        open.copy_to(&mut bytes);
        out.push((open.first_ms(), open.last_ms()), open.encoding(), &bytes);
    }
    out.deleted.extend_from_slice(series.deleted());
    drop(rows);
    if !in_files.is_empty() {
        for (chunk, file) in &in_files {
            let missing =
                || QueryError::Corrupt(format!("head chunk file {} is not there", chunk.chunk.file()));
            let corrupt = |error: HeadChunksError| querier.head.corrupt(reference, &error);
            let mapped = file.as_ref().ok_or_else(missing)?.chunk(chunk.chunk).map_err(corrupt)?;
            out.push((chunk.min_ms, chunk.max_ms), mapped.encoding, mapped.bytes());
        }
        out.chunks.sort_by_key(|chunk| chunk.min_ms);
    }
    Ok(())
}
