//! An endpoint that left the log: it goes on from the database, slice by slice, until it meets the log again.
//!
//! While it is behind, `read_to().time_ms` divides the work. What the log brings and is older than that lies before what the
//! database was read for already: it goes to the file of late samples, and from there into lanes before the next slice. What
//! is not older is passed over in the log: it was shown before the next slice's view, which has it. So the log is read to its tip
//! all the time and held for nothing, and no sample is in neither; commits while a view is taken may be in both (`meeting`).
//! Per series, late samples of before a slice leave before it, as they came before: order is that of the log. The last
//! slice has no end; from where the log stood before its view, the log brings everything else.
//! Leaving the log is like a kill and a start with another cursor: what is in flight is given up, and sent again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use narthex_config::WalHold;
use narthex_model::Labels;
use narthex_wal::WalPosition;
use tokio::sync::watch;

use super::doubt::Doubt;
use super::reading::Reading;
use super::{Endpoint, READ_RETRY, now_ms};
use crate::backlog::{Place, Slice, Wish, read_slice};
use crate::cursor::{Cursor, LIVE, Mark, unpack};
use crate::deliver::Tries;
use crate::gap::Gap;
use crate::lane::{Entry, Lanes, OtherEntry};
use crate::metrics::DropReason;
use crate::series::Series;
use crate::slots::Slots;
use crate::source::{Follower, Other};

/// The first slice, ms; later ones follow how much the last one had.
const FIRST_WIDTH_MS: i64 = 60_000;
/// No slice is wider, ms.
const MAX_WIDTH_MS: i64 = 30 * 24 * 3_600_000;
/// Fewer samples make no slice.
const MIN_SLICE: usize = if cfg!(test) { 500 } else { 100_000 };

/// What catching up remembers from slice to slice.
pub(super) struct CatchUp {
    width_ms: i64,
    /// Series of the last slice.
    series: usize,
    /// Exemplars of the log that were passed over: no block keeps any.
    pub(super) exemplars: u64,
    /// Late samples for which there was no room, and the times they span.
    pub(super) refused: (u64, i64, i64),
    /// Where the log ended when its reading began: a log that grows as fast as it is read must not keep the next slice waiting.
    pub(super) pass_until: Option<WalPosition>,
    since_ms: i64,
}

impl CatchUp {
    pub(super) fn new() -> Self {
        let refused = (0, i64::MAX, i64::MIN);
        Self {
            width_ms: FIRST_WIDTH_MS,
            series: 0,
            exemplars: 0,
            refused,
            pass_until: None,
            since_ms: now_ms(),
        }
    }
}

impl Endpoint {
    /// Whether the database serves it.
    pub(super) fn is_behind(&self) -> bool {
        self.parts.lanes.read_to().time_ms != LIVE
    }

    /// Leaves the log when more of it is held than may be.
    pub(super) fn mind_the_hold(&mut self) {
        if self.is_behind() || self.parts.backlog.is_none() || !self.limits.hold.is_limited() {
            return;
        }
        let from = self.parts.lanes.cursor().min();
        let (bytes, age) = self.parts.source.held(from);
        if self.limits.hold.is_exceeded(bytes, age) {
            tracing::warn!(
                remote_name = self.parts.sender.status.name(), %from, bytes, ?age,
                "remote write endpoint is further behind than the WAL is held for it; it goes on from the database"
            );
            self.leave_log(0);
        }
    }

