//! The blocks of a data directory: which are there, which are served, which go.
//!
//! Always true: a block that is served was opened whole; a block goes from service before its directory goes, and that in one
//! step (a rename), so that no start ever meets half a block. Readers that have a block keep its files until they are done.
//! Names: a directory is a block when its name is a ULID. Which block it is says its `meta.json`; of two directories that say the
//! same the first is served.
//! Lock: `open` is a leaf, held for a look or a swap. Only the holder of the compaction lock reloads.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use narthex_block::{Block, BlockMeta, Ulid};
use narthex_disk::point;
use parking_lot::{Mutex, RwLock};

/// Suffix of a block's directory while it is deleted.
pub(super) const DELETING: &str = ".tmp-for-deletion";
/// Suffix of a block's directory while it is written.
pub(super) const CREATING: &str = ".tmp-for-creation";
/// What old versions of Prometheus called both.
const LEGACY: &str = ".tmp";
/// Where corrupt blocks go.
const QUARANTINE: &str = "quarantine";

/// See the module's words.
pub(super) struct Blocks {
    dir: PathBuf,
    /// By the start of their range.
    open: RwLock<Arc<Vec<Block>>>,
    /// Directories about which somebody was told already.
    told: Mutex<HashSet<PathBuf>>,
    /// Blocks that turned out to be corrupt while they were read, with their directories and the reasons. They are not served any
    /// more; the maintenance puts them aside. Comes before `open`.
    withdrawn: Mutex<HashMap<Ulid, (PathBuf, String)>>,
}

/// A block that cannot be opened.
#[derive(Debug)]
pub(super) struct Corrupt {
    pub(super) dir: PathBuf,
    /// What its description says it is; `None` when that cannot be read either.
    pub(super) ulid: Ulid,
    pub(super) source: narthex_block::OpenError,
}

/// What a look through the directory found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) blocks: Vec<Block>,
    pub(super) corrupt: Vec<Corrupt>,
}

