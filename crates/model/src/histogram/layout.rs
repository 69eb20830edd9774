//! The same histogram in other buckets: without empty ones, or with fewer and wider ones.
//!
//! Always true: no observation is lost or moved across a bucket bound that stays; spans and buckets agree afterwards. Spans that
//! do not agree with their buckets are refused, and the histogram is as it was.
//! Facts: Prometheus `model/histogram` documentation; error texts of release 3.14. Bucket `i` of a schema lies in bucket
//! `((i - 1) >> d) + 1` of a schema that is lower by `d`.

use super::{FloatHistogram, Histogram, Span};

/// Spans that do not describe the buckets. The texts are Prometheus'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A span goes back.
    #[error("span number {number} with offset {offset}: histogram has a span whose offset is negative")]
    NegativeOffset {
        /// Counted from 1.
        number: usize,
        /// Its offset.
        offset: i32,
    },
    /// The spans promise more buckets than there are.
    #[error(
        "have {have} buckets but spans need more: histogram spans specify different number of buckets than provided"
    )]
    TooFew {
        /// How many buckets there are.
        have: usize,
    },
    /// There are more buckets than the spans tell of.
    #[error(
        "spans need {need} buckets, have {have} buckets: histogram spans specify different number of buckets than provided"
    )]
    TooMany {
        /// How many buckets the spans tell of.
        need: usize,
        /// How many there are.
        have: usize,
    },
    /// The gap between two buckets is wider than a span can say.
    #[error("buckets are further apart than a span can tell")]
    TooFarApart,
}

/// A count in a bucket.
trait Count: Copy + PartialEq + Default {
    fn plus(self, other: Self) -> Self;
}

impl Count for i64 {
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

impl Count for f64 {
    fn plus(self, other: Self) -> Self {
        self + other
    }
}

impl Histogram {
    /// Buckets on both sides, empty ones included.
    #[must_use]
    pub fn bucket_count(&self) -> usize {
        self.positive_buckets.len() + self.negative_buckets.len()
    }

    /// Leaves out empty buckets, but for runs of at most `max_empty` between others. A side whose spans do not agree with its
    /// buckets stays as it is.
    pub fn compact(&mut self, max_empty: u32) {
        for (spans, buckets) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            to_absolute(buckets);
            compact_side(spans, buckets, max_empty);
            to_deltas(buckets);
        }
    }

    /// Merges buckets down to an exponential `schema` below its own, which must be exponential, too.
    ///
    /// # Errors
    /// When spans and buckets do not agree; nothing has changed then.
    pub fn reduce_resolution(&mut self, schema: i32) -> Result<(), LayoutError> {
        let wider_by = (self.schema - schema).clamp(0, 31);
        check_spans(&self.positive_spans, self.positive_buckets.len())?;
        check_spans(&self.negative_spans, self.negative_buckets.len())?;
        let wide = |at: i64| ((at - 1) >> wider_by) + 1;
        for (spans, buckets) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            to_absolute(buckets);
            rebuild(spans, buckets, |_| true, wide);
            to_deltas(buckets);
        }
        self.schema = schema;
        Ok(())
    }
}

impl FloatHistogram {
    /// Buckets on both sides, empty ones included.
    #[must_use]
    pub fn bucket_count(&self) -> usize {
        self.positive_buckets.len() + self.negative_buckets.len()
    }

    /// See [`Histogram::compact`].
    pub fn compact(&mut self, max_empty: u32) {
        compact_side(&mut self.positive_spans, &mut self.positive_buckets, max_empty);
        compact_side(&mut self.negative_spans, &mut self.negative_buckets, max_empty);
    }

    /// See [`Histogram::reduce_resolution`].
    ///
    /// # Errors
    /// When spans and buckets do not agree; nothing has changed then.
    pub fn reduce_resolution(&mut self, schema: i32) -> Result<(), LayoutError> {
        let wider_by = (self.schema - schema).clamp(0, 31);
        check_spans(&self.positive_spans, self.positive_buckets.len())?;
        check_spans(&self.negative_spans, self.negative_buckets.len())?;
        let wide = |at: i64| ((at - 1) >> wider_by) + 1;
        rebuild(&mut self.positive_spans, &mut self.positive_buckets, |_| true, wide);
        rebuild(&mut self.negative_spans, &mut self.negative_buckets, |_| true, wide);
        self.schema = schema;
        Ok(())
    }
}

