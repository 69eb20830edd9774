//! The write-ahead log: every committed batch, in Prometheus' format, before anybody may see it.
//!
//! Roads in:
//! * write: encode records with [`record`], hand a batch of them to [`Writer::log`];
//! * replay: [`ReplayPlan::of`] says which checkpoint and segments to read, [`Reader`] yields their records,
//!   [`repair`] cuts the log at the first bad one;
//! * shorten: a [`Checkpoint`] says in less what old segments say, then [`delete_segments_before`] takes those away;
//! * follow: [`Tailer`] reads behind a live writer, up to the position that its [`Tip`] publishes.
//!
//! Always true: a batch that `log` acknowledged lies in the page cache whole, in one segment, and was written by one system
//! call; a batch that failed leaves no byte behind that a later batch does not overwrite; a reader never panics, whatever
//! the bytes.
//! Must not know: the head, what a series means, who reads.
//! Facts: Prometheus `tsdb/docs/format/wal.md`, and the data directories under `conformance/tsdb`.
//!
//! Shape: a segment file is a row of pages of 32 KiB. A page holds fragments (7 bytes of header, then data); what is left
//! of a page when no header fits, or when the segment ends, is zero. A record is one fragment or several in a row, is
//! compressed as a whole, and never crosses into another segment.

mod bytes;
mod checkpoint;
mod compress;
mod dir;
mod fragment;
mod metrics;
mod read;
pub mod record;
mod repair;
mod segment_reader;
mod sync;
mod tail;
#[cfg(test)]
mod tests;
mod write;

pub use checkpoint::{
    Checkpoint, CheckpointError, CheckpointStats, delete_checkpoints_before, sweep_checkpoints,
};
pub use compress::Compression;
pub use dir::{DirError, ReplayPlan, list_checkpoints, list_segments, segment_path};
pub use metrics::WalMetrics;
pub use read::Reader;
pub use repair::{RepairReport, fill_last_page, repair};
pub use segment_reader::{Corruption, ReadError, Record};
pub use tail::{Tail, Tailer, Tip};
pub use write::{WalOptions, WriteError, Writer, delete_segments_before};

/// Bytes of a page.
pub const PAGE_SIZE: usize = 32 * 1024;
/// Bytes in front of each fragment's data: type 1, length 2, checksum 4.
pub const HEADER_SIZE: usize = 7;

/// Answers what somebody who follows the log still needs: nothing at this position or behind it may go. `None`: nothing is needed.
pub type WalHold = std::sync::Arc<dyn Fn() -> Option<WalPosition> + Send + Sync>;

/// A place in the log. Ordered as the log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WalPosition {
    /// Number of the segment file.
    pub segment: u32,
    /// Bytes from the start of that file, below 4 GiB.
    pub offset: u64,
}

impl std::fmt::Display for WalPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08}:{}", self.segment, self.offset)
    }
}
