//! The appender: checks each sample against the head as it comes, and collects a batch.
//!
//! PERF: a float that is newer than all of its series costs a page look-up, two atomic reads and 32 bytes written; no lock.
//! Only a sample that is not newer takes a longer road: to the late samples, or to the exact reason why it is refused.
//! The checks here answer the caller early; `commit` makes the final ones, under the pages' locks.

use std::sync::Arc;

use narthex_model::{
    CounterResetHint, Exemplar, FloatHistogram, Histogram, Labels, Metadata, STALE_NAN, is_stale,
};
use narthex_storage::{AppendError, Appender, CommitError, Duplicate, HistogramRef, SeriesRef};

use super::Head;
use super::batch::Batch;
use super::epochs::Visit;
use super::histograms::StoredHistogram;
use super::late::NewLate;
use super::page::Page;
use super::series::Series;
use super::slab::place;
use super::validate::check_histogram;
use narthex_wal::record::{HistogramSample, RefSample};

/// One batch for the head.
pub(crate) struct HeadAppender {
    head: Arc<Head>,
    batch: Batch,
    /// Samples before this do not come in order, ms. `None` until an empty head has seen its first sample.
    min_valid_ms: Option<i64>,
    /// What this appender has found stays where it is until it is dropped.
    _present: Visit,
    /// Whether ingestion was off when this began: then everything is refused.
    is_refused: bool,
}

/// What to do with a sample.
enum Verdict {
    Take,
    /// It comes out of order, but not too late.
    TakeLate,
    /// It is there already.
    Skip,
}

impl HeadAppender {
    pub(crate) fn new(head: Arc<Head>) -> Self {
        head.metrics.active_appenders.inc();
        head.metrics.appenders_created.inc();
        let present = head.appenders.enter();
        // Read after entering: who moves the floor waits for all who may have seen the old one.
        let (batch, min_valid_ms) = (head.batches.take(), head.min_valid_ms());
        let is_refused = head.ingestion.is_refused();
        Self { head, batch, min_valid_ms, is_refused, _present: present }
    }

    /// Asks whether samples are taken at all.
    #[inline]
    fn check_ingestion(&self) -> Result<(), AppendError> {
        if self.is_refused { self.refuse() } else { Ok(()) }
    }

    #[cold]
    fn refuse(&self) -> Result<(), AppendError> {
        self.head.ingestion.refusal().map_or(Ok(()), |reason| Err(AppendError::Unavailable(reason)))
    }

    fn check_bounds(&mut self, t_ms: i64, kind: SampleKind) -> Result<(), AppendError> {
        self.check_ingestion()?;
        if self.is_valid(t_ms) {
            return Ok(());
        }
        if self.head.late_window_ms() == 0 {
            self.head.metrics.out_of_bounds(kind);
            return Err(AppendError::OutOfBounds);
        }
        // Inside the window an old sample is welcome; whether its series has a newer one is asked next.
        if self.head.in_late_window(t_ms) {
            return Ok(());
        }
        Err(self.refuse_old(t_ms, kind))
    }

    /// Whether a sample may still come in order.
    #[inline]
    fn is_valid(&mut self, t_ms: i64) -> bool {
        let first = || t_ms.saturating_sub(self.head.rule.range_ms / 2).max(self.head.append_floor_ms());
        t_ms >= *self.min_valid_ms.get_or_insert_with(first) && t_ms > i64::MIN
    }

    #[cold]
    fn take_late(&mut self, sample: NewLate) {
        self.head.metrics.late_by(self.head.max_ms().saturating_sub(sample.t_ms));
        self.batch.late.push(sample);
    }

    /// The reason for a sample that is older than its series' newest.
    #[cold]
    fn refuse_old(&self, t_ms: i64, kind: SampleKind) -> AppendError {
        self.head.metrics.late_by(self.head.max_ms().saturating_sub(t_ms));
        if self.head.late_window_ms() > 0 && !self.head.in_late_window(t_ms) {
            self.head.metrics.too_old(kind);
            return AppendError::TooOld;
        }
        self.head.metrics.out_of_order(kind);
        AppendError::OutOfOrder
    }

    #[cold]
    fn judge(&self, page: &Page, at: usize, t_ms: i64, sample: Sample<'_>) -> Result<Verdict, AppendError> {
        if t_ms < page.claimed_ms(at) {
            return match self.head.in_late_window(t_ms) {
                true => Ok(Verdict::TakeLate),
                false => Err(self.refuse_old(t_ms, sample.kind())),
            };
        }
        let rows = page.rows.lock();
        if rows.series(at).last_ms() == t_ms {
            return compare(rows.series(at), t_ms, sample);
        }
        drop(rows);
        self.judge_claimed(page, at, t_ms, sample)
    }

