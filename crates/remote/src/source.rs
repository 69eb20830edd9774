//! The log as endpoints read it: blocks of decoded records, and the labels of every series.
//!
//! An endpoint asks for the block that begins at its position. Near the tip the last blocks are kept, so that endpoints that keep
//! up share one decode; an endpoint that lags reads with a tailer of its own and disturbs nobody. Nobody waits for anybody.
//! The catalog (`source::catalog`) knows the series of all records before a block.
//! Locks: `near` before the catalog's.

mod block;
mod catalog;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use narthex_model::Labels;
use narthex_storage::{LentVisitor, LiveSeries, SeriesRef};
use narthex_wal::record::{
    AnyHistogram, DecodeError, RecordType, RefSample, decode_exemplars, decode_histograms, decode_samples,
    decode_series,
};
use narthex_wal::{ReadError, Record, Tail, Tailer, Tip, WalPosition, list_segments, segment_path};
use parking_lot::Mutex;

pub use self::block::OtherKind;
pub(crate) use self::block::{Block, Other};
use self::catalog::{Catalog, NewSeries};
use crate::metrics::{RecordKind, RemoteMetrics};
use crate::place::Place;
use crate::series::Series;
use crate::texts::Texts;
use crate::wire;

/// A block ends at the first record after this many samples.
const BLOCK_SAMPLES: usize = 16 * 1024;
/// Endpoints within this distance of the tip share blocks.
const NEAR_BYTES: u64 = 8 << 20;
/// Blocks that are kept for endpoints a little behind, and the samples that more than one of them may have.
const KEPT_BLOCKS: usize = 8;
const KEPT_SAMPLES: usize = 16 * 1024;

/// The log of one data directory, shared by its endpoints.
pub(crate) struct Source {
    dir: PathBuf,
    tip: Tip,
    external: Labels,
    metrics: RemoteMetrics,
    near: Mutex<Near>,
    catalog: Catalog,
    /// Buffers for the samples of blocks.
    spare: Mutex<Vec<Vec<RefSample>>>,
    /// Has as many owners as there are readers, and one more.
    readers: Arc<()>,
    /// Records before this were counted, however many endpoints read them.
    counted: Mutex<WalPosition>,
}

/// Who reads the log all the time; dropped when it does no more.
pub(crate) struct Reader {
    _counted: Arc<()>,
}

#[derive(Default)]
struct Near {
    blocks: VecDeque<Arc<Block>>,
    follower: Follower,
}

impl Near {
    /// Keeps a block for the other endpoints; the oldest ones go when there are many or large ones.
    fn keep(&mut self, block: Arc<Block>) {
        self.blocks.push_back(block);
        let mut samples: usize = self.blocks.iter().map(|block| block.len()).sum();
        while self.blocks.len() > KEPT_BLOCKS || (self.blocks.len() > 1 && samples > KEPT_SAMPLES) {
            samples -= self.blocks.pop_front().map_or(0, |oldest| oldest.len());
        }
    }
}

/// The series that a block names while it is decoded.
#[derive(Default)]
struct Naming {
    new: Vec<NewSeries>,
    /// Those of exemplars and histograms, in their order.
    others: Vec<SeriesRef>,
}

/// A tailer, and the position that its next record is known by.
#[derive(Default)]
pub(crate) struct Follower {
    tailer: Option<(WalPosition, Tailer)>,
}

impl Source {
    /// The log in `dir`, whose writer publishes `tip`. What is sent gets the external labels. `live` has most of them in memory.
    #[must_use]
    pub(crate) fn new(
        dir: &Path,
        tip: Tip,
        external: Labels,
        live: Option<Arc<dyn LiveSeries>>,
        metrics: RemoteMetrics,
    ) -> Self {
        let (near, counted, readers, spare) = Default::default();
        let catalog = Catalog::new(dir, live);
        Self { dir: dir.to_owned(), tip, external, metrics, near, catalog, spare, readers, counted }
    }

    /// Counts a reader: blocks are kept for others as long as there is more than one.
    #[must_use]
    pub(crate) fn join(&self) -> Reader {
        Reader { _counted: Arc::clone(&self.readers) }
    }

