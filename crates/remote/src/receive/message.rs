//! The message `prometheus.WriteRequest`: checked whole, then laid out in columns that point into the buffer.
//!
//! Always true after `read`: every nested message is well formed but for labels, which stay unread until somebody needs them
//! (mostly their bytes are known already). Must not know: the storage, the cache.
//! Memory: 24 bytes a series and 16 a sample, exemplars and histograms are only remembered by place, so a hostile request
//! costs at most eight times its size. PERF: `benches/receive.rs`.
//! Facts: `prompb/remote.proto`, `prompb/types.proto`.

use std::ops::Range;

use super::WriteError;
use super::exemplar::read_exemplar;
use super::histogram::HistogramFields;
use super::limits::MAX_SERIES;
use super::wire::{DecodeError, Reader};

/// Where something lies in the buffer, which is below 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    fn is_empty(self) -> bool {
        self.start == self.end
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }
}

/// One series of the request. Its members in a column end where it says and begin where those of the series before end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeriesEntry {
    /// Where its labels lie: nothing but label fields, unless `scattered`.
    pub(super) labels: Span,
    /// Labels stand also behind other fields; `labels` spans the whole series.
    pub(super) scattered: bool,
    pub(super) samples_end: u32,
    pub(super) exemplars_end: u32,
    pub(super) histograms_end: u32,
}

/// A float sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) t_ms: i64,
    pub(super) value: f64,
}

/// The columns of a request; reused from request to request.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) series: Vec<SeriesEntry>,
    pub(super) samples: Vec<Sample>,
    pub(super) exemplars: Vec<Span>,
    pub(super) histograms: Vec<Span>,
    /// What the last histogram held; only there to reuse memory.
    fields: HistogramFields,
}

impl Message {
    /// Reads a whole request into the columns. After an error they hold a part.
    pub(super) fn read(&mut self, buffer: &[u8]) -> Result<(), WriteError> {
        self.series.clear();
        self.samples.clear();
        self.exemplars.clear();
        self.histograms.clear();
        let mut reader = Reader::new(buffer, 0..buffer.len());
        while let Some(key) = reader.key("WriteRequest")? {
            match key.field {
                1 => {
                    let range = reader.block(key, "Timeseries")?;
                    self.read_series(buffer, range)?;
                    if self.series.len() > MAX_SERIES {
                        return Err(WriteError::TooMany { max: MAX_SERIES, what: "series" });
                    }
                }
                3 => {
                    let range = reader.block(key, "Metadata")?;
                    check_metadata(Reader::new(buffer, range))?;
                }
                _ => reader.skip(key)?,
            }
        }
        Ok(())
    }

    fn read_series(&mut self, buffer: &[u8], range: Range<usize>) -> Result<(), DecodeError> {
        let mut reader = Reader::new(buffer, range.clone());
        let mut labels = Span::default();
        let mut scattered = false;
        loop {
            let field_start = reader.position();
            let Some(key) = reader.key("TimeSeries")? else { break };
            match key.field {
                1 => {
                    let end = reader.block(key, "Labels")?.end;
                    scattered |= !labels.is_empty() && labels.end as usize != field_start;
                    let start = if labels.is_empty() { field_start } else { labels.start as usize };
                    labels = Span::from(start..end);
                }
                2 => {
                    let place = reader.block(key, "Samples")?;
                    self.samples.push(read_sample(Reader::new(buffer, place))?);
                }
                3 => {
                    let place = reader.block(key, "Exemplars")?;
                    read_exemplar(Reader::new(buffer, place.clone()), |_| {})?;
                    self.exemplars.push(place.into());
                }
                4 => {
                    let place = reader.block(key, "Histograms")?;
                    self.fields.read(buffer, place.clone())?;
                    self.histograms.push(place.into());
                }
                _ => reader.skip(key)?,
            }
        }
        self.series.push(SeriesEntry {
            labels: if scattered { range.into() } else { labels },
            scattered,
            samples_end: self.samples.len() as u32,
            exemplars_end: self.exemplars.len() as u32,
            histograms_end: self.histograms.len() as u32,
        });
        Ok(())
    }

    /// Forgets everything and gives memory back that one large request took.
    pub(super) fn shrink(&mut self, max_elements: usize) {
        self.series.clear();
        self.samples.clear();
        self.exemplars.clear();
        self.histograms.clear();
        self.series.shrink_to(max_elements);
        self.samples.shrink_to(max_elements);
        self.exemplars.shrink_to(max_elements);
        self.histograms.shrink_to(max_elements);
        self.fields = HistogramFields::default();
    }
}

#[inline]
fn read_sample(mut reader: Reader<'_>) -> Result<Sample, DecodeError> {
    let mut sample = Sample { t_ms: 0, value: 0.0 };
    while let Some(key) = reader.key("Sample")? {
        match key.field {
            1 => sample.value = reader.float(key, "Value")?,
            2 => sample.t_ms = reader.number(key, "Timestamp")? as i64,
            _ => reader.skip(key)?,
        }
    }
    Ok(sample)
}

/// Metadata is checked but not kept, as Prometheus does with this protocol.
fn check_metadata(mut reader: Reader<'_>) -> Result<(), DecodeError> {
    while let Some(key) = reader.key("MetricMetadata")? {
        match key.field {
            1 => reader.number(key, "Type").map(drop)?,
            2 => reader.block(key, "MetricFamilyName").map(drop)?,
            4 => reader.block(key, "Help").map(drop)?,
            5 => reader.block(key, "Unit").map(drop)?,
            _ => reader.skip(key)?,
        }
    }
    Ok(())
}
