//! Which questions were answered within a moment lately, so that the next answer may be made right where its request is read.
//!
//! PERF: handing a request to another thread and its answer back wakes two sleeping threads, which takes longer (some 0.1 ms) than
//! most answers on a dashboard take to be made. Whether a question is quick is not visible in it, but clients ask the same ones
//! again and again: a question whose last answer took less than [`QUICK`] is answered by the network thread itself.
//! Always true: a network thread computes only for questions that were quick within the last [`TRUSTED_S`] seconds, and only as many
//! threads at a time as [`QuickAnswers::new`] was told; what turns out slow goes aside from then on. Two questions may share
//! a place by chance: then one is forgotten, never taken for the other (but for one chance in 2^40).

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::api::Call;
use crate::param::parse_time;
use crate::routes::Endpoint;

/// The longest that a network thread may be kept from its sockets, as far as the past can tell.
const QUICK: Duration = Duration::from_millis(1);
/// For how long what was quick is taken for quick: what it read is then still in memory.
const TRUSTED_S: u64 = 300;
/// How many questions are remembered, 8 bytes each.
const REMEMBERED: usize = 1024;
/// The bits of a remembered question that tell when it was answered, in seconds since the start (half a year, then from 0 again).
const AGE_BITS: u32 = 24;
const AGE_MASK: u64 = (1 << AGE_BITS) - 1;

/// What the answers of one site took.
#[derive(Debug)]
pub(crate) struct QuickAnswers {
    since: Instant,
    /// By the low bits of a question: its other bits, and when it was answered; 0 for none.
    questions: Box<[AtomicU64]>,
    /// How many more network threads may compute.
    free: AtomicUsize,
}

/// A question, whoever asks and for whatever time: its endpoint, its parameters, the length of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question(u64);

/// Leave for one network thread to compute, until this is dropped.
#[derive(Debug)]
pub(crate) struct Leave<'a>(&'a AtomicUsize);

impl Question {
    /// The question of a call.
    pub(crate) fn of(endpoint: Endpoint, call: &Call) -> Self {
        let mut hasher = std::hash::DefaultHasher::new();
        (endpoint as u8, &call.name, call.encoding.header()).hash(&mut hasher);
        for (name, value) in call.form.pairs() {
            match name {
                "time" | "start" | "end" => {}
                _ => (name, value).hash(&mut hasher),
            }
        }
        let seconds = |name| parse_time(call.form.value(name)).ok().map(|time| time.secs);
        if let (Some(start), Some(end)) = (seconds("start"), seconds("end")) {
            (end.wrapping_sub(start) / 60).hash(&mut hasher);
        } else {
            (call.form.value("start").is_empty(), call.form.value("end").is_empty()).hash(&mut hasher);
        }
        Self(hasher.finish())
    }

    fn place(self) -> usize {
        self.0 as usize % REMEMBERED
    }

    fn stamped(self, age_s: u64) -> u64 {
        self.0 & !AGE_MASK | age_s & AGE_MASK
    }
}

impl QuickAnswers {
    /// For a server where so many network threads may compute at a time.
    pub(crate) fn new(threads: usize) -> Self {
        let questions = (0..REMEMBERED).map(|_| AtomicU64::new(0)).collect();
        Self { since: Instant::now(), questions, free: AtomicUsize::new(threads) }
    }

