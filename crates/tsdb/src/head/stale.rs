//! Stale series leave early: series whose newest sample is the staleness marker need not wait for their block range to end.
//!
//! The database takes a list ([`Head::stale_series`]), writes blocks of those series up to the times in the list
//! ([`super::source::HeadSource::of_stale`]), serves them,
//! and then evicts the list ([`Head::evict`]): what has not changed since the list was taken is in those blocks and is dropped;
//! a series that got a sample meanwhile, in order or late, stays as it is, and what the blocks have of it is there twice,
//! which reading and compaction merge. Empty series leave as after a truncation.
//! Always true: a sample that leaves is in a block that queriers find who come after it left. The WAL says what was dropped, by
//! tombstones that end with the series' newest sample, so that replay drops it too and keeps whatever follows.
//! Facts: Prometheus 3.14, `stale_series_compaction_threshold`. COMPAT: its own tombstones for this end with time itself; read by an
//! older Prometheus they would hide what comes later under the same labels, so ours do not.
//! The minimum valid time of a restart must not count these blocks: other series have samples in their range that only the WAL has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use narthex_storage::{CommitError, SeriesRef};
use narthex_wal::record::Tombstone;
use roaring::RoaringBitmap;

use super::Head;
use super::page::Page;
use super::series::Series;
use super::slab::{Slot, generation, page_number, place, reference, slot_at};

/// Series that were stale at a moment, with their newest timestamps, ms; by rising slot.
/// A clone is the same list.
#[derive(Clone, Debug)]
pub(crate) struct StaleSeries(Arc<[(SeriesRef, i64)]>);

impl StaleSeries {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Their slots.
    pub(super) fn slots(&self) -> RoaringBitmap {
        self.0.iter().map(|(series, _)| series.0 as Slot).collect()
    }

    /// The newest timestamp of a series, ms; `None` when it is not listed.
    pub(super) fn last_ms(&self, series: SeriesRef) -> Option<i64> {
        let at = self.0.binary_search_by_key(&(series.0 as Slot), |(listed, _)| listed.0 as Slot).ok()?;
        let (listed, last_ms) = self.0[at];
        (listed == series).then_some(last_ms)
    }
}

/// Whether a series may leave: stale, and nothing in it but what came in order.
fn is_stale(series: &Series) -> bool {
    series.late().is_none() && series.ends_stale()
}

/// What the newest samples in order of all series are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Newest {
    /// Series that may leave as stale.
    pub(crate) stale: u64,
    /// Series that end with a native histogram.
    pub(crate) histograms: u64,
    /// The buckets of these.
    pub(crate) buckets: u64,
}

impl Newest {
    fn add(&mut self, series: &Series) {
        self.stale += u64::from(is_stale(series));
        if let Some(histogram) = series.histograms() {
            self.histograms += 1;
            self.buckets += histogram.buckets();
        }
    }
}

impl Head {
    /// How many series are stale or end with a native histogram. Looks at all of them; some 20 ns each.
    pub(crate) fn newest(&self) -> Newest {
        let mut newest = Newest::default();
        for (_, page) in self.slab.pages() {
            let rows = page.rows.lock();
            page.occupied().for_each(|at| newest.add(rows.series(at)));
        }
        newest
    }

    /// The series that are stale now, as everybody who comes sees them: one whose marker is part of a commit that is not shown
    /// yet is not among them, or its block would show a part of that batch.
    pub(crate) fn stale_series(&self) -> StaleSeries {
        let mut list = Vec::new();
        let seq = self.isolation.snapshot().seq();
        for (number, page) in self.slab.pages() {
            let rows = page.rows.lock();
            let places = page.occupied().filter_map(|at| Some((at, page.generation(at)?)));
            let stale = places.map(|(at, generation)| (at, generation, rows.series(at)));
            let shown = |at: usize| rows.hidden_from_ms(at, seq).is_none();
            let stale = stale.filter(|(at, _, series)| is_stale(series) && shown(*at));
            list.extend(stale.map(|(at, generation, series)| {
                (reference(generation, slot_at(number, at)), series.last_ms())
            }));
        }
        StaleSeries(list.into())
    }

    /// Drops the samples of all series of the list that have not changed since, and lets the series go. The caller serves blocks
    /// of all samples of these series up to the times in the list; queriers ask the head before they take the list of blocks.
    /// Returns how many series were emptied; `None` when older readers were still there after `wait`, and nothing was done.
    ///
    /// # Errors
    /// The WAL could not be written, or is closed: some of the series may have been done.
    pub(crate) fn evict(&self, stale: &StaleSeries, wait: Duration) -> Result<Option<u64>, CommitError> {
        if !self.readers.wait(self.readers.cut(), Instant::now() + wait) {
            return Ok(None);
        }
        let emptied: Result<u64, CommitError> = {
            // Held until they have their cut: nobody lets condemned series go meanwhile.
            let mut reclaim = self.reclaim.lock();
            let pages = stale.0.chunk_by(|(a, _), (b, _)| page_of(*a) == page_of(*b));
            let emptied = pages.map(|of_page| self.evict_in_page(of_page)).sum();
            // After an error too: the series of the pages before it are condemned.
            self.let_go_of_condemned(&mut reclaim);
            emptied
        };
        self.reclaim(wait);
        emptied.map(Some)
    }

    /// The series lie in one page. Its commit lock keeps the order of the WAL and the head the same.
    fn evict_in_page(&self, stale: &[(SeriesRef, i64)]) -> Result<u64, CommitError> {
        let Some(page) = self.slab.page_at(page_of(stale[0].0)) else { return Ok(0) };
        let _commit = page.commit.lock();
        let tombstones: Vec<Tombstone> =
            stale.iter().filter_map(|(series, last_ms)| unchanged(page, *series, *last_ms)).collect();
        self.log_tombstones(&tombstones)?;
        let mut chunks = 0;
        for tombstone in &tombstones {
            let at = place(tombstone.series.0 as Slot);
            let Some(mut rows) = page.lock(at, generation(tombstone.series)) else { continue };
            chunks += rows.series_mut(at).delete(tombstone.mint_ms, tombstone.maxt_ms);
            if rows.series(at).is_empty() {
                page.condemn(at);
            }
        }
        self.metrics.chunks_removed(chunks);
        Ok(tombstones.len() as u64)
    }
}

fn page_of(series: SeriesRef) -> u32 {
    page_number(series.0 as Slot)
}

/// All samples of a series, if they are what they were when the list was taken.
fn unchanged(page: &Page, series: SeriesRef, last_ms: i64) -> Option<Tombstone> {
    let at = place(series.0 as Slot);
    let rows = page.lock(at, generation(series))?;
    let row = rows.series(at);
    let same = is_stale(row) && row.last_ms() == last_ms;
    same.then(|| Tombstone { series, mint_ms: row.first_ms(), maxt_ms: last_ms })
}
