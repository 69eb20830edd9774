//! The table of texts of a request, and the lists of numbers that name them.
//!
//! Must not know: what a text means. Cost: nothing is copied.

use crate::receive::label_set::RawLabel;
use crate::receive::limits::{MAX_LABELS, MAX_SPELLED};
use crate::receive::message::Span;

/// The table; text 0 is `""` in a good request.
#[derive(Clone, Copy)]
pub(super) struct Symbols<'a> {
    pub(super) buffer: &'a [u8],
    pub(super) places: &'a [Span],
}

/// Why numbers do not spell labels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRefs {
    #[error("invalid labelRefs length {0}")]
    Odd(usize),
    #[error("labelRefs {name} (name) = {value} (value) outside of symbols table (size {size})")]
    Outside { name: u32, value: u32, size: usize },
    #[error("{0} labels, at most {MAX_LABELS} are taken")]
    TooMany(usize),
    #[error("labels are longer than {MAX_SPELLED} bytes")]
    TooLong,
}

impl<'a> Symbols<'a> {
    /// The text of a number.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&'a [u8]> {
        Some(&self.buffer[self.places.get(number as usize)?.range()])
    }

    /// How many texts there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The labels that numbers spell, in their order.
    pub(super) fn labels(&self, refs: &[u32]) -> Result<Vec<RawLabel<'a>>, BadRefs> {
        if !refs.len().is_multiple_of(2) {
            return Err(BadRefs::Odd(refs.len()));
        }
        if refs.len() / 2 > MAX_LABELS {
            return Err(BadRefs::TooMany(refs.len() / 2));
        }
        let mut labels = Vec::with_capacity(refs.len() / 2 + 2);
        let mut spelled = 0;
        for pair in refs.chunks_exact(2) {
            let (Some(name), Some(value)) = (self.get(pair[0]), self.get(pair[1])) else {
                return Err(BadRefs::Outside { name: pair[0], value: pair[1], size: self.len() });
            };
            spelled += name.len() + value.len();
            if spelled > MAX_SPELLED {
                return Err(BadRefs::TooLong);
            }
            labels.push((name, value));
        }
        Ok(labels)
    }
}
