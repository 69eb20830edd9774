//! Protobuf's wire format over borrowed bytes: tags, numbers, lengths.
//!
//! Always true: no read goes behind the message; a length is checked against what is left before anything is done with it;
//! skipping an unknown field uses no stack, however deep its groups nest.
//! Facts: the Protocol Buffers encoding page. COMPAT: the error texts are those of Prometheus' decoder.

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("unexpected EOF")]
    Eof,
    #[error("proto: integer overflow")]
    Overflow,
    #[error("proto: negative length found during unmarshaling")]
    Length,
    #[error("proto: wrong wireType = {got} for field {field}")]
    WireType { got: u8, field: &'static str },
    #[error("proto: illegal wireType {0}")]
    NoWireType(u8),
    #[error("proto: {0}: wiretype end group for non-group")]
    EndGroup(&'static str),
    #[error("proto: unexpected end of group")]
    LostEndGroup,
    #[error("proto: {message}: illegal tag {number} (wire type {wire})")]
    Tag { message: &'static str, number: i32, wire: u64 },
    /// Not the wire but what stands in it.
    #[error("{0}")]
    Content(String),
}

/// A field's number and wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) field: i32,
    pub(super) wire: u8,
}

pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const BYTES: u8 = 2;
const GROUP: u8 = 3;
const END_GROUP: u8 = 4;
const FIXED32: u8 = 5;

/// A cursor in one message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Goes to a place that was passed, or further within the message.
    #[inline]
    pub(super) fn seek(&mut self, at: usize) {
        self.at = at.min(self.bytes.len());
    }

    #[inline]
    pub(super) fn rest(&self) -> &'b [u8] {
        &self.bytes[self.at..]
    }

    /// The tag of the next field; `None` at the end. `message` names the message in errors.
    #[inline]
    pub(super) fn tag(&mut self, message: &'static str) -> Result<Option<Tag>, Wrong> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let wire = self.varint()?;
        let number = (wire >> 3) as i32;
        let tag = Tag { field: number, wire: (wire & 7) as u8 };
        if tag.wire == END_GROUP {
            return Err(Wrong::EndGroup(message));
        }
        if number <= 0 {
            return Err(Wrong::Tag { message, number, wire });
        }
        Ok(Some(tag))
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Wrong> {
        let first = *self.bytes.get(self.at).ok_or(Wrong::Eof)?;
        self.at += 1;
        if first < 0x80 { Ok(u64::from(first)) } else { self.long_varint(first) }
    }

    fn long_varint(&mut self, first: u8) -> Result<u64, Wrong> {
        let mut number = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(Wrong::Eof)?;
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Wrong::Overflow)
    }

    /// A number of a field that must be one.
    #[inline]
    pub(super) fn number(&mut self, tag: Tag, field: &'static str) -> Result<u64, Wrong> {
        expect(tag, VARINT, field)?;
        self.varint()
    }

    /// A signed number, zigzag coded.
    #[inline]
    pub(super) fn signed(&mut self, tag: Tag, field: &'static str) -> Result<i64, Wrong> {
        self.number(tag, field).map(unzigzag)
    }

    #[inline]
    pub(super) fn double(&mut self, tag: Tag, field: &'static str) -> Result<f64, Wrong> {
        expect(tag, FIXED64, field)?;
        self.fixed64()
    }

    #[inline]
    pub(super) fn fixed64(&mut self) -> Result<f64, Wrong> {
        let bytes = self.rest().first_chunk::<8>().ok_or(Wrong::Eof)?;
        self.at += 8;
        Ok(f64::from_bits(u64::from_le_bytes(*bytes)))
    }

    /// The bytes of a text or of a message in this one.
    #[inline]
    pub(super) fn bytes(&mut self, tag: Tag, field: &'static str) -> Result<&'b [u8], Wrong> {
        expect(tag, BYTES, field)?;
        let length = self.length()?;
        let bytes = self.rest().get(..length).ok_or(Wrong::Eof)?;
        self.at += length;
        Ok(bytes)
    }

    fn length(&mut self) -> Result<usize, Wrong> {
        let length = self.varint()?;
        i64::try_from(length).ok().and_then(|n| usize::try_from(n).ok()).ok_or(Wrong::Length)
    }

    /// Passes a field that nobody asks for.
    pub(super) fn skip(&mut self, tag: Tag) -> Result<(), Wrong> {
        let (mut wire, mut depth) = (tag.wire, 0u64);
        loop {
            match wire {
                VARINT => drop(self.varint()?),
                FIXED64 => self.pass(8)?,
                BYTES => {
                    let length = self.length()?;
                    self.pass(length)?;
                }
                GROUP => depth += 1,
                END_GROUP if depth == 0 => return Err(Wrong::LostEndGroup),
                END_GROUP => depth -= 1,
                FIXED32 => self.pass(4)?,
                other => return Err(Wrong::NoWireType(other)),
            }
            if depth == 0 {
                return Ok(());
            }
            wire = (self.varint()? & 7) as u8;
        }
    }

    fn pass(&mut self, length: usize) -> Result<(), Wrong> {
        if length > self.rest().len() {
            return Err(Wrong::Eof);
        }
        self.at += length;
        Ok(())
    }
}

#[inline]
fn expect(tag: Tag, wire: u8, field: &'static str) -> Result<(), Wrong> {
    if tag.wire == wire { Ok(()) } else { Err(Wrong::WireType { got: tag.wire, field }) }
}

/// Signed numbers as protobuf's `sint32` and `sint64` code them.
#[inline]
pub(super) fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_skip(bytes: &[u8], want: Result<usize, &str>) {
        let mut reader = Reader::new(bytes);
        let tag = reader.tag("M").and_then(|tag| tag.ok_or(Wrong::Eof));
        let got = tag.and_then(|tag| reader.skip(tag)).map(|()| reader.at());
        assert_eq!(got.map_err(|e| e.to_string()), want.map_err(str::to_owned));
    }

    #[test]
    fn unknown_fields_are_passed_and_lies_are_errors() {
        check_skip(&[0x08, 0x80, 0x01, 9], Ok(3));
        check_skip(&[0x09, 1, 2, 3, 4, 5, 6, 7], Err("unexpected EOF"));
        check_skip(&[0x12, 2, 1, 2], Ok(4));
        check_skip(&[0x12, 3, 1, 2], Err("unexpected EOF"));
        check_skip(&[0x13, 0x08, 1, 0x13, 0x14, 0x14, 7], Ok(6));
        check_skip(&[0x13, 0x08, 1], Err("unexpected EOF"));
        check_skip(&[0x15, 1, 2, 3, 4], Ok(5));
        check_skip(&[0x16], Err("proto: illegal wireType 6"));
        check_skip(&[0x14], Err("proto: M: wiretype end group for non-group"));
        check_skip(&[0x02], Err("proto: M: illegal tag 0 (wire type 2)"));
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        check_skip(&[&[0x12][..], &huge].concat(), Err("proto: negative length found during unmarshaling"));
        check_skip(&[&[0x12][..], &huge[..8], &[0x7f]].concat(), Err("unexpected EOF"));
        check_skip(&[&[0x08][..], &[0xff; 10]].concat(), Err("proto: integer overflow"));
        // As deep as the message is long, without a stack.
        check_skip(&[0x13; 100_000], Err("unexpected EOF"));
    }

    #[test]
    fn zigzag_comes_back() {
        for (coded, number) in [(0, 0), (1, -1), (2, 1), (u64::MAX, i64::MIN), (u64::MAX - 1, i64::MAX)] {
            assert_eq!(unzigzag(coded), number);
        }
    }
}
