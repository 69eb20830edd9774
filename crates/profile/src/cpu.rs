//! Where processor time goes: a stack each time the threads together used 10 ms of it.
//!
//! Always true: one recording at a time, and the timer stops when it is dropped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::profile::{Counts, Kind, Profile};
use crate::raw::signal::{self, TIMED};
use crate::threads::name_of;

/// 100 times a second and core that is busy, as Go samples.
const PERIOD: Duration = Duration::from_millis(10);

static RECORDING: AtomicBool = AtomicBool::new(false);

/// Somebody records already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cpu profiling already in use")]
pub struct InUse;

/// A recording under way. [`Self::take`] must be called some ten times a second, or stacks are lost (and counted).
#[derive(Debug)]
pub struct CpuRecording {
    counts: Counts,
    names: std::collections::HashMap<u32, String>,
    began: Instant,
    profile: Profile,
}

impl CpuRecording {
    /// Begins.
    ///
    /// # Errors
    /// Somebody records already.
    pub fn start() -> Result<Self, InUse> {
        if RECORDING.swap(true, Ordering::AcqRel) {
            return Err(InUse);
        }
        signal::install();
        // What came after the end of the last one.
        TIMED.drain(|_, _| {});
        TIMED.take_lost();
        let profile = Profile::new(Kind::Cpu, nanos(PERIOD));
        let recording =
            Self { counts: Counts::default(), names: Default::default(), began: Instant::now(), profile };
        signal::set_timer(PERIOD);
        Ok(recording)
    }

    /// Takes what was found since the last call.
    pub fn take(&mut self) {
        let Self { counts, names, .. } = self;
        TIMED.drain(|thread, stack| {
            // While it lives: later nobody knows its name.
            names.entry(thread).or_insert_with(|| name_of(thread));
            counts.add(thread, stack);
        });
    }

    /// Ends.
    #[must_use]
    pub fn finish(mut self) -> Profile {
        signal::set_timer(Duration::ZERO);
        self.take();
        let mut profile = std::mem::replace(&mut self.profile, Profile::new(Kind::Cpu, 0));
        let names = std::mem::take(&mut self.names);
        let name = |thread: u32| names.get(&thread).cloned().unwrap_or_default();
        let values = |count| vec![count, count * nanos(PERIOD)];
        profile.rows = std::mem::take(&mut self.counts).rows(name, values);
        profile.duration = self.began.elapsed();
        match TIMED.take_lost() {
            0 => {}
            lost => profile.comments.push(format!("{lost} samples were lost")),
        }
        profile
    }
}

impl Drop for CpuRecording {
    fn drop(&mut self) {
        signal::set_timer(Duration::ZERO);
        RECORDING.store(false, Ordering::Release);
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Symbols;

    /// Work that the compiler cannot leave out, long enough to be found.
    #[inline(never)]
    fn burn_processor_time(until: Instant) -> u64 {
        let mut sum = 1_u64;
        while Instant::now() < until {
            (0..10_000_u64).for_each(|i| sum = std::hint::black_box(sum.wrapping_mul(i | 1)));
        }
        sum
    }

    #[test]
    fn the_busy_function_is_found_under_its_name_with_its_thread() {
        let mut recording = CpuRecording::start().unwrap();
        assert_eq!(CpuRecording::start().err(), Some(InUse));
        let busy = std::thread::Builder::new().name("busy-one".to_owned());
        let until = Instant::now() + Duration::from_millis(600);
        let busy = busy.spawn(move || burn_processor_time(until)).unwrap();
        while !busy.is_finished() {
            recording.take();
            std::thread::yield_now();
        }
        busy.join().unwrap();
        let profile = recording.finish();
        let symbols = Symbols::of_this_process();
        let is_ours = |row: &&crate::Row| {
            row.stack.iter().any(|a| symbols.name(*a).is_some_and(|n| n.contains("burn_processor_time")))
        };
        let found: i64 = profile.rows.iter().filter(is_ours).map(|row| row.values[0]).sum();
        assert!(found >= 5, "{found} samples of some 30 in {} rows", profile.rows.len());
        assert!(profile.rows.iter().filter(is_ours).any(|row| row.thread == "busy-one"));
        assert!(profile.rows.iter().all(|row| row.values[1] == row.values[0] * 10_000_000));
        assert!(CpuRecording::start().is_ok(), "the end frees the place");
    }
}
