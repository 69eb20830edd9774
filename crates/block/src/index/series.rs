//! The entry of a series: its labels as symbols, its chunks as time ranges and places.

use crate::bytes::Cursor;
use crate::fault::Fault;

/// A series whose checksum was right.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'f> {
    labels: Cursor<'f>,
    count: u64,
}

/// Where a chunk lies, and its closed time range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
    /// Number of the segment file, from 0, above; place in it below 32 bits.
    pub(crate) place: u64,
}

impl<'f> Entry<'f> {
    pub(super) fn read(mut content: Cursor<'f>) -> Result<Self, Fault> {
        let count = content.uvarint()?;
        Ok(Self { labels: content, count })
    }

    /// A series that was verified before.
    pub(crate) fn trusted(file: &'f [u8], place: u64) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(file, 0);
        cursor.take(place)?;
        let len = cursor.uvarint()?;
        let offset = cursor.offset();
        Self::read(Cursor::new(cursor.take(len)?, offset))
    }

    /// Gives each label to `visit` as the symbols of name and value, and returns the chunks.
    #[inline]
    pub(crate) fn visit(&self, mut visit: impl FnMut(u32, u32)) -> Result<ChunkRefs<'f>, Fault> {
        let mut cursor = self.labels;
        for _ in 0..self.count {
            let name = symbol(cursor.uvarint()?)?;
            visit(name, symbol(cursor.uvarint()?)?);
        }
        ChunkRefs::read(cursor)
    }
}

/// The chunks of a series, by time.
#[derive(Clone, Copy)]
pub(crate) struct ChunkRefs<'f> {
    cursor: Cursor<'f>,
    /// Where the count of chunks lies in the file.
    offset: u64,
    left: u64,
    first: bool,
    last: ChunkRef,
}

impl<'f> ChunkRefs<'f> {
    pub(super) fn read(mut cursor: Cursor<'f>) -> Result<Self, Fault> {
        let offset = cursor.offset();
        let left = cursor.uvarint()?;
        let last = ChunkRef { min_ms: 0, max_ms: 0, place: 0 };
        Ok(Self { cursor, offset, left, first: true, last })
    }

    /// Where in the file the chunks begin.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// How many chunks are to come, as the file says.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Wrapping sums: what a checksum confirmed may still be nonsense, which must not panic.
    #[inline]
    fn read_next(&mut self) -> Result<ChunkRef, Fault> {
        let min_ms = if self.first {
            self.cursor.varint()?
        } else {
            self.last.max_ms.wrapping_add(self.cursor.uvarint()? as i64)
        };
        let max_ms = min_ms.wrapping_add(self.cursor.uvarint()? as i64);
        let place = if self.first {
            self.cursor.uvarint()?
        } else {
            self.last.place.wrapping_add(self.cursor.varint()? as u64)
        };
        self.first = false;
        self.last = ChunkRef { min_ms, max_ms, place };
        Ok(self.last)
    }
}

impl Iterator for ChunkRefs<'_> {
    type Item = Result<ChunkRef, Fault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let read = self.read_next();
        if read.is_err() {
            self.left = 0;
        }
        Some(read)
    }
}

#[inline]
fn symbol(number: u64) -> Result<u32, Fault> {
    u32::try_from(number).map_err(|_| Fault::Symbol { symbol: number })
}
