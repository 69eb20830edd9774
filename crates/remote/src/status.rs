//! What an endpoint shows about itself: last error, how long it has been failing, its cursor. Read by the API and the logs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use narthex_wal::WalPosition;
use parking_lot::Mutex;

use crate::cursor::{pack, unpack};
use crate::gap::GapSummary;

/// While an endpoint fails, one line is logged at the start and one each time this has passed.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The state of one endpoint.
pub struct Status {
    name: String,
    url: String,
    /// Packed; stored by the endpoint's thread alone.
    acknowledged: AtomicU64,
    failure: Mutex<Option<Failure>>,
    /// Stays when the endpoint is well again.
    last_error: Mutex<Option<(String, SystemTime)>>,
    progress: Mutex<Progress>,
    gaps: Mutex<GapSummary>,
}

#[derive(Clone)]
struct Failure {
    error: String,
    since: Instant,
    logged: Instant,
    backoff: Duration,
}

/// How far an endpoint's thread is; told with each of its rounds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Samples, exemplars, histograms in lanes or in flight.
    pub(crate) pending: [i64; 3],
    /// Requests that are made and not answered for good.
    pub(crate) in_flight: usize,
    /// Where reading goes on.
    pub(crate) read_to: WalPosition,
    /// Up to when the database was read, ms; `None` while it follows the log alone.
    pub(crate) database_read_to_ms: Option<i64>,
    /// Bytes of late samples that were set aside.
    pub(crate) late_bytes: u64,
    /// The newest timestamp that was read, ms; `None` before the first.
    pub(crate) newest_read_ms: Option<i64>,
    /// The newest timestamp that was delivered, ms; `None` before the first.
    pub(crate) newest_sent_ms: Option<i64>,
    /// Bytes of the log that were read, and what was found in them.
    pub(crate) read: (u64, u64),
}

impl Status {
    /// An endpoint that has not failed. `url` is shown as it is: without its password.
    #[must_use]
    pub fn new(name: &str, url: &str, acknowledged: WalPosition) -> Self {
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            acknowledged: AtomicU64::new(pack(acknowledged)),
            failure: Mutex::new(None),
            last_error: Mutex::new(None),
            progress: Mutex::default(),
            gaps: Mutex::default(),
        }
    }

    /// The endpoint's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL, safe to show.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The log before this is not needed any more.
    #[must_use]
    pub fn acknowledged(&self) -> WalPosition {
        unpack(self.acknowledged.load(Ordering::Acquire))
    }

    /// The last error and since when tries have failed; `None` while all is well.
    #[must_use]
    pub fn failing(&self) -> Option<(String, Duration)> {
        self.failure.lock().as_ref().map(|failure| (failure.error.clone(), failure.since.elapsed()))
    }

    pub(crate) fn set_acknowledged(&self, position: WalPosition) {
        self.acknowledged.store(pack(position), Ordering::Release);
    }

    /// The last error and when it was, however long ago.
    #[must_use]
    pub fn last_error(&self) -> Option<(String, SystemTime)> {
        self.last_error.lock().clone()
    }

    /// How long the request that failed last waits before it is tried again; zero while all is well.
    #[must_use]
    pub fn backoff(&self) -> Duration {
        self.failure.lock().as_ref().map_or(Duration::ZERO, |failure| failure.backoff)
    }

    pub(crate) fn progress(&self) -> Progress {
        *self.progress.lock()
    }

    pub(crate) fn set_progress(&self, progress: Progress) {
        *self.progress.lock() = progress;
    }

    /// What its gap records amount to.
    pub(crate) fn gaps(&self) -> GapSummary {
        self.gaps.lock().clone()
    }

    pub(crate) fn set_gaps(&self, gaps: &GapSummary) {
        self.gaps.lock().clone_from(gaps);
    }

    /// A request failed and is tried again after `backoff`.
    pub(crate) fn failed(&self, error: &str, attempt: u32, backoff: Duration) {
        *self.last_error.lock() = Some((error.to_owned(), SystemTime::now()));
        let now = Instant::now();
        let mut failure = self.failure.lock();
        let log = failure.as_ref().is_none_or(|failure| now - failure.logged > LOG_EVERY);
        let (since, logged) = failure.as_ref().map_or((now, now), |failure| (failure.since, failure.logged));
        *failure =
            Some(Failure { error: error.to_owned(), since, logged: if log { now } else { logged }, backoff });
        if log {
            tracing::warn!(
                remote_name = self.name, url = self.url, attempt, failing_for = ?since.elapsed(), err = error,
                "Failed to send batch, retrying"
            );
        }
    }

    pub(crate) fn recovered(&self) {
        if let Some(failure) = self.failure.lock().take() {
            let failed_for = failure.since.elapsed();
            tracing::info!(
                remote_name = self.name,
                url = self.url,
                ?failed_for,
                "Remote endpoint takes samples again"
            );
        }
    }
}
