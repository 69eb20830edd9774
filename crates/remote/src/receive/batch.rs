//! One request into one batch: series found, then samples, exemplars and histograms handed to the storage in their order.
//!
//! COMPAT: as in Prometheus' receiver the first sample or histogram that the storage refuses ends the request, and nothing of it is
//! kept; series with unfit labels are left out and counted; an exemplar that is refused is left out.
//! Must not know: HTTP, the clock.

use narthex_storage::{AppendError, Appender, HistogramRef, SeriesRef};

use super::WriteError;
use super::exemplar::exemplar;
use super::histogram::{Either, HistogramFields};
use super::label_set::{LabelSet, read_labels};
use super::message::{Message, Sample, SeriesEntry, Span};
use super::reduce::reduce_resolution;
use super::series_cache::{Epoch, Key, SeriesCache};
use super::wire::{DecodeError, Reader};

/// What is known of a series before the storage is asked.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// The cache knew it.
    Known(SeriesRef),
    /// Its labels, for the storage to find or create.
    New(LabelSet),
}

/// How to find the series of a request; reused from request to request.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// `None` for series whose labels are scattered; these are not remembered.
    keys: Vec<Option<Key>>,
    found: Vec<Found>,
}

impl Lookup {
    /// Looks up every series, and reads the labels of those that are not known.
    ///
    /// PERF: two straight loops, first hashes, then look-ups, so that the cache misses of several look-ups overlap.
    pub(super) fn find(
        &mut self,
        buffer: &[u8],
        message: &Message,
        cache: &SeriesCache,
        now: Epoch,
    ) -> Result<(), DecodeError> {
        self.keys.clear();
        self.found.clear();
        let key =
            |series: &SeriesEntry| (!series.scattered).then(|| cache.key(&buffer[series.labels.range()]));
        self.keys.extend(message.series.iter().map(key));
        self.found.reserve(message.series.len());
        for (series, key) in message.series.iter().zip(&self.keys) {
            self.found.push(match key.and_then(|key| cache.get(key, now)) {
                Some(known) => Found::Known(known),
                None => Found::New(read_labels(Reader::new(buffer, series.labels.range()))?),
            });
        }
        Ok(())
    }

    /// Forgets everything and gives memory back that one large request took.
    pub(super) fn shrink(&mut self, max_elements: usize) {
        self.keys.clear();
        self.found.clear();
        self.keys.shrink_to(max_elements);
        self.found.shrink_to(max_elements);
    }
}

/// One request on its way into the storage.
pub(super) struct Batch<'a> {
    pub(super) buffer: &'a [u8],
    pub(super) cache: &'a SeriesCache,
    pub(super) now: Epoch,
    /// Samples after this are refused, ms.
    pub(super) max_ms: i64,
}

