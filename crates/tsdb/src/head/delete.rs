//! Deletes: what a user wants gone is hidden at once, by intervals beside the series, and left out when the range becomes a block.
//!
//! Always true: a delete is in the WAL before anybody sees its effect; it hides samples that are in the head now and none that
//! come later, because its interval ends with the newest of the series.
//! COMPAT: late samples are not deleted, as in Prometheus: they have an order of their own, in which somebody may just bring the
//! right samples for the wrong ones that were deleted.

use narthex_model::Matcher;
use narthex_storage::CommitError;
use narthex_wal::record::{self, Tombstone};

use super::Head;
use super::page::Page;
use super::slab::{Slot, generation, page_number, place, reference, slot_at};

impl Head {
    /// Hides the samples in `[mint_ms, maxt_ms]` that came in order, of all series that satisfy every matcher. Returns how many
    /// series had a sample there or around it.
    ///
    /// # Errors
    /// The WAL could not be written, or is closed: some of the series may have been done.
    pub(crate) fn delete(
        &self,
        matchers: &[Matcher],
        mint_ms: i64,
        maxt_ms: i64,
    ) -> Result<u64, CommitError> {
        let _present = self.readers.enter();
        let range = (mint_ms.max(self.read_floor_ms()), maxt_ms);
        let slots: Vec<Slot> = self.matching(matchers).into_iter().collect();
        let mut count = 0;
        for of_page in slots.chunk_by(|a, b| page_number(*a) == page_number(*b)) {
            count += self.delete_in_page(of_page, range)?;
        }
        Ok(count)
    }

    /// The slots lie in one page. Its commit lock keeps the order of the WAL and the head the same.
    fn delete_in_page(&self, slots: &[Slot], range: (i64, i64)) -> Result<u64, CommitError> {
        let number = page_number(slots[0]);
        let Some(page) = self.slab.page_at(number) else { return Ok(0) };
        let _commit = page.commit.lock();
        let tombstones = tombstones(page, number, slots, range);
        if tombstones.is_empty() {
            return Ok(0);
        }
        self.log_tombstones(&tombstones)?;
        let mut chunks = 0;
        for tombstone in &tombstones {
            let at = place(tombstone.series.0 as Slot);
            // A series that left meanwhile has nothing to hide.
            if let Some(mut rows) = page.lock(at, generation(tombstone.series)) {
                chunks += rows.series_mut(at).delete(tombstone.mint_ms, tombstone.maxt_ms);
            }
        }
        self.metrics.chunks_removed(chunks);
        Ok(tombstones.len() as u64)
    }

    /// The caller holds the commit lock of the page that the series lie in. A log that cannot be written turns ingestion off, as it
    /// does for a batch.
    pub(super) fn log_tombstones(&self, tombstones: &[Tombstone]) -> Result<(), CommitError> {
        if tombstones.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        record::encode_tombstones(tombstones, &mut bytes);
        let mut log = self.log.lock();
        let writer = log.writer.as_mut().ok_or(CommitError::Closed)?;
        writer.log(&[&bytes]).map(drop).map_err(|error| {
            let error = error.into();
            self.ingestion.refuse(&error);
            CommitError::Wal(error)
        })
    }
}

/// What is to be hidden of each series that has something in range.
fn tombstones(page: &Page, number: u32, slots: &[Slot], (mint_ms, maxt_ms): (i64, i64)) -> Vec<Tombstone> {
    let rows = page.rows.lock();
    let of_place = |at: usize| {
        let generation = page.generation(at)?;
        let series = rows.series(at);
        let (mint_ms, maxt_ms) = (mint_ms.max(series.first_ms()), maxt_ms.min(series.last_ms()));
        let series = reference(generation, slot_at(number, at));
        (mint_ms <= maxt_ms).then_some(Tombstone { series, mint_ms, maxt_ms })
    };
    slots.iter().filter_map(|slot| of_place(place(*slot))).collect()
}
