//! From a block of the log to lanes: which samples go where, and which are dropped and why.
//!
//! Always true: what was acknowledged before a restart is not put in again; each sample of a block is in a lane, or counted as
//! dropped. Must not know: requests, the cursor's file.

use std::time::Instant;

use narthex_config::WriteMessage;
use narthex_wal::WalPosition;

use super::{Endpoint, now_ms};
use crate::cursor::unpack;
use crate::lane::{Entry, OtherEntry};
use crate::metrics::DropReason;
use crate::place::Place;
use crate::series::Series;
use crate::slots::Slot;
use crate::source::{Block, OtherKind};

/// Lanes get a block of the log as several, cut before the next record after so many samples: the cursor knows no parts of a
/// block, so a lane must seldom have more of one than a request takes.
const CUT_AFTER: usize = 256;

/// How a block of the log was cut.
struct Cuts {
    /// Records before this were read already: a block that is shared may begin before.
    from: WalPosition,
    /// The number of the first of them.
    first: u32,
    /// Where each further one begins.
    at: Vec<WalPosition>,
}

impl Cuts {
    /// The number of the one that a record belongs to.
    fn block_of(&self, at: WalPosition) -> u32 {
        self.first.wrapping_add(self.at.partition_point(|cut| *cut <= at) as u32)
    }
}

impl Endpoint {
    /// Puts a block's samples into lanes.
    pub(super) fn fill(&mut self, block: &Block, now: Instant) {
        let mut sequence = self.parts.lanes.begin_block();
        let mut cuts = Cuts { from: self.parts.lanes.log_position(), first: sequence, at: Vec::new() };
        let resuming = block.start < unpack(self.resume_until.log);
        let oldest_t_ms = self.limits.age_ms.map_or(i64::MIN, |age_ms| now_ms() - age_ms);
        let mut dropped = [0u64; 3];
        let as_they_are = self.parts.config.write_relabel_configs.is_empty();
        let (mut pushed, mut filled, mut cut_at) = (0, 0, CUT_AFTER);
        for (at, samples) in block.records_from(cuts.from) {
            if filled >= cut_at {
                self.parts.lanes.end_log_block(at);
                sequence = self.parts.lanes.begin_block();
                cuts.at.push(at);
                cut_at = filled + CUT_AFTER;
            }
            for (place, sample) in samples {
                filled += 1;
                // PERF: most endpoints relabel nothing; then nothing goes through memory here.
                let (slot, lane) = match place {
                    Some(place) if as_they_are => (place.number, place.lane),
                    place => match self.slot_of(place) {
                        Ok(found) => found,
                        Err(reason) => {
                            dropped[reason as usize] += 1;
                            continue;
                        }
                    },
                };
                if resuming && self.parts.lanes.is_done(lane, at) {
                    continue;
                }
                if sample.t_ms < oldest_t_ms {
                    dropped[DropReason::TooOld as usize] += 1;
                    continue;
                }
                let entry = Entry {
                    slot,
                    block: sequence,
                    t_ms: sample.t_ms,
                    value: sample.value,
                    start_ms: sample.start_ms,
                };
                self.parts.lanes.push(lane, entry, now);
                pushed += 1;
            }
        }
        self.pending[0] += pushed;
        for (reason, count) in
            [DropReason::Relabeled, DropReason::TooOld, DropReason::UnknownSeries].iter().zip(dropped)
        {
            if count > 0 {
                self.parts.sender.metrics.count_dropped(0, *reason, count);
            }
        }
        self.fill_others(block, &cuts, resuming, now);
        self.parts.lanes.end_log_block(block.end);
        self.count_read(block);
    }

    /// Counts a block of the log.
    pub(super) fn count_read(&mut self, block: &Block) {
        self.parts.sender.metrics.watcher.read(&block.records, block.undecoded, block.end);
        let begin = if block.start.segment == block.end.segment { block.start.offset } else { 0 };
        self.was_read.0 += block.end.offset - begin;
        self.was_read.1 += (block.len() + block.others.len()) as u64;
        self.max_read_t_ms = self.max_read_t_ms.max(block.max_t_ms);
        if block.max_t_ms > i64::MIN {
            let newest = &self.parts.sender.metrics.highest_timestamp_s;
            newest.set(newest.get().max(block.max_t_ms as f64 / 1000.0));
        }
    }

    fn fill_others(&mut self, block: &Block, cuts: &Cuts, resuming: bool, now: Instant) {
        for other in block.others.iter().filter(|other| other.at >= cuts.from) {
            let Some(kind) = self.sent_kind(other.kind) else { continue };
            match self.slot_of(other.place) {
                Err(reason) => self.parts.sender.metrics.count_dropped(kind, reason, 1),
                Ok((_, lane)) if resuming && self.parts.lanes.is_done(lane, other.at) => {}
                Ok((slot, lane)) => {
                    let entry = OtherEntry { slot, block: cuts.block_of(other.at), other: other.clone() };
                    self.parts.lanes.push_other(lane, entry, now);
                    self.pending[kind] += 1;
                }
            }
        }
    }

    /// Whether it is sent, and then where it is counted: 1 for exemplars, 2 for histograms. Counts what cannot be sent.
    pub(super) fn sent_kind(&self, kind: OtherKind) -> Option<usize> {
        match kind {
            OtherKind::Exemplar if self.parts.config.send_exemplars => Some(1),
            OtherKind::Histogram if self.parts.config.send_native_histograms => Some(2),
            OtherKind::CustomHistogram if !self.parts.config.send_native_histograms => None,
            OtherKind::CustomHistogram if self.parts.config.protobuf_message == WriteMessage::V2 => Some(2),
            OtherKind::CustomHistogram => {
                self.parts.sender.metrics.count_dropped(2, DropReason::CustomBuckets, 1);
                None
            }
            OtherKind::Exemplar | OtherKind::Histogram => None,
        }
    }

    /// Under which number a series of the log is sent, and its lane.
    #[inline]
    pub(super) fn slot_of(&mut self, place: Option<Place>) -> Result<(u32, u16), DropReason> {
        let place = place.ok_or(DropReason::UnknownSeries)?;
        if self.parts.config.write_relabel_configs.is_empty() {
            return Ok((place.number, place.lane));
        }
        let slot = match self.slots.find(place) {
            Slot::Unknown => self.relabel(place)?,
            found => found,
        };
        place_of(slot, place.lane)
    }

    fn relabel(&mut self, place: Place) -> Result<Slot, DropReason> {
        let series = self.parts.source.series(place).ok_or(DropReason::UnknownSeries)?;
        let whole = series.with_external(self.parts.source.external());
        Ok(self.slots.relabel(place, whole.labels(), &self.parts.config.write_relabel_configs))
    }

    /// The place of a label set that came from the database or from late samples.
    pub(super) fn place_of_labels(&mut self, series: &Series) -> Result<(u32, u16), DropReason> {
        let (external, steps) = (self.parts.source.external(), &self.parts.config.write_relabel_configs);
        place_of(self.slots.of_labels(series, external, steps), series.lane())
    }
}

fn place_of(slot: Slot, lane: u16) -> Result<(u32, u16), DropReason> {
    match slot {
        Slot::Sent(number) => Ok((number, lane)),
        Slot::Dropped | Slot::Unknown => Err(DropReason::Relabeled),
    }
}
