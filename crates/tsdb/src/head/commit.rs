//! The commit: final checks, the WAL, then the head; all or nothing.
//!
//! 1. The pages of the batch are locked against other commits, in rising order (so two commits cannot wait for each other).
//! 2. Each sample is checked against what is claimed for its series and claims its own timestamp; what lost a race is dropped
//!    here, before it is logged: the WAL holds exactly what the head will hold.
//! 3. One write to the WAL; under its lock the commit gets its number. When it fails, claims are taken back: nothing happened.
//!    Samples that came out of order go to the WAL for those who follow it and to the WBL for replay, as in Prometheus; when
//!    the second write fails, the first is cut off again. A crash between the two loses late samples that nobody was told of.
//! 4. The samples go into the series, marked with the number; readers do not see them yet.
//! 5. The number is shown, and the whole batch is visible at once.
//!
//! Per series, the order of the WAL is that of the head, because 1 holds until 4 is done.

mod late;
pub(crate) mod seal;

use std::sync::atomic::Ordering;

use narthex_model::{Exemplar, Labels, is_stale};
use narthex_storage::{CommitError, SeriesRef};
use parking_lot::MutexGuard;
use smallvec::SmallVec;

pub(crate) use self::late::LateCounts;
use self::late::{encode_late, log_late};
use super::append::SampleKind;
use super::batch::{Batch, Section};
use super::histograms::StoredHistogram;
use super::late::NewLate;
use super::page::{Page, Readers};
use super::series::{CommitSeq, CutRule, Series};
use super::slab::{PageCursor, Slab, Slot, generation, page_number, place};
use super::{Head, Log};
use narthex_wal::record::{self, HistogramSample, RefSample};

/// What step 2 did.
struct Claimed {
    /// Series that the WAL gets to know with this batch.
    fresh: Vec<(SeriesRef, Labels)>,
    /// What was claimed before for each sample's series, ms, in the order of the claims: to be taken back. It is more than the
    /// newest sample of a series whose samples have left.
    /// PERF: 16 bytes a sample, in memory that the batch keeps.
    before: Vec<(Slot, i64)>,
}

impl Claimed {
    /// Claims a timestamp for a series.
    #[inline]
    fn claim(&mut self, page: &Page, slot: Slot, t_ms: i64) {
        let at = place(slot);
        self.before.push((slot, page.claimed_ms(at)));
        page.claim(at, t_ms);
    }
}

/// Places in a column of the batch, rising.
type Refused = SmallVec<[usize; 8]>;

/// What a commit added.
#[derive(Default)]
pub(crate) struct Added {
    pub(crate) floats: u64,
    pub(crate) histograms: u64,
    pub(crate) chunks: u64,
    /// Those of both that came out of order.
    pub(crate) late: LateCounts,
}

