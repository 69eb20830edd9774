//! Reading one segment: fragments are checked, joined and unpacked into records.
//!
//! PERF: the file is read in windows of 256 KiB that begin at a page, so that no fragment crosses one; a record of one plain
//! fragment is lent straight from the window. Nothing is allocated per record.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::compress::{Compression, Decompressor};
use super::dir::{DirError, segment_path};
use super::fragment::{Header, Part, ends_page, left_in_page};
use super::record::DecodeError;
use super::{HEADER_SIZE, PAGE_SIZE, WalPosition};

/// What is wrong with the bytes of a segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// The file ends inside a record: the writer died while writing.
    #[error("the last record is torn")]
    Torn,
    /// The data of a fragment does not fit its checksum.
    #[error("checksum {found:08x}, expected {expected:08x}")]
    Checksum {
        /// What the header says.
        expected: u32,
        /// What the data gives.
        found: u32,
    },
    /// A fragment says to reach over the end of its page.
    #[error("a fragment of {len} bytes where {room} are left in the page")]
    Length {
        /// What the header says.
        len: usize,
        /// What there is.
        room: usize,
    },
    /// A fragment type that no version defines.
    #[error("unexpected record type {0}")]
    Kind(u8),
    /// A fragment that does not follow from the one before.
    #[error("a {found} fragment {after}")]
    Order {
        /// What was found.
        found: &'static str,
        /// After what.
        after: &'static str,
    },
    /// The empty rest of a page is not empty.
    #[error("unexpected non-zero byte in padded page")]
    Padding,
    /// The record cannot be decompressed.
    #[error("{0}")]
    Packing(String),
    /// The record's checksum is right, its content is not.
    #[error(transparent)]
    Content(#[from] DecodeError),
}

/// Why a log could not be read further.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are wrong. Everything before `good_end` was read; [`repair`](super::repair) cuts the segment there.
    #[error("corruption in segment {} at {offset}: {corruption}", segment_path(dir, *segment).display())]
    Corrupt {
        /// The directory of the segment.
        dir: PathBuf,
        /// The segment.
        segment: u32,
        /// Where the fault is, bytes from the segment's start.
        offset: u64,
        /// Where the last good record ends, bytes from the segment's start.
        good_end: u64,
        /// What is wrong there.
        corruption: Corruption,
    },
    /// The directory cannot be listed, or a segment is missing.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// The disk failed, or the segment is not there. Nothing was decided about the bytes; the caller may retry.
    #[error("cannot {action} WAL segment {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The segment's file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl ReadError {
    /// The error for a record that was read well but cannot be decoded, or makes no sense to the caller.
    #[must_use]
    pub fn content(dir: &Path, at: WalPosition, error: DecodeError) -> Self {
        Self::Corrupt {
            dir: dir.to_owned(),
            segment: at.segment,
            offset: at.offset,
            good_end: at.offset,
            corruption: Corruption::Content(error),
        }
    }

    /// The same fault, behind a record that it spoils.
    fn with_good_end(mut self, end: u64) -> Self {
        if let Self::Corrupt { good_end, .. } = &mut self {
            *good_end = end;
        }
        self
    }
}

/// One record, lent until the next is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The unpacked record: see [`super::record`].
    pub bytes: &'a [u8],
    /// Where its first fragment begins.
    pub start: WalPosition,
    /// Where its last fragment ends: reading on from here yields the next record.
    pub end: WalPosition,
}

const WINDOW_BYTES: usize = 8 * PAGE_SIZE;

/// The part of the file that is in memory.
struct Window {
    bytes: Vec<u8>,
    /// Where it begins in the file; at a page's start.
    start: u64,
}

impl Window {
    /// The bytes from `at` to the end of its page or to `limit`, whichever comes first.
    fn rest_of_page(&mut self, file: &File, at: u64, limit: u64) -> io::Result<&[u8]> {
        let end = (at + left_in_page(at) as u64).min(limit);
        if at < self.start || end > self.start + self.bytes.len() as u64 {
            self.fill(file, at - at % PAGE_SIZE as u64, limit)?;
        }
        let have = self.start + self.bytes.len() as u64;
        let (from, to) = ((at - self.start) as usize, (end.min(have).max(at) - self.start) as usize);
        Ok(self.bytes.get(from..to).unwrap_or_default())
    }

