//! Replay of the WBL, the log of out-of-order samples: after the WAL, whose series it refers to.
//!
//! Facts: Prometheus `tsdb/docs/format/wal.md` and its WBL: samples records, histograms, and markers that say which samples lie
//! in chunks of `chunks_head` by now. Those chunks are given to their series first; at a marker, what they hold leaves the list
//! again, so that the lists stay as short as they were (see `late::seal`). Samples at whose moment the series has one are skipped:
//! the same sample may stand in both logs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use narthex_storage::SeriesRef;
use rustc_hash::FxBuildHasher;

use super::references::References;
use super::{Damage, ReplayError, ReplayReport};
use crate::head::Head;
use crate::head::append::SampleKind;
use crate::head::histograms::StoredHistogram;
use crate::head::late::{LateChunk, LateSample, LateSamples, NewLate};
use crate::head::slab::{PageCursor, place};
use crate::head_chunks::{ChunkRef, FoundChunk};
use narthex_wal::record::{
    self, AnyHistogram, DecodeError, HistogramSample, MmapMarker, RecordType, RefSample,
};
use narthex_wal::{ReadError, Reader, fill_last_page};

/// The chunks of late samples that a start found, by the reference that the WAL has.
#[derive(Debug, Default)]
pub(crate) struct FoundLate(HashMap<SeriesRef, Vec<LateChunk>, FxBuildHasher>);

impl FoundLate {
    /// Takes a chunk.
    pub(crate) fn add(&mut self, found: &FoundChunk) {
        let FoundChunk { chunk, min_ms, max_ms, samples, .. } = *found;
        self.0.entry(found.series).or_default().push(LateChunk { chunk, min_ms, max_ms, samples });
    }
}

/// Entries of series that the WAL does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnknownLate {
    pub(crate) samples: u64,
    pub(crate) histograms: u64,
    pub(crate) markers: u64,
    pub(crate) chunks: u64,
}

impl UnknownLate {
    /// The counts with Prometheus' words for the kinds; chunks, which it does not count, are left out.
    pub(crate) fn by_name(&self) -> [(&'static str, u64); 3] {
        [("samples", self.samples), ("histograms", self.histograms), ("mmap_markers", self.markers)]
    }
}

struct LateReplay<'a> {
    head: &'a Head,
    references: &'a mut References,
    samples: Vec<RefSample>,
    /// Samples that were taken.
    added: u64,
    unknown: UnknownLate,
    span: (i64, i64),
}

/// Gives the chunks that were found to their series, and reads the log in `dir`, if there is one, into a head that the WAL has
/// filled.
pub(super) fn replay(
    head: &Head,
    found: FoundLate,
    dir: &Path,
    references: &mut References,
    (damage, report): (Damage, &mut ReplayReport),
) -> Result<(), ReplayError> {
    let mut replay = LateReplay {
        head,
        references,
        samples: Vec::new(),
        added: 0,
        unknown: UnknownLate::default(),
        span: (i64::MAX, i64::MIN),
    };
    replay.add_chunks(found);
    if damage == Damage::Repair && dir.is_dir() {
        fill_last_page(dir).map_err(ReadError::from)?;
    }
    let read = match dir.is_dir() {
        true => Reader::open_dir(dir).and_then(|reader| replay.read(dir, reader)),
        false => Ok(()),
    };
    match read {
        Ok(()) => {}
        Err(error @ ReadError::Corrupt { .. }) => {
            report.corruptions += 1;
            damage.at(error)?;
        }
        Err(error) => return Err(error.into()),
    }
    head.late_span.widen(replay.span);
    report.unknown_late = replay.unknown;
    replay.log_report();
    Ok(())
}

