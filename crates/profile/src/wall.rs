//! Where time passes: the stacks of all threads, those that wait too, some twenty times a second.
//!
//! Always true: one recording at a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::InUse;
use crate::profile::{Counts, Kind, Profile};
use crate::threads::{name_of, snapshot};

/// At most so often: each time wakes every thread for a moment.
const PERIOD: Duration = Duration::from_millis(50);

static RECORDING: AtomicBool = AtomicBool::new(false);

/// A recording under way. Each call of [`Self::take`] adds what all threads do then, which counts for the time since the last call.
#[derive(Debug)]
pub struct WallClock {
    counts: Counts,
    /// How often all threads were looked at.
    looks: i64,
    names: HashMap<u32, String>,
    began: Instant,
    last: Option<Instant>,
    profile: Profile,
}

impl WallClock {
    /// Begins.
    ///
    /// # Errors
    /// Somebody records already.
    pub fn start() -> Result<Self, InUse> {
        if RECORDING.swap(true, Ordering::AcqRel) {
            return Err(InUse);
        }
        Ok(Self {
            counts: Counts::default(),
            looks: 0,
            names: HashMap::new(),
            began: Instant::now(),
            last: None,
            profile: Profile::new(Kind::WallClock, 0),
        })
    }

    /// Looks at all threads, unless that was done a moment ago.
    pub fn take(&mut self) {
        if self.last.is_some_and(|last| last.elapsed() < PERIOD) {
            return;
        }
        self.last = Some(Instant::now());
        snapshot(&mut self.counts, |thread| {
            self.names.entry(thread).or_insert_with(|| name_of(thread));
        });
        self.looks += 1;
    }

    /// Ends.
    #[must_use]
    pub fn finish(mut self) -> Profile {
        self.take();
        let mut profile = std::mem::replace(&mut self.profile, Profile::new(Kind::WallClock, 0));
        let duration = self.began.elapsed();
        let each = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX) / self.looks.max(1);
        let names = std::mem::take(&mut self.names);
        let name = |thread: u32| names.get(&thread).cloned().unwrap_or_default();
        profile.rows = std::mem::take(&mut self.counts).rows(name, |n| vec![n, n.saturating_mul(each)]);
        profile.period = each;
        profile.duration = duration;
        profile
    }
}

impl Drop for WallClock {
    fn drop(&mut self) {
        RECORDING.store(false, Ordering::Release);
    }
}
