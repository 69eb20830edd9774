//! Truncation: what lies in blocks leaves the head, and with it the series that nobody writes.
//!
//! In steps, each of which waits until nobody can miss what it takes away; what must wait longer than the caller wants to is
//! left for the next call of [`Head::reclaim`]:
//! 1. The floor rises: queriers that come look for older samples in blocks, and appenders that come are refused them.
//! 2. When all queriers of before are gone, chunks that end before the floor are dropped. Series that are empty then are
//!    *condemned*: whoever wants to append to one takes the mark off again.
//! 3. When all appenders of before are gone, series that are still condemned and empty leave (see `leave`).
//!
//! Always true: what an appender has found by label set or reference is there until that appender is dropped, so no commit ever
//! meets a series that left; the minimum time is never above a sample in order.
//! Must not know: blocks, files. The caller made sure that all samples before the floor are in a block that queriers find who
//! come after the head's floor rose: first the block is served, then the head truncated; a querier asks the head first.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Head;
use super::epochs::Cut;
use super::leave::Leaving;
use super::page::Page;

/// What truncation has still to do.
#[derive(Default)]
pub(crate) struct Reclaim {
    /// Step 2: chunks that end before the time (ms) go when these readers are gone.
    dropping: Option<(i64, Cut)>,
    /// Step 3.
    condemned: Option<Condemned>,
    /// See `leave`.
    pub(super) leaving: Leaving,
}

/// Condemned series wait for the appenders of before.
#[derive(Clone, Copy)]
struct Condemned {
    appenders: Cut,
    /// No sample in order was before this when they were condemned, and none can come, ms.
    oldest_ms: i64,
}

impl Head {
    /// Whether the head holds so much that its oldest block range should become a block: as Prometheus, one and a half ranges.
    pub(crate) fn compactable(&self) -> bool {
        let min_ms = self.min_ms();
        min_ms != i64::MAX && self.max_ms().saturating_sub(min_ms) > self.rule.range_ms / 2 * 3
    }

    /// Before this, ms, no sample comes in order any more.
    pub(super) fn append_floor_ms(&self) -> i64 {
        self.floor.append_ms.load(Ordering::Relaxed)
    }

    /// What came in order before this, ms, is in blocks.
    pub(super) fn read_floor_ms(&self) -> i64 {
        self.floor.read_ms.load(Ordering::Relaxed)
    }

    /// Takes no sample in order before `maxt_ms` from now on, and waits until those are in that appenders have taken already,
    /// so that a block of them is complete. `false` when some appender was not done after `wait`: try again later.
    pub(crate) fn close_range(&self, maxt_ms: i64, wait: Duration) -> bool {
        self.floor.append_ms.fetch_max(maxt_ms, Ordering::Relaxed);
        let before = self.appenders.cut();
        self.appenders.wait(before, Instant::now() + wait)
    }

    /// Says that blocks hold all that came in order before `mint_ms`, and drops it. See the module's words for the caller's
    /// duties. Returns whether all is done; else [`Self::reclaim`] goes on.
    pub(crate) fn truncate(&self, mint_ms: i64, wait: Duration) -> bool {
        self.floor.append_ms.fetch_max(mint_ms, Ordering::Relaxed);
        self.floor.read_ms.fetch_max(mint_ms, Ordering::Relaxed);
        // An empty head has `i64::MAX` and keeps it.
        self.span.min_ms.fetch_max(mint_ms, Ordering::Relaxed);
        self.metrics.truncations.inc();
        self.reclaim.lock().dropping = Some((self.read_floor_ms(), self.readers.cut()));
        self.reclaim(wait)
    }

    /// Goes on with truncation as far as readers and appenders let it, for at most `wait` and the work itself. Returns whether
    /// nothing is left to do. For the maintenance tick.
    pub(crate) fn reclaim(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut state = self.reclaim.lock();
        if let Some((mint_ms, readers)) = state.dropping {
            if !self.readers.wait(readers, deadline) {
                return false;
            }
            let started = Instant::now();
            state.condemned = Some(self.drop_before(mint_ms));
            state.dropping = None;
            self.metrics.gc_duration_s.observe(started.elapsed().as_secs_f64());
        }
        if let Some(condemned) = state.condemned {
            if !self.appenders.wait(condemned.appenders, deadline) {
                return false;
            }
            self.raise_minimum(condemned.oldest_ms);
            if self.free_condemned(&mut state.leaving) {
                state.condemned = None;
            }
            if let Some(files) = self.chunk_files.get() {
                self.truncate_chunk_files(files.end());
            }
        }
        self.release(&mut state.leaving, deadline) && state.condemned.is_none()
    }

    /// Step 3, for series that others have condemned under this lock: until the cut that is taken here, appenders may have found
    /// them, and a step 3 that was on its way would not wait for those.
    pub(super) fn let_go_of_condemned(&self, state: &mut Reclaim) {
        let oldest_ms = state.condemned.map_or(i64::MIN, |condemned| condemned.oldest_ms);
        state.condemned = Some(Condemned { appenders: self.appenders.cut(), oldest_ms });
    }

    /// Step 2.
    fn drop_before(&self, mint_ms: i64) -> Condemned {
        self.span.recent_min_ms.store(i64::MAX, Ordering::Relaxed);
        let mut oldest_ms = self.min_valid_ms().unwrap_or(i64::MAX);
        let mut chunks = 0;
        for (_, page) in self.slab.pages() {
            let (dropped, page_oldest_ms) = drop_in_page(page, mint_ms);
            chunks += dropped;
            oldest_ms = oldest_ms.min(page_oldest_ms);
        }
        self.metrics.chunks_removed(chunks);
        Condemned { appenders: self.appenders.cut(), oldest_ms }
    }

    /// Raises the minimum time to what `search` finds as the timestamp of the oldest sample, ms. Leaves it when some appender was
    /// not done after `wait`.
    pub(crate) fn raise_minimum_to<E>(
        &self,
        search: impl FnOnce() -> Result<i64, E>,
        wait: Duration,
    ) -> Result<(), E> {
        // Truncation searches too: one at a time.
        let _state = self.reclaim.lock();
        self.span.recent_min_ms.store(i64::MAX, Ordering::Relaxed);
        let oldest_ms = self.min_valid_ms().unwrap_or(i64::MAX).min(search()?);
        if self.appenders.wait(self.appenders.cut(), Instant::now() + wait) {
            self.raise_minimum(oldest_ms);
        }
        Ok(())
    }

    /// Raises the minimum time to that of the oldest sample there is or may come. What was committed since the search is in
    /// `recent_min_ms`.
    fn raise_minimum(&self, oldest_ms: i64) {
        let oldest_ms = oldest_ms.min(self.span.recent_min_ms.load(Ordering::Relaxed));
        if oldest_ms < i64::MAX {
            self.span.min_ms.fetch_max(oldest_ms, Ordering::Relaxed);
        }
    }
}

/// Returns how many chunks were dropped, and the timestamp of the oldest sample that stays; `i64::MAX` for none.
fn drop_in_page(page: &Page, mint_ms: i64) -> (u64, i64) {
    let (mut dropped, mut oldest_ms) = (0, i64::MAX);
    let mut rows = page.rows.lock();
    for at in page.occupied() {
        let series = rows.series_mut(at);
        dropped += series.drop_before(mint_ms);
        match series.is_empty() {
            true => page.condemn(at),
            false => oldest_ms = oldest_ms.min(series.first_ms()),
        }
    }
    (dropped, oldest_ms)
}
