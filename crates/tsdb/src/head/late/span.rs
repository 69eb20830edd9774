//! From when to when the head has late samples.
//!
//! Always true: no late sample lies outside, also while a truncation narrows the span and commits widen it.
//! Lock: a leaf; taken once by a batch with late samples, and once by a querier.

use parking_lot::Mutex;

/// A closed range of timestamps, ms; the first above the second for none.
#[derive(Debug)]
pub(crate) struct LateSpan(Mutex<Times>);

#[derive(Clone, Copy, Debug)]
struct Times {
    min_ms: i64,
    max_ms: i64,
    /// The oldest since a truncation last began.
    recent_min_ms: i64,
}

const NOTHING: Times = Times { min_ms: i64::MAX, max_ms: i64::MIN, recent_min_ms: i64::MAX };

impl Default for LateSpan {
    fn default() -> Self {
        Self(Mutex::new(NOTHING))
    }
}

impl LateSpan {
    /// The span.
    pub(crate) fn get(&self) -> (i64, i64) {
        let times = self.0.lock();
        (times.min_ms, times.max_ms)
    }

    /// Takes samples in; does nothing for none.
    pub(crate) fn widen(&self, (min_ms, max_ms): (i64, i64)) {
        if min_ms <= max_ms {
            let mut times = self.0.lock();
            times.min_ms = times.min_ms.min(min_ms);
            times.recent_min_ms = times.recent_min_ms.min(min_ms);
            times.max_ms = times.max_ms.max(max_ms);
        }
    }

    /// A truncation begins: it will look at all series.
    pub(crate) fn begin_narrowing(&self) {
        self.0.lock().recent_min_ms = i64::MAX;
    }

    /// The truncation found this as the oldest that stays, `i64::MAX` for none. What came since it began counts too.
    pub(crate) fn narrow(&self, oldest_ms: i64) {
        let mut times = self.0.lock();
        match oldest_ms.min(times.recent_min_ms) {
            i64::MAX => *times = NOTHING,
            oldest_ms => times.min_ms = times.min_ms.max(oldest_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_while_it_narrows_stays_inside() {
        let span = LateSpan::default();
        span.widen((5, 9));
        span.widen((i64::MAX, i64::MIN));
        assert_eq!(span.get(), (5, 9));
        span.begin_narrowing();
        span.widen((6, 6));
        span.narrow(8);
        assert_eq!(span.get(), (6, 9));
        span.begin_narrowing();
        span.narrow(i64::MAX);
        assert_eq!(span.get(), (i64::MAX, i64::MIN));
    }
}
