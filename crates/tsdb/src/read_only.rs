//! A data directory as tools see it: opened to be read, also beside a server that is writing to it.
//!
//! Always true: nothing in the directory is made, changed or removed; what would have to be repaired is an error.
//! Facts: Prometheus' `DBReadOnly` by its behaviour and words.

use std::io;
use std::path::{Path, PathBuf};

use narthex_block::{Block, OpenError, Ulid};

/// A data directory, opened to be read.
#[derive(Clone, Debug)]
pub struct ReadOnlyDb {
    dir: PathBuf,
}

/// Why a data directory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadOnlyError {
    /// It is not there.
    #[error("opening the db dir: stat {}: {}", dir.display(), plain(source))]
    Dir {
        /// The directory.
        dir: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It cannot be listed.
    #[error("cannot list {}: {}", dir.display(), plain(source))]
    List {
        /// The directory.
        dir: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Some blocks are damaged, and no other block was made from them.
    #[error("{}", .0.iter().map(|(ulid, why)| format!("corrupted block {ulid}: {why}")).collect::<Vec<_>>().join("\n"))]
    Corrupted(Vec<(Ulid, OpenError)>),
    /// There is no block at all.
    #[error("no blocks found")]
    NoBlocks,
    /// No block of this name is there.
    #[error("invalid block ID {0}")]
    UnknownBlock(String),
    /// One block cannot be opened.
    #[error(transparent)]
    Block(#[from] OpenError),
}

/// The system's reason in Go's form.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

impl ReadOnlyDb {
    /// Looks whether the directory is there; nothing is read yet.
    ///
    /// # Errors
    /// `Dir`.
    pub fn open(dir: &Path) -> Result<Self, ReadOnlyError> {
        match std::fs::metadata(dir) {
            Ok(_) => Ok(Self { dir: dir.to_owned() }),
            Err(source) => Err(ReadOnlyError::Dir { dir: dir.to_owned(), source }),
        }
    }

    /// All blocks in order of their start. A damaged block from which a sound one was made is left out.
    ///
    /// # Errors
    /// `List`, `Corrupted`.
    pub fn blocks(&self) -> Result<Vec<Block>, ReadOnlyError> {
        let mut blocks = Vec::new();
        let mut corrupted = Vec::new();
        for (name, ulid) in self.block_names()? {
            match Block::open(&self.dir.join(name)) {
                Ok(block) => blocks.push(block),
                Err(error) => corrupted.push((ulid, error)),
            }
        }
        let parents: Vec<Ulid> = blocks
            .iter()
            .flat_map(|b| b.meta().compaction.parents.iter().map(|p| p.ulid).collect::<Vec<_>>())
            .collect();
        corrupted.retain(|(ulid, _)| !parents.contains(ulid));
        if !corrupted.is_empty() {
            return Err(ReadOnlyError::Corrupted(corrupted));
        }
        blocks.sort_by_key(|b| b.meta().min_ms);
        Ok(blocks)
    }

    /// The block of a name, the one that was made last for `""`.
    ///
    /// # Errors
    /// `List`, `NoBlocks`, `UnknownBlock`, `Block`.
    pub fn block(&self, name: &str) -> Result<Block, ReadOnlyError> {
        let name = match name {
            "" => {
                let newest = self.block_names()?.into_iter().max_by_key(|(_, ulid)| ulid.time_ms());
                newest.ok_or(ReadOnlyError::NoBlocks)?.0
            }
            given => given.to_owned(),
        };
        let dir = self.dir.join(&name);
        if !dir.exists() {
            return Err(ReadOnlyError::UnknownBlock(name));
        }
        Ok(Block::open(&dir)?)
    }

    /// The directories that are named like blocks, in order of their names.
    fn block_names(&self) -> Result<Vec<(String, Ulid)>, ReadOnlyError> {
        let list = |source| ReadOnlyError::List { dir: self.dir.clone(), source };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(list)? {
            let entry = entry.map_err(list)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Ok(ulid) = name.parse()
                && entry.path().is_dir()
            {
                names.push((name, ulid));
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}
