//! How a replay went: what it found, what it left out, why it could not be done, and what is to be done about damage.

use std::path::PathBuf;

use narthex_wal::{DirError, ReadError, repair};

use super::late::UnknownLate;

/// Why the WAL could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The directory's files do not make a log.
    #[error("cannot replay the WAL")]
    Dir(#[from] DirError),
    /// The newest checkpoint is corrupt. All later segments refer to its series, so cutting it would lose samples in silence.
    #[error(
        "cannot replay the WAL: its checkpoint {} is corrupt, and later segments depend on it; restore it from a copy, or move it away to start with what the segments alone hold",
        dir.display()
    )]
    Checkpoint {
        /// The checkpoint's directory.
        dir: PathBuf,
        /// Where and how.
        #[source]
        source: ReadError,
    },
    /// The disk failed while a memory snapshot was read that was whole a moment ago.
    #[error("cannot replay the memory snapshot {}; without it the WAL is replayed from its start", dir.display())]
    Snapshot {
        /// The snapshot's directory.
        dir: PathBuf,
        /// Where and how.
        #[source]
        source: Box<ReadError>,
    },
    /// The disk failed, or a corruption could not be cut off.
    #[error("cannot replay the WAL")]
    Read(#[from] ReadError),
    /// A fault of ours. The logs are as they were.
    #[error(
        "cannot replay the WAL: a thread of the replay panicked: {reason}; please report this with the log above it"
    )]
    Panicked {
        /// What the panic said.
        reason: String,
    },
}

impl ReplayError {
    /// For what joining a thread gave.
    pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Self::Panicked { reason: text.unwrap_or_else(|| "without a word".to_owned()) }
    }
}

/// What is done about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// The log is cut before it, and half-written checkpoints are swept.
    Repair,
    /// Nothing is changed; what stands before it is used.
    Leave,
}

impl Damage {
    /// Carries it out for one corruption.
    pub(super) fn at(self, error: ReadError) -> Result<(), ReadError> {
        match self {
            Self::Repair => repair(error).map(drop),
            Self::Leave => {
                tracing::warn!(%error, "only what stands before the damage is read");
                Ok(())
            }
        }
    }
}

/// What a replay found.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplayReport {
    pub(crate) series: u64,
    pub(crate) samples: u64,
    pub(crate) chunks: u64,
    /// Places where the log was cut.
    pub(crate) corruptions: u32,
    pub(crate) unknown: Unknown,
    /// Entries of the WBL, and chunks, that refer to unknown series.
    pub(crate) unknown_late: UnknownLate,
    /// Histograms whose spans have not as many buckets as there are; they are left out.
    pub(crate) malformed: u64,
    pub(crate) duration_s: f64,
}

/// Entries that refer to series which the WAL does not know, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unknown {
    pub(super) samples: u64,
    pub(super) histograms: u64,
    pub(super) exemplars: u64,
    pub(super) metadata: u64,
    pub(super) tombstones: u64,
}

impl Unknown {
    /// The counts with Prometheus' words for the kinds.
    pub(crate) fn by_name(&self) -> [(&'static str, u64); 5] {
        [
            ("samples", self.samples),
            ("histograms", self.histograms),
            ("exemplars", self.exemplars),
            ("metadata", self.metadata),
            ("tombstones", self.tombstones),
        ]
    }
}

pub(super) fn log_report(report: &ReplayReport) {
    tracing::info!(
        series = report.series,
        samples = report.samples,
        duration_s = report.duration_s,
        "WAL replay completed"
    );
    if report.malformed > 0 {
        let count = report.malformed;
        tracing::warn!(count, "skipped histograms in the WAL whose spans and buckets contradict each other");
    }
    if report.unknown != Unknown::default() {
        tracing::warn!(
            samples = report.unknown.samples,
            histograms = report.unknown.histograms,
            exemplars = report.unknown.exemplars,
            metadata = report.unknown.metadata,
            tombstones = report.unknown.tombstones,
            "skipped WAL entries of series that the WAL does not know; their series records were lost or deleted before"
        );
    }
}