impl Head {
    /// Writes a batch to the WAL and shows it.
    pub(crate) fn commit(&self, batch: &mut Batch) -> Result<(), CommitError> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.ingestion.is_refused() {
            self.refuse_batch()?;
        }
        let locked = self.lock_pages(&batch.pages());
        let mut claimed = Claimed { fresh: Vec::new(), before: std::mem::take(&mut batch.claims) };
        self.claim(batch, &mut claimed);
        encode(batch, &claimed.fresh);
        let logged = self.log(batch);
        if logged.is_err() {
            self.take_back(&claimed);
        }
        batch.claims = claimed.before;
        let seq = logged?;
        let shown = self.isolation.promise(seq);
        let added = self.apply(batch, seq, &self.isolation.readers());
        self.count(batch, &added);
        drop(locked);
        shown.show();
        Ok(())
    }

    fn lock_pages(&self, numbers: &[u32]) -> Vec<MutexGuard<'_, ()>> {
        numbers.iter().filter_map(|n| self.slab.page_at(*n)).map(|page| page.commit.lock()).collect()
    }

    /// Step 2. Marks series that are not in the WAL yet as if they were.
    fn claim(&self, batch: &mut Batch, claimed: &mut Claimed) {
        let mut cursor = PageCursor::new(&self.slab);
        let (mut samples, mut histograms) = (Refused::new(), Refused::new());
        for (floats, others) in batch.sections() {
            for at in floats {
                let sample = &batch.samples[at];
                if !self.claim_one(&mut cursor, sample.series, sample.t_ms, claimed) {
                    self.refuse(NewLate::float(*sample), &mut batch.late);
                    samples.push(at);
                }
            }
            for at in others {
                let sample = &batch.histograms[at];
                if !self.claim_one(&mut cursor, sample.series, sample.t_ms, claimed) {
                    self.refuse(NewLate::histogram(sample.clone()), &mut batch.late);
                    histograms.push(at);
                }
            }
        }
        if !batch.late.is_empty() {
            self.claim_late(batch, claimed);
            self.seal_full_lists(batch);
        }
        let others = batch.exemplars.iter().map(|(s, _)| *s).chain(batch.metadata.iter().map(|(s, _)| *s));
        for series in others {
            let (page, place) = find(&mut cursor, series);
            if !page.is_logged(place) {
                claimed.fresh.push(self.introduce(page, series));
            }
        }
        drop_refused(batch, &samples, &histograms);
    }

    /// Claims a timestamp for a series; `false` when it is not newer than what is claimed.
    #[inline]
    fn claim_one(
        &self,
        cursor: &mut PageCursor<'_>,
        series: SeriesRef,
        t_ms: i64,
        claimed: &mut Claimed,
    ) -> bool {
        let (page, place) = find(cursor, series);
        if t_ms <= page.claimed_ms(place) {
            return false;
        }
        claimed.claim(page, series.0 as Slot, t_ms);
        if !page.is_logged(place) {
            claimed.fresh.push(self.introduce(page, series));
        }
        true
    }

    fn introduce(&self, page: &Page, series: SeriesRef) -> (SeriesRef, Labels) {
        let at = place(series.0 as Slot);
        page.set_logged(at, true);
        (series, self.labels_of(page, at))
    }

    /// A sample older than the newest is counted; one at the same moment lost a race or came twice, which is no fault.
    #[cold]
    fn count_late(&self, series: SeriesRef, t_ms: i64, kind: SampleKind) {
        if self.slab.find(series).is_some_and(|(page, slot)| t_ms < page.claimed_ms(place(slot))) {
            match self.late_window_ms() > 0 && !self.in_late_window(t_ms) {
                true => self.metrics.too_old(kind),
                false => self.metrics.out_of_order(kind),
            }
        }
    }

    /// Step 3. An empty batch (all of it refused) is a commit without records.
    fn log(&self, batch: &Batch) -> Result<CommitSeq, CommitError> {
        let mut start = 0;
        let records: SmallVec<[&[u8]; 8]> = batch
            .record_ends
            .iter()
            .map(|end| &batch.record_bytes[std::mem::replace(&mut start, *end)..*end])
            .collect();
        let mut log = self.log.lock();
        let Log { writer, late, .. } = &mut *log;
        let writer = writer.as_mut().ok_or(CommitError::Closed)?;
        let logged = match batch.late_records.is_empty() {
            true => writer.log(&records),
            false => log_late(writer, late.as_mut().ok_or(CommitError::Closed)?, &records, batch),
        };
        if let Some(error) = writer.take_sync_failure().filter(|_| !writer.options().sync_interval.is_zero())
        {
            // Who bounds what a power cut may take wants to know; the next segment can be trusted again.
            self.ingestion.refuse(&error.into());
            let _ = writer.next_segment();
        }
        logged.map_err(|error| {
            let error = error.into();
            self.ingestion.refuse(&error);
            CommitError::Wal(error)
        })?;
        log.last_seq += 1;
        Ok(log.last_seq)
    }

    #[cold]
    fn refuse_batch(&self) -> Result<(), CommitError> {
        let refused = |reason| CommitError::Wal(std::io::Error::new(std::io::ErrorKind::StorageFull, reason));
        self.ingestion.count_refused();
        self.ingestion.refusal().map_or(Ok(()), |reason| Err(refused(reason)))
    }

    /// Undoes step 2.
    fn take_back(&self, claimed: &Claimed) {
        let mut cursor = PageCursor::new(&self.slab);
        for (slot, before_ms) in claimed.before.iter().rev() {
            if let Some((page, place)) = cursor.find(*slot) {
                page.claim(place, *before_ms);
            }
        }
        for (series, _) in &claimed.fresh {
            let (page, place) = find(&mut cursor, *series);
            page.set_logged(place, false);
        }
    }

    /// Step 4.
    fn apply(&self, batch: &mut Batch, seq: CommitSeq, readers: &Readers) -> Added {
        let (mut added, rule) = (Added::default(), self.cut_rule());
        for (samples, histograms) in batch.sections() {
            added.floats += samples.len() as u64;
            let (mut from, samples) = (0, &batch.samples[samples]);
            while from < samples.len() {
                from += apply_run(&self.slab, &samples[from..], (seq, readers), rule, &mut added.chunks);
            }
            for sample in &batch.histograms[histograms] {
                let Some((page, slot)) = self.slab.find(sample.series) else { continue };
                let mut rows = page.rows.lock();
                rows.mark(place(slot), seq, sample.t_ms, readers);
                let HistogramSample { t_ms, start_ms, histogram, .. } = sample;
                let begun = rows.series_mut(place(slot)).push_histogram(*t_ms, *start_ms, histogram, rule);
                added.chunks += u64::from(begun);
                added.histograms += 1;
            }
        }
        if !batch.late.is_empty() {
            added.late = self.apply_late(&batch.late, seq);
            added.floats += added.late.floats;
            added.histograms += added.late.histograms;
        }
        self.apply_rest(batch);
        added
    }

    fn apply_rest(&self, batch: &mut Batch) {
        for (series, metadata) in batch.metadata.drain(..) {
            let number = self.metadata.intern(metadata);
            let Some((page, slot)) = self.slab.find(series) else { continue };
            page.rows.lock().series_mut(place(slot)).metadata = number;
        }
        if !batch.exemplars.is_empty() {
            let mut ring = self.exemplars.lock();
            batch.exemplars.drain(..).for_each(|(series, exemplar)| ring.add(series, exemplar));
        }
    }

    fn count(&self, batch: &Batch, added: &Added) {
        let span = |times: &mut dyn Iterator<Item = i64>| {
            times.fold((i64::MAX, i64::MIN), |(min, max), t| (min.min(t), max.max(t)))
        };
        let floats = batch.samples.iter().map(|s| s.t_ms);
        let (min, max) = span(&mut floats.chain(batch.histograms.iter().map(|h| h.t_ms)));
        self.span.widen(min, max);
        let (min, max) = span(&mut batch.late.iter().map(|s| s.t_ms));
        self.late_span.widen((min, max));
        self.metrics.appended(added.floats, added.histograms, added.chunks);
        self.chunks_begun.fetch_add(added.chunks, Ordering::Relaxed);
        self.metrics.late(&added.late);
    }
}

