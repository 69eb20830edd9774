//! The commit's road for samples that came out of order. Cold: a batch in order touches none of this.
//!
//! Late samples lie in a column of their own, sorted by series and time. One that is newer than its series (what is in order at
//! that time is closed) claims its timestamp like one in order: replay of the WAL will take it for that, and must find no
//! older sample behind it.

use narthex_model::is_stale;
use narthex_wal::record::{self, HistogramSample, RefSample};
use narthex_wal::{WalPosition, WriteError, Writer};

use super::{Claimed, encode_histograms, end_record, find};
use crate::head::Head;
use crate::head::append::SampleKind;
use crate::head::batch::Batch;
use crate::head::late::{LateSample, LateValue, NewLate};
use crate::head::series::{CommitSeq, Series};
use crate::head::slab::{PageCursor, Slot, place};

/// Late samples that went in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LateCounts {
    pub(crate) floats: u64,
    pub(crate) histograms: u64,
}

impl Head {
    /// A sample that lost a race, or comes behind a newer one of its own batch, may still be taken as a late one.
    #[cold]
    pub(super) fn refuse(&self, sample: NewLate, late: &mut Vec<NewLate>) {
        let Some((page, slot)) = self.slab.find(sample.series) else { return };
        if sample.t_ms < page.claimed_ms(place(slot)) && self.in_late_window(sample.t_ms) {
            late.push(sample);
        } else {
            self.count_late(sample.series, sample.t_ms, sample.value.kind());
        }
    }

    /// Step 2 for late samples: drops those at whose moment there is one already.
    #[cold]
    pub(super) fn claim_late(&self, batch: &mut Batch, claimed: &mut Claimed) {
        let late = &mut batch.late;
        late.sort_by_key(|sample| (sample.series.0, sample.t_ms));
        late.dedup_by_key(|sample| (sample.series.0, sample.t_ms));
        let mut cursor = PageCursor::new(&self.slab);
        late.retain_mut(|sample| {
            let (page, place) = find(&mut cursor, sample.series);
            let rows = page.rows.lock();
            let is_new = !rows.series(place).has_sample_at(sample.t_ms);
            give_kind(rows.series(place), &mut sample.value);
            drop(rows);
            if is_new && sample.t_ms > page.claimed_ms(place) {
                claimed.claim(page, sample.series.0 as Slot, sample.t_ms);
            }
            if is_new && !page.is_logged(place) {
                claimed.fresh.push(self.introduce(page, sample.series));
            }
            is_new
        });
    }

    /// Step 4 for late samples.
    #[cold]
    pub(super) fn apply_late(&self, late: &[NewLate], seq: CommitSeq) -> LateCounts {
        let mut cursor = PageCursor::new(&self.slab);
        let mut added = LateCounts::default();
        for sample in late {
            let (page, place) = find(&mut cursor, sample.series);
            let NewLate { t_ms, start_ms, ref value, .. } = *sample;
            let sample = LateSample { t_ms, start_ms, value: value.clone(), seq };
            if page.rows.lock().series_mut(place).insert_late(sample) {
                match value.kind() {
                    SampleKind::Float => added.floats += 1,
                    SampleKind::Histogram => added.histograms += 1,
                }
            }
        }
        added
    }
}

/// The staleness marker of a series of histograms becomes a stale histogram of its kind, as in Prometheus.
fn give_kind(series: &Series, value: &mut LateValue) {
    let LateValue::Float(marker) = *value else { return };
    if !is_stale(marker) {
        return;
    }
    if let Some(histograms) = series.histograms() {
        *value = LateValue::Histogram(histograms.stale_marker());
    }
}

/// Lays out the records of late samples.
pub(super) fn encode_late(late: &[NewLate], out: &mut Vec<u8>, ends: &mut Vec<usize>) {
    let (mut floats, mut histograms) = (Vec::with_capacity(late.len()), Vec::new());
    for sample in late {
        let NewLate { series, t_ms, start_ms, .. } = *sample;
        match &sample.value {
            LateValue::Float(value) => floats.push(RefSample { series, t_ms, start_ms, value: *value }),
            LateValue::Histogram(histogram) => {
                histograms.push(HistogramSample { series, t_ms, start_ms, histogram: histogram.clone() });
            }
        }
    }
    record::encode_samples(&floats, out);
    end_record(out, ends);
    encode_histograms(&histograms, out, ends);
}

/// Writes a batch with late samples: to both logs or to none.
#[cold]
pub(super) fn log_late(
    wal: &mut Writer,
    wbl: &mut Writer,
    records: &[&[u8]],
    batch: &Batch,
) -> Result<WalPosition, WriteError> {
    let late = &records[batch.late_records.clone()];
    wal.log_if(records, || match batch.marker_bytes.is_empty() {
        true => wbl.log(late).map(drop),
        false => wbl.log(&[&[&batch.marker_bytes[..]], late].concat()).map(drop),
    })
}
