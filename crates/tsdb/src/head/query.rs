//! Reading the head: a querier is a snapshot over a time range; a series is copied out under its page's lock and decoded
//! after it.
//!
//! PERF: a page is locked for the copy of a few hundred compressed bytes (0.1 µs), never while samples are decoded, so that
//! readers do not hold up appends.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use narthex_model::{Labels, Matcher};
use narthex_storage::{
    LabelSets, Querier, QueryError, SampleBatch, SelectHints, SeriesRef, SeriesSet, StoredChunk, Windows,
};

use super::Head;
use super::epochs::Visit;
use super::isolation::Snapshot;
use super::late::merge::LateCopy;
use super::named::{NamedLabels, Part};
use super::page::Rows;
use super::select::Selection;
use super::series::FileChunk;
use super::slab::{Slot, generation, place};
use crate::head_chunks::{HeadChunks, HeadChunksError, PinnedFile};
use narthex_chunks::{ChunkError, Encoding, decode};
use parking_lot::Mutex;

/// A snapshot of the head over `[mint_ms, maxt_ms]`.
pub(crate) struct HeadQuerier {
    pub(super) head: Arc<Head>,
    pub(super) view: Arc<View>,
    pub(super) mint_ms: i64,
    pub(super) maxt_ms: i64,
}

/// What a querier and its series sets may see, and keep others from taking away.
pub(super) struct View {
    pub(super) snapshot: Snapshot,
    /// What came in order before this, ms, is read from blocks.
    pub(super) floor_ms: i64,
    /// No sample that it sees is older, ms.
    min_ms: i64,
    _present: Visit,
}

impl HeadQuerier {
    pub(crate) fn new(head: Arc<Head>, mint_ms: i64, maxt_ms: i64) -> Self {
        // Late commits lower the minimum, truncation raises it: the lower of before and after covers all that is seen.
        let before_ms = head.time_range().0;
        let present = head.readers.enter();
        // Read after entering: who raises the floor waits for all who may have seen the old one.
        let floor_ms = head.read_floor_ms();
        let snapshot = head.isolation.snapshot();
        let min_ms = before_ms.min(head.time_range().0);
        let view = View { snapshot, floor_ms, min_ms, _present: present };
        Self { head, view: Arc::new(view), mint_ms, maxt_ms }
    }

    /// By what the head held when the querier came: what truncation has let go since is still there for it.
    fn overlaps_head(&self) -> bool {
        self.view.min_ms <= self.maxt_ms && self.head.time_range().1 >= self.mint_ms
    }

    /// The series that match and have something to see in the range, in no order.
    fn selected(&self, matchers: &[Matcher]) -> Selection {
        match self.overlaps_head() {
            true => self.collect(&self.head.matching(matchers)),
            false => Selection::default(),
        }
    }

    /// The series that match, in no order, whenever their samples are.
    ///
    /// COMPAT: names and values are those of the whole head (and of whole blocks) as soon as it overlaps the range.
    fn at_any_time(&self, matchers: &[Matcher]) -> Selection {
        self.collect_where(&self.head.matching(matchers), |_, _| true)
    }
}

impl Querier for HeadQuerier {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        let mut selection = self.selected(matchers);
        if !hints.any_order {
            selection.sort(&self.head.symbols);
        }
        if hints.limit > 0 {
            selection.truncate(hints.limit);
        }
        let (head, view) = (Arc::clone(&self.head), Arc::clone(&self.view));
        Ok(Box::new(HeadSeriesSet { head, view, selection, named: Default::default() }))
    }

    fn label_sets(
        &self,
        hints: &SelectHints,
        matchers: &[Matcher],
        out: &mut LabelSets,
    ) -> Result<(), QueryError> {
        let mut selection = self.selected(matchers);
        if hints.limit > 0 && hints.limit < selection.len() {
            if !hints.any_order {
                selection.sort(&self.head.symbols);
            }
            selection.truncate(hints.limit);
        }
        selection.add_label_sets(&self.head.symbols, out);
        Ok(())
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
    ) -> Result<Vec<String>, QueryError> {
        let values = match self.overlaps_head() {
            true if matchers.is_empty() => self.head.all_label_values(name),
            true => self.at_any_time(matchers).label_values(&self.head.symbols, name),
            false => Vec::new(),
        };
        Ok(sorted(values, limit))
    }

    fn label_names(&self, matchers: &[Matcher], limit: usize) -> Result<Vec<String>, QueryError> {
        let names = match self.overlaps_head() {
            true if matchers.is_empty() => self.head.all_label_names(),
            true => self.at_any_time(matchers).label_names(&self.head.symbols),
            false => Vec::new(),
        };
        Ok(sorted(names, limit))
    }
}

fn sorted(mut texts: Vec<String>, limit: usize) -> Vec<String> {
    texts.sort_unstable();
    texts.dedup();
    if limit > 0 {
        texts.truncate(limit);
    }
    texts
}

