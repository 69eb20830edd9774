//! The times at which an expression is evaluated, and the set of those steps at which a series has a sample.

use smallvec::SmallVec;

/// Evenly spaced times: `start_ms`, `start_ms + step_ms`, …, `count` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Steps {
    /// The first time, milliseconds since the epoch.
    pub start_ms: i64,
    /// The distance of two times, above 0.
    pub step_ms: i64,
    /// How many times; 0 for a subquery whose window holds none.
    pub count: usize,
}

impl Steps {
    /// Exactly one time.
    #[must_use]
    pub fn instant(t_ms: i64) -> Self {
        Self { start_ms: t_ms, step_ms: 1, count: 1 }
    }

    /// All times from `start_ms` to at most `end_ms`; none when the end lies before the start.
    ///
    /// # Panics
    /// When `step_ms` is not above 0.
    #[must_use]
    pub fn range(start_ms: i64, end_ms: i64, step_ms: i64) -> Self {
        assert!(step_ms > 0, "a step must be above 0, found {step_ms}");
        let count = if end_ms < start_ms { 0 } else { ((end_ms - start_ms) / step_ms) as usize + 1 };
        Self { start_ms, step_ms, count }
    }

    /// The time of step `i`.
    #[inline]
    #[must_use]
    pub fn at(&self, i: usize) -> i64 {
        self.start_ms + i as i64 * self.step_ms
    }

    /// The last time (the start when there is none).
    #[must_use]
    pub fn last_ms(&self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }

    /// Only the first step.
    #[must_use]
    pub fn first_only(&self) -> Self {
        Self { count: self.count.min(1), ..*self }
    }

    /// All times in order.
    pub fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |i| self.at(i))
    }
}

/// A set of steps, one bit each.
///
/// PERF: up to 128 steps need no memory of their own: an instant query has several masks a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    words: SmallVec<[u64; 2]>,
}

impl Mask {
    /// The empty set with room for `count` steps.
    #[must_use]
    pub fn none(count: usize) -> Self {
        Self { words: SmallVec::from_elem(0, count.div_ceil(64)) }
    }

    /// The set of the steps `0..count`.
    #[must_use]
    pub fn all(count: usize) -> Self {
        let mut mask = Self::none(count);
        mask.set_all(count);
        mask
    }

    /// Empties the set and makes room for `count` steps.
    pub fn reset(&mut self, count: usize) {
        self.words.clear();
        self.words.resize(count.div_ceil(64), 0);
    }

    /// Makes this the set of the steps `0..count`.
    pub fn set_all(&mut self, count: usize) {
        self.words.clear();
        self.words.resize(count / 64, u64::MAX);
        if !count.is_multiple_of(64) {
            self.words.push((1 << (count % 64)) - 1);
        }
    }

    /// Adds a step.
    #[inline]
    pub fn set(&mut self, i: usize) {
        self.words[i / 64] |= 1 << (i % 64);
    }

    /// Takes a step out.
    #[inline]
    pub fn unset(&mut self, i: usize) {
        self.words[i / 64] &= !(1 << (i % 64));
    }

    /// Whether a step is in the set.
    #[inline]
    #[must_use]
    pub fn get(&self, i: usize) -> bool {
        self.words[i / 64] >> (i % 64) & 1 == 1
    }

    /// How many steps are in the set.
    #[must_use]
    pub fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether no step is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// The first step of the set.
    #[must_use]
    pub fn first(&self) -> Option<usize> {
        self.iter().next()
    }

    /// The last step of the set.
    #[must_use]
    pub fn last(&self) -> Option<usize> {
        let at = self.words.iter().rposition(|word| *word != 0)?;
        Some(at * 64 + 63 - self.words[at].leading_zeros() as usize)
    }

    /// The steps of the set in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| OneBits { word: *word, base: at * 64 })
    }

    /// The bits, 64 steps a word, step 0 in the lowest bit of the first.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The bytes of its words.
    pub(crate) fn heap_bytes(&self) -> usize {
        if self.words.spilled() { self.words.capacity() * 8 } else { 0 }
    }

    /// Adds all steps of `other`.
    pub fn add(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
    }

    /// Keeps only the steps that are also in `other`.
    pub fn keep(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= b);
    }

    /// Takes out all steps of `other`.
    pub fn remove(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= !b);
    }

    /// The first step that both sets hold.
    #[must_use]
    pub fn first_common(&self, other: &Self) -> Option<usize> {
        let at = self.words.iter().zip(&other.words).position(|(a, b)| a & b != 0)?;
        Some(at * 64 + (self.words[at] & other.words[at]).trailing_zeros() as usize)
    }

    /// Makes this a copy of `other`, reusing its memory.
    pub fn copy_from(&mut self, other: &Self) {
        self.words.clear();
        self.words.extend_from_slice(&other.words);
    }
}

struct OneBits {
    word: u64,
    base: usize,
}

impl Iterator for OneBits {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.word == 0 {
            return None;
        }
        let bit = self.word.trailing_zeros() as usize;
        self.word &= self.word - 1;
        Some(self.base + bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_at_the_last_whole_step() {
        let steps = Steps::range(10, 35, 10);
        assert_eq!((steps.count, steps.last_ms()), (3, 30));
        assert_eq!(Steps::range(10, 9, 10).count, 0);
        assert_eq!(Steps::instant(7).times().collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn masks_count_and_list_their_steps() {
        let mut mask = Mask::none(130);
        for i in [0, 63, 64, 129] {
            mask.set(i);
        }
        assert_eq!(mask.iter().collect::<Vec<_>>(), [0, 63, 64, 129]);
        assert_eq!((mask.count(), mask.get(64), mask.get(65)), (4, true, false));
        assert_eq!((mask.first(), mask.last(), Mask::none(130).last()), (Some(0), Some(129), None));
        assert_eq!(mask.first_common(&Mask::all(130)), Some(0));
        mask.remove(&Mask::all(64));
        assert_eq!(mask.iter().collect::<Vec<_>>(), [64, 129]);
        assert_eq!(Mask::all(130).count(), 130);
    }
}
