//! Replay: from the WAL back to the head.
//!
//! One thread reads, checks and unpacks records (`ahead`); one decodes them and makes the series; the samples go in batches to
//! workers, each of which owns the pages whose number it matches, so that the samples of a series stay in order. Queues are
//! short: memory is bounded by some hundred thousand samples in flight.
//!
//! References: a series stays at the slot that its reference in the WAL names when that slot is free and the numbers are dense
//! (our own logs, mostly Prometheus' too). Else it moves (`references`), and its new reference is logged with its next sample. A
//! second reference for a label set maps to the first.
//! What refers to a series that the WAL does not know is counted and skipped. Samples of the WAL that came out of order are
//! skipped too; they come back from the WBL, a log of their own, which is read last (`late`).

mod ahead;
pub(crate) mod found;
mod late;
mod load;
mod outcome;
mod references;
mod snapshot;
#[cfg(test)]
mod tests;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use narthex_model::{Labels, Metadata};
use narthex_storage::SeriesRef;

use self::found::Found;
use self::load::Other;
pub use self::outcome::ReplayError;
use self::outcome::log_report;
pub(crate) use self::outcome::{Damage, ReplayReport, Unknown};
use self::references::References;
use self::worker::Workers;
use super::Head;
use super::histograms::StoredHistogram;
use super::slab::{PageCursor, place};
use crate::db::ReplayProgress;
use crate::snapshot::Snapshot;
use narthex_wal::record::{self, AnyHistogram, HistogramSample, LabelPairs, RecordType, RefSample};
use narthex_wal::{ReadError, Reader, ReplayPlan, WalPosition, fill_last_page, sweep_checkpoints};

/// What a head is filled from, beside the chunks in files.
pub(crate) struct Logs<'a> {
    /// The directory of the WAL.
    pub(crate) wal: &'a Path,
    /// That of the log of out-of-order samples.
    pub(crate) wbl: &'a Path,
    /// What stands for the WAL before its position; it was checked.
    pub(crate) snapshot: Option<Snapshot>,
}

/// Fills an empty head from the logs, cutting each at its first bad record.
pub(crate) fn replay(
    head: &Head,
    logs: &Logs<'_>,
    found: Found,
    progress: &ReplayProgress,
    damage: Damage,
) -> Result<ReplayReport, ReplayError> {
    let started = Instant::now();
    let mut report = ReplayReport::default();
    let dir = logs.wal;
    if dir.is_dir() {
        if damage == Damage::Repair {
            sweep_checkpoints(dir)?;
            fill_last_page(dir)?;
        }
        let plan = ReplayPlan::of(dir)?;
        let workers =
            std::thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1)).clamp(1, 4);
        let filled = std::thread::scope(|scope| {
            let mut replay = Replay::new(head, Workers::start(scope, head, workers), found, damage);
            replay.read_all(logs, &plan, progress, &mut report)?;
            let checkpoint = plan.checkpoint.as_ref().map_or(0, |(number, _)| *number);
            let last_segment = plan.segments.last().copied().unwrap_or(checkpoint);
            replay.finish(logs.wbl, last_segment, &mut report)
        });
        filled.map_err(|error: ReplayError| error)?;
    } else {
        // A log that is gone; its references must not come again while chunks have them.
        let mut references = References::default();
        found.unclaimed().for_each(|series| references.burn(head, series));
    }
    report.duration_s = started.elapsed().as_secs_f64();
    log_report(&report);
    Ok(report)
}

/// The reading side.
struct Replay<'a> {
    head: &'a Head,
    damage: Damage,
    workers: Workers<'a>,
    references: References,
    found: Found,
    /// Chunks that were given back to their series.
    chunks: u64,
    unknown: Unknown,
    /// Decoded samples of one record; kept for its memory.
    samples: Vec<RefSample>,
    histograms: u64,
    malformed: u64,
    span: (i64, i64),
    /// Whatever is older lies in blocks, ms.
    floor_ms: i64,
}

impl<'a> Replay<'a> {
    fn new(head: &'a Head, workers: Workers<'a>, found: Found, damage: Damage) -> Self {
        Self {
            head,
            damage,
            workers,
            references: References::default(),
            found,
            chunks: 0,
            unknown: Unknown::default(),
            samples: Vec::new(),
            histograms: 0,
            malformed: 0,
            span: (i64::MAX, i64::MIN),
            floor_ms: head.read_floor_ms(),
        }
    }