    /// Takes a block back that the caller has read: if nobody else has it, its buffer serves the next one.
    pub(crate) fn recycle(&self, block: Arc<Block>) {
        if let Ok(Block { mut samples, .. }) = Arc::try_unwrap(block)
            && samples.capacity() <= 2 * BLOCK_SAMPLES
        {
            samples.clear();
            let mut spare = self.spare.lock();
            if spare.is_empty() {
                spare.push(samples);
            }
        }
    }

    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.readers) > 2
    }

    /// Adds the labels of numbers that blocks named to `texts`, with the external ones; none where the log has lost them. A few
    /// dozen at a time.
    pub(crate) fn labels(&self, numbers: &[u32], texts: &mut Texts) {
        self.catalog.labels(numbers, &self.external, texts);
    }

    /// Calls `visit` with the labels of numbers that blocks named as numbers of the head's texts, without the external ones; `false`,
    /// and perhaps not for all of them, when one is not in the head.
    pub(crate) fn lend(&self, numbers: &[u32], visit: &mut LentVisitor<'_>) -> bool {
        self.catalog.lend(numbers, visit)
    }

    /// The labels that all series get.
    #[must_use]
    pub(crate) fn external(&self) -> &Labels {
        &self.external
    }

    /// The place of a reference.
    #[cfg(test)]
    pub(crate) fn place(&self, series: SeriesRef) -> Option<Place> {
        self.catalog.place(series)
    }

    /// A series that a block named, as the log has it; `None` when the log has lost its labels.
    #[must_use]
    pub(crate) fn series(&self, place: Place) -> Option<Series> {
        let mut texts = Texts::default();
        self.catalog.labels(&[place.number], &Labels::empty(), &mut texts);
        Some(texts.get(0))
            .filter(|labels| !labels.is_empty())
            .map(|labels| Series::of_fields(place.lane, labels))
    }

    /// How far the log reaches.
    #[must_use]
    pub(crate) fn tip(&self) -> WalPosition {
        self.tip.position()
    }

    /// How much of the log lies behind `from`: bytes, and how long ago the segment that `from` is in was written last; no time
    /// for the segment that is being written.
    #[must_use]
    pub(crate) fn held(&self, from: WalPosition) -> (u64, Duration) {
        let tip = self.tip.position();
        if from.segment >= tip.segment {
            return (tip.offset.saturating_sub(from.offset), Duration::ZERO);
        }
        let meta = |segment: u32| std::fs::metadata(segment_path(&self.dir, segment)).ok();
        let complete = (from.segment..tip.segment).filter_map(|segment| meta(segment).map(|meta| meta.len()));
        let bytes = (complete.sum::<u64>() + tip.offset).saturating_sub(from.offset);
        let written = meta(from.segment).and_then(|meta| meta.modified().ok());
        (bytes, written.and_then(|written| written.elapsed().ok()).unwrap_or_default())
    }

    /// Rises when series were forgotten that the log names no more.
    #[must_use]
    pub(crate) fn epoch(&self) -> u64 {
        self.catalog.epoch()
    }

    /// Calls `check` with something that tells which places are still those of the series that they were given for.
    pub(crate) fn with_current(&self, check: impl FnOnce(&dyn Fn(Place) -> bool)) {
        self.catalog.with_current(check);
    }

    /// A block that begins at or before `at` and ends behind it; `None` at the tip. Records before `at` are the caller's to leave
    /// out. The caller keeps `own` from call to call.
    ///
    /// # Errors
    /// The log cannot be read at this place; see [`Source::resume_after`].
    pub(crate) fn block(&self, at: WalPosition, own: &mut Follower) -> Result<Option<Arc<Block>>, ReadError> {
        let tip = self.tip.position();
        if at >= tip {
            return Ok(None);
        }
        self.catalog.scan(at, tip)?;
        self.catalog.forget_truncated();
        let is_near = tip.segment == at.segment && tip.offset - at.offset < NEAR_BYTES;
        if !is_near {
            return Ok(Some(Arc::new(self.read_block(at, own)?)).filter(|block| block.end > at));
        }
        let mut near = self.near.lock();
        if let Some(block) = near.blocks.iter().find(|block| block.start <= at && at < block.end) {
            return Ok(Some(Arc::clone(block)));
        }
        if near.blocks.iter().any(|block| block.start > at) {
            // An endpoint that comes from behind catches up on its own and shares what comes after.
            drop(near);
            return Ok(Some(Arc::new(self.read_block(at, own)?)).filter(|block| block.end > at));
        }
        let block = Arc::new(self.read_block(at, &mut near.follower)?);
        if block.end <= at {
            return Ok(None);
        }
        if !self.is_shared() {
            near.blocks.clear();
        } else {
            near.keep(Arc::clone(&block));
        }
        Ok(Some(block))
    }

    /// Where to go on after `error` at `at`: behind the corruption, or at the oldest segment that is left. `None` when the bytes may
    /// still be readable, and only trying again is right.
    #[must_use]
    pub(crate) fn resume_after(&self, error: &ReadError, at: WalPosition) -> Option<WalPosition> {
        let segments = list_segments(&self.dir).ok()?;
        let lost = match error {
            // A block ends before a fault, so nothing lies between `at` and this one, whatever segment it is in.
            ReadError::Corrupt { dir, segment, .. } => {
                Some(*segment).filter(|lost| *dir == self.dir && *lost >= at.segment)
            }
            // Another file may be gone, such as a checkpoint that was replaced while it was read.
            ReadError::Io { source, .. } => {
                let is_gone =
                    source.kind() == std::io::ErrorKind::NotFound && !segments.contains(&at.segment);
                Some(at.segment).filter(|_| is_gone)
            }
            ReadError::Dir(_) => None,
        }?;
        let next = segments.into_iter().find(|segment| *segment > lost)?;
        Some(WalPosition { segment: next, offset: 0 })
    }

    fn read_block(&self, at: WalPosition, follower: &mut Follower) -> Result<Block, ReadError> {
        let mut tailer = match follower.tailer.take() {
            Some((position, tailer)) if position == at => tailer,
            _ => Tailer::open(&self.dir, at, self.tip.clone())?,
        };
        let mut block = Block {
            start: at,
            end: at,
            records: [0; RecordKind::ALL.len()],
            undecoded: 0,
            samples: self.spare.lock().pop().unwrap_or_default(),
            marks: Vec::new(),
            others: Vec::new(),
            max_t_ms: i64::MIN,
        };
        let mut named = Naming::default();
        while block.samples.len() + block.others.len() < BLOCK_SAMPLES {
            let next = match tailer.next() {
                Ok(next) => next,
                // What lies before the fault is good; the next block begins with the fault.
                Err(_) if block.end > at => break,
                Err(error) => return Err(error),
            };
            match next {
                Tail::Record(record) => {
                    block.end = record.end;
                    if let Some(kind) = RecordKind::of(record.bytes) {
                        block.records[kind as usize] += 1;
                    }
                    if let Err(error) = self.decode(record, &mut block, &mut named) {
                        tracing::error!(at = %record.start, %error, "WAL record makes no sense; its rest is not sent");
                        block.undecoded += 1;
                    }
                }
                Tail::AtTip => {
                    block.end = block.end.max(tailer.position());
                    break;
                }
            }
        }
        block.max_t_ms = block.samples.iter().map(|sample| sample.t_ms).max().unwrap_or(i64::MIN);
        self.catalog.add(&named.new, at, block.end);
        self.catalog.resolve(&mut block.samples);
        for (other, series) in block.others.iter_mut().zip(named.others) {
            other.place = self.catalog.place(series);
        }
        let mut counted = self.counted.lock();
        if *counted < block.end {
            // Endpoints on their own cut blocks at other places: a block may begin in what was counted and end behind it.
            self.count(&block, *counted);
            *counted = block.end;
        }
        drop(counted);
        follower.tailer = Some((block.end, tailer));
        Ok(block)
    }

    /// Counts what lies in records that begin at `from` or later.
    fn count(&self, block: &Block, from: WalPosition) {
        let first = block.marks.partition_point(|(_, at)| *at < from);
        let counted = block.marks.get(first).map_or(block.samples.len(), |(sample, _)| *sample);
        let others = || block.others.iter().filter(|other| other.at >= from);
        let exemplars = others().filter(|other| other.kind == OtherKind::Exemplar).count();
        let counts = [block.samples.len() - counted, exemplars, others().count() - exemplars];
        for (counter, count) in self.metrics.read.iter().zip(counts) {
            counter.add(count as f64);
        }
        if block.max_t_ms > i64::MIN {
            let newest = &self.metrics.highest_timestamp_s;
            newest.set(newest.get().max(block.max_t_ms as f64 / 1000.0));
        }
    }

    fn decode(&self, record: Record<'_>, block: &mut Block, named: &mut Naming) -> Result<(), DecodeError> {
        let at = record.start;
        match RecordType::of(record.bytes) {
            RecordType::Samples { .. } => {
                block.marks.push((block.samples.len(), at));
                decode_samples(record.bytes, &mut block.samples)
            }
            RecordType::Series => decode_series(record.bytes, |series, pairs| {
                named.new.push(NewSeries { series, labels: pairs.to_labels(), segment: at.segment });
            }),
            RecordType::Exemplars => decode_exemplars(record.bytes, |exemplar| {
                let (mut labels, mut encoded) = (Vec::new(), Vec::new());
                exemplar.labels.iter().for_each(|(name, value)| wire::put_label(&mut labels, name, value));
                wire::put_exemplar(&mut encoded, &labels, exemplar.value, exemplar.t_ms);
                let (t_ms, encoded) = (exemplar.t_ms, encoded.into());
                let kind = OtherKind::Exemplar;
                named.others.push(exemplar.series);
                block.others.push(Other { place: None, t_ms, start_ms: 0, at, kind, encoded });
            }),
            RecordType::Histograms(_) | RecordType::FloatHistograms(_) => {
                decode_histograms(record.bytes, |sample| {
                    let mut encoded = Vec::new();
                    let schema = match sample.histogram {
                        AnyHistogram::Int(h) => {
                            wire::put_histogram(&mut encoded, sample.t_ms, h);
                            h.schema
                        }
                        AnyHistogram::Float(h) => {
                            wire::put_float_histogram(&mut encoded, sample.t_ms, h);
                            h.schema
                        }
                    };
                    let kind = OtherKind::of_schema(schema);
                    let (t_ms, start_ms, encoded) = (sample.t_ms, sample.start_ms, encoded.into());
                    named.others.push(sample.series);
                    block.others.push(Other { place: None, t_ms, start_ms, at, kind, encoded });
                })
                .map(drop)
            }
            RecordType::Tombstones | RecordType::MmapMarkers | RecordType::Metadata | RecordType::Unknown => {
                Ok(())
            }
        }
    }
}
