//! Samples that wait or fly, and what one request has of them.

use crate::cursor::Mark;
use crate::source::Other;

/// A float sample that waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The endpoint's number of the series.
    pub(crate) slot: u32,
    /// The sequence number of the block that it came in.
    pub(crate) block: u32,
    /// Milliseconds since the epoch.
    pub(crate) t_ms: i64,
    /// The value.
    pub(crate) value: f64,
    /// When its counter started, milliseconds since the epoch; 0 when that is not known.
    pub(crate) start_ms: i64,
}

/// An exemplar or histogram that waits.
#[derive(Clone, Debug)]
pub(crate) struct OtherEntry {
    /// The endpoint's number of the series.
    pub(crate) slot: u32,
    /// The sequence number of the block that it came in.
    pub(crate) block: u32,
    /// What it is.
    pub(crate) other: Other,
}

/// What a request carries, and which lanes it owns.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// Lane, and how far it is once the load is acknowledged.
    pub(crate) lanes: Vec<(u16, Mark)>,
    /// Grouped by series, in order within each.
    pub(crate) samples: Vec<Entry>,
    /// In order within each series.
    pub(crate) others: Vec<OtherEntry>,
}

impl Load {
    /// How many samples, exemplars and histograms.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.samples.len() + self.others.len()
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The oldest time of samples, exemplars and histograms, ms; `None` without any.
pub(super) fn oldest_ms(samples: &[Entry], others: &[OtherEntry]) -> Option<i64> {
    let others = others.iter().map(|entry| entry.other.t_ms);
    samples.iter().map(|entry| entry.t_ms).chain(others).min()
}
