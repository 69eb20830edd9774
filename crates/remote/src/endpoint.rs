//! One endpoint at work: a thread that reads blocks, fills lanes, makes requests, and minds the answers.
//!
//! Decoding, relabeling, encoding and compression run here, away from the network's threads; each request is a task on the
//! runtime and comes back as an event. The thread reads while fewer than `capacity × max_shards` samples wait: that is all the
//! back-pressure there is, nothing is dropped and no other endpoint notices.
//! Always true: the cursor on disk never passes a sample that was neither delivered nor dead-lettered; it is saved after each
//! answer, before the next request is made.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender as EventSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use narthex_config::RemoteWriteConfig;
use narthex_storage::SeriesRef;
use tokio::sync::watch;

use crate::cursor::CursorFile;
use crate::dead_letter::{DeadLetters, Letter};
use crate::deliver::{Delivered, Sender};
use crate::job::{Encoder, Job, Piece};
use crate::lane::{Entry, Lanes, OtherEntry};
use crate::metrics::DropReason;
use crate::slots::{Slot, Slots};
use crate::source::{Block, Follower, OtherKind, Source};

/// How often the log is asked for more.
const TICK: Duration = Duration::from_millis(100);
/// How often the cursor is made to survive a power cut, and unused places at the gate are given back.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// How long to wait before a log that cannot be read is tried again.
const READ_RETRY: Duration = Duration::from_secs(1);

/// What an endpoint's thread is told.
pub(crate) enum Event {
    /// An answer.
    Done(Job, Delivered),
    /// Send what there is until the deadline, then end. Without `drain`, only wait for requests in flight.
    Stop { drain: bool, deadline: Instant },
    /// End at once and save nothing, as a crash would.
    Kill,
}

/// What an endpoint's thread is made of.
pub(crate) struct Parts {
    pub(crate) config: RemoteWriteConfig,
    pub(crate) source: Arc<Source>,
    pub(crate) sender: Arc<Sender>,
    pub(crate) lanes: Lanes,
    pub(crate) cursor_file: CursorFile,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) events: (EventSender<Event>, Receiver<Event>),
    /// Turns true when requests in flight are to be given up.
    pub(crate) give_up: watch::Sender<bool>,
}

pub(crate) struct Endpoint {
    parts: Parts,
    limits: Limits,
    follower: Follower,
    slots: Slots,
    /// The source's epoch that `slots` knows.
    epoch: u64,
    encoder: Encoder,
    in_flight: usize,
    /// Samples, exemplars, histograms in lanes or in flight.
    pending: [i64; 3],
    /// Records before this may have been acknowledged for some lanes.
    resume_until: narthex_wal::WalPosition,
    cursor_moved: bool,
    synced: Instant,
    read_again: Instant,
    stop: Option<(bool, Instant)>,
    max_sent_t_ms: i64,
}

struct Limits {
    waiting: usize,
    per_send: usize,
    deadline: Duration,
    age_ms: Option<i64>,
}

impl Endpoint {
    pub(crate) fn new(mut parts: Parts) -> Self {
        let queue = &parts.config.queue_config;
        let at_least_one = |number: i64| usize::try_from(number).unwrap_or(1).max(1);
        let per_send = at_least_one(queue.max_samples_per_send);
        let waiting = at_least_one(queue.capacity).saturating_mul(at_least_one(queue.max_shards));
        let limits = Limits {
            waiting: waiting.clamp(2 * per_send, 50_000_000),
            per_send,
            deadline: Duration::from_millis(queue.batch_send_deadline_ms.max(1).unsigned_abs()),
            age_ms: Some(queue.sample_age_limit_ms).filter(|age_ms| *age_ms > 0),
        };
        let metrics = &parts.sender.metrics;
        let (min, max) = parts.sender.gate.bounds();
        metrics.shards_min.set(min as f64);
        metrics.shards_max.set(max as f64);
        metrics.shard_capacity.set(queue.capacity as f64);
        metrics.max_samples_per_send.set(per_send as f64);
        let resume_until = parts.lanes.cursor().max();
        let now = Instant::now();
        Self {
            parts,
            limits,
            follower: Follower::default(),
            slots: Slots::default(),
            epoch: 0,
            encoder: Encoder::default(),
            in_flight: 0,
            pending: [0; 3],
            resume_until,
            cursor_moved: false,
            synced: now,
            read_again: now,
            stop: None,
            max_sent_t_ms: i64::MIN,
        }
    }

