//! The samples of one series: its chunks decoded where they lie, deleted times taken out; or the chunks as they are.

use std::borrow::Cow;

use narthex_storage::{SampleBatch, StoredChunk, Windows};

use crate::index::ChunkRefs;
use crate::{Block, Intervals, ReadError};

/// Which samples of a series are wanted.
#[derive(Clone, Copy)]
pub(super) struct Wish<'w> {
    /// First and last time, ms, both included.
    pub(super) range: (i64, i64),
    /// Floats that these do not hold may be missing; `None` when they leave nothing out.
    pub(super) windows: Option<&'w Windows>,
    /// Whether of the floats in a window only the newest is needed.
    pub(super) only_newest: bool,
}

impl<'w> Wish<'w> {
    pub(super) fn of_windows(windows: &'w Windows, only_newest: bool) -> Self {
        let with_gaps = (!windows.is_gapless()).then_some(windows);
        Self { range: windows.hull(), windows: with_gaps, only_newest }
    }

    /// What is wanted of a chunk of floats with these first and last times; `None` for nothing.
    fn of_floats(&self, (min_ms, max_ms): (i64, i64)) -> Option<((i64, i64), bool)> {
        let range = (min_ms.max(self.range.0), max_ms.min(self.range.1));
        let Some(windows) = self.windows else { return Some((self.range, false)) };
        let held = windows.clip(range)?;
        Some((held, self.only_newest && windows.are_in_one(held)))
    }
}

/// Appends the samples that are wanted to `out`; there may be more of the times between windows.
///
/// PERF: a chunk between two windows is not looked at, and one that reaches further than they do is not read to its end.
pub(super) fn read(
    block: &Block,
    chunks: ChunkRefs<'_>,
    deleted: Option<&Intervals>,
    mut wish: Wish<'_>,
    out: &mut SampleBatch,
) -> Result<(), ReadError> {
    // When the newest is deleted, it is the one before.
    wish.only_newest &= deleted.is_none();
    let before = (out.t_ms.len(), out.histogram_t_ms.len());
    let mut read_bytes = 0;
    for chunk in chunks {
        let chunk = chunk.map_err(|fault| block.index_error("read series", fault))?;
        let times = (chunk.min_ms, chunk.max_ms);
        if times.1 < wish.range.0 || deleted.is_some_and(|gone| gone.covers(times.0, times.1)) {
            continue;
        }
        if times.0 > wish.range.1 {
            break;
        }
        let fault = |fault| block.chunk_error(chunk.place, fault);
        let mut held = (wish.range, false);
        if wish.windows.is_some() && block.segments().encoding(chunk.place).map_err(fault)?.is_float() {
            let Some(floats) = wish.of_floats(times) else { continue };
            held = floats;
        }
        let (encoding, bytes) = block.segments().chunk(chunk.place).map_err(fault)?;
        read_bytes += bytes.len();
        let ((min_ms, max_ms), only_newest) = held;
        let decode = if only_newest { narthex_chunks::decode_newest } else { narthex_chunks::decode };
        decode(encoding, bytes, min_ms, max_ms, out)
            .map_err(|fault| block.samples_error(chunk.place, fault))?;
    }
    block.segments().count_read(read_bytes);
    if let Some(deleted) = deleted {
        remove(deleted, before, out);
    }
    Ok(())
}

/// Appends the chunks that overlap the closed range to `out`, with the deleted times that they have.
pub(super) fn collect_chunks<'b>(
    block: &'b Block,
    chunks: ChunkRefs<'_>,
    deleted: Option<&Intervals>,
    (mint_ms, maxt_ms): (i64, i64),
    out: &mut Vec<StoredChunk<'b>>,
) -> Result<(), ReadError> {
    let mut read_bytes = 0;
    for chunk in chunks {
        let chunk = chunk.map_err(|fault| block.index_error("read series", fault))?;
        if chunk.max_ms < mint_ms || deleted.is_some_and(|gone| gone.covers(chunk.min_ms, chunk.max_ms)) {
            continue;
        }
        if chunk.min_ms > maxt_ms {
            break;
        }
        let read = block.segments().chunk(chunk.place);
        let (encoding, bytes) = read.map_err(|fault| block.chunk_error(chunk.place, fault))?;
        read_bytes += bytes.len();
        let deleted = deleted.into_iter().flat_map(Intervals::as_slice);
        let touches = deleted.filter(|gone| gone.mint_ms <= chunk.max_ms && chunk.min_ms <= gone.maxt_ms);
        out.push(StoredChunk {
            min_ms: chunk.min_ms,
            max_ms: chunk.max_ms,
            encoding: encoding as u8,
            bytes: Cow::Borrowed(bytes),
            hidden: touches.map(|gone| (gone.mint_ms, gone.maxt_ms)).collect(),
            source: 0,
        });
    }
    block.segments().count_read(read_bytes);
    Ok(())
}

/// Takes the deleted times out of what was added to the columns.
#[cold]
fn remove(deleted: &Intervals, (floats, histograms): (usize, usize), out: &mut SampleBatch) {
    let keep = kept(deleted, &out.t_ms[floats..]);
    keep_in(&mut out.t_ms, floats, &keep);
    keep_in(&mut out.values, floats, &keep);
    if !out.start_ms.is_empty() {
        keep_in(&mut out.start_ms, floats, &keep);
    }
    let keep = kept(deleted, &out.histogram_t_ms[histograms..]);
    keep_in(&mut out.histogram_t_ms, histograms, &keep);
    keep_in(&mut out.histograms, histograms, &keep);
    if !out.histogram_start_ms.is_empty() {
        keep_in(&mut out.histogram_start_ms, histograms, &keep);
    }
}

/// Which of these times are not deleted.
fn kept(deleted: &Intervals, t_ms: &[i64]) -> Vec<bool> {
    t_ms.iter().map(|t| !deleted.contains(*t)).collect()
}

fn keep_in<T>(column: &mut Vec<T>, from: usize, keep: &[bool]) {
    let mut place = 0;
    column.retain(|_| {
        let kept = place < from || keep.get(place - from).copied().unwrap_or(true);
        place += 1;
        kept
    });
}
