//! How many queries begin at a time: those that run for less than [`YOUTH`] are few, whatever `--query.max-concurrency` is.
//!
//! When many queries come at once, and each takes a few milliseconds of a processor, running them all side by side makes the
//! longer ones wait for all the short ones that come after them; in the order in which they came, all are done soon. A query that
//! takes long stops to count, so that nobody waits for it. Most queries end young.
//! Not in here: lanes, slots, and who looks again when a query is no longer young ([`super::LOOK_AGAIN`]).

use std::time::{Duration, Instant};

/// How long a query is young. What takes longer runs beside young ones.
pub(super) const YOUTH: Duration = Duration::from_millis(200);

/// The queries that began lately.
#[derive(Debug)]
pub(super) struct Young {
    most: usize,
    youth: Duration,
    /// Number and beginning, the oldest first.
    running: Vec<(u64, Instant)>,
}

impl Young {
    pub(super) fn new(most: usize, youth: Duration) -> Self {
        Self { most: most.max(1), youth, running: Vec::new() }
    }

    /// Whether one more may begin.
    pub(super) fn has_room(&mut self, now: Instant) -> bool {
        self.running.retain(|(_, began)| now.duration_since(*began) < self.youth);
        self.running.len() < self.most
    }

    pub(super) fn begin(&mut self, id: u64, now: Instant) {
        self.running.push((id, now));
    }

    pub(super) fn end(&mut self, id: u64) {
        self.running.retain(|(young, _)| *young != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_counts_until_it_ends_or_is_old() {
        let (mut young, now) = (Young::new(2, YOUTH), Instant::now());
        assert!(young.has_room(now));
        young.begin(1, now);
        young.begin(2, now + YOUTH / 2);
        assert!(!young.has_room(now + YOUTH / 2));
        young.end(2);
        assert!(young.has_room(now + YOUTH / 2));
        young.begin(3, now + YOUTH / 2);
        assert!(young.has_room(now + YOUTH), "the first is old");
        young.begin(4, now + YOUTH);
        assert!(!young.has_room(now + YOUTH));
    }
}
