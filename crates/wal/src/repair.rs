//! Cutting a log at its last good record.
//!
//! Later segments go first, newest first, then the bad one is cut and filled with zeros up to a page: at each step a crash leaves
//! a log that fails at the same place again, and a second repair does the rest. What lay behind the fault is lost, as in
//! Prometheus: records depend on those before them.

use std::fs::OpenOptions;
use std::path::Path;

use super::dir::{DirError, list_segments, segment_path};
use super::fragment::left_in_page;
use super::segment_reader::ReadError;
use super::{PAGE_SIZE, WalPosition};

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairReport {
    /// The log now ends here.
    pub end: WalPosition,
    /// Bytes cut off the bad segment.
    pub cut_bytes: u64,
    /// Later segments that were deleted.
    pub deleted_segments: Vec<u32>,
}

/// Fills the newest segment with zeros up to a page. A record that a crash cut short is whole again when its missing bytes were
/// zeros: its checksum says so. COMPAT: Prometheus reads a segment as if it were filled.
///
/// # Errors
/// The directory cannot be listed or the file not be made longer.
pub fn fill_last_page(dir: &Path) -> Result<(), DirError> {
    let Some(number) = list_segments(dir)?.last().copied() else { return Ok(()) };
    let path = segment_path(dir, number);
    let failed = |source| DirError::io("fill WAL segment", &path, source);
    let file = OpenOptions::new().write(true).open(&path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    match len % PAGE_SIZE as u64 {
        0 => Ok(()),
        used => file.set_len(len - used + PAGE_SIZE as u64).map_err(failed),
    }
}

/// Cuts the log where `error` says that its last good record ends. An error that is not a corruption cannot be repaired and
/// comes back as it is. Call it before a [`Writer`](super::Writer) opens the log; count it in
/// `prometheus_tsdb_wal_corruptions_total`. Logs one warning.
///
/// # Errors
/// The given error, or the failure to cut or delete.
pub fn repair(error: ReadError) -> Result<RepairReport, ReadError> {
    let ReadError::Corrupt { dir, segment, good_end, .. } = &error else { return Err(error) };
    let (segment, good_end) = (*segment, *good_end);
    let mut deleted_segments = list_segments(dir)?;
    deleted_segments.retain(|number| *number > segment);
    for number in deleted_segments.iter().rev() {
        let path = segment_path(dir, *number);
        std::fs::remove_file(&path).map_err(|source| DirError::io("delete WAL segment", &path, source))?;
    }
    let path = segment_path(dir, segment);
    let failed = |source| DirError::io("cut WAL segment", &path, source);
    let file = OpenOptions::new().write(true).open(&path).map_err(failed)?;
    let old_len = file.metadata().map_err(failed)?.len();
    file.set_len(good_end).map_err(failed)?;
    let padding = left_in_page(good_end) % PAGE_SIZE;
    file.set_len(good_end + padding as u64).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    let report = RepairReport {
        end: WalPosition { segment, offset: good_end },
        cut_bytes: old_len.saturating_sub(good_end),
        deleted_segments,
    };
    tracing::warn!(
        %error,
        kept_to = %report.end,
        cut_bytes = report.cut_bytes,
        deleted_segments = ?report.deleted_segments,
        "WAL is corrupt; everything before the corruption was kept"
    );
    Ok(report)
}
