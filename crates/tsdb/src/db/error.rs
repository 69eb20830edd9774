//! Why a database cannot be opened or a request to it cannot be met.

use std::io;
use std::path::PathBuf;

use narthex_block::Ulid;
use narthex_storage::{CommitError, QueryError};
use narthex_wal::{CheckpointError, WriteError};

use crate::compact::write::CompactError;
use crate::dir_lock::LockError;
use crate::head::replay::ReplayError;
use crate::head_chunks::HeadChunksError;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory could not be made or listed.
    #[error("cannot open data directory {}", path.display())]
    Dir {
        /// The data directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Another process has the directory, or the lock cannot be made.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The files of the head's chunks cannot be used.
    #[error(transparent)]
    HeadChunks(#[from] HeadChunksError),
    /// The log cannot be read.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The log cannot be written.
    #[error("cannot open the WAL for writing")]
    Wal(#[from] WriteError),
    /// Blocks cannot be opened.
    #[error(
        "{list}; restore what is damaged from a copy, or move the directory of the block away to go on without its samples"
    )]
    CorruptBlocks {
        /// Each with its reason.
        list: String,
    },
    /// The format number of a block's index is wrong, as an old version of Prometheus left it, and cannot be mended.
    #[error("repair bad index version of {}", dir.display())]
    Repair {
        /// The block.
        dir: PathBuf,
        /// What failed.
        #[source]
        source: narthex_block::RepairError,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread of the storage")]
    Thread(#[source] io::Error),
    /// The replay failed, and somebody was told why already; or the database was closed while it replayed.
    #[error("the storage was not opened to its end")]
    NotOpened,
    /// Start timestamps are to be stored, which XOR cannot. COMPAT: Prometheus' words.
    #[error(
        "float chunk encoding \"xor\" is incompatible with start-timestamp storage; XOR chunks do not store start timestamps, use \"xor2\""
    )]
    XorWithStartTimestamps,
    /// An option makes no sense.
    #[error("{what} must be above 0, not {value}")]
    Option {
        /// The option.
        what: &'static str,
        /// Its value.
        value: i64,
    },
}

/// Why a request to an open database could not be met.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The head is still being replayed, or the database is closed.
    #[error("TSDB not ready")]
    NotReady,
    /// The database, or what is asked of it, ended while it worked.
    #[error("cancelled: the storage is closing")]
    Cancelled,
    /// Stored data cannot be read.
    #[error(transparent)]
    Read(#[from] QueryError),
    /// Start timestamps are stored, which XOR cannot.
    #[error(
        "float chunk encoding \"xor\" is incompatible with start-timestamp storage; XOR chunks do not store start timestamps, use \"xor2\""
    )]
    XorWithStartTimestamps,
    /// A log cannot be written.
    #[error("cannot write the log")]
    Log(#[from] WriteError),
    /// A checkpoint of the WAL cannot be written.
    #[error("WAL truncation")]
    Checkpoint(#[from] CheckpointError),
    /// A block cannot be written.
    #[error(transparent)]
    Compact(CompactError),
    /// Samples of a block cannot be deleted.
    #[error(transparent)]
    Delete(#[from] narthex_block::DeleteError),
    /// A delete cannot be logged.
    #[error("cannot delete from the head")]
    Head(#[from] CommitError),
    /// That stale series left the head cannot be logged.
    #[error("cannot log that stale series left the head")]
    Evict(#[source] CommitError),
    /// A block was written but cannot be served; it was removed, and its samples are where they were.
    #[error("block {block} was written but cannot be opened")]
    NotServed {
        /// The block.
        block: Ulid,
    },
    /// A bug ended the look of the maintenance; the next one goes on.
    #[error("a bug in the maintenance of the storage, please report it: {0}")]
    Panic(String),
    /// Snapshots into the data directory itself.
    #[error("cannot snapshot into base directory")]
    SnapshotIntoItself,
    /// A file or directory cannot be written, linked, renamed or removed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}
