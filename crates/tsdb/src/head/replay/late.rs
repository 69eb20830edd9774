//! Replay of the WBL, the log of out-of-order samples: after the WAL, whose series it refers to.
//!
//! Facts: Prometheus `tsdb/docs/format/wal.md` and its WBL: samples records, histograms, and markers that say which samples lie
//! in m-mapped chunks by now. Those chunks are not served yet; the samples before a marker are taken from the log as long as
//! it holds them. Samples at whose moment the series has one are skipped: the same sample may stand in both logs.

use std::path::Path;
use std::sync::Arc;

use super::references::References;
use super::{ReplayError, ReplayReport};
use crate::head::Head;
use crate::head::late::{LateSample, NewLate};
use crate::head::series::StoredHistogram;
use crate::head::slab::{PageCursor, place};
use narthex_wal::record::{self, AnyHistogram, DecodeError, HistogramSample, RecordType, RefSample};
use narthex_wal::{ReadError, Reader, repair};

/// What was found beside samples.
#[derive(Default)]
struct Skipped {
    /// Series whose samples were m-mapped, each time counted.
    markers: u64,
    /// Entries of series that the WAL does not know.
    unknown: u64,
}

struct LateReplay<'a> {
    head: &'a Head,
    references: &'a mut References,
    samples: Vec<RefSample>,
    /// Samples that were taken.
    added: u64,
    skipped: Skipped,
    span: (i64, i64),
}

/// Reads the log in `dir`, if there is one, into a head that the WAL has filled.
pub(super) fn replay(
    head: &Head,
    dir: &Path,
    references: &mut References,
    report: &mut ReplayReport,
) -> Result<(), ReplayError> {
    if !dir.is_dir() {
        return Ok(());
    }
    let mut replay = LateReplay {
        head,
        references,
        samples: Vec::new(),
        added: 0,
        skipped: Skipped::default(),
        span: (i64::MAX, i64::MIN),
    };
    match Reader::open_dir(dir).and_then(|reader| replay.read(dir, reader)) {
        Ok(()) => {}
        Err(error @ ReadError::Corrupt { .. }) => {
            report.corruptions += 1;
            repair(error)?;
        }
        Err(error) => return Err(error.into()),
    }
    head.late_span.widen(replay.span.0, replay.span.1);
    report.unknown_late = replay.skipped.unknown;
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
            RecordType::MmapMarkers => record::decode_mmap_markers(bytes, |marker| {
                // A chunk number of 0 only says that the series' first chunk was begun.
                self.skipped.markers += u64::from(marker.chunk != 0);
            }),
            RecordType::Histograms(_) | RecordType::FloatHistograms(_) => self.add_histograms(bytes),
            _ => Ok(()),
        }
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
            self.skipped.unknown += 1;
            return;
        };
        self.span = (self.span.0.min(sample.t_ms), self.span.1.max(sample.t_ms));
        self.added += u64::from(page.rows.lock().series_mut(place(slot)).insert_late(sample));
    }

    fn log_report(&self) {
        let Skipped { markers, unknown } = self.skipped;
        tracing::info!(samples = self.added, "WBL replay completed");
        if markers > 0 {
            tracing::warn!(
                markers,
                "the WBL refers to m-mapped chunks; this version serves only the samples that the WBL still holds"
            );
        }
        if unknown > 0 {
            tracing::warn!(
                samples = unknown,
                "skipped WBL entries of series that the WAL does not know; their series records were lost or deleted before"
            );
        }
    }
}
