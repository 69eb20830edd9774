//! Which entries of a record stay in a checkpoint.
//!
//! A record of which everything stays is copied byte by byte, so that what this version does not understand of it stays too;
//! one of which nothing stays is left out; others are encoded anew. In the steady state a record is one scrape, and all of it
//! stays or goes.

use narthex_model::{Exemplar, FloatHistogram, Histogram, Labels, Metadata};
use narthex_storage::SeriesRef;
use rustc_hash::FxHashMap;

use super::{BATCH_BYTES, CheckpointStats, Kept, Out};
use crate::WriteError;
use crate::record::{self, AnyHistogram, DecodeError, HistogramSample, RecordType, RefSample, Tombstone};

pub(super) struct Filter<'a> {
    mint_ms: i64,
    keep: &'a dyn Fn(SeriesRef) -> bool,
    stats: CheckpointStats,
    /// Decoded samples of one record; kept for its memory.
    samples: Vec<RefSample>,
    metadata: NewestMetadata,
}

/// The newest metadata of each series. Families share their texts.
#[derive(Default)]
struct NewestMetadata {
    numbers: FxHashMap<Metadata, u32>,
    of_series: FxHashMap<SeriesRef, u32>,
}

impl Kept {
    /// Counts one entry; passes on whether it stays.
    fn count(&mut self, stays: bool) -> bool {
        self.total += 1;
        self.dropped += u64::from(!stays);
        stays
    }

    fn since(self, before: Self) -> Share {
        let (total, dropped) = (self.total - before.total, self.dropped - before.dropped);
        match dropped {
            0 => Share::All,
            _ if dropped == total => Share::None,
            _ => Share::Some,
        }
    }
}

/// How much of a record stays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    All,
    Some,
    None,
}

impl<'a> Filter<'a> {
    pub(super) fn new(mint_ms: i64, keep: &'a dyn Fn(SeriesRef) -> bool) -> Self {
        let (stats, samples, metadata) = Default::default();
        Self { mint_ms, keep, stats, samples, metadata }
    }

    /// Copies to `out` what stays of a record.
    pub(super) fn take(&mut self, bytes: &[u8], out: &mut Out) -> Result<(), DecodeError> {
        match RecordType::of(bytes) {
            RecordType::Series => self.series(bytes, out),
            RecordType::Samples { .. } => self.samples(bytes, out),
            RecordType::Histograms(_) | RecordType::FloatHistograms(_) => self.histograms(bytes, out),
            RecordType::Exemplars => self.exemplars(bytes, out),
            RecordType::Tombstones => self.tombstones(bytes, out),
            RecordType::Metadata => self.metadata(bytes),
            // COMPAT: markers do not belong here, and unknown types cannot be thinned out; Prometheus drops both.
            RecordType::MmapMarkers | RecordType::Unknown => Ok(()),
        }
    }

    fn series(&mut self, bytes: &[u8], out: &mut Out) -> Result<(), DecodeError> {
        let before = self.stats.series;
        let mut kept: Vec<(SeriesRef, Labels)> = Vec::new();
        let (count, keep) = (&mut self.stats.series, self.keep);
        record::decode_series(bytes, |series, _| {
            count.count(keep(series));
        })?;
        match self.stats.series.since(before) {
            Share::All => out.copy(bytes),
            Share::None => {}
            Share::Some => {
                record::decode_series(bytes, |series, pairs| {
                    if keep(series) {
                        kept.push((series, pairs.to_labels()));
                    }
                })?;
                record::encode_series(kept.iter().map(|(series, labels)| (*series, labels)), &mut out.bytes);
                out.end_record();
            }
        }
        Ok(())
    }

    fn samples(&mut self, bytes: &[u8], out: &mut Out) -> Result<(), DecodeError> {
        self.samples.clear();
        record::decode_samples(bytes, &mut self.samples)?;
        let (before, mint_ms) = (self.stats.samples, self.mint_ms);
        let count = &mut self.stats.samples;
        self.samples.retain(|sample| count.count(sample.t_ms >= mint_ms));
        match self.stats.samples.since(before) {
            Share::All => out.copy(bytes),
            Share::None => {}
            Share::Some => {
                record::encode_samples(&self.samples, &mut out.bytes);
                out.end_record();
            }
        }
        Ok(())
    }

    fn histograms(&mut self, bytes: &[u8], out: &mut Out) -> Result<(), DecodeError> {
        let (before, mint_ms) = (self.stats.samples, self.mint_ms);
        let count = &mut self.stats.samples;
        record::decode_histograms(bytes, |sample| {
            count.count(sample.t_ms >= mint_ms);
        })?;
        match self.stats.samples.since(before) {
            Share::All => out.copy(bytes),
            Share::None => {}
            Share::Some => thin_histograms(bytes, mint_ms, out)?,
        }
        Ok(())
    }

