//! One compressed request on its way: tried until it is accepted or refused, however long that takes.
//!
//! The bytes are made once. Between tries the wait doubles from `min_backoff` to `max_backoff`, or is what the endpoint asked
//! for. A request that holds a place of the gate keeps it while it waits, so that no other one jumps the queue; when the gate
//! shrank, it leaves and waits to be let in again.

use std::sync::Arc;
use std::time::Duration;

use narthex_config::WriteMessage;
use tokio::sync::watch;

use crate::dialect::{Dialect, Written};
use crate::families::Families;
use crate::gate::Gate;
use crate::job::Encoded;
use crate::metrics::EndpointMetrics;
use crate::shown::shown;
use crate::status::Status;
use crate::target::{Target, Verdict};

/// The bounds of the wait between tries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// The first wait.
    pub(crate) min: Duration,
    /// The longest.
    pub(crate) max: Duration,
}

/// The longest wait that an endpoint may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// What tries may still be made for requests in flight; only ever gets less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tries {
    /// Until there is an answer for good.
    Endless,
    /// None but those that wait for their answer.
    ThisOne,
    /// None; who waits for an answer waits no longer.
    None,
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// The endpoint has the samples.
    Accepted,
    /// It will never take them.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        text: String,
        /// How many samples, exemplars and histograms it did not store; `None` when it did not say so.
        missing: Option<[u64; 3]>,
        /// Whether an earlier try had no answer.
        in_doubt: bool,
    },
    /// It does not understand 2.0, and has none of the samples: they are to be sent again in 1.0.
    NotUnderstood,
    /// It refused 2.0, and that may be because it does not understand it: 1.0 tells.
    Doubtful,
    /// The endpoint gave no answer for good, and no further try may be made.
    GivenUp {
        /// Whether a try had no answer.
        in_doubt: bool,
    },
}

/// What a delivery needs, shared by all of an endpoint.
pub(crate) struct Sender {
    /// Where to.
    pub(crate) target: Target,
    /// In which message.
    pub(crate) dialect: Dialect,
    /// What 2.0 says of the families.
    pub(crate) families: parking_lot::Mutex<Arc<Families>>,
    /// How many at once.
    pub(crate) gate: Gate,
    /// How long to wait.
    pub(crate) backoff: Backoff,
    /// What is counted.
    pub(crate) metrics: EndpointMetrics,
    /// What is shown.
    pub(crate) status: Arc<Status>,
    /// Whether requests that failed are logged whole, at level debug.
    pub(crate) logs_failed: bool,
}

impl Sender {
    /// Sends until there is an answer for good, or `tries` forbids it. `counts` are the samples, exemplars and histograms of the
    /// request. Dropping the future gives up; the place at the gate is given back.
    pub(crate) async fn deliver(
        &self,
        request: Encoded,
        counts: [u64; 3],
        tries: &mut watch::Receiver<Tries>,
    ) -> Delivered {
        let Some(place) = while_allowed(tries, Place::enter(&self.gate)).await else {
            return Delivered::GivenUp { in_doubt: false };
        };
        let mut place = Some(place);
        let mut in_doubt = false;
        let mut wait = self.backoff.min;
        for attempt in 0.. {
            let started = tokio::time::Instant::now();
            let verdict = self.target.post(request.message, request.body.clone(), attempt).await;
            self.metrics.sent_batch_duration_s.observe(started.elapsed().as_secs_f64());
            self.log_failed(&request, &verdict);
            match verdict {
                Verdict::Accepted(written) => {
                    self.metrics.bytes.add(request.body.len() as f64);
                    self.recovered();
                    return self.accepted(request.message, written, counts);
                }
                Verdict::Refused { status, text, written } => {
                    // The endpoint answers, so it is well; it is the samples that are not.
                    self.recovered();
                    let missing = written.and_then(|written| missing_of_refused(counts, written));
                    let refused = Delivered::Refused { status, text, missing, in_doubt };
                    return self.refused(request.message, refused, written.is_some());
                }
                Verdict::Later { wait: asked, error, in_doubt: is_open } => {
                    in_doubt |= is_open;
                    self.metrics.count_retried(counts);
                    let pause =
                        asked.map_or(wait, |asked| asked.min(LONGEST_RETRY_AFTER).max(self.backoff.min));
                    self.status.failed(&error, attempt, pause);
                    let is_one_too_many = self.gate.failed();
                    let until_next = async {
                        if is_one_too_many {
                            drop(place.take());
                            place = Some(Place::enter(&self.gate).await);
                        }
                        tokio::time::sleep(pause).await;
                    };
                    if while_allowed(tries, until_next).await.is_none() {
                        return Delivered::GivenUp { in_doubt };
                    }
                    wait = (wait * 2).clamp(self.backoff.min, self.backoff.max);
                }
            }
        }
        unreachable!("attempts have no end")
    }

