//! The bytes of a head chunk file: a header, then chunks, each with its series, its time range and a checksum.
//!
//! Always true: [`parse`] reads only inside the slice it is given; lengths are checked before they are used.
//! Facts: Prometheus `tsdb/docs/format/head_chunks.md`. A file may end in zeros, which Prometheus allocates ahead: where series
//! and times are all 0, the chunks end.

use std::ops::Range;

use narthex_chunks::SealedChunk;
use narthex_storage::SeriesRef;

/// Bytes of the header: magic, version, three zeros.
pub(super) const HEADER_BYTES: usize = 8;
const MAGIC: u32 = 0x0130_BC91;
const VERSION: u8 = 1;
/// The bit of the encoding that tells a chunk of samples out of order.
const LATE: u8 = 0x80;
/// Series, first and last timestamp.
const FRONT_BYTES: usize = 24;
/// Most bytes of the length.
const LENGTH_BYTES: usize = 5;
const CHECKSUM_BYTES: usize = 4;
/// COMPAT: Prometheus reads no record where fewer bytes than this are left.
const MIN_RECORD_BYTES: usize = FRONT_BYTES + 1 + LENGTH_BYTES + CHECKSUM_BYTES;

/// What the header should have been. The words are Prometheus'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// The file is shorter than a header.
    #[error("invalid head chunk file header: invalid size")]
    Size,
    /// It is another kind of file.
    #[error("invalid magic number {0:x}")]
    Magic(u32),
    /// A version that this program does not know.
    #[error("invalid chunk format version {0}")]
    Version(u8),
}

/// Why bytes are no chunk record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The file ends inside the record.
    #[error("the chunk needs {needed} bytes, {found} are left")]
    Short {
        /// Bytes from the record's start.
        needed: u64,
        /// Bytes from there to the end of the file.
        found: u64,
    },
    /// The length is no number of at most five bytes.
    #[error("the chunk's length is not a number of at most five bytes")]
    Length,
    /// The checksum is that of other bytes.
    #[error("checksum {found:08x}, expected {expected:08x}")]
    Checksum {
        /// As stored.
        found: u32,
        /// As computed.
        expected: u32,
    },
    /// Zeros, and something else behind them.
    #[error("zeros where a chunk should be, and other bytes behind them")]
    Hole,
    /// An encoding that this program does not know.
    #[error("unknown chunk encoding {0}")]
    Encoding(u8),
    /// The first sample is not where the chunk's range begins, ms.
    #[error("the chunk's first sample is not at {0}, where its range begins")]
    Begin(i64),
}

/// A record and where its parts lie in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) series: SeriesRef,
    pub(super) min_ms: i64,
    pub(super) max_ms: i64,
    /// The encoding's number without the late bit; may be one that we do not know.
    pub(super) encoding: u8,
    pub(super) late: bool,
    /// The chunk itself.
    pub(super) data: Range<usize>,
    /// Behind the checksum.
    pub(super) end: usize,
}

/// The header of every file.
pub(super) fn header() -> [u8; HEADER_BYTES] {
    let [a, b, c, d] = MAGIC.to_be_bytes();
    [a, b, c, d, VERSION, 0, 0, 0]
}

/// Checks the beginning of a file.
pub(super) fn check_header(bytes: &[u8]) -> Result<(), HeaderFault> {
    let Some(([a, b, c, d, version, ..], _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(HeaderFault::Size);
    };
    let magic = u32::from_be_bytes([*a, *b, *c, *d]);
    match (magic, *version) {
        (MAGIC, VERSION) => Ok(()),
        (MAGIC, other) => Err(HeaderFault::Version(other)),
        (other, _) => Err(HeaderFault::Magic(other)),
    }
}

/// Whether the first bytes of a file are those of one that was made but never written, as after a crash.
pub(super) fn is_unwritten(first_bytes: &[u8]) -> bool {
    first_bytes.first_chunk::<4>().is_none_or(|magic| *magic == [0; 4])
}

/// Appends a record to `out`.
pub(super) fn put(series: SeriesRef, chunk: &SealedChunk, late: bool, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&series.0.to_be_bytes());
    out.extend_from_slice(&chunk.min_ms.to_be_bytes());
    out.extend_from_slice(&chunk.max_ms.to_be_bytes());
    out.push(chunk.encoding as u8 | if late { LATE } else { 0 });
    let mut length = u32::try_from(chunk.bytes.len()).expect("a chunk is far below 4 GiB");
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(&chunk.bytes);
    let checksum = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&checksum.to_be_bytes());
}

/// Reads the record at `at` of a file's bytes; `None` where the chunks end.
pub(super) fn parse(file: &[u8], at: usize) -> Result<Option<Record>, RecordFault> {
    let rest = file.get(at..).unwrap_or_default();
    let short = |needed: u64| RecordFault::Short { needed, found: rest.len() as u64 };
    if rest.len() < MIN_RECORD_BYTES {
        let ended = rest.iter().all(|byte| *byte == 0);
        return if ended { Ok(None) } else { Err(short(MIN_RECORD_BYTES as u64)) };
    }
    let number = |from: usize| {
        let bytes = rest[from..].first_chunk::<8>().expect("the record's least length was checked");
        u64::from_be_bytes(*bytes)
    };
    let (series, min_ms, max_ms) = (number(0), number(8) as i64, number(16) as i64);
    if (series, min_ms, max_ms) == (0, 0, 0) {
        return Ok(None);
    }
    let encoding = rest[FRONT_BYTES];
    let (length, length_bytes) = length(&rest[FRONT_BYTES + 1..]).ok_or(RecordFault::Length)?;
    let data_at = FRONT_BYTES + 1 + length_bytes;
    let needed = data_at as u64 + length + CHECKSUM_BYTES as u64;
    if needed > rest.len() as u64 {
        return Err(short(needed));
    }
    let data_end = data_at + length as usize;
    let stored = rest[data_end..].first_chunk::<4>().expect("the record's length was checked");
    let (found, expected) = (u32::from_be_bytes(*stored), crc32c::crc32c(&rest[..data_end]));
    // Fuzzing goes past the checksum.
    if found != expected && !cfg!(fuzzing) {
        return Err(RecordFault::Checksum { found, expected });
    }
    Ok(Some(Record {
        series: SeriesRef(series),
        min_ms,
        max_ms,
        encoding: encoding & !LATE,
        late: encoding & LATE != 0,
        data: at + data_at..at + data_end,
        end: at + data_end + CHECKSUM_BYTES,
    }))
}

/// A length in groups of seven bits, and how many bytes it took.
fn length(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(LENGTH_BYTES).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}