    fn read_all(
        &mut self,
        logs: &Logs<'_>,
        plan: &ReplayPlan,
        progress: &ReplayProgress,
        report: &mut ReplayReport,
    ) -> Result<(), ReplayError> {
        let behind = match &logs.snapshot {
            Some(snapshot) => {
                let failed =
                    |error| ReplayError::Snapshot { dir: snapshot.dir.clone(), source: Box::new(error) };
                self.read_snapshot(snapshot).map_err(failed)?;
                self.remember_older(logs.wal, plan, snapshot.position)?;
                snapshot.position
            }
            None => WalPosition::default(),
        };
        // A checkpoint may be younger than the snapshot.
        if let Some((number, checkpoint)) = &plan.checkpoint
            && (logs.snapshot.is_none() || *number >= behind.segment)
        {
            self.read_checkpoint(*number, checkpoint)?;
        }
        let first = plan.segments.iter().copied().find(|segment| *segment >= behind.segment);
        if let (Some(first), Some(last)) = (first, plan.segments.last()) {
            progress.begin(first, *last);
            let from = behind.max(WalPosition { segment: first, offset: 0 });
            let read = Reader::open(logs.wal, from, *last)
                .and_then(|reader| self.read(logs.wal, reader, |segment| progress.reach(segment)));
            self.cut_if_corrupt(read, report)?;
        }
        progress.finish();
        Ok(())
    }

    fn read_checkpoint(&mut self, number: u32, dir: &Path) -> Result<(), ReplayError> {
        tracing::info!(checkpoint = number, "replaying WAL checkpoint");
        let read = Reader::open_dir(dir).and_then(|reader| self.read(dir, reader, |_| {}));
        read.map_err(|source| match source {
            ReadError::Corrupt { .. } => ReplayError::Checkpoint { dir: dir.to_owned(), source },
            other => other.into(),
        })
    }

