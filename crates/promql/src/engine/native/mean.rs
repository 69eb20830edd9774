//! Sums and means of many histograms, compensated; a mean goes over to step-by-step updates before its sum overflows.

use narthex_model::CounterResetHint;

use super::{Combined, Incompatible, Native};

/// A sum or a mean on its way.
#[derive(Clone, Debug)]
pub(crate) struct NativeFold {
    /// The sum; the mean itself once `incremental`.
    total: Native,
    count: f64,
    is_mean: bool,
    incremental: bool,
    /// Whether a sample said that there was a reset, that there was none.
    resets: (bool, bool),
    bounds_reconciled: bool,
}

/// A finished sum or mean.
pub(crate) struct NativeFolded {
    pub value: Native,
    pub happened: Combined,
}

impl NativeFold {
    /// Starts with a first histogram.
    pub(crate) fn new(first: &Native, is_mean: bool) -> Self {
        let mut fold = Self {
            total: first.clone(),
            count: 1.0,
            is_mean,
            incremental: false,
            resets: (false, false),
            bounds_reconciled: false,
        };
        fold.note_hint(first);
        fold
    }

    fn note_hint(&mut self, h: &Native) {
        self.resets.0 |= h.hint == CounterResetHint::Reset;
        self.resets.1 |= h.hint == CounterResetHint::NotReset;
    }

    /// Takes in one more.
    pub(crate) fn add(&mut self, h: &Native) -> Result<(), Incompatible> {
        self.note_hint(h);
        self.count += 1.0;
        if !self.is_mean {
            self.bounds_reconciled |= self.total.add_compensated(h)?.bounds_reconciled;
            return Ok(());
        }
        if !self.incremental {
            let mut next = self.total.clone();
            self.bounds_reconciled |= next.add_compensated(h)?.bounds_reconciled;
            if !next.has_overflow() {
                self.total = next;
                return Ok(());
            }
            self.incremental = true;
            self.total.divide(self.count - 1.0);
        }
        self.total.multiply((self.count - 1.0) / self.count);
        let mut part = h.clone();
        part.divide(self.count);
        self.bounds_reconciled |= self.total.add_compensated(&part)?.bounds_reconciled;
        Ok(())
    }

    /// The result.
    pub(crate) fn finish(mut self) -> NativeFolded {
        if self.is_mean && !self.incremental {
            self.total.divide(self.count);
        }
        self.total.settle();
        let resets_collide = self.resets == (true, true);
        NativeFolded {
            value: self.total,
            happened: Combined { resets_collide, bounds_reconciled: self.bounds_reconciled },
        }
    }
}
