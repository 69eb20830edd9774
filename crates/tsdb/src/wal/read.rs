//! Reading a stretch of segments that nobody writes to: replay, checkpoints, tools.

use std::path::Path;

use super::WalPosition;
use super::dir::list_segments;
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
        let Some(reader) = &mut self.current else { return Ok(None) };
        while !reader.skip_padding(self.limit)? {
            let segment = reader.position().segment;
            if segment >= self.last {
                return Ok(None);
            }
            reader.reopen(segment + 1)?;
            self.limit = reader.file_len()?;
        }
        reader.next(self.limit)
    }

    /// Where the next record begins, or padding before it; `None` for an empty directory.
    #[must_use]
    pub fn position(&self) -> Option<WalPosition> {
        self.current.as_ref().map(SegmentReader::position)
    }
}
