//! The series of an answer as they come, and their order at the end: label sets rise, chunks do not overlap.
//!
//! Samples become chunks of our own here, a series at a time.

use std::ops::Range;

use narthex_chunks::{
    BuildOptions, ChunkBuilder, ChunkSample, ChunkValue, Encoding, SealedChunk, merge_chunks,
};
use narthex_model::Labels;
use narthex_storage::SampleBatch;

use super::parts::{fit, measured, read_chunk, read_labels, read_sample};
use super::{AnswerError, MAX_BYTES, MAX_SERIES, Piece, Received};
use crate::receive::histogram::{Either, HistogramFields};
use crate::receive::wire::Reader;

/// Series as they come.
pub(super) struct Gathered<'w> {
    without: &'w [String],
    series: Vec<(Labels, Vec<Piece>)>,
    batch: SampleBatch,
    floats: Vec<(i64, f64)>,
    histograms: Vec<(i64, Range<usize>)>,
}

impl<'w> Gathered<'w> {
    pub(super) fn new(without: &'w [String]) -> Self {
        Self {
            without,
            series: Vec::new(),
            batch: SampleBatch::default(),
            floats: Vec::new(),
            histograms: Vec::new(),
        }
    }

    /// The pieces of a series, which may be the last one again.
    fn begin(&mut self, labels: Labels) -> Result<&mut (Labels, Vec<Piece>), AnswerError> {
        let labels = if self.without.is_empty() { labels } else { labels.drop(self.without) };
        if self.series.last().is_none_or(|(last, _)| *last != labels) {
            if self.series.len() >= MAX_SERIES {
                return Err(AnswerError::ManySeries);
            }
            self.series.push((labels, Vec::new()));
        }
        Ok(self.series.last_mut().expect("there is one now"))
    }

    pub(super) fn take_chunked(&mut self, stream: &[u8], reader: Reader<'_>) -> Result<(), AnswerError> {
        let labels = read_labels(reader.clone(), "ChunkedSeries")?;
        let mut batch = std::mem::take(&mut self.batch);
        let (labels, pieces) = self.begin(labels)?;
        let mut fields = reader;
        while let Some(key) = fields.key("ChunkedSeries")? {
            if key.field == 2 {
                let place = fields.block(key, "Chunks")?;
                let (encoding, at) = read_chunk(fields.nested(place))?;
                pieces.extend(measured(&mut batch, labels, encoding, &stream[at.clone()], at)?);
            } else {
                fields.skip(key)?;
            }
        }
        self.batch = batch;
        Ok(())
    }

    /// Reads a `QueryResult`; appends the chunks of its series to `bytes`.
    pub(super) fn take_result(
        &mut self,
        mut reader: Reader<'_>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), AnswerError> {
        while let Some(key) = reader.key("QueryResult").map_err(AnswerError::Message)? {
            if key.field == 1 {
                let place = reader.block(key, "Timeseries").map_err(AnswerError::Message)?;
                self.take_sampled(&reader.nested(place), bytes)?;
            } else {
                reader.skip(key).map_err(AnswerError::Message)?;
            }
        }
        Ok(())
    }

    fn take_sampled(&mut self, reader: &Reader<'_>, bytes: &mut Vec<u8>) -> Result<(), AnswerError> {
        let labels = read_labels(reader.clone(), "TimeSeries").map_err(as_message)?;
        self.read_samples(reader.clone(), &labels).map_err(as_message)?;
        let sealed = self.encode(reader, &labels).map_err(as_message)?;
        let pieces = &mut self.begin(labels)?.1;
        for chunk in sealed {
            let start = bytes.len();
            bytes.extend_from_slice(&chunk.bytes);
            let SealedChunk { min_ms, max_ms, encoding, .. } = chunk;
            pieces.push(Piece { min_ms, max_ms, encoding, at: start..bytes.len() });
        }
        if bytes.len() > MAX_BYTES { Err(AnswerError::TooLarge) } else { Ok(()) }
    }

    /// Reads the times of all samples and the values of floats. A time that comes again is passed over.
    fn read_samples(&mut self, mut reader: Reader<'_>, labels: &Labels) -> Result<(), AnswerError> {
        self.floats.clear();
        self.histograms.clear();
        let mut fields = HistogramFields::default();
        while let Some(key) = reader.key("TimeSeries")? {
            match key.field {
                2 => {
                    let place = reader.block(key, "Samples")?;
                    let (t_ms, value) = read_sample(reader.nested(place))?;
                    push(&mut self.floats, t_ms, value, labels)?;
                }
                4 => {
                    let place = reader.block(key, "Histograms")?;
                    reader.histogram(place.clone(), &mut fields)?;
                    push(&mut self.histograms, fields.t_ms, place, labels)?;
                }
                _ => reader.skip(key)?,
            }
        }
        Ok(())
    }

