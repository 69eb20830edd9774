//! Every series that the log may name: its number, its lane, and where its labels are.
//!
//! Labels are borrowed from the head; those of series that left it are looked for in the log when an endpoint needs them that is
//! behind, all at once. Filled from checkpoint and segments once, before the first endpoint reads, and from blocks after that. When a newer checkpoint
//! appears, series go whose newest record lay in a segment that it stands for and that it does not name: nothing that is left
//! of the log refers to them, and everything that did was acknowledged, as the log is held for that.
//! A truncation may come at any time: what a scan wants to read may be gone; then it looks again.

mod numbering;
mod rows;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use narthex_model::Labels;
use narthex_storage::{LentVisitor, LiveSeries, SeriesRef};
use narthex_wal::record::{RecordType, RefSample, decode_series};
use narthex_wal::{DirError, ReadError, Reader, ReplayPlan, WalPosition, list_checkpoints};
use parking_lot::Mutex;
use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;

use self::numbering::{Named, Numbering, Source};
use crate::place::Place;
use crate::series::Series;
use crate::texts::Texts;

/// How often to look for a newer checkpoint. A truncation comes every hour or two.
const LOOK_EVERY: Duration = if cfg!(test) { Duration::from_millis(1) } else { Duration::from_secs(10) };
/// Truncations that may come while the log is scanned.
const TRIES: usize = 5;

/// See the module's words.
pub(super) struct Catalog {
    dir: PathBuf,
    live: Option<Arc<dyn LiveSeries>>,
    state: Mutex<State>,
    /// When somebody last looked for a newer checkpoint. Lock: before `state`; who finds it taken goes on.
    looked: Mutex<Option<Instant>>,
    epoch: AtomicU64,
}

#[derive(Default)]
struct State {
    numbering: Numbering,
    /// Every series record before this was read; `None` until the first scan.
    until: Option<WalPosition>,
    /// The checkpoint by which series were forgotten last.
    checkpoint: Option<u32>,
}

/// A series record.
pub(super) struct NewSeries {
    pub(super) series: SeriesRef,
    pub(super) labels: Labels,
    /// The segment that it is in.
    pub(super) segment: u32,
}

