//! Reading numbers and texts out of mapped bytes, with every length checked; and their counterparts for writing.
//!
//! Facts: big-endian fixed numbers; varints as Go's `encoding/binary` writes them (seven bits a byte, low ones first; signed
//! ones zigzag).

use crate::fault::Fault;

/// What is left of a piece of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    /// Where in the file the piece ends.
    end: u64,
}

impl<'a> Cursor<'a> {
    /// Reads `bytes`, which begin at `offset` of their file.
    pub(crate) fn new(bytes: &'a [u8], offset: u64) -> Self {
        Self { rest: bytes, end: offset + bytes.len() as u64 }
    }

    /// Where in the file the next byte lies.
    #[inline]
    pub(crate) fn offset(&self) -> u64 {
        self.end - self.rest.len() as u64
    }

    /// How many bytes are left.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// All that is left.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `len` bytes.
    #[inline]
    pub(crate) fn take(&mut self, len: u64) -> Result<&'a [u8], Fault> {
        match usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len)) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.too_short(len)),
        }
    }

    #[cold]
    fn too_short(&self, needed: u64) -> Fault {
        Fault::Size { offset: self.offset(), needed, left: self.rest.len() as u64 }
    }

    /// Four bytes as a number.
    #[inline]
    pub(crate) fn be32(&mut self) -> Result<u32, Fault> {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(u32::from_be_bytes(*bytes))
            }
            None => Err(self.too_short(4)),
        }
    }

    /// Eight bytes as a number.
    pub(crate) fn be64(&mut self) -> Result<u64, Fault> {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(u64::from_be_bytes(*bytes))
            }
            None => Err(self.too_short(8)),
        }
    }

    /// An unsigned varint.
    #[inline]
    pub(crate) fn uvarint(&mut self) -> Result<u64, Fault> {
        match self.rest {
            [a @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*a))
            }
            [a, b @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(a & 0x7f) | u64::from(*b) << 7)
            }
            // Places in files and lengths of time.
            [a, b, c @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(a & 0x7f) | u64::from(b & 0x7f) << 7 | u64::from(*c) << 14)
            }
            _ => self.uvarint_slow(),
        }
    }

    fn uvarint_slow(&mut self) -> Result<u64, Fault> {
        let mut value = 0u64;
        for (at, byte) in self.rest.iter().enumerate().take(10) {
            if at == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(Fault::Varint { offset: self.offset() })
    }

    /// A signed varint.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<i64, Fault> {
        let raw = self.uvarint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Bytes with their length (a varint) before them.
    #[inline]
    pub(crate) fn prefixed(&mut self) -> Result<&'a [u8], Fault> {
        let len = self.uvarint()?;
        self.take(len)
    }
}

/// Bytes that a checksum covers: the length (4 bytes), that many bytes, their CRC32C. `offset` is where the length lies.
pub(crate) fn section(file: &[u8], offset: u64) -> Result<Cursor<'_>, Fault> {
    let (content, checksum) = framed(file, offset)?;
    verified(content, checksum)
}

/// As [`section`], without a look at the checksum: for sections that were verified when the file was opened.
pub(crate) fn trusted_section(file: &[u8], offset: u64) -> Result<Cursor<'_>, Fault> {
    framed(file, offset).map(|(content, _)| content)
}

fn framed(file: &[u8], offset: u64) -> Result<(Cursor<'_>, u32), Fault> {
    let mut cursor = Cursor::new(file, 0);
    cursor.take(offset)?;
    let len = cursor.be32()?;
    split_checksum(cursor, u64::from(len))
}

/// As [`section`], with a varint for the length.
#[inline]
pub(crate) fn varint_section(file: &[u8], offset: u64) -> Result<Cursor<'_>, Fault> {
    let mut cursor = Cursor::new(file, 0);
    cursor.take(offset)?;
    let len = cursor.uvarint()?;
    let (content, checksum) = split_checksum(cursor, len)?;
    verified(content, checksum)
}

#[inline]
fn split_checksum(mut cursor: Cursor<'_>, len: u64) -> Result<(Cursor<'_>, u32), Fault> {
    let start = cursor.offset();
    let content = Cursor::new(cursor.take(len)?, start);
    Ok((content, cursor.be32()?))
}

#[inline]
fn verified(content: Cursor<'_>, expected: u32) -> Result<Cursor<'_>, Fault> {
    let found = crc32c::crc32c(content.rest());
    // Fuzzing goes past checksums, to what lies behind them.
    if found == expected || cfg!(fuzzing) {
        return Ok(content);
    }
    Err(Fault::Checksum { offset: content.offset(), len: content.left() as u64, expected, found })
}

/// Appends an unsigned varint.
#[inline]
pub(crate) fn push_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed varint.
#[inline]
pub(crate) fn push_varint(out: &mut Vec<u8>, value: i64) {
    push_uvarint(out, (value << 1 ^ value >> 63) as u64);
}

/// Appends bytes with their length before them.
pub(crate) fn push_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    push_uvarint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_and_texts_come_back(unsigned in any::<u64>(), shift in 0u32..64, signed in any::<i64>(), text in ".{0,200}") {
            let mut out = Vec::new();
            push_uvarint(&mut out, unsigned >> shift);
            push_varint(&mut out, signed >> shift);
            push_prefixed(&mut out, text.as_bytes());
            let mut cursor = Cursor::new(&out, 100);
            prop_assert_eq!(cursor.uvarint(), Ok(unsigned >> shift));
            prop_assert_eq!(cursor.varint(), Ok(signed >> shift));
            prop_assert_eq!(cursor.prefixed(), Ok(text.as_bytes()));
            prop_assert_eq!((cursor.left(), cursor.offset()), (0, 100 + out.len() as u64));
        }

        #[test]
        fn any_bytes_give_a_number_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let mut cursor = Cursor::new(&bytes, 0);
            while cursor.uvarint().is_ok() {}
            prop_assert!(cursor.left() <= bytes.len());
            prop_assert!(!section(&bytes, 0).is_ok_and(|content| content.left() + 8 > bytes.len()));
            let _ = varint_section(&bytes, 3);
        }
    }

    #[test]
    fn a_number_beyond_64_bits_is_refused() {
        let mut cursor = Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], 7);
        assert_eq!(cursor.uvarint(), Err(Fault::Varint { offset: 7 }));
    }
}
