//! One endpoint at work: a thread that reads blocks, fills lanes (`reading`, `fill`), makes requests and minds the answers (`requests`);
//! what left the log goes on from the database (`catch_up`, `aside`, `meeting`).
//!
//! Decoding, relabeling, encoding and compression run here, away from the network's threads; each request is a task on the
//! runtime and comes back as an event. The thread reads while fewer than `capacity × max_shards` samples wait: that is all the
//! back-pressure there is, nothing is dropped and no other endpoint notices.
//! Always true: the cursor on disk never passes a sample that was neither delivered nor dead-lettered; it is saved after each
//! answer, before the next request is made.

mod aside;
mod catch_up;
mod doubt;
mod fill;
mod meeting;
mod reading;
mod requests;
mod suspects;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender as EventSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use narthex_config::RemoteWriteConfig;
use tokio::sync::watch;

use self::catch_up::{CatchUp, Hold, end_of};
use self::doubt::Doubt;
use self::meeting::Meeting;
use self::reading::Reading;
use self::suspects::Suspects;
use crate::backlog::Backlog;
use crate::cursor::file::CursorFile;
use crate::cursor::{LIVE, Mark};
use crate::dead_letter::DeadLetters;
use crate::deliver::{Delivered, Sender, Tries};
use crate::gap::Gaps;
use crate::job::{Encoders, Job};
use crate::lane::Lanes;
use crate::late::LateFile;
use crate::slots::Slots;
use crate::source::{Follower, Reader, Source};
use crate::status::Progress;

/// How often the log is asked for more.
const TICK: Duration = Duration::from_millis(100);
/// How often the cursor is made to survive a power cut, and the log that is held is measured.
const SYNC_EVERY: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 1000 });
/// How often unused places at the gate are given back.
const RELAX_EVERY: Duration = Duration::from_secs(5);
/// How long to wait before a log that cannot be read is tried again.
const READ_RETRY: Duration = Duration::from_secs(1);
/// How long to wait before a letter that the disk did not take is written again.
const KEEP_RETRY: Duration = Duration::from_secs(1);

/// What an endpoint's thread is told.
pub(crate) enum Event {
    /// An answer to a request of a generation; of an earlier one than the endpoint's it is nobody's.
    Done(u64, Job, Delivered),
    /// Send what there is until the deadline, then end. Without `drain`, only wait for answers to what was sent: no request that
    /// fails is tried again.
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
    pub(crate) encoders: Arc<Encoders>,
    /// Says that it reads the log.
    pub(crate) _reader: Reader,
    pub(crate) cursor_file: CursorFile,
    /// Whether the cursor was settled.
    pub(crate) was_settled: bool,
    pub(crate) dead_letters: Arc<DeadLetters>,
    /// What was refused and may have been taken before.
    pub(crate) in_doubt: Arc<DeadLetters>,
    /// Where to read when the log is no longer held; without it the log is held for ever.
    pub(crate) backlog: Option<Arc<dyn Backlog>>,
    pub(crate) late: LateFile,
    pub(crate) gaps: Gaps,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) events: (EventSender<Event>, Receiver<Event>),
    /// What tries may still be made for requests in flight.
    pub(crate) tries: watch::Sender<Tries>,
}

pub(crate) struct Endpoint {
    parts: Parts,
    limits: Limits,
    follower: Follower,
    slots: Slots,
    suspects: Suspects,
    /// The source's epoch that `slots` knows.
    epoch: u64,
    in_flight: usize,
    /// Samples, exemplars, histograms in lanes or in flight.
    pending: [i64; 3],
    /// What lies before this may have been acknowledged for some lanes.
    resume_until: Mark,
    catch_up: CatchUp,
    /// What the log may bring again of the last slice of the database.
    meeting: Option<Meeting>,
    doubt: Doubt,
    /// Whether a request was given up that may have been taken.
    gave_up: bool,
    /// Rises when requests in flight are given up.
    generation: u64,
    cursor_moved: bool,
    /// Letters that went from the full store, as far as they were counted.
    evicted: u64,
    /// Refused samples that the disk did not take; each holds its lanes until it does.
    unkept: Vec<Unkept>,
    keep_again: Instant,
    synced: Instant,
    relaxed: Instant,
    read_again: Instant,
    stop: Option<(bool, Instant)>,
    max_sent_t_ms: i64,
    max_read_t_ms: i64,
    /// Bytes of the log, and samples, exemplars and histograms in them.
    was_read: (u64, u64),
}

