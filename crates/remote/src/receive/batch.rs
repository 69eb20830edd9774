//! One request into one batch: series found, then samples, exemplars and histograms handed to the storage in their order.
//!
//! COMPAT: as in Prometheus' receiver the first sample or histogram that the storage refuses ends the request, and nothing of it is
//! kept; series with unfit labels are left out and counted; an exemplar that is refused is left out.
//! Must not know: HTTP, the clock.

use narthex_model::Labels;
use narthex_storage::{AppendError, Appender, HistogramRef, SeriesRef};

use super::WriteError;
use super::exemplar::{exemplar, read_exemplar};
use super::histogram::{Either, HistogramFields};
use super::label_set::{Unfit, read_labels};
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
    New(Labels),
    /// Its labels cannot be stored.
    Unfit(Box<Unfit>),
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
                None => match read_labels(Reader::new(buffer, series.labels.range()))? {
                    Ok(labels) => Found::New(labels),
                    Err(unfit) => Found::Unfit(Box::new(unfit)),
                },
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
    /// Appends everything, and says what was left out. After an error the caller rolls back.
    pub(super) fn append(
        &self,
        message: &Message,
        lookup: &mut Lookup,
        appender: &mut dyn Appender,
    ) -> Result<LeftOut, WriteError> {
        let mut left_out = LeftOut::default();
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
                Found::Known(known) => {
                    self.append_known(known, (series, *key), &members, &mut left_out, appender)?;
                }
                Found::New(labels) if !members.is_empty() => {
                    let resolved = appender.resolve(&labels)?;
                    self.remember(*key, resolved);
                    self.append_members(resolved, &members, &mut left_out, appender)?;
                }
                Found::New(_) => {}
                Found::Unfit(reason) => {
                    if left_out.invalid_series == 0 {
                        tracing::warn!(%reason, "Invalid metric names or labels");
                    }
                    left_out.invalid_series += 1;
                }
            }
        }
        Ok(left_out)
    }

    /// Appends to a series from the cache; when the storage has dropped it meanwhile, finds it again.
    fn append_known(
        &self,
        known: SeriesRef,
        (series, key): (&SeriesEntry, Option<Key>),
        members: &Members<'_>,
        left_out: &mut LeftOut,
        appender: &mut dyn Appender,
    ) -> Result<(), WriteError> {
        match self.append_members(known, members, left_out, appender) {
            // A reference is unknown from the first member on or not at all, so nothing is appended twice.
            Err(WriteError::Append(AppendError::UnknownSeries)) => {}
            other => return other,
        }
        let Ok(labels) = read_labels(Reader::new(self.buffer, series.labels.range()))? else {
            return Err(AppendError::UnknownSeries.into());
        };
        let resolved = appender.resolve(&labels)?;
        self.remember(key, resolved);
        self.append_members(resolved, members, left_out, appender)
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
        left_out: &mut LeftOut,
        appender: &mut dyn Appender,
    ) -> Result<(), WriteError> {
        for sample in members.samples {
            self.check_time(sample.t_ms)?;
            appender
                .append(series, sample.t_ms, sample.value)
                .map_err(|e| refused(e, series, sample.t_ms))?;
        }
        for place in members.exemplars {
            self.append_exemplar(series, *place, left_out, appender)?;
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
        left_out: &mut LeftOut,
        appender: &mut dyn Appender,
    ) -> Result<(), WriteError> {
        let mut pairs = Vec::new();
        let reader = Reader::new(self.buffer, place.range());
        let (value, t_ms) = read_exemplar(reader, |label| pairs.push(label))?;
        let Some(exemplar) = exemplar(pairs, value, t_ms).filter(|_| t_ms <= self.max_ms) else {
            return Ok(());
        };
        match appender.append_exemplar(series, &exemplar) {
            Err(AppendError::UnknownSeries) => Err(AppendError::UnknownSeries.into()),
            Err(AppendError::OutOfOrderExemplar) => {
                left_out.late_exemplars += 1;
                Ok(())
            }
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

/// What a request was stored without.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeftOut {
    /// Series with unfit labels.
    pub(super) invalid_series: usize,
    /// Exemplars out of order.
    pub(super) late_exemplars: usize,
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
