//! Two sets of buckets side by side: which ones either lacks, whether a count fell, and both on their union.

use narthex_model::Span;

use super::counts::{Internal, Side};

/// How the buckets of a new sample lie to those of a chunk, on one side of zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Alignment {
    /// The sample has buckets that the chunk lacks.
    pub(crate) chunk_grows: bool,
    /// The chunk has buckets that the sample lacks.
    pub(crate) sample_grows: bool,
    /// The indexes of the union, rising; only when one of them grows.
    pub(crate) union: Vec<i64>,
}

/// What [`align`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    /// Layouts alone.
    Layout,
    /// Counts too: none may fall.
    Counts,
}

/// Compares the buckets of a chunk's newest sample with those of a new one; `None` when a count fell, a bucket that vanished
/// with a count included.
pub(crate) fn align<C: Internal>(
    chunk: (&[Span], impl Iterator<Item = C::Bucket>),
    sample: Side<'_, C::Bucket>,
    compare: Compare,
) -> Option<Alignment> {
    let old = counts::<C>(chunk.1);
    let new = counts::<C>(sample.buckets.iter().copied());
    if chunk.0 == sample.spans {
        // PERF: nearly always; no memory is touched but the buckets.
        let fell = compare == Compare::Counts && old.zip(new).any(|(old, new)| old > new);
        return (!fell).then(Alignment::default);
    }
    let mut alignment = Alignment::default();
    let (mut old, mut new) = (indexes(chunk.0).zip(old), indexes(sample.spans).zip(new));
    let (mut a, mut b) = (old.next(), new.next());
    loop {
        let at = match (a, b) {
            (None, None) => break,
            (Some((i, was)), Some((j, is))) if i == j => {
                if compare == Compare::Counts && was > is {
                    return None;
                }
                (a, b) = (old.next(), new.next());
                i
            }
            (Some((i, was)), _) if b.is_none_or(|(j, _)| i < j) => {
                if compare == Compare::Counts && was != C::Bucket::default() {
                    return None;
                }
                alignment.sample_grows = true;
                a = old.next();
                i
            }
            (_, Some((j, _))) => {
                alignment.chunk_grows = true;
                b = new.next();
                j
            }
            (Some(_), None) => unreachable!("the third arm takes it"),
        };
        alignment.union.push(at);
    }
    Some(alignment)
}

/// Bucket indexes of spans.
pub(crate) fn indexes(spans: &[Span]) -> impl Iterator<Item = i64> {
    let mut next = 0i64;
    spans.iter().flat_map(move |span| {
        let first = next + i64::from(span.offset);
        next = first + i64::from(span.length);
        first..next
    })
}

/// The fewest spans for rising indexes.
pub(crate) fn spans_of(indexes: &[i64]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0;
    for index in indexes {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(Span { offset: (*index - next) as i32, length: 1 }),
        }
        next = *index + 1;
    }
    spans
}

/// The buckets of `side` on the indexes of `union`, which has all of them; the others are zero.
pub(crate) fn spread<C: Internal>(side: Side<'_, C::Bucket>, union: &[i64]) -> Vec<C::Bucket> {
    let counts = counts::<C>(side.buckets.iter().copied());
    let mut counts = indexes(side.spans).zip(counts).peekable();
    let mut before = C::Bucket::default();
    let bucket = |index: &i64| {
        let count = counts.next_if(|(at, _)| at == index).map_or(C::Bucket::default(), |(_, count)| count);
        C::bucket_of(std::mem::replace(&mut before, count), count)
    };
    union.iter().map(bucket).collect()
}

/// Counts of buckets.
pub(crate) fn counts<C: Internal>(
    buckets: impl Iterator<Item = C::Bucket>,
) -> impl Iterator<Item = C::Bucket> {
    buckets.scan(C::Bucket::default(), |count, bucket| {
        *count = C::count_of(*count, bucket);
        Some(*count)
    })
}

/// Whether two sides have the same counts, to the bit; buckets without a count do not matter.
pub(crate) fn same_filled<C: Internal>(
    spans: &[Span],
    buckets: impl Iterator<Item = C::Bucket>,
    other: Side<'_, C::Bucket>,
) -> bool {
    filled::<C>(spans, buckets).eq(filled::<C>(other.spans, other.buckets.iter().copied()))
}

fn filled<C: Internal>(
    spans: &[Span],
    buckets: impl Iterator<Item = C::Bucket>,
) -> impl Iterator<Item = (i64, u64)> {
    let filled = indexes(spans).zip(counts::<C>(buckets)).filter(|(_, count)| *count != C::Bucket::default());
    filled.map(|(index, count)| (index, C::bits(count)))
}
