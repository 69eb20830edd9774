//! When a target is scraped: its place in the interval, the ticks after that, and the timestamps of its samples.
//!
//! Facts: the offset is `(hash of target ^ seed) mod interval` against the epoch, so it stays through restarts, spreads
//! targets evenly, and two servers of a pair (other host or external labels, so other seed) ask at other times. Timestamps
//! that are late by a timer's inaccuracy are moved onto the grid, because equal distances compress better.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use narthex_model::Labels;

use crate::options::ScrapeOptions;

/// The seed of this server: 64-bit FNV-1a of its name and external labels.
pub(crate) fn offset_seed(host_name: &str, external: &Labels) -> u64 {
    fnv1a(format!("{host_name}{external}").as_bytes())
}

/// 64-bit FNV-1a.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// How long from `now` (since the epoch) to the first scrape; below one interval.
pub(crate) fn first_wait(now: Duration, interval: Duration, target_hash: u64, seed: u64) -> Duration {
    let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
    let now_ns = (now.as_nanos() % u128::from(interval_ns)) as u64;
    let offset = (target_hash ^ seed) % interval_ns;
    Duration::from_nanos((offset + interval_ns - now_ns) % interval_ns)
}

/// The wall clock since the epoch.
pub(crate) fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Milliseconds since the epoch.
pub(crate) fn wall_ms() -> i64 {
    i64::try_from(wall_clock().as_millis()).unwrap_or(i64::MAX)
}

/// Gives each scrape its timestamp.
#[derive(Debug)]
pub(crate) struct Grid {
    interval_ms: i64,
    tolerance_ms: i64,
    aligned_ms: i64,
    last_ms: i64,
}

impl Grid {
    /// A grid through `start_ms`.
    pub(crate) fn new(start_ms: i64, interval_ms: i64, options: &ScrapeOptions) -> Self {
        let tolerance_ms = i64::try_from(options.timestamp_tolerance.as_millis()).unwrap_or(i64::MAX);
        let tolerance_ms = if options.adjust_timestamps { tolerance_ms.min(interval_ms / 100) } else { -1 };
        Self { interval_ms: interval_ms.max(1), tolerance_ms, aligned_ms: start_ms, last_ms: i64::MIN }
    }

    /// The timestamp of a scrape at `now_ms`. Rises strictly, unless the clock was set back by an interval or more.
    pub(crate) fn stamp(&mut self, now_ms: i64) -> i64 {
        let mut stamp = now_ms;
        if self.tolerance_ms >= 0 {
            let steps = (now_ms - self.aligned_ms).max(0) / self.interval_ms;
            self.aligned_ms += steps * self.interval_ms;
            if (0..=self.tolerance_ms).contains(&(now_ms - self.aligned_ms)) {
                stamp = self.aligned_ms;
            }
        }
        if stamp <= self.last_ms && stamp > self.last_ms.saturating_sub(self.interval_ms) {
            stamp = self.last_ms + 1;
        }
        if stamp < self.aligned_ms.saturating_sub(self.interval_ms) {
            // The clock was set back: begin a new grid there.
            self.aligned_ms = stamp;
        }
        self.last_ms = stamp;
        stamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_scrapes_come_within_the_interval_and_at_the_same_phase_after_a_restart() {
        let interval = Duration::from_secs(15);
        for hash in (0..1000u64).map(|i| fnv1a(&i.to_le_bytes())) {
            let mut phases = [1_000_000_123u64, 1_777_123_456_789].map(|ms| {
                let now = Duration::from_millis(ms);
                let wait = first_wait(now, interval, hash, 7);
                assert!(wait < interval);
                (now + wait).as_nanos() % interval.as_nanos()
            });
            phases.sort_unstable();
            assert_eq!(phases[0], phases[1]);
        }
    }

    #[test]
    fn targets_spread_evenly_over_the_interval() {
        let interval = Duration::from_secs(10);
        let mut tenths = [0; 10];
        for i in 0..10_000 {
            let hash = fnv1a(format!("target-{i}").as_bytes());
            tenths[first_wait(Duration::ZERO, interval, hash, 0).as_secs() as usize] += 1;
        }
        assert!(tenths.iter().all(|n| (800..1200).contains(n)), "{tenths:?}");
    }

    #[track_caller]
    fn check(interval_ms: i64, adjust: bool, nows: &[(i64, i64)]) {
        let options = ScrapeOptions { adjust_timestamps: adjust, ..ScrapeOptions::default() };
        let mut grid = Grid::new(nows[0].0, interval_ms, &options);
        for (now, stamp) in nows {
            assert_eq!(grid.stamp(*now), *stamp, "at {now}");
        }
    }

    #[test]
    fn small_lateness_is_forgiven_and_large_is_told() {
        check(
            1000,
            true,
            &[(500, 500), (1501, 1500), (2502, 2500), (3503, 3503), (4500, 4500), (7501, 7500)],
        );
        check(1000, false, &[(500, 500), (1501, 1501)]);
        // The tolerance is at most a hundredth of the interval.
        check(100, true, &[(500, 500), (601, 600), (702, 702)]);
    }

    #[test]
    fn timestamps_rise_when_the_clock_steps_back_a_little() {
        check(1000, true, &[(5000, 5000), (4990, 5001), (6000, 6000), (1000, 1000), (2001, 2000)]);
    }
}
