//! A float as XOR with the one before it: `<varbit_xor>`.

use super::{BitReader, BitWriter, End, PutBits};

/// Where the bits that changed last lay. The default is "nowhere yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// 1..=64; 0 for no window yet.
    width: u8,
    /// Bits below it.
    trailing: u8,
}

impl Window {
    fn leading(self) -> u32 {
        64 - u32::from(self.width) - u32::from(self.trailing)
    }

    /// How many bits changed last, 1..=64, and how many are below them. All 64 when none changed yet.
    pub(crate) fn width_and_trailing(self) -> (u32, u32) {
        (if self.width == 0 { 64 } else { self.width.into() }, self.trailing.into())
    }

    /// Appends a difference.
    #[inline]
    pub(crate) fn write(&mut self, xor: u64, out: &mut BitWriter) {
        if xor == 0 {
            return out.put(0, 1);
        }
        let (leading, trailing) = (xor.leading_zeros().min(31), xor.trailing_zeros());
        if self.width > 0 && leading >= self.leading() && trailing >= u32::from(self.trailing) {
            out.put(0b10, 2);
            return out.put(xor >> self.trailing, self.width.into());
        }
        let width = 64 - leading - trailing;
        (self.width, self.trailing) = (width as u8, trailing as u8);
        // 64 does not fit into six bits and is written as 0; a width of 0 never occurs.
        out.put(0b11 << 11 | u64::from(leading) << 6 | u64::from(width & 63), 13);
        out.put(xor >> trailing, width);
    }

    /// Reads a difference.
    #[inline]
    pub(crate) fn read(&mut self, reader: &mut BitReader<'_>) -> Result<u64, End> {
        if reader.ready() < 13 {
            reader.fill();
        }
        match reader.peek() >> 62 {
            0 | 1 => {
                reader.need(1)?;
                reader.skip(1);
                return Ok(0);
            }
            2 => {
                reader.need(2)?;
                reader.skip(2);
            }
            _ => self.read_window(reader)?,
        }
        // Without a window only bytes from elsewhere come here; they get all 64 bits, as in Prometheus.
        let width = if self.width == 0 { 64 } else { self.width };
        Ok(reader.take(width.into())? << self.trailing)
    }

    #[inline]
    fn read_window(&mut self, reader: &mut BitReader<'_>) -> Result<(), End> {
        reader.need(13)?;
        let leading = (reader.peek() << 2 >> 59) as u8;
        let width = (reader.peek() << 7 >> 58) as u8;
        self.width = if width == 0 { 64 } else { width };
        // Bytes from elsewhere may claim a window wider than the value; wrapping keeps that a wrong number.
        self.trailing = 64u8.wrapping_sub(leading).wrapping_sub(self.width) & 63;
        reader.skip(13);
        Ok(())
    }
}

/// A float and the window of its last change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct XorValue {
    /// The bits of the float.
    pub(crate) bits: u64,
    window: Window,
}

impl XorValue {
    /// A first value, which lies in the chunk as it is.
    pub(crate) fn new(value: f64) -> Self {
        Self { bits: value.to_bits(), window: Window::default() }
    }

    pub(crate) fn value(self) -> f64 {
        f64::from_bits(self.bits)
    }

    /// Appends the next value.
    #[inline]
    pub(crate) fn write(&mut self, value: f64, out: &mut BitWriter) {
        let bits = value.to_bits();
        self.window.write(bits ^ self.bits, out);
        self.bits = bits;
    }

    /// Reads the next value.
    #[inline]
    pub(crate) fn read(&mut self, reader: &mut BitReader<'_>) -> Result<(), End> {
        self.bits ^= self.window.read(reader)?;
        Ok(())
    }
}