impl LateReplay<'_> {
    fn read(&mut self, dir: &Path, mut reader: Reader) -> Result<(), ReadError> {
        while let Some(record) = reader.next()? {
            let at = record.start;
            self.apply(record.bytes).map_err(|error| ReadError::content(dir, at, error))?;
        }
        Ok(())
    }

    fn apply(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        match RecordType::of(bytes) {
            RecordType::Samples { .. } => self.add_samples(bytes),
            RecordType::MmapMarkers => record::decode_mmap_markers(bytes, |marker| self.settle(marker)),
            RecordType::Histograms(_) | RecordType::FloatHistograms(_) => self.add_histograms(bytes),
            _ => Ok(()),
        }
    }

    fn add_chunks(&mut self, found: FoundLate) {
        let mut cursor = PageCursor::new(&self.head.slab);
        for (series, chunks) in found.0 {
            let count = chunks.len() as u64;
            let span = chunks.iter().fold(self.span, |(min, max), c| (min.min(c.min_ms), max.max(c.max_ms)));
            let known = self.with_late(&mut cursor, series, |late| {
                chunks.into_iter().for_each(|chunk| late.add_chunk(chunk));
            });
            match known {
                true => {
                    self.span = span;
                    self.head.metrics.chunks_created(count);
                }
                false => self.unknown.chunks += count,
            }
        }
    }

    fn settle(&mut self, marker: MmapMarker) {
        let Some(files) = self.head.chunk_files.get() else { return };
        let mut cursor = PageCursor::new(&self.head.slab);
        let settle = |late: &mut LateSamples| late.settle(ChunkRef(marker.chunk), files);
        if !self.with_late(&mut cursor, marker.series, settle) {
            self.unknown.markers += 1;
        }
    }

    /// Changes the late samples of a series; `false` when the WAL does not know it.
    fn with_late(
        &mut self,
        cursor: &mut PageCursor<'_>,
        series: SeriesRef,
        change: impl FnOnce(&mut LateSamples),
    ) -> bool {
        let slot = self.references.find_near(cursor, series);
        let Some((slot, page)) = slot.and_then(|slot| Some((slot, self.head.slab.page(slot)?))) else {
            self.references.burn(self.head, series);
            return false;
        };
        page.rows.lock().series_mut(place(slot)).with_late(change);
        true
    }

    fn add_samples(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut samples = std::mem::take(&mut self.samples);
        samples.clear();
        let decoded = record::decode_samples(bytes, &mut samples);
        let head = self.head;
        let mut cursor = PageCursor::new(&head.slab);
        for sample in &samples {
            self.add(&mut cursor, NewLate::float(*sample));
        }
        self.samples = samples;
        decoded
    }

    fn add_histograms(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let head = self.head;
        let mut cursor = PageCursor::new(&head.slab);
        let decoded = record::decode_histograms(bytes, |sample| {
            let HistogramSample { series, t_ms, start_ms, .. } = sample;
            let histogram = match sample.histogram {
                AnyHistogram::Int(h) => StoredHistogram::Int(Arc::new(h.clone())),
                AnyHistogram::Float(h) => StoredHistogram::Float(Arc::new(h.clone())),
            };
            self.add(&mut cursor, NewLate::histogram(HistogramSample { series, t_ms, start_ms, histogram }));
        });
        decoded.map(drop)
    }

    fn add(&mut self, cursor: &mut PageCursor<'_>, sample: NewLate) {
        let NewLate { series, t_ms, start_ms, value } = sample;
        let sample = LateSample { t_ms, start_ms, value, seq: 0 };
        let slot = self.references.find_near(cursor, series);
        let Some((slot, page)) = slot.and_then(|slot| Some((slot, self.head.slab.page(slot)?))) else {
            self.references.burn(self.head, series);
            match sample.value.kind() {
                SampleKind::Float => self.unknown.samples += 1,
                SampleKind::Histogram => self.unknown.histograms += 1,
            }
            return;
        };
        self.span = (self.span.0.min(sample.t_ms), self.span.1.max(sample.t_ms));
        self.added += u64::from(page.rows.lock().series_mut(place(slot)).insert_late(sample));
    }

    fn log_report(&self) {
        tracing::info!(samples = self.added, "WBL replay completed");
        if self.unknown != UnknownLate::default() {
            let UnknownLate { samples, histograms, markers, chunks } = self.unknown;
            tracing::warn!(
                samples,
                histograms,
                markers,
                chunks,
                "skipped WBL entries and chunks of series that the WAL does not know; their series records were lost or deleted before"
            );
        }
    }
}
