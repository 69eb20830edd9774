//! What endpoints read of the log at once: samples with the places of their series, and what else there is, encoded.

use std::sync::Arc;

use narthex_wal::WalPosition;
use narthex_wal::record::RefSample;

use crate::metrics::RecordKind;
use crate::place::Place;

/// Decoded records of a stretch `[start, end)` of the log.
#[derive(Debug)]
pub(crate) struct Block {
    /// Where it begins.
    pub(crate) start: WalPosition,
    /// Where the next one begins.
    pub(crate) end: WalPosition,
    /// Float samples in the order of the log, with [`Place::bits`] for references.
    pub(super) samples: Vec<RefSample>,
    /// For each record with samples: the index of its first one, and where the record begins.
    pub(super) marks: Vec<(usize, WalPosition)>,
    /// Exemplars and histograms, encoded as they will be sent.
    pub(crate) others: Vec<Other>,
    /// The newest timestamp of a sample, ms; `i64::MIN` without samples.
    pub(crate) max_t_ms: i64,
    /// How many records of each kind there are.
    pub(crate) records: [u32; RecordKind::ALL.len()],
    /// Records that make no sense.
    pub(crate) undecoded: u32,
}

impl Block {
    /// How many float samples.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The records with float samples that begin at `from` or behind it: where each begins, and its samples with their places
    /// (`None` when the record of the series was lost), in the order of the log.
    pub(crate) fn records_from(
        &self,
        from: WalPosition,
    ) -> impl Iterator<Item = (WalPosition, impl Iterator<Item = (Option<Place>, &RefSample)>)> {
        let first = self.marks.partition_point(|(_, at)| *at < from);
        self.marks[first..].iter().enumerate().map(move |(i, (begin, at))| {
            let end = self.marks.get(first + i + 1).map_or(self.samples.len(), |(next, _)| *next);
            let samples = self.samples[*begin..end].iter();
            (*at, samples.map(|sample| (Place::from_bits(sample.series.0), sample)))
        })
    }

    /// Timestamps of its float samples, ms.
    pub(crate) fn times(&self) -> impl Iterator<Item = i64> + '_ {
        self.samples.iter().map(|sample| sample.t_ms)
    }
}

/// What is not a float sample.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    /// Its series; `None` when its record was lost, or when it did not come from the log.
    pub(crate) place: Option<Place>,
    /// Its timestamp, ms.
    pub(crate) t_ms: i64,
    /// When its counter started, ms; 0 when that is not known.
    pub(crate) start_ms: i64,
    /// Where its record begins.
    pub(crate) at: WalPosition,
    /// Which it is.
    pub(crate) kind: OtherKind,
    /// The message's fields.
    pub(crate) encoded: Arc<[u8]>,
}

/// Kinds of what is not a float sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OtherKind {
    /// An exemplar.
    Exemplar,
    /// A native histogram with exponential buckets.
    Histogram,
    /// One with custom buckets, which remote write 1.0 cannot carry.
    CustomHistogram,
}

impl OtherKind {
    /// The kind of a histogram.
    #[must_use]
    pub(crate) fn of_schema(schema: i32) -> Self {
        match schema {
            narthex_model::CUSTOM_BUCKETS_SCHEMA => Self::CustomHistogram,
            _ => Self::Histogram,
        }
    }

    /// The reverse of `as u8`.
    #[must_use]
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Self::Exemplar, Self::Histogram, Self::CustomHistogram]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}