/// Adds the samples that lie in the first one's page, and returns how many.
fn apply_run(
    slab: &Slab,
    samples: &[RefSample],
    (seq, readers): (CommitSeq, &Readers),
    rule: CutRule,
    chunks: &mut u64,
) -> usize {
    let number = page_number(samples[0].series.0 as Slot);
    let page = slab.page_at(number).expect("the page was locked for this commit");
    let mut rows = page.rows.lock();
    let mut begun = 0;
    for (done, sample) in samples.iter().enumerate() {
        let slot = sample.series.0 as Slot;
        if page_number(slot) != number {
            *chunks += begun;
            return done;
        }
        rows.mark(place(slot), seq, sample.t_ms, readers);
        begun += u64::from(push_float(rows.series_mut(place(slot)), sample, rule));
    }
    *chunks += begun;
    samples.len()
}

/// Adds a float; the staleness marker of a series of histograms becomes a stale histogram of its kind, as in Prometheus.
#[inline]
pub(crate) fn push_float(series: &mut Series, sample: &RefSample, rule: CutRule) -> bool {
    let RefSample { t_ms, start_ms, value, .. } = *sample;
    if is_stale(value)
        && let Some(histograms) = series.histograms()
    {
        let marker = histograms.stale_marker();
        return series.push_histogram(t_ms, start_ms, &marker, rule);
    }
    series.push(t_ms, start_ms, value, rule)
}