/// What a select found.
struct HeadSeriesSet {
    head: Arc<Head>,
    view: Arc<View>,
    selection: Selection,
    /// What threads found, each in a place of its own as long as they are few; who finds its place locked goes on alone.
    named: [Seat; SEATS],
}

/// Places for the finds of threads.
const SEATS: usize = 4;

/// PERF: a cache line of its own, so that threads that write to neighbours do not wait for each other.
#[derive(Default)]
#[repr(align(128))]
struct Seat(Mutex<NamedLabels>);

/// The place of the calling thread.
fn seat() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SEAT: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SEATS;
    }
    SEAT.with(|seat| *seat)
}

impl HeadSeriesSet {
    fn labels_part(&self, at: usize, part: Part<'_>) -> Labels {
        let (packed, symbols) = (self.selection.labels(at), &self.head.symbols);
        match self.named[seat()].0.try_lock() {
            Some(mut named) => named.of(part, packed, symbols),
            None => symbols.read().labels_if(packed, |name| part.takes(name)),
        }
    }
}

impl SeriesSet for HeadSeriesSet {
    fn len(&self) -> usize {
        self.selection.len()
    }

    fn labels(&self, at: usize) -> Labels {
        self.head.symbols.read().labels(self.selection.labels(at))
    }

    fn labels_named(&self, at: usize, names: &[String]) -> Labels {
        self.labels_part(at, Part::Named(names))
    }

    fn labels_but(&self, at: usize, names: &[String]) -> Labels {
        self.labels_part(at, Part::But(names))
    }

    fn read(&self, at: usize, mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        let series = self.selection.series(at);
        self.head.read_series(series, &self.view, (mint_ms, maxt_ms), out)
    }

    fn read_newest(&self, at: usize, windows: &Windows, out: &mut SampleBatch) -> Result<(), QueryError> {
        let hull = windows.hull();
        let series = self.selection.series(at);
        if windows.count == 1 && self.head.read_last(series, &self.view, hull, out) {
            return Ok(());
        }
        self.read_windows(at, windows, out)
    }

    fn chunks<'a>(
        &'a self,
        at: usize,
        mint_ms: i64,
        maxt_ms: i64,
        out: &mut Vec<StoredChunk<'a>>,
    ) -> Result<(), QueryError> {
        self.head.copy_chunks(self.selection.series(at), &self.view, (mint_ms, maxt_ms), out)
    }
}

/// Why samples in order could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    File(#[from] HeadChunksError),
    #[error("head chunk file {0} is not there")]
    Missing(u32),
    #[error(transparent)]
    Chunk(#[from] ChunkError),
}

thread_local! {
    /// Where a series is copied to; its memory is kept from read to read.
    static COPY: RefCell<Copied> = RefCell::default();
}

/// The compressed bytes of one series, chunk behind chunk.
#[derive(Default)]
struct Copied {
    /// Chunks in files, before those of `bytes`.
    in_files: Vec<FileChunk>,
    /// Their files, which stay readable by that, each once.
    files: Vec<(u32, PinnedFile)>,
    bytes: Vec<u8>,
    /// How each chunk is to be read, and where it ends.
    ends: Vec<(Encoding, usize)>,
    deleted: Vec<(i64, i64)>,
    late: LateCopy,
}

impl Head {
    /// Adds the newest sample that a snapshot may see of a series in a closed range, if that is the last one of its open chunk;
    /// else does nothing and returns `false`.
    ///
    /// PERF: what a query at the present time asks; nothing is copied and decoded. Bench `head`, `select`: 471 → 159 ns for a series of one
    /// metric, 354 → 29 ns in the order of pages, in chunks of 20 samples.
    #[inline]
    fn read_last(&self, series: SeriesRef, view: &View, range: (i64, i64), out: &mut SampleBatch) -> bool {
        let at = place(series.0 as Slot);
        let page = self.slab.page(series.0 as Slot);
        let Some(rows) = page.and_then(|page| page.lock(at, generation(series))) else { return false };
        let row = rows.series(at);
        if row.open.samples() == 0 || row.late().is_some() || !row.deleted().is_empty() {
            return false;
        }
        let last_ms = row.open.last_ms();
        let hidden_ms = rows.hidden_from_ms(at, view.snapshot.seq());
        let shows = (range.0.max(view.floor_ms)..=range.1).contains(&last_ms)
            && hidden_ms.is_none_or(|hidden_ms| last_ms < hidden_ms);
        if shows {
            let value = f64::from_bits(row.open.last_value_bits());
            out.push_with_start(last_ms, row.open.last_start_ms(), value);
        }
        shows
    }

