//! The log while the database serves the endpoint: read to its tip, and of what it brings only that is set aside which no slice
//! of the database will.
//!
//! Always true: a sample of a record that was passed is acknowledged, in the file of late samples, counted as given up, or not older
//! than what the database is still read for. Must not know: slices, requests.

use std::time::Instant;

use narthex_wal::{ReadError, WalPosition};

use super::Endpoint;
use super::reading::{AT_A_TIME, Reading};
use crate::cursor::unpack;
use crate::gap::Gap;
use crate::late::LateChunk;
use crate::metrics::DropReason;
use crate::source::Block;

/// A log that cannot be read in a place may have brought series that are some time behind the others, ms.
const UNREADABLE_OVERLAP_MS: i64 = 2 * 60_000;

impl Endpoint {
    /// Reads the log up to where it ended when this began, in as many calls as that takes; why it is not there yet.
    pub(super) fn pass_log(&mut self, now: Instant) -> Option<Reading> {
        let until = *self.catch_up.pass_until.get_or_insert(self.parts.source.tip());
        loop {
            let at = self.parts.lanes.log_position();
            if at >= until {
                self.catch_up.pass_until = None;
                return None;
            }
            if now.elapsed() > AT_A_TIME {
                return Some(Reading::More);
            }
            match self.parts.source.block(at, &mut self.follower) {
                Ok(None) => self.catch_up.pass_until = Some(at),
                Ok(Some(block)) => {
                    let mut late = self.late_of(&block);
                    self.leave_out_met(&mut late);
                    if let Err(error) = self.set_aside(&late) {
                        return Some(self.cannot_catch_up(now, &error.to_string()));
                    }
                    self.parts.lanes.pass_log(block.end);
                    self.cursor_moved = true;
                    self.count_read(&block);
                }
                Err(error) => {
                    self.cannot_read(&error, now);
                    return Some(Reading::All);
                }
            }
        }
    }

    /// What the next slices do not bring of a block of the log.
    fn late_of(&mut self, block: &Block) -> LateChunk {
        let mut chunk = self.late_floats_of(block);
        self.late_others_of(block, &mut chunk);
        chunk
    }

    /// Its float samples that are older than what the database is still read for, and not acknowledged.
    pub(super) fn late_floats_of(&mut self, block: &Block) -> LateChunk {
        let (from, time_ms) = (self.parts.lanes.log_position(), self.parts.lanes.read_to().time_ms);
        let resuming = block.start < unpack(self.resume_until.log) || time_ms < self.resume_until.time_ms;
        let mut chunk = LateChunk::default();
        let mut unknown = 0;
        for (at, samples) in block.records_from(from) {
            for (place, sample) in samples {
                if !resuming && sample.t_ms >= time_ms {
                    continue;
                }
                match (self.slot_of(place), place) {
                    (Ok((_, lane)), _) if resuming && !self.is_late(lane, at, sample.t_ms) => {}
                    (Ok(_), Some(place)) => {
                        let labels = || self.parts.source.series(place);
                        if let Some(of) = chunk.of(place.number, labels) {
                            of.samples.push((sample.t_ms, sample.start_ms, sample.value));
                        }
                    }
                    (Err(DropReason::UnknownSeries), _) => unknown += 1,
                    (Err(_), _) | (_, None) => {}
                }
            }
        }
        if unknown > 0 {
            self.parts.sender.metrics.count_dropped(0, DropReason::UnknownSeries, unknown);
        }
        chunk
    }

    fn late_others_of(&mut self, block: &Block, chunk: &mut LateChunk) {
        let from = self.parts.lanes.log_position();
        for other in block.others.iter().filter(|other| other.at >= from) {
            match self.sent_kind(other.kind) {
                Some(1) => self.catch_up.exemplars += 1,
                Some(_) => match (self.slot_of(other.place), other.place) {
                    (Ok((_, lane)), Some(place)) if self.is_late(lane, other.at, other.t_ms) => {
                        let labels = || self.parts.source.series(place);
                        if let Some(of) = chunk.of(place.number, labels) {
                            of.others.push((other.t_ms, other.kind, other.encoded.as_ref().into()));
                        }
                    }
                    (Ok(_), _) => {}
                    (Err(reason), _) => self.parts.sender.metrics.count_dropped(2, reason, 1),
                },
                None => {}
            }
        }
    }

    /// Whether a sample of the log is older than what the database is still read for, and not acknowledged.
    fn is_late(&self, lane: u16, at: WalPosition, t_ms: i64) -> bool {
        let time_ms = self.parts.lanes.read_to().time_ms.max(self.parts.lanes.mark(lane).time_ms);
        t_ms < time_ms && !self.parts.lanes.is_done(lane, at)
    }

    fn set_aside(&mut self, late: &LateChunk) -> std::io::Result<()> {
        if late.series.is_empty() {
            return Ok(());
        }
        if !self.parts.late.is_full() {
            return self.parts.late.append(late);
        }
        let times = late
            .series
            .iter()
            .flat_map(|series| series.samples.iter().map(|s| s.0).chain(series.others.iter().map(|o| o.0)));
        let (count, min, max) = self.catch_up.refused;
        let span = times.fold((min, max), |(min, max), t_ms| (min.min(t_ms), max.max(t_ms)));
        self.catch_up.refused = (count + late.len() as u64, span.0, span.1);
        Ok(())
    }

    /// After the log could not be read in a place: another one to go on from is `next`.
    pub(super) fn skip_log(&mut self, next: WalPosition, error: &ReadError) {
        let can_leave = self.parts.backlog.is_some() && self.parts.lanes.cursor().sent_ms > i64::MIN;
        if !self.is_behind() && can_leave {
            // What waits in lanes is given up, and some lanes are far behind others: the log is read again up to the fault, for
            // what the database will not be asked for. The fault is met again there.
            return self.leave_log(UNREADABLE_OVERLAP_MS);
        }
        let behind = self.is_behind();
        let what =
            if behind { "; only what came late there is missing, the rest is in the database" } else { "" };
        let at = self.parts.lanes.log_position();
        self.note(&Gap { cause: format!("WAL from {at} to {next}: {error}{what}"), ..Gap::default() });
        if behind {
            self.parts.lanes.pass_log(next);
        } else {
            self.parts.lanes.begin_block();
            self.parts.lanes.end_log_block(next);
        }
    }
}