    /// Of a moment that is claimed, though nothing in order is there: a commit is on its way, or what was there has left.
    #[cold]
    fn judge_claimed(
        &self,
        page: &Page,
        at: usize,
        t_ms: i64,
        sample: Sample<'_>,
    ) -> Result<Verdict, AppendError> {
        // With this no commit is on its way any more.
        let _commit = page.commit.lock();
        let rows = page.rows.lock();
        let series = rows.series(at);
        if series.last_ms() == t_ms {
            return compare(series, t_ms, sample);
        }
        let is_valid = self.min_valid_ms.is_some_and(|min_ms| t_ms >= min_ms);
        // What left in order, though it is not old, was a staleness marker, or is deleted. Late ones come twice without a fault, as
        // does what has only just become too old; the commit sees to all that.
        let has_left = is_valid && t_ms == page.claimed_ms(at) && !series.has_sample_at(t_ms);
        match sample {
            Sample::Float(value) if has_left && is_stale(value) => Ok(Verdict::Skip),
            _ if has_left => Err(AppendError::DuplicateTimestamp(Duplicate::UNTOLD)),
            _ => Ok(Verdict::Take),
        }
    }
}

/// Judges what comes at the moment of the newest sample of its series.
fn compare(series: &Series, t_ms: i64, sample: Sample<'_>) -> Result<Verdict, AppendError> {
    let same = match (series.histograms(), sample) {
        (None, Sample::Float(value)) => series.open.last_value_bits() == value.to_bits(),
        (Some(open), Sample::Histogram(histogram)) => open.last_is(histogram),
        (Some(open), Sample::Float(value)) => is_stale(value) && open.is_stale(),
        (None, Sample::Histogram(_)) => false,
    };
    if same {
        return Ok(Verdict::Skip);
    }
    Err(AppendError::DuplicateTimestamp(match (series.histograms(), sample) {
        (None, Sample::Float(new)) => {
            Duplicate::of_float(t_ms, f64::from_bits(series.open.last_value_bits()), new)
        }
        (Some(_), Sample::Float(new)) => Duplicate::of_histogram(t_ms, new),
        (_, Sample::Histogram(_)) => Duplicate::UNTOLD,
    }))
}

/// Which kind of sample a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SampleKind {
    Float,
    Histogram,
}

#[derive(Clone, Copy)]
enum Sample<'a> {
    Float(f64),
    Histogram(&'a StoredHistogram),
}

impl Sample<'_> {
    fn kind(self) -> SampleKind {
        match self {
            Self::Float(_) => SampleKind::Float,
            Self::Histogram(_) => SampleKind::Histogram,
        }
    }
}

