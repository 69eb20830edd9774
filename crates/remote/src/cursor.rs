//! The cursor of an endpoint: how far each lane is.
//!
//! A lane reads the log, and after an outage that was longer than the log is held, the database as well: then the log brings only
//! what is older than [`Mark::time_ms`], and the database all that is not. What the log brings in that time waits in a file of
//! its own (`late`), so that the log itself is free. Lanes move independently, so that a kill loses only the acknowledgements of
//! requests that were in flight. [`file`] keeps the cursor.

pub(crate) mod file;

use narthex_wal::WalPosition;

use crate::series::LANES;

/// The time of a lane that the log alone serves.
pub(crate) const LIVE: i64 = i64::MAX;

/// A position of the log in one word; ordered alike.
#[must_use]
pub(crate) fn pack(position: WalPosition) -> u64 {
    u64::from(position.segment) << 32 | position.offset.min(u64::from(u32::MAX))
}

/// The reverse of [`pack`].
#[must_use]
pub(crate) fn unpack(packed: u64) -> WalPosition {
    WalPosition { segment: (packed >> 32) as u32, offset: packed & u64::from(u32::MAX) }
}

/// How far a lane, or reading for all of them, is. Everything was delivered, given up for good, or is not for this lane, that
/// lies in a record before `log` and is older than `time_ms`; and what is not older and was not in such a record, the database
/// shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Packed position of the log.
    pub(crate) log: u64,
    /// Milliseconds since the epoch, exclusive; [`LIVE`] when the log brings everything.
    pub(crate) time_ms: i64,
    /// Offset in the file of late samples: what lies behind it is still to be sent.
    pub(crate) late: u64,
}

impl Mark {
    /// A mark that follows the log alone.
    #[must_use]
    pub(crate) fn live(position: WalPosition) -> Self {
        Self { log: pack(position), time_ms: LIVE, late: 0 }
    }

    /// Both of them: what either says was done is done.
    #[must_use]
    pub(crate) fn join(self, other: Self) -> Self {
        Self {
            log: self.log.max(other.log),
            time_ms: self.time_ms.max(other.time_ms),
            late: self.late.max(other.late),
        }
    }
}

/// Where each lane goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// [`LANES`] of them.
    pub(crate) lanes: Box<[Mark]>,
    /// Nothing newer was ever accepted or dead-lettered, ms; `i64::MIN` when that is not known.
    pub(crate) sent_ms: i64,
    /// Whether nothing behind it can have been sent: the last run ended in order, with an answer to every request.
    pub(crate) is_settled: bool,
}

impl Cursor {
    /// All lanes at one place.
    #[must_use]
    pub(crate) fn at(mark: Mark) -> Self {
        Self { lanes: vec![mark; LANES].into(), sent_ms: i64::MIN, is_settled: true }
    }

    /// Where reading goes on: for each of the three the lane that is furthest behind.
    #[must_use]
    pub(crate) fn start(&self) -> Mark {
        let first = self.lanes[0];
        self.lanes.iter().fold(first, |least, lane| Mark {
            log: least.log.min(lane.log),
            time_ms: least.time_ms.min(lane.time_ms),
            late: least.late.min(lane.late),
        })
    }

    /// With all lanes where the last of them is.
    #[must_use]
    fn levelled(self) -> Self {
        Self { sent_ms: self.sent_ms, is_settled: false, ..Self::at(self.start()) }
    }

    /// Everything in the log before this was acknowledged.
    #[must_use]
    pub(crate) fn min(&self) -> WalPosition {
        unpack(self.start().log)
    }

    /// The lane that is furthest ahead in the log: from here on no record needs a look at its lane.
    #[must_use]
    pub(crate) fn max(&self) -> WalPosition {
        unpack(self.lanes.iter().map(|lane| lane.log).max().expect("there are lanes"))
    }

    /// Whether the log alone brings everything that is still to be sent.
    #[must_use]
    pub(crate) fn is_live(&self) -> bool {
        let late = self.lanes[0].late;
        self.lanes.iter().all(|lane| lane.time_ms == LIVE && lane.late == late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_and_maximum_are_over_lanes() {
        let mut cursor = Cursor::at(Mark::live(WalPosition { segment: 3, offset: 70 }));
        cursor.lanes[9].log = pack(WalPosition { segment: 2, offset: 4_000_000 });
        cursor.lanes[10].log = pack(WalPosition { segment: 4, offset: 0 });
        cursor.lanes[11].time_ms = 77;
        assert_eq!(cursor.min(), WalPosition { segment: 2, offset: 4_000_000 });
        assert_eq!(cursor.max(), WalPosition { segment: 4, offset: 0 });
        assert_eq!(cursor.start().time_ms, 77);
        assert!(!cursor.is_live());
    }
}
