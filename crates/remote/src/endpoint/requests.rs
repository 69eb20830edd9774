//! From lanes to requests, and what their answers mean.
//!
//! Always true: a job in flight has at least one piece; it is acknowledged when all its samples are accepted or dead-lettered.
//! Must not know: the log, the cursor's file.

use std::sync::Arc;
use std::time::Instant;

use narthex_config::WriteMessage;

use super::doubt::Meaning;
use super::{Endpoint, Event, KEEP_RETRY, Unkept, now_ms};
use crate::dead_letter::{Refusal, Refused};
use crate::deliver::{Delivered, Tries};
use crate::job::{Answer, Job, Names, Outcome, Piece};
use crate::lane::{Entry, OtherEntry};
use crate::source::{Other, OtherKind};

/// What a dead letter says of a histogram that only 2.0 can carry.
const NO_CUSTOM_BUCKETS: &str = "the endpoint does not understand remote write 2.0, and 1.0 cannot carry native histograms with custom buckets";

impl Endpoint {
    /// Makes as many requests as the gate allows and the samples that wait justify.
    pub(super) fn send(&mut self, now: Instant) {
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
            // What waits for the disk needs no place.
            let active = self.in_flight - self.unkept.len();
            let gate = &self.parts.sender.gate;
            let is_full = active >= gate.allowed();
            gate.set_starved(has_work && is_full || active > gate.allowed());
            if !has_work || is_full {
                return;
            }
            let mut job = self.suspects.job(self.parts.lanes.take(per_send));
            job.resent = self.doubt.covers(&self.parts.lanes, &job.load);
            self.in_flight += 1;
            self.dispatch(job);
        }
    }

    /// Sends the job's next piece.
    fn dispatch(&mut self, job: Job) {
        let message = if job.in_doubt { WriteMessage::V1 } else { self.parts.sender.dialect.message() };
        let job = match message {
            WriteMessage::V1 => match self.without_custom_buckets(job) {
                Some(job) => job,
                None => return,
            },
            WriteMessage::V2 => job,
        };
        let piece = job.pieces.last().expect("a job in flight has a piece");
        let families = Arc::clone(&self.parts.sender.families.lock());
        let names = Names { slots: &self.slots, source: Some(&self.parts.source) };
        let request = self.parts.encoders.with(|encoder| encoder.encode(piece, names, message, &families));
        let counts = piece.counts();
        let (sender, events) = (Arc::clone(&self.parts.sender), self.parts.events.0.clone());
        let mut tries = self.parts.tries.subscribe();
        let mut given_up = tries.clone();
        let generation = self.generation;
        self.parts.runtime.spawn(async move {
            tokio::select! {
                delivered = sender.deliver(request, counts, &mut tries) => {
                    // The thread may have ended; then the cursor on disk makes sure that the samples are sent again.
                    let _ = events.send(Event::Done(generation, job, delivered));
                }
                _ = given_up.wait_for(|tries| *tries == Tries::None) => {}
            }
        });
    }

    /// Takes histograms with custom buckets out of the next piece and keeps them as dead letters: 1.0, in which the piece is to go,
    /// cannot carry them. `None` when there is nothing to send now.
    fn without_custom_buckets(&mut self, mut job: Job) -> Option<Job> {
        loop {
            let piece = job.pieces.last_mut().expect("a job in flight has a piece");
            let custom = |entry: &OtherEntry| entry.other.kind == OtherKind::CustomHistogram;
            let Some(at) = piece.others.iter().position(custom) else { return Some(job) };
            let single = Piece { samples: Vec::new(), others: vec![piece.others.remove(at)] };
            if piece.len() == 0 {
                job.pieces.pop();
            }
            let answer = (415, NO_CUSTOM_BUCKETS.to_owned());
            if let Err(error) = self.bury(&single, &answer, false) {
                self.put_off(job, single, answer, &error);
                return None;
            }
            self.settled(&single);
            if job.pieces.is_empty() {
                self.go_on(job);
                return None;
            }
        }
    }

    pub(super) fn done(&mut self, mut job: Job, delivered: Delivered) {
        let piece = job.pieces.pop().expect("a job in flight has a piece");
        let was_in_doubt = std::mem::take(&mut job.in_doubt);
        match delivered {
            Delivered::NotUnderstood => job.pieces.push(piece),
            Delivered::Doubtful => {
                job.pieces.push(piece);
                job.in_doubt = true;
            }
            // Its samples are sent again from the cursor.
            Delivered::GivenUp { in_doubt } => {
                self.gave_up |= in_doubt || job.resent || job.was_answered;
                self.in_flight -= 1;
                return;
            }
            Delivered::Accepted => {
                job.was_answered = true;
                if was_in_doubt {
                    self.parts.sender.fall_back("it refused in 2.0 what it took in 1.0");
                }
                self.stored(&piece, 0);
                self.suspects.accepted(&piece);
                if let Some(partial) = &mut job.partial {
                    partial.accepted(&piece);
                }
                self.parts.lanes.recycle(piece.samples);
            }
            Delivered::Refused { status, text, missing, in_doubt } => {
                job.resent |= in_doubt;
                job.was_answered = true;
                return self.refused(job, piece, (status, text), missing);
            }
        }
        self.learned(job);
    }

    /// What the endpoint will not take alone is kept, what is more is taken apart.
    fn refused(&mut self, mut job: Job, piece: Piece, answer: Answer, missing: Option<[u64; 3]>) {
        if piece.len() == 1 {
            match &mut job.partial {
                Some(partial) => partial.refused(piece, answer),
                None => match self.bury(&piece, &answer, job.resent) {
                    Ok(()) => self.settled(&piece),
                    Err(error) => return self.put_off(job, piece, answer, &error),
                },
            }
            return self.learned(job);
        }
        match job.take_apart(piece, missing, answer) {
            Ok(()) => {}
            Err(piece) if self.suspects.are_refused_always(&piece) => {
                job.pieces.extend(piece.singles().into_iter().rev());
            }
            Err(piece) => {
                let (earlier, later) = piece.halves();
                job.pieces.push(later);
                job.pieces.push(earlier);
            }
        }
        self.learned(job);
    }

    /// Settles what is known by now of a piece that was stored in part, and goes on.
    fn learned(&mut self, mut job: Job) {
        let Some(Outcome { stored, lost_exemplars, refused, .. }) = job.go_on_with_partial() else {
            return self.go_on(job);
        };
        self.stored(&stored, lost_exemplars);
        let mut refused = refused.into_iter();
        while let Some((single, answer)) = refused.next() {
            if let Err(error) = self.bury(&single, &answer, job.resent) {
                // The later ones are offered again.
                job.pieces.extend(refused.rev().map(|(single, _)| single));
                return self.put_off(job, single, answer, &error);
            }
            self.settled(&single);
        }
        self.go_on(job);
    }

    /// Sends what is left of a job, or acknowledges it.
    fn go_on(&mut self, job: Job) {
        if job.pieces.is_empty() {
            self.in_flight -= 1;
            self.parts.lanes.acknowledge(&job.load, Instant::now());
            self.cursor_moved = true;
        } else {
            self.dispatch(job);
        }
    }

    /// A full disk must not lose what was refused: the job waits, and with it its lanes.
    fn put_off(&mut self, mut job: Job, piece: Piece, answer: Answer, error: &std::io::Error) {
        self.complain("keep a dead letter; its series wait until it can", error);
        job.pieces.push(piece);
        let (status, reason) = answer;
        self.unkept.push(Unkept { job, status, reason });
        self.keep_again = Instant::now() + KEEP_RETRY;
    }

    /// Tries again to keep what the disk did not take.
    pub(super) fn keep_unkept(&mut self, now: Instant) {
        if self.unkept.is_empty() || now < self.keep_again {
            return;
        }
        for Unkept { job, status, reason } in std::mem::take(&mut self.unkept) {
            self.done(job, Delivered::Refused { status, text: reason, missing: None, in_doubt: false });
        }
    }

    /// The endpoint has it, but for some exemplars.
    fn stored(&mut self, piece: &Piece, lost_exemplars: u64) {
        if piece.len() == 0 {
            return;
        }
        self.settled(piece);
        let [samples, exemplars, histograms] = piece.counts();
        let metrics = &self.parts.sender.metrics;
        metrics.count_sent([samples, exemplars.saturating_sub(lost_exemplars), histograms]);
        metrics.count_failed([0, lost_exemplars, 0]);
        self.max_sent_t_ms = self.max_sent_t_ms.max(piece.max_t_ms());
    }

    fn settled(&mut self, piece: &Piece) {
        self.parts.lanes.set_settled(piece.max_t_ms());
        for (pending, count) in self.pending.iter_mut().zip(piece.counts()) {
            *pending -= count as i64;
        }
    }

    /// Keeps a refused sample. `resent` says whether it may have been sent before.
    fn bury(&mut self, piece: &Piece, answer: &Answer, resent: bool) -> std::io::Result<()> {
        let (status, reason) = answer;
        let (slot, refused) = match (piece.samples.first(), piece.others.first()) {
            (Some(Entry { slot, t_ms, value, start_ms, .. }), _) => {
                (*slot, Refused::Sample { t_ms: *t_ms, value: *value, start_ms: *start_ms })
            }
            (None, Some(OtherEntry { slot, other, .. })) => {
                let Other { kind, t_ms, start_ms, encoded, .. } = other;
                (*slot, Refused::Other { kind: *kind, t_ms: *t_ms, start_ms: *start_ms, encoded })
            }
            (None, None) => unreachable!("the piece has one entry"),
        };
        let refusal = Refusal { at_ms: now_ms(), status: *status, reason };
        let names = Names { slots: &self.slots, source: Some(&self.parts.source) };
        let labels = names.labels(slot);
        let meaning = self.doubt.meaning(piece.max_t_ms(), resent, answer);
        if meaning != Meaning::Refused {
            if meaning == Meaning::InDoubt {
                self.parts.in_doubt.keep(&labels, refused, refusal)?;
            }
            self.parts.sender.metrics.in_doubt.inc();
            return Ok(());
        }
        self.parts.dead_letters.keep(&labels, refused, refusal)?;
        self.suspects.refused(slot);
        let metrics = &self.parts.sender.metrics;
        for (counter, count) in metrics.failed.iter().zip(piece.counts()) {
            counter.add(count as f64);
        }
        metrics.dead_letters.inc();
        Ok(())
    }
}
