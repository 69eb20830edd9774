//! Tombstones: which times of which series are deleted, until the block is rewritten without them.
//!
//! Layout: magic number (4 bytes), version (1 byte), for each interval the series' number and both ends as varints, then a
//! CRC32C over all of that but magic number and version.
//! Facts: Prometheus `tsdb/docs/format/tombstones.md`; there is no padding, whatever that page says.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::bytes::{Cursor, push_uvarint, push_varint};
use crate::fault::Fault;
use crate::{Interval, Intervals};

/// The file's name in a block's directory.
pub(crate) const FILE: &str = "tombstones";
const MAGIC: u32 = 0x0130_ba30;
const VERSION: u8 = 1;
/// Magic number and version.
const HEADER_LEN: usize = 5;

/// Deleted times by series, where a series is the number by which the block's postings call it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tombstones {
    of: BTreeMap<u64, Intervals>,
}

/// Why tombstones could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TombstoneError {
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
    /// Too short to be this file.
    #[error("tombstones header: invalid size: {} has {len} bytes", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: usize,
    },
    /// It is some other file.
    #[error("invalid magic number {found:x}: {} must begin with {MAGIC:x}", path.display())]
    Magic {
        /// The file.
        path: PathBuf,
        /// What it begins with.
        found: u32,
    },
    /// A version that does not exist yet.
    #[error("invalid tombstone format {found:x}: {} must have format 1", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: u8,
    },
    /// The bytes are not those that were written.
    #[error("checksum did not match: {} has {found:08x}, expected {expected:08x}", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What the file says.
        expected: u32,
        /// What the bytes have.
        found: u32,
    },
    /// An interval is cut.
    #[error("{fault} in {}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
}

impl Tombstones {
    /// Deletes the times of `interval` from a series.
    pub fn add(&mut self, series: u64, interval: Interval) {
        if interval.mint_ms <= interval.maxt_ms {
            self.of.entry(series).or_default().add(interval);
        }
    }

    /// The deleted times of a series; `None` when there is none.
    #[must_use]
    pub fn get(&self, series: u64) -> Option<&Intervals> {
        self.of.get(&series)
    }

    /// All series that lost something, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Intervals)> {
        self.of.iter().map(|(series, intervals)| (*series, intervals))
    }

    /// How many intervals, over all series.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.of.values().map(|intervals| intervals.as_slice().len() as u64).sum()
    }

    /// Whether nothing is deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Reads the tombstones of the block in `dir`, with the size of the file. No file means none.
    ///
    /// # Errors
    /// See [`TombstoneError`].
    pub fn read(dir: &Path) -> Result<(Self, u64), TombstoneError> {
        let path = dir.join(FILE);
        match std::fs::read(&path) {
            Ok(file) => Ok((Self::decode(&file, &path)?, file.len() as u64)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((Self::default(), 0)),
            Err(source) => Err(TombstoneError::Io { action: "open", path, source }),
        }
    }

    fn decode(file: &[u8], path: &Path) -> Result<Self, TombstoneError> {
        let path = path.to_owned();
        let split = file.split_last_chunk::<4>().filter(|(before, _)| before.len() >= HEADER_LEN);
        let Some((before, checksum)) = split else {
            return Err(TombstoneError::Header { path, len: file.len() });
        };
        let mut cursor = Cursor::new(before, 0);
        let entry = |fault| TombstoneError::Entry { path: path.clone(), fault };
        let magic = cursor.be32().map_err(entry)?;
        if magic != MAGIC {
            return Err(TombstoneError::Magic { path, found: magic });
        }
        let version = cursor.take(1).map_err(entry)?[0];
        let (expected, found) = (u32::from_be_bytes(*checksum), crc32c::crc32c(cursor.rest()));
        if expected != found && !cfg!(fuzzing) {
            return Err(TombstoneError::Checksum { path, expected, found });
        }
        if version != VERSION {
            return Err(TombstoneError::Version { path, found: version });
        }
        Self::decode_entries(cursor).map_err(entry)
    }

    fn decode_entries(mut cursor: Cursor<'_>) -> Result<Self, Fault> {
        let mut tombstones = Self::default();
        while cursor.left() > 0 {
            let series = cursor.uvarint()?;
            tombstones.add(series, Interval { mint_ms: cursor.varint()?, maxt_ms: cursor.varint()? });
        }
        Ok(tombstones)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_be_bytes().to_vec();
        out.push(VERSION);
        for (series, intervals) in self.iter() {
            for interval in intervals.as_slice() {
                push_uvarint(&mut out, series);
                push_varint(&mut out, interval.mint_ms);
                push_varint(&mut out, interval.maxt_ms);
            }
        }
        out.extend_from_slice(&crc32c::crc32c(&out[HEADER_LEN..]).to_be_bytes());
        out
    }

    /// Writes the file into `dir`, in one step, synced. Returns its size in bytes.
    ///
    /// # Errors
    /// `Io`; the old file then stays.
    pub fn write(&self, dir: &Path) -> Result<u64, TombstoneError> {
        let (bytes, path) = (self.encode(), dir.join(FILE));
        match narthex_disk::replace_file(&path, &bytes) {
            Ok(()) => Ok(bytes.len() as u64),
            Err(source) => Err(TombstoneError::Io { action: "write", path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_and_damage_is_seen(
            adds in prop::collection::vec((any::<u32>(), any::<i64>(), 0i64..1_000_000), 0..20),
            at in any::<prop::sample::Index>(),
            bit in 0u32..8,
        ) {
            let mut tombstones = Tombstones::default();
            for (series, mint_ms, length) in adds {
                let maxt_ms = mint_ms.saturating_add(length);
                tombstones.add(u64::from(series), Interval { mint_ms, maxt_ms });
            }
            let mut bytes = tombstones.encode();
            let path = Path::new("tombstones");
            prop_assert_eq!(&Tombstones::decode(&bytes, path).expect("whole"), &tombstones);
            let at = at.index(bytes.len());
            prop_assert!(Tombstones::decode(&bytes[..at], path).is_err());
            bytes[at] ^= 1 << bit;
            prop_assert!(Tombstones::decode(&bytes, path).is_err());
        }
    }
}
