//! The parts of a series, read one by one and checked: labels, samples, chunks, histograms.

use std::ops::Range;

use narthex_chunks::{Encoding, decode};
use narthex_model::{Labels, METRIC_NAME};
use narthex_storage::SampleBatch;

use super::{AnswerError, Piece};
use crate::receive::DecodeError;
use crate::receive::histogram::{Either, HistogramFields};
use crate::receive::label_set::read_label;
use crate::receive::reduce::reduce_resolution;
use crate::receive::wire::Reader;

/// The histogram in a form that can be stored.
pub(super) fn fit(fields: HistogramFields) -> Result<Either, String> {
    let either = fields.into_histogram();
    let schema = match &either {
        Either::Int(h) => h.schema,
        Either::Float(h) => h.schema,
    };
    if !matches!(schema, -4..=52 | narthex_model::CUSTOM_BUCKETS_SCHEMA) {
        return Err(format!("unknown schema {schema}"));
    }
    let sides = match &either {
        Either::Int(h) => {
            [(&h.positive_spans, h.positive_buckets.len()), (&h.negative_spans, h.negative_buckets.len())]
        }
        Either::Float(h) => {
            [(&h.positive_spans, h.positive_buckets.len()), (&h.negative_spans, h.negative_buckets.len())]
        }
    };
    for (spans, buckets) in sides {
        let wanted: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
        if wanted != buckets as u64 {
            return Err(format!("spans need {wanted} buckets, have {buckets} buckets"));
        }
        if spans.iter().skip(1).any(|span| span.offset < 0) {
            return Err("a span other than the first has a negative offset".to_owned());
        }
    }
    reduce_resolution(either)
}

pub(super) fn read_sample(mut reader: Reader<'_>) -> Result<(i64, f64), DecodeError> {
    let (mut t_ms, mut value) = (0, 0.0);
    while let Some(key) = reader.key("Sample")? {
        match key.field {
            1 => value = reader.float(key, "Value")?,
            2 => t_ms = reader.number(key, "Timestamp")? as i64,
            _ => reader.skip(key)?,
        }
    }
    Ok((t_ms, value))
}

/// The encoding of a chunk and where its bytes lie; its times are not asked.
pub(super) fn read_chunk(mut reader: Reader<'_>) -> Result<(u64, Range<usize>), DecodeError> {
    let (mut encoding, mut at) = (0, 0..0);
    while let Some(key) = reader.key("Chunk")? {
        match key.field {
            1 => reader.number(key, "MinTimeMs").map(drop)?,
            2 => reader.number(key, "MaxTimeMs").map(drop)?,
            3 => encoding = reader.number(key, "Type")?,
            4 => at = reader.block(key, "Data")?,
            _ => reader.skip(key)?,
        }
    }
    Ok((encoding, at))
}

/// Decodes a chunk and tells its times; `None` for one without samples.
pub(super) fn measured(
    batch: &mut SampleBatch,
    labels: &Labels,
    encoding: u64,
    bytes: &[u8],
    at: Range<usize>,
) -> Result<Option<Piece>, AnswerError> {
    let encoding = u8::try_from(encoding).ok().and_then(|byte| Encoding::try_from(byte).ok());
    let encoding = encoding.ok_or(AnswerError::Encoding)?;
    batch.clear();
    decode(encoding, bytes, i64::MIN, i64::MAX, batch)
        .map_err(|source| AnswerError::Chunk { labels: labels.clone(), source })?;
    let times = if encoding.is_float() { &batch.t_ms } else { &batch.histogram_t_ms };
    if !times.is_sorted_by(|a, b| a < b) {
        return Err(AnswerError::Order(labels.clone()));
    }
    let (Some(&min_ms), Some(&max_ms)) = (times.first(), times.last()) else { return Ok(None) };
    Ok(Some(Piece { min_ms, max_ms, encoding, at }))
}

/// Reads the labels of a series, which may come in any order.
pub(super) fn read_labels(mut reader: Reader<'_>, message: &'static str) -> Result<Labels, AnswerError> {
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(16);
    while let Some(key) = reader.key(message)? {
        if key.field != 1 {
            reader.skip(key)?;
            continue;
        }
        let place = reader.block(key, "Labels")?;
        let (name, value) = read_label(reader.nested(place))?;
        let lossy = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let refuse = |what: &str, bytes| AnswerError::Label(format!("invalid {what}: {}", lossy(bytes)));
        let text = std::str::from_utf8(value);
        if name == METRIC_NAME.as_bytes() && !text.is_ok_and(|text| !text.is_empty()) {
            return Err(refuse("metric name", value));
        }
        let name_text = std::str::from_utf8(name).ok().filter(|name| !name.is_empty());
        pairs.push((
            name_text.ok_or_else(|| refuse("label name", name))?,
            text.map_err(|_| refuse("label value", value))?,
        ));
    }
    pairs.sort_unstable();
    if let Some(double) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(AnswerError::Label(format!("duplicate label with name: {}", double[0].0)));
    }
    Ok(Labels::from_sorted(pairs.into_iter().filter(|(_, value)| !value.is_empty())))
}