/// The page and place of a series in the batch.
#[inline]
fn find<'a>(cursor: &mut PageCursor<'a>, series: SeriesRef) -> (&'a Page, usize) {
    let (page, at) = cursor.find(series.0 as Slot).expect("append found the series in this page");
    debug_assert_eq!(page.generation(at), Some(generation(series)), "no series leaves before its appenders");
    (page, at)
}

/// Takes refused samples out and moves the section ends along.
fn drop_refused(batch: &mut Batch, samples: &[usize], histograms: &[usize]) {
    if samples.is_empty() && histograms.is_empty() {
        return;
    }
    let before = |dropped: &[usize], end: usize| end - dropped.partition_point(|at| *at < end);
    batch.move_cuts(|cut| Section {
        samples: before(samples, cut.samples),
        histograms: before(histograms, cut.histograms),
    });
    retain_others(&mut batch.samples, samples);
    retain_others(&mut batch.histograms, histograms);
}

fn retain_others<T>(list: &mut Vec<T>, dropped: &[usize]) {
    let (mut at, mut dropped) = (0, dropped.iter().peekable());
    list.retain(|_| {
        let keep = dropped.next_if(|d| **d == at).is_none();
        at += 1;
        keep
    });
}

/// Lays out all records of the batch: new series first, as everything else refers to them.
fn encode(batch: &mut Batch, fresh: &[(SeriesRef, Labels)]) {
    let sections = batch.sections();
    let Batch { samples, histograms, exemplars, metadata, late, late_records, .. } = batch;
    let (out, ends) = (&mut batch.record_bytes, &mut batch.record_ends);
    record::encode_series(fresh.iter().map(|(series, labels)| (*series, labels)), out);
    end_record(out, ends);
    record::encode_metadata(metadata.iter().map(|(series, metadata)| (*series, metadata)), out);
    end_record(out, ends);
    for (floats, others) in sections {
        record::encode_samples(&samples[floats], out);
        end_record(out, ends);
        encode_histograms(&histograms[others], out, ends);
    }
    if !late.is_empty() {
        // Behind the samples in order: replay of the WAL tells late samples by that.
        let first = ends.len();
        encode_late(late, out, ends);
        *late_records = first..ends.len();
    }
    let exemplars: Vec<(SeriesRef, &Exemplar)> = exemplars.iter().map(|(s, e)| (*s, e)).collect();
    record::encode_exemplars(&exemplars, out);
    end_record(out, ends);
}

fn encode_histograms(
    histograms: &[HistogramSample<StoredHistogram>],
    out: &mut Vec<u8>,
    ends: &mut Vec<usize>,
) {
    let (mut ints, mut floats) = (Vec::new(), Vec::new());
    for sample in histograms {
        let HistogramSample { series, t_ms, start_ms, .. } = *sample;
        match &sample.histogram {
            StoredHistogram::Int(h) => {
                ints.push(HistogramSample { series, t_ms, start_ms, histogram: &**h });
            }
            StoredHistogram::Float(h) => {
                floats.push(HistogramSample { series, t_ms, start_ms, histogram: &**h });
            }
        }
    }
    record::encode_histograms(&ints, out, |end| ends.push(end));
    record::encode_float_histograms(&floats, out, |end| ends.push(end));
}

fn end_record(out: &[u8], ends: &mut Vec<usize>) {
    if out.len() > ends.last().copied().unwrap_or(0) {
        ends.push(out.len());
    }
}
