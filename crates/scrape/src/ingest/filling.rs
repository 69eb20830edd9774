//! A batch that is being filled: one series of a body after the other finds its place and is appended.
//!
//! Always true: what is refused for one sample is counted and the scrape goes on; any other refusal ends it.

use narthex_exposition::ShrinkError;
use narthex_model::Labels;
use narthex_storage::{AppendError, Appender, HistogramRef, SeriesRef};

use super::line::{Line, Value};
use super::refused::Refused;
use super::start_synthesis::{Rebased, StartSynthesis, is_cumulative};
use super::{Counts, MAX_AHEAD_MS, Scrape};
use crate::error::ScrapeError;
use crate::metadata_cache::MetadataPass;
use crate::new_series::series_labels;
use crate::series_cache::{Pass, Place, Slot};

/// See the module's words.
pub(super) struct Filling<'a> {
    pub(super) scrape: &'a Scrape<'a>,
    pub(super) appender: &'a mut dyn Appender,
    pub(super) counts: Counts,
    /// Samples that count against the limit.
    pub(super) appended: u64,
    pub(super) over_limit: bool,
    /// A histogram has too many buckets.
    pub(super) over_buckets: bool,
    /// Whether start timestamps are asked for.
    parses_starts: bool,
    /// Whether a sample may get a start timestamp: asked for or made.
    with_starts: bool,
    /// What makes starts where none are told.
    pub(super) starts: Option<&'a mut StartSynthesis>,
    pub(super) refused: Refused,
    /// Series whose line is still there but that lost their claim to be live: refused, or given a timestamp of their own.
    pub(super) moved: Vec<SeriesRef>,
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Taken,
    Refused,
    /// It only says where its counter began.
    HeldBack,
}

/// What became of a sample and of its series.
struct Appended {
    fate: Fate,
    /// The reference, when the series had to be resolved anew.
    resolved: Option<SeriesRef>,
}

