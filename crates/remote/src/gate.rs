//! How many requests an endpoint may have in flight: between `min_shards` and `max_shards`, by what it shows it can take.
//!
//! Grows by one with each success while samples wait for a free place (so it doubles each round trip), halves with each failure,
//! never grows while the endpoint fails, and shrinks slowly when places stay unused.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Places for requests in flight.
pub(crate) struct Gate {
    min: usize,
    max: usize,
    state: Mutex<State>,
    freed: Notify,
}

struct State {
    allowed: usize,
    active: usize,
    /// Since the last failure there was no success.
    failing: bool,
    /// Samples wait that a further request could carry.
    starved: bool,
}

impl Gate {
    /// Bounds are at least 1; `max` is at least `min`.
    #[must_use]
    pub(crate) fn new(min: usize, max: usize) -> Self {
        let min = min.max(1);
        let state = State { allowed: min, active: 0, failing: false, starved: false };
        Self { min, max: max.max(min), state: Mutex::new(state), freed: Notify::new() }
    }

    /// How many requests may be in flight now.
    #[must_use]
    pub(crate) fn allowed(&self) -> usize {
        self.state.lock().allowed
    }

    /// The smallest and the largest number of places.
    #[must_use]
    pub(crate) fn bounds(&self) -> (usize, usize) {
        (self.min, self.max)
    }

    /// Tells whether samples wait for a place; from then on successes make it grow.
    pub(crate) fn set_starved(&self, starved: bool) {
        self.state.lock().starved = starved;
    }

    /// Gives a place back that stayed unused for a while.
    pub(crate) fn relax(&self) {
        let mut state = self.state.lock();
        if !state.starved && state.active < state.allowed {
            state.allowed = (state.allowed - 1).max(self.min);
        }
    }

    /// Waits for a place. Whoever enters leaves again.
    pub(crate) async fn enter(&self) {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.state.lock();
                if state.active < state.allowed {
                    state.active += 1;
                    return;
                }
            }
            freed.await;
        }
    }

    /// Gives the place back.
    pub(crate) fn leave(&self) {
        self.state.lock().active -= 1;
        self.freed.notify_one();
    }

    /// An attempt succeeded. Whether that ended a row of failures.
    pub(crate) fn succeeded(&self) -> bool {
        let mut state = self.state.lock();
        let recovered = std::mem::take(&mut state.failing);
        if state.starved && state.allowed < self.max {
            state.allowed += 1;
            self.freed.notify_one();
        }
        recovered
    }

    /// An attempt failed. Whether its place is one too many now and has to be left.
    pub(crate) fn failed(&self) -> bool {
        let mut state = self.state.lock();
        state.failing = true;
        state.allowed = (state.allowed / 2).max(self.min);
        state.active > state.allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_success_under_load_and_halves_with_failure() {
        let gate = Gate::new(1, 6);
        gate.succeeded();
        assert_eq!(gate.allowed(), 1, "nothing waits");
        gate.set_starved(true);
        for expected in [2, 3, 4, 5, 6, 6] {
            gate.succeeded();
            assert_eq!(gate.allowed(), expected);
        }
        gate.failed();
        assert_eq!(gate.allowed(), 3);
        for _ in 0..5 {
            gate.failed();
        }
        assert_eq!(gate.allowed(), 1);
        assert!(gate.succeeded(), "the row of failures ends");
    }

    #[test]
    fn unused_places_are_given_back_down_to_the_minimum() {
        let gate = Gate::new(2, 8);
        gate.set_starved(true);
        for _ in 0..6 {
            gate.succeeded();
        }
        gate.set_starved(false);
        (0..20).for_each(|_| gate.relax());
        assert_eq!(gate.allowed(), 2);
    }

    #[tokio::test]
    async fn no_more_enter_than_are_allowed() {
        let gate = std::sync::Arc::new(Gate::new(1, 2));
        gate.enter().await;
        let second = tokio::spawn({
            let gate = std::sync::Arc::clone(&gate);
            async move { gate.enter().await }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        gate.leave();
        second.await.unwrap();
    }
}
