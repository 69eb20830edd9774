//! The chunks of one series from one or several stores, made into chunks that rise in time and do not overlap.
//!
//! Road in: [`merge_chunks`]. Always true of what comes out: all samples in range but the hidden ones, each timestamp once; which of
//! several samples at one timestamp it is: see `narthex_storage::merge`.
//! PERF: a chunk that neither overlaps another nor is cut costs a comparison, and its bytes stay where they are.
//! Memory: the decoded samples of chunks that overlap each other. Must not know: files, labels.

use std::borrow::Cow;

use narthex_storage::StoredChunk;
use narthex_storage::merge::{TimeHeap, give_in_order};

use crate::histogram::forget_reset;
use crate::{BuildOptions, ChunkBuilder, ChunkError, Encoding, UnknownEncoding, WantedSamples};

/// Why chunks cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A chunk of a kind that does not exist.
    #[error(transparent)]
    Encoding(#[from] UnknownEncoding),
    /// A chunk that has to be looked into is damaged.
    #[error("chunk from {min_ms} to {max_ms}: {source}")]
    Chunk {
        /// Timestamp of its first sample, ms.
        min_ms: i64,
        /// Timestamp of its last sample, ms.
        max_ms: i64,
        /// What is wrong.
        source: ChunkError,
    },
}

/// Gives the chunks of one series to `take`, cut to the closed range (ms), oldest first.
///
/// # Errors
/// See [`MergeError`]; some chunks may have been given before.
pub fn merge_chunks<'a>(
    chunks: Vec<StoredChunk<'a>>,
    range: (i64, i64),
    mut take: impl FnMut(StoredChunk<'a>),
) -> Result<(), MergeError> {
    let mut chunks: Vec<(usize, StoredChunk<'a>)> = chunks.into_iter().enumerate().collect();
    chunks.retain(|(_, chunk)| chunk.overlaps(range) && !is_hidden(chunk));
    chunks.sort_by_key(|(_, chunk)| (chunk.min_ms, chunk.max_ms));
    let mut in_time = chunks.into_iter().peekable();
    // Store and place of what was given last; `None` when that was written anew.
    let mut before: Option<Option<(u32, usize)>> = None;
    while let Some((at, first)) = in_time.next() {
        let mut max_ms = first.max_ms;
        let mut group = vec![first];
        while let Some((_, next)) = in_time.next_if(|(_, next)| next.min_ms <= max_ms) {
            max_ms = max_ms.max(next.max_ms);
            if group.last() != Some(&next) {
                group.push(next);
            }
        }
        let place = (group[0].source, at);
        before = match only_whole(&mut group, range) {
            Some(whole) => {
                let follows = match before {
                    None => true,
                    Some(None) => false,
                    Some(Some((source, last))) => (source, last + 1) == place,
                };
                take(if follows { whole } else { without_reset(whole)? });
                Some(Some(place))
            }
            None => {
                if write_again(&group, range, &mut take)? {
                    Some(None)
                } else {
                    before.map(|_| None)
                }
            }
        };
    }
    Ok(())
}

/// Whether none of its samples is to be seen, as one range hides them all.
fn is_hidden(chunk: &StoredChunk<'_>) -> bool {
    chunk.hidden.iter().any(|(from, to)| *from <= chunk.min_ms && chunk.max_ms <= *to)
}

/// The chunk that stands alone and passes as it is.
fn only_whole<'a>(
    group: &mut Vec<StoredChunk<'a>>,
    (mint_ms, maxt_ms): (i64, i64),
) -> Option<StoredChunk<'a>> {
    let [only] = group.as_slice() else { return None };
    let touched = only.hidden.iter().any(|(from, to)| *from <= only.max_ms && only.min_ms <= *to);
    if touched || only.min_ms < mint_ms || only.max_ms > maxt_ms { None } else { group.pop() }
}

