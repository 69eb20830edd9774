//! The message `io.prometheus.write.v2.Request`: checked whole, then laid out in columns.
//!
//! Always true after `read`: every nested message is well formed; numbers of symbols may still lie outside the table, as it may
//! stand behind the series. Must not know: the storage, the cache.
//! Memory: 28 bytes a series, 24 a sample, 8 a symbol, 4 a number of a symbol; exemplars and histograms are only remembered by place.
//! With the bounds of `limits` a hostile request costs at most six times its size. PERF: `benches/receive.rs`.
//! Facts: `prompb/io/prometheus/write/v2/types.proto`.

use std::ops::Range;

use narthex_model::MetricType;

use super::symbols::Symbols;
use crate::receive::WriteError;
use crate::receive::histogram::HistogramFields;
use crate::receive::limits::{MAX_MEMBERS, MAX_SERIES};
use crate::receive::message::Span;
use crate::receive::wire::{DecodeError, Key, Reader, VARINT};

/// One series of the request. Its members in a column end where it says and begin where those of the series before end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SeriesEntry {
    refs_end: u32,
    samples_end: u32,
    exemplars_end: u32,
    histograms_end: u32,
    metadata: MetadataRefs,
}

/// The metadata of a series; help and unit are numbers of symbols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MetadataRefs {
    pub(super) kind: MetricType,
    pub(super) help: u32,
    pub(super) unit: u32,
}

/// A float sample. `start_ms` is when its counter started; 0: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sample {
    pub(super) start_ms: i64,
    pub(super) t_ms: i64,
    pub(super) value: f64,
}

/// One series with its parts of the columns.
#[derive(Clone, Copy)]
pub(super) struct Series<'a> {
    /// Numbers of symbols, names and values in turn.
    pub(super) refs: &'a [u32],
    pub(super) samples: &'a [Sample],
    pub(super) exemplars: &'a [Span],
    pub(super) histograms: &'a [Span],
    pub(super) metadata: MetadataRefs,
}

impl Series<'_> {
    /// Floats and histograms together.
    pub(super) fn sample_count(&self) -> usize {
        self.samples.len() + self.histograms.len()
    }

    /// Whether it has exemplars and nothing that they could lie at.
    pub(super) fn has_only_exemplars(&self) -> bool {
        self.sample_count() == 0 && !self.exemplars.is_empty()
    }
}

/// The columns of a request; reused from request to request.
#[derive(Debug, Default)]
pub(super) struct Request {
    symbols: Vec<Span>,
    refs: Vec<u32>,
    series: Vec<SeriesEntry>,
    samples: Vec<Sample>,
    exemplars: Vec<Span>,
    histograms: Vec<Span>,
    /// What the last histogram held; only there to reuse memory.
    fields: HistogramFields,
}

impl Request {
    /// Reads a whole request into the columns. After an error they hold a part.
    pub(super) fn read(&mut self, buffer: &[u8]) -> Result<(), WriteError> {
        self.clear();
        let mut reader = Reader::new(buffer, 0..buffer.len());
        while let Some(key) = reader.key("Request")? {
            match key.field {
                4 => {
                    let place = reader.block(key, "Symbols")?;
                    self.symbols.push(place.into());
                    check_count(self.symbols.len(), MAX_MEMBERS, "symbols")?;
                }
                5 => {
                    let place = reader.block(key, "Timeseries")?;
                    self.read_series(buffer, place)?;
                    check_count(self.series.len(), MAX_SERIES, "series")?;
                    check_count(self.samples.len(), MAX_MEMBERS, "samples")?;
                }
                _ => reader.skip(key)?,
            }
        }
        Ok(())
    }

    fn read_series(&mut self, buffer: &[u8], place: Range<usize>) -> Result<(), DecodeError> {
        let mut reader = Reader::new(buffer, place);
        let mut metadata = MetadataRefs::default();
        while let Some(key) = reader.key("TimeSeries")? {
            match key.field {
                1 => read_refs(&mut reader, key, |number| self.refs.push(number))?,
                2 => {
                    let place = reader.block(key, "Samples")?;
                    self.samples.push(read_sample(Reader::new(buffer, place))?);
                }
                3 => {
                    let place = reader.block(key, "Histograms")?;
                    self.fields.read(buffer, place.clone())?;
                    self.histograms.push(place.into());
                }
                4 => {
                    let place = reader.block(key, "Exemplars")?;
                    read_exemplar(Reader::new(buffer, place.clone()), |_| {})?;
                    self.exemplars.push(place.into());
                }
                5 => {
                    let place = reader.block(key, "Metadata")?;
                    read_metadata(Reader::new(buffer, place), &mut metadata)?;
                }
                _ => reader.skip(key)?,
            }
        }
        self.series.push(SeriesEntry {
            refs_end: self.refs.len() as u32,
            samples_end: self.samples.len() as u32,
            exemplars_end: self.exemplars.len() as u32,
            histograms_end: self.histograms.len() as u32,
            metadata,
        });
        Ok(())
    }

