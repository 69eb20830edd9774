//! Numbers and strings as Go's `encoding/binary` lays them out: big-endian words, base-128 varints, zigzag for signs.
//!
//! Holds: `put_*` to append, [`Input`] to take apart. An `Input` never reads past its slice and never panics; the first fault
//! ends the decode and tells its place.

/// Why bytes cannot be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end inside a field.
    #[error("the record ends inside a field of {wanted} bytes, {left} are left")]
    Short {
        /// Bytes that the field has at least.
        wanted: u64,
        /// Bytes that there are.
        left: usize,
    },
    /// A variable-length integer has more than 64 bits.
    #[error("a variable-length integer does not end within 64 bits")]
    Varint,
    /// A list says to have more entries than bytes are left.
    #[error("a list of {count} entries cannot lie in the {left} bytes that are left")]
    Count {
        /// Entries announced.
        count: u64,
        /// Bytes that there are.
        left: usize,
    },
    /// A label is not UTF-8.
    #[error("a label is not valid UTF-8")]
    Utf8,
    /// The record is of another type than its decoder.
    #[error("this record type is not the one to decode here")]
    WrongType,
}

/// What was wrong and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) reason: Malformed,
}

/// Takes fields off the front of a byte slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(all: &'a [u8]) -> Self {
        Self { all, at: 0 }
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.all[self.at..]
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.at == self.all.len()
    }

    /// Steps over `n` bytes that the caller has seen in `rest`.
    #[inline]
    pub(super) fn skip_seen(&mut self, n: usize) {
        debug_assert!(n <= self.rest().len());
        self.at += n;
    }

    #[cold]
    pub(super) fn fault(&self, reason: Malformed) -> Fault {
        Fault { at: self.at, reason }
    }

    #[inline]
    pub(super) fn bytes(&mut self, n: u64) -> Result<&'a [u8], Fault> {
        let rest = self.rest();
        if n > rest.len() as u64 {
            return Err(self.fault(Malformed::Short { wanted: n, left: rest.len() }));
        }
        self.at += n as usize;
        Ok(&rest[..n as usize])
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(self.bytes(1)?[0])
    }

    #[inline]
    pub(super) fn be64(&mut self) -> Result<u64, Fault> {
        let word = self.bytes(8)?;
        Ok(u64::from_be_bytes(word.try_into().expect("the slice has 8 bytes")))
    }

    #[inline]
    pub(super) fn f64(&mut self) -> Result<f64, Fault> {
        Ok(f64::from_bits(self.be64()?))
    }

    #[inline]
    pub(super) fn uvarint(&mut self) -> Result<u64, Fault> {
        match read_uvarint(self.rest()) {
            Some((value, len)) => {
                self.at += len;
                Ok(value)
            }
            None => Err(self.varint_fault()),
        }
    }

    #[cold]
    fn varint_fault(&self) -> Fault {
        let rest = self.rest();
        let reason = match rest.iter().take(10).all(|b| b & 0x80 != 0) && rest.len() < 10 {
            true => Malformed::Short { wanted: rest.len() as u64 + 1, left: rest.len() },
            false => Malformed::Varint,
        };
        self.fault(reason)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<i64, Fault> {
        Ok(unzigzag(self.uvarint()?))
    }

    /// A length and that many bytes.
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'a [u8], Fault> {
        let len = self.uvarint()?;
        self.bytes(len)
    }

    /// The length of a list whose entries take `entry_bytes` at least, so that nobody reserves memory for a lie.
    pub(super) fn count(&mut self, entry_bytes: usize) -> Result<usize, Fault> {
        let count = self.uvarint()?;
        let left = self.rest().len();
        if count > (left / entry_bytes) as u64 {
            return Err(self.fault(Malformed::Count { count, left }));
        }
        Ok(count as usize)
    }
}

/// The value and its length in bytes; `None` when the slice ends first or the value has more than 64 bits.
#[inline]
pub(super) fn read_uvarint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    if first < 0x80 {
        return Some((u64::from(first), 1));
    }
    let mut value = u64::from(first & 0x7f);
    for (i, byte) in bytes.iter().enumerate().take(10).skip(1) {
        if i == 9 && *byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            return Some((value, i + 1));
        }
    }
    None
}

#[inline]
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Writes a varint at the front of `out`, which has 10 bytes at least, and returns its length.
#[inline]
pub(super) fn write_uvarint(out: &mut [u8], mut value: u64) -> usize {
    let mut at = 0;
    while value >= 0x80 {
        out[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    out[at] = value as u8;
    at + 1
}

pub(super) fn put_uvarint(out: &mut Vec<u8>, value: u64) {
    let mut room = [0; 10];
    let len = write_uvarint(&mut room, value);
    out.extend_from_slice(&room[..len]);
}

pub(super) fn put_varint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, zigzag(value));
}

pub(super) fn put_be64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put_f64(out: &mut Vec<u8>, value: f64) {
    put_be64(out, value.to_bits());
}

pub(super) fn put_string(out: &mut Vec<u8>, text: &str) {
    put_uvarint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_survive_at_every_length() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                put_uvarint(&mut out, value);
                assert_eq!(read_uvarint(&out), Some((value, out.len())));
                assert_eq!(read_uvarint(&out[..out.len() - 1]), None, "cut varint of {value}");
                assert_eq!(unzigzag(zigzag(value as i64)), value as i64);
            }
        }
    }

    #[test]
    fn an_overlong_varint_is_refused() {
        let mut input = Input::new(&[0xff; 11]);
        assert_eq!(input.uvarint().unwrap_err().reason, Malformed::Varint);
        let mut input = Input::new(&[0xff; 3]);
        assert_eq!(input.uvarint().unwrap_err().reason, Malformed::Short { wanted: 4, left: 3 });
    }
}