    /// Decodes what a snapshot may see of a series in a closed range.
    fn read_series(
        &self,
        series: SeriesRef,
        view: &View,
        (mint_ms, maxt_ms): (i64, i64),
        out: &mut SampleBatch,
    ) -> Result<(), QueryError> {
        let (at, seq) = (place(series.0 as Slot), view.snapshot.seq());
        let Some(page) = self.slab.page(series.0 as Slot) else { return Ok(()) };
        COPY.with_borrow_mut(|copied| {
            copied.clear();
            let from = (out.t_ms.len(), out.histogram_t_ms.len());
            let Some(rows) = page.lock(at, generation(series)) else { return Ok(()) };
            let hidden_ms = rows.hidden_from_ms(at, seq).map_or(i64::MAX, |t| t.saturating_sub(1));
            let range = (mint_ms.max(view.floor_ms), maxt_ms.min(hidden_ms));
            copied.copy(&rows, at, range, self.chunk_files.get());
            rows.prefetch(at + 1);
            if let Some(late) = rows.series(at).late() {
                copied.late.take(late, seq, (mint_ms, maxt_ms), self.chunk_files.get());
            }
            drop(rows);
            copied.decode(range, out).map_err(|error| self.corrupt(series, &error))?;
            if !copied.deleted.is_empty() {
                copied.remove_deleted(from, out);
            }
            if !copied.late.is_empty() {
                let merged = copied.late.merge_into((mint_ms, maxt_ms), from, out);
                merged.map_err(|error| self.corrupt(series, &error))?;
            }
            Ok(())
        })
    }

    #[cold]
    pub(super) fn corrupt(&self, series: SeriesRef, error: &dyn std::error::Error) -> QueryError {
        QueryError::Corrupt(format!("head series {}: {error}", series.0))
    }
}

impl Copied {
    fn clear(&mut self) {
        self.in_files.clear();
        self.files.clear();
        self.bytes.clear();
        self.ends.clear();
        self.deleted.clear();
        self.late.clear();
    }

    fn copy(&mut self, rows: &Rows, at: usize, (mint_ms, maxt_ms): (i64, i64), files: Option<&HeadChunks>) {
        let series = rows.series(at);
        let range = (mint_ms, maxt_ms);
        self.in_files.extend(series.in_files().iter().filter(|chunk| chunk.overlaps(range)));
        for chunk in &self.in_files {
            let number = chunk.chunk.file();
            if self.files.last().is_none_or(|(last, _)| *last != number)
                && let Some(pinned) = files.and_then(|files| files.pin(chunk.chunk))
            {
                self.files.push((number, pinned));
            }
        }
        let sealed = series.sealed();
        let first = sealed.partition_point(|chunk| chunk.max_ms < mint_ms);
        for chunk in sealed[first..].iter().take_while(|chunk| chunk.min_ms <= maxt_ms) {
            self.bytes.extend_from_slice(&chunk.bytes);
            self.ends.push((chunk.encoding, self.bytes.len()));
        }
        if series.open.samples() > 0 && series.open.last_ms() >= mint_ms {
            series.open.copy_to(&mut self.bytes);
            self.ends.push((series.open.encoding().into(), self.bytes.len()));
        } else if let Some(open) = series.histograms().filter(|open| open.last_ms() >= mint_ms) {
            open.copy_to(&mut self.bytes);
            self.ends.push((open.encoding(), self.bytes.len()));
        }
        self.deleted.extend_from_slice(series.deleted());
    }

    fn decode(&self, (mint_ms, maxt_ms): (i64, i64), out: &mut SampleBatch) -> Result<(), ReadError> {
        for chunk in &self.in_files {
            let number = chunk.chunk.file();
            let file = self.files.iter().find(|(file, _)| *file == number);
            let (_, file) = file.ok_or(ReadError::Missing(number))?;
            let chunk = file.chunk(chunk.chunk)?;
            decode(chunk.encoding, chunk.bytes(), mint_ms, maxt_ms, out)?;
        }
        let mut start = 0;
        for (encoding, end) in &self.ends {
            decode(*encoding, &self.bytes[start..*end], mint_ms, maxt_ms, out)?;
            start = *end;
        }
        Ok(())
    }

    #[cold]
    fn remove_deleted(&self, (floats, histograms): (usize, usize), out: &mut SampleBatch) {
        let SampleBatch { t_ms, values, start_ms, .. } = out;
        self.retain(floats, t_ms, values, start_ms);
        let SampleBatch { histogram_t_ms, histograms: values, histogram_start_ms, .. } = out;
        self.retain(histograms, histogram_t_ms, values, histogram_start_ms);
    }

    /// Takes the deleted samples out of one pair of columns and, when they have one, their start timestamps.
    fn retain<T>(&self, from: usize, t_ms: &mut Vec<i64>, values: &mut Vec<T>, start_ms: &mut Vec<i64>) {
        let mut kept = from;
        for at in from..t_ms.len() {
            if !is_deleted(&self.deleted, t_ms[at]) {
                t_ms[kept] = t_ms[at];
                values.swap(kept, at);
                if let Some(start) = start_ms.get(at).copied() {
                    start_ms[kept] = start;
                }
                kept += 1;
            }
        }
        t_ms.truncate(kept);
        values.truncate(kept);
        start_ms.truncate(kept);
    }
}

fn is_deleted(deleted: &[(i64, i64)], t_ms: i64) -> bool {
    deleted.iter().any(|(mint_ms, maxt_ms)| (*mint_ms..=*maxt_ms).contains(&t_ms))
}