impl Appender for HeadAppender {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        self.check_ingestion()?;
        self.head.get_or_create(labels)
    }

    #[inline]
    fn append(&mut self, series: SeriesRef, t_ms: i64, value: f64) -> Result<(), AppendError> {
        self.append_with_start(series, 0, t_ms, value)
    }

    fn append_with_start(
        &mut self,
        series: SeriesRef,
        start_ms: i64,
        t_ms: i64,
        value: f64,
    ) -> Result<(), AppendError> {
        self.check_bounds(t_ms, SampleKind::Float)?;
        let (page, slot) = self.head.find_series(series)?;
        let at = place(slot);
        let start_ms = self.head.kept_start(start_ms);
        let sample = RefSample { series, t_ms, start_ms, value };
        let verdict = match t_ms <= page.claimed_ms(at) {
            true => self.judge(page, at, t_ms, Sample::Float(value))?,
            // Newer than all of its series, but what is in order at that time is closed.
            false if !self.is_valid(t_ms) => Verdict::TakeLate,
            false => Verdict::Take,
        };
        match verdict {
            Verdict::Take => self.batch.push(sample),
            Verdict::TakeLate => self.take_late(NewLate::float(sample)),
            Verdict::Skip => {}
        }
        Ok(())
    }

    fn append_start_zero(
        &mut self,
        series: SeriesRef,
        start_ms: i64,
        t_ms: i64,
        like: Option<HistogramRef<'_>>,
    ) -> Result<(), AppendError> {
        // The sample first: in an empty head it says what is valid.
        let is_valid = self.is_valid(t_ms) && self.is_valid(start_ms);
        let (page, slot) = self.head.find_series(series)?;
        if start_ms >= t_ms || !is_valid || start_ms <= page.claimed_ms(place(slot)) {
            return Ok(());
        }
        match like {
            None => self.append(series, start_ms, 0.0),
            Some(HistogramRef::Int(h)) => {
                self.append_histogram(series, start_ms, HistogramRef::Int(&zero_of(h)))
            }
            Some(HistogramRef::Float(h)) => {
                self.append_histogram(series, start_ms, HistogramRef::Float(&zero_of_float(h)))
            }
        }
    }

    fn append_stale(&mut self, series: SeriesRef, t_ms: i64) -> Result<(), AppendError> {
        let (page, slot) = self.head.find_series(series)?;
        let is_late = t_ms < page.claimed_ms(place(slot)) || !self.is_valid(t_ms);
        if is_late && self.head.in_late_window(t_ms) {
            self.head.metrics.out_of_order(SampleKind::Float);
            return Err(AppendError::OutOfOrder);
        }
        self.append(series, t_ms, STALE_NAN)
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        t_ms: i64,
        histogram: HistogramRef<'_>,
    ) -> Result<(), AppendError> {
        self.append_histogram_with_start(series, 0, t_ms, histogram)
    }

    fn append_histogram_with_start(
        &mut self,
        series: SeriesRef,
        start_ms: i64,
        t_ms: i64,
        histogram: HistogramRef<'_>,
    ) -> Result<(), AppendError> {
        self.check_bounds(t_ms, SampleKind::Histogram)?;
        check_histogram(histogram).map_err(AppendError::InvalidHistogram)?;
        let (page, slot) = self.head.find_series(series)?;
        let at = place(slot);
        let histogram = match histogram {
            HistogramRef::Int(h) => StoredHistogram::Int(Arc::new(h.clone())),
            HistogramRef::Float(h) => StoredHistogram::Float(Arc::new(h.clone())),
        };
        let verdict = match t_ms <= page.claimed_ms(at) {
            true => self.judge(page, at, t_ms, Sample::Histogram(&histogram))?,
            false if !self.is_valid(t_ms) => Verdict::TakeLate,
            false => Verdict::Take,
        };
        let start_ms = self.head.kept_start(start_ms);
        let sample = HistogramSample { series, t_ms, start_ms, histogram };
        match verdict {
            Verdict::Take => self.batch.push_histogram(sample),
            Verdict::TakeLate => self.take_late(NewLate::histogram(sample)),
            Verdict::Skip => {}
        }
        Ok(())
    }

    fn append_exemplar(&mut self, series: SeriesRef, exemplar: &Exemplar) -> Result<(), AppendError> {
        if self.head.max_exemplars() == 0 {
            return Ok(());
        }
        self.head.find_series(series)?;
        if self.head.exemplars.lock().check(series, exemplar)? {
            self.batch.exemplars.push((series, exemplar.clone()));
        }
        Ok(())
    }

    fn update_metadata(&mut self, series: SeriesRef, metadata: &Metadata) -> Result<(), AppendError> {
        let (page, slot) = self.head.find_series(series)?;
        let known = page.rows.lock().series(place(slot)).metadata;
        if !self.head.metadata.is(known, metadata) {
            self.batch.metadata.push((series, metadata.clone()));
        }
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> Result<(), CommitError> {
        self.head.commit(&mut self.batch)
    }

    fn rollback(self: Box<Self>) {}
}

impl Drop for HeadAppender {
    fn drop(&mut self) {
        self.head.metrics.active_appenders.dec();
        if self.is_refused {
            self.head.ingestion.count_refused();
        }
        self.head.batches.give_back(std::mem::take(&mut self.batch));
    }
}

/// No observations, in the layout of `like` so that both fit into one chunk. The start of a counter is a reset by definition.
fn zero_of(like: &Histogram) -> Histogram {
    Histogram {
        counter_reset_hint: CounterResetHint::Reset,
        schema: like.schema,
        zero_threshold: like.zero_threshold,
        custom_values: like.custom_values.clone(),
        ..Histogram::default()
    }
}

fn zero_of_float(like: &FloatHistogram) -> FloatHistogram {
    FloatHistogram {
        counter_reset_hint: CounterResetHint::Reset,
        schema: like.schema,
        zero_threshold: like.zero_threshold,
        custom_values: like.custom_values.clone(),
        ..FloatHistogram::default()
    }
}
