//! Counters of connections by client: `net_conntrack_dialer_*`.

use narthex_metrics::{Counter, CounterVec, Registry};

use super::error::DialError;
use super::stream::Tally;

/// The families; one for all clients of a process.
#[derive(Clone)]
pub struct ClientMetrics {
    attempted: CounterVec,
    established: CounterVec,
    failed: CounterVec,
    closed: CounterVec,
}

/// The counters of one client.
#[derive(Clone)]
pub(super) struct DialCounters {
    pub(super) attempted: Counter,
    pub(super) established: Counter,
    failed: [Counter; 4],
    closed: Counter,
}

const REASONS: [&str; 4] = ["resolution", "refused", "timeout", "unknown"];

impl ClientMetrics {
    /// Registers the families.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let vec = |name: &str, help: &str, labels: &[&str]| registry.counter_vec(name, help, labels);
        Self {
            attempted: vec(
                "net_conntrack_dialer_conn_attempted_total",
                "Total number of connections attempted by the given dialer a given name.",
                &["dialer_name"],
            ),
            established: vec(
                "net_conntrack_dialer_conn_established_total",
                "Total number of connections successfully established by the given dialer a given name.",
                &["dialer_name"],
            ),
            failed: vec(
                "net_conntrack_dialer_conn_failed_total",
                "Total number of connections failed to dial by the dialer a given name.",
                &["dialer_name", "reason"],
            ),
            closed: vec(
                "net_conntrack_dialer_conn_closed_total",
                "Total number of connections closed which originated from the dialer of a given name.",
                &["dialer_name"],
            ),
        }
    }

    pub(super) fn of(&self, name: &str) -> DialCounters {
        DialCounters {
            attempted: self.attempted.with(&[name]),
            established: self.established.with(&[name]),
            failed: REASONS.map(|reason| self.failed.with(&[name, reason])),
            closed: self.closed.with(&[name]),
        }
    }
}

impl DialCounters {
    /// What counts the end of one connection.
    pub(super) fn tally(&self) -> Tally {
        Tally(self.closed.clone())
    }

    pub(super) fn count_failure(&self, error: &DialError) {
        let at = match error {
            DialError::Lookup { .. } => 0,
            DialError::Connect { source, .. } => match source.kind() {
                std::io::ErrorKind::ConnectionRefused => 1,
                std::io::ErrorKind::TimedOut => 2,
                _ => 3,
            },
            DialError::Tls(_) | DialError::Proxy(_) => return,
        };
        self.failed[at].inc();
    }
}