/// What a chunk says of a counter reset before it may be wrong when something else is before it now.
fn without_reset(mut chunk: StoredChunk<'_>) -> Result<StoredChunk<'_>, UnknownEncoding> {
    if let Some(bytes) = forget_reset(Encoding::try_from(chunk.encoding)?, &chunk.bytes) {
        chunk.bytes = Cow::Owned(bytes.into());
    }
    Ok(chunk)
}

/// Decodes chunks, merges their samples and gives new chunks; `false` when no sample is left.
fn write_again<'a>(
    group: &[StoredChunk<'_>],
    range: (i64, i64),
    take: &mut impl FnMut(StoredChunk<'a>),
) -> Result<bool, MergeError> {
    let columns: Result<Vec<WantedSamples>, MergeError> =
        group.iter().map(|chunk| wanted(chunk, range)).collect();
    let (mut builder, mut sealed) = (ChunkBuilder::new(BuildOptions::default()), Vec::new());
    give_in_order(&mut columns?, &mut TimeHeap::default(), |column, follows| {
        column.give(follows, |sample| builder.push(sample, &mut sealed));
    });
    builder.finish(&mut sealed);
    let any = !sealed.is_empty();
    for chunk in sealed {
        take(StoredChunk {
            min_ms: chunk.min_ms,
            max_ms: chunk.max_ms,
            encoding: chunk.encoding as u8,
            bytes: Cow::Owned(chunk.bytes.into()),
            hidden: Vec::new(),
            source: 0,
        });
    }
    Ok(any)
}

fn wanted(chunk: &StoredChunk<'_>, range: (i64, i64)) -> Result<WantedSamples, MergeError> {
    let (min_ms, max_ms) = (chunk.min_ms, chunk.max_ms);
    let read = WantedSamples::read(Encoding::try_from(chunk.encoding)?, &chunk.bytes, range, &chunk.hidden);
    read.map_err(|source| MergeError::Chunk { min_ms, max_ms, source })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use narthex_model::Histogram;
    use proptest::prelude::*;

    use super::*;
    use crate::{ChunkSample, ChunkValue, for_each};

    /// Samples in chunks of at most `size`; odd times are histograms now and then.
    fn chunks(samples: &BTreeMap<i64, u32>, size: u32, source: u32) -> Vec<StoredChunk<'static>> {
        let options = BuildOptions { samples: size, ..BuildOptions::default() };
        let (mut builder, mut sealed) = (ChunkBuilder::new(options), Vec::new());
        for (t_ms, value) in samples {
            let count = u64::from(*value);
            let histogram = Histogram { count, zero_count: count, ..Histogram::default() };
            let value = match value % 3 {
                0 => ChunkValue::Histogram(&histogram),
                _ => ChunkValue::Float(f64::from(*value)),
            };
            builder.push(ChunkSample { t_ms: *t_ms, start_ms: 0, value }, &mut sealed);
        }
        builder.finish(&mut sealed);
        let stored = |chunk: crate::SealedChunk| StoredChunk {
            min_ms: chunk.min_ms,
            max_ms: chunk.max_ms,
            encoding: chunk.encoding as u8,
            bytes: Cow::Owned(chunk.bytes.into()),
            hidden: Vec::new(),
            source,
        };
        sealed.into_iter().map(stored).collect()
    }

    fn read(chunks: &[StoredChunk<'_>]) -> Vec<(i64, u32)> {
        let mut samples = Vec::new();
        for chunk in chunks {
            let before = samples.len();
            for_each(chunk.encoding.try_into().unwrap(), &chunk.bytes, (i64::MIN, i64::MAX), |sample| {
                let value = match sample.value {
                    ChunkValue::Float(value) => value as u32,
                    ChunkValue::Histogram(h) => h.count as u32,
                    ChunkValue::FloatHistogram(_) => panic!("none was written"),
                };
                samples.push((sample.t_ms, value));
            })
            .unwrap();
            assert_eq!((samples[before].0, samples[samples.len() - 1].0), (chunk.min_ms, chunk.max_ms));
        }
        assert!(samples.windows(2).all(|pair| pair[0].0 < pair[1].0), "{samples:?}");
        samples
    }

    fn any_source() -> impl Strategy<Value = (BTreeMap<i64, u32>, u32, (i64, i64))> {
        let samples =
            (0..60i64).prop_flat_map(|base| prop::collection::btree_map(base..base + 40, 0..99u32, 0..30));
        (samples, 1..12u32, (0..100i64, 0..15i64))
    }

    proptest! {
        #[test]
        fn what_comes_out_is_the_union_of_what_is_seen(
            sources in prop::collection::vec(any_source(), 1..4),
            (min_ms, length) in (-5..50i64, 0..120i64),
        ) {
            let range = (min_ms, min_ms + length);
            let (mut all, mut want) = (Vec::new(), BTreeMap::<i64, Vec<u32>>::new());
            for (number, (samples, size, (from, len))) in sources.iter().enumerate() {
                let hidden = (*from, from + len);
                for mut chunk in chunks(samples, *size, number as u32) {
                    chunk.hidden.push(hidden);
                    all.push(chunk);
                }
                let seen = samples.range(range.0..=range.1).filter(|(t, _)| !(hidden.0..=hidden.1).contains(*t));
                seen.for_each(|(t, value)| want.entry(*t).or_default().push(*value));
            }
            let mut got = Vec::new();
            merge_chunks(all, range, |chunk| got.push(chunk)).unwrap();
            let got = read(&got);
            prop_assert!(got.iter().map(|(t, _)| *t).eq(want.keys().copied()), "{got:?}");
            for (t, value) in got {
                prop_assert!(want[&t].contains(&value));
            }
        }
    }

    #[test]
    fn a_chunk_that_stands_alone_is_not_copied() {
        let floats: BTreeMap<i64, u32> = (0..60).map(|t| (t, 1)).collect();
        let owned = chunks(&floats, 10, 0);
        let lent =
            || owned.iter().map(|chunk| StoredChunk { bytes: Cow::Borrowed(&chunk.bytes), ..chunk.clone() });
        let mut all: Vec<StoredChunk<'_>> = lent().chain(lent().take(2)).collect();
        all[3].hidden.push((34, 35));
        let mut got = Vec::new();
        merge_chunks(all, (5, 100), |chunk| got.push(chunk)).unwrap();
        let passed: Vec<bool> = got.iter().map(|chunk| matches!(chunk.bytes, Cow::Borrowed(_))).collect();
        assert_eq!(passed, [false, true, true, false, true, true], "cut by the range, by what is hidden");
        assert_eq!(read(&got).len(), 53);
    }
}
