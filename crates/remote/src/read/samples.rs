//! The answer `ReadResponse`: all samples of all queries as one compressed message.
//!
//! Memory: the message, twice for a moment. The limit of samples bounds it, and [`MAX_BYTES`], which no limit of samples does when
//! these are histograms.

use std::borrow::Cow;

use narthex_chunks::{ChunkError, ChunkValue, Encoding, MergeError, for_each, merge_chunks};
use narthex_model::Labels;
use narthex_storage::{QueryError, SeriesSet};

use crate::wire::{put_bytes, put_float_histogram, put_histogram, put_label, put_number, put_sample};

/// Largest answer before it is compressed, bytes: what decoders with signed lengths of 32 bits can take.
const MAX_BYTES: usize = i32::MAX as usize;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SamplesError {
    #[error("exceeded sample limit ({0})")]
    Limit(u64),
    #[error("answer is larger than {MAX_BYTES} bytes; ask for less or for STREAMED_XOR_CHUNKS")]
    TooLarge,
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Chunk(#[from] MergeError),
}

/// The samples of a query's series.
pub(crate) struct Samples<'s> {
    /// Most samples of one query, 0 for no limit.
    pub(crate) limit: u64,
    /// Labels that series get which do not have them.
    pub(crate) external: &'s Labels,
    pub(crate) range: (i64, i64),
    /// Only label sets are wanted.
    pub(crate) labels_only: bool,
}

impl Samples<'_> {
    /// Appends a `QueryResult` to `out`.
    pub(crate) fn put_result(&self, set: &dyn SeriesSet, out: &mut Vec<u8>) -> Result<(), SamplesError> {
        let (mut result, mut series, mut count) = (Vec::new(), Vec::new(), 0);
        for at in 0..set.len() {
            series.clear();
            put_labels(&mut series, &set.labels(at), self.external);
            if !self.labels_only && !self.put_samples(set, at, &mut count, &mut series)? {
                continue;
            }
            put_bytes(&mut result, 1, &series);
            if out.len() + result.len() > MAX_BYTES {
                return Err(SamplesError::TooLarge);
            }
        }
        put_bytes(out, 1, &result);
        Ok(())
    }

    /// Appends the samples of a series as fields of a `TimeSeries`; `false` when it has none.
    fn put_samples(
        &self,
        set: &dyn SeriesSet,
        at: usize,
        count: &mut u64,
        out: &mut Vec<u8>,
    ) -> Result<bool, SamplesError> {
        let (mut chunks, mut whole, before) = (Vec::new(), Vec::new(), *count);
        set.chunks(at, self.range.0, self.range.1, &mut chunks)?;
        // COMPAT: chunks of one source are not cut, so that the first histogram in range says whether its counts follow those before
        // the range; of several sources it says nothing.
        let one_source = chunks.iter().all(|chunk| chunk.source == chunks[0].source);
        let range = if one_source { (i64::MIN, i64::MAX) } else { self.range };
        merge_chunks(chunks, range, |chunk| whole.push(chunk))?;
        // Floats and histograms are different fields and need not lie in one order.
        for chunk in &whole {
            let encoding = Encoding::try_from(chunk.encoding).map_err(MergeError::from)?;
            *count += self.put_chunk(encoding, &chunk.bytes, out).map_err(|source| MergeError::Chunk {
                min_ms: chunk.min_ms,
                max_ms: chunk.max_ms,
                source,
            })?;
            if self.limit > 0 && *count > self.limit {
                return Err(SamplesError::Limit(self.limit));
            }
            if out.len() > MAX_BYTES {
                return Err(SamplesError::TooLarge);
            }
        }
        Ok(*count > before)
    }

    /// Appends the samples of a chunk that are in range, and tells how many they are.
    fn put_chunk(&self, encoding: Encoding, bytes: &[u8], out: &mut Vec<u8>) -> Result<u64, ChunkError> {
        let (mut member, mut count) = (Vec::new(), 0);
        for_each(encoding, bytes, self.range, |sample| {
            count += 1;
            member.clear();
            match sample.value {
                // COMPAT: Prometheus' encoder leaves out zeros.
                ChunkValue::Float(value) if value.to_bits() == 0 => {
                    put_number(&mut member, 2, sample.t_ms as u64);
                    return put_bytes(out, 2, &member);
                }
                ChunkValue::Float(value) => return put_sample(out, sample.t_ms, value),
                ChunkValue::Histogram(histogram) => put_histogram(&mut member, sample.t_ms, histogram),
                ChunkValue::FloatHistogram(histogram) => {
                    put_float_histogram(&mut member, sample.t_ms, histogram);
                }
            }
            put_bytes(out, 4, &member);
        })?;
        Ok(count)
    }
}

/// Appends labels as the first field, and those of `external` whose names the series does not have.
pub(crate) fn put_labels(out: &mut Vec<u8>, labels: &Labels, external: &Labels) {
    let all = match external.is_empty() {
        true => Cow::Borrowed(labels),
        false => {
            let mut builder = labels.to_builder();
            external.iter().filter(|(name, _)| labels.get(name).is_none()).for_each(|(name, value)| {
                builder.set(name, value);
            });
            Cow::Owned(builder.labels())
        }
    };
    all.iter().for_each(|(name, value)| put_label(out, name, value));
}
