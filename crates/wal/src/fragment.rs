//! The seven bytes in front of each fragment, and the rules for filling pages.

use super::compress::Compression;
use super::{HEADER_SIZE, PAGE_SIZE};

const SNAPPY_BIT: u8 = 1 << 3;
const ZSTD_BIT: u8 = 1 << 4;
const KIND_BITS: u8 = 0b111;

/// Which part of its record a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Full,
    First,
    Middle,
    Last,
}

/// A decoded header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) part: Part,
    pub(super) compression: Compression,
    pub(super) len: usize,
    pub(super) checksum: u32,
}

/// Whether the byte at a fragment's place says that the rest of the page is empty.
pub(super) fn ends_page(first: u8) -> bool {
    first & KIND_BITS == 0
}

impl Header {
    /// `Err` with the kind bits when no version defines them. The caller handled `ends_page`.
    pub(super) fn parse(bytes: &[u8; HEADER_SIZE]) -> Result<Self, u8> {
        let part = match bytes[0] & KIND_BITS {
            1 => Part::Full,
            2 => Part::First,
            3 => Part::Middle,
            4 => Part::Last,
            other => return Err(other),
        };
        let compression = match bytes[0] {
            b if b & SNAPPY_BIT != 0 => Compression::Snappy,
            b if b & ZSTD_BIT != 0 => Compression::Zstd,
            _ => Compression::None,
        };
        let len = usize::from(u16::from_be_bytes([bytes[1], bytes[2]]));
        let checksum = u32::from_be_bytes([bytes[3], bytes[4], bytes[5], bytes[6]]);
        Ok(Self { part, compression, len, checksum })
    }

    fn bytes(self) -> [u8; HEADER_SIZE] {
        let part = match self.part {
            Part::Full => 1,
            Part::First => 2,
            Part::Middle => 3,
            Part::Last => 4,
        };
        let flag = match self.compression {
            Compression::None => 0,
            Compression::Snappy => SNAPPY_BIT,
            Compression::Zstd => ZSTD_BIT,
        };
        let [l1, l0] = (self.len as u16).to_be_bytes();
        let [c3, c2, c1, c0] = self.checksum.to_be_bytes();
        [part | flag, l1, l0, c3, c2, c1, c0]
    }
}

/// Bytes from `offset` to the end of its page; a whole page when `offset` is where one starts.
pub(super) fn left_in_page(offset: u64) -> usize {
    PAGE_SIZE - (offset % PAGE_SIZE as u64) as usize
}

/// Appends a packed record to `out`, whose first byte will lie at `base` of the segment, cut into fragments; fills the page
/// with zeros when no further header fits. Returns the number of fragments.
pub(super) fn put_fragments(
    mut packed: &[u8],
    compression: Compression,
    base: u64,
    out: &mut Vec<u8>,
) -> u64 {
    for count in 1.. {
        let room = left_in_page(base + out.len() as u64) - HEADER_SIZE;
        let (data, rest) = packed.split_at(packed.len().min(room));
        let part = match (count == 1, rest.is_empty()) {
            (true, true) => Part::Full,
            (true, false) => Part::First,
            (false, false) => Part::Middle,
            (false, true) => Part::Last,
        };
        let header = Header { part, compression, len: data.len(), checksum: crc32c::crc32c(data) };
        out.extend_from_slice(&header.bytes());
        out.extend_from_slice(data);
        let left = left_in_page(base + out.len() as u64);
        if left < HEADER_SIZE {
            out.resize(out.len() + left, 0);
        }
        if rest.is_empty() {
            return count;
        }
        packed = rest;
    }
    unreachable!("each turn but the last takes bytes off the record")
}