impl Catalog {
    pub(super) fn new(dir: &Path, live: Option<Arc<dyn LiveSeries>>) -> Self {
        let (state, looked, epoch) = Default::default();
        Self { dir: dir.to_owned(), live, state, looked, epoch }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The place of a reference.
    pub(super) fn place(&self, series: SeriesRef) -> Option<Place> {
        self.state.lock().numbering.place(series)
    }

    /// Puts places where references are: [`Place::bits`], or `u64::MAX` for one whose record was lost.
    pub(super) fn resolve(&self, samples: &mut [RefSample]) {
        let mut state = self.state.lock();
        for sample in samples {
            sample.series = SeriesRef(state.numbering.place(sample.series).map_or(u64::MAX, Place::bits));
        }
    }

    pub(super) fn with_current(&self, check: impl FnOnce(&dyn Fn(Place) -> bool)) {
        let state = self.state.lock();
        check(&|place| state.numbering.is_current(place));
    }

    /// Adds the labels of some numbers of the catalog, and the external ones, to `texts`, in their order; none where they are lost.
    pub(super) fn labels(&self, numbers: &[u32], external: &Labels, texts: &mut Texts) {
        let sources: Vec<Option<Source>> = {
            let state = self.state.lock();
            numbers.iter().map(|number| state.numbering.source(*number)).collect()
        };
        let (first, mut missing) = (texts.len(), Vec::new());
        let mut at = 0;
        for run in sources.chunk_by(|a, b| matches!((a, b), (Some(Source::Head(_)), Some(Source::Head(_))))) {
            match &run[0] {
                Some(Source::Own(series)) => texts.push(series.with_external(external).labels()),
                Some(Source::Head(_)) => self.borrow(run, external, texts, |place| missing.push(at + place)),
                None => texts.push(&[]),
            }
            at += run.len();
        }
        if !missing.is_empty() {
            self.find_missing((numbers, &missing), external, first, texts);
        }
    }

    /// See [`super::Source::lend`].
    pub(super) fn lend(&self, numbers: &[u32], visit: &mut LentVisitor<'_>) -> bool {
        let Some(live) = &self.live else { return false };
        let of_head = |source: Option<Source>| match source {
            Some(Source::Head(series)) => Some(series),
            Some(Source::Own(_)) | None => None,
        };
        let references: Option<SmallVec<[SeriesRef; 64]>> = {
            let state = self.state.lock();
            numbers.iter().map(|number| of_head(state.numbering.source(*number))).collect()
        };
        let Some(references) = references else { return false };
        let mut all = true;
        live.lend_labels(&references, &mut |at, labels, texts| {
            all &= !labels.is_empty();
            if all {
                visit(at, labels, texts);
            }
        });
        all
    }

    fn borrow(
        &self,
        run: &[Option<Source>],
        external: &Labels,
        texts: &mut Texts,
        mut missing: impl FnMut(usize),
    ) {
        let of_head = |source: &Option<Source>| match source {
            Some(Source::Head(series)) => *series,
            _ => unreachable!("a run is of one kind"),
        };
        let references: Vec<SeriesRef> = run.iter().map(of_head).collect();
        let live = self.live.as_ref().expect("without a head nothing is borrowed");
        texts.begin_borrowing();
        live.visit_labels(&references, &mut |at, labels| {
            if labels.is_empty() {
                missing(at);
            }
            texts.push_borrowed(labels, external);
        });
    }

    /// Fills in the labels of series that left the head; `texts` has `numbers` from `first` on.
    #[cold]
    fn find_missing(
        &self,
        (numbers, missing): (&[u32], &[usize]),
        external: &Labels,
        first: usize,
        texts: &mut Texts,
    ) {
        let mut state = self.state.lock();
        let is_known = |n: &Numbering, at: &usize| n.copy(numbers[*at]).is_some() || n.is_lost(numbers[*at]);
        if !missing.iter().all(|at| is_known(&state.numbering, at))
            && let Err(error) = self.copy_left(&mut state)
        {
            tracing::error!(%error, "cannot look for the labels of series that left the head");
        }
        for at in missing {
            if let Some(series) = state.numbering.copy(numbers[*at]) {
                texts.set(first + at, series.with_external(external).labels());
            }
        }
    }

    /// Copies the labels of all series that left the head from the log.
    fn copy_left(&self, state: &mut State) -> Result<(), ReadError> {
        let left = state.numbering.left(self.live.as_deref());
        let mut copies = FxHashMap::default();
        let to = state.until.unwrap_or_default();
        let mut tries = 0;
        loop {
            let mut visit = |series: SeriesRef, labels: Labels, _| {
                if let Some(number) = left.get(&series) {
                    copies.insert(*number, Series::of_labels(&labels));
                }
            };
            let plan = ReplayPlan::of(&self.dir)?;
            let read = match &plan.checkpoint {
                Some((index, checkpoint)) => collect_checkpoint(*index, checkpoint, &mut visit),
                None => Ok(()),
            };
            let first = plan.segments.first().copied().unwrap_or(to.segment);
            let from = WalPosition { segment: first, offset: 0 };
            tries += 1;
            match read.and_then(|()| self.collect_log(from, to, &mut visit)) {
                Err(error) if is_missing(&error) && tries < TRIES => continue,
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        state.numbering.found(copies, left.into_values());
        Ok(())
    }

    /// Takes over what a block of `[start, end)` brought.
    pub(super) fn add(&self, series: &[NewSeries], start: WalPosition, end: WalPosition) {
        let mut state = self.state.lock();
        for NewSeries { series, labels, segment } in series {
            let named = Named { series: *series, labels, segment: *segment, is_early: false };
            state.numbering.learn(&named, self.live.as_deref());
        }
        if state.until.is_some_and(|until| start <= until && until < end) {
            state.until = Some(end);
        }
    }

    /// Reads the series records before `to` that were not read yet. The first call reads checkpoint and log up to `tip`.
    pub(super) fn scan(&self, to: WalPosition, tip: WalPosition) -> Result<(), ReadError> {
        let mut state = self.state.lock();
        if state.until.is_some_and(|until| until >= to) {
            return Ok(());
        }
        let is_early = state.until.is_none();
        let to = if is_early { to.max(tip) } else { to };
        for _ in 1..TRIES {
            match self.try_scan(to, is_early, &mut state) {
                // A truncation came in between; what was collected so far stays right.
                Err(error) if is_missing(&error) => state.until = None,
                done => return done,
            }
        }
        self.try_scan(to, is_early, &mut state)
    }

    fn try_scan(&self, to: WalPosition, is_early: bool, state: &mut State) -> Result<(), ReadError> {
        let State { numbering, until, checkpoint } = state;
        let mut visit = |series, labels: Labels, segment| {
            let named = Named { series, labels: &labels, segment, is_early };
            numbering.learn(&named, self.live.as_deref());
        };
        let from = match *until {
            Some(until) => until,
            None => {
                let plan = ReplayPlan::of(&self.dir)?;
                if let Some((index, dir)) = &plan.checkpoint {
                    collect_checkpoint(*index, dir, &mut visit)?;
                    *checkpoint = Some(*index);
                }
                let first = plan.segments.first().copied().unwrap_or(to.segment);
                WalPosition { segment: first, offset: 0 }
            }
        };
        self.collect_log(from, to, &mut visit)?;
        *until = Some(from.max(to));
        Ok(())
    }

    /// Collects the series of `[from, to)`; a corrupt place costs the rest of its segment.
    fn collect_log(
        &self,
        mut from: WalPosition,
        to: WalPosition,
        visit: &mut dyn FnMut(SeriesRef, Labels, u32),
    ) -> Result<(), ReadError> {
        loop {
            let read = Reader::open(&self.dir, from, to.segment).and_then(|mut reader| {
                for_each_series(&mut reader, Some(to), |series, pairs, at| {
                    visit(series, pairs.to_labels(), at.segment);
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
        let live = self.live.as_deref();
        state.numbering.retain(|series, segment| {
            segment > index || kept.contains(&series) || live.is_some_and(|live| live.is_live(series))
        });
        state.checkpoint = Some(index);
        drop(state);
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

/// Collects the series of a checkpoint; a corrupt place costs its rest.
fn collect_checkpoint(
    index: u32,
    dir: &Path,
    visit: &mut dyn FnMut(SeriesRef, Labels, u32),
) -> Result<(), ReadError> {
    let mut reader = Reader::open_dir(dir)?;
    match for_each_series(&mut reader, None, |series, pairs, _| visit(series, pairs.to_labels(), index)) {
        Err(error @ ReadError::Corrupt { .. }) => {
            tracing::error!(%error, "series of the rest of this WAL checkpoint are not known to remote write");
            Ok(())
        }
        done => done,
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