    /// Runs until told to end.
    pub(crate) fn run(mut self) {
        loop {
            let now = Instant::now();
            let read_all = self.read(now);
            self.send(now);
            self.tidy(now);
            if self.has_ended(read_all, now) {
                break;
            }
            match self.parts.events.1.recv_timeout(self.wait(read_all, now)) {
                Ok(event) => {
                    if self.take_events(event) {
                        let _ = self.parts.give_up.send(true);
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the thread holds a sender itself"),
            }
        }
        let _ = self.parts.give_up.send(true);
        self.cursor_moved = true;
        self.save_cursor();
        if let Err(error) = self.parts.cursor_file.sync() {
            self.complain("sync cursor", &error);
        }
    }

    /// How long nothing can happen but an event.
    fn wait(&self, read_all: bool, now: Instant) -> Duration {
        let (_, oldest) = self.parts.lanes.sendable(0);
        let due =
            oldest.map_or(TICK, |oldest| (oldest + self.limits.deadline).saturating_duration_since(now));
        match read_all || self.in_flight > 0 {
            true => due.clamp(Duration::from_millis(1), TICK),
            false => Duration::ZERO,
        }
    }

    /// Handles the event and all that wait behind it. Whether to end at once.
    fn take_events(&mut self, first: Event) -> bool {
        let mut next = Some(first);
        while let Some(event) = next {
            match event {
                Event::Done(job, delivered) => self.done(job, delivered),
                Event::Stop { drain, deadline } => self.stop = Some((drain, deadline)),
                Event::Kill => return true,
            }
            next = self.parts.events.1.try_recv().ok();
        }
        self.save_cursor();
        false
    }

    fn has_ended(&self, read_all: bool, now: Instant) -> bool {
        match self.stop {
            None => false,
            Some((_, deadline)) if now >= deadline => true,
            Some((true, _)) => read_all && self.in_flight == 0 && self.parts.lanes.waiting() == 0,
            Some((false, _)) => self.in_flight == 0 || self.parts.sender.gate.is_failing(),
        }
    }

    /// Reads blocks until enough samples wait. Whether everything that is in the log was read.
    fn read(&mut self, now: Instant) -> bool {
        if matches!(self.stop, Some((false, _))) || now < self.read_again {
            return true;
        }
        while self.parts.lanes.waiting() < self.limits.waiting {
            let at = self.parts.lanes.read_to();
            match self.parts.source.block(at, &mut self.follower) {
                Ok(Some(block)) => self.fill(&block, now),
                Ok(None) => return true,
                Err(error) => {
                    self.cannot_read(&error, now);
                    return true;
                }
            }
        }
        self.parts.sender.metrics.enqueue_retries.inc();
        false
    }

    fn cannot_read(&mut self, error: &narthex_wal::ReadError, now: Instant) {
        let at = self.parts.lanes.read_to();
        let next = self.parts.source.resume_after(error, at);
        tracing::error!(
            remote_name = self.parts.sender.status.name(), %error, %at, goes_on_at = ?next.map(|next| next.to_string()),
            "cannot read the WAL for remote write; samples between these places are not sent, or it is tried again"
        );
        self.read_again = now + READ_RETRY;
        self.follower = Follower::default();
        if let Some(next) = next {
            self.parts.lanes.begin_block();
            self.parts.lanes.end_block(next);
        }
    }

    /// Puts a block's samples into lanes.
    fn fill(&mut self, block: &Block, now: Instant) {
        let sequence = self.parts.lanes.begin_block();
        // A block that is shared may begin before what this endpoint has read.
        let from_here = self.parts.lanes.read_to();
        let resuming = block.start < self.resume_until;
        let oldest_t_ms = self.limits.age_ms.map_or(i64::MIN, |age_ms| now_ms() - age_ms);
        let mut dropped = [0u64; 3];
        let mut pushed = 0;
        for (i, (from, at)) in block.marks.iter().enumerate() {
            let to = block.marks.get(i + 1).map_or(block.samples.len(), |(next, _)| *next);
            if *at < from_here {
                continue;
            }
            for sample in &block.samples[*from..to] {
                let (slot, lane) = match self.slot_of(sample.series) {
                    Ok(found) => found,
                    Err(reason) => {
                        dropped[reason as usize] += 1;
                        continue;
                    }
                };
                if resuming && self.parts.lanes.is_done(lane, *at) {
                    continue;
                }
                if sample.t_ms < oldest_t_ms {
                    dropped[DropReason::TooOld as usize] += 1;
                    continue;
                }
                let entry = Entry { slot, block: sequence, t_ms: sample.t_ms, value: sample.value };
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
        self.fill_others(block, sequence, resuming, now);
        self.parts.lanes.end_block(block.end);
        self.parts.sender.metrics.watcher.read(&block.records, block.undecoded, block.end);
        if block.max_t_ms > i64::MIN {
            let newest = &self.parts.sender.metrics.highest_timestamp_s;
            newest.set(newest.get().max(block.max_t_ms as f64 / 1000.0));
        }
    }

    fn fill_others(&mut self, block: &Block, sequence: u32, resuming: bool, now: Instant) {
        let from_here = self.parts.lanes.read_to();
        for other in block.others.iter().filter(|other| other.at >= from_here) {
            let kind = match other.kind {
                OtherKind::Exemplar if self.parts.config.send_exemplars => 1,
                OtherKind::Histogram if self.parts.config.send_native_histograms => 2,
                OtherKind::CustomHistogram if self.parts.config.send_native_histograms => {
                    self.parts.sender.metrics.count_dropped(2, DropReason::CustomBuckets, 1);
                    continue;
                }
                OtherKind::Exemplar | OtherKind::Histogram | OtherKind::CustomHistogram => continue,
            };
            match self.slot_of(other.series) {
                Err(reason) => self.parts.sender.metrics.count_dropped(kind, reason, 1),
                Ok((_, lane)) if resuming && self.parts.lanes.is_done(lane, other.at) => {}
                Ok((slot, lane)) => {
                    let entry = OtherEntry { slot, block: sequence, other: other.clone() };
                    self.parts.lanes.push_other(lane, entry, now);
                    self.pending[kind] += 1;
                }
            }
        }
    }

    fn slot_of(&mut self, series: SeriesRef) -> Result<(u32, u16), DropReason> {
        let slot = match self.slots.find(series) {
            Slot::Unknown => {
                let known = self.parts.source.series(series).ok_or(DropReason::UnknownSeries)?;
                self.slots.insert(series, known.relabel(&self.parts.config.write_relabel_configs))
            }
            found => found,
        };
        match slot {
            Slot::Sent(slot, lane) => Ok((slot, lane)),
            Slot::Dropped | Slot::Unknown => Err(DropReason::Relabeled),
        }
    }

    /// Makes as many requests as the gate allows and the samples that wait justify.
    fn send(&mut self, now: Instant) {
        if matches!(self.stop, Some((false, _))) {
            return;
        }
        let flush = self.stop.is_some();
        let per_send = self.limits.per_send;
        loop {
            let (sendable, oldest) = self.parts.lanes.sendable(per_send);
            let due = oldest
                .is_some_and(|oldest| flush || now.saturating_duration_since(oldest) >= self.limits.deadline);
            let has_work = sendable >= per_send || (due && sendable > 0);
            let is_full = self.in_flight >= self.parts.sender.gate.allowed();
            self.parts
                .sender
                .gate
                .set_starved(has_work && is_full || self.in_flight > self.parts.sender.gate.allowed());
            if !has_work || is_full {
                return;
            }
            let job = Job::new(self.parts.lanes.take(per_send));
            self.in_flight += 1;
            self.dispatch(job);
        }
    }

    /// Sends the job's next piece.
    fn dispatch(&mut self, job: Job) {
        let piece = job.pieces.last().expect("a job in flight has a piece");
        let (body, counts) = (self.encoder.encode(piece, &self.slots), piece.counts());
        let (sender, events) = (Arc::clone(&self.parts.sender), self.parts.events.0.clone());
        let mut give_up = self.parts.give_up.subscribe();
        self.parts.runtime.spawn(async move {
            tokio::select! {
                delivered = sender.deliver(body, counts) => {
                    // The thread may have ended; then the cursor on disk makes sure that the samples are sent again.
                    let _ = events.send(Event::Done(job, delivered));
                }
                _ = give_up.wait_for(|give_up| *give_up) => {}
            }
        });
    }

    fn done(&mut self, mut job: Job, delivered: Delivered) {
        let piece = job.pieces.pop().expect("a job in flight has a piece");
        match delivered {
            Delivered::Accepted => {
                self.settled(&piece);
                self.parts.sender.metrics.count_sent(piece.counts());
                self.max_sent_t_ms = self.max_sent_t_ms.max(piece.max_t_ms());
            }
            Delivered::Refused { status, text } if piece.len() == 1 => {
                self.settled(&piece);
                self.bury(&piece, status, &text);
            }
            Delivered::Refused { .. } => {
                let (earlier, later) = piece.halves();
                job.pieces.push(later);
                job.pieces.push(earlier);
            }
        }
        if job.pieces.is_empty() {
            self.in_flight -= 1;
            self.parts.lanes.acknowledge(&job.load, Instant::now());
            self.cursor_moved = true;
        } else {
            self.dispatch(job);
        }
    }

    fn settled(&mut self, piece: &Piece) {
        for (pending, count) in self.pending.iter_mut().zip(piece.counts()) {
            *pending -= count as i64;
        }
    }

    /// Keeps a refused sample.
    fn bury(&mut self, piece: &Piece, status: u16, reason: &str) {
        let (slot, letter) = match (piece.samples.first(), piece.others.first()) {
            (Some(entry), _) => (entry.slot, Letter::Sample { t_ms: entry.t_ms, value: entry.value }),
            (None, Some(entry)) => {
                (entry.slot, Letter::Other { kind: entry.other.kind, encoded: &entry.other.encoded })
            }
            (None, None) => unreachable!("the piece has one entry"),
        };
        let metrics = &self.parts.sender.metrics;
        for (counter, count) in metrics.failed.iter().zip(piece.counts()) {
            counter.add(count as f64);
        }
        match self.parts.dead_letters.keep(self.slots.labels(slot), letter, status, reason) {
            Ok(()) => metrics.dead_letters.inc(),
            Err(error) => {
                metrics.dead_letters_lost.inc();
                self.complain("keep a dead letter", &error);
            }
        }
    }

    fn tidy(&mut self, now: Instant) {
        self.save_cursor();
        self.forget_series();
        let metrics = &self.parts.sender.metrics;
        for (gauge, pending) in metrics.pending.iter().zip(self.pending) {
            gauge.set(pending as f64);
        }
        let allowed = self.parts.sender.gate.allowed();
        metrics.shards.set(allowed as f64);
        metrics.shards_desired.set(allowed.max(self.in_flight) as f64);
        if self.max_sent_t_ms > i64::MIN {
            metrics.highest_sent_timestamp_s.set(self.max_sent_t_ms as f64 / 1000.0);
        }
        if now.duration_since(self.synced) >= SYNC_EVERY {
            self.synced = now;
            self.parts.sender.gate.relax();
            // Where nothing waits the cursor moves with reading alone.
            self.cursor_moved = true;
            self.save_cursor();
            if let Err(error) = self.parts.cursor_file.sync() {
                self.complain("sync cursor", &error);
            }
        }
    }

    /// Lets go of series that the log names no more.
    fn forget_series(&mut self) {
        let epoch = self.parts.source.epoch();
        if self.epoch != epoch {
            self.epoch = epoch;
            let slots = &mut self.slots;
            self.parts.source.with_known(|is_known| slots.forget(is_known));
        }
        if self.in_flight == 0 && self.parts.lanes.waiting() == 0 && self.slots.is_mostly_forgotten() {
            self.slots = Slots::default();
        }
    }

    fn save_cursor(&mut self) {
        if !std::mem::take(&mut self.cursor_moved) {
            return;
        }
        let cursor = self.parts.lanes.cursor();
        let acknowledged = cursor.min();
        match self.parts.cursor_file.save(cursor) {
            Ok(()) => self.parts.sender.status.set_acknowledged(acknowledged),
            Err(error) => self.complain("save cursor", &error),
        }
    }

    fn complain(&self, action: &str, error: &std::io::Error) {
        tracing::error!(remote_name = self.parts.sender.status.name(), %error, "remote write cannot {action}");
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
