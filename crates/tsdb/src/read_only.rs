//! A data directory as tools see it: opened to be read, also beside a server that is writing to it.
//!
//! Always true: nothing in the directory is made, changed or removed. A block that would have to be repaired is an error; a log
//! is read up to its first damage, and the end of a log that a server is writing to may be cut.
//! Facts: Prometheus' `DBReadOnly` by its behaviour and words.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use narthex_block::{Block, Ulid};
use narthex_metrics::Registry;
use narthex_storage::Querier;
use narthex_storage::merge::{QuerierInTime, merge_queriers};

use crate::db::blocks::in_order_end_ms;
use crate::db::{DbOptions, OpenError, ReplayProgress};
use crate::head::query::HeadQuerier;
use crate::head::replay::found::Found;
use crate::head::replay::{Damage, Logs, replay};
use crate::head::{CutRule, Head, HeadOptions};
use crate::head_chunks::{HeadChunkMetrics, HeadChunks};
use crate::ingestion::IngestionSwitch;
use crate::metrics::HeadMetrics;

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
    Corrupted(Vec<(Ulid, narthex_block::OpenError)>),
    /// There is no block at all.
    #[error("no blocks found")]
    NoBlocks,
    /// No block of this name is there.
    #[error("invalid block ID {0}")]
    UnknownBlock(String),
    /// One block cannot be opened.
    #[error(transparent)]
    Block(#[from] narthex_block::OpenError),
    /// There is neither a block nor a log.
    #[error("read WAL: find last checkpoint: open {}: no such file or directory", .0.display())]
    NoLog(PathBuf),
    /// The logs cannot be replayed.
    #[error("read WAL")]
    Open(#[from] OpenError),
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

    /// A view over `[mint_ms, maxt_ms]` of blocks and logs, which are replayed into memory: all that a server over this
    /// directory would serve. (promtool leaves out samples of the logs that are older than the newest block.)
    ///
    /// # Errors
    /// Those of [`Self::blocks`], `NoLog`, `Open`.
    pub fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier>, ReadOnlyError> {
        let blocks = self.blocks()?;
        let mut sources = Vec::new();
        sources.extend(self.head(&blocks)?.map(|head| {
            let (min_ms, max_ms) = (head.time_range().0, i64::MAX);
            QuerierInTime { min_ms, max_ms, querier: Box::new(HeadQuerier::new(head, mint_ms, maxt_ms)) }
        }));
        for block in blocks.iter().filter(|block| block.meta().overlaps(mint_ms, maxt_ms)) {
            let meta = block.meta();
            let querier = block.querier(mint_ms, maxt_ms);
            sources.push(QuerierInTime {
                min_ms: meta.min_ms,
                max_ms: meta.max_ms.saturating_sub(1),
                querier,
            });
        }
        Ok(merge_queriers(sources))
    }

    /// The head that the logs describe, without what lies in `blocks`; `None` when there is no log but blocks.
    fn head(&self, blocks: &[Block]) -> Result<Option<Arc<Head>>, ReadOnlyError> {
        let wal_dir = self.dir.join("wal");
        if !wal_dir.is_dir() {
            return if !blocks.is_empty() { Ok(None) } else { Err(ReadOnlyError::NoLog(wal_dir)) };
        }
        let registry = Registry::new();
        let defaults = DbOptions::default();
        let rule = CutRule::plain(defaults.min_block_duration_ms, defaults.samples_per_chunk);
        let options = HeadOptions { out_of_order_window_ms: 0, max_exemplars: 0, start_timestamps: false };
        let head = Head::new(options, rule, HeadMetrics::new(&registry), IngestionSwitch::new(&registry));
        let floor_ms = in_order_end_ms(blocks);
        let cut = || floor_ms.map(|floor_ms| head.truncate(floor_ms, Duration::ZERO));
        cut();
        let mut found = Found::default();
        let chunks = HeadChunks::open_to_read(
            &self.dir.join("chunks_head"),
            HeadChunkMetrics::new(&registry),
            &mut |chunk| found.add(&chunk),
        );
        head.set_chunk_files(chunks.map_err(OpenError::from)?);
        let wbl_dir = self.dir.join("wbl");
        let logs = Logs { wal: &wal_dir, wbl: &wbl_dir, snapshot: None };
        replay(&head, &logs, found, &ReplayProgress::default(), Damage::Leave).map_err(OpenError::from)?;
        cut();
        Ok(Some(Arc::new(head)))
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
