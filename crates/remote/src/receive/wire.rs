//! Protobuf fields as they lie in a buffer: read in place, nothing copied, nothing trusted.
//!
//! Always true: no input makes it panic, recurse or allocate; a reader never passes the end of its message. Must not know: any
//! one message. COMPAT: what is accepted and the error texts are those of Prometheus' decoder (gogo/protobuf), since a sender
//! shows them to its operator. Tested in `tests/message.rs` against prost.

use std::ops::Range;

/// Why the bytes are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A field goes on behind the end of its message.
    #[error("unexpected EOF")]
    Truncated,
    /// A varint of more than ten bytes.
    #[error("proto: integer overflow")]
    VarintTooLong,
    /// A length that is negative as a signed number.
    #[error("proto: negative length found during unmarshaling")]
    NegativeLength,
    /// A known field in the wrong form.
    #[error("proto: wrong wireType = {wire} for field {field}")]
    WrongWireType {
        /// The form that came.
        wire: u8,
        /// The field's name.
        field: &'static str,
    },
    /// The end of a group that never began.
    #[error("proto: {message}: wiretype end group for non-group")]
    StrayEndGroup {
        /// The message's name.
        message: &'static str,
    },
    /// Field numbers begin at 1.
    #[error("proto: {message}: illegal tag {field} (wire type {key})")]
    IllegalField {
        /// The message's name.
        message: &'static str,
        /// The number that came.
        field: i32,
        /// The field's number and form as they came.
        key: u64,
    },
    /// An unknown field in a form that does not exist.
    #[error("proto: illegal wireType {0}")]
    IllegalWireType(u8),
}

pub(crate) const VARINT: u8 = 0;
pub(crate) const FIXED64: u8 = 1;
pub(crate) const BYTES: u8 = 2;
const START_GROUP: u8 = 3;
const END_GROUP: u8 = 4;
const FIXED32: u8 = 5;

/// A field's number (above 0) and wire type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) field: i32,
    pub(crate) wire: u8,
}

/// Walks one message. Positions count from the start of the whole buffer, also within nested messages.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    /// From the start of the buffer to the end of this message.
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader of the message at `range`, which an outer reader gave (so it lies in the buffer).
    pub(crate) fn new(buffer: &'a [u8], range: Range<usize>) -> Self {
        Self { bytes: &buffer[..range.end], at: range.start }
    }

    /// A reader of a message that lies in this one, at a place this reader gave.
    #[inline]
    pub(crate) fn nested(&self, place: Range<usize>) -> Self {
        Self::new(self.bytes, place)
    }

    /// Where the next field begins.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The next field's key, `None` at the message's end.
    #[inline]
    pub(crate) fn key(&mut self, message: &'static str) -> Result<Option<Key>, DecodeError> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let key = self.varint()?;
        let (field, wire) = ((key >> 3) as i32, (key & 7) as u8);
        if wire == END_GROUP {
            return Err(DecodeError::StrayEndGroup { message });
        }
        if field <= 0 {
            return Err(DecodeError::IllegalField { message, field, key });
        }
        Ok(Some(Key { field, wire }))
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(DecodeError::Truncated)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    #[inline]
    pub(crate) fn double(&mut self) -> Result<f64, DecodeError> {
        let (bytes, _) = self.bytes[self.at..].split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.at += 8;
        Ok(f64::from_bits(u64::from_le_bytes(*bytes)))
    }

    /// A length and where the bytes lie that it announces.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<Range<usize>, DecodeError> {
        let len = self.varint()?;
        if len > i64::MAX as u64 {
            return Err(DecodeError::NegativeLength);
        }
        self.advance(len)
    }

    fn advance(&mut self, len: u64) -> Result<Range<usize>, DecodeError> {
        let start = self.at;
        if len > (self.bytes.len() - start) as u64 {
            return Err(DecodeError::Truncated);
        }
        self.at = start + len as usize;
        Ok(start..self.at)
    }

    /// Passes over the value of an unknown field, groups included.
    #[cold]
    pub(crate) fn skip(&mut self, key: Key) -> Result<(), DecodeError> {
        let (mut wire, mut depth) = (key.wire, 0usize);
        loop {
            match wire {
                VARINT => self.varint().map(drop)?,
                FIXED64 => self.advance(8).map(drop)?,
                BYTES => self.bytes().map(drop)?,
                FIXED32 => self.advance(4).map(drop)?,
                START_GROUP => depth += 1,
                END_GROUP => depth -= 1,
                other => return Err(DecodeError::IllegalWireType(other)),
            }
            if depth == 0 {
                return Ok(());
            }
            wire = (self.varint()? & 7) as u8;
        }
    }

    /// The value of a varint field.
    #[inline]
    pub(crate) fn number(&mut self, key: Key, field: &'static str) -> Result<u64, DecodeError> {
        check(key, VARINT, field)?;
        self.varint()
    }

    /// The value of a double field.
    #[inline]
    pub(crate) fn float(&mut self, key: Key, field: &'static str) -> Result<f64, DecodeError> {
        check(key, FIXED64, field)?;
        self.double()
    }

    /// Where the value of a text or message field lies.
    #[inline]
    pub(crate) fn block(&mut self, key: Key, field: &'static str) -> Result<Range<usize>, DecodeError> {
        check(key, BYTES, field)?;
        self.bytes()
    }

    /// The bytes of a text field.
    #[inline]
    pub(crate) fn text(&mut self, key: Key, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let place = self.block(key, field)?;
        Ok(&self.bytes[place])
    }

    /// The values of a repeated number, packed or one by one; `wire` is the form of one.
    pub(crate) fn numbers(
        &mut self,
        key: Key,
        (wire, field): (u8, &'static str),
        mut take: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if key.wire == wire {
            return take(self);
        }
        let range = self.block(key, field)?;
        let mut packed = self.nested(range);
        while packed.at < packed.bytes.len() {
            take(&mut packed)?;
        }
        Ok(())
    }
}

#[inline]
fn check(key: Key, wire: u8, field: &'static str) -> Result<(), DecodeError> {
    if key.wire == wire { Ok(()) } else { Err(DecodeError::WrongWireType { wire: key.wire, field }) }
}

/// A signed number whose lowest bit is its sign.
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// The same in 32 bits; higher bits are dropped first.
pub(crate) fn unzigzag_32(value: u64) -> i32 {
    let value = value as u32;
    (value >> 1) as i32 ^ -((value & 1) as i32)
}