impl<'a> Filling<'a> {
    pub(super) fn new(
        scrape: &'a Scrape<'a>,
        appender: &'a mut dyn Appender,
        mut starts: Option<&'a mut StartSynthesis>,
    ) -> Self {
        starts.iter_mut().for_each(|starts| starts.begin());
        Self {
            scrape,
            appender,
            counts: Counts::default(),
            appended: 0,
            over_limit: false,
            over_buckets: false,
            parses_starts: scrape.options.parses_starts(),
            with_starts: scrape.options.parses_starts() || starts.is_some(),
            starts,
            refused: Refused::default(),
            moved: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn series<L: Line>(
        &mut self,
        line: &mut L,
        pass: &mut Pass<'_>,
        families: &MetadataPass<'_>,
    ) -> Result<(), ScrapeError> {
        self.counts.scraped += 1;
        let own_ms = if self.scrape.config.honor_timestamps { line.t_ms() } else { None };
        match line.place(pass) {
            Place::Known(at) => self.known(line, own_ms, pass, at, families),
            Place::Again(at) if own_ms.is_some() => self.known(line, own_ms, pass, at, families),
            Place::Again(at) => {
                if !pass.slot(at).is_dropped() {
                    self.counts.post_relabeling += 1;
                    self.refused.duplicate += 1;
                }
                Ok(())
            }
            Place::New => self.new_line(line, own_ms, pass, families),
        }
    }

    #[inline]
    fn known<L: Line>(
        &mut self,
        line: &mut L,
        own_ms: Option<i64>,
        pass: &mut Pass<'_>,
        at: usize,
        families: &MetadataPass<'_>,
    ) -> Result<(), ScrapeError> {
        let slot = *pass.slot(at);
        if slot.is_dropped() {
            return Ok(());
        }
        if self.is_too_wide(line)? || self.is_over_limit() {
            return Ok(());
        }
        let done = match slot.series() {
            Some(reference) => self.append(reference, line, own_ms, families)?,
            None => self.append_anew(line, own_ms, families)?,
        };
        self.counts.post_relabeling += 1;
        if let Some(reference) = done.resolved {
            pass.slot(at).set_series(reference);
        }
        self.track(pass, at, done.fate, own_ms.is_none());
        if self.scrape.options.append_metadata && families.is_changed() {
            let reference = pass.slot(at).series();
            self.changed_metadata(line, reference, families)?;
        }
        Ok(())
    }

    #[cold]
    fn new_line<L: Line>(
        &mut self,
        line: &mut L,
        own_ms: Option<i64>,
        pass: &mut Pass<'_>,
        families: &MetadataPass<'_>,
    ) -> Result<(), ScrapeError> {
        let Some(labels) = self.labels(line)? else {
            line.add(pass, Slot::dropped());
            return Ok(());
        };
        if self.is_too_wide(line)? || self.is_over_limit() {
            return Ok(());
        }
        let reference = self.appender.resolve(&labels)?;
        let done = self.append(reference, line, own_ms, families)?;
        self.counts.post_relabeling += 1;
        let reference = done.resolved.unwrap_or(reference);
        let at = line.add(pass, Slot::resolved(reference));
        self.track(pass, at, done.fate, own_ms.is_none());
        if self.scrape.options.append_metadata {
            self.metadata(reference, labels.metric_name(), families);
        }
        Ok(())
    }

    /// Brings a histogram into its limits; `true` when it has too many buckets, which fails the scrape at its end.
    #[inline]
    fn is_too_wide<L: Line>(&mut self, line: &mut L) -> Result<bool, ScrapeError> {
        match line.shrink(self.scrape.limits) {
            Ok(()) => Ok(false),
            Err(ShrinkError::BucketLimit) => {
                self.over_buckets = true;
                self.counts.post_relabeling += 1;
                Ok(true)
            }
            Err(ShrinkError::Layout(error)) => Err(ScrapeError::Histogram(error.to_string())),
        }
    }

    /// The limit counts every sample that relabeling left, also those that the store then refuses.
    #[inline]
    fn is_over_limit(&mut self) -> bool {
        self.appended += 1;
        let limit = self.scrape.config.sample_limit;
        if limit == 0 || self.appended <= limit {
            return false;
        }
        self.over_limit = true;
        self.counts.post_relabeling += 1;
        true
    }

    /// Appends one sample and its exemplars.
    #[inline]
    fn append<L: Line>(
        &mut self,
        reference: SeriesRef,
        line: &mut L,
        own_ms: Option<i64>,
        families: &MetadataPass<'_>,
    ) -> Result<Appended, ScrapeError> {
        let t_ms = own_ms.unwrap_or(self.scrape.at_ms);
        if own_ms.is_some() && t_ms > self.scrape.now_ms + MAX_AHEAD_MS {
            self.refused.out_of_bounds += 1;
            return Ok(Appended { fate: Fate::Refused, resolved: None });
        }
        match self.append_value(reference, line, t_ms, families) {
            Ok(fate) => {
                if line.may_have_exemplars() && fate == Fate::Taken {
                    self.exemplars(reference, line, t_ms);
                }
                Ok(Appended { fate, resolved: None })
            }
            Err(AppendError::UnknownSeries) => self.append_anew_for(Some(reference), line, own_ms, families),
            Err(error) => self.refuse(reference, error).map(|fate| Appended { fate, resolved: None }),
        }
    }

    /// The store refused one sample.
    #[cold]
    fn refuse(&mut self, series: SeriesRef, error: AppendError) -> Result<Fate, ScrapeError> {
        if let Some(starts) = &mut self.starts {
            starts.forget(series);
        }
        self.refused.count(error).map(|()| Fate::Refused)
    }

    /// The store's reference of the series was never kept.
    #[cold]
    fn append_anew<L: Line>(
        &mut self,
        line: &mut L,
        own_ms: Option<i64>,
        families: &MetadataPass<'_>,
    ) -> Result<Appended, ScrapeError> {
        self.append_anew_for(None, line, own_ms, families)
    }

    /// The store forgot the series, or its reference was never kept.
    #[cold]
    fn append_anew_for<L: Line>(
        &mut self,
        before: Option<SeriesRef>,
        line: &mut L,
        own_ms: Option<i64>,
        families: &MetadataPass<'_>,
    ) -> Result<Appended, ScrapeError> {
        let Some(labels) = self.labels(line)? else {
            return Ok(Appended { fate: Fate::Refused, resolved: None });
        };
        let reference = self.appender.resolve(&labels)?;
        if let (Some(starts), Some(before)) = (&mut self.starts, before) {
            starts.rename(before, reference);
        }
        let t_ms = own_ms.unwrap_or(self.scrape.at_ms);
        let fate = match self.append_value(reference, line, t_ms, families) {
            Ok(fate) => fate,
            Err(error) => self.refuse(reference, error)?,
        };
        Ok(Appended { fate, resolved: Some(reference) })
    }

    #[inline]
    fn append_value<L: Line>(
        &mut self,
        series: SeriesRef,
        line: &mut L,
        t_ms: i64,
        families: &MetadataPass<'_>,
    ) -> Result<Fate, AppendError> {
        // PERF: bench `ingest`, text steady.
        if self.with_starts {
            return self.append_with_start(series, line, t_ms, families);
        }
        self.append_plain(series, line.value(), t_ms).map(|()| Fate::Taken)
    }

    #[inline]
    fn append_plain(&mut self, series: SeriesRef, value: Value<'_>, t_ms: i64) -> Result<(), AppendError> {
        match value {
            Value::Float(value) => self.appender.append(series, t_ms, value),
            Value::Histogram(histogram) => self.appender.append_histogram(series, t_ms, histogram),
        }
    }

    #[cold]
    fn append_with_start<L: Line>(
        &mut self,
        series: SeriesRef,
        line: &mut L,
        t_ms: i64,
        families: &MetadataPass<'_>,
    ) -> Result<Fate, AppendError> {
        let told = if self.parses_starts { line.start_ms() } else { None };
        if let Some(start_ms) = told {
            // What the target tells is better than what was made.
            self.starts.iter_mut().for_each(|starts| starts.forget(series));
            return self.append_started(series, line.value(), start_ms, t_ms).map(|()| Fate::Taken);
        }
        match self.rebase(series, line, t_ms, families) {
            Rebased::HeldBack => return Ok(Fate::HeldBack),
            Rebased::TooOld => return Err(AppendError::OutOfOrder),
            Rebased::Unchanged => self.append_plain(series, line.value(), t_ms)?,
            Rebased::Float(value, start_ms) => {
                self.append_started(series, Value::Float(value), start_ms, t_ms)?;
            }
            Rebased::Int(h, start_ms) => {
                self.append_started(series, Value::Histogram(HistogramRef::Int(&h)), start_ms, t_ms)?;
            }
            Rebased::FloatHistogram(h, start_ms) => {
                self.append_started(series, Value::Histogram(HistogramRef::Float(&h)), start_ms, t_ms)?;
            }
        }
        Ok(Fate::Taken)
    }

    /// What a sample without a start of its own becomes.
    fn rebase<L: Line>(
        &mut self,
        series: SeriesRef,
        line: &mut L,
        t_ms: i64,
        families: &MetadataPass<'_>,
    ) -> Rebased {
        let Some(starts) = self.starts.take() else { return Rebased::Unchanged };
        // Labels are only read of a series that is not known; labels that cannot be read ended the scrape when it was.
        let labels = if starts.is_known(series) { None } else { self.labels(line).ok().flatten() };
        let is_counter = || {
            let metric = labels.as_ref().map_or("", Labels::metric_name);
            families.metadata_of(metric).is_some_and(|family| is_cumulative(family.kind, metric))
        };
        let rebased = starts.rebase((series, t_ms), line.value(), is_counter);
        self.starts = Some(starts);
        rebased
    }

    /// Appends a sample whose counter is known to have started at `start_ms`.
    fn append_started(
        &mut self,
        series: SeriesRef,
        value: Value<'_>,
        start_ms: i64,
        t_ms: i64,
    ) -> Result<(), AppendError> {
        if self.scrape.options.start_zeros {
            let like = match value {
                Value::Float(_) => None,
                Value::Histogram(histogram) => Some(histogram),
            };
            self.appender.append_start_zero(series, start_ms, t_ms, like)?;
        }
        let start_ms = if self.scrape.options.store_starts { start_ms } else { 0 };
        match value {
            Value::Float(value) => self.appender.append_with_start(series, start_ms, t_ms, value),
            Value::Histogram(histogram) => {
                self.appender.append_histogram_with_start(series, start_ms, t_ms, histogram)
            }
        }
    }

    fn labels<L: Line>(&self, line: &mut L) -> Result<Option<Labels>, ScrapeError> {
        let Scrape { config, public, metrics, .. } = self.scrape;
        let labels = series_labels(line.labels(), config, public);
        labels.inspect_err(|error| {
            if matches!(error, ScrapeError::LabelLimit(_)) {
                metrics.exceeded_label_limits.inc();
            }
        })
    }

    /// Notes whether the series is to be marked stale when its line goes.
    #[inline]
    fn track(&mut self, pass: &mut Pass<'_>, at: usize, fate: Fate, no_time: bool) {
        let slot = pass.slot(at);
        if fate != Fate::Refused && slot.is_untaken() {
            slot.set_taken();
            if !self.over_limit && !self.over_buckets && !slot.is_again() {
                self.counts.series_added += 1;
            }
        }
        // What was live stays so when its counter begins anew; what was not has nothing to end yet.
        if slot.is_again() || fate == Fate::HeldBack {
            return;
        }
        let series = slot.series();
        let tracked = fate == Fate::Taken && (no_time || self.scrape.config.track_timestamps_staleness);
        if pass.set_tracked(at, tracked) && !tracked {
            self.moved.extend(series);
        }
    }

    #[cold]
    fn exemplars<L: Line>(&mut self, reference: SeriesRef, line: &L, t_ms: i64) {
        let (mut late, exemplars) = (0, line.exemplars(t_ms));
        for exemplar in &exemplars {
            match self.appender.append_exemplar(reference, exemplar) {
                Ok(()) => {}
                Err(AppendError::OutOfOrderExemplar) => late += 1,
                // COMPAT: exemplars are extra; nothing that is wrong with one fails a scrape.
                Err(error) => tracing::debug!(%error, "Error while adding exemplar"),
            }
        }
        // Some late ones among others are exemplars that were scraped before.
        if late == exemplars.len() {
            self.refused.exemplars_out_of_order += late as u64;
        }
    }

    /// The family of a known series says something new.
    #[cold]
    fn changed_metadata<L: Line>(
        &mut self,
        line: &mut L,
        reference: Option<SeriesRef>,
        families: &MetadataPass<'_>,
    ) -> Result<(), ScrapeError> {
        if let (Some(reference), Some(labels)) = (reference, self.labels(line)?) {
            self.metadata(reference, labels.metric_name(), families);
        }
        Ok(())
    }

    fn metadata(&mut self, reference: SeriesRef, metric: &str, families: &MetadataPass<'_>) {
        let Some(metadata) = families.metadata_of(metric) else { return };
        // COMPAT: what is wrong with metadata fails no scrape.
        if let Err(error) = self.appender.update_metadata(reference, metadata) {
            tracing::debug!(%error, "Error when appending metadata in scrape loop");
        }
    }
}
