//! From a body to a batch: the hot path of scraping.
//!
//! PERF: a line that is where it was costs the parser's scan of value and line end, a compare with the cached bytes, and one
//! `append`: no hash, no label, no allocation. Bench: `cargo bench -p narthex-scrape --bench ingest`.
//! Always true: the batch is only filled here, the caller commits or rolls back; after an error the cache knows what it knew before.

use narthex_config::ScrapeConfig;
use narthex_exposition::{Dialect, Entry, Format, Parser, Series, choose_format, decode_exemplar};
use narthex_model::{Exemplar, Labels, LabelsBuilder};
use narthex_storage::{AppendError, Appender, SeriesRef};

use crate::error::ScrapeError;
use crate::metadata_cache::MetadataCache;
use crate::metrics::ScrapeMetrics;
use crate::new_series::series_labels;
use crate::series_cache::{Hint, Pass, Place, SeriesCache, Slot};

/// Samples may be this far in the future.
pub(crate) const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;

/// What the automatic series tell of a scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) scraped: u64,
    pub(crate) post_relabeling: u64,
    pub(crate) series_added: u64,
}

/// What is fixed for one scrape.
pub(crate) struct Scrape<'a> {
    pub(crate) config: &'a ScrapeConfig,
    pub(crate) fallback: Option<Format>,
    pub(crate) public: &'a Labels,
    pub(crate) metrics: &'a ScrapeMetrics,
    /// The timestamp of samples without one, ms.
    pub(crate) at_ms: i64,
    /// The clock, ms: bounds timestamps of the target.
    pub(crate) now_ms: i64,
    pub(crate) parse_start_timestamps: bool,
}

/// What a target keeps from scrape to scrape.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) series: SeriesCache,
    pub(crate) metadata: MetadataCache,
}

impl Scrape<'_> {
    /// Appends the samples of `body`. Series that ended are added to `stale`: after a good body those that are not in it any
    /// more, after a bad one all.
    pub(crate) fn ingest(
        &self,
        body: &[u8],
        content_type: &str,
        memory: &mut Memory,
        appender: &mut dyn Appender,
        (hint, stale): (&mut Hint, &mut Vec<SeriesRef>),
    ) -> (Counts, Result<(), ScrapeError>) {
        let dialect = match self.dialect(content_type) {
            Ok(dialect) => dialect,
            Err(error) => {
                memory.series.end_all(stale);
                return (Counts::default(), Err(error));
            }
        };
        let mut parser = Parser::new(body, dialect);
        if self.parse_start_timestamps {
            parser = parser.without_created_series();
        }
        let mut filling = Filling {
            scrape: self,
            appender,
            counts: Counts::default(),
            appended: 0,
            over_limit: false,
            refused: Refused::default(),
            moved: Vec::new(),
        };
        let mut pass = memory.series.pass(hint);
        let mut families = memory.metadata.pass();
        let mut outcome = loop {
            match parser.next_like(pass.hint()) {
                Ok(Some(Entry::Series(series))) => {
                    if let Err(error) = filling.series(&series, &parser, &mut pass) {
                        break Err(error);
                    }
                }
                Ok(Some(entry)) => families.note(&entry),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        // What was read of a bad body is still the newest word on its families.
        families.finish(outcome.is_ok());
        if filling.over_limit {
            self.metrics.exceeded_sample_limit.inc();
            outcome = outcome.and(Err(ScrapeError::SampleLimit));
        }
        match outcome {
            Ok(()) => pass.finish(stale),
            Err(_) => pass.abandon(stale),
        }
        stale.append(&mut filling.moved);
        filling.refused.publish(self.metrics);
        (filling.counts, outcome)
    }

    fn dialect(&self, content_type: &str) -> Result<Dialect, ScrapeError> {
        let (format, warning) = choose_format(content_type, self.fallback)?;
        if let Some(warning) = warning {
            tracing::debug!(content_type, %warning, "Invalid content type on scrape, using fallback setting.");
        }
        format.dialect().ok_or(ScrapeError::Protobuf)
    }
}

/// Samples that the store refused one by one.
#[derive(Default)]
struct Refused {
    out_of_order: u64,
    duplicate: u64,
    out_of_bounds: u64,
    exemplars_out_of_order: u64,
}

impl Refused {
    fn publish(&self, metrics: &ScrapeMetrics) {
        let told = [
            (self.out_of_order, &metrics.out_of_order, "Error on ingesting out-of-order samples"),
            (
                self.duplicate,
                &metrics.duplicate,
                "Error on ingesting samples with different value but same timestamp",
            ),
            (
                self.out_of_bounds,
                &metrics.out_of_bounds,
                "Error on ingesting samples that are too old or are too far into the future",
            ),
            (
                self.exemplars_out_of_order,
                &metrics.exemplar_out_of_order,
                "Error on ingesting out-of-order exemplars",
            ),
        ];
        for (count, counter, text) in told {
            if count > 0 {
                counter.add(count as f64);
                tracing::warn!(num_dropped = count, "{text}");
            }
        }
    }

    /// Counts a refusal that concerns one sample only; any other ends the scrape.
    fn count(&mut self, error: AppendError) -> Result<(), ScrapeError> {
        match error {
            AppendError::OutOfOrder => self.out_of_order += 1,
            AppendError::DuplicateTimestamp => self.duplicate += 1,
            AppendError::OutOfBounds => self.out_of_bounds += 1,
            // COMPAT: too old for the out-of-order window is not among the excused (case om-suite/timestamps).
            other => return Err(other.into()),
        }
        Ok(())
    }
}

/// A batch that is being filled.
struct Filling<'a> {
    scrape: &'a Scrape<'a>,
    appender: &'a mut dyn Appender,
    counts: Counts,
    /// Samples that count against the limit.
    appended: u64,
    over_limit: bool,
    refused: Refused,
    /// Series whose line is still there but that lost their claim to be live: refused, or given a timestamp of their own.
    moved: Vec<SeriesRef>,
}

