//! What a cached line stands for, in eight bytes.

use narthex_storage::SeriesRef;

/// References above this are not cached; they are resolved at each scrape. No store that counts series gets there.
const REF_MASK: u64 = (1 << 58) - 1;
/// Relabeling dropped the line: it counts as scraped and nothing else.
const DROPPED: u64 = 1 << 63;
/// A sample without a timestamp of its own was taken at the last scrape: when the line goes, the series is marked stale.
const TRACKED: u64 = 1 << 62;
/// The line stood in the body before.
const AGAIN: u64 = 1 << 61;
/// No sample of it was ever taken, so it does not count as known.
const UNTAKEN: u64 = 1 << 60;
/// The reference is not there.
const NO_REF: u64 = 1 << 59;
/// Became tracked in the pass that runs: should the pass fail, it has not to be ended.
const FRESH: u64 = 1 << 58;

/// A series reference and the state of its line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(u64);

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot({:?}, {:04b})", self.series(), self.0 >> 60)
    }
}

impl Slot {
    /// A line that relabeling drops.
    pub(crate) fn dropped() -> Self {
        Self(DROPPED | NO_REF)
    }

    /// A line whose series is known but has no sample yet.
    pub(crate) fn resolved(series: SeriesRef) -> Self {
        let mut slot = Self(UNTAKEN);
        slot.set_series(series);
        slot
    }

    #[inline]
    pub(crate) fn is_dropped(self) -> bool {
        self.0 & DROPPED != 0
    }

    /// The series; `None` when there is none or it must be resolved anew.
    #[inline]
    pub(crate) fn series(self) -> Option<SeriesRef> {
        (self.0 & NO_REF == 0).then_some(SeriesRef(self.0 & REF_MASK))
    }

    pub(crate) fn set_series(&mut self, series: SeriesRef) {
        let flags = self.0 & !(REF_MASK | NO_REF);
        self.0 = if series.0 <= REF_MASK { flags | series.0 } else { flags | NO_REF };
    }

    #[inline]
    pub(crate) fn is_tracked(self) -> bool {
        self.0 & TRACKED != 0
    }

    /// Returns whether it was tracked before.
    #[inline]
    pub(super) fn set_tracked(&mut self, tracked: bool) -> bool {
        let before = self.is_tracked();
        if before != tracked {
            self.0 ^= TRACKED;
            self.0 = if tracked { self.0 | FRESH } else { self.0 & !FRESH };
        }
        before
    }

    pub(super) fn is_fresh(self) -> bool {
        self.0 & FRESH != 0
    }

    pub(super) fn set_settled(&mut self) {
        self.0 &= !FRESH;
    }

    #[inline]
    pub(crate) fn is_again(self) -> bool {
        self.0 & AGAIN != 0
    }

    /// The slot of a further line with the same bytes.
    pub(crate) fn again(self) -> Self {
        Self((self.0 | AGAIN) & !(TRACKED | FRESH))
    }

    /// Whether no sample was ever taken.
    #[inline]
    pub(crate) fn is_untaken(self) -> bool {
        self.0 & UNTAKEN != 0
    }

    pub(crate) fn set_taken(&mut self) {
        self.0 &= !UNTAKEN;
    }
}
