//! The commit's road for samples that came out of order. Cold: a batch in order touches none of this.
//!
//! Late samples lie in a column of their own, sorted by series and time. One that is newer than its series (what is in order at
//! that time is closed) claims its timestamp like one in order: replay of the WAL will take it for that, and must find no
//! older sample behind it.

use super::{Fresh, find};
use crate::head::Head;
use crate::head::append::SampleKind;
use crate::head::late::LateSample;
use crate::head::series::CommitSeq;
use crate::head::slab::{PageCursor, place};
use narthex_wal::record::RefSample;
use narthex_wal::{WalPosition, WriteError, Writer};

impl Head {
    /// A float that lost a race, or comes behind a newer one of its own batch, may still be taken as a late one.
    #[cold]
    pub(super) fn refuse_float(&self, sample: RefSample, late: &mut Vec<RefSample>) {
        let Some((page, slot)) = self.slab.find(sample.series) else { return };
        if sample.t_ms < page.claimed_ms(place(slot)) && self.in_late_window(sample.t_ms) {
            late.push(sample);
        } else {
            self.count_late(sample.series, sample.t_ms, SampleKind::Float);
        }
    }

    /// Step 2 for late samples: drops those at whose moment there is one already.
    #[cold]
    pub(super) fn claim_late(&self, late: &mut Vec<RefSample>, fresh: &mut Fresh) {
        late.sort_by_key(|sample| (sample.series.0, sample.t_ms));
        late.dedup_by_key(|sample| (sample.series.0, sample.t_ms));
        let mut cursor = PageCursor::new(&self.slab);
        late.retain(|sample| {
            let (page, place) = find(&mut cursor, sample.series);
            let is_new = !page.rows.lock().series(place).has_sample_at(sample.t_ms);
            if is_new && sample.t_ms > page.claimed_ms(place) {
                page.claim(place, sample.t_ms);
            }
            if is_new && !page.is_logged(place) {
                fresh.push(self.introduce(page, sample.series));
            }
            is_new
        });
    }

    /// Step 4 for late samples. Returns how many went in.
    #[cold]
    pub(super) fn apply_late(&self, late: &[RefSample], seq: CommitSeq) -> u64 {
        let mut cursor = PageCursor::new(&self.slab);
        let mut added = 0;
        for sample in late {
            let (page, place) = find(&mut cursor, sample.series);
            let sample = LateSample { t_ms: sample.t_ms, value: sample.value, seq };
            added += u64::from(page.rows.lock().series_mut(place).insert_late(sample));
        }
        added
    }
}

/// Writes a batch with late samples, which are record `at`: to both logs or to none.
#[cold]
pub(super) fn log_late(
    wal: &mut Writer,
    wbl: &mut Writer,
    records: &[&[u8]],
    at: usize,
) -> Result<WalPosition, WriteError> {
    wal.log_if(records, || wbl.log(&records[at..=at]).map(drop))
}
