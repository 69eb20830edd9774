//! What became of the parts of a request: how many were stored, and why others were not.

use std::fmt::{Display, Write as _};

/// Longest text of all refusals together, bytes; what comes behind is only counted.
const MAX_TEXT: usize = 64 << 10;

/// What a request of protocol 2.0 stored, for the headers `X-Prometheus-Remote-Write-…-Written`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Float samples.
    pub samples: usize,
    /// Native histograms.
    pub histograms: usize,
    /// Exemplars.
    pub exemplars: usize,
}

/// See the module's words.
#[derive(Debug, Default)]
pub(in crate::receive) struct Tally {
    pub(in crate::receive) counts: Counts,
    /// Reasons, a line each.
    text: String,
}

/// The numbers of a [`Tally`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::receive) struct Counts {
    pub(in crate::receive) written: Written,
    /// Samples and histograms that were left out for the labels of their series.
    pub(in crate::receive) invalid: usize,
    /// Samples and histograms that were stored while the metadata of their series could not be.
    pub(in crate::receive) without_metadata: usize,
    /// Refusals, also those without a text.
    refused: usize,
    /// Refusals with a text.
    told: usize,
}

/// A moment that a tally can be taken back to.
pub(in crate::receive) struct Mark {
    counts: Counts,
    text_len: usize,
}

impl Tally {
    /// Adds a refusal; `reason` is only asked for while there is room for its text.
    pub(super) fn refuse<R: Display>(&mut self, reason: impl FnOnce() -> R) {
        self.counts.refused += 1;
        if self.text.len() < MAX_TEXT {
            self.counts.told += 1;
            let line_end = if self.text.is_empty() { "" } else { "\n" };
            write!(self.text, "{line_end}{}", reason()).expect("writing to a string cannot fail");
        }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { counts: self.counts, text_len: self.text.len() }
    }

    /// Forgets what came after the mark.
    pub(super) fn back_to(&mut self, mark: &Mark) {
        self.counts = mark.counts;
        self.text.truncate(mark.text_len);
    }

    /// All reasons; `None` when nothing was refused.
    pub(in crate::receive) fn refusals(self) -> Option<String> {
        let Counts { refused, told, .. } = self.counts;
        match refused - told {
            0 if refused == 0 => None,
            0 => Some(self.text),
            more => Some(format!("{}\nand {more} more", self.text)),
        }
    }
}