    /// Goes on from the database, from the oldest time of which nothing was acknowledged, less the overlap as far as the
    /// database has it.
    pub(super) fn leave_log(&mut self, overlap_ms: i64) {
        let unsent_ms = self.unsent_from_ms();
        let oldest_ms = self.parts.backlog.as_ref().and_then(|backlog| backlog.span_ms()).map(|span| span.0);
        let from_ms = unsent_ms.saturating_sub(overlap_ms).max(oldest_ms.unwrap_or(i64::MIN).min(unsent_ms));
        let mut cursor = self.parts.lanes.cursor().clone();
        let acknowledged_ms = if overlap_ms > 0 { cursor.sent_ms } else { i64::MIN };
        self.doubt = Doubt::of_all(self.parts.source.tip(), acknowledged_ms);
        for (at, lane) in cursor.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.time_ms == LIVE) {
            // What is older than all that it has is done: an earlier configuration dropped it, and it must not come behind newer ones.
            let oldest_ms = self.parts.lanes.oldest_ms(at).filter(|_| overlap_ms == 0);
            lane.time_ms = oldest_ms.map_or(from_ms, |oldest_ms| oldest_ms.max(from_ms));
        }
        self.abandon_requests();
        self.pending = [0; 3];
        self.resume_until = end_of(&cursor);
        self.parts.lanes = Lanes::new(cursor);
        self.slots = Slots::with_labels();
        self.suspects.forget();
        self.follower = Follower::default();
        self.catch_up = CatchUp::new();
        self.meeting = None;
        self.cursor_moved = true;
        self.save_cursor();
    }

    /// Nothing at or behind this time, ms, was acknowledged, but for samples ahead of the clock.
    fn unsent_from_ms(&mut self) -> i64 {
        let cursor = self.parts.lanes.cursor();
        let (sent_ms, from) = (cursor.sent_ms, cursor.min());
        let now_ms = now_ms();
        if sent_ms > i64::MIN {
            return sent_ms.saturating_add(1).min(now_ms);
        }
        // It never sent anything that it remembers: what waits first says when that was.
        let first = self.parts.source.block(from, &mut Follower::default());
        let oldest = first.ok().flatten().and_then(|block| block.times().min());
        oldest.unwrap_or(now_ms).min(now_ms)
    }

    /// Gives up what is in flight; answers that still come are nobody's.
    fn abandon_requests(&mut self) {
        self.parts.tries.send_replace(Tries::None);
        self.parts.tries = watch::Sender::new(Tries::Endless);
        self.generation += 1;
        self.gave_up |= self.in_flight > 0;
        self.in_flight = 0;
        self.unkept.clear();
    }

    /// Reads on while behind.
    pub(super) fn read_behind(&mut self, now: Instant) -> Reading {
        if let Some(not_yet) = self.pass_log(now) {
            return not_yet;
        }
        while self.has_room() && self.is_behind() {
            match self.fill_late(now) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => return self.cannot_catch_up(now, &error.to_string()),
            }
            // Series that came and went fill the memory of labels; when nothing waits under them it begins anew.
            if self.slots.label_sets() > 3 * self.catch_up.series + 100_000 {
                if self.in_flight > 0 || self.parts.lanes.waiting() > 0 {
                    return Reading::Full;
                }
                self.slots = Slots::with_labels();
                self.suspects.forget();
            }
            return match self.fill_slice(now) {
                Ok(()) => Reading::More,
                Err(reason) => self.cannot_catch_up(now, &reason),
            };
        }
        Reading::Full
    }

    pub(super) fn cannot_catch_up(&mut self, now: Instant, reason: &str) -> Reading {
        let remote_name = self.parts.sender.status.name();
        tracing::error!(
            remote_name,
            reason,
            "remote write cannot read what is to be sent; it is tried again"
        );
        self.read_again = now + READ_RETRY;
        Reading::All
    }

    /// Puts the next chunk of late samples into lanes; `false` when there is none.
    fn fill_late(&mut self, now: Instant) -> std::io::Result<bool> {
        let mut at = self.parts.lanes.read_to().late;
        if at < self.parts.late.base() {
            at = self.parts.late.base();
        }
        let Some((chunk, next)) = self.parts.late.read(at)? else { return Ok(false) };
        let block = self.parts.lanes.begin_block();
        let end = Mark { late: next, ..self.parts.lanes.read_to() };
        for one in chunk {
            let Ok((slot, lane)) = self.place_of_labels(&one.series) else { continue };
            let mark = self.parts.lanes.mark(lane);
            if mark.late > at {
                continue;
            }
            // After a kill the database may be read from an earlier time on than when this came: then it shows this too.
            let end_ms = mark.time_ms.max(end.time_ms);
            for sample in one.samples.into_iter().filter(|(t_ms, ..)| *t_ms < end_ms) {
                self.push_old((slot, lane), block, sample, now);
            }
            for (t_ms, kind, encoded) in one.others.into_iter().filter(|(t_ms, ..)| *t_ms < end_ms) {
                let at = unpack(end.log);
                let other = Other { place: None, t_ms, start_ms: 0, at, kind, encoded: encoded.into() };
                self.parts.lanes.push_other(lane, OtherEntry { slot, block, other }, now);
                self.pending[2] += 1;
            }
        }
        self.parts.lanes.end_block(end);
        Ok(true)
    }

    /// Reads the next slice of the database into lanes.
    fn fill_slice(&mut self, now: Instant) -> Result<(), String> {
        let backlog = Arc::clone(self.parts.backlog.as_ref().ok_or("there is no database")?);
        let from_ms = self.parts.lanes.read_to().time_ms;
        let (oldest_ms, newest_ms) = backlog.span_ms().unwrap_or((from_ms, from_ms));
        if from_ms < oldest_ms {
            self.note(&Gap {
                cause: "the database has nothing older any more: retention deleted it before it was sent"
                    .into(),
                from_ms: Some(from_ms),
                to_ms: Some(oldest_ms),
                ..Gap::default()
            });
            self.read_time_to(oldest_ms);
            return Ok(());
        }
        let end_ms = from_ms.saturating_add(self.catch_up.width_ms);
        let end_ms = if end_ms > newest_ms { i64::MAX } else { end_ms };
        let samples = self.limits.waiting.max(MIN_SLICE).max(2 * self.catch_up.series);
        let histograms = self.parts.config.send_native_histograms;
        let wish = Wish { from_ms, end_ms, newest_ms, samples, histograms };
        let view = backlog.view(from_ms, end_ms.saturating_sub(1)).map_err(|error| error.to_string())?;
        let place = |labels: &Labels| self.place_of_labels(&Series::of_labels(labels)).ok();
        let slice = read_slice(&*view, &wish, place);
        drop(view);
        let slice = slice.map_err(|error| error.to_string())?;
        self.meeting = self.meeting();
        self.take_slice(slice, &wish, now);
        Ok(())
    }

    fn take_slice(&mut self, slice: Slice, wish: &Wish, now: Instant) {
        let block = self.parts.lanes.begin_block();
        let count = slice.floats.len() + slice.histograms.len();
        for (place, t_ms, start_ms, value) in slice.floats {
            if t_ms >= self.parts.lanes.mark(place.1).time_ms {
                self.meeting.iter_mut().for_each(|meeting| meeting.note(place.0, t_ms, value));
                self.push_old(place, block, (t_ms, start_ms, value), now);
            }
        }
        for histogram in slice.histograms {
            let ((slot, lane), t_ms, kind) = (histogram.place, histogram.t_ms, histogram.kind);
            if t_ms < self.parts.lanes.mark(lane).time_ms || self.sent_kind(kind).is_none() {
                continue;
            }
            self.meeting.iter_mut().for_each(|meeting| meeting.note_histogram(slot, t_ms));
            let at = self.parts.lanes.log_position();
            let start_ms = histogram.start_ms;
            let other = Other { place: None, t_ms, start_ms, at, kind, encoded: histogram.encoded.into() };
            self.parts.lanes.push_other(lane, OtherEntry { slot, block, other }, now);
            self.pending[2] += 1;
        }
        if let Some((series, reason)) = slice.unreadable {
            self.note(&Gap {
                cause: format!("cannot read {series} series of the database: {reason}"),
                from_ms: Some(wish.from_ms),
                to_ms: Some(slice.end_ms.min(wish.newest_ms.saturating_add(1))),
                ..Gap::default()
            });
        }
        self.catch_up.series = slice.series;
        let read_ms = slice.end_ms.saturating_sub(wish.from_ms);
        self.catch_up.width_ms = next_width(read_ms, count, wish.samples);
        self.read_time_to(slice.end_ms);
    }

    /// Ends a block of the database. At the end of time the log takes over.
    fn read_time_to(&mut self, time_ms: i64) {
        let end = Mark { time_ms, ..self.parts.lanes.read_to() };
        self.parts.lanes.begin_block();
        self.parts.lanes.end_block(end);
        self.cursor_moved = true;
        if time_ms == LIVE {
            let remote_name = self.parts.sender.status.name();
            tracing::info!(remote_name, "remote write endpoint has met the WAL again");
            self.note_passed();
        }
    }

    /// Keeps a record of what was passed over in the log for good.
    pub(super) fn note_passed(&mut self) {
        let catch_up = std::mem::replace(&mut self.catch_up, CatchUp::new());
        if catch_up.exemplars > 0 {
            self.note(&Gap {
                cause: "exemplars are in the WAL only, which was not held any more".into(),
                from_ms: Some(catch_up.since_ms),
                to_ms: Some(now_ms()),
                exemplars: Some(catch_up.exemplars),
                ..Gap::default()
            });
        }
        let (count, min_ms, max_ms) = catch_up.refused;
        if count > 0 {
            self.note(&Gap {
                cause: "more samples came late, while the database was being sent, than are set aside".into(),
                from_ms: Some(min_ms),
                to_ms: Some(max_ms.saturating_add(1)),
                samples: Some(count),
                ..Gap::default()
            });
        }
    }

    pub(super) fn push_old(
        &mut self,
        (slot, lane): Place,
        block: u32,
        (t_ms, start_ms, value): (i64, i64, f64),
        now: Instant,
    ) {
        if self.limits.age_ms.is_some_and(|age_ms| t_ms < now_ms() - age_ms) {
            self.parts.sender.metrics.count_dropped(0, DropReason::TooOld, 1);
            return;
        }
        self.parts.lanes.push(lane, Entry { slot, block, t_ms, value, start_ms }, now);
        self.pending[0] += 1;
    }

    /// Counts, logs and keeps what will never be sent.
    pub(crate) fn note(&mut self, gap: &Gap) {
        let metrics = &self.parts.sender.metrics;
        metrics.gaps.inc();
        metrics.gap_samples.add((gap.samples.unwrap_or(0) + gap.exemplars.unwrap_or(0)) as f64);
        let remote_name = self.parts.sender.status.name();
        tracing::warn!(remote_name, ?gap, "remote write gives something up; a gap record says so");
        if let Err(error) = self.parts.gaps.keep(gap) {
            self.complain("keep a gap record", &error);
        }
        self.parts.sender.status.set_gaps(self.parts.gaps.summary());
    }
}

