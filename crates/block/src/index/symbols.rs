//! The symbol table: every label name and value once, sorted, called by number (version 2) or by place (version 1).
//!
//! In memory: the place of every 32nd symbol, four bytes each.

use crate::bytes::{self, Cursor};
use crate::fault::Fault;

/// Every how many symbols a place is kept.
const STRIDE: usize = 32;

/// The way into a symbol table that lies in a mapped file. Every method gets that file's bytes.
pub(crate) struct Symbols {
    /// Where the content of the section begins: its count of symbols.
    start: u64,
    /// Where the content ends.
    end: u64,
    count: u32,
    /// Places of every 32nd symbol, counted from `start`.
    sampled: Vec<u32>,
    by_place: bool,
}

impl Symbols {
    /// Verifies the section at `offset` and takes the samples.
    pub(crate) fn read(file: &[u8], offset: u64, by_place: bool) -> Result<Self, Fault> {
        let mut cursor = bytes::section(file, offset)?;
        let start = cursor.offset();
        let end = start + cursor.left() as u64;
        let count = cursor.be32()?;
        // A symbol takes a byte or more, so a wrong count cannot ask for more memory than the section has.
        let mut sampled = Vec::with_capacity((count as usize).min(cursor.left()) / STRIDE + 1);
        for number in 0..count as usize {
            if number % STRIDE == 0 {
                sampled.push((cursor.offset() - start) as u32);
            }
            cursor.prefixed()?;
        }
        Ok(Self { start, end, count, sampled, by_place })
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.sampled.len() * size_of::<u32>()) as u64
    }

    /// An upper bound of the places that [`Symbols::place`] gives out; for tables of them.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Whether symbols are called by their places, so that looking up the place is free.
    pub(crate) fn by_place(&self) -> bool {
        self.by_place
    }

    /// Where the symbol that a series calls `symbol` lies, from the start of the section on; never 0.
    pub(crate) fn place(&self, file: &[u8], symbol: u32) -> Result<u32, Fault> {
        let unknown = Fault::Symbol { symbol: u64::from(symbol) };
        if self.by_place {
            let inside = (self.start + 4..self.end).contains(&u64::from(symbol));
            return if inside { Ok((u64::from(symbol) - self.start) as u32) } else { Err(unknown) };
        }
        if symbol >= self.count {
            return Err(unknown);
        }
        let mut cursor = self.cursor(file, self.sampled[symbol as usize / STRIDE]);
        for _ in 0..symbol as usize % STRIDE {
            cursor.prefixed()?;
        }
        Ok((cursor.offset() - self.start) as u32)
    }

    /// The text at a place.
    #[inline]
    pub(crate) fn text<'f>(&self, file: &'f [u8], place: u32) -> Result<&'f [u8], Fault> {
        self.cursor(file, place).prefixed()
    }

    /// What series call the symbol with this text.
    pub(crate) fn find(&self, file: &[u8], text: &[u8]) -> Result<Option<u32>, Fault> {
        let behind = self
            .sampled
            .partition_point(|place| self.text(file, *place).is_ok_and(|sampled| sampled <= text));
        let Some(sample) = behind.checked_sub(1) else { return Ok(None) };
        let mut cursor = self.cursor(file, self.sampled[sample]);
        let first = sample * STRIDE;
        for number in first..(first + STRIDE).min(self.count as usize) {
            let place = cursor.offset();
            if cursor.prefixed()? == text {
                return Ok(Some(if self.by_place { place as u32 } else { number as u32 }));
            }
        }
        Ok(None)
    }

    /// All symbols in order.
    pub(crate) fn iter<'f>(&self, file: &'f [u8]) -> impl Iterator<Item = &'f [u8]> + use<'f> {
        let mut cursor = self.cursor(file, 4);
        // The section was walked to its end when it was opened: no symbol can be cut.
        (0..self.count).map_while(move |_| cursor.prefixed().ok())
    }

    #[inline]
    fn cursor<'f>(&self, file: &'f [u8], place: u32) -> Cursor<'f> {
        let start = self.start + u64::from(place);
        let content = file.get(start as usize..self.end as usize).unwrap_or_default();
        Cursor::new(content, start)
    }
}