    fn exemplars(&mut self, bytes: &[u8], out: &mut Out) -> Result<(), DecodeError> {
        let (before, mint_ms) = (self.stats.exemplars, self.mint_ms);
        let count = &mut self.stats.exemplars;
        let mut kept: Vec<(SeriesRef, Exemplar)> = Vec::new();
        record::decode_exemplars(bytes, |exemplar| {
            if count.count(exemplar.t_ms >= mint_ms) {
                kept.push((exemplar.series, exemplar.to_exemplar()));
            }
        })?;
        match self.stats.exemplars.since(before) {
            Share::All => out.copy(bytes),
            Share::None => {}
            Share::Some => {
                let kept: Vec<(SeriesRef, &Exemplar)> = kept.iter().map(|(s, e)| (*s, e)).collect();
                record::encode_exemplars(&kept, &mut out.bytes);
                out.end_record();
            }
        }
        Ok(())
    }

    fn tombstones(&mut self, bytes: &[u8], out: &mut Out) -> Result<(), DecodeError> {
        let (mint_ms, keep) = (self.mint_ms, self.keep);
        let count = &mut self.stats.tombstones;
        let mut kept: Vec<Tombstone> = Vec::new();
        record::decode_tombstones(bytes, |tombstone| {
            if count.count(tombstone.maxt_ms >= mint_ms && keep(tombstone.series)) {
                kept.push(tombstone);
            }
        })?;
        if !kept.is_empty() {
            record::encode_tombstones(&kept, &mut out.bytes);
            out.end_record();
        }
        Ok(())
    }

    fn metadata(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let (newest, keep) = (&mut self.metadata, self.keep);
        let count = &mut self.stats.metadata;
        record::decode_metadata(bytes, |entry| {
            if !keep(entry.series) {
                count.count(false);
                return;
            }
            let (unit, help) = (entry.unit.into_owned(), entry.help.into_owned());
            let next = newest.numbers.len() as u32;
            let number = *newest.numbers.entry(Metadata { kind: entry.kind, unit, help }).or_insert(next);
            count.count(newest.of_series.insert(entry.series, number).is_none());
        })
    }

    /// Puts the metadata behind everything else.
    pub(super) fn finish(self, out: &mut Out) -> Result<CheckpointStats, WriteError> {
        let NewestMetadata { numbers, of_series } = self.metadata;
        let mut texts: Vec<(u32, Metadata)> =
            numbers.into_iter().map(|(text, number)| (number, text)).collect();
        texts.sort_unstable_by_key(|(number, _)| *number);
        let mut of_series: Vec<(SeriesRef, u32)> = of_series.into_iter().collect();
        of_series.sort_unstable();
        // A help text may be long, so a record is ended by what it holds, not by its number of entries.
        for few in of_series.chunks(1024) {
            let entries = few.iter().map(|(series, number)| (*series, &texts[*number as usize].1));
            record::encode_metadata(entries, &mut out.bytes);
            out.end_record();
            if out.bytes.len() >= BATCH_BYTES {
                out.flush()?;
            }
        }
        Ok(self.stats)
    }
}

/// Encodes the histograms of a record from `mint_ms` on.
#[cold]
fn thin_histograms(bytes: &[u8], mint_ms: i64, out: &mut Out) -> Result<(), DecodeError> {
    let mut ints: Vec<HistogramSample<Histogram>> = Vec::new();
    let mut floats: Vec<HistogramSample<FloatHistogram>> = Vec::new();
    record::decode_histograms(bytes, |sample| {
        let HistogramSample { series, t_ms, start_ms, histogram } = sample;
        match histogram {
            _ if t_ms < mint_ms => {}
            AnyHistogram::Int(h) => {
                ints.push(HistogramSample { series, t_ms, start_ms, histogram: h.clone() });
            }
            AnyHistogram::Float(h) => {
                floats.push(HistogramSample { series, t_ms, start_ms, histogram: h.clone() });
            }
        }
    })?;
    let ints: Vec<_> = ints.iter().map(lend).collect();
    let floats: Vec<_> = floats.iter().map(lend).collect();
    let Out { bytes, ends, .. } = out;
    record::encode_histograms(&ints, bytes, |end| ends.push(end));
    record::encode_float_histograms(&floats, bytes, |end| ends.push(end));
    Ok(())
}

fn lend<H>(sample: &HistogramSample<H>) -> HistogramSample<&H> {
    let HistogramSample { series, t_ms, start_ms, histogram } = sample;
    HistogramSample { series: *series, t_ms: *t_ms, start_ms: *start_ms, histogram }
}
