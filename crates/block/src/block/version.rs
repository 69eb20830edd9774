//! The repair of blocks that Prometheus 2.1 wrote: their index calls itself version 1 and is version 2, their `meta.json` says
//! version 2 where only 1 exists.
//!
//! Facts: Prometheus `tsdb/repair.go`; the case in `conformance/tsdb/upstream/repair_index_version`.

use std::io;
use std::path::{Path, PathBuf};

use crate::index;
use crate::{BlockMeta, MetaError};

/// What such a `meta.json` says.
const BAD_META_VERSION: u64 = 2;
/// Where an index says its version.
const VERSION_AT: usize = 4;

/// Why a block could not be repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// `meta.json`.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The index could not be read or replaced.
    #[error("cannot rewrite {}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// Repairs the block in `dir` if Prometheus 2.1 wrote it; `true` when it did. Doing it twice, or after a crash in between, is
/// harmless: the description is changed last.
///
/// # Errors
/// See [`RepairError`]; the block then is as it was, or its index is repaired already.
pub fn repair_index_version(dir: &Path) -> Result<bool, RepairError> {
    if BlockMeta::read_any_version(dir)?.version() != BAD_META_VERSION {
        return Ok(false);
    }
    let path = dir.join(index::FILE);
    let rewritten = std::fs::read(&path).and_then(|mut bytes| {
        let version = bytes.get_mut(VERSION_AT).ok_or(io::ErrorKind::UnexpectedEof)?;
        *version = 2;
        narthex_disk::replace_file(&path, &bytes)
    });
    rewritten.map_err(|source| RepairError::Index { path, source })?;
    narthex_disk::point("block.repair.meta");
    BlockMeta::read_any_version(dir)?.write(dir)?;
    Ok(true)
}
