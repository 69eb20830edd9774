//! What is committed while a slice of the database is read: the view may have it or not, and the log brings it in any case. What
//! of it was in the slice is left out when the log is read there, so that each sample is sent once.
//!
//! It lies between where the log was read to before the view, and the tip behind the reading of the slice: a sample is logged
//! before a view shows it. There a sample is the slice's when series, time and value are. This is not kept: a kill before the
//! log was read to there makes these come again. Must not know: requests, the cursor.

use std::collections::HashSet;
use std::time::Instant;

use narthex_wal::WalPosition;
use rustc_hash::FxBuildHasher;

use super::Endpoint;
use crate::lane::OtherEntry;
use crate::late::LateChunk;
use crate::source::{Block, Follower, Other, OtherKind};

/// What of the newest slice the log may bring again.
pub(super) struct Meeting {
    /// Records behind this were not in the slice.
    until: WalPosition,
    /// Nothing older is committed there, ms.
    from_ms: i64,
    /// Number of the series, time, bits of the value.
    samples: HashSet<(u32, i64, u64), FxBuildHasher>,
    /// Number of the series and time of histograms, which the log encodes in other bytes than the database.
    histograms: HashSet<(u32, i64), FxBuildHasher>,
}

impl Meeting {
    /// Takes note of a sample of the slice.
    pub(super) fn note(&mut self, slot: u32, t_ms: i64, value: f64) {
        if t_ms >= self.from_ms {
            self.samples.insert((slot, t_ms, value.to_bits()));
        }
    }

    /// Takes note of a histogram of the slice.
    pub(super) fn note_histogram(&mut self, slot: u32, t_ms: i64) {
        if t_ms >= self.from_ms {
            self.histograms.insert((slot, t_ms));
        }
    }
}

impl Endpoint {
    /// What was committed since the log was read, once a slice was read; `None` when nothing was.
    pub(super) fn meeting(&self) -> Option<Meeting> {
        let until = self.parts.source.tip();
        let (mut at, mut from_ms) = (self.parts.lanes.log_position(), None::<i64>);
        // Read twice, as it may be long: what of the slice is remembered depends on it.
        let mut follower = Follower::default();
        while at < until {
            // A fault is told when the log is read for good.
            let Ok(Some(block)) = self.parts.source.block(at, &mut follower) else { break };
            let times = block.times().chain(block.others.iter().map(|other| other.t_ms));
            from_ms = times.chain(from_ms).min();
            at = block.end;
            self.parts.source.recycle(block);
        }
        from_ms.map(|from_ms| Meeting {
            until,
            from_ms,
            samples: HashSet::default(),
            histograms: HashSet::default(),
        })
    }

    /// Whether the log is read where it may bring what was in a slice.
    pub(super) fn is_meeting(&mut self) -> bool {
        let at = self.parts.lanes.log_position();
        self.meeting.take_if(|meeting| meeting.until <= at);
        self.meeting.is_some()
    }

    /// Takes out what was in the slice.
    pub(super) fn leave_out_met(&mut self, chunk: &mut LateChunk) {
        if !self.is_meeting() {
            return;
        }
        for one in &mut chunk.series {
            let Ok((slot, _)) = self.place_of_labels(&one.series) else { continue };
            let Some(meeting) = &self.meeting else { return };
            one.samples.retain(|(t_ms, _, value)| !meeting.samples.contains(&(slot, *t_ms, value.to_bits())));
            one.others.retain(|(t_ms, ..)| !meeting.histograms.contains(&(slot, *t_ms)));
        }
        chunk.series.retain(|one| !one.samples.is_empty() || !one.others.is_empty());
    }

    /// Puts into lanes what a block of the log has beside what was in the slice; the log serves the endpoint again.
    pub(super) fn fill_met(&mut self, block: &Block, now: Instant) {
        let sequence = self.parts.lanes.begin_block();
        let mut chunk = self.late_floats_of(block);
        self.leave_out_met(&mut chunk);
        for one in chunk.series {
            let Ok(place) = self.place_of_labels(&one.series) else { continue };
            for (t_ms, start_ms, value) in one.samples {
                self.push_old(place, sequence, (t_ms, start_ms, value), now);
            }
        }
        let from = self.parts.lanes.log_position();
        for other in block.others.iter().filter(|other| other.at >= from) {
            self.fill_met_other(other, sequence, now);
        }
        self.parts.lanes.end_log_block(block.end);
        self.count_read(block);
    }

    fn fill_met_other(&mut self, other: &Other, block: u32, now: Instant) {
        let Some(kind) = self.sent_kind(other.kind) else { return };
        let (slot, lane) = match self.slot_of(other.place) {
            Ok(found) => found,
            Err(reason) => return self.parts.sender.metrics.count_dropped(kind, reason, 1),
        };
        let was_met = other.kind != OtherKind::Exemplar && self.was_met(other);
        if was_met || self.parts.lanes.is_done(lane, other.at) {
            return;
        }
        self.parts.lanes.push_other(lane, OtherEntry { slot, block, other: other.clone() }, now);
        self.pending[kind] += 1;
    }

    fn was_met(&mut self, histogram: &Other) -> bool {
        let series = histogram.place.and_then(|place| self.parts.source.series(place));
        let place = series.and_then(|series| self.place_of_labels(&series).ok());
        let met = self.meeting.as_ref().zip(place);
        met.is_some_and(|(meeting, (slot, _))| meeting.histograms.contains(&(slot, histogram.t_ms)))
    }
}
