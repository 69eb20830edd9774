//! One request into one batch: series found or made, then their members handed to the storage; what it refuses is left out.
//!
//! COMPAT: what is refused alone (400), what ends the request (500), the order of the checks and the words are those of Prometheus'
//! receiver. Other than there, a start timestamp does not bring in a sample that lies too far in the future, start timestamps are
//! given to the storage, which keeps them if it is set to, and exemplars may come without a sample if their series is known: so
//! Prometheus sends them. Must not know: HTTP, the clock.
//! PERF: `benches/receive.rs`; a known series costs no look at its labels, and nothing is allocated for a float.

use narthex_model::{Exemplar, Metadata};
use narthex_storage::{AppendError, Appender, HistogramRef, SeriesRef};

use super::Context;
use super::labels::{check_metadata, labels, shown_labels};
use super::lookup::Lookup;
use super::message::{Request, Sample, Series, read_exemplar};
use super::symbols::{BadRefs, Symbols};
use super::tally::Tally;
use crate::receive::WriteError;
use crate::receive::exemplar::exemplar;
use crate::receive::histogram::{Either, HistogramFields};
use crate::receive::limits::{MAX_SPELLED, MAX_SPELLED_TOTAL};
use crate::receive::message::Span;
use crate::receive::reduce::reduce_resolution;
use crate::receive::series_cache::Key;
use crate::receive::wire::Reader;

/// One request on its way into the storage.
pub(super) struct Batch<'a> {
    pub(super) symbols: Symbols<'a>,
    pub(super) request: &'a Request,
    pub(super) context: &'a Context<'a>,
}

/// What changes while a request is appended.
#[derive(Default)]
struct Work {
    tally: Tally,
    /// Bytes of labels and metadata that were spelled.
    spelled: usize,
    /// The metadata of a series; only there to reuse memory.
    metadata: Metadata,
}

impl Work {
    fn spell(&mut self, bytes: usize) -> Result<(), WriteError> {
        self.spelled += bytes;
        if self.spelled > MAX_SPELLED_TOTAL { Err(WriteError::Expands) } else { Ok(()) }
    }
}

