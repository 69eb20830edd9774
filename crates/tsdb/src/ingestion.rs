//! Whether samples are taken: not while the disk is full or broken.
//!
//! A batch that the log could not take turns ingestion off; from then on appenders refuse at once, so that nobody fills memory
//! with what cannot be kept, and everybody who asks learns why. A thread tries the disk until there is room again and a real,
//! synced write works, then turns ingestion on by itself. What was acknowledged before is not touched by any of it.
//! Must not know: batches, the log's format.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use narthex_metrics::{Counter, CounterVec, Gauge, Registry};
use parking_lot::{Condvar, Mutex};

/// Whether a database takes samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ingestion {
    /// It does.
    On,
    /// It does not, and tries by itself when it can again.
    Refused {
        /// When this began.
        since: SystemTime,
        /// What went wrong, and where.
        reason: String,
    },
}

/// When ingestion is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// How often.
    pub every: Duration,
    /// The file system must have as many bytes free.
    pub free_bytes: u64,
    /// As many bytes are written, synced and deleted again.
    pub write_bytes: usize,
}

impl Default for Probe {
    fn default() -> Self {
        // Some scrapes fit into that, so that ingestion does not go on and off with each.
        Self { every: Duration::from_secs(1), free_bytes: 16 << 20, write_bytes: 1 << 20 }
    }
}

/// The switch. A clone is the same switch.
#[derive(Clone)]
pub(crate) struct IngestionSwitch(Arc<Shared>);

struct Shared {
    refused: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    metrics: Metrics,
}

struct State {
    ingestion: Ingestion,
    /// Where to try; `None` before the log is open and after it was closed.
    dir: Option<(PathBuf, Probe)>,
    /// A thread tries the disk.
    probing: bool,
}

struct Metrics {
    refused: Gauge,
    refusals: CounterVec,
    batches: Counter,
    resumed: Counter,
}

impl Metrics {
    fn new(registry: &Registry) -> Self {
        Self {
            refused: registry.gauge(
                "narthex_tsdb_ingestion_refused",
                "1 while no samples are taken because the disk is full or broken.",
            ),
            refusals: registry.counter_vec(
                "narthex_tsdb_ingestion_refusals_total",
                "How often ingestion was turned off, by reason.",
                &["reason"],
            ),
            batches: registry.counter(
                "narthex_tsdb_ingestion_refused_batches_total",
                "Batches that were refused while ingestion was off.",
            ),
            resumed: registry.counter(
                "narthex_tsdb_ingestion_resumed_total",
                "How often ingestion was turned on again by itself.",
            ),
        }
    }
}

impl IngestionSwitch {
    /// A switch that is on.
    pub(crate) fn new(registry: &Registry) -> Self {
        Self(Arc::new(Shared {
            refused: AtomicBool::new(false),
            state: Mutex::new(State { ingestion: Ingestion::On, dir: None, probing: false }),
            changed: Condvar::new(),
            metrics: Metrics::new(registry),
        }))
    }

    /// Says where the disk is to be tried.
    pub(crate) fn watch(&self, dir: &Path, probe: Probe) {
        self.0.state.lock().dir = Some((dir.to_owned(), probe));
    }

    /// Ends the trying; the switch stays as it is.
    pub(crate) fn unwatch(&self) {
        self.0.state.lock().dir = None;
        self.0.changed.notify_all();
    }

    /// Whether samples are refused. One load.
    #[inline]
    pub(crate) fn is_refused(&self) -> bool {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// The state.
    pub(crate) fn state(&self) -> Ingestion {
        self.0.state.lock().ingestion.clone()
    }

    /// Why samples are refused, for those who are; `None` when they are not.
    #[cold]
    pub(crate) fn refusal(&self) -> Option<String> {
        match &self.0.state.lock().ingestion {
            Ingestion::On => None,
            Ingestion::Refused { reason, .. } => Some(reason.clone()),
        }
    }

    /// Counts a batch of which something was refused.
    pub(crate) fn count_refused(&self) {
        self.0.metrics.batches.inc();
    }

    /// Turns ingestion off because of `error`; off already: nothing happens.
    #[cold]
    pub(crate) fn refuse(&self, error: &io::Error) {
        let mut state = self.0.state.lock();
        if state.ingestion != Ingestion::On {
            return;
        }
        let (kind, reason) = match narthex_disk::is_disk_full(error) {
            true => ("disk_full", format!("the disk is full: {}", chain(error))),
            false => ("disk_error", format!("the disk cannot be written: {}", chain(error))),
        };
        tracing::error!(%reason, "samples are refused until the disk can be written again; queries go on");
        state.ingestion = Ingestion::Refused { since: SystemTime::now(), reason };
        self.0.refused.store(true, Ordering::Relaxed);
        self.0.metrics.refusals.with(&[kind]).inc();
        self.0.metrics.refused.set(1.0);
        self.probe_in_background(&mut state);
    }

    fn probe_in_background(&self, state: &mut State) {
        if state.probing || state.dir.is_none() {
            return;
        }
        let switch = self.clone();
        let thread =
            std::thread::Builder::new().name("disk-probe".into()).spawn(move || switch.probe_until_on());
        state.probing = thread.is_ok();
        if let Err(error) = thread {
            tracing::error!(%error, "cannot start the thread that waits for the disk; ingestion goes on with the next try");
            self.turn_on(state);
        }
    }

    fn probe_until_on(&self) {
        let mut state = self.0.state.lock();
        while let Some((dir, probe)) = state.dir.clone() {
            if self.0.changed.wait_for(&mut state, probe.every).timed_out() && state.dir.is_some() {
                drop(state);
                let tried = try_disk(&dir, probe);
                state = self.0.state.lock();
                match tried {
                    Ok(()) => {
                        self.turn_on(&mut state);
                        break;
                    }
                    Err(error) => tracing::debug!(%error, "the disk still cannot be written"),
                }
            }
        }
        state.probing = false;
    }

    fn turn_on(&self, state: &mut State) {
        if let Ingestion::Refused { since, .. } = std::mem::replace(&mut state.ingestion, Ingestion::On) {
            let off_s = since.elapsed().unwrap_or_default().as_secs_f64();
            tracing::warn!(off_s, "the disk can be written again; samples are taken");
            self.0.refused.store(false, Ordering::Relaxed);
            self.0.metrics.refused.set(0.0);
            self.0.metrics.resumed.inc();
        }
    }
}

/// An error with its causes.
fn chain(error: &io::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    text
}

/// A real write, as a segment gets it.
fn try_disk(dir: &Path, probe: Probe) -> io::Result<()> {
    let free = narthex_disk::free_bytes(dir)?;
    if free < probe.free_bytes {
        let text = format!("{free} bytes are free, {} are wanted", probe.free_bytes);
        return Err(io::Error::new(io::ErrorKind::StorageFull, text));
    }
    let path = dir.join("disk-probe.tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
    let tried = file.write_all(&vec![0x4e; probe.write_bytes]).and_then(|()| file.sync_all());
    std::fs::remove_file(&path)?;
    tried
}