    fn fill(&mut self, file: &File, start: u64, limit: u64) -> io::Result<()> {
        let wanted = limit.saturating_sub(start).min(WINDOW_BYTES as u64) as usize;
        self.start = start;
        self.bytes.resize(wanted, 0);
        let mut filled = 0;
        while filled < wanted {
            match file.read_at(&mut self.bytes[filled..], start + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.bytes.clear();
                    return Err(error);
                }
            }
        }
        self.bytes.truncate(filled);
        Ok(())
    }
}

/// Where a whole record was found.
struct Found {
    compression: Compression,
    start: u64,
    /// Its only fragment's data in the window, or `None` when its fragments were joined.
    single: Option<(usize, usize)>,
}

/// Reads the records of one segment in order.
pub(super) struct SegmentReader {
    dir: PathBuf,
    segment: u32,
    file: File,
    window: Window,
    /// Where the next record, or the padding before it, begins.
    at: u64,
    joined: Vec<u8>,
    decompressor: Decompressor,
}

impl SegmentReader {
    pub(super) fn open(dir: &Path, position: WalPosition) -> Result<Self, ReadError> {
        let path = segment_path(dir, position.segment);
        let file = File::open(&path).map_err(|source| ReadError::Io { action: "open", path, source })?;
        Ok(Self {
            dir: dir.to_owned(),
            segment: position.segment,
            file,
            window: Window { bytes: Vec::new(), start: 0 },
            at: position.offset,
            joined: Vec::new(),
            decompressor: Decompressor::new(),
        })
    }

    /// Goes on with the start of another segment and keeps the buffers.
    pub(super) fn reopen(&mut self, segment: u32) -> Result<(), ReadError> {
        let path = segment_path(&self.dir, segment);
        self.file = File::open(&path).map_err(|source| ReadError::Io { action: "open", path, source })?;
        self.segment = segment;
        self.window.start = 0;
        self.window.bytes.clear();
        self.at = 0;
        Ok(())
    }

    /// Bytes of the file as it stands.
    pub(super) fn file_len(&self) -> Result<u64, ReadError> {
        let len = self.file.metadata().map(|meta| meta.len());
        len.map_err(|source| self.io_error("look at", source))
    }

    pub(super) fn position(&self) -> WalPosition {
        WalPosition { segment: self.segment, offset: self.at }
    }

