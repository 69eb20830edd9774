//! Reading a stretch of segments that nobody writes to: replay, checkpoints, tools.

use std::path::Path;

use super::WalPosition;
use super::dir::list_segments;
use super::record::RecordType;
use super::segment_reader::{ReadError, Record, SegmentReader};

/// Yields the records of consecutive segments.
pub struct Reader {
    current: Option<SegmentReader>,
    /// Bytes of the current file when it was opened.
    limit: u64,
    last: u32,
}

impl Reader {
    /// Reads from `from` to the end of segment `last`, which must exist, as must all between.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(dir: &Path, from: WalPosition, last: u32) -> Result<Self, ReadError> {
        if from.segment > last {
            return Ok(Self { current: None, limit: 0, last });
        }
        let reader = SegmentReader::open(dir, from)?;
        let limit = reader.file_len()?;
        Ok(Self { current: Some(reader), limit, last })
    }

    /// Reads all segments of a directory: a checkpoint, or a log that nobody writes to.
    ///
    /// # Errors
    /// `Dir`, `Io`.
    pub fn open_dir(dir: &Path) -> Result<Self, ReadError> {
        let segments = list_segments(dir)?;
        match (segments.first(), segments.last()) {
            (Some(first), Some(last)) => Self::open(dir, WalPosition { segment: *first, offset: 0 }, *last),
            _ => Ok(Self { current: None, limit: 0, last: 0 }),
        }
    }

    /// The next record; `None` at the end of the last segment.
    ///
    /// # Errors
    /// After `Corrupt` every further call gives the same error.
    #[expect(clippy::should_implement_trait, reason = "records are lent, which an iterator cannot")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        self.seek(SegmentReader::skip_padding)?;
        match &mut self.current {
            Some(reader) => reader.next(self.limit),
            None => Ok(None),
        }
    }

    /// The next record that may be a series record: others are checked but, where their first byte shows without that, not
    /// unpacked. For those who want to know the series of a log fast.
    ///
    /// # Errors
    /// As `next`.
    pub fn next_series(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        self.seek(|reader, limit| reader.skip_others(RecordType::Series.byte(), limit))?;
        match &mut self.current {
            Some(reader) => reader.next(self.limit),
            None => Ok(None),
        }
    }

    /// Goes from segment to segment until `find` finds something to read.
    fn seek(
        &mut self,
        find: impl Fn(&mut SegmentReader, u64) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        let Some(reader) = &mut self.current else { return Ok(()) };
        while !find(reader, self.limit)? {
            let segment = reader.position().segment;
            if segment >= self.last {
                return Ok(());
            }
            reader.reopen(segment + 1)?;
            self.limit = reader.file_len()?;
        }
        Ok(())
    }

    /// Where the next record begins, or padding before it; `None` for an empty directory.
    #[must_use]
    pub fn position(&self) -> Option<WalPosition> {
        self.current.as_ref().map(SegmentReader::position)
    }
}
