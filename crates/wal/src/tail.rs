//! Following a log while its writer lives.
//!
//! The writer publishes how far acknowledged batches reach; a tailer reads up to there and not a byte further. So it never
//! sees half a write or a batch that failed, and asking at the tip costs one atomic load.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::WalPosition;
use super::segment_reader::{ReadError, Record, SegmentReader};

/// How far acknowledged batches reach. Cheap to clone, all clones move together.
#[derive(Clone, Debug)]
pub struct Tip(
    /// Segment in the high 32 bits, offset in the low ones. Only the [`Writer`](super::Writer) stores.
    Arc<AtomicU64>,
);

impl Tip {
    /// A tip that stands still: to follow a log that has no writer up to `position`.
    #[must_use]
    pub fn at(position: WalPosition) -> Self {
        Self(Arc::new(AtomicU64::new(pack(position))))
    }

    /// The position behind the last acknowledged batch.
    #[must_use]
    pub fn position(&self) -> WalPosition {
        let packed = self.0.load(Ordering::Acquire);
        WalPosition { segment: (packed >> 32) as u32, offset: packed & u64::from(u32::MAX) }
    }

    pub(super) fn publish(&self, position: WalPosition) {
        self.0.store(pack(position), Ordering::Release);
    }
}

fn pack(position: WalPosition) -> u64 {
    let offset = u32::try_from(position.offset).expect("a segment is smaller than 4 GiB");
    u64::from(position.segment) << 32 | u64::from(offset)
}

/// What a tailer finds.
#[derive(Debug)]
pub enum Tail<'a> {
    /// The next record.
    Record(Record<'a>),
    /// Nothing more was acknowledged; ask again later.
    AtTip,
}

/// Reads a live log, record after record.
pub struct Tailer {
    reader: SegmentReader,
    /// Bytes of the current segment once the writer has left it.
    full_len: Option<u64>,
    tip: Tip,
}

impl Tailer {
    /// Reads on from `from`, a position that a record or the writer gave (or the start of a segment).
    ///
    /// # Errors
    /// `Io` when the segment is not there, for one because it was truncated away.
    pub fn open(dir: &Path, from: WalPosition, tip: Tip) -> Result<Self, ReadError> {
        Ok(Self { reader: SegmentReader::open(dir, from)?, full_len: None, tip })
    }

    /// The next record up to the tip.
    ///
    /// # Errors
    /// `Corrupt`: the disk changed bytes that were written well; further calls give the same error, and
    /// [`Tailer::skip_segment`] goes on behind. `Io`: may be tried again.
    #[expect(clippy::should_implement_trait, reason = "records are lent, which an iterator cannot")]
    pub fn next(&mut self) -> Result<Tail<'_>, ReadError> {
        let limit = loop {
            let tip = self.tip.position();
            let at = self.reader.position();
            let limit = match tip.segment > at.segment {
                true => self.full_len()?,
                false => tip.offset,
            };
            if at.offset < limit && self.reader.skip_padding(limit)? {
                break limit;
            }
            if tip.segment <= at.segment {
                return Ok(Tail::AtTip);
            }
            self.skip_segment()?;
        };
        match self.reader.next(limit)? {
            Some(record) => Ok(Tail::Record(record)),
            None => Ok(Tail::AtTip),
        }
    }

    fn full_len(&mut self) -> Result<u64, ReadError> {
        match self.full_len {
            Some(len) => Ok(len),
            None => Ok(*self.full_len.insert(self.reader.file_len()?)),
        }
    }

    /// Leaves the rest of the current segment out.
    ///
    /// # Errors
    /// `Io`, also when there is no later segment.
    pub fn skip_segment(&mut self) -> Result<(), ReadError> {
        self.reader.reopen(self.reader.position().segment + 1)?;
        self.full_len = None;
        Ok(())
    }

    /// Behind the last record that was yielded (or the padding after it).
    #[must_use]
    pub fn position(&self) -> WalPosition {
        self.reader.position()
    }
}
