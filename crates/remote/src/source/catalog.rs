//! The labels of every series that the log may name.
//!
//! Filled from checkpoint and segments once, before the first endpoint reads, and from blocks after that. When a newer checkpoint
//! appears, series go whose newest record lay in a segment that it stands for and that it does not name: nothing that is left
//! of the log refers to them, and everything that did was acknowledged, as the log is held for that.
//! A truncation may come at any time: what a scan wants to read may be gone; then it looks again.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use narthex_model::Labels;
use narthex_storage::SeriesRef;
use narthex_wal::record::{RecordType, decode_series};
use narthex_wal::{DirError, ReadError, Reader, ReplayPlan, WalPosition, list_checkpoints};
use parking_lot::Mutex;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::series::Series;

/// How often to look for a newer checkpoint. A truncation comes every hour or two.
const LOOK_EVERY: Duration = if cfg!(test) { Duration::from_millis(1) } else { Duration::from_secs(10) };
/// Truncations that may come while the log is scanned.
const TRIES: usize = 5;

/// See the module's words.
pub(super) struct Catalog {
    dir: PathBuf,
    external: Labels,
    state: Mutex<State>,
    /// When somebody last looked for a newer checkpoint. Lock: before `state`; who finds it taken goes on.
    looked: Mutex<Option<Instant>>,
    epoch: AtomicU64,
}

#[derive(Default)]
struct State {
    series: FxHashMap<SeriesRef, Known>,
    /// Every series record before this was read; `None` until the first scan.
    until: Option<WalPosition>,
    /// The checkpoint by which series were forgotten last.
    checkpoint: Option<u32>,
}

/// A series of the log.
pub(super) struct Known {
    pub(super) series: Series,
    /// The segment of its newest record; for one from a checkpoint the segment that this stands for.
    pub(super) segment: u32,
}

impl Catalog {
    pub(super) fn new(dir: &Path, external: Labels) -> Self {
        let (state, looked, epoch) = Default::default();
        Self { dir: dir.to_owned(), external, state, looked, epoch }
    }

    pub(super) fn series(&self, series: SeriesRef) -> Option<Series> {
        self.state.lock().series.get(&series).map(|known| known.series.clone())
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn with_known(&self, check: impl FnOnce(&dyn Fn(SeriesRef) -> bool)) {
        let state = self.state.lock();
        check(&|series| state.series.contains_key(&series));
    }

    /// Takes over what a block of `[start, end)` brought.
    pub(super) fn add(&self, series: Vec<(SeriesRef, Known)>, start: WalPosition, end: WalPosition) {
        let mut state = self.state.lock();
        state.series.extend(series);
        if state.until.is_some_and(|until| start <= until && until < end) {
            state.until = Some(end);
        }
    }

    /// Reads the series records before `to` that were not read yet. The first call reads checkpoint and log.
    pub(super) fn scan(&self, to: WalPosition) -> Result<(), ReadError> {
        let mut state = self.state.lock();
        if state.until.is_some_and(|until| until >= to) {
            return Ok(());
        }
        for _ in 1..TRIES {
            match self.try_scan(to, &mut state) {
                // A truncation came in between; what was collected so far stays right.
                Err(error) if is_missing(&error) => state.until = None,
                done => return done,
            }
        }
        self.try_scan(to, &mut state)
    }

    fn try_scan(&self, to: WalPosition, state: &mut State) -> Result<(), ReadError> {
        let from = match state.until {
            Some(until) => until,
            None => {
                let plan = ReplayPlan::of(&self.dir)?;
                if let Some((index, checkpoint)) = &plan.checkpoint {
                    self.collect_checkpoint(*index, checkpoint, state)?;
                }
                let first = plan.segments.first().copied().unwrap_or(to.segment);
                WalPosition { segment: first, offset: 0 }
            }
        };
        self.collect_log(from, to, state)?;
        state.until = Some(from.max(to));
        Ok(())
    }

    fn collect_checkpoint(&self, index: u32, dir: &Path, state: &mut State) -> Result<(), ReadError> {
        let mut reader = Reader::open_dir(dir)?;
        let read = for_each_series(&mut reader, None, |series, pairs, _| {
            state.series.insert(series, Known { series: Series::new(pairs, &self.external), segment: index });
        });
        state.checkpoint = Some(index);
        match read {
            Err(error @ ReadError::Corrupt { .. }) => {
                tracing::error!(%error, "series of the rest of this WAL checkpoint are not known to remote write");
                Ok(())
            }
            done => done,
        }
    }

    /// Collects the series of `[from, to)`; a corrupt place costs the rest of its segment.
    fn collect_log(
        &self,
        mut from: WalPosition,
        to: WalPosition,
        state: &mut State,
    ) -> Result<(), ReadError> {
        loop {
            let read = Reader::open(&self.dir, from, to.segment).and_then(|mut reader| {
                for_each_series(&mut reader, Some(to), |series, pairs, at| {
                    let known = Known { series: Series::new(pairs, &self.external), segment: at.segment };
                    state.series.insert(series, known);
                })
            });
            match read {
                Err(error @ ReadError::Corrupt { segment, .. }) => {
                    tracing::error!(%error, "series of the rest of this WAL segment are not known to remote write");
                    from = WalPosition { segment: segment + 1, offset: 0 };
                }
                done => return done,
            }
        }
    }

    /// Forgets series that neither the newest checkpoint nor a segment behind it names, if there is a newer one than last
    /// time. Looks at the directory every few seconds at most.
    pub(super) fn forget_truncated(&self) {
        let Some(mut looked) = self.looked.try_lock() else { return };
        if looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return;
        }
        *looked = Some(Instant::now());
        let newest = list_checkpoints(&self.dir).ok().and_then(|mut all| all.pop());
        let Some((index, path)) = newest else { return };
        if self.state.lock().checkpoint >= Some(index) {
            return;
        }
        let mut kept = HashSet::with_hasher(FxBuildHasher);
        let read = Reader::open_dir(&path).and_then(|mut reader| {
            for_each_series(&mut reader, None, |series, _, _| {
                kept.insert(series);
            })
        });
        if let Err(error) = read {
            // Replaced by a newer one, or not readable: then all series stay known until the next.
            tracing::debug!(%error, "cannot read the newest WAL checkpoint");
            return;
        }
        let mut state = self.state.lock();
        state.series.retain(|series, known| known.segment > index || kept.contains(series));
        state.series.shrink_to_fit();
        state.checkpoint = Some(index);
        drop(state);
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

/// Whether a file is gone that was there a moment ago.
fn is_missing(error: &ReadError) -> bool {
    match error {
        ReadError::Io { source, .. } | ReadError::Dir(DirError::Io { source, .. }) => {
            source.kind() == ErrorKind::NotFound
        }
        ReadError::Dir(DirError::Gap { .. }) => true,
        ReadError::Corrupt { .. } => false,
    }
}

fn for_each_series(
    reader: &mut Reader,
    to: Option<WalPosition>,
    mut visit: impl FnMut(SeriesRef, narthex_wal::record::LabelPairs<'_>, WalPosition),
) -> Result<(), ReadError> {
    while reader.position().is_some_and(|at| to.is_none_or(|to| at < to)) {
        let Some(record) = reader.next_series()? else { break };
        if RecordType::of(record.bytes) != RecordType::Series || to.is_some_and(|to| record.start >= to) {
            continue;
        }
        let at = record.start;
        if let Err(error) = decode_series(record.bytes, |series, pairs| visit(series, pairs, at)) {
            tracing::error!(%at, %error, "WAL record of series makes no sense");
        }
    }
    Ok(())
}