impl Batch<'_> {
    /// Appends what it can. After an error the caller rolls back.
    pub(super) fn append(&self, lookup: &Lookup, appender: &mut dyn Appender) -> Result<Tally, WriteError> {
        let mut work = Work::default();
        for (series, (key, found)) in self.request.series().zip(lookup.series()) {
            let known = match found {
                // The series may have come with this very request.
                None if series.has_only_exemplars() => {
                    key.and_then(|key| self.context.cache.get(key, self.context.now))
                }
                Some(_) if series.sample_count() == 0 && series.exemplars.is_empty() => None,
                other => other,
            };
            match known.filter(|_| check_metadata(self.symbols, &series).is_ok()) {
                Some(known) => self.append_known(known, (&series, key), &mut work, appender)?,
                None => self.append_new((&series, key), &mut work, appender)?,
            }
        }
        Ok(work.tally)
    }

    /// Appends to a series from the cache; when the storage has dropped it meanwhile, finds it again.
    fn append_known(
        &self,
        known: SeriesRef,
        series: (&Series<'_>, Option<Key>),
        work: &mut Work,
        appender: &mut dyn Appender,
    ) -> Result<(), WriteError> {
        let mark = work.tally.mark();
        match self.append_members(known, series.0, work, appender) {
            // A reference is unknown from the first member on or not at all, so nothing is appended twice.
            Err(WriteError::Append(AppendError::UnknownSeries)) => {
                work.tally.back_to(&mark);
                self.append_new(series, work, appender)
            }
            other => other,
        }
    }

    fn append_new(
        &self,
        (series, key): (&Series<'_>, Option<Key>),
        work: &mut Work,
        appender: &mut dyn Appender,
    ) -> Result<(), WriteError> {
        let labels = match labels(self.symbols, series, self.with_type_and_unit()) {
            Ok(labels) => labels,
            Err(bad) => {
                if bad.is_for_labels() {
                    work.tally.counts.invalid += series.sample_count();
                }
                work.tally.refuse(|| bad);
                return Ok(());
            }
        };
        work.spell(labels.as_packed().len())?;
        let resolved = appender.resolve(&labels)?;
        if let Some(key) = key {
            self.context.cache.insert(key, resolved, self.context.now);
        }
        self.append_members(resolved, series, work, appender)
    }

    fn append_members(
        &self,
        at: SeriesRef,
        series: &Series<'_>,
        work: &mut Work,
        appender: &mut dyn Appender,
    ) -> Result<(), WriteError> {
        let before = work.tally.counts.written;
        for sample in series.samples {
            match self.append_sample(at, sample, appender) {
                Ok(()) => work.tally.counts.written.samples += 1,
                Err(error) => self.refuse(error, series, work)?,
            }
        }
        for place in series.histograms {
            match self.append_histogram(at, *place, appender) {
                Ok(()) => work.tally.counts.written.histograms += 1,
                Err(error) => self.refuse(error, series, work)?,
            }
        }
        for place in series.exemplars {
            self.append_exemplar(at, series, *place, work, appender)?;
        }
        if self.context.options.metadata && !self.update_metadata(at, series, work, appender)? {
            let now = work.tally.counts.written;
            let stored = now.samples + now.histograms - before.samples - before.histograms;
            work.tally.counts.without_metadata += stored;
        }
        Ok(())
    }

    /// Notes what is refused alone; any other error ends the request.
    #[cold]
    fn refuse(&self, error: WriteError, series: &Series<'_>, work: &mut Work) -> Result<(), WriteError> {
        if !error.is_bad_sample() {
            return Err(error);
        }
        work.tally.refuse(|| format!("{error} for series {}", self.shown(series)));
        Ok(())
    }

    fn shown(&self, series: &Series<'_>) -> String {
        shown_labels(self.symbols, series, self.with_type_and_unit())
    }

    fn with_type_and_unit(&self) -> bool {
        self.context.options.type_and_unit_labels
    }

    #[inline]
    fn append_sample(
        &self,
        at: SeriesRef,
        sample: &Sample,
        appender: &mut dyn Appender,
    ) -> Result<(), WriteError> {
        let Sample { start_ms, t_ms, value } = *sample;
        self.check_time(t_ms)?;
        if start_ms != 0 {
            self.append_start(at, (start_ms, t_ms), None, appender)?;
        }
        Ok(appender.append_with_start(at, start_ms, t_ms, value)?)
    }

    fn append_histogram(
        &self,
        at: SeriesRef,
        place: Span,
        appender: &mut dyn Appender,
    ) -> Result<(), WriteError> {
        let mut fields = HistogramFields::default();
        fields.read(self.symbols.buffer, place.range())?;
        let (start_ms, t_ms) = (fields.start_ms, fields.t_ms);
        self.check_time(t_ms)?;
        let histogram = reduce_resolution(fields.into_histogram()).map_err(AppendError::InvalidHistogram)?;
        let histogram = match &histogram {
            Either::Int(h) => HistogramRef::Int(h),
            Either::Float(h) => HistogramRef::Float(h),
        };
        self.append_start(at, (start_ms, t_ms), Some(histogram), appender)?;
        Ok(appender.append_histogram_with_start(at, start_ms, t_ms, histogram)?)
    }

    fn check_time(&self, t_ms: i64) -> Result<(), WriteError> {
        if t_ms > self.context.max_ms { Err(WriteError::FarFuture) } else { Ok(()) }
    }

    /// Adds the zero at the start of a counter, if that is switched on. Nothing is lost when it is refused.
    fn append_start(
        &self,
        at: SeriesRef,
        (start_ms, t_ms): (i64, i64),
        like: Option<HistogramRef<'_>>,
        appender: &mut dyn Appender,
    ) -> Result<(), WriteError> {
        if !self.context.options.start_zero || start_ms == 0 || t_ms == 0 {
            return Ok(());
        }
        match appender.append_start_zero(at, start_ms, t_ms, like) {
            Err(AppendError::UnknownSeries) => Err(AppendError::UnknownSeries.into()),
            Err(err) => {
                tracing::debug!(%err, start_timestamp = start_ms, "Error when appending ST from remote write request");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn append_exemplar(
        &self,
        at: SeriesRef,
        series: &Series<'_>,
        place: Span,
        work: &mut Work,
        appender: &mut dyn Appender,
    ) -> Result<(), WriteError> {
        let outcome = match self.exemplar(place)? {
            Ok(Some(exemplar)) if exemplar.t_ms.is_some_and(|t_ms| t_ms > self.context.max_ms) => {
                Err(AppendError::OutOfBounds)
            }
            Ok(Some(exemplar)) => appender.append_exemplar(at, &exemplar),
            Ok(None) => Err(AppendError::InvalidLabels("of an exemplar".to_owned())),
            Err(bad) => {
                let reason = || format!("parsing exemplar for series {}: {bad}", self.shown(series));
                work.tally.refuse(reason);
                return Ok(());
            }
        };
        match outcome {
            Ok(()) => work.tally.counts.written.exemplars += 1,
            Err(AppendError::UnknownSeries) => return Err(AppendError::UnknownSeries.into()),
            Err(err @ AppendError::OutOfOrderExemplar) => {
                work.tally.refuse(|| format!("{err} for series {}", self.shown(series)));
            }
            // COMPAT: any other is left out without a word to the sender.
            Err(err) => tracing::debug!(%err, series = at.0, "failed to ingest exemplar"),
        }
        Ok(())
    }

    /// The exemplar at a place; `None` when its labels are no label set or longer than any that is stored.
    fn exemplar(&self, place: Span) -> Result<Result<Option<Exemplar>, BadRefs>, WriteError> {
        let mut refs = Vec::new();
        let reader = Reader::new(self.symbols.buffer, place.range());
        let (value, t_ms) = read_exemplar(reader, |number| refs.push(number))?;
        Ok(self.symbols.labels(&refs).map(|pairs| exemplar(pairs, value, t_ms)))
    }

    /// Hands on the metadata; `false` when it could not be kept.
    fn update_metadata(
        &self,
        at: SeriesRef,
        series: &Series<'_>,
        work: &mut Work,
        appender: &mut dyn Appender,
    ) -> Result<bool, WriteError> {
        let text = |number| self.symbols.get(number).and_then(|text| std::str::from_utf8(text).ok());
        let (Some(help), Some(unit)) = (text(series.metadata.help), text(series.metadata.unit)) else {
            return Ok(false);
        };
        let bytes = help.len() + unit.len();
        if bytes > MAX_SPELLED {
            return Ok(false);
        }
        work.spell(bytes)?;
        work.metadata.kind = series.metadata.kind;
        work.metadata.help.clear();
        work.metadata.help.push_str(help);
        work.metadata.unit.clear();
        work.metadata.unit.push_str(unit);
        Ok(appender.update_metadata(at, &work.metadata).is_ok())
    }
}