    /// Everything before a corruption is kept; what comes after depends on it and goes.
    fn cut_if_corrupt(
        &self,
        read: Result<(), ReadError>,
        report: &mut ReplayReport,
    ) -> Result<(), ReadError> {
        match read {
            Ok(()) => Ok(()),
            Err(error @ ReadError::Corrupt { .. }) => {
                report.corruptions += 1;
                self.damage.at(error)
            }
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, dir: &Path, reader: Reader, mut reach: impl FnMut(u32)) -> Result<(), ReadError> {
        let mut segment = None;
        ahead::read(reader, |start, bytes| {
            if segment != Some(start.segment) {
                segment = Some(start.segment);
                reach(start.segment);
            }
            self.apply(bytes).map_err(|error| ReadError::content(dir, start, error))?;
            Ok(!self.workers.ended())
        })
    }

    fn apply(&mut self, bytes: &[u8]) -> Result<(), record::DecodeError> {
        match RecordType::of(bytes) {
            RecordType::Series => {
                record::decode_series(bytes, |series, labels| self.add_series(series, labels))
            }
            RecordType::Samples { .. } => self.add_samples(bytes),
            RecordType::Histograms(_) | RecordType::FloatHistograms(_) => {
                record::decode_histograms(bytes, |sample| {
                    self.add_histogram(sample);
                })
                .map(drop)
            }
            RecordType::Exemplars => record::decode_exemplars(bytes, |e| self.add_exemplar(&e)),
            RecordType::Metadata => record::decode_metadata(bytes, |m| self.add_metadata(m)),
            RecordType::Tombstones => record::decode_tombstones(bytes, |t| self.add_tombstone(t)),
            RecordType::MmapMarkers | RecordType::Unknown => Ok(()),
        }
    }

    fn add_series(&mut self, series: SeriesRef, labels: LabelPairs<'_>) {
        let labels: Labels = labels.to_labels();
        if labels.is_empty() {
            return;
        }
        let placed = self.references.place(self.head, (series, &labels), self.workers.new_series());
        if let Some(slot) = placed
            && let Some(attached) = self.found.attach(self.head, series, slot, self.floor_ms)
        {
            self.chunks += attached.chunks;
            self.span = (self.span.0.min(attached.span.0), self.span.1.max(attached.span.1));
        }
    }

    /// PERF: the hottest loop of a restart: one page look-up a sample, no lock.
    fn add_samples(&mut self, bytes: &[u8]) -> Result<(), record::DecodeError> {
        let mut samples = std::mem::take(&mut self.samples);
        samples.clear();
        let decoded = record::decode_samples(bytes, &mut samples);
        let mut cursor = PageCursor::new(&self.head.slab);
        let (mut min_ms, mut max_ms) = self.span;
        for sample in &samples {
            let Some(slot) = self.references.find_near(&mut cursor, sample.series) else {
                self.unknown.samples += 1;
                self.references.burn(self.head, sample.series);
                continue;
            };
            if sample.t_ms < self.floor_ms {
                continue;
            }
            // What chunks in files hold is passed over here; a worker would do so too, after a copy.
            if cursor.find(slot).is_some_and(|(page, at)| sample.t_ms <= page.claimed_ms(at)) {
                continue;
            }
            min_ms = min_ms.min(sample.t_ms);
            max_ms = max_ms.max(sample.t_ms);
            self.workers.sample(slot, sample);
        }
        self.span = (min_ms, max_ms);
        self.samples = samples;
        decoded
    }

    fn add_histogram(&mut self, sample: HistogramSample<AnyHistogram<'_>>) {
        let HistogramSample { series, t_ms, start_ms, histogram } = sample;
        let Some(slot) = self.references.find(self.head, series) else {
            self.unknown.histograms += 1;
            return;
        };
        let histogram = match histogram {
            AnyHistogram::Int(h) => StoredHistogram::Int(Arc::new(h.clone())),
            AnyHistogram::Float(h) => StoredHistogram::Float(Arc::new(h.clone())),
        };
        if !histogram.has_its_buckets() {
            self.malformed += 1;
            return;
        }
        if t_ms < self.floor_ms {
            return;
        }
        self.span = (self.span.0.min(t_ms), self.span.1.max(t_ms));
        self.histograms += 1;
        self.workers.other(slot, Other::Histogram(HistogramSample { series, t_ms, start_ms, histogram }));
    }

    fn add_exemplar(&mut self, exemplar: &record::RefExemplar<'_>) {
        match self.references.find(self.head, exemplar.series).and_then(|slot| self.head.reference_of(slot)) {
            Some(_) if exemplar.t_ms < self.floor_ms => {}
            Some(series) => self.head.exemplars.lock().add(series, exemplar.to_exemplar()),
            None => self.unknown.exemplars += 1,
        }
    }

    fn add_metadata(&mut self, metadata: record::RefMetadata<'_>) {
        let Some(slot) = self.references.find(self.head, metadata.series) else {
            self.unknown.metadata += 1;
            return;
        };
        let number = self.head.metadata.intern(Metadata {
            kind: metadata.kind,
            unit: metadata.unit.into_owned(),
            help: metadata.help.into_owned(),
        });
        if let Some(page) = self.head.slab.page(slot) {
            page.rows.lock().series_mut(place(slot)).metadata = number;
        }
    }

    fn add_tombstone(&mut self, tombstone: record::Tombstone) {
        match self.references.find(self.head, tombstone.series) {
            Some(_) if tombstone.maxt_ms < self.floor_ms => {}
            Some(slot) => self.workers.other(slot, Other::Delete(tombstone.mint_ms, tombstone.maxt_ms)),
            None => self.unknown.tombstones += 1,
        }
    }

    /// `last_segment` of the WAL is the last one that was read.
    fn finish(
        mut self,
        late_dir: &Path,
        last_segment: u32,
        report: &mut ReplayReport,
    ) -> Result<(), ReplayError> {
        let applied = self.workers.finish()?;
        // The maintenance writes them soon, if they are many.
        self.head.chunks_begun.fetch_add(applied.chunks, Ordering::Relaxed);
        self.found.unclaimed().for_each(|series| self.references.burn(self.head, series));
        let found = std::mem::take(&mut self.found.late);
        late::replay(self.head, found, late_dir, &mut self.references, (self.damage, report))?;
        self.head.span.widen(self.span.0, self.span.1);
        self.references.finish(self.head, last_segment);
        report.series = self.head.series_count();
        report.samples = applied.samples + self.histograms;
        report.chunks = applied.chunks + self.chunks;
        report.unknown = self.unknown;
        report.malformed = self.malformed;
        Ok(())
    }
}
