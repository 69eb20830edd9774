//! The index of a block: which series there are, by label, and where their chunks lie.
//!
//! The file stays on disk, mapped. In memory are: the place of every 32nd symbol, each label name, and for each name the place
//! of every 32nd of its values in the postings table. A look-up finds the nearest place before it and walks from there.
//! Always true: symbols and postings table were verified when the file was opened; a list of postings or a series is verified
//! when it is read. A number by which postings call a series is its place in the file (divided by 16 from version 2 on), so
//! that rising numbers are rising label sets.
//! Facts: Prometheus `tsdb/docs/format/index.md`; version 1 (symbols by their place in the file, an unsorted postings table)
//! from `tsdb/index/index.go`. The label index and its table are obsolete and not read.

mod names;
mod postings;
mod series;
mod symbols;
mod toc;

use std::io;
use std::path::{Path, PathBuf};

use crate::bytes;
use crate::fault::Fault;
use crate::mapped::Mapped;

pub(crate) use names::{LabelName, Names, Value, Values};
pub(crate) use postings::{List, intersect, union, without};
pub(crate) use series::{ChunkRef, ChunkRefs, Entry};
pub(crate) use symbols::Symbols;
pub(crate) use toc::Toc;

/// The file's name in a block's directory.
pub(crate) const FILE: &str = "index";
/// The first four bytes of the file.
pub(crate) const MAGIC: u32 = 0xbaaa_d700;
/// Bytes before the first section.
pub(crate) const HEADER_LEN: usize = 5;
/// Series begin at multiples of this, from version 2 on.
pub(crate) const SERIES_ALIGN: u64 = 16;

/// Why an index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The system's reason.
    #[error("cannot open {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// It ends before its header does.
    #[error("index header: invalid size: {} has {len} bytes", path.display())]
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
    #[error("unknown index file version {found}: {} must have version 1 to 3", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: u8,
    },
    /// A part that must be right for any look-up is not.
    #[error("{what}: {fault} in {}", path.display())]
    Section {
        /// The part, in Prometheus' words.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
}

/// An open index.
pub(crate) struct Index {
    file: Mapped,
    symbols: Symbols,
    names: Names,
    /// Version 1: symbols and series are called by their place in the file.
    by_place: bool,
}

impl Index {
    /// Maps and checks the index of the block in `dir`.
    pub(crate) fn open(dir: &Path) -> Result<Self, IndexError> {
        let path = dir.join(FILE);
        let file = match Mapped::open(&path) {
            Ok(file) => file,
            Err(source) => return Err(IndexError::Io { path, source }),
        };
        let by_place = version(file.bytes(), &path)? == 1;
        let wrong = |what| {
            let path = path.clone();
            move |fault| IndexError::Section { what, path, fault }
        };
        let toc = Toc::read(file.bytes()).map_err(wrong("read TOC: read TOC"))?;
        let symbols = Symbols::read(file.bytes(), toc.symbols, by_place).map_err(wrong("read symbols"))?;
        let names = Names::read(file.bytes(), toc.postings_table, by_place, &symbols)
            .map_err(wrong("read postings table"))?;
        Ok(Self { file, symbols, names, by_place })
    }

    /// The symbols, which need the file's bytes for each look-up.
    #[inline]
    pub(crate) fn symbols(&self) -> (&Symbols, &[u8]) {
        (&self.symbols, self.file.bytes())
    }

    /// The label names.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// The values of a label in order, each with the place of its postings.
    pub(crate) fn values(&self, name: &LabelName) -> Values<'_> {
        self.names.values(self.file.bytes(), name)
    }

    /// One value of a label.
    pub(crate) fn value(&self, name: &LabelName, value: &[u8]) -> Result<Option<Value<'_>>, Fault> {
        self.names.find_value(self.file.bytes(), name, value)
    }

    /// The values of a label from `from` on, in order.
    pub(crate) fn values_from(&self, name: &LabelName, from: &[u8]) -> Result<Values<'_>, Fault> {
        self.names.values_from(self.file.bytes(), name, from)
    }

    /// The series that have a value, verified.
    pub(crate) fn postings(&self, value: &Value<'_>) -> Result<List<'_>, Fault> {
        List::read(self.file.bytes(), value.postings)
    }

    /// How many series a value says it has, not verified.
    pub(crate) fn postings_len(&self, value: &Value<'_>) -> u64 {
        List::claimed_len(self.file.bytes(), value.postings)
    }

    /// All series, verified.
    pub(crate) fn all(&self) -> Result<List<'_>, Fault> {
        let Some(name) = self.names.find("") else { return Ok(List::default()) };
        match self.value(name, b"")? {
            Some(value) => self.postings(&value),
            None => Ok(List::default()),
        }
    }

    /// A series, verified.
    #[inline]
    pub(crate) fn entry(&self, series: u32) -> Result<Entry<'_>, Fault> {
        bytes::varint_section(self.file.bytes(), self.place(series)).and_then(Entry::read)
    }

    /// A series that was verified before.
    #[inline]
    pub(crate) fn trusted_entry(&self, series: u32) -> Result<Entry<'_>, Fault> {
        Entry::trusted(self.file.bytes(), self.place(series))
    }

    /// The chunks of a series whose entry was verified before; `chunks_at` is how far they are behind its start.
    pub(crate) fn chunks(&self, series: u32, chunks_at: u32) -> Result<ChunkRefs<'_>, Fault> {
        let mut cursor = bytes::Cursor::new(self.file.bytes(), 0);
        cursor.take(self.place(series) + u64::from(chunks_at))?;
        ChunkRefs::read(cursor)
    }

    /// Where in the file a series begins.
    #[inline]
    pub(crate) fn place(&self, series: u32) -> u64 {
        if self.by_place { u64::from(series) } else { u64::from(series) * SERIES_ALIGN }
    }

    /// Bytes of the file.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.file.bytes().len() as u64
    }
}

fn version(file: &[u8], path: &Path) -> Result<u8, IndexError> {
    let path = path.to_owned();
    let Some((magic, [version, ..])) = file.split_first_chunk::<4>() else {
        return Err(IndexError::Header { path, len: file.len() });
    };
    match (u32::from_be_bytes(*magic), *version) {
        (MAGIC, 1..=3) => Ok(*version),
        (MAGIC, found) => Err(IndexError::Version { path, found }),
        (found, _) => Err(IndexError::Magic { path, found }),
    }
}