    /// Makes chunks of what was read. COMPAT: a float goes before a histogram of the same time.
    fn encode(&self, reader: &Reader<'_>, labels: &Labels) -> Result<Vec<SealedChunk>, AnswerError> {
        let (mut builder, mut sealed) = (ChunkBuilder::new(BuildOptions::default()), Vec::new());
        let (mut floats, mut histograms) = (self.floats.iter().peekable(), self.histograms.iter().peekable());
        loop {
            let float_ms = floats.peek().map_or(i64::MAX, |(t_ms, _)| *t_ms);
            let next = histograms.next_if(|(t_ms, _)| floats.peek().is_none() || *t_ms < float_ms);
            if let Some((t_ms, place)) = next {
                let mut fields = HistogramFields::default();
                reader.histogram(place.clone(), &mut fields)?;
                let either = fit(fields).map_err(|reason| {
                    let labels = labels.clone();
                    AnswerError::Histogram { labels, reason }
                })?;
                let value = match &either {
                    Either::Int(histogram) => ChunkValue::Histogram(histogram),
                    Either::Float(histogram) => ChunkValue::FloatHistogram(histogram),
                };
                builder.push(ChunkSample { t_ms: *t_ms, start_ms: 0, value }, &mut sealed);
            } else if let Some((t_ms, value)) = floats.next() {
                histograms.next_if(|(other_ms, _)| other_ms == t_ms);
                let value = ChunkValue::Float(*value);
                builder.push(ChunkSample { t_ms: *t_ms, start_ms: 0, value }, &mut sealed);
            } else {
                break;
            }
        }
        builder.finish(&mut sealed);
        Ok(sealed)
    }

    /// Sorts the series and makes one of equal label sets.
    pub(super) fn arrange(mut self, mut bytes: Vec<u8>) -> Result<Received, AnswerError> {
        if !self.series.is_sorted_by(|a, b| a.0 < b.0) {
            self.series.sort_by(|a, b| a.0.cmp(&b.0));
            self.series.dedup_by(|next, first| {
                let same = next.0 == first.0;
                if same {
                    first.1.append(&mut next.1);
                }
                same
            });
        }
        let mut received = Received::default();
        received.series.reserve_exact(self.series.len());
        for (labels, mut pieces) in self.series {
            if !pieces.is_sorted_by(|a, b| a.max_ms < b.min_ms) {
                pieces = untangled(&pieces, &mut bytes)?;
            }
            let start = received.chunks.len() as u32;
            received.chunks.append(&mut pieces);
            received.series.push((labels, start..received.chunks.len() as u32));
        }
        received.bytes = bytes;
        Ok(received)
    }
}

/// Chunks that overlap, merged; what had to be written again is appended to `bytes`.
fn untangled(pieces: &[Piece], bytes: &mut Vec<u8>) -> Result<Vec<Piece>, AnswerError> {
    let stored = pieces.iter().map(|piece| piece.stored(bytes)).collect();
    let mut merged = Vec::new();
    merge_chunks(stored, (i64::MIN, i64::MAX), |chunk| {
        merged.push((chunk.min_ms, chunk.max_ms, chunk.encoding, chunk.bytes.into_owned()));
    })?;
    let append = |(min_ms, max_ms, encoding, chunk): (i64, i64, u8, Vec<u8>)| {
        let start = bytes.len();
        bytes.extend_from_slice(&chunk);
        let encoding = Encoding::try_from(encoding).map_err(|_| AnswerError::Encoding)?;
        Ok(Piece { min_ms, max_ms, encoding, at: start..bytes.len() })
    };
    merged.into_iter().map(append).collect()
}

/// Names the message in the error.
fn as_message(error: AnswerError) -> AnswerError {
    match error {
        AnswerError::Decode(error) => AnswerError::Message(error),
        other => other,
    }
}

fn push<T>(column: &mut Vec<(i64, T)>, t_ms: i64, value: T, labels: &Labels) -> Result<(), AnswerError> {
    match column.last() {
        Some((last_ms, _)) if *last_ms > t_ms => return Err(AnswerError::Order(labels.clone())),
        Some((last_ms, _)) if *last_ms == t_ms => {}
        _ => column.push((t_ms, value)),
    }
    Ok(())
}