impl Batch<'_> {
    /// Appends everything, and says how many series were left out for their labels. After an error the caller rolls back.
    pub(super) fn append(
        &self,
        message: &Message,
        lookup: &mut Lookup,
        appender: &mut dyn Appender,
    ) -> Result<usize, WriteError> {
        let mut invalid_series = 0;
        let (mut sample, mut exemplar, mut histogram) = (0, 0, 0);
        for ((series, key), found) in message.series.iter().zip(&lookup.keys).zip(lookup.found.drain(..)) {
            let members = Members {
                samples: &message.samples[sample..series.samples_end as usize],
                exemplars: &message.exemplars[exemplar..series.exemplars_end as usize],
                histograms: &message.histograms[histogram..series.histograms_end as usize],
            };
            sample = series.samples_end as usize;
            exemplar = series.exemplars_end as usize;
            histogram = series.histograms_end as usize;
            match found {
                Found::Known(known) => self.append_known(known, (series, *key), &members, appender)?,
                Found::New(LabelSet::Valid(labels)) if !members.is_empty() => {
                    let resolved = appender.resolve(&labels)?;
                    self.remember(*key, resolved);
                    self.append_members(resolved, &members, appender)?;
                }
                Found::New(LabelSet::Valid(_)) => {}
                Found::New(LabelSet::Invalid(labels)) => {
                    if invalid_series == 0 {
                        tracing::warn!(got = labels, "Invalid metric names or labels");
                    }
                    invalid_series += 1;
                }
            }
        }
        Ok(invalid_series)
    }

    /// Appends to a series from the cache; when the storage has dropped it meanwhile, finds it again.
    fn append_known(
        &self,
        known: SeriesRef,
        (series, key): (&SeriesEntry, Option<Key>),
        members: &Members<'_>,
        appender: &mut dyn Appender,
    ) -> Result<(), WriteError> {
        match self.append_members(known, members, appender) {
            // A reference is unknown from the first member on or not at all, so nothing is appended twice.
            Err(WriteError::Append(AppendError::UnknownSeries)) => {}
            other => return other,
        }
        let LabelSet::Valid(labels) = read_labels(Reader::new(self.buffer, series.labels.range()))? else {
            return Err(AppendError::UnknownSeries.into());
        };
        let resolved = appender.resolve(&labels)?;
        self.remember(key, resolved);
        self.append_members(resolved, members, appender)
    }

    fn remember(&self, key: Option<Key>, series: SeriesRef) {
        if let Some(key) = key {
            self.cache.insert(key, series, self.now);
        }
    }

    fn append_members(
        &self,
        series: SeriesRef,
        members: &Members<'_>,
        appender: &mut dyn Appender,
    ) -> Result<(), WriteError> {
        for sample in members.samples {
            self.check_time(sample.t_ms)?;
            appender
                .append(series, sample.t_ms, sample.value)
                .map_err(|e| refused(e, series, sample.t_ms))?;
        }
        for place in members.exemplars {
            self.append_exemplar(series, *place, appender)?;
        }
        for place in members.histograms {
            self.append_histogram(series, *place, appender)?;
        }
        Ok(())
    }

    fn check_time(&self, t_ms: i64) -> Result<(), WriteError> {
        if t_ms > self.max_ms { Err(WriteError::FarFuture) } else { Ok(()) }
    }

    fn append_exemplar(
        &self,
        series: SeriesRef,
        place: Span,
        appender: &mut dyn Appender,
    ) -> Result<(), WriteError> {
        let read = exemplar(Reader::new(self.buffer, place.range()))?;
        let Some(exemplar) = read.filter(|e| e.t_ms.is_some_and(|t| t <= self.max_ms)) else {
            return Ok(());
        };
        match appender.append_exemplar(series, &exemplar) {
            Err(AppendError::UnknownSeries) => Err(AppendError::UnknownSeries.into()),
            Err(err) => {
                tracing::debug!(%err, series = series.0, "Error while adding exemplar");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn append_histogram(
        &self,
        series: SeriesRef,
        place: Span,
        appender: &mut dyn Appender,
    ) -> Result<(), WriteError> {
        let mut fields = HistogramFields::default();
        fields.read(self.buffer, place.range())?;
        let t_ms = fields.t_ms;
        self.check_time(t_ms)?;
        let histogram = reduce_resolution(fields.into_histogram()).map_err(AppendError::InvalidHistogram)?;
        let histogram = match &histogram {
            Either::Int(h) => HistogramRef::Int(h),
            Either::Float(h) => HistogramRef::Float(h),
        };
        appender.append_histogram(series, t_ms, histogram).map_err(|e| refused(e, series, t_ms))
    }
}

/// The samples, exemplars and histograms of one series.
struct Members<'a> {
    samples: &'a [Sample],
    exemplars: &'a [Span],
    histograms: &'a [Span],
}

impl Members<'_> {
    fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.exemplars.is_empty() && self.histograms.is_empty()
    }
}

#[cold]
fn refused(error: AppendError, series: SeriesRef, t_ms: i64) -> WriteError {
    if error != AppendError::UnknownSeries {
        tracing::error!(err = %error, series = series.0, timestamp = t_ms, "sample from remote write refused");
    }
    WriteError::Append(error)
}
