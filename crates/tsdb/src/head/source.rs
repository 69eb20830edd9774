//! The head's samples in order as a source for a block over `[mint, maxt)`.
//!
//! Where the range was closed before ([`Head::close_range`]), all its samples are in and none will come. Where it was not, the
//! source gives what a reader of now sees, whole batches, also when its chunks grow meanwhile. Late samples are a source of
//! their own.
//! While it lives it counts as a reader: truncation waits for it.
//! PERF: 16 bytes a series and 4 a label for the whole selection; one series at a time is copied out of its page.

use std::borrow::Cow;
use std::sync::Arc;

use narthex_storage::{QueryError, SeriesRef};

use super::Head;
use super::query::{HeadQuerier, View};
use super::select::Selection;
use super::series::FileChunk;
use super::slab::{Slot, generation, place};
use super::stale::StaleSeries;
use crate::compact::source::{CompactionSource, SeriesCursor, SourceSeries, SymbolIter};
use crate::head_chunks::{HeadChunksError, PinnedFile};

/// See the module's words.
pub(crate) struct HeadSource {
    querier: HeadQuerier,
    selection: Selection,
    /// Where each series ends, for a source of stale ones.
    stale: Option<StaleSeries>,
}

impl HeadSource {
    /// A view of `[mint_ms, maxt_ms)`.
    pub(crate) fn new(head: &Arc<Head>, mint_ms: i64, maxt_ms: i64) -> Self {
        let querier = HeadQuerier::new(Arc::clone(head), mint_ms, maxt_ms.saturating_sub(1));
        let selection = querier.collect_in_order(&head.label_index.all());
        Self { stale: None, ..Self::sorted(querier, selection) }
    }

    /// The same for stale series, each up to where the list says: what it got since is no part of the block.
    pub(crate) fn of_stale(head: &Arc<Head>, stale: &StaleSeries, mint_ms: i64, maxt_ms: i64) -> Self {
        let querier = HeadQuerier::new(Arc::clone(head), mint_ms, maxt_ms.saturating_sub(1));
        let selection = querier.collect_in_order(&stale.slots());
        Self { stale: Some(stale.clone()), ..Self::sorted(querier, selection) }
    }

    fn sorted(querier: HeadQuerier, mut selection: Selection) -> Self {
        selection.sort(&querier.head.symbols);
        Self { querier, selection, stale: None }
    }

    /// What it sees of the head.
    pub(super) fn querier(&self) -> &HeadQuerier {
        &self.querier
    }

    /// How many series have samples in range, or a chunk around it.
    pub(crate) fn len(&self) -> usize {
        self.selection.len()
    }
}

impl CompactionSource for HeadSource {
    fn symbols(&self) -> SymbolIter<'_> {
        let texts = self.selection.symbols(&self.querier.head.symbols);
        Box::new(texts.into_iter().map(|text| Cow::Owned(text.into_string())))
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
        let HeadSource { querier, selection, stale } = self.source;
        while self.next < selection.len() {
            let at = self.next;
            self.next += 1;
            series.begin(querier.head.symbols.read().labels(selection.labels(at)));
            let listed = stale.as_ref().map(|stale| stale.last_ms(selection.series(at)));
            // A slot may have another series than the one that was listed.
            let Some(last_ms) = listed.unwrap_or(Some(i64::MAX)) else { continue };
            let range = (querier.mint_ms, querier.maxt_ms);
            copy_series(&querier.head, &querier.view, range, selection.series(at), last_ms, series)?;
            if !series.chunks.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Copies the chunks of a series that overlap a closed range, late ones left out, and says that what lies behind `last_ms`, or what
/// the view does not show yet, is to be left out.
pub(super) fn copy_series(
    head: &Head,
    view: &View,
    (mint_ms, maxt_ms): (i64, i64),
    reference: SeriesRef,
    last_ms: i64,
    out: &mut SourceSeries,
) -> Result<(), QueryError> {
    let slot = reference.0 as Slot;
    let Some(page) = head.slab.page(slot) else { return Ok(()) };
    let Some(rows) = page.lock(place(slot), generation(reference)) else { return Ok(()) };
    let series = rows.series(place(slot));
    let in_files = series.in_files().iter().filter(|chunk| chunk.overlaps((mint_ms, maxt_ms)));
    let files = head.chunk_files.get();
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
    let hidden_ms = rows.hidden_from_ms(place(slot), view.snapshot.seq()).unwrap_or(i64::MAX);
    let cut_ms = hidden_ms.min(last_ms.saturating_add(1));
    if cut_ms <= series.last_ms() {
        out.deleted.push((cut_ms, i64::MAX));
    }
    drop(rows);
    if !in_files.is_empty() {
        for (chunk, file) in &in_files {
            let missing =
                || QueryError::Corrupt(format!("head chunk file {} is not there", chunk.chunk.file()));
            let corrupt = |error: HeadChunksError| head.corrupt(reference, &error);
            let mapped = file.as_ref().ok_or_else(missing)?.chunk(chunk.chunk).map_err(corrupt)?;
            out.push((chunk.min_ms, chunk.max_ms), mapped.encoding, mapped.bytes());
        }
        out.chunks.sort_by_key(|chunk| chunk.min_ms);
    }
    Ok(())
}