fn to_absolute(deltas: &mut [i64]) {
    let mut count = 0i64;
    for delta in deltas {
        count = count.wrapping_add(*delta);
        *delta = count;
    }
}

fn to_deltas(counts: &mut [i64]) {
    let mut before = 0i64;
    for count in counts {
        let delta = count.wrapping_sub(before);
        before = std::mem::replace(count, delta);
    }
}

fn check_spans(spans: &[Span], have: usize) -> Result<(), LayoutError> {
    let mut need = 0usize;
    let mut at = 0i64;
    for (i, span) in spans.iter().enumerate() {
        if i > 0 && span.offset < 0 {
            return Err(LayoutError::NegativeOffset { number: i + 1, offset: span.offset });
        }
        need = need.saturating_add(span.length as usize);
        if need > have {
            return Err(LayoutError::TooFew { have });
        }
        at += i64::from(span.offset) + i64::from(span.length);
    }
    if need != have {
        return Err(LayoutError::TooMany { need, have });
    }
    // Any two buckets, and the last one and zero, then lie within reach of one offset.
    let first = spans.first().map_or(0, |span| i64::from(span.offset));
    if at - first.min(0) > i64::from(i32::MAX) { Err(LayoutError::TooFarApart) } else { Ok(()) }
}

fn compact_side<C: Count>(spans: &mut Vec<Span>, counts: &mut Vec<C>, max_empty: u32) {
    let far = |(i, span): (usize, &Span)| {
        span.length > 0 && (i == 0 || i64::from(span.offset) > i64::from(max_empty))
    };
    // PERF: histograms of clients have no empty buckets; nothing is written then.
    let is_compact = spans.iter().enumerate().all(far) && counts.iter().all(|count| *count != C::default());
    if is_compact || check_spans(spans, counts.len()).is_err() {
        return;
    }
    rebuild(spans, counts, |count| *count != C::default(), |at| at);
    fill_gaps(spans, counts, max_empty);
}

/// Keeps the buckets that `keep` wants, moves each from its index to `place` (which never falls), and adds up those that meet.
/// Spans and buckets must agree.
fn rebuild<C: Count>(
    spans: &mut Vec<Span>,
    counts: &mut Vec<C>,
    keep: impl Fn(&C) -> bool,
    place: impl Fn(i64) -> i64,
) {
    let old = std::mem::take(spans);
    let (mut read, mut written, mut index) = (0, 0, 0i64);
    let mut last: Option<i64> = None;
    for span in &old {
        index += i64::from(span.offset);
        for _ in 0..span.length {
            let (count, at) = (counts[read], place(index));
            read += 1;
            index += 1;
            if !keep(&count) {
                continue;
            }
            if last == Some(at) {
                counts[written - 1] = counts[written - 1].plus(count);
                continue;
            }
            push_index(spans, at - last.map_or(0, |last| last + 1));
            counts[written] = count;
            written += 1;
            last = Some(at);
        }
    }
    counts.truncate(written);
}

/// Adds a bucket that lies `gap` behind the end of the last one.
fn push_index(spans: &mut Vec<Span>, gap: i64) {
    match spans.last_mut() {
        Some(span) if gap == 0 => span.length += 1,
        // The check of the spans made sure that it fits; the first offset is one of theirs or nearer to zero.
        _ => spans.push(Span { offset: gap as i32, length: 1 }),
    }
}

/// Puts empty buckets into gaps of at most `widest`.
fn fill_gaps<C: Count>(spans: &mut Vec<Span>, counts: &mut Vec<C>, widest: u32) {
    let is_narrow = |span: &Span| u32::try_from(span.offset).is_ok_and(|gap| gap <= widest);
    if !spans.iter().skip(1).any(is_narrow) {
        return;
    }
    let (old_spans, old) = (std::mem::take(spans), std::mem::take(counts));
    let mut rest = old.as_slice();
    for span in old_spans {
        let (own, others) = rest.split_at(span.length as usize);
        rest = others;
        match spans.last_mut() {
            Some(before) if is_narrow(&span) => {
                before.length += span.offset as u32 + span.length;
                counts.resize(counts.len() + span.offset as usize, C::default());
            }
            _ => spans.push(span),
        }
        counts.extend_from_slice(own);
    }
}

#[cfg(test)]
mod tests;
