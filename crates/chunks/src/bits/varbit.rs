//! Integers in as few bits as they need: `<varbit_int>`, `<varbit_uint>`, and the byte-wise `<varint>` of Go.
//!
//! The prefix is a run of ones that a zero ends (eight ones need none); it tells how many bits follow.

use super::{BitReader, End};

/// Bits that follow a prefix of so many ones.
const WIDTHS: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];

/// The prefix of so many ones: its bits and how many.
fn prefix(ones: u32) -> (u64, u32) {
    match ones {
        8 => (0xff, 8),
        n => ((1 << (n + 1)) - 2, n + 1),
    }
}

/// What takes bits.
pub(crate) trait PutBits {
    /// Appends the low `count` bits of `value`, 1..=64; higher ones must be zero.
    fn put(&mut self, value: u64, count: u32);

    /// Appends `<varbit_int>`.
    #[inline]
    fn put_varbit(&mut self, value: i64) {
        if value == 0 {
            return self.put(0, 1);
        }
        // The range of a width is asymmetric, one more above zero than below: `-(2^(w-1) - 1) ..= 2^(w-1)`.
        let fits = |width: u32| value > -(1 << (width - 1)) && value <= 1 << (width - 1);
        self.put_after_prefix(value as u64, (1..8).find(|ones| fits(WIDTHS[*ones])).unwrap_or(8));
    }

    /// Appends `<varbit_uint>`.
    #[inline]
    fn put_varbit_unsigned(&mut self, value: u64) {
        if value == 0 {
            return self.put(0, 1);
        }
        self.put_after_prefix(value, (1..8).find(|ones| value >> WIDTHS[*ones] == 0).unwrap_or(8));
    }

    /// Appends a prefix of so many ones and the bits that it announces.
    fn put_after_prefix(&mut self, value: u64, ones: usize) {
        let (head, head_bits) = prefix(ones as u32);
        let width = WIDTHS[ones];
        if head_bits + width > 64 {
            self.put(head, head_bits);
            return self.put(value, width);
        }
        self.put(head << width | value & ((1 << width) - 1), head_bits + width);
    }

    /// Appends `<varint>`.
    fn put_varint(&mut self, value: i64) {
        self.put_uvarint((value << 1 ^ value >> 63) as u64);
    }

    /// Appends `<uvarint>`: seven bits a byte, low ones first.
    fn put_uvarint(&mut self, mut rest: u64) {
        while rest >= 0x80 {
            self.put(rest & 0x7f | 0x80, 8);
            rest >>= 7;
        }
        self.put(rest, 8);
    }
}

impl BitReader<'_> {
    /// Reads `<varbit_int>`.
    #[inline]
    pub(crate) fn varbit(&mut self) -> Result<i64, End> {
        let (raw, width) = self.varbit_raw()?;
        Ok(match width {
            0 | 64 => raw as i64,
            _ if raw > 1 << (width - 1) => raw as i64 - (1 << width),
            _ => raw as i64,
        })
    }

    /// Reads `<varbit_uint>`.
    #[inline]
    pub(crate) fn varbit_unsigned(&mut self) -> Result<u64, End> {
        Ok(self.varbit_raw()?.0)
    }

    /// The bits after the prefix, and how many.
    #[inline]
    fn varbit_raw(&mut self) -> Result<(u64, u32), End> {
        if self.ready() < 34 {
            self.fill();
        }
        let ones = (!self.peek()).leading_zeros().min(8);
        let head_bits = prefix(ones).1;
        // Bits that are not ready may look like ones; then the prefix is too long for what is ready.
        self.need(head_bits)?;
        self.skip(head_bits);
        let width = WIDTHS[ones as usize];
        let raw = if width == 0 { 0 } else { self.take(width)? };
        Ok((raw, width))
    }

    /// Reads `<varint>`.
    pub(crate) fn varint(&mut self) -> Result<i64, End> {
        let raw = self.uvarint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Reads `<uvarint>`; more than ten bytes are none.
    #[inline]
    pub(crate) fn uvarint(&mut self) -> Result<u64, End> {
        self.fill();
        // Up to the first byte without its highest bit.
        let bits = self.peek();
        let bytes = (!bits & 0x8080_8080_8080_8080).leading_zeros() / 8 + 1;
        if bytes * 8 > self.ready() {
            return self.uvarint_slow();
        }
        let byte = |at: u32| (bits >> (56 - 8 * at) & 0x7f) << (7 * at);
        self.skip(bytes * 8);
        Ok((0..bytes).fold(0, |value, at| value | byte(at)))
    }

    #[cold]
    fn uvarint_slow(&mut self) -> Result<u64, End> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(8)?;
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(End)
    }
}

#[cfg(test)]
mod tests {
    use super::super::BitWriter;
    use super::*;

    #[track_caller]
    fn check_signed(value: i64, bits: u32) {
        let mut writer = BitWriter::default();
        writer.put(0b101, 3);
        writer.put_varbit(value);
        let mut bytes = Vec::new();
        writer.copy_to(&mut bytes);
        assert_eq!(bytes.len(), (3 + bits).div_ceil(8) as usize, "{value}");
        let mut reader = BitReader::new(&bytes);
        assert_eq!(reader.take(3), Ok(0b101));
        assert_eq!(reader.varbit(), Ok(value));
        let mut cut = BitReader::new(&bytes[..bytes.len() - 1]);
        assert!(cut.take(3).is_err() || cut.varbit() == Err(End));
    }

    #[test]
    fn signed_numbers_take_the_bits_that_the_format_says() {
        // The edges of the ranges in Prometheus' documentation of the encoding.
        for (value, bits) in [
            (0, 1),
            (4, 5),
            (-3, 5),
            (5, 9),
            (-4, 9),
            (32, 9),
            (256, 13),
            (-255, 13),
            (-256, 17),
            (2048, 17),
            (131_072, 24),
            (16_777_216, 32),
            (-16_777_216, 64),
            (36_028_797_018_963_968, 64),
            (36_028_797_018_963_969, 72),
            (i64::MIN, 72),
            (i64::MAX, 72),
        ] {
            check_signed(value, bits);
        }
    }

    #[test]
    fn unsigned_numbers_and_varints_come_back() {
        let values = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]).chain([u64::MAX]);
        for value in values {
            let mut writer = BitWriter::default();
            writer.put_varbit_unsigned(value);
            writer.put_varint(value as i64);
            let mut bytes = Vec::new();
            writer.copy_to(&mut bytes);
            let mut reader = BitReader::new(&bytes);
            assert_eq!(reader.varbit_unsigned(), Ok(value));
            assert_eq!(reader.varint(), Ok(value as i64));
        }
    }
}
