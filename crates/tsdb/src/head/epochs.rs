//! Who is at work: tells when everybody who came before a moment is gone.
//!
//! Appenders and readers enter and leave. Who wants to take something away first makes it hard to find, then takes a *cut*, waits
//! until the cut is over, and takes it away: whoever could still have held it came before the cut.
//! Always true: who enters after a cut sees all that the cutting thread did before it. Must not know: what is taken away.
//! Lock: a leaf, held for a look at a map with an entry for each epoch that somebody is in, mostly one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// See the module's words.
#[derive(Default)]
pub(crate) struct Epochs {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    now: u64,
    /// How many are in each epoch.
    present: BTreeMap<u64, usize>,
}

/// A moment between two epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cut(u64);

/// Somebody who entered; dropping it is leaving.
pub(crate) struct Visit {
    epochs: Arc<Epochs>,
    epoch: u64,
}

impl Epochs {
    /// Enters until the result is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Visit {
        let mut state = self.state.lock();
        let epoch = state.now;
        *state.present.entry(epoch).or_default() += 1;
        Visit { epochs: Arc::clone(self), epoch }
    }

    /// Divides those who are here from those who come.
    pub(crate) fn cut(&self) -> Cut {
        let mut state = self.state.lock();
        state.now += 1;
        Cut(state.now)
    }

    /// Waits until all who entered before the cut have left, at most until `deadline`; `false` when some have not.
    pub(crate) fn wait(&self, cut: Cut, deadline: Instant) -> bool {
        let mut state = self.state.lock();
        while !state.is_over(cut) {
            if self.left.wait_until(&mut state, deadline).timed_out() {
                return state.is_over(cut);
            }
        }
        true
    }
}

impl State {
    fn is_over(&self, cut: Cut) -> bool {
        self.present.first_key_value().is_none_or(|(oldest, _)| *oldest >= cut.0)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut state = self.epochs.state.lock();
        if let Some(count) = state.present.get_mut(&self.epoch) {
            *count -= 1;
            if *count == 0 {
                state.present.remove(&self.epoch);
                self.epochs.left.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_cut_is_over_when_all_before_it_are_gone() {
        let epochs = Arc::new(Epochs::default());
        let now = Instant::now;
        let (first, second) = (epochs.enter(), epochs.enter());
        let cut = epochs.cut();
        let later = epochs.enter();
        drop(first);
        assert!(!epochs.wait(cut, now()));
        drop(second);
        assert!(epochs.wait(cut, now()), "who came later does not count");
        let next = epochs.cut();
        assert!(!epochs.wait(next, now()));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| epochs.wait(next, now() + Duration::from_secs(60)));
            drop(later);
            assert!(waiting.join().unwrap());
        });
    }
}
