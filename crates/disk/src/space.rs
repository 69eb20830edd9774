//! How much room a file system has, and whether an error says that there is none.

use std::io;
use std::path::Path;

/// Bytes that this process may still write to the file system of `path`.
///
/// # Errors
/// The system's.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stats = rustix::fs::statvfs(path)?;
    Ok(stats.f_bavail.saturating_mul(stats.f_frsize))
}

/// Whether an error means that the disk, or this user's share of it, is full.
#[must_use]
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Bytes of the file system of `path`, used or not.
///
/// # Errors
/// The system's.
pub fn total_bytes(path: &Path) -> io::Result<u64> {
    let stats = rustix::fs::statvfs(path)?;
    Ok(stats.f_blocks.saturating_mul(stats.f_frsize))
}