impl Blocks {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            open: RwLock::default(),
            told: Mutex::default(),
            withdrawn: Mutex::default(),
        }
    }

    /// The blocks that are served now, by the start of their range.
    pub(super) fn current(&self) -> Arc<Vec<Block>> {
        Arc::clone(&self.open.read())
    }

    /// End of the newest block with data in order, ms; `None` when there is none. The head has nothing to give before it.
    pub(super) fn in_order_end_ms(&self) -> Option<i64> {
        in_order_end_ms(&self.current())
    }

    /// Looks through the directory; blocks that are open already are not opened again.
    pub(super) fn find(&self) -> io::Result<Found> {
        let open = self.current();
        let (mut found, mut names) = (Found::default(), HashSet::new());
        for dir in block_dirs(&self.dir)? {
            if let Some(block) = open.iter().find(|block| block.dir() == dir) {
                if names.insert(block.ulid()) {
                    found.blocks.push(block.clone());
                }
                continue;
            }
            let ulid = match BlockMeta::read(&dir) {
                Ok(meta) => meta.ulid,
                Err(error) => {
                    self.tell(&dir, &error);
                    continue;
                }
            };
            if self.withdrawn.lock().contains_key(&ulid) {
                continue;
            }
            if !names.insert(ulid) {
                self.tell(&dir, &format_args!("another directory holds block {ulid} too"));
                continue;
            }
            match Block::open(&dir) {
                Ok(block) => found.blocks.push(block),
                Err(source) => found.corrupt.push(Corrupt { dir, ulid, source }),
            }
        }
        Ok(found)
    }

    /// Says once why a directory is not served.
    pub(super) fn tell(&self, dir: &Path, reason: &dyn std::fmt::Display) {
        if self.told.lock().insert(dir.to_owned()) {
            tracing::error!(dir = %dir.display(), err = %reason, "a block is not served");
        }
    }

    /// Serves these from now on.
    pub(super) fn serve(&self, mut blocks: Vec<Block>) {
        blocks.sort_by_key(|block| block.meta().min_ms);
        *self.open.write() = Arc::new(blocks);
    }

    /// Deletes a block that is not served any more. After an error it may be marked: see [`Blocks::delete_marked`].
    pub(super) fn delete(dir: &Path) -> io::Result<()> {
        let marked = with_suffix(dir, DELETING);
        // What a crash left of an earlier deletion would be in the way.
        narthex_disk::remove_dir_all(&marked)?;
        point("blocks.delete.begin");
        narthex_disk::rename(dir, &marked)?;
        point("blocks.delete.marked");
        narthex_disk::remove_dir_all(&marked)?;
        tracing::info!(block = %dir.display(), "Deleting obsolete block");
        Ok(())
    }

    /// Deletes what earlier deletions marked but could not delete.
    pub(super) fn delete_marked(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(DELETING));
            if stem.is_some_and(|stem| stem.parse::<Ulid>().is_ok()) {
                // The mark must be on the disk before the first file goes, else half a block could come back.
                narthex_disk::sync_dir(&self.dir)?;
                narthex_disk::remove_dir_all(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Serves a block no more that turned out to be corrupt.
    pub(super) fn withdraw(&self, ulid: Ulid, reason: &str) {
        let mut withdrawn = self.withdrawn.lock();
        let mut open = self.open.write();
        if let Some(block) = open.iter().find(|block| block.ulid() == ulid) {
            withdrawn.insert(ulid, (block.dir().to_owned(), reason.to_owned()));
            *open = Arc::new(open.iter().filter(|block| block.ulid() != ulid).cloned().collect());
        }
    }

    /// Puts aside what was withdrawn. Returns how many blocks that were. What cannot be moved stays where it is, unserved, and is
    /// tried again next time.
    pub(super) fn quarantine_withdrawn(&self) -> usize {
        let mut withdrawn = self.withdrawn.lock();
        let before = withdrawn.len();
        withdrawn.retain(|ulid, (dir, reason)| match self.quarantine(dir, reason) {
            Ok(()) => {
                tracing::error!(block = %ulid, err = reason, "a corrupt block is in quarantine; the others are served");
                false
            }
            // Somebody else took it away.
            Err(_) if !dir.exists() => false,
            Err(error) => {
                tracing::error!(block = %ulid, %error, "cannot put a corrupt block aside; it is not served");
                true
            }
        });
        before - withdrawn.len()
    }

    /// Puts a corrupt block aside with a file that says why. It can be moved back after it was repaired.
    pub(super) fn quarantine(&self, dir: &Path, reason: &str) -> io::Result<()> {
        let aside = self.dir.join(QUARANTINE);
        std::fs::create_dir_all(&aside)?;
        let place = free_place(&aside.join(dir.file_name().unwrap_or_default()));
        // Only words: on a full disk the block goes aside without them.
        let reason_file = with_suffix(&place, ".reason");
        if let Err(error) = narthex_disk::replace_file(&reason_file, format!("{reason}\n").as_bytes()) {
            tracing::warn!(file = %reason_file.display(), %error, reason, "cannot note why a block is in quarantine");
        }
        point("blocks.quarantine.reason");
        match narthex_disk::rename(dir, &place) {
            // It is there, and comes back with the power at worst.
            Err(error) if !dir.exists() && place.is_dir() => {
                tracing::warn!(dir = %place.display(), %error, "a block in quarantine may not be on the disk yet");
                Ok(())
            }
            moved => moved,
        }
    }
}

/// The path, or one with a number behind it: a block that was put aside before may lie there.
fn free_place(path: &Path) -> PathBuf {
    let numbered = (1..).map(|number| with_suffix(path, &format!(".{number}")));
    let mut places = std::iter::once(path.to_owned()).chain(numbered);
    places.find(|place| !place.exists()).expect("there is no end of numbers")
}

/// See [`Blocks::in_order_end_ms`].
pub(crate) fn in_order_end_ms(blocks: &[Block]) -> Option<i64> {
    end_of_order_ms(blocks.iter().map(Block::meta))
}

/// Up to when, ms, blocks hold all data in order: the end of the newest that is neither of late samples nor of some series only.
pub(super) fn end_of_order_ms(metas: impl Iterator<Item = Arc<BlockMeta>>) -> Option<i64> {
    use narthex_block::Hint::{FromOutOfOrder, FromSelectedSeries, FromStaleSeries};
    let partial = |meta: &BlockMeta| {
        [FromOutOfOrder, FromSelectedSeries, FromStaleSeries]
            .iter()
            .any(|hint| meta.compaction.has_hint(*hint))
    };
    metas.filter(|meta| !partial(meta)).map(|meta| meta.max_ms).max()
}

/// An error with all its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Deletes what a crash left of blocks, snapshots and checkpoints that were being written or deleted.
pub(super) fn sweep(dir: &Path) -> io::Result<()> {
    for parent in [dir.join("wal"), dir.to_owned()] {
        let entries = match std::fs::read_dir(&parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if entry.file_type()?.is_dir() && name.to_str().is_some_and(is_unfinished) {
                tracing::info!(dir = %entry.path().display(), "Found and deleting tmp dir");
                narthex_disk::remove_dir_all(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// Whether a directory's name says that it was being written or deleted.
fn is_unfinished(name: &str) -> bool {
    let block = |suffix: &str| {
        name.strip_suffix(suffix)
            .is_some_and(|stem| stem.parse::<Ulid>().is_ok() || stem.starts_with("chunk_snapshot."))
    };
    name.starts_with("checkpoint.") && name.ends_with(LEGACY)
        || [DELETING, CREATING, LEGACY].into_iter().any(block)
}

/// The directories below `dir` that are blocks by their name, sorted.
pub(super) fn block_dirs(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let is_block = entry.file_name().to_str().is_some_and(|name| name.parse::<Ulid>().is_ok());
        if is_block && entry.file_type()?.is_dir() {
            dirs.push(entry.path());
        }
    }
    dirs.sort();
    Ok(dirs)
}

pub(super) fn with_suffix(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Bytes of all files below a directory; nothing there counts as none.
pub(super) fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let bytes_of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes_of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unfinished_work_is_swept() {
        let dir = crate::scratch::tempdir().unwrap();
        let block = "01M81XQHGBMWMK9TJ5WAJ46DJ7";
        let gone = [
            format!("{block}.tmp-for-deletion"),
            format!("{block}.tmp-for-creation"),
            format!("{block}.tmp"),
            "wal/checkpoint.00000007.tmp".to_owned(),
            "chunk_snapshot.000003.0000001.tmp".to_owned(),
        ];
        let kept = [
            block.to_owned(),
            "somedir.tmp".to_owned(),
            "quarantine".to_owned(),
            "wal/checkpoint.00000003".to_owned(),
        ];
        for name in gone.iter().chain(&kept) {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        sweep(dir.path()).unwrap();
        assert!(gone.iter().all(|name| !dir.path().join(name).exists()));
        assert!(kept.iter().all(|name| dir.path().join(name).exists()));
        assert_eq!(block_dirs(dir.path()).unwrap(), [dir.path().join(block)]);
    }
}
