//! Syncing: how what was written gets to the disk, off the road of those who write.
//!
//! A segment that is full is always synced, by a thread of the log. With an interval that thread also syncs the segment being
//! written: one sync for all batches since the last one (group commit), beginning at most an interval after the one before.
//! The promise then: a power cut takes nothing that was acknowledged longer ago than **the interval (or the length of a sync,
//! if that is longer) plus one sync**, and a sync has to do with at most five segments: when the disk does not keep up, writing
//! waits for it at the end of a segment. Without an interval it may take all since the last segment was full, as in Prometheus.
//! Always true: what lies before [`Syncer::synced`] is on the disk, and so is the name of its segment, if no sync failed.
//! After a failed sync the system may have dropped the bytes and later syncs do not bring them back: the position stands
//! still until the writer has gone on to another segment ([`Writer::next_segment`](super::Writer::next_segment)).

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use narthex_disk::{sync_dir, sync_file};
use narthex_metrics::Summary;
use parking_lot::{Condvar, Mutex};

use super::WalPosition;
use super::dir::segment_path;
use super::tail::Tip;

/// With an interval, most full segments that wait for a sync while another one goes on.
const WAITING_MAX: usize = 2;

/// A segment's file, as the thread sees it.
pub(super) type Open = (u32, Arc<File>);

pub(super) struct Syncer {
    shared: Arc<Shared>,
    interval: Duration,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    dir: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    /// How far acknowledged batches reach; stored by the writer.
    written: Tip,
    /// How far the disk has them; stored by whoever holds `state` after a sync.
    synced: Tip,
    failed: AtomicBool,
    duration_s: Summary,
}

struct State {
    /// Full segments to sync, oldest first.
    full: VecDeque<Open>,
    current: Open,
    /// The name of `current`, or of a segment in `full`, may not be on the disk: the directory was not synced since that file
    /// was first synced itself. (The order that every file system honours: the file, then its name.)
    new_name: bool,
    failure: Option<(u32, io::Error)>,
    /// The newest segment that could not be synced.
    broken: Option<u32>,
    stop: bool,
}

impl Syncer {
    /// For the log in `dir` that now writes `current`.
    pub(super) fn new(
        dir: PathBuf,
        current: Open,
        written: Tip,
        interval: Duration,
        duration_s: Summary,
    ) -> Self {
        let synced = Tip::at(WalPosition { segment: current.0, offset: 0 });
        let state = State {
            full: VecDeque::new(),
            current,
            new_name: true,
            failure: None,
            broken: None,
            stop: false,
        };
        let shared = Shared {
            dir,
            state: Mutex::new(state),
            changed: Condvar::new(),
            written,
            synced,
            failed: AtomicBool::new(false),
            duration_s,
        };
        let mut syncer = Self { shared: Arc::new(shared), interval, thread: None };
        if !interval.is_zero() {
            syncer.run_thread();
        }
        syncer
    }

    /// How far the disk has the log.
    pub(super) fn synced(&self) -> Tip {
        self.shared.synced.clone()
    }

    /// Takes note that the writer has left a segment for the next.
    pub(super) fn rotated(&mut self, next: Open) {
        let mut state = self.shared.state.lock();
        let full = std::mem::replace(&mut state.current, next);
        state.full.push_back(full);
        state.new_name = true;
        drop(state);
        self.shared.changed.notify_all();
        self.run_thread();
        if self.thread.is_some() && !self.interval.is_zero() {
            self.shared.wait_for_room();
        }
    }

    /// Why the last sync failed, if it did: the segment and the system's reason. Costs one atomic load while all is well.
    /// Asking takes the failure away.
    pub(super) fn take_failure(&self) -> Option<(u32, io::Error)> {
        if !self.shared.failed.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.shared.state.lock();
        self.shared.failed.store(false, Ordering::Release);
        state.failure.take()
    }

    /// Syncs everything that was written, here and now, and ends the thread.
    pub(super) fn close(mut self) -> Result<(), (u32, io::Error)> {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by itself.
            let _ = thread.join();
        }
        self.shared.sync(true);
        self.take_failure().map_or(Ok(()), Err)
    }

    fn run_thread(&mut self) {
        if self.thread.is_some() {
            return;
        }
        let (shared, interval) = (Arc::clone(&self.shared), self.interval);
        let thread = std::thread::Builder::new().name("wal-sync".into());
        match thread.spawn(move || shared.run(interval)) {
            Ok(thread) => self.thread = Some(thread),
            // Without a thread the full segments are synced here: slow, and safe.
            Err(_) => self.shared.sync(false),
        }
    }

    fn stop(&self) {
        self.shared.state.lock().stop = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for Syncer {
    /// A log that is dropped without closing is as after a crash. The thread ends by itself.
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Waits until few full segments are to be synced: a disk that does not keep up holds up those who write, or else the
    /// promise would grow without end.
    fn wait_for_room(&self) {
        let mut state = self.state.lock();
        while state.full.len() >= WAITING_MAX && !state.stop {
            self.changed.wait(&mut state);
        }
    }

    fn run(&self, interval: Duration) {
        let mut began = Instant::now();
        loop {
            let mut state = self.state.lock();
            while !state.stop && state.full.is_empty() {
                if interval.is_zero() {
                    self.changed.wait(&mut state);
                } else if self.changed.wait_until(&mut state, began + interval).timed_out() {
                    break;
                }
            }
            if state.stop {
                return;
            }
            drop(state);
            if began.elapsed() >= interval && !interval.is_zero() {
                began = Instant::now();
                self.sync(true);
            } else {
                self.sync(false);
            }
        }
    }

    /// Syncs full segments, with `current` also the one being written.
    fn sync(&self, current: bool) {
        // First the position, then the files: what was written before the position lies in these files.
        let written = self.written.position();
        if current && written == self.synced.position() {
            return;
        }
        let mut state = self.state.lock();
        let full = std::mem::take(&mut state.full);
        // Without the file itself its name stays to be synced, after it.
        let (open, new_name) = (state.current.clone(), std::mem::replace(&mut state.new_name, !current));
        drop(state);
        // Those who wait for room.
        self.changed.notify_all();
        for (segment, file) in full.iter().chain(current.then_some(&open)) {
            if let Err(error) = self.sync_one(*segment, file) {
                tracing::error!(segment, %error, "cannot sync WAL segment; a power cut may lose what was written last");
                self.fail(*segment, error);
            }
        }
        if new_name && let Err(error) = sync_dir(&self.dir) {
            tracing::error!(dir = %self.dir.display(), %error, "cannot sync WAL directory");
            self.state.lock().new_name = true;
            self.fail(open.0, error);
        }
        let reached = match current {
            true => written,
            false => WalPosition { segment: open.0, offset: 0 },
        };
        let is_broken = self.state.lock().broken.is_some_and(|broken| reached.segment <= broken);
        if !is_broken && reached > self.synced.position() {
            self.synced.publish(reached);
        }
    }

    fn sync_one(&self, segment: u32, file: &File) -> io::Result<()> {
        let started = Instant::now();
        let done = sync_file(file, &segment_path(&self.dir, segment));
        self.duration_s.observe(started.elapsed().as_secs_f64());
        done
    }

    fn fail(&self, segment: u32, error: io::Error) {
        let mut state = self.state.lock();
        state.failure = Some((segment, error));
        state.broken = state.broken.max(Some(segment));
        drop(state);
        self.failed.store(true, Ordering::Release);
    }
}
