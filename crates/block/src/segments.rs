//! The chunk files of a block: chunks one behind the other, each with its length, encoding and checksum.
//!
//! Layout of a file: magic number (4 bytes), version (1), padding (3), then for each chunk its length (a varint of at most 5
//! bytes), its encoding (1), its bytes, and a CRC32C over encoding and bytes.
//! COMPAT: a reference counts the files in the order of their names, whatever the names are; other files are passed over.
//! Facts: Prometheus `tsdb/docs/format/chunks.md`, `tsdb/chunks/chunks.go`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use narthex_chunks::{Encoding, UnknownEncoding};

use crate::bytes::Cursor;
use crate::fault::Fault;
use crate::mapped::Mapped;

/// The directory's name in that of a block.
pub(crate) const DIR: &str = "chunks";
/// The first four bytes of a file.
pub(crate) const MAGIC: u32 = 0x85bd_40dd;
/// The only version there is.
pub(crate) const VERSION: u8 = 1;
/// Bytes before the first chunk.
pub(crate) const HEADER_LEN: usize = 8;
/// Most bytes of a chunk's length.
pub(crate) const MAX_LENGTH_BYTES: usize = 5;

/// Why the chunk files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The system's reason.
    #[error("cannot open {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// It ends before its header does.
    #[error("invalid segment header in segment {number}: invalid size: {} has {len} bytes", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Its number, from 0.
        number: usize,
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
    #[error("invalid chunk format version {found}: {} must have version 1", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: u8,
    },
}

/// Why one chunk cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkFault {
    /// No such file.
    #[error("segment index {segment} out of range: there are {segments}")]
    Segment {
        /// The file's number, from 0.
        segment: u64,
        /// How many there are.
        segments: usize,
    },
    /// The file ends too early, or the length is no number.
    #[error("segment {segment} doesn't include enough bytes to read the chunk: {fault}")]
    Cut {
        /// The file's number, from 0.
        segment: u64,
        /// Where.
        fault: Fault,
    },
    /// The bytes are not those that were written.
    #[error("checksum mismatch expected:{expected:x}, actual:{found:x}: segment {segment} at byte {offset}")]
    Checksum {
        /// The file's number, from 0.
        segment: u64,
        /// Where the covered bytes begin.
        offset: u64,
        /// What the file says.
        expected: u32,
        /// What the bytes have.
        found: u32,
    },
    /// A byte that names no encoding.
    #[error("{unknown}: segment {segment} at byte {offset}")]
    Encoding {
        /// The file's number, from 0.
        segment: u64,
        /// Where the byte lies.
        offset: u64,
        /// Which it is.
        unknown: UnknownEncoding,
    },
}

/// The mapped chunk files of a block.
pub(crate) struct Segments {
    files: Vec<Mapped>,
    /// About how many bytes were read since memory was released.
    read_bytes: AtomicU64,
}

/// After so many bytes that were read from the files of a block, the memory that shows them is given back: a query over everything
/// shall not leave all blocks resident. PERF: bringing 8 MiB back costs 0.2 ms, decoding what is in them 10 ms.
const RELEASE_BYTES: u64 = 8 << 20;
/// What a read makes resident beside what it reads.
const AROUND_BYTES: u64 = 1024;

impl Segments {
    /// Maps the files of the block in `dir` and checks their headers.
    pub(crate) fn open(dir: &Path) -> Result<Self, SegmentError> {
        let dir = dir.join(DIR);
        let paths = match segment_files(&dir) {
            Ok(paths) => paths,
            Err(source) => return Err(SegmentError::Io { path: dir, source }),
        };
        let mut files = Vec::with_capacity(paths.len());
        for (number, path) in paths.into_iter().enumerate() {
            match Mapped::open(&path) {
                Ok(file) => {
                    check_header(file.bytes(), number, path)?;
                    files.push(file);
                }
                Err(source) => return Err(SegmentError::Io { path, source }),
            }
        }
        Ok(Self { files, read_bytes: AtomicU64::new(0) })
    }

    /// Bytes of all files.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes().len() as u64).sum()
    }

    /// Tells that chunks of so many bytes were read, in one go.
    pub(crate) fn count_read(&self, bytes: usize) {
        let bytes = bytes as u64 + AROUND_BYTES;
        let before = self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before < RELEASE_BYTES && before + bytes >= RELEASE_BYTES {
            self.files.iter().for_each(Mapped::release);
            self.read_bytes.store(0, Ordering::Relaxed);
        }
    }

    /// The chunk at a place, verified.
    #[inline]
    pub(crate) fn chunk(&self, place: u64) -> Result<(Encoding, &[u8]), ChunkFault> {
        let (covered, expected) = self.find(place)?;
        let found = crc32c::crc32c(covered.bytes);
        if found != expected && !cfg!(fuzzing) {
            let (segment, offset) = (place >> 32, covered.offset);
            return Err(ChunkFault::Checksum { segment, offset, expected, found });
        }
        Ok((covered.encoding(place)?, &covered.bytes[1..]))
    }

    /// The encoding of the chunk at a place, without a look at the rest.
    pub(crate) fn encoding(&self, place: u64) -> Result<Encoding, ChunkFault> {
        self.find(place)?.0.encoding(place)
    }

    /// What the checksum of the chunk at a place covers, and the checksum.
    #[inline]
    fn find(&self, place: u64) -> Result<(Covered<'_>, u32), ChunkFault> {
        let (segment, offset) = (place >> 32, place & 0xffff_ffff);
        let file = usize::try_from(segment).ok().and_then(|number| self.files.get(number));
        let Some(file) = file else {
            return Err(ChunkFault::Segment { segment, segments: self.files.len() });
        };
        let cut = |fault| ChunkFault::Cut { segment, fault };
        let mut cursor = Cursor::new(file.bytes(), 0);
        cursor.take(offset).map_err(cut)?;
        let len = cursor.uvarint().map_err(cut)?;
        let offset = cursor.offset();
        let bytes = cursor.take(len.saturating_add(1)).map_err(cut)?;
        Ok((Covered { bytes, offset }, cursor.be32().map_err(cut)?))
    }
}

/// Encoding and bytes of a chunk: at least one byte.
struct Covered<'f> {
    bytes: &'f [u8],
    /// Where they lie in the file.
    offset: u64,
}

impl Covered<'_> {
    #[inline]
    fn encoding(&self, place: u64) -> Result<Encoding, ChunkFault> {
        Encoding::try_from(self.bytes[0]).map_err(|unknown| ChunkFault::Encoding {
            segment: place >> 32,
            offset: self.offset,
            unknown,
        })
    }
}

/// Files whose names are numbers, sorted by name.
fn segment_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let is_number = |name: &str| name.bytes().all(|b| b.is_ascii_digit()) && name.parse::<u64>().is_ok();
        if name.to_str().is_some_and(is_number) {
            paths.push(dir.join(name));
        }
    }
    paths.sort();
    Ok(paths)
}

fn check_header(file: &[u8], number: usize, path: PathBuf) -> Result<(), SegmentError> {
    let Some((header, _)) = file.split_first_chunk::<HEADER_LEN>() else {
        return Err(SegmentError::Header { path, number, len: file.len() });
    };
    let [a, b, c, d, version, ..] = *header;
    match (u32::from_be_bytes([a, b, c, d]), version) {
        (MAGIC, VERSION) => Ok(()),
        (MAGIC, found) => Err(SegmentError::Version { path, found }),
        (found, _) => Err(SegmentError::Magic { path, found }),
    }
}
