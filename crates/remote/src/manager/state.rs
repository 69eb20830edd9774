//! What each endpoint is at, put together for who asks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use narthex_wal::{WalPosition, list_segments};

use super::{RemoteWrite, Shown};
use crate::dead_letter::Totals;
use crate::gap::GapSummary;
use crate::status::Progress;

/// What an endpoint is at.
#[derive(Clone, Debug)]
pub struct EndpointState {
    /// The id that its files begin with.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its URL, safe to show.
    pub url: String,
    /// The protobuf message that is configured.
    pub protocol: &'static str,
    /// The protobuf message that it is sent now: another one where it does not understand the configured one.
    pub protocol_sent: &'static str,
    /// Since when all tries have failed; `None` while all is well.
    pub failing_for: Option<Duration>,
    /// The last error and when it was, however long ago.
    pub last_error: Option<(String, SystemTime)>,
    /// How long the request that failed last waits before it is tried again; zero while all is well.
    pub backoff: Duration,
    /// From the newest sample that was delivered to the newest in the log, or to now while not everything was read; zero when
    /// everything was delivered, `None` before the first delivery since the start.
    pub lag: Option<Duration>,
    /// Samples, exemplars and histograms that were read and are not delivered.
    pub pending: u64,
    /// Bytes of the log that were not read.
    pub unread_bytes: u64,
    /// How many samples, exemplars and histograms wait: `pending`, and about so many as `unread_bytes` hold.
    pub lag_samples: u64,
    /// Up to when the database was read for it, ms, when it is served from there because the log is no longer held.
    pub database_read_to_ms: Option<i64>,
    /// Bytes of samples that came late while the database was read, and are kept until it has everything of that time.
    pub late_bytes: u64,
    /// What will never be sent.
    pub gaps: GapSummary,
    /// Everything before this was delivered or dead-lettered.
    pub cursor: WalPosition,
    /// The end of the log.
    pub tip: WalPosition,
    /// Requests in flight.
    pub in_flight: usize,
    /// How many may be in flight now.
    pub allowed: usize,
    /// The bounds of `allowed`.
    pub bounds: (usize, usize),
    /// What its dead letters amount to.
    pub letters: Totals,
}

impl RemoteWrite {
    /// What each endpoint is at. Looks at the sizes of segments; must not be called on a network thread.
    #[must_use]
    pub fn states(&self) -> Vec<EndpointState> {
        let shown = self.shown.lock().clone();
        shown.into_iter().map(|shown| self.state_of(shown)).collect()
    }

    fn state_of(&self, shown: Shown) -> EndpointState {
        let tip = self.options.tip.position();
        let (status, gate) = (&shown.sender.status, &shown.sender.gate);
        let progress = status.progress();
        let pending = progress.pending.iter().map(|n| n.max(&0).unsigned_abs()).sum::<u64>();
        // Before its first round the thread has told nothing.
        let unread_bytes = self.bytes_between(progress.read_to.max(status.acknowledged()), tip);
        let unread = match progress.read {
            (0, _) => 0,
            (bytes, samples) => (unread_bytes as u128 * u128::from(samples) / u128::from(bytes)) as u64,
        };
        let letters = self.letters.lock().get(&shown.id).map(|letters| letters.totals());
        EndpointState {
            name: status.name().to_owned(),
            url: status.url().to_owned(),
            protocol: shown.protocol,
            protocol_sent: shown.sender.dialect.message().as_str(),
            failing_for: status.failing().map(|(_, since)| since),
            last_error: status.last_error(),
            backoff: status.backoff(),
            lag: match progress.database_read_to_ms {
                None => lag(&progress, pending + unread_bytes == 0, unread_bytes == 0),
                Some(_) => lag(&progress, false, false),
            },
            database_read_to_ms: progress.database_read_to_ms,
            late_bytes: progress.late_bytes,
            gaps: status.gaps(),
            pending,
            unread_bytes,
            lag_samples: pending + unread,
            cursor: status.acknowledged(),
            tip,
            in_flight: progress.in_flight,
            allowed: gate.allowed(),
            bounds: gate.bounds(),
            letters: letters.unwrap_or_default(),
            id: shown.id,
        }
    }

    /// Bytes of the log in `[from, to)`.
    fn bytes_between(&self, from: WalPosition, to: WalPosition) -> u64 {
        if from.segment >= to.segment {
            return to.offset.saturating_sub(from.offset) * u64::from(from.segment == to.segment);
        }
        let wal = self.options.data_dir.join("wal");
        let size = |segment: u32| std::fs::metadata(wal.join(format!("{segment:08}"))).map_or(0, |m| m.len());
        let segments = list_segments(&wal).unwrap_or_default().into_iter();
        let whole = segments.filter(|segment| (from.segment..to.segment).contains(segment)).map(size);
        (whole.sum::<u64>() + to.offset).saturating_sub(from.offset)
    }
}

fn lag(progress: &Progress, is_done: bool, has_read_all: bool) -> Option<Duration> {
    if is_done {
        return Some(Duration::ZERO);
    }
    let now_ms = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let newest_ms = progress.newest_read_ms.filter(|_| has_read_all).unwrap_or_else(now_ms);
    let lag_ms = newest_ms.saturating_sub(progress.newest_sent_ms?).max(0);
    Some(Duration::from_millis(lag_ms.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_that_of_the_samples_and_none_when_all_are_there() {
        let progress =
            Progress { newest_read_ms: Some(9000), newest_sent_ms: Some(2000), ..Progress::default() };
        assert_eq!(lag(&progress, true, true), Some(Duration::ZERO));
        assert_eq!(lag(&progress, false, true), Some(Duration::from_secs(7)));
        assert!(lag(&progress, false, false) > Some(Duration::from_secs(1_000_000_000)), "up to now");
        assert_eq!(lag(&Progress::default(), false, true), None);
    }
}