impl Filling<'_> {
    #[inline]
    fn series(
        &mut self,
        series: &Series<'_>,
        parser: &Parser<'_>,
        pass: &mut Pass<'_>,
    ) -> Result<(), ScrapeError> {
        self.counts.scraped += 1;
        let own_ms = if self.scrape.config.honor_timestamps { series.t_ms } else { None };
        match pass.place(series.raw, series.as_hinted) {
            Place::Known(at) => self.known(series, own_ms, parser, pass, at),
            Place::Again(at) if own_ms.is_some() => self.known(series, own_ms, parser, pass, at),
            Place::Again(at) => {
                if !pass.slot(at).is_dropped() {
                    self.counts.post_relabeling += 1;
                    self.refused.duplicate += 1;
                }
                Ok(())
            }
            Place::New => self.new_line(series, own_ms, parser, pass),
        }
    }

    #[inline]
    fn known(
        &mut self,
        series: &Series<'_>,
        own_ms: Option<i64>,
        parser: &Parser<'_>,
        pass: &mut Pass<'_>,
        at: usize,
    ) -> Result<(), ScrapeError> {
        let slot = *pass.slot(at);
        if slot.is_dropped() {
            return Ok(());
        }
        if self.is_over_limit() {
            return Ok(());
        }
        let (outcome, new_ref) = match slot.series() {
            Some(reference) => self.append(reference, series, own_ms, parser)?,
            None => self.append_anew(series, own_ms, parser)?,
        };
        self.counts.post_relabeling += 1;
        if let Some(reference) = new_ref {
            pass.slot(at).set_series(reference);
        }
        self.track(pass, at, outcome, own_ms.is_none());
        Ok(())
    }

    #[cold]
    fn new_line(
        &mut self,
        series: &Series<'_>,
        own_ms: Option<i64>,
        parser: &Parser<'_>,
        pass: &mut Pass<'_>,
    ) -> Result<(), ScrapeError> {
        let Some(labels) = self.labels(series, parser)? else {
            pass.add(series.raw, Slot::dropped());
            return Ok(());
        };
        if self.is_over_limit() {
            return Ok(());
        }
        let reference = self.appender.resolve(&labels)?;
        let (outcome, _) = self.append(reference, series, own_ms, parser)?;
        self.counts.post_relabeling += 1;
        let at = pass.add(series.raw, Slot::resolved(reference));
        self.track(pass, at, outcome, own_ms.is_none());
        Ok(())
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

    /// Appends one sample and its exemplar. Returns whether it was taken, and the reference when the series had to be resolved anew.
    #[inline]
    fn append(
        &mut self,
        reference: SeriesRef,
        series: &Series<'_>,
        own_ms: Option<i64>,
        parser: &Parser<'_>,
    ) -> Result<(bool, Option<SeriesRef>), ScrapeError> {
        let t_ms = own_ms.unwrap_or(self.scrape.at_ms);
        if own_ms.is_some() && t_ms > self.scrape.now_ms + MAX_AHEAD_MS {
            self.refused.out_of_bounds += 1;
            return Ok((false, None));
        }
        match self.appender.append(reference, t_ms, series.value) {
            Ok(()) => {
                if series.exemplar.is_some() {
                    self.exemplar(reference, series, t_ms);
                }
                Ok((true, None))
            }
            Err(AppendError::UnknownSeries) => self.append_anew(series, own_ms, parser),
            Err(error) => self.refused.count(error).map(|()| (false, None)),
        }
    }

    /// The store forgot the series, or its reference was never kept.
    #[cold]
    fn append_anew(
        &mut self,
        series: &Series<'_>,
        own_ms: Option<i64>,
        parser: &Parser<'_>,
    ) -> Result<(bool, Option<SeriesRef>), ScrapeError> {
        let Some(labels) = self.labels(series, parser)? else { return Ok((false, None)) };
        let reference = self.appender.resolve(&labels)?;
        let t_ms = own_ms.unwrap_or(self.scrape.at_ms);
        let taken = match self.appender.append(reference, t_ms, series.value) {
            Ok(()) => true,
            Err(error) => {
                self.refused.count(error)?;
                false
            }
        };
        Ok((taken, Some(reference)))
    }

    fn labels(&self, series: &Series<'_>, parser: &Parser<'_>) -> Result<Option<Labels>, ScrapeError> {
        let Scrape { config, public, metrics, .. } = self.scrape;
        let labels = series_labels(series.raw, parser.dialect(), parser.kind(), config, public);
        labels.inspect_err(|error| {
            if matches!(error, ScrapeError::LabelLimit(_)) {
                metrics.exceeded_label_limits.inc();
            }
        })
    }

    /// Notes whether the series is to be marked stale when its line goes.
    #[inline]
    fn track(&mut self, pass: &mut Pass<'_>, at: usize, taken: bool, no_time: bool) {
        let slot = pass.slot(at);
        if taken && slot.is_untaken() {
            slot.set_taken();
            if !self.over_limit && !slot.is_again() {
                self.counts.series_added += 1;
            }
        }
        if slot.is_again() {
            return;
        }
        let series = slot.series();
        let tracked = taken && (no_time || self.scrape.config.track_timestamps_staleness);
        if pass.set_tracked(at, tracked) && !tracked {
            self.moved.extend(series);
        }
    }

    #[cold]
    fn exemplar(&mut self, reference: SeriesRef, series: &Series<'_>, t_ms: i64) {
        let Some(raw) = series.exemplar else { return };
        let mut builder = LabelsBuilder::new();
        if decode_exemplar(raw.raw, &mut builder).is_err() {
            return;
        }
        let exemplar =
            Exemplar { labels: builder.labels(), value: raw.value, t_ms: Some(raw.t_ms.unwrap_or(t_ms)) };
        match self.appender.append_exemplar(reference, &exemplar) {
            Ok(()) => {}
            Err(AppendError::OutOfOrderExemplar) => self.refused.exemplars_out_of_order += 1,
            // COMPAT: exemplars are extra; nothing that is wrong with one fails a scrape.
            Err(error) => tracing::debug!(%error, "Error while adding exemplar"),
        }
    }
}

#[cfg(test)]
mod tests;