/// Where the furthest lane is in each respect: before that, what was acknowledged is looked at lane by lane.
pub(super) fn end_of(cursor: &Cursor) -> Mark {
    cursor.lanes.iter().fold(cursor.lanes[0], |most, lane| most.join(*lane))
}

/// How much of the log may be held.
pub(super) struct Hold {
    bytes: u64,
    age: Duration,
}

impl Hold {
    /// Zero stands for no limit.
    pub(super) fn new(config: &WalHold) -> Self {
        let age = Duration::from_millis(u64::try_from(config.age_ms).unwrap_or(0));
        Self { bytes: u64::try_from(config.bytes).unwrap_or(0), age }
    }

    fn is_limited(&self) -> bool {
        self.bytes > 0 || !self.age.is_zero()
    }

    fn is_exceeded(&self, bytes: u64, age: Duration) -> bool {
        (self.bytes > 0 && bytes > self.bytes) || (!self.age.is_zero() && age > self.age)
    }
}

/// The width of the next slice, when the last one, `read_ms` wide, had `count` samples and `wanted` are enough.
fn next_width(read_ms: i64, count: usize, wanted: usize) -> i64 {
    let factor = (wanted as f64 / count.max(1) as f64).clamp(0.1, 8.0);
    // The last slice has no end; its width says nothing.
    let read_ms = read_ms.clamp(1, MAX_WIDTH_MS) as f64;
    ((read_ms * factor) as i64).clamp(1, MAX_WIDTH_MS)
}
