//! The thread that looks after a database: every minute it looks for blocks, frees memory, writes full chunks to files, compacts,
//! applies retention.
//!
//! It runs at low priority, so that compaction does not slow down scrapes and queries, and ends soon when the database is closed:
//! a block that is being written is given up. An error or a panic ends a look, not the thread.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{DbError, Shared};

/// How much lower than others' its priority is.
const NICENESS: i32 = 10;
/// After an error the next look comes no sooner than after this, doubled each time up to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_secs(1);
/// How often somebody asks whether the head should become a block, or its full chunks files, before the next look: a test of
/// some numbers.
const GLANCE: Duration = Duration::from_millis(500);

/// Tells threads to end, and wakes those that sleep.
#[derive(Default)]
pub(super) struct Stop {
    pub(super) flag: AtomicBool,
    asleep: Mutex<()>,
    woken: Condvar,
}

impl Stop {
    pub(super) fn set(&self) {
        let _asleep = self.asleep.lock();
        self.flag.store(true, Ordering::Relaxed);
        self.woken.notify_all();
    }

    pub(super) fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Sleeps; `false` when it was woken to end.
    fn sleep(&self, time: Duration) -> bool {
        let deadline = std::time::Instant::now() + time;
        let mut asleep = self.asleep.lock();
        while !self.is_set() {
            if self.woken.wait_until(&mut asleep, deadline).timed_out() {
                return !self.is_set();
            }
        }
        false
    }
}

/// Starts the thread.
pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new().name("compaction".to_owned()).spawn(move || {
        // A system that does not allow it runs it at the usual priority.
        let _ = rustix::process::nice(NICENESS);
        shared.look_after();
    })
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words").to_owned()
}

impl Shared {
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_set()
    }

    fn look_after(&self) {
        let interval = self.options.block_reload_interval.max(SHORTEST);
        let mut back_off = Duration::ZERO;
        // The first look comes at once: what the last run left undone waits for nobody, but for chunks that the start built, which
        // do not get in the way of the first queries.
        let mut sleep = Duration::ZERO;
        let mut map = false;
        while self.rest(sleep) {
            let looked = self.guarded(|| self.tick(map));
            map = true;
            back_off = match looked {
                Ok(()) => Duration::ZERO,
                Err(DbError::Cancelled) => break,
                Err(error) => {
                    tracing::error!(err = super::blocks::chain(&error), "compaction failed");
                    (back_off * 2).clamp(BACK_OFF.0, BACK_OFF.1)
                }
            };
            sleep = interval.max(back_off);
        }
    }

    /// Sleeps until the next look; shorter when the head has become compactable meanwhile. `false` when the database is closing.
    pub(super) fn rest(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        // What could not be compacted at the last look is tried again at the next one; what has become compactable since the look
        // turned to other work is not made to wait.
        let mut was_compactable = !self.work.lock().is_head_done() && self.head.compactable();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.stop.sleep(left.min(GLANCE)) {
                return false;
            }
            if self.head.has_many_full_chunks() {
                let mapped = self.guarded(|| {
                    let _work = self.work.lock();
                    self.map_chunks();
                    Ok(())
                });
                if mapped.is_err() {
                    return true;
                }
            }
            let is_compactable = self.head.compactable();
            if left <= GLANCE || is_compactable && !was_compactable {
                return true;
            }
            was_compactable = is_compactable;
        }
    }

    fn map_chunks(&self) {
        if let Err(error) = self.head.map_chunks() {
            tracing::error!(%error, "cannot write full chunks to chunks_head; they stay in memory");
        }
    }

    /// Work which a bug does not make the last one.
    ///
    /// What a panic leaves is what an error leaves: blocks under unfinished names, which go with their writer; locks, which nobody
    /// finds poisoned; steps of truncation that are noted as done only when they are.
    fn guarded(&self, work: impl FnOnce() -> Result<(), DbError>) -> Result<(), DbError> {
        std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            self.metrics.compactions_failed.inc();
            Err(DbError::Panic(words(&*panic)))
        })
    }

    /// One look; with `map` also at full chunks.
    pub(super) fn tick(&self, map: bool) -> Result<(), DbError> {
        {
            let mut work = self.work.lock();
            work.begin_look();
            self.reload_blocks(&std::collections::HashSet::new())?;
            self.head.reclaim(Duration::ZERO);
            self.head.reclaim_late(Duration::ZERO);
            if map {
                self.map_chunks();
            }
        }
        self.metrics.compactions_triggered.inc();
        if !self.compacting.load(Ordering::Relaxed) {
            self.metrics.compactions_skipped.inc();
            return Ok(());
        }
        self.compact()
    }
}