    /// The table of texts, which lie in the `buffer` that was read.
    pub(super) fn symbols<'a>(&'a self, buffer: &'a [u8]) -> Symbols<'a> {
        Symbols { buffer, places: &self.symbols }
    }

    /// All series in their order.
    pub(super) fn series(&self) -> impl ExactSizeIterator<Item = Series<'_>> {
        let mut from = SeriesEntry::default();
        self.series.iter().map(move |to| {
            let series = Series {
                refs: &self.refs[from.refs_end as usize..to.refs_end as usize],
                samples: &self.samples[from.samples_end as usize..to.samples_end as usize],
                exemplars: &self.exemplars[from.exemplars_end as usize..to.exemplars_end as usize],
                histograms: &self.histograms[from.histograms_end as usize..to.histograms_end as usize],
                metadata: to.metadata,
            };
            from = *to;
            series
        })
    }

    fn clear(&mut self) {
        self.symbols.clear();
        self.refs.clear();
        self.series.clear();
        self.samples.clear();
        self.exemplars.clear();
        self.histograms.clear();
    }

    /// Forgets everything and gives memory back that one large request took.
    pub(super) fn shrink(&mut self, max_elements: usize) {
        self.clear();
        self.symbols.shrink_to(max_elements);
        self.refs.shrink_to(max_elements);
        self.series.shrink_to(max_elements);
        self.samples.shrink_to(max_elements);
        self.exemplars.shrink_to(max_elements);
        self.histograms.shrink_to(max_elements);
        self.fields = HistogramFields::default();
    }
}

#[inline]
fn check_count(count: usize, max: usize, what: &'static str) -> Result<(), WriteError> {
    if count > max { Err(WriteError::TooMany { max, what }) } else { Ok(()) }
}

/// Reads a field of numbers of symbols; as in Prometheus bits above the 32nd are dropped.
#[inline]
fn read_refs(reader: &mut Reader<'_>, key: Key, mut take: impl FnMut(u32)) -> Result<(), DecodeError> {
    reader.numbers(key, (VARINT, "LabelsRefs"), |one| {
        take(one.varint()? as u32);
        Ok(())
    })
}

#[inline]
fn read_sample(mut reader: Reader<'_>) -> Result<Sample, DecodeError> {
    let mut sample = Sample::default();
    while let Some(key) = reader.key("Sample")? {
        match key.field {
            1 => sample.value = reader.float(key, "Value")?,
            2 => sample.t_ms = reader.number(key, "Timestamp")? as i64,
            3 => sample.start_ms = reader.number(key, "StartTimestamp")? as i64,
            _ => reader.skip(key)?,
        }
    }
    Ok(sample)
}

/// Reads value and timestamp (ms) of an exemplar and hands out the numbers of its labels.
pub(super) fn read_exemplar(
    mut reader: Reader<'_>,
    mut take: impl FnMut(u32),
) -> Result<(f64, i64), DecodeError> {
    let (mut value, mut t_ms) = (0.0, 0);
    while let Some(key) = reader.key("Exemplar")? {
        match key.field {
            1 => read_refs(&mut reader, key, &mut take)?,
            2 => value = reader.float(key, "Value")?,
            3 => t_ms = reader.number(key, "Timestamp")? as i64,
            _ => reader.skip(key)?,
        }
    }
    Ok((value, t_ms))
}

/// Reads into what an earlier occurrence of the field left, as protobuf merges them.
fn read_metadata(mut reader: Reader<'_>, out: &mut MetadataRefs) -> Result<(), DecodeError> {
    while let Some(key) = reader.key("Metadata")? {
        match key.field {
            1 => out.kind = metric_type(reader.number(key, "Type")?),
            3 => out.help = reader.number(key, "HelpRef")? as u32,
            4 => out.unit = reader.number(key, "UnitRef")? as u32,
            _ => reader.skip(key)?,
        }
    }
    Ok(())
}

fn metric_type(number: u64) -> MetricType {
    match number as i32 {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::StateSet,
        _ => MetricType::Unknown,
    }
}