    /// The next record that ends at or before `limit`; `None` when nothing but padding is left before it.
    pub(super) fn next(&mut self, limit: u64) -> Result<Option<Record<'_>>, ReadError> {
        let Some(found) = self.find(limit)? else { return Ok(None) };
        self.unpack(&found).map(Some)
    }

    /// Moves over records that are known, without unpacking, to begin with another byte than `wanted`. Whether there is one
    /// before `limit` that may be wanted.
    pub(super) fn skip_others(&mut self, wanted: u8, limit: u64) -> Result<bool, ReadError> {
        loop {
            let start = self.at;
            let Some(found) = self.find(limit)? else { return Ok(false) };
            let packed = match found.single {
                Some((from, to)) => &self.window.bytes[from..to],
                None => &self.joined,
            };
            let first = Decompressor::first_byte(packed, found.compression);
            if first.is_none_or(|first| first == wanted) {
                self.at = start;
                return Ok(true);
            }
        }
    }

    fn unpack(&mut self, found: &Found) -> Result<Record<'_>, ReadError> {
        let packed = match found.single {
            Some((from, to)) => &self.window.bytes[from..to],
            None => &self.joined,
        };
        let (segment, at) = (self.segment, self.at);
        match self.decompressor.unpack(packed, found.compression) {
            Ok(bytes) => Ok(Record {
                bytes,
                start: WalPosition { segment, offset: found.start },
                end: WalPosition { segment, offset: at },
            }),
            Err(text) => {
                self.at = found.start;
                let (dir, corruption) = (self.dir.clone(), Corruption::Packing(text));
                Err(ReadError::Corrupt {
                    dir,
                    segment,
                    offset: found.start,
                    good_end: found.start,
                    corruption,
                })
            }
        }
    }

    /// Moves over the empty ends of pages; whether there is a fragment before `limit`.
    pub(super) fn skip_padding(&mut self, limit: u64) -> Result<bool, ReadError> {
        loop {
            let rest = match self.window.rest_of_page(&self.file, self.at, limit) {
                Ok(rest) => rest,
                Err(source) => return Err(self.io_error("read", source)),
            };
            match rest.first() {
                None => return Ok(false),
                Some(first) if !ends_page(*first) => return Ok(true),
                Some(_) => {}
            }
            if let Some(bad) = rest[1..].iter().position(|byte| *byte != 0) {
                let offset = self.at + 1 + bad as u64;
                return Err(self.corrupt(offset, self.at, Corruption::Padding));
            }
            self.at += rest.len() as u64;
        }
    }

    fn corrupt(&self, offset: u64, good_end: u64, corruption: Corruption) -> ReadError {
        ReadError::Corrupt { dir: self.dir.clone(), segment: self.segment, offset, good_end, corruption }
    }

    /// Finds the fragments of the next record and moves behind them. After an error the reader stands where it stood.
    fn find(&mut self, limit: u64) -> Result<Option<Found>, ReadError> {
        if !self.skip_padding(limit)? {
            return Ok(None);
        }
        let good_end = self.at;
        self.joined.clear();
        let mut begun: Option<(Compression, u64)> = None;
        loop {
            // Here `self.at` is the next fragment; it goes back to `good_end` when there is none.
            match self.take_fragment(limit, begun.is_some()) {
                Ok((header, from)) => {
                    let (compression, start) = *begun.get_or_insert((header.compression, good_end));
                    let to = from + header.len;
                    self.at += (HEADER_SIZE + header.len) as u64;
                    match header.part {
                        Part::Full => {
                            return Ok(Some(Found { compression, start, single: Some((from, to)) }));
                        }
                        _ => self.joined.extend_from_slice(&self.window.bytes[from..to]),
                    }
                    if header.part == Part::Last {
                        return Ok(Some(Found { compression, start, single: None }));
                    }
                }
                Err(corruption) => {
                    let offset = std::mem::replace(&mut self.at, good_end);
                    return Err(self.corrupt(offset, good_end, corruption));
                }
            }
            match self.skip_padding(limit) {
                Ok(true) => {}
                Ok(false) => {
                    let offset = std::mem::replace(&mut self.at, good_end);
                    return Err(self.corrupt(offset, good_end, Corruption::Torn));
                }
                // The record ends in damage: it goes as a whole, with its fragments before that.
                Err(error) => {
                    self.at = good_end;
                    return Err(error.with_good_end(good_end));
                }
            }
        }
    }

    /// Checks the fragment at `self.at`, which `skip_padding` found. Returns where its data begin in the window.
    fn take_fragment(&self, limit: u64, begun: bool) -> Result<(Header, usize), Corruption> {
        let from = (self.at - self.window.start) as usize;
        let page_left = left_in_page(self.at);
        let to = (from + page_left).min(self.window.bytes.len()).min((limit - self.window.start) as usize);
        let header = check_fragment(&self.window.bytes[from..to], page_left, begun)?;
        Ok((header, from + HEADER_SIZE))
    }

    fn io_error(&self, action: &'static str, source: io::Error) -> ReadError {
        ReadError::Io { action, path: segment_path(&self.dir, self.segment), source }
    }
}

/// Takes a fragment apart that begins `rest`; `page_left` bytes are left in the page, of which the file may have fewer.
fn check_fragment(rest: &[u8], page_left: usize, begun: bool) -> Result<Header, Corruption> {
    let Some((header, data)) = rest.split_first_chunk::<HEADER_SIZE>() else {
        return Err(match rest.len() == page_left {
            true => Corruption::Length { len: HEADER_SIZE, room: page_left },
            false => Corruption::Torn,
        });
    };
    let header = Header::parse(header).map_err(Corruption::Kind)?;
    let room = page_left - HEADER_SIZE;
    if header.len > room {
        return Err(Corruption::Length { len: header.len, room });
    }
    let Some(data) = data.get(..header.len) else { return Err(Corruption::Torn) };
    let found = crc32c::crc32c(data);
    // Fuzzing goes past the checksum, to what lies behind it.
    if found != header.checksum && !cfg!(fuzzing) {
        return Err(Corruption::Checksum { expected: header.checksum, found });
    }
    let name = match header.part {
        Part::Full => "full",
        Part::First => "first",
        Part::Middle => "middle",
        Part::Last => "last",
    };
    match (begun, header.part) {
        (true, Part::Full | Part::First) => {
            Err(Corruption::Order { found: name, after: "inside another record" })
        }
        (false, Part::Middle | Part::Last) => {
            Err(Corruption::Order { found: name, after: "without a first one" })
        }
        _ => Ok(header),
    }
}