/// A job whose next piece is a single sample that was refused and could not be kept.
struct Unkept {
    job: Job,
    status: u16,
    reason: String,
}

struct Limits {
    waiting: usize,
    per_send: usize,
    deadline: Duration,
    age_ms: Option<i64>,
    hold: Hold,
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
            hold: Hold::new(&parts.config.wal_hold.clone().unwrap_or_default()),
        };
        let metrics = &parts.sender.metrics;
        let (min, max) = parts.sender.gate.bounds();
        metrics.shards_min.set(min as f64);
        metrics.shards_max.set(max as f64);
        metrics.shard_capacity.set(queue.capacity as f64);
        metrics.max_samples_per_send.set(per_send as f64);
        let resume_until = end_of(parts.lanes.cursor());
        let is_live = parts.lanes.read_to().time_ms == LIVE;
        let doubt = match parts.was_settled {
            true => Doubt::none(),
            false => Doubt::of_all(parts.source.tip(), i64::MIN),
        };
        let evicted = parts.dead_letters.totals().evicted;
        let now = Instant::now();
        Self {
            parts,
            limits,
            follower: Follower::default(),
            slots: if is_live { Slots::default() } else { Slots::with_labels() },
            suspects: Suspects::default(),
            evicted,
            epoch: 0,
            in_flight: 0,
            pending: [0; 3],
            resume_until,
            catch_up: CatchUp::new(),
            meeting: None,
            doubt,
            gave_up: false,
            generation: 0,
            cursor_moved: false,
            unkept: Vec::new(),
            keep_again: now,
            synced: now,
            relaxed: now,
            read_again: now,
            stop: None,
            max_sent_t_ms: i64::MIN,
            max_read_t_ms: i64::MIN,
            was_read: (0, 0),
        }
    }

    /// Runs until told to end.
    pub(crate) fn run(mut self) {
        // A kill behind the first request must not find a settled cursor.
        self.cursor_moved = true;
        self.save_cursor();
        loop {
            let now = Instant::now();
            let reading = self.read(now);
            self.send(now);
            self.tidy(now);
            if self.has_ended(reading, now) {
                break;
            }
            match self.parts.events.1.recv_timeout(self.wait(reading, now)) {
                Ok(event) => {
                    if self.take_events(event) {
                        self.parts.tries.send_replace(Tries::None);
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the thread holds a sender itself"),
            }
        }
        self.parts.tries.send_replace(Tries::None);
        if self.in_flight == 0 && !self.gave_up && !self.doubt.is_open(self.parts.lanes.cursor()) {
            self.parts.lanes.settle();
        }
        self.note_passed();
        self.cursor_moved = true;
        self.save_cursor();
        if let Err(error) = self.parts.cursor_file.sync() {
            self.complain("sync cursor", &error);
        }
    }

    /// How long nothing can happen but an event.
    fn wait(&self, reading: Reading, now: Instant) -> Duration {
        let (_, oldest) = self.parts.lanes.sendable(0);
        let due =
            oldest.map_or(TICK, |oldest| (oldest + self.limits.deadline).saturating_duration_since(now));
        match reading {
            Reading::More => Duration::ZERO,
            Reading::Full if self.in_flight == 0 => Duration::ZERO,
            Reading::Full | Reading::All => due.clamp(Duration::from_millis(1), TICK),
        }
    }

    /// Handles the event and all that wait behind it. Whether to end at once.
    fn take_events(&mut self, first: Event) -> bool {
        let mut next = Some(first);
        while let Some(event) = next {
            match event {
                Event::Done(generation, job, delivered) if generation == self.generation => {
                    self.done(job, delivered);
                }
                Event::Done(..) => {}
                Event::Stop { drain, deadline } => {
                    self.stop = Some((drain, deadline));
                    if !drain {
                        self.parts.tries.send_replace(Tries::ThisOne);
                    }
                }
                Event::Kill => return true,
            }
            next = self.parts.events.1.try_recv().ok();
        }
        self.save_cursor();
        false
    }

    fn has_ended(&self, reading: Reading, now: Instant) -> bool {
        match self.stop {
            None => false,
            Some((_, deadline)) if now >= deadline => true,
            Some((true, _)) => {
                reading == Reading::All && self.in_flight == 0 && self.parts.lanes.waiting() == 0
            }
            Some((false, _)) => self.in_flight == 0,
        }
    }

    fn tidy(&mut self, now: Instant) {
        self.keep_unkept(now);
        self.tell_progress();
        self.save_cursor();
        self.forget_series();
        let metrics = &self.parts.sender.metrics;
        for (gauge, pending) in metrics.pending.iter().zip(self.pending) {
            gauge.set(pending as f64);
        }
        let letters = self.parts.dead_letters.totals();
        metrics.dead_letters_now.set(letters.letters as f64);
        metrics.dead_letters_bytes.set(letters.bytes as f64);
        metrics.dead_letters_evicted.add((letters.evicted - self.evicted) as f64);
        self.evicted = letters.evicted;
        let allowed = self.parts.sender.gate.allowed();
        metrics.shards.set(allowed as f64);
        metrics.shards_desired.set(allowed.max(self.in_flight) as f64);
        if self.max_sent_t_ms > i64::MIN {
            metrics.highest_sent_timestamp_s.set(self.max_sent_t_ms as f64 / 1000.0);
        }
        if now.duration_since(self.relaxed) >= RELAX_EVERY {
            self.relaxed = now;
            self.parts.sender.gate.relax();
        }
        if now.duration_since(self.synced) >= SYNC_EVERY {
            self.synced = now;
            self.mind_the_hold();
            // Where nothing waits the cursor moves with reading alone.
            self.cursor_moved = true;
            self.save_cursor();
            if let Err(error) = self.parts.cursor_file.sync() {
                self.complain("sync cursor", &error);
            }
            self.forget_catching_up();
            if !self.doubt.is_open(self.parts.lanes.cursor()) {
                self.doubt = Doubt::none();
            }
        }
    }

    /// Lets go of what only an endpoint needs that is behind, once everything of that time is acknowledged.
    fn forget_catching_up(&mut self) {
        if self.is_behind() || self.is_meeting() || self.cursor_moved || !self.parts.lanes.cursor().is_live()
        {
            return;
        }
        self.slots.drop_labels();
        if let Err(error) = self.parts.late.clear() {
            self.complain("delete late samples", &error);
        }
    }

    fn tell_progress(&self) {
        let known = |t_ms: i64| Some(t_ms).filter(|t_ms| *t_ms > i64::MIN);
        let database_read_to_ms = Some(self.parts.lanes.read_to().time_ms).filter(|t_ms| *t_ms != LIVE);
        let read_to_s = database_read_to_ms.map_or(0.0, |t_ms| t_ms as f64 / 1000.0);
        self.parts.sender.metrics.backlog_timestamp_s.set(read_to_s);
        self.parts.sender.status.set_progress(Progress {
            pending: self.pending,
            in_flight: self.in_flight,
            read_to: self.parts.lanes.log_position(),
            database_read_to_ms,
            late_bytes: self.parts.late.bytes(),
            newest_read_ms: known(self.max_read_t_ms),
            newest_sent_ms: known(self.max_sent_t_ms),
            read: self.was_read,
        });
    }

    /// Lets go of series that the log names no more.
    fn forget_series(&mut self) {
        let epoch = self.parts.source.epoch();
        if self.epoch != epoch && !self.slots.keeps_labels() {
            self.epoch = epoch;
            let slots = &mut self.slots;
            self.parts.source.with_current(|is_current| slots.forget(is_current));
        }
        if self.in_flight == 0 && self.parts.lanes.waiting() == 0 && self.slots.is_mostly_forgotten() {
            self.slots = Slots::default();
            self.suspects.forget();
        }
    }

    fn save_cursor(&mut self) {
        if !self.cursor_moved {
            return;
        }
        // First what the cursor is about to pass. Without new letters this costs nothing.
        if let Err(error) = self.parts.dead_letters.sync().and_then(|()| self.parts.in_doubt.sync()) {
            return self.complain("sync dead letters", &error);
        }
        self.cursor_moved = false;
        let cursor = self.parts.lanes.cursor();
        let acknowledged = cursor.min();
        // Late samples are not in the log any more that the cursor gives back.
        let saved = self.parts.late.sync().and_then(|()| self.parts.cursor_file.save(cursor));
        match saved {
            Ok(()) => self.parts.sender.status.set_acknowledged(acknowledged),
            Err(error) => {
                self.cursor_moved = true;
                self.complain("save cursor", &error);
            }
        }
    }

    fn complain(&self, action: &str, error: &std::io::Error) {
        tracing::error!(remote_name = self.parts.sender.status.name(), %error, "remote write cannot {action}");
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
