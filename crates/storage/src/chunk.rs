//! Series as the compressed chunks that a store keeps, for those who pass them on instead of looking into them.
//!
//! Must not know: the encodings. A chunk is bytes and the number that says how to read them; `narthex-chunks` knows both.

use std::borrow::Cow;

/// One chunk of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChunk<'a> {
    /// Timestamp of its first sample, ms.
    pub min_ms: i64,
    /// Timestamp of its last sample, ms.
    pub max_ms: i64,
    /// The number of its encoding, as on disk and on the wire.
    pub encoding: u8,
    /// The whole chunk, sample count included; neither the encoding's number nor a checksum.
    pub bytes: Cow<'a, [u8]>,
    /// Closed ranges of time, ms, whose samples nobody is to see, in any order; mostly none.
    pub hidden: Vec<(i64, i64)>,
    /// Which of several merged stores it is from. Chunks of one store that come one after the other follow each other there.
    pub source: u32,
}

impl StoredChunk<'_> {
    /// Whether it may have samples in a closed range, ms.
    #[must_use]
    pub fn overlaps(&self, (mint_ms, maxt_ms): (i64, i64)) -> bool {
        self.min_ms <= maxt_ms && mint_ms <= self.max_ms
    }
}