    fn log_failed(&self, request: &Encoded, verdict: &Verdict) {
        let (Verdict::Refused { text: error, .. } | Verdict::Later { error, .. }) = verdict else { return };
        if self.logs_failed && tracing::event_enabled!(tracing::Level::DEBUG) {
            let request = shown(request.message, &request.body);
            tracing::debug!(remote_name = self.status.name(), %request, err = error, "Failed to send remote write request");
        }
    }

    fn accepted(&self, message: WriteMessage, written: Written, counts: [u64; 3]) -> Delivered {
        if message == WriteMessage::V1 {
            return Delivered::Accepted;
        }
        let Some(written) = written else {
            self.fall_back("it accepts requests and does not say what it wrote");
            return Delivered::NotUnderstood;
        };
        self.dialect.prove();
        let missing = missing(counts, written);
        self.metrics.count_failed(missing);
        if missing != [0; 3] && self.dialect.may_warn() {
            tracing::warn!(
                remote_name = self.status.name(),
                sent = ?counts,
                ?written,
                "the endpoint accepted a request and says that it wrote less than was in it (samples, exemplars, histograms)"
            );
        }
        Delivered::Accepted
    }

    /// What a refusal says of the endpoint and 2.0. `counts` says whether it told what it wrote.
    fn refused(&self, message: WriteMessage, refused: Delivered, counts: bool) -> Delivered {
        let Delivered::Refused { status, text, missing, .. } = &refused else { return refused };
        if message == WriteMessage::V1 {
            return refused;
        }
        if *status == 415 {
            self.fall_back(text);
            return Delivered::NotUnderstood;
        }
        if counts {
            self.dialect.prove();
        }
        match *missing {
            Some([0, 0, 0]) => Delivered::Accepted,
            _ if self.dialect.is_proven() => refused,
            _ => Delivered::Doubtful,
        }
    }

    /// From now on 1.0 is sent.
    pub(crate) fn fall_back(&self, reason: &str) {
        if self.dialect.fall_back() {
            tracing::warn!(
                remote_name = self.status.name(),
                reason,
                "the endpoint does not understand remote write 2.0; it is sent 1.0, and 2.0 is tried again every hour"
            );
        }
    }

    fn recovered(&self) {
        if self.gate.succeeded() {
            self.status.recovered();
        }
    }
}

/// Samples, exemplars and histograms of a request that were not written.
fn missing(counts: [u64; 3], written: [u64; 3]) -> [u64; 3] {
    [0, 1, 2].map(|kind| counts[kind].saturating_sub(written[kind]))
}

/// The same of a refusal, whose counts decide what is kept: `None` when they cannot be true.
fn missing_of_refused(counts: [u64; 3], written: [u64; 3]) -> Option<[u64; 3]> {
    let is_possible = written.iter().zip(counts).all(|(written, sent)| *written <= sent);
    is_possible.then(|| missing(counts, written))
}

/// Waits for what leads to a try; `None` when no further one may be made. What needs no waiting is done in any case.
async fn while_allowed<T>(tries: &mut watch::Receiver<Tries>, wait: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = wait => Some(done),
        // An error means that nobody is left who could forbid it, or wait for an answer.
        _ = tries.wait_for(|tries| *tries != Tries::Endless) => None,
    }
}

/// A place at the gate, given back when dropped.
struct Place<'a>(&'a Gate);

impl<'a> Place<'a> {
    async fn enter(gate: &'a Gate) -> Self {
        gate.enter().await;
        Self(gate)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}
