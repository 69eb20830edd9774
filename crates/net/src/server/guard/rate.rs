//! The bound on requests of a web-config file: a bucket of tokens over all clients, full at start.

use std::time::Instant;

use narthex_config::WebRateLimit;
use parking_lot::Mutex;

/// A bucket of `burst` tokens to which one is added each interval.
#[derive(Debug)]
pub(super) struct RateLimit {
    burst: f64,
    interval_ns: f64,
    /// Tokens at a moment.
    bucket: Mutex<(f64, Instant)>,
}

impl RateLimit {
    /// `None` when there is no bound. COMPAT: an interval below zero bounds nothing.
    pub(super) fn new(config: &WebRateLimit) -> Option<Self> {
        let burst = config.burst.max(0) as f64;
        let interval_ns = config.interval_ns as f64;
        (config.interval_ns > 0).then(|| Self {
            burst,
            interval_ns,
            bucket: Mutex::new((burst, Instant::now())),
        })
    }

    /// Takes a token if there is one.
    pub(super) fn allows(&self) -> bool {
        self.allows_at(Instant::now())
    }

    fn allows_at(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock();
        let passed = now.saturating_duration_since(bucket.1).as_nanos() as f64;
        let tokens = (bucket.0 + passed / self.interval_ns).min(self.burst);
        let allows = tokens >= 1.0;
        *bucket = (if allows { tokens - 1.0 } else { tokens }, bucket.1.max(now));
        allows
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let second = 1_000_000_000;
        let limit = RateLimit::new(&WebRateLimit { burst: 3, interval_ns: second }).unwrap();
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let taken: Vec<bool> =
            [0, 0, 0, 0, 500, 1001, 1001, 9000, 9000, 9000, 9000].map(|ms| limit.allows_at(at(ms))).into();
        assert_eq!(taken, [true, true, true, false, false, true, false, true, true, true, false]);
        assert!(RateLimit::new(&WebRateLimit { burst: 3, interval_ns: 0 }).is_none());
        let none = RateLimit::new(&WebRateLimit { burst: 0, interval_ns: 1 }).unwrap();
        assert!(!none.allows_at(at(1000)), "no burst: nothing passes");
    }
}
