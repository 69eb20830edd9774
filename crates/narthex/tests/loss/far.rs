//! The other end of remote write as the run sees it: it can be in trouble, be well again, and at last say what it holds.

use crate::verdict::{Counts, Samples};

pub(crate) trait Far {
    /// Where it listens, on 127.0.0.1.
    fn port(&self) -> u16;

    /// Begins some trouble, and says which.
    fn trouble(&mut self, rng: &mut fastrand::Rng) -> String;

    /// Is well again.
    fn heal(&mut self);

    /// Waits until a request was taken whose sender knows nothing of it yet, and keeps it waiting until `release`. `false` when
    /// that cannot be had here, or no request comes.
    fn hold(&mut self) -> bool {
        false
    }

    /// Lets go what `hold` holds.
    fn release(&mut self) {}

    /// Whether what the sender has as native histograms comes here as such.
    fn takes_histograms(&self) -> bool {
        true
    }

    /// How much values may differ, relative to their size.
    fn tolerance(&self) -> f64 {
        0.0
    }

    /// Whether this exemplar came; `None` from those that cannot say.
    fn has_exemplar(&self, _series: &str, _exemplar: (i64, f64)) -> Option<bool> {
        None
    }

    /// Everything that it holds. It may end.
    fn samples(&mut self) -> Samples;

    /// What it saw of order and duplicates, given how each life of the sender ended.
    fn counts(&self, _ends: &[crate::ledger::End]) -> Option<Counts> {
        None
    }
}
