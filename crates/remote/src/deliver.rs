//! One compressed request on its way: tried until it is accepted or refused, however long that takes.
//!
//! The bytes are made once. Between tries the wait doubles from `min_backoff` to `max_backoff`, or is what the endpoint asked
//! for. A request that holds a place of the gate keeps it while it waits, so that no other one jumps the queue; when the gate
//! shrank, it leaves and waits to be let in again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::gate::Gate;
use crate::metrics::EndpointMetrics;
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
    },
}

/// What a delivery needs, shared by all of an endpoint.
pub(crate) struct Sender {
    /// Where to.
    pub(crate) target: Target,
    /// How many at once.
    pub(crate) gate: Gate,
    /// How long to wait.
    pub(crate) backoff: Backoff,
    /// What is counted.
    pub(crate) metrics: EndpointMetrics,
    /// What is shown.
    pub(crate) status: Arc<Status>,
}

impl Sender {
    /// Sends until there is an answer for good. `counts` are the samples, exemplars and histograms of the request.
    /// Dropping the future gives up; the place at the gate is given back.
    pub(crate) async fn deliver(&self, body: Bytes, counts: [u64; 3]) -> Delivered {
        let mut place = Place::enter(&self.gate).await;
        let mut wait = self.backoff.min;
        for attempt in 0.. {
            let started = tokio::time::Instant::now();
            let verdict = self.target.post(body.clone(), attempt).await;
            self.metrics.sent_batch_duration_s.observe(started.elapsed().as_secs_f64());
            match verdict {
                Verdict::Accepted => {
                    self.metrics.bytes.add(body.len() as f64);
                    self.recovered();
                    return Delivered::Accepted;
                }
                Verdict::Refused { status, text } => {
                    // The endpoint answers, so it is well; it is the samples that are not.
                    self.recovered();
                    return Delivered::Refused { status, text };
                }
                Verdict::Later { wait: asked, error } => {
                    self.metrics.count_retried(counts);
                    let pause = asked.map_or(wait, |asked| asked.min(LONGEST_RETRY_AFTER));
                    self.status.failed(&error, attempt, pause);
                    if self.gate.failed() {
                        drop(place);
                        place = Place::enter(&self.gate).await;
                    }
                    tokio::time::sleep(pause).await;
                    wait = (wait * 2).clamp(self.backoff.min, self.backoff.max);
                }
            }
        }
        unreachable!("attempts have no end")
    }

    fn recovered(&self) {
        if self.gate.succeeded() {
            self.status.recovered();
        }
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
