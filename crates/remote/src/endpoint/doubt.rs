//! Samples that are sent again because nobody knows whether they arrived, and what it means when they are refused.
//!
//! In doubt is what was in flight when the process was killed, or when an answer did not come. An endpoint that takes nothing older
//! than the newest sample of a series refuses most of that when it has it, and says that it has something newer. Newer samples of a
//! series leave behind the older ones or beside them, so these arrived, unless somebody else writes the series, or they were late
//! when they were written. So they are no dead letters like others: they go to a store of their own, which is small and cannot push
//! those out. Must not know: requests, files.

use super::now_ms;
use crate::cursor::{Cursor, LIVE, Mark, pack};
use crate::job::Answer;
use crate::lane::{Lanes, Load};
use narthex_wal::WalPosition;

/// Words of endpoints that have a newer sample of the series, or one of the same time: Prometheus, Thanos, Cortex, Mimir.
const NEWER: [&str; 5] =
    ["out of order", "out-of-order", "duplicate sample", "duplicate-timestamp", "more recent timestamp"];

/// What is in doubt.
pub(super) struct Doubt {
    /// What lies before this, and was not acknowledged, may have been sent.
    until: Mark,
    /// What is not newer was acknowledged before, ms, for all that is known: of some series it may not have been sent yet. So it
    /// takes a refusal of the single sample to tell.
    acknowledged_ms: i64,
}

/// What a refusal of a single sample means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The endpoint will never take it.
    Refused,
    /// It was sent before, and most probably arrived then.
    InDoubt,
    /// It was acknowledged before.
    Known,
}

impl Doubt {
    /// Nothing is in doubt.
    pub(super) fn none() -> Self {
        Self { until: Mark { log: 0, time_ms: i64::MIN, late: 0 }, acknowledged_ms: i64::MIN }
    }

    /// Everything up to the tip of the log, and up to now; what is not newer than `acknowledged_ms` is not even that.
    pub(super) fn of_all(tip: WalPosition, acknowledged_ms: i64) -> Self {
        Self { until: Mark { log: pack(tip), time_ms: now_ms(), late: 0 }, acknowledged_ms }
    }

    /// Whether a load may have something that was sent before.
    pub(super) fn covers(&self, lanes: &Lanes, load: &Load) -> bool {
        load.lanes.iter().any(|(lane, _)| self.is_before(lanes.mark(*lane)))
    }

    /// Whether something that was sent before may still be sent again.
    pub(super) fn is_open(&self, cursor: &Cursor) -> bool {
        cursor.lanes.iter().any(|lane| self.is_before(*lane))
    }

    fn is_before(&self, at: Mark) -> bool {
        at.log < self.until.log || (at.time_ms != LIVE && at.time_ms < self.until.time_ms)
    }

    /// What it means that a sample of this time was refused. `resent` says whether it may have been sent before.
    pub(super) fn meaning(&self, t_ms: i64, resent: bool, (_, reason): &Answer) -> Meaning {
        if !resent || !says_newer(reason) {
            return Meaning::Refused;
        }
        if t_ms <= self.acknowledged_ms { Meaning::Known } else { Meaning::InDoubt }
    }
}

fn says_newer(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    NEWER.iter().any(|words| reason.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_of_what_was_sent_before_that_speak_of_newer_samples_leave_a_doubt() {
        let doubt = Doubt::of_all(WalPosition { segment: 1, offset: 7 }, 500);
        let check = |t_ms, resent, words: &str, expected| {
            assert_eq!(doubt.meaning(t_ms, resent, &(400, words.to_owned())), expected, "{words}");
        };
        check(
            501,
            true,
            "server returned HTTP status 400 Bad Request: out of order sample",
            Meaning::InDoubt,
        );
        check(500, true, "duplicate sample for timestamp", Meaning::Known);
        check(501, false, "out of order sample", Meaning::Refused);
        for words in ["out of bounds", "too old sample", "label name is not valid", ""] {
            check(501, true, words, Meaning::Refused);
        }
        check(
            501,
            true,
            "another sample with a more recent timestamp (err-mimir-sample-out-of-order)",
            Meaning::InDoubt,
        );
    }
}
