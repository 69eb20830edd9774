//! Where a series' open chunk ends.
//!
//! Facts: as Prometheus: at the end of the aligned block range, and spread evenly before it. Must not know: samples, series.

use narthex_chunks::FloatEncoding;

/// How chunks are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CutRule {
    /// No chunk crosses a multiple of this, ms.
    pub(crate) range_ms: i64,
    /// Floats wanted in a chunk; twice as many are the limit.
    pub(crate) samples: u32,
    /// How new chunks of floats are encoded.
    pub(crate) floats: FloatEncoding,
    /// Whether new chunks of histograms keep start timestamps.
    pub(crate) histogram_starts: bool,
}

impl CutRule {
    /// Without start timestamps.
    pub(crate) const fn plain(range_ms: i64, samples: u32) -> Self {
        Self { range_ms, samples, floats: FloatEncoding::Xor, histogram_starts: false }
    }

    /// Where the range of a timestamp ends, ms.
    pub(crate) fn range_end(self, t_ms: i64) -> i64 {
        t_ms.div_euclid(self.range_ms).saturating_add(1).saturating_mul(self.range_ms)
    }
}

/// Where to cut so that the rest of the range, until `cut_ms`, is spread evenly over chunks; judged when the chunk is one
/// `parts`th full.
pub(crate) fn spread_cut((first_ms, last_ms): (i64, i64), cut_ms: i64, parts: f64) -> i64 {
    let rest = cut_ms.saturating_sub(first_ms) as f64;
    let chunks = rest / ((last_ms.saturating_sub(first_ms).saturating_add(1)) as f64 * parts);
    if chunks <= 1.0 {
        return cut_ms;
    }
    (first_ms as f64 + rest / chunks.floor()) as i64
}