    /// Leave to answer a question on the thread that read it; `None` when it is not known to be quick, or enough threads do so.
    pub(crate) fn leave_for(&self, question: Question) -> Option<Leave<'_>> {
        self.leave_at(question, self.since.elapsed().as_secs())
    }

    fn leave_at(&self, question: Question, now_s: u64) -> Option<Leave<'_>> {
        let known = self.questions[question.place()].load(Ordering::Relaxed);
        let is_it = known != 0 && known & !AGE_MASK == question.stamped(0);
        if !is_it || now_s.wrapping_sub(known) & AGE_MASK > TRUSTED_S {
            return None;
        }
        let take = |free: usize| free.checked_sub(1);
        self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(Leave(&self.free))
    }

    /// Notes how long an answer took to be made.
    pub(crate) fn note(&self, question: Question, took: Duration) {
        self.note_at(question, took, self.since.elapsed().as_secs());
    }

    fn note_at(&self, question: Question, took: Duration, now_s: u64) {
        let place = &self.questions[question.place()];
        if took <= QUICK {
            place.store(question.stamped(now_s), Ordering::Relaxed);
        } else if place.load(Ordering::Relaxed) & !AGE_MASK == question.stamped(0) {
            place.store(0, Ordering::Relaxed);
        }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Encoding;
    use crate::form::Form;

    fn question(endpoint: Endpoint, form: &str, encoding: Encoding) -> Question {
        let call =
            Call { form: Form::parse(form, ""), name: Vec::new(), encoding, caller: Default::default() };
        Question::of(endpoint, &call)
    }

    #[track_caller]
    fn check_same(a: &str, b: &str, same: bool) {
        let of = |form| question(Endpoint::QueryRange, form, Encoding::Identity);
        assert_eq!(of(a) == of(b), same, "{a} and {b}");
    }

    #[test]
    fn a_question_is_the_same_at_another_time_but_not_over_a_longer_one() {
        check_same("query=up&time=1", "query=up&time=700", true);
        check_same("query=up", "query=up&time=700", true);
        check_same("query=up", "query=down", false);
        check_same("query=up&start=0&end=3600&step=15", "query=up&start=60&end=3660&step=15", true);
        check_same("query=up&start=0&end=3600&step=15", "query=up&start=0&end=7200&step=15", false);
        check_same("query=up&start=0&end=3600&step=15", "query=up&start=0&end=3600&step=1", false);
        check_same("match[]=up&start=5", "match[]=up", false);
        let [plain, gzip] = [Encoding::Identity, Encoding::Gzip]
            .map(|encoding| question(Endpoint::Query, "query=up", encoding));
        assert_ne!(plain, gzip);
        assert_ne!(plain, question(Endpoint::QueryExplain, "query=up", Encoding::Identity));
    }

    #[test]
    fn only_what_was_quick_a_short_while_ago_is_answered_in_place() {
        let (answers, question) = (QuickAnswers::new(1), Question(0x1234_5678_9abc_def0));
        assert!(answers.leave_at(question, 0).is_none(), "nothing is known");
        answers.note_at(question, QUICK, 7);
        assert!(answers.leave_at(question, 7 + TRUSTED_S).is_some());
        assert!(answers.leave_at(question, 8 + TRUSTED_S).is_none(), "too long ago");
        answers.note_at(question, QUICK, AGE_MASK);
        assert!(answers.leave_at(question, AGE_MASK + 10).is_some(), "the seconds begin anew");
        answers.note_at(question, QUICK + Duration::from_nanos(1), AGE_MASK + 11);
        assert!(answers.leave_at(question, AGE_MASK + 12).is_none(), "slow at last");
    }

    #[test]
    fn a_question_at_the_same_place_is_another() {
        let (answers, question) = (QuickAnswers::new(1), Question(1 << 40));
        answers.note_at(question, QUICK, 0);
        let other = Question(1 << 41);
        assert!(answers.leave_at(other, 0).is_none());
        answers.note_at(other, 2 * QUICK, 0);
        assert!(answers.leave_at(question, 0).is_some(), "the slow one does not forget the quick one");
    }

    #[test]
    fn no_more_threads_compute_than_may() {
        let (answers, question) = (QuickAnswers::new(2), Question(1 << 40));
        answers.note_at(question, QUICK, 0);
        let held = [answers.leave_at(question, 0), answers.leave_at(question, 0)];
        assert!(held.iter().all(Option::is_some) && answers.leave_at(question, 0).is_none());
        drop(held);
        assert!(answers.leave_at(question, 0).is_some());
    }
}
