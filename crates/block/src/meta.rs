//! `meta.json`: what a block says about itself.
//!
//! The types are the file: they derive serde, because their shape is a contract with other programs that read the directory.
//! Always true: fields that this version does not know are kept when the file is written again.
//! Facts: Prometheus `tsdb/block.go` (3.14): indented by tabs, empty lists and zero counts left out.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Ulid;

/// The only version of the file there is.
const VERSION: u64 = 1;
/// The file's name in a block's directory.
pub(crate) const FILE: &str = "meta.json";

/// What a block says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockMeta {
    /// The block's name, which is that of its directory too.
    pub ulid: Ulid,
    /// Start of the block's time range, ms, inclusive.
    #[serde(rename = "minTime")]
    pub min_ms: i64,
    /// End of the block's time range, ms, exclusive.
    #[serde(rename = "maxTime")]
    pub max_ms: i64,
    /// Counts of what is in it.
    pub stats: BlockStats,
    /// Where it comes from.
    pub compaction: Compaction,
    /// Version of this file.
    version: u64,
    /// Fields of other programs.
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// How much a block holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BlockStats {
    /// Samples of all kinds.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_samples: u64,
    /// Float samples.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    /// Native histograms.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
    /// Series.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
    /// Chunks.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_chunks: u64,
    /// Deleted intervals over all series.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// The way a block came to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compaction {
    /// How often its samples were compacted; a block from the head has 1.
    pub level: u32,
    /// The blocks from the head that its samples were first in.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub sources: Vec<Ulid>,
    /// Whether nothing is left in it, so that it can go.
    #[serde(skip_serializing_if = "is_false")]
    pub deletable: bool,
    /// The blocks that it was made from directly.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub parents: Vec<BlockDesc>,
    /// Whether compacting it failed, so that it is left alone from then on.
    #[serde(skip_serializing_if = "is_false")]
    pub failed: bool,
    /// More about its origin, sorted: see [`Hint`].
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub hints: Vec<String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// Name and time range of a parent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockDesc {
    /// Its name.
    pub ulid: Ulid,
    /// Start of its range, ms, inclusive.
    #[serde(rename = "minTime")]
    pub min_ms: i64,
    /// End of its range, ms, exclusive.
    #[serde(rename = "maxTime")]
    pub max_ms: i64,
}

/// What the hints of a compaction can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The samples came out of order.
    FromOutOfOrder,
    /// The series had ended and left the head early.
    FromStaleSeries,
    /// The caller chose the series.
    FromSelectedSeries,
}

/// Why `meta.json` could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// The system's reason.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The text is not this file.
    #[error("{} is no block description", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Place and reason.
        #[source]
        source: serde_json::Error,
    },
    /// The range ends before it begins.
    #[error("{}: minTime {min_ms} lies after maxTime {max_ms}", path.display())]
    Range {
        /// The file.
        path: PathBuf,
        /// Start of the range, ms.
        min_ms: i64,
        /// Its end, ms.
        max_ms: i64,
    },
    /// A version that does not exist yet.
    #[error("unexpected meta file version {found}: {} must have version 1", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: u64,
    },
}

impl BlockMeta {
    /// A description without counts.
    #[must_use]
    pub fn new(ulid: Ulid, min_ms: i64, max_ms: i64, compaction: Compaction) -> Self {
        Self {
            ulid,
            min_ms,
            max_ms,
            stats: BlockStats::default(),
            compaction,
            version: VERSION,
            other: Map::new(),
        }
    }

    /// Reads the description of the block in `dir`.
    ///
    /// # Errors
    /// See [`MetaError`].
    pub fn read(dir: &Path) -> Result<Self, MetaError> {
        Self::read_sized(dir).map(|(meta, _)| meta)
    }

    /// As [`BlockMeta::read`], with the file's size in bytes.
    pub(crate) fn read_sized(dir: &Path) -> Result<(Self, u64), MetaError> {
        let (meta, bytes) = Self::read_file(dir)?;
        match meta.version {
            VERSION if meta.min_ms > meta.max_ms => {
                let (min_ms, max_ms) = (meta.min_ms, meta.max_ms);
                Err(MetaError::Range { path: dir.join(FILE), min_ms, max_ms })
            }
            VERSION => Ok((meta, bytes)),
            found => Err(MetaError::Version { path: dir.join(FILE), found }),
        }
    }

    /// As [`BlockMeta::read`], whatever version the file says it has.
    pub(crate) fn read_any_version(dir: &Path) -> Result<Self, MetaError> {
        Self::read_file(dir).map(|(meta, _)| meta)
    }

    fn read_file(dir: &Path) -> Result<(Self, u64), MetaError> {
        let path = dir.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(MetaError::Io { action: "open", path, source }),
        };
        match serde_json::from_slice(&bytes) {
            Ok(meta) => Ok((meta, bytes.len() as u64)),
            Err(source) => Err(MetaError::Json { path, source }),
        }
    }

    /// The version that the file it was read from said it has.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Writes the description into `dir`, in one step, synced. Returns its size in bytes.
    ///
    /// # Errors
    /// `Io`; the old description then stays.
    pub fn write(&self, dir: &Path) -> Result<u64, MetaError> {
        let bytes = self.to_json();
        let path = dir.join(FILE);
        match narthex_disk::replace_file(&path, &bytes) {
            Ok(()) => Ok(bytes.len() as u64),
            Err(source) => Err(MetaError::Io { action: "write", path, source }),
        }
    }

    fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let meta = Self { version: VERSION, ..self.clone() };
        meta.serialize(&mut serde_json::Serializer::with_formatter(&mut out, tabs))
            .expect("numbers, texts and lists can be JSON");
        out
    }

    /// Whether the block's range has a time in common with `[mint_ms, maxt_ms]`.
    #[must_use]
    pub fn overlaps(&self, mint_ms: i64, maxt_ms: i64) -> bool {
        self.min_ms <= maxt_ms && mint_ms < self.max_ms
    }

    /// Name and range, as a child names its parents.
    #[must_use]
    pub fn desc(&self) -> BlockDesc {
        BlockDesc { ulid: self.ulid, min_ms: self.min_ms, max_ms: self.max_ms }
    }
}

impl Default for BlockMeta {
    /// COMPAT: a description without a version has version 0, which is refused.
    fn default() -> Self {
        Self { version: 0, ..Self::new(Ulid::default(), 0, 0, Compaction::default()) }
    }
}

impl Compaction {
    /// What a block from the head says: level 1, its own source.
    #[must_use]
    pub fn from_head(ulid: Ulid) -> Self {
        Self { level: 1, sources: vec![ulid], ..Self::default() }
    }

    /// Adds a hint, once.
    pub fn set_hint(&mut self, hint: Hint) {
        if !self.has_hint(hint) {
            self.hints.push(hint.as_str().to_owned());
            self.hints.sort();
        }
    }

    /// Whether the hint is there.
    #[must_use]
    pub fn has_hint(&self, hint: Hint) -> bool {
        self.hints.iter().any(|text| text == hint.as_str())
    }
}

impl Hint {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FromOutOfOrder => "from-out-of-order",
            Self::FromStaleSeries => "from-stale-series",
            Self::FromSelectedSeries => "from-selected-series",
        }
    }
}

impl Serialize for Ulid {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ulid {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// COMPAT: Go writes and reads an empty list as `null` where it has none.
fn null_is_empty<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests;
