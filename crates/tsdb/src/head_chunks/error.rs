//! Why a head chunk file cannot be used: the disk, a header, a hole in the numbers, bytes that are no chunk.

use std::io;
use std::path::{Path, PathBuf};

use super::{HeaderFault, RecordFault};

/// Why head chunk files cannot be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum HeadChunksError {
    /// The disk failed.
    #[error("cannot {action} head chunk file {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file does not begin like a head chunk file. The words are Prometheus'.
    #[error("{}: {fault}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: HeaderFault,
    },
    /// A file is missing between others. The words are Prometheus'.
    #[error(
        "found unsequential head chunk files {} (index: {before_number}) and {} (index: {after_number})",
        before.display(), after.display()
    )]
    Gap {
        /// Last file before the hole.
        before: PathBuf,
        /// Its number.
        before_number: u32,
        /// First file after it.
        after: PathBuf,
        /// Its number.
        after_number: u32,
    },
    /// A reference names a file that is not there.
    #[error("head chunk file {} is not there", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The bytes at a reference are no chunk.
    #[error("head chunk file {} is corrupt at byte {offset}: {fault}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the chunk's record should begin.
        offset: u32,
        /// What is wrong.
        fault: RecordFault,
    },
    /// The bytes at a reference are zeros, or an encoding that is not known.
    #[error("head chunk file {} has no chunk at byte {offset}", path.display())]
    NoChunk {
        /// The file.
        path: PathBuf,
        /// Where the chunk's record should begin.
        offset: u32,
    },
}

impl HeadChunksError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}
